//! TCP's states: RFC 5382 REQ-2, RFC 7857 section 2, RFC 5961.

use crate::connection::Connection;
use harness::Nat;
use harness::l4::{self, segment};

const INSIDE: &str = "192.168.1.10:5000";
const REMOTE: &str = "198.51.100.1:80";
/// The timeouts that RFC 5382 REQ-5 asks for, which are the defaults: established and transitory connections, in seconds.
const ESTABLISHED: u64 = 7440;
const TRANSITORY: u64 = 240;

/// RFC 5382 REQ-2a: the three-way handshake; then data and an orderly end. RFC 5382 REQ-5: with the timeout of each state.
#[test]
fn a_connection_from_its_first_to_its_last_segment() {
    let nat = Nat::start("pool: [203.0.113.2]");
    nat.out(&l4::tcp("192.168.1.11:5000", REMOTE, &segment("S", 1, 0)));
    let opening = nat.session_lines();
    assert_eq!(opening.len(), 1);
    assert!(opening[0].ends_with("198.51.100.1:80 syn-sent"), "{opening:?}");
    let mut connection = Connection::open(&nat, INSIDE, REMOTE);
    assert_eq!(connection.state().as_deref(), Some("established"));
    for _ in 0..3 {
        connection.send("PA", b"request");
        connection.receive("PA", b"response");
    }
    assert!((ESTABLISHED - 10..=ESTABLISHED).contains(&connection.expires_in()), "{}", connection.expires_in());
    connection.send("FA", b"");
    // RFC 9293 3.6: half closed, data still comes from the other side.
    connection.receive("PA", b"more");
    connection.receive("FA", b"");
    connection.send("A", b"");
    assert_eq!(connection.state().as_deref(), Some("time-wait"));
    assert!(connection.expires_in() <= TRANSITORY, "{}", connection.expires_in());
    // The last acknowledgement was lost: the FIN comes again, and passes.
    connection.next[1] -= 1;
    connection.receive("FA", b"");
    connection.send("A", b"");
}

/// RFC 5382 REQ-2b: both ends open at once.
#[test]
fn simultaneous_open() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let outside = nat.out(&l4::tcp(INSIDE, REMOTE, &segment("S", 1000, 0))).source();
    nat.back(&l4::tcp(REMOTE, &outside, &segment("S", 9000, 0)));
    nat.out(&l4::tcp(INSIDE, REMOTE, &segment("SA", 1000, 9001)));
    nat.back(&l4::tcp(REMOTE, &outside, &segment("SA", 9000, 1001)));
    nat.out(&l4::tcp(INSIDE, REMOTE, &segment("A", 1001, 9001)));
    let lines = nat.session_lines();
    assert!(lines.len() == 1 && lines[0].ends_with("established"), "{lines:?}");
}

/// RFC 5382 REQ-2: connections that begin outside, by a forwarded port.
#[test]
fn a_connection_from_outside() {
    let forward = "{protocol: tcp, external: '203.0.113.2:8080', internal: '192.168.1.10:80'}";
    let nat = Nat::start(&format!("pool: [203.0.113.2], static-mappings: [{forward}]"));
    let (client, service, server) = ("198.51.100.1:4000", "203.0.113.2:8080", "192.168.1.10:80");
    nat.back(&l4::tcp(client, service, &segment("S", 1, 0)));
    assert_eq!(nat.out(&l4::tcp(server, client, &segment("SA", 100, 2))).source(), service);
    nat.back(&l4::tcp(client, service, &segment("A", 2, 101)));
    let lines = nat.session_lines();
    assert_eq!(lines, [format!("tcp {server} {service} {client} established")]);
}

/// RFC 7857 section 2.2, RFC 5961 section 3.2: a reset that doesn't fit the receiver's window changes nothing; one that
/// does makes the session transitory.
#[test]
fn resets_in_and_out_of_the_window() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let mut connection = Connection::open(&nat, INSIDE, REMOTE);
    connection.send("PA", b"request");
    connection.receive("PA", b"response");
    for ahead in [0x1000_0000, 0x7000_0000, 0xf000_0000] {
        // It may pass, for the host to judge, or be dropped; the session stays.
        nat.pass_back(&[connection.stray("R", ahead), connection.stray("RA", ahead)]);
        assert_eq!(connection.state().as_deref(), Some("established"), "a reset {ahead:#x} ahead");
    }
    nat.back(&connection.stray("R", 0));
    assert_ne!(connection.state().as_deref(), Some("established"));
    assert!(connection.expires_in() <= TRANSITORY);
    // RFC 7857 section 2.2: the reset may have been forged or lost; data makes the session what it was.
    connection.send("PA", b"still alive");
    connection.receive("A", b"");
    assert_eq!(connection.state().as_deref(), Some("established"));
}

