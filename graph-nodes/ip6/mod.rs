//! IPv6 forwarding (RFC 8200, RFC 4291).

pub mod flow_hash;
pub mod fragment;
pub mod input;
pub mod reassembly;

use millrace_engine::Graph;

/// Adds the nodes of IPv6 alone, and the arc ip6-unicast; those that both families share are added by [`crate::ip`].
pub fn register(graph: &mut Graph) {
    graph.node(|_| input::Ip6Input).arc(input::ARC);
}
