//! The load: a generator in this process that sends into a router in another, by any of the drivers, and looks at what comes back.
//!
//! It is an engine of its own with one worker and one node, the [`probe`]. Every packet carries the time at which it went, so that how
//! long each took is measured, not sampled.

mod latency;
mod probe;

pub use latency::Latency;

use crate::machine;
use anyhow::{Context as _, Result, ensure};
use millrace_engine::memory::HugePages;
use millrace_engine::{Attach, Engine, EngineConfig, Graph, Local, Mode, Node, Waker, WorkerConfig};
use millrace_io::{
    AddressRange, Context, Device, Flow, FrameSize, Frames, Generator, Link, Order, Rate, Spec, Stream, open,
};
use probe::{Probe, Trial};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// The interfaces: where packets are made, where they go out, where they come back.
const GENERATOR: u32 = 1;
const OUT: u32 = 2;
const BACK: u32 = 3;

/// How long the router may take to open its side.
const PATIENCE: Duration = Duration::from_secs(20);
/// Without a packet for so long, the last has come back.
const QUIET: Duration = Duration::from_millis(100);

/// What is sent: UDP from one source to 65,536 destinations, each as often as the others.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// The router's address on the side where packets come in.
    pub router_mac: [u8; 6],
    /// Who sends.
    pub source: Ipv4Addr,
    /// The first 16 bits of the destinations.
    pub destinations: Ipv4Addr,
    /// Bytes of a frame with its check sequence, 64 to 1518.
    pub size: u16,
}

/// What one trial gave.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Packets that the generator made.
    pub sent: u64,
    /// Packets that came back.
    pub received: u64,
    /// Packets that came back and were not as they should be.
    pub wrong: u64,
    /// How long it sent, seconds.
    pub took: f64,
    /// How long packets were under way.
    pub latency: Latency,
}

impl Outcome {
    /// Packets that did not come back.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// Packets a second that came back.
    pub fn rate(&self) -> f64 {
        self.received as f64 / self.took
    }

    /// Packets a second that were sent.
    pub fn offered(&self) -> f64 {
        self.sent as f64 / self.took
    }
}

/// A load that is connected to a router.
pub struct Load {
    // Before the engine, as they give cells back.
    ports: Vec<Box<dyn Device>>,
    engine: Engine,
    trial: Local<Trial>,
    traffic: Traffic,
    context: Context,
    trials: u64,
}

impl Load {
    /// Opens both ports, on a worker that stays on `cpu`.
    pub fn start(cpu: usize, out: &Spec, back: &Spec, traffic: Traffic) -> Result<Load> {
        let trial = Local::new(Trial::default());
        let mut graph = Graph::new();
        let shared = trial.clone();
        graph.node(move |_| Probe::new(shared.clone())).input(Probe::NAME);
        let config = EngineConfig {
            workers: vec![WorkerConfig { cpu: Some(cpu) }],
            mode: Mode::Polling,
            buffers: 65_536,
            huge_pages: HugePages::Auto,
        };
        let engine = Engine::start(graph, &config, Waker::new()?)?;
        let context = Context { pool: engine.pool(), changed: Waker::new()? };
        let mut load = Load { ports: Vec::new(), engine, trial, traffic, context, trials: 0 };
        for (interface, name, spec) in [(OUT, "out", out), (BACK, "back", back)] {
            let port = load.attach(interface, name, spec)?;
            load.ports.push(port);
        }
        machine::favour_workers(std::process::id())?;
        Ok(load)
    }

    /// Opens a device and lets the worker have it, which has taken it in when this returns.
    fn attach(&self, interface: u32, name: &str, spec: &Spec) -> Result<Box<dyn Device>> {
        let mut device = open(spec, name, &self.context)?;
        let queues = device.queues(1)?.into_iter().map(|pair| Attach { worker: 0, rx: pair.rx, tx: pair.tx });
        let queues = queues.collect();
        self.engine.set_hardware(interface, interface);
        self.engine.set_up(interface, true);
        self.engine.attach(interface, queues);
        Ok(device)
    }

