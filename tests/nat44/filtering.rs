//! Filtering: who may answer, and what comes unasked (RFC 4787 REQ-8, RFC 5382 REQ-3 and REQ-4).

use crate::connection::Connection;
use harness::l4::{self, segment};
use harness::{Nat, remote};

const INSIDE: &str = "192.168.1.10:5000";
const OUTSIDE: &str = "203.0.113.2:5000";

/// RFC 4787 REQ-8 for UDP, RFC 5382 REQ-3 for TCP: endpoint-independent and address-dependent as one likes; RFC 7857
/// section 5. The default is address-dependent.
#[test]
fn three_kinds() {
    // Who was spoken to; the same host from another port; another host.
    let (spoken_to, other_port, stranger) = ("198.51.100.1:53", "198.51.100.1:54", "198.51.100.9:53");
    for (filtering, admitted) in [
        (", filtering: endpoint-independent", [true, true, true]),
        (", filtering: address-dependent", [true, true, false]),
        ("", [true, true, false]),
        (", filtering: address-and-port-dependent", [true, false, false]),
    ] {
        let nat = Nat::start(&format!("pool: [203.0.113.2]{filtering}"));
        nat.out(&l4::udp(INSIDE, spoken_to, b"hello"));
        nat.out(&l4::tcp(INSIDE, spoken_to, &segment("S", 1, 0)));
        for (from, admitted) in [spoken_to, other_port, stranger].into_iter().zip(admitted) {
            for packet in [l4::udp(from, OUTSIDE, b"!"), l4::tcp(from, OUTSIDE, &segment("S", 7, 0))] {
                if admitted {
                    assert_eq!(nat.back(&packet).destination(), INSIDE, "{from} with {filtering:?}");
                } else {
                    let before = nat.refusals("");
                    nat.dropped_back(&packet);
                    assert_eq!(nat.refusals(""), before + 1, "{from} with {filtering:?} is counted");
                }
            }
        }
        // A packet to a host opens the way for it.
        nat.out(&l4::udp(INSIDE, stranger, b"hello"));
        assert_eq!(nat.back(&l4::udp(stranger, OUTSIDE, b"!")).destination(), INSIDE, "with {filtering:?}");
    }
}

/// RFC 5508 REQ-1 with RFC 4787 REQ-8: replies to queries are filtered like datagrams.
#[test]
fn replies_of_strangers() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let asked = nat.out(&l4::echo("192.168.1.10:4000", remote(1), 1, b"")).source();
    nat.dropped_back(&l4::echo_reply(remote(9), &asked, 1, b""));
    nat.back(&l4::echo_reply(remote(1), &asked, 1, b""));
}

/// RFC 4787 REQ-8, RFC 5382 REQ-4: what nobody asked for is dropped in silence, and counted.
#[test]
fn unsolicited_packets_are_dropped_and_counted() {
    let mapping = "{protocol: tcp, external: '203.0.113.3:80', internal: '192.168.1.11:80'}";
    let nat = Nat::start(&format!("pool: [203.0.113.2], static-mappings: [{mapping}]"));
    nat.out(&l4::udp(INSIDE, "198.51.100.1:53", b"hello"));
    let packets = [
        l4::udp("198.51.100.1:53", "203.0.113.2:5001", b"!"),
        l4::udp("198.51.100.1:53", "203.0.113.3:5000", b"!"),
        l4::tcp("198.51.100.1:53", OUTSIDE, &segment("S", 1, 0)),
        l4::tcp("198.51.100.1:53", OUTSIDE, &segment("SA", 1, 1)),
        l4::tcp("198.51.100.1:53", OUTSIDE, &segment("A", 1, 1)),
        l4::tcp("198.51.100.1:53", OUTSIDE, &segment("R", 1, 1)),
        l4::echo_reply(remote(1), "203.0.113.2:4444", 1, b""),
        protocol_47([203, 0, 113, 2]),
    ];
    for (number, packet) in packets.iter().enumerate() {
        let before = nat.refusals("");
        nat.dropped_back(packet);
        assert_eq!(nat.refusals(""), before + 1, "packet {number} is counted");
    }
    assert_eq!(nat.sessions().len(), 1, "and none of them made a session");
}

/// Whoever sends straight to an inside address from outside is no friend, session or not.
#[test]
fn nothing_goes_straight_to_the_inside() {
    let nat = Nat::start("pool: [203.0.113.2]");
    nat.out(&l4::udp(INSIDE, "198.51.100.1:53", b"hello"));
    let mut connection = Connection::open(&nat, "192.168.1.10:6000", "198.51.100.1:80");
    for (number, packet) in [
        l4::udp("198.51.100.1:53", INSIDE, b"!"),
        l4::tcp("198.51.100.1:80", "192.168.1.10:6000", &segment("A", 9001, 1001)),
        l4::tcp("198.51.100.9:80", "192.168.1.11:22", &segment("S", 1, 0)),
        harness::frames::echo_request(remote(1), [192, 168, 1, 10], 1, 1, b""),
        l4::fragments(&l4::udp("198.51.100.1:53", INSIDE, &[0; 100]), 64, 7).remove(1),
        protocol_47([192, 168, 1, 10]),
    ]
    .iter()
    .enumerate()
    {
        let before = nat.refusals("");
        nat.dropped_back(packet);
        assert_eq!(nat.refusals(""), before + 1, "packet {number} is counted");
    }
    connection.receive("A", b"still here");
}

/// A GRE packet from a remote to this address.
fn protocol_47(to: [u8; 4]) -> Vec<u8> {
    let mut header = harness::frames::header(remote(1), to);
    header.protocol = etherparse::IpNumber(47);
    harness::frames::packet(&header, &[0, 0, 8, 0, 1, 2, 3, 4])
}
