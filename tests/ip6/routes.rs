//! Routes: the longest prefix wins, gateways global and link-local, sharing by flow, VRFs, and changes that lose nothing.

use harness::frames6::{self, Icmp6, Ip6, ip6, traffic};
use harness::{DualHosts, LAN6, UdpStream, Wires, eventually, frames};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Neighbours in the wan to route to, besides the station of its own; the last by its link-local address.
const NEIGHBORS: &str = "
  - {interface: wan, address: '2001:db8:2::11', mac: '02:00:00:00:02:11'}
  - {interface: wan, address: '2001:db8:2::12', mac: '02:00:00:00:02:12'}
  - {interface: wan, address: '2001:db8:2::13', mac: '02:00:00:00:02:13'}
  - {interface: wan, address: 'fe80::14', mac: '02:00:00:00:02:14'}
";

fn packet(to: Ip6, source_port: u16, flow_label: u32) -> Vec<u8> {
    let mut header = frames6::header(LAN6.ip, to);
    header.flow_label = flow_label.try_into().expect("20 bits");
    LAN6.frame(&frames6::packet(&header, &frames6::udp(&header, source_port, 7, b"route me")))
}

/// Where a packet goes: the last byte of the neighbour's hardware address.
fn way(net: &Wires, to: &str) -> Option<u8> {
    let seen = net.pass(&[packet(ip6(to), 40_000, 0)]);
    traffic(&seen.wan).first().map(|frame| frames::link(frame).0[5])
}

#[test]
fn the_longest_prefix_wins() {
    let net = Wires::dual(&format!(
        "{NEIGHBORS}routes:
  - {{to: '::/0', via: '2001:db8:2::10'}}
  - {{to: '2001:db8::/32', via: '2001:db8:2::11'}}
  - {{to: '2001:db8:7::/48', via: '2001:db8:2::12'}}
  - {{to: '2001:db8:7:8000::/49', via: '2001:db8:2::13'}}
  - {{to: '2001:db8:7:8000::1/128', via: '2001:db8:2::10'}}
  - {{to: '2001:db8:7:8000:1::/80', via: '2001:db8:2::11'}}
"
    ));
    for (to, neighbor) in [
        ("2001:db8:7:8000::1", 0x0a),
        ("2001:db8:7:8000::2", 0x13),
        ("2001:db8:7:8000::", 0x13),
        ("2001:db8:7:8000:1::", 0x11),
        ("2001:db8:7:8000:1:ffff:ffff:ffff", 0x11),
        ("2001:db8:7:8000:2::", 0x13),
        ("2001:db8:7:ffff:ffff:ffff:ffff:ffff", 0x13),
        ("2001:db8:7:7fff:ffff:ffff:ffff:ffff", 0x12),
        ("2001:db8:8::", 0x11),
        ("2001:db9::", 0x0a),
        ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", 0x0a),
        ("3fff:ffff::1", 0x0a),
    ] {
        assert_eq!(way(&net, to), Some(neighbor), "{to}");
    }
}

