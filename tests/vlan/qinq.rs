//! Routed sub-interfaces with two tags: `lan.200.7` with a provider's and a customer's (IEEE 802.1ad), `lan.300.7` with two customer's.

use harness::frames::{self, Arp, Icmp, Ip, Mac};
use harness::{LAN, Wires};

const STATION: Mac = [2, 0, 0, 0, 1, 0x64];
const MAC: Mac = LAN.router_mac;
/// The EtherTypes of tags: a customer's, a provider's.
const Q: u16 = 0x8100;
const AD: u16 = 0x88a8;

/// The EtherType of the outer tag, its VLAN, the station's address there, the router's.
const PROVIDED: (u16, u16, Ip, Ip) = (AD, 200, [10, 200, 0, 10], [10, 200, 0, 1]);
const DOUBLE: (u16, u16, Ip, Ip) = (Q, 300, [10, 30, 0, 10], [10, 30, 0, 1]);

fn start() -> Wires {
    let subs =
        "sub-interfaces: {200.7: {addresses: [10.200.0.1/24]}, 300.7: {tag-type: 802.1q, addresses: [10.30.0.1/24]}}";
    let neighbors = "  - {interface: lan.200.7, address: 10.200.0.10, mac: '02:00:00:00:01:64'}
  - {interface: lan.300.7, address: 10.30.0.10, mac: '02:00:00:00:01:64'}\n";
    let lan = "addresses: [192.168.1.1/24]";
    Wires::with(&format!("{}{neighbors}", Wires::CONFIG.replace(lan, &format!("{lan}, {subs}"))))
}

fn tagged(kind: u16, outer: u16, inner: u16, frame: &[u8]) -> Vec<u8> {
    let tags = [kind, outer, Q, inner].map(u16::to_be_bytes).concat();
    [&frame[..12], &tags, &frame[12..]].concat()
}

/// The only frame of these, which must have these tags; without them.
#[track_caller]
fn only(frames: &[Vec<u8>], kind: u16, outer: u16) -> Vec<u8> {
    assert_eq!(frames.len(), 1, "{frames:02x?}");
    let frame = &frames[0];
    assert_eq!(frame[12..20], [kind, outer, Q, 7].map(u16::to_be_bytes).concat(), "the tags of {frame:02x?}");
    [&frame[..12], &frame[20..]].concat()
}

#[test]
fn the_router_answers_behind_two_tags() {
    let net = start();
    for (kind, outer, station, router) in [PROVIDED, DOUBLE] {
        let asked = Arp { operation: 1, sender: (STATION, station), target: ([0; 6], router) };
        let seen = net.pass(&[tagged(kind, outer, 7, &asked.frame(frames::BROADCAST))]);
        let answer = Arp { operation: 2, sender: (MAC, router), target: (STATION, station) };
        assert_eq!(Arp::of(&only(&seen.lan, kind, outer)), Some(answer));
        let echo = frames::ethernet(STATION, MAC, frames::IP4, &frames::echo_request(station, router, 1, 1, b"hello"));
        let reply =
            Icmp::of(&only(&net.pass(&[tagged(kind, outer, 7, &echo)]).lan, kind, outer)).expect("an echo reply");
        assert_eq!((reply.kind, reply.ip.source, reply.data), (0, router, b"hello".to_vec()));
    }
}

#[test]
fn packets_pass_between_them_whole() {
    let net = start();
    // As long as the kernel at the other end sends with a tag that is no 802.1Q one.
    let packet = frames::udp_packet(PROVIDED.2, DOUBLE.2, 7, &[1; 1464]);
    let seen = net.pass(&[tagged(AD, 200, 7, &frames::ethernet(STATION, MAC, frames::IP4, &packet))]);
    let inner = only(&seen.lan, Q, 300);
    assert_eq!((inner.len(), frames::link(&inner).0), (1506, STATION), "in one piece");
    assert_eq!(frames::ip4(&inner).expect("IPv4").0.time_to_live, 63);
    let row = net.router.interface("lan.200.7").expect("lan.200.7");
    assert_eq!((&row["driver"], &row["parent"]), (&"sub-interface".into(), &"lan".into()));
    assert_eq!(net.router.counter("lan.200.7", "rx_packets"), 1);
}

#[test]
fn both_tags_and_their_kind_decide() {
    let net = start();
    let echo = frames::echo_request(PROVIDED.2, PROVIDED.3, 1, 1, b"?");
    let frame = frames::ethernet(STATION, MAC, frames::IP4, &echo);
    let before = net.router.errors("ethernet-input", "no sub-interface for the VLAN");
    for (kind, outer, inner) in [(Q, 200, 7), (AD, 201, 7), (AD, 200, 8), (AD, 300, 7), (AD, 200, 0)] {
        let seen = net.pass(&[tagged(kind, outer, inner, &frame)]);
        assert!(seen.lan.is_empty() && seen.wan.is_empty(), "{kind:x} {outer} {inner}: {seen:02x?}");
    }
    assert_eq!(net.router.errors("ethernet-input", "no sub-interface for the VLAN"), before + 5);
    assert_eq!(net.pass(&[tagged(AD, 0xe000 | 200, 0x6007, &frame)]).lan.len(), 1, "priorities don't");
}
