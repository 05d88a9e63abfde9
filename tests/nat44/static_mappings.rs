//! Static mappings of whole addresses: one-to-one, identity, and what is exempt.

use etherparse::IpNumber;
use harness::l4::{self, segment};
use harness::{Nat, frames, remote};

fn with(mappings: &str, more: &str) -> Nat {
    Nat::start(&format!("pool: [203.0.113.2], static-mappings: [{mappings}]{more}"))
}

fn other(protocol: u8, from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    let mut header = frames::header(from, to);
    header.protocol = IpNumber(protocol);
    frames::packet(&header, b"whatever it is")
}

/// One-to-one: every protocol, every port, from either side, ports untouched (RFC 3022 section 2.1).
#[test]
fn one_to_one() {
    let nat = with("{external: 203.0.113.3, internal: 192.168.1.11}", "");
    let stranger = "198.51.100.1:4000";
    for port in [1, 80, 1024, 65535] {
        let (inside, outside) = (format!("192.168.1.11:{port}"), format!("203.0.113.3:{port}"));
        assert_eq!(nat.back(&l4::udp(stranger, &outside, b"?")).destination(), inside);
        assert_eq!(nat.out(&l4::udp(&inside, stranger, b"!")).source(), outside);
        assert_eq!(nat.back(&l4::tcp(stranger, &outside, &segment("S", 1, 0))).destination(), inside);
        assert_eq!(nat.out(&l4::tcp(&inside, "198.51.100.2:80", &segment("S", 1, 0))).source(), outside);
    }
    let ping = nat.back(&l4::echo("198.51.100.1:7", [203, 0, 113, 3], 1, b"hello"));
    assert_eq!((ping.ip.destination, ping.icmp_kind()), ([192, 168, 1, 11], (8, 0)));
    let answer = nat.out(&l4::echo_reply([192, 168, 1, 11], "198.51.100.1:7", 1, b"hello"));
    assert_eq!((answer.ip.source, answer.destination().as_str()), ([203, 0, 113, 3], "198.51.100.1:7"));
    let ping = nat.out(&l4::echo("192.168.1.11:7", remote(2), 1, b"hello"));
    assert_eq!(ping.ip.source, [203, 0, 113, 3]);
    assert_eq!(nat.back(&l4::echo_reply(remote(2), &ping.source(), 1, b"hello")).ip.destination, [192, 168, 1, 11]);
    // Others go on to share the pool.
    assert_eq!(nat.out(&l4::udp("192.168.1.10:80", stranger, b"?")).ip.source, [203, 0, 113, 2]);
}

/// Protocols without ports pass by a one-to-one mapping: GRE, ESP, SCTP, and what nobody has heard of.
#[test]
fn other_protocols_one_to_one() {
    let nat = with("{external: 203.0.113.3, internal: 192.168.1.11}", "");
    for protocol in [4, 41, 47, 50, 51, 132, 253] {
        let out = nat.out(&other(protocol, [192, 168, 1, 11], remote(1)));
        assert_eq!((out.ip.source, out.ip.protocol.0), ([203, 0, 113, 3], protocol));
        assert_eq!(out.data, b"whatever it is");
        let back = nat.back(&other(protocol, remote(2), [203, 0, 113, 3]));
        assert_eq!((back.ip.destination, back.ip.protocol.0), ([192, 168, 1, 11], protocol));
        // Fragments as well, later ones before the first.
        let parts = l4::fragments(&other(protocol, [192, 168, 1, 11], remote(1)), 8, 3);
        let seen = nat.pass(&[parts[1].clone(), parts[0].clone()]).wan_packets();
        assert_eq!(l4::whole(&seen).data, b"whatever it is");
        // Who has no such mapping can't share an address, as there is nothing to tell the answers apart.
        let before = nat.refusals("");
        let seen = nat.pass(&[other(protocol, [192, 168, 1, 10], remote(1))]);
        assert!(seen.wan.is_empty(), "{:?}", seen.flows());
        assert_eq!(nat.refusals(""), before + 1);
    }
}

/// An identity mapping: no translation, and reachable from outside.
#[test]
fn identity() {
    // A public network inside, behind the lan's first station.
    let config =
        Nat::config("pool: [203.0.113.2], static-mappings: [{external: 198.51.100.200, internal: 198.51.100.200}]");
    let nat = Nat::with(&config.replace("routes: [", "routes: [{to: 198.51.100.192/26, via: 192.168.1.10}, "));
    let (inside, stranger) = ("198.51.100.200:80", "198.51.100.1:4000");
    assert_eq!(nat.out(&l4::udp(inside, stranger, b"?")).flow(), format!("udp {inside} > {stranger}"));
    assert_eq!(nat.back(&l4::udp(stranger, inside, b"!")).flow(), format!("udp {stranger} > {inside}"));
    let syn = l4::tcp("198.51.100.2:5", inside, &segment("S", 1, 0));
    assert_eq!(nat.back(&syn).flow(), format!("tcp 198.51.100.2:5 > {inside}"));
    assert_eq!(nat.back(&l4::echo("198.51.100.2:5", [198, 51, 100, 200], 1, b"")).ip.destination, [198, 51, 100, 200]);
    assert_eq!(nat.out(&other(47, [198, 51, 100, 200], remote(1))).ip.source, [198, 51, 100, 200]);
    // Its neighbour has none: it is translated, and not reached.
    assert_eq!(nat.out(&l4::udp("198.51.100.201:80", stranger, b"?")).source(), "203.0.113.2:80");
    nat.dropped_back(&l4::udp(stranger, "198.51.100.201:80", b"?"));
}

/// An identity mapping of one port.
#[test]
fn identity_of_a_port() {
    let config = Nat::config(
        "pool: [203.0.113.2], static-mappings: [{protocol: udp, external: '198.51.100.200:53', internal: '198.51.100.200:53'}]",
    );
    let nat = Nat::with(&config.replace("routes: [", "routes: [{to: 198.51.100.192/26, via: 192.168.1.10}, "));
    let (inside, stranger) = ("198.51.100.200:53", "198.51.100.1:4000");
    assert_eq!(nat.back(&l4::udp(stranger, inside, b"?")).flow(), format!("udp {stranger} > {inside}"));
    assert_eq!(nat.out(&l4::udp(inside, stranger, b"!")).flow(), format!("udp {inside} > {stranger}"));
    nat.dropped_back(&l4::udp(stranger, "198.51.100.200:54", b"?"));
}

/// RFC 6888 REQ-8's exempt destinations: between these networks nothing is translated, and both may begin.
#[test]
fn exempt_networks() {
    let nat = with("", ", exempt: [{source: 192.168.1.0/24, destination: 198.51.100.0/25}]");
    let (inside, office, elsewhere) = ("192.168.1.10:5000", "198.51.100.1:80", "198.51.100.129:80");
    assert_eq!(nat.out(&l4::udp(inside, office, b"?")).flow(), format!("udp {inside} > {office}"));
    assert_eq!(nat.back(&l4::udp(office, inside, b"!")).flow(), format!("udp {office} > {inside}"));
    assert_eq!(nat.back(&l4::tcp("198.51.100.2:9", inside, &segment("S", 1, 0))).destination(), inside);
    assert_eq!(nat.out(&other(47, [192, 168, 1, 10], remote(1))).ip.source, [192, 168, 1, 10]);
    assert_eq!(nat.out(&l4::udp(inside, elsewhere, b"?")).source(), "203.0.113.2:5000");
    nat.dropped_back(&l4::udp(elsewhere, inside, b"?"));
    assert_eq!(nat.sessions().len(), 1, "what is exempt costs no session");
}
