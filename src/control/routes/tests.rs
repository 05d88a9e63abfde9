//! Tests of routes, most of them for both families: IPv6 addresses are made of IPv4 ones by putting zeros behind.

use super::*;
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_tables::fib::Target;
use millrace_wire::Tags;
use std::cell::Cell;
use std::net::Ipv6Addr;
use std::ops::Bound;

mod groups;
mod model;
mod shown;
mod update;

const WAN: u32 = 1;
const LAN: u32 = 2;
const STATIC: Source = Source(Origin::Static, 0);

thread_local! {
    /// What [`ip`] and [`net`] make.
    static FAMILY: Cell<Family> = const { Cell::new(Family::Ip4) };
}

/// Runs a test for IPv4 and for IPv6.
fn both(test: impl Fn()) {
    for family in [Family::Ip4, Family::Ip6] {
        FAMILY.set(family);
        test();
    }
}

/// An address of the family under test. Those with colons stay what they are.
fn ip(text: &str) -> IpAddr {
    match (text.parse().unwrap(), FAMILY.get()) {
        (IpAddr::V4(address), Family::Ip6) => Ipv6Addr::from_bits(u128::from(address.to_bits()) << 96).into(),
        (address, _) => address,
    }
}

/// A prefix of the family under test, of one address if it was one.
fn net(text: &str) -> IpNet {
    match (text.parse().unwrap(), FAMILY.get()) {
        (IpNet::V4(prefix), Family::Ip6) => {
            let len = if prefix.prefix_len() == 32 { 128 } else { prefix.prefix_len() };
            IpNet::new(ip(&prefix.addr().to_string()), len).unwrap()
        }
        (prefix, _) => prefix,
    }
}

/// The IPv4 address that the next hop's address was made of.
fn made_of(next_hop: u128) -> String {
    let bits = if FAMILY.get() == Family::Ip6 { next_hop >> 96 } else { next_hop };
    Ipv4Addr::from_bits(u32::try_from(bits).unwrap()).to_string()
}

fn link(up: bool) -> Link {
    Link { mac: MacAddr([2, 0, 0, 0, 0, 1]), tags: None, mtu: 1500, up, ..Link::default() }
}

fn via(gateways: &[&str]) -> Path {
    weighted(&gateways.iter().map(|gateway| (*gateway, 1)).collect::<Vec<_>>())
}

fn weighted(gateways: &[(&str, u16)]) -> Path {
    let hop = |(gateway, weight): &(&str, u16)| Hop { gateway: ip(gateway), interface: None, weight: *weight };
    Path::Via(gateways.iter().map(hop).collect())
}

/// A next hop whose interface is said.
fn on(gateway: &str, interface: u32) -> Hop {
    Hop { gateway: ip(gateway), interface: Some(interface), weight: 1 }
}

/// What tells the routes of an address apart.
fn connected(address: &str) -> Source {
    let bits = match ip(address) {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    };
    Source(Origin::Connected, bits)
}

/// Two interfaces, 203.0.113.0/24 and 192.168.1.0/24, in table 0.
fn routes() -> Routes {
    let mut routes = Routes::new(Forwarding::new());
    assert_eq!(routes.add_table().unwrap(), 0);
    for (interface, subnet, own) in [(WAN, "203.0.113.0/24", "203.0.113.1"), (LAN, "192.168.1.0/24", "192.168.1.1")] {
        routes.set_link(interface, link(true)).unwrap();
        routes.set(0, host(ip(own)), connected(own), Path::Local(interface)).unwrap();
        routes.set(0, net(subnet), connected(own), Path::Glean(interface)).unwrap();
    }
    routes
}

/// The buckets that packets to an address are shared out over.
fn buckets(routes: &Routes, to: IpAddr) -> Vec<Adjacency> {
    let me = domain().register();
    let guard = me.guard();
    let adjacency = |index: u32| *routes.forwarding.adjacencies.get(index, &guard).unwrap();
    let balance = |index: u32| routes.forwarding.load_balances.get(index, &guard).unwrap().buckets().to_vec();
    let reader = match to {
        IpAddr::V4(to) => routes.forwarding.fibs.get(0, &guard).unwrap().lookup(&guard, to.to_bits()),
        IpAddr::V6(to) => routes.forwarding.fibs6.get(0, &guard).unwrap().lookup(&guard, to.to_bits()),
    };
    let indices = match Target::from_u32(reader) {
        Target::NO_ROUTE => Vec::new(),
        Target::LoadBalance(index) => balance(index),
        Target::Adjacency(index) => match adjacency(index) {
            Adjacency { kind: AdjacencyKind::Balance, index, .. } => balance(index),
            _ => vec![index],
        },
    };
    indices.into_iter().map(adjacency).collect()
}

