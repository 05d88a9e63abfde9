//! Pools: the interface's own address, which may change, and addresses of the outside network, which need ARP.

use harness::frames::{self, Arp, BROADCAST};
use harness::l4::{self, segment};
use harness::{LAN, Nat, WAN, Wires, eventually};

const INSIDE: &str = "192.168.1.10:5000";
const REMOTE: &str = "198.51.100.1:53";

/// RFC 826, RFC 1027: the router answers for its pool and for mapped addresses, with its own hardware address, and for
/// nobody else's.
#[test]
fn arp_for_external_addresses() {
    let mapping = "{external: 203.0.113.40, internal: 192.168.1.11}";
    let nat = Nat::start(&format!("pool: [203.0.113.2, 203.0.113.16/30], static-mappings: [{mapping}]"));
    let ask = |last: u8| {
        let target = [203, 0, 113, last];
        let request = Arp { operation: 1, sender: (WAN.mac, WAN.ip), target: ([0; 6], target) };
        nat.net.wan.send(&request.frame(BROADCAST));
        let answers: Vec<Arp> = nat.rest().wan.iter().filter_map(|frame| Arp::of(frame)).collect();
        answers.into_iter().find(|arp| arp.operation == 2 && arp.sender.1 == target).map(|arp| arp.sender.0)
    };
    for last in [1, 2, 16, 17, 18, 19, 40] {
        assert_eq!(ask(last), Some(WAN.router_mac), "203.0.113.{last}");
    }
    for last in [3, 15, 20, 41, 77] {
        assert_eq!(ask(last), None, "203.0.113.{last}");
    }
    // What the configuration takes away is no longer answered for.
    nat.apply("pool: [203.0.113.2]");
    assert_eq!((ask(2), ask(16), ask(40)), (Some(WAN.router_mac), None, None));
}

/// RFC 5227 section 2.3: neighbours who remember another station for an address hear that it is the router's now.
#[test]
fn new_external_addresses_are_announced() {
    let nat = Nat::start("pool: [203.0.113.2]");
    nat.rest();
    nat.apply("pool: [203.0.113.2, 203.0.113.16/30, 192.0.2.9]");
    let seen: Vec<Arp> = nat.rest().wan.iter().filter_map(|frame| Arp::of(frame)).collect();
    let announced = seen.iter().filter(|arp| arp.sender.1 == arp.target.1 && arp.sender.0 == WAN.router_mac);
    let announced: Vec<u8> = announced.map(|arp| arp.sender.1[3]).collect();
    assert_eq!(announced, [16, 17, 18, 19], "each once, and none of another network");
}

/// `pool: interface`: behind the router's own address, whose ports are not the router's to give away twice.
#[test]
fn behind_the_interfaces_address() {
    let nat = Nat::start("pool: interface");
    let seen = nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
    assert_eq!(seen.source(), "203.0.113.1:5000");
    assert_eq!(nat.back(&l4::udp(REMOTE, "203.0.113.1:5000", b"!")).destination(), INSIDE);
    let syn = nat.out(&l4::tcp(INSIDE, REMOTE, &segment("S", 1, 0)));
    assert_eq!(syn.source(), "203.0.113.1:5000");
    nat.dropped_back(&l4::udp("198.51.100.9:53", "203.0.113.1:5000", b"?"));
}

/// RFC 4787 REQ-7 asks for care with addresses that come and go: `pool: interface` follows the interface's address, and what
/// stood behind the old one is gone with it.
#[test]
fn the_interfaces_address_changes() {
    let nat = Nat::start("pool: interface");
    nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
    assert_eq!(nat.sessions().len(), 1);
    nat.router().run("address add 203.0.113.7/24 interface wan");
    nat.router().run("address remove 203.0.113.1/24 interface wan");
    // The router can no longer be pinged at the old address, so look from inside alone.
    let goes_by_the_new_one = || {
        nat.net.lan.send(&LAN.frame(&l4::udp(INSIDE, REMOTE, b"?")));
        let frame = nat.net.wan.recv(std::time::Duration::from_millis(200))?;
        l4::Packet::of(&frame).filter(|seen| seen.source() == "203.0.113.7:5000").map(drop)
    };
    eventually("packets leave by the new address", goes_by_the_new_one);
    eventually("the old session is gone", || {
        let rows = nat.sessions();
        (rows.len() == 1 && rows[0]["outside_address"] == "203.0.113.7").then_some(())
    });
    // Both at once: the first address is the primary one.
    nat.router().run("address add 203.0.113.1/24 interface wan");
    nat.rest();
    assert_eq!(nat.back(&l4::udp(REMOTE, "203.0.113.7:5000", b"!")).destination(), INSIDE);
}

