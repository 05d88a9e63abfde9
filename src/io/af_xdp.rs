//! `af-xdp`: a network device of the kernel, by AF_XDP sockets (Documentation/networking/af_xdp.rst of Linux).
//!
//! A program of six instructions at the device redirects what comes in by each queue to that queue's socket. Every socket has the
//! pool's whole memory registered as its own UMEM, with chunks at any address: a cell is a chunk, and a packet that came in by one
//! AF_XDP device leaves by another from where it lies. Why not one UMEM shared by all sockets: the queues of one device would then
//! hang on the socket of another, which was there first, and on its fill ring's size.
//!
//! The kernel leaves the first 256 bytes of a cell free and puts 1984 bytes of a packet into it; a longer one takes several cells
//! (`XDP_USE_SG`). What is sent stays in its cells until the completion ring says that it is done with.
//!
//! - Where the program runs: in the driver (native) or in the network stack (generic). It is attached by a link that lives as long as
//!   the process has it open, so that nothing stays behind, whatever ends the process.
//! - Copy mode: a packet is sent by a system call, which the kernel does with as many packets as there are.
//! - Packets of local senders behind virtual devices lack checksums, and in generic mode segmentation: see [`partial`].
//!
//! Device down: sockets stay, and what is to be sent meanwhile is dropped. Device gone: queues answer with an error.

mod bpf;
mod ethtool;
mod partial;
mod program;
mod receive;
mod ring;
mod send;
mod socket;

use crate::counts::Board;
use crate::device::{Device, Info, Link, OpenError, QueuePair};
use crate::kernel_ip6::KernelIp6;
use crate::netlink::{NetDevice, Netlink};
use crate::spec::AfXdp as Spec;
use crate::sys;
use millrace_engine::Pool;
use program::{Program, Refusal};
use receive::Receiver;
use send::Sender;
use socket::{ROOM, Socket};
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What a queue pair counts.
mod count {
    pub const RX_PACKETS: usize = 0;
    pub const TX_PACKETS: usize = 1;
    pub const CHECKSUMS: usize = 2;
    pub const SEGMENTS: usize = 3;
    pub const TOO_LONG: usize = 4;
    pub const MALFORMED: usize = 5;
    pub const TX_FULL: usize = 6;
    pub const TX_TOO_LONG: usize = 7;
    pub const TX_DOWN: usize = 8;
    pub const TX_COPIED: usize = 9;
    pub const CALLS: usize = 10;
    pub const NAMES: [&str; 11] = [
        "rx_socket_packets",
        "tx_socket_packets",
        "rx_checksums_completed",
        "rx_segments_cut",
        "rx_too_long",
        "rx_bad_descriptors",
        "tx_device_full",
        "tx_too_long",
        "tx_device_down",
        "tx_copied",
        "tx_system_calls",
    ];
}

type Counts = crate::counts::Counts<{ count::NAMES.len() }>;

/// What the kernel counts on a socket (`struct xdp_statistics`).
const KERNEL_COUNTS: [&str; 6] =
    ["rx_no_buffer", "rx_invalid_fill", "tx_invalid", "rx_ring_full", "rx_fill_ring_empty", "tx_ring_empty"];

/// Ethernet header and one tag.
const LINK_HEADERS: usize = 18;
/// The largest packet of several cells, in cells.
const MOST_CELLS: usize = 16;

/// A socket, and what its queues count.
struct Port {
    socket: Arc<Socket>,
    counts: Arc<Counts>,
}

/// The control side.
pub(crate) struct AfXdp {
    spec: Spec,
    kernel: NetDevice,
    mac: [u8; 6],
    netlink: Netlink,
    /// Receive queues that the device has.
    device_queues: u32,
    /// One each of as many as were asked for, until there are queues.
    sockets: Vec<Socket>,
    ports: Vec<Port>,
    /// Largest IP packet of the device, for its queues.
    mtu: Arc<AtomicU32>,
    board: Board<{ count::NAMES.len() }>,
    program: Arc<Program>,
    /// Has the device take frames for any address in, for as long as it is open.
    _promiscuous: OwnedFd,
    tags: io::Result<()>,
    ip6: io::Result<KernelIp6>,
}

