//! NAT per VRF: the same inside address in two VRFs is two hosts (RFC 4787 REQ-7's case of conflicting addresses, too: a
//! VRF may use inside what is in use outside).

use harness::l4::{self, Packet, segment};
use harness::{LAN, Nat, Seen, Wires, frames};

/// The lan's VLAN 20 is VRF blue, with the same addresses as the lan itself.
fn config(nat44: &str) -> String {
    let blue = "sub-interfaces: {20: {vrf: blue, addresses: [192.168.1.1/24, 198.51.100.254/24]}}";
    let interfaces =
        Wires::CONFIG.replace("addresses: [192.168.1.1/24]}", &format!("addresses: [192.168.1.1/24], {blue}}}"));
    let neighbors = "  - {interface: lan.20, address: 192.168.1.10, mac: '02:00:00:00:01:0a'}
  - {interface: lan.20, address: 198.51.100.5, mac: '02:00:00:00:01:0a'}\n";
    let way_out = "{gateway: 203.0.113.10, interface: wan}";
    let routes =
        format!("routes: [{{to: 0.0.0.0/0, via: 203.0.113.10}}, {{to: 0.0.0.0/0, vrf: blue, via: [{way_out}]}}]\n");
    format!(
        "{interfaces}{neighbors}vrfs: {{blue: {{}}}}\n{routes}nat44: {{inside: [lan, lan.20], outside: [wan], {nat44}}}\n"
    )
}

/// Sends a packet into VLAN 20 of the lan; returns what comes out of it in the wan.
#[track_caller]
fn out_of_blue(nat: &Nat, packet: &[u8]) -> Packet {
    nat.net.lan.send(&frames::tagged(20, &LAN.frame(packet)));
    let mut seen = nat.rest().wan_packets();
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen.remove(0)
}

/// The packets in the lan that are tagged with VLAN 20, and those that are not.
fn by_vlan(seen: &Seen) -> (Vec<Packet>, Vec<Packet>) {
    let blue = seen.lan.iter().filter_map(|frame| frames::untagged(frame).filter(|(vlan, _)| *vlan == 20));
    let plain = seen.lan.iter().filter(|frame| frames::untagged(frame).is_none());
    (blue.filter_map(|(_, frame)| Packet::of(&frame)).collect(), plain.filter_map(|frame| Packet::of(frame)).collect())
}

#[test]
fn the_same_address_in_two_vrfs() {
    let nat = Nat::with(&config("pool: [203.0.113.2]"));
    let (inside, remote) = ("192.168.1.10:5000", "203.0.113.10:53");
    let plain = nat.out(&l4::udp(inside, remote, b"plain")).source();
    let blue = out_of_blue(&nat, &l4::udp(inside, remote, b"blue")).source();
    assert_ne!(plain, blue, "two hosts, two ports");
    let (tagged, untagged) = by_vlan(&nat.pass_back(&[l4::udp(remote, &plain, b"plain")]));
    assert_eq!((tagged.len(), untagged.len()), (0, 1));
    let (tagged, untagged) = by_vlan(&nat.pass_back(&[l4::udp(remote, &blue, b"blue")]));
    assert_eq!((tagged.len(), untagged.len()), (1, 0));
    assert_eq!((tagged[0].destination().as_str(), tagged[0].data.as_slice()), (inside, b"blue".as_slice()));
    // An error about what blue sent goes to blue.
    let quoted = l4::udp(&blue, remote, b"blue");
    let (tagged, untagged) =
        by_vlan(&nat.pass_back(&[l4::error([198, 51, 100, 9], [203, 0, 113, 2], (3, 1), [0; 4], &quoted)]));
    assert_eq!((tagged.len(), untagged.len()), (1, 0));
    assert_eq!(tagged[0].quoted().source(), inside);
    let rows = nat.router().list("show nat44 sessions vrf blue");
    assert_eq!((rows.len(), &rows[0]["vrf"]), (1, &"blue".into()));
    assert_eq!(nat.sessions().len(), 2);
}

/// A host of blue has an address that belongs to someone else outside: both are told apart.
#[test]
fn addresses_of_the_outside_in_a_vrf() {
    let nat = Nat::with(&config("pool: [203.0.113.2]"));
    let inside = "198.51.100.5:5000";
    let seen = out_of_blue(&nat, &l4::udp(inside, "203.0.113.10:53", b"?"));
    assert_eq!(seen.source(), "203.0.113.2:5000");
    let (tagged, _) = by_vlan(&nat.pass_back(&[l4::udp("203.0.113.10:53", "203.0.113.2:5000", b"!")]));
    assert_eq!(tagged[0].destination(), inside);
    // The plain lan's host talks to the one outside.
    assert_eq!(nat.out(&l4::udp("192.168.1.10:6000", inside, b"?")).flow(), format!("udp 203.0.113.2:6000 > {inside}"));
}

#[test]
fn a_server_in_a_vrf() {
    let blue = "{protocol: tcp, external: '203.0.113.2:80', internal: '192.168.1.10:80', vrf: blue}";
    let plain = "{protocol: tcp, external: '203.0.113.2:81', internal: '192.168.1.10:80'}";
    let nat = Nat::with(&config(&format!("pool: [203.0.113.2], static-mappings: [{blue}, {plain}]")));
    let client = "198.51.100.1:4000";
    let (tagged, untagged) = by_vlan(&nat.pass_back(&[l4::tcp(client, "203.0.113.2:80", &segment("S", 1, 0))]));
    assert_eq!((tagged.len(), untagged.len()), (1, 0));
    assert_eq!(tagged[0].destination(), "192.168.1.10:80");
    let (tagged, untagged) = by_vlan(&nat.pass_back(&[l4::tcp(client, "203.0.113.2:81", &segment("S", 1, 0))]));
    assert_eq!((tagged.len(), untagged.len()), (0, 1));
    let answer = l4::tcp("192.168.1.10:80", "203.0.113.10:9", &segment("SA", 1, 2));
    assert_eq!(out_of_blue(&nat, &answer).source(), "203.0.113.2:80", "the blue server's own port");
    assert_eq!(nat.out(&answer).source(), "203.0.113.2:81", "the plain server's");
}
