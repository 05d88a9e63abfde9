//! Hairpinning: inside hosts that meet by an external address (RFC 4787 REQ-9, RFC 5382 REQ-8, RFC 5508 REQ-7).

use harness::Nat;
use harness::l4::{self, Segment, segment};

const A: &str = "192.168.1.10:5000";
const B: &str = "192.168.1.11:6000";
const A_OUTSIDE: &str = "203.0.113.2:5000";
const B_OUTSIDE: &str = "203.0.113.2:6000";

/// RFC 4787 REQ-9 and 9a: between two mappings, and each sees the other's external endpoint.
#[test]
fn between_two_mappings() {
    // REQ-9 asks for it whatever the filtering, where the filter admits the other's external address.
    let nat = Nat::start("pool: [203.0.113.2], filtering: endpoint-independent");
    nat.out(&l4::udp(A, "198.51.100.1:3478", b"what is my address?"));
    nat.out(&l4::udp(B, "198.51.100.1:3478", b"what is my address?"));
    assert_eq!(nat.turn(&l4::udp(A, B_OUTSIDE, b"hello")).flow(), format!("udp {A_OUTSIDE} > {B}"));
    assert_eq!(nat.turn(&l4::udp(B, A_OUTSIDE, b"hello")).flow(), format!("udp {B_OUTSIDE} > {A}"));
    // To oneself, too.
    assert_eq!(nat.turn(&l4::udp(A, A_OUTSIDE, b"hello")).flow(), format!("udp {A_OUTSIDE} > {A}"));
}

/// RFC 5389's peers punch holes: with address-dependent filtering the first packet of one side is dropped, the other
/// side's passes.
#[test]
fn filtered_like_a_remote() {
    let nat = Nat::start("pool: [203.0.113.2, 203.0.113.3], filtering: address-dependent");
    let a = nat.out(&l4::udp(A, "198.51.100.1:3478", b"?")).source();
    let b = nat.out(&l4::udp(B, "198.51.100.1:3478", b"?")).source();
    nat.dropped(&l4::udp(A, &b, b"punch"));
    assert_eq!(nat.turn(&l4::udp(B, &a, b"punch")).flow(), format!("udp {b} > {A}"));
    assert_eq!(nat.turn(&l4::udp(A, &b, b"through")).flow(), format!("udp {a} > {B}"));
}

/// RFC 5382 REQ-8: TCP to an inside server by its forwarded port, handshake and data, sums right.
#[test]
fn tcp_to_a_forwarded_port() {
    let forward = "{protocol: tcp, external: '203.0.113.2:8080', internal: '192.168.1.11:80'}";
    let nat = Nat::start(&format!("pool: [203.0.113.2], static-mappings: [{forward}]"));
    let (client, server, service) = ("192.168.1.10:5000", "192.168.1.11:80", "203.0.113.2:8080");
    let there = |flags, seq, ack, data| {
        let segment = Segment { flags, seq, ack, data, options: &[] };
        assert_eq!(nat.turn(&l4::tcp(client, service, &segment)).flow(), format!("tcp {A_OUTSIDE} > {server}"));
    };
    let here = |flags, seq, ack, data| {
        let segment = Segment { flags, seq, ack, data, options: &[] };
        assert_eq!(nat.turn(&l4::tcp(server, A_OUTSIDE, &segment)).flow(), format!("tcp {service} > {client}"));
    };
    there("S", 1, 0, b"".as_slice());
    here("SA", 100, 2, b"".as_slice());
    there("A", 2, 101, b"");
    there("PA", 2, 101, b"request");
    here("PA", 101, 9, b"response");
    there("FA", 9, 109, b"");
    here("FA", 109, 10, b"");
    there("A", 10, 110, b"");
}

/// A one-to-one host is reached by its external address, and reaches itself by it.
#[test]
fn to_a_one_to_one_mapping() {
    let mapping = "{external: 203.0.113.3, internal: 192.168.1.11}";
    let nat = Nat::start(&format!("pool: [203.0.113.2], static-mappings: [{mapping}]"));
    assert_eq!(nat.turn(&l4::udp(A, "203.0.113.3:53", b"?")).flow(), format!("udp {A_OUTSIDE} > 192.168.1.11:53"));
    let answer = l4::udp("192.168.1.11:53", A_OUTSIDE, b"!");
    assert_eq!(nat.turn(&answer).flow(), format!("udp 203.0.113.3:53 > {A}"));
    let ping = l4::echo("192.168.1.10:77", [203, 0, 113, 3], 1, b"");
    assert_eq!(nat.turn(&ping).ip.destination, [192, 168, 1, 11]);
}

/// RFC 5508 REQ-7: an error about a hairpinned packet finds its way back, with the quoted packet as its sender knows it.
#[test]
fn errors_about_hairpinned_packets() {
    let forward = "{protocol: udp, external: '203.0.113.2:53', internal: '192.168.1.11:53'}";
    let nat = Nat::start(&format!("pool: [203.0.113.2], static-mappings: [{forward}]"));
    // The server has no such service and says so, quoting what it got.
    let got = nat.pass(&[l4::udp(A, "203.0.113.2:53", b"?")]).lan.remove(0).split_off(14);
    let error = nat.turn(&l4::error([192, 168, 1, 11], [203, 0, 113, 2], (3, 3), [0; 4], &got));
    assert_eq!((error.icmp_kind(), error.ip.destination), ((3, 3), [192, 168, 1, 10]));
    assert_eq!(error.ip.source, [203, 0, 113, 2], "it comes from whom it was sent to");
    assert_eq!(error.quoted().flow(), format!("udp {A} > 203.0.113.2:53"));
}

/// Fragments turn round, too (RFC 4787 REQ-14 with REQ-9).
#[test]
fn fragments_turn_round() {
    let forward = "{protocol: udp, external: '203.0.113.2:53', internal: '192.168.1.11:53'}";
    let nat = Nat::start(&format!("pool: [203.0.113.2], static-mappings: [{forward}]"));
    let parts = l4::fragments(&l4::udp(A, "203.0.113.2:53", &[7; 1000]), 504, 9);
    let seen = nat.pass(&[parts[1].clone(), parts[0].clone()]).lan_packets();
    let whole = l4::whole(&seen);
    assert_eq!((whole.flow(), whole.data), (format!("udp {A_OUTSIDE} > 192.168.1.11:53"), vec![7; 1000]));
}

/// A port that nobody has, by an external address, from inside: it goes nowhere but to the router.
#[test]
fn to_nobody() {
    let nat = Nat::start("pool: [203.0.113.2]");
    for packet in [l4::tcp(A, "203.0.113.2:81", &segment("S", 1, 0)), l4::udp(A, "203.0.113.2:81", b"?")] {
        let seen = nat.pass(&[packet]);
        assert!(seen.wan.is_empty(), "{:?}", seen.flows());
        // A refusal is all that the sender may hear.
        let refusal = |seen: &l4::Packet| {
            let reset = seen.tcp.as_ref().is_some_and(|tcp| tcp.rst);
            seen.ip.destination == [192, 168, 1, 10] && (reset || seen.icmp.is_some_and(|icmp| icmp.0 == 3))
        };
        assert!(seen.lan_packets().iter().all(refusal), "{:?}", seen.flows());
    }
    assert!(nat.sessions().is_empty());
}
