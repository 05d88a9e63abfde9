//! What bridging reads: ports and domains, which control writes, and the table of stations, which workers write, too.

use super::storm::Storm;
use crossbeam::utils::CachePadded;
use millrace_engine::Packet;
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::epoch::Slots;
use millrace_tables::mac::{BRIDGES, MacTable, Place, Station};
use std::io;
use std::sync::Arc;

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
}

/// An interface that is in a domain, and what it may do there.
#[derive(Debug)]
pub struct Port {
    /// Its domain; at least 1, below [`BRIDGES`].
    pub domain: u16,
    /// Whether stations are learnt from its frames.
    pub learn: bool,
    /// Whether frames from it to stations that are known go on.
    pub forward: bool,
    /// Whether its frames to groups are flooded.
    pub flood: bool,
    /// Whether its frames to unknown stations are flooded.
    pub flood_unknown: bool,
    /// Whether link-local control frames (spanning tree, LACP, LLDP and the like; 802.1Q table 8-1) are flooded like others: a
    /// bridge doesn't, a wire does.
    pub pass_reserved: bool,
    /// Isolated ports reach only those that are not.
    pub isolated: bool,
    /// Ports of one split-horizon group don't reach each other; 0 is no group.
    pub group: u8,
    /// How much of it is flooded a second.
    pub storm: Storm,
}

impl Port {
    /// A port that does everything, without limits.
    #[must_use]
    pub const fn new(domain: u16) -> Port {
        Port {
            domain,
            learn: true,
            forward: true,
            flood: true,
            flood_unknown: true,
            pass_reserved: false,
            isolated: false,
            group: 0,
            storm: Storm::off(),
        }
    }

    /// Whether frames may go from this port to that one, which is another one of the same domain.
    #[inline(always)]
    #[must_use]
    pub const fn reaches(&self, to: &Port) -> bool {
        let apart = self.isolated && to.isolated || self.group != 0 && self.group == to.group;
        self.domain == to.domain && !apart
    }
}

/// A domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
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

/// What l2-input found out about a frame, for the nodes behind it: lies in the packet's scratch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub source: Place,
    pub destination: Place,
    pub domain: u16,
}

impl Found {
    #[inline(always)]
    pub fn put(self, packet: &mut Packet<'_>) {
        packet.meta.scratch = [self.source.to_bits(), self.destination.to_bits(), u64::from(self.domain)];
    }

    #[inline(always)]
    pub fn of(packet: &Packet<'_>) -> Found {
        let [source, destination, domain] = packet.meta.scratch;
        let place = Place::from_bits;
        Found { source: place(source), destination: place(destination), domain: domain as u16 }
    }

    #[inline(always)]
    pub const fn station(self, mac: [u8; 6]) -> Station {
        Station::new(self.domain, mac)
    }
}
