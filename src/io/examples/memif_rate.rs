//! How fast memif is on this machine, in one process: from a generator to a client, and from its server to a sink.
//! `cargo run --release -p millrace-io --example memif_rate [SECONDS [SIZE WORKERS]]`; or sends back whatever a peer sends, until it is killed:
//! `... --example memif_rate echo server|client SOCKET ID [QUEUES [zero-copy]]`.

use millrace_engine::builtin::INTERFACE_TX;
use millrace_engine::device::{RxBurst, RxQueue, TxBurst, TxQueue, Wake};
use millrace_engine::memory::HugePages;
use millrace_engine::node::NoTrace;
use millrace_engine::{
    Attach, Cache, Ctx, Engine, EngineConfig, Graph, Mode, Node, NodeName, Packet, Waker, WorkerConfig, clock,
    counters, edges,
};
use millrace_io::{
    AddressRange, Context, Device, Flow, FrameSize, Frames, Generator, Memif, Rate, Role, Spec, Stream, open,
};
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

edges! { enum Next { Tx => INTERFACE_TX } }
counters! { enum Count {} }

/// Sends what came by an interface out by its neighbour: 1 by 2, 2 by 1, 3 by 4, ...; or back.
struct Patch {
    back: bool,
}

impl Node for Patch {
    const NAME: NodeName = NodeName::new("patch");
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, _: &mut Ctx<'_, Self>) -> Next {
        let from = packet.meta.rx_interface;
        packet.meta.tx_interface = if self.back { from } else { ((from - 1) ^ 1) + 1 };
        Next::Tx
    }
}

const SIZES: &[u16] = &[64, 512, 1518, 9018];
const WORKERS: &[usize] = &[1, 2];

/// A device, and what receiving and sending took.
type Attached = (Box<dyn Device>, [Times; 2]);
type Outcome<T> = Result<T, Box<dyn Error>>;

fn engine(workers: usize, mode: Mode, back: bool) -> Outcome<Engine> {
    let mut graph = Graph::new();
    graph.node(move |_| Patch { back }).input(Patch::NAME);
    let workers = (0..workers).map(|cpu| WorkerConfig { cpu: Some(cpu) }).collect();
    let config = EngineConfig { workers, mode, buffers: 16_384, huge_pages: HugePages::Auto };
    Ok(Engine::start(graph, &config, Waker::new()?)?)
}

fn attach(engine: &Engine, interface: u32, workers: &[usize], spec: &Spec) -> Outcome<Attached> {
    let times = [Times::default(), Times::default()];
    let context = Context { pool: engine.pool(), changed: Waker::new()? };
    let mut device = open(spec, &format!("if{interface}"), &context)?;
    let pairs = device.queues(workers.len())?;
    engine.set_hardware(interface, interface);
    engine.set_up(interface, true);
    let attach = pairs.into_iter().zip(workers).map(|(pair, worker)| Attach {
        worker: *worker,
        rx: pair.rx.map(|rx| Box::new(Timed(rx, times[0].clone())) as Box<_>),
        tx: pair.tx.map(|tx| Box::new(Timed(tx, times[1].clone())) as Box<_>),
    });
    engine.attach(interface, attach.collect());
    Ok((device, times))
}

/// What queues take for a packet of a burst, in clocks: what a busy machine does to a few bursts doesn't count.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<Vec<u32>>>);

impl Times {
    fn add(&self, since: u64, packets: usize) {
        if packets >= 32 {
            let each = clock::clocks().wrapping_sub(since) / packets as u64;
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(each as u32);
        }
    }

    fn lower_quartile(&self) -> u32 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.sort_unstable();
        let at = all.len() / 4;
        all.get(at).copied().unwrap_or_default()
    }
}

struct Timed<Q>(Q, Times);

impl RxQueue for Timed<Box<dyn RxQueue>> {
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        let (start, room) = (clock::clocks(), burst.room());
        self.0.rx(burst)?;
        self.1.add(start, room - burst.room());
        Ok(())
    }

    fn wake(&self) -> Wake {
        self.0.wake()
    }
}

impl TxQueue for Timed<Box<dyn TxQueue>> {
    fn takes_shared(&self) -> bool {
        self.0.takes_shared()
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        let start = clock::clocks();
        let done = self.0.tx(burst)?;
        self.1.add(start, done);
        Ok(done)
    }

    fn reclaim(&mut self, cache: &mut Cache) -> bool {
        self.0.reclaim(cache)
    }
}

