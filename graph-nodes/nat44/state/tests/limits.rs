//! What happens when there is no more.

use super::*;

fn limited(max_sessions: u32, max_sessions_per_host: u32) -> Spec {
    Spec { max_sessions, max_sessions_per_host, ..spec(&["203.0.113.1"]) }
}

/// RFC 6888 REQ-4: a limit for each subscriber, whoever opens the sessions.
#[test]
fn rfc6888_req4_sessions_of_a_host() {
    let mut spec = limited(1000, 10);
    spec.mappings.push(mapping(Some(TCP), "203.0.113.1:80", &["192.168.1.2:80"]));
    let mut world = World::new(&spec, 1);
    for port in 1..=5 {
        world.out(UDP, "192.168.1.2:5000", &format!("192.0.2.1:{port}")).unwrap();
        world.inbound(TCP, &format!("192.0.2.1:{port}"), "203.0.113.1:80").unwrap();
    }
    assert_eq!(world.out(UDP, "192.168.1.2:5001", "192.0.2.1:9"), Err(Refusal::HostLimit));
    assert_eq!(world.inbound(TCP, "192.0.2.1:99", "203.0.113.1:80"), Err(Refusal::HostLimit));
    world.audit();
    assert_eq!(world.used(), 1, "a refused flow holds no port");
    assert!(world.out(UDP, "192.168.1.3:5000", "192.0.2.1:1").is_ok(), "others are not concerned");
    world.clear();
    assert!(world.out(UDP, "192.168.1.2:5001", "192.0.2.1:9").is_ok());
}

/// RFC 6888 REQ-2 and REQ-4b: the limit is of an address in its VRF.
#[test]
fn the_same_address_in_two_vrfs_is_two_hosts() {
    let mut world = World::new(&limited(1000, 1), 1);
    for table in [1, 2] {
        assert!(world.try_out(UDP, "192.168.1.2:5000", "192.0.2.1:53", table).is_ok());
        assert_eq!(world.try_out(UDP, "192.168.1.2:5001", "192.0.2.1:53", table), Err(Refusal::HostLimit));
    }
    world.audit();
    assert_eq!(world.used(), 2);
}

#[test]
fn the_oldest_transitory_session_makes_room_and_no_established_one() {
    let mut world = World::new(&limited(10, 1000), 1);
    let flows: Vec<_> = (0..10)
        .map(|port| {
            world.pass(2);
            world.try_out(TCP, &format!("192.168.1.2:{}", 5000 + port), "192.0.2.1:80", 0).unwrap().1
        })
        .collect();
    for id in &flows[..5] {
        world.states[0].flows.set_state(*id, FlowState::TcpEstablished, world.now);
    }
    for new in 0..5u16 {
        world.try_out(TCP, &format!("192.168.1.3:{}", 5000 + new), "192.0.2.1:80", 0).unwrap();
        assert_eq!((world.sessions(), world.states[0].reclaimed()), (10, u64::from(new) + 1));
        world.audit();
    }
    for id in &flows[..5] {
        assert_eq!(world.states[0].flows.get(*id).unwrap().state(), FlowState::TcpEstablished);
    }
    let (all, _) = world.states[0].list(0, 100, &super::super::Filter::default(), world.now);
    for row in all.iter().filter(|row| row.state == FlowState::TcpOpening) {
        assert_eq!(row.inside.0, endpoint("192.168.1.3").0, "the older ones went first");
    }
    for row in 0..=20 {
        world.states[0].flows.set_state(row, FlowState::TcpEstablished, world.now);
    }
    assert_eq!(world.out(TCP, "192.168.1.4:5000", "192.0.2.1:80"), Err(Refusal::SessionLimit));
    assert_eq!(world.sessions(), 10);
    world.audit();
}

/// The mapping of a flow to be may have only the flow that has to go.
#[test]
fn a_mapping_survives_that_its_only_flow_makes_room_for_its_next() {
    let mut world = World::new(&limited(1, 1000), 1);
    let first = world.out(UDP, "192.168.1.2:5000", "192.0.2.1:53").unwrap();
    for port in 54..100 {
        assert_eq!(world.out(UDP, "192.168.1.2:5000", &format!("192.0.2.1:{port}")).unwrap(), first);
        assert_eq!(world.sessions(), 1);
        world.audit();
    }
    world.clear();
    world.assert_empty();
}

