//! The bridge answers ARP and neighbour discovery for stations whose addresses it knows, so that the question is not flooded (RFC 9161
//! section 3 has the rules; RFC 826 and RFC 4861 the packets).
//!
//! A *binding* says that an address is that of a station. Stations tell it themselves; control checks what was seen and publishes it.
//! A binding is only as good as the station's place: who is not in the table of stations is not answered for.

pub mod arp;
pub mod nd;
#[cfg(test)]
mod tests;

use super::tables::{Bridging, Found};
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::epoch::{Guard, Slots, domain};
use millrace_engine::{Packet, clock};
use millrace_tables::mac::Station;
use millrace_wire::MacAddr;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Bindings are published in so many lists, each a small one.
pub const LISTS: u32 = 4096;

/// An address of a station.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The domain.
    pub domain: u16,
    /// The address: of no group, and specified.
    pub address: IpAddr,
    /// The station: unicast.
    pub mac: MacAddr,
    /// Whether the station says that it is a router (RFC 4861 section 4.4).
    pub router: bool,
    /// Whether what it says replaces what others know (the same).
    pub override_: bool,
    /// Not answered for: several stations claim the address, and those who ask should hear all of them.
    pub disputed: bool,
    /// Seconds at which the station was last seen with it: see [`seconds`].
    pub seen: Arc<AtomicU32>,
}

/// Seconds as bindings count them.
#[must_use]
pub fn seconds() -> u32 {
    at(clock::now())
}

const fn at(nanoseconds: u64) -> u32 {
    (nanoseconds / 1_000_000_000) as u32
}

/// Which addresses stations have; control writes, workers read.
pub struct Bindings {
    lists: Slots<Vec<Binding>>,
    hasher: RandomState,
}

impl fmt::Debug for Bindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bindings").finish_non_exhaustive()
    }
}

impl Default for Bindings {
    fn default() -> Bindings {
        Bindings { lists: Slots::new(LISTS), hasher: RandomState::new() }
    }
}

impl Bindings {
    /// The list that an address of a domain is on; below [`LISTS`]. Nobody outside can choose addresses of one list.
    #[must_use]
    pub fn list(&self, domain: u16, address: IpAddr) -> u32 {
        self.hasher.hash_one((domain, address)) as u32 % LISTS
    }

    /// Replaces a list; all bindings on it belong there.
    pub fn publish(&self, list: u32, bindings: Vec<Binding>) {
        if bindings.is_empty() {
            self.lists.clear(&domain(), list);
        } else {
            // Numbers of lists are below their count.
            let _ = self.lists.set(&domain(), list, bindings);
        }
    }

    /// Who has an address.
    #[must_use]
    pub fn find<'g>(&self, domain: u16, address: IpAddr, guard: &Guard<'g>) -> Option<&'g Binding> {
        let list = self.lists.get(self.list(domain, address), guard)?;
        list.iter().find(|binding| binding.domain == domain && binding.address == address)
    }
}

/// A station was seen with an address, and no binding says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The port.
    pub interface: u32,
    /// The domain.
    pub domain: u16,
    /// The address: of no group, and specified.
    pub address: IpAddr,
    /// The station: unicast, and the source of the frame.
    pub mac: MacAddr,
    /// See [`Binding::router`].
    pub router: bool,
    /// See [`Binding::override_`].
    pub override_: bool,
}

/// What became of a sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sighting {
    /// The binding says so.
    Known,
    /// Control hears of it.
    Told,
    /// One too many of the port.
    TooMany,
    /// The queue is full.
    QueueFull,
}

/// Has control hear of a station's address, unless it is known.
fn saw(bridging: &Bridging, guard: &Guard<'_>, seen: Seen, now: u64) -> Sighting {
    let snoop = &bridging.snoop;
    if let Some(binding) = snoop.bindings.find(seen.domain, seen.address, guard)
        && (binding.mac, binding.router, binding.override_) == (seen.mac, seen.router, seen.override_)
    {
        binding.seen.store(at(now), Relaxed);
        return Sighting::Known;
    }
    if !snoop.allows_sighting(seen.interface, now) {
        return Sighting::TooMany;
    }
    if snoop.tell_seen(seen) { Sighting::Told } else { Sighting::QueueFull }
}

/// The binding of an address that is asked for, and the port that its station is behind, if the bridge may answer a question that came
/// from `asker`.
fn answer<'g>(
    bridging: &Bridging,
    guard: &Guard<'g>,
    packet: &Packet<'_>,
    address: IpAddr,
    asker: MacAddr,
) -> Option<(&'g Binding, u32)> {
    let domain = Found::of(packet).domain;
    let binding = bridging.snoop.bindings.find(domain, address, guard)?;
    if binding.disputed || binding.mac == asker {
        return None;
    }
    let station = Station::new(domain, binding.mac.0);
    let behind = bridging.stations.find(station, bridging.stations.place(station))?.port;
    let port = if usize::from(behind) < MAX_INTERFACES { behind.into() } else { bridging.behind(behind)? };
    // Who is on the same wire hears the question, and answers for itself. For a station that the asker doesn't reach, a router between
    // the two may answer.
    let rx = packet.meta.rx_interface;
    let of = |interface| bridging.ports.get(interface, guard);
    (port != rx && of(port)?.reaches(of(rx)?)).then_some((binding, port))
}

/// Sends the packet, which is the answer now, back to where the question came from, as if it came from the station that is behind `port`.
fn turn(packet: &mut Packet<'_>, port: u32) {
    let behind = Found::of(packet).behind;
    packet.meta.tx_interface = packet.meta.rx_interface;
    packet.meta.rx_interface = port;
    // A remote of a tunnel gets it alone.
    packet.meta.adjacency = if usize::from(behind) < MAX_INTERFACES { 0 } else { behind.into() };
}