/// Frames of this size to 65,536 destinations; none: a sink.
fn generator(size: Option<u16>) -> Spec {
    let one = [10, 0, 0, 1].into();
    let destinations = AddressRange { first: [198, 18, 0, 0].into(), last: [198, 18, 255, 255].into() };
    let flow = Flow::new(AddressRange { first: one, last: one }, destinations);
    let made = |size| Frames::Made(Box::new(Flow { size: FrameSize::Fixed(size), ..flow.clone() }));
    let stream = |size| Stream { frames: made(size), rate: Rate::Max, count: None };
    Spec::Generator(Generator {
        streams: size.map(stream).into_iter().collect(),
        burst: 256,
        check: false,
        latency: false,
    })
}

/// Lets it run and prints what went by these interfaces and what the nodes took.
fn measure(what: &str, engine: &Engine, time: Duration) {
    std::thread::sleep(time / 4);
    let totals = |engine: &Engine| [1, 2, 3, 4].map(|i| engine.interface(i));
    let (before, nodes, start) = (totals(engine), engine.runtime(), Instant::now());
    std::thread::sleep(time);
    let (after, seconds) = (totals(engine), start.elapsed().as_secs_f64());
    let got: Vec<_> = after.iter().zip(&before).map(|(now, then)| now.since(then)).collect();
    let rate = |n: u64| n as f64 / seconds / 1e6;
    println!("{what}: {:.2} Mpps through, {:.2} not sent", rate(got[3].tx_packets), rate(got[1].tx_drops));
    for (now, then) in engine.runtime().iter().zip(&nodes) {
        let (packets, clocks) = (now.packets - then.packets, now.clocks - then.clocks);
        if packets > 0 {
            let each = clocks as f64 / packets as f64;
            println!("  {} on worker {}: {each:.1} clocks a packet", now.node, now.worker);
        }
    }
}

fn rates(time: Duration, sizes: &[u16], workers: &[usize]) -> Outcome<()> {
    for zero_copy in [false, true] {
        for &size in sizes {
            for &workers in workers {
                let socket = format!("@millrace-rate-{}", std::process::id());
                let memif = |role| Memif {
                    socket: socket.clone(),
                    id: 0,
                    role,
                    secret: None,
                    queues: 1,
                    ring_size: 1024,
                    zero_copy: false,
                };
                let engine = engine(workers, Mode::Polling, false)?;
                let last = [workers - 1];
                let (_server, [rx, _]) = attach(&engine, 3, &last, &Spec::Memif(memif(Role::Server)))?;
                let client = Memif { zero_copy, ..memif(Role::Client) };
                let (_client, [_, tx]) = attach(&engine, 2, &[0], &Spec::Memif(client))?;
                let _sink = attach(&engine, 4, &last, &generator(None))?;
                let _source = attach(&engine, 1, &[0], &generator(Some(size)))?;
                let how = if zero_copy { "zero copy" } else { "copying" };
                measure(&format!("{how}, {size} bytes, client and server on {workers} worker(s)"), &engine, time);
                let (tx, rx) = (tx.lower_quartile(), rx.lower_quartile());
                println!(
                    "  clocks a packet, lower quartile of the bursts: the client sends {tx}, the server receives {rx}"
                );
            }
        }
    }
    Ok(())
}

fn echo(role: &str, socket: &str, id: u32, queues: u16, zero_copy: bool) -> Outcome<()> {
    let role = if role == "client" { Role::Client } else { Role::Server };
    let memif = Memif { socket: socket.to_owned(), id, role, secret: None, queues, ring_size: 1024, zero_copy };
    let engine = engine(1, Mode::Adaptive, true)?;
    let (device, _) = attach(&engine, 1, &[0], &Spec::Memif(memif))?;
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let (info, counts) = (device.info(), engine.interface(1));
        println!("{:?} {:?} {:?} {:?}", device.link(), info.modes, info.notes, device.stats());
        println!("rx {} tx {} drops {}", counts.rx_packets, counts.tx_packets, counts.tx_drops);
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["echo", role, socket, id] => echo(role, socket, id.parse()?, 1, false),
        ["echo", role, socket, id, queues, ..] => echo(role, socket, id.parse()?, queues.parse()?, words.len() > 5),
        [seconds, size, workers] => {
            rates(Duration::from_secs_f64(seconds.parse()?), &[size.parse()?], &[workers.parse()?])
        }
        [] => rates(Duration::from_secs(1), SIZES, WORKERS),
        [seconds, ..] => rates(Duration::from_secs_f64(seconds.parse()?), SIZES, WORKERS),
    }
}
