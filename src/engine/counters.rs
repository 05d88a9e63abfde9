//! Counters: one writer (a worker), any number of readers, no locked instruction.

use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Interfaces that there can be at once, sub-interfaces included. A power of two.
pub const MAX_INTERFACES: usize = 1024;

/// A number that one worker adds to and others read.
#[derive(Default, Debug)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the one writer calls this: a plain load and store, not a read-modify-write.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The value as of some moment ago.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What passed an interface on one worker: one cache line.
#[derive(Default, Debug)]
#[repr(align(64))]
pub struct InterfaceCounters {
    /// Packets received.
    pub rx_packets: Counter,
    /// Bytes of those, from the Ethernet header on, without frame check sequence.
    pub rx_bytes: Counter,
    /// Packets sent.
    pub tx_packets: Counter,
    /// Bytes of those.
    pub tx_bytes: Counter,
    /// Packets received here and dropped anywhere in the graph.
    pub rx_drops: Counter,
    /// Packets that were to be sent here and were not.
    pub tx_drops: Counter,
}

/// The same numbers, added up over the workers.
#[derive(Default, Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceTotals {
    /// See [`InterfaceCounters`].
    pub rx_packets: u64,
    /// See [`InterfaceCounters`].
    pub rx_bytes: u64,
    /// See [`InterfaceCounters`].
    pub tx_packets: u64,
    /// See [`InterfaceCounters`].
    pub tx_bytes: u64,
    /// See [`InterfaceCounters`].
    pub rx_drops: u64,
    /// See [`InterfaceCounters`].
    pub tx_drops: u64,
}

impl InterfaceTotals {
    /// Adds one worker's numbers.
    pub fn add(&mut self, c: &InterfaceCounters) {
        self.rx_packets += c.rx_packets.get();
        self.rx_bytes += c.rx_bytes.get();
        self.tx_packets += c.tx_packets.get();
        self.tx_bytes += c.tx_bytes.get();
        self.rx_drops += c.rx_drops.get();
        self.tx_drops += c.tx_drops.get();
    }

    /// What came since `before`.
    pub fn since(&self, before: &InterfaceTotals) -> InterfaceTotals {
        InterfaceTotals {
            rx_packets: self.rx_packets.wrapping_sub(before.rx_packets),
            rx_bytes: self.rx_bytes.wrapping_sub(before.rx_bytes),
            tx_packets: self.tx_packets.wrapping_sub(before.tx_packets),
            tx_bytes: self.tx_bytes.wrapping_sub(before.tx_bytes),
            rx_drops: self.rx_drops.wrapping_sub(before.rx_drops),
            tx_drops: self.tx_drops.wrapping_sub(before.tx_drops),
        }
    }
}

/// The counters of every interface on one worker.
pub(crate) struct InterfaceTable(Box<[InterfaceCounters]>);

impl InterfaceTable {
    pub fn new() -> InterfaceTable {
        InterfaceTable((0..MAX_INTERFACES).map(|_| InterfaceCounters::default()).collect())
    }

    /// The counters of an interface; an index out of range counts for one that does not exist.
    #[inline(always)]
    pub fn get(&self, interface: u32) -> &InterfaceCounters {
        &self.0[interface as usize % MAX_INTERFACES]
    }
}

/// What a node did on one worker; a cache line of its own.
#[derive(Default, Debug)]
pub struct NodeStats {
    /// Times that it ran.
    pub calls: Counter,
    /// Packets that it dealt with.
    pub packets: Counter,
    /// Time-stamp counter ticks that it took.
    pub clocks: Counter,
}

/// A node's statistics and reasons on one worker.
#[derive(Debug)]
pub(crate) struct NodeCounters {
    pub stats: CachePadded<NodeStats>,
    pub reasons: Box<[Counter]>,
    /// Packets that were lost for each reason; a reason can also be counted without losing one.
    pub drops: Box<[Counter]>,
    /// Contained panics.
    pub panics: Counter,
    /// Packets of their frames.
    pub panic_drops: Counter,
}

impl NodeCounters {
    pub fn new(reasons: usize) -> NodeCounters {
        NodeCounters {
            stats: CachePadded::default(),
            reasons: (0..reasons).map(|_| Counter::default()).collect(),
            drops: (0..reasons).map(|_| Counter::default()).collect(),
            panics: Counter::default(),
            panic_drops: Counter::default(),
        }
    }

    /// Counts packets lost for a reason.
    pub fn lost(&self, reason: usize, n: u64) {
        if let (Some(count), Some(drops)) = (self.reasons.get(reason), self.drops.get(reason)) {
            count.add(n);
            drops.add(n);
        }
    }
}
