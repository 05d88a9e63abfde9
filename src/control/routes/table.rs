//! One VRF's routes of one address family: the candidates for each prefix, and what of them is installed.
//!
//! A change of a route is O(log routes); what hangs on it follows at once if it leads over gateways inside the prefix. When a set of
//! next hops loses its last way, or gets its first, its routes give way to others or come back; finding them is a [walk] over all
//! routes, in pieces.

use super::adjacencies::{BLACKHOLE, LINK_LOCAL, LOCAL, PROHIBIT, UNREACHABLE};
use super::groups::{Groups, Members, Plane};
use super::path::{Candidate, Path};
use super::resolve::Resolver;
use super::rib::{Known, Lead, Rib};
use super::walk::{self, Walk};
use super::watch::Watchers;
use super::{Origin, RouteError, Source};
use millrace_tables::fib::Target;
use millrace_tables::lpm::{self, Address};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct Table<A: Address> {
    writer: lpm::Writer<A>,
    pub rib: Rib<A>,
    /// Prefixes of the router's own routes that hang on an interface by themselves.
    on_interface: BTreeMap<u32, BTreeSet<A::Net>>,
    /// Prefixes that listings show, by length.
    pub shown: Vec<u32>,
    /// Routes of the router's own origins that listings show.
    pub own: [usize; Origin::ALL.len()],
    pub walk: Walk<A>,
}

/// What changing a table may use.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The table's number.
    pub table: u32,
    pub groups: &'a mut Groups,
    pub plane: Plane<'a>,
    pub watchers: &'a mut Watchers,
}

impl<A: Address> Table<A> {
    pub fn new(writer: lpm::Writer<A>) -> Self {
        Table {
            writer,
            rib: Rib::new(0),
            on_interface: BTreeMap::new(),
            shown: vec![0; usize::from(A::BITS) + 1],
            own: Default::default(),
            walk: Walk::default(),
        }
    }

    /// Adds a route, or replaces the one of the same source.
    pub fn set(&mut self, prefix: A::Net, source: Source, path: Path, parts: &mut Parts<'_>) -> Result<(), RouteError> {
        let Source(origin, owner) = source;
        let group = self.join(&path, parts)?;
        let path = match (&path, group.and_then(|number| parts.groups.get(number)).map(|group| &group.members)) {
            (Path::Via(_), Some(Members::Hops(hops))) => Path::Via(Arc::clone(hops)),
            _ => path,
        };
        let old = self.swap(prefix, source, Some(Candidate { origin, owner, path, group }));
        if let Err(error) = self.install(prefix, parts) {
            let new = self.swap(prefix, source, old);
            let _ = self.install(prefix, parts);
            leave(new, parts);
            return Err(error);
        }
        leave(old, parts);
        self.after(prefix, origin, parts);
        Ok(())
    }

    /// Takes out the route of a source. False when there is none.
    pub fn unset(&mut self, prefix: A::Net, source: Source, parts: &mut Parts<'_>) -> bool {
        let Some(old) = self.swap(prefix, source, None) else { return false };
        // Taking one out never needs room in the table; what may replace it has the same prefix.
        let _ = self.install(prefix, parts);
        leave(Some(old), parts);
        self.after(prefix, source.0, parts);
        true
    }

    /// Puts a candidate into the place of the one of the same source, or none; what was there.
    fn swap(&mut self, prefix: A::Net, source: Source, new: Option<Candidate>) -> Option<Candidate> {
        let counted = self.rib.counts_without(prefix, None);
        let entry = self.rib.entries.entry(prefix).or_default();
        let candidates = &mut entry.candidates;
        let place = candidates.binary_search_by_key(&(source.0, source.1), |c| (c.origin, c.owner));
        let (counts, interface, adds) =
            (new.as_ref().is_some_and(Candidate::counts), new.as_ref().and_then(|c| c.path.interface()), new.is_some());
        let old = match (place, new) {
            (Ok(at), Some(new)) => candidates.get_mut(at).map(|place| std::mem::replace(place, new)),
            (Ok(at), None) => Some(candidates.remove(at)),
            (Err(at), Some(new)) => {
                candidates.insert(at, new);
                None
            }
            (Err(_), None) => None,
        };
        let left = old.as_ref().and_then(|old| old.path.interface());
        if let Some(left) = left.filter(|left| candidates.iter().all(|c| c.path.interface() != Some(*left)))
            && let Some(prefixes) = self.on_interface.get_mut(&left)
        {
            prefixes.remove(&prefix);
        }
        if let Some(interface) = interface {
            self.on_interface.entry(interface).or_default().insert(prefix);
        }
        if candidates.is_empty() {
            self.rib.entries.remove(&prefix);
        }
        if adds != old.is_some() {
            self.rib.tally(prefix, adds);
        }
        if let Some(count) = self.own.get_mut(source.0 as usize) {
            *count = *count + usize::from(counts) - usize::from(old.as_ref().is_some_and(Candidate::counts));
        }
        self.tally_shown(prefix, counted);
        old
    }

