//! Bridging: frames between the ports of a domain, by the addresses of stations, as IEEE 802.1Q clause 8 has it.
//!
//! ```text
//! device-input ────┬► l2-input ─► l2-learn ─┬► l2-fwd ──┬► l2-output ─┬► interface-output
//! interface-input ─┤                        └► l2-flood ┘             └► bvi-input ─► interface-input
//! bvi-output ──────┘
//! ```
//! A *domain* is where a station's address is its own: a bridge, or one VLAN of a bridge. A *port* is an interface that is in one. Frames
//! of an interface that is no port don't pass here.

pub mod bvi_input;
pub mod bvi_output;
pub mod flood;
pub mod fwd;
pub mod input;
pub mod learn;
#[cfg(test)]
mod model;
mod news;
pub mod output;
mod port;
pub mod snoop;
pub mod storm;
pub mod suppress;
mod tables;
mod tagging;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use news::{Happened, Journal, News};
pub use port::{Port, PortKind};
pub use snoop::{Groups, Heard, Watch};
pub use tables::{Bridging, Domain, Tables, set_behind};
pub use tagging::{Rewrite, Tagging, Trunk};

use crate::interface;
use millrace_engine::builtin::DEVICE_INPUT_ARC;
use millrace_engine::{Feature, Graph};

/// Behind the capture of received frames; frames of a port are no business of Ethernet's.
pub const FEATURE: Feature =
    Feature { arc: DEVICE_INPUT_ARC.name, node: input::NAME, after: &[crate::capture::RX.node], before: &[] };

/// What takes the frames that the router sends by a bridge's own interface, or by a VLAN of it.
pub const BVI_FEATURE: Feature = Feature {
    arc: interface::output::ARC.name,
    node: bvi_output::NAME,
    after: &[crate::capture::TX.node],
    before: &[],
};

/// Adds the nodes, and the features that take frames into the bridge: switched off until control switches them on for an
/// interface.
pub fn register(graph: &mut Graph, bridging: &Bridging) {
    let tables = || bridging.clone();
    let (input, learn, fwd, flood, output) = (tables(), tables(), tables(), tables(), tables());
    graph.node(move |_| input::Input { bridging: input.clone() }).feature(FEATURE);
    graph.node(move |_| learn::Learn { bridging: learn.clone() });
    graph.node(move |_| fwd::Fwd { bridging: fwd.clone() });
    graph.node(move |_| flood::Flood::new(flood.clone()));
    graph.node(move |_| output::Output { bridging: output.clone() });
    let (snoop, arp, nd) = (tables(), tables(), tables());
    graph.node(move |_| snoop::node::Snooper { bridging: snoop.clone() });
    graph.node(move |_| suppress::arp::ArpTerm { bridging: arp.clone() });
    graph.node(move |_| suppress::nd::NdTerm { bridging: nd.clone() });
    graph.node(|_| bvi_input::BviInput);
    graph.node(|_| bvi_output::BviOutput).feature(BVI_FEATURE);
}
