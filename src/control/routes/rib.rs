//! All routes of one VRF, used or not: those of the router itself, of which there are few and of several kinds, and those
//! of routing daemons, of which there may be millions, in as little memory as that takes.

use super::Origin;
use super::adjacencies::{BLACKHOLE, PROHIBIT, UNREACHABLE};
use super::groups::Groups;
use super::table::{Candidate, Entry, Path};
use ipnet::Ipv4Net;
use millrace_tables::fib::Target;
use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

/// Where a learned route leads: the number of a group of next hops, or one of the last numbers for what drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lead(u32);

impl Lead {
    /// Dropped in silence.
    pub const BLACKHOLE: Lead = Lead(u32::MAX);
    /// Dropped, and the sender is told "host unreachable".
    pub const UNREACHABLE: Lead = Lead(u32::MAX - 1);
    /// Dropped, and the sender is told "administratively prohibited".
    pub const PROHIBIT: Lead = Lead(u32::MAX - 2);

    /// Over the next hops of a group.
    pub const fn over(group: u32) -> Lead {
        Lead(group)
    }

    /// The group of next hops.
    pub fn group(self) -> Option<u32> {
        (self.0 < Lead::PROHIBIT.0).then_some(self.0)
    }

    /// Where that is in the forwarding plane.
    pub fn target(self, groups: &Groups) -> Option<Target> {
        match self {
            Lead::BLACKHOLE => Some(Target::Adjacency(BLACKHOLE)),
            Lead::UNREACHABLE => Some(Target::Adjacency(UNREACHABLE)),
            Lead::PROHIBIT => Some(Target::Adjacency(PROHIBIT)),
            Lead(group) => groups.get(group)?.target,
        }
    }

    /// In words.
    pub fn path(self, groups: &Groups) -> Option<Path> {
        Some(match self {
            Lead::BLACKHOLE => Path::Blackhole,
            Lead::UNREACHABLE => Path::Unreachable,
            Lead::PROHIBIT => Path::Prohibit,
            Lead(group) => Path::Via(Arc::clone(&groups.get(group)?.hops)),
        })
    }
}

/// A learned route, behind its prefix.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub lead: Lead,
    /// That of its origin when it was named last.
    pub generation: u32,
}

/// An origin that is not the router itself, and its routes.
#[derive(Debug)]
pub struct Learned {
    pub name: Arc<str>,
    /// Administrative distance.
    pub distance: u8,
    /// Who may change it.
    pub session: Option<u64>,
    /// Goes on by one each time that all routes are replaced. That 2^32 of these end too early while a route is never
    /// named, so that it would pass for a new one, does not happen.
    pub generation: u32,
    /// Whether all routes are being replaced.
    pub replacing: bool,
    pub routes: BTreeMap<Ipv4Net, Slot>,
}

impl Learned {
    /// Without routes.
    pub fn new(name: &str, distance: u8, session: u64) -> Learned {
        let name = name.into();
        Learned { name, distance, session: Some(session), generation: 0, replacing: false, routes: BTreeMap::new() }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Rib {
    /// What the router itself knows.
    pub entries: BTreeMap<Ipv4Net, Entry>,
    /// What it was told, the best first.
    pub learned: Vec<Learned>,
}

/// One route to a prefix.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// Of the router itself.
    Own(&'a Candidate),
    /// Of this origin.
    Told(&'a Learned, Lead),
}

impl<'a> Known<'a> {
    /// Whether it is the host route of a neighbour.
    pub fn is_neighbor(self) -> bool {
        matches!(self, Known::Own(candidate) if candidate.origin == Origin::Neighbor)
    }

    /// The word for its origin.
    pub fn origin(self) -> &'a str {
        match self {
            Known::Own(candidate) => candidate.origin.as_str(),
            Known::Told(learned, _) => &learned.name,
        }
    }
}

impl Rib {
    /// All routes to a prefix, the best first. Host routes of neighbours are the last.
    pub fn known(&self, prefix: Ipv4Net) -> impl Iterator<Item = Known<'_>> {
        self.known_with(prefix, None)
    }

    /// The same, without looking for that of one of the learned origins, which is given.
    pub fn known_with(&self, prefix: Ipv4Net, given: Option<(usize, Lead)>) -> impl Iterator<Item = Known<'_>> {
        let own = self.entries.get(&prefix).map_or(&[][..], |entry| &entry.candidates);
        let (own, neighbors) = own.split_at(own.partition_point(|c| c.origin < Origin::Neighbor));
        let told = self.learned.iter().enumerate().filter_map(move |(at, learned)| {
            let lead = match given {
                Some((origin, lead)) if origin == at => lead,
                _ => learned.routes.get(&prefix)?.lead,
            };
            Some(Known::Told(learned, lead))
        });
        own.iter().map(Known::Own).chain(told).chain(neighbors.iter().map(Known::Own))
    }

    /// All prefixes with routes from there on, in order of address and length, each once.
    pub fn prefixes(&self, from: Bound<Ipv4Net>) -> impl Iterator<Item = Ipv4Net> {
        let range = (from, Bound::Unbounded);
        let mut own = self.entries.range(range).peekable();
        let mut told: Vec<_> = self.learned.iter().map(|learned| learned.routes.range(range).peekable()).collect();
        std::iter::from_fn(move || {
            let first = peek(&mut own).into_iter().chain(told.iter_mut().filter_map(peek)).min()?;
            own.next_if(|(prefix, _)| **prefix == first);
            for of_one in &mut told {
                of_one.next_if(|(prefix, _)| **prefix == first);
            }
            Some(first)
        })
    }
}

fn peek<T>(routes: &mut Peekable<Range<'_, Ipv4Net, T>>) -> Option<Ipv4Net> {
    routes.peek().map(|(prefix, _)| **prefix)
}
