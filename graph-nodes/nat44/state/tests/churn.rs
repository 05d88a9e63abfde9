//! Random packets, clearings, times and changes of the rules: nothing leaks, and everything counts.

use super::super::Filter;
use super::*;
use crate::nat44::rules::Filtering;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Out { protocol: u8, host: u8, port: u16, to: u8, table: u16 },
    In { protocol: u8, from: u8, to: u8, port: u16 },
    Back { flow: usize, port: u16 },
    Establish { flow: usize },
    Pass(u32),
    Expire,
    Clear(u8),
    Rules(usize),
    Revalidate,
}

fn protocol() -> impl Strategy<Value = u8> {
    prop_oneof![Just(UDP), Just(TCP), Just(ICMP), Just(47)]
}

fn step() -> impl Strategy<Value = Step> {
    let port = || prop_oneof![1000..1040u16, 78..84u16];
    prop_oneof![
        20 => (protocol(), 1..12u8, port(), 1..6u8, 0..2u16)
            .prop_map(|(protocol, host, port, to, table)| Step::Out { protocol, host, port, to, table }),
        6 => (protocol(), 1..6u8, 1..5u8, port()).prop_map(|(protocol, from, to, port)| Step::In { protocol, from, to, port }),
        6 => (0..100usize, port()).prop_map(|(flow, port)| Step::Back { flow, port }),
        3 => (0..100usize).prop_map(|flow| Step::Establish { flow }),
        4 => (1..200u32).prop_map(Step::Pass),
        4 => Just(Step::Expire),
        1 => (1..12u8).prop_map(Step::Clear),
        2 => (0..6usize).prop_map(Step::Rules),
        2 => Just(Step::Revalidate),
    ]
}

/// Rules that contradict each other.
fn rules(which: usize) -> Spec {
    let limits =
        Spec { max_sessions: 60, max_sessions_per_host: 15, log: true, ..spec(&["203.0.113.1", "203.0.113.2"]) };
    let forward = mapping(Some(TCP), "203.0.113.1:80", &["192.168.1.2:80"]);
    match which {
        0 => limits,
        1 => Spec { filtering: Filtering::EndpointIndependent, mappings: vec![forward], ..limits },
        2 => Spec {
            mappings: vec![
                StaticMapping { twice_nat: true, ..mapping(Some(UDP), "203.0.113.2:1010", &["192.168.1.3:1011"]) },
                mapping(None, "203.0.113.4", &["192.168.1.4"]),
            ],
            twice_nat_pool: vec!["192.168.1.254".parse().unwrap()],
            ..limits
        },
        3 => Spec {
            pool: Pool::Interface,
            mappings: vec![mapping(
                Some(TCP),
                "203.0.113.1:80",
                &["192.168.1.2:80", "192.168.1.3:81", "192.168.1.5:80"],
            )],
            ..limits
        },
        4 => Spec { mappings: vec![mapping(None, "203.0.113.1", &["192.168.1.4"]), forward], ..limits },
        _ => Spec { max_sessions: 20, max_sessions_per_host: 5, log: true, ..spec(&["203.0.113.2", "203.0.113.3"]) },
    }
}

/// The n-th flow of all workers, or one after it.
fn flow(world: &World, n: usize) -> Option<(usize, FlowId)> {
    let all = world.states.iter().enumerate().flat_map(|(worker, state)| {
        let (flows, _) = state.flows.scan(0, usize::MAX);
        flows.map(move |(id, _)| (worker, id))
    });
    let all: Vec<_> = all.collect();
    all.get(n % all.len().max(1)).copied()
}

fn take(world: &mut World, step: &Step) {
    let ports = |protocol: u8| protocol == TCP || protocol == UDP;
    match *step {
        Step::Out { protocol, host, port, to, table } => {
            let port = if protocol == 47 { 0 } else { port };
            let remote = if ports(protocol) { 53 } else { 0 };
            let before = (world.sessions(), world.used());
            let opened =
                world.try_out(protocol, &format!("192.168.1.{host}:{port}"), &format!("192.0.2.{to}:{remote}"), table);
            if let Err(refusal) = opened
                && refusal != Refusal::Conflict
            {
                assert!(world.sessions() <= before.0 && world.used() <= before.1, "{refusal:?} left something");
            }
        }
        Step::In { protocol, from, to, port } => {
            let (port, remote) = if protocol == 47 { (0, 0) } else { (port, u16::from(ports(protocol))) };
            let _ = world.try_in(protocol, &format!("192.0.2.{from}:{remote}"), &format!("203.0.113.{to}:{port}"));
        }
        Step::Back { flow: n, port } => {
            let Some((worker, id)) = flow(world, n) else { return };
            let flow = world.states[worker].flows.get(id).unwrap();
            let (view, protocol) = (flow.view(Side::Outside), flow.protocol());
            if ports(protocol) {
                let to = text((view.destination(), view.destination_port()));
                let _ = world.try_in(protocol, &format!("{}:{port}", view.source()), &to);
            }
        }
        Step::Establish { flow: n } => {
            let Some((worker, id)) = flow(world, n) else { return };
            let tcp = world.states[worker].flows.get(id).unwrap().protocol() == TCP;
            let state = if tcp { FlowState::TcpEstablished } else { FlowState::Replied };
            world.states[worker].flows.set_state(id, state, world.now);
        }
        Step::Pass(seconds) => world.pass(seconds),
        Step::Expire => world.expire(),
        Step::Clear(host) => {
            let filter = Filter { inside: Some(Ipv4Addr::new(192, 168, 1, host)), ..Filter::default() };
            for state in &mut world.states {
                state.clear(&world.rules, 0, usize::MAX, &filter, world.now);
            }
        }
        Step::Rules(which) => world.publish(&rules(which)),
        Step::Revalidate => {
            world.revalidate();
            for (worker, state) in world.states.iter().enumerate() {
                let (flows, _) = state.flows.scan(0, usize::MAX);
                for (id, flow) in flows {
                    assert!(state.is_carried(&world.rules, id), "{:?} on {worker}", flow.view(Side::Inside));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_leaks_and_everything_counts(workers in 1..4usize, steps in prop::collection::vec(step(), 1..300)) {
        let mut world = World::new(&rules(0), workers);
        let mut open: HashSet<(u8, u16, Ipv4Addr, u16, Ipv4Addr, u16)> = HashSet::new();
        for step in &steps {
            take(&mut world, step);
            world.audit();
            // RFC 6888 REQ-12: who reads the log knows which mappings there are.
            for event in world.events() {
                let of = (event.protocol, event.table, event.inside, event.inside_port, event.outside, event.outside_port);
                let new = if event.added { open.insert(of) } else { open.remove(&of) };
                prop_assert!(new, "{event:?} twice");
            }
        }
        world.pass(100_000);
        world.expire();
        world.assert_empty();
    }
}
