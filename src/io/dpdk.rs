//! `dpdk`: any device that one of DPDK's drivers drives: a card by its PCI address, or a virtual device by its name and arguments.
//!
//! DPDK's environment is started by the first such interface, with what the configuration says of it (`dpdk:`), once a process.
//! Devices are found when they are named, and removed with their interface. Packets lie in the router's own cells on the whole way,
//! as DPDK's mbufs are made to point there ([`pool`]).
//!
//! A worker polls the port's queues. While nothing comes it sleeps until the queue's interrupt; a driver without interrupts is looked
//! at again after a while, 20 µs at first and 1 ms after a short time without packets.

mod eal;
mod log;
mod names;
mod pool;
mod port;
mod queue;

use crate::counts::Board;
use crate::device::{Device, Info, Link, OpenError, QueuePair, derived_mac};
use crate::seat::Seat;
use crate::{Context, spec};
use dpdk_sys as sys;
use names::{look_at_pci, pci_address, why_not};
use pool::Known;
use port::Port;
use queue::{Interrupts, Live, Place, Receiver, Sender};
use std::ffi::CString;
use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering::Relaxed;

/// What a queue pair counts beside the driver.
mod count {
    pub const RX_BAD_IP: usize = 0;
    pub const RX_BAD_L4: usize = 1;
    pub const RX_REFUSED: usize = 2;
    pub const TX_FULL: usize = 3;
    pub const TX_COPIED: usize = 4;
    pub const TX_LONG: usize = 5;
    pub const NAMES: [&str; 6] =
        ["rx_bad_ip_checksum", "rx_bad_l4_checksum", "rx_refused", "tx_ring_full", "tx_copied", "tx_too_long"];
}

/// The largest IP packet that lies in one cell of every driver's, with all that it leaves free there.
const ONE_CELL: u16 = 2000;

/// Drivers that send packets of several buffers, and don't say so.
const SEGMENTS_UNSAID: [&str; 1] = ["net_pcap"];

/// The control side.
pub(crate) struct Dpdk {
    spec: spec::Dpdk,
    huge: bool,
    pool: Known,
    port: Port,
    is: sys::Info,
    mac: [u8; 6],
    mtu: u16,
    /// Whether the driver has an MTU.
    has_mtu: bool,
    config: Option<sys::Config>,
    interrupts: bool,
    rx: Vec<(Seat<Live>, Interrupts)>,
    tx: Vec<Seat<Live>>,
    board: Board<{ count::NAMES.len() }>,
    /// Where in the driver's list its numbers are, and what they are called.
    counts: Vec<(usize, &'static str)>,
    /// How many are in the list.
    listed: usize,
    notes: Vec<String>,
}

impl Dpdk {
    pub fn open(spec: &spec::Dpdk, interface: &str, context: &Context) -> Result<Dpdk, OpenError> {
        let device = spec.device.as_str();
        let refused = |reason: String| OpenError::refused(device, reason);
        let string = CString::new(device).map_err(|_| refused("there is a zero byte in the name".into()))?;
        if device.trim().is_empty() {
            return Err(refused("`device` is a PCI address, or a virtual device such as net_tap0,iface=t0".into()));
        }
        if let Some(address) = pci_address(device) {
            look_at_pci(device, &address)?;
        }
        let started = eal::start(&spec.eal).map_err(refused)?;
        let port = Port::probe(&string, &context.changed).map_err(|(code, text)| {
            refused(if code == -libc::EEXIST { "another interface has it".into() } else { why_not(device, &text) })
        })?;
        let failed = |error: io::Error| refused(error.to_string());
        let mut is = port.info().map_err(failed)?;
        if SEGMENTS_UNSAID.contains(&port::driver_of(&is).as_str()) {
            is.can |= sys::TX_SEGMENTS;
        }
        let pool = pool::know(context.pool, is.pci == 1).map_err(refused)?;
        if is.pci == 1 {
            port.map(&pool).map_err(|e| refused(format!("it can't be given access to the packets' memory: {e}")))?;
        }
        port.reset_counts();
        let kernels_too = port::driver_of(&is) == "net_tap";
        let usable = is.mac != [0; 6] && is.mac[0] & 1 == 0 && !kernels_too;
        let mut device = Dpdk {
            spec: spec.clone(),
            huge: started.huge,
            pool,
            mac: if usable { is.mac } else { derived_mac(interface) },
            mtu: port.mtu().unwrap_or(1500),
            has_mtu: true,
            config: None,
            interrupts: false,
            port,
            is,
            rx: Vec::new(),
            tx: Vec::new(),
            board: Board::new(&count::NAMES),
            counts: Vec::new(),
            listed: 0,
            notes: Vec::new(),
        };
        device.list_counts();
        Ok(device)
    }

