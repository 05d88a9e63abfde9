//! Static mappings of ports: forwarding, ranges, several servers, twice-NAT.

use harness::Nat;
use harness::l4::{self, segment};
use std::collections::{BTreeMap, BTreeSet};

fn with(mappings: &str, more: &str) -> Nat {
    Nat::start(&format!("pool: [203.0.113.2], static-mappings: [{mappings}]{more}"))
}

/// A forwarded port is reached by everyone, whatever the filtering, and the server answers from it (RFC 4787 REQ-1: also
/// when the server begins).
#[test]
fn a_forwarded_port() {
    let nat = with(
        "{protocol: udp, external: '203.0.113.2:53', internal: '192.168.1.10:5353'},
         {protocol: tcp, external: '203.0.113.2:53', internal: '192.168.1.11:53'}",
        ", filtering: address-and-port-dependent",
    );
    for client in ["198.51.100.1:1234", "198.51.100.2:1234", "203.0.113.10:9"] {
        let asked = nat.back(&l4::udp(client, "203.0.113.2:53", b"?"));
        assert_eq!(asked.flow(), format!("udp {client} > 192.168.1.10:5353"));
        let answer = nat.out(&l4::udp("192.168.1.10:5353", client, b"!"));
        assert_eq!(answer.flow(), format!("udp 203.0.113.2:53 > {client}"));
        let syn = nat.back(&l4::tcp(client, "203.0.113.2:53", &segment("S", 1, 0)));
        assert_eq!(syn.flow(), format!("tcp {client} > 192.168.1.11:53"));
    }
    assert_eq!(nat.out(&l4::udp("192.168.1.10:5353", "198.51.100.77:99", b"first")).source(), "203.0.113.2:53");
    // Nobody else gets that port, nor does another protocol or port lead there.
    assert_ne!(nat.out(&l4::udp("192.168.1.12:53", "198.51.100.1:53", b"?")).source(), "203.0.113.2:53");
    nat.dropped_back(&l4::udp("198.51.100.1:1234", "203.0.113.2:54", b"?"));
}

/// The router's own outside address serves, too, and the router itself goes on to answer pings there.
#[test]
fn a_port_of_the_interfaces_own_address() {
    for external in ["203.0.113.1:8443", "wan:8443"] {
        let nat = with(&format!("{{protocol: tcp, external: '{external}', internal: '192.168.1.10:443'}}"), "");
        let syn = nat.back(&l4::tcp("198.51.100.1:1234", "203.0.113.1:8443", &segment("S", 1, 0)));
        assert_eq!(syn.destination(), "192.168.1.10:443", "{external}");
        let answer = nat.out(&l4::tcp("192.168.1.10:443", "198.51.100.1:1234", &segment("SA", 1, 2)));
        assert_eq!(answer.source(), "203.0.113.1:8443", "{external}");
    }
}

/// A range of ports keeps each port's place in it.
#[test]
fn a_range_of_ports() {
    let nat = with("{protocol: udp, external: '203.0.113.2:5000-5100', internal: '192.168.1.10:6000-6100'}", "");
    for place in [0, 1, 50, 99, 100] {
        let (outside, inside) = (format!("203.0.113.2:{}", 5000 + place), format!("192.168.1.10:{}", 6000 + place));
        assert_eq!(nat.back(&l4::udp("198.51.100.1:9", &outside, b"?")).destination(), inside);
        assert_eq!(nat.out(&l4::udp(&inside, "198.51.100.2:9", b"!")).source(), outside);
    }
    nat.dropped_back(&l4::udp("198.51.100.1:9", "203.0.113.2:4999", b"?"));
    nat.dropped_back(&l4::udp("198.51.100.1:9", "203.0.113.2:5101", b"?"));
    for port in [5000, 5050, 5100] {
        let other = nat.out(&l4::udp(&format!("192.168.1.11:{port}"), "198.51.100.1:9", b"?"));
        assert!(!(5000..=5100).contains(&other.from), "a port of the range was given to another: {}", other.from);
    }
}

/// Several servers: each client stays with one, clients are spread by weight, and each answer comes from the service.
#[test]
fn several_servers_share_a_port() {
    let servers = "['192.168.1.10:443', {address: '192.168.1.11:443', weight: 3}]";
    let nat = with(&format!("{{protocol: tcp, external: '203.0.113.2:443', internal: {servers}}}"), "");
    let mut clients = BTreeMap::new();
    for number in 1..=200 {
        let client = format!("198.51.100.{number}:1000");
        let server = nat.back(&l4::tcp(&client, "203.0.113.2:443", &segment("S", 1, 0))).destination();
        // Affinity: whatever the client's port.
        let again = format!("198.51.100.{number}:2000");
        let other = nat.back(&l4::tcp(&again, "203.0.113.2:443", &segment("S", 1, 0))).destination();
        assert_eq!(server, other, "{client} went to another server the second time");
        *clients.entry(server.clone()).or_insert(0) += 1;
        let answer = nat.out(&l4::tcp(&server, &client, &segment("SA", 1, 2)));
        assert_eq!((answer.source().as_str(), answer.destination()), ("203.0.113.2:443", client));
    }
    assert_eq!(clients.values().sum::<i32>(), 200);
    // One part in four and three in four, within five sigma (30 of 200).
    let first = clients.get("192.168.1.10:443").copied().unwrap_or(0);
    assert!((20..=80).contains(&first), "by weight: {clients:?}");
}

