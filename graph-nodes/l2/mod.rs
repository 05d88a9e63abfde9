//! Bridging: frames between the ports of a domain, by the addresses of stations, as IEEE 802.1Q clause 8 has it.
//!
//! ```text
//! device-input ─► l2-input ─► l2-learn ─┬► l2-fwd ──┬► l2-output ─► interface-output
//!                                       └► l2-flood ┘
//! ```
//! A *domain* is where a station's address is its own: a bridge, or one VLAN of a bridge. A *port* is an interface that is in one. Frames
//! of an interface that is no port don't pass here.

pub mod flood;
pub mod fwd;
pub mod input;
pub mod learn;
#[cfg(test)]
mod model;
pub mod output;
pub mod storm;
mod tables;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use tables::{Bridging, Domain, Port, Tables};

use millrace_engine::builtin::DEVICE_INPUT_ARC;
use millrace_engine::{Feature, Graph};

/// Behind the capture of received frames; frames of a port are no business of Ethernet's.
pub const FEATURE: Feature =
    Feature { arc: DEVICE_INPUT_ARC.name, node: input::NAME, after: &[crate::capture::rx::NAME], before: &[] };

/// Adds the nodes, and the feature that takes a port's frames: switched off until control switches it on for an interface.
pub fn register(graph: &mut Graph, bridging: &Bridging) {
    let tables = || bridging.clone();
    let (input, learn, fwd, flood, output) = (tables(), tables(), tables(), tables(), tables());
    graph.node(move |_| input::Input { bridging: input.clone() }).feature(FEATURE);
    graph.node(move |_| learn::Learn { bridging: learn.clone() });
    graph.node(move |_| fwd::Fwd { bridging: fwd.clone() });
    graph.node(move |_| flood::Flood { bridging: flood.clone() });
    graph.node(move |_| output::Output { bridging: output.clone() });
}
