use super::*;
use crate::neighbor_events::NeighborEvent;
use crate::testing::*;
use millrace_engine::testing::{Bench, Outcome};
use millrace_engine::{Feature, Waker};
use millrace_tables::load_balance::LoadBalance;

fn events() -> NeighborEvents {
    NeighborEvents::new(Waker::new().unwrap())
}

fn bench<F: Family>(world: &World) -> Bench<IpLookup<F>> {
    Bench::new(IpLookup::new(world.forwarding.clone(), events()))
}

/// An adjacency that only points further.
fn pointer(kind: AdjacencyKind, index: u32) -> Adjacency {
    Adjacency { index, ..Adjacency::new(kind) }
}

fn judge(name: &str, outcome: &Outcome, next: &str, adjacency: u32, interface: u32, count: Option<&'static str>) {
    let counts: Vec<_> = count.map(|c| (c, 1)).into_iter().collect();
    assert_eq!(fate(outcome), (next, &counts[..]), "{name}");
    let out = &outcome.packets[0];
    assert_eq!((out.adjacency, out.tx_interface), (adjacency, interface), "{name}");
    // RFC 1812 section 5.2.7.1, RFC 4443 section 3.1: which reason for what.
    let reason = match count {
        Some("no route") => Reason::NetUnreachable,
        Some("unreachable route") => Reason::HostUnreachable,
        Some("prohibit route") => Reason::Prohibited,
        _ => return,
    };
    assert_eq!(Reason::of(out), Some(reason), "{name}");
}

#[test]
fn by_kind_of_route() {
    let mut bench = bench::<V4>(&World::new());
    for (name, to, next, adjacency, interface, count) in [
        ("a neighbour", PEER, "ip4-rewrite", TO_PEER, WAN, None),
        ("the longest prefix wins", [203, 0, 113, 11], "ip4-glean", WAN_SUBNET, WAN, None),
        ("a next hop without MAC", [198, 51, 100, 50], "ip4-arp", TO_STRANGER, WAN, None),
        ("ourselves", LAN_IP, "ip4-local", OURS, 0, None),
        ("everyone", [255; 4], "ip4-local", OURS, 0, None),
        ("no route", [8, 8, 8, 8], "icmp4-error", NO_ROUTE, 0, Some("no route")),
        ("blackhole", [198, 51, 100, 1], "drop", BLACKHOLE, 0, Some("blackhole route")),
        ("unreachable", [198, 51, 100, 17], "icmp4-error", UNREACHABLE, 0, Some("unreachable route")),
        ("prohibit", [198, 51, 100, 33], "icmp4-error", PROHIBIT, 0, Some("prohibit route")),
        ("no such adjacency", [198, 51, 100, 65], "drop", 99, 0, Some("adjacency is being removed")),
    ] {
        let outcome = bench.one(&udp(HOST, to));
        judge(name, &outcome, next, adjacency, interface, count);
        assert_eq!(bytes(&outcome), udp(HOST, to), "{name}: unchanged");
    }
}

#[test]
fn by_kind_of_route_in_ip6() {
    let mut bench = bench::<V6>(&World::new());
    for (name, to, next, adjacency, interface, count) in [
        ("a neighbour", PEER6, "ip6-rewrite", TO_PEER6, WAN, None),
        ("the longest prefix wins", "2001:db8:2::11", "ip6-glean", WAN_SUBNET6, WAN, None),
        ("a next hop without MAC", "2001:db8:f3::50", "ip6-discover-neighbor", TO_STRANGER6, WAN, None),
        ("ourselves", LAN_IP6, "ip6-local", OURS, 0, None),
        ("a group", "ff02::1", "ip6-local", OURS, 0, None),
        // RFC 4291 section 2.5.6: whoever asks for it, it stays on the link that it came from.
        ("our link-local address", LAN_LL, "ip6-local", LINK_LOCAL, 0, None),
        ("somebody's link-local address", HOST_LL, "ip6-local", LINK_LOCAL, 0, None),
        ("no route", "2001:db8:99::1", "icmp6-error", NO_ROUTE, 0, Some("no route")),
        ("blackhole", "2001:db8:f0::1", "drop", BLACKHOLE, 0, Some("blackhole route")),
        ("unreachable", "2001:db8:f1::1", "icmp6-error", UNREACHABLE, 0, Some("unreachable route")),
        ("prohibit", "2001:db8:f2::1", "icmp6-error", PROHIBIT, 0, Some("prohibit route")),
        ("no such adjacency", "2001:db8:f4::1", "drop", 99, 0, Some("adjacency is being removed")),
    ] {
        let outcome = bench.one(&udp6(HOST6, to));
        judge(name, &outcome, next, adjacency, interface, count);
        assert_eq!(bytes(&outcome), udp6(HOST6, to), "{name}: unchanged");
    }
}

