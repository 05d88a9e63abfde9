//! The router's own services on the outside address go on beside the NAT.

use harness::frames::{self, Ip};
use harness::l4::{self, segment};
use harness::{LAN, Nat, WAN, remote};

const INSIDE: &str = "192.168.1.10:5000";
const REMOTE: &str = "198.51.100.1:53";

/// Pings of its addresses and of every external one are answered, from both sides, also in fragments.
#[test]
fn pings_are_answered() {
    let mapping = "{protocol: tcp, external: '203.0.113.40:80', internal: '192.168.1.11:80'}";
    for pool in ["[203.0.113.2]", "interface"] {
        let nat = Nat::start(&format!("pool: {pool}, static-mappings: [{mapping}]"));
        nat.out(&l4::echo(INSIDE, remote(1), 1, b"a session beside"));
        let mut addresses: Vec<Ip> = vec![[203, 0, 113, 1], [203, 0, 113, 40]];
        if pool != "interface" {
            addresses.push([203, 0, 113, 2]);
        }
        for address in addresses {
            let answer = nat.turn_back(&frames::echo_request(remote(1), address, 7, 1, b"anyone?"));
            assert_eq!(
                (answer.icmp_kind(), answer.ip.source, answer.data.as_slice()),
                ((0, 0), address, b"anyone?".as_slice())
            );
            let answer = nat.turn(&frames::echo_request(LAN.ip, address, 7, 1, b"anyone?"));
            assert_eq!((answer.icmp_kind(), answer.ip.source, answer.ip.destination), ((0, 0), address, LAN.ip));
            let parts = l4::fragments(&frames::echo_request(remote(1), address, 8, 1, &[5; 1000]), 504, 9);
            let seen = nat.pass_back(&[parts[1].clone(), parts[0].clone()]).wan_packets();
            assert_eq!(seen.len(), 1, "{address:?}");
            assert_eq!((seen[0].icmp_kind(), seen[0].data.len()), ((0, 0), 1000));
        }
        assert_eq!(nat.sessions().len(), 1, "pings to the router make no session");
    }
}

/// What the router sends is not translated, and answers to it arrive: its own pings and ICMP errors about them.
#[test]
fn its_own_pings_work() {
    for pool in ["[203.0.113.2]", "interface"] {
        let nat = Nat::start(&format!("pool: {pool}"));
        nat.out(&l4::echo(INSIDE, remote(1), 1, b"a session beside"));
        let socket = nat.router().socket();
        let run = std::thread::scope(|scope| {
            let ping = scope.spawn(|| harness::millctl(&socket, &["ping", "198.51.100.1", "count", "1"]));
            let asked = nat.net.wan.expect("the router's ping", |frame| {
                l4::Packet::of(frame)
                    .filter(|seen| seen.icmp.is_some_and(|icmp| icmp.0 == 8) && seen.ip.source == WAN.router_ip)
            });
            let (_, _, rest) = asked.icmp.expect("ICMP");
            let sequence = u16::from_be_bytes([rest[2], rest[3]]);
            nat.net.wan.send(&WAN.frame(&l4::echo_reply(remote(1), &asked.source(), sequence, &asked.data)));
            ping.join().expect("the ping")
        });
        assert!(run.ok().contains("1 received"), "pool {pool}");
        assert_eq!(nat.sessions().len(), 1);
    }
}

/// A port of the router's outside address that nobody serves: refused as without NAT when the address is not in the pool
/// (RFC 1122 3.2.2.1), silence when it is (RFC 5382 REQ-4).
#[test]
fn closed_ports() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let refused = nat.turn_back(&l4::udp(REMOTE, "203.0.113.1:9999", b"?"));
    assert_eq!((refused.icmp_kind(), refused.ip.source), ((3, 3), [203, 0, 113, 1]));
    let reset = nat.turn_back(&l4::tcp(REMOTE, "203.0.113.1:9999", &segment("S", 1, 0)));
    assert!(reset.tcp.is_some_and(|tcp| tcp.rst));
    let nat = Nat::start("pool: interface");
    nat.dropped_back(&l4::udp(REMOTE, "203.0.113.1:9999", b"?"));
    nat.dropped_back(&l4::tcp(REMOTE, "203.0.113.1:9999", &segment("S", 1, 0)));
}

/// The inside reaches the router as ever, and routes between inside networks are not translated.
#[test]
fn the_inside_is_not_translated_to_the_router() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let answer = nat.turn(&frames::echo_request(LAN.ip, LAN.router_ip, 7, 1, b""));
    assert_eq!((answer.ip.source, answer.ip.destination), (LAN.router_ip, LAN.ip));
    let refused = nat.turn(&l4::udp(INSIDE, "192.168.1.1:9999", b"?"));
    assert_eq!((refused.icmp_kind(), refused.ip.source), ((3, 3), LAN.router_ip));
    assert!(nat.sessions().is_empty());
}
