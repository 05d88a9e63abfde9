//! Addresses of interfaces as a whole, on devices that need no rights: those that nobody else can have, and those of devices that are
//! not there.

use super::dad::State;
use crate::control::Router;
use crate::control::routes::{Path, host};
use crate::control::tests::{config, start};
use millrace_wire::nd;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

const ALONE: &str = "
interfaces:
  ge0: {driver: generator, mac: '02:00:00:00:00:01', addresses: ['2001:db8:1::1/64', 10.0.0.1/24, '2001:db8:2::1/127']}
  ge1: {driver: generator, mac: '02:00:00:00:00:02', router-advertisements: {}}
  ge2: {driver: generator, mac: '02:00:00:00:00:03', addresses: [10.2.0.1/24]}
";
const SHARED: &str = "
interfaces:
  lan: {driver: af-packet, device: nosuch0, mac: '02:00:00:00:00:01', addresses: ['2001:db8:1::1/64']}
";

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// The addresses that the packet path takes for its own, for undecided, and the groups.
fn published(router: &Router, name: &str) -> (Vec<Ipv6Addr>, Vec<Ipv6Addr>, Vec<Ipv6Addr>) {
    let forwarded = router.interfaces.forwarded(router.interfaces.index(name).unwrap()).unwrap();
    (forwarded.addresses6.iter().map(|(a, _)| *a).collect(), forwarded.tentative, forwarded.groups6)
}

fn is_local(router: &Router, to: &str) -> bool {
    let shown = router.routes.match_shown(0, IpAddr::V6(address(to)));
    matches!(shown, Some((prefix, shown)) if prefix == host(address(to).into()) && matches!(shown.path, Path::Local(_)))
}

#[test]
fn addresses_that_nobody_else_can_have_are_used_at_once() {
    let mut router = start(ALONE);
    let link_local = address("fe80::ff:fe00:1");
    let (own, tentative, groups) = published(&router, "ge0");
    assert_eq!(own, [link_local, address("2001:db8:1::1"), address("2001:db8:2::1")], "the link-local one comes first");
    assert!(tentative.is_empty() && groups.is_sorted());
    for group in [nd::ALL_NODES, nd::ALL_ROUTERS, nd::solicited_node(link_local), address("ff02::1:ff00:0")] {
        assert!(groups.contains(&group), "{group}");
    }
    // RFC 4291 section 2.6.1 and RFC 6164: the subnet-router anycast address is the router's, too; not between two routers.
    for (to, local) in
        [("2001:db8:1::1", true), ("2001:db8:1::", true), ("2001:db8:2::1", true), ("2001:db8:2::", false)]
    {
        assert_eq!(is_local(&router, to), local, "{to}");
    }
    assert_eq!(published(&router, "ge1").0, [address("fe80::ff:fe00:2")], "who advertises speaks IPv6");
    assert_eq!(published(&router, "ge2"), Default::default(), "who needn't does not");
    // What the operator gives takes the place of what comes by itself, and goes again.
    let given = ALONE.replace("'2001:db8:2::1/127'", "'fe80::1/64'");
    router.commit(config(&given), "edit").unwrap();
    assert_eq!(published(&router, "ge0").0, [address("fe80::1"), address("2001:db8:1::1")]);
    let changed = ALONE.replace("00:01'", "00:07'").replace("'2001:db8:1::1/64', ", "");
    router.commit(config(&changed), "edit").unwrap();
    assert_eq!(published(&router, "ge0").0, [address("fe80::ff:fe00:7"), address("2001:db8:2::1")]);
    assert!(!is_local(&router, "2001:db8:1::1") && !is_local(&router, "2001:db8:1::"));
    router.commit(config(&changed.replace(", '2001:db8:2::1/127'", "")), "edit").unwrap();
    assert_eq!(published(&router, "ge0"), Default::default());
}

#[test]
fn an_address_waits_for_the_link_and_a_duplicate_is_not_used() {
    let mut router = start(SHARED);
    let index = router.interfaces.index("lan").unwrap();
    let (mine, link_local) = (address("2001:db8:1::1"), address("fe80::ff:fe00:1"));
    assert_eq!(published(&router, "lan").1, [link_local, mine]);
    assert!(published(&router, "lan").0.is_empty() && !is_local(&router, "2001:db8:1::1"));
    assert_eq!(router.interfaces.dad.state((index, mine)), Some(State::Waiting));
    router.duplicate(index, mine, Instant::now());
    router.duplicate(index, mine, Instant::now());
    assert_eq!(published(&router, "lan").1, [link_local]);
    assert!(!published(&router, "lan").2.contains(&nd::solicited_node(address("2001:db8:1::"))), "nor its group");
    let events = router.events.newest(0).filter(|event| event.source != "config");
    let told = events.filter(|event| event.text.contains("2001:db8:1::1"));
    assert_eq!(told.count(), 1);
    // The same address anew is tried anew.
    router.commit(config(&SHARED.replace("['2001:db8:1::1/64']", "[]")), "edit").unwrap();
    assert_eq!(published(&router, "lan"), Default::default());
    router.commit(config(SHARED), "edit").unwrap();
    assert_eq!(published(&router, "lan").1, [link_local, mine]);
}
