//! IPv4 forwarding (RFC 791, RFC 1812).

pub mod flow_hash;
pub mod fragment;
pub mod input;
pub mod local;
pub mod local_end;
pub mod reassembly;

use crate::forwarding::Forwarding;
use millrace_engine::Graph;

/// Adds the nodes of IPv4 alone, and the arc ip4-unicast; those that both families share are added by [`crate::ip`].
pub fn register(graph: &mut Graph, forwarding: &Forwarding) {
    graph.node(|_| input::Ip4Input).arc(input::ARC);
    let tables = forwarding.clone();
    graph.node(move |_| local_end::Ip4LocalEndOfArc { forwarding: tables.clone() });
}
