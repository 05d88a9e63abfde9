//! Neighbour discovery for IPv6 (RFC 4861): answers questions, holds packets until their neighbour is known, and tells the control
//! plane what it hears and wants. The neighbour table itself, questions, retries, duplicate address detection and router
//! advertisements are the control plane's.

pub(crate) mod check;
pub mod input;
#[cfg(test)]
mod tests;

use crate::forwarding::Forwarding;
use crate::ip::V6;
use crate::ip::discover::IpDiscover;
use crate::ip::glean::IpGlean;
use crate::neighbor_events::NeighborEvents;
use millrace_engine::Graph;

/// Adds the nodes.
pub fn register(graph: &mut Graph, forwarding: &Forwarding, events: &NeighborEvents) {
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| input::NdInput::new(tables.clone(), queue.clone()));
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| IpDiscover::<V6>::new(tables.clone(), queue.clone()));
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| IpGlean::<V6>::new(tables.clone(), queue.clone()));
}
