//! The routes of all VRFs and both address families: which there are, which of them win, where they lead, and the forwarding
//! tables made of them.
//!
//! A prefix has a candidate for each origin; the best that works is installed. The router's own routes come through
//! [`Routes::set`], those that routing daemons tell it through [`update`]. Next hops are resolved to neighbours, if
//! need be through other routes, and again when a route to a gateway or the state of an interface changes. What is
//! installed is always replaced in place, so that forwarding never sees a gap.
//!
//! What changes cost, for n routes, of which a set of next hops may be shared by any number:
//!
//! | change | work |
//! |---|---|
//! | a route comes, goes, or leads elsewhere | O(log n), and the forwarding table's own |
//! | a neighbour's MAC address | O(sets that lead to it alone); O(sets) when it is lost or found, as others are taken meanwhile |
//! | a next hop goes down or comes back, a gateway's way changes | O(sets that hang on it): no route is touched |
//! | a set loses its last way, or gets its first | the same at once; its routes give way to others, or come back, in pieces of [`Routes::work`]: O(n) in all |

pub mod adjacencies;
mod balances;
mod groups;
mod path;
mod resolve;
mod rib;
mod show;
mod table;
#[cfg(test)]
mod tests;
pub mod update;
mod vrf;
mod walk;
mod watch;

pub use adjacencies::{Adjacencies, Link};
pub use path::{Candidate, Hop, Path};
pub use show::{Shown, Step, Summary, What};
pub use watch::Changed;

use adjacencies::is_link_local;
use balances::Balances;
use ipnet::IpNet;
use millrace_engine::epoch::domain;
use millrace_graph_nodes::forwarding::{Forwarding, MAX_TABLES};
use millrace_tables::indices::Indices;
use millrace_tables::lpm::Lpm;
use millrace_wire::MacAddr;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Bound;
use tokio::sync::broadcast;
use vrf::{Split, Vrf};
use watch::Watchers;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    Ip4,
    /// IPv6.
    Ip6,
}

impl Family {
    /// That of a prefix.
    pub const fn of(prefix: IpNet) -> Family {
        match prefix {
            IpNet::V4(_) => Family::Ip4,
            IpNet::V6(_) => Family::Ip6,
        }
    }
}

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
    /// All of them, in order.
    pub const ALL: [Origin; 4] = [Origin::Connected, Origin::Nat, Origin::Static, Origin::Neighbor];

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
pub struct Source(pub Origin, pub u128);