/// The adjacencies that packets to an address may take, with the number of buckets of each.
fn ways(routes: &Routes, to: &str) -> Vec<(Adjacency, usize)> {
    let mut ways: Vec<(Adjacency, usize)> = Vec::new();
    for adjacency in buckets(routes, ip(to)) {
        match ways.iter_mut().find(|(a, _)| *a == adjacency) {
            Some((_, count)) => *count += 1,
            None => ways.push((adjacency, 1)),
        }
    }
    ways
}

/// The gateways that packets to an address go to.
fn gateways(routes: &Routes, to: &str) -> Vec<String> {
    let mut all: Vec<_> = ways(routes, to).iter().map(|(a, _)| made_of(a.next_hop)).collect();
    all.sort();
    all
}

fn kind(routes: &Routes, to: &str) -> AdjacencyKind {
    ways(routes, to).first().map_or(AdjacencyKind::Drop, |(a, _)| a.kind)
}

#[test]
fn the_best_origin_wins_and_the_next_takes_over() {
    both(|| {
        let mut routes = routes();
        assert_eq!(kind(&routes, "192.168.1.9"), AdjacencyKind::Glean);
        routes.set(0, net("192.168.1.0/24"), STATIC, Path::Blackhole).unwrap();
        assert_eq!(kind(&routes, "192.168.1.9"), AdjacencyKind::Glean, "connected is better than static");
        routes.set_link(LAN, link(false)).unwrap();
        assert_eq!(kind(&routes, "192.168.1.9"), AdjacencyKind::Blackhole);
        assert_eq!(kind(&routes, "192.168.1.1"), AdjacencyKind::Blackhole, "the address goes with its interface");
        routes.set_link(LAN, link(true)).unwrap();
        assert_eq!(kind(&routes, "192.168.1.9"), AdjacencyKind::Glean);
        assert!(routes.unset(0, net("192.168.1.0/24"), STATIC));
        assert!(!routes.unset(0, net("192.168.1.0/24"), STATIC));
        assert_eq!(buckets(&routes, "255.255.255.255".parse().unwrap())[0].kind, AdjacencyKind::Local);
        assert_eq!(buckets(&routes, "ff02::1".parse().unwrap())[0].kind, AdjacencyKind::Local);
        assert_eq!(buckets(&routes, "fe80::1".parse().unwrap())[0].kind, AdjacencyKind::LinkLocal);
    });
}

/// External addresses of NAT are the router's whatever interface is up; an interface that has one comes first.
#[test]
fn external_addresses() {
    let mut routes = routes();
    let nat = Source(Origin::Nat, 0);
    for address in ["203.0.113.1", "203.0.113.9", "198.51.100.9"] {
        routes.set(0, host(ip(address)), nat, Path::External).unwrap();
    }
    routes.set(0, net("198.51.100.9/32"), STATIC, Path::Blackhole).unwrap();
    routes.neighbor_known(0, WAN, ip("203.0.113.9"), MacAddr([2, 0, 0, 0, 0, 9])).unwrap();
    let shown = |routes: &Routes, address| routes.get(0, host(ip(address))).map(|c| (c.origin.to_owned(), c.path));
    assert_eq!(shown(&routes, "203.0.113.1"), Some(("connected".to_owned(), Path::Local(WAN))));
    assert_eq!(shown(&routes, "203.0.113.9"), Some(("nat".to_owned(), Path::External)));
    routes.set_link(WAN, link(false)).unwrap();
    for address in ["203.0.113.1", "203.0.113.9", "198.51.100.9"] {
        assert_eq!(
            (kind(&routes, address), shown(&routes, address)),
            (AdjacencyKind::Local, Some(("nat".to_owned(), Path::External)))
        );
        assert!(routes.unset(0, host(ip(address)), nat));
    }
    assert_eq!(kind(&routes, "203.0.113.1"), AdjacencyKind::Drop);
    assert_eq!(kind(&routes, "198.51.100.9"), AdjacencyKind::Blackhole);
}

#[test]
fn kinds_of_routes() {
    both(|| {
        let mut routes = routes();
        for (path, expected) in [
            (Path::Blackhole, AdjacencyKind::Blackhole),
            (Path::Unreachable, AdjacencyKind::Unreachable),
            (Path::Prohibit, AdjacencyKind::Prohibit),
            (via(&["203.0.113.9"]), AdjacencyKind::Arp),
        ] {
            routes.set(0, net("198.51.100.0/24"), STATIC, path).unwrap();
            assert_eq!(kind(&routes, "198.51.100.7"), expected);
        }
        assert_eq!(kind(&routes, "192.168.1.1"), AdjacencyKind::Local);
        assert_eq!(kind(&routes, "8.8.8.8"), AdjacencyKind::Drop);
    });
}

