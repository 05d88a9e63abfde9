//! Cross-connects as control has them: how an interface's setting is told to the packet path.

use super::Router;
use millrace_engine::Feature;
use millrace_graph_nodes::cross_connect::FEATURE;

/// The features of an interface that has a cross-connect, or none.
pub const fn features(connected: bool) -> &'static [Feature] {
    if connected { &[FEATURE] } else { &[] }
}

impl Router {
    /// Lets the packet path know where the frames of all interfaces go.
    pub(super) fn follow_cross_connects(&mut self) {
        for interface in self.interfaces.iter() {
            let target = interface.cross_connect.as_ref().and_then(|name| self.interfaces.index(name));
            self.cross_connects.set(interface.index, target);
        }
    }
}