/// RFC 4007 section 6: the router's own packets say by the interface which link they mean.
#[test]
fn own_packets_to_link_local_addresses() {
    let mut bench = bench::<V6>(&World::new());
    for (name, to, interface, next, adjacency) in [
        ("a known neighbour", HOST_LL, LAN, "ip6-rewrite", TO_HOST_LL),
        ("an unknown one", "fe80::11", LAN, "ip6-glean", LAN_SUBNET6),
        ("the same address on another link", HOST_LL, WAN, "ip6-glean", WAN_SUBNET6),
    ] {
        let own = |meta: &mut millrace_engine::pool::Meta| (meta.marks, meta.tx_interface) = (marks::OWN, interface);
        judge(name, &bench.run(&[&udp6(LAN_LL, to)], own), next, adjacency, interface, None);
    }
    let outcome = bench.run(&[&udp6(LAN_LL, HOST_LL)], |meta| (meta.marks, meta.tx_interface) = (marks::OWN, LAN_100));
    assert_eq!(fate(&outcome), ("drop", &[("interface of a link-local address has no IPv6", 1)][..]));
}

#[test]
fn in_the_packets_table() {
    let mut bench = bench::<V4>(&World::new());
    let outcome = bench.run(&[&udp(HOST, PEER)], |meta| meta.table = 5);
    assert_eq!(fate(&outcome), ("icmp4-error", &[("no route", 1)][..]), "a table that is not there");
    assert_eq!(fate(&bench.one(b"short")), ("drop", &[("no IP header", 1)][..]));
}

#[test]
fn routes_that_lead_into_another_table() {
    let mut world = World::new();
    world.adjacency(30, pointer(AdjacencyKind::Table, 7));
    world.adjacency(31, pointer(AdjacencyKind::Table, 0));
    world.route("10.20.0.0/16", Target::Adjacency(30));
    world.route("10.21.0.0/16", Target::Adjacency(31));
    let (mut other, reader) = millrace_tables::lpm::Lpm::with_groups::<u32>(1).unwrap();
    world.forwarding.fibs.set(&millrace_engine::epoch::domain(), 7, reader).unwrap();
    other.insert("10.20.1.0/24".parse().unwrap(), Target::Adjacency(TO_PEER).to_u32()).unwrap();
    other.insert("10.20.2.0/24".parse().unwrap(), Target::LoadBalance(1).to_u32()).unwrap();
    other.insert("10.20.3.0/24".parse().unwrap(), Target::Adjacency(31).to_u32()).unwrap();
    let mut bench = bench::<V4>(&world);
    judge("found there", &bench.one(&udp(HOST, [10, 20, 1, 1])), "ip4-rewrite", TO_PEER, WAN, None);
    let shared = bench.one(&udp(HOST, [10, 20, 2, 1]));
    assert!([TO_PEER, TO_LAN_100].contains(&shared.packets[0].adjacency));
    assert_eq!(fate(&shared), ("ip4-rewrite", &[][..]));
    judge("not there", &bench.one(&udp(HOST, [10, 20, 9, 1])), "icmp4-error", NO_ROUTE, 0, Some("no route"));
    let ring = ("drop", &[("routes lead from one VRF to the next without end", 1)][..]);
    assert_eq!(fate(&bench.one(&udp(HOST, [10, 20, 3, 1]))), ring, "there and back");
    assert_eq!(fate(&bench.one(&udp(HOST, [10, 21, 0, 1]))), ring, "a table that leads into itself");
}

#[test]
fn an_adjacency_that_stands_for_several() {
    let mut world = World::new();
    let shared = LoadBalance::from_weights(&[(TO_PEER6, 1), (TO_HOST_LL, 3)]).unwrap();
    world.forwarding.load_balances.set(&millrace_engine::epoch::domain(), 2, shared).unwrap();
    world.adjacency(30, pointer(AdjacencyKind::Balance, 2));
    world.route6("2001:db8:a::/48", Target::Adjacency(30));
    let mut bench = bench::<V6>(&world);
    let packets: Vec<_> = (0..200).map(|n| udp6(&format!("2001:db8:1::{n:x}"), "2001:db8:a::1")).collect();
    let frame: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let once = bench.run(&frame, |_| {}).packets;
    assert_eq!(bench.run(&frame, |_| {}).packets, once, "the same flow goes the same way");
    let first = once.iter().filter(|out| out.adjacency == TO_PEER6).count();
    assert!((30..70).contains(&first), "{first} of 200 flows, of which a quarter is due");
    assert!(once.iter().all(|out| out.next == "ip6-rewrite"));
}

