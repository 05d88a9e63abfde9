//! How fast the drivers are on this machine: the generator by itself, af-packet over a veth pair, and a ping through the
//! engine. Run as root: `cargo run --release -p millrace-io --example af_packet_rate [SECONDS]`.

use millrace_engine::builtin::INTERFACE_TX;
use millrace_engine::memory::HugePages;
use millrace_engine::node::NoTrace;
use millrace_engine::{
    Attach, Ctx, Engine, EngineConfig, Graph, Mode, Node, NodeName, Packet, Waker, WorkerConfig, counters, edges,
};
use millrace_io::{AddressRange, Context, Flow, Frames, Generator, Rate, Spec, Stream, open};
use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

edges! { enum Next { Tx => INTERFACE_TX } }
counters! { enum Count {} }

/// Sends what came by an interface out by its neighbour: 1 by 2, 2 by 1, 3 by 4, ...
struct Patch;

impl Node for Patch {
    const NAME: NodeName = NodeName::new("patch");
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, _: &mut Ctx<'_, Self>) -> Next {
        packet.meta.tx_interface = ((packet.meta.rx_interface - 1) ^ 1) + 1;
        Next::Tx
    }
}

type Outcome<T> = Result<T, Box<dyn Error>>;

fn engine(workers: usize, mode: Mode) -> Outcome<Engine> {
    let mut graph = Graph::new();
    graph.node(|_| Patch).input(Patch::NAME);
    let config = EngineConfig {
        workers: vec![WorkerConfig { cpu: None }; workers],
        mode,
        buffers: 16_384,
        huge_pages: HugePages::Auto,
    };
    Ok(Engine::start(graph, &config, Waker::new()?)?)
}

fn attach(engine: &Engine, interface: u32, worker: usize, spec: &Spec) -> Outcome<()> {
    let context = Context { pool: engine.pool(), changed: Waker::new()? };
    let mut device = open(spec, &format!("if{interface}"), &context)?;
    let pair = device.queues(1)?.remove(0);
    engine.set_hardware(interface, interface);
    engine.set_up(interface, true);
    engine.attach(interface, vec![Attach { worker, rx: pair.rx, tx: pair.tx }]);
    // Its queues go on without the handle.
    drop(device);
    Ok(())
}

/// 64-byte frames to 65,536 destinations; none: a sink.
fn generator(rate: Option<Rate>) -> Spec {
    let one = [10, 0, 0, 1].into();
    let destinations = AddressRange { first: [198, 18, 0, 0].into(), last: [198, 18, 255, 255].into() };
    let flow = Flow::new(AddressRange { first: one, last: one }, destinations);
    let stream = |rate| Stream { frames: Frames::Made(Box::new(flow.clone())), rate, count: None };
    let streams = rate.map(stream).into_iter().collect();
    Spec::Generator(Generator { streams, burst: 256, check: false, latency: false })
}

fn af_packet(device: &str) -> Spec {
    Spec::AfPacket { device: device.to_owned(), queues: 1 }
}

fn ip(arguments: &str) -> Outcome<()> {
    let done = Command::new("ip").args(arguments.split(' ')).status()?.success();
    if done { Ok(()) } else { Err(format!("ip {arguments} failed").into()) }
}

/// Lets it run and prints what went by these interfaces and what the nodes took.
fn measure(what: &str, engine: &Engine, time: Duration) {
    std::thread::sleep(time / 4);
    let totals = |engine: &Engine| [1, 2, 3, 4].map(|i| engine.interface(i));
    let (before, nodes, start) = (totals(engine), engine.runtime(), Instant::now());
    std::thread::sleep(time);
    let (after, seconds) = (totals(engine), start.elapsed().as_secs_f64());
    println!("{what}");
    for (at, (now, then)) in after.iter().zip(&before).enumerate() {
        let got = now.since(then);
        let rate = |n: u64| n as f64 / seconds / 1e6;
        println!(
            "  interface {}: received {:.3} Mpps, sent {:.3} Mpps, not sent {:.3} Mpps",
            at + 1,
            rate(got.rx_packets),
            rate(got.tx_packets),
            rate(got.tx_drops)
        );
    }
    for (now, then) in engine.runtime().iter().zip(&nodes) {
        let (packets, clocks) = (now.packets - then.packets, now.clocks - then.clocks);
        if packets > 0 {
            let each = clocks as f64 / packets as f64;
            println!("  {} on worker {}: {each:.1} clocks a packet", now.node, now.worker);
        }
    }
}

fn main() -> Outcome<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(2.0), |s| s.parse())?;
    let time = Duration::from_secs_f64(seconds);
    // SAFETY: concerns this thread, and the threads and programs that it starts from here on.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err("this makes network devices and has to run as root".into());
    }
    {
        let engine = engine(1, Mode::Polling)?;
        attach(&engine, 1, 0, &generator(Some(Rate::Max)))?;
        attach(&engine, 2, 0, &generator(None))?;
        measure("generator to its sink, one worker", &engine, time);
    }
    ip("link add name va type veth peer name vb")?;
    ip("link set dev va up")?;
    ip("link set dev vb up")?;
    {
        let engine = engine(2, Mode::Polling)?;
        attach(&engine, 1, 0, &generator(Some(Rate::Max)))?;
        attach(&engine, 2, 0, &af_packet("va"))?;
        attach(&engine, 3, 1, &af_packet("vb"))?;
        attach(&engine, 4, 1, &generator(None))?;
        measure("generator to veth on worker 0, veth to sink on worker 1", &engine, time);
    }
    // Two hosts, joined by the engine: one in this namespace, one in another that goes with the program in it.
    ip("link add name h2 type veth peer name vc")?;
    let mut other = Command::new("unshare").args(["--net", "sleep", "60"]).spawn()?;
    let outcome = ping(&other.id().to_string());
    other.kill()?;
    other.wait()?;
    outcome
}

fn ping(other: &str) -> Outcome<()> {
    // The other host has its namespace once it runs `sleep`.
    while std::fs::read_to_string(format!("/proc/{other}/comm"))?.trim() != "sleep" {
        std::thread::yield_now();
    }
    ip(&format!("link set dev h2 netns {other}"))?;
    for arguments in ["link set dev h2 up", "address add 10.9.0.2/24 dev h2"] {
        let done =
            Command::new("nsenter").args(["--net", "--target", other, "ip"]).args(arguments.split(' ')).status()?;
        if !done.success() {
            return Err(format!("ip {arguments} failed").into());
        }
    }
    ip("link set dev vc up")?;
    ip("address add 10.9.0.1/24 dev va")?;
    let engine = engine(1, Mode::Adaptive)?;
    attach(&engine, 1, 0, &af_packet("vb"))?;
    attach(&engine, 2, 0, &af_packet("vc"))?;
    println!("ping between two hosts through the engine, asleep in between");
    Command::new("ping").args(["-q", "-c", "3", "10.9.0.2"]).output()?;
    let output = Command::new("ping").args(["-q", "-c", "200", "-i", "0.01", "10.9.0.2"]).output()?;
    println!("  {}", String::from_utf8_lossy(&output.stdout).trim().lines().last().unwrap_or_default());
    Ok(())
}
