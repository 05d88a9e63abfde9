//! Sets of next hops: that they have places of their own, and what becomes of those.

use super::*;
use crate::control::routes::update::Refusal;
use std::time::{Duration, Instant};

/// Does what is left to be done; in how many pieces.
fn settle(routes: &mut Routes) -> usize {
    let mut pieces = 0;
    while routes.work() {
        pieces += 1;
    }
    pieces
}

/// The gateway of each bucket.
fn layout(routes: &Routes, to: &str) -> Vec<String> {
    buckets(routes, ip(to)).iter().map(|adjacency| made_of(adjacency.next_hop)).collect()
}

/// The first of so many prefixes of 24 bits from 20.0.0.0 on, and of others.
fn many(n: u32) -> impl Iterator<Item = IpNet> {
    (0..n).map(|n| net(&format!("{}/24", Ipv4Addr::from_bits((20 << 24) + (n << 8)))))
}

/// Tells so many routes.
fn tell(routes: &mut Routes, name: &str, distance: u32, n: u32, path: &Path) {
    let session = routes.open(0, name, distance).unwrap();
    let mut update = routes.update(session).unwrap();
    let lead = update.lead(path).unwrap();
    many(n).for_each(|prefix| update.set(prefix, lead, true).unwrap());
    update.release(lead);
}

#[test]
fn half_a_million_routes_fail_over_at_once() {
    both(|| {
        const N: u32 = 500_000;
        let mut routes = routes();
        let two = Path::Via([on("203.0.113.9", WAN), on("192.168.1.9", LAN)].into());
        tell(&mut routes, "bgp", 20, N, &two);
        let asked = ["20.0.0.1", "21.2.3.4", "25.6.7.8"];
        let places = |routes: &Routes| asked.map(|to| routes.lookup(0, ip(to)));
        let before = places(&routes);
        let mut best = Duration::MAX;
        for _ in 0..5 {
            for (up, left) in [(false, &["192.168.1.9"][..]), (true, &["192.168.1.9", "203.0.113.9"][..])] {
                let begun = Instant::now();
                routes.set_link(WAN, link(up)).unwrap();
                best = best.min(begun.elapsed());
                assert!(!routes.has_work());
                asked.into_iter().for_each(|to| assert_eq!(gateways(&routes, to), left));
                assert_eq!(places(&routes), before, "no route was touched");
            }
        }
        assert!(best < Duration::from_millis(10), "{best:?}");
    });
}

/// A route by route alternative has to be found for each; that is done in pieces, and meanwhile nothing is sent astray.
#[test]
fn routes_of_a_set_that_lost_its_last_way_give_way_in_pieces() {
    both(|| {
        const N: u32 = 20_000;
        let mut routes = routes();
        tell(&mut routes, "bgp", 20, N, &Path::Via([on("203.0.113.9", WAN)].into()));
        tell(&mut routes, "ospf", 110, N, &Path::Via([on("192.168.1.9", LAN)].into()));
        let (first, last) = ("20.0.0.1", "20.78.31.1");
        routes.set_link(WAN, link(false)).unwrap();
        assert_eq!(gateways(&routes, first), ["192.168.1.9"], "the first piece is done at once");
        assert_eq!(kind(&routes, last), AdjacencyKind::Drop);
        // Another daemon comes meanwhile; what is found by place has to be found anew.
        let rip = routes.open(0, "a-first", 5).unwrap();
        assert!(settle(&mut routes) >= 2 * N as usize / 1000 - 1);
        many(N).for_each(|prefix| {
            assert!(matches!(routes.lookup(0, prefix.addr()), Some(Target::Adjacency(_))));
        });
        assert_eq!([first, last].map(|to| gateways(&routes, to)), [["192.168.1.9"]; 2]);
        // Back before all was done, and gone again.
        routes.set_link(WAN, link(true)).unwrap();
        routes.work();
        routes.set_link(WAN, link(false)).unwrap();
        routes.work();
        routes.set_link(WAN, link(true)).unwrap();
        settle(&mut routes);
        assert_eq!([first, last].map(|to| gateways(&routes, to)), [["203.0.113.9"]; 2]);
        routes.close(rip);
    });
}