#[test]
fn workers_share_one_limit() {
    let mut world = World::new(&limited(1000, 1000), 4);
    let mut opened = 0;
    for host in 0..2000 {
        let from = format!("192.168.{}.{}:5000", host / 200, host % 200 + 1);
        if let Ok((worker, id)) = world.try_out(TCP, &from, "192.0.2.1:80", 0) {
            world.states[worker].flows.set_state(id, FlowState::TcpEstablished, world.now);
            opened += 1;
        }
    }
    world.audit();
    assert!((1000 - 4 * 64..=1000).contains(&opened), "{opened} sessions");
}

#[test]
fn a_lower_limit_lets_no_more_in() {
    let mut world = World::new(&limited(1000, 1000), 1);
    for port in 0..100 {
        let (_, id) = world.try_out(TCP, &format!("192.168.1.2:{}", 5000 + port), "192.0.2.1:80", 0).unwrap();
        world.states[0].flows.set_state(id, FlowState::TcpEstablished, world.now);
    }
    world.publish(&limited(50, 1000));
    world.revalidate();
    assert_eq!(world.sessions(), 100, "who is there stays");
    assert!(world.states[0].base.credit > 0, "asked for more than it needed");
    assert_eq!(world.out(UDP, "192.168.1.3:1", "192.0.2.1:80"), Err(Refusal::SessionLimit));
    world.audit();
    world.clear();
    world.audit();
    for port in 0..50 {
        let (_, id) = world.try_out(TCP, &format!("192.168.1.2:{}", 5000 + port), "192.0.2.1:80", 0).unwrap();
        world.states[0].flows.set_state(id, FlowState::TcpEstablished, world.now);
    }
    assert_eq!(world.out(TCP, "192.168.1.2:1", "192.0.2.1:80"), Err(Refusal::SessionLimit));
    world.audit();
}

/// RFC 4787 REQ-2 and REQ-3: when the host's address has no port left there is none for it.
#[test]
fn ports_run_out() {
    let mut world = World::new(&Spec { max_sessions_per_host: 100_000, ..spec(&["203.0.113.1"]) }, 1);
    for port in 1024..=65535 {
        world.out(UDP, &format!("192.168.1.2:{port}"), "192.0.2.1:53").unwrap();
    }
    assert_eq!(world.used(), 64512);
    assert_eq!(world.out(UDP, "192.168.1.3:5000", "192.0.2.1:53"), Err(Refusal::NoPort));
    assert!(world.out(UDP, "192.168.1.2:5000", "192.0.2.1:54").is_ok(), "who has a mapping is not concerned");
    assert!(world.out(TCP, "192.168.1.3:5000", "192.0.2.1:53").is_ok(), "nor are other protocols");
    for port in 1..=1023 {
        world.out(UDP, &format!("192.168.1.4:{port}"), "192.0.2.1:53").unwrap();
    }
    assert_eq!(world.out(UDP, "192.168.1.5:53", "192.0.2.1:53"), Err(Refusal::NoPort));
    world.audit();
    // A quarantined port is better than none.
    world.states[0].clear(&world.rules, 0, 1, &super::super::Filter::default(), world.now);
    assert_eq!(world.out(UDP, "192.168.1.3:5000", "192.0.2.1:99").unwrap(), "203.0.113.1:1024");
    world.clear();
    world.assert_empty();
    world.out(UDP, "192.168.1.3:5000", "192.0.2.1:53").unwrap();
    world.audit();
}

#[test]
fn without_a_pool() {
    let mut world = World::new(&spec(&[]), 1);
    assert_eq!(world.out(UDP, "192.168.1.2:5000", "192.0.2.1:53"), Err(Refusal::NoPool));
    world.assert_empty();
    let mut world = World::simple();
    assert_eq!(world.out(47, "192.168.1.2", "192.0.2.1"), Err(Refusal::NeedsOneToOne));
    world.assert_empty();
}
