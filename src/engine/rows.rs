//! Figures of the running engine, as control reads them.

use crate::node::NodeName;

/// What a node did on a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// The node.
    pub node: NodeName,
    /// The worker, from 0.
    pub worker: usize,
    /// Frames that it ran.
    pub calls: u64,
    /// Packets in them.
    pub packets: u64,
    /// Time-stamp counter ticks.
    pub clocks: u64,
}

/// A counter of a node, over all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// The node.
    pub node: NodeName,
    /// What is counted.
    pub reason: &'static str,
    /// How often.
    pub count: u64,
    /// Packets lost by it; the others it counts went on, or ended as they should.
    pub drops: u64,
}

/// Where packets came from and went, over all workers or on one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerTotals {
    /// From devices.
    pub received: u64,
    /// Made by the router itself.
    pub made: u64,
    /// Taken by devices.
    pub sent: u64,
    /// Dropped with a cause.
    pub dropped: u64,
    /// Ended in the router: answered, cut in pieces, handed to control.
    pub consumed: u64,
}
