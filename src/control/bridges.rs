//! Bridges as control has them: domains, ports and stations of the packet path.

use super::Router;
use millrace_config::{Bridge, Name};
use millrace_graph_nodes::l2::Bridging;
use std::collections::BTreeMap;
use std::time::Instant;

/// All of it.
#[derive(Debug)]
pub struct Bridges {
    /// What the operator wants of each.
    pub configured: BTreeMap<Name, Bridge>,
    /// What the packet path reads.
    bridging: Bridging,
}

impl Bridges {
    /// No bridges yet.
    pub fn new(bridging: Bridging) -> Bridges {
        Bridges { configured: BTreeMap::new(), bridging }
    }
}

impl Router {
    /// Takes over the settings of a bridge, or that there is none any more.
    pub(super) fn set_bridge(&mut self, name: &Name, bridge: Option<&Bridge>) {
        match bridge {
            Some(bridge) => drop(self.bridges.configured.insert(name.clone(), bridge.clone())),
            None => drop(self.bridges.configured.remove(name)),
        }
    }

    /// Lets the packet path have what the configuration and the interfaces say now.
    pub(super) fn follow_bridges(&mut self) {}

    /// Takes in what the packet path has to say.
    pub(super) fn pump_bridges(&mut self) {}

    /// Does what is due.
    pub(super) fn run_bridges(&mut self, _now: Instant) {}

    /// When something is due next.
    pub(super) fn next_bridges(&self) -> Option<Instant> {
        None
    }

    /// What is done once a second.
    pub(super) fn second_bridges(&mut self) {}
}
