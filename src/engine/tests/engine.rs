//! The running engine: toy nodes and devices, real threads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end where the program may not")]

use millrace_engine::builtin::{DEVICE_INPUT_ARC, INTERFACE_TX};
use millrace_engine::device::{RxBurst, RxQueue, TxBurst, TxQueue, Wake};
use millrace_engine::memory::HugePages;
use millrace_engine::{
    ArcName, ArcPoint, Attach, Buffer, Ctx, Engine, EngineConfig, Feature, Graph, LedgerTotals, Mode, Node, NodeName,
    Packet, Waker, WorkerConfig, counters, edges,
};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// First byte of a packet = what the `sort` node does with it.
const FORWARD: u8 = 0;
const DROP: u8 = 1;
const PANIC: u8 = 2;
const HOLD: u8 = 3;
const DOUBLE: u8 = 4;
const CONSUME: u8 = 5;
const BYSTANDER: u8 = 6;

const SORT: NodeName = NodeName::new("sort");
const TAG: NodeName = NodeName::new("tag");
const OUT_ARC: ArcPoint = ArcPoint { name: ArcName::new("out"), starts: &[SORT], end: INTERFACE_TX };

edges! { enum Next { Tx => INTERFACE_TX } }
counters! { enum Count { Refused => "asked to be dropped", Done => "asked to be consumed", Doubled => "doubled" } }

#[derive(Default)]
struct Sort {
    held: VecDeque<Buffer>,
    release: bool,
}

impl Node for Sort {
    const NAME: NodeName = SORT;
    const HOLDS: bool = true;
    type Next = Next;
    type Count = Count;
    type Trace = String;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        packet.meta.tx_interface = 2;
        let kind = packet.data().first().copied();
        cx.trace(packet, || format!("kind {kind:?}"));
        match kind {
            Some(DROP) => cx.drop(Count::Refused),
            Some(PANIC) => panic!("asked to panic"),
            Some(HOLD) => cx.hold(),
            Some(CONSUME) => cx.consume(Count::Done),
            Some(DOUBLE) => {
                cx.count(Count::Doubled);
                if let Some(mut copy) = cx.build(packet.data()) {
                    copy.packet().meta.tx_interface = 2;
                    cx.send(copy, Next::Tx);
                }
                cx.start_arc(packet, 1, Next::Tx)
            }
            _ => cx.start_arc(packet, 1, Next::Tx),
        }
    }

    fn hold(&mut self, buffer: Buffer, _: &mut Ctx<'_, Self>) {
        self.held.push_back(buffer);
    }

    fn wants_tick(&self) -> bool {
        !self.held.is_empty()
    }

    fn tick(&mut self, cx: &mut Ctx<'_, Self>) {
        // Let go at the second look.
        if std::mem::replace(&mut self.release, true) {
            self.held.drain(..).for_each(|b| cx.send(b, Next::Tx));
            self.release = false;
        }
    }
}

/// A feature that writes its mark into the second byte.
struct Tag;

impl Node for Tag {
    const NAME: NodeName = TAG;
    type Next = Next;
    type Count = Count;
    type Trace = String;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        if let Some(second) = packet.data_mut().get_mut(1) {
            *second = 0xaa;
        }
        cx.next_feature(packet)
    }
}

/// A wire in memory, with an eventfd so that workers can sleep on it.
#[derive(Clone)]
struct Wire(Arc<(Mutex<VecDeque<Vec<u8>>>, File)>);

impl Wire {
    fn new() -> Wire {
        // SAFETY: no pointers; the descriptor is new and ours.
        let file = unsafe { File::from_raw_fd(libc::eventfd(0, libc::EFD_NONBLOCK)) };
        Wire(Arc::new((Mutex::default(), file)))
    }

    fn send(&self, packet: &[u8]) {
        self.0.0.lock().unwrap().push_back(packet.to_vec());
        (&self.0.1).write_all(&1u64.to_ne_bytes()).unwrap();
    }

    fn take(&self) -> Vec<Vec<u8>> {
        self.0.0.lock().unwrap().drain(..).collect()
    }
}

struct WireRx(Wire, bool);

impl RxQueue for WireRx {
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        let mut queue = self.0.0.0.lock().unwrap();
        while let Some(packet) = queue.pop_front() {
            if packet.as_slice() == b"panic" {
                drop(queue);
                panic!("asked to panic");
            }
            if packet.as_slice() == b"gone" {
                return Err(io::Error::other("pulled out"));
            }
            if !burst.push(&[&packet]) {
                queue.push_front(packet);
                break;
            }
        }
        if queue.is_empty() {
            let _ = io::Read::read(&mut &self.0.0.1, &mut [0; 8]);
        }
        Ok(())
    }

    fn wake(&self) -> Wake {
        if self.1 { Wake::Poll } else { Wake::Fd(self.0.0.1.as_raw_fd()) }
    }
}

