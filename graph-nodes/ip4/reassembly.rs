//! ip4-local-full-reassembly: how IPv4 fragments are told and put together (RFC 791 section 3.2, RFC 1812 section 4.2.2.8); the node
//! is that of both families.

use crate::icmp::reason::Reason;
use crate::ip::V4;
use crate::ip::reassembly::{Flaw, Fragment, Fragments, Key};
use millrace_engine::{NodeName, Packet};
use millrace_wire::Ipv4;

/// Its name.
pub const NAME: NodeName = V4::REASSEMBLY;

impl Fragments for V4 {
    const REASSEMBLY: NodeName = NodeName::new("ip4-local-full-reassembly");
    /// RFC 1122 section 3.3.2 would have a minute; at today's rates an identification of 16 bits comes again within that (RFC 4963).
    const PATIENCE: u64 = 3_000_000_000;

    fn read(packet: &Packet<'_>) -> Option<Fragment<u32>> {
        let header = packet.header::<Ipv4>()?;
        let (total, data_at) = (usize::from(header.total_len()), header.header_len());
        let data = total.checked_sub(data_at)?;
        if total > packet.total_len() || !(Ipv4::LEN..=packet.len()).contains(&data_at) {
            return None;
        }
        let key = Key {
            source: header.src_u32(),
            destination: header.dst_u32(),
            id: header.id().into(),
            protocol: header.protocol().0,
            table: packet.meta.table,
        };
        let start = usize::from(header.fragment_offset());
        Some(Fragment { key, start, end: start + data, last: !header.more_fragments(), data_at, counted: data_at })
    }

    fn complaint(_: Flaw, _: &Fragment<u32>) -> Option<Reason> {
        None
    }

    fn complete(packet: &mut Packet<'_>, fragment: &Fragment<u32>, bytes: usize) -> bool {
        let len = fragment.data_at;
        let mut options = [0; 40];
        let options = options.get_mut(..len.saturating_sub(Ipv4::LEN)).unwrap_or(&mut []);
        if let Some(there) = packet.data().get(Ipv4::LEN..len) {
            options.copy_from_slice(there);
        }
        let Some(header) = packet.header_mut::<Ipv4>() else { return false };
        header.set_total_len((len + bytes) as u16);
        header.set_fragment(0, false);
        header.fill_checksum(options);
        true
    }

    fn has_all_headers(_: &Packet<'_>) -> bool {
        true
    }
}

#[cfg(test)]
#[path = "reassembly_tests.rs"]
mod tests;