/// A mapping of the interface's own address follows it, too, whatever that is at the time.
#[test]
fn a_mapping_follows_the_interfaces_address() {
    let mapping = "{protocol: udp, external: 'wan:53', internal: '192.168.1.11:53'}";
    let nat = Nat::start(&format!("static-mappings: [{mapping}]"));
    assert_eq!(nat.back(&l4::udp(REMOTE, "203.0.113.1:53", b"?")).destination(), "192.168.1.11:53");
    nat.router().run("address add 203.0.113.7/24 interface wan");
    nat.router().run("address remove 203.0.113.1/24 interface wan");
    nat.router().run("address add 203.0.113.1/24 interface wan");
    nat.rest();
    let external = nat.router().list("show nat44 mappings")[0]["outside_address"].clone();
    for address in ["203.0.113.1", "203.0.113.7"] {
        let question = l4::udp(REMOTE, &format!("{address}:53"), b"?");
        match external == address {
            true => assert_eq!(nat.back(&question).destination(), "192.168.1.11:53"),
            false => assert!(nat.pass_back(&[question]).lan.is_empty()),
        }
    }
}

/// An outside interface without an address, or an empty pool: nothing can be translated, and nothing leaks.
#[test]
fn without_a_pool_nothing_leaks() {
    let nat = Nat::start("pool: []");
    for packet in [l4::udp(INSIDE, REMOTE, b"?"), l4::tcp(INSIDE, REMOTE, &segment("S", 1, 0))] {
        let seen = nat.pass(&[packet]);
        assert!(seen.wan.is_empty(), "{:?}", seen.flows());
        let told: Vec<_> = seen.lan_packets().iter().map(l4::Packet::icmp_kind).collect();
        assert_eq!(told, [(3, 13)], "the host hears of it (RFC 5508 REQ-8)");
    }
}

/// A router with one arm: the same interface is inside and outside, and the way out is a station of the lan.
#[test]
fn one_interface_is_both_sides() {
    let config = Nat::config("pool: [192.168.1.200]").replace("outside: [wan]", "outside: [lan]");
    let nat = Nat::with(&config.replace("0.0.0.0/0, via: 203.0.113.10", "0.0.0.0/0, via: 192.168.1.13"));
    assert_eq!(nat.turn(&l4::udp(INSIDE, REMOTE, b"?")).flow(), format!("udp 192.168.1.200:5000 > {REMOTE}"));
    let answer = nat.turn(&l4::udp(REMOTE, "192.168.1.200:5000", b"!"));
    assert_eq!(answer.flow(), format!("udp {REMOTE} > {INSIDE}"));
    nat.dropped(&l4::udp("198.51.100.9:53", "192.168.1.200:5000", b"?"));
}

/// Both sides on VLANs; what is on the ports themselves is not translated.
#[test]
fn vlans_are_the_sides() {
    let config = Wires::CONFIG
        .replace("[192.168.1.1/24]}", "[192.168.1.1/24], sub-interfaces: {20: {addresses: [10.20.0.1/24]}}}")
        .replace("[203.0.113.1/24]}", "[203.0.113.1/24], sub-interfaces: {100: {addresses: [192.0.2.1/24]}}}");
    let nat = Nat::with(&format!(
        "{config}  - {{interface: lan.20, address: 10.20.0.10, mac: '02:00:00:00:01:0a'}}
  - {{interface: wan.100, address: 192.0.2.10, mac: '02:00:00:00:02:0a'}}
routes: [{{to: 0.0.0.0/0, via: 192.0.2.10}}]
nat44: {{inside: [lan.20], outside: [wan.100]}}
"
    ));
    let untagged = |frames: Vec<Vec<u8>>| -> Vec<(u16, String)> {
        let inner = frames.iter().filter_map(|frame| frames::untagged(frame));
        inner.filter_map(|(vlan, frame)| Some((vlan, l4::Packet::of(&frame)?.flow()))).collect()
    };
    nat.net.lan.send(&frames::tagged(20, &LAN.frame(&l4::udp("10.20.0.10:5000", REMOTE, b"?"))));
    assert_eq!(untagged(nat.rest().wan), [(100, format!("udp 192.0.2.1:5000 > {REMOTE}"))]);
    nat.net.wan.send(&frames::tagged(100, &WAN.frame(&l4::udp(REMOTE, "192.0.2.1:5000", b"!"))));
    assert_eq!(untagged(nat.rest().lan), [(20, format!("udp {REMOTE} > 10.20.0.10:5000"))]);
    assert_eq!(nat.out(&l4::udp(INSIDE, "203.0.113.10:53", b"?")).source(), INSIDE);
}
