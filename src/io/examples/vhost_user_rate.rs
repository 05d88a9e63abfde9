//! How fast vhost-user is on this machine, against DPDK's virtio-user: packets from it to a sink, and from a generator to it. Needs
//! `dpdk-testpmd`: `cargo run --release -p millrace-io --example vhost_user_rate [SECONDS [MEMORY OPTIONS OF THE EAL]]`.

use millrace_engine::builtin::INTERFACE_TX;
use millrace_engine::memory::HugePages;
use millrace_engine::node::NoTrace;
use millrace_engine::{
    Attach, Ctx, Engine, EngineConfig, Graph, Mode, Node, NodeName, NodeRow, Packet, Waker, WorkerConfig, counters,
    edges,
};
use millrace_io::{
    AddressRange, Context, Device, Flow, Frames, Generator, Link, Rate, Role, Spec, Stream, VhostUser, open,
};
use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

edges! { enum Next { Tx => INTERFACE_TX } }
counters! { enum Count {} }

/// Sends what came by 1 out by 2, and the other way round.
struct Patch;

impl Node for Patch {
    const NAME: NodeName = NodeName::new("patch");
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, _: &mut Ctx<'_, Self>) -> Next {
        packet.meta.tx_interface = 3 - packet.meta.rx_interface;
        Next::Tx
    }
}

type Outcome<T> = Result<T, Box<dyn Error>>;

fn attach(engine: &Engine, interface: u32, spec: &Spec) -> Outcome<Box<dyn Device>> {
    let context = Context { pool: engine.pool(), changed: Waker::new()? };
    let mut device = open(spec, &format!("if{interface}"), &context)?;
    let pair = device.queues(1)?.remove(0);
    engine.set_hardware(interface, interface);
    engine.set_up(interface, true);
    engine.attach(interface, vec![Attach { worker: 0, rx: pair.rx, tx: pair.tx }]);
    Ok(device)
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

/// A peer that is ended with the measurement.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn testpmd(socket: &str, memory: &str, mode: &str) -> Outcome<Peer> {
    let device = format!("net_virtio_user0,path={socket},queues=1,queue_size=1024");
    let child = Command::new("dpdk-testpmd")
        .args(["-l", "0,1", "--no-pci", "--vdev", &device, "--file-prefix", &format!("rate{}", std::process::id())])
        .args(memory.split_whitespace())
        .args(["--", "--total-num-mbufs=16384", "--forward-mode", mode, "--auto-start", "--txpkts=60"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Peer(child))
}

/// Packets and clocks of a node.
fn find(nodes: &[NodeRow], name: &str) -> (u64, u64) {
    nodes.iter().find(|node| node.node.as_str() == name).map_or((0, 0), |node| (node.packets, node.clocks))
}

fn measure(what: &str, other: &Spec, [mode, node]: [&str; 2], memory: &str, time: Duration) -> Outcome<()> {
    let mut graph = Graph::new();
    graph.node(|_| Patch).input(Patch::NAME);
    let config = EngineConfig {
        // The peer forwards on the other CPU.
        workers: vec![WorkerConfig { cpu: Some(0) }],
        mode: Mode::Polling,
        buffers: 16_384,
        huge_pages: HugePages::Auto,
    };
    let engine = Engine::start(graph, &config, Waker::new()?)?;
    let socket = format!("/tmp/vhost-rate-{}", std::process::id());
    let spec = VhostUser { socket: socket.clone(), role: Role::Server, queues: 1, offloads: true };
    let vhost = attach(&engine, 1, &Spec::VhostUser(spec))?;
    let _other = attach(&engine, 2, other)?;
    let _peer = testpmd(&socket, memory, mode)?;
    let start = Instant::now();
    while vhost.link() != Link::Up {
        if start.elapsed() > Duration::from_secs(20) {
            return Err(format!("no peer came: {:?}", vhost.info()).into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(time / 2);
    let (before, start) = (engine.interface(1), Instant::now());
    let mut windows = Vec::new();
    let (mut nodes, mut drops) = (engine.runtime(), before.tx_drops);
    while start.elapsed() < time {
        std::thread::sleep(Duration::from_millis(2));
        let now = engine.runtime();
        let each = |node: &str| {
            let packets = |nodes: &[_]| find(nodes, node).0;
            let clocks = |nodes: &[_]| find(nodes, node).1;
            let n = packets(&now) - packets(&nodes);
            (n > 2000).then(|| (clocks(&now) - clocks(&nodes)) as f64 / n as f64)
        };
        let dropped = engine.interface(1).tx_drops;
        // What finds no room costs less than what is sent.
        windows.extend(each(node).filter(|_| dropped == drops));
        (nodes, drops) = (now, dropped);
    }
    let (got, seconds) = (engine.interface(1).since(&before), start.elapsed().as_secs_f64());
    let rate = |n: u64| n as f64 / seconds / 1e6;
    println!("{what}");
    println!(
        "  received {:.3} Mpps, sent {:.3} Mpps, not sent {:.3} Mpps",
        rate(got.rx_packets),
        rate(got.tx_packets),
        rate(got.tx_drops)
    );
    windows.sort_by(f64::total_cmp);
    // On a machine that does other things, too, the best tells more than the mean.
    let at = |part: usize| windows.get(windows.len() * part / 100).copied().unwrap_or_default();
    println!(
        "  {node}: {:.1} clocks a packet at best, {:.1} in the best tenth, {:.1} in the middle",
        at(0),
        at(10),
        at(50)
    );
    println!("  {:?}", vhost.info().modes);
    println!("  {:?}", vhost.stats().into_iter().filter(|(_, n)| *n > 0).collect::<Vec<_>>());
    Ok(())
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let time = Duration::from_secs_f64(arguments.next().map_or(Ok(2.0), |s| s.parse())?);
    let memory = arguments.next().unwrap_or_else(|| "--no-huge -m 256".to_owned());
    measure("virtio-user to a sink", &generator(None), ["txonly", "device-input"], &memory, time)?;
    measure(
        "a generator to virtio-user",
        &generator(Some(Rate::PerSecond(8_000_000))),
        ["rxonly", "interface-tx"],
        &memory,
        time,
    )
}