#[test]
fn what_is_learnt_of_a_neighbour_reaches_all_that_lead_to_it() {
    both(|| {
        let mut routes = routes();
        let (one, behind) = (via(&["203.0.113.9"]), via(&["10.9.9.9"]));
        routes.set(0, net("10.0.0.0/8"), STATIC, one).unwrap();
        routes.set(0, net("20.0.0.0/8"), STATIC, behind).unwrap();
        routes.set(0, net("30.0.0.0/8"), STATIC, via(&["203.0.113.9", "192.168.1.9"])).unwrap();
        let at = ip("203.0.113.9");
        let kinds = |routes: &Routes| {
            ["10.0.0.1", "20.0.0.1", "30.0.0.1"].map(|to| {
                let ways = ways(routes, to).into_iter().map(|(a, _)| a);
                ways.filter(|a| made_of(a.next_hop) == "203.0.113.9").map(|a| a.kind).collect::<Vec<_>>()
            })
        };
        let all = |kind| [[kind], [kind], [kind]].map(Vec::from);
        assert_eq!(kinds(&routes), all(AdjacencyKind::Arp));
        routes.neighbor_known(0, WAN, at, MacAddr([2, 0, 0, 0, 0, 9])).unwrap();
        assert_eq!(kinds(&routes), all(AdjacencyKind::Rewrite));
        routes.neighbor_stale(WAN, at, true);
        assert_eq!(kinds(&routes), all(AdjacencyKind::Stale));
        assert_eq!(ways(&routes, "20.0.0.1")[0].0.header()[..6], [2, 0, 0, 0, 0, 9]);
        routes.neighbor_known(0, WAN, at, MacAddr([2, 0, 0, 0, 0, 10])).unwrap();
        assert_eq!(kinds(&routes), all(AdjacencyKind::Rewrite), "heard again");
        assert_eq!(ways(&routes, "20.0.0.1")[0].0.header()[..6], [2, 0, 0, 0, 0, 10]);
        routes.neighbor_unknown(0, WAN, at);
        let [one, behind, _] = all(AdjacencyKind::Arp);
        assert_eq!(kinds(&routes), [one, behind, vec![]], "where there is another, that is taken");
    });
}

#[test]
fn a_single_next_hop_with_several_ways() {
    both(|| {
        let mut routes = routes();
        let place = |routes: &mut Routes, hops: &[&str]| {
            routes.set(0, net("10.9.0.0/16"), STATIC, via(hops)).unwrap();
            routes.lookup(0, ip("20.0.0.1"))
        };
        routes.set(0, net("20.0.0.0/8"), STATIC, via(&["10.9.9.9"])).unwrap();
        let one = place(&mut routes, &["203.0.113.9"]);
        assert_eq!((gateways(&routes, "20.0.0.1"), routes.balances()), (vec!["203.0.113.9".to_owned()], 0));
        assert_eq!(place(&mut routes, &["203.0.113.9", "192.168.1.9"]), one);
        assert_eq!((gateways(&routes, "20.0.0.1").len(), routes.balances()), (2, 2));
        assert_eq!(place(&mut routes, &["192.168.1.7"]), one);
        assert_eq!((gateways(&routes, "20.0.0.1"), routes.balances()), (vec!["192.168.1.7".to_owned()], 0));
        let before = routes.adjacencies().count();
        routes.unset(0, net("20.0.0.0/8"), STATIC);
        routes.unset(0, net("10.9.0.0/16"), STATIC);
        assert_eq!(routes.adjacencies().count(), before - 3, "two places and the neighbour");
    });
}

