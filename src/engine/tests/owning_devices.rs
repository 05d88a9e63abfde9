//! Devices that own cells: what they put into them goes through the graph uncopied, and what is sent comes back when they say so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end where the program may not")]

use millrace_engine::builtin::INTERFACE_TX;
use millrace_engine::device::{RxBurst, RxQueue, TxBurst, TxQueue, Wake};
use millrace_engine::memory::HugePages;
use millrace_engine::node::NoTrace;
use millrace_engine::{
    Attach, CELL, Cache, Ctx, Engine, EngineConfig, Graph, HEADROOM, Mode, Node, NodeName, Packet, Part, Pool, Waker,
    WorkerConfig, counters, edges,
};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATCH: NodeName = NodeName::new("patch");

edges! { enum Next { Tx => INTERFACE_TX } }
counters! { enum Count {} }

/// Sends everything out of interface 1.
struct Patch;

impl Node for Patch {
    const NAME: NodeName = PATCH;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, _: &mut Ctx<'_, Self>) -> Next {
        packet.meta.tx_interface = 1;
        Next::Tx
    }
}

/// What both ends of the device share with the test.
#[derive(Default)]
struct Wire {
    sent: Mutex<Vec<Vec<u8>>>,
    /// Whether the device is done with what it was given.
    done: AtomicBool,
}

/// Hands out one packet after the other, of one cell and of three in turns.
struct Source {
    left: usize,
}

fn write(pool: &Pool, part: Part, byte: u8) {
    // SAFETY: the test's device owns the cell, and the part lies in it.
    unsafe {
        let at = pool.region().base().as_ptr().add(Pool::offset_of(part.index) + usize::from(part.offset));
        at.write_bytes(byte, usize::from(part.len));
    }
}

impl RxQueue for Source {
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        while self.left > 0 && burst.room() > 0 {
            let size = if self.left.is_multiple_of(2) { 3 } else { 1 };
            let mut cells = [0; 3];
            let cells = &mut cells[..size];
            assert_eq!(burst.cache().take_many(cells), size);
            let parts: Vec<Part> =
                (0..size).map(|n| Part { index: cells[n], offset: 100 + n as u16, len: 64 }).collect();
            parts.iter().enumerate().for_each(|(n, part)| write(burst.cache().pool(), *part, (self.left + n) as u8));
            // What can't be is refused, and the cells stay ours.
            let beyond = Part { len: CELL as u16, ..parts[0] };
            let nowhere = Part { index: u32::MAX, ..parts[0] };
            // SAFETY: the cells were taken just now.
            unsafe {
                assert!(!burst.adopt(beyond) && !burst.adopt(nowhere));
                assert!(!burst.adopt_chain(&[parts[0], beyond]) && !burst.adopt_chain(&[]));
                assert!(if size == 1 { burst.adopt(parts[0]) } else { burst.adopt_chain(&parts) });
            }
            self.left -= 1;
        }
        Ok(())
    }

    fn wake(&self) -> Wake {
        if self.left > 0 { Wake::Poll } else { Wake::Never }
    }
}

/// Keeps what it is given until the test says that it is sent.
struct Keeper {
    wire: Arc<Wire>,
    pool: &'static Pool,
    out: Vec<u32>,
}

impl TxQueue for Keeper {
    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        let mut sent = self.wire.sent.lock().unwrap();
        let mut kept = 0;
        while let Some(packet) = burst.packet(kept) {
            sent.push(packet.segments().flatten().copied().collect());
            self.out.extend(packet.parts().map(|part| part.index));
            kept += 1;
            burst.keep(kept);
        }
        assert!(burst.packet(0).is_none(), "it was kept");
        Ok(kept)
    }

    fn reclaim(&mut self, cache: &mut Cache) -> bool {
        if self.wire.done.load(SeqCst) {
            // SAFETY: kept in `tx`, and given up here.
            unsafe { cache.put(&self.out) };
            self.out.clear();
        }
        !self.out.is_empty()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // SAFETY: as in `reclaim`.
        unsafe { self.pool.put(&self.out) };
    }
}

