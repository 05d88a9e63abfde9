//! Routed sub-interfaces with one tag: frames with one 802.1Q tag come in on `lan.100` and leave with the tag of where they go.

use harness::frames::{self, Arp, Icmp, Ip, Mac};
use harness::{LAN, WAN, Wires};

const MAC: Mac = LAN.router_mac;
const STATION: Mac = [2, 0, 0, 0, 1, 0x64];
/// VLAN, the station's address there, the router's.
const BLUE: (u16, Ip, Ip) = (100, [10, 100, 0, 10], [10, 100, 0, 1]);
const RED: (u16, Ip, Ip) = (200, [10, 200, 0, 10], [10, 200, 0, 1]);

fn start() -> Wires {
    let subs = "sub-interfaces: {100: {addresses: [10.100.0.1/24]}, 200: {addresses: [10.200.0.1/24]}}";
    let neighbors = "  - {interface: lan.100, address: 10.100.0.10, mac: '02:00:00:00:01:64'}
  - {interface: lan.200, address: 10.200.0.10, mac: '02:00:00:00:01:64'}\n";
    let lan = "addresses: [192.168.1.1/24]";
    Wires::with(&format!("{}{neighbors}", Wires::CONFIG.replace(lan, &format!("{lan}, {subs}"))))
}

fn frame(vlan: u16, packet: &[u8]) -> Vec<u8> {
    frames::tagged(vlan, &frames::ethernet(STATION, MAC, frames::IP4, packet))
}

/// The only frame of these, which must have this tag; without it.
#[track_caller]
fn only(frames: &[Vec<u8>], vlan: u16) -> Vec<u8> {
    assert_eq!(frames.len(), 1, "{frames:02x?}");
    let (tag, inner) = frames::untagged(&frames[0]).unwrap_or_default();
    assert_eq!(tag, vlan, "the VLAN of {:02x?}", frames[0]);
    inner
}

#[test]
fn the_router_answers_in_the_vlan() {
    let net = start();
    for (vlan, station, router) in [BLUE, RED] {
        let asked = Arp { operation: 1, sender: (STATION, station), target: ([0; 6], router) };
        let seen = net.pass(&[frames::tagged(vlan, &asked.frame(frames::BROADCAST))]);
        let answer = Arp { operation: 2, sender: (MAC, router), target: (STATION, station) };
        assert_eq!(Arp::of(&only(&seen.lan, vlan)), Some(answer));
        let seen = net.pass(&[frame(vlan, &frames::echo_request(station, router, 1, 1, b"hello"))]);
        let reply = Icmp::of(&only(&seen.lan, vlan)).expect("an echo reply");
        assert_eq!((reply.kind, reply.ip.source, reply.data), (0, router, b"hello".to_vec()));
    }
}

#[test]
fn packets_pass_between_vlans_and_untagged_networks() {
    let net = start();
    let packet = |from: Ip, to: Ip| frames::udp_packet(from, to, 7, b"across");
    let seen = net.pass(&[frame(BLUE.0, &packet(BLUE.1, RED.1))]);
    let inner = only(&seen.lan, RED.0);
    assert_eq!(frames::link(&inner).0, STATION);
    assert_eq!(frames::ip4(&inner).expect("IPv4").0.time_to_live, 63);
    let seen = net.pass(&[frame(BLUE.0, &packet(BLUE.1, WAN.ip))]);
    assert_eq!((seen.wan.len(), frames::untagged(&seen.wan[0])), (1, None));
    let seen = net.pass(&[LAN.frame(&packet(LAN.ip, RED.1))]);
    only(&seen.lan, RED.0);
    // The largest packet fits: a tag is not part of it (IEEE 802.3 clause 3.2.7).
    let seen = net.pass(&[frame(BLUE.0, &frames::udp_packet(BLUE.1, RED.1, 7, &[1; 1472]))]);
    assert_eq!(only(&seen.lan, RED.0).len(), 1514);
}

#[test]
fn the_tag_decides_and_not_the_address() {
    let net = start();
    let echo = frames::echo_request(BLUE.1, BLUE.2, 1, 1, b"?");
    // A priority tag (VLAN 0) is as good as none (IEEE 802.1Q 6.9).
    let lan = frames::ethernet(LAN.mac, MAC, frames::IP4, &frames::echo_request(LAN.ip, LAN.router_ip, 1, 1, b"?"));
    assert_eq!(net.pass(&[frames::tagged(0, &lan)]).lan.len(), 1, "a priority tag");
    let before = net.router.errors("ethernet-input", "");
    for vlan in [99, 101, 300, 4095] {
        let seen = net.pass(&[frame(vlan, &echo)]);
        assert!(seen.lan.is_empty() && seen.wan.is_empty(), "VLAN {vlan} has no sub-interface: {seen:02x?}");
    }
    let seen = net.pass(&[frames::tagged(100, &frames::tagged(200, &lan))]);
    assert!(seen.lan.is_empty() && seen.wan.is_empty(), "two tags: {seen:02x?}");
    assert_eq!(net.router.errors("ethernet-input", ""), before + 5, "{}", net.router.run("show errors"));
}

#[test]
fn sub_interfaces_count_and_go_down_with_their_parent() {
    let net = start();
    let row = net.router.interface("lan.100").expect("lan.100");
    assert_eq!((&row["driver"], &row["parent"], &row["vlan"]), (&"sub-interface".into(), &"lan".into(), &100.into()));
    let echo = || frame(BLUE.0, &frames::echo_request(BLUE.1, BLUE.2, 1, 1, b"?"));
    let counts = || ["rx_packets", "tx_packets"].map(|key| net.router.counter("lan.100", key));
    // It has announced its address.
    let before = counts();
    net.pass(&[echo(), echo(), echo()]);
    assert_eq!(counts(), before.map(|count| count + 3), "received and sent");
    net.router.run("interface set lan.100 down");
    assert!(net.pass(&[echo()]).lan.is_empty(), "down");
    net.router.run("interface set lan.100 up");
    net.lan.expect("announcement", |frame| Arp::of(&frames::untagged(frame)?.1).filter(|arp| arp.sender.1 == BLUE.2));
    assert_eq!(net.pass(&[echo()]).lan.len(), 1, "up again");
}
