//! Routes: the longest prefix wins, several next hops share by flow and weight, and changes lose nothing.

use harness::frames::{self, Ip, Mac};
use harness::{Hosts, LAN, UdpStream, Wires, eventually};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Three neighbours in the wan to route to, besides the station of its own.
const NEIGHBORS: &str = "
  - {interface: wan, address: 203.0.113.11, mac: '02:00:00:00:02:0b'}
  - {interface: wan, address: 203.0.113.12, mac: '02:00:00:00:02:0c'}
  - {interface: wan, address: 203.0.113.13, mac: '02:00:00:00:02:0d'}
";

fn neighbor(last: u8) -> Mac {
    [2, 0, 0, 0, 2, last]
}

fn packet(to: Ip, source_port: u16) -> Vec<u8> {
    let header = frames::header(LAN.ip, to);
    LAN.frame(&frames::packet(&header, &frames::udp(&header, source_port, 7, b"route me")))
}

/// Where a packet goes: the neighbour's hardware address.
fn way(net: &Wires, to: Ip) -> Option<Mac> {
    net.pass(&[packet(to, 40_000)]).wan.first().map(|frame| frames::link(frame).0)
}

#[test]
fn the_longest_prefix_wins() {
    let net = Wires::start(&format!(
        "{NEIGHBORS}routes:
  - {{to: 0.0.0.0/0, via: 203.0.113.10}}
  - {{to: 10.0.0.0/8, via: 203.0.113.11}}
  - {{to: 10.1.0.0/16, via: 203.0.113.12}}
  - {{to: 10.1.1.128/25, via: 203.0.113.13}}
  - {{to: 10.1.1.200/32, via: 203.0.113.10}}
"
    ));
    for (to, last) in [
        ([10, 1, 1, 200], 10),
        ([10, 1, 1, 199], 13),
        ([10, 1, 1, 128], 13),
        ([10, 1, 1, 127], 12),
        ([10, 1, 255, 255], 12),
        ([10, 2, 0, 0], 11),
        ([10, 255, 255, 255], 11),
        ([11, 0, 0, 0], 10),
        ([9, 255, 255, 255], 10),
    ] {
        assert_eq!(way(&net, to), Some(neighbor(last)), "{to:?}");
    }
}

#[test]
fn routes_are_changed_while_it_runs() {
    let net = Wires::start(NEIGHBORS);
    let to = [198, 51, 100, 7];
    let route = |prefix: &str| net.router.list("show ip route").into_iter().find(|row| row["prefix"] == prefix);
    // Command, and the neighbour that the packet then goes to.
    for (command, last) in [
        ("route add 198.51.100.0/24 via 203.0.113.11", Some(11)),
        ("route add 198.51.100.0/28 via 203.0.113.12", Some(12)),
        ("route replace 198.51.100.0/28 via 203.0.113.13 interface wan", Some(13)),
        ("route remove 198.51.100.0/28", Some(11)),
        ("route replace 198.51.100.0/24 blackhole", None),
        ("route replace 198.51.100.0/24 via 203.0.113.10", Some(10)),
        ("route remove 198.51.100.0/24", None),
        ("route add 0.0.0.0/0 via 203.0.113.12", Some(12)),
    ] {
        net.router.run(command);
        assert_eq!(way(&net, to), last.map(neighbor), "after {command}");
    }
    let default = route("0.0.0.0/0").expect("the default route");
    assert_eq!((&default["origin"], &default["vrf"]), (&"static".into(), &"default".into()));
    assert_eq!(default["next_hops"][0]["gateway"], "203.0.113.12");
    assert_eq!(default["next_hops"][0]["interface"], "wan");
    assert!(route("192.168.1.0/24").is_some_and(|row| row["origin"] == "connected"));
    for refused in [
        "route add 0.0.0.0/0 via 203.0.113.11",
        "route remove 10.9.9.0/24",
        "route add 10.9.9.0/24 via 203.0.113.11 interface nosuch",
        "route add 10.9.9.0/24 via 203.0.113.11 vrf nosuch",
    ] {
        let before = net.router.json("show ip route");
        let said = net.router.ctl(refused).code(1).stderr;
        assert!(!said.trim().is_empty(), "{refused} is refused without a word");
        assert_eq!(net.router.json("show ip route"), before, "{refused} changed something");
    }
}

