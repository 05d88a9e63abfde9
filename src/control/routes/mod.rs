//! The routes of all VRFs: which there are, which of them win, where they lead, and the forwarding tables made of them.
//!
//! A prefix has a candidate for each origin; the best that works is installed. The router's own routes come through
//! [`Routes::set`], those that routing daemons tell it through [`update`]. Next hops are resolved to neighbours, if
//! need be through other routes, and again whenever a route to a gateway or the state of an interface changes. What is
//! installed is always replaced in place, so that forwarding never sees a gap.

pub mod adjacencies;
mod balances;
mod groups;
mod resolve;
mod rib;
mod table;
#[cfg(test)]
mod tests;
pub mod update;

pub use adjacencies::{Adjacencies, Link};
pub use balances::Balances;
pub use table::{Candidate, Hop, Path};

use ipnet::Ipv4Net;
use millrace_engine::epoch::domain;
use millrace_graph_nodes::forwarding::{Forwarding, MAX_TABLES};
use millrace_tables::fib::Target;
use millrace_tables::indices::Indices;
use millrace_tables::lpm4::Lpm4;
use rib::Known;
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::ops::Bound;
use std::sync::Arc;
use table::{Parts, Table};

/// Who made a route. The order is that of preference (administrative distances 0, 0, 1 and 255 elsewhere).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// An address of an interface.
    Connected,
    /// NAT: an external address. It stands above routes that draw a pool's packets here, such as a blackhole over all of it.
    Nat,
    /// The configuration.
    Static,
    /// The neighbour table: the host route of a known neighbour.
    Neighbor,
}

impl Origin {
    /// The word for it in listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::Connected => "connected",
            Origin::Static => "static",
            Origin::Nat => "nat",
            Origin::Neighbor => "neighbor",
        }
    }
}

/// An origin, and what tells its routes to one prefix apart: the address that makes it connected, the interface of a
/// neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(pub Origin, pub u32);

/// Why a route can't be.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// See [`millrace_tables::lpm4::TableFull`].
    #[error("the forwarding table is full: too many /24 networks have longer prefixes inside")]
    Full,
    /// No table of that number.
    #[error("there is no such forwarding table")]
    NoTable,
    /// A limit of the forwarding plane.
    #[error("{0}")]
    Limit(&'static str),
    /// The system refuses memory.
    #[error("a forwarding table can't be made: {0}")]
    Memory(#[from] io::Error),
}

/// A route in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The word for its origin.
    pub origin: &'a str,
    /// Where it leads.
    pub path: Path,
}

impl<'a> Shown<'a> {
    /// `None` for host routes of neighbours.
    fn of(known: Known<'a>, table: &Table) -> Option<Shown<'a>> {
        let path = match known {
            Known::Own(candidate) if candidate.origin == Origin::Neighbor => return None,
            Known::Own(candidate) => candidate.path.clone(),
            Known::Told(_, lead) => lead.path(&table.groups)?,
        };
        Some(Shown { origin: known.origin(), path })
    }
}

/// See the module.
#[derive(Debug)]
pub struct Routes {
    forwarding: Forwarding,
    numbers: Indices,
    tables: BTreeMap<u32, Table>,
    adjacencies: Adjacencies,
    balances: Balances,
    /// Sessions of [`update`] so far.
    sessions: u64,
}

/// The limited broadcast address is the router's own in every table (RFC 1812 section 5.3.5.1).
const LIMITED_BROADCAST: Source = Source(Origin::Connected, u32::MAX);

impl Routes {
    /// Without tables.
    pub fn new(forwarding: Forwarding) -> Routes {
        Routes {
            numbers: Indices::new(0..MAX_TABLES),
            tables: BTreeMap::new(),
            adjacencies: Adjacencies::new(forwarding.clone()),
            balances: Balances::new(forwarding.clone()),
            sessions: 0,
            forwarding,
        }
    }

