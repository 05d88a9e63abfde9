//! Interfaces: the way out.

pub mod output;

use millrace_engine::Graph;

/// Adds the node and the interface-output arc.
pub fn register(graph: &mut Graph) {
    graph.node(|_| output::InterfaceOutput).arc(output::ARC);
}