/// By the CLI, under way.
#[test]
fn routes_are_changed_while_it_runs() {
    let net = Wires::dual(NEIGHBORS);
    let to = "2001:db8:77::7";
    let list = || net.router.list("show ipv6 route");
    let route = |prefix: &str| list().into_iter().find(|row| row["prefix"] == prefix);
    for (command, neighbor) in [
        ("route add 2001:db8:77::/48 via 2001:db8:2::11", Some(0x11)),
        ("route add 2001:db8:77::/64 via 2001:db8:2::12", Some(0x12)),
        ("route replace 2001:db8:77::/64 via fe80::14 interface wan", Some(0x14)),
        ("route remove 2001:db8:77::/64", Some(0x11)),
        ("route replace 2001:db8:77::/48 blackhole", None),
        ("route replace 2001:db8:77::/48 via 2001:db8:2::10", Some(0x0a)),
        ("route remove 2001:db8:77::/48", None),
        ("route add ::/0 via 2001:db8:2::12", Some(0x12)),
    ] {
        net.router.run(command);
        assert_eq!(way(&net, to), neighbor, "after {command}");
    }
    let default = route("::/0").expect("the default route");
    assert_eq!((&default["origin"], &default["vrf"]), (&"static".into(), &"default".into()));
    assert_eq!(default["next_hops"][0]["gateway"], "2001:db8:2::12");
    assert_eq!(default["next_hops"][0]["interface"], "wan");
    assert!(route("2001:db8:1::/64").is_some_and(|row| row["origin"] == "connected"), "{:?}", list());
    // Each family has its own listing.
    assert!(list().iter().all(|row| row["prefix"].as_str().is_some_and(|prefix| prefix.contains(':'))));
    let four = net.router.list("show ip route");
    assert!(four.iter().all(|row| row["prefix"].as_str().is_some_and(|prefix| prefix.contains('.'))), "{four:?}");
    for refused in [
        "route add ::/0 via 2001:db8:2::11",
        "route remove 2001:db8:99::/64",
        "route add 2001:db8:99::/64 via 203.0.113.10",
        "route add 10.9.9.0/24 via 2001:db8:2::10",
        "route add 2001:db8:99::/64 via fe80::14",
        "route add 2001:db8:99::/64 via 2001:db8:2::11 interface nosuch",
    ] {
        let before = net.router.json("show ipv6 route");
        let said = net.router.ctl(refused);
        assert!((1..=2).contains(&said.code) && !said.stderr.trim().is_empty(), "{refused}: {said:?}");
        assert_eq!(net.router.json("show ipv6 route"), before, "{refused} changed something");
    }
}

/// What a route says to senders: nothing, unreachable (code 3), prohibited (code 1), no route (code 0).
#[test]
fn routes_that_lead_nowhere() {
    let net = Wires::dual("");
    let error = || {
        let seen = traffic(&net.pass(&[packet(ip6("2001:db8:77::1"), 40_000, 0)]).lan);
        seen.first().and_then(|frame| Icmp6::error(frame)).map(|error| (error.kind, error.code))
    };
    assert_eq!(error(), Some((1, 0)));
    net.router.run("route add 2001:db8:77::/48 unreachable");
    assert_eq!(error(), Some((1, 3)));
    net.router.run("route replace 2001:db8:77::/48 prohibit");
    assert_eq!(error(), Some((1, 1)));
    net.router.run("route replace 2001:db8:77::/48 blackhole");
    assert_eq!(error(), None);
}

/// Packets of this many flows, told apart by ports or by flow labels, by the neighbour that they go to.
fn spread(net: &Wires, flows: u16, by_label: bool) -> BTreeMap<u8, usize> {
    let flow = |flow: u16| match by_label {
        true => packet(ip6("2001:db8:77::7"), 40_000, 0x1000 + u32::from(flow)),
        false => packet(ip6("2001:db8:77::7"), 20_000 + flow, 0),
    };
    let mut count = BTreeMap::new();
    for frame in traffic(&net.pass(&(0..flows).map(flow).collect::<Vec<_>>()).wan) {
        *count.entry(frames::link(&frame).0[5]).or_default() += 1;
    }
    count
}

#[test]
fn several_next_hops_share_by_flow() {
    let hops = "[{gateway: '2001:db8:2::11', weight: 3}, {gateway: 'fe80::14', interface: wan}]";
    let net = Wires::dual(&format!("{NEIGHBORS}routes: [{{to: '2001:db8:77::/48', via: {hops}}}]"));
    for by_label in [false, true] {
        let share = spread(&net, 1024, by_label);
        assert_eq!(share.values().sum::<usize>(), 1024);
        let (heavy, light) = (share[&0x11] as f64, share[&0x14] as f64);
        assert!((2.2..4.0).contains(&(heavy / light)), "3 to 1 came out as {heavy} to {light}");
        assert_eq!(spread(&net, 1024, by_label), share, "the same flows take the same ways");
    }
    let one_flow = traffic(&net.pass(&vec![packet(ip6("2001:db8:77::7"), 5000, 5); 64]).wan);
    let ways: BTreeSet<_> = one_flow.iter().map(|frame| frames::link(frame).0).collect();
    assert_eq!((one_flow.len(), ways.len()), (64, 1), "a flow stays on one way");
}

