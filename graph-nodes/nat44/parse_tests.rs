use super::*;
use crate::testing::*;
use etherparse::{Icmpv4Type, IpNumber, Ipv4Header, TcpHeader};
use proptest::prelude::*;

fn parsed(bytes: &[u8], side: Side) -> Result<Parsed, Malformed> {
    with_packet(bytes, |packet| parse(packet, side)).0
}

/// A fragment whose ports are known to be these.
fn with_ports(bytes: &[u8], side: Side, ports: [u16; 2]) -> Result<Parsed, Malformed> {
    let view = View::new(HOST.into(), ports[0], PEER.into(), ports[1]);
    let prepare = |packet: &mut Packet<'_>| {
        packet.meta.marks = marks::PORTS_KNOWN;
        packet.meta.scratch[1] = known_ports(&view);
        parse(packet, side)
    };
    with_packet(bytes, prepare).0
}

fn icmp(kind: u8, data: &[u8], change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    let kind = Icmpv4Type::Unknown { type_u8: kind, code_u8: 0, bytes5to8: [0x12, 0x34, 0, 1] };
    icmp_with(HOST, PEER, kind, data, change)
}

fn other(protocol: u8, change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    let mut header = header(HOST, PEER);
    header.protocol = IpNumber(protocol);
    change(&mut header);
    packet(&header, &[0xa5; 40])
}

fn options(header: &mut Ipv4Header) {
    header.options = [0x94, 4, 0, 0, 1, 1, 1, 0].into();
}

fn first(header: &mut Ipv4Header) {
    header.more_fragments = true;
}

fn at_16(header: &mut Ipv4Header) {
    header.fragment_offset = 2.try_into().unwrap();
}

fn tcp_flags(flags: u8) -> Vec<u8> {
    tcp(HOST, PEER, b"", |t| {
        (t.fin, t.syn, t.rst) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
        (t.psh, t.ack, t.urg) = (flags & 8 != 0, flags & 16 != 0, flags & 32 != 0);
    })
}

fn ack(header: &mut TcpHeader) {
    header.ack = true;
}

#[test]
fn what_a_packet_is() {
    use Fragment::{First, No};
    let udp_view = "192.168.1.10:40000 -> 203.0.113.10:7";
    let tcp_view = "192.168.1.10:40000 -> 203.0.113.10:80";
    let no_ports = "192.168.1.10:0 -> 203.0.113.10:0";
    for (name, packet, side, len, view, fragment, kind) in [
        ("UDP", udp(HOST, PEER), Side::Inside, 20, udp_view, No, Kind::Ports),
        ("UDP from outside", udp(HOST, PEER), Side::Outside, 20, udp_view, No, Kind::Ports),
        ("UDP with options", udp_with(HOST, PEER, 9, options), Side::Inside, 28, udp_view, No, Kind::Ports),
        ("UDP over buffers", udp_with(HOST, PEER, 5000, |_| {}), Side::Inside, 20, udp_view, No, Kind::Ports),
        ("UDP, a first fragment", udp_with(HOST, PEER, 16, first), Side::Inside, 20, udp_view, First, Kind::Ports),
        ("TCP", tcp(HOST, PEER, b"data", ack), Side::Inside, 20, tcp_view, No, Kind::Ports),
        // RFC 5508 REQ-1: by identifier, which is the inside's.
        (
            "echo request",
            icmp(8, b"", |_| {}),
            Side::Inside,
            20,
            "192.168.1.10:4660 -> 203.0.113.10:0",
            No,
            Kind::Query,
        ),
        ("echo reply", icmp(0, b"", |_| {}), Side::Outside, 20, "192.168.1.10:0 -> 203.0.113.10:4660", No, Kind::Query),
        (
            "timestamp",
            icmp(13, &[0; 12], |_| {}),
            Side::Inside,
            20,
            "192.168.1.10:4660 -> 203.0.113.10:0",
            No,
            Kind::Query,
        ),
        (
            "address mask reply",
            icmp(18, &[0; 4], |_| {}),
            Side::Outside,
            20,
            "192.168.1.10:0 -> 203.0.113.10:4660",
            No,
            Kind::Query,
        ),
        (
            "echo in fragments",
            icmp(8, &[0; 16], first),
            Side::Inside,
            20,
            "192.168.1.10:4660 -> 203.0.113.10:0",
            First,
            Kind::Query,
        ),
        ("GRE", other(47, |_| {}), Side::Inside, 20, no_ports, No, Kind::Other),
        ("ESP with options", other(50, options), Side::Inside, 28, no_ports, No, Kind::Other),
        ("SCTP", other(132, |_| {}), Side::Inside, 20, no_ports, No, Kind::Other),
        ("DCCP", other(33, |_| {}), Side::Inside, 20, no_ports, No, Kind::Other),
        ("GRE, a later fragment", other(47, at_16), Side::Inside, 20, no_ports, Fragment::Later, Kind::Other),
    ] {
        let parsed = parsed(&packet, side).unwrap_or_else(|error| panic!("{name}: {error}"));
        let wanted = (len, view, fragment, kind);
        assert_eq!((parsed.header_len, &*parsed.view.to_string(), parsed.fragment, parsed.kind), wanted, "{name}");
        assert_eq!(parsed.protocol.0, packet[9], "{name}");
        assert_eq!(parsed.tcp.is_some(), packet[9] == 6, "{name}");
    }
}

