//! Plans lead from any configuration to any other, safely at each step, and back.

mod bearable;
mod strategies;

use bearable::{fits, unbearable};
use millrace_config::{DEFAULT_VRF, Driver, Op, Setting, Tagging, parse, plan};
use proptest::prelude::*;
use std::collections::BTreeSet;
use strategies::config;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_leads_there_bearably_and_back(a in config(), b in config()) {
        let plan = plan(&a, &b);
        let mut on_the_way = vec![a.clone()];
        for op in &plan.ops {
            let mut next = on_the_way[on_the_way.len() - 1].clone();
            prop_assert!(fits(op, &next), "{op} does not fit, in\n{plan}");
            op.apply(&mut next);
            prop_assert_eq!(unbearable(&next), Ok(()), "after {} in\n{}", op, plan);
            on_the_way.push(next);
        }
        prop_assert_eq!(&on_the_way[on_the_way.len() - 1], &b, "by\n{}", plan);

        // Each step back gives what was before it, so that a failure anywhere can be undone.
        for (op, step) in plan.ops.iter().zip(on_the_way.windows(2)) {
            let mut undone = step[1].clone();
            op.inverse().apply(&mut undone);
            prop_assert_eq!(&undone, &step[0], "undoing {}", op);
        }
        let mut back = b.clone();
        plan.inverse().apply(&mut back);
        prop_assert_eq!(back, a);
    }

    #[test]
    fn nothing_to_do_is_an_empty_plan(a in config()) {
        prop_assert!(plan(&a, &a).is_empty());
    }

    #[test]
    fn what_does_not_change_is_left_alone(a in config(), b in config()) {
        let same = |name: &str| a.interfaces.get(name) == b.interfaces.get(name)
            && a.interfaces.get(name).is_some_and(|i| i.parent().is_none());
        for op in plan(&a, &b).ops {
            let name = match &op {
                Op::InterfaceCreate { name, .. } | Op::InterfaceRemove { name, .. } | Op::InterfaceSet { name, .. } => name,
                Op::AddressAdd(address) | Op::AddressRemove(address) => &address.interface,
                _ => continue,
            };
            prop_assert!(!same(name), "{} though {} stays as it is", op, name);
        }
    }

    #[test]
    fn the_canonical_file_means_the_same(a in config()) {
        let yaml = a.to_yaml();
        let again = parse(&yaml, "canonical");
        prop_assert_eq!(again.as_ref(), Ok(&a), "{}", yaml);
        prop_assert_eq!(again.unwrap().to_yaml(), yaml);
    }
}

