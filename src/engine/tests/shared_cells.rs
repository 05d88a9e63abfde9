//! Packets that share cells, through a whole engine: queues that copy, that give packets back, and that own cells, on two workers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end where the program may not")]

use millrace_engine::builtin::INTERFACE_TX;
use millrace_engine::device::{RxBurst, RxQueue, TxBurst, TxQueue, Wake};
use millrace_engine::memory::HugePages;
use millrace_engine::node::NoTrace;
use millrace_engine::{
    Attach, Buffer, Cache, Ctx, Engine, EngineConfig, Graph, Mode, Node, NodeName, Packet, Waker, WorkerConfig,
    counters, edges,
};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Where packets go: one interface for each kind of queue.
const COPIES: u32 = 2;
const GIVES_BACK: u32 = 3;
const OWNS: u32 = 4;
const ELSEWHERE: u32 = 5;
const ALL: [u32; 4] = [COPIES, GIVES_BACK, OWNS, ELSEWHERE];

edges! { enum Next { Tx => INTERFACE_TX } }
counters! { enum Count {} }

/// Sends everything out of all interfaces, each with a byte of its own in front.
struct Everywhere;

impl Node for Everywhere {
    const NAME: NodeName = NodeName::new("everywhere");
    const HOLDS: bool = true;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, _: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        cx.hold()
    }

    fn hold(&mut self, buffer: Buffer, cx: &mut Ctx<'_, Self>) {
        let mut copies = cx.share(buffer, ALL.len());
        for interface in ALL {
            let Some(mut copy) = copies.next(cx) else { break };
            let mut packet = copy.packet();
            packet.meta.tx_interface = interface;
            assert!(packet.retreat(1));
            packet.data_mut()[0] = interface as u8;
            cx.send(copy, Next::Tx);
        }
    }
}

/// Hands out packets of all lengths.
struct Source {
    left: usize,
}

fn bytes(number: usize) -> Vec<u8> {
    (0..number * 37 % 6000 + 1).map(|n| (n + number) as u8).collect()
}

impl RxQueue for Source {
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        for _ in 0..32 {
            if self.left == 0 || burst.room() == 0 || !burst.push(&[&bytes(self.left)]) {
                break;
            }
            self.left -= 1;
        }
        Ok(())
    }

    fn wake(&self) -> Wake {
        if self.left > 0 { Wake::Poll } else { Wake::Never }
    }
}

#[derive(Default)]
struct Wire {
    sent: Mutex<Vec<Vec<u8>>>,
    /// Whether the device is done with what it was given.
    done: AtomicBool,
}

impl Wire {
    fn see(&self, packet: &Packet<'_>) {
        self.sent.lock().unwrap().push(packet.segments().flatten().copied().collect());
    }
}

struct Copier(Arc<Wire>);

impl TxQueue for Copier {
    fn takes_shared(&self) -> bool {
        true
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        (0..burst.len()).for_each(|at| self.0.see(&burst.packet(at).unwrap()));
        Ok(burst.len())
    }
}

/// Keeps packets, whole or cell by cell, until the test says that they are sent.
struct Keeper {
    wire: Arc<Wire>,
    packets: bool,
    out: Vec<u32>,
}

impl TxQueue for Keeper {
    fn takes_shared(&self) -> bool {
        self.packets
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        let all = burst.indices();
        for (at, index) in all.iter().enumerate() {
            let packet = burst.packet(at).unwrap();
            assert!(self.packets || !packet.shared(), "a queue that owns cells was given one that others have");
            self.wire.see(&packet);
            match self.packets {
                true => self.out.push(*index),
                false => self.out.extend(packet.parts().map(|part| part.index)),
            }
        }
        burst.keep(all.len());
        Ok(all.len())
    }

    fn reclaim(&mut self, cache: &mut Cache) -> bool {
        if self.wire.done.load(SeqCst) {
            // SAFETY: kept in `tx`, and given up here; cells only of packets that share none.
            unsafe {
                match self.packets {
                    true => cache.put_packets(&self.out),
                    false => cache.put(&self.out),
                }
            }
            self.out.clear();
        }
        !self.out.is_empty()
    }
}

