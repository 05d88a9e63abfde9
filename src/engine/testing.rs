//! A node on a bench: packets in, where each went, what it looks like then, what was counted. For the tests beside nodes. And a
//! [`Testbed`] for a whole graph.

mod testbed;

pub use testbed::{Sent, Testbed};

use crate::arc::{ArcPoint, ArcView, Feature, SolvedArc, solve};
use crate::builtin::WORKER_HANDOFF;
use crate::counters::{Counter, InterfaceTable, InterfaceTotals, NodeCounters};
use crate::ctx::{Env, Ledger};
use crate::dispatch::{GONE, How, Instance, Level, Run, UNTOUCHED};
use crate::epoch::{self, Participant};
use crate::memory::HugePages;
use crate::node::{Counters, Edges, Node, NodeName, SLOT_CHOSEN, SLOT_CONSUME, SLOT_FIRST};
use crate::pool::{Buffer, Cache, Meta, Pool};
use crate::states::States;
use crate::trace::{TraceStore, Tracer};
use std::sync::Arc;

/// Where a packet went and what it was then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Out {
    /// The target's name; `drop`, `consumed`, `held`, `worker-handoff` for the edges without one.
    pub next: &'static str,
    /// Its bytes from the current header on.
    pub data: Vec<u8>,
    /// The interface that it leaves by.
    pub tx_interface: u32,
    /// The adjacency that was chosen.
    pub adjacency: u32,
    /// The interface that it came in by, or so it seems now.
    pub rx_interface: u32,
    /// The table that it is looked up in.
    pub table: u32,
    /// The worker that it is handed to, with `worker-handoff`.
    pub worker: u16,
    /// Its marks.
    pub marks: u32,
    /// The feature's own room: its first word.
    pub scratch: u64,
    /// Its second word.
    pub scratch1: u64,
    /// Its third word.
    pub scratch2: u64,
}

/// What a run of a node brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The packets given, in order.
    pub packets: Vec<Out>,
    /// Packets that the node sent besides.
    pub sent: Vec<Out>,
    /// What this run counted, by reason, in the order of their declaration.
    pub counts: Vec<(&'static str, u64)>,
}

/// Buffers that there are.
const BUFFERS: usize = 2048;

/// One node, alone.
pub struct Bench<N: Node> {
    node: Instance<N>,
    pool: &'static Pool,
    cache: Cache,
    counters: NodeCounters,
    /// The counters as of the last run.
    counted: Vec<u64>,
    interfaces: InterfaceTable,
    states: States,
    ledger: Ledger,
    participant: Participant,
    tracer: Tracer,
    traces: Arc<TraceStore>,
    arc: Option<(Arc<SolvedArc>, u8)>,
    extra: Vec<(u8, u32)>,
    /// The worker that the node is on.
    pub worker: usize,
    /// Nanoseconds that the node takes for the time.
    pub now: u64,
    /// Bytes of each packet that earlier nodes went past: the current header follows them.
    pub skip: usize,
    _type: std::marker::PhantomData<N>,
}

#[allow(clippy::expect_used, reason = "a test without memory can only end")]
impl<N: Node> Bench<N> {
    /// A bench for `node`.
    pub fn new(node: N) -> Bench<N> {
        let pool = Pool::new(BUFFERS, HugePages::Off).expect("memory for a test's buffers");
        let traces = Arc::<TraceStore>::default();
        Bench {
            node: Instance::new(node),
            pool,
            cache: pool.cache(),
            counters: NodeCounters::new(N::Count::REASONS.len()),
            counted: Vec::new(),
            interfaces: InterfaceTable::new(),
            states: States::new(true),
            ledger: Ledger::default(),
            participant: epoch::domain().register(),
            tracer: Tracer::new(0, 1, traces.clone()),
            traces,
            arc: None,
            extra: Vec::new(),
            worker: 0,
            now: 0,
            skip: 0,
            _type: std::marker::PhantomData,
        }
    }

    /// Puts the node on an arc, with those of its features that are on for an interface. If it is one of them itself, packets
    /// come to it with the later ones before them that are on for their rx interface.
    pub fn arc(&mut self, point: &ArcPoint, features: &[Feature], on: &[(NodeName, u32)]) {
        let solved = solve(point, features).map_err(|e| e.join("; ")).expect("an order of the features");
        for (node, interface) in on {
            let feature = solved.features.iter().position(|f| f == node).expect("a feature of the arc");
            solved.switch(feature, *interface, true);
        }
        self.arc = Some((Arc::new(solved), SLOT_FIRST + N::Next::TARGETS.len() as u8));
    }

    /// Switches an interface on or off; all are on.
    pub fn set_up(&mut self, interface: u32, up: bool) {
        self.states.set_up(interface, up);
    }

    /// Makes an interface one that another's queues carry the packets of.
    pub fn set_hardware(&mut self, interface: u32, hardware: u32) {
        self.states.set_hardware(interface, hardware);
    }