    /// Looks up where the driver's numbers are: the list changes when queues are set up. Those of single queues are left out.
    fn list_counts(&mut self) {
        let names = self.port.count_names();
        self.listed = names.len();
        let of_a_queue = |name: &str| {
            name.split('_')
                .any(|word| word.len() > 1 && word.starts_with('q') && word[1..].bytes().all(|b| b.is_ascii_digit()))
        };
        self.counts = names.into_iter().enumerate().filter(|(_, name)| !of_a_queue(name)).collect();
    }

    /// Sets the port up and starts it.
    fn start(&mut self, config: sys::Config) -> Result<(), (i32, String)> {
        // While it is at rest every driver takes an MTU.
        let attempt = |config: &sys::Config| {
            self.port.configure(&self.pool, config)?;
            let has_mtu = self.port.set_mtu(config.mtu)?;
            self.port.start().map(|()| has_mtu)
        };
        // A driver says that it has no interrupts by not starting with them.
        let mut config = config;
        let mut result = attempt(&config);
        if result.is_err() && config.want & sys::RX_INTERRUPTS != 0 {
            config.want &= !sys::RX_INTERRUPTS;
            result = attempt(&config);
        }
        if result.is_err() && config.tx_queues != config.rx_queues {
            config.tx_queues = config.rx_queues;
            result = attempt(&config);
        }
        self.has_mtu = result?;
        if let Err(error) = self.port.set_promiscuous(self.spec.promiscuous) {
            tracing::debug!(device = self.spec.device, "promiscuous mode is the driver's own: {error}");
        }
        self.list_counts();
        self.config = Some(config);
        Ok(())
    }

    /// What the port is asked for with an MTU.
    fn wanted(&self, mtu: u16) -> u32 {
        let mut want = self.is.can & (sys::RX_CHECKSUMS | sys::LINK_EVENTS) | sys::RX_INTERRUPTS;
        // Drivers have faster functions for packets of one buffer each.
        want |= if mtu > ONE_CELL {
            self.is.can & (sys::RX_SCATTER | sys::TX_SEGMENTS)
        } else {
            self.is.can & sys::TX_FAST_FREE
        };
        want
    }

    /// Lets the workers in.
    fn seat(&mut self) {
        let Some(config) = &self.config else { return };
        let (port, segments) = (self.port.id, config.want & sys::TX_SEGMENTS != 0);
        let asked = config.want & sys::RX_INTERRUPTS != 0;
        self.interrupts = asked && !self.rx.is_empty();
        for (queue, (seat, interrupts)) in (0..).zip(&self.rx) {
            let opened = asked && interrupts.open(port, queue);
            self.interrupts &= opened;
            seat.put(Live { port, queue, interrupts: opened, segments });
        }
        for (queue, seat) in (0..).zip(&self.tx) {
            seat.put(Live { port, queue, interrupts: false, segments });
        }
    }

    /// Gets the workers out of the port, and stops it.
    fn halt(&mut self) {
        for seat in self.rx.iter().map(|(seat, _)| seat).chain(&self.tx) {
            seat.remove();
        }
        if self.config.is_some() {
            if self.name().starts_with("net_ring") {
                // Its rings are freed with what lies in them.
                (0..).zip(&self.rx).for_each(|(queue, _)| self.port.drain(queue, u32::from(u16::MAX)));
            }
            self.port.stop();
        }
    }

