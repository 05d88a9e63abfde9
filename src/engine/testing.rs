//! A node on a bench: packets in, where each went, what it looks like then, what was counted. For the tests beside nodes.

use crate::counters::{InterfaceTable, NodeCounters};
use crate::ctx::{Env, Ledger};
use crate::dispatch::{GONE, How, Instance, Level, Run, UNTOUCHED};
use crate::epoch::{self, Participant};
use crate::memory::HugePages;
use crate::node::{Counters, Edges, Node, SLOT_CONSUME, SLOT_FIRST};
use crate::pool::{Buffer, Cache, Meta, Pool};
use crate::trace::Tracer;
use std::sync::Arc;

/// Where a packet went and what it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    /// The target's name; `drop`, `consumed`, `held` for the edges without one.
    pub next: &'static str,
    /// Its bytes from the current header on.
    pub data: Vec<u8>,
    /// The interface that it leaves by.
    pub tx_interface: u32,
    /// The adjacency that was chosen.
    pub adjacency: u32,
}

/// What a run of a node brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The packets given, in order.
    pub packets: Vec<Out>,
    /// Packets that the node sent besides.
    pub sent: Vec<Out>,
    /// Counters that are not zero after this run (since the bench was made), by reason.
    pub counts: Vec<(&'static str, u64)>,
}

/// One node, alone.
pub struct Bench<N: Node> {
    node: Instance<N>,
    pool: &'static Pool,
    cache: Cache,
    counters: NodeCounters,
    interfaces: InterfaceTable,
    ledger: Ledger,
    participant: Participant,
    tracer: Tracer,
    extra: Vec<(u8, u32)>,
    /// Nanoseconds that the node takes for the time.
    pub now: u64,
    _type: std::marker::PhantomData<N>,
}

#[allow(clippy::expect_used, reason = "a test without memory can only end")]
impl<N: Node> Bench<N> {
    /// A bench for `node`.
    pub fn new(node: N) -> Bench<N> {
        let pool = Pool::new(1024, HugePages::Off).expect("memory for a test's buffers");
        Bench {
            node: Instance::new(node),
            pool,
            cache: pool.cache(),
            counters: NodeCounters::new(N::Count::REASONS.len()),
            interfaces: InterfaceTable::new(),
            ledger: Ledger::default(),
            participant: epoch::domain().register(),
            tracer: Tracer::new(0, 1, Arc::default()),
            extra: Vec::new(),
            now: 0,
            _type: std::marker::PhantomData,
        }
    }

    /// Runs one packet, received on interface 1, with its current header at byte 0 (marked as the network header).
    pub fn one(&mut self, packet: &[u8]) -> Outcome {
        self.run(&[packet], |m| m.rx_interface = 1)
    }

    /// Runs a frame of packets (at most 256), each prepared by `meta`.
    pub fn run(&mut self, packets: &[&[u8]], meta: impl Fn(&mut Meta)) -> Outcome {
        let make = |bytes: &&[u8]| {
            let mut buffer = self.pool.alloc().expect("a buffer");
            assert!(buffer.append(bytes, || self.pool.alloc()), "a buffer");
            let mut p = buffer.packet();
            p.mark_l3();
            meta(p.meta);
            buffer.into_index()
        };
        let indices: Vec<u32> = packets.iter().map(make).collect();
        let mut nexts = [UNTOUCHED; 256];
        let how = How { level: Level::detect(), trace: None };
        let (node, env) = self.parts();
        node.run(&indices, &mut nexts, env, how);
        let pairs: Vec<(u8, u32)> = nexts.iter().copied().zip(indices).collect();
        let packets = self.read(pairs);
        self.outcome(packets)
    }

    /// Lets the node tick.
    pub fn tick(&mut self) -> Outcome {
        let (node, env) = self.parts();
        node.tick(env);
        self.outcome(Vec::new())
    }

    /// Whether the node waits for something.
    pub fn wants_tick(&self) -> bool {
        self.node.wants_tick()
    }

    /// Buffers that are not free: what the node holds.
    pub fn held(&self) -> usize {
        self.cache.publish();
        self.pool.usage().in_use
    }

    fn parts(&mut self) -> (&mut Instance<N>, Env<'_>) {
        self.participant.quiescent();
        let env = Env {
            cache: &mut self.cache,
            extra: &mut self.extra,
            interfaces: &self.interfaces,
            ledger: &self.ledger,
            tracer: &mut self.tracer,
            counters: &self.counters,
            arc: None,
            guard: self.participant.guard(),
            now: self.now,
            worker: 0,
        };
        (&mut self.node, env)
    }

    fn outcome(&mut self, packets: Vec<Out>) -> Outcome {
        let extra = std::mem::take(&mut self.extra);
        let sent = self.read(extra);
        let reasons = N::Count::REASONS.iter().zip(&self.counters.reasons);
        let counts = reasons.map(|(r, c)| (*r, c.get())).filter(|(_, n)| *n > 0).collect();
        Outcome { packets, sent, counts }
    }

    fn read(&self, pairs: Vec<(u8, u32)>) -> Vec<Out> {
        let out = |(slot, index): (u8, u32)| {
            let next = match slot {
                0 => "drop",
                SLOT_CONSUME => "consumed",
                GONE => return Out { next: "held", data: Vec::new(), tx_interface: 0, adjacency: 0 },
                n => N::Next::TARGETS.get(usize::from(n - SLOT_FIRST)).map_or("nowhere", |t| t.as_str()),
            };
            // SAFETY: the node gave the packet up; the handle frees it.
            let mut buffer: Buffer = unsafe { self.pool.adopt(index) };
            let p = buffer.packet();
            let data = p.segments().flatten().copied().collect();
            Out { next, data, tx_interface: p.meta.tx_interface, adjacency: p.meta.adjacency }
        };
        pairs.into_iter().map(out).collect()
    }
}
