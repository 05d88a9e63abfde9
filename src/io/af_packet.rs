//! `af-packet`: a network device of the kernel, by packet sockets (packet(7)).
//!
//! Receiving goes by a memory-mapped ring of version 2, sending by one `sendmmsg` a burst. Why so:
//! - Version 3 hands packets over in blocks, a block that isn't full only after a timer of at least 1 ms (rounded up to the
//!   kernel's tick before Linux 6.18). The median of pings to an echo loop was 1.0 ms by version 3 and 0.06 ms by version
//!   2 on two busy processors; through the idle engine, two devices each way, a ping takes 0.05 ms.
//! - A packet from a peer with segmentation offload may have 64 KiB. The ring's slots hold a normal one; for a larger one
//!   the kernel queues a copy (`PACKET_COPY_THRESH`), in order, which costs one `recv`.
//! - A transmit ring attaches its pages to the packet, and veth, the main use of this driver, then copies them once more
//!   (`skb_orphan_frags`); `sendmmsg` copies once, right from the packet buffers, and takes chains as they are.
//!
//! The socket that sends has no offload header and bypasses the queueing discipline: what the device can't take is dropped
//! and counted here, and `tcpdump` on the same device shows only what comes in (capture in the router, or at the other end).
//!
//! Device down: both sockets stay and recover by themselves. Device gone: queues answer with an error. The kernel's own IPv6 is off on
//! the device for as long as it is open here (`net.ipv6.conf.DEVICE.disable_ipv6`).

mod receive;
mod ring;
mod send;
mod socket;

use crate::counts::Board;
use crate::device::{Device, Info, Link, OpenError, QueuePair};
use crate::kernel_ip6::KernelIp6;
use crate::netlink::{NetDevice, Netlink};
use receive::Receiver;
use ring::Layout;
use send::Sender;
use socket::Receiving;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a queue pair counts.
mod count {
    pub const TRUNCATED: usize = 0;
    pub const MALFORMED: usize = 1;
    pub const CHECKSUMS: usize = 2;
    pub const LARGE: usize = 3;
    pub const SEGMENTS: usize = 4;
    pub const TX_FULL: usize = 5;
    pub const TX_TOO_LONG: usize = 6;
    pub const TX_DOWN: usize = 7;
    pub const TX_REFUSED: usize = 8;
    pub const CALLS: usize = 9;
    pub const NAMES: [&str; 10] = [
        "rx_truncated",
        "rx_bad_offload_header",
        "rx_checksums_completed",
        "rx_large_packets",
        "rx_segments_cut",
        "tx_device_full",
        "tx_too_long",
        "tx_device_down",
        "tx_refused",
        "tx_system_calls",
    ];
}

type Counts = crate::counts::Counts<{ count::NAMES.len() }>;

/// A receiving socket, shared with the worker that polls its ring, and what the kernel counted on it before.
struct Port {
    socket: Arc<Receiving>,
    packets: AtomicU64,
    drops: AtomicU64,
}

/// The control side.
pub(crate) struct AfPacket {
    name: String,
    kernel: NetDevice,
    queues: usize,
    mac: [u8; 6],
    layout: Layout,
    netlink: Netlink,
    ports: Vec<Port>,
    board: Board<{ count::NAMES.len() }>,
    ip6: io::Result<KernelIp6>,
}

impl AfPacket {
    pub fn open(name: &str, queues: u16) -> Result<AfPacket, OpenError> {
        let refused = |e: io::Error| OpenError::refused(name, e);
        let netlink = Netlink::open().map_err(refused)?;
        let Some(kernel) = netlink.find(name).map_err(refused)? else {
            return Err(OpenError::Missing { device: name.to_owned() });
        };
        let mac = kernel.mac.ok_or_else(|| OpenError::refused(name, "not an Ethernet device"))?;
        socket::permitted().map_err(|e| match e.raw_os_error() {
            Some(libc::EPERM) => OpenError::refused(name, "packet sockets need the capability CAP_NET_RAW"),
            _ => refused(e),
        })?;
        Ok(AfPacket {
            name: name.to_owned(),
            layout: Layout::for_mtu(kernel.mtu),
            kernel,
            queues: usize::from(queues.max(1)),
            mac,
            netlink,
            ports: Vec::new(),
            board: Board::new(&count::NAMES),
            ip6: KernelIp6::off(name),
        })
    }

