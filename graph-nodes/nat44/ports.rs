//! The ports of external addresses, which workers share without waiting for each other.
//!
//! Which port a mapping gets: the one that the inside host uses, if it is free; otherwise a random one (RFC 6888 REQ-15) of the same range
//! (RFC 4787 REQ-3a; 0-1023 gives way to the rest when it is full, never the other way around) and, for UDP, parity (RFC 4787 REQ-4).
//! Two mappings never share a port (RFC 4787 REQ-3, RFC 5382 REQ-7), although RFC 7857 section 3 would let them. A port that was used
//! rests for two minutes (RFC 6888 REQ-8); it rests for less only when nothing else is free, the oldest first. TCP's don't rest: its flows
//! are tracked to their end (exception A of the same clause). Identifiers of ICMP queries below 1024 are the router's own.

mod block_set;
mod random;
mod space;
#[cfg(test)]
mod tests;

pub use random::Random;
pub use space::Bits;

use millrace_tables::flow::Ticks;
use space::{Space, Wish};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Protocols whose ports, or identifiers of queries, are translated.
pub const PROTOCOLS: [u8; 3] = [TCP, UDP, ICMP];
/// IANA's numbers.
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP: u8 = 1;

/// RFC 4787 REQ-3a.
const WELL_KNOWN: RangeInclusive<u16> = 1..=1023;
const OTHERS: RangeInclusive<u16> = 1024..=65535;

/// Where a protocol stands in arrays by protocol.
#[must_use]
pub fn protocol_index(protocol: u8) -> Option<usize> {
    PROTOCOLS.iter().position(|&known| known == protocol)
}

/// A port that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The IP protocol.
    pub protocol: u8,
    /// What the inside host uses.
    pub port: u16,
    /// What [`AddressPorts::foresee`] said, if it was asked.
    pub foreseen: Option<u16>,
    /// Ports that are never given out.
    pub reserved: Option<&'a Bits>,
    /// The number of the mapping that will have it.
    pub holder: u32,
}

/// The ports of one external address.
#[derive(Debug)]
pub struct AddressPorts {
    address: Ipv4Addr,
    spaces: [Space; 3],
}

