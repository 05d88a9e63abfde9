//! The log of mappings: RFC 6888 REQ-12 (mappings, not destinations), RFC 7857 section 11, RFC 5424.

use harness::l4::{self, segment};
use harness::{LAN, Lab, Nat, Wires, eventually, remote};
use std::net::UdpSocket;
use std::time::Duration;

const INSIDE: &str = "192.168.1.10:5000";

/// A collector in the router's namespace, which the daemon reaches by the kernel, and a NAT that logs to it.
fn start(more: &str) -> (Nat, UdpSocket) {
    let lab = Lab::new();
    let collector = lab.router.enter(|| UdpSocket::bind("127.0.0.1:0")).expect("a port");
    collector.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let port = collector.local_addr().expect("an address").port();
    let log = format!("log: {{mappings: true, syslog: '127.0.0.1:{port}'{more}}}");
    let config = Nat::config(&format!("pool: [203.0.113.2], timeouts: {{udp: 2s}}, {log}"));
    let (lan, wan) = (lab.wire("lan"), lab.wire("wan"));
    let router = lab.start(&config);
    (Nat::of(Wires { router, lan, wan, lab }), collector)
}

fn hear(collector: &UdpSocket) -> String {
    let mut bytes = [0; 2048];
    let length = loop {
        match collector.recv(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            received => break received.expect("a message"),
        }
    };
    String::from_utf8(bytes[..length].to_vec()).expect("UTF-8")
}

#[test]
fn a_collector_hears_of_mappings() {
    let (nat, collector) = start("");
    nat.rest();
    // Three remotes, one mapping, one message.
    for number in 1..=3 {
        nat.out(&l4::udp(INSIDE, &format!("198.51.100.{number}:53"), b"?"));
    }
    let made = hear(&collector);
    assert!(made.starts_with("<134>1 20") && made.contains(" nat44-bib-create "), "{made}");
    for part in ["sourceIPv4Address=\"192.168.1.10\"", "sourceTransportPort=\"5000\"", "protocolIdentifier=\"17\""] {
        assert!(made.contains(part), "{part} in {made}");
    }
    assert!(made.contains("postNATSourceIPv4Address=\"203.0.113.2\"") && !made.contains("198.51.100."), "{made}");
    let gone = hear(&collector);
    assert!(gone.contains(" nat44-bib-delete ") && gone.contains("\"192.168.1.10\""), "{gone}");
    nat.out(&l4::tcp("192.168.1.11:6000", "198.51.100.1:80", &segment("S", 1, 0)));
    assert!(hear(&collector).contains("protocolIdentifier=\"6\""));
    nat.out(&l4::echo("192.168.1.11:6000", remote(1), 1, b""));
    assert!(hear(&collector).contains("protocolIdentifier=\"1\""));
    let events = nat.router().run("show events");
    assert!(events.contains("192.168.1.10:5000") && events.contains("203.0.113.2:5000"), "{events}");
}

/// More than the rate is counted, and told in one message.
#[test]
fn the_log_is_limited() {
    let (nat, collector) = start(", rate: 5");
    nat.rest();
    for host in 20..220 {
        nat.net.lan.send(&LAN.frame(&l4::udp(&format!("192.168.1.{host}:5000"), "198.51.100.1:53", b"?")));
    }
    nat.rest();
    let mut heard = 0;
    let told = eventually("what was left out is told", || {
        let message = hear(&collector);
        heard += 1;
        message.contains("nat44-suppressed").then_some(message)
    });
    assert!(heard < 60, "{heard} messages with a rate of 5 a second: {told}");
}
