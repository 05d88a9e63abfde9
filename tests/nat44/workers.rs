//! Two workers: whatever the worker that a packet comes to, it finds the flow, and no port is given twice.

use crate::connection::Connection;
use crate::hosts::Home;
use harness::l4::{self, segment};
use harness::{HttpServer, Iperf, LAN, Nat, WAN, remote};
use std::collections::{BTreeMap, BTreeSet};

const REMOTE: &str = "198.51.100.1:53";

fn start(nat44: &str) -> Nat {
    Nat::with(&format!("workers: {{count: 2}}\n{}", Nat::config(nat44)))
}

#[test]
fn no_port_twice_and_every_answer_finds_its_host() {
    let nat = start("pool: [203.0.113.2, 203.0.113.3]");
    let mut given = BTreeMap::new();
    let mut sent = Vec::new();
    for host in 10..=13 {
        for port in [500, 5000, 5001, 6000] {
            let inside = format!("192.168.1.{host}:{port}");
            sent.push((inside.clone(), l4::udp(&inside, REMOTE, inside.as_bytes())));
            let data = inside.as_bytes();
            let segment = l4::Segment { flags: "S", seq: 1, ack: 0, options: &[], data };
            sent.push((inside.clone(), l4::tcp(&inside, REMOTE, &segment)));
            sent.push((inside.clone(), l4::echo(&inside, remote(1), 1, data)));
        }
    }
    // All at once, then one by one: the mappings are the same (RFC 4787 REQ-1).
    let packets: Vec<_> = sent.iter().map(|(_, packet)| packet.clone()).collect();
    for seen in nat.pass(&packets).wan_packets() {
        let inside = String::from_utf8(seen.data.clone()).expect("text");
        let external = (seen.ip.protocol.0, seen.source());
        assert!(given.insert(external.clone(), inside).is_none(), "{external:?} was given twice");
    }
    assert_eq!(given.len(), sent.len());
    for (inside, packet) in &sent {
        let seen = nat.out(packet);
        assert_eq!(&given[&(seen.ip.protocol.0, seen.source())], inside);
    }
    for ((protocol, external), inside) in &given {
        let answer = match protocol {
            17 => l4::udp(REMOTE, external, b"!"),
            6 => l4::tcp(REMOTE, external, &segment("SA", 1, 2)),
            _ => l4::echo_reply(remote(1), external, 1, b"!"),
        };
        assert_eq!(&nat.back(&answer).destination(), inside);
    }
    assert_eq!(nat.sessions().len(), sent.len());
    nat.router().run("nat44 sessions clear inside 192.168.1.10");
    assert_eq!(nat.sessions().len(), sent.len() * 3 / 4);
}

#[test]
fn errors_fragments_and_hairpins() {
    let forward = "{protocol: udp, external: '203.0.113.2:53', internal: '192.168.1.11:53'}";
    let nat = start(&format!("pool: [203.0.113.2], filtering: endpoint-independent, static-mappings: [{forward}]"));
    for host in 10..=13_u16 {
        let inside = format!("192.168.1.{host}:5000");
        let out = nat.out(&l4::udp(&inside, REMOTE, b"?"));
        let quoted = l4::udp(&out.source(), REMOTE, b"?");
        let error = nat.back(&l4::error([198, 51, 100, 254], [203, 0, 113, 2], (3, 1), [0; 4], &quoted));
        assert_eq!(error.quoted().source(), inside);
        let parts = l4::fragments(&l4::udp(&inside, REMOTE, &[7; 1000]), 504, host);
        let whole = l4::whole(&nat.pass(&[parts[1].clone(), parts[0].clone()]).wan_packets());
        assert_eq!(whole.source(), out.source());
        let parts = l4::fragments(&l4::udp(REMOTE, &out.source(), &[7; 1000]), 504, host);
        let whole = l4::whole(&nat.pass_back(&[parts[1].clone(), parts[0].clone()]).lan_packets());
        assert_eq!(whole.destination(), inside);
        // To a server, whose worker may be another one; and to every other host.
        let asked = nat.turn(&l4::udp(&inside, "203.0.113.2:53", b"?"));
        assert_eq!((asked.source(), asked.destination().as_str()), (out.source(), "192.168.1.11:53"));
        let answer = nat.turn(&l4::udp("192.168.1.11:53", &asked.source(), b"!"));
        assert_eq!((answer.source().as_str(), answer.destination()), ("203.0.113.2:53", inside));
    }
}

#[test]
fn connections_and_their_states() {
    let nat = start("pool: [203.0.113.2], timeouts: {tcp-transitory: 2s}");
    let ends: Vec<String> = (10..=13).map(|host| format!("192.168.1.{host}:5000")).collect();
    let mut connections: Vec<_> = ends.iter().map(|end| Connection::open(&nat, end, "198.51.100.1:80")).collect();
    let outside: BTreeSet<String> = connections.iter().map(|connection| connection.outside.clone()).collect();
    assert_eq!(outside.len(), 4);
    for connection in &mut connections {
        connection.send("PA", b"request");
        connection.receive("PA", b"response");
        assert_eq!(connection.state().as_deref(), Some("established"));
        connection.close();
    }
    harness::eventually("all expire, on both workers", || nat.sessions().is_empty().then_some(()));
}

/// Many hosts at once, both ways, all answered: hand-off loses nothing.
#[test]
fn nothing_is_lost_between_workers() {
    let nat = start("pool: [203.0.113.2], filtering: endpoint-independent");
    let mut answered = BTreeSet::new();
    for round in 0..20_u8 {
        for host in 1..=200_u8 {
            nat.net.lan.send(&LAN.frame(&l4::udp(&format!("192.168.1.{host}:5000"), REMOTE, &[round, host])));
        }
        let seen = nat.rest().wan_packets();
        assert_eq!(seen.len(), 200, "in round {round}");
        for packet in seen.iter().filter(|packet| (10..=13).contains(&packet.data[1])) {
            nat.net.wan.send(&WAN.frame(&l4::udp(REMOTE, &packet.source(), &packet.data)));
        }
        for packet in nat.rest().lan_packets() {
            assert_eq!(packet.ip.destination, [192, 168, 1, packet.data[1]]);
            answered.insert((round, packet.data[1]));
        }
    }
    assert_eq!(answered.len(), 20 * 4);
    assert_eq!(nat.sessions().len(), 200);
}

#[test]
fn real_hosts() {
    let home = Home::with(
        "pool: interface, static-mappings: [{protocol: tcp, external: 'wan:8080', internal: '192.168.1.10:8080'}]",
        "workers: {count: 2}",
    );
    let server = HttpServer::start(&home.far, 8 << 20);
    for host in [&home.net.lan, &home.lan2] {
        server.fetch(host);
        host.ping("198.51.100.10");
        host.run("ping -n -c 2 -i 0.2 -W 2 -s 8000 198.51.100.10").ok();
        assert!(Iperf::run(host, &home.far, 1, "-P 4").bits_per_second > 1e6);
    }
    let inside = HttpServer::start(&home.net.lan.at("203.0.113.1"), 4 << 20);
    for client in [&home.far, &home.lan2, &home.net.lan] {
        inside.fetch(client);
    }
}
