//! A whole graph on one thread, stepped by hand: packets take the way that they take in the router, through the real workers'
//! loop, but time passes when the test says so and everything happens in the same order each time.

use crate::arc::ArcName;
use crate::device::{RxBurst, RxQueue, TxBurst, TxQueue, Wake};
use crate::graph::{Graph, solve_graph};
use crate::memory::HugePages;
use crate::node::NodeName;
use crate::pool::Pool;
use crate::rows::LedgerTotals;
use crate::shared::Shared;
use crate::trace::PacketTrace;
use crate::waker::Waker;
use crate::worker::{Mode, Worker};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers that there are.
const BUFFERS: usize = 2048;
/// Rounds of all workers' loops after which packets are said to run in circles.
const ROUNDS: usize = 10_000;

/// Pools of testbeds that are gone: a pool is never freed, and there are tests that need thousands of testbeds.
static POOLS: Mutex<Vec<&'static Pool>> = Mutex::new(Vec::new());

/// A packet that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The interface that it left by.
    pub interface: u32,
    /// The worker that sent it.
    pub worker: usize,
    /// Its bytes, from the link-layer header on.
    pub data: Vec<u8>,
}

/// A graph with its workers, and a wire in memory at each interface.
pub struct Testbed {
    /// Made from a box that `drop` takes back.
    shared: &'static Shared,
    workers: Vec<Worker>,
    /// What is to be received, by worker and interface.
    rx: Vec<(usize, u32, Waiting)>,
    sent: Arc<Mutex<Vec<Sent>>>,
    /// Every node's counters as of the last [`counts`](Testbed::counts).
    counted: Vec<u64>,
    /// Nanoseconds that nodes take for the time.
    pub now: u64,
}

type Waiting = Arc<Mutex<VecDeque<Vec<u8>>>>;

struct RxWire(Waiting);

impl RxQueue for RxWire {
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(frame) = waiting.front() {
            if !burst.push(&[frame]) {
                break;
            }
            waiting.pop_front();
        }
        Ok(())
    }

    fn wake(&self) -> Wake {
        Wake::Never
    }
}

struct TxWire {
    worker: usize,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl TxQueue for TxWire {
    fn takes_shared(&self) -> bool {
        true
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        for at in 0..burst.len() {
            if let Some(packet) = burst.packet(at) {
                let data = packet.segments().flatten().copied().collect();
                sent.push(Sent { interface: packet.meta.tx_interface, worker: self.worker, data });
            }
        }
        Ok(burst.len())
    }
}

#[allow(clippy::expect_used, reason = "a test without memory, or with a wrong graph, can only end")]
impl Testbed {
    /// Solves the graph for so many workers, each with queues of its own at each of the interfaces, which are all up.
    pub fn new(graph: Graph, workers: usize, interfaces: &[u32]) -> Testbed {
        let solved = solve_graph(graph).expect("a graph that holds together");
        let spare = POOLS.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let pool = spare.unwrap_or_else(|| Pool::new(BUFFERS, HugePages::Off).expect("memory for buffers"));
        let control = Waker::new().expect("a descriptor");
        let shared = Shared::new(pool, solved, workers, control).expect("descriptors");
        let shared: &'static Shared = Box::leak(Box::new(shared));
        let mut bed = Testbed {
            shared,
            workers: (0..workers).map(|id| Worker::new(id, shared, Mode::Polling)).collect(),
            rx: Vec::new(),
            sent: Arc::default(),
            counted: Vec::new(),
            now: 0,
        };
        for interface in interfaces {
            shared.states.set_up(*interface, true);
            for (id, worker) in bed.workers.iter_mut().enumerate() {
                let waiting = Waiting::default();
                let tx = TxWire { worker: id, sent: bed.sent.clone() };
                worker.attach(*interface, Some(Box::new(RxWire(waiting.clone()))), Some(Box::new(tx)));
                bed.rx.push((id, *interface, waiting));
            }
        }
        bed
    }

