//! Outer packets made by hand, byte by byte, and what the router makes of them.

use harness::frames::{self, Icmp, Ip};
use harness::{LAN, Seen, WAN, Wires, l4};

/// The other end, and somebody behind it.
const END: Ip = [198, 51, 100, 9];
const FAR: Ip = [172, 16, 0, 1];

/// A router between raw wires with a tunnel to [`END`], of these settings, and another to its neighbour .10 that asks for checksums.
fn wires(settings: &str) -> Wires {
    let tunnels = format!(
        "
  t0: {{driver: gre, local: 203.0.113.1, remote: 198.51.100.9, addresses: [10.9.0.1/30], {settings}}}
  t1: {{driver: gre, local: 203.0.113.1, remote: 198.51.100.10, checksum: true, addresses: [10.9.0.5/30]}}
  t2: {{driver: ipip, local: 203.0.113.1, remote: 198.51.100.9, addresses: [10.9.0.9/30]}}
neighbors:"
    );
    let routes = "routes: [{to: 198.51.100.0/24, via: 203.0.113.10}, {to: 172.16.0.0/16, via: [{interface: t0}]}]";
    Wires::with(&format!("{}{routes}", Wires::CONFIG.replace("\nneighbors:", &tunnels)))
}

/// A UDP packet with this TOS.
fn udp(from: Ip, to: Ip, tos: u8) -> Vec<u8> {
    let mut header = frames::header(from, to);
    header.dscp = (tos >> 2).try_into().unwrap();
    header.ecn = (tos & 3).try_into().unwrap();
    frames::packet(&header, &frames::udp(&header, 4000, 7, b"inside"))
}

/// An outer packet from the wan, of this protocol.
fn outer(from: Ip, tos: u8, protocol: u8, carried: &[u8]) -> Vec<u8> {
    let mut header = frames::header(from, WAN.router_ip);
    header.protocol = protocol.into();
    header.dscp = (tos >> 2).try_into().unwrap();
    header.ecn = (tos & 3).try_into().unwrap();
    frames::packet(&header, carried)
}

/// What comes of packets from the wan.
fn pass(net: &Wires, packets: &[Vec<u8>]) -> Seen {
    packets.iter().for_each(|packet| net.wan.send(&WAN.frame(packet)));
    net.pass(&[])
}

/// The IPv4 packets among frames.
fn packets(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    frames.iter().filter(|frame| frames::ether_type(frame) == frames::IP4).map(|frame| frame[14..].to_vec()).collect()
}

const PLAIN: [u8; 4] = [0, 0, 8, 0];

#[test]
fn what_a_packet_becomes() {
    for (settings, tos, ttl, outer_tos, df) in
        [("ttl: 9", 0xb9, 9, 0xb9, false), ("tos: 32, df: clear", 0xba, 64, 0x22, false), ("df: set", 0, 64, 0, true)]
    {
        let net = wires(settings);
        let mut inner = udp(LAN.ip, FAR, tos);
        let seen = packets(&net.pass(&[LAN.frame(&inner)]).wan);
        assert_eq!(seen.len(), 1, "{settings}");
        let (header, rest) = frames::ip4_packet(&seen[0]).expect("an outer packet");
        assert_eq!((header.source, header.destination, header.protocol.0), (WAN.router_ip, END, 47));
        assert_eq!((header.time_to_live, seen[0][1], header.dont_fragment), (ttl, outer_tos, df), "{settings}");
        // The packet inside is one hop older, with its checksum.
        inner[8] -= 1;
        inner[10..12].fill(0);
        let sum = frames::checksum(&inner[..20]);
        inner[10..12].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(rest, [&PLAIN[..], &inner].concat(), "{settings}");
    }
}

