use super::*;
use crate::forwarding::Interface;
use crate::ip::{V4, V6};
use crate::testing::*;
use crate::{ip4, ip6};
use millrace_engine::epoch::domain;
use millrace_engine::testing::{Bench, Outcome};
use millrace_engine::{ArcPoint, Feature};
use millrace_tables::adjacency::Adjacency;
use millrace_tables::load_balance::LoadBalance;
use millrace_tables::lpm::Lpm;

const NO_ROUTE_BACK: &str = "no route back to the source";
const ELSEWHERE: &str = "route back to the source leaves by another interface";
const DISCARDED: &str = "route back to the source is blackhole, unreachable or prohibit";
const OWN: &str = "source is the router's own address or a broadcast address";

/// Adjacencies beside those of the world.
const LAN_SUBNET: u32 = 40;
const TO_BLUE: u32 = 41;
const ROUND: u32 = 42;
const SPREAD: u32 = 43;
const STALE: u32 = 44;
const WITHIN: u32 = 45;
const TO_SELF: u32 = 46;
/// The table of the VRF blue.
const BLUE: u32 = 3;

fn world(mode: Mode) -> World {
    let mut world = World::new();
    for index in [LAN, WAN] {
        world.interface(index, Interface { mtu: 1500, urpf: mode, ..Interface::default() });
    }
    world.interface(LAN_100, Interface { mtu: 1500, table: BLUE, urpf: mode, ..Interface::default() });
    let pointer = |kind, index| Adjacency { index, ..Adjacency::new(kind) };
    for (index, adjacency) in [
        (LAN_SUBNET, Adjacency { interface: LAN, ..Adjacency::new(AdjacencyKind::Glean) }),
        (TO_BLUE, pointer(AdjacencyKind::Table, BLUE)),
        (ROUND, pointer(AdjacencyKind::Table, 0)),
        (SPREAD, pointer(AdjacencyKind::Balance, 2)),
        (WITHIN, pointer(AdjacencyKind::Balance, 3)),
        (TO_SELF, pointer(AdjacencyKind::Balance, 4)),
        (STALE, Adjacency { interface: WAN, ..Adjacency::new(AdjacencyKind::Stale) }),
    ] {
        world.adjacency(index, adjacency);
    }
    // A way that doesn't work, one within another, and one that leads to itself.
    for (index, ways) in [
        (2, [(BLACKHOLE, 1), (WITHIN, 1)]),
        (3, [(TO_LAN_100, 1), (LAN_SUBNET, 3)]),
        (4, [(TO_SELF, 1), (BLACKHOLE, 1)]),
    ] {
        world.forwarding.load_balances.set(&domain(), index, LoadBalance::from_weights(&ways).unwrap()).unwrap();
    }
    for (prefix, index) in [
        ("192.168.1.0/24", LAN_SUBNET),
        ("10.50.0.0/16", TO_BLUE),
        ("10.60.0.0/16", ROUND),
        ("10.70.0.0/16", SPREAD),
        ("10.80.0.0/16", STALE),
        ("10.90.0.0/16", TO_SELF),
    ] {
        world.route(prefix, Target::Adjacency(index));
    }
    let (mut routes, reader) = Lpm::with_groups::<u32>(16).unwrap();
    world.forwarding.fibs.set(&domain(), BLUE, reader).unwrap();
    routes.insert("10.50.1.0/24".parse().unwrap(), Target::Adjacency(TO_PEER).to_u32()).unwrap();
    routes.insert("192.168.1.0/24".parse().unwrap(), Target::Adjacency(TO_LAN_100).to_u32()).unwrap();
    world
}

fn received<F: Filtered>(world: &World, arc: &ArcPoint, packet: &[u8], interface: u32) -> Outcome {
    let mut bench = Bench::new(Urpf::<F>::new(world.forwarding.clone()));
    bench.arc(arc, &[Feature { before: &[], ..F::FEATURE }], &[]);
    bench.run(&[packet], |meta| {
        meta.rx_interface = interface;
        meta.table = if interface == LAN_100 { BLUE } else { 0 };
    })
}

