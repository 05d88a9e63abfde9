//! One VRF's routes: the candidates for each prefix, the sets of next hops that they share, and what of them is installed.

use super::groups::{self, Group, Groups};
use super::resolve::{Resolver, weigh};
use super::rib::{Known, Lead, Rib};
use super::{Adjacencies, Balances, Origin, RouteError, Source};
use crate::control::routes::adjacencies::{BLACKHOLE, LOCAL, PROHIBIT, UNREACHABLE};
use ipnet::Ipv4Net;
use millrace_tables::fib::Target;
use millrace_tables::lpm4;
use std::collections::HashSet;
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

/// See the module.
#[derive(Debug)]
pub struct Table {
    writer: lpm4::Writer,
    pub rib: Rib,
    pub groups: Groups,
}

/// What changing a table may use.
#[derive(Debug)]
pub struct Parts<'a> {
    pub adjacencies: &'a mut Adjacencies,
    pub balances: &'a mut Balances,
}

impl Table {
    pub fn new(writer: lpm4::Writer) -> Table {
        Table { writer, rib: Rib::default(), groups: Groups::default() }
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
            Path::Via(hops) => {
                let number = self.join(&hops, parts);
                Path::Via(self.groups.get(number).map_or(hops, |group| Arc::clone(&group.hops)))
            }
            other => other,
        };
        let entry = self.rib.entries.entry(prefix).or_default();
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
        let Some(entry) = self.rib.entries.get_mut(&prefix) else { return false };
        let Some(at) = entry.candidates.iter().position(|c| Source(c.origin, c.owner) == source) else { return false };
        let old = entry.candidates.remove(at);
        // Taking one out never needs room in the table; what may replace it has the same prefix.
        let _ = self.install(prefix, parts);
        if self.rib.entries.get(&prefix).is_some_and(|entry| entry.candidates.is_empty()) {
            self.rib.entries.remove(&prefix);
        }
        let origin = old.origin;
        self.leave(Some(old), parts);
        self.after(prefix, origin, parts);
        true
    }

    /// Undoes a [`Table::set`] that found no room.
    fn put_back(&mut self, prefix: Ipv4Net, source: Source, old: Option<Candidate>, parts: &mut Parts<'_>) {
        let Some(entry) = self.rib.entries.get_mut(&prefix) else { return };
        let Some(at) = entry.candidates.iter().position(|c| Source(c.origin, c.owner) == source) else { return };
        let new = match old {
            Some(old) => std::mem::replace(&mut entry.candidates[at], old),
            None => entry.candidates.remove(at),
        };
        if entry.candidates.is_empty() {
            self.rib.entries.remove(&prefix);
        }
        let _ = self.install(prefix, parts);
        self.leave(Some(new), parts);
    }

    /// What depends on a changed route is looked at again.
    fn after(&mut self, prefix: Ipv4Net, origin: Origin, parts: &mut Parts<'_>) {
        if origin != Origin::Neighbor && self.groups.look_up_in(prefix) {
            self.resolve_again(parts);
        }
    }

    /// Puts the best route that works into the forwarding table, over the one that is there.
    pub fn install(&mut self, prefix: Ipv4Net, parts: &Parts<'_>) -> Result<(), RouteError> {
        let best = self.best(prefix, parts.adjacencies).map(|(_, target)| target);
        self.put(prefix, best)
    }

    /// The same when where a learned origin's route leads is known: looking it up is much of the work.
    pub fn install_told(&mut self, prefix: Ipv4Net, told: (usize, Lead), parts: &Parts<'_>) -> Result<(), RouteError> {
        let best = self.first(self.rib.known_with(prefix, Some(told)), parts.adjacencies).map(|(_, target)| target);
        self.put(prefix, best)
    }

    fn put(&mut self, prefix: Ipv4Net, best: Option<Target>) -> Result<(), RouteError> {
        match (best.map(Target::to_u32), self.writer.get(prefix)) {
            (Some(new), Some(old)) if new == old => {}
            (Some(new), _) => drop(self.writer.insert(prefix, new).map_err(|_| RouteError::Full)?),
            (None, Some(_)) => drop(self.writer.remove(prefix)),
            (None, None) => {}
        }
        Ok(())
    }

    /// The best route to a prefix that works, and where it leads.
    pub fn best(&self, prefix: Ipv4Net, adjacencies: &Adjacencies) -> Option<(Known<'_>, Target)> {
        self.first(self.rib.known(prefix), adjacencies)
    }

    /// The first route that works.
    fn first<'a>(
        &self,
        mut known: impl Iterator<Item = Known<'a>>,
        adjacencies: &Adjacencies,
    ) -> Option<(Known<'a>, Target)> {
        known.find_map(|known| {
            let target = match known {
                Known::Own(candidate) => self.target(&candidate.path, adjacencies)?,
                Known::Told(_, lead) => lead.target(&self.groups)?,
            };
            Some((known, target))
        })
    }

    fn target(&self, path: &Path, adjacencies: &Adjacencies) -> Option<Target> {
        let through = |interface: u32, index: u32| adjacencies.is_up(interface).then_some(Target::Adjacency(index));
        match path {
            Path::Via(hops) => self.groups.get(self.groups.number(hops)?)?.target,
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
        let group = self.groups.number(hops).and_then(|number| self.groups.get(number));
        let Some(group) = group else { return vec![None; hops.len()] };
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

    /// Makes a route a user of the group of its next hops; the number of that.
    pub fn join(&mut self, hops: &Arc<[Hop]>, parts: &mut Parts<'_>) -> u32 {
        if let Some(number) = self.groups.number(hops) {
            self.groups.join(number);
            return number;
        }
        let resolver = Resolver { rib: &self.rib, groups: &self.groups, adjacencies: parts.adjacencies };
        let ways = resolver.resolve(hops);
        let weighed = weigh(ways.iter().flatten().copied());
        self.groups.insert(Group::new(Arc::clone(hops), ways, weighed, parts))
    }

    /// Ends a route's use of its group.
    fn leave(&mut self, old: Option<Candidate>, parts: &mut Parts<'_>) {
        let Some(Candidate { path: Path::Via(hops), .. }) = old else { return };
        if let Some(number) = self.groups.number(&hops) {
            self.groups.leave(number, parts);
        }
    }

    /// Resolves all next hops anew, and then leads the routes by them whose way has changed.
    pub fn resolve_again(&mut self, parts: &mut Parts<'_>) {
        let resolver = Resolver { rib: &self.rib, groups: &self.groups, adjacencies: parts.adjacencies };
        let ways_of = |number| Some((number, resolver.resolve(&self.groups.get(number)?.hops)));
        let news: Vec<_> = self.groups.numbers().filter_map(ways_of).collect();
        let mut changed = HashSet::new();
        let mut outdated = Vec::new();
        for (number, ways) in news {
            let Some(group) = self.groups.get_mut(number).filter(|group| group.ways != ways) else { continue };
            group.ways = ways;
            let weighed = weigh(group.ways.iter().flatten().copied());
            if weighed != group.weighed {
                let target = groups::acquire(&weighed, parts);
                changed.insert(number);
                outdated.push((
                    std::mem::replace(&mut group.weighed, weighed),
                    std::mem::replace(&mut group.target, target),
                ));
            }
        }
        if changed.is_empty() {
            return;
        }
        let is_changed = |number: Option<u32>| number.is_some_and(|number| changed.contains(&number));
        let own = |c: &Candidate| matches!(&c.path, Path::Via(hops) if is_changed(self.groups.number(hops)));
        let own = self.rib.entries.iter().filter(|(_, entry)| entry.candidates.iter().any(own)).map(|(p, _)| *p);
        let told = self.rib.learned.iter().flat_map(|learned| &learned.routes);
        let told = told.filter(|(_, slot)| is_changed(slot.lead.group())).map(|(p, _)| *p);
        for prefix in own.chain(told).collect::<Vec<_>>() {
            self.install_or_warn(prefix, parts);
        }
        // Only now does nothing lead there any more.
        for (weighed, target) in outdated {
            groups::release(&weighed, target, parts);
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
        let prefixes: Vec<_> = self.rib.entries.iter().filter(|(_, entry)| hangs(entry)).map(|(p, _)| *p).collect();
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