/// A reset by the inside host itself, too, makes the session transitory.
#[test]
fn a_reset_from_inside() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let mut connection = Connection::open(&nat, INSIDE, REMOTE);
    connection.send("RA", b"");
    assert!(connection.expires_in() <= TRANSITORY);
    assert_ne!(connection.state().as_deref(), Some("established"));
}

/// RFC 7857 section 2, RFC 9293 3.6.1: the same ports are used again after the end, at once.
#[test]
fn a_new_connection_takes_the_place_of_a_closed_one() {
    let nat = Nat::start("pool: [203.0.113.2]");
    for _ in 0..3 {
        let mut connection = Connection::open(&nat, INSIDE, REMOTE);
        assert_eq!(connection.outside, "203.0.113.2:5000");
        assert_eq!(connection.state().as_deref(), Some("established"));
        connection.close();
        assert_eq!(connection.state().as_deref(), Some("time-wait"));
    }
    assert_eq!(nat.sessions().len(), 1);
    // And after a reset.
    let mut connection = Connection::open(&nat, INSIDE, REMOTE);
    connection.send("RA", b"");
    let connection = Connection::open(&nat, INSIDE, REMOTE);
    assert_eq!(connection.state().as_deref(), Some("established"));
}

/// A SYN that is sent again, as it was lost, is the same connection (RFC 9293 3.8.1).
#[test]
fn a_syn_is_sent_again() {
    let nat = Nat::start("pool: [203.0.113.2]");
    for _ in 0..3 {
        let seen = nat.out(&l4::tcp(INSIDE, REMOTE, &segment("S", 1000, 0)));
        assert_eq!(seen.source(), "203.0.113.2:5000");
    }
    assert_eq!(nat.sessions().len(), 1);
}

/// A connection that the router doesn't know, as it was restarted in the middle, goes on when the inside sends.
#[test]
fn a_connection_is_picked_up_in_the_middle() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let sent = nat.out(&l4::tcp(INSIDE, REMOTE, &segment("A", 5000, 9000)));
    assert_eq!(sent.source(), "203.0.113.2:5000");
    nat.back(&l4::tcp(REMOTE, &sent.source(), &segment("A", 9000, 5000)));
    nat.out(&l4::tcp(INSIDE, REMOTE, &segment("A", 5000, 9000)));
    assert!(nat.session_lines()[0].ends_with("established"), "{:?}", nat.session_lines());
}

/// MSS clamping on the wire: SYN and SYN-ACK, both ways, down but never up, other options kept, sums right.
#[test]
fn the_mss_is_clamped() {
    let nat = Nat::start("pool: [203.0.113.2], mss-clamp: 1300");
    let with = |flags, options: &[u8]| -> (Vec<u8>, Vec<u8>) {
        let segment = l4::Segment { flags, seq: 1, ack: 1, options, data: b"" };
        (l4::tcp(INSIDE, REMOTE, &segment), l4::tcp(REMOTE, "203.0.113.2:5000", &segment))
    };
    let others = [4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7];
    for (flags, mss, wanted) in
        [("S", 1460, 1300), ("SA", 1460, 1300), ("S", 1300, 1300), ("S", 536, 536), ("A", 1460, 1460)]
    {
        for before in [&[][..], &[1, 1, 1, 1], &others] {
            let options = |mss| [before, &l4::mss(mss)].concat();
            let (out, back) = with(flags, &options(mss));
            let seen = [nat.out(&out), nat.back(&back)].map(|seen| seen.tcp.expect("TCP").options.as_slice().to_vec());
            assert_eq!(seen, [options(wanted), options(wanted)], "{flags} with {mss}");
        }
    }
    // A SYN without the option gets none.
    assert!(nat.out(&with("S", &[]).0).tcp.expect("TCP").options.is_empty());
}
