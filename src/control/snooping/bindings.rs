//! Which stations have which addresses: what was seen goes in, checked, limited and aged, and is published for the packet path, which
//! answers for them (RFC 9161).

use millrace_engine::counters::MAX_INTERFACES;
use millrace_graph_nodes::l2::suppress::{Binding, LISTS, Seen};
use millrace_graph_nodes::l2::{Bridging, suppress};
use millrace_tables::mac::{Known, Station};
use millrace_wire::MacAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Bindings in all.
pub const TABLE: usize = 65_536;
/// Bindings in a domain.
pub const DOMAIN: usize = 32_768;
/// Bindings that were learnt by one port: an uplink may have many stations behind it.
pub const PORT: usize = 8192;
/// Seconds that a binding is good for without being seen: hosts that use an address ask for, and are asked for, more often.
const AGE: u32 = 300;
/// RFC 9161 section 3.7: an address that is claimed by turns so often ...
const MOVES: u8 = 5;
/// ... within this time is a duplicate.
const WINDOW: Duration = Duration::from_secs(180);
/// Lists that are swept at once: the whole table is every ten seconds.
const SWEEP: u32 = LISTS / 10;

/// A binding and what control knows of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What the packet path has.
    pub binding: Binding,
    /// The port by which it was learnt.
    pub port: u32,
    /// Whether the address is the router's own, of its interface in the bridge: it doesn't age, and nobody takes it.
    pub own: bool,
    /// Changes of the station since `window`.
    moves: u8,
    window: Instant,
}

/// Why a binding is not learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The port has [`PORT`].
    Port,
    /// The domain has [`DOMAIN`].
    Domain,
    /// There are [`TABLE`].
    Table,
}

/// What became of a sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new binding, or one that says a bit more.
    Learnt,
    /// The address was another station's.
    Moved(MacAddr),
    /// The same, and that was too often: the bridge doesn't answer for the address until that ends.
    Disputed(MacAddr),
    /// The router's own address.
    Own,
    /// There is no such station in the domain any more.
    NoStation,
    /// Not learnt.
    Refused(Refused),
}

/// See the module.
#[derive(Debug)]
pub struct Table {
    bridging: Bridging,
    lists: Vec<Vec<Entry>>,
    len: usize,
    domains: BTreeMap<u16, usize>,
    /// Learnt ones by port.
    ports: BTreeMap<u32, usize>,
    /// Lists that changed since they were published.
    changed: BTreeSet<u32>,
    /// Where the next sweep begins.
    hand: u32,
    /// The router's own addresses.
    own: BTreeMap<(u16, IpAddr), (MacAddr, u32)>,
    refused: u64,
}

impl Table {
    /// An empty one.
    pub fn new(bridging: Bridging) -> Table {
        Table {
            bridging,
            lists: vec![Vec::new(); LISTS as usize],
            len: 0,
            domains: BTreeMap::new(),
            ports: BTreeMap::new(),
            changed: BTreeSet::new(),
            hand: 0,
            own: BTreeMap::new(),
            refused: 0,
        }
    }

    fn list(&self, domain: u16, address: IpAddr) -> u32 {
        self.bridging.snoop.bindings.list(domain, address)
    }

    fn find(&mut self, domain: u16, address: IpAddr) -> (u32, Option<&mut Entry>) {
        let number = self.list(domain, address);
        let list = self.lists.get_mut(number as usize).map(Vec::as_mut_slice).unwrap_or_default();
        let is = |entry: &&mut Entry| entry.binding.domain == domain && entry.binding.address == address;
        (number, list.iter_mut().find(is))
    }

    /// Where a station is.
    fn known(&self, domain: u16, mac: MacAddr) -> Option<Known> {
        let (stations, station) = (&self.bridging.stations, Station::new(domain, mac.0));
        stations.find(station, stations.place(station))
    }

    /// The interface that a station is behind.
    pub fn interface(&self, binding: &Binding) -> Option<u32> {
        let behind = self.known(binding.domain, binding.mac)?.port;
        if usize::from(behind) < MAX_INTERFACES { Some(behind.into()) } else { self.bridging.behind(behind) }
    }

    /// Takes in that a station was seen with an address, at so many seconds (see [`suppress::seconds`]).
    pub fn seen(&mut self, seen: &Seen, now: Instant, seconds: u32) -> Outcome {
        let Seen { interface, domain, address, mac, router, override_ } = *seen;
        if self.known(domain, mac).is_none() {
            return Outcome::NoStation;
        }
        let (number, entry) = self.find(domain, address);
        let Some(entry) = entry else {
            let Err(refused) = self.room(domain, interface) else {
                let seen = Arc::new(AtomicU32::new(seconds));
                let binding = Binding { domain, address, mac, router, override_, disputed: false, seen };
                self.insert(number, Entry { binding, port: interface, own: false, moves: 0, window: now });
                return Outcome::Learnt;
            };
            self.refused += 1;
            return Outcome::Refused(refused);
        };
        if entry.own {
            // It may be the router itself that was seen.
            return if entry.binding.mac == mac { Outcome::Learnt } else { Outcome::Own };
        }
        let before = std::mem::replace(&mut entry.binding.mac, mac);
        (entry.binding.router, entry.binding.override_) = (router, override_);
        entry.binding.seen.store(seconds, Relaxed);
        let mut outcome = Outcome::Learnt;
        if before != mac {
            if now.saturating_duration_since(entry.window) >= WINDOW {
                (entry.moves, entry.window) = (0, now);
            }
            entry.moves = entry.moves.saturating_add(1);
            let is_new = entry.moves >= MOVES && !std::mem::replace(&mut entry.binding.disputed, entry.moves >= MOVES);
            outcome = if is_new { Outcome::Disputed(before) } else { Outcome::Moved(before) };
        }
        let from = std::mem::replace(&mut entry.port, interface);
        self.changed.insert(number);
        self.count(from, -1);
        self.count(interface, 1);
        outcome
    }

