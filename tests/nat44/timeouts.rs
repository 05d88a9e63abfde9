//! When sessions end: RFC 4787 REQ-5 and REQ-6, RFC 5382 REQ-5, RFC 5508 REQ-2, RFC 7857 section 2.1.

use crate::connection::Connection;
use harness::l4::{self, segment};
use harness::{Nat, eventually, remote};
use std::time::{Duration, Instant};

const INSIDE: &str = "192.168.1.10:5000";
const REMOTE: &str = "198.51.100.1:53";

/// The defaults: RFC 4787 REQ-5 (UDP, at least 2 minutes, 5 recommended), RFC 5382 REQ-5 (TCP, 2 hours 4 minutes; 4
/// minutes while it opens or closes), RFC 5508 REQ-2 (queries, at least 60 seconds).
#[test]
fn the_defaults_are_what_the_rfcs_ask_for() {
    let nat = Nat::start("pool: [203.0.113.2]");
    nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
    nat.back(&l4::udp(REMOTE, "203.0.113.2:5000", b"!"));
    nat.out(&l4::tcp("192.168.1.11:5000", REMOTE, &segment("S", 1, 0)));
    nat.out(&l4::echo(INSIDE, remote(1), 1, b""));
    Connection::open(&nat, INSIDE, REMOTE);
    let mut seen: Vec<(String, u64)> = nat
        .sessions()
        .iter()
        .map(|row| (row["protocol"].as_str().unwrap().to_owned(), row["expires_in"].as_u64().unwrap()))
        .collect();
    seen.sort();
    for ((protocol, expires), (wanted, timeout)) in
        seen.iter().zip([("icmp", 60), ("tcp", 240), ("tcp", 7440), ("udp", 300)])
    {
        assert_eq!(protocol, wanted);
        // Up to ten seconds may have passed on a busy machine.
        assert!((timeout - 10..=timeout).contains(expires), "{protocol}: {expires} and not {timeout}");
    }
    assert_eq!(seen.len(), 4);
}

/// Configured timeouts hold, each for its own, and the ports are free again afterwards.
#[test]
fn sessions_expire() {
    let nat = Nat::start("pool: [203.0.113.2], timeouts: {udp: 2s, tcp-established: 4s, tcp-transitory: 2s, icmp: 2s}");
    let begin = Instant::now();
    nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
    nat.out(&l4::tcp("192.168.1.11:5000", REMOTE, &segment("S", 1, 0)));
    nat.out(&l4::echo(INSIDE, remote(1), 1, b""));
    let connection = Connection::open(&nat, INSIDE, REMOTE);
    let only_established = || {
        let lines = nat.session_lines();
        (lines.len() == 1 && lines[0].ends_with("established")).then(|| begin.elapsed())
    };
    let transitory = eventually("the short ones expire", only_established);
    assert!(transitory >= Duration::from_millis(1900), "they lived for {transitory:?} only");
    let all = eventually("the established one expires", || connection.state().is_none().then(|| begin.elapsed()));
    assert!(all >= Duration::from_millis(3900), "it lived for {all:?} only");
    assert!(nat.sessions().is_empty());
    let summary = nat.router().json("show nat44 summary");
    assert_eq!(summary["sessions"], 0, "{summary}");
    // What nobody holds any longer, nobody reaches.
    nat.dropped_back(&l4::udp(REMOTE, "203.0.113.2:5000", b"late"));
}

/// RFC 4787 REQ-6: packets from inside keep a session; so one that talks outlives its timeout by far.
#[test]
fn traffic_from_inside_keeps_a_session() {
    let nat = Nat::start("pool: [203.0.113.2], timeouts: {udp: 2s, icmp: 2s}");
    let (begin, mut port) = (Instant::now(), None);
    while begin.elapsed() < Duration::from_secs(5) {
        let seen = nat.out(&l4::udp(INSIDE, REMOTE, b"keep"));
        assert_eq!(*port.get_or_insert(seen.from), seen.from);
        nat.out(&l4::echo(INSIDE, remote(1), 1, b""));
        std::thread::sleep(Duration::from_millis(200));
    }
    let packets: Vec<u64> = nat.sessions().iter().filter_map(|row| row["packets"].as_u64()).collect();
    assert!(packets.len() == 2 && packets.iter().all(|packets| *packets >= 10), "the same two sessions: {packets:?}");
    eventually("and then they expire", || nat.sessions().is_empty().then_some(()));
}

/// The timeouts change while sessions live: those that there are obey the new ones.
#[test]
fn shorter_timeouts_hold_at_once() {
    let nat = Nat::start("pool: [203.0.113.2]");
    nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
    nat.apply("pool: [203.0.113.2], timeouts: {udp: 2s}");
    eventually("the session expires by the new timeout", || nat.sessions().is_empty().then_some(()));
}