#[test]
fn flows_move_only_from_what_goes_and_back_to_what_comes() {
    both(|| {
        let mut routes = routes();
        let uplinks = [(11, "172.16.1.0/24", "172.16.1.1"), (12, "172.16.2.0/24", "172.16.2.1")];
        for (interface, subnet, own) in uplinks {
            routes.set_link(interface, link(true)).unwrap();
            routes.set(0, net(subnet), connected(own), Path::Glean(interface)).unwrap();
        }
        let hops = weighted(&[("203.0.113.9", 2), ("172.16.1.9", 1), ("172.16.2.9", 1)]);
        routes.set(0, net("10.0.0.0/8"), STATIC, hops).unwrap();
        // Through the first, and in a set with another.
        routes.set(0, net("20.0.0.0/8"), STATIC, via(&["10.1.1.1"])).unwrap();
        routes.set(0, net("30.0.0.0/8"), STATIC, via(&["10.1.1.1", "192.168.1.9"])).unwrap();
        for to in ["10.0.0.1", "20.0.0.1", "30.0.0.1"] {
            let before = layout(&routes, to);
            for gone in [WAN, 11, 12] {
                let its =
                    ["203.0.113.9", "172.16.1.9", "172.16.2.9"][[WAN, 11, 12].iter().position(|i| *i == gone).unwrap()];
                assert!(before.iter().any(|gateway| gateway == its));
                routes.set_link(gone, link(false)).unwrap();
                let without = layout(&routes, to);
                for (before, now) in before.iter().zip(&without) {
                    assert!(now != its && (now == before || before == its), "{to} without {its}: {before} to {now}");
                }
                routes.set_link(gone, link(true)).unwrap();
                assert_eq!(layout(&routes, to), before, "{to} with {its} again");
            }
        }
    });
}

/// A neighbour that was known and is not any more is passed over, as long as there are others.
#[test]
fn a_lost_neighbour_is_passed_over() {
    both(|| {
        let mut routes = routes();
        routes.set(0, net("10.0.0.0/8"), STATIC, via(&["203.0.113.9", "192.168.1.9"])).unwrap();
        routes.set(0, net("20.0.0.0/8"), STATIC, via(&["10.1.1.1"])).unwrap();
        routes.set(0, net("30.0.0.0/8"), STATIC, via(&["203.0.113.9"])).unwrap();
        let all = [(WAN, "203.0.113.9"), (LAN, "192.168.1.9")];
        let seen = |routes: &Routes| ["10.0.0.1", "20.0.0.1"].map(|to| gateways(routes, to).join(" "));
        let (both, lan, wan) = (["192.168.1.9 203.0.113.9"; 2], ["192.168.1.9"; 2], ["203.0.113.9"; 2]);
        assert_eq!(seen(&routes), both, "never known is not lost");
        let know = |routes: &mut Routes, (interface, address)| {
            routes.neighbor_known(0, interface, ip(address), MacAddr([2, 0, 0, 0, 0, 9])).unwrap();
        };
        let lose = |routes: &mut Routes, (interface, address)| routes.neighbor_unknown(0, interface, ip(address));
        all.into_iter().for_each(|neighbor| know(&mut routes, neighbor));
        let before = layout(&routes, "10.0.0.1");
        lose(&mut routes, all[0]);
        assert_eq!(seen(&routes), lan);
        assert_eq!(kind(&routes, "30.0.0.1"), AdjacencyKind::Arp, "there is no other");
        lose(&mut routes, all[1]);
        assert_eq!(seen(&routes), both, "there is no better one");
        know(&mut routes, all[0]);
        assert_eq!(seen(&routes), wan);
        know(&mut routes, all[1]);
        assert_eq!((seen(&routes), layout(&routes, "10.0.0.1")), (both.map(str::to_owned), before));
        // With its interface it is lost, but may be there when that comes back.
        routes.set_link(WAN, link(false)).unwrap();
        lose(&mut routes, all[0]);
        assert_eq!(seen(&routes), lan);
        routes.set_link(WAN, link(true)).unwrap();
        assert_eq!(seen(&routes), both);
    });
}