    fn room(&self, domain: u16, port: u32) -> Result<(), Refused> {
        let has = |count: Option<&usize>| count.copied().unwrap_or(0);
        match () {
            () if has(self.ports.get(&port)) >= PORT => Err(Refused::Port),
            () if has(self.domains.get(&domain)) >= DOMAIN => Err(Refused::Domain),
            () if self.len >= TABLE => Err(Refused::Table),
            () => Ok(()),
        }
    }

    fn insert(&mut self, number: u32, entry: Entry) {
        self.len += 1;
        *self.domains.entry(entry.binding.domain).or_default() += 1;
        if !entry.own {
            self.count(entry.port, 1);
        }
        if let Some(list) = self.lists.get_mut(number as usize) {
            list.push(entry);
        }
        self.changed.insert(number);
    }

    fn count(&mut self, port: u32, change: isize) {
        let count = self.ports.entry(port).or_default();
        *count = count.saturating_add_signed(change);
        if *count == 0 {
            self.ports.remove(&port);
        }
    }

    /// Keeps those of these lists that `keep` says yes to.
    fn retain(&mut self, lists: impl Iterator<Item = u32>, mut keep: impl FnMut(&mut Entry) -> bool) {
        let mut gone = Vec::new();
        for number in lists {
            let Some(list) = self.lists.get_mut(number as usize) else { continue };
            let before = gone.len();
            gone.extend(list.extract_if(.., |entry| !keep(entry)));
            if gone.len() != before {
                self.changed.insert(number);
            }
        }
        for Entry { binding, port, own, .. } in gone {
            self.len -= 1;
            if let Some(count) = self.domains.get_mut(&binding.domain) {
                *count -= 1;
            }
            if !own {
                self.count(port, -1);
            }
        }
        self.domains.retain(|_, count| *count > 0);
    }

    /// Sets the router's own addresses, with the interfaces in the bridge that have them.
    pub fn set_own(&mut self, own: BTreeMap<(u16, IpAddr), (MacAddr, u32)>, now: Instant) {
        if own == self.own {
            return;
        }
        let before = std::mem::replace(&mut self.own, own.clone());
        let of = |key: &(u16, IpAddr)| self.list(key.0, key.1);
        let touched: BTreeSet<u32> = before.keys().chain(own.keys()).map(of).collect();
        // What was learnt before gives way.
        self.retain(touched.into_iter(), |entry| {
            let key = (entry.binding.domain, entry.binding.address);
            !entry.own && !own.contains_key(&key)
        });
        for ((domain, address), (mac, port)) in own {
            let (number, seen) = (self.list(domain, address), Arc::default());
            // ARP doesn't tell routers from hosts.
            let router = address.is_ipv6();
            let binding = Binding { domain, address, mac, router, override_: true, disputed: false, seen };
            self.insert(number, Entry { binding, port, own: true, moves: 0, window: now });
        }
    }

    /// Forgets the bindings of domains that `keep` says no to.
    pub fn keep_domains(&mut self, keep: impl Fn(u16) -> bool) {
        if self.domains.keys().any(|domain| !keep(*domain)) {
            self.own.retain(|(domain, _), _| keep(*domain));
            self.retain(0..LISTS, |entry| keep(entry.binding.domain));
        }
    }

    /// Looks at a piece of the table: forgets bindings that were not seen for long, or whose station is gone, and ends disputes.
    pub fn sweep(&mut self, now: Instant, seconds: u32) {
        let lists = self.hand..LISTS.min(self.hand + SWEEP);
        self.hand = if lists.end == LISTS { 0 } else { lists.end };
        let bridging = self.bridging.clone();
        let mut settled = BTreeSet::new();
        self.retain(lists, |entry| {
            let Entry { binding, own, moves, window, .. } = entry;
            if binding.disputed && now.saturating_duration_since(*window) >= WINDOW {
                (binding.disputed, *moves) = (false, 0);
                settled.insert((binding.domain, binding.address));
            }
            let station = Station::new(binding.domain, binding.mac.0);
            let there = bridging.stations.find(station, bridging.stations.place(station)).is_some();
            *own || there && seconds.saturating_sub(binding.seen.load(Relaxed)) < AGE
        });
        for (domain, address) in settled {
            let list = self.list(domain, address);
            self.changed.insert(list);
        }
    }

    /// Tells the packet path what changed.
    pub fn publish(&mut self) {
        for number in std::mem::take(&mut self.changed) {
            let list = self.lists.get(number as usize).map(Vec::as_slice).unwrap_or_default();
            let bindings = list.iter().map(|entry| entry.binding.clone()).collect();
            self.bridging.snoop.bindings.publish(number, bindings);
        }
    }

    /// All, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.lists.iter().flatten()
    }

    /// A piece of all, and where the next one begins.
    pub fn piece(&self, from: usize) -> (impl Iterator<Item = &Entry>, Option<usize>) {
        let (all, end) = (self.lists.len(), from.saturating_add(SWEEP as usize));
        (self.lists.iter().take(end).skip(from).flatten(), Some(end).filter(|end| *end < all))
    }

    /// How many were not learnt.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// Seconds since a binding was seen.
pub fn age(binding: &Binding) -> u32 {
    suppress::seconds().saturating_sub(binding.seen.load(Relaxed))
}

#[cfg(test)]
#[path = "bindings_tests.rs"]
mod tests;
