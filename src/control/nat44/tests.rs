//! NAT of the router as a whole, on devices that need no rights.

use super::*;
use crate::control::tests::{config, start};
use millrace_engine::epoch::domain;
use millrace_graph_nodes::nat44::State;
use millrace_graph_nodes::nat44::rules::{Pool, Rules};
use millrace_graph_nodes::nat44::state::{Filter, Opening};
use millrace_tables::flow::{Key, View};
use std::collections::BTreeSet;

/// What the tests translate between.
pub const INTERFACES: &str = "
vrfs: {blue: {}}
interfaces:
  lan: {driver: generator, addresses: [192.168.1.1/24]}
  wan: {driver: generator, addresses: [203.0.113.2/24, 198.51.100.1/24]}
  blue: {driver: generator, vrf: blue, addresses: [10.1.0.1/24]}
";
const POOL: &str = "
nat44:
  inside: [lan, blue]
  outside: [wan]
  pool: [203.0.113.2, 203.0.113.16/30, 192.0.2.9]
  static-mappings:
    - {protocol: tcp, external: '203.0.113.80:8080', internal: '192.168.1.10:80'}
    - {protocol: tcp, external: 'wan:8443', internal: ['192.168.1.10:443', {address: '192.168.1.11:443', weight: 3}], affinity: none}
    - {protocol: udp, external: '203.0.113.2:5000-5100', internal: '10.1.0.9:6000-6100', vrf: blue}
    - {external: 203.0.113.200, internal: 203.0.113.200}
    - {protocol: tcp, external: '203.0.113.81:25', internal: '10.1.0.25:25', vrf: blue, twice-nat: true}
  twice-nat-pool: [10.1.0.254, 192.168.1.254]
  exempt: [{source: 192.168.1.0/24, destination: 10.0.0.0/8}]
  timeouts: {udp: 5m}
";
const INTERFACE: &str = "
nat44: {inside: [lan], outside: [wan], pool: interface, static-mappings: [{protocol: tcp, external: 'wan:80', internal: '192.168.1.10:80'}]}
";

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn with(interfaces: &str, nat44: &str) -> millrace_config::Config {
    config(&format!("{interfaces}{nat44}"))
}

/// The routes of NAT, as VRF and address.
fn routes(router: &Router) -> BTreeSet<String> {
    let listed = |(vrf, table): (&Name, &u32)| {
        let of_nat = router.routes.list(*table, std::ops::Bound::Unbounded).filter(|(_, c)| c.origin == "nat");
        of_nat.map(|(prefix, _)| format!("{vrf} {prefix}")).collect::<Vec<_>>()
    };
    router.vrfs.iter().flat_map(listed).collect()
}

fn features(router: &Router, interface: &str) -> Vec<String> {
    let interface = router.interfaces.named(interface).unwrap();
    router.features_of(interface).into_iter().filter(|feature| feature.contains("nat44")).collect()
}

fn proxied(router: &Router, interface: &str) -> Vec<String> {
    let index = router.interfaces.index(interface).unwrap();
    router.interfaces.forwarded(index).unwrap().proxied.iter().map(Ipv4Addr::to_string).collect()
}

fn set<const N: usize>(all: [&str; N]) -> BTreeSet<String> {
    all.map(str::to_owned).into()
}

#[test]
fn what_comes_with_a_configuration() {
    let mut router = start(&format!("{INTERFACES}{POOL}"));
    assert_eq!(features(&router, "wan"), ["ip4-output: nat44-in2out", "ip4-unicast: nat44-out2in"]);
    for inside in ["lan", "blue"] {
        assert_eq!(features(&router, inside), ["ip4-output: nat44-inside-guard", "ip4-local: nat44-hairpin"]);
    }
    let pool =
        ["203.0.113.16", "203.0.113.17", "203.0.113.18", "203.0.113.19", "192.0.2.9", "203.0.113.80", "203.0.113.81"];
    let mut expected: BTreeSet<String> =
        pool.iter().flat_map(|a| [format!("default {a}/32"), format!("blue {a}/32")]).collect();
    // Where an interface has the address the route is its; whoever has the identity's address gets its packets.
    expected.extend(set(["blue 203.0.113.2/32", "blue 10.1.0.254/32", "blue 192.168.1.254/32"]));
    assert_eq!(routes(&router), expected);
    let on_link = [&pool[..4], &["203.0.113.80", "203.0.113.81", "203.0.113.200"]].concat();
    assert_eq!(proxied(&router, "wan"), on_link);
    assert_eq!((proxied(&router, "lan"), proxied(&router, "blue")), (vec![], vec!["10.1.0.254".to_owned()]));

    let spec = &router.nat44.applied.spec;
    let (wan, blue) = (router.interfaces.index("wan").unwrap(), router.vrfs["blue"]);
    let outside = spec.outside.iter().map(|o| (o.interface, o.table, o.addresses.clone())).collect::<Vec<_>>();
    assert_eq!(outside, [(wan, 0, vec![ip("203.0.113.2"), ip("198.51.100.1")])]);
    let mapping = |external: &str, ports| {
        spec.mappings.iter().find(|m| m.external == ip(external) && m.external_ports == ports).unwrap()
    };
    let balanced = mapping("203.0.113.2", Some((8443, 8443)));
    let servers: Vec<_> = balanced.internal.iter().map(|b| (b.address.to_string(), b.port, b.weight)).collect();
    assert_eq!(servers, [("192.168.1.10".to_owned(), Some(443), 1), ("192.168.1.11".to_owned(), Some(443), 3)]);
    assert!(!balanced.affinity && !balanced.twice_nat);
    let range = mapping("203.0.113.2", Some((5000, 5100)));
    assert_eq!((range.protocol, range.table, range.internal[0].port), (Some(17), blue, Some(6000)));
    let identity = mapping("203.0.113.200", None);
    assert_eq!((identity.protocol, identity.internal[0].port), (None, None));
    assert!(mapping("203.0.113.81", Some((25, 25))).twice_nat);
    assert_eq!((spec.timeouts.udp, spec.timeouts.tcp_established, spec.exempt.len()), (300, 7440, 1));

    router.commit(with(INTERFACES, ""), "apply").unwrap();
    for interface in ["lan", "wan", "blue"] {
        assert_eq!((features(&router, interface), proxied(&router, interface)), (vec![], vec![]));
    }
    assert_eq!((routes(&router), &router.nat44.applied), (set([]), &Wanted::default()));
}