    fn name(&self) -> String {
        port::name_of(&self.is)
    }

    fn gone(&self) -> bool {
        self.port.gone.load(Relaxed)
    }
}

/// A ring's size within a driver's limits.
fn ring(wanted: u32, least: u16, most: u16, multiple: u16) -> u16 {
    let (least, multiple) = (u32::from(least), u32::from(multiple.max(1)));
    let most = if most == 0 { u32::from(u16::MAX) } else { u32::from(most) };
    let size = wanted.clamp(least.min(most), most).next_multiple_of(multiple);
    if size > most { (most / multiple * multiple) as u16 } else { size as u16 }
}

impl Device for Dpdk {
    fn queues(&mut self, count: usize) -> io::Result<Vec<QueuePair>> {
        let many = |most: u16| u16::try_from(count).unwrap_or(u16::MAX).min(most);
        let rx_queues = many(self.is.max_rx_queues).min(self.spec.queues.max(1));
        let size = self.spec.ring_size;
        let config = sys::Config {
            want: self.wanted(self.mtu) | if rx_queues > 1 { self.is.can & sys::RSS } else { 0 },
            rx_queues,
            tx_queues: many(self.is.max_tx_queues),
            rx_ring: ring(size, self.is.rx_ring_min, self.is.rx_ring_max, self.is.rx_ring_align),
            tx_ring: ring(size, self.is.tx_ring_min, self.is.tx_ring_max, self.is.tx_ring_align),
            mtu: self.mtu,
            reserved: 0,
        };
        self.start(config).map_err(|(_, text)| io::Error::other(text))?;
        let (rx, tx) = self.config.as_ref().map_or((0, 0), |c| (c.rx_queues, c.tx_queues));
        for _ in 0..rx {
            self.rx.push((Seat::new(), Interrupts::new()?));
        }
        self.tx = (0..tx).map(|_| Seat::new()).collect();
        if usize::from(rx) < usize::from(self.spec.queues).min(count) {
            self.notes.push(format!("the driver has {rx} receive queues, {} were asked for", self.spec.queues));
        }
        let mut pairs = Vec::with_capacity(count);
        for at in 0..count {
            let counts = self.board.queue();
            let place = |seat: &Seat<Live>| Place {
                pool: self.pool,
                seat: seat.clone(),
                gone: self.port.gone.clone(),
                counts: counts.clone(),
            };
            let rx = self.rx.get(at).map(|(seat, i)| Box::new(Receiver::new(place(seat), i.clone())) as Box<_>);
            let tx = self.tx.get(at).map(|seat| Box::new(Sender::new(place(seat))) as Box<_>);
            pairs.push(QueuePair { rx, tx });
        }
        self.seat();
        Ok(pairs)
    }

    fn link(&self) -> Link {
        match self.port.link() {
            _ if self.gone() => Link::Missing,
            Some(link) if self.config.is_some() && link.up == 1 => Link::Up,
            _ => Link::Down,
        }
    }

    fn mac(&self) -> Option<[u8; 6]> {
        Some(self.mac)
    }

    fn set_mac(&mut self, mac: [u8; 6]) -> io::Result<()> {
        // A port that takes every frame needs no filter; where the driver shares its address with the kernel, it must keep it.
        if port::driver_of(&self.is) != "net_tap" {
            match self.port.set_mac(mac) {
                Err(error) if !self.spec.promiscuous => return Err(error),
                _ => {}
            }
        }
        self.mac = mac;
        Ok(())
    }

    fn mtu_range(&self) -> RangeInclusive<u32> {
        u32::from(self.is.min_mtu.max(68))..=u32::from(self.is.max_mtu.min(9216))
    }

