//! Lookups of a whole frame, level by level: one pass over the packets for each, so that the cache misses of all of them overlap.

use std::hint::select_unpredictable as select;

use super::NO_ROUTE;
use super::address::Address;
use super::entry::Entry;
use super::table::{DIRECT, GROUP, Table};

/// Where a lookup is between two passes: a number to keep with the packet until the frame is done.
///
/// Above, which table it is in; below, the entry to read next, or bit 31 and the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk(u64);

/// Set when the value is known.
const DONE: u32 = 1 << 31;
/// An entry's number is below [`DONE`].
pub const MAX_GROUPS: u32 = 1 << 22;
const _: () = assert!(DIRECT + MAX_GROUPS as usize * GROUP < DONE as usize);

impl Walk {
    /// As a number.
    #[inline(always)]
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// From a number that [`to_bits`](Self::to_bits) gave. Any other gives a lookup some answer.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline(always)]
    const fn new(table: u32, at: u32) -> Self {
        Self((table as u64) << 32 | at as u64)
    }

    #[inline(always)]
    const fn table(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline(always)]
    const fn at(self) -> u32 {
        self.0 as u32
    }
}

impl<A: Address> Table<A> {
    /// Starts loading the direct entry.
    #[inline(always)]
    pub fn start(&self, addr: A) -> Walk {
        let at = addr.direct();
        self.prefetch_entry(at);
        Walk::new(self.mark(), at as u32)
    }

    /// Reads an entry and starts loading the one it points to, `byte` of the address further. Without a branch that depends on how deep the table is there: neighbours
    /// in a frame go differently deep, and a branch predicted wrongly costs more than all of this.
    #[inline(always)]
    pub fn step(&self, walk: Walk, byte: usize) -> Walk {
        let at = walk.at();
        let done = at & DONE != 0;
        // When it is done, that is beyond the table, and the last entry stands in.
        let entry = self.load_any(at as usize);
        let below = Self::group(entry.value()).start + (byte & 0xff);
        let next = select(entry.is_group(), below as u32, DONE | entry.value());
        let next = select(done, at, next);
        self.prefetch_any(next as usize);
        Walk::new(walk.table(), next)
    }

    /// The value, after so many steps as `level` says.
    #[inline(always)]
    pub fn finish(&self, walk: Walk, addr: A, level: u8) -> u32 {
        let at = walk.at();
        let mut entry = Entry(at & !DONE);
        if at & DONE == 0 {
            entry = self.load_any(at as usize);
            for level in level..A::LEVELS {
                if !entry.is_group() {
                    break;
                }
                entry = self.load_any(Self::group(entry.value()).start + addr.byte(level));
            }
        }
        // Also if there is another table now than the one that it began in.
        if entry.value() == NO_ROUTE || walk.table() != self.mark() {
            return self.lookup(addr);
        }
        entry.value()
    }
}