    /// Notes whether listings show a prefix, which they did before if `counted`.
    fn tally_shown(&mut self, prefix: A::Net, counted: bool) {
        let counts = self.rib.counts_without(prefix, None);
        if let Some(count) = self.shown.get_mut(usize::from(A::len(prefix))).filter(|_| counted != counts) {
            *count = if counts { *count + 1 } else { *count - 1 };
        }
    }

    /// Notes that the route of a learned origin to a prefix came, or went.
    pub fn tally_told(&mut self, prefix: A::Net, origin: usize, came: bool) {
        self.rib.tally(prefix, came);
        let alone = !self.rib.counts_without(prefix, Some(origin));
        if let Some(count) = self.shown.get_mut(usize::from(A::len(prefix))).filter(|_| alone) {
            *count = if came { *count + 1 } else { *count - 1 };
        }
    }

    /// What depends on a changed route is looked at again.
    fn after(&mut self, prefix: A::Net, origin: Origin, parts: &mut Parts<'_>) {
        if origin == Origin::Neighbor {
            return;
        }
        parts.watchers.tell(parts.table, prefix);
        let hanging: BTreeSet<u32> = parts.groups.hanging_on::<A>(prefix).collect();
        self.resolve_again(&hanging, parts);
        self.work(parts);
    }

    /// Puts the best route that works into the forwarding table, over the one that is there. True if that changes it.
    pub fn install(&mut self, prefix: A::Net, parts: &Parts<'_>) -> Result<bool, RouteError> {
        let best = self.best(prefix, parts.groups, parts.plane.adjacencies).map(|(_, target)| target);
        self.put(prefix, best)
    }

    /// The same when where a learned origin's route leads is known: looking it up is much of the work.
    pub fn install_told(&mut self, prefix: A::Net, told: (usize, Lead), parts: &Parts<'_>) -> Result<bool, RouteError> {
        let known = self.rib.known_with(prefix, Some(told));
        let best = first(known, parts.groups, parts.plane.adjacencies).map(|(_, target)| target);
        self.put(prefix, best)
    }

    fn put(&mut self, prefix: A::Net, best: Option<Target>) -> Result<bool, RouteError> {
        match (best.map(Target::to_u32), self.writer.get(prefix)) {
            (Some(new), Some(old)) if new == old => return Ok(false),
            (Some(new), _) => drop(self.writer.insert(prefix, new).map_err(|_| RouteError::Full)?),
            (None, Some(_)) => drop(self.writer.remove(prefix)),
            (None, None) => return Ok(false),
        }
        Ok(true)
    }

    /// The best route to a prefix that works, and where it leads.
    pub fn best(
        &self,
        prefix: A::Net,
        groups: &Groups,
        adjacencies: &super::Adjacencies,
    ) -> Option<(Known<'_>, Target)> {
        first(self.rib.known(prefix), groups, adjacencies)
    }

    /// The prefix of the installed route that decides about an address, and where it leads.
    pub fn longest_match(&self, address: A) -> Option<(A::Net, Target)> {
        self.writer.longest_match(address).map(|(prefix, value)| (prefix, Target::from_u32(value)))
    }

    /// Bytes that the forwarding table takes. O(1).
    pub fn memory_bytes(&self) -> usize {
        self.writer.memory_bytes()
    }

