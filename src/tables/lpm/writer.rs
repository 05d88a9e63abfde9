//! The side that changes a table.

use std::sync::Arc;

use super::NO_ROUTE;
use super::address::{Address, DIRECT_BITS, GROUP_BITS};
use super::entry::Entry;
use super::routes::Routes;
use super::table::{DIRECT, GROUP, Table};
use crate::indices::Indices;
use crate::region::HUGE_PAGE;

/// A prefix longer than 24 bits needs groups of entries and all are in use, or wait for a reader that still may use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the route table is full: too many networks have longer prefixes inside")]
pub struct TableFull;

/// Changes a table, while readers look addresses up in it. There is one per table.
///
/// A change takes about a microsecond for prefixes of 20 bits and more, twice as long for each bit less: 0.1 ms for a /8; and longer
/// where it passes over many longer prefixes inside.
#[derive(Debug)]
pub struct Writer<A: Address> {
    table: Arc<Table<A>>,
    routes: Routes<A>,
    groups: Indices,
    /// Which huge pages of the direct entries were written to: bit i is the i-th.
    touched: u32,
}

/// Entries in a huge page.
const PAGE: usize = HUGE_PAGE / size_of::<u32>();
const _: () = assert!(DIRECT / PAGE == u32::BITS as usize);

/// Entries of which a prefix decides about the first to the last, unless longer prefixes do: direct ones, or a group's.
struct Span {
    first: usize,
    last: usize,
}

impl<A: Address> Writer<A> {
    pub(super) fn new(table: Arc<Table<A>>, groups: u32) -> Self {
        Self { table, routes: Routes::new(), groups: Indices::new(0..groups), touched: 0 }
    }

    /// Adds a route, or replaces the value of the one there is, which is then returned. Host bits of `prefix` are ignored, and so are
    /// the bits of `value` above the 24th. A value of 0 means no route, and inserting it is a bug of the caller.
    ///
    /// # Errors
    /// [`TableFull`]; nothing was changed then.
    pub fn insert(&mut self, prefix: A::Net, value: u32) -> Result<Option<u32>, TableFull> {
        let len = A::len(prefix);
        let entry = Entry::route(len, value);
        debug_assert!(entry.value() != NO_ROUTE, "the value of no route");
        if len == 0 {
            self.table.set_default_value(entry.value());
        } else {
            self.ensure_groups(prefix)?;
            self.repaint(prefix, entry, |other| other.prefix_len() <= len);
        }
        Ok(self.routes.insert(prefix, entry.value()))
    }

    /// Takes a route out and returns its value, if it was there.
    pub fn remove(&mut self, prefix: A::Net) -> Option<u32> {
        let old = self.routes.remove(prefix)?;
        let len = A::len(prefix);
        if len == 0 {
            self.table.set_default_value(NO_ROUTE);
            return Some(old);
        }
        let cover = self.routes.covering(prefix).map_or(Entry::EMPTY, |(len, value)| Entry::route(len, value));
        self.repaint(prefix, cover, |other| other.prefix_len() == len);
        self.collapse(prefix);
        Some(old)
    }

    /// The value of exactly this route.
    #[must_use]
    pub fn get(&self, prefix: A::Net) -> Option<u32> {
        self.routes.get(prefix)
    }

    /// The route that decides about `addr`.
    #[must_use]
    pub fn longest_match(&self, addr: A) -> Option<(A::Net, u32)> {
        let entry = self.table.find(addr);
        let prefix = addr.net(entry.prefix_len());
        if entry.is_empty() { self.get(prefix) } else { Some(entry.value()) }.map(|value| (prefix, value))
    }

