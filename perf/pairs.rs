//! Two interfaces of a router by one driver, and what is at their other ends: the load's ports.

use crate::daemon::Daemon;
use crate::load::{Load, Traffic};
use crate::machine::{self, ip};
use crate::testpmd::{self, Testpmd};
use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use millrace_io::{AfXdp, Memif, Role, Spec, XdpMode, ZeroCopy};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

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
    /// Tap devices; the load is at their kernel's end, by packet sockets.
    Tap,
    /// DPDK's packet sockets on veth pairs.
    DpdkAfPacket,
    /// DPDK's tap devices.
    DpdkTap,
    /// Shared memory; `dpdk-testpmd` is the client.
    MemifTestpmd,
    /// Shared memory; `dpdk-testpmd` is the virtual machine.
    VhostUserTestpmd,
}

/// The router's address where packets come in.
const ROUTER_MAC: [u8; 6] = [2, 0xfe, 0, 0, 0, 1];
/// Slots of a ring, unless told otherwise: enough for what comes while somebody else has the processor for a moment.
pub const RING: u32 = 2048;

/// The router's side of an interface, as in its configuration, and the load's.
struct Cable {
    router: String,
    load: Spec,
}

impl Driver {
    /// The cable number `id` with rings of so many slots, made as far as it isn't the router that makes it.
    fn cable(self, id: u32, slots: u32) -> Result<Cable> {
        let (device, peer) = (format!("router{id}"), format!("load{id}"));
        let memif = |role, zero_copy| Cable::memif(id, role, zero_copy, slots);
        Ok(match self {
            Driver::Memif => memif(Role::Client, true),
            Driver::MemifCopy => memif(Role::Client, false),
            Driver::MemifClient => memif(Role::Server, false),
            Driver::MemifClientZeroCopy => memif(Role::Server, true),
            Driver::AfPacket => Cable::veth(&device, &peer, &format!("driver: af-packet, device: {device}"), slots)?,
            Driver::AfXdp => {
                Cable::veth(&device, &peer, &format!("driver: af-xdp, mode: native, device: {device}"), slots)?
            }
            Driver::AfXdpGeneric => {
                Cable::veth(&device, &peer, &format!("driver: af-xdp, mode: generic, device: {device}"), slots)?
            }
            Driver::Tap => Cable::tap(&device, &format!("driver: tap, device: {device}")),
            Driver::DpdkTap => Cable::tap(&device, &dpdk(&format!("net_tap{id},iface={device}"))),
            Driver::DpdkAfPacket => {
                let ring = format!("blocksz=65536,framesz=2048,framecnt={slots}");
                Cable::veth(&device, &peer, &dpdk(&format!("net_af_packet{id},iface={device},{ring}")), slots)?
            }
            Driver::MemifTestpmd | Driver::VhostUserTestpmd => bail!("its load is not ours"),
        })
    }

    /// The router's side and testpmd's of the cable number `id`, where that is the load.
    fn testpmd(self, id: u32, slots: u32) -> Option<(String, String)> {
        let socket = std::env::temp_dir().join(format!("millrace-perf-{}-{id}.sock", std::process::id()));
        let socket = socket.display();
        match self {
            Driver::MemifTestpmd => Some((
                format!("driver: memif, socket: \"{socket}\", ring-size: {slots}"),
                format!("net_memif{id},role=client,id=0,socket={socket},socket-abstract=no,rsize={}", slots.ilog2()),
            )),
            Driver::VhostUserTestpmd => Some((
                format!("driver: vhost-user, socket: \"{socket}\""),
                format!("net_virtio_user{id},path={socket},queue_size={}", slots.min(1024)),
            )),
            _ => None,
        }
    }

    /// Whether `dpdk-testpmd` is its load.
    pub fn by_testpmd(self) -> bool {
        self.testpmd(0, RING).is_some()
    }
}

/// A device of DPDK's.
fn dpdk(device: &str) -> String {
    format!("driver: dpdk, device: \"{device}\"")
}

impl Cable {
    /// `role` is the load's; `zero_copy` the client's, whoever that is; rings of so many slots.
    fn memif(id: u32, role: Role, zero_copy: bool, slots: u32) -> Cable {
        let socket = Cable::socket(role);
        let (other, clients) = match role {
            Role::Client => ("server", ""),
            Role::Server => ("client", if zero_copy { ", zero-copy: true" } else { "" }),
        };
        let router =
            format!("driver: memif, socket: \"{socket}\", id: {id}, role: {other}, ring-size: {slots}{clients}");
        let zero_copy = zero_copy && role == Role::Client;
        let load = Memif { socket, id, role, secret: None, queues: 1, ring_size: slots, zero_copy };
        Cable { router, load: Spec::Memif(load) }
    }

