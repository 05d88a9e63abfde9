//! What workers know of interfaces besides their queues: whether they are up, and whose queues carry their packets.

use crate::counters::MAX_INTERFACES;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// By interface; control writes, workers read.
#[derive(Debug)]
pub(crate) struct States {
    up: Box<[AtomicBool]>,
    hardware: Box<[AtomicU32]>,
}

impl States {
    /// All are down, or up, and carry their packets themselves.
    pub fn new(up: bool) -> States {
        States {
            up: (0..MAX_INTERFACES).map(|_| AtomicBool::new(up)).collect(),
            hardware: (0..MAX_INTERFACES as u32).map(AtomicU32::new).collect(),
        }
    }

    /// Whether the operator wants it up.
    #[inline(always)]
    pub fn is_up(&self, interface: u32) -> bool {
        self.up[interface as usize % MAX_INTERFACES].load(Relaxed)
    }

    pub fn set_up(&self, interface: u32, up: bool) {
        self.up[interface as usize % MAX_INTERFACES].store(up, Relaxed);
    }

    /// The interface whose queues carry its packets: itself, or the parent of a sub-interface.
    #[inline(always)]
    pub fn hardware(&self, interface: u32) -> u32 {
        self.hardware[interface as usize % MAX_INTERFACES].load(Relaxed)
    }

    pub fn set_hardware(&self, interface: u32, hardware: u32) {
        self.hardware[interface as usize % MAX_INTERFACES].store(hardware, Relaxed);
    }
}