struct WireTx(Wire);

impl TxQueue for WireTx {
    fn takes_shared(&self) -> bool {
        true
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        let mut queue = self.0.0.0.lock().unwrap();
        for i in 0..burst.len() {
            let Some(packet) = burst.packet(i) else { return Ok(i) };
            queue.push_back(packet.segments().flatten().copied().collect());
        }
        Ok(burst.len())
    }
}

struct World {
    engine: Engine,
    control: Waker,
    /// One towards each worker.
    inputs: Vec<Wire>,
    output: Wire,
}

/// Interface 1 receives on every worker; interface 2 sends by the first worker only.
fn world(workers: usize, mode: Mode) -> World {
    let mut graph = Graph::new();
    graph.node(|_| Sort::default()).node(|_| Tag).input(SORT).arc(OUT_ARC);
    graph.feature(Feature { arc: OUT_ARC.name, node: TAG, after: &[], before: &[] });
    let control = Waker::new().unwrap();
    let config = EngineConfig {
        workers: vec![WorkerConfig::default(); workers],
        mode,
        buffers: 4096,
        huge_pages: HugePages::Off,
    };
    let engine = Engine::start(graph, &config, control.clone()).unwrap();
    let inputs: Vec<Wire> = (0..workers).map(|_| Wire::new()).collect();
    let output = Wire::new();
    let attach =
        |(worker, wire): (usize, &Wire)| Attach { worker, rx: Some(Box::new(WireRx(wire.clone(), false))), tx: None };
    engine.attach(1, inputs.iter().enumerate().map(attach).collect());
    engine.attach(2, vec![Attach { worker: 0, rx: None, tx: Some(Box::new(WireTx(output.clone()))) }]);
    engine.set_up(1, true);
    engine.set_up(2, true);
    World { engine, control, inputs, output }
}

fn wait<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(t) = ready() {
            return t;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::yield_now();
    }
}

impl World {
    fn received(&self, n: usize) -> Vec<Vec<u8>> {
        let mut got = Vec::new();
        wait(&format!("{n} packets"), || {
            got.extend(self.output.take());
            (got.len() >= n).then(|| got.clone())
        })
    }

    fn count(&self, reason: &str) -> u64 {
        self.engine.errors().iter().filter(|e| e.reason == reason).map(|e| e.count).sum()
    }

    /// Nothing is on its way: every packet accounted for, every buffer back.
    fn settle(&self) {
        wait("every packet to be accounted for", || {
            let of = |f: fn(&LedgerTotals) -> u64| {
                (0..self.engine.workers()).map(|w| f(&self.engine.ledger(w))).sum::<u64>()
            };
            let balanced = of(|l| l.received + l.made) == of(|l| l.sent + l.dropped + l.consumed);
            let causes = self.engine.errors().iter().map(|e| e.drops).sum::<u64>();
            let balanced = balanced && causes == of(|l| l.dropped);
            (balanced && self.engine.pool().usage().in_use == 0).then_some(())
        });
    }
}

#[test]
fn packets_go_through_in_order_and_keep_their_bytes() {
    for mode in [Mode::Adaptive, Mode::Polling] {
        let w = world(1, mode);
        for i in 0..1000u32 {
            w.inputs[0].send(&[&[FORWARD, 0][..], &i.to_be_bytes(), &vec![i as u8; i as usize * 3]].concat());
        }
        let got = w.received(1000);
        for (i, packet) in got.iter().enumerate() {
            assert_eq!(packet[2..6], (i as u32).to_be_bytes());
            assert_eq!(packet.len(), 6 + i * 3);
        }
        w.settle();
        assert_eq!(w.engine.interface(1).rx_packets, 1000);
        assert_eq!(w.engine.interface(2).tx_packets, 1000);
        assert_eq!(w.engine.interface(1).rx_bytes, w.engine.interface(2).tx_bytes);
    }
}

#[test]
fn every_edge_is_accounted_for() {
    let w = world(1, Mode::Adaptive);
    let kinds = [FORWARD, DROP, CONSUME, DOUBLE, HOLD];
    for i in 0..500 {
        w.inputs[0].send(&[kinds[i % 5], 0]);
    }
    // Forwarded, doubled (two each) and held ones arrive.
    assert_eq!(w.received(400).len(), 400);
    assert_eq!(w.count("asked to be dropped"), 100);
    assert_eq!(w.count("asked to be consumed"), 100);
    assert_eq!(w.engine.interface(1).rx_drops, 100);
    w.settle();
}

