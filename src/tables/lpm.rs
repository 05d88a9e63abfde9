//! Longest-prefix match for IPv4 and IPv6: DIR-24-8 (Gupta, Lin, McKeown: "Routing lookups in hardware at memory access speeds",
//! 1998), carried on for longer addresses.
//!
//! A table of 2^24 entries is indexed by an address's upper 24 bits. Where prefixes longer than 24 bits exist, the entry points to a
//! group of 256 more, indexed by the next 8 bits, and so on: for IPv4 that is one group at most, for IPv6 three for a /48. So an
//! IPv4 lookup is one cache miss, seldom two, and [`Reader::prefetch`] lets the misses of a whole frame overlap. Updates are atomic
//! stores in place. The table is one lazily backed mapping: what no route touches costs no memory, and a new table costs
//! microseconds.
//!
//! While an update runs, a lookup gives for each address the answer before it or the answer after it: an address's answer is in one
//! 32-bit word at any time, a group is filled before it is pointed to, and one that nothing points to any more keeps its content
//! until every reader passed a quiescent point. A default route stands beside the table, for entries that are empty.
//!
//! ```
//! use millrace_engine::epoch;
//! use millrace_tables::lpm::{Lpm, NO_ROUTE};
//! let (mut writer, reader) = Lpm::new::<u32>()?;
//! writer.insert("10.0.0.0/8".parse()?, 1)?;
//! writer.insert("10.1.0.0/16".parse()?, 2)?;
//! let me = epoch::domain().register();
//! assert_eq!(reader.lookup(&me.guard(), u32::from_be_bytes([10, 1, 2, 3])), 2);
//! assert_eq!(reader.lookup(&me.guard(), u32::from_be_bytes([10, 2, 2, 3])), 1);
//! assert_eq!(reader.lookup(&me.guard(), u32::from_be_bytes([11, 0, 0, 1])), NO_ROUTE);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod entry;
mod routes;
mod table;
mod walk;
mod writer;

use std::io;
use std::sync::Arc;

pub use address::Address;
use millrace_engine::epoch::Guard;
use table::Table;
pub use walk::Walk;
pub use writer::{TableFull, Writer};

/// What a lookup gives when no route matches.
pub const NO_ROUTE: u32 = 0;

/// How many groups of 256 entries there are unless said otherwise.
const DEFAULT_GROUPS: u32 = 1 << 18;

/// Makes tables.
#[derive(Debug)]
pub struct Lpm;

impl Lpm {
    /// An empty table with 262,144 groups: as many /24s of IPv4 may have longer prefixes inside; the IPv6 Internet takes a seventh of
    /// them. That is 320 MiB of address space, no memory yet.
    ///
    /// # Errors
    /// The system refuses to map it.
    #[expect(clippy::new_ret_no_self, reason = "a table is its writer and its readers")]
    pub fn new<A: Address>() -> io::Result<(Writer<A>, Reader<A>)> {
        Self::with_groups(DEFAULT_GROUPS)
    }

    /// An empty table with that many groups, up to 2^22.
    ///
    /// # Errors
    /// The system refuses to map it.
    pub fn with_groups<A: Address>(groups: u32) -> io::Result<(Writer<A>, Reader<A>)> {
        let groups = groups.min(walk::MAX_GROUPS);
        let table = Arc::new(Table::new(groups)?);
        Ok((Writer::new(Arc::clone(&table), groups), Reader { table }))
    }
}

/// Looks addresses up, on any thread, while the writer works.
#[derive(Debug)]
pub struct Reader<A: Address> {
    table: Arc<Table<A>>,
}

impl<A: Address> Clone for Reader<A> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table) }
    }
}

impl<A: Address> Reader<A> {
    /// Starts loading what [`lookup`](Self::lookup) of `addr` will read first.
    #[inline]
    pub fn prefetch(&self, addr: A) {
        self.table.prefetch(addr);
    }

    /// The value of the longest prefix that contains `addr`, or [`NO_ROUTE`]. Waits for nobody.
    ///
    /// The guard keeps the groups of entries that it may pass through from being reused meanwhile.
    #[inline]
    #[must_use]
    pub fn lookup(&self, _guard: &Guard<'_>, addr: A) -> u32 {
        self.table.lookup(addr)
    }

    /// Begins a lookup that goes level by level, a pass over the frame for each: pays where misses are deep, as for IPv6. Starts
    /// loading what the next pass reads.
    #[inline]
    #[must_use]
    pub fn start(&self, addr: A) -> Walk {
        self.table.start(addr)
    }

    /// Reads one level, and starts loading the next. `byte`: the address's [byte](Address::byte) of that level, which is the number
    /// of steps made before.
    ///
    /// All passes are to have the same guard, or others between which their participant passed no quiescent point.
    #[inline]
    #[must_use]
    pub fn step(&self, _guard: &Guard<'_>, walk: Walk, byte: usize) -> Walk {
        self.table.step(walk, byte)
    }

    /// What [`lookup`](Self::lookup) would give, after `level` steps.
    #[inline]
    #[must_use]
    pub fn finish(&self, _guard: &Guard<'_>, walk: Walk, addr: A, level: u8) -> u32 {
        self.table.finish(walk, addr, level)
    }
}

#[cfg(test)]
mod tests;