/// Why a route can't be.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// See [`millrace_tables::lpm::TableFull`].
    #[error("the forwarding table is full: too many networks have longer prefixes inside")]
    Full,
    /// No table of that number.
    #[error("there is no such forwarding table")]
    NoTable,
    /// IPv4 routes lead over IPv4 gateways, IPv6 routes over IPv6 ones.
    #[error("a prefix and its gateways have to be of one address family")]
    Family,
    /// A limit of the forwarding plane.
    #[error("{0}")]
    Limit(&'static str),
    /// The system refuses memory.
    #[error("a forwarding table can't be made: {0}")]
    Memory(#[from] io::Error),
}

/// See the module.
#[derive(Debug)]
pub struct Routes {
    forwarding: Forwarding,
    numbers: Indices,
    vrfs: BTreeMap<u32, Vrf>,
    adjacencies: Adjacencies,
    balances: Balances,
    watchers: Watchers,
    /// Sessions of [`update`] so far.
    sessions: u64,
}

/// The routes that every table has.
const ALWAYS: Source = Source(Origin::Connected, u128::MAX);

impl Routes {
    /// Without tables.
    pub fn new(forwarding: Forwarding) -> Routes {
        Routes {
            numbers: Indices::new(0..MAX_TABLES),
            vrfs: BTreeMap::new(),
            adjacencies: Adjacencies::new(forwarding.clone()),
            balances: Balances::new(forwarding.clone()),
            watchers: Watchers::default(),
            sessions: 0,
            forwarding,
        }
    }

    /// A new table, for both families; the first has number 0.
    ///
    /// # Errors
    /// No number or no memory is left.
    pub fn add_table(&mut self) -> Result<u32, RouteError> {
        let number = self.numbers.allocate().ok_or(RouteError::Limit("there are 1024 VRFs already"))?;
        let ((four, four_reader), (six, six_reader)) = (Lpm::new::<u32>()?, Lpm::new::<u128>()?);
        // Numbers are below the capacity.
        let _ = self.forwarding.fibs.set(&domain(), number, four_reader);
        let _ = self.forwarding.fibs6.set(&domain(), number, six_reader);
        self.vrfs.insert(number, Vrf::new(four, six));
        self.table_changed(number, true);
        // The limited broadcast address is the router's own in every table (RFC 1812 section 5.3.5.1); what is link-local or
        // multicast is never forwarded (RFC 4291 section 2.5.6; there is no multicast routing).
        let everywhere = [
            (IpNet::from(IpAddr::V4(Ipv4Addr::BROADCAST)), Path::LimitedBroadcast),
            (IpNet::V6(<u128 as millrace_tables::lpm::Address>::net(0xfe80 << 112, 10)), Path::LinkLocal),
            (IpNet::V6(<u128 as millrace_tables::lpm::Address>::net(0xff << 120, 8)), Path::Multicast),
        ];
        for (prefix, path) in everywhere {
            self.set(number, prefix, ALWAYS, path)?;
        }
        Ok(number)
    }

    /// Takes away a table, in which only its own routes and those of routing daemons are left. Routes of other tables that lead to
    /// it lead nowhere from now on.
    pub fn remove_table(&mut self, number: u32) {
        let shown: Vec<IpNet> = match self.watchers.is_idle() {
            true => Vec::new(),
            false => {
                let all = self.list(number, Bound::Unbounded);
                all.filter(|(_, shown)| !shown.path.is_end()).map(|(prefix, _)| prefix).collect()
            }
        };
        let Some(mut vrf) = self.vrfs.remove(&number) else { return };
        shown.into_iter().for_each(|prefix| self.watchers.tell(number, prefix));
        let Routes { adjacencies, balances, .. } = self;
        vrf.groups.clear(&mut groups::Plane { adjacencies, balances });
        self.table_changed(number, false);
        self.forwarding.fibs.clear(&domain(), number);
        self.forwarding.fibs6.clear(&domain(), number);
        self.numbers.release(number);
    }

    /// Lets what leads to a table follow.
    fn table_changed(&mut self, number: u32, there: bool) {
        self.adjacencies.set_table(number, there);
        for table in self.tables() {
            let Some(Split { four, six, mut parts, .. }) = self.split(table) else { continue };
            let Some(group) = parts.groups.to_table(number) else { continue };
            if parts.groups.table_changed(group, &mut parts.plane) {
                four.flipped(group);
                six.flipped(group);
            }
            if !there {
                parts.groups.forget_table(number);
            }
            four.work(&mut parts);
            six.work(&mut parts);
        }
    }

    fn tables(&self) -> Vec<u32> {
        self.vrfs.keys().copied().collect()
    }

    /// The parts of a table that work together.
    fn split(&mut self, table: u32) -> Option<Split<'_>> {
        let Routes { vrfs, adjacencies, balances, watchers, .. } = self;
        let plane = groups::Plane { adjacencies, balances };
        Some(vrfs.get_mut(&table)?.split(table, plane, watchers))
    }

    /// Adds a route, or replaces the one of the same source without a gap. Host bits of the prefix are ignored.
    ///
    /// # Errors
    /// There is no room or no such table, or the families differ; all is as it was.
    pub fn set(&mut self, table: u32, prefix: IpNet, source: Source, path: Path) -> Result<(), RouteError> {
        let Split { four, six, mut parts, .. } = self.split(table).ok_or(RouteError::NoTable)?;
        match prefix {
            IpNet::V4(prefix) => four.set(prefix.trunc(), source, path, &mut parts),
            IpNet::V6(prefix) => six.set(prefix.trunc(), source, path, &mut parts),
        }
    }

    /// Takes out a source's route. False when it has none to that prefix.
    pub fn unset(&mut self, table: u32, prefix: IpNet, source: Source) -> bool {
        let Some(Split { four, six, mut parts, .. }) = self.split(table) else { return false };
        match prefix {
            IpNet::V4(prefix) => four.unset(prefix.trunc(), source, &mut parts),
            IpNet::V6(prefix) => six.unset(prefix.trunc(), source, &mut parts),
        }
    }

    /// Adds an interface or tells what changed about it; routes follow its state: sets of next hops at once, the routes of those
    /// that can't be reached any more or can be again by [`work`](Self::work).
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
        self.vrfs.values_mut().for_each(|vrf| vrf.groups.forget_interface(interface));
        self.adjacencies.remove_link(interface);
    }

    /// Lets routes follow the state of an interface: next hops first, as most traffic hangs on them.
    fn follow(&mut self, interface: u32) {
        for table in self.tables() {
            let Some(Split { four, six, mut parts, .. }) = self.split(table) else { continue };
            let hanging = parts.groups.on_interface(interface);
            four.resolve_again(&hanging, &mut parts);
            six.resolve_again(&hanging, &mut parts);
        }
        for table in self.tables() {
            let Some(Split { four, six, mut parts, .. }) = self.split(table) else { continue };
            four.interface_changed(interface, &mut parts);
            six.interface_changed(interface, &mut parts);
            four.work(&mut parts);
            six.work(&mut parts);
        }
    }

    /// Does a piece, about a millisecond's work, of what changes left to be done: withdrawing routes whose next hops can't be reached
    /// any more in favour of others, installing those whose next hops can be again. True when there is more.
    pub fn work(&mut self) -> bool {
        let busy = |vrf: &Vrf| vrf.four.has_work() || vrf.six.has_work();
        let next = self.vrfs.iter().find(|(_, vrf)| busy(vrf)).map(|(table, _)| *table);
        if let Some(Split { four, six, mut parts, .. }) = next.and_then(|table| self.split(table)) {
            if four.has_work() {
                four.work(&mut parts);
            } else {
                six.work(&mut parts);
            }
        }
        self.has_work()
    }

    /// Whether there is something for [`work`](Self::work). O(tables).
    pub fn has_work(&self) -> bool {
        self.vrfs.values().any(|vrf| vrf.four.has_work() || vrf.six.has_work())
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
        address: IpAddr,
        mac: MacAddr,
    ) -> Result<(), RouteError> {
        if self.adjacencies.is_known(interface, address) {
            self.adjacencies.set_mac(interface, address, Some(mac));
            return Ok(());
        }
        let index = self.adjacencies.acquire(interface, address);
        let index = index.ok_or(RouteError::Limit("there are too many neighbours"))?;
        let was_lost = self.adjacencies.is_lost(interface, address);
        self.adjacencies.set_mac(interface, address, Some(mac));
        if was_lost {
            self.neighbor_changed(interface, address);
        }
        if is_link_local(address) {
            return Ok(());
        }
        let source = Source(Origin::Neighbor, interface.into());
        let done = self.set(table, host(address), source, Path::Neighbor(index, interface));
        if done.is_err() {
            self.adjacencies.set_mac(interface, address, None);
            self.adjacencies.release(interface, address);
        }
        done
    }

    /// Lets the packet path find link-local neighbours as they are now, after any number of them became known or unknown. Others it
    /// finds at once.
    pub fn publish_link_locals(&mut self) {
        self.adjacencies.publish_link_locals();
    }

    /// A neighbour's MAC address is no longer known. Where it is one of several next hops, flows go to the others until it is known
    /// again, which somebody has to ask for.
    pub fn neighbor_unknown(&mut self, table: u32, interface: u32, address: IpAddr) {
        if self.adjacencies.is_known(interface, address) {
            self.adjacencies.set_mac(interface, address, None);
            self.neighbor_changed(interface, address);
            self.unset(table, host(address), Source(Origin::Neighbor, interface.into()));
            self.adjacencies.release(interface, address);
        }
    }

    /// Lets sets of next hops follow that a neighbour was lost, or found.
    fn neighbor_changed(&mut self, interface: u32, address: IpAddr) {
        for table in self.tables() {
            let Some(Split { parts, .. }) = self.split(table) else { continue };
            parts.groups.neighbor_changed(interface, address, &parts.plane);
        }
    }

    /// Whether the packet path is to tell when it uses what it knows of a neighbour: its MAC address may be right no more.
    pub fn neighbor_stale(&mut self, interface: u32, address: IpAddr, stale: bool) {
        self.adjacencies.set_stale(interface, address, stale);
    }

    /// What may have changed, from now on, of the routes that listings show. Nothing is told of routes that stay as they are while
    /// their next hops are reached otherwise.
    pub fn subscribe(&mut self) -> broadcast::Receiver<Changed> {
        self.watchers.add()
    }
}

/// The prefix of one address.
pub fn host(address: IpAddr) -> IpNet {
    IpNet::from(address)
}