/// Sends every second packet; the others can't be.
struct Picky;

impl TxQueue for Picky {
    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        (0..burst.len()).filter(|at| at % 2 == 1).for_each(|at| burst.lose(at));
        Ok(burst.len())
    }
}

fn start(packets: usize, tx: impl FnOnce(&'static Pool) -> Box<dyn TxQueue>) -> Engine {
    let mut graph = Graph::new();
    graph.node(|_| Patch).input(PATCH);
    let config = EngineConfig {
        workers: vec![WorkerConfig::default()],
        mode: Mode::Adaptive,
        buffers: 4096,
        huge_pages: HugePages::Off,
    };
    let engine = Engine::start(graph, &config, Waker::new().unwrap()).unwrap();
    engine.set_hardware(1, 1);
    engine.set_up(1, true);
    let tx = tx(engine.pool());
    engine.attach(1, vec![Attach { worker: 0, rx: Some(Box::new(Source { left: packets })), tx: Some(tx) }]);
    engine
}

#[track_caller]
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn sends_600(end: impl FnOnce(&Engine, &Wire)) {
    let wire = Arc::<Wire>::default();
    let queue = wire.clone();
    let engine = start(600, |pool| Box::new(Keeper { wire: queue, pool, out: Vec::new() }));
    wait("all are sent", || wire.sent.lock().unwrap().len() == 600);
    wait("only what is kept is in use", || engine.pool().usage().in_use == 300 * 4);
    end(&engine, &wire);
    wait("all cells are back", || engine.pool().usage().in_use == 0);
    let ledger = engine.ledger(0);
    assert_eq!((ledger.received, ledger.sent, ledger.dropped), (600, 600, 0));
    let totals = engine.interface(1);
    assert_eq!((totals.rx_bytes, totals.tx_bytes), (600 * 2 * 64, 600 * 2 * 64));
    for (n, packet) in wire.sent.lock().unwrap().iter().enumerate() {
        let (first, size) = ((600 - n) as u8, if n % 2 == 0 { 3 } else { 1 });
        let expected: Vec<u8> = (0..size).flat_map(|part| [first.wrapping_add(part); 64]).collect();
        assert_eq!(*packet, expected, "packet {n}");
    }
}

#[test]
fn what_a_device_keeps_comes_back_when_it_is_sent() {
    sends_600(|_, wire| wire.done.store(true, SeqCst));
}

#[test]
fn a_device_that_goes_gives_back_what_it_kept() {
    sends_600(|engine, _| engine.detach(1));
}

#[test]
fn what_a_device_loses_is_a_drop() {
    let engine = start(256, |_| Box::new(Picky));
    wait("all are dealt with", || engine.ledger(0).sent + engine.ledger(0).dropped == 256);
    assert_eq!((engine.ledger(0).sent, engine.ledger(0).dropped), (128, 128));
    let totals = engine.interface(1);
    // Long and short ones take turns, and the short ones are lost.
    assert_eq!((totals.tx_packets, totals.tx_drops, totals.tx_bytes), (128, 128, 128 * 3 * 64));
    wait("all cells are back", || engine.pool().usage().in_use == 0);
}

#[test]
fn cells_are_found_by_their_place() {
    let pool = Pool::new(8, HugePages::Off).unwrap();
    assert_eq!(pool.at(0), Some((0, 0)));
    assert_eq!(pool.at(Pool::offset_of(3) + HEADROOM), Some((3, HEADROOM)));
    assert_eq!(pool.at(Pool::offset_of(8)), None);
    let mut cells = [0; 9];
    assert_eq!(pool.take(&mut cells), 8);
    assert_eq!(pool.take(&mut [0; 1]), 0);
    // SAFETY: taken just now.
    unsafe { pool.put(&cells[..8]) };
    assert_eq!(pool.usage().free, 8);
}