    fn set_mtu(&mut self, mtu: u32) -> io::Result<()> {
        let range = self.mtu_range();
        let Some(mtu) = u16::try_from(mtu).ok().filter(|_| range.contains(&mtu)) else {
            let text = format!("the device takes {} to {}", range.start(), range.end());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        let before = std::mem::replace(&mut self.mtu, mtu);
        let Some(config) = self.config.clone() else { return Ok(()) };
        let want = self.wanted(mtu) | config.want & sys::RSS;
        let same = (want ^ config.want) & !sys::RX_INTERRUPTS == 0;
        if same && let Ok(has) = self.port.set_mtu(mtu) {
            self.has_mtu = has;
            return Ok(());
        }
        // Another way to receive, or a driver that changes it at rest only.
        self.halt();
        let result = self.start(sys::Config { want, mtu, ..config.clone() });
        if result.is_err() {
            self.mtu = before;
            if self.start(config).is_err() {
                self.config = None;
                return Err(io::Error::other("the device did not start again with its old MTU"));
            }
        }
        self.seat();
        result.map_err(|(_, text)| io::Error::other(text))
    }

    fn stats(&self) -> Vec<(&'static str, u64)> {
        let mut values = vec![0; self.listed];
        let n = self.port.counts(&mut values);
        let value = |at: &usize| values.get(*at).filter(|_| *at < n).copied().unwrap_or(0);
        let drivers = self.counts.iter().map(|(at, name)| (*name, value(at)));
        drivers.chain(self.board.sums()).collect()
    }

    fn info(&self) -> Info {
        let mut modes = vec![("pmd", port::driver_of(&self.is)), ("port", self.name())];
        if let Some(config) = &self.config {
            modes.push(("tx-queues", config.tx_queues.to_string()));
            modes.push(("rx-ring", config.rx_ring.to_string()));
            modes.push(("tx-ring", config.tx_ring.to_string()));
            modes.push(("offloads", offloads(config.want)));
            for (key, tx) in [("rx-burst", false), ("tx-burst", true)] {
                modes.extend(self.port.burst_mode(tx).map(|mode| (key, mode)));
            }
            modes.push(("wake", wake(self.interrupts).to_owned()));
        }
        if let Some(link) = self.port.link().filter(|link| link.up == 1 && link.known == 1) {
            let duplex = if link.full_duplex == 1 { "full" } else { "half" };
            modes.push(("speed", format!("{} Mbit/s {duplex} duplex", link.mbps)));
        }
        modes.push(("promiscuous", if self.port.promiscuous() { "yes" } else { "no" }.to_owned()));
        let mtu = self.port.mtu().filter(|_| self.has_mtu).map_or("none of its own".to_owned(), |mtu| mtu.to_string());
        modes.push(("device-mtu", mtu));
        modes.push(("eal-memory", if self.huge { "huge pages" } else { "ordinary pages" }.to_owned()));
        let mut notes = self.notes.clone();
        if self.gone() {
            notes.push(format!("{} is gone", self.spec.device));
        }
        Info { driver: "dpdk", device: self.spec.device.clone(), queues: self.rx.len(), modes, notes }
    }
}

fn wake(interrupts: bool) -> &'static str {
    if interrupts {
        "interrupt"
    } else {
        "timer: the driver has no interrupts, so it is looked at every 20 us to 1 ms while idle"
    }
}

fn offloads(want: u32) -> String {
    let names = [
        (sys::RX_CHECKSUMS, "rx-checksum"),
        (sys::RX_SCATTER, "rx-scatter"),
        (sys::TX_SEGMENTS, "tx-segments"),
        (sys::TX_FAST_FREE, "tx-fast-free"),
        (sys::RSS, "rss"),
    ];
    let on: Vec<&str> = names.iter().filter(|(flag, _)| want & flag != 0).map(|(_, name)| *name).collect();
    if on.is_empty() { "none".to_owned() } else { on.join(", ") }
}

impl Drop for Dpdk {
    fn drop(&mut self) {
        self.halt();
    }
}