#[test]
fn gateways_resolve_through_other_routes_and_follow_them() {
    both(|| {
        let mut routes = routes();
        routes.set(0, net("198.51.100.0/24"), STATIC, via(&["10.9.1.1"])).unwrap();
        assert_eq!(gateways(&routes, "198.51.100.7"), [""; 0], "not yet");
        assert_eq!(routes.interfaces(0, &[Hop { gateway: ip("10.9.1.1"), interface: None, weight: 1 }].into()), [None]);
        routes.set(0, net("10.9.0.0/16"), STATIC, via(&["203.0.113.11"])).unwrap();
        assert_eq!(gateways(&routes, "198.51.100.7"), ["203.0.113.11"]);
        routes.set(0, net("10.9.0.0/16"), STATIC, via(&["203.0.113.12"])).unwrap();
        assert_eq!(gateways(&routes, "198.51.100.7"), ["203.0.113.12"]);
        routes.set(0, net("10.9.1.0/24"), STATIC, via(&["192.168.1.13"])).unwrap();
        assert_eq!(gateways(&routes, "198.51.100.7"), ["192.168.1.13"], "a more specific way to the gateway");
        assert_eq!(
            routes.interfaces(0, &[Hop { gateway: ip("10.9.1.1"), interface: None, weight: 1 }].into()),
            [Some(LAN)]
        );
        routes.unset(0, net("10.9.1.0/24"), STATIC);
        routes.unset(0, net("10.9.0.0/16"), STATIC);
        assert_eq!(gateways(&routes, "198.51.100.7"), [""; 0]);
        routes.unset(0, net("198.51.100.0/24"), STATIC);
        assert_eq!((routes.balances(), routes.adjacencies().is_next_hop(WAN, ip("203.0.113.12"))), (0, false));
    });
}

#[test]
fn routes_do_not_resolve_through_themselves() {
    both(|| {
        let mut routes = routes();
        routes.set(0, net("10.0.0.0/8"), STATIC, via(&["10.1.1.1"])).unwrap();
        assert_eq!(gateways(&routes, "10.2.3.4"), [""; 0]);
        routes.set(0, net("20.0.0.0/8"), STATIC, via(&["30.0.0.1"])).unwrap();
        routes.set(0, net("30.0.0.0/8"), STATIC, via(&["20.0.0.1"])).unwrap();
        assert_eq!(gateways(&routes, "20.1.1.1"), [""; 0], "nor in a circle");
        routes.set(0, net("0.0.0.0/0"), STATIC, via(&["203.0.113.1"])).unwrap();
        assert_eq!(gateways(&routes, "8.8.8.8"), [""; 0], "the router itself is no gateway");
        routes.set(0, net("0.0.0.0/0"), STATIC, via(&["203.0.113.9"])).unwrap();
        for to in ["8.8.8.8", "10.2.3.4", "20.1.1.1"] {
            assert_eq!(gateways(&routes, to), ["203.0.113.9"], "{to}");
        }
    });
}

#[test]
fn a_long_chain_ends() {
    both(|| {
        let mut routes = routes();
        for n in 1..=12 {
            let path = via(&[if n == 1 { "203.0.113.9".to_owned() } else { format!("10.{}.0.1", n - 1) }.as_str()]);
            routes.set(0, net(&format!("10.{n}.0.0/16")), STATIC, path).unwrap();
        }
        assert_eq!(gateways(&routes, "10.8.0.9"), ["203.0.113.9"]);
        assert_eq!(gateways(&routes, "10.12.0.9"), [""; 0], "too deep");
    });
}

#[test]
fn several_next_hops_and_what_is_left_of_them() {
    both(|| {
        let mut routes = routes();
        let both = via(&["203.0.113.9", "192.168.1.9"]);
        routes.set(0, net("10.0.0.0/8"), STATIC, both.clone()).unwrap();
        routes.set(0, net("11.0.0.0/8"), STATIC, both.clone()).unwrap();
        assert_eq!(gateways(&routes, "10.1.1.1"), ["192.168.1.9", "203.0.113.9"]);
        assert_eq!(routes.lookup(0, ip("10.1.1.1")), routes.lookup(0, ip("11.1.1.1")), "they share a load-balance");
        assert_eq!(routes.balances(), 1);
        routes.set_link(WAN, link(false)).unwrap();
        for to in ["10.1.1.1", "11.1.1.1"] {
            assert_eq!(gateways(&routes, to), ["192.168.1.9"]);
        }
        assert_eq!(routes.balances(), 1, "it keeps its place");
        routes.set_link(LAN, link(false)).unwrap();
        assert_eq!(gateways(&routes, "10.1.1.1"), [""; 0]);
        let shown: Vec<_> = routes.list(0, Bound::Excluded(net("0.0.0.0/0"))).map(|(prefix, _)| prefix).collect();
        assert!(shown.contains(&net("10.0.0.0/8")), "it is kept, and shown: {shown:?}");
        routes.set_link(WAN, link(true)).unwrap();
        routes.set_link(LAN, link(true)).unwrap();
        assert_eq!((gateways(&routes, "11.1.1.1").len(), routes.balances()), (2, 1));
    });
}