    /// Waits until packets pass: both links are up, and what is sent comes back.
    pub fn connect(&mut self) -> Result<()> {
        let start = Instant::now();
        while let Some(port) = self.ports.iter().find(|port| port.link() != Link::Up) {
            ensure!(start.elapsed() < PATIENCE, "the link does not come up: {}", port.info().notes.join(", "));
            std::thread::sleep(Duration::from_millis(20));
        }
        while self.run(1000.0, Duration::from_millis(50))?.received == 0 {
            ensure!(start.elapsed() < PATIENCE, "nothing comes back");
        }
        Ok(())
    }

    /// Sends at a rate, in packets a second, for some time, and waits for the last to come back.
    pub fn run(&mut self, rate: f64, time: Duration) -> Result<Outcome> {
        let packets = (rate * time.as_secs_f64()).round().max(1.0) as u64;
        self.send(Rate::PerSecond(rate.round().max(1.0) as u64), Some(packets), time)
    }

    /// Sends as much as goes.
    pub fn flood(&mut self, time: Duration) -> Result<Outcome> {
        self.send(Rate::Max, None, time)
    }

    fn send(&mut self, rate: Rate, count: Option<u64>, time: Duration) -> Result<Outcome> {
        self.trials += 1;
        let (number, len) = (self.trials, usize::from(self.traffic.size) - 4);
        self.on_trial(move |trial| *trial = Trial { number, len, ..Trial::default() })?;
        let generator = self.attach(GENERATOR, "generator", &self.generator(rate, count))?;
        let sent = || generator.stats().iter().find(|(name, _)| *name == "source_packets").map_or(0, |(_, n)| *n);
        let start = Instant::now();
        // One that does not keep up ends late, and the outcome shows it.
        while start.elapsed() < time || count.is_some_and(|count| sent() < count) {
            ensure!(start.elapsed() < time * 4 + PATIENCE, "only {} packets were made", sent());
            std::thread::sleep(Duration::from_millis(1));
        }
        let asked = start.elapsed().as_secs_f64();
        // The generator is gone when this returns, and its counts stay.
        self.engine.detach(GENERATOR);
        let sent = sent();
        self.wait_for_the_last(sent)?;
        self.on_trial(move |trial| {
            let between = Duration::from_nanos(trial.last - trial.first).as_secs_f64();
            let took = if between > 0.0 { between } else { asked };
            Outcome { sent, received: trial.packets, wrong: trial.wrong, took, latency: trial.times.summary() }
        })
    }

    /// Waits until all are back, or nothing more comes.
    fn wait_for_the_last(&self, sent: u64) -> Result<()> {
        let (mut seen, mut since) = (0, Instant::now());
        while seen < sent && since.elapsed() < QUIET {
            std::thread::sleep(Duration::from_millis(5));
            let now = self.on_trial(|trial| trial.packets)?;
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    fn on_trial<R: Send + 'static>(&self, job: impl FnOnce(&mut Trial) -> R + Send + 'static) -> Result<R> {
        let trial = self.trial.clone();
        let done = self.engine.run_on(0, move || trial.get().map(|mut trial| job(&mut trial))).flatten();
        done.context("the load's worker is gone")
    }

    fn generator(&self, rate: Rate, count: Option<u64>) -> Spec {
        let range = |first: Ipv4Addr, last: Ipv4Addr| AddressRange { first: first.into(), last: last.into() };
        let first = Ipv4Addr::from_bits(self.traffic.destinations.to_bits() & 0xffff_0000);
        let last = Ipv4Addr::from_bits(first.to_bits() | 0xffff);
        let flow = Flow {
            destination_mac: Some(self.traffic.router_mac),
            size: FrameSize::Fixed(self.traffic.size),
            order: Order::Shuffled,
            ..Flow::new(range(self.traffic.source, self.traffic.source), range(first, last))
        };
        let streams = vec![Stream { frames: Frames::Made(Box::new(flow)), rate, count }];
        Spec::Generator(Generator { streams, burst: 256, check: false, latency: false })
    }
}
