//! What VXLAN's nodes read and control writes: interfaces, remotes, and whose a received datagram is.

use super::underlay::{Headers, Underlay};
use crate::ip::{V4, V6};
use millrace_engine::counters::{InterfaceCounters, InterfaceTotals, MAX_INTERFACES};
use millrace_engine::epoch::{Published, Slots, domain};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

/// All of it.
#[derive(Debug)]
pub struct Tunnels {
    /// By interface.
    pub(super) interfaces: Slots<Tunnel>,
    /// By number.
    pub(super) remotes: Slots<Remote>,
    pub(super) ends4: Published<Ends<V4>>,
    pub(super) ends6: Published<Ends<V6>>,
}

/// How an interface sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// The numbers of the remotes that get frames which are for no single one.
    pub replicate: Vec<u32>,
    /// Whether frames name the remote that they are for in their adjacency, as those of a bridge do.
    pub bridged: bool,
}

/// A remote tunnel end point of an interface.
#[derive(Debug)]
pub struct Remote {
    /// The interface.
    pub interface: u32,
    /// The table in which the way to it is looked up.
    pub table: u32,
    /// What is put before frames to it.
    pub headers: Headers,
    /// Whether datagrams to it have a checksum.
    pub checksum: bool,
    /// Over IPv4: whether routers on the way may not fragment them; none: as the packet in the frame says.
    pub df: Option<bool>,
    /// What is counted of it.
    pub traffic: Traffic,
}

/// Frames from a remote and to it, by worker. Clones count in the same place.
#[derive(Clone, Debug)]
pub struct Traffic(Arc<[InterfaceCounters]>);

impl Traffic {
    /// Nothing yet, for so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Traffic {
        Traffic((0..workers).map(|_| InterfaceCounters::default()).collect())
    }

    /// The sum over workers, in frames and bytes of them: received from the remote, sent to it.
    #[must_use]
    pub fn totals(&self) -> InterfaceTotals {
        let mut totals = InterfaceTotals::default();
        self.0.iter().for_each(|worker| totals.add(worker));
        totals
    }

    #[inline(always)]
    pub(super) fn received(&self, worker: usize, bytes: usize) {
        if let Some(counters) = self.0.get(worker) {
            counters.rx_packets.add(1);
            counters.rx_bytes.add(bytes as u64);
        }
    }

    #[inline(always)]
    pub(super) fn sent(&self, worker: usize, bytes: usize) {
        if let Some(counters) = self.0.get(worker) {
            counters.tx_packets.add(1);
            counters.tx_bytes.add(bytes as u64);
        }
    }
}

/// What tells the datagrams of one interface and remote from all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Key<A> {
    pub local: A,
    pub remote: A,
    pub vni: u32,
    pub table: u32,
    pub port: u16,
}

/// Whose a datagram is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The interface that it comes in by.
    pub interface: u32,
    /// The number of the remote that it is from; 0 for one that is unknown.
    pub remote: u32,
    /// Whether unknown remotes become known.
    pub learn: bool,
    /// Whether a datagram over IPv6 may be without a checksum (RFC 6935 section 5, RFC 6936).
    pub zero_checksum: bool,
}

/// Whose datagrams are, by where they are from and to, in one family.
#[derive(Debug)]
pub struct Ends<F: Underlay> {
    /// With a remote of 0: the interface of datagrams from unknown ones.
    known: HashMap<Key<F::Address>, Known, BuildHasherDefault<Mix>>,
    /// Tells one table from the next.
    pub(super) generation: u64,
}

impl<F: Underlay> Ends<F> {
    fn new(generation: u64) -> Ends<F> {
        Ends { known: HashMap::default(), generation }
    }

    /// An interface hears datagrams to a local address and port in a table, with its VNI.
    pub fn interface(&mut self, (table, local, port): (u32, F::Address, u16), vni: u32, known: Known) {
        self.known.insert(Key { local, remote: F::Address::default(), vni, table, port }, known);
    }

    /// The same for one of its remotes.
    pub fn remote(&mut self, (table, local, port): (u32, F::Address, u16), vni: u32, remote: F::Address, known: Known) {
        self.known.insert(Key { local, remote, vni, table, port }, known);
    }

    /// Whose a datagram is.
    pub(super) fn find(&self, key: &Key<F::Address>) -> Option<Known> {
        self.known.get(key).or_else(|| self.known.get(&Key { remote: F::Address::default(), ..*key })).copied()
    }
}

impl Tunnels {
    /// No interfaces yet.
    pub(crate) fn new() -> Tunnels {
        Tunnels {
            interfaces: Slots::new(MAX_INTERFACES as u32),
            remotes: Slots::new(Self::NUMBERS.end),
            ends4: Published::new(Ends::new(0)),
            ends6: Published::new(Ends::new(0)),
        }
    }

    /// The numbers of remotes: behind those of interfaces, as stations may be behind one or the other.
    pub const NUMBERS: Range<u32> = MAX_INTERFACES as u32..4096;

    /// Says how an interface sends from now on, or that it is none of VXLAN's.
    pub fn set(&self, interface: u32, tunnel: Option<Tunnel>) {
        match tunnel {
            Some(tunnel) => drop(self.interfaces.set(&domain(), interface, tunnel)),
            None => drop(self.interfaces.clear(&domain(), interface)),
        }
    }

    /// Says what a number of [`NUMBERS`](Self::NUMBERS) stands for from now on.
    pub fn set_remote(&self, number: u32, remote: Option<Remote>) {
        match remote {
            Some(remote) => drop(self.remotes.set(&domain(), number, remote)),
            None => drop(self.remotes.clear(&domain(), number)),
        }
    }

    /// Says whose datagrams are from now on. `fill` is given empty tables; `generation` is another one each time.
    pub fn set_ends(&self, generation: u64, fill: impl FnOnce(&mut Ends<V4>, &mut Ends<V6>)) {
        let (mut ends4, mut ends6) = (Ends::new(generation), Ends::new(generation));
        fill(&mut ends4, &mut ends6);
        self.ends4.publish(&domain(), ends4);
        self.ends6.publish(&domain(), ends6);
    }
}

/// A hash of a few words. It needn't withstand who chooses keys: of remotes that nobody named there are few.
#[derive(Debug, Default)]
struct Mix(u64);

impl Mix {
    #[inline(always)]
    const fn add(&mut self, word: u64) {
        let product = (self.0 ^ word) as u128 * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for Mix {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.add((*byte).into()));
    }

    #[inline(always)]
    fn write_u16(&mut self, word: u16) {
        self.add(word.into());
    }

    #[inline(always)]
    fn write_u32(&mut self, word: u32) {
        self.add(word.into());
    }

    #[inline(always)]
    fn write_u128(&mut self, word: u128) {
        self.add(word as u64);
        self.add((word >> 64) as u64);
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        self.0
    }
}
