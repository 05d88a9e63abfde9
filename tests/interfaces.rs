//! Interfaces come, go, fail and change while traffic passes on the others.

use harness::{Host, Hosts, Lab, UdpStream, Wires, eventually};
use serde_json::Value;

/// Waits until an interface's link is so.
fn await_link(net: &Hosts, interface: &str, link: &str) {
    let is = || net.router.interface(interface).is_some_and(|row| row["link"] == link).then_some(());
    eventually(&format!("the link of {interface} is {link}"), is);
}

#[test]
fn one_is_added_and_removed_under_traffic() {
    let net = Hosts::start("");
    net.lan.ping("203.0.113.10");
    let dmz = net.lab.host("dmz", "10.5.0.10/24", "10.5.0.1");
    let stream = UdpStream::start(&net.lan, &net.wan, 2000);
    for _ in 0..5 {
        net.router.run("interface add dmz driver af-packet device dmz");
        net.router.run("address add 10.5.0.1/24 interface dmz");
        eventually("the new interface forwards", || net.lan.reaches("10.5.0.10").then_some(()));
        dmz.ping("203.0.113.10");
        net.router.run("interface remove dmz");
        assert!(!dmz.reaches("10.5.0.1"), "the interface is gone");
    }
    let (sent, missing) = stream.finish();
    assert!(missing.is_empty(), "{} of {sent} packets were lost: {missing:?}", missing.len());
    assert!(net.router.interface("dmz").is_none());
    net.router.rebase();
}

#[test]
fn a_listing_has_the_keys_that_programs_rely_on() {
    let net = Hosts::start("");
    net.lan.ping("203.0.113.10");
    let row = net.router.interface("lan").expect("lan");
    for (key, value) in [
        ("driver", Value::from("af-packet")),
        ("device", "lan".into()),
        ("state", "up".into()),
        ("link", "up".into()),
        ("mtu", 1500.into()),
        ("vrf", "default".into()),
        ("bridge", Value::Null),
        ("addresses", vec!["192.168.1.1/24"].into()),
    ] {
        assert_eq!(row[key], value, "{key}");
    }
    for key in ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"] {
        assert!(row[key].as_u64().is_some_and(|count| count >= 3), "{key}: {}", row[key]);
    }
    for key in ["rx_drops", "tx_drops"] {
        assert_eq!(row[key], 0, "{key}");
    }
    assert_eq!(row["mac"], net.lab.router.ip("-br link show lan").split_whitespace().nth(2).expect("a MAC address"));
}

#[test]
fn down_and_up_by_the_operator() {
    let net = Hosts::start("");
    net.lan.ping("203.0.113.10");
    net.router.run("interface set wan down");
    assert_eq!(net.router.interface("wan").expect("wan")["state"], "down");
    assert!(!net.lan.reaches("203.0.113.10"));
    assert!(!net.wan.reaches("203.0.113.1"));
    net.router.run("interface set wan up");
    eventually("it forwards again", || net.lan.reaches("203.0.113.10").then_some(()));
}

#[test]
fn a_cable_pulled_and_put_back() {
    let net = Hosts::start("");
    net.lan.ping("203.0.113.10");
    for _ in 0..2 {
        net.wan.ip("link set eth0 down");
        await_link(&net, "wan", "down");
        assert!(!net.lan.reaches("203.0.113.10"));
        net.wan.ip("link set eth0 up");
        net.wan.ip("route replace default via 203.0.113.1");
        await_link(&net, "wan", "up");
        eventually("it forwards again", || net.lan.reaches("203.0.113.10").then_some(()));
    }
}

#[test]
fn a_device_that_disappears_and_comes_back() {
    let net = Hosts::start("");
    net.lan.ping("203.0.113.10");
    for _ in 0..2 {
        net.wan.ip("link del eth0");
        await_link(&net, "wan", "missing");
        assert!(!net.lan.reaches("203.0.113.10"));
        net.lan.ping("192.168.1.1");
        net.lab.router.cable("wan", &net.wan, "eth0");
        net.wan.configure("203.0.113.10/24", "203.0.113.1");
        await_link(&net, "wan", "up");
        eventually("it forwards again", || net.lan.reaches("203.0.113.10").then_some(()));
    }
    let told = net.router.run("show events");
    assert!(told.contains("wan"), "the events say nothing of it:\n{told}");
}