    /// Makes a route a user of the group that its path leads over, if any; the number of that.
    pub fn join(&mut self, path: &Path, parts: &mut Parts<'_>) -> Result<Option<u32>, RouteError> {
        const FULL: RouteError = RouteError::Limit("there are too many sets of next hops");
        let there = match path {
            Path::Via(hops) => parts.groups.number(hops),
            Path::NextVrf(table) => parts.groups.to_table(*table),
            _ => return Ok(None),
        };
        if let Some(number) = there {
            if !parts.groups.get(number).is_some_and(super::groups::Group::suits::<A>) {
                return Err(RouteError::Family);
            }
            parts.groups.join(number);
            return Ok(Some(number));
        }
        let (members, ways, looked) = match path {
            Path::Via(hops) if hops.iter().any(|hop| A::of_ip(hop.gateway).is_none()) => {
                return Err(RouteError::Family);
            }
            Path::Via(hops) => {
                let mut resolver = Resolver::new(&self.rib, parts.groups, parts.plane.adjacencies);
                let ways = resolver.resolve(hops, &[]);
                (Members::Hops(Arc::clone(hops)), ways, resolver.looked)
            }
            Path::NextVrf(table) => (Members::Table(*table), Vec::new(), Default::default()),
            _ => return Ok(None),
        };
        parts.groups.insert(members, ways, looked, &mut parts.plane).map(Some).ok_or(FULL)
    }

    /// Resolves the next hops of groups anew, as far as they are of this table.
    pub fn resolve_again<'g>(&mut self, numbers: impl IntoIterator<Item = &'g u32>, parts: &mut Parts<'_>) {
        for number in numbers {
            let Some(group) = parts.groups.get(*number).filter(|group| group.suits::<A>()) else { continue };
            let Members::Hops(hops) = &group.members else { continue };
            let mut resolver = Resolver::new(&self.rib, parts.groups, parts.plane.adjacencies);
            let ways = resolver.resolve(hops, &group.ways);
            let looked = resolver.looked;
            if parts.groups.set_ways(*number, ways, looked, &mut parts.plane) {
                self.walk.add(*number);
            }
        }
    }

    /// Installs or withdraws the router's own routes that hang on the state of an interface. O(those).
    pub fn interface_changed(&mut self, interface: u32, parts: &mut Parts<'_>) {
        let prefixes: Vec<_> = self.on_interface.get(&interface).into_iter().flatten().copied().collect();
        prefixes.into_iter().for_each(|prefix| self.install_or_warn(prefix, parts));
    }

    /// Has the routes of a group installed or withdrawn, by [`work`](Self::work).
    pub fn flipped(&mut self, group: u32) {
        self.walk.add(group);
    }

    /// Whether there is something for [`work`](Self::work).
    pub fn has_work(&self) -> bool {
        !self.walk.is_done()
    }

    /// The learned origins have changed their places.
    pub fn restart_work(&mut self) {
        self.walk.restart();
    }

    /// Installs or withdraws some of the routes of groups that began or ceased to work. True when there is more.
    pub fn work(&mut self, parts: &mut Parts<'_>) -> bool {
        for prefix in walk::piece(&mut self.walk, &self.rib) {
            self.install_or_warn(prefix, parts);
        }
        self.has_work()
    }

    fn install_or_warn(&mut self, prefix: A::Net, parts: &mut Parts<'_>) {
        match self.install(prefix, parts) {
            Ok(true) => parts.watchers.tell(parts.table, prefix),
            Ok(false) => {}
            Err(error) => tracing::warn!(%prefix, %error, "a route is not installed"),
        }
    }
}

/// Ends a route's use of its group.
fn leave(old: Option<Candidate>, parts: &mut Parts<'_>) {
    if let Some(number) = old.and_then(|old| old.group) {
        parts.groups.leave(number, &mut parts.plane);
    }
}

/// The first route that works.
fn first<'a>(
    mut known: impl Iterator<Item = Known<'a>>,
    groups: &Groups,
    adjacencies: &super::Adjacencies,
) -> Option<(Known<'a>, Target)> {
    let through = |interface: &u32, index: u32| adjacencies.is_up(*interface).then_some(Target::Adjacency(index));
    known.find_map(|known| {
        let target = match known {
            Known::Told(_, lead) => lead.target(groups)?,
            Known::Own(candidate) => match &candidate.path {
                Path::Via(_) | Path::NextVrf(_) => groups.get(candidate.group?)?.target()?,
                Path::Glean(interface) => through(interface, adjacencies.glean(*interface)?)?,
                Path::Neighbor(index, interface) => through(interface, *index)?,
                Path::Local(interface) => through(interface, LOCAL)?,
                Path::Broadcast(interface) => through(interface, BLACKHOLE)?,
                Path::LimitedBroadcast | Path::External | Path::Multicast => Target::Adjacency(LOCAL),
                Path::LinkLocal => Target::Adjacency(LINK_LOCAL),
                Path::Blackhole => Target::Adjacency(BLACKHOLE),
                Path::Unreachable => Target::Adjacency(UNREACHABLE),
                Path::Prohibit => Target::Adjacency(PROHIBIT),
            },
        };
        Some((known, target))
    })
}