    /// A new table; the first has number 0.
    ///
    /// # Errors
    /// No number or no memory is left.
    pub fn add_table(&mut self) -> Result<u32, RouteError> {
        let number = self.numbers.allocate().ok_or(RouteError::Limit("there are 1024 VRFs already"))?;
        let (writer, reader) = Lpm4::new()?;
        let _ = self.forwarding.fibs.set(&domain(), number, reader);
        self.tables.insert(number, Table::new(writer));
        self.set(number, host(Ipv4Addr::BROADCAST), LIMITED_BROADCAST, Path::LimitedBroadcast)?;
        Ok(number)
    }

    /// Takes away a table, in which only its own routes and those of routing daemons are left.
    pub fn remove_table(&mut self, number: u32) {
        let Routes { tables, adjacencies, balances, .. } = self;
        if let Some(mut table) = tables.remove(&number) {
            table.groups.clear(&mut Parts { adjacencies, balances });
            self.forwarding.fibs.clear(&domain(), number);
            self.numbers.release(number);
        }
    }

    /// Adds a route, or replaces the one of the same source without a gap.
    ///
    /// # Errors
    /// There is no room or no such table; all is as it was.
    pub fn set(&mut self, table: u32, prefix: Ipv4Net, source: Source, path: Path) -> Result<(), RouteError> {
        let Routes { tables, adjacencies, balances, .. } = self;
        let table = tables.get_mut(&table).ok_or(RouteError::NoTable)?;
        table.set(prefix.trunc(), source, path, &mut Parts { adjacencies, balances })
    }

    /// Takes out a source's route. False when it has none to that prefix.
    pub fn unset(&mut self, table: u32, prefix: Ipv4Net, source: Source) -> bool {
        let Routes { tables, adjacencies, balances, .. } = self;
        let Some(table) = tables.get_mut(&table) else { return false };
        table.unset(prefix.trunc(), source, &mut Parts { adjacencies, balances })
    }

    /// Adds an interface or tells what changed about it; routes follow its state.
    ///
    /// # Errors
    /// No adjacency is left for it.
    pub fn set_link(&mut self, interface: u32, link: Link) -> Result<(), RouteError> {
        let was_up = self.adjacencies.is_up(interface);
        if !self.adjacencies.set_link(interface, link) {
            return Err(RouteError::Limit("there are too many interfaces and neighbours"));
        }
        if was_up != link.up {
            self.follow(interface);
        }
        Ok(())
    }

    /// Takes an interface out. Routes that were made of its addresses must be gone.
    pub fn remove_link(&mut self, interface: u32) {
        if let Some(link) = self.adjacencies.link(interface) {
            self.adjacencies.set_link(interface, Link { up: false, ..link });
            self.follow(interface);
        }
        self.tables.values_mut().for_each(|table| table.groups.forget(interface));
        self.adjacencies.remove_link(interface);
    }

    fn follow(&mut self, interface: u32) {
        let Routes { tables, adjacencies, balances, .. } = self;
        for table in tables.values_mut() {
            table.interface_changed(interface, &mut Parts { adjacencies, balances });
        }
    }

    /// The adjacencies, to read.
    pub fn adjacencies(&self) -> &Adjacencies {
        &self.adjacencies
    }

    /// A neighbour's MAC address became known or changed: packets to it, and to what lies behind it, go there.
    ///
    /// # Errors
    /// There is no room for another neighbour.
    pub fn neighbor_known(
        &mut self,
        table: u32,
        interface: u32,
        address: Ipv4Addr,
        mac: millrace_wire::MacAddr,
    ) -> Result<(), RouteError> {
        let source = Source(Origin::Neighbor, interface);
        let is_new = !self.candidates(table, host(address)).any(|c| Source(c.origin, c.owner) == source);
        if is_new {
            let index = self.adjacencies.acquire(interface, address);
            let index = index.ok_or(RouteError::Limit("there are too many neighbours"))?;
            self.adjacencies.set_mac(interface, address, Some(mac));
            if let Err(error) = self.set(table, host(address), source, Path::Neighbor(index, interface)) {
                self.adjacencies.release(interface, address);
                return Err(error);
            }
        } else {
            self.adjacencies.set_mac(interface, address, Some(mac));
        }
        Ok(())
    }