#[track_caller]
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

const PACKETS: usize = 700;

fn start(buffers: usize) -> (Engine, Vec<Arc<Wire>>) {
    let mut graph = Graph::new();
    graph.node(|_| Everywhere).input(Everywhere::NAME);
    let config = EngineConfig {
        workers: vec![WorkerConfig::default(); 2],
        mode: Mode::Adaptive,
        buffers,
        huge_pages: HugePages::Off,
    };
    let engine = Engine::start(graph, &config, Waker::new().unwrap()).unwrap();
    let wires: Vec<Arc<Wire>> = ALL.iter().map(|_| Arc::default()).collect();
    let [copies, gives_back, owns, elsewhere] = [0, 1, 2, 3].map(|at| Arc::clone(&wires[at]));
    let keeper = |wire, packets| Box::new(Keeper { wire, packets, out: Vec::new() });
    let tx = |worker, tx| Attach { worker, rx: None, tx: Some(tx) };
    ALL.iter().for_each(|interface| engine.set_up(*interface, true));
    engine.set_up(1, true);
    engine.attach(COPIES, vec![tx(0, Box::new(Copier(copies)))]);
    engine.attach(GIVES_BACK, vec![tx(0, keeper(gives_back, true))]);
    engine.attach(OWNS, vec![tx(0, keeper(owns, false))]);
    // Its packets go there by the other worker, which frees them, too.
    engine.attach(ELSEWHERE, vec![tx(1, Box::new(Copier(elsewhere)))]);
    let source = Source { left: PACKETS };
    engine.attach(1, vec![Attach { worker: 0, rx: Some(Box::new(source)), tx: None }]);
    (engine, wires)
}

#[test]
fn every_queue_gets_what_it_can_give_back() {
    let (engine, wires) = start(1 << 14);
    wait("all are sent", || wires.iter().all(|wire| wire.sent.lock().unwrap().len() == PACKETS));
    let mut last = 0;
    wait("what is kept is in use, and no more", || {
        let in_use = engine.pool().usage().in_use;
        std::mem::replace(&mut last, in_use) == in_use && in_use > PACKETS
    });
    for (interface, wire) in ALL.iter().zip(&wires) {
        for (at, packet) in wire.sent.lock().unwrap().iter().enumerate() {
            let whole = [&[*interface as u8][..], &bytes(PACKETS - at)].concat();
            assert!(*packet == whole, "packet {at} of interface {interface}: {} bytes", packet.len());
        }
        wire.done.store(true, SeqCst);
    }
    wait("all cells are back", || engine.pool().usage().in_use == 0);
    let (one, two) = (engine.ledger(0), engine.ledger(1));
    assert_eq!((one.received, one.made, two.made), (PACKETS as u64, 3 * PACKETS as u64, 0));
    assert_eq!((one.sent + two.sent, one.dropped + two.dropped), (4 * PACKETS as u64, 0));
}

/// Long packets for a device that owns cells need some of their own.
#[test]
fn without_buffers_packets_are_dropped_with_a_cause_and_nothing_is_lost() {
    let (engine, wires) = start(600);
    let all = |engine: &Engine| [0, 1].map(|worker| engine.ledger(worker));
    wait("every packet has an end", || {
        let [one, two] = all(&engine);
        wires.iter().for_each(|wire| wire.done.store(true, SeqCst));
        one.received + one.made == one.sent + one.dropped + two.sent + two.dropped && one.received == PACKETS as u64
    });
    wait("all cells are back", || engine.pool().usage().in_use == 0);
    for (interface, wire) in ALL.iter().zip(&wires) {
        for packet in wire.sent.lock().unwrap().iter() {
            let from = packet.get(1).copied().unwrap_or_default();
            let right = (1..=PACKETS).any(|number| number as u8 == from && bytes(number) == packet[1..]);
            assert!(right && packet[0] == *interface as u8, "{} bytes", packet.len());
        }
    }
    let drops: u64 = all(&engine).iter().map(|ledger| ledger.dropped).sum();
    let causes: u64 = engine.errors().iter().map(|row| row.drops).sum();
    assert_eq!(drops, causes);
}