#[test]
fn addresses_of_interfaces_are_followed() {
    let mut router = start(&format!("{INTERFACES}{INTERFACE}"));
    let seen = |router: &Router| {
        let spec = &router.nat44.applied.spec;
        assert_eq!(spec.pool, Pool::Interface);
        let addresses = spec.outside.iter().flat_map(|o| &o.addresses).map(Ipv4Addr::to_string).collect::<Vec<_>>();
        (addresses, spec.mappings.iter().map(|m| m.external.to_string()).collect::<Vec<_>>())
    };
    let two = |a: &str, b: &str| (vec![a.to_owned(), b.to_owned()], vec![a.to_owned()]);
    assert_eq!((seen(&router), routes(&router)), (two("203.0.113.2", "198.51.100.1"), set([])));
    for (addresses, expected) in [
        ("[198.51.100.1/24, 203.0.113.2/24]", two("198.51.100.1", "203.0.113.2")),
        ("[198.51.100.7/24]", (vec!["198.51.100.7".to_owned()], vec!["198.51.100.7".to_owned()])),
        // The mapping waits for an address.
        ("[]", (vec![], vec![])),
        ("[203.0.113.2/24, 198.51.100.1/24]", two("203.0.113.2", "198.51.100.1")),
    ] {
        let interfaces = INTERFACES.replace("[203.0.113.2/24, 198.51.100.1/24]", addresses);
        router.commit(with(&interfaces, INTERFACE), "edit").unwrap();
        assert_eq!(seen(&router), expected, "{addresses}");
    }
    // Another VRF, another table; another driver, another interface of the same name.
    let moved = INTERFACES.replace("wan: {driver: generator,", "wan: {driver: generator, vrf: blue,");
    router.commit(with(&moved, INTERFACE), "edit").unwrap();
    assert_eq!(router.nat44.applied.spec.outside[0].table, router.vrfs["blue"]);
    assert_eq!(routes(&router), set(["default 203.0.113.2/32"]), "for hosts that reach each other by it");
    let other = INTERFACES.replace("wan: {driver: generator,", "wan: {driver: loopback,");
    router.commit(with(&other, INTERFACE), "edit").unwrap();
    assert_eq!(features(&router, "wan"), ["ip4-output: nat44-in2out", "ip4-unicast: nat44-out2in"]);
    assert_eq!(router.nat44.applied.spec.outside[0].interface, router.interfaces.index("wan").unwrap());
}

#[test]
fn a_refused_commit_leaves_it_as_it_was() {
    let mut router = start(&format!("{INTERFACES}{POOL}"));
    let (before, seen) = (router.nat44.applied.clone(), (routes(&router), features(&router, "wan")));
    // Steps before and behind those of NAT, and one that fails at the end.
    let bad =
        INTERFACES.replace("  blue:", "  zz: {driver: pcap, read: /dev/null}\n  blue:").replace("203.0.113.2/24, ", "");
    for nat44 in [INTERFACE, ""] {
        router.commit(with(&bad, nat44), "apply").unwrap_err();
        assert_eq!(router.nat44.applied, before);
        assert_eq!((routes(&router), features(&router, "wan")), seen);
        assert_eq!(router.nat44.config().mappings.len(), 5);
    }
    router.commit(with(INTERFACES, INTERFACE), "apply").unwrap();
    router.rollback(None, "rollback").unwrap();
    assert_eq!((&router.nat44.applied, routes(&router)), (&before, seen.0));
}

const LOGGED: &str = "
nat44:
  inside: [lan]
  outside: [wan]
  pool: [203.0.113.16-203.0.113.17]
  log: {mappings: true, rate: 100000}
";

