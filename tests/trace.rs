//! `show trace`: what became of a packet, node by node; and `capture`: the packets themselves.

use harness::frames;
use harness::{LAN, Output, WAN, Wires, eventually};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn packet(port: u16) -> Vec<u8> {
    LAN.frame(&frames::udp_packet(LAN.ip, WAN.ip, port, b"look at me"))
}

/// The traced packets, once there are this many.
fn traced(net: &Wires, count: usize) -> Vec<Value> {
    eventually(&format!("{count} traced packets"), || Some(net.router.list("show trace")).filter(|t| t.len() >= count))
}

fn nodes(packet: &Value) -> Vec<&str> {
    packet["hops"].as_array().into_iter().flatten().filter_map(|hop| hop["node"].as_str()).collect()
}

#[test]
fn a_forwarded_packet_leaves_its_way() {
    let net = Wires::start("");
    net.router.run("trace add device-input 1");
    net.pass(&[packet(7)]);
    let trace = traced(&net, 1);
    let way = [
        "device-input",
        "ethernet-input",
        "ip4-input",
        "ip4-lookup",
        "ip4-rewrite",
        "interface-output",
        "interface-tx",
    ];
    assert_eq!(nodes(&trace[0]), way, "{}", net.router.run("show trace"));
    let text = net.router.run("show trace");
    for fact in ["192.168.1.10", "203.0.113.10", "lan", "wan"] {
        assert!(text.contains(fact), "nothing of {fact} in\n{text}");
    }
    assert_eq!(traced(&net, 1).len(), 1, "one was asked for");
    net.router.run("clear trace");
    assert!(net.router.list("show trace").is_empty());
}

#[test]
fn a_dropped_packet_tells_why() {
    let net = Wires::start("");
    net.router.run("trace add ip4-input 1");
    let mut bad = packet(7);
    bad[24] ^= 0xff;
    net.pass(&[bad]);
    let trace = traced(&net, 1);
    assert_eq!(nodes(&trace[0]), ["ip4-input", "error-drop"]);
    let next = trace[0]["hops"][0]["next"].as_str().unwrap_or_default();
    assert!(next.starts_with("error-drop") && next.contains("checksum"), "{next}");
}

#[test]
fn a_filter_chooses_packets() {
    let net = Wires::start("");
    net.router.run("trace add ethernet-input 100 filter udp and port 53");
    net.pass(&[packet(7), packet(53), packet(8), packet(53)]);
    assert_eq!(traced(&net, 2).len(), 2, "{}", net.router.run("show trace"));
    // Each node has a filter of its own.
    net.router.run("clear trace");
    net.router.run("trace add ethernet-input 100 filter udp and port 53");
    net.router.run("trace add ip4-input 100 filter udp and port 7");
    net.pass(&[packet(7), packet(53), packet(8), packet(53)]);
    let mut first: Vec<String> = traced(&net, 3).iter().map(|packet| nodes(packet)[0].to_owned()).collect();
    first.sort();
    assert_eq!(first, ["ethernet-input", "ethernet-input", "ip4-input"], "{}", net.router.run("show trace"));
    net.router.ctl("trace add nosuch-node 5").code(1);
    net.router.ctl("trace add ip4-input 5 filter colour green").code(1);
}

/// What tcpdump reads in a capture.
fn tcpdump(file: &Path) -> Vec<String> {
    Output::of(Command::new("tcpdump").arg("-nnr").arg(file)).ok().lines().map(str::to_owned).collect()
}

#[test]
fn a_capture_can_be_read_by_others() {
    let net = Wires::start("");
    let file = net.router.files().file("lan.pcapng");
    net.router.run(&format!("capture start {} interface lan", file.display()));
    net.router.ctl(&format!("capture start {}", file.display())).code(1);
    let sent: Vec<_> = (1..=20).map(packet).collect();
    net.pass(&sent);
    net.router.run("capture stop");
    net.router.ctl("capture stop").code(1);
    let lines = tcpdump(&file);
    let of = |way: &str| lines.iter().filter(|line| line.contains(way)).count();
    // The fences of the test are two more questions with their answers, and two more packets.
    assert_eq!(of("192.168.1.10.40000 > 203.0.113.10."), 22, "{lines:#?}");
    assert_eq!((of("ICMP echo request"), of("ICMP echo reply")), (2, 2), "both directions: {lines:#?}");
    assert_eq!(lines.len(), 26);
    let status = net.router.json("capture status");
    assert_eq!((&status["running"], &status["packets"], &status["missed"]), (&false.into(), &26.into(), &0.into()));
}

#[test]
fn a_capture_knows_filters_and_limits() {
    let net = Wires::start("");
    let file = net.router.files().file("some.pcapng");
    net.router.run(&format!("capture start {} limit 3 filter dst port 53", file.display()));
    let sent: Vec<_> = [7, 53, 53, 9, 53, 53, 53].map(packet).into();
    net.pass(&sent);
    eventually("it stops by itself", || (net.router.json("capture status")["running"] == false).then_some(()));
    let lines = tcpdump(&file);
    assert!(lines.len() == 3 && lines.iter().all(|line| line.contains(" > 203.0.113.10.53: ")), "{lines:#?}");
}