impl AfXdp {
    pub fn open(spec: &Spec, pool: &'static Pool) -> Result<AfXdp, OpenError> {
        let name = spec.device.as_str();
        let refused = |reason: String| OpenError::refused(name, reason);
        let system = |e: io::Error| OpenError::refused(name, e);
        let netlink = Netlink::open().map_err(system)?;
        let Some(kernel) = netlink.find(name).map_err(system)? else {
            return Err(OpenError::Missing { device: name.to_owned() });
        };
        let mac = kernel.mac.ok_or_else(|| refused("not an Ethernet device".to_owned()))?;
        let device_queues = ethtool::rx_queues(name).unwrap_or(kernel.rx_queues).max(1);
        let queues = u32::from(spec.queues.max(1));
        if queues > device_queues {
            return Err(refused(format!(
                "it has {device_queues} receive queue{}, not {queues}; set `queues` to at most that, or give it more by `ethtool -L`",
                if device_queues == 1 { "" } else { "s" }
            )));
        }
        if !spec.ring_size.is_power_of_two() {
            return Err(refused(format!("a ring of {} slots; it has to be a power of two", spec.ring_size)));
        }
        let program =
            Program::attach(&netlink, (name, kernel.index), spec.mode, device_queues).map_err(
                |refusal| match refusal {
                    Refusal::Occupied(by) => refused(by),
                    Refusal::Error(e) => match e.raw_os_error() {
                        Some(libc::EPERM) => {
                            refused("XDP needs the capabilities CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF".to_owned())
                        }
                        Some(libc::ENODEV) => OpenError::Missing { device: name.to_owned() },
                        _ if program_in_driver(spec) => refused(format!("{}; use mode generic", program::reason(&e))),
                        _ => refused(format!("no XDP program can be attached ({e})")),
                    },
                },
            )?;
        let program = Arc::new(program);
        let wide = kernel.mtu as usize + LINK_HEADERS > ROOM;
        let socket = |queue| Socket::open(spec, pool, kernel.index, queue, wide, &program);
        let sockets: Result<Vec<_>, _> = (0..queues).map(socket).collect();
        let sockets = sockets.map_err(|e| match e.raw_os_error() {
            Some(libc::ENODEV) => OpenError::Missing { device: name.to_owned() },
            _ => system(e),
        })?;
        Ok(AfXdp {
            mac,
            netlink,
            device_queues,
            sockets,
            ports: Vec::new(),
            mtu: Arc::new(AtomicU32::new(kernel.mtu)),
            board: Board::new(&count::NAMES),
            program,
            _promiscuous: promiscuous(kernel.index).map_err(system)?,
            tags: ethtool::keep_tags(name),
            ip6: KernelIp6::off(name),
            spec: spec.clone(),
            kernel,
        })
    }

    /// The device as it is now, unless it is gone or another has its name.
    fn current(&self) -> Option<NetDevice> {
        self.netlink.find(&self.spec.device).ok().flatten().filter(|d| d.index == self.kernel.index)
    }

    /// What is in force, on the first socket as on all.
    fn terms(&self) -> Option<&socket::Terms> {
        let waiting = self.sockets.first().map(|socket| &socket.terms);
        self.ports.first().map(|port| &port.socket.terms).or(waiting)
    }
}

/// A packet socket that receives nothing and makes the device promiscuous.
fn promiscuous(index: i32) -> io::Result<OwnedFd> {
    let socket = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
    let kind = libc::PACKET_MR_PROMISC as u16;
    let wish = libc::packet_mreq { mr_ifindex: index, mr_type: kind, mr_alen: 0, mr_address: [0; 8] };
    sys::set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &wish)?;
    Ok(socket)
}

/// Whether the program may be in the driver only.
fn program_in_driver(spec: &Spec) -> bool {
    spec.mode == crate::spec::XdpMode::Native
}

impl Drop for AfXdp {
    fn drop(&mut self) {
        if let (Ok(ip6), Some(_)) = (&self.ip6, self.current()) {
            ip6.restore();
        }
    }
}

impl Device for AfXdp {
    fn queues(&mut self, count: usize) -> io::Result<Vec<QueuePair>> {
        let mut pairs = Vec::with_capacity(count);
        for socket in self.sockets.drain(..).take(count) {
            let socket = Arc::new(socket);
            let counts = self.board.queue();
            // Hardware finishes checksums before it hands packets over; what is virtual, or comes by the stack, may not.
            let partial = !socket.terms.zero_copy && (!self.program.native || !self.kernel.kind.is_empty());
            let tx = Sender::new(socket.clone(), counts.clone())?;
            let rx = Receiver::new(socket.clone(), partial, self.mtu.clone(), counts.clone())?;
            pairs.push(QueuePair { rx: Some(Box::new(rx)), tx: Some(Box::new(tx)) });
            self.ports.push(Port { socket, counts });
        }
        Ok(pairs)
    }