#[test]
fn later_fragments_have_the_ports_that_are_known() {
    for (name, packet, side, ports, view, kind) in [
        (
            "UDP",
            udp_with(HOST, PEER, 9, at_16),
            Side::Inside,
            [5, 0x1234],
            "192.168.1.10:5 -> 203.0.113.10:4660",
            Kind::Ports,
        ),
        ("ping", icmp(8, &[], at_16), Side::Inside, [7, 0], "192.168.1.10:7 -> 203.0.113.10:0", Kind::Query),
        ("pong", icmp(8, &[], at_16), Side::Outside, [0, 7], "192.168.1.10:0 -> 203.0.113.10:7", Kind::Query),
        // RFC 4787 REQ-9: it was read on its way out, and comes back to another inside host.
        ("hairpin", icmp(8, &[], at_16), Side::Outside, [7, 0], "192.168.1.10:0 -> 203.0.113.10:7", Kind::Query),
        ("GRE", other(47, at_16), Side::Inside, [5, 6], "192.168.1.10:0 -> 203.0.113.10:0", Kind::Other),
    ] {
        let parsed = with_ports(&packet, side, ports).unwrap();
        assert_eq!((&*parsed.view.to_string(), parsed.kind, parsed.fragment), (view, kind, Fragment::Later), "{name}");
        assert_eq!(parsed.tcp, None, "{name}");
    }
    // The first fragment says itself what its ports are.
    let first = with_ports(&udp_with(HOST, PEER, 16, first), Side::Inside, [5, 6]).unwrap();
    assert_eq!(first.view.source_port(), 40_000);
}

#[test]
fn what_can_not_be_translated() {
    use Malformed::*;
    let at = |packet: Vec<u8>, at: usize, value: u8| broken(packet, |p| p[at] = value);
    let cut = |packet: Vec<u8>, len: usize| broken(packet[..len].to_vec(), |p| p[3] = len as u8);
    for (name, packet, why) in [
        ("nothing", vec![], Header),
        ("19 bytes", udp(HOST, PEER)[..19].to_vec(), Header),
        ("version 6", at(udp(HOST, PEER), 0, 0x65), Header),
        ("a header of 16 bytes", at(udp(HOST, PEER), 0, 0x44), Header),
        ("more header than packet", at(udp(HOST, PEER), 0, 0x4f), Header),
        ("longer than it is", at(udp(HOST, PEER), 3, 39), Header),
        ("shorter than its header", at(udp(HOST, PEER), 3, 19), Header),
        ("no UDP header", cut(udp(HOST, PEER), 20), Transport),
        ("7 bytes of UDP", cut(udp(HOST, PEER), 27), Transport),
        // RFC 768: the length is at least that of the header, and not more than there is.
        ("UDP length of 7", at(udp(HOST, PEER), 25, 7), Transport),
        ("UDP length beyond the packet", at(udp(HOST, PEER), 25, 19), Transport),
        ("first fragment, UDP length of 7", at(udp_with(HOST, PEER, 16, first), 25, 7), Transport),
        // RFC 1858 section 3: tiny fragments.
        ("19 bytes of TCP", cut(tcp(HOST, PEER, b"", ack), 39), Transport),
        ("19 bytes of TCP, and padding", at(tcp(HOST, PEER, b"", ack), 3, 39), Transport),
        ("half of a TCP header", at(tcp(HOST, PEER, b"", ack), 32, 0x40), Transport),
        ("options beyond the packet", at(tcp(HOST, PEER, b"123", ack), 32, 0x60), Transport),
        ("7 bytes of ICMP", cut(icmp(8, b"", |_| {}), 27), Transport),
        ("7 bytes of DCCP", cut(other(33, |_| {}), 27), Transport),
        ("no ports are known", udp_with(HOST, PEER, 16, at_16), UnknownPorts),
        ("router solicitation", icmp(10, b"", |_| {}), IcmpType),
        ("ICMP type 255", icmp(255, b"", |_| {}), IcmpType),
        ("redirect", icmp(5, &udp(PEER, HOST), |_| {}), Redirect),
        ("the first fragment of an error", icmp(3, &[0; 32], first), IcmpFragment),
    ] {
        for side in [Side::Inside, Side::Outside] {
            assert_eq!(parsed(&packet, side), Err(why), "{name}");
        }
    }
}