#[test]
fn packets_out_of_the_tunnel() {
    let net = wires("");
    let inner = |tos| udp(FAR, LAN.ip, tos);
    let gre = |header: &[u8], tos| [header, &inner(tos)].concat();
    let mut summed = gre(&[0x80, 0, 8, 0, 0, 0, 0, 0], 0);
    let sum = frames::checksum(&summed);
    summed[4..6].copy_from_slice(&sum.to_be_bytes());
    // Which of them come out, and the TOS that they have then (RFC 6040 section 4.2).
    for (name, packet, out) in [
        ("plain", outer(END, 0, 47, &gre(&PLAIN, 0x20)), Some(0x20)),
        ("numbered", outer(END, 0, 47, &gre(&[0x10, 0, 8, 0, 0, 0, 0, 9], 0)), Some(0)),
        ("checksum", outer(END, 0, 47, &summed), Some(0)),
        ("IPIP", outer(END, 0, 4, &inner(0)), Some(0)),
        ("congestion", outer(END, 3, 47, &gre(&PLAIN, 2)), Some(3)),
        ("congestion that can't be told", outer(END, 3, 47, &gre(&PLAIN, 0)), None),
        ("no checksum where one must be", outer([198, 51, 100, 10], 0, 47, &gre(&PLAIN, 0)), None),
        ("routing", outer(END, 0, 47, &gre(&[0x40, 0, 8, 0], 0)), None),
        ("Ethernet", outer(END, 0, 47, &gre(&[0, 0, 0x65, 0x58], 0)), None),
        (
            "our own address inside",
            outer(END, 0, 47, &[&PLAIN[..], &udp(LAN.router_ip, LAN.router_ip, 0)].concat()),
            None,
        ),
        ("a martian inside", outer(END, 0, 47, &[&PLAIN[..], &udp([127, 0, 0, 1], LAN.ip, 0)].concat()), None),
    ] {
        let seen = pass(&net, &[packet]);
        let lan: Vec<u8> = packets(&seen.lan).iter().map(|packet| packet[1]).collect();
        assert_eq!((lan, packets(&seen.wan).len()), (out.into_iter().collect(), 0), "{name}");
    }
    let shown = net.router.json("show tunnels t0");
    assert_eq!(shown["rx_packets"], 6, "the two with a bad packet inside came out, too");
}

#[test]
fn strangers_hear_that_there_is_no_tunnel() {
    let net = wires("key: 7");
    let stranger = [198, 51, 100, 77];
    let carried = [&PLAIN[..], &udp(FAR, LAN.ip, 0)].concat();
    for (name, from, protocol) in [("a stranger", stranger, 47), ("IPIP", stranger, 4), ("no key", END, 47)] {
        let seen = pass(&net, &[outer(from, 0, protocol, &carried)]);
        assert!(seen.lan.is_empty(), "{name}");
        let [frame] = &seen.wan[..] else { panic!("{name}: {:02x?}", seen.wan) };
        let told = Icmp::of(frame).expect("an error");
        assert_eq!(l4::Packet::of(frame).expect("a packet").icmp_kind(), (3, 2), "{name}: protocol unreachable");
        assert_eq!(told.ip.destination, from, "{name}");
    }
    assert_eq!(net.router.errors("tunnel-input", "no tunnel between these addresses"), 2);
    assert_eq!(net.router.errors("tunnel-input", "have other keys"), 1);
}

#[test]
fn pieces_of_outer_packets_are_put_together() {
    let net = wires("");
    let mut header = frames::header(FAR, LAN.ip);
    header.identification = 5;
    let inner = frames::packet(&header, &frames::udp(&header, 4000, 7, &[0x5a; 1200]));
    let whole = outer(END, 0, 47, &[&PLAIN[..], &inner].concat());
    for first_last in [false, true] {
        let mut pieces = l4::fragments(&whole, 400, 7 + u16::from(first_last));
        if first_last {
            pieces.reverse();
        }
        assert!(pieces.len() >= 3);
        let seen = packets(&pass(&net, &pieces).lan);
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [inner.len()]);
        assert_eq!(seen[0][20..], inner[20..]);
    }
}