#[test]
fn routes_into_other_tables() {
    both(|| {
        let mut routes = routes();
        let (blue, red) = (routes.add_table().unwrap(), routes.add_table().unwrap());
        routes.set(blue, net("10.0.0.0/8"), STATIC, Path::Via([on("192.168.1.9", LAN)].into())).unwrap();
        routes.set(0, net("10.0.0.0/8"), STATIC, Path::NextVrf(blue)).unwrap();
        routes.set(blue, net("0.0.0.0/0"), STATIC, Path::NextVrf(0)).unwrap();
        routes.set(red, net("0.0.0.0/0"), STATIC, Path::NextVrf(blue)).unwrap();
        let leads = |routes: &Routes, to| ways(routes, to).first().map(|(a, _)| (a.kind, a.index));
        assert_eq!(leads(&routes, "10.1.1.1"), Some((AdjacencyKind::Table, blue)));
        for (table, to, out) in [(0, "10.1.1.1", LAN), (blue, "203.0.113.9", WAN), (red, "203.0.113.9", WAN)] {
            assert_eq!(routes.way_out(table, ip(to)), Some(out), "{table} {to}");
        }
        assert_eq!(routes.way_out(blue, ip("8.8.8.8")), None);
        // What is unknown in both goes round in circles, for a while.
        routes.set(0, net("0.0.0.0/0"), STATIC, Path::NextVrf(blue)).unwrap();
        assert_eq!(routes.way_out(red, ip("8.8.8.8")), None);
        // Gateways are not looked for in other tables.
        routes.set(0, net("50.0.0.0/8"), STATIC, via(&["10.9.9.9"])).unwrap();
        assert_eq!(gateways(&routes, "50.0.0.1").first().map(String::as_str), Some("0.0.0.0"), "the default route's");
        assert_eq!(leads(&routes, "50.0.0.1"), Some((AdjacencyKind::Table, blue)));

        // Daemons may tell such routes, too.
        let bgp = routes.open(0, "bgp", 20).unwrap();
        let mut update = routes.update(bgp).unwrap();
        let lead = update.lead(&Path::NextVrf(red)).unwrap();
        update.set(net("60.0.0.0/8"), lead, true).unwrap();
        update.release(lead);
        drop(update);
        assert_eq!(leads(&routes, "60.0.0.1"), Some((AdjacencyKind::Table, red)));
        assert_eq!(routes.get(0, net("60.0.0.0/8")).unwrap().path, Path::NextVrf(red));
        routes.set(0, net("60.0.0.0/7"), STATIC, via(&["203.0.113.9"])).unwrap();
        routes.remove_table(red);
        settle(&mut routes);
        assert_eq!(gateways(&routes, "60.0.0.1"), ["203.0.113.9"], "the table is gone, and the route not used");
        // Another table of its number is none of its business.
        routes.adjacencies.set_table(red, true);
        assert_eq!(routes.vrfs[&0].groups.to_table(red), None);
        assert_eq!(gateways(&routes, "60.0.0.1"), ["203.0.113.9"]);
    });
}

#[test]
fn families_do_not_mix() {
    let mut routes = routes();
    let path =
        |gateway: &str| Path::Via([Hop { gateway: gateway.parse().unwrap(), interface: Some(WAN), weight: 1 }].into());
    for (prefix, gateway) in [("10.0.0.0/8", "fe80::9"), ("2001:db8::/32", "203.0.113.9")] {
        let prefix: IpNet = prefix.parse().unwrap();
        assert!(matches!(routes.set(0, prefix, STATIC, path(gateway)), Err(RouteError::Family)));
        let session = routes.open(0, "bgp", 20).unwrap();
        let mut update = routes.update(session).unwrap();
        let lead = update.lead(&path(gateway)).unwrap();
        assert_eq!(update.set(prefix, lead, true), Err(Refusal::Family));
        // The set is there now; that changes nothing.
        drop(update);
        assert!(matches!(routes.set(0, prefix, STATIC, path(gateway)), Err(RouteError::Family)));
        routes.update(session).unwrap().release(lead);
        routes.close(session);
    }
    assert_eq!(routes.vrfs[&0].groups.count(), 0);
}