    /// Abstract, so that nobody has to remove it.
    fn socket(role: Role) -> String {
        format!("@millrace-perf-{}-{}", std::process::id(), if role == Role::Client { "router" } else { "load" })
    }

    fn tap(device: &str, router: &str) -> Cable {
        Cable { router: router.to_owned(), load: Spec::AfPacket { device: device.to_owned(), queues: 1 } }
    }

    fn veth(device: &str, peer: &str, router: &str, slots: u32) -> Result<Cable> {
        ip(&format!("link add name {device} type veth peer name {peer}"))?;
        for device in [device, peer] {
            ip(&format!("link set {device} up"))?;
        }
        Ok(Cable {
            router: router.to_owned(),
            load: Spec::AfXdp(AfXdp {
                device: peer.to_owned(),
                queues: 1,
                mode: XdpMode::Auto,
                zero_copy: ZeroCopy::Auto,
                busy_poll: false,
                ring_size: slots,
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
        Pair::with_rings(driver, size, RING)
    }

    /// The same, with rings of so many slots where the driver has rings.
    pub fn with_rings(driver: Driver, size: u16, slots: u32) -> Result<Pair> {
        let (cpu, load_cpu) = machine::processors()?;
        let [left, right] = [driver.cable(0, slots)?, driver.cable(1, slots)?];
        let routes = "{to: 192.168.0.0/16, via: 10.0.2.2}";
        let macs = ["02:fe:00:00:00:01", "02:fe:00:00:00:02"];
        let router = start_router(cpu, [&left.router, &right.router], macs, routes)?;
        if matches!(driver, Driver::Tap | Driver::DpdkTap) {
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

/// A router with one worker on this processor and two interfaces, `left` and `right`, given as their drivers with all keys, and addresses.
fn start_router(cpu: usize, interfaces: [&str; 2], macs: [&str; 2], routes: &str) -> Result<Daemon> {
    let [left, right] = interfaces;
    let [left_mac, right_mac] = macs;
    let router = Daemon::start(&format!(
        "
workers: {{count: 1, cpus: [{cpu}], mode: polling}}
interfaces:
  left: {{{left}, mac: \"{left_mac}\", addresses: [10.0.1.1/24]}}
  right: {{{right}, mac: \"{right_mac}\", addresses: [10.0.2.1/24]}}
routes: [{routes}]
neighbors:
  - {{interface: left, address: 10.0.1.2, mac: \"02:fe:00:00:00:ab\"}}
  - {{interface: right, address: 10.0.2.2, mac: \"02:fe:00:00:00:aa\"}}
"
    ))?;
    machine::favour_workers(router.pid())?;
    Ok(router)
}

/// A router between two interfaces with `dpdk-testpmd` at both ends, which sends by both, half of it to the other.
pub struct Outside {
    load: Testpmd,
    pub router: Daemon,
}

impl Outside {
    /// Starts both. When this returns, packets pass.
    pub fn start(driver: Driver, size: u16, slots: u32) -> Result<Outside> {
        let (cpu, load_cpu) = machine::processors()?;
        let (Some(left), Some(right)) = (driver.testpmd(0, slots), driver.testpmd(1, slots)) else {
            bail!("its load is our own")
        };
        let routes: Vec<String> = testpmd::FLOWS
            .split_whitespace()
            .zip(["10.0.1.2", "10.0.2.2"])
            .map(|(prefix, gateway)| format!("{{to: {prefix}, via: {gateway}}}"))
            .collect();
        let router = start_router(cpu, [&left.0, &right.0], [testpmd::MAC; 2], &routes.join(", "))?;
        let mut load = Testpmd::start(load_cpu, [&left.1, &right.1], size)?;
        load.send()?;
        let start = Instant::now();
        while load.counts()?.received == 0.0 {
            ensure!(start.elapsed() < Duration::from_secs(20), "nothing comes back to dpdk-testpmd");
            std::thread::sleep(Duration::from_millis(50));
        }
        machine::favour_workers(load.pid())?;
        Ok(Outside { load, router })
    }

    /// Packets a second that come back, and that are sent.
    pub fn flood(&mut self, time: Duration) -> Result<(f64, f64)> {
        let (before, start) = (self.load.counts()?, Instant::now());
        std::thread::sleep(time);
        let (after, seconds) = (self.load.counts()?, start.elapsed().as_secs_f64());
        Ok(((after.received - before.received) / seconds, (after.sent - before.sent) / seconds))
    }
}
