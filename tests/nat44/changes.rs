//! Configuration changes while sessions live: what is still valid stays, what is not goes, and a new static mapping beats a
//! dynamic session. And sessions cleared by hand.

use crate::connection::Connection;
use harness::l4::{self, segment};
use harness::{Nat, eventually};

const INSIDE: &str = "192.168.1.10:5000";
const REMOTE: &str = "198.51.100.1:53";

/// Whatever is changed beside it, a connection goes on.
#[test]
fn valid_sessions_stay() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let mut connection = Connection::open(&nat, INSIDE, "198.51.100.1:80");
    let before = nat.session_lines();
    let mapping = "{protocol: tcp, external: '203.0.113.2:8080', internal: '192.168.1.11:80'}";
    for next in [
        "pool: [203.0.113.2, 203.0.113.3]".to_owned(),
        format!("pool: [203.0.113.2], static-mappings: [{mapping}]"),
        "pool: [203.0.113.2], filtering: endpoint-independent, max-sessions: 10".to_owned(),
        "pool: [203.0.113.2], timeouts: {udp: 10s}, mss-clamp: 1200".to_owned(),
        "pool: [203.0.113.2], exempt: [{source: 192.168.1.0/24, destination: 10.0.0.0/8}]".to_owned(),
    ] {
        nat.apply(&next);
        assert_eq!(nat.session_lines(), before, "after {next}");
        connection.send("PA", b"on and on");
        connection.receive("PA", b"and on");
    }
    // Also by single commands, as an operator types them.
    for command in [
        "nat44 mapping add protocol udp external 203.0.113.2:53 internal 192.168.1.11:53",
        "nat44 mapping remove protocol udp external 203.0.113.2:53",
        "nat44 pool add 203.0.113.9",
        "nat44 pool remove 203.0.113.9",
    ] {
        nat.router().run(command);
        assert_eq!(nat.session_lines(), before, "after {command}");
    }
    connection.send("PA", b"still");
    connection.receive("A", b"");
}

/// What stands behind an address that goes from the pool goes with it; the others stay.
#[test]
fn sessions_of_a_removed_address_go() {
    let nat = Nat::start("pool: [203.0.113.2, 203.0.113.3]");
    let mut by_address = std::collections::BTreeMap::new();
    for host in 100..120 {
        let seen = nat.out(&l4::udp(&format!("192.168.1.{host}:5000"), REMOTE, b"?"));
        by_address.entry(seen.ip.source).or_insert_with(Vec::new).push(host);
    }
    assert_eq!(by_address.len(), 2, "twenty hosts share two addresses: {by_address:?}");
    nat.apply("pool: [203.0.113.3]");
    let kept = by_address[&[203, 0, 113, 3]].len();
    eventually("only those of the other address are left", || (nat.sessions().len() == kept).then_some(()));
    assert!(nat.sessions().iter().all(|row| row["outside_address"] == "203.0.113.3"));
    nat.dropped_back(&l4::udp(REMOTE, "203.0.113.2:5000", b"!"));
    let host = by_address[&[203, 0, 113, 2]][0];
    assert_eq!(nat.out(&l4::udp(&format!("192.168.1.{host}:5000"), REMOTE, b"?")).ip.source, [203, 0, 113, 3]);
}

/// A static mapping for a port that a dynamic session holds, and one for an inside host that has a session elsewhere.
#[test]
fn a_new_static_mapping_beats_a_dynamic_session() {
    let nat = Nat::start("pool: [203.0.113.2]");
    nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
    nat.out(&l4::udp("192.168.1.12:7000", REMOTE, b"?"));
    let mapping = "{protocol: udp, external: '203.0.113.2:5000', internal: '192.168.1.11:80'}";
    nat.apply(&format!("pool: [203.0.113.2], static-mappings: [{mapping}]"));
    assert_eq!(nat.back(&l4::udp(REMOTE, "203.0.113.2:5000", b"!")).destination(), "192.168.1.11:80");
    let other = nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
    assert!(other.ip.source == [203, 0, 113, 2] && other.from != 5000, "{}", other.source());
    assert_eq!(
        nat.back(&l4::udp(REMOTE, "203.0.113.2:7000", b"!")).destination(),
        "192.168.1.12:7000",
        "not concerned"
    );
    // The same inside port, mapped to another external one, as seen by the host that it already talks to.
    let mapping = "{protocol: udp, external: '203.0.113.2:9000', internal: '192.168.1.12:7000'}";
    nat.apply(&format!("pool: [203.0.113.2], static-mappings: [{mapping}]"));
    assert_eq!(nat.out(&l4::udp("192.168.1.12:7000", REMOTE, b"?")).source(), "203.0.113.2:9000");
    // One-to-one takes the whole host.
    nat.apply("pool: [203.0.113.2], static-mappings: [{external: 203.0.113.3, internal: 192.168.1.10}]");
    assert_eq!(nat.out(&l4::udp(INSIDE, REMOTE, b"?")).source(), "203.0.113.3:5000");
}

