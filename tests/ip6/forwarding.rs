//! A packet on its way: what is changed in it, what is not forwarded, and what is left to its destination.

use etherparse::{IpNumber, Ipv6Header};
use harness::frames6::{self, Ip6, MINIMUM_MTU, ip6, traffic};
use harness::{LAN6, WAN6, Wires, frames};

fn header(change: impl Fn(&mut Ipv6Header)) -> Ipv6Header {
    let mut header = frames6::header(LAN6.ip, WAN6.ip);
    change(&mut header);
    header
}

/// Bodies that begin with extension headers: a router looks past none of them (RFC 8200 section 4), but for hop-by-hop
/// options of which it knows none.
fn extension_headers() -> Vec<(&'static str, u8, Vec<u8>)> {
    let data = vec![0x5a; 32];
    let with = |bytes: &[u8]| [bytes, &data[..]].concat();
    vec![
        ("hop-by-hop with padding", 0, with(&[17, 0, 1, 4, 0, 0, 0, 0])),
        ("hop-by-hop with an option to be skipped", 0, with(&[17, 0, 0x1e, 4, 1, 2, 3, 4])),
        ("destination options", 60, with(&[17, 0, 1, 4, 0, 0, 0, 0])),
        ("destination options that its host must refuse", 60, with(&[17, 0, 0x9e, 4, 1, 2, 3, 4])),
        ("routing header of type 0 with segments left", 43, with(&[17, 2, 0, 1, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8])),
        ("a fragment", 44, with(&[17, 0, 0, 1, 0, 0, 0, 7])),
        ("a later fragment", 44, with(&[17, 0, 1, 0, 0, 0, 0, 7])),
        ("no next header", 59, vec![]),
        ("no next header, and something behind", 59, data.clone()),
        ("ESP", 50, data.clone()),
        ("an unknown protocol", 253, data.clone()),
        ("ICMPv6 with a wrong checksum", 58, vec![128, 0, 1, 2, 3, 4, 5, 6]),
        ("UDP without a checksum", 17, vec![0x9c, 0x40, 0, 7, 0, 12, 0, 0, 1, 2, 3, 4]),
        ("TCP", 6, data),
    ]
}

/// The hop limit goes down by one, and not one byte else is another.
#[test]
fn a_forwarded_packet_is_changed_only_where_it_must() {
    let net = Wires::dual("");
    let datagram = |header: &Ipv6Header, size: usize| frames6::udp(header, 40_000, 7, &vec![0x33; size]);
    let plain = header(|_| {});
    let mut packets = vec![
        ("plain", plain.clone(), datagram(&plain, 20)),
        ("empty", plain.clone(), vec![]),
        ("as large as the link takes", plain.clone(), datagram(&plain, 1500 - 48)),
    ];
    let largest = header(|h| h.hop_limit = 255);
    let smallest = header(|h| h.hop_limit = 2);
    let class = header(|h| (h.traffic_class, h.flow_label) = (0xb9, 0xabcde.try_into().expect("20 bits")));
    packets.push(("largest hop limit", largest.clone(), datagram(&largest, 1)));
    packets.push(("smallest hop limit", smallest.clone(), datagram(&smallest, 1)));
    packets.push(("traffic class and flow label", class.clone(), datagram(&class, 100)));
    for (name, protocol, body) in extension_headers() {
        packets.push((name, header(|h| h.next_header = IpNumber(protocol)), body));
    }
    for (name, header, body) in packets {
        let seen = net.pass(&[LAN6.frame(&frames6::packet(&header, &body))]);
        let mut wanted = header;
        wanted.hop_limit -= 1;
        let wanted = frames::ethernet(WAN6.router_mac, WAN6.mac, frames6::IP6, &frames6::packet(&wanted, &body));
        assert_eq!(traffic(&seen.wan), [wanted], "{name}");
        assert!(traffic(&seen.lan).is_empty(), "{name}: {:02x?}", seen.lan);
    }
    net.router.settle();
}

#[test]
fn ethernet_padding_is_not_forwarded() {
    let net = Wires::dual("");
    let packet = frames6::packet(&header(|h| h.next_header = IpNumber(253)), b"four");
    let mut padded = LAN6.frame(&packet);
    padded.resize(60, 0xee);
    let seen = traffic(&net.pass(&[padded]).wan);
    assert_eq!(frames6::ip6_of(&seen[0]).expect("IPv6").1, b"four");
    assert!(!seen[0].contains(&0xee), "the padding leaked: {:02x?}", seen[0]);
}