/// The chances above would prove little if they made no configurations worth the name.
#[test]
fn the_configurations_are_worth_testing() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut made = || config().new_tree(&mut runner).unwrap().current();
    let (mut subs, mut routes, mut neighbors, mut vrfs, mut replaced, mut moved, mut recreated) = (0, 0, 0, 0, 0, 0, 0);
    let (mut mappings, mut followed, mut translations, mut pruned) = (0, 0, 0, 0);
    let (mut ipv6, mut leaks, mut told) = (0, 0, 0);
    let (mut filtered, mut clamped, mut ruled, mut spared) = (0, 0, 0, 0);
    let (mut shared, mut environments, mut connected) = (0, 0, 0);
    let (mut ports, mut stations, mut bonds, mut mirrors, mut bvis, mut trunks, mut double) = (0, 0, 0, 0, 0, 0, 0);
    let (mut joined, mut rebuilt, mut mirrored, mut told_neighbors, mut bridged) = (0, 0, 0, 0, 0);
    for _ in 0..500 {
        let (a, b) = (made(), made());
        subs += a.interfaces.values().filter(|i| matches!(i.driver, Driver::Vlan(_))).count();
        routes += a.routes.values().flat_map(|r| r.hops()).filter(|hop| hop.interface.is_some()).count();
        neighbors += a.neighbors.len();
        ipv6 += a.routes.keys().filter(|key| key.prefix.addr().is_ipv6()).count();
        leaks += a.routes.values().filter(|route| route.next_vrf().is_some()).count();
        let memifs = || a.interfaces.values().filter(|i| matches!(i.driver, Driver::Memif(_)));
        let sockets: BTreeSet<_> = memifs().filter_map(|i| i.driver.device()).collect();
        shared += memifs().count() - sockets.len();
        vrfs += a.interfaces.values().filter(|i| i.vrf != DEFAULT_VRF).count();
        mappings += a.nat44.mappings.len();
        followed += a.nat44.mappings.keys().filter(|key| key.external.address.interface().is_some()).count();
        ports += a.interfaces.values().filter(|i| i.bridge.is_some()).count();
        let tagging = a.interfaces.values().filter_map(|i| i.bridge.as_ref()).map(|port| &port.tagging);
        trunks += tagging.filter(|tagging| matches!(tagging, Tagging::Access(_) | Tagging::Trunk(_))).count();
        bvis += a.interfaces.values().filter(|i| i.driver == Driver::Bvi).count();
        bonds += a.interfaces.values().filter(|i| matches!(i.driver, Driver::Bond(_))).count();
        double +=
            a.interfaces.values().filter(|i| matches!(&i.driver, Driver::Vlan(vlan) if vlan.inner.is_some())).count();
        stations += a.bridges.values().map(|bridge| bridge.static_macs.len()).sum::<usize>();
        mirrors += a.mirrors.len();
        let ops = plan(&a, &b).ops;
        let sets = ops.iter().filter(|op| matches!(op, Op::Nat44Set(_))).count();
        let ruling = ops.iter().filter(|op| matches!(op, Op::PolicyRoutesSet(_))).count();
        ruled += usize::from(ruling > 0);
        spared += usize::from(ruling > 1);
        translations += usize::from(sets > 0);
        pruned += usize::from(sets > 1);
        for op in ops {
            match op {
                Op::RouteReplace { .. } => replaced += 1,
                Op::InterfaceSet { setting: Setting::Vrf(_), .. } => moved += 1,
                Op::InterfaceSet { setting: Setting::Urpf(_), .. } => filtered += 1,
                Op::InterfaceSet { setting: Setting::MssClamp(_), .. } => clamped += 1,
                Op::InterfaceSet { setting: Setting::RouterAdvertisements(_), .. } => told += 1,
                Op::InterfaceSet { setting: Setting::CrossConnect(_), .. } => connected += 1,
                Op::InterfaceSet { setting: Setting::Bridge(_), .. } => joined += 1,
                Op::InterfaceSet { setting: Setting::Driver(_), .. } => rebuilt += 1,
                Op::BridgeSet { .. } => bridged += 1,
                Op::MirrorsSet(_) => mirrored += 1,
                Op::LldpSet(_) => told_neighbors += 1,
                Op::DpdkSet(_) => environments += 1,
                Op::InterfaceCreate { name, .. } if a.interfaces.contains_key(&name) => recreated += 1,
                _ => {}
            }
        }
    }
    for (what, count) in [
        ("sub-interfaces", subs),
        ("routes by an interface", routes),
        ("neighbors", neighbors),
        ("interfaces in a VRF", vrfs),
        ("routes replaced", replaced),
        ("interfaces moved", moved),
        ("interfaces made anew", recreated),
        ("IPv6 routes", ipv6),
        ("routes into another VRF", leaks),
        ("changed router advertisements", told),
        ("changed filters", filtered),
        ("changed MSS clamps", clamped),
        ("changed policy routes", ruled),
        ("shared memif sockets", shared),
        ("changed environments of DPDK", environments),
        ("changed cross-connects", connected),
        ("policy routes changed twice", spared),
        ("ports of bridges", ports),
        ("ports with VLANs", trunks),
        ("static stations", stations),
        ("bonds", bonds),
        ("mirrors", mirrors),
        ("interfaces of bridges", bvis),
        ("sub-interfaces with two tags", double),
        ("interfaces that became ports, or none", joined),
        ("drivers changed in place", rebuilt),
        ("changed bridges", bridged),
        ("changed mirrors", mirrored),
        ("changed settings of LLDP", told_neighbors),
        ("static mappings", mappings),
        ("static mappings by an interface", followed),
        ("changed translations", translations),
        ("translations changed twice", pruned),
    ] {
        assert!(count >= 50, "only {count} {what} in 500 pairs");
    }
}