#[track_caller]
fn judge(outcome: &Outcome, packet: &[u8], arc_end: &'static str, cause: Option<&'static str>, name: &str) {
    let counts: Vec<_> = cause.map(|cause| (cause, 1)).into_iter().collect();
    let next = if cause.is_some() { "drop" } else { arc_end };
    assert_eq!(fate(outcome), (next, &counts[..]), "{name}");
    assert_eq!(bytes(outcome), packet, "{name}");
}

#[test]
fn sources_of_ipv4() {
    let (strict, loose) = (world(Mode::Strict), world(Mode::Loose));
    let (refused, fine) = (Some, None);
    for (name, from, interface, by_strict, by_loose) in [
        // RFC 3704 section 2.2: the best route to the source leaves by the interface that the packet came by.
        ("a host of the subnet", [192, 168, 1, 77], LAN, fine, fine),
        ("by the wrong side", [192, 168, 1, 77], WAN, refused(ELSEWHERE), fine),
        ("a known neighbour", PEER, WAN, fine, fine),
        ("a known neighbour, by the wrong side", PEER, LAN, refused(ELSEWHERE), fine),
        ("one that was not heard lately", [10, 80, 0, 1], WAN, fine, fine),
        ("an unknown neighbour of the subnet", [203, 0, 113, 99], WAN, fine, fine),
        ("behind a next hop without MAC", [198, 51, 100, 50], WAN, fine, fine),
        ("behind the same, by the wrong side", [198, 51, 100, 50], LAN, refused(ELSEWHERE), fine),
        // RFC 3704 section 2.4: loose asks for a route, whichever.
        ("no route", [8, 8, 8, 8], LAN, refused(NO_ROUTE_BACK), refused(NO_ROUTE_BACK)),
        (
            "a route to an adjacency that is going",
            [198, 51, 100, 65],
            WAN,
            refused(NO_ROUTE_BACK),
            refused(NO_ROUTE_BACK),
        ),
        ("blackhole", [198, 51, 100, 1], WAN, refused(DISCARDED), refused(DISCARDED)),
        ("unreachable", [198, 51, 100, 17], WAN, refused(DISCARDED), refused(DISCARDED)),
        ("prohibit", [198, 51, 100, 33], WAN, refused(DISCARDED), refused(DISCARDED)),
        // RFC 2827: nobody else has the router's addresses.
        ("the router itself", LAN_IP, LAN, refused(OWN), refused(OWN)),
        ("a subnet's broadcast address", [192, 168, 1, 255], LAN, refused(OWN), refused(OWN)),
        // RFC 8704 section 2.3: any of several ways.
        ("one of two ways", [172, 16, 5, 5], WAN, fine, fine),
        ("the other of two ways", [172, 16, 5, 5], LAN_100, refused(NO_ROUTE_BACK), refused(NO_ROUTE_BACK)),
        ("none of two ways", [172, 16, 5, 5], LAN, refused(ELSEWHERE), fine),
        ("a way within a way", [10, 70, 0, 1], LAN, fine, fine),
        ("none of those", [10, 70, 0, 1], WAN, refused(ELSEWHERE), fine),
        // The VRF of the interface, and where its routes lead.
        ("another VRF has it elsewhere", [192, 168, 1, 77], LAN_100, fine, fine),
        ("by way of another VRF", [10, 50, 1, 1], WAN, fine, fine),
        ("by way of another VRF, by the wrong side", [10, 50, 1, 1], LAN, refused(ELSEWHERE), fine),
        ("not in the other VRF either", [10, 50, 2, 1], WAN, refused(NO_ROUTE_BACK), refused(NO_ROUTE_BACK)),
        ("several ways, round and round", [10, 90, 0, 1], WAN, refused(NO_ROUTE_BACK), refused(NO_ROUTE_BACK)),
        ("round and round", [10, 60, 0, 1], WAN, refused(NO_ROUTE_BACK), refused(NO_ROUTE_BACK)),
    ] {
        let packet = udp(from, PEER);
        for (world, cause, mode) in [(&strict, by_strict, "strict"), (&loose, by_loose, "loose")] {
            let outcome = received::<V4>(world, &ip4::input::ARC, &packet, interface);
            judge(&outcome, &packet, "ip4-lookup", cause, &format!("{name}, {mode}"));
        }
    }
}