/// Packets of this many flows to one prefix, by the neighbour that they go to.
fn spread(net: &Wires, flows: u16) -> BTreeMap<u8, usize> {
    let frames: Vec<_> = (0..flows).map(|flow| packet([198, 51, 100, 7], 20_000 + flow)).collect();
    let mut count = BTreeMap::new();
    for frame in net.pass(&frames).wan {
        *count.entry(frames::link(&frame).0[5]).or_default() += 1;
    }
    count
}

#[test]
fn several_next_hops_share_by_flow() {
    let via = "via: [203.0.113.10, 203.0.113.11]";
    let net = Wires::start(&format!("{NEIGHBORS}routes: [{{to: 198.51.100.0/24, {via}}}]"));
    let first = spread(&net, 512);
    assert_eq!(first.values().sum::<usize>(), 512);
    assert!(first.len() == 2 && first.values().all(|share| (170..=342).contains(share)), "{first:?}");
    assert_eq!(spread(&net, 512), first, "the same flows take the same ways");
    let one_flow = net.pass(&vec![packet([198, 51, 100, 7], 5000); 64]).wan;
    let ways: std::collections::BTreeSet<_> = one_flow.iter().map(|frame| frames::link(frame).0).collect();
    assert_eq!((one_flow.len(), ways.len()), (64, 1), "a flow stays on one way");
}

#[test]
fn weights_are_kept() {
    let hops = "{gateway: 203.0.113.10, weight: 3}, {gateway: 203.0.113.11, interface: wan}";
    let net = Wires::start(&format!("{NEIGHBORS}routes: [{{to: 198.51.100.0/24, via: [{hops}]}}]"));
    let share = spread(&net, 1024);
    let (heavy, light) = (share[&10] as f64, share[&11] as f64);
    assert!((2.0..4.5).contains(&(heavy / light)), "3 to 1 came out as {heavy} to {light}");
}

#[test]
fn a_gateway_may_lie_behind_another() {
    let routes = "routes: [{to: 10.9.0.0/16, via: 203.0.113.11}, {to: 198.51.100.0/24, via: 10.9.1.1}]";
    let net = Wires::start(&format!("{NEIGHBORS}{routes}"));
    assert_eq!(way(&net, [198, 51, 100, 7]), Some(neighbor(11)));
    net.router.run("route replace 10.9.0.0/16 via 203.0.113.12");
    assert_eq!(way(&net, [198, 51, 100, 7]), Some(neighbor(12)), "it follows");
}

#[test]
fn two_hundred_changes_under_traffic_lose_nothing() {
    let net = Hosts::start("routes: [{to: 198.51.100.0/24, via: 203.0.113.10}]");
    // Both gateways are the same host, so every packet arrives whichever way it takes.
    net.wan.ip("addr add 203.0.113.11/24 dev eth0");
    net.wan.ip("addr add 198.51.100.10/32 dev lo");
    for address in ["198.51.100.10", "203.0.113.11"] {
        eventually("the way is known", || net.lan.reaches(address).then_some(()));
    }
    let changes: String = (0..200)
        .map(|number| {
            let gateways = ["203.0.113.11", "203.0.113.10,203.0.113.11", "203.0.113.10"][number % 3];
            format!("route replace 198.51.100.0/24 via {gateways}\nroute replace 10.{number}.0.0/16 via {gateways}\n")
        })
        .collect();
    let script = net.lab.files.write("changes", changes);
    let stream = UdpStream::start(&net.lan, &net.wan.at("198.51.100.10"), 2000);
    let mut ping = net.lan.spawn("ping -n -q -i 0.01 -c 200 -W 2 198.51.100.10");
    let (begin, mut rounds) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(3) {
        net.router.run(&format!("-f {}", script.display()));
        rounds += 1;
    }
    let report = ping.wait_for(Duration::from_secs(20)).ok();
    let (sent, missing) = stream.finish();
    assert!(sent > 3000, "only {sent} packets were sent");
    let errors = net.router.run("show errors");
    assert!(
        missing.is_empty(),
        "{} of {sent} packets lost in {rounds} x 400 changes: {missing:?}\n{errors}",
        missing.len()
    );
    assert!(report.contains(" 0% packet loss"), "{report}");
}
