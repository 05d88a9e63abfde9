//! tcp-reset: answers a TCP segment for a port on which nothing listens, in place, and looks up the way back.
//! Writes: marks; forgets flow hash. The same rate limit as for ICMP errors holds for resets.

use crate::icmp::error::{BURST, RATE};
use crate::rate::TokenBucket;
use crate::{icmp, ip4, marks};
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{FromBytes, IntoBytes, IpProtocol, Ipv4, Tcp, TcpFlags, checksum};

/// Its name.
pub const NAME: NodeName = NodeName::new("tcp-reset");

edges! {
    /// The reset finds its way like any packet.
    pub enum Next { Lookup => ip4::lookup::NAME }
}

counters! {
    /// What comes of segments.
    pub enum Count {
        Sent => "resets sent",
        Reset => "none about a reset",
        Malformed => "no TCP segment",
        BadChecksum => "TCP checksum is wrong",
        Limited => "rate limit",
    }
}

/// The node.
pub struct TcpReset {
    bucket: TokenBucket,
    id: u16,
}

impl Default for TcpReset {
    fn default() -> Self {
        TcpReset { bucket: TokenBucket::new(RATE, BURST), id: 0 }
    }
}

impl Node for TcpReset {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&original) = packet.header::<Ipv4>() else { return cx.drop(Count::Malformed) };
        if original.header_len() < Ipv4::LEN || !packet.advance(original.header_len()) {
            return cx.drop(Count::Malformed);
        }
        let len = packet.total_len() as u16;
        let (src, dst) = (original.src_u32(), original.dst_u32());
        let Some(&segment) = packet.header::<Tcp>().filter(|t| (Tcp::LEN..=len.into()).contains(&t.header_len()))
        else {
            return cx.drop(Count::Malformed);
        };
        let pseudo = checksum::pseudo_header4(src, dst, IpProtocol::TCP, len);
        if !packet.segments().fold(pseudo, checksum::Sum::bytes).is_ok() {
            return cx.drop(Count::BadChecksum);
        }
        if segment.flags().contains(TcpFlags::RST) {
            return cx.drop(Count::Reset);
        }
        if !self.bucket.take(cx.now()) {
            return cx.drop(Count::Limited);
        }
        let mut reset = answer(&segment, u32::from(len) - segment.header_len() as u32);
        reset.set_checksum(checksum::tcp4(dst, src, reset.as_bytes()));
        let mut ip = Ipv4::new(original.dst(), original.src(), IpProtocol::TCP, icmp::TTL, Tcp::LEN as u16);
        self.id = self.id.wrapping_add(1);
        ip.set_id(self.id);
        ip.fill_checksum(&[]);
        packet.truncate(Tcp::LEN);
        if let Some(there) = packet.header_mut::<Tcp>() {
            *there = reset;
        }
        let there = packet.retreat(Ipv4::LEN);
        let Some((header, _)) = Ipv4::mut_from_prefix(packet.data_mut()).ok().filter(|_| there) else {
            return cx.drop(Count::Malformed);
        };
        *header = ip;
        packet.mark_l3();
        packet.meta.marks |= marks::OWN;
        packet.meta.flow_hash = 0;
        cx.count(Count::Sent);
        Next::Lookup
    }
}

/// The reset that RFC 9293 section 3.10.7.1 prescribes for a segment with `data` bytes while the connection is closed.
fn answer(segment: &Tcp, data: u32) -> Tcp {
    let flags = segment.flags();
    let (src, dst) = (segment.dst_port(), segment.src_port());
    if flags.contains(TcpFlags::ACK) {
        let mut reset = Tcp::new(src, dst, TcpFlags::RST);
        reset.set_numbers(segment.acknowledgment(), 0);
        return reset;
    }
    // SYN and FIN take a number each.
    let controls = u32::from(flags.contains(TcpFlags::SYN)) + u32::from(flags.contains(TcpFlags::FIN));
    let mut reset = Tcp::new(src, dst, TcpFlags::RST.and(TcpFlags::ACK));
    reset.set_numbers(0, segment.sequence().wrapping_add(data).wrapping_add(controls));
    reset
}
