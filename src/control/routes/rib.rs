//! All routes of one VRF and address family, used or not: those of the router itself, of which there are few and of several kinds,
//! and those of routing daemons, of which there may be millions, in as little memory as that takes.

use super::Origin;
use super::adjacencies::{BLACKHOLE, PROHIBIT, UNREACHABLE};
use super::groups::{Groups, Members};
use super::path::{Candidate, Entry, Path};
use millrace_tables::fib::Target;
use millrace_tables::lpm::Address;
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
            Lead(group) => groups.get(group)?.target(),
        }
    }

    /// In words.
    pub fn path(self, groups: &Groups) -> Option<Path> {
        Some(match self {
            Lead::BLACKHOLE => Path::Blackhole,
            Lead::UNREACHABLE => Path::Unreachable,
            Lead::PROHIBIT => Path::Prohibit,
            Lead(group) => match &groups.get(group)?.members {
                Members::Hops(hops) => Path::Via(Arc::clone(hops)),
                Members::Table(table) => Path::NextVrf(*table),
            },
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

/// See the module.
#[derive(Debug)]
pub struct Rib<A: Address> {
    /// What the router itself knows.
    pub entries: BTreeMap<A::Net, Entry>,
    /// What it was told, by origin, the best first.
    pub learned: Vec<BTreeMap<A::Net, Slot>>,
    /// Routes by length of their prefix.
    lengths: Vec<u32>,
}

/// One route to a prefix.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// Of the router itself.
    Own(&'a Candidate),
    /// Of the origin with this place among the learned ones.
    Told(usize, Lead),
}

impl Known<'_> {
    /// Whether it is the host route of a neighbour.
    pub fn is_neighbor(self) -> bool {
        matches!(self, Known::Own(candidate) if candidate.origin == Origin::Neighbor)
    }
}

impl<A: Address> Rib<A> {
    /// Without routes.
    pub fn new(origins: usize) -> Self {
        let learned = (0..origins).map(|_| BTreeMap::new()).collect();
        Rib { entries: BTreeMap::new(), learned, lengths: vec![0; usize::from(A::BITS) + 1] }
    }

    /// Notes that there is a route more to a prefix, or one less.
    pub fn tally(&mut self, prefix: A::Net, more: bool) {
        if let Some(count) = self.lengths.get_mut(usize::from(A::len(prefix))) {
            *count = if more { *count + 1 } else { *count - 1 };
        }
    }

    /// The lengths of prefixes that there are routes to, longest first.
    pub fn lengths(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=A::BITS).zip(&self.lengths).rev().filter(|(_, count)| **count > 0).map(|(len, _)| len)
    }

    /// All routes to a prefix, the best first. Host routes of neighbours are the last.
    pub fn known(&self, prefix: A::Net) -> impl Iterator<Item = Known<'_>> {
        self.known_with(prefix, None)
    }

    /// The same, without looking for that of one of the learned origins, which is given.
    pub fn known_with(&self, prefix: A::Net, given: Option<(usize, Lead)>) -> impl Iterator<Item = Known<'_>> {
        let own = self.entries.get(&prefix).map_or(&[][..], |entry| &entry.candidates);
        let (own, neighbors) = own.split_at(own.partition_point(|c| c.origin < Origin::Neighbor));
        let told = self.learned.iter().enumerate().filter_map(move |(at, routes)| {
            let lead = match given {
                Some((origin, lead)) if origin == at => lead,
                _ => routes.get(&prefix)?.lead,
            };
            Some(Known::Told(at, lead))
        });
        own.iter().map(Known::Own).chain(told).chain(neighbors.iter().map(Known::Own))
    }

    /// Whether listings show a prefix, for another reason than that this learned origin has it.
    pub fn counts_without(&self, prefix: A::Net, origin: Option<usize>) -> bool {
        self.entries.get(&prefix).is_some_and(Entry::counts)
            || self.learned.iter().enumerate().any(|(at, routes)| Some(at) != origin && routes.contains_key(&prefix))
    }

    /// All prefixes with routes from there on, in order of address and length, each once.
    pub fn prefixes(&self, from: Bound<A::Net>) -> impl Iterator<Item = A::Net> {
        let range = (from, Bound::Unbounded);
        let mut own = self.entries.range(range).peekable();
        let mut told: Vec<_> = self.learned.iter().map(|routes| routes.range(range).peekable()).collect();
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

fn peek<N: Copy, T>(routes: &mut Peekable<Range<'_, N, T>>) -> Option<N> {
    routes.peek().map(|(prefix, _)| **prefix)
}
