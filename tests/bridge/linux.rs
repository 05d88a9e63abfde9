//! A Linux bridge at the other end: hosts behind it, hosts that move, and loops by a wrong cable.

use crate::net::{self, Hosted, await_event, behind, frame, port, station, text};
use harness::frames::BROADCAST;
use harness::{Host, HttpServer, Lab, Namespace, PATIENCE, within};
use std::time::{Duration, Instant};

/// A Linux bridge with cables to some of the router's devices.
fn linux_bridge(lab: &Lab, devices: &[&str]) -> Namespace {
    let switch = Namespace::new("switch");
    switch.sysctl("net.ipv6.conf.default.disable_ipv6=1");
    switch.ip("link add name sw type bridge stp_state 0 forward_delay 0");
    switch.ip("link set sw up");
    for device in devices {
        lab.router.cable(device, &switch, &format!("to-{device}"));
        switch.ip(&format!("link set to-{device} master sw"));
    }
    switch
}

/// A host with a cable to a bridge.
fn behind_it(switch: &Namespace, name: &str, prefix: &str) -> Host {
    let host = Host::unplugged(name, prefix);
    switch.cable(name, &host, "eth0");
    switch.ip(&format!("link set {name} master sw"));
    host.configure(prefix, "192.168.2.1");
    host
}

#[test]
fn hosts_behind_a_linux_bridge_are_reached_and_followed_when_they_move() {
    let lab = Lab::new();
    let switches = ["ps", "pt"].map(|device| linux_bridge(&lab, &[device]));
    let ports =
        "  ps: {driver: af-packet, device: ps, bridge: br0}\n  pt: {driver: af-packet, device: pt, bridge: br0}\n";
    let net = Hosted::within(lab, 1, "", ports, "");
    let host = &net.hosts[0];
    let (first, second) =
        (behind_it(&switches[0], "h1", "192.168.2.21/24"), behind_it(&switches[0], "h2", "192.168.2.22/24"));
    host.ping("192.168.2.21");
    host.ping("192.168.2.22");
    first.ping("192.168.2.22");
    HttpServer::start(&first, 4 << 20).fetch(host);
    assert_eq!([&first, &second].map(|host| behind(&net.router, &host.mac())), ["ps", "ps"]);
    // As a virtual machine goes from one hypervisor to another.
    switches[0].ip(&format!("link set h1 netns {}", switches[1].name()));
    switches[1].ip("link set h1 up");
    switches[1].ip("link set h1 master sw");
    first.ip("link set eth0 up");
    first.ip("route replace default via 192.168.2.1");
    first.ping("192.168.2.11");
    assert_eq!([&first, &second].map(|host| behind(&net.router, &host.mac())), ["pt", "ps"]);
    host.ping("192.168.2.21");
    first.ping("192.168.2.22");
    assert!(port(&net.router, "pt")["moves"].as_u64() >= Some(1));
    await_event(&net.router, PATIENCE, &format!("{} moved from ps to pt", first.mac()));
}

/// Two ports on one Linux bridge: what is flooded goes round, unless it is stopped.
#[test]
fn a_loop_by_a_wrong_cable_is_stopped_by_storm_control() {
    const LIMIT: u32 = 100;
    const SECONDS: u32 = 4;
    let lab = Lab::new();
    let wires = ["pa", "pb"].map(|name| lab.wire(name));
    let switch = linux_bridge(&lab, &["ps", "pt"]);
    let port =
        |(name, keys): (&str, &str)| format!("  {name}: {{driver: af-packet, device: {name}, bridge: br0{keys}}}\n");
    let storm = format!(", storm-control: {{broadcast: {LIMIT}, multicast: {LIMIT}, unknown: {LIMIT}}}");
    let ports: String = [("pa", ""), ("pb", ""), ("ps", &*storm), ("pt", &*storm)].map(port).concat();
    let router = lab.start(&format!("interfaces:\n{ports}bridges:\n  br0: {{}}\n"));
    let (begin, mut sent) = (Instant::now(), 0);
    let mut passed = 0;
    while begin.elapsed() < Duration::from_secs(SECONDS.into()) {
        wires[0].send(&frame(station(1), BROADCAST));
        sent += 1;
        passed += wires[1].drain().len() as u32;
        std::thread::sleep(Duration::from_millis(50));
    }
    await_event(&router, PATIENCE, "s: storm control drops broadcasts");
    await_event(&router, PATIENCE, "a loop?");
    let [s, t] = ["ps", "pt"].map(|name| net::port(&router, name));
    for shown in [&s, &t] {
        assert!(shown["storm_drops"]["broadcast"].as_u64() > Some(0), "{shown}");
    }
    let dropped: u64 = [&s, &t].map(|port| port["storm_drops"]["broadcast"].as_u64().unwrap_or(0)).iter().sum();
    assert_eq!(router.errors("l2-input", "storm control: broadcasts"), dropped);
    assert!(s["moves"].as_u64().max(t["moves"].as_u64()) > Some(20), "{s} {t}");
    // Each of the two ports lets in so many a second, and a tenth of that at once.
    let most = sent + 2 * (LIMIT * (SECONDS + 1) + LIMIT / 10);
    assert!(passed > sent && passed <= most, "{passed} came of {sent}, at most {most} may");
    // It ends by itself when nothing new comes; without the wrong cable the station is found when it says something.
    await_event(&router, Duration::from_secs(30), "storm of broadcasts is over");
    await_event(&router, Duration::from_secs(30), "stations stay where they are again");
    let before = router.counter("ps", "rx_packets");
    router.settle();
    assert_eq!(router.counter("ps", "rx_packets"), before, "frames still go round");
    switch.ip("link set to-pt nomaster");
    wires[0].send(&frame(station(1), station(2)));
    let found = within(PATIENCE, || (behind(&router, &text(station(1))) == "pa").then_some(()));
    assert!(found.is_some(), "{}", router.run("show mac-table"));
    drop(switch);
}
