//! `ping` and `traceroute` from the router.

use harness::{Hosts, eventually};

#[test]
fn a_host_answers() {
    let net = Hosts::start("");
    let said = net.router.run("ping 192.168.1.10 count 3");
    assert!(said.contains("3 packets transmitted, 3 received, 0% packet loss"), "{said}");
    assert_eq!(said.matches("bytes from 192.168.1.10: icmp_seq=").count(), 3, "{said}");
    let rows = net.router.json("ping 203.0.113.10 count 2");
    let shown = rows.to_string();
    assert!(shown.contains("\"reply\"") && shown.contains("rtt_us"), "{shown}");
    net.router.run("ping 192.168.1.10 count 1 source 203.0.113.1");
    net.router.run("ping 192.168.1.1 count 1");
}

#[test]
fn nobody_answers() {
    let net = Hosts::start("");
    let said = net.router.ctl("ping 192.168.1.99 count 1").code(1);
    assert!(said.stdout.contains("1 packets transmitted, 0 received, 100% packet loss"), "{}", said.stdout);
    net.router.ctl("ping 8.8.8.8 count 1").code(1);
    net.router.ctl("ping 192.168.1.10 source 9.9.9.9").code(1);
    net.router.ctl("ping not-an-address").code(2);
}

#[test]
fn traceroute_finds_the_way() {
    let net = Hosts::start("routes: [{to: 198.51.100.0/24, via: 203.0.113.10}]");
    net.wan.ip("addr add 198.51.100.10/32 dev lo");
    eventually("the way is known", || net.lan.reaches("198.51.100.10").then_some(()));
    let said = net.router.run("traceroute 198.51.100.10");
    assert!(said.contains("198.51.100.10"), "{said}");
}
