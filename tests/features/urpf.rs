//! The reverse-path filter (RFC 3704): a host that lies about its address is not heard, one that doesn't notices nothing.

use harness::{DualHosts, HttpServer, Namespace};
use std::net::UdpSocket;
use std::time::Duration;

/// Whether a datagram from this address of the host `from` arrives at `to`. One from the host's own address goes behind it: when
/// that is there, so would have been the other.
#[track_caller]
fn arrives(from: &Namespace, liar: &str, own: &str, to: (&Namespace, &str)) -> bool {
    let (host, address) = to;
    let receiver = host.enter(|| UdpSocket::bind((address, 0))).expect("a port");
    receiver.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let port = receiver.local_addr().expect("an address").port();
    for source in [liar, own] {
        let sender = from.enter(|| UdpSocket::bind((source, 0))).expect("an address of the host");
        sender.send_to(source.as_bytes(), (address, port)).expect("send");
    }
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != own) {
        let mut buffer = [0; 64];
        let (length, _) = receiver.recv_from(&mut buffer).expect("the honest datagram");
        seen.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    seen.len() == 2
}

#[test]
fn who_lies_about_its_address_is_not_heard() {
    let net = DualHosts::start("");
    let (own4, own6) = ("192.168.1.10", "2001:db8:1::10");
    // Nobody's, the uplink's, and a customer's network behind the host that is routed to it later.
    let cases = [("10.99.0.1", own4, "203.0.113.10"), ("2001:db8:99::1", own6, "2001:db8:2::10")];
    let uplink = [("203.0.113.77", own4, "203.0.113.10"), ("2001:db8:2::77", own6, "2001:db8:2::10")];
    for (liar, _, _) in cases.iter().chain(&uplink) {
        net.lan.ip(&format!("addr add {liar}/{} dev lo nodad", if liar.contains(':') { 128 } else { 32 }));
    }
    let heard = |cases: &[(&str, &str, &str)]| {
        cases.iter().map(|(liar, own, to)| arrives(&net.lan, liar, own, (&net.wan, to))).collect::<Vec<_>>()
    };
    assert_eq!((heard(&cases), heard(&uplink)), (vec![true; 2], vec![true; 2]), "off");

    let refused = |reason| ["ip4-urpf", "ip6-urpf"].map(|node| net.router.errors(node, reason));
    let no_route = "no route back to the source";
    let elsewhere = "route back to the source leaves by another interface";
    net.router.run("interface set lan urpf loose");
    assert_eq!((heard(&cases), heard(&uplink)), (vec![false; 2], vec![true; 2]), "loose");
    assert_eq!((refused(no_route), refused(elsewhere)), ([1; 2], [0; 2]));
    net.router.run("interface set lan urpf strict");
    assert_eq!((heard(&cases), heard(&uplink)), (vec![false; 2], vec![false; 2]), "strict");
    assert_eq!((refused(no_route), refused(elsewhere)), ([2; 2], [1; 2]));
    let details = &net.router.json("show interfaces lan")["details"];
    assert_eq!(details["urpf"], "strict");

    // What is routed to the host may come from it.
    net.router.run("route add 10.99.0.0/24 via 192.168.1.10");
    net.router.run("route add 2001:db8:99::/48 via 2001:db8:1::10");
    assert_eq!(heard(&cases), [true; 2], "routed");
    // A default route doesn't lead back to everyone by every interface.
    net.router.run("route remove 10.99.0.0/24");
    net.router.run("route remove 2001:db8:99::/48");
    net.router.run("route add 0.0.0.0/0 via 203.0.113.10");
    net.router.run("route add ::/0 via 2001:db8:2::10");
    assert_eq!(heard(&cases), [false; 2], "the default route leads the other way");
    assert_eq!((refused(no_route), refused(elsewhere)), ([2; 2], [2; 2]));
    net.router.run("interface set lan urpf off");
    assert_eq!((heard(&cases), heard(&uplink)), (vec![true; 2], vec![true; 2]), "off again");
}

#[test]
fn honest_hosts_notice_nothing() {
    let config = DualHosts::INTERFACES.replace("device: lan,", "device: lan, urpf: strict,");
    let net = DualHosts::with(&config.replace("device: wan,", "device: wan, urpf: strict,"));
    for to in [&net.wan.at("203.0.113.10"), &net.wan.at("2001:db8:2::10")] {
        HttpServer::start(to, 300_000).fetch(&net.lan);
        net.lan.ping(&to.address);
    }
    // Neighbours forget each other and find each other again, with link-local addresses, too.
    for host in [&net.lan, &net.wan] {
        host.ip("neigh flush all");
    }
    net.wan.ping("192.168.1.10");
    net.wan.ping("2001:db8:1::10");
    for node in ["ip4-urpf", "ip6-urpf"] {
        let refused = net.router.list("show errors").into_iter().filter(|row| row["node"] == node).collect::<Vec<_>>();
        assert!(refused.is_empty(), "{refused:?}");
    }
}