#[test]
fn hosts_without_an_address_yet() {
    // RFC 2131 section 4.1: a DHCP client; ip4-input lets 0.0.0.0 pass to everyone only.
    let packet = udp([0; 4], [255; 4]);
    let outcome = received::<V4>(&world(Mode::Strict), &ip4::input::ARC, &packet, LAN);
    judge(&outcome, &packet, "ip4-lookup", None, "DHCP");
    // RFC 4862 section 5.4.2: duplicate address detection.
    let packet = udp6("::", "ff02::1:ff00:1");
    let outcome = received::<V6>(&world(Mode::Strict), &ip6::input::ARC, &packet, LAN);
    judge(&outcome, &packet, "ip6-lookup", None, "duplicate address detection");
}

#[test]
fn the_default_route_counts() {
    let mut world = world(Mode::Strict);
    world.route("0.0.0.0/0", Target::Adjacency(TO_PEER));
    let packet = udp([8, 8, 8, 8], HOST);
    judge(&received::<V4>(&world, &ip4::input::ARC, &packet, WAN), &packet, "ip4-lookup", None, "the uplink");
    let outcome = received::<V4>(&world, &ip4::input::ARC, &packet, LAN);
    judge(&outcome, &packet, "ip4-lookup", Some(ELSEWHERE), "inside");
}

#[test]
fn sources_of_ipv6() {
    let (strict, loose) = (world(Mode::Strict), world(Mode::Loose));
    let (refused, fine) = (Some, None);
    for (name, from, interface, by_strict, by_loose) in [
        ("a host of the subnet", HOST6, LAN, fine, fine),
        ("by the wrong side", HOST6, WAN, refused(ELSEWHERE), fine),
        ("a known neighbour", PEER6, WAN, fine, fine),
        // RFC 4291 section 2.5.6: every link has these.
        ("link-local", HOST_LL, LAN, fine, fine),
        ("link-local by another interface", HOST_LL, WAN, fine, fine),
        ("the router itself", LAN_IP6, LAN, refused(OWN), refused(OWN)),
        ("no route", "2001:db8:ffff::1", WAN, refused(NO_ROUTE_BACK), refused(NO_ROUTE_BACK)),
    ] {
        let packet = udp6(from, PEER6);
        for (world, cause, mode) in [(&strict, by_strict, "strict"), (&loose, by_loose, "loose")] {
            let outcome = received::<V6>(world, &ip6::input::ARC, &packet, interface);
            judge(&outcome, &packet, "ip6-lookup", cause, &format!("{name}, {mode}"));
        }
    }
}

#[test]
fn off_and_cut_off() {
    let packet = udp([8, 8, 8, 8], PEER);
    let outcome = received::<V4>(&world(Mode::Off), &ip4::input::ARC, &packet, LAN);
    judge(&outcome, &packet, "ip4-lookup", None, "switched off a moment ago");
    let outcome = received::<V4>(&world(Mode::Strict), &ip4::input::ARC, b"short", LAN);
    judge(&outcome, b"short", "ip4-lookup", Some("no IP header"), "cut off");
}

#[test]
fn trace() {
    let mut bench = Bench::new(Urpf::<V4>::new(world(Mode::Loose).forwarding));
    bench.arc(&ip4::input::ARC, &[Feature { before: &[], ..V4::FEATURE }], &[]);
    assert_eq!(bench.traced(&udp(HOST, PEER), |meta| meta.rx_interface = LAN).1, "source 192.168.1.10 loose");
}
