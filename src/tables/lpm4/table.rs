//! The memory that a writer and its readers share.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::io;
use std::ops::Range;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::NO_ROUTE;
use super::entry::Entry;
use crate::region::Region;

/// The entries that addresses' upper 24 bits index.
pub const DIRECT: usize = 1 << 24;
/// The entries of a group.
pub const GROUP: usize = 256;

/// The direct entries, followed by the groups, in one anonymous mapping; and the default route.
///
/// Invariant: an entry that points to a group points to one of those that exist.
#[derive(Debug)]
pub struct Table {
    entries: Region<AtomicU32>,
    groups: u32,
    default: AtomicU32,
}

impl Table {
    pub fn new(groups: u32) -> io::Result<Self> {
        let entries = Region::new(DIRECT + groups as usize * GROUP)?;
        Ok(Self { entries, groups, default: AtomicU32::new(NO_ROUTE) })
    }

    /// The entries of a group.
    pub const fn group(group: u32) -> Range<usize> {
        let start = DIRECT + group as usize * GROUP;
        start..start + GROUP
    }

    fn entry(&self, at: usize) -> &AtomicU32 {
        debug_assert!(at < DIRECT + self.groups as usize * GROUP);
        // SAFETY: every caller is in range: `find` by construction of its index and the invariant, the rest by an assertion. The
        // mapping is aligned, zeroed, lives as long as `self`, and is accessed atomically.
        unsafe { self.entries.base().add(at).as_ref() }
    }

    /// The entry that decides about `addr`: never one that points to a group.
    #[inline]
    pub fn find(&self, addr: u32) -> Entry {
        // Acquire: what the group holds, and what the value refers to, was stored before the entry.
        let entry = Entry(self.entry((addr >> 8) as usize).load(Acquire));
        if entry.is_group() {
            return Entry(self.entry(Self::group(entry.value()).start + (addr & 0xff) as usize).load(Acquire));
        }
        entry
    }

    #[inline]
    pub fn prefetch(&self, addr: u32) {
        // SAFETY: in range, as for `find`; a prefetch reads nothing anyway.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(self.entries.base().as_ptr().add((addr >> 8) as usize).cast()) }
    }

    #[inline]
    pub fn default_value(&self) -> u32 {
        self.default.load(Acquire)
    }

    pub fn set_default_value(&self, value: u32) {
        self.default.store(value, Release);
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