/// Link-local addresses are each link's own: the same gateway on two links is two gateways, and neighbours are found by interface.
#[test]
fn link_local_neighbours() {
    let mut routes = routes();
    let gateway = "fe80::9";
    let hop = |interface| on(gateway, interface);
    let prefix = net("2001:db8::/32");
    routes.set(0, prefix, STATIC, Path::Via([hop(WAN), hop(LAN)].into())).unwrap();
    let macs = [(WAN, 8), (LAN, 9)].map(|(interface, n)| (interface, MacAddr([2, 0, 0, 0, 0, n])));
    for (interface, mac) in macs {
        routes.neighbor_known(0, interface, ip(gateway), mac).unwrap();
    }
    routes.publish_link_locals();
    let mut to: Vec<_> = buckets(&routes, prefix.addr()).iter().map(|a| (a.interface, a.header()[5])).collect();
    to.sort_unstable();
    to.dedup();
    assert_eq!(to, [(WAN, 8), (LAN, 9)]);
    let found = |routes: &Routes, interface, address: &str| {
        let me = domain().register();
        let IpAddr::V6(address) = ip(address) else { unreachable!() };
        let index = routes.forwarding.link_local(interface, address.to_bits(), &me.guard())?;
        let adjacency = routes.forwarding.adjacencies.get(index, &me.guard()).unwrap();
        Some((adjacency.kind, adjacency.header().get(5).copied()))
    };
    assert_eq!(found(&routes, WAN, gateway), Some((AdjacencyKind::Rewrite, Some(8))));
    assert_eq!(found(&routes, LAN, gateway), Some((AdjacencyKind::Rewrite, Some(9))));
    assert_eq!(found(&routes, LAN, "fe80::a"), Some((AdjacencyKind::Glean, None)));
    assert_eq!(routes.get(0, host(ip(gateway))), None, "no route leads to it");
    assert_eq!(routes.lookup(0, ip(gateway)), Some(Target::Adjacency(adjacencies::LINK_LOCAL)));
    routes.neighbor_stale(LAN, ip(gateway), true);
    assert_eq!(found(&routes, LAN, gateway), Some((AdjacencyKind::Stale, Some(9))));
    routes.neighbor_unknown(0, LAN, ip(gateway));
    routes.publish_link_locals();
    assert_eq!(found(&routes, LAN, gateway), Some((AdjacencyKind::Glean, None)));
    assert!(routes.adjacencies().is_next_hop(LAN, ip(gateway)));
    // What is found until then is not another's: its adjacency is not given away before.
    routes.neighbor_known(0, LAN, ip("fe80::b"), macs[0].1).unwrap();
    routes.publish_link_locals();
    routes.neighbor_unknown(0, LAN, ip("fe80::b"));
    for n in 1..=100 {
        routes.neighbor_known(0, LAN, ip(&format!("fe80::1:{n}")), macs[1].1).unwrap();
        let _ = domain().collect();
    }
    assert_eq!(found(&routes, LAN, "fe80::b"), Some((AdjacencyKind::Arp, None)));
    routes.publish_link_locals();
    assert_eq!(found(&routes, LAN, "fe80::b"), Some((AdjacencyKind::Glean, None)));
    assert_eq!(found(&routes, LAN, "fe80::1:64"), Some((AdjacencyKind::Rewrite, Some(9))));
    // Without its interface it is no gateway.
    routes.set(0, prefix, STATIC, Path::Via([Hop { interface: None, ..hop(WAN) }].into())).unwrap();
    assert_eq!(buckets(&routes, prefix.addr()), []);
    routes.remove_link(LAN);
    assert_eq!(found(&routes, LAN, gateway), None);
}

/// However routes lead over each other, looking for the ways of a set ends soon.
#[test]
fn many_ways_to_many_ways() {
    both(|| {
        let mut routes = routes();
        for level in 1..=7 {
            let under = |n| if level == 1 { format!("203.0.113.{}", 2 + n) } else { format!("{}.0.{n}.1", 49 + level) };
            let hops: Vec<String> = (0..64).map(under).collect();
            let path = via(&hops.iter().map(String::as_str).collect::<Vec<_>>());
            for n in 0..64 {
                routes.set(0, net(&format!("{}.0.{n}.0/24", 50 + level)), STATIC, path.clone()).unwrap();
            }
        }
        assert_eq!(buckets(&routes, ip("52.0.1.1")).len(), 64);
        assert!(!gateways(&routes, "52.0.1.1").is_empty());
    });
}