#[test]
fn packets_for_a_missing_device_are_counted_drops() {
    let net = Hosts::start("");
    net.lan.ping("203.0.113.10");
    net.wan.ip("link del eth0");
    let dropped = |row: &Value| row["count"].as_u64().unwrap_or(0);
    let before: u64 = net.router.list("show errors").iter().map(dropped).sum();
    let stream = UdpStream::start(&net.lan, &net.wan, 200);
    await_link(&net, "wan", "missing");
    let (sent, missing) = stream.finish();
    assert_eq!(sent, missing.len() as u64);
    let counted = || {
        let now: u64 = net.router.list("show errors").iter().map(dropped).sum();
        (now >= before + sent).then_some(())
    };
    eventually(&format!("{sent} drops with causes"), counted);
}

#[test]
fn a_device_that_is_missing_at_the_start_is_waited_for() {
    let lab = Lab::new();
    let lan = lab.host("lan", "192.168.1.10/24", "192.168.1.1");
    let router = lab.start(Hosts::INTERFACES);
    assert_eq!(router.interface("wan").expect("wan")["link"], "missing");
    assert!(router.log().contains("wan"), "no warning:\n{}", router.log());
    lan.ping("192.168.1.1");
    let wan: Host = lab.host("wan", "203.0.113.10/24", "203.0.113.1");
    eventually("it forwards", || lan.reaches(&wan.address).then_some(()));
    router.rebase();
}

#[test]
fn a_loopback_interface_answers() {
    let net = Hosts::start("");
    net.router.run("interface add lo0 driver loopback address 10.255.0.1/32");
    net.lan.ping("10.255.0.1");
    net.wan.ping("10.255.0.1");
    net.router.run("interface remove lo0");
    assert!(!net.lan.reaches("10.255.0.1"));
    net.router.rebase();
}

#[test]
fn settings_are_changed_in_place() {
    let net = Wires::start("");
    for (command, key, value) in [
        ("interface set lan mtu 1280", "mtu", Value::from(1280)),
        ("interface set lan mac 02:fe:00:00:00:77", "mac", "02:fe:00:00:00:77".into()),
        ("interface set lan down", "state", "down".into()),
        ("interface set lan up", "state", "up".into()),
        ("address add 10.7.0.1/24 interface lan", "addresses", vec!["192.168.1.1/24", "10.7.0.1/24"].into()),
        ("address remove 10.7.0.1/24 interface lan", "addresses", vec!["192.168.1.1/24"].into()),
        ("interface set lan mac 02:fe:00:00:00:01", "mac", "02:fe:00:00:00:01".into()),
    ] {
        net.router.run(command);
        assert_eq!(net.router.interface("lan").expect("lan")[key], value, "after {command}");
    }
    net.pass(&[]);
}

#[test]
fn what_can_not_be_is_refused_and_changes_nothing() {
    let net = Wires::start("");
    let before = net.router.run("show configuration");
    for (command, code) in [
        ("interface add lan driver af-packet device other", 1),
        ("interface add a/b driver loopback", 1),
        ("interface add dpu driver nosuch device x", 1),
        ("interface remove nosuch", 1),
        ("interface set nosuch up", 1),
        ("interface set lan mtu 67", 2),
        ("interface set lan mtu 9217", 1),
        ("interface set lan mac 01:00:5e:00:00:01", 1),
        ("address add 192.168.1.2/33 interface lan", 2),
        ("address add 10.0.0.1/24 interface nosuch", 1),
        ("address add 203.0.113.1/24 interface lan", 1),
        ("address remove 10.0.0.1/24 interface lan", 1),
        ("neighbor add 192.168.1.9 mac 02:00:00:00:00:09 interface nosuch", 1),
        ("neighbor add 8.8.8.8 mac 02:00:00:00:00:09 interface lan", 1),
    ] {
        let said = net.router.ctl(command).code(code);
        assert!(!said.stderr.trim().is_empty(), "{command} is refused without a word");
        assert_eq!(net.router.run("show configuration"), before, "{command} changed something");
    }
}
