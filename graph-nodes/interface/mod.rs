//! Interfaces: the ways in of those that are no devices, and the way out of all.

pub mod input;
pub mod output;
pub(crate) mod sending;

use millrace_engine::Graph;
use millrace_engine::builtin::DEVICE_INPUT_ARC;

/// Adds the nodes and the interface-output arc; the device-input arc starts for virtual interfaces, too.
pub fn register(graph: &mut Graph) {
    graph.node(|_| output::InterfaceOutput).arc(output::ARC);
    graph.node(|_| input::InterfaceInput).start(DEVICE_INPUT_ARC.name, input::NAME);
}
