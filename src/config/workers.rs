//! `workers`: the polling threads, each with its own copy of the graph.

use crate::keyword::keywords;

/// The workers. Changing them takes a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// How many poll; 1 to [`Workers::MAX`]. Default: the number of `cpus`, or 1.
    pub count: u16,
    /// The CPU of each worker, in order; empty: the kernel places them. Otherwise as many as `count`, all different.
    pub cpus: Vec<u16>,
    /// What a worker does when there is nothing to do.
    pub mode: WorkerMode,
}

keywords! {
    /// What a worker does when there is nothing to do.
    WorkerMode, "adaptive or polling" {
        /// It sleeps on its devices' file descriptors and wakes when something arrives (default).
        Adaptive = "adaptive",
        /// It polls without end: the lowest latency, at 100 % of a CPU.
        Polling = "polling",
    }
}

impl Workers {
    /// The most workers.
    pub const MAX: u16 = 64;
    /// The highest CPU number that can be pinned to (the kernel's `cpu_set_t` holds 1024).
    pub const MAX_CPU: u16 = 1023;
}

impl Default for Workers {
    fn default() -> Self {
        Self { count: 1, cpus: Vec::new(), mode: WorkerMode::Adaptive }
    }
}