    /// All routes, the shortest prefixes first, otherwise in no order.
    pub fn iter(&self) -> impl Iterator<Item = (A::Net, u32)> + '_ {
        self.routes.iter()
    }

    /// The number of routes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is no route.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory that the table and its routes occupy, in bytes; pages counted as if all were huge.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let direct = self.touched.count_ones() as usize * HUGE_PAGE;
        let groups = (self.groups.high_water() as usize * GROUP * size_of::<u32>()).next_multiple_of(HUGE_PAGE);
        direct + groups + self.routes.memory_bytes()
    }

    /// The entries that a prefix decides about, as far down as there are groups: which is where it belongs if it has been given
    /// [its groups](Self::ensure_groups).
    fn span(&self, prefix: A::Net) -> Span {
        let (first, last) = (A::first(prefix), A::last(prefix));
        let mut span = Span { first: first.direct(), last: last.direct() };
        for level in 0..levels(A::len(prefix)) {
            let entry = self.table.load(span.first);
            if !entry.is_group() {
                break;
            }
            let start = Table::<A>::group(entry.value()).start;
            span = Span { first: start + first.byte(level), last: start + last.byte(level) };
        }
        span
    }

    /// Stores `entry` wherever `prefix` reaches and `replaces` allows it.
    fn repaint(&mut self, prefix: A::Net, entry: Entry, replaces: impl Fn(Entry) -> bool + Copy) {
        let span = self.span(prefix);
        if span.last < DIRECT {
            for page in span.first / PAGE..=span.last / PAGE {
                self.touched |= 1 << page;
            }
        }
        self.repaint_span(&span, entry, replaces);
    }

    fn repaint_span(&self, span: &Span, entry: Entry, replaces: impl Fn(Entry) -> bool + Copy) {
        for at in span.first..=span.last {
            let old = self.table.load(at);
            if old.is_group() {
                // At most 13 deep.
                let group = Table::<A>::group(old.value());
                self.repaint_span(&Span { first: group.start, last: group.end - 1 }, entry, replaces);
            } else if replaces(old) {
                self.table.store(at, entry);
            }
        }
    }

    /// Gives a prefix the groups that lead to its entries, in which all is at first as it was: a chain that is pointed to when it is
    /// complete.
    fn ensure_groups(&mut self, prefix: A::Net) -> Result<(), TableFull> {
        let first = A::first(prefix);
        let wanted = levels(A::len(prefix));
        let mut at = first.direct();
        let mut level = 0;
        let shared = loop {
            let entry = self.table.load(at);
            if level == wanted || !entry.is_group() {
                break entry;
            }
            at = Table::<A>::group(entry.value()).start + first.byte(level);
            level += 1;
        };
        let mut chain = Vec::with_capacity(usize::from(wanted - level));
        for _ in level..wanted {
            match self.groups.allocate() {
                Some(group) => chain.push(group),
                None => {
                    chain.into_iter().for_each(|group| self.groups.give_back(group));
                    return Err(TableFull);
                }
            }
        }
        let mut below = None;
        for (level, group) in (level..wanted).zip(chain).rev() {
            let entries = Table::<A>::group(group);
            let way = entries.start + first.byte(level);
            entries.for_each(|at| self.table.store(at, shared));
            if let Some(below) = below {
                self.table.store(way, Entry::group(below));
            }
            below = Some(group);
        }
        if let Some(group) = below {
            self.table.store(at, Entry::group(group));
        }
        Ok(())
    }

    /// Takes those groups away that led to a prefix and that no prefix needs any more, the deepest first. All entries of such a group
    /// are the same: what the longest prefix gives that is not longer than where the group begins.
    fn collapse(&mut self, prefix: A::Net) {
        let first = A::first(prefix);
        let mut way = Vec::with_capacity(usize::from(A::LEVELS));
        let mut at = first.direct();
        for level in 0..levels(A::len(prefix)) {
            let entry = self.table.load(at);
            if !entry.is_group() {
                break;
            }
            way.push((at, entry.value(), DIRECT_BITS + GROUP_BITS * level));
            at = Table::<A>::group(entry.value()).start + first.byte(level);
        }
        for (parent, group, begins) in way.into_iter().rev() {
            let mut entries = Table::<A>::group(group).map(|at| self.table.load(at));
            let Some(entry) = entries.next() else { return };
            if entry.is_group() || entry.prefix_len() > begins || entries.any(|other| other != entry) {
                return;
            }
            self.table.store(parent, entry);
            self.groups.release(group);
        }
    }
}

/// How many groups lead to a prefix of this length.
const fn levels(len: u8) -> u8 {
    len.saturating_sub(DIRECT_BITS).div_ceil(GROUP_BITS)
}
