//! Mirrors (SPAN): copies of what chosen interfaces receive and send, by another interface or into a capture file.
//!
//! Received frames are copied before any node saw them: those of a sub-interface among its parent's, chosen by their tags. Sent frames are
//! copied as they leave, by the interface that they leave by. A copy has [`marks::MIRRORED`](crate::marks::MIRRORED): no mirror copies
//! it again. A mirror whose target is down costs its counter, and the frames nothing.

mod node;
pub mod rx;
mod tap;
pub mod tx;

pub use tap::{Mirror, Tagged, Tap, Target, Totals};

use crate::ip::{V4, V6};
use crate::vxlan::Underlay;
use crate::{bond, cross_connect, interface, l2, tunnel};
use millrace_engine::builtin::DEVICE_INPUT_ARC;
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::epoch::{Slots, domain};
use millrace_engine::{Feature, Graph};
use std::fmt;
use std::sync::Arc;

/// Copies received frames: all of them, whatever becomes of them.
pub const RX_FEATURE: Feature = Feature {
    arc: DEVICE_INPUT_ARC.name,
    node: rx::NAME,
    after: &[crate::capture::RX.node],
    before: &[bond::input::NAME, cross_connect::node::NAME, l2::input::NAME],
};
/// Copies frames that leave: as they are before a tunnel, a bond or a bridge takes them.
pub const TX_FEATURE: Feature = Feature {
    arc: interface::output::ARC.name,
    node: tx::NAME,
    after: &[crate::capture::TX.node],
    before: &[l2::bvi_output::NAME, tunnel::encap::NAME, V4::ENCAP, V6::ENCAP, bond::output::NAME],
};

/// By interface, what taps its frames; clones are handles to the same tables.
#[derive(Clone)]
pub struct Mirrors(Arc<Tables>);

struct Tables {
    received: Slots<Vec<Tap>>,
    sent: Slots<Vec<Tap>>,
    workers: usize,
}

/// Which way frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// They are received.
    In,
    /// They are sent.
    Out,
}

impl Way {
    /// The feature that has to be on for an interface whose frames of this way are tapped.
    pub const fn feature(self) -> &'static Feature {
        match self {
            Way::In => &RX_FEATURE,
            Way::Out => &TX_FEATURE,
        }
    }
}

impl Mirrors {
    /// No taps yet, and so many workers.
    pub fn new(workers: usize) -> Mirrors {
        let slots = || Slots::new(MAX_INTERFACES as u32);
        Mirrors(Arc::new(Tables { received: slots(), sent: slots(), workers }))
    }

    /// How many workers' copies are counted.
    pub fn workers(&self) -> usize {
        self.0.workers
    }

    /// Has these copy the frames of an interface from now on; an empty list is nobody. Workers see it with their next frames.
    pub fn set(&self, way: Way, interface: u32, taps: Vec<Tap>) {
        let slots = match way {
            Way::In => &self.0.received,
            Way::Out => &self.0.sent,
        };
        if taps.is_empty() {
            slots.clear(&domain(), interface);
        } else {
            // Interfaces that there can't be have no frames.
            let _ = slots.set(&domain(), interface, taps);
        }
    }
}

impl fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirrors").field("workers", &self.0.workers).finish_non_exhaustive()
    }
}

/// Adds the nodes, and their features: switched off until control switches them on for an interface.
pub fn register(graph: &mut Graph, mirrors: &Mirrors) {
    let (received, sent) = (mirrors.clone(), mirrors.clone());
    graph.node(move |_| node::MirrorNode::<rx::Rx>::new(received.clone())).feature(RX_FEATURE);
    graph.node(move |_| node::MirrorNode::<tx::Tx>::new(sent.clone())).feature(TX_FEATURE);
}