/// All ordered choices of some of four addresses, from each to each: the order is the operator's, and steps are as few as can be.
#[test]
fn addresses_keep_their_order() {
    let four = ["10.0.1.1/24", "10.0.2.1/24", "10.0.3.1/24", "10.0.4.1/24"];
    let mut choices: Vec<Vec<&str>> = vec![Vec::new()];
    for _ in 0..four.len() {
        let longer =
            choices.iter().flat_map(|c| four.iter().filter(|a| !c.contains(a)).map(|a| [c.as_slice(), &[*a]].concat()));
        choices = choices.iter().cloned().chain(longer).collect::<BTreeSet<_>>().into_iter().collect();
    }
    assert_eq!(choices.len(), 1 + 4 + 12 + 24 + 24);
    let with = |addresses: &[&str]| {
        parse(&format!("interfaces: {{a: {{driver: tap, device: t, addresses: [{}]}}}}", addresses.join(", ")), "")
            .unwrap()
    };
    for from in &choices {
        for to in &choices {
            let (a, b) = (with(from), with(to));
            let (plan, mut there) = (plan(&a, &b), a.clone());
            plan.apply(&mut there);
            assert_eq!(there, b, "by\n{plan}");
            plan.inverse().apply(&mut there);
            assert_eq!(there, a, "undoing\n{plan}");
            // What is wanted behind what stays is only added; the first wanted address stays whenever it is there.
            let stays = to.first().is_some_and(|first| from.contains(first));
            assert!(plan.ops.len() <= from.len() + to.len() - 2 * usize::from(stays), "{from:?} to {to:?} by\n{plan}");
        }
    }
}

#[test]
fn the_order_of_next_hops_means_nothing() {
    let with = |hops| parse(&format!("routes: [{{to: 10.0.0.0/8, via: [{hops}]}}]"), "").unwrap();
    assert_eq!(with("192.0.2.1, 192.0.2.9, 192.0.2.5"), with("192.0.2.9, 192.0.2.5, 192.0.2.1"));
}

#[test]
fn a_vrf_goes_after_the_routes_into_it_and_comes_before_them() {
    let with = |vrfs: &str, route: &str| {
        parse(&format!("vrfs: {{{vrfs}}}\nroutes: [{{to: 10.0.0.0/8, {route}}}]"), "").unwrap()
    };
    let (a, b) = (with("red: {}", "next-vrf: red"), with("blue: {}", "next-vrf: blue"));
    let steps = "- route 10.0.0.0/8 next-vrf red\n+ vrf blue\n- vrf red\n+ route 10.0.0.0/8 next-vrf blue\n";
    assert_eq!(plan(&a, &b).to_string(), steps);
    let both = with("red: {}, blue: {}", "next-vrf: blue");
    assert_eq!(plan(&a, &both).to_string(), "+ vrf blue\n~ route 10.0.0.0/8: next-vrf red -> next-vrf blue\n");
}

#[test]
fn cross_connects_go_before_and_come_after_what_they_lead_to() {
    let with = |b: &str, a: &str| parse(&format!("interfaces: {{a: {{driver: loopback{a}}}, {b}}}"), "").unwrap();
    let (b, c) = ("b: {driver: tap, device: b}", "c: {driver: tap, device: c}");
    let a = with(b, ", cross-connect: b");
    let steps = "~ interface a: cross-connect b -> off\n- interface b: tap b\n+ interface c: tap c\n~ interface a: cross-connect off -> c\n";
    assert_eq!(plan(&a, &with(c, ", cross-connect: c")).to_string(), steps);
    // Without a moment in which packets of it are routed, where both are there.
    let both = format!("{b}, {c}");
    let (a, to) = (with(&both, ", cross-connect: b"), with(&both, ", cross-connect: c"));
    assert_eq!(plan(&a, &to).to_string(), "~ interface a: cross-connect b -> c\n");
    let steps = "~ interface a: cross-connect b -> off\n+ address 10.0.0.1/24 interface a\n";
    assert_eq!(plan(&a, &with(&both, ", addresses: [10.0.0.1/24]")).to_string(), steps);
}
