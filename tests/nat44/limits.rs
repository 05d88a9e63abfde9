//! At the limits: ports, sessions, and sessions of a host run out. Established flows go on, counters tell, and when there
//! is room again, all is as before (RFC 4787 REQ-11, RFC 5508 REQ-8, RFC 6888 REQ-3 and REQ-4).

use crate::connection::Connection;
use harness::l4::{self, segment};
use harness::{LAN, Nat};

/// With one worker, which has all ports and all the room for itself.
fn start(nat44: &str) -> Nat {
    Nat::with(&format!("workers: {{count: 1}}\n{}", Nat::config(nat44)))
}

const REMOTE: &str = "198.51.100.1:53";

/// Sends packets into the lan, some at a time; returns how many came out in the wan, and how many errors came back.
fn flood(nat: &Nat, packets: impl IntoIterator<Item = Vec<u8>>) -> (usize, usize) {
    let packets: Vec<_> = packets.into_iter().collect();
    let (mut out, mut errors) = (0, 0);
    for some in packets.chunks(200) {
        some.iter().for_each(|packet| nat.net.lan.send(&LAN.frame(packet)));
        let seen = nat.rest();
        out += seen.wan_packets().len();
        errors += seen.lan_packets().iter().filter(|packet| packet.icmp_kind() == (3, 13)).count();
    }
    (out, errors)
}

fn hosts(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("10.7.{}.{}", number / 250, number % 250 + 1))
}

/// All ports of the only address are given out, those below 1024 first to who asks for such: who asks next is refused, told so
/// (RFC 5508 REQ-8) and counted; who has one keeps it.
#[test]
fn ports_run_out() {
    // A static mapping takes most of them, so that there are 1023 and 1000 left.
    let taken = "{protocol: udp, external: '203.0.113.2:2024-65535', internal: '192.168.1.13:2024-65535'}";
    let nat = start(&format!("pool: [203.0.113.2], static-mappings: [{taken}]"));
    let mut connection = Connection::open(&nat, "192.168.1.10:500", "198.51.100.1:80");
    let ask = |port: u16| move |host: String| l4::udp(&format!("{host}:{port}"), REMOTE, b"?");
    assert_eq!(flood(&nat, hosts(1000).map(ask(5000))), (1000, 0));
    let (out, errors) = flood(&nat, hosts(100).map(ask(5001)));
    assert_eq!((out, errors > 0), (0, true), "RFC 4787 REQ-3a: ports below 1024 are not for them");
    assert_eq!(nat.router().errors("nat44-in2out-slowpath", "no free port"), 100);
    assert_eq!(flood(&nat, hosts(1100).map(ask(500))).0, 1023);
    assert_eq!(nat.router().errors("nat44-in2out-slowpath", "no free port"), 177);
    assert_eq!(nat.router().json("show nat44 summary")["ports_used"], 2024, "and the one of TCP");
    // The sessions there are, are not concerned, nor is another protocol.
    connection.send("PA", b"on");
    connection.receive("PA", b"and on");
    assert_eq!(flood(&nat, hosts(20).map(ask(5000))).0, 20, "who has a port keeps it");
    let (out, _) = flood(&nat, hosts(20).map(|host| l4::tcp(&format!("{host}:500"), REMOTE, &segment("S", 1, 0))));
    assert_eq!(out, 20);
    // When they are given back, they are there again; though not at their best: quarantine ends early when nothing else is
    // free (RFC 6888 REQ-8).
    nat.router().run("nat44 sessions clear protocol udp");
    assert_eq!(flood(&nat, hosts(2100).map(ask(500))).0, 2023);
    connection.send("PA", b"still");
}

/// The table is full: the oldest transitory sessions make room, established ones never; when all are established, new
/// ones are refused.
#[test]
fn sessions_run_out() {
    let nat = start("pool: [203.0.113.2], max-sessions: 64");
    let ends = |number: u16| format!("192.168.1.10:{}", 2000 + number);
    let mut connections: Vec<_> =
        (0..32).map(|number| Connection::open(&nat, &ends(number), "198.51.100.1:80")).collect();
    // Half-open connections fill the rest and push each other out, the oldest first.
    let (out, _) = flood(
        &nat,
        (0..200).map(|port| l4::tcp(&format!("192.168.1.11:{}", 3000 + port), REMOTE, &segment("S", 1, 0))),
    );
    assert_eq!(out, 200, "a new one always finds room among transitory ones");
    let lines = nat.session_lines();
    assert!(lines.len() <= 64, "{} sessions", lines.len());
    assert_eq!(lines.iter().filter(|line| line.ends_with("established")).count(), 32);
    assert!(lines.iter().any(|line| line.contains("192.168.1.11:3199 ")), "the youngest is there: {lines:?}");
    assert!(!lines.iter().any(|line| line.contains("192.168.1.11:3000 ")), "the oldest is not");
    for connection in &mut connections {
        connection.send("PA", b"on");
        connection.receive("PA", b"and on");
    }
    // Now nothing but established ones.
    nat.router().run("nat44 sessions clear inside 192.168.1.11");
    connections.extend((32..64).map(|number| Connection::open(&nat, &ends(number), "198.51.100.1:80")));
    let (out, errors) =
        flood(&nat, (0..50).map(|port| l4::udp(&format!("192.168.1.12:{}", 3000 + port), REMOTE, b"?")));
    assert_eq!((out, errors > 0), (0, true));
    assert_eq!(nat.router().errors("nat44-in2out-slowpath", "limit of sessions"), 50);
    for connection in &mut connections {
        connection.send("PA", b"on");
        connection.receive("PA", b"and on");
    }
    assert_eq!(nat.router().json("show nat44 summary")["sessions"], 64);
    // Room again.
    nat.router().run("nat44 sessions clear port 2000");
    assert_eq!(nat.out(&l4::udp("192.168.1.12:3000", REMOTE, b"?")).source(), "203.0.113.2:3000");
}

/// RFC 6888 REQ-4: one host's limit is no other host's, holds for all its protocols, and for what comes in to it.
#[test]
fn one_hosts_sessions_run_out() {
    let mapping = "{protocol: tcp, external: '203.0.113.2:80', internal: '192.168.1.10:80'}";
    let nat = start(&format!("pool: [203.0.113.2], max-sessions-per-host: 10, static-mappings: [{mapping}]"));
    let mut connection = Connection::open(&nat, "192.168.1.10:4000", "198.51.100.1:80");
    let ask = |host: u8, port: u16| l4::udp(&format!("192.168.1.{host}:{port}"), REMOTE, b"?");
    let (out, errors) = flood(&nat, (5000..5050).map(|port| ask(10, port)));
    assert_eq!((out, errors > 0), (9, true));
    assert_eq!(nat.router().errors("nat44-in2out-slowpath", "limit of sessions for the host"), 41);
    let before = nat.refusals("for the host");
    nat.dropped_back(&l4::tcp("198.51.100.7:4000", "203.0.113.2:80", &segment("S", 1, 0)));
    assert_eq!(nat.refusals("for the host"), before + 1);
    assert_eq!(flood(&nat, (5000..5010).map(|port| ask(11, port))).0, 10, "another host");
    connection.send("PA", b"on");
    connection.receive("PA", b"and on");
    assert_eq!(flood(&nat, (5000..5009).map(|port| ask(10, port))).0, 9, "the sessions there are");
}
