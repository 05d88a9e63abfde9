//! What several workers do for each other: hand-off of packets, and jobs on a worker's thread.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end where the program may not")]

use millrace_engine::builtin::WORKER_HANDOFF;
use millrace_engine::memory::HugePages;
use millrace_engine::node::NoTrace;
use millrace_engine::{
    Ctx, Engine, EngineConfig, Graph, Local, Mode, Node, NodeName, Packet, Waker, WorkerConfig, counters, edges,
};
use std::time::{Duration, Instant};

const WORKERS: usize = 3;
const STEER: NodeName = NodeName::new("steer");

edges! { enum Next {} }
counters! { enum Count { Home => "came home" } }

/// Sends each packet to the worker that its first byte names.
struct Steer;

impl Node for Steer {
    const NAME: NodeName = STEER;
    const HANDS_OFF: bool = true;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let home = usize::from(packet.data()[0]);
        if cx.worker() == home { cx.consume(Count::Home) } else { cx.hand_off(packet, home) }
    }
}

fn start() -> Engine {
    let mut graph = Graph::new();
    graph.node(|_| Steer).input(STEER);
    let config = EngineConfig {
        workers: vec![WorkerConfig::default(); WORKERS],
        mode: Mode::Adaptive,
        buffers: 4096,
        huge_pages: HugePages::Off,
    };
    Engine::start(graph, &config, Waker::new().unwrap()).unwrap()
}

#[test]
fn packets_go_on_at_the_same_node_of_another_worker() {
    let engine = start();
    // Worker 9 does not exist.
    let homes = [0, 1, 2, 1, 9, 2, 2];
    for n in 0..700 {
        let mut buffer = engine.pool().alloc().unwrap();
        assert!(buffer.append(&[homes[n % homes.len()]], || None));
        assert!(engine.inject(STEER, buffer));
    }
    let totals = || {
        let ledger: Vec<_> = (0..WORKERS).map(|w| engine.ledger(w)).collect();
        (ledger.iter().map(|l| l.consumed).collect::<Vec<_>>(), ledger.iter().map(|l| l.dropped).sum::<u64>())
    };
    let start = Instant::now();
    while totals() != (vec![100, 200, 300], 100) {
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", totals());
        std::thread::yield_now();
    }
    let lost: Vec<_> = engine.errors().into_iter().filter(|row| row.drops > 0).collect();
    assert_eq!((lost.len(), lost[0].node, lost[0].reason, lost[0].drops), (1, WORKER_HANDOFF, "no such worker", 100));
    assert!(engine.edges().contains(&(STEER, WORKER_HANDOFF)));
}

#[test]
fn jobs_reach_what_a_worker_keeps_to_itself() {
    let engine = start();
    let local = Local::new(0);
    for n in 1..=5 {
        let handle = local.clone();
        let value = engine.run_on(1, move || {
            let mut value = handle.get()?;
            *value += n;
            Some(*value)
        });
        assert_eq!(value, Some(Some(n * (n + 1) / 2)));
    }
    assert!(local.get().is_none(), "it belongs to the worker");
    let handle = local.clone();
    assert_eq!(engine.run_on(2, move || handle.get().is_none()), Some(true));
    assert_eq!(engine.run_on(WORKERS, || ()), None);
    assert_eq!(engine.run_on(0, || panic!("asked to panic")), None::<()>);
    assert_eq!(engine.run_on(0, || 7), Some(7));
}