#[test]
fn flows_keep_their_path_and_are_shared_out() {
    let mut bench = bench::<V4>(&World::new());
    let packets: Vec<_> = (0..200).map(|n| udp([192, 168, 2, n], [172, 16, 0, 1])).collect();
    let frame: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let once = bench.run(&frame, |_| {}).packets;
    assert_eq!(bench.run(&frame, |_| {}).packets, once, "the same flow goes the same way");
    let first = once.iter().filter(|out| out.adjacency == TO_PEER).count();
    assert!((60..140).contains(&first), "{first} of 200 flows on one of two paths");
    assert!(once.iter().all(|out| out.next == "ip4-rewrite"));
    // A hash that is there already decides.
    let forced: Vec<u32> =
        (2..6).map(|hash| bench.run(&frame[..1], |meta| meta.flow_hash = hash).packets[0].adjacency).collect();
    assert_eq!(forced, [TO_PEER, TO_LAN_100, TO_PEER, TO_LAN_100]);
}

/// RFC 4861 section 7.3.3.
#[test]
fn control_hears_that_a_stale_neighbour_is_used() {
    const SECOND: u64 = 1_000_000_000;
    let (mut world, events) = (World::new(), events());
    world.adjacency(TO_PEER, Adjacency { kind: AdjacencyKind::Stale, ..neighbour(PEER_MAC, PEER, 1500) });
    world.adjacency(TO_PEER6, Adjacency { kind: AdjacencyKind::Stale, ..neighbour6(PEER_MAC, PEER6, 1500) });
    let mut v4 = Bench::new(IpLookup::<V4>::new(world.forwarding.clone(), events.clone()));
    let mut v6 = Bench::new(IpLookup::<V6>::new(world.forwarding.clone(), events.clone()));
    let used = |address: &str| Some(NeighborEvent::Used { interface: WAN, address: address.parse().unwrap() });
    for (now, told) in [(2 * SECOND, true), (3 * SECOND - 1, false), (3 * SECOND, true)] {
        (v4.now, v6.now) = (now, now);
        assert_eq!(fate(&v4.one(&udp(HOST, PEER))), ("ip4-rewrite", &[][..]));
        assert_eq!(fate(&v6.one(&udp6(HOST6, PEER6))), ("ip6-rewrite", &[][..]));
        let heard = (events.pop(), events.pop(), events.pop());
        let all = if told { (used("203.0.113.10"), used(PEER6), None) } else { (None, None, None) };
        assert_eq!(heard, all, "at {now} ns");
    }
}

#[test]
fn features_of_the_interface_that_the_packet_leaves_by() {
    const FEATURE: NodeName = NodeName::new("feature");
    let mut world = World::new();
    world.adjacency(TO_PEER6, Adjacency { kind: AdjacencyKind::Stale, ..neighbour6(PEER_MAC, PEER6, 1500) });
    let mut v4 = bench::<V4>(&world);
    v4.arc(&ARC4, &[Feature { arc: ARC4.name, node: FEATURE, after: &[], before: &[] }], &[(FEATURE, WAN)]);
    for (to, next) in [(PEER, "feature"), ([198, 51, 100, 50], "ip4-arp"), (LAN_IP, "ip4-local")] {
        assert_eq!(fate(&v4.one(&udp(HOST, to))), (next, &[][..]));
    }
    let mut v6 = bench::<V6>(&world);
    v6.arc(&ARC6, &[Feature { arc: ARC6.name, node: FEATURE, after: &[], before: &[] }], &[(FEATURE, WAN)]);
    for (to, next) in [(PEER6, "feature"), ("2001:db8:f3::50", "ip6-discover-neighbor"), (LAN_IP6, "ip6-local")] {
        assert_eq!(fate(&v6.one(&udp6(HOST6, to))), (next, &[][..]));
    }
}

#[test]
fn trace() {
    let world = World::new();
    let (_, text) = bench::<V4>(&world).traced(&udp(HOST, PEER), |_| {});
    assert_eq!(text, "table 0 destination 203.0.113.10 adjacency 1");
    let (_, text) = bench::<V6>(&world).traced(&udp6(HOST6, PEER6), |_| {});
    assert_eq!(text, "table 0 destination 2001:db8:2::10 adjacency 20");
}