#[test]
fn a_panic_costs_its_frame_and_nothing_else() {
    let w = world(1, Mode::Adaptive);
    for _ in 0..50 {
        w.inputs[0].send(&[HOLD, 0]);
        w.inputs[0].send(&[PANIC, 0]);
        w.inputs[0].send(&[BYSTANDER, 0]);
    }
    wait("the panics", || (w.count("panic in the node, frame dropped") > 0).then_some(()));
    // The last packet may be taken for itself; so send until one comes through after the trouble.
    wait("traffic to go on", || {
        w.inputs[0].send(&[FORWARD, 0, 77]);
        w.output.take().iter().any(|p| p.len() == 3).then_some(())
    });
    w.settle();
}

#[test]
fn features_are_switched_per_interface_while_packets_flow() {
    let w = world(1, Mode::Adaptive);
    w.inputs[0].send(&[FORWARD, 0]);
    assert_eq!(w.received(1), [[FORWARD, 0]]);
    assert!(w.engine.switch_feature(OUT_ARC.name, TAG, 1, true));
    assert_eq!((w.engine.features_of(1), w.engine.features_of(2)), (vec![(OUT_ARC.name, TAG)], vec![]));
    w.inputs[0].send(&[FORWARD, 0]);
    assert_eq!(w.received(1), [[FORWARD, 0xaa]]);
    assert!(w.engine.switch_feature(OUT_ARC.name, TAG, 1, false));
    assert_eq!(w.engine.features_of(1), []);
    w.inputs[0].send(&[FORWARD, 0]);
    assert_eq!(w.received(1), [[FORWARD, 0]]);
    assert!(!w.engine.switch_feature(OUT_ARC.name, SORT, 1, true));
    assert!(!w.engine.switch_feature(DEVICE_INPUT_ARC.name, TAG, 1, true));
    w.settle();
}

#[test]
fn a_worker_without_the_queue_passes_packets_on() {
    let w = world(3, Mode::Adaptive);
    for i in 0..300 {
        w.inputs[i % 3].send(&[FORWARD, 0, (i % 3) as u8]);
    }
    let got = w.received(300);
    for worker in 0..3 {
        assert_eq!(got.iter().filter(|p| p[2] == worker).count(), 100);
    }
    w.settle();
    assert_eq!(w.engine.interface(2).tx_packets, 300);
}

#[test]
fn interfaces_that_are_down_drop_and_count() {
    let w = world(1, Mode::Adaptive);
    w.engine.set_up(2, false);
    w.inputs[0].send(&[FORWARD]);
    wait("the drop", || (w.count("interface is down") == 1).then_some(()));
    assert_eq!(w.engine.interface(2).tx_drops, 1);
    w.engine.set_up(1, false);
    w.inputs[0].send(&[FORWARD]);
    wait("the drop", || (w.count("interface is down") == 2).then_some(()));
    assert_eq!(w.engine.interface(1).rx_drops, 1);
    w.settle();
}

#[test]
fn a_lost_queue_is_reported_once_and_can_be_replaced() {
    let w = world(1, Mode::Adaptive);
    w.control.clear();
    w.inputs[0].send(b"gone");
    let lost = wait("the report", || w.engine.lost_queue());
    assert_eq!((lost.interface, lost.error.as_str()), (1, "pulled out"));
    w.engine.detach(1);
    let wire = Wire::new();
    w.engine.attach(1, vec![Attach { worker: 0, rx: Some(Box::new(WireRx(wire.clone(), false))), tx: None }]);
    wire.send(&[FORWARD, 9]);
    assert_eq!(w.received(1), [[FORWARD, 9]]);
    w.settle();
}

#[test]
fn a_driver_that_panics_loses_its_queue_only() {
    let w = world(2, Mode::Adaptive);
    w.inputs[0].send(&[FORWARD, 1]);
    w.inputs[0].send(b"panic");
    let lost = wait("the report", || w.engine.lost_queue());
    assert!(lost.error.contains("asked to panic"), "{lost:?}");
    w.inputs[1].send(&[FORWARD, 2]);
    wait("the other worker", || w.output.take().iter().any(|p| p[1] == 2).then_some(()));
    w.engine.detach(1);
    let wire = Wire::new();
    let rx: Box<dyn RxQueue> = Box::new(WireRx(wire.clone(), false));
    w.engine.attach(1, vec![Attach { worker: 0, rx: Some(rx), tx: None }]);
    wire.send(&[FORWARD, 3]);
    assert_eq!(w.received(1), [[FORWARD, 3]]);
    w.settle();
}

