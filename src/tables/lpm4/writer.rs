//! The side that changes a table.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::NO_ROUTE;
use super::entry::Entry;
use super::routes::Routes;
use super::table::{DIRECT, GROUP, Table};
use crate::indices::Indices;
use crate::region::HUGE_PAGE;

/// A prefix longer than 24 bits needs a group of entries and all are in use, or wait for a reader that still may use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the route table is full: too many /24 networks have longer prefixes inside")]
pub struct TableFull;

/// Changes a table, while readers look addresses up in it. There is one per table.
///
/// A change takes well under a microsecond for prefixes of 20 bits and more, twice as long for each bit less: 0.1 ms for a /8.
#[derive(Debug)]
pub struct Writer {
    table: Arc<Table>,
    routes: Routes,
    groups: Indices,
    /// Which huge pages of the direct entries were written to: bit i is the i-th.
    touched: u32,
}

/// Entries in a huge page.
const PAGE: usize = HUGE_PAGE / size_of::<u32>();
const _: () = assert!(DIRECT / PAGE == u32::BITS as usize);

impl Writer {
    pub(super) fn new(table: Arc<Table>, groups: u32) -> Self {
        Self { table, routes: Routes::new(), groups: Indices::new(0..groups), touched: 0 }
    }

    /// Adds a route, or replaces the value of the one there is, which is then returned. Host bits of `prefix` are ignored, and so are
    /// the bits of `value` above the 24th.
    ///
    /// # Errors
    /// [`TableFull`]; nothing was changed then.
    pub fn insert(&mut self, prefix: Ipv4Net, value: u32) -> Result<Option<u32>, TableFull> {
        let entry = Entry::route(prefix.prefix_len(), value);
        if prefix.prefix_len() > 24 {
            self.ensure_group(direct(prefix))?;
        }
        let old = self.routes.insert(prefix, entry.value());
        if prefix.prefix_len() == 0 {
            self.table.set_default_value(entry.value());
        } else {
            self.repaint(prefix, entry, |other| other.prefix_len() <= entry.prefix_len());
        }
        Ok(old)
    }

    /// Takes a route out and returns its value, if it was there.
    pub fn remove(&mut self, prefix: Ipv4Net) -> Option<u32> {
        let old = self.routes.remove(prefix)?;
        if prefix.prefix_len() == 0 {
            self.table.set_default_value(NO_ROUTE);
            return Some(old);
        }
        let cover = self.routes.covering(prefix).map_or(Entry::EMPTY, |(len, value)| Entry::route(len, value));
        self.repaint(prefix, cover, |other| other.prefix_len() == Some(prefix.prefix_len()));
        if prefix.prefix_len() > 24 {
            self.collapse(direct(prefix));
        }
        Some(old)
    }

    /// The value of exactly this route.
    #[must_use]
    pub fn get(&self, prefix: Ipv4Net) -> Option<u32> {
        self.routes.get(prefix)
    }

    /// The route that decides about `addr` (host order).
    #[must_use]
    pub fn longest_match(&self, addr: u32) -> Option<(Ipv4Net, u32)> {
        let entry = self.table.find(addr);
        let (len, value) = match entry.prefix_len() {
            Some(len) => (len, entry.value()),
            None => (0, self.get(Ipv4Net::default())?),
        };
        Some((Ipv4Net::new(Ipv4Addr::from_bits(addr), len).ok()?.trunc(), value))
    }

    /// All routes, the shortest prefixes first, otherwise in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv4Net, u32)> + '_ {
        self.routes.iter()
    }

    /// The number of routes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory that the table and its routes occupy, in bytes; pages counted as if all were huge.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let direct = self.touched.count_ones() as usize * HUGE_PAGE;
        let groups = (self.groups.high_water() as usize * GROUP * size_of::<u32>()).next_multiple_of(HUGE_PAGE);
        direct + groups + self.routes.memory_bytes()
    }

    /// Stores `entry` wherever `prefix` reaches and `replaces` allows it. A prefix longer than 24 bits has its group already.
    fn repaint(&mut self, prefix: Ipv4Net, entry: Entry, replaces: impl Fn(Entry) -> bool) {
        let repaint_one = |at: usize, old: Entry| {
            if replaces(old) {
                self.table.store(at, entry);
            }
        };
        let first = direct(prefix);
        let last = (prefix.broadcast().to_bits() >> 8) as usize;
        for at in first..=last {
            let old = self.table.load(at);
            if !old.is_group() {
                repaint_one(at, old);
                continue;
            }
            let group = Table::group(old.value());
            let within = if prefix.prefix_len() > 24 {
                group.start + (prefix.network().to_bits() & 0xff) as usize
                    ..=group.start + (prefix.broadcast().to_bits() & 0xff) as usize
            } else {
                group.start..=group.end - 1
            };
            within.for_each(|at| repaint_one(at, self.table.load(at)));
        }
        for page in first / PAGE..=last / PAGE {
            self.touched |= 1 << page;
        }
    }

    /// Gives the direct entry `at` a group, in which all is at first as it was.
    fn ensure_group(&mut self, at: usize) -> Result<(), TableFull> {
        let entry = self.table.load(at);
        if entry.is_group() {
            return Ok(());
        }
        let group = self.groups.allocate().ok_or(TableFull)?;
        Table::group(group).for_each(|within| self.table.store(within, entry));
        self.table.store(at, Entry::group(group));
        Ok(())
    }

    /// Takes the direct entry's group away if no route is longer than 24 bits in it; then all its entries are the same.
    fn collapse(&mut self, at: usize) {
        let entry = self.table.load(at);
        if !entry.is_group() {
            return;
        }
        let mut within = Table::group(entry.value()).map(|within| self.table.load(within));
        let Some(first) = within.next() else { return };
        if first.prefix_len() <= Some(24) && within.all(|other| other == first) {
            self.table.store(at, first);
            self.groups.release(entry.value());
        }
    }
}

/// The direct entry that a prefix begins at.
fn direct(prefix: Ipv4Net) -> usize {
    (prefix.network().to_bits() >> 8) as usize
}
