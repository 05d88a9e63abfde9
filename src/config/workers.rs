//! `workers`: the polling threads, each with its own copy of the graph.

use crate::{
    decode::{Fields, number},
    diagnostic::{Reader, Spot},
    keyword::keywords,
    validate::Check,
    yaml::Node,
};

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

impl Workers {
    pub(crate) fn decode(node: &Node, reader: &mut Reader) -> Self {
        let mut workers = Self::default();
        let Some(mut fields) = Fields::open(node, "workers", "workers", reader) else { return workers };
        let cpus = fields.list("cpus", reader, |text| number(text, &(0..=Self::MAX_CPU)));
        reader.place(Spot::new("workers", "").key("cpus"), fields.at("cpus"));
        if let Some(cpus) = cpus {
            workers.cpus = cpus.into_iter().map(|(cpu, _)| cpu).collect();
            workers.count = workers.natural_count();
        }
        if let Some(count) = fields.number("count", 1..=Self::MAX, reader) {
            workers.count = count;
        }
        workers.mode = fields.scalar("mode", reader).unwrap_or(workers.mode);
        fields.close(reader);
        workers
    }

    pub(crate) fn encode(&self) -> Node {
        let default = Self::default();
        let mut node = Node::map().with_unless(&self.natural_count(), "count", &self.count);
        if !self.cpus.is_empty() {
            node = node.with("cpus", Node::list(self.cpus.iter().map(Node::text)));
        }
        node.with_unless(&default.mode, "mode", &self.mode)
    }

    /// The count that is meant when there is none.
    fn natural_count(&self) -> u16 {
        u16::try_from(self.cpus.len()).unwrap_or(u16::MAX).max(1)
    }

    pub(crate) fn check(check: &mut Check<'_>) {
        let Self { count, cpus, .. } = &check.config.workers;
        let spot = Spot::new("workers", "").key("cpus");
        if !(1..=Self::MAX).contains(count) {
            let message = format!("workers: {count} workers");
            check.problem(spot.clone(), message, format!("expected 1 to {}", Self::MAX));
        }
        if !cpus.is_empty() && cpus.len() != usize::from(*count) {
            let message = format!("workers: cpus: {} CPUs for {count} workers", cpus.len());
            check.problem(spot.clone(), message, "expected one CPU for each worker");
        }
        if let Some(cpu) = cpus.iter().enumerate().find_map(|(i, cpu)| cpus[..i].contains(cpu).then_some(cpu)) {
            check.problem(spot, format!("workers: cpus: CPU {cpu} twice"), "expected a CPU of its own for each worker");
        }
    }
}