/// Opens a UDP session from an inside host's port to an outside server.
pub fn open(router: &Router, inside: &str, port: u16) {
    let view = View::new(ip(inside), port, ip("198.51.100.7"), 53);
    let tx_interface = router.interfaces.index("wan").unwrap();
    let opening = Opening { key: Key { view, protocol: 17, table: 0 }, tx_interface, tcp: None };
    let me = domain().register();
    let worker = router.nat44.path.rules(&me.guard()).host_worker(ip(inside));
    let open = move |state: &mut State, rules: &Rules, now| state.outbound(rules, &opening, now).map(drop);
    assert_eq!(router.nat44.on(&router.engine, worker, open), Some(Ok(())));
}

/// The sessions, as inside and outside endpoint.
fn sessions(router: &Router) -> Vec<(String, String)> {
    let (mut walk, mut all) = (Walk::default(), Vec::new());
    let mut jobs = 0;
    while let Some(rows) = router
        .nat44
        .step(&router.engine, &mut walk, |s, _, at, now| s.list(at, sessions::AT_ONCE, &Filter::default(), now))
    {
        let text = |(address, port): (Ipv4Addr, u16)| format!("{address}:{port}");
        all.extend(rows.into_iter().map(|row| (text(row.inside), text(row.outside))));
        jobs += 1;
    }
    assert!(jobs > all.len() / sessions::AT_ONCE, "no job sees more than a few");
    all.sort();
    all
}

/// Lets the search for sessions that the rules don't carry come to its end.
fn settle(router: &mut Router) {
    while router.nat44.is_looking() {
        router.pump();
    }
}

fn change(router: &mut Router, nat44: &str) {
    router.commit(with(INTERFACES, nat44), "edit").unwrap();
    settle(router);
}

#[test]
fn sessions_live_as_long_as_the_rules_carry_them() {
    let mut router = start(&format!("{INTERFACES}{LOGGED}"));
    (0..600).for_each(|n| open(&router, "192.168.1.10", 10_000 + n));
    let all = sessions(&router);
    assert_eq!(all.len(), 600);
    // What doesn't concern them leaves them alone.
    let longer = format!("{LOGGED}  timeouts: {{udp: 10m}}\n  filtering: endpoint-independent\n");
    change(&mut router, &longer);
    assert_eq!(sessions(&router), all);
    // A static mapping comes before the session that has its port.
    let (_, taken) = &all[300];
    let mapped =
        format!("{LOGGED}  static-mappings: [{{protocol: udp, external: '{taken}', internal: '192.168.1.9:53'}}]\n");
    change(&mut router, &mapped);
    let expected: Vec<_> = all.iter().filter(|(_, outside)| outside != taken).cloned().collect();
    assert_eq!(sessions(&router), expected);
    // An address goes, and with it the host's sessions; the other one stays.
    let address = taken.split(':').next().unwrap();
    let (gone, left) = if address.ends_with("16") { ("16", "17") } else { ("17", "16") };
    let pool = LOGGED.replace("203.0.113.16-203.0.113.17", &format!("203.0.113.{left}"));
    change(&mut router, &pool);
    assert_eq!((sessions(&router), proxied(&router, "wan")), (vec![], vec![format!("203.0.113.{left}")]));
    assert!(!routes(&router).contains(&format!("default 203.0.113.{gone}/32")));
    open(&router, "192.168.1.10", 10_000);
    change(&mut router, "");
    assert_eq!((sessions(&router), router.nat44.ports_used()), (vec![], vec![]));
}

#[test]
fn mappings_are_told() {
    let mut router = start(&format!("{INTERFACES}{LOGGED}"));
    open(&router, "192.168.1.10", 40_000);
    router.pump();
    let texts = |router: &Router| {
        let of_nat = router.events.newest(0).filter(|event| event.source == "nat44");
        of_nat.map(|event| event.text.clone()).collect::<Vec<_>>()
    };
    let (inside, outside) = sessions(&router).pop().unwrap();
    let added = format!("mapping added: udp {inside} as {outside}");
    assert_eq!(texts(&router), [added.as_str()]);
    change(&mut router, "");
    assert_eq!(texts(&router), [added, format!("mapping removed: udp {inside} as {outside}")]);
    assert_eq!(router.nat44.log_counts(), None, "nobody wants it any more");
}

#[test]
fn too_much_news_is_told_in_parts() {
    let started = Instant::now();
    let mut router = start(&format!("{INTERFACES}{}", LOGGED.replace("rate: 100000", "rate: 10")));
    settle(&mut router);
    (0..2000).for_each(|n| open(&router, "192.168.1.10", 10_000 + n));
    router.pump();
    let told = router.nat44.log_counts().unwrap();
    assert_eq!((told.told + told.suppressed) as usize, EVENTS_AT_ONCE, "others have their turn");
    router.pump();
    let counts = router.nat44.log_counts().unwrap();
    let most = 10 + 10 * (started.elapsed().as_secs() + 1);
    assert!(counts.told >= 10 && counts.told <= most && counts.told + counts.suppressed == 2000, "{counts:?}");
    router.second();
    let last = router.events.newest(1).next().unwrap();
    assert_eq!(last.text, format!("{} events left out; 10 in a second are told at most", counts.suppressed));
}
