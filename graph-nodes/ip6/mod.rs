//! IPv6 forwarding (RFC 8200, RFC 4291).

pub mod flow_hash;
pub mod fragment;
mod headers;
pub mod input;
mod listener;
pub mod local;
pub mod local_end;
pub mod reassembly;

use crate::forwarding::Forwarding;
use crate::neighbor_events::NeighborEvents;
use millrace_engine::Graph;

/// Adds the nodes of IPv6 alone, and the arc ip6-unicast; those that both families share are added by [`crate::ip`].
pub fn register(graph: &mut Graph, forwarding: &Forwarding, events: &NeighborEvents) {
    graph.node(|_| input::Ip6Input).arc(input::ARC);
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| local_end::Ip6LocalEndOfArc::new(tables.clone(), queue.clone()));
}
