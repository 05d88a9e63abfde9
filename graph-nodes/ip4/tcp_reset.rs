//! tcp-reset: answers a TCP segment for a port on which nothing listens, in place, and looks up the way back.
//! Writes: marks; forgets flow hash. The same rate limit as for ICMP errors holds for resets.

use crate::icmp::error::{BURST, RATE};
use crate::rate::TokenBucket;
use crate::{icmp, ip, marks};
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{FromBytes, IntoBytes, IpProtocol, Ipv4, Tcp, TcpFlags, checksum};

/// Its name.
pub const NAME: NodeName = NodeName::new("tcp-reset");

edges! {
    /// The reset finds its way like any packet.
    pub enum Next { Lookup => ip::lookup::NAME4 }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use etherparse::TcpHeader;
    use millrace_engine::testing::Bench;

    /// RFC 9293 section 3.10.7.1.
    #[test]
    fn a_reset_that_the_other_side_believes() {
        for (name, data, change, numbers) in [
            ("SYN", 0, (|t| t.syn = true) as fn(&mut TcpHeader), (0, 1001)),
            ("SYN with options", 0, |t| (t.syn, _) = (true, t.set_options_raw(&[2, 4, 5, 0xb4]).unwrap()), (0, 1001)),
            ("SYN and data", 10, |t| t.syn = true, (0, 1011)),
            ("FIN and data", 10, |t| t.fin = true, (0, 1011)),
            ("data over several buffers", 5001, |_| {}, (0, 6001)),
            ("the highest number", 0, |t| (t.syn, t.sequence_number) = (true, u32::MAX), (0, 0)),
            ("ACK", 10, |t| (t.ack, t.acknowledgment_number) = (true, 77), (77, 0)),
            ("SYN and ACK", 0, |t| (t.syn, t.ack, t.acknowledgment_number) = (true, true, 77), (77, 0)),
        ] {
            let outcome = Bench::new(TcpReset::default()).one(&tcp(HOST, LAN_IP, &vec![5; data], change));
            assert_eq!(fate(&outcome), ("ip4-lookup", &[("resets sent", 1)][..]), "{name}");
            let (ip, segment) = parsed(bytes(&outcome));
            assert_eq!((ip.source, ip.destination, ip.time_to_live), (LAN_IP, HOST, 64), "{name}");
            let (reset, rest) = TcpHeader::from_slice(segment).unwrap();
            assert_eq!(reset.checksum, reset.calc_checksum_ipv4(&ip, rest).unwrap(), "{name}");
            assert_eq!((reset.source_port, reset.destination_port, rest), (80, 40_000, &[][..]), "{name}");
            let acknowledges = numbers.0 == 0;
            assert_eq!((reset.rst, reset.ack, reset.syn, reset.fin), (true, acknowledges, false, false), "{name}");
            assert_eq!((reset.sequence_number, reset.acknowledgment_number), numbers, "{name}");
            assert_eq!(outcome.packets[0].marks, marks::OWN, "{name}");
        }
    }

    #[test]
    fn options_of_the_ip_header_are_left_out() {
        let segment = tcp(HOST, LAN_IP, &[], |t| t.syn = true)[20..].to_vec();
        let mut ip = header(HOST, LAN_IP);
        (ip.protocol, ip.options) = (etherparse::IpNumber::TCP, [1, 1, 1, 0].into());
        let outcome = Bench::new(TcpReset::default()).one(&packet(&ip, &segment));
        let (ip, segment) = parsed(bytes(&outcome));
        assert_eq!((ip.options.len(), segment.len()), (0, 20));
    }

    #[test]
    fn refused() {
        let syn = || tcp(HOST, LAN_IP, &[1, 2, 3], |t| t.syn = true);
        let with = |at: usize, value: u8| {
            let mut packet = syn();
            packet[at] = value;
            packet
        };
        for (name, packet, reason) in [
            ("a reset", tcp(HOST, LAN_IP, &[], |t| t.rst = true), "none about a reset"),
            ("one bit", with(42, 7), "TCP checksum is wrong"),
            ("header of 16 bytes", with(32, 0x40), "no TCP segment"),
            ("header beyond the segment", with(32, 0x60), "no TCP segment"),
            ("cut off", syn()[..39].to_vec(), "no TCP segment"),
            ("less than a header", vec![0x45; 19], "no TCP segment"),
        ] {
            let outcome = Bench::new(TcpReset::default()).one(&packet);
            assert_eq!(fate(&outcome), ("drop", &[(reason, 1)][..]), "{name}");
        }
        let many = vec![syn(); 150];
        let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
        let outcome = Bench::new(TcpReset::default()).run(&many, |_| {});
        assert_eq!(outcome.counts, [("resets sent", BURST), ("rate limit", 150 - BURST)]);
    }
}
