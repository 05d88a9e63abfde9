//! ARP (RFC 826): answers questions, holds packets until their neighbour is known, and tells the control plane what it
//! hears and wants. The neighbour table itself, questions, retries and ageing are the control plane's.

pub mod input;

use crate::forwarding::Forwarding;
use crate::ip::V4;
use crate::ip::discover::IpDiscover;
use crate::ip::glean::IpGlean;
use crate::neighbor_events::NeighborEvents;
use millrace_engine::Graph;

/// Adds the nodes.
pub fn register(graph: &mut Graph, forwarding: &Forwarding, events: &NeighborEvents) {
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| input::ArpInput { forwarding: tables.clone(), events: queue.clone() });
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| IpDiscover::<V4>::new(tables.clone(), queue.clone()));
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| IpGlean::<V4>::new(tables.clone(), queue.clone()));
}