/// What is never forwarded, and dropped without a word (RFC 4443 2.4 e) and with a cause.
#[test]
fn some_packets_stay_here() {
    let net = Wires::dual("");
    let data = b"stay";
    let to = |to: Ip6| LAN6.frame(&frames6::udp_packet(LAN6.ip, to, 7, data));
    let from = |from: Ip6| LAN6.frame(&frames6::udp_packet(from, WAN6.ip, 7, data));
    let good = frames6::udp_packet(LAN6.ip, WAN6.ip, 7, data);
    let link = |mac| frames::ethernet(LAN6.mac, mac, frames6::IP6, &good);
    let spoilt = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] = byte;
        LAN6.frame(&packet)
    };
    for (why, frame) in [
        ("for another station", link([2, 0, 0, 0, 9, 9])),
        ("a unicast packet to all stations", link(frames::BROADCAST)),
        ("a unicast packet to a group of stations", link([0x33, 0x33, 0, 0, 0, 1])),
        ("to no address (RFC 4291 2.5.2)", to(frames6::UNSPECIFIED)),
        ("to loopback (RFC 4291 2.5.3)", to(ip6("::1"))),
        (
            "to a group, which nobody asked for",
            frames::ethernet(
                LAN6.mac,
                [0x33, 0x33, 0, 0, 0x12, 0x34],
                frames6::IP6,
                &frames6::udp_packet(LAN6.ip, ip6("ff0e::1234"), 7, data),
            ),
        ),
        (
            "to a group of the link",
            frames::ethernet(
                LAN6.mac,
                [0x33, 0x33, 0, 0, 0, 1],
                frames6::IP6,
                &frames6::udp_packet(LAN6.ip, frames6::ALL_NODES, 7, data),
            ),
        ),
        ("from no address (RFC 4291 2.5.2)", from(frames6::UNSPECIFIED)),
        ("from loopback (RFC 4291 2.5.3)", from(ip6("::1"))),
        ("from a group (RFC 4291 2.7)", from(ip6("ff02::1"))),
        ("another version", spoilt(0, 0x50)),
        ("longer than its frame", spoilt(5, 0xff)),
        ("cut short in its header", LAN6.frame(&good[..39])),
    ] {
        let before = net.router.drops();
        let seen = net.pass(&[frame]);
        assert!(traffic(&seen.wan).is_empty(), "{why}: {:02x?}", seen.wan);
        assert!(traffic(&seen.lan).is_empty(), "{why}: {:02x?}", seen.lan);
        assert!(!net.router.is_daemon() || net.router.drops() > before, "{why}: not counted");
    }
}

/// RFC 4291 2.5.6, RFC 4007: link-local addresses are good on their link alone.
#[test]
fn link_local_packets_stay_on_their_link() {
    let net = Wires::dual("routes: [{to: '::/0', via: '2001:db8:2::10'}]");
    let local = frames6::link_local(LAN6.mac);
    for (name, from, to) in [
        ("to a link-local address of the other side", LAN6.ip, frames6::link_local(WAN6.mac)),
        ("to the router's on the other side", LAN6.ip, WAN6.router_link_local()),
        ("to a link-local address that nobody has", local, ip6("fe80::1234")),
        ("from a link-local address", local, WAN6.ip),
        ("from a link-local address, by the default route", local, ip6("2001:db8:99::1")),
    ] {
        let seen = net.pass(&[LAN6.frame(&frames6::udp_packet(from, to, 7, b"no farther"))]);
        assert!(traffic(&seen.wan).is_empty(), "{name}: {:02x?}", seen.wan);
    }
    assert_eq!(traffic(&net.pass(&[LAN6.frame(&frames6::udp_packet(LAN6.ip, WAN6.ip, 7, b"good"))]).wan).len(), 1);
}

/// RFC 8200 section 5: a router never cuts a packet in pieces; fragments pass as they are.
#[test]
fn fragments_pass_untouched() {
    let net = Wires::dual("");
    let whole = frames6::udp_packet(LAN6.ip, WAN6.ip, 7, &[0x77; 4000]);
    let pieces = frames6::fragments(&whole, MINIMUM_MTU - 48, 0x1234_5678);
    let frames: Vec<_> = pieces.iter().map(|piece| LAN6.frame(piece)).collect();
    let seen = traffic(&net.pass(&frames).wan);
    assert_eq!(seen.len(), pieces.len());
    for (frame, piece) in seen.iter().zip(&pieces) {
        assert_eq!(frame[14..21], piece[..7]);
        assert_eq!(frame[22..], piece[8..], "nothing but the hop limit changed");
    }
}
