//! What bridging reads: ports and domains, which control writes, and the table of stations, which workers write, too.

use super::news::Journal;
use super::port::Port;
use super::snoop::Snoop;
use crossbeam::utils::CachePadded;
use millrace_engine::Packet;
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::epoch::Slots;
use millrace_tables::mac::{self, BRIDGES, MacTable, Place, Station};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// All of it; clones are handles to the same tables.
#[derive(Clone, Debug)]
pub struct Bridging(Arc<CachePadded<Tables>>);

/// See [`Bridging`].
#[derive(Debug)]
pub struct Tables {
    /// Ports by interface.
    pub ports: Slots<Port>,
    /// Domains by number; 0 is none.
    pub domains: Slots<Domain>,
    /// Where stations are.
    pub stations: MacTable,
    /// What control should hear of, and what happened at each port.
    pub journal: Journal,
    /// What those who look at frames know.
    pub snoop: Snoop,
    /// By the number of a remote, from [`MAX_INTERFACES`] on: the interface that it is reached by; 0 for none.
    remotes: Box<[AtomicU32]>,
}

impl Tables {
    /// The interface that a remote is reached by; `number` is at least [`MAX_INTERFACES`].
    #[inline]
    #[must_use]
    pub fn behind(&self, number: u16) -> Option<u32> {
        let interface = self.remotes.get(usize::from(number).checked_sub(MAX_INTERFACES)?)?.load(Relaxed);
        (interface != 0).then_some(interface)
    }

    /// Says by which interface a remote is reached from now on, if by any. `number` is at least [`MAX_INTERFACES`] and below
    /// [`PORTS`](mac::PORTS); others are ignored.
    pub fn set_behind(&self, number: u16, interface: Option<u32>) {
        let remote = usize::from(number).checked_sub(MAX_INTERFACES).and_then(|at| self.remotes.get(at));
        if let Some(remote) = remote {
            remote.store(interface.unwrap_or(0), Relaxed);
        }
    }
}

/// A domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// The VLAN that it is; 0: of frames without VLANs.
    pub vlan: u16,
    /// Whether frames go by way of who answers for stations or listens to what groups they want.
    pub look: bool,
    /// The interfaces that flooded frames go to.
    pub members: Vec<u32>,
}

impl Bridging {
    /// No ports yet, and room for so many stations.
    ///
    /// # Errors
    /// The system refuses memory.
    pub fn new(stations: usize) -> io::Result<Bridging> {
        Ok(Bridging(Arc::new(CachePadded::new(Tables {
            ports: Slots::new(MAX_INTERFACES as u32),
            domains: Slots::new(BRIDGES as u32),
            stations: MacTable::new(stations)?,
            journal: Journal::default(),
            snoop: Snoop::default(),
            remotes: (MAX_INTERFACES..mac::PORTS).map(|_| AtomicU32::new(0)).collect(),
        }))))
    }
}

impl std::ops::Deref for Bridging {
    type Target = Tables;

    #[inline(always)]
    fn deref(&self) -> &Tables {
        &self.0
    }
}

/// What l2-input found out about a frame, for the nodes behind it, which need not look at its header again: lies in the packet's
/// scratch, and in the place of the table that it would be routed in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Who sent it, in its domain.
    pub source: Station,
    /// Whom it is for; a group, perhaps.
    pub destination: Station,
    /// Where the table of stations has the source.
    pub source_place: Place,
    /// Where it has the destination.
    pub destination_place: Place,
    /// The domain.
    pub domain: u16,
    /// What the source is learnt behind: the port's interface, or a remote.
    pub behind: u16,
    /// Of the tag that chose the domain.
    pub priority: Priority,
    /// Whether the port forwards.
    pub forward: bool,
    /// Whether somebody wants to look at the frame before it goes on.
    pub look: bool,
}

/// The priority of a frame: priority code point and drop eligibility of the tag that it had; as many bits as in a tag, at their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Priority(u8);

impl Priority {
    /// Of a tag's control information.
    pub const fn of(control: u16) -> Priority {
        Priority((control >> 12) as u8)
    }

    /// The control information of a tag of `vlan`.
    pub const fn control(self, vlan: u16) -> u16 {
        (self.0 as u16) << 12 | vlan & 0xfff
    }
}

impl Found {
    #[inline(always)]
    pub fn put(self, packet: &mut Packet<'_>) {
        let Found { source, destination, behind, priority, forward, look, .. } = self;
        let flags = u64::from(forward) | u64::from(look) << 1;
        let place = u64::from(self.destination_place.to_bits()) << 32;
        let third = flags | u64::from(priority.0) << 8 | u64::from(behind) << 16 | place;
        packet.meta.scratch = [source.to_bits(), destination.to_bits(), third];
        packet.meta.table = self.source_place.to_bits();
    }

    #[inline(always)]
    pub fn of(packet: &Packet<'_>) -> Found {
        let [source, destination, third] = packet.meta.scratch;
        let source = Station::from_bits(source);
        Found {
            source,
            destination: Station::from_bits(destination),
            source_place: Place::from_bits(packet.meta.table),
            destination_place: Place::from_bits((third >> 32) as u32),
            domain: source.bridge(),
            behind: (third >> 16) as u16,
            priority: Priority((third >> 8) as u8 & 0xf),
            forward: third & 1 != 0,
            look: third >> 1 & 1 != 0,
        }
    }
}

/// Says which remote the source of a frame is behind: one that was taken out of a tunnel, and goes on to l2-input by a port that is one
/// ([`Port::tunnel`]).
#[inline(always)]
pub fn set_behind(packet: &mut Packet<'_>, number: u16) {
    packet.meta.scratch[2] = u64::from(number) << 16;
}

/// What [`set_behind`] said.
#[inline(always)]
pub(super) fn said_behind(packet: &Packet<'_>) -> u16 {
    (packet.meta.scratch[2] >> 16) as u16
}
