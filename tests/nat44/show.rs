//! What an operator sees of sessions and mappings, and clears.

use crate::connection::Connection;
use harness::l4::{self, segment};
use harness::{LAN, Nat, remote};

const INSIDE: &str = "192.168.1.10:5000";
const REMOTE: &str = "198.51.100.1:53";

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

/// What passes is counted, both ways, in packets and bytes of IP; and what is refused, by its reason.
#[test]
fn sessions_are_counted() {
    let nat = Nat::start("pool: [203.0.113.2]");
    for size in [0, 100, 1000] {
        nat.out(&l4::udp(INSIDE, REMOTE, &vec![0; size]));
        nat.back(&l4::udp(REMOTE, "203.0.113.2:5000", &vec![0; size]));
    }
    let row = nat.sessions().remove(0);
    assert_eq!((&row["packets"], &row["bytes"]), (&6.into(), &(2 * (1100 + 3 * 28)).into()), "{row}");
    for _ in 0..3 {
        nat.dropped_back(&l4::udp("198.51.100.9:53", "203.0.113.2:5000", b"?"));
    }
    let refusals = nat.router().json("show nat44 summary")["refusals"].clone();
    let counts: Vec<_> = refusals.as_object().expect("reasons").values().collect();
    assert_eq!(counts, [3], "{refusals}");
}

/// A long listing is whole, in every format; with a limit it is short; and all go when they are told to.
#[test]
fn many_sessions() {
    const HOSTS: u32 = 250;
    const PORTS: u32 = 80;
    let nat = Nat::start("pool: [203.0.113.2]");
    for port in 0..PORTS {
        for host in 1..=HOSTS {
            let inside = format!("10.5.{}.{}:{}", port % 8, host, 2000 + port * 250 + host);
            nat.net.lan.send(&LAN.frame(&l4::udp(&inside, REMOTE, b"?")));
        }
        nat.rest();
    }
    let all = (HOSTS * PORTS) as usize;
    let rows = nat.sessions();
    let ends: std::collections::BTreeSet<_> = rows.iter().map(|row| row["outside_port"].as_u64()).collect();
    assert_eq!((rows.len(), ends.len()), (all, all));
    assert_eq!(nat.router().list("show nat44 mappings").len(), all);
    assert_eq!(nat.router().list("show nat44 sessions inside 10.5.3.7").len(), 10);
    assert_eq!(nat.router().list("show nat44 sessions limit 17").len(), 17);
    assert_eq!(nat.router().run("show nat44 sessions protocol udp").lines().count(), all + 1);
    nat.router().run("nat44 sessions clear inside 10.5.3.7");
    assert_eq!(nat.router().json("show nat44 summary")["sessions"], all - 10);
    nat.router().run("nat44 sessions clear");
    assert!(nat.sessions().is_empty());
}
