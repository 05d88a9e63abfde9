//! Where it happens: hosts, interfaces, neighbours, routes, the graph, and the mappings that come and go.

use super::nat::Filtering;
use super::packet::{TCP, UDP};
use super::router::*;
use super::statics::Static;
use crate::capture;
use crate::forwarding::Interface;
use crate::nat44::rules::{Backend, StaticMapping};
use crate::nat44::{self, Nat44};
use crate::neighbor_events::NeighborEvents;
use crate::testing::{HOST_MAC, LAN_MAC, OURS, PEER_MAC, TO_PEER, WAN_MAC, World, neighbour};
use millrace_engine::epoch::domain;
use millrace_engine::{Graph, Waker};
use millrace_tables::adjacency::Adjacency;
use millrace_tables::fib::Target;
use millrace_tables::lpm::{Lpm, Writer};
use std::net::Ipv4Addr;

/// Hosts outside.
pub const REMOTES: [Ipv4Addr; 3] =
    [Ipv4Addr::new(203, 0, 113, 10), Ipv4Addr::new(192, 0, 2, 7), Ipv4Addr::new(192, 0, 2, 8)];
/// Addresses that the router has outside: of the pool, of a one-to-one mapping, and the interface's own.
pub const EXTERNALS: [Ipv4Addr; 4] =
    [Ipv4Addr::new(203, 0, 113, 2), Ipv4Addr::new(203, 0, 113, 3), Ipv4Addr::new(203, 0, 113, 4), OUTSIDE_IP];

/// What differs from run to run.
#[derive(Clone, Debug)]
pub struct Setting {
    pub filtering: Filtering,
    /// Addresses of the pool: 1 or 2, or 0 for the interface's own.
    pub addresses: usize,
    pub workers: usize,
    pub max_sessions: usize,
    pub max_per_host: usize,
    pub mss: Option<u16>,
}

/// The static mappings that come and go.
pub fn statics() -> Vec<Static> {
    let one = |protocol, ports, server: usize, port, table| Static {
        protocol: Some(protocol),
        external: EXTERNALS[0],
        ports: Some(ports),
        internal: vec![(HOSTS[server].1, port)],
        table,
    };
    vec![
        one(TCP, (8080, 8080), 2, 80, 0),
        one(UDP, (5000, 5003), 0, 6000, 0),
        Static { internal: vec![(HOSTS[0].1, 443), (HOSTS[2].1, 443)], ..one(TCP, (443, 443), 0, 443, 0) },
        Static { protocol: None, external: EXTERNALS[2], ports: None, internal: vec![(HOSTS[1].1, 0)], table: 0 },
        one(UDP, (4000, 4000), 3, 53, BLUE_TABLE),
    ]
}

/// What precedes packets that leave by an interface.
pub fn header_to(interface: u32) -> Vec<u8> {
    let (to, from) = if interface == WAN { (PEER_MAC, WAN_MAC) } else { (HOST_MAC, LAN_MAC) };
    [&to.0[..], &from.0, &[8, 0]].concat()
}

/// All nodes that packets pass.
pub fn graph(world: &World, nat: &Nat44) -> Graph {
    let waker = Waker::new().unwrap();
    let (mut graph, forwarding) = (Graph::new(), &world.forwarding);
    crate::register(&mut graph, forwarding, &NeighborEvents::new(waker.clone()));
    capture::register(&mut graph, &capture::Captures::new(waker.clone()));
    crate::link_control::register(&mut graph, &crate::link_control::Frames::new(waker));
    nat44::register(&mut graph, forwarding, nat);
    graph
}

/// Interfaces, neighbours and routes.
pub fn world() -> (World, Writer<u32>) {
    let mut world = World::new();
    let addresses = vec![(INSIDE_IP, 24)];
    for (index, table) in [(LAN, 0), (BLUE, BLUE_TABLE)] {
        let addresses = addresses.clone();
        world.interface(index, Interface { mac: LAN_MAC, mtu: 1500, table, addresses, ..Interface::default() });
    }
    world.adjacency(TO_PEER, neighbour(PEER_MAC, [203, 0, 113, 10], MTU as u16));
    let (mut blue, reader) = Lpm::with_groups::<u32>(64).unwrap();
    world.forwarding.fibs.set(&domain(), BLUE_TABLE, reader).unwrap();
    let mut route = |world: &mut World, table: u32, prefix: String, adjacency: u32| match table {
        0 => world.route(&prefix, Target::Adjacency(adjacency)),
        _ => {
            blue.insert(prefix.parse().unwrap(), Target::Adjacency(adjacency).to_u32()).unwrap();
        }
    };
    for table in [0, BLUE_TABLE] {
        route(&mut world, table, "0.0.0.0/0".into(), TO_PEER);
        for ours in EXTERNALS.iter().chain([&INSIDE_IP]) {
            route(&mut world, table, format!("{ours}/32"), OURS);
        }
    }
    for (at, (interface, address)) in HOSTS.iter().enumerate() {
        let to = Adjacency::with_rewrite(*interface, 1500, address.to_bits().into(), &header_to(*interface)).unwrap();
        world.adjacency(30 + at as u32, to);
        route(&mut world, table_of(*interface), format!("{address}/32"), 30 + at as u32);
    }
    (world, blue)
}

/// What control would say of a mapping.
pub fn real(mapping: &Static) -> StaticMapping {
    let port = |port| mapping.ports.map(|_| port);
    StaticMapping {
        protocol: mapping.protocol,
        external: mapping.external,
        external_ports: mapping.ports,
        internal: mapping
            .internal
            .iter()
            .map(|(address, p)| Backend { address: *address, port: port(*p), weight: 1 })
            .collect(),
        table: mapping.table,
        affinity: true,
        twice_nat: false,
    }
}