/// Sessions of a mapping that is removed go with it.
#[test]
fn sessions_of_a_removed_mapping_go() {
    let mapping = "{protocol: tcp, external: '203.0.113.2:8080', internal: '192.168.1.10:80'}";
    let nat = Nat::start(&format!("pool: [203.0.113.2], static-mappings: [{mapping}]"));
    nat.back(&l4::tcp("198.51.100.1:4000", "203.0.113.2:8080", &segment("S", 1, 0)));
    nat.out(&l4::tcp("192.168.1.10:80", "198.51.100.1:4000", &segment("SA", 1, 2)));
    nat.apply("pool: [203.0.113.2]");
    eventually("its session is gone", || nat.sessions().is_empty().then_some(()));
    nat.dropped_back(&l4::tcp("198.51.100.1:4000", "203.0.113.2:8080", &segment("A", 2, 2)));
}

/// A static mapping that leads to another server from now on: its connections to the old one go, new ones find the new one.
#[test]
fn another_server() {
    let to = |server: &str| {
        let mapping = format!("{{protocol: tcp, external: '203.0.113.2:80', internal: '{server}'}}");
        format!("pool: [203.0.113.2], static-mappings: [{mapping}]")
    };
    let nat = Nat::start(&to("192.168.1.10:80"));
    let syn = l4::tcp("198.51.100.1:4000", "203.0.113.2:80", &segment("S", 1, 0));
    assert_eq!(nat.back(&syn).destination(), "192.168.1.10:80");
    nat.apply(&to("192.168.1.11:8080"));
    eventually("the old session is gone", || nat.sessions().is_empty().then_some(()));
    assert_eq!(nat.back(&syn).destination(), "192.168.1.11:8080");
}

/// A link that goes down and comes up again, on either side, costs no session.
#[test]
fn a_link_flaps() {
    for pool in ["[203.0.113.2]", "interface"] {
        let nat = Nat::start(&format!("pool: {pool}"));
        let mut connection = Connection::open(&nat, INSIDE, "198.51.100.1:80");
        for interface in ["wan", "lan"] {
            nat.router().run(&format!("interface set {interface} down"));
            nat.router().run(&format!("interface set {interface} up"));
            nat.rest();
            connection.send("PA", b"on");
            connection.receive("PA", b"and on");
        }
    }
}

/// An interface that is no longer inside: its packets pass as they are, and its sessions are gone.
#[test]
fn no_longer_inside() {
    let nat = Nat::start("pool: [203.0.113.2]");
    nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
    nat.router().run("nat44 inside remove lan");
    assert_eq!(nat.out(&l4::udp(INSIDE, REMOTE, b"?")).source(), INSIDE);
    nat.router().run("nat44 inside add lan");
    assert_eq!(nat.out(&l4::udp(INSIDE, REMOTE, b"?")).ip.source, [203, 0, 113, 2]);
}

/// Without NAT, packets pass as they are, and no session is left; with it again, they are translated again.
#[test]
fn off_and_on() {
    let nat = Nat::start("pool: [203.0.113.2]");
    nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
    let config = Nat::config("pool: [203.0.113.2]");
    let without: String =
        config.lines().filter(|line| !line.starts_with("nat44")).map(|line| format!("{line}\n")).collect();
    nat.apply_config(&without);
    assert_eq!(nat.out(&l4::udp(INSIDE, REMOTE, b"?")).source(), INSIDE);
    assert_eq!(nat.back(&l4::udp(REMOTE, INSIDE, b"!")).destination(), INSIDE);
    nat.apply_config(&config);
    assert_eq!(nat.out(&l4::udp(INSIDE, REMOTE, b"?")).source(), "203.0.113.2:5000");
    nat.dropped_back(&l4::udp(REMOTE, INSIDE, b"!"));
}

/// SIGHUP with the same file, and with one that differs elsewhere.
#[test]
fn a_reload_costs_no_session() {
    let config = Nat::config("pool: [203.0.113.2]");
    let mut nat = Nat::with(&config);
    let outside = nat.out(&l4::udp(INSIDE, REMOTE, b"?")).source();
    for text in [config.clone(), config.replace("device: wan,", "device: wan, mtu: 1400,")] {
        nat.reload(&text);
        let mtu = if text == config { 1500 } else { 1400 };
        eventually("the file is in force", || (nat.router().counter("wan", "mtu") == mtu).then_some(()));
        assert_eq!(nat.back(&l4::udp(REMOTE, &outside, b"!")).destination(), INSIDE);
    }
}
