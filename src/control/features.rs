//! Features of interfaces that follow from their settings: switched on and off when all steps of a change are done.

use super::{Router, cross_connect, mss_clamp, urpf};
use millrace_engine::{ArcName, NodeName};
use std::collections::BTreeSet;
use std::time::Instant;

/// What is on, each with its interface.
#[derive(Debug, Default)]
pub struct Features(BTreeSet<(ArcName, NodeName, u32)>);

impl Router {
    /// What follows from the link, addresses and settings of an interface besides its routes: called whenever they changed.
    pub(super) fn interface_changed(&mut self) {
        self.follow_bonds();
        self.follow_vxlan();
        self.follow_tunnels();
        self.follow_bridge_links();
        self.follow_snooped_links(Instant::now());
        self.follow_mirrors();
    }

    /// Lets the features of all interfaces be those of their settings.
    pub(super) fn follow_features(&mut self) {
        // An interface may have the number of one that had another.
        self.follow_cross_connects();
        self.follow_bonds();
        self.follow_vxlan();
        self.follow_tunnels();
        self.follow_bridges();
        self.follow_snooping();
        self.follow_mirrors();
        self.follow_lldp();
        let mut wanted = BTreeSet::new();
        for interface in self.interfaces.iter() {
            let index = interface.index;
            let features = [
                urpf::features(interface.urpf),
                mss_clamp::features(interface.mss_clamp),
                cross_connect::features(interface.cross_connect.is_some()),
            ]
            .concat();
            let features = features.into_iter().chain(self.policy_routes.features(index));
            let features = features.chain(self.bridges.features(interface).iter().copied());
            let features = features.chain(self.vxlan_feature(interface));
            let features = features.chain(self.bonds.features(interface).iter().copied());
            let features = features.chain(self.tunnel_feature(interface));
            wanted.extend(features.map(|feature| (feature.arc, feature.node, index)));
        }
        let before = std::mem::replace(&mut self.features.0, wanted);
        let after = &self.features.0;
        let off = before.difference(after).map(|feature| (feature, false));
        for ((arc, node, interface), on) in off.chain(after.difference(&before).map(|feature| (feature, true))) {
            if !self.engine.switch_feature(*arc, *node, *interface, on) {
                tracing::error!(arc = arc.as_str(), %node, "the graph has no such feature");
            }
        }
    }
}