impl AddressPorts {
    /// All ports free. None if there is no memory for them: 800 KiB of address space.
    #[must_use]
    pub fn new(address: Ipv4Addr, workers: usize) -> Option<AddressPorts> {
        let spaces = [Space::new(workers)?, Space::new(workers)?, Space::new(workers)?];
        Some(AddressPorts { address, spaces })
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    fn space(&self, protocol: u8) -> Option<&Space> {
        self.spaces.get(protocol_index(protocol)?)
    }

    /// Fetches what [`release`](Self::release) reads and writes.
    #[inline]
    pub fn prefetch(&self, protocol: u8, port: u16) {
        if let Some(space) = self.space(protocol) {
            space.prefetch(port);
        }
    }

    /// The port that a worker's mapping will probably get; what [`take`](Self::take) then reads and writes is fetched.
    #[inline]
    pub fn foresee(&self, worker: usize, (protocol, port): (u8, u16), random: &mut Random) -> Option<u16> {
        let range = if protocol != ICMP && WELL_KNOWN.contains(&port) { &WELL_KNOWN } else { &OTHERS };
        let wish = Wish { port, range, parity: protocol == UDP, foreseen: None, reserved: None };
        self.space(protocol)?.foresee(worker, wish, random)
    }

    /// Gives a worker's mapping a port. None: nothing is left that the worker may have.
    pub fn take(&self, worker: usize, request: &Request<'_>, random: &mut Random, now: Ticks) -> Option<u16> {
        let Request { protocol, port, foreseen, reserved, holder } = *request;
        let space = self.space(protocol)?;
        let mut take = |range| {
            let wish = Wish { port, range, parity: protocol == UDP, foreseen, reserved };
            space.take(worker, wish, holder, random, now.as_secs())
        };
        if protocol != ICMP
            && WELL_KNOWN.contains(&port)
            && let Some(port) = take(&WELL_KNOWN)
        {
            return Some(port);
        }
        take(&OTHERS)
    }

    /// Takes a port back from a worker's mapping. Nothing happens if the mapping doesn't have it.
    pub fn release(&self, worker: usize, (protocol, port): (u8, u16), holder: u32, now: Ticks) {
        if let Some(space) = self.space(protocol) {
            space.release(worker, port, holder, protocol != TCP, now.as_secs());
        }
    }

    /// Frees a worker's ports whose quarantine is over, `max` of each protocol at most. How many.
    pub fn settle(&self, worker: usize, max: usize, now: Ticks) -> usize {
        self.spaces.iter().map(|space| space.settle(worker, max, now.as_secs())).sum()
    }

    /// The worker whose mappings may have a port.
    #[inline]
    #[must_use]
    pub fn owner(&self, protocol: u8, port: u16) -> Option<usize> {
        self.space(protocol)?.owner(port)
    }

    /// The mapping of a worker that has a port.
    #[inline]
    #[must_use]
    pub fn holder(&self, worker: usize, protocol: u8, port: u16) -> Option<u32> {
        self.space(protocol)?.holder(worker, port)
    }

    /// Whether a mapping of any worker has a port.
    #[must_use]
    pub fn in_use(&self, protocol: u8, port: u16) -> bool {
        self.space(protocol).is_some_and(|space| space.in_use(port))
    }

    /// Ports that mappings have, by [`PROTOCOLS`].
    #[must_use]
    pub fn used(&self) -> [u32; 3] {
        self.spaces.each_ref().map(Space::used)
    }

    /// Ports that mappings of one worker have: for choosing among addresses.
    #[inline]
    #[must_use]
    pub fn used_by(&self, worker: usize, protocol: u8) -> u32 {
        self.space(protocol).map_or(0, |space| space.used_by(worker))
    }

    /// Whether a worker has ports in quarantine.
    #[must_use]
    pub fn waits(&self, worker: usize) -> bool {
        self.spaces.iter().any(|space| space.waits(worker))
    }

    /// Ports in quarantine, by [`PROTOCOLS`].
    #[must_use]
    pub fn waiting(&self) -> [u32; 3] {
        self.spaces.each_ref().map(Space::waiting)
    }

    /// Whether no mapping has a port of it.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.used() == [0; 3]
    }
}

/// What outlives changes of the rules: the ports of all addresses that are, or were, given out, and the count of the sessions.
#[derive(Debug, Default)]
pub struct ExternalPorts {
    addresses: HashMap<Ipv4Addr, Kept>,
    sessions: Arc<AtomicU32>,
}

#[derive(Debug)]
struct Kept {
    ports: Arc<AddressPorts>,
    /// The latest rules know the address: workers that still have them may give out its ports.
    wanted: bool,
}

impl ExternalPorts {
    /// The ports of an address, whatever uses them already. None if there is no memory for them.
    pub fn of(&mut self, address: Ipv4Addr, workers: usize) -> Option<Arc<AddressPorts>> {
        if let Some(kept) = self.addresses.get(&address) {
            return Some(kept.ports.clone());
        }
        let ports = Arc::new(AddressPorts::new(address, workers)?);
        self.addresses.insert(address, Kept { ports: ports.clone(), wanted: true });
        Some(ports)
    }

    /// The count of the sessions of all workers.
    #[must_use]
    pub fn sessions(&self) -> Arc<AtomicU32> {
        self.sessions.clone()
    }

    /// The addresses that `wanted` doesn't know, but whose ports are, or may be, still used. Others are forgotten.
    pub fn gone(&mut self, wanted: impl Fn(Ipv4Addr) -> bool) -> Vec<Arc<AddressPorts>> {
        self.addresses.retain(|&address, kept| {
            let was_wanted = std::mem::replace(&mut kept.wanted, wanted(address));
            kept.wanted || was_wanted || !kept.ports.is_unused()
        });
        self.addresses.values().filter(|kept| !kept.wanted).map(|kept| kept.ports.clone()).collect()
    }
}