    /// Switches a feature on an interface.
    pub fn switch(&self, arc: ArcName, feature: NodeName, interface: u32, on: bool) {
        let arc = self.shared.graph.arcs.iter().find(|a| a.point.name == arc).expect("an arc of the graph");
        let at = arc.features.iter().position(|f| *f == feature).expect("a feature of the arc");
        arc.switch(at, interface, on);
    }

    /// Lays a frame on the wire of an interface, for the queue that the worker polls; [`run`](Testbed::run) receives it.
    pub fn put(&mut self, worker: usize, interface: u32, frame: &[u8]) {
        let queue =
            self.rx.iter().find(|(w, i, _)| (*w, *i) == (worker, interface)).expect("a worker and an interface");
        queue.2.lock().unwrap_or_else(PoisonError::into_inner).push_back(frame.to_vec());
    }

    /// Lets the workers run in turn until nothing is left to do; what was sent, in order.
    pub fn run(&mut self) -> Vec<Sent> {
        let quiet = (0..ROUNDS).any(|_| !self.round());
        assert!(quiet, "packets run in circles");
        std::mem::take(&mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One turn of every worker's loop; whether any had something to do.
    fn round(&mut self) -> bool {
        let mut worked = false;
        for worker in &mut self.workers {
            worker.now = self.now;
            worked |= worker.turn();
            worker.participant.quiescent();
            worker.cache.publish();
        }
        worked
    }

    /// Sends one frame and runs.
    pub fn one(&mut self, worker: usize, interface: u32, frame: &[u8]) -> Vec<Sent> {
        self.put(worker, interface, frame);
        self.run()
    }

    /// Lets time pass, then calls all nodes that wait for something, `times` times; what was sent.
    pub fn pass(&mut self, nanos: u64, times: usize) -> Vec<Sent> {
        self.now += nanos;
        for _ in 0..times {
            for worker in &mut self.workers {
                worker.now = self.now;
                worker.tick();
            }
        }
        self.run()
    }

    /// Packets that the graph handed to control since this was last asked.
    pub fn punted(&mut self) -> Vec<Vec<u8>> {
        let bytes = |mut b: crate::Buffer| b.packet().segments().flatten().copied().collect();
        std::iter::from_fn(|| self.shared.punts.pop()).map(bytes).collect()
    }

    /// What all nodes counted since this was last asked, by node and reason; contained panics have the reason "panic".
    pub fn counts(&mut self) -> Vec<(NodeName, &'static str, u64)> {
        let (mut names, mut totals) = (Vec::new(), Vec::new());
        for (at, node) in self.shared.graph.nodes.iter().enumerate() {
            let sum = |of: &dyn Fn(&crate::counters::NodeCounters) -> u64| {
                self.shared.workers.iter().map(|w| of(&w.nodes[at])).sum::<u64>()
            };
            for (i, reason) in node.reasons.iter().enumerate() {
                names.push((node.name, *reason));
                totals.push(sum(&|c| c.reasons[i].get()));
            }
            names.push((node.name, "panic"));
            totals.push(sum(&|c| c.panics.get()));
        }
        let before = self.counted.iter().copied().chain(std::iter::repeat(0));
        let since = names
            .iter()
            .zip(totals.iter().zip(before))
            .map(|((node, what), (now, before))| (*node, *what, now - before));
        let since = since.filter(|(_, _, n)| *n > 0).collect();
        self.counted = totals;
        since
    }

    /// Where all packets came from and went.
    pub fn ledger(&self) -> LedgerTotals {
        let mut all = LedgerTotals::default();
        for ledger in self.shared.workers.iter().map(|w| &w.ledger) {
            all.received += ledger.received.get();
            all.made += ledger.made.get();
            all.sent += ledger.sent.get();
            all.dropped += ledger.dropped.get();
            all.consumed += ledger.consumed.get();
        }
        all
    }

    /// Buffers that are not free: what nodes hold.
    pub fn held(&self) -> usize {
        self.workers.iter().for_each(|w| w.cache.publish());
        self.shared.pool.usage().in_use
    }

    /// Traces the next `count` packets that reach a node on each worker.
    pub fn trace(&mut self, node: NodeName, count: u32) {
        let at = self.shared.graph.position(node).expect("a node of the graph");
        self.workers.iter_mut().for_each(|w| w.tracer.arm(usize::from(at), count, None));
    }

    /// The traces.
    pub fn traces(&self) -> Vec<PacketTrace> {
        self.shared.workers.iter().flat_map(|w| w.traces.read()).collect()
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        // Nodes give back what they hold.
        self.workers.clear();
        while self.shared.punts.pop().is_some() {}
        let pool = self.shared.pool;
        // SAFETY: `new` leaked the box for this; the workers, which alone had copies of the reference, are gone.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(self.shared).cast_mut()) });
        if pool.usage().in_use == 0 {
            POOLS.lock().unwrap_or_else(PoisonError::into_inner).push(pool);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::INTERFACE_TX;
    use crate::node::NoTrace;
    use crate::{Buffer, Ctx, Node, Packet, counters, edges};

    const NAME: NodeName = NodeName::new("wait-and-cross");

    edges! { enum Next { Tx => INTERFACE_TX } }
    counters! { enum Count { Short => "empty" , Held => "held" } }

    /// Holds packets for a second on the worker that their first byte names, then sends them by the other interface.
    #[derive(Default)]
    struct Cross(Vec<(u64, Buffer)>);

    impl Node for Cross {
        const NAME: NodeName = NAME;
        const HOLDS: bool = true;
        const HANDS_OFF: bool = true;
        type Next = Next;
        type Count = Count;
        type Trace = NoTrace;

        fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
            let Some(home) = packet.data().first().map(|b| usize::from(*b)) else { return cx.drop(Count::Short) };
            packet.meta.tx_interface = 3 - packet.meta.rx_interface;
            if cx.worker() == home { cx.hold() } else { cx.hand_off(packet, home) }
        }

        fn hold(&mut self, buffer: Buffer, cx: &mut Ctx<'_, Self>) {
            cx.count(Count::Held);
            self.0.push((cx.now() + 1_000_000_000, buffer));
        }

        fn wants_tick(&self) -> bool {
            !self.0.is_empty()
        }

        fn tick(&mut self, cx: &mut Ctx<'_, Self>) {
            while let Some((_, buffer)) = self.0.pop_if(|(due, _)| *due <= cx.now()) {
                cx.send(buffer, Next::Tx);
            }
        }
    }

    #[test]
    fn time_passes_when_the_test_says_so() {
        let mut graph = Graph::new();
        graph.node(|_| Cross::default()).input(NAME);
        let mut bed = Testbed::new(graph, 2, &[1, 2]);
        assert_eq!(bed.one(0, 1, &[1, 7]), []);
        assert_eq!((bed.held(), bed.counts()), (1, vec![(NAME, "held", 1)]));
        assert_eq!(bed.pass(999_999_999, 3), []);
        assert_eq!(bed.pass(1, 1), [Sent { interface: 2, worker: 1, data: vec![1, 7] }]);
        assert_eq!((bed.held(), bed.counts()), (0, vec![]));
        bed.trace(NAME, 2);
        assert_eq!((bed.one(0, 2, &[]), bed.counts()), (vec![], vec![(NAME, "empty", 1)]));
        assert_eq!(bed.traces()[0].hops[0].reason, Some("empty"));
        let LedgerTotals { received, made, sent, dropped, consumed } = bed.ledger();
        assert_eq!((received, made, sent, dropped, consumed), (2, 0, 1, 1, 0));
    }

    #[test]
    fn what_nodes_hold_is_free_again_with_the_testbed() {
        let mut graph = Graph::new();
        graph.node(|_| Cross::default()).input(NAME);
        let mut bed = Testbed::new(graph, 1, &[1]);
        bed.put(0, 1, &[0; 5000]);
        assert_eq!((bed.run(), bed.held()), (vec![], 3));
        let pool = bed.shared.pool;
        drop(bed);
        assert_eq!(pool.usage().in_use, 0);
    }
}