#[test]
fn detach_while_packets_flow_loses_no_buffer() {
    let w = world(2, Mode::Adaptive);
    for round in 0..50 {
        for i in 0..100 {
            w.inputs[i % 2].send(&[FORWARD, round]);
        }
        w.engine.detach(2);
        w.engine.attach(
            2,
            vec![Attach { worker: round as usize % 2, rx: None, tx: Some(Box::new(WireTx(w.output.clone()))) }],
        );
    }
    wait("all to be received", || (w.engine.interface(1).rx_packets == 5000).then_some(()));
    w.settle();
}

#[test]
fn a_trace_tells_every_step() {
    let w = world(1, Mode::Adaptive);
    w.engine.switch_feature(OUT_ARC.name, TAG, 1, true);
    let only_drops: millrace_engine::trace::PacketFilter = Arc::new(|p| p.data().first() == Some(&DROP));
    assert!(w.engine.trace("device-input", 1, Some(only_drops)));
    w.inputs[0].send(&[FORWARD, 0]);
    w.inputs[0].send(&[DROP, 0]);
    w.inputs[0].send(&[DROP, 0]);
    let traces = wait("a trace", || Some(w.engine.traces()).filter(|t| t.iter().any(|t| t.hops.len() == 3)));
    assert_eq!(traces.len(), 1);
    let hops: Vec<_> = traces[0].hops.iter().map(|h| (h.node.as_str(), h.text.as_str(), h.reason)).collect();
    assert_eq!(
        hops,
        [
            ("device-input", "interface 1 length 2", None),
            ("sort", "kind Some(1)", Some("asked to be dropped")),
            ("error-drop", "", None)
        ]
    );
    w.engine.clear_traces();
    assert!(w.engine.trace("sort", 1, None));
    w.inputs[0].send(&[FORWARD, 0]);
    let traces = wait("a trace", || Some(w.engine.traces()).filter(|t| t.iter().any(|t| t.hops.len() == 3)));
    let hops: Vec<_> = traces[0].hops.iter().map(|h| (h.node.as_str(), h.next.map(NodeName::as_str))).collect();
    assert_eq!(hops, [("sort", Some("tag")), ("tag", Some("interface-tx")), ("interface-tx", None)]);
    assert!(!w.engine.trace("no-such-node", 1, None));
}

#[test]
fn an_idle_worker_sleeps_and_wakes_for_control() {
    let w = world(1, Mode::Adaptive);
    let busy = || {
        let mut usage = unsafe_rusage();
        usage.tv_sec * 1_000_000 + std::mem::take(&mut usage.tv_usec)
    };
    wait("sleep", || {
        let before = busy();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(50) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Other tests of this process run beside: the wait goes on until they are done.
        (busy() - before < 10_000).then_some(())
    });
    let start = Instant::now();
    assert!(w.engine.trace("sort", 0, None));
    assert!(start.elapsed() < Duration::from_millis(500));
}

fn unsafe_rusage() -> libc::timeval {
    // SAFETY: an all-zero rusage is a valid value to overwrite, and the pointer is to it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage.ru_utime
    }
}

#[test]
fn a_graph_that_does_not_hold_together_is_refused_with_every_reason() {
    const NOWHERE: NodeName = NodeName::new("nowhere");
    edges! { enum Lost { Nowhere => NOWHERE } }
    struct Broken;
    impl Node for Broken {
        const NAME: NodeName = NodeName::new("broken");
        type Next = Lost;
        type Count = Count;
        type Trace = String;
        fn packet(&mut self, _: &mut Packet<'_>, _: &mut Ctx<'_, Self>) -> Lost {
            Lost::Nowhere
        }
    }
    let mut graph = Graph::new();
    graph.node(|_| Broken).node(|_| Broken);
    graph.feature(Feature { arc: ArcName::new("no-arc"), node: TAG, after: &[], before: &[] });
    let config = EngineConfig {
        workers: vec![WorkerConfig::default()],
        mode: Mode::Adaptive,
        buffers: 64,
        huge_pages: HugePages::Off,
    };
    let error = Engine::start(graph, &config, Waker::new().unwrap()).err().unwrap().to_string();
    for part in
        ["no input node", "feature tag: no arc no-arc", "node broken: registered twice", "node broken: no node nowhere"]
    {
        assert!(error.contains(part), "{error}");
    }
}
