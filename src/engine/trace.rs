//! Tracing: every node that a marked packet passed, what it saw and what it decided.
//!
//! Off, it costs nothing: the dispatch loop exists twice. On, it allocates and locks, for the packets asked for only.

use crate::clock;
use crate::node::NodeName;
use crate::packet::Packet;
use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

/// Packets whose trace a worker keeps; older ones give way.
const KEPT: usize = 1000;
/// Steps recorded of one packet.
const MAX_HOPS: usize = 64;
/// How long the slow loop stays on after the last packet was marked, for packets that are held meanwhile.
const LINGER: u64 = 5_000_000_000;

/// Chooses packets to trace.
pub type PacketFilter = Arc<dyn Fn(&Packet<'_>) -> bool + Send + Sync>;

/// One packet's way through the graph.
#[derive(Clone, Debug)]
pub struct PacketTrace {
    /// Number of the packet, counted per worker from 1.
    pub id: u32,
    /// The worker that it was on.
    pub worker: usize,
    /// When it was marked, in nanoseconds since start.
    pub start: u64,
    /// Its steps.
    pub hops: Vec<Hop>,
}

/// One node on a traced packet's way.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The node.
    pub node: NodeName,
    /// Nanoseconds since the packet was marked.
    pub after: u64,
    /// What the node saw.
    pub text: String,
    /// Where it sent the packet; `None` when it kept it.
    pub next: Option<NodeName>,
    /// Why it dropped or consumed it.
    pub reason: Option<&'static str>,
}

/// A worker's finished and running traces, shared with control.
#[derive(Default, Debug)]
pub(crate) struct TraceStore(Mutex<VecDeque<PacketTrace>>);

impl TraceStore {
    pub fn read(&self) -> Vec<PacketTrace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What is still to be traced at a node.
#[derive(Default)]
struct Armed {
    packets: u32,
    filter: Option<PacketFilter>,
}

/// The worker's side.
pub(crate) struct Tracer {
    pub worker: usize,
    pub store: Arc<TraceStore>,
    /// By position of the node.
    armed: Vec<Armed>,
    next_id: u32,
    active_until: u64,
    text: String,
    reason: Option<&'static str>,
}

impl Tracer {
    pub fn new(worker: usize, nodes: usize, store: Arc<TraceStore>) -> Tracer {
        let armed = (0..nodes).map(|_| Armed::default()).collect();
        Tracer { worker, store, armed, next_id: 1, active_until: 0, text: String::new(), reason: None }
    }

    pub fn arm(&mut self, node: usize, packets: u32, filter: Option<PacketFilter>) {
        if let Some(armed) = self.armed.get_mut(node) {
            *armed = Armed { packets, filter };
        }
    }

    pub fn disarm(&mut self) {
        self.armed.fill_with(Armed::default);
        self.store.clear();
    }

    /// Whether the slow loop is needed now.
    #[inline]
    pub fn active(&self, now: u64) -> bool {
        now < self.active_until || self.armed.iter().any(|armed| armed.packets > 0)
    }

    /// Marks the packet if it is one that was asked for at this node.
    pub fn consider(&mut self, node: usize, packet: &mut Packet<'_>) {
        let Some(armed) = self.armed.get_mut(node) else { return };
        if armed.packets == 0 || packet.traced() || armed.filter.as_ref().is_some_and(|takes| !takes(packet)) {
            return;
        }
        armed.packets -= 1;
        let (id, start) = (self.next_id, clock::now());
        self.next_id = self.next_id.wrapping_add(1).max(1);
        self.active_until = start + LINGER;
        packet.set_trace_id(id);
        let mut store = self.store.0.lock().unwrap_or_else(PoisonError::into_inner);
        if store.len() >= KEPT {
            store.pop_front();
        }
        store.push_back(PacketTrace { id, worker: self.worker, start, hops: Vec::new() });
    }

    /// Begins a node's step for a packet.
    pub fn begin(&mut self) {
        self.text.clear();
        self.reason = None;
    }

    pub fn text(&mut self, entry: &dyn Display) {
        self.text = entry.to_string();
    }

    pub fn reason(&mut self, reason: Option<&'static str>) {
        self.reason = reason;
    }

    /// Ends a node's step for packet `id`.
    pub fn hop(&mut self, id: u32, node: NodeName, next: Option<NodeName>) {
        let (text, reason) = (std::mem::take(&mut self.text), self.reason.take());
        let mut store = self.store.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A packet marked before a `clear trace`, or by another worker, is not ours to note.
        if let Some(t) = store.iter_mut().rev().find(|t| t.id == id)
            && t.hops.len() < MAX_HOPS
        {
            t.hops.push(Hop { node, after: clock::now().saturating_sub(t.start), text, next, reason });
        }
    }
}
