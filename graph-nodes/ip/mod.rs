//! What IPv4 and IPv6 do alike, written once: the lookup, the way out, waiting for neighbours, and features of the packet path.

pub mod discover;
pub mod family;
pub mod fragment;
pub mod glean;
mod hold;
pub mod input;
pub mod local;
pub mod lookup;
pub mod passes;
pub mod reassembly;
pub mod rewrite;
pub mod tcp_reset;

pub use family::{Family, V4, V6};

use crate::forwarding::Forwarding;
use crate::neighbor_events::NeighborEvents;
use crate::{ip4, ip6};
use millrace_engine::Graph;

/// Adds the nodes of both families, and the arcs ip4-output, ip6-output, ip4-local and ip6-local.
pub fn register(graph: &mut Graph, forwarding: &Forwarding, events: &NeighborEvents) {
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| lookup::IpLookup::<V4>::new(tables.clone(), queue.clone())).arc(lookup::ARC4);
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| lookup::IpLookup::<V6>::new(tables.clone(), queue.clone())).arc(lookup::ARC6);
    let tables = forwarding.clone();
    graph.node(move |_| rewrite::IpRewrite::<V4>::new(tables.clone()));
    let tables = forwarding.clone();
    graph.node(move |_| rewrite::IpRewrite::<V6>::new(tables.clone()));
    let tables = forwarding.clone();
    graph.node(move |_| fragment::IpFragment::<V4>::new(tables.clone()));
    let tables = forwarding.clone();
    graph.node(move |_| fragment::IpFragment::<V6>::new(tables.clone()));
    let tables = forwarding.clone();
    graph.node(move |_| local::IpLocal::<V4>::new(tables.clone())).arc(ip4::local::ARC);
    let tables = forwarding.clone();
    graph.node(move |_| local::IpLocal::<V6>::new(tables.clone())).arc(ip6::local::ARC);
    graph.node(|_| input::IpInput);
    graph.node(|_| reassembly::IpReassembly::<V4>::default());
    graph.node(|_| reassembly::IpReassembly::<V6>::default());
    let tables = forwarding.clone();
    graph.node(move |_| tcp_reset::TcpReset::new(tables.clone()));
}