#[test]
fn weights_multiply_along_the_way() {
    both(|| {
        let mut routes = routes();
        routes.set(0, net("10.9.0.0/16"), STATIC, weighted(&[("203.0.113.11", 3), ("203.0.113.12", 1)])).unwrap();
        routes.set(0, net("10.8.0.0/16"), STATIC, weighted(&[("10.9.0.1", 1), ("192.168.1.9", 1)])).unwrap();
        let mut shares: Vec<_> = ways(&routes, "10.8.1.1").iter().map(|(a, n)| (made_of(a.next_hop), *n)).collect();
        shares.sort();
        let expected = [("192.168.1.9", 32), ("203.0.113.11", 24), ("203.0.113.12", 8)];
        assert_eq!(shares, expected.map(|(gateway, share)| (gateway.to_owned(), share)));
    });
}

#[test]
fn neighbours_have_host_routes_that_nothing_else_loses_to() {
    both(|| {
        let mut routes = routes();
        let mac = MacAddr([2, 0, 0, 0, 0, 9]);
        routes.set(0, net("10.0.0.0/8"), STATIC, via(&["192.168.1.9"])).unwrap();
        assert_eq!(
            (kind(&routes, "10.1.1.1"), kind(&routes, "192.168.1.9")),
            (AdjacencyKind::Arp, AdjacencyKind::Glean)
        );
        for mac in [mac, MacAddr([2, 0, 0, 0, 0, 10])] {
            routes.neighbor_known(0, LAN, ip("192.168.1.9"), mac).unwrap();
            for to in ["10.1.1.1", "192.168.1.9"] {
                assert_eq!(
                    (kind(&routes, to), &ways(&routes, to)[0].0.header()[..6]),
                    (AdjacencyKind::Rewrite, &mac.0[..])
                );
            }
        }
        assert!(
            routes.list(0, Bound::Unbounded).all(|(prefix, _)| prefix != net("192.168.1.9/32")),
            "it is not listed"
        );
        let (prefix, _) = routes.match_shown(0, ip("192.168.1.9")).unwrap();
        assert_eq!(prefix, net("192.168.1.0/24"));
        routes.set(0, net("192.168.1.9/32"), STATIC, Path::Blackhole).unwrap();
        assert_eq!(kind(&routes, "192.168.1.9"), AdjacencyKind::Blackhole);
        routes.unset(0, net("192.168.1.9/32"), STATIC);
        routes.neighbor_unknown(0, LAN, ip("192.168.1.9"));
        assert_eq!(
            (kind(&routes, "10.1.1.1"), kind(&routes, "192.168.1.9")),
            (AdjacencyKind::Arp, AdjacencyKind::Glean)
        );
    });
}

#[test]
fn headers_follow_the_interface() {
    both(|| {
        let mut routes = routes();
        routes.neighbor_known(0, LAN, ip("192.168.1.9"), MacAddr([2, 0, 0, 0, 0, 9])).unwrap();
        let mac = MacAddr([2, 0, 0, 0, 0, 0x77]);
        let changed = Link { mac, tags: Some(Tags::single(100)), mtu: 1400, ..link(true) };
        routes.set_link(LAN, changed).unwrap();
        let adjacency = ways(&routes, "192.168.1.9")[0].0;
        let what = if FAMILY.get() == Family::Ip4 { [8, 0] } else { [0x86, 0xdd] };
        let header = [&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 0x77, 0x81, 0, 0, 100][..], &what].concat();
        assert_eq!((adjacency.header(), adjacency.mtu), (&header[..], 1400));
    });
}

#[test]
fn tables_are_apart() {
    both(|| {
        let mut routes = routes();
        let blue = routes.add_table().unwrap();
        routes.set(blue, net("10.0.0.0/8"), STATIC, Path::Blackhole).unwrap();
        assert_eq!(kind(&routes, "10.1.1.1"), AdjacencyKind::Drop);
        assert!(routes.lookup(blue, ip("10.1.1.1")).is_some() && routes.lookup(blue, ip("192.168.1.9")).is_none());
        routes.remove_table(blue);
        assert!(matches!(routes.set(blue, net("10.0.0.0/8"), STATIC, Path::Blackhole), Err(RouteError::NoTable)));
    });
}