    /// The device as it is now, unless it is gone or another has its name.
    fn current(&self) -> Option<NetDevice> {
        self.netlink.find(&self.name).ok().flatten().filter(|d| d.index == self.kernel.index)
    }
}

impl Drop for AfPacket {
    fn drop(&mut self) {
        if let (Ok(ip6), Some(_)) = (&self.ip6, self.current()) {
            ip6.restore();
        }
    }
}

impl Device for AfPacket {
    fn queues(&mut self, count: usize) -> io::Result<Vec<QueuePair>> {
        let index = self.kernel.index;
        let sockets = Receiving::group(index, self.queues.min(count), &self.layout)?;
        let mut pairs = Vec::with_capacity(count);
        for socket in sockets {
            let socket = Arc::new(socket);
            let counts = self.board.queue();
            let rx = Receiver::new(socket.clone(), &self.layout, counts.clone())?;
            let tx = Sender::new(index, counts)?;
            pairs.push(QueuePair { rx: Some(Box::new(rx)), tx: Some(Box::new(tx)) });
            self.ports.push(Port { socket, packets: AtomicU64::new(0), drops: AtomicU64::new(0) });
        }
        while pairs.len() < count {
            pairs.push(QueuePair { rx: None, tx: Some(Box::new(Sender::new(index, self.board.queue())?)) });
        }
        Ok(pairs)
    }

    fn link(&self) -> Link {
        self.current().map_or(Link::Missing, |d| d.link())
    }

    fn mac(&self) -> Option<[u8; 6]> {
        Some(self.mac)
    }

    /// The sockets are promiscuous, so that any address will do.
    fn set_mac(&mut self, mac: [u8; 6]) -> io::Result<()> {
        self.mac = mac;
        Ok(())
    }

    fn mtu_range(&self) -> RangeInclusive<u32> {
        self.kernel.mtu_range()
    }

    /// The kernel's device is only ever raised to it: some devices (veth is one) take no larger packets in than they let
    /// out, and a router that sends small packets shall not lose the large ones of others.
    fn set_mtu(&mut self, mtu: u32) -> io::Result<()> {
        match self.current() {
            None => Err(io::Error::from_raw_os_error(libc::ENODEV)),
            Some(device) if device.mtu >= mtu => Ok(()),
            Some(device) => self.netlink.set_mtu(device.index, mtu),
        }
    }

    fn stats(&self) -> Vec<(&'static str, u64)> {
        let (mut packets, mut drops) = (0, 0);
        for port in &self.ports {
            // Reading sets the kernel's numbers back to zero.
            let [seen, lost] = port.socket.statistics().unwrap_or_default();
            packets += port.packets.fetch_add(seen, Relaxed) + seen;
            drops += port.drops.fetch_add(lost, Relaxed) + lost;
        }
        let mut all = vec![("rx_kernel_packets", packets), ("rx_ring_full", drops)];
        all.extend(self.board.sums());
        all
    }

    fn info(&self) -> Info {
        let now = self.current();
        let device = now.as_ref().unwrap_or(&self.kernel);
        let gone = now.is_none().then(|| format!("{} is gone", self.name));
        let ip6 = self.ip6.as_ref().err().map(|error| {
            let name = &self.name;
            format!("the kernel's own IPv6 on {name} can't be switched off ({error}): set net.ipv6.conf.{name}.disable_ipv6 to 1")
        });
        let kind = if device.kind.is_empty() { "hardware" } else { &device.kind };
        Info {
            driver: "af-packet",
            device: self.name.clone(),
            queues: self.ports.len(),
            modes: vec![
                ("kind", kind.to_owned()),
                ("kernel-mtu", device.mtu.to_string()),
                ("rx", format!("TPACKET_V2, {} slots of {} bytes", self.layout.slots(), self.layout.slot())),
                ("tx", "sendmmsg, PACKET_QDISC_BYPASS".to_owned()),
                ("fanout", if self.ports.len() > 1 { "hash" } else { "none" }.to_owned()),
                ("offloads", "checksums and segmentation of peers are done in software".to_owned()),
            ],
            notes: gone.into_iter().chain(ip6).collect(),
        }
    }
}
