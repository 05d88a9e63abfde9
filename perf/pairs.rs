//! Two interfaces of a router by one driver, and what is at their other ends: the load's ports.

use crate::daemon::Daemon;
use crate::load::{Load, Traffic};
use crate::machine::{self, ip};
use anyhow::Result;
use clap::ValueEnum;
use millrace_io::{AfXdp, Memif, Role, Spec, XdpMode, ZeroCopy};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// A driver of the router's interfaces that the load can be at the other end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// Shared memory; the load is the client, and its packets lie in what it shares.
    Memif,
    /// Shared memory; the load is the client, and copies.
    MemifCopy,
    /// Shared memory; the router is the client, and copies.
    MemifClient,
    /// Shared memory; the router is the client, and its packets lie in what it shares.
    MemifClientZeroCopy,
    /// veth pairs, by packet sockets.
    AfPacket,
    /// veth pairs, by AF_XDP in the driver.
    AfXdp,
    /// veth pairs, by AF_XDP in the network stack.
    AfXdpGeneric,
    /// Tap devices.
    Tap,
}

/// The router's address where packets come in.
const ROUTER_MAC: [u8; 6] = [2, 0xfe, 0, 0, 0, 1];
/// Slots of a ring: enough for what comes while somebody else has the processor.
const RING: u32 = 2048;

/// The router's side of an interface, as in its configuration, and the load's.
struct Cable {
    router: String,
    load: Spec,
}

impl Driver {
    /// The cable number `id`, made as far as it isn't the router that makes it.
    fn cable(self, id: u32) -> Result<Cable> {
        let (device, peer) = (format!("router{id}"), format!("load{id}"));
        let memif = |role, zero_copy| Cable::memif(id, role, zero_copy);
        Ok(match self {
            Driver::Memif => memif(Role::Client, true),
            Driver::MemifCopy => memif(Role::Client, false),
            Driver::MemifClient => memif(Role::Server, false),
            Driver::MemifClientZeroCopy => memif(Role::Server, true),
            Driver::AfPacket => Cable::veth(&device, &peer, "driver: af-packet")?,
            Driver::AfXdp => Cable::veth(&device, &peer, "driver: af-xdp, mode: native")?,
            Driver::AfXdpGeneric => Cable::veth(&device, &peer, "driver: af-xdp, mode: generic")?,
            Driver::Tap => {
                Cable { router: format!("driver: tap, device: {device}"), load: Spec::AfPacket { device, queues: 1 } }
            }
        })
    }
}

impl Cable {
    /// `role` is the load's; `zero_copy` the client's, whoever that is.
    fn memif(id: u32, role: Role, zero_copy: bool) -> Cable {
        // Abstract, so that nobody has to remove it.
        let socket = format!("@millrace-perf-{}-{}", std::process::id(), if role == Role::Client { "s" } else { "c" });
        let (other, clients) = match role {
            Role::Client => ("server", ""),
            Role::Server => ("client", if zero_copy { ", zero-copy: true" } else { "" }),
        };
        let router =
            format!("driver: memif, socket: \"{socket}\", id: {id}, role: {other}, ring-size: {RING}{clients}");
        let zero_copy = zero_copy && role == Role::Client;
        let load = Memif { socket, id, role, secret: None, queues: 1, ring_size: RING, zero_copy };
        Cable { router, load: Spec::Memif(load) }
    }

    fn veth(device: &str, peer: &str, driver: &str) -> Result<Cable> {
        ip(&format!("link add name {device} type veth peer name {peer}"))?;
        for device in [device, peer] {
            ip(&format!("link set {device} up"))?;
        }
        Ok(Cable {
            router: format!("{driver}, device: {device}"),
            load: Spec::AfXdp(AfXdp {
                device: peer.to_owned(),
                queues: 1,
                mode: XdpMode::Auto,
                zero_copy: ZeroCopy::Auto,
                busy_poll: false,
                ring_size: RING,
            }),
        })
    }
}

/// A router between two interfaces of a driver, and a load at both.
pub struct Pair {
    pub load: Load,
    // Behind the load, so that it goes after it.
    pub router: Daemon,
}

impl Pair {
    /// Starts both, the router's one worker on the last processor, the load on the one before. When this returns, packets pass.
    ///
    /// Kernel devices are made in this thread's network, which should be [its own](machine::own_network).
    pub fn start(driver: Driver, size: u16) -> Result<Pair> {
        let (cpu, load_cpu) = machine::processors()?;
        let [left, right] = [driver.cable(0)?, driver.cable(1)?];
        let mut config = format!("workers: {{count: 1, cpus: [{cpu}], mode: polling}}\ninterfaces:\n");
        for (name, cable, number) in [("left", &left, 1), ("right", &right, 2)] {
            let (mac, address) = (format!("02:fe:00:00:00:{number:02x}"), format!("10.0.{number}.1/24"));
            writeln!(config, "  {name}: {{{}, mac: \"{mac}\", addresses: [{address}]}}", cable.router)?;
        }
        config += "routes: [{to: 192.168.0.0/16, via: 10.0.2.2}]\n";
        config += "neighbors:\n  - {interface: right, address: 10.0.2.2, mac: \"02:fe:00:00:00:aa\"}\n";
        let router = Daemon::start(&config)?;
        machine::favour_workers(router.pid())?;
        if driver == Driver::Tap {
            for device in ["router0", "router1"] {
                ip(&format!("link set {device} up"))?;
            }
        }
        let traffic = Traffic {
            router_mac: ROUTER_MAC,
            source: Ipv4Addr::new(10, 0, 1, 2),
            destinations: Ipv4Addr::new(192, 168, 0, 0),
            size,
        };
        let mut load = Load::start(load_cpu, &left.load, &right.load, traffic)?;
        load.connect()?;
        Ok(Pair { load, router })
    }
}
