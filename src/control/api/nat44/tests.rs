//! The calls, on a router without devices that need rights.

use super::*;
use crate::control::nat44::tests::{INTERFACES, open};
use crate::control::tests::start;
use std::sync::Arc;
use tokio_stream::StreamExt;
use tonic::Code;

const NAT44: &str = "
nat44:
  inside: [lan, blue]
  outside: [wan]
  pool: [203.0.113.16]
  max-sessions: 5000
  static-mappings:
    - {protocol: tcp, external: 'wan:8443', internal: ['192.168.1.10:443', {address: '192.168.1.11:443', weight: 3}], vrf: blue}
    - {protocol: udp, external: '203.0.113.80:5000-5100', internal: '192.168.1.12:6000-6100'}
    - {external: 203.0.113.81, internal: 192.168.1.13}
";

fn router() -> Shared {
    Shared::new(start(&format!("workers: {{count: 2}}{INTERFACES}{NAT44}")))
}

async fn listed(shared: &Shared, filter: Nat44Filter, limit: u64) -> Result<Vec<Nat44Session>, Status> {
    let stream = sessions(shared, ListNat44SessionsRequest { filter: Some(filter), limit })?.into_inner();
    let batches: Vec<_> = stream.map(|batch| batch.unwrap().sessions).collect().await;
    Ok(batches.concat())
}

