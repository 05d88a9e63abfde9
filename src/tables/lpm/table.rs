//! The memory that a writer and its readers share.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::hint::select_unpredictable;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::NO_ROUTE;
use super::address::{Address, DIRECT_BITS, GROUP_BITS};
use super::entry::Entry;
use crate::region::{HUGE_PAGE, Region};

/// The entries that addresses' upper 24 bits index.
pub const DIRECT: usize = 1 << DIRECT_BITS;
/// The entries of a group.
pub const GROUP: usize = 1 << GROUP_BITS;

/// The direct entries, followed by the groups, in one anonymous mapping; and the default route.
///
/// Invariants: an entry that points to a group points to one of those that exist; those of the last level point to none.
#[derive(Debug)]
pub struct Table<A> {
    entries: Region<AtomicU32>,
    groups: u32,
    /// The number of the last entry of all.
    last: usize,
    /// The value, and above it how many times it was set: so that who reads it before and after knows whether it changed.
    default: AtomicU64,
    family: PhantomData<A>,
}

impl<A: Address> Table<A> {
    pub fn new(groups: u32) -> io::Result<Self> {
        let count = DIRECT + groups as usize * GROUP;
        let entries = Region::new(count)?;
        Ok(Self { entries, groups, last: count - 1, default: AtomicU64::new(NO_ROUTE as u64), family: PhantomData })
    }

    /// The entries of a group.
    #[inline(always)]
    pub const fn group(group: u32) -> Range<usize> {
        let start = DIRECT + group as usize * GROUP;
        start..start + GROUP
    }

    #[inline(always)]
    fn entry(&self, at: usize) -> &AtomicU32 {
        debug_assert!(at < DIRECT + self.groups as usize * GROUP);
        // SAFETY: every caller is in range: `find` by construction of its index and the invariant, `load_any` by a comparison,
        // the rest by an assertion. The
        // mapping is aligned, zeroed, lives as long as `self`, and is accessed atomically.
        unsafe { self.entries.base().add(at).as_ref() }
    }

    /// An entry, by a number that may be wrong.
    #[inline(always)]
    pub fn load_any(&self, at: usize) -> Entry {
        Entry(self.entry(select_unpredictable(at < self.last, at, self.last)).load(Acquire))
    }

    /// Starts loading an entry, by a number that may be wrong.
    #[inline(always)]
    pub fn prefetch_any(&self, at: usize) {
        self.prefetch_entry(select_unpredictable(at < self.last, at, self.last));
    }

    /// Tells tables that exist at a time apart: they are mapped at different places, of whole huge pages.
    #[inline(always)]
    pub fn mark(&self) -> u32 {
        (self.entries.base().addr().get() / HUGE_PAGE) as u32
    }

    /// The entry that decides about `addr`: never one that points to a group.
    #[inline]
    pub fn find(&self, addr: A) -> Entry {
        // Acquire: what the group holds, and what the value refers to, was stored before the entry.
        let mut entry = Entry(self.entry(addr.direct()).load(Acquire));
        for level in 0..A::LEVELS {
            if !entry.is_group() {
                break;
            }
            entry = Entry(self.entry(Self::group(entry.value()).start + addr.byte(level)).load(Acquire));
        }
        entry
    }

    #[inline]
    pub fn prefetch(&self, addr: A) {
        self.prefetch_entry(addr.direct());
    }

    #[inline(always)]
    pub fn prefetch_entry(&self, at: usize) {
        // SAFETY: a prefetch reads nothing that anyone sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(self.entries.base().as_ptr().wrapping_add(at).cast()) }
    }

    /// The value of the longest prefix that contains `addr`.
    #[inline(always)]
    pub fn lookup(&self, addr: A) -> u32 {
        loop {
            // Before the entry and, if that is empty, after it: else a route could come and the default one go in between, and neither
            // be seen.
            let default = self.default.load(Acquire);
            let entry = self.find(addr);
            if !entry.is_empty() {
                return entry.value();
            }
            if self.default.load(Acquire) == default {
                return default as u32;
            }
        }
    }

    /// For the one writer.
    pub fn set_default_value(&self, value: u32) {
        let times = (self.default.load(Acquire) >> 32) as u32;
        self.default.store(u64::from(times.wrapping_add(1)) << 32 | u64::from(value), Release);
    }

    pub fn load(&self, at: usize) -> Entry {
        self.check(at);
        Entry(self.entry(at).load(Acquire))
    }

    /// For the one writer.
    pub fn store(&self, at: usize, entry: Entry) {
        self.check(at);
        assert!(!entry.is_group() || entry.value() < self.groups, "points to a group that does not exist");
        self.entry(at).store(entry.0, Release);
    }

    fn check(&self, at: usize) {
        assert!(at < DIRECT + self.groups as usize * GROUP, "outside the table");
    }
}
