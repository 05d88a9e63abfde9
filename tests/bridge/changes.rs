//! Changes of a bridge while traffic goes through it.

use crate::net::{Hosted, behind};
use harness::UdpStream;
use std::time::{Duration, Instant};

#[test]
fn changes_elsewhere_cost_no_packet() {
    let net = Hosted::start(3, "", "", "");
    let [a, b, c] = &net.hosts[..] else { panic!("three hosts") };
    a.ping("192.168.2.12");
    a.ping("192.168.2.13");
    let streams = [UdpStream::start(a, b, 1000), UdpStream::start(b, a, 1000)];
    let commands = [
        "interface set pc isolated true",
        "interface set pc bridge off",
        "interface set pc bridge br0",
        "interface set pc vlan 10",
        "config rollback",
        "bridge set br0 mac-age 20s",
        "bridge set br0 stp pass mac-limit 1000",
        "bridge add br1",
        "interface set pc bridge br1",
        "interface set pc bridge br0",
        "bridge remove br1",
        "bridge set br0 mac-age 300s stp drop mac-limit 65536",
        "clear mac-table interface pc",
        "interface set pc down",
        "interface set pc up",
    ];
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        for command in commands {
            net.router.run(command);
        }
    }
    for stream in streams {
        let (sent, lost) = stream.finish();
        assert!(sent > 500 && lost.is_empty(), "{} of {sent} lost", lost.len());
    }
    assert_eq!(behind(&net.router, &a.mac()), "pa");
    // The kernel at the other end of c's cable may need a moment.
    assert!(harness::within(harness::PATIENCE, || c.reaches("192.168.2.11").then_some(())).is_some());
}

#[test]
fn a_bridge_comes_and_goes() {
    let net = Hosted::start(2, "", "", "");
    let [a, b] = &net.hosts[..] else { panic!("two hosts") };
    a.ping("192.168.2.12");
    for _ in 0..3 {
        net.router.run("interface set pa bridge off");
        net.router.run("interface set pb bridge off");
        net.router.run("bridge remove br0");
        assert_eq!(net.router.list("show bridges"), [] as [serde_json::Value; 0]);
        assert!(!a.reaches("192.168.2.12"));
        net.router.run("bridge add br0");
        net.router.run("interface set pa bridge br0");
        net.router.run("interface set pb bridge br0");
        a.ping("192.168.2.12");
        b.ping("192.168.2.11");
    }
    let refused = net.router.ctl("bridge remove br0");
    assert!(refused.code != 0 && refused.stderr.contains("br0"), "{refused:?}");
}
