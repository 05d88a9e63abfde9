//! The memory that a writer and its readers share.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::NO_ROUTE;
use super::entry::Entry;

/// The entries that addresses' upper 24 bits index.
pub const DIRECT: usize = 1 << 24;
/// The entries of a group.
pub const GROUP: usize = 256;
/// What the region is aligned to and, where the system has huge pages to give, backed by.
pub const HUGE_PAGE: usize = 2 << 20;

/// The direct entries, followed by the groups, in one anonymous mapping; and the default route.
///
/// Invariant: an entry that points to a group points to one of those that exist.
#[derive(Debug)]
pub struct Table {
    entries: NonNull<AtomicU32>,
    groups: u32,
    default: AtomicU32,
}

// SAFETY: the table owns its mapping, which is reached through atomics only.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    pub fn new(groups: u32) -> io::Result<Self> {
        let entries = map(Self::bytes(groups))?.cast();
        Ok(Self { entries, groups, default: AtomicU32::new(NO_ROUTE) })
    }

    const fn bytes(groups: u32) -> usize {
        let bytes = (DIRECT + groups as usize * GROUP) * size_of::<AtomicU32>();
        bytes.next_multiple_of(HUGE_PAGE)
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
        unsafe { self.entries.add(at).as_ref() }
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
        unsafe { _mm_prefetch::<_MM_HINT_T0>(self.entries.as_ptr().add((addr >> 8) as usize).cast()) }
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

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone, of this length, and nobody can reach it any more.
        unsafe { libc::munmap(self.entries.as_ptr().cast(), Self::bytes(self.groups)) };
    }
}

/// Maps `len` bytes, a multiple of [`HUGE_PAGE`], of zeroed memory, aligned to it, that the system backs when it is touched.
fn map(len: usize) -> io::Result<NonNull<libc::c_void>> {
    let slack = HUGE_PAGE;
    // SAFETY: a new anonymous mapping at an address of the system's choice touches nothing that exists.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            len + slack,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let head = start.align_offset(HUGE_PAGE);
    // SAFETY: `head` is less than the slack; both pieces lie in the mapping just made, in front of and behind what is kept.
    // Unmapping nothing fails, harmlessly. Advice that the system does not take (huge pages off) is harmless, too.
    let aligned = unsafe {
        let aligned = start.byte_add(head);
        if head > 0 {
            libc::munmap(start, head);
        }
        libc::munmap(aligned.byte_add(len), slack - head);
        libc::madvise(aligned, len, libc::MADV_HUGEPAGE);
        aligned
    };
    NonNull::new(aligned).ok_or_else(io::Error::last_os_error)
}
