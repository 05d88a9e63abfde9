//! Several ways to one destination: flows are spread as the weights say, none is reordered, and when a way goes or comes back only
//! the flows of that way move.

mod uplinks;

use harness::eventually;
use std::collections::BTreeMap;
use uplinks::{Packet, Uplinks, flows};

/// Half of the flows by the first way, a quarter by each of the others.
const ROUTES: &str = "routes:
  - to: 198.51.100.0/24
    via: [{gateway: 10.0.1.2, weight: 2}, {gateway: 10.0.2.2}, {gateway: 10.0.3.2}]
  - to: 2001:db8:ff::/48
    via: [{gateway: '2001:db8:11::2', weight: 2}, {gateway: '2001:db8:12::2'}, {gateway: '2001:db8:13::2'}]
";

/// The way of each flow, of which none may be lost.
#[track_caller]
fn ways(net: &Uplinks, packets: &[Packet]) -> BTreeMap<Packet, usize> {
    let ways: BTreeMap<Packet, usize> = net.send(packets).into_iter().collect();
    assert_eq!(ways.len(), packets.len(), "packets are lost");
    ways
}

/// The share of each way, in both families.
fn spread(ways: &BTreeMap<Packet, usize>) -> [[f64; 3]; 2] {
    [false, true].map(|ipv6| {
        let of_family = || ways.iter().filter(|(packet, _)| packet.ipv6 == ipv6);
        [1, 2, 3].map(|way| of_family().filter(|(_, w)| **w == way).count() as f64 / of_family().count() as f64)
    })
}

#[test]
fn ten_thousand_flows_are_spread_within_two_percent_of_the_weights() {
    let net = Uplinks::start(ROUTES);
    let all: Vec<_> = flows(10_000).collect();
    let taken = ways(&net, &all);
    for (family, shares) in ["IPv4", "IPv6"].iter().zip(spread(&taken)) {
        for (share, due) in shares.iter().zip([0.5, 0.25, 0.25]) {
            assert!((share - due).abs() < 0.02, "{family}: {shares:?}");
        }
    }
    let again: Vec<_> = all.iter().step_by(10).copied().collect();
    assert!(ways(&net, &again).iter().all(|(flow, way)| taken[flow] == *way), "a flow stays on its way");
}

#[test]
fn only_flows_of_a_way_that_goes_move_and_they_move_back() {
    let net = Uplinks::start(ROUTES);
    let all: Vec<_> = flows(2000).collect();
    let before = ways(&net, &all);
    for gone in [2, 1] {
        net.plug(gone, false);
        let without = ways(&net, &all);
        for (flow, way) in &before {
            let now = without[flow];
            assert!(now != gone && (now == *way || *way == gone), "{flow:?} went from {way} to {now}");
        }
        // What moved is shared by the others.
        let moved = |to: usize| before.iter().filter(|(f, way)| **way == gone && without[f] == to).count();
        let others: Vec<usize> = (1..=3).filter(|way| *way != gone).map(moved).collect();
        assert!(others.iter().all(|count| *count > 50), "{others:?}");
        net.plug(gone, true);
        // IPv6 makes sure first that the router's address is still its own.
        eventually("flows are where they were", || (ways(&net, &all) == before).then_some(()));
    }
    // A way that the configuration takes out and brings back is a way that goes and comes, too.
    net.router.run("interface set u3 down");
    let without = ways(&net, &all);
    assert!(before.iter().all(|(flow, way)| without[flow] != 3 && (without[flow] == *way || *way == 3)));
    net.router.run("interface set u3 up");
    eventually("flows are where they were", || (ways(&net, &all) == before).then_some(()));
}

#[test]
fn a_neighbour_that_is_lost_is_passed_over_and_asked_for() {
    let net = Uplinks::start(ROUTES);
    let all: Vec<_> = flows(500).collect();
    let before = ways(&net, &all);
    for (address, ipv6) in [("10.0.2.2", false), ("2001:db8:12::2", true)] {
        net.ways[1].drain();
        net.router.run(&format!("neighbor remove {address} interface u2"));
        let without = ways(&net, &all);
        for (flow, way) in &before {
            let lost = *way == 2 && flow.ipv6 == ipv6;
            assert!(if lost { without[flow] != 2 } else { without[flow] == *way }, "{flow:?} by {way}");
        }
        let question = if ipv6 { harness::frames6::IP6 } else { 0x806 };
        net.ways[1].expect("question for it", |frame| (harness::frames::ether_type(frame) == question).then_some(()));
        net.router.run(&format!("neighbor add {address} mac 02:00:00:00:01:02 interface u2"));
        assert_eq!(ways(&net, &all), before);
    }
}

#[test]
fn no_flow_is_reordered_while_a_way_goes_and_comes() {
    let net = Uplinks::start(ROUTES);
    let before = ways(&net, &flows(64).collect::<Vec<_>>());
    let mut seen: BTreeMap<(bool, u16), Vec<(u16, usize)>> = BTreeMap::new();
    let mut number = 0;
    for step in 0..4 {
        match step {
            1 => net.plug(3, false),
            2 => net.plug(3, true),
            _ => {}
        }
        // Each flow sends one packet after the other.
        let packets: Vec<_> =
            (number..number + 25).flat_map(|number| flows(64).map(move |packet| Packet { number, ..packet })).collect();
        number += 25;
        for (packet, way) in net.send(&packets) {
            seen.entry((packet.ipv6, packet.flow)).or_default().push((packet.number, way));
        }
    }
    assert_eq!(seen.len(), 128);
    for ((ipv6, flow), packets) in seen {
        let way = before[&Packet { ipv6, flow, number: 0 }];
        let who = format!("flow {flow}, IPv6 {ipv6}, by way {way}: {packets:?}");
        assert_eq!(packets.len(), 100, "none is lost: {who}");
        for way in 1..=3 {
            let on_way: Vec<u16> = packets.iter().filter(|(_, w)| *w == way).map(|(number, _)| *number).collect();
            assert!(on_way.is_sorted(), "{who}");
        }
        assert!(way == 3 || packets.iter().all(|(_, w)| *w == way), "it had no reason to move: {who}");
        assert!(way != 3 || packets.iter().any(|(_, w)| *w != 3), "it moved meanwhile: {who}");
    }
}
