//! One VRF's routes: the candidates for each prefix, the sets of next hops that they share, and what of them is installed.

use super::resolve::{Resolver, Way, weigh};
use super::{Adjacencies, Balances, Origin, RouteError, Source};
use crate::control::routes::adjacencies::{BLACKHOLE, LOCAL, PROHIBIT, UNREACHABLE};
use ipnet::Ipv4Net;
use millrace_tables::fib::Target;
use millrace_tables::lpm4;
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// One way that a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// The next router.
    pub gateway: Ipv4Addr,
    /// The interface that it is on; looked up when it isn't said.
    pub interface: Option<u32>,
    /// Its share of the flows.
    pub weight: u16,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// To one of these.
    Via(Arc<[Hop]>),
    /// To the destination itself, on an interface's subnet.
    Glean(u32),
    /// To a neighbour whose adjacency this is, of this interface.
    Neighbor(u32, u32),
    /// To the router: an address of this interface.
    Local(u32),
    /// To the router: an address of no interface, behind which NAT hides others.
    External,
    /// Nowhere: the network or broadcast address of a subnet of this interface.
    Broadcast(u32),
    /// To the router, whichever interface it came by.
    LimitedBroadcast,
    /// Nowhere.
    Blackhole,
    /// Nowhere, and the sender is told "host unreachable".
    Unreachable,
    /// Nowhere, and the sender is told "administratively prohibited".
    Prohibit,
}

impl Path {
    /// Whether it stands for a broadcast address, old form or new: of little interest in a listing.
    pub fn is_end(&self) -> bool {
        matches!(self, Path::Broadcast(_) | Path::LimitedBroadcast)
    }
}

/// One route to a prefix; of several the best that works is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who made it; the lowest is the best.
    pub origin: Origin,
    /// Tells those of one origin apart.
    pub owner: u32,
    /// Where it leads.
    pub path: Path,
}

/// All routes to a prefix, the best first.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub candidates: Vec<Candidate>,
}

/// A set of next hops that routes share.
#[derive(Debug, Default)]
struct Group {
    users: usize,
    ways: Vec<Vec<Way>>,
    weighed: Vec<(u32, Ipv4Addr, u16)>,
    target: Option<Target>,
}

/// See the module.
#[derive(Debug)]
pub struct Table {
    writer: lpm4::Writer,
    pub entries: BTreeMap<Ipv4Net, Entry>,
    groups: HashMap<Arc<[Hop]>, Group>,
    /// Gateways that are looked up, with the number of hops that do.
    gateways: BTreeMap<Ipv4Addr, usize>,
}

/// What changing a table may use.
pub struct Parts<'a> {
    pub adjacencies: &'a mut Adjacencies,
    pub balances: &'a mut Balances,
}

impl Table {
    pub fn new(writer: lpm4::Writer) -> Table {
        Table { writer, entries: BTreeMap::new(), groups: HashMap::new(), gateways: BTreeMap::new() }
    }

    /// Adds a route, or replaces the one of the same source.
    pub fn set(
        &mut self,
        prefix: Ipv4Net,
        source: Source,
        path: Path,
        parts: &mut Parts<'_>,
    ) -> Result<(), RouteError> {
        let Source(origin, owner) = source;
        let path = match path {
            Path::Via(hops) => Path::Via(self.join(hops, parts)),
            other => other,
        };
        let entry = self.entries.entry(prefix).or_default();
        let new = Candidate { origin, owner, path };
        let key = |c: &Candidate| (c.origin, c.owner);
        let old = match entry.candidates.binary_search_by_key(&key(&new), key) {
            Ok(at) => Some(std::mem::replace(&mut entry.candidates[at], new)),
            Err(at) => {
                entry.candidates.insert(at, new);
                None
            }
        };
        let done = self.install(prefix, parts);
        if done.is_err() {
            self.put_back(prefix, source, old, parts);
            return done;
        }
        self.leave(old, parts);
        self.after(prefix, origin, parts);
        Ok(())
    }

    /// Takes out the route of a source. False when there is none.
    pub fn unset(&mut self, prefix: Ipv4Net, source: Source, parts: &mut Parts<'_>) -> bool {
        let Some(entry) = self.entries.get_mut(&prefix) else { return false };
        let Some(at) = entry.candidates.iter().position(|c| Source(c.origin, c.owner) == source) else { return false };
        let old = entry.candidates.remove(at);
        // Taking one out never needs room in the table; what may replace it has the same prefix.
        let _ = self.install(prefix, parts);
        if self.entries.get(&prefix).is_some_and(|entry| entry.candidates.is_empty()) {
            self.entries.remove(&prefix);
        }
        let origin = old.origin;
        self.leave(Some(old), parts);
        self.after(prefix, origin, parts);
        true
    }

