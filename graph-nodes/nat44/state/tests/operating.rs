//! Listing, clearing, counting, and memory.

use super::super::{Filter, HostRow, SessionRow};
use super::*;

fn all(world: &World, filter: &Filter, at_once: usize) -> Vec<SessionRow> {
    let (mut rows, mut from) = (Vec::new(), Some(0));
    while let Some(at) = from {
        let (more, next) = world.states[0].list(at, at_once, filter, world.now);
        assert!(more.len() <= at_once);
        rows.extend(more);
        from = next;
    }
    rows
}

fn busy() -> World {
    let mut world = World::simple();
    for host in 1..=20 {
        for port in 0..host {
            world.out(UDP, &format!("192.168.1.{host}:{}", 5000 + port), "192.0.2.1:53").unwrap();
        }
        world.out(TCP, &format!("192.168.1.{host}:80"), "192.0.2.2:8080").unwrap();
        world.out(ICMP, &format!("192.168.1.{host}:2000"), "192.0.2.3").unwrap();
    }
    world
}

#[test]
fn a_listing_in_steps_has_each_session_once() {
    let world = busy();
    let rows = all(&world, &Filter::default(), 7);
    assert_eq!(rows.len(), 250);
    let distinct: HashSet<_> = rows.iter().map(|row| (row.protocol, row.inside, row.remote)).collect();
    assert_eq!(distinct.len(), 250);
    let host = endpoint("192.168.1.20").0;
    for (filter, wanted) in [
        (Filter { inside: Some(host), ..Filter::default() }, 22),
        (Filter { inside: Some(host), protocol: Some(UDP), ..Filter::default() }, 20),
        (Filter { remote: Some(endpoint("192.0.2.2").0), ..Filter::default() }, 20),
        (Filter { port: Some(8080), ..Filter::default() }, 20),
        (Filter { port: Some(5019), ..Filter::default() }, all_with_port(&rows, 5019)),
        (Filter { outside: Some(endpoint("203.0.113.1").0), ..Filter::default() }, 250),
        (Filter { outside: Some(host), ..Filter::default() }, 0),
        (Filter { table: Some(1), ..Filter::default() }, 0),
    ] {
        assert_eq!(all(&world, &filter, 11).len(), wanted, "{filter:?}");
    }
}

fn all_with_port(rows: &[SessionRow], port: u16) -> usize {
    rows.iter().filter(|row| [row.inside.1, row.outside.1, row.remote.1].contains(&port)).count()
}

#[test]
fn a_row_says_what_there_is() {
    let mut world = World::simple();
    let (_, id) = world.try_out(TCP, "192.168.1.2:5000", "192.0.2.1:80", 3).unwrap();
    world.states[0].flows.get_mut(id).unwrap().count(100);
    world.pass(10);
    let row = SessionRow {
        protocol: TCP,
        table: 3,
        inside: endpoint("192.168.1.2:5000"),
        outside: endpoint("203.0.113.1:5000"),
        remote: endpoint("192.0.2.1:80"),
        remote_inside: endpoint("192.0.2.1:80"),
        state: FlowState::TcpOpening,
        opener: Side::Inside,
        is_static: false,
        packets: 1,
        bytes: 100,
        idle: 10,
        expires_in: 230,
    };
    assert_eq!(all(&world, &Filter::default(), 10), [row]);
}

#[test]
fn clearing_takes_what_the_filter_admits() {
    let mut world = busy();
    let filter = Filter { protocol: Some(UDP), ..Filter::default() };
    let (mut cleared, mut from) = (0, Some(0));
    while let Some(at) = from {
        let (some, next) = world.states[0].clear(&world.rules, at, 9, &filter, world.now);
        cleared += some;
        from = next;
        world.audit();
    }
    assert_eq!((cleared, world.sessions()), (210, 40));
    assert_eq!(all(&world, &filter, 1000), []);
    world.clear();
    world.assert_empty();
}

#[test]
fn mappings_and_hosts_in_steps() {
    let mut world = busy();
    world.out(UDP, "192.168.1.20:5000", "192.0.2.77:53").unwrap();
    let state = &world.states[0];
    let (mut mappings, mut from) = (Vec::new(), Some(0));
    while let Some(at) = from {
        let (more, next) = state.mappings(at, 7, &Filter::default());
        mappings.extend(more);
        from = next;
    }
    assert_eq!(mappings.len(), 250);
    let twice: Vec<_> = mappings.iter().filter(|row| row.sessions == 2).map(|row| row.inside).collect();
    assert_eq!(twice, [endpoint("192.168.1.20:5000")]);
    let (hosts, next) = state.hosts(0, 1000, 21);
    let sessions: HashMap<_, _> = hosts.iter().map(|row| (row.address.octets()[3], row.sessions)).collect();
    assert_eq!((sessions, next), (HashMap::from([(20, 23), (19, 21)]), None));
    let external = Some(endpoint("203.0.113.1").0);
    assert!(hosts.iter().all(|row: &HostRow| row.external == external && row.table == 0));
    let (few, next) = state.hosts(0, 5, 0);
    assert_eq!((few.len(), next), (4, Some(5)));
}

#[test]
fn a_summary_counts() {
    let world = busy();
    let summary = world.states[0].summary();
    assert_eq!((summary.sessions, summary.mappings, summary.hosts), (250, 250, 20));
    assert_eq!(summary.by_protocol, [(TCP, 20), (UDP, 210), (ICMP, 20)]);
    let states: u32 = summary.by_state.iter().map(|(_, count)| count).sum();
    assert_eq!(states, 250);
    assert!(summary.memory > 250 * 100);
    let used: Vec<_> = world.rules.all_ports().map(|ports| ports.used()).collect();
    assert_eq!(used, [[20, 210, 20]]);
}

/// At a million sessions, each with a mapping of its own: at most 160 bytes each, their share of the indices and the ports included.
#[test]
fn memory_of_a_million_sessions() {
    let pool: Vec<_> = (0..20).map(|last| format!("203.0.113.{last}")).collect();
    let mut spec = spec(&pool.iter().map(String::as_str).collect::<Vec<_>>());
    spec.max_sessions_per_host = 1_000_000;
    spec.max_sessions = 2_000_000;
    let mut world = World::new(&spec, 1);
    let before = world.states[0].memory();
    let sessions = 1_000_000;
    for at in 0..sessions {
        let from = Ipv4Addr::from_bits(0x0a00_0000 + at / 1000);
        let view = View::new(from, (2000 + at % 1000) as u16, Ipv4Addr::new(192, 0, 2, 1), 53);
        let packet = Opening { key: Key { view, protocol: UDP, table: 0 }, tx_interface: WAN, tcp: None };
        world.states[0].outbound(&world.rules, &packet, world.now).unwrap();
    }
    assert_eq!(world.states[0].summary().mappings, sessions);
    let bytes = (world.states[0].memory() - before) as f64 / f64::from(sessions) + 4.0 + 1.0 / 8.0;
    assert!(bytes <= 160.0, "{bytes:.1} bytes a session");
}
