//! Bonds in a router on devices that need no rights: members come, go, and change their bond, in place.

use crate::control::Router;
use crate::control::tests::{config, start};
use millrace_graph_nodes::bond::Membership;
use millrace_io::Link;
use millrace_wire::lacp::{LacpPort, Lacpdu, SLOW_PROTOCOLS_MAC};
use millrace_wire::{EtherType, Ethernet, IntoBytes, MacAddr};
use std::time::Instant;

const DEVICES: &str = "  a: {driver: generator}\n  b: {driver: generator, mtu: 1600}\n  c: {driver: generator, mac: '02:00:00:00:00:0c'}\n";

fn with(bonds: &str) -> String {
    format!("interfaces:\n{DEVICES}{bonds}")
}

fn commit(router: &mut Router, bonds: &str) {
    router.commit(config(&with(bonds)), "test").unwrap();
}

fn index(router: &Router, name: &str) -> u32 {
    router.interfaces.index(name).unwrap()
}

/// MAC address and MTU.
fn of(router: &Router, name: &str) -> (MacAddr, u16) {
    let interface = router.interfaces.named(name).unwrap();
    (interface.mac, interface.mtu)
}

fn member(router: &Router, name: &str) -> Option<(String, bool)> {
    let Membership { bond, collects } = router.bonds.nodes.membership(index(router, name))?;
    Some((router.interfaces.name(bond), collects))
}

#[test]
fn members_are_given_what_is_the_bonds_and_get_back_their_own() {
    let mut router = start(&with(""));
    let own = ["a", "b", "c"].map(|name| of(&router, name));
    commit(&mut router, "  bond0: {driver: bond, members: [a, b], mtu: 1300}\n");
    // Queues of devices are workers' now; the first member lends its address.
    router.second();
    assert_eq!(of(&router, "bond0"), (own[0].0, 1300));
    assert_eq!((of(&router, "a"), of(&router, "b"), of(&router, "c")), ((own[0].0, 1300), (own[0].0, 1300), own[2]));
    assert_eq!(member(&router, "a"), Some(("bond0".to_owned(), true)));
    assert_eq!(member(&router, "b"), Some(("bond0".to_owned(), false)));
    assert_eq!((member(&router, "c"), router.interfaces.link(index(&router, "bond0"))), (None, Link::Up));
    // The lender goes: the next one lends.
    commit(&mut router, "  bond0: {driver: bond, members: [b, c]}\n");
    assert_eq!((of(&router, "a"), member(&router, "a")), (own[0], None));
    assert_eq!((of(&router, "bond0"), of(&router, "c")), ((own[1].0, 1500), (own[1].0, 1500)));
    assert_eq!(member(&router, "b"), Some(("bond0".to_owned(), true)));
    // An address of the operator's.
    commit(&mut router, "  bond0: {driver: bond, members: [b, c], mac: '02:00:00:00:00:99'}\n");
    let wanted = MacAddr([2, 0, 0, 0, 0, 0x99]);
    assert_eq!(["bond0", "b", "c"].map(|name| of(&router, name).0), [wanted; 3]);
    // From one bond to another.
    commit(&mut router, "  bond0: {driver: bond, members: [b]}\n  bond1: {driver: bond, members: [c]}\n");
    assert_eq!(member(&router, "c"), Some(("bond1".to_owned(), true)));
    assert_eq!((of(&router, "c").0, of(&router, "bond1").0), (own[2].0, own[2].0));
    commit(&mut router, "");
    assert_eq!(["a", "b", "c"].map(|name| of(&router, name)), own);
    assert_eq!(["a", "b", "c"].map(|name| member(&router, name)), [const { None }; 3]);
    assert!(router.bonds.bonds.is_empty() && router.bonds.members.is_empty());
}

#[test]
fn who_stays_a_member_notices_nothing() {
    let mut router = start(&with("  bond0: {driver: bond, members: [a, b], sub-interfaces: {7: {}}}\n"));
    router.second();
    let bond = index(&router, "bond0");
    let features = |router: &Router, name: &str| router.features_of(router.interfaces.named(name).unwrap());
    for name in ["bond0", "bond0.7"] {
        assert!(features(&router, name).contains(&"interface-output: bond-output".to_owned()), "{name}");
    }
    assert!(features(&router, "a").contains(&"device-input: bond-input".to_owned()));
    let (before, events) = (router.bonds.bonds[&bond].published.clone(), router.events.newest(1000).count());
    commit(&mut router, "  bond0: {driver: bond, members: [a, b, c], hash: layer2, sub-interfaces: {7: {}}}\n");
    assert_eq!(index(&router, "bond0"), bond, "the same interface");
    assert_eq!(router.bonds.bonds[&bond].active, Some(index(&router, "a")));
    assert_ne!(router.bonds.bonds[&bond].published, before);
    let new = router.events.newest(1000).count() - events;
    let told: Vec<String> = router.events.newest(new).map(|event| event.text.clone()).collect();
    assert!(told.iter().all(|text| !text.contains("carries no frames") && !text.contains("link")), "{told:?}");
    // LACP: whoever is there has to come to terms first.
    commit(&mut router, "  bond0: {driver: bond, members: [a, b, c], mode: lacp, sub-interfaces: {7: {}}}\n");
    assert_eq!(router.interfaces.link(bond), Link::Down);
    assert_eq!(router.bonds.bonds[&bond].lacp.as_ref().unwrap().ports().count(), 3);
    assert!(router.next_bonds().is_some());
    assert!(!features(&router, "c").is_empty());
    commit(&mut router, "");
    assert!(features(&router, "a").is_empty());
    assert_eq!(router.next_bonds(), None);
}

#[test]
fn lacp_keeps_its_name_and_hears_what_is_for_it() {
    let mut router = start(&with("  bond0: {driver: bond, members: [a, b], mode: lacp}\n"));
    router.second();
    let bond = index(&router, "bond0");
    let name = |router: &Router| router.bonds.bonds[&bond].lacp.as_ref().unwrap().settings().system;
    let (first, lender) = (name(&router), of(&router, "a").0);
    assert_eq!(first, lender);
    commit(&mut router, "  bond0: {driver: bond, members: [b, c], mode: lacp}\n");
    assert_ne!(of(&router, "bond0").0, first, "the lender went");
    assert_eq!(name(&router), first, "or all would have to be agreed on anew");
    let member = index(&router, "b");
    let counts = |router: &Router| {
        let counts = router.bonds.member(member).unwrap().counts;
        (counts.received, counts.refused)
    };
    let pdu = Lacpdu::new(&LacpPort::default(), &LacpPort::default());
    for (to, expected) in [(SLOW_PROTOCOLS_MAC, (1, 0)), (MacAddr::BROADCAST, (1, 1))] {
        let header = Ethernet::new(to, MacAddr([2, 0, 0, 0, 0, 1]), EtherType::SLOW_PROTOCOLS);
        router.slow_protocol_heard(member, &[header.as_bytes(), pdu.as_bytes()].concat(), Instant::now());
        assert_eq!(counts(&router), expected, "to {to}");
    }
}