    /// Undoes a [`Table::set`] that found no room.
    fn put_back(&mut self, prefix: Ipv4Net, source: Source, old: Option<Candidate>, parts: &mut Parts<'_>) {
        let Some(entry) = self.entries.get_mut(&prefix) else { return };
        let Some(at) = entry.candidates.iter().position(|c| Source(c.origin, c.owner) == source) else { return };
        let new = match old {
            Some(old) => std::mem::replace(&mut entry.candidates[at], old),
            None => entry.candidates.remove(at),
        };
        if entry.candidates.is_empty() {
            self.entries.remove(&prefix);
        }
        let _ = self.install(prefix, parts);
        self.leave(Some(new), parts);
    }

    /// What depends on a changed route is looked at again.
    fn after(&mut self, prefix: Ipv4Net, origin: Origin, parts: &mut Parts<'_>) {
        let covers = self.gateways.range(prefix.network()..=prefix.broadcast()).next().is_some();
        if covers && origin != Origin::Neighbor {
            self.resolve_again(parts);
        }
    }

    /// Puts the best route that works into the forwarding table, over the one that is there.
    fn install(&mut self, prefix: Ipv4Net, parts: &Parts<'_>) -> Result<(), RouteError> {
        let best = self.best(prefix, parts.adjacencies).map(|(_, target)| target.to_u32());
        match (best, self.writer.get(prefix)) {
            (Some(new), Some(old)) if new == old => {}
            (Some(new), _) => drop(self.writer.insert(prefix, new).map_err(|_| RouteError::Full)?),
            (None, Some(_)) => drop(self.writer.remove(prefix)),
            (None, None) => {}
        }
        Ok(())
    }

    /// The best route to a prefix that works, and where it leads.
    pub fn best(&self, prefix: Ipv4Net, adjacencies: &Adjacencies) -> Option<(&Candidate, Target)> {
        let entry = self.entries.get(&prefix)?;
        entry.candidates.iter().find_map(|candidate| Some((candidate, self.target(&candidate.path, adjacencies)?)))
    }

    fn target(&self, path: &Path, adjacencies: &Adjacencies) -> Option<Target> {
        let through = |interface: u32, index: u32| adjacencies.is_up(interface).then_some(Target::Adjacency(index));
        match path {
            Path::Via(hops) => self.groups.get(hops)?.target,
            Path::Glean(interface) => through(*interface, adjacencies.glean(*interface)?),
            Path::Neighbor(index, interface) => through(*interface, *index),
            Path::Local(interface) => through(*interface, LOCAL),
            Path::Broadcast(interface) => through(*interface, BLACKHOLE),
            Path::LimitedBroadcast | Path::External => Some(Target::Adjacency(LOCAL)),
            Path::Blackhole => Some(Target::Adjacency(BLACKHOLE)),
            Path::Unreachable => Some(Target::Adjacency(UNREACHABLE)),
            Path::Prohibit => Some(Target::Adjacency(PROHIBIT)),
        }
    }

    /// The interface by which each of these next hops is reached, as it was resolved last.
    pub fn interfaces(&self, hops: &Arc<[Hop]>) -> Vec<Option<u32>> {
        let Some(group) = self.groups.get(hops) else { return vec![None; hops.len()] };
        group.ways.iter().map(|ways| ways.first().map(|way| way.interface)).collect()
    }

    /// The prefix of the installed route that decides about an address.
    pub fn longest_match(&self, address: Ipv4Addr) -> Option<Ipv4Net> {
        self.writer.longest_match(address.to_bits()).map(|(prefix, _)| prefix)
    }

    /// Where packets to an address go.
    pub fn lookup(&self, address: Ipv4Addr) -> Option<Target> {
        self.writer.longest_match(address.to_bits()).map(|(_, value)| Target::from_u32(value))
    }

    /// Bytes that the forwarding table takes.
    pub fn memory_bytes(&self) -> usize {
        self.writer.memory_bytes()
    }

    /// Makes a route a user of the group of its next hops.
    fn join(&mut self, hops: Arc<[Hop]>, parts: &mut Parts<'_>) -> Arc<[Hop]> {
        if let Some((shared, _)) = self.groups.get_key_value(&hops) {
            let shared = Arc::clone(shared);
            if let Some(group) = self.groups.get_mut(&hops) {
                group.users += 1;
            }
            return shared;
        }
        for hop in hops.iter().filter(|hop| hop.interface.is_none()) {
            *self.gateways.entry(hop.gateway).or_default() += 1;
        }
        let mut group = Group { users: 1, ..Group::default() };
        group.ways = Resolver { entries: &self.entries, adjacencies: parts.adjacencies }.resolve(&hops);
        group.weighed = weigh(group.ways.iter().flatten().copied());
        group.target = acquire(&group.weighed, parts);
        self.groups.insert(Arc::clone(&hops), group);
        hops
    }

