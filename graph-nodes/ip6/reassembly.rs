//! ip6-local-full-reassembly: how IPv6 fragments are told and put together (RFC 8200 section 4.5); the node is that of both
//! families.

use crate::icmp::reason::Reason;
use crate::ip::V6;
use crate::ip::reassembly::{Flaw, Fragment, Fragments, Key};
use millrace_engine::{NodeName, Packet};
use millrace_wire::{IpProtocol, Ipv6, Ipv6Extensions, Ipv6Fragment, Tcp, Udp, parameter_problem, upper_layer};

/// Its name.
pub const NAME: NodeName = V6::REASSEMBLY;

impl Fragments for V6 {
    const REASSEMBLY: NodeName = NodeName::new("ip6-local-full-reassembly");
    /// RFC 8200 section 4.5: a minute since the first that arrives.
    const PATIENCE: u64 = 60_000_000_000;

    fn read(packet: &Packet<'_>) -> Option<Fragment<u128>> {
        let ip = packet.header::<Ipv6>()?;
        let (header, at, _) = fragment_header(packet.data())?;
        let total = Ipv6::LEN + usize::from(ip.payload_len());
        let data_at = at + Ipv6Fragment::LEN;
        let data = total.checked_sub(data_at).filter(|_| total <= packet.total_len())?;
        let key = Key {
            source: ip.src_u128(),
            destination: ip.dst_u128(),
            id: header.id(),
            protocol: 0,
            table: packet.meta.table,
        };
        let start = usize::from(header.offset());
        // The payload length counts extension headers, but not the IPv6 header.
        Some(Fragment { key, start, end: start + data, last: !header.more(), data_at, counted: at - Ipv6::LEN })
    }

    /// RFC 8200 section 4.5, in its order.
    fn complaint(flaw: Flaw, fragment: &Fragment<u128>) -> Option<Reason> {
        let (code, pointer) = match flaw {
            Flaw::Uneven => (parameter_problem::HEADER, Ipv6::PAYLOAD_LEN),
            Flaw::TooFar => (parameter_problem::HEADER, fragment.data_at - Ipv6Fragment::LEN + Ipv6Fragment::OFFSET),
            Flaw::Headless => (parameter_problem::INCOMPLETE_HEADER_CHAIN, 0),
        };
        Some(Reason::ParameterProblem { code, pointer: pointer as u16 })
    }

    /// The fragment header goes out of the chain: what was in front of it moves up.
    fn complete(packet: &mut Packet<'_>, _: &Fragment<u128>, bytes: usize) -> bool {
        let Some((header, at, named_at)) = fragment_header(packet.data()) else { return false };
        let data = packet.data_mut();
        if let Some(name) = data.get_mut(named_at) {
            *name = header.next_header().0;
        }
        data.copy_within(..at, Ipv6Fragment::LEN);
        let there = packet.advance(Ipv6Fragment::LEN);
        let Some(ip) = packet.header_mut::<Ipv6>().filter(|_| there) else { return false };
        ip.set_payload_len((at - Ipv6::LEN + bytes) as u16);
        packet.mark_l3();
        true
    }

    /// RFC 7112 section 5: up to the header of the upper layer, and that, too.
    fn has_all_headers(packet: &Packet<'_>) -> bool {
        let Some((protocol, at)) = upper_layer(packet.data()) else { return false };
        let needed = match protocol {
            IpProtocol::TCP => Tcp::LEN,
            IpProtocol::UDP | IpProtocol::ICMP6 => Udp::LEN,
            _ => 0,
        };
        packet.len() >= at + needed
    }
}

/// The fragment header of a packet, where it lies and where the byte that names it does, in bytes from the IPv6 header.
fn fragment_header(packet: &[u8]) -> Option<(Ipv6Fragment, usize, usize)> {
    let mut headers = Ipv6Extensions::of(packet);
    loop {
        let named_at = headers.pointer();
        let header = headers.next()?.ok()?;
        if let Some(fragment) = header.fragment() {
            return Some((fragment, header.offset, named_at));
        }
    }
}

#[cfg(test)]
#[path = "reassembly_tests.rs"]
mod tests;