    fn link(&self) -> Link {
        self.current().map_or(Link::Missing, |device| {
            self.mtu.store(device.mtu, Relaxed);
            device.link()
        })
    }

    fn mac(&self) -> Option<[u8; 6]> {
        Some(self.mac)
    }

    fn set_mac(&mut self, mac: [u8; 6]) -> io::Result<()> {
        self.mac = mac;
        Ok(())
    }

    fn mtu_range(&self) -> RangeInclusive<u32> {
        let kernel = self.kernel.mtu_range();
        let several = self.program.frags && self.terms().is_none_or(|terms| terms.several_pieces);
        let most = ROOM * if several { MOST_CELLS } else { 1 } - LINK_HEADERS;
        *kernel.start()..=(most as u32).min(*kernel.end())
    }

    /// As with af-packet, the kernel's device is only ever raised to it.
    fn set_mtu(&mut self, mtu: u32) -> io::Result<()> {
        let most = *self.mtu_range().end();
        if mtu > most {
            let cause = io::Error::other(format!("AF_XDP takes packets of at most {most} bytes from it"));
            return Err(cause);
        }
        match self.current() {
            None => Err(io::Error::from_raw_os_error(libc::ENODEV)),
            Some(device) if device.mtu >= mtu => Ok(()),
            Some(device) => {
                self.netlink.set_mtu(device.index, mtu)?;
                self.mtu.store(mtu, Relaxed);
                Ok(())
            }
        }
    }

    fn stats(&self) -> Vec<(&'static str, u64)> {
        let mut kernel = [0; KERNEL_COUNTS.len()];
        for port in &self.ports {
            kernel.iter_mut().zip(port.socket.statistics()).for_each(|(sum, n)| *sum += n);
        }
        KERNEL_COUNTS.into_iter().zip(kernel).chain(self.board.sums()).collect()
    }

    fn info(&self) -> Info {
        let now = self.current();
        let device = now.as_ref().unwrap_or(&self.kernel);
        let name = &self.spec.device;
        let kind = if device.kind.is_empty() { "hardware" } else { &device.kind };
        let mode = match (&self.program.why, self.program.native) {
            (Some(why), _) => format!("generic: {why}"),
            (None, native) => if native { "native" } else { "generic" }.to_owned(),
        };
        let terms = self.terms();
        let zero_copy = match terms {
            Some(terms) if terms.zero_copy => "zero copy".to_owned(),
            Some(terms) => format!("copy: {}", terms.why.replace("the device", kind)),
            None => String::new(),
        };
        let pieces = terms.is_some_and(|terms| terms.several_pieces);
        let mut modes = vec![
            ("kind", kind.to_owned()),
            ("kernel-mtu", device.mtu.to_string()),
            ("mode", mode),
            ("memory", zero_copy),
            ("rings", format!("{} slots", self.spec.ring_size)),
            ("packets", if pieces { "of one or several cells" } else { "of one cell" }.to_owned()),
            ("wakeup", if self.spec.busy_poll { "busy polling" } else { "need-wakeup" }.to_owned()),
        ];
        if self.ports.len() > 1 {
            let each = self.ports.iter().map(|port| {
                let [rx, tx] = [count::RX_PACKETS, count::TX_PACKETS].map(|at| port.counts.get(at));
                format!("{}: {rx} in, {tx} out", port.socket.queue)
            });
            modes.push(("per queue", each.collect::<Vec<_>>().join("; ")));
        }
        let gone = now.is_none().then(|| format!("{name} is gone"));
        let ip6 = self.ip6.as_ref().err().map(|error| {
            format!("the kernel's own IPv6 on {name} can't be switched off ({error}): set net.ipv6.conf.{name}.disable_ipv6 to 1")
        });
        let used = self.ports.len().max(self.sockets.len()) as u32;
        let rest = (used < self.device_queues).then(|| {
            let all = self.device_queues;
            format!("{used} of {all} receive queues are used, what comes by the others goes to the kernel: `ethtool -L {name}` sets how many there are")
        });
        let tags = self.tags.as_ref().err().map(|error| {
            format!(
                "{name} takes VLAN tags out of packets and can't be told not to ({error}): switch rx-vlan-offload off"
            )
        });
        Info {
            driver: "af-xdp",
            device: name.clone(),
            queues: self.ports.len(),
            modes,
            notes: gone.into_iter().chain(rest).chain(tags).chain(ip6).collect(),
        }
    }
}
