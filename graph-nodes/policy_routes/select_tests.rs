use super::*;
use crate::ip::{V4, V6};
use crate::policy_routes::Rule;
use crate::testing::*;
use crate::{ip4, ip6};
use millrace_engine::testing::Bench;
use millrace_engine::{ArcPoint, Feature};

/// The table of the VRF blue, which nobody asks here.
const BLUE: u32 = 3;
const RED: u32 = 4;

fn rules() -> PolicyRoutes {
    let rule = |source: &str, interface, table, counter| {
        let source = (!source.is_empty()).then(|| source.parse().unwrap());
        Rule { source, interface, table, counter }
    };
    let rules = PolicyRoutes::new(2);
    rules.publish(&[
        rule("192.168.1.0/28", Some(LAN), BLUE, 0),
        rule("2001:db8:1::/64", None, BLUE, 1),
        rule("", Some(WAN), RED, 255),
    ]);
    rules
}

fn bench<F: Selected>(rules: &PolicyRoutes, arc: &ArcPoint) -> Bench<PolicyRoute<F>> {
    let mut bench = Bench::new(PolicyRoute::<F>::new(World::new().forwarding, rules.clone()));
    bench.arc(arc, &[Feature { before: &[], ..F::FEATURE }], &[]);
    bench
}

#[test]
fn by_source_and_interface() {
    let rules = rules();
    let mut bench = bench::<V4>(&rules, &ip4::input::ARC);
    for (name, from, to, interface, table) in [
        ("of the prefix", HOST, PEER, LAN, BLUE),
        ("of the prefix, by another interface", HOST, PEER, LAN_100, 0),
        ("behind the prefix", [192, 168, 1, 16], PEER, LAN, 0),
        ("by the interface of a rule without source", HOST, PEER, WAN, RED),
        ("another source by that", PEER, HOST, WAN, RED),
        // As Linux's table `local` comes first of all.
        ("to the router itself", HOST, LAN_IP, LAN, 0),
        ("to everyone", HOST, [255; 4], LAN, 0),
        ("to nowhere", HOST, [8, 8, 8, 8], LAN, BLUE),
        ("to several next hops", HOST, [172, 16, 0, 1], LAN, BLUE),
    ] {
        let packet = udp(from, to);
        let outcome = bench.run(&[&packet], |meta| meta.rx_interface = interface);
        assert_eq!(fate(&outcome), ("ip4-lookup", &[][..]), "{name}");
        assert_eq!((outcome.packets[0].table, bytes(&outcome)), (table, &packet[..]), "{name}");
    }
    assert_eq!([0, 1, 255].map(|counter| rules.hits(counter)), [3, 0, 2]);
    // What another worker counts is added.
    bench.worker = 1;
    bench.run(&[&udp(HOST, PEER)], |meta| meta.rx_interface = LAN);
    assert_eq!([0, 1, 255].map(|counter| rules.hits(counter)), [4, 0, 2]);
    // Rules that change count from then on.
    rules.publish(&[]);
    let outcome = bench.run(&[&udp(HOST, PEER)], |meta| meta.rx_interface = LAN);
    assert_eq!((outcome.packets[0].table, rules.hits(0)), (0, 4));
}

#[test]
fn by_source_and_interface_of_ipv6() {
    let rules = rules();
    let mut bench = bench::<V6>(&rules, &ip6::input::ARC);
    for (name, from, to, interface, table) in [
        ("of the prefix", HOST6, PEER6, LAN, BLUE),
        ("by any interface", HOST6, PEER6, WAN, BLUE),
        ("by the interface of a rule for both families", PEER6, HOST6, WAN, RED),
        ("another source", PEER6, HOST6, LAN, 0),
        ("to the router itself", HOST6, LAN_IP6, LAN, 0),
        // RFC 4291 sections 2.5.6 and 2.7: neither leaves the link.
        ("to a link-local address", HOST6, LAN_LL, LAN, 0),
        ("to a group", HOST6, "ff02::1", LAN, 0),
    ] {
        let packet = udp6(from, to);
        let outcome = bench.run(&[&packet], |meta| meta.rx_interface = interface);
        assert_eq!(fate(&outcome), ("ip6-lookup", &[][..]), "{name}");
        assert_eq!((outcome.packets[0].table, bytes(&outcome)), (table, &packet[..]), "{name}");
    }
    assert_eq!([0, 1, 255].map(|counter| rules.hits(counter)), [0, 2, 1]);
}

#[test]
fn cut_off_and_traced() {
    let mut bench = bench::<V4>(&rules(), &ip4::input::ARC);
    assert_eq!(fate(&bench.one(b"short")), ("drop", &[("no IP header", 1)][..]));
    assert_eq!(bench.traced(&udp(HOST, PEER), |meta| meta.rx_interface = LAN).1, "source 192.168.1.10 table 3");
}
