//! The nodes of the graph: a folder per feature, a file per node, each in the same order (what it does, edges,
//! counters, trace, node, tests). Each folder's `register` adds its nodes, arcs and features to a graph.
#![forbid(unsafe_code)]

pub mod arp;
pub mod bond;
pub mod capture;
pub mod cross_connect;
pub mod ethernet;
pub mod filter;
pub mod forwarding;
pub mod icmp;
pub mod interface;
pub mod ip;
pub mod ip4;
pub mod ip6;
pub mod l2;
pub mod link_control;
pub mod marks;
pub mod mirror;
pub mod mss_clamp;
pub mod nat44;
pub mod nd;
pub mod neighbor_events;
pub mod policy_routes;
pub mod rate;
pub mod tunnel;
pub mod urpf;
pub mod vxlan;

use forwarding::Forwarding;
use millrace_engine::Graph;
use neighbor_events::NeighborEvents;

/// Adds what every router has: Ethernet, both families of IP, ICMP and the discovery of neighbours. The features that may be
/// switched on besides have a `register` each.
pub fn register(graph: &mut Graph, forwarding: &Forwarding, events: &NeighborEvents) {
    ethernet::register(graph, forwarding);
    arp::register(graph, forwarding, events);
    nd::register(graph, forwarding, events);
    ip::register(graph, forwarding, events);
    ip4::register(graph, forwarding);
    ip6::register(graph, forwarding, events);
    icmp::register(graph, forwarding);
    interface::register(graph);
    tunnel::register(graph, forwarding);
    vxlan::register(graph, forwarding, events);
}

#[cfg(test)]
mod graph6_tests;
#[cfg(test)]
mod graph_tests;
#[cfg(test)]
mod testing;

/// Compiles and runs the example of the guide.
#[cfg(doctest)]
#[doc = include_str!("../docs/writing-a-node.md")]
pub struct WritingANode;