/// Without affinity, one client's connections are spread, too, and each stays where it began.
#[test]
fn several_servers_without_affinity() {
    let servers = "['192.168.1.10:53', '192.168.1.11:53']";
    let nat = with(&format!("{{protocol: udp, external: '203.0.113.2:53', internal: {servers}, affinity: none}}"), "");
    let ask = |port: u16| nat.back(&l4::udp(&format!("198.51.100.1:{port}"), "203.0.113.2:53", b"?")).destination();
    let first: Vec<String> = (1000..1040).map(ask).collect();
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 2, "{first:?}");
    assert_eq!(first, (1000..1040).map(ask).collect::<Vec<_>>());
}

/// Twice-NAT: the server sees the client under an address of the twice-NAT pool, so its answers come back whatever its
/// routes are.
#[test]
fn twice_nat() {
    let mapping = "{protocol: tcp, external: '203.0.113.2:25', internal: '192.168.1.10:25', twice-nat: true}";
    let nat = with(mapping, ", twice-nat-pool: [192.168.1.254]");
    let clients = ["198.51.100.1:4000", "198.51.100.2:4000", "198.51.100.2:4001"];
    let mut seen = BTreeSet::new();
    for client in clients {
        let syn = nat.back(&l4::tcp(client, "203.0.113.2:25", &segment("S", 1, 0)));
        assert_eq!((syn.ip.source, syn.destination().as_str()), ([192, 168, 1, 254], "192.168.1.10:25"));
        assert!(seen.insert(syn.source()), "two clients look the same: {}", syn.source());
        let answer = nat.pass(&[l4::tcp("192.168.1.10:25", &syn.source(), &segment("SA", 1, 2))]).wan_packets();
        let flows: Vec<String> = answer.iter().map(l4::Packet::flow).collect();
        assert_eq!(flows, [format!("tcp 203.0.113.2:25 > {client}")]);
        let ack = nat.back(&l4::tcp(client, "203.0.113.2:25", &segment("A", 2, 2)));
        assert_eq!(ack.source(), syn.source());
    }
}

/// Large answers of a server to a twice-NAT client come in fragments, in any order.
#[test]
fn twice_nat_with_fragments() {
    let mapping = "{protocol: udp, external: '203.0.113.2:53', internal: '192.168.1.10:53', twice-nat: true}";
    let nat = with(mapping, ", twice-nat-pool: [192.168.1.254]");
    let client = "198.51.100.1:4000";
    let seen = nat.back(&l4::udp(client, "203.0.113.2:53", b"?")).source();
    for order in [[0, 1], [1, 0]] {
        let parts = l4::fragments(&l4::udp("192.168.1.10:53", &seen, &[7; 1000]), 504, order[0] as u16 + 1);
        let whole = l4::whole(&nat.pass(&order.map(|at| parts[at].clone())).wan_packets());
        assert_eq!((whole.flow(), whole.data), (format!("udp 203.0.113.2:53 > {client}"), vec![7; 1000]));
    }
    let parts = l4::fragments(&l4::udp(client, "203.0.113.2:53", &[8; 1000]), 504, 9);
    let whole = l4::whole(&nat.pass_back(&[parts[1].clone(), parts[0].clone()]).lan_packets());
    assert_eq!((whole.source(), whole.data), (seen, vec![8; 1000]));
}

/// The server tells a twice-NAT client that nobody listens: the error finds the client, and quotes what it sent.
#[test]
fn twice_nat_with_errors() {
    let mapping = "{protocol: udp, external: '203.0.113.2:53', internal: '192.168.1.10:53', twice-nat: true}";
    let nat = with(mapping, ", twice-nat-pool: [192.168.1.254]");
    let client = "198.51.100.1:4000";
    let got = nat.back_raw(&l4::udp(client, "203.0.113.2:53", b"?"));
    let error = nat.out(&l4::error([192, 168, 1, 10], [192, 168, 1, 254], (3, 3), [0; 4], &got));
    assert_eq!(
        (error.icmp_kind(), error.ip.source, error.ip.destination),
        ((3, 3), [203, 0, 113, 2], [198, 51, 100, 1])
    );
    assert_eq!(error.quoted().flow(), format!("udp {client} > 203.0.113.2:53"));
}
