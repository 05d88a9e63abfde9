//! The forwarding graph in this process, with a source that ends: something to count instructions of.

use anyhow::{Context, Result};
use millrace_engine::device::{RxBurst, RxQueue, TxBurst, TxQueue, Wake};
use millrace_engine::memory::HugePages;
use millrace_engine::{Attach, Engine, EngineConfig, Mode, Waker, WorkerConfig, epoch};
use millrace_graph_nodes::forwarding::Interface;
use millrace_graph_nodes::nat44::rules::{Outside, Pool, Spec};
use millrace_graph_nodes::nat44::{in2out, out2in};
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_tables::fib::Target;
use millrace_tables::lpm::Lpm;
use millrace_wire::{EtherType, Ethernet, IntoBytes, IpProtocol, Ipv4, MacAddr, Udp};
use std::io;
use std::net::Ipv4Addr;
use std::sync::mpsc;

const MAC: MacAddr = MacAddr([2, 0xfe, 0, 0, 0, 1]);

/// Bytes of a 64-byte frame without its check sequence.
type Packet = [u8; 60];

/// Gives `vectors` times `vector` packets, over and over the same.
struct Source {
    packets: Vec<Packet>,
    vector: usize,
    left: usize,
    at: usize,
}

impl RxQueue for Source {
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        for _ in 0..self.vector {
            if let Some(packet) = self.packets.get(self.at) {
                burst.push_fixed(packet);
            }
            self.at = (self.at + 1) % self.packets.len();
        }
        Ok(())
    }

    fn wake(&self) -> Wake {
        if self.left == 0 { Wake::Never } else { Wake::Poll }
    }
}

/// Takes everything, and says when it had all.
struct Sink {
    left: usize,
    done: mpsc::Sender<()>,
}

impl TxQueue for Sink {
    fn takes_shared(&self) -> bool {
        true
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        self.left = self.left.saturating_sub(burst.len());
        if self.left == 0 {
            let _ = self.done.send(());
        }
        Ok(burst.len())
    }
}

/// Source NAT for the packets.
#[derive(Clone, Copy)]
pub struct Nat {
    /// How many different sessions they are of, in turn.
    pub sessions: u32,
    /// How many of these there may be at a time.
    pub limit: u32,
}

/// Forwards `vectors` vectors of `vector` packets, each to one of 4,096 destinations under one prefix, or through NAT.
pub fn run(vector: usize, vectors: usize, nat: Option<Nat>) -> Result<()> {
    let (graph, handles) = millrace::wiring::graph(1, &Waker::new()?)?;
    let config = EngineConfig {
        workers: vec![WorkerConfig::default()],
        mode: Mode::Adaptive,
        buffers: 8192,
        huge_pages: HugePages::Off,
    };
    let domain = epoch::domain();
    let tables = &handles.forwarding;
    let (mut fib, reader) = Lpm::new::<u32>()?;
    fib.insert("192.168.0.0/16".parse()?, Target::Adjacency(1).to_u32())?;
    let header = Ethernet::new(MacAddr([2, 0xfe, 0, 0, 0, 0xaa]), MAC, EtherType::IPV4);
    let adjacency = Adjacency::with_rewrite(2, 1500, 0, header.as_bytes()).context("a header of 14 bytes")?;
    tables.adjacencies.set(&domain, 0, Adjacency::new(AdjacencyKind::Drop))?;
    tables.adjacencies.set(&domain, 1, adjacency)?;
    tables.fibs.set(&domain, 0, reader)?;
    for index in [1, 2] {
        tables.interfaces.set(&domain, index, Interface { mac: MAC, mtu: 1500, ..Interface::default() })?;
    }
    if let Some(nat) = nat {
        handles.nat44.publish(&spec(nat));
    }
    let engine = Engine::start(graph, &config, Waker::new()?)?;
    if nat.is_some() {
        for feature in [in2out::FEATURE, out2in::FEATURE] {
            engine.switch_feature(feature.arc, feature.node, 2, true);
        }
    }
    let (done, all) = mpsc::channel();
    let packets = match nat {
        Some(nat) => (0..nat.sessions).map(session).collect(),
        None => (0..4096).map(|number| packet(SOURCE, 3000, number * 7)).collect(),
    };
    let source = Source { packets, vector, left: vectors, at: 0 };
    let sink = Sink { left: vector * vectors, done };
    engine.set_up(1, true);
    engine.set_up(2, true);
    engine.attach(2, vec![Attach { worker: 0, rx: None, tx: Some(Box::new(sink)) }]);
    engine.attach(1, vec![Attach { worker: 0, rx: Some(Box::new(source)), tx: None }]);
    all.recv().context("the sink went away")?;
    Ok(())
}

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

/// Behind 64 addresses.
fn spec(nat: Nat) -> Spec {
    let pool = (0..64).map(|last| Ipv4Addr::new(203, 0, 113, last)).collect();
    Spec {
        inside: vec![1],
        outside: vec![Outside { interface: 2, table: 0, addresses: Vec::new() }],
        pool: Pool::Addresses(pool),
        max_sessions: nat.limit,
        max_sessions_per_host: nat.limit,
        ..Spec::default()
    }
}

/// A packet of one of the sessions of 1,024 hosts.
fn session(number: u32) -> Packet {
    let source = Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 0, 0).to_bits() + number % 1024);
    packet(source, 10_000 + (number / 1024) as u16, 1)
}

fn packet(source: Ipv4Addr, port: u16, destination: u32) -> Packet {
    let destination = Ipv4Addr::from_bits(Ipv4Addr::new(192, 168, 0, 0).to_bits() + destination % 65_536);
    let mut ip = Ipv4::new(source, destination, IpProtocol::UDP, 64, 26);
    ip.fill_checksum(&[]);
    let ethernet = Ethernet::new(MAC, MacAddr([2, 0xfe, 0, 0, 0, 0xbb]), EtherType::IPV4);
    let udp = Udp::new(port, 3001, 18);
    let mut packet = [0; 60];
    packet[..14].copy_from_slice(ethernet.as_bytes());
    packet[14..34].copy_from_slice(ip.as_bytes());
    packet[34..42].copy_from_slice(udp.as_bytes());
    // Some checksum: nobody on the way verifies it, and one of zero would be left as it is.
    packet[40..42].copy_from_slice(&[0x12, 0x34]);
    packet
}
