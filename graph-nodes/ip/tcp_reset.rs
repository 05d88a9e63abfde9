//! tcp-reset: answers a TCP segment for a port on which nothing listens, in place, and looks up the way back; for both families.
//! Reads: rx interface. Writes: marks, table, tx interface; forgets flow hash. The same rate limit as for ICMP errors holds for resets.

use crate::forwarding::Forwarding;
use crate::icmp;
use crate::icmp::error::{BURST, RATE};
use crate::ip::{Family, V4, V6};
use crate::rate::TokenBucket;
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::checksum::Sum;
use millrace_wire::{IntoBytes, IpProtocol, Ipv4, Ipv6, Tcp, TcpFlags, checksum, upper_layer};

/// Its name.
pub const NAME: NodeName = NodeName::new("tcp-reset");

edges! {
    /// The reset finds its way like any packet.
    pub enum Next { Lookup4 => V4::LOOKUP, Lookup6 => V6::LOOKUP }
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

/// What the node has to know of a family.
trait Carrier: Family {
    const NEXT: Next;
    /// Where the segment begins, in bytes from the IP header.
    fn segment_at(packet: &Packet<'_>, header: &Self::Header) -> Option<usize>;
    /// The sum of the pseudo header of a segment of `len` bytes; the same for both directions.
    fn pseudo(header: &Self::Header, len: u16) -> Sum;
    /// The header of an answer without options or extension headers.
    fn answer(header: &Self::Header, len: u16, id: u16) -> Self::Header;
}

impl Carrier for V4 {
    const NEXT: Next = Next::Lookup4;

    fn segment_at(_: &Packet<'_>, header: &Ipv4) -> Option<usize> {
        Some(header.header_len()).filter(|len| *len >= Ipv4::LEN)
    }

    fn pseudo(header: &Ipv4, len: u16) -> Sum {
        checksum::pseudo_header4(header.src_u32(), header.dst_u32(), IpProtocol::TCP, len)
    }

    fn answer(header: &Ipv4, len: u16, id: u16) -> Ipv4 {
        let mut ip = Ipv4::new(header.dst(), header.src(), IpProtocol::TCP, icmp::TTL, len);
        ip.set_id(id);
        ip.fill_checksum(&[]);
        ip
    }
}

impl Carrier for V6 {
    const NEXT: Next = Next::Lookup6;

    fn segment_at(packet: &Packet<'_>, _: &Ipv6) -> Option<usize> {
        upper_layer(packet.data()).filter(|(protocol, _)| *protocol == IpProtocol::TCP).map(|(_, at)| at)
    }

    fn pseudo(header: &Ipv6, len: u16) -> Sum {
        checksum::pseudo_header6(&header.src().octets(), &header.dst().octets(), IpProtocol::TCP, len.into())
    }

    fn answer(header: &Ipv6, len: u16, _: u16) -> Ipv6 {
        Ipv6::new(header.dst(), header.src(), IpProtocol::TCP, icmp::TTL, len)
    }
}

/// The node.
pub struct TcpReset {
    forwarding: Forwarding,
    bucket: TokenBucket,
    id: u16,
}

impl TcpReset {
    /// Reads interfaces.
    pub fn new(forwarding: Forwarding) -> TcpReset {
        TcpReset { forwarding, bucket: TokenBucket::new(RATE, BURST), id: 0 }
    }
}

impl Node for TcpReset {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        match packet.data().first().map(|first| first >> 4) {
            Some(6) => self.turned::<V6>(packet, cx),
            _ => self.turned::<V4>(packet, cx),
        }
    }
}

impl TcpReset {
    fn turned<F: Carrier<Header: Copy>>(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&original) = packet.header::<F::Header>() else { return cx.drop(Count::Malformed) };
        let at = F::segment_at(packet, &original);
        if !at.is_some_and(|at| packet.advance(at)) {
            return cx.drop(Count::Malformed);
        }
        let len = packet.total_len() as u16;
        let Some(&segment) = packet.header::<Tcp>().filter(|t| (Tcp::LEN..=len.into()).contains(&t.header_len()))
        else {
            return cx.drop(Count::Malformed);
        };
        if !packet.segments().fold(F::pseudo(&original, len), Sum::bytes).is_ok() {
            return cx.drop(Count::BadChecksum);
        }
        if segment.flags().contains(TcpFlags::RST) {
            return cx.drop(Count::Reset);
        }
        if !self.bucket.take(cx.now()) {
            return cx.drop(Count::Limited);
        }
        let mut reset = answer(&segment, u32::from(len) - segment.header_len() as u32);
        reset.set_checksum(F::pseudo(&original, Tcp::LEN as u16).bytes(reset.as_bytes()).checksum());
        self.id = self.id.wrapping_add(1);
        let ip = F::answer(&original, Tcp::LEN as u16, self.id);
        packet.truncate(Tcp::LEN);
        if let Some(there) = packet.header_mut::<Tcp>() {
            *there = reset;
        }
        let there = packet.retreat(size_of::<F::Header>());
        let Some(header) = packet.header_mut::<F::Header>().filter(|_| there) else {
            return cx.drop(Count::Malformed);
        };
        *header = ip;
        icmp::goes_back(packet, &self.forwarding, &cx.guard());
        cx.count(Count::Sent);
        F::NEXT
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
    use crate::marks;
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
            let outcome =
                Bench::new(TcpReset::new(World::new().forwarding)).one(&tcp(HOST, LAN_IP, &vec![5; data], change));
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

    /// RFC 9293 section 3.10.7.1 again, behind extension headers and with the pseudo header of RFC 8200 section 8.1.
    #[test]
    fn over_ipv6() {
        let options = [6, 0, 1, 4, 0, 0, 0, 0];
        for (name, from, data, extension) in [
            ("SYN", HOST6, 0, &[][..]),
            ("SYN and data", HOST6, 10, &[]),
            ("over several buffers", HOST6, 5001, &[]),
            ("behind destination options", HOST6, 10, &options),
            ("from a link-local address", HOST_LL, 0, &[]),
        ] {
            let mut ip = header6(from, LAN_IP6, etherparse::IpNumber::TCP);
            let mut syn = TcpHeader::new(40_000, 80, 1000, 500);
            syn.syn = true;
            let data = vec![5; data];
            syn.checksum = syn.calc_checksum_ipv6(&ip, &data).unwrap();
            ip.next_header = if extension.is_empty() { ip.next_header } else { 60.into() };
            let segment = packet6(&ip, &[extension, &syn.to_bytes(), &data].concat());
            let mut bench = Bench::new(TcpReset::new(World::new().forwarding));
            let outcome = bench.run(&[&segment], |meta| (meta.rx_interface, meta.marks) = (LAN, marks::LINK_LOCAL));
            assert_eq!(fate(&outcome), ("ip6-lookup", &[("resets sent", 1)][..]), "{name}");
            let (ip, segment) = parsed6(bytes(&outcome));
            let ends = (ip6(LAN_IP6).octets(), ip6(from).octets());
            assert_eq!(((ip.source, ip.destination), ip.hop_limit, ip.next_header.0), (ends, 64, 6), "{name}");
            let (reset, rest) = TcpHeader::from_slice(segment).unwrap();
            assert_eq!(reset.checksum, reset.calc_checksum_ipv6(&ip, rest).unwrap(), "{name}");
            assert_eq!((reset.source_port, reset.destination_port, rest), (80, 40_000, &[][..]), "{name}");
            assert_eq!((reset.rst, reset.ack, reset.acknowledgment_number), (true, true, 1001 + data.len() as u32));
            let out = &outcome.packets[0];
            assert_eq!((out.marks, out.tx_interface), (marks::OWN, LAN), "{name}: goes back where it came from");
        }
        let wrong = packet6(&header6(HOST6, LAN_IP6, etherparse::IpNumber::TCP), &[0x50; 20]);
        for (packet, reason) in [
            (wrong, "TCP checksum is wrong"),
            (udp6(HOST6, LAN_IP6), "no TCP segment"),
            (packet6(&header6(HOST6, LAN_IP6, 60.into()), &[6, 9]), "no TCP segment"),
            (vec![0x60; 39], "no TCP segment"),
        ] {
            let outcome = Bench::new(TcpReset::new(World::new().forwarding)).one(&packet);
            assert_eq!(fate(&outcome), ("drop", &[(reason, 1)][..]));
        }
    }

    #[test]
    fn options_of_the_ip_header_are_left_out() {
        let segment = tcp(HOST, LAN_IP, &[], |t| t.syn = true)[20..].to_vec();
        let mut ip = header(HOST, LAN_IP);
        (ip.protocol, ip.options) = (etherparse::IpNumber::TCP, [1, 1, 1, 0].into());
        let outcome = Bench::new(TcpReset::new(World::new().forwarding)).one(&packet(&ip, &segment));
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
            let outcome = Bench::new(TcpReset::new(World::new().forwarding)).one(&packet);
            assert_eq!(fate(&outcome), ("drop", &[(reason, 1)][..]), "{name}");
        }
        let many = vec![syn(); 150];
        let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
        let outcome = Bench::new(TcpReset::new(World::new().forwarding)).run(&many, |_| {});
        assert_eq!(outcome.counts, [("resets sent", BURST), ("rate limit", 150 - BURST)]);
    }
}