    /// What an interface counted.
    pub fn interface(&self, interface: u32) -> InterfaceTotals {
        let mut totals = InterfaceTotals::default();
        totals.add(self.interfaces.get(interface));
        totals
    }

    /// Runs one packet, received on interface 1, with its current header at byte 0 (marked as the network header).
    pub fn one(&mut self, packet: &[u8]) -> Outcome {
        self.run(&[packet], |m| m.rx_interface = 1)
    }

    /// Runs a frame of packets (at most 256), each prepared by `meta`.
    pub fn run(&mut self, packets: &[&[u8]], meta: impl Fn(&mut Meta)) -> Outcome {
        self.run_how(packets, meta, None)
    }

    /// Runs one packet with a trace: what came of it, and what `show trace` says of it.
    pub fn traced(&mut self, packet: &[u8], meta: impl Fn(&mut Meta)) -> (Outcome, String) {
        self.tracer.arm(0, 1, None);
        let outcome = self.run_how(&[packet], meta, Some((0, &[])));
        let hop = self.traces.read().pop().and_then(|t| t.hops.into_iter().next());
        (outcome, hop.map(|h| h.text).unwrap_or_default())
    }

    fn run_how(
        &mut self,
        packets: &[&[u8]],
        meta: impl Fn(&mut Meta),
        trace: Option<(usize, &[Option<NodeName>])>,
    ) -> Outcome {
        let skip = self.skip;
        let make = |bytes: &&[u8]| {
            let mut buffer = self.pool.alloc().expect("a buffer");
            assert!(buffer.append(bytes, || self.pool.alloc()), "a buffer");
            let mut p = buffer.packet();
            assert!(p.advance(skip), "the packet is shorter than what is to be skipped");
            p.mark_l3();
            meta(p.meta);
            if let Some((arc, _)) = &self.arc
                && let Some(mine) = arc.features.iter().position(|f| *f == N::NAME)
            {
                p.meta.features = arc.on(p.meta.rx_interface) & !((2 << mine) - 1);
            }
            buffer.into_index()
        };
        let indices: Vec<u32> = packets.iter().map(make).collect();
        let mut nexts = [UNTOUCHED; 256];
        let how = How { level: Level::detect(), cold: true, trace };
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
            states: &self.states,
            ledger: &self.ledger,
            tracer: &mut self.tracer,
            counters: &self.counters,
            arc: self.arc.as_ref().map(ArcView::new),
            guard: self.participant.guard(),
            now: self.now,
            worker: self.worker,
            place: 0,
        };
        (&mut self.node, env)
    }

    fn outcome(&mut self, packets: Vec<Out>) -> Outcome {
        let extra = std::mem::take(&mut self.extra);
        let sent = self.read(extra);
        let now: Vec<u64> = self.counters.reasons.iter().map(Counter::get).collect();
        let before = self.counted.iter().copied().chain(std::iter::repeat(0));
        let deltas = now.iter().zip(before).map(|(now, before)| now - before);
        let counts = N::Count::REASONS.iter().copied().zip(deltas).filter(|(_, n)| *n > 0).collect();
        self.counted = now;
        Outcome { packets, sent, counts }
    }

    fn read(&self, pairs: Vec<(u8, u32)>) -> Vec<Out> {
        let out = |(slot, index): (u8, u32)| {
            let next = match slot {
                0 => "drop",
                SLOT_CHOSEN => WORKER_HANDOFF.as_str(),
                SLOT_CONSUME => "consumed",
                GONE => return Out { next: "held", ..Out::default() },
                n => self.target(n).map_or("nowhere", |t| t.as_str()),
            };
            // SAFETY: the node gave the packet up; the handle frees it.
            let mut buffer: Buffer = unsafe { self.pool.adopt(index) };
            let p = buffer.packet();
            let data = p.segments().flatten().copied().collect();
            Out {
                next,
                data,
                tx_interface: p.meta.tx_interface,
                adjacency: p.meta.adjacency,
                rx_interface: p.meta.rx_interface,
                table: p.meta.table,
                worker: p.meta.handoff.worker,
                marks: p.meta.marks,
                scratch: p.meta.scratch[0],
                scratch1: p.meta.scratch[1],
                scratch2: p.meta.scratch[2],
            }
        };
        pairs.into_iter().map(out).collect()
    }

    /// The node behind a slot: one of its own edges, a feature of its arc, or the arc's end.
    fn target(&self, slot: u8) -> Option<NodeName> {
        let own = N::Next::TARGETS.get(usize::from(slot.checked_sub(SLOT_FIRST)?));
        own.copied().or_else(|| {
            let (arc, first) = self.arc.as_ref()?;
            let feature = arc.features.get(usize::from(slot.checked_sub(*first)?));
            Some(feature.copied().unwrap_or(arc.point.end))
        })
    }
}
