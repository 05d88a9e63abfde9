//! Configuration changes while sessions live: what is still valid stays, what is not goes, and a new static mapping beats a
//! dynamic session. And sessions cleared by hand.

use crate::connection::Connection;
use harness::l4::{self, segment};
use harness::{Nat, eventually, remote};

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

/// `show nat44 sessions` and `nat44 sessions clear` take the same filters.
#[test]
fn sessions_are_listed_and_cleared_by_filter() {
    let nat = Nat::start("pool: [203.0.113.2], filtering: endpoint-independent");
    let open = || {
        nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
        nat.out(&l4::udp(INSIDE, "198.51.100.2:53", b"?"));
        nat.out(&l4::tcp("192.168.1.10:6000", "198.51.100.2:80", &segment("S", 1, 0)));
        nat.out(&l4::echo("192.168.1.11:8000", remote(1), 1, b""));
        let last = nat.out(&l4::udp("192.168.1.11:7000", REMOTE, b"?")).source();
        assert_eq!(nat.sessions().len(), 5);
        last
    };
    let mut last = open();
    for (filter, hits) in [
        ("inside 192.168.1.10", 3),
        ("inside 192.168.1.11 protocol udp", 1),
        ("protocol icmp", 1),
        ("protocol tcp", 1),
        ("remote 198.51.100.2", 2),
        ("outside 203.0.113.2", 5),
        ("port 53", 3),
        ("port 6000", 1),
        ("port 1", 0),
        ("inside 192.168.1.99", 0),
        ("vrf default", 5),
    ] {
        assert_eq!(nat.router().list(&format!("show nat44 sessions {filter}")).len(), hits, "{filter}");
        nat.router().run(&format!("nat44 sessions clear {filter}"));
        assert_eq!(nat.sessions().len(), 5 - hits, "after clearing {filter}");
        nat.router().run("nat44 sessions clear");
        assert!(nat.sessions().is_empty());
        last = open();
    }
    assert_eq!(nat.router().list("show nat44 sessions limit 2").len(), 2);
    nat.router().run("nat44 sessions clear inside 192.168.1.10");
    // RFC 4787 REQ-8: what has no mapping any longer is not let in.
    nat.dropped_back(&l4::udp(REMOTE, "203.0.113.2:5000", b"!"));
    assert_eq!(nat.back(&l4::udp(REMOTE, &last, b"!")).destination(), "192.168.1.11:7000");
    nat.router().ctl("show nat44 sessions inside nonsense").code(2);
    nat.router().ctl("nat44 sessions clear vrf nosuch").code(1);
}

/// `show nat44 mappings` and `show nat44 summary` tell what there is.
#[test]
fn mappings_and_summary() {
    let mapping = "{protocol: tcp, external: '203.0.113.2:8080', internal: '192.168.1.12:80'}";
    let nat = Nat::start(&format!("pool: [203.0.113.2], static-mappings: [{mapping}], max-sessions: 1000"));
    nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
    nat.out(&l4::udp(INSIDE, "198.51.100.2:53", b"?"));
    nat.out(&l4::echo("192.168.1.11:8000", remote(1), 1, b""));
    Connection::open(&nat, INSIDE, REMOTE);
    let rows = nat.router().list("show nat44 mappings");
    let of = |kind: &str| rows.iter().filter(|row| row["type"] == kind).count();
    assert_eq!((of("static"), of("dynamic")), (1, 3), "{rows:?}");
    let udp = rows.iter().find(|row| row["protocol"] == "udp").expect("the UDP mapping");
    assert_eq!(
        (&udp["inside_address"], &udp["inside_port"], &udp["sessions"]),
        (&"192.168.1.10".into(), &5000.into(), &2.into())
    );
    let summary = nat.router().json("show nat44 summary");
    assert_eq!(
        (&summary["sessions"], &summary["max_sessions"], &summary["ports_used"]),
        (&4.into(), &1000.into(), &3.into())
    );
    assert_eq!(summary["by_protocol"], serde_json::json!({"icmp": 1, "tcp": 1, "udp": 2}), "{summary}");
    assert_eq!(summary["by_state"]["established"], 1, "{summary}");
    let top = &summary["top_hosts"][0];
    assert_eq!((&top["address"], &top["sessions"]), (&"192.168.1.10".into(), &3.into()), "{summary}");
}