async fn mapped(shared: &Shared, filter: Nat44Filter, limit: u64) -> Vec<String> {
    let request = ListNat44MappingsRequest { filter: Some(filter), limit };
    let stream = mappings(shared, request).unwrap().into_inner();
    let batches: Vec<_> = stream.map(|batch| batch.unwrap().mappings).collect().await;
    let line = |m: Nat44Mapping| {
        let (inside, outside) = (m.inside_address, m.outside_address.unwrap_or_default());
        let (inside, outside) = (format!("{inside}:{}", m.inside_port), format!("{outside}:{}", m.outside_port));
        format!("{} {} {inside} {outside} {} {} x{}", m.r#type, m.protocol, m.ports, m.vrf, m.weight)
    };
    batches.concat().into_iter().map(line).collect()
}

#[tokio::test]
async fn sessions_are_listed_and_cleared() {
    let shared = router();
    (0..700).for_each(|n| open(&shared.lock(), "192.168.1.10", 10_000 + n));
    open(&shared.lock(), "192.168.1.11", 30_000);
    let all = Nat44Filter::default;
    let everything = listed(&shared, all(), 0).await.unwrap();
    assert_eq!(everything.len(), 701);
    let one = everything.iter().find(|session| session.inside_port == 30_000).unwrap();
    let Nat44Session { protocol, inside_address, remote_address, remote_port, state, vrf, .. } = one;
    assert_eq!([protocol, inside_address, remote_address], ["udp", "192.168.1.11", "198.51.100.7"]);
    assert_eq!((*remote_port, state.as_str(), vrf.as_str()), (53, "unreplied", "default"));
    assert!((295..=300).contains(&one.expires_in), "{one:?}");
    let some = |text: &str| Some(text.to_owned());
    for (filter, limit, expected) in [
        (Nat44Filter { inside: some("192.168.1.11"), ..all() }, 0, 1),
        (Nat44Filter { inside: some("192.168.1.10"), ..all() }, 300, 300),
        (Nat44Filter { outside: some("203.0.113.16"), protocol: some("udp"), ..all() }, 0, 701),
        (Nat44Filter { remote: some("198.51.100.7"), protocol: some("17"), ..all() }, 0, 701),
        (Nat44Filter { protocol: some("tcp"), ..all() }, 0, 0),
        (Nat44Filter { port: Some(10_001), ..all() }, 0, 1),
        (Nat44Filter { port: Some(53), vrf: some("default"), ..all() }, 0, 701),
        (Nat44Filter { vrf: some("blue"), ..all() }, 0, 0),
    ] {
        assert_eq!(listed(&shared, filter.clone(), limit).await.unwrap().len(), expected, "{filter:?}");
    }
    for (filter, code) in [
        (Nat44Filter { inside: some("192.168.1"), ..all() }, Code::InvalidArgument),
        (Nat44Filter { protocol: some("tpc"), ..all() }, Code::InvalidArgument),
        (Nat44Filter { port: Some(65_536), ..all() }, Code::InvalidArgument),
        (Nat44Filter { vrf: some("green"), ..all() }, Code::NotFound),
    ] {
        assert_eq!(listed(&shared, filter.clone(), 0).await.unwrap_err().code(), code, "{filter:?}");
    }
    let filter = Some(Nat44Filter { inside: some("192.168.1.10"), ..all() });
    let cleared = clear(&shared, ClearNat44SessionsRequest { filter }).await.unwrap().into_inner();
    assert_eq!((cleared.sessions, listed(&shared, all(), 0).await.unwrap().len()), (700, 1));
    let cleared = clear(&shared, ClearNat44SessionsRequest { filter: None }).await.unwrap().into_inner();
    assert_eq!(cleared.sessions, 1);
}

/// Who reads slowly holds up nobody, and who goes away leaves nothing behind.
#[tokio::test]
async fn slow_clients() {
    let shared = router();
    (0..3000).for_each(|n| open(&shared.lock(), "192.168.1.10", 10_000 + n));
    let handles = Arc::strong_count(&shared.0);
    let mut stream = sessions(&shared, ListNat44SessionsRequest::default()).unwrap().into_inner();
    let first = stream.next().await.unwrap().unwrap().sessions;
    assert!((1..=AT_ONCE).contains(&first.len()));
    // Sessions come and go meanwhile, and the configuration changes.
    let filter = Some(Nat44Filter { port: Some(12_999), ..Nat44Filter::default() });
    assert_eq!(clear(&shared, ClearNat44SessionsRequest { filter }).await.unwrap().into_inner().sessions, 1);
    let config = crate::control::tests::config(&format!(
        "workers: {{count: 2}}{INTERFACES}{NAT44}  filtering: endpoint-independent\n"
    ));
    shared.lock().commit(config, "edit").unwrap();
    let mut rest = 0;
    while rest < 1000 {
        rest += stream.next().await.unwrap().unwrap().sessions.len();
    }
    drop(stream);
    while Arc::strong_count(&shared.0) > handles {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn mappings_of_both_kinds() {
    let shared = router();
    open(&shared.lock(), "192.168.1.10", 40_000);
    let all = Nat44Filter::default;
    let fixed = [
        "static any 192.168.1.13:0 203.0.113.81:0 0 default x1",
        "static tcp 192.168.1.10:443 203.0.113.2:8443 1 blue x1",
        "static tcp 192.168.1.11:443 203.0.113.2:8443 1 blue x3",
        "static udp 192.168.1.12:6000 203.0.113.80:5000 101 default x1",
    ];
    let dynamic = "dynamic udp 192.168.1.10:40000 203.0.113.16:40000 1 default x1";
    assert_eq!(mapped(&shared, all(), 0).await, [&fixed[..], &[dynamic]].concat());
    assert_eq!(mapped(&shared, all(), 2).await, fixed[..2]);
    let some = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (Nat44Filter { inside: some("192.168.1.10"), ..all() }, vec![fixed[1], dynamic]),
        (Nat44Filter { outside: some("203.0.113.2"), ..all() }, vec![fixed[1], fixed[2]]),
        (Nat44Filter { protocol: some("udp"), ..all() }, vec![fixed[0], fixed[3], dynamic]),
        (Nat44Filter { port: Some(6100), ..all() }, vec![fixed[0], fixed[3]]),
        (Nat44Filter { vrf: some("blue"), ..all() }, vec![fixed[1], fixed[2]]),
    ] {
        assert_eq!(mapped(&shared, filter.clone(), 0).await, expected, "{filter:?}");
    }
    let remote = Some(Nat44Filter { remote: some("198.51.100.7"), ..all() });
    let refused = mappings(&shared, ListNat44MappingsRequest { filter: remote, limit: 0 });
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_summary_of_all_workers() {
    let shared = router();
    for host in 1..=20 {
        (0..host).for_each(|n| open(&shared.lock(), &format!("192.168.1.{}", 100 + host), 10_000 + n));
    }
    let workers = |router: &Router| router.nat44.on_each(&router.engine, |state, _, _| state.flows.len());
    let of_each = workers(&shared.lock());
    assert!(of_each.iter().all(|sessions| (1..210).contains(sessions)), "{of_each:?}");
    let asked = |hosts| GetNat44SummaryRequest { hosts };
    let all = summary(&shared, &asked(0)).await.unwrap().into_inner();
    assert_eq!((all.sessions, all.mappings, all.hosts, all.max_sessions), (210, 210, 20, 5000));
    assert_eq!((all.ports_used, all.by_protocol["udp"], all.by_state["unreplied"]), (210, 210, 210));
    assert_eq!((all.by_protocol.len(), all.by_state.len(), all.log), (1, 1, None));
    let used: Vec<_> = all.addresses.iter().map(|a| (a.address.as_str(), a.udp_ports)).collect();
    assert_eq!(used, [("203.0.113.16", 210)]);
    let top: Vec<_> = all.top_hosts.iter().map(|host| (host.address.clone(), host.sessions)).collect();
    assert_eq!(top, (11..=20).rev().map(|n| (format!("192.168.1.{}", 100 + n), n)).collect::<Vec<_>>());
    assert_eq!(summary(&shared, &asked(3)).await.unwrap().into_inner().top_hosts[..], all.top_hosts[..3]);
    assert!(all.memory > 0);
    let areas = crate::control::api::system::memory(&shared.lock()).areas;
    let sessions = areas.iter().find(|area| area.area == "nat44-sessions").unwrap();
    assert_eq!((sessions.bytes, sessions.entries), (all.memory, Some(210)));
}