/// What has to change must be in one piece.
#[test]
fn a_header_over_two_buffers_is_malformed() {
    for (whole, split, why) in [
        (tcp(HOST, PEER, &[1; 3000], ack), 39, Malformed::Transport),
        (packet(&Ipv4Header { options: [1; 8].into(), ..header(HOST, PEER) }, &[0xa5; 3000]), 27, Malformed::Header),
    ] {
        let work = |packet: &mut Packet<'_>| {
            // Where the first buffer ends moves back by as much as the current header moves on.
            let mut front = packet.data()[..split].to_vec();
            front[2..4].copy_from_slice(&((split + packet.total_len() - packet.len()) as u16).to_be_bytes());
            assert!(packet.advance(packet.len() - split));
            packet.data_mut().copy_from_slice(&front);
            parse(packet, Side::Inside)
        };
        assert_eq!(with_packet(&whole, work).0, Err(why));
    }
}

/// RFC 9293 section 3.10: what stacks send together, with or without PSH and URG.
#[test]
fn tcp_flags_that_no_stack_sends() {
    for flags in 0..64 {
        let good = [0x02, 0x12, 0x04, 0x14, 0x11, 0x10].contains(&(flags & 0x17));
        let parsed = parsed(&tcp_flags(flags), Side::Inside);
        match parsed {
            Ok(parsed) => assert!(good && parsed.tcp.unwrap().flags == TcpFlags(flags), "{flags:#x}"),
            Err(error) => assert!(!good && error == Malformed::TcpFlags, "{flags:#x}"),
        }
    }
}

#[test]
fn what_a_segment_says() {
    let segment =
        |change: fn(&mut TcpHeader)| parsed(&tcp(HOST, PEER, b"", change), Side::Inside).unwrap().tcp.unwrap();
    let data = segment(|t| (t.ack, t.acknowledgment_number, t.window_size) = (true, 0x1234_5678, 501));
    let wanted =
        TcpSegment { flags: TcpFlags::ACK, sequence: 1000, acknowledgment: 0x1234_5678, window: 501, scale: None };
    // `tcp` makes headers with a window of 500.
    assert_eq!(data, wanted);
    let scale = |options: &[u8], syn: bool| {
        let packet = tcp(HOST, PEER, b"", |t| {
            (t.syn, t.ack) = (syn, !syn);
            t.set_options_raw(options).unwrap();
        });
        parsed(&packet, Side::Inside).unwrap().tcp.unwrap().scale
    };
    // RFC 7323 section 2.2.
    assert_eq!(scale(&[3, 3, 7], true), Some(7));
    assert_eq!(scale(&[1, 2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 0], true), Some(0));
    assert_eq!(scale(&[3, 3, 7], false), None, "in a SYN only");
    // RFC 7323 section 2.3.
    assert_eq!(scale(&[3, 3, 15], true), Some(14));
    for (name, options) in [
        ("behind the end", &[0, 3, 3, 7][..]),
        ("of another length", &[3, 2, 1, 1]),
        ("behind an option of no length", &[8, 0, 3, 3, 7]),
        ("behind one of length 1", &[8, 1, 3, 3, 7]),
        ("behind one that is longer than the header", &[8, 40, 3, 3, 7]),
        ("cut off", &[1, 1, 3, 3]),
        ("a kind alone", &[1, 1, 1, 3]),
    ] {
        assert_eq!(scale(options, true).filter(|scale| *scale == 7), None, "{name}");
    }
}

proptest! {
    /// Whatever the bytes, nothing panics; and what is read is in the packet.
    #[test]
    fn any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..200), v4: bool, protocol in 0usize..6, known: bool, outside: bool) {
        if v4 && bytes.len() >= 20 {
            bytes[0] = 0x45 + bytes[0] % 8;
            let len = bytes.len() as u16;
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
            bytes[6] &= 0x20 * (bytes[1] % 2);
            bytes[7] = 0;
            bytes[9] = [1, 6, 17, 33, 47, 136][protocol];
        }
        let side = if outside { Side::Outside } else { Side::Inside };
        let parsed = if known { with_ports(&bytes, side, [1, 2]) } else { parsed(&bytes, side) };
        if let Ok(parsed) = parsed {
            prop_assert!(parsed.header_len <= bytes.len());
            prop_assert_eq!(&parsed.view.as_bytes()[..8], &bytes[12..20]);
        }
    }
}
