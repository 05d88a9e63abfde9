//! The walk over all routes that finds those of certain groups, in pieces of bounded work.

use super::path::Entry;
use super::rib::Rib;
use millrace_tables::lpm::Address;
use std::collections::HashSet;
use std::ops::Bound;

/// The work of a piece, where 1 is a look at a route: about a millisecond.
const STEP: usize = 1000;
/// The work of a route that is found, as it is installed or withdrawn then.
const FOUND: usize = 10;

/// Groups whose routes are to be found, and how far that has come.
#[derive(Debug)]
pub struct Walk<A: Address> {
    groups: HashSet<u32>,
    /// Those that came while it was under way: the next walk is for them.
    again: HashSet<u32>,
    at: Option<Place<A>>,
    /// The work of a piece.
    pub step: usize,
}

/// Where a piece begins: in the router's own routes (0) or those of a learned origin (its place and 1), and there.
type Place<A> = (usize, Bound<<A as Address>::Net>);

impl<A: Address> Default for Walk<A> {
    fn default() -> Self {
        Walk { groups: HashSet::new(), again: HashSet::new(), at: None, step: STEP }
    }
}

impl<A: Address> Walk<A> {
    /// Has the routes of a group found.
    pub fn add(&mut self, group: u32) {
        self.groups.insert(group);
        if self.at.is_some() {
            self.again.insert(group);
        }
    }

    /// Whether there is nothing left to find.
    pub fn is_done(&self) -> bool {
        self.groups.is_empty()
    }

    /// Begins anew, as the learned origins have other places now.
    pub fn restart(&mut self) {
        self.at = None;
        self.again.clear();
    }
}

/// The prefixes with routes of the groups among the next routes.
pub fn piece<A: Address>(walk: &mut Walk<A>, rib: &Rib<A>) -> Vec<A::Net> {
    let mut found = Vec::new();
    if walk.is_done() {
        return found;
    }
    let (mut part, mut from) = walk.at.unwrap_or((0, Bound::Unbounded));
    let mut left = walk.step;
    let wanted = |group: Option<u32>| group.is_some_and(|group| walk.groups.contains(&group));
    while left > 0 {
        let mut last = None;
        let range = (from, Bound::Unbounded);
        // False when that was enough.
        let mut look = |prefix: A::Net, is_wanted: bool| {
            found.extend(is_wanted.then_some(prefix));
            last = Some(prefix);
            left = left.saturating_sub(if is_wanted { FOUND } else { 1 });
            left > 0
        };
        if let Some(routes) = part.checked_sub(1) {
            let Some(routes) = rib.learned.get(routes) else {
                walk.groups = std::mem::take(&mut walk.again);
                walk.at = None;
                return found;
            };
            let _ = routes.range(range).all(|(prefix, slot)| look(*prefix, wanted(slot.lead.group())));
        } else {
            let is_wanted = |entry: &Entry| entry.candidates.iter().any(|c| wanted(c.group));
            let _ = rib.entries.range(range).all(|(prefix, entry)| look(*prefix, is_wanted(entry)));
        }
        (part, from) = match last {
            Some(last) => (part, Bound::Excluded(last)),
            None => (part + 1, Bound::Unbounded),
        };
    }
    walk.at = Some((part, from));
    found
}