/// A recursive gateway follows the route that it lies behind.
#[test]
fn a_gateway_may_lie_behind_another() {
    let routes =
        "routes: [{to: '2001:db8:9::/48', via: '2001:db8:2::11'}, {to: '2001:db8:77::/48', via: '2001:db8:9::1'}]";
    let net = Wires::dual(&format!("{NEIGHBORS}{routes}"));
    assert_eq!(way(&net, "2001:db8:77::7"), Some(0x11));
    net.router.run("route replace 2001:db8:9::/48 via fe80::14 interface wan");
    assert_eq!(way(&net, "2001:db8:77::7"), Some(0x14), "it follows");
}

/// VRFs: the same prefix twice, and a way from one to the other.
#[test]
fn vrfs() {
    let net = Wires::dual_with(&format!(
        "{}{NEIGHBORS}vrfs: {{blue: {{}}}}
routes:
  - {{to: '2001:db8:77::/48', via: '2001:db8:2::11'}}
  - {{to: '2001:db8:78::/48', next-vrf: blue}}
  - {{to: 2001:db8:77::/48, vrf: blue, type: prohibit}}
  - {{to: 2001:db8:78::/48, vrf: blue, type: unreachable}}
",
        Wires::DUAL
    ));
    assert_eq!(way(&net, "2001:db8:77::7"), Some(0x11));
    let seen = traffic(&net.pass(&[packet(ip6("2001:db8:78::1"), 40_000, 0)]).lan);
    let error = Icmp6::error(&seen[0]).expect("the other table's answer");
    assert_eq!((error.kind, error.code), (1, 3));
    // An interface that moves takes its network with it, and its routes find their gateways no more.
    net.router.run("interface set wan vrf blue");
    net.lan.send(&packet(ip6("2001:db8:77::7"), 40_000, 0));
    let error = net.lan.expect("no way", Icmp6::error);
    assert_eq!(error.kind, 1);
    let there = |row: &serde_json::Value| row["prefix"] == "2001:db8:2::/64" && row["vrf"] == "blue";
    let blue = || net.router.list("show ipv6 route vrf blue").iter().any(there).then_some(());
    eventually("its network is there", blue);
    // But it is reached by a route into the other table.
    net.router.run("route add 2001:db8:2::/64 next-vrf blue");
    net.lan.send(&packet(ip6("2001:db8:2::10"), 40_000, 0));
    let frame = net.wan.expect("a packet by the other table", |frame| traffic(&[frame.to_vec()]).pop());
    assert_eq!(frames::link(&frame).0[5], 0x0a);
}

/// Static routes changed hundreds of times, while hosts talk by them: not one packet is lost.
#[test]
fn changes_under_traffic_lose_nothing() {
    let net = DualHosts::start("routes: [{to: '2001:db8:77::/48', via: '2001:db8:2::10'}]");
    // All gateways are the same host, so every packet arrives whichever way it takes.
    net.wan.ip("addr add 2001:db8:2::11/64 dev eth0 nodad");
    net.wan.ip("addr add fe80::14/64 dev eth0 nodad");
    net.wan.ip("addr add 2001:db8:77::10/128 dev lo nodad");
    for address in ["2001:db8:77::10", "2001:db8:2::11"] {
        eventually("the way is known", || net.lan.reaches(address).then_some(()));
    }
    net.router.run(&format!("neighbor add fe80::14 mac {} interface wan", net.wan.mac()));
    let changes: String = (0..60)
        .map(|number| {
            let gateways = ["2001:db8:2::11", "2001:db8:2::10,2001:db8:2::11", "fe80::14 interface wan"][number % 3];
            format!(
                "route replace 2001:db8:77::/48 via {gateways}\nroute replace 2001:db8:{number}:1::/64 via {gateways}\n"
            )
        })
        .collect();
    let script = net.lab.files.write("changes", changes);
    let stream = UdpStream::start(&net.lan, &net.wan.at("2001:db8:77::10"), 2000);
    let (begin, mut rounds) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(2) {
        net.router.run(&format!("-f {}", script.display()));
        rounds += 1;
    }
    let (sent, missing) = stream.finish();
    assert!(sent > 2000, "only {sent} packets were sent");
    let errors = net.router.run("show errors");
    assert!(missing.is_empty(), "{} of {sent} packets lost in {rounds} x 120 changes\n{errors}", missing.len());
}
