//! Ethernet (IEEE 802.3, 802.1Q).

pub mod frame;
pub mod input;

use crate::forwarding::Forwarding;
use millrace_engine::Graph;

/// Adds the nodes; received frames enter the graph here.
pub fn register(graph: &mut Graph, forwarding: &Forwarding) {
    let forwarding = forwarding.clone();
    graph.node(move |_| input::EthernetInput { forwarding: forwarding.clone() });
    graph.input(input::NAME);
}
