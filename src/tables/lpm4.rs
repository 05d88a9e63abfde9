//! IPv4 longest-prefix match: DIR-24-8 (Gupta, Lin, McKeown: "Routing lookups in hardware at memory access speeds", 1998).
//!
//! A table of 2^24 entries is indexed by an address's upper 24 bits. Where prefixes longer than 24 bits exist, the entry points to a
//! group of 256 more, indexed by the last 8 bits. So a lookup is one cache miss, seldom two, and [`Reader::prefetch`] lets the misses
//! of a whole frame overlap. Updates are atomic stores in place. The table is one lazily backed mapping: what no route touches costs
//! no memory, and a new table costs microseconds.
//!
//! While an update runs, a lookup gives for each address the answer before it or the answer after it: an address's answer is in one
//! 32-bit word at any time, a group is filled before it is pointed to, and one that nothing points to any more keeps its content
//! until every reader passed a quiescent point. A default route stands beside the table, for entries that are empty.
//!
//! ```
//! use millrace_engine::epoch;
//! use millrace_tables::lpm4::{Lpm4, NO_ROUTE};
//! let (mut writer, reader) = Lpm4::new()?;
//! writer.insert("10.0.0.0/8".parse()?, 1)?;
//! writer.insert("10.1.0.0/16".parse()?, 2)?;
//! let me = epoch::domain().register();
//! assert_eq!(reader.lookup(&me.guard(), u32::from_be_bytes([10, 1, 2, 3])), 2);
//! assert_eq!(reader.lookup(&me.guard(), u32::from_be_bytes([10, 2, 2, 3])), 1);
//! assert_eq!(reader.lookup(&me.guard(), u32::from_be_bytes([11, 0, 0, 1])), NO_ROUTE);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod entry;
mod routes;
mod table;
mod writer;

use std::io;
use std::sync::Arc;

use millrace_engine::epoch::Guard;
use table::Table;
pub use writer::{TableFull, Writer};

/// What a lookup gives when no route matches.
pub const NO_ROUTE: u32 = 0;

/// How many /24s may have longer prefixes inside unless said otherwise.
const DEFAULT_GROUPS: u32 = 1 << 18;

/// Makes tables.
#[derive(Debug)]
pub struct Lpm4;

impl Lpm4 {
    /// An empty table in which 262,144 /24s may have longer prefixes inside. Takes 320 MiB of address space, no memory yet.
    ///
    /// # Errors
    /// The system refuses to map it.
    #[expect(clippy::new_ret_no_self, reason = "a table is its writer and its readers")]
    pub fn new() -> io::Result<(Writer, Reader)> {
        Self::with_groups(DEFAULT_GROUPS)
    }

    /// An empty table in which `groups` /24s, up to 2^24, may have longer prefixes inside.
    ///
    /// # Errors
    /// The system refuses to map it.
    pub fn with_groups(groups: u32) -> io::Result<(Writer, Reader)> {
        let groups = groups.min(1 << 24);
        let table = Arc::new(Table::new(groups)?);
        Ok((Writer::new(Arc::clone(&table), groups), Reader { table }))
    }
}

/// Looks addresses up, on any thread, while the writer works.
#[derive(Clone, Debug)]
pub struct Reader {
    table: Arc<Table>,
}

impl Reader {
    /// Starts loading what [`lookup`](Self::lookup) of `addr` (host order) will read first.
    #[inline]
    pub fn prefetch(&self, addr: u32) {
        self.table.prefetch(addr);
    }

    /// The value of the longest prefix that contains `addr` (host order), or [`NO_ROUTE`]. Wait-free.
    ///
    /// The guard keeps the group of entries that it may pass through from being reused meanwhile.
    #[inline]
    #[must_use]
    pub fn lookup(&self, _guard: &Guard<'_>, addr: u32) -> u32 {
        let entry = self.table.find(addr);
        if entry.is_empty() { self.table.default_value() } else { entry.value() }
    }
}

#[cfg(test)]
mod tests;
