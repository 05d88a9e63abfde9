//! Cross-connects: everything that comes in by an interface leaves by another one, untouched, before the router looks at it.

pub mod node;

use crossbeam::utils::CachePadded;
use millrace_engine::builtin::DEVICE_INPUT_ARC;
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::{Feature, Graph};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Behind the capture of received frames, and so the last before Ethernet.
pub const FEATURE: Feature =
    Feature { arc: DEVICE_INPUT_ARC.name, node: node::NAME, after: &[crate::capture::RX.node], before: &[] };

/// By interface, the one that its frames leave by; clones are handles to the same table. Interface 0 is none.
#[derive(Clone, Debug)]
pub struct CrossConnects(Arc<CachePadded<[AtomicU32; MAX_INTERFACES]>>);

impl CrossConnects {
    /// None yet.
    pub fn new() -> CrossConnects {
        CrossConnects(Arc::new(CachePadded::new([const { AtomicU32::new(0) }; MAX_INTERFACES])))
    }

    /// Lets the frames of an interface leave by another one from now on, or by none. Workers see it with their next frames.
    pub fn set(&self, interface: u32, target: Option<u32>) {
        if let Some(entry) = self.0.get(interface as usize) {
            entry.store(target.unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// The interface that the frames of this one leave by; 0 for none.
    #[inline(always)]
    fn target(&self, interface: u32) -> u32 {
        self.0[interface as usize % MAX_INTERFACES].load(Ordering::Relaxed)
    }
}

impl Default for CrossConnects {
    fn default() -> CrossConnects {
        CrossConnects::new()
    }
}

/// Adds the node, and its feature: switched off until control switches it on for an interface.
pub fn register(graph: &mut Graph, connects: &CrossConnects) {
    let connects = connects.clone();
    graph.node(move |_| node::CrossConnect { connects: connects.clone() }).feature(FEATURE);
}