    /// A neighbour's MAC address is no longer known.
    pub fn neighbor_unknown(&mut self, table: u32, interface: u32, address: Ipv4Addr) {
        self.adjacencies.set_mac(interface, address, None);
        if self.unset(table, host(address), Source(Origin::Neighbor, interface)) {
            self.adjacencies.release(interface, address);
        }
    }

    fn candidates(&self, table: u32, prefix: Ipv4Net) -> impl Iterator<Item = &Candidate> {
        let entry = self.tables.get(&table).and_then(|table| table.rib.entries.get(&prefix));
        entry.into_iter().flat_map(|entry| &entry.candidates)
    }

    /// The routes of a table from there on, in order of address and length: the one that is used, or would be if it
    /// worked; host routes of neighbours are left out.
    pub fn list(&self, table: u32, from: Bound<Ipv4Net>) -> impl Iterator<Item = (Ipv4Net, Shown<'_>)> {
        self.tables.get(&table).into_iter().flat_map(move |table| {
            table.rib.prefixes(from).filter_map(move |prefix| Some((prefix, self.shown(table, prefix)?)))
        })
    }

    /// One route of a table, as [`list`](Self::list) would show it.
    pub fn get(&self, table: u32, prefix: Ipv4Net) -> Option<Shown<'_>> {
        self.shown(self.tables.get(&table)?, prefix)
    }

    fn shown<'a>(&'a self, table: &'a Table, prefix: Ipv4Net) -> Option<Shown<'a>> {
        let best = table.best(prefix, &self.adjacencies).map(|(known, _)| known);
        Shown::of(best.or_else(|| table.rib.known(prefix).next())?, table)
    }

    /// The route that packets to an address take, past host routes of neighbours.
    pub fn match_shown(&self, table: u32, address: Ipv4Addr) -> Option<(Ipv4Net, Shown<'_>)> {
        let routes = self.tables.get(&table)?;
        let longest = routes.longest_match(address)?;
        let covering = (0..=longest.prefix_len()).rev().filter_map(|len| Ipv4Net::new(address, len).ok());
        covering.map(|net| net.trunc()).find_map(|prefix| {
            let (known, _) = routes.best(prefix, &self.adjacencies)?;
            Some((prefix, Shown::of(known, routes)?))
        })
    }

    /// The interface that each next hop of a listed route is reached by.
    pub fn interfaces(&self, table: u32, hops: &Arc<[Hop]>) -> Vec<Option<u32>> {
        self.tables.get(&table).map(|table| table.interfaces(hops)).unwrap_or_default()
    }

    /// Where packets to an address go.
    pub fn lookup(&self, table: u32, address: Ipv4Addr) -> Option<Target> {
        self.tables.get(&table)?.lookup(address)
    }

    /// The interface by which packets to an address leave; `None` when they don't.
    pub fn way_out(&self, table: u32, address: Ipv4Addr) -> Option<u32> {
        let guard = domain().register();
        let guard = guard.guard();
        let index = match self.lookup(table, address)? {
            Target::Adjacency(index) => index,
            Target::LoadBalance(index) => self.forwarding.load_balances.get(index, &guard)?.pick(0),
        };
        let adjacency = self.forwarding.adjacencies.get(index, &guard)?;
        (adjacency.interface != 0).then_some(adjacency.interface)
    }

    /// How many routes a table has, without host routes of neighbours and the ends of subnets.
    pub fn count(&self, table: u32) -> usize {
        let Some(routes) = self.tables.get(&table) else { return 0 };
        // Most are those of routing daemons, and need no closer look.
        let counts = |prefix: &Ipv4Net| match routes.rib.entries.contains_key(prefix) {
            true => self.shown(routes, *prefix).is_some_and(|shown| !shown.path.is_end()),
            false => true,
        };
        routes.rib.prefixes(Bound::Unbounded).filter(counts).count()
    }

    /// Bytes that a table takes.
    pub fn memory_bytes(&self, table: u32) -> usize {
        self.tables.get(&table).map_or(0, Table::memory_bytes)
    }

    /// How many load-balances there are.
    pub fn balances(&self) -> usize {
        self.balances.count()
    }
}

/// The prefix of one address.
pub fn host(address: Ipv4Addr) -> Ipv4Net {
    Ipv4Net::from(address)
}