    /// Ends a route's use of its group.
    fn leave(&mut self, old: Option<Candidate>, parts: &mut Parts<'_>) {
        let Some(Candidate { path: Path::Via(hops), .. }) = old else { return };
        let Some(group) = self.groups.get_mut(&hops) else { return };
        group.users -= 1;
        if group.users > 0 {
            return;
        }
        if let Some(group) = self.groups.remove(&hops) {
            release(&group.weighed, group.target, parts);
        }
        for hop in hops.iter().filter(|hop| hop.interface.is_none()) {
            if let Some(users) = self.gateways.get_mut(&hop.gateway) {
                *users -= 1;
                if *users == 0 {
                    self.gateways.remove(&hop.gateway);
                }
            }
        }
    }

    /// Resolves all next hops anew, and then leads the routes by them whose way has changed.
    pub fn resolve_again(&mut self, parts: &mut Parts<'_>) {
        let resolver = Resolver { entries: &self.entries, adjacencies: parts.adjacencies };
        let news: Vec<_> = self.groups.keys().map(|hops| (Arc::clone(hops), resolver.resolve(hops))).collect();
        let mut outdated = Vec::new();
        for (hops, ways) in news {
            let Some(group) = self.groups.get_mut(&hops).filter(|group| group.ways != ways) else { continue };
            group.ways = ways;
            let weighed = weigh(group.ways.iter().flatten().copied());
            if weighed != group.weighed {
                let target = acquire(&weighed, parts);
                let old =
                    (std::mem::replace(&mut group.weighed, weighed), std::mem::replace(&mut group.target, target));
                outdated.push((hops, old));
            }
        }
        if outdated.is_empty() {
            return;
        }
        let changed: Vec<&Arc<[Hop]>> = outdated.iter().map(|(hops, _)| hops).collect();
        let by_them = |entry: &Entry| {
            let is = |c: &Candidate| matches!(&c.path, Path::Via(hops) if changed.contains(&hops));
            entry.candidates.iter().any(is)
        };
        let prefixes: Vec<_> = self.entries.iter().filter(|(_, entry)| by_them(entry)).map(|(p, _)| *p).collect();
        for prefix in prefixes {
            self.install_or_warn(prefix, parts);
        }
        // Only now does nothing lead there any more.
        for (_, (weighed, target)) in outdated {
            release(&weighed, target, parts);
        }
    }

    /// Installs or withdraws what hangs on the state of an interface.
    pub fn interface_changed(&mut self, interface: u32, parts: &mut Parts<'_>) {
        let hangs = |entry: &Entry| {
            entry.candidates.iter().any(|candidate| match candidate.path {
                Path::Glean(i) | Path::Neighbor(_, i) | Path::Local(i) | Path::Broadcast(i) => i == interface,
                _ => false,
            })
        };
        let prefixes: Vec<_> = self.entries.iter().filter(|(_, entry)| hangs(entry)).map(|(p, _)| *p).collect();
        for prefix in prefixes {
            self.install_or_warn(prefix, parts);
        }
        self.resolve_again(parts);
    }

    fn install_or_warn(&mut self, prefix: Ipv4Net, parts: &Parts<'_>) {
        if let Err(error) = self.install(prefix, parts) {
            tracing::warn!(%prefix, %error, "a route is not installed");
        }
    }
}

/// The target of ways; takes a use of every neighbour.
fn acquire(weighed: &[(u32, Ipv4Addr, u16)], parts: &mut Parts<'_>) -> Option<Target> {
    let mut shares = Vec::with_capacity(weighed.len());
    for (interface, gateway, weight) in weighed {
        shares.push((parts.adjacencies.acquire(*interface, *gateway)?, *weight));
    }
    shares.truncate(millrace_tables::load_balance::MAX_BUCKETS);
    shares.sort_unstable();
    parts.balances.acquire(&shares)
}

fn release(weighed: &[(u32, Ipv4Addr, u16)], target: Option<Target>, parts: &mut Parts<'_>) {
    if let Some(target) = target {
        parts.balances.release(target);
    }
    for (interface, gateway, _) in weighed {
        parts.adjacencies.release(*interface, *gateway);
    }
}
