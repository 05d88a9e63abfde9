//! The router as a whole, on devices that need no rights: configurations applied, undone, confirmed, rolled back.

use super::apply::CommitError;
use super::*;
use millrace_config::parse;
use std::collections::BTreeSet;

pub(super) fn config(text: &str) -> Config {
    let text = format!("buffers: {{count: 4096, huge-pages: off}}\n{text}");
    parse(&text, "test").unwrap_or_else(|errors| panic!("{errors:?}"))
}

pub(super) fn start(text: &str) -> Router {
    let options = Options { config_file: "/nonexistent/test.yaml".into(), socket_given: false };
    Router::start(config(text), options, Waker::new().unwrap(), Waker::new().unwrap()).unwrap()
}

const ONE: &str = "
interfaces:
  ge0: {driver: generator, addresses: [10.0.0.1/24]}
routes: [{to: 198.51.100.0/24, via: 10.0.0.9}]
";
const TWO: &str = "
vrfs: {blue: {}}
interfaces:
  ge0: {driver: generator, mtu: 1400, addresses: [10.0.0.1/24, 10.1.0.1/24], sub-interfaces: {7: {addresses: [10.7.0.1/24]}}}
  ge1: {driver: generator, vrf: blue, addresses: [10.0.0.1/24]}
routes:
  - {to: 198.51.100.0/24, type: blackhole}
  - {to: 198.51.100.0/24, vrf: blue, via: 10.0.0.9}
neighbors: [{interface: ge1, address: 10.0.0.9, mac: '02:00:00:00:00:09'}]
";

/// Everything that a configuration makes, to be compared.
fn state(router: &Router) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for interface in router.interfaces.iter() {
        let forwarded = router.interfaces.forwarded(interface.index).unwrap();
        let vrf = &interface.vrf.0;
        all.insert(format!(
            "{} {vrf} {} {:?} {:?}",
            interface.name, interface.mtu, interface.state, forwarded.addresses
        ));
        all.insert(format!("{} has {} subs", interface.name, forwarded.sub_interfaces.len()));
    }
    for (vrf, table) in &router.vrfs {
        for (prefix, candidate) in router.routes.list(*table, std::ops::Bound::Unbounded) {
            let target = router.routes.lookup(*table, prefix.network()).is_some();
            all.insert(format!("{vrf} {prefix} {:?} {target}", candidate.origin));
        }
    }
    for ((interface, address), neighbor) in router.neighbors.list() {
        all.insert(format!("{} {address} {:?}", router.interfaces.name(*interface), neighbor.state));
    }
    all
}

#[test]
fn any_configuration_can_follow_any_other() {
    let states: Vec<_> = [ONE, TWO, ""].iter().map(|text| state(&start(text))).collect();
    let mut router = start(ONE);
    for to in [1, 0, 2, 1, 2, 0, 1] {
        router.commit(config([ONE, TWO, ""][to]), "apply").unwrap();
        assert_eq!(state(&router), states[to], "configuration {to}");
    }
    assert_eq!((router.history.running(), router.events.newest(0).count()), (8, 8));
    assert_eq!(router.commit(config(TWO), "apply").unwrap().revision, 8, "nothing to do makes no revision");
}

#[test]
fn what_fails_on_the_way_is_undone() {
    let mut router = start(ONE);
    let (before, running) = (state(&router), router.config.clone());
    let bad = TWO.replace("  ge1:", "  zz: {driver: pcap, read: /dev/null}\n  ge1:");
    let error = router.commit(config(&bad), "apply").unwrap_err();
    assert!(matches!(&error, CommitError::Failed { step, .. } if step.contains("zz")), "{error}");
    assert_eq!((state(&router), &router.config, router.history.running()), (before.clone(), &running, 1));
    for restart in ["workers: {count: 2}", "api: {socket: /tmp/other.sock}"] {
        let error = router.commit(config(&format!("{ONE}{restart}")), "apply").unwrap_err();
        assert!(error.to_string().contains("restart"), "{error}");
    }
    assert_eq!((state(&router), router.history.running()), (before, 1));
    router.commit(config(TWO), "apply").unwrap();
}

#[test]
fn revisions_come_back() {
    let mut router = start(ONE);
    let one = state(&router);
    router.commit(config(TWO), "apply").unwrap();
    assert_eq!(router.rollback(None, "rollback").unwrap().revision, 3);
    assert_eq!((state(&router), &router.config), (one.clone(), &config(ONE)));
    router.rollback(Some(2), "rollback").unwrap();
    assert_eq!(router.config, config(TWO));
    assert_eq!(router.rollback(Some(77), "rollback"), Err(CommitError::NoRevision(77)));
    router.rollback(Some(1), "rollback").unwrap();
    assert_eq!(state(&router), one);
}

#[test]
fn what_is_not_confirmed_does_not_stay() {
    let mut router = start(ONE);
    let minute = Duration::from_secs(60);
    router.commit_for(config(TWO), minute).unwrap();
    let due = router.next_deadline().unwrap();
    router.run_pending(due - Duration::from_secs(1));
    assert_eq!(router.config, config(TWO));
    // A second one does not make the first one good.
    router.commit_for(config(""), minute).unwrap();
    let due = router.next_deadline().unwrap();
    router.run_pending(due);
    assert_eq!(router.config, config(ONE));
    assert_eq!(router.history.newest_first().next().unwrap().source, "confirm timeout");
    assert!(!router.confirm());
    router.commit_for(config(TWO), minute).unwrap();
    assert!(router.confirm());
    assert!(router.history.pending.is_none());
    router.run_pending(due + 2 * minute);
    assert_eq!(router.config, config(TWO));
}

#[test]
fn a_missing_device_is_waited_for() {
    let router = start("interfaces: {wan: {driver: af-packet, device: nosuch0, addresses: [10.0.0.1/24]}}");
    assert_eq!(router.missing().iter().map(Name::to_string).collect::<Vec<_>>(), ["wan"]);
    assert!(router.routes.lookup(0, "10.0.0.9".parse().unwrap()).is_none(), "there is no way out");
    let warnings = router.events.newest(0).filter(|e| e.severity == Severity::Warning && e.source.contains("wan"));
    assert_eq!(warnings.count(), 1);
}

#[test]
fn routes_follow_the_state_that_the_operator_wants() {
    let mut router = start(TWO);
    let lookup = |router: &Router, to: &str| router.routes.lookup(0, to.parse().unwrap());
    assert!(lookup(&router, "10.1.0.9").is_some() && lookup(&router, "10.7.0.9").is_some());
    router.commit(config(&TWO.replace("mtu: 1400,", "mtu: 1400, state: down,")), "edit").unwrap();
    assert!(lookup(&router, "10.1.0.9").is_none() && lookup(&router, "10.7.0.9").is_none(), "sub-interfaces, too");
    router.commit(config(TWO), "edit").unwrap();
    assert!(lookup(&router, "10.1.0.9").is_some() && lookup(&router, "10.7.0.9").is_some());
}
