//! The buffer pool: fixed cells named by a 32-bit index, each with exactly one owner.
//!
//! A cell has three parts in three parallel arrays, so that a peer that maps the packet data never reaches what the
//! router believes about it: [`Meta`] (one cache line, what every node touches), `Cold` (chains and trace), and
//! [`CELL`] bytes of data (headroom, then packet). Only the data lies in the shared [`Region`].
//!
//! Ownership is what makes the safe API sound: an index lives in exactly one of a frame, a [`Buffer`], a worker's
//! [`Cache`] or the pool's depot. Debug builds check it at every alloc and free. Cells behind the first one of a packet may belong to
//! several packets together, which then only read them (`share`).

mod behind;
mod buffer;
mod cache;
mod meta;
mod share;
#[cfg(test)]
mod share_tests;

pub(crate) use behind::Behind;
pub use buffer::Buffer;
pub use cache::Cache;
pub(crate) use meta::{CHAINED, Cold, Handoff, SHARED, TRACED};
pub use meta::{Meta, Part};
pub use share::Copies;
pub(crate) use share::OWN;

use crate::memory::{HugePages, Region};
use crate::packet::Packet;
use crossbeam::utils::CachePadded;
use std::io;
use std::ptr::NonNull;
#[cfg(debug_assertions)]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes free before a fresh packet, for headers to be put in front.
pub const HEADROOM: usize = 192;
/// Packet bytes that one buffer holds; longer packets are chains.
pub const DATA: usize = 2048;
/// Bytes of a cell. An odd number of cache lines, so that the cells' first lines spread over all cache sets.
pub const CELL: usize = HEADROOM + DATA;
/// Buffers that move between a worker's cache and the depot at once.
const BATCH: usize = 256;
/// No buffer: the end of a chain.
pub(crate) const NONE: u32 = u32::MAX;

/// The pool of a NUMA node. Made once and never freed, which is what lets everything borrow from it.
pub struct Pool {
    meta: NonNull<Meta>,
    cold: NonNull<Cold>,
    data: NonNull<u8>,
    count: u32,
    region: Region,
    depot: Mutex<Vec<u32>>,
    caches: Mutex<Vec<Arc<CachePadded<AtomicUsize>>>>,
    #[cfg(debug_assertions)]
    owned: Box<[AtomicBool]>,
}

// SAFETY: the arrays are reached only through an index that has one owner (module doc), so no two threads touch a cell.
unsafe impl Send for Pool {}
// SAFETY: as above; depot and caches are behind locks.
unsafe impl Sync for Pool {}

/// How many buffers there are, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUsage {
    /// All buffers of the pool.
    pub total: usize,
    /// Those in the depot and in workers' caches.
    pub free: usize,
    /// Those of the free that lie in workers' caches.
    pub cached: usize,
    /// Those that hold packets or wait in devices' rings.
    pub in_use: usize,
}

impl Pool {
    /// Makes a pool of `count` buffers (at most 16 million).
    ///
    /// # Errors
    /// When the memory can't be had; see [`Region::new`].
    pub fn new(count: usize, pages: HugePages) -> io::Result<&'static Pool> {
        let count = u32::try_from(count)
            .ok()
            .filter(|c| *c <= 1 << 24)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{count} buffers; 16777216 at most")))?;
        let region = Region::new(count as usize * CELL, pages)?;
        let meta = vec![Meta::default(); count as usize].leak();
        let cold = || Cold { next: NONE, chain_len: 0, trace: 0, sharers: AtomicU32::new(0) };
        let cold = std::iter::repeat_with(cold).take(count as usize).collect::<Vec<_>>().leak();
        Ok(Box::leak(Box::new(Pool {
            meta: NonNull::from(&mut *meta).cast(),
            cold: NonNull::from(&mut *cold).cast(),
            data: region.base(),
            count,
            region,
            depot: Mutex::new((0..count).rev().collect()),
            caches: Mutex::new(Vec::new()),
            #[cfg(debug_assertions)]
            owned: (0..count).map(|_| AtomicBool::new(false)).collect(),
        })))
    }

    /// A cache of free buffers for one thread.
    pub fn cache(&'static self) -> Cache {
        let size = Arc::new(CachePadded::new(AtomicUsize::new(0)));
        lock(&self.caches).push(size.clone());
        Cache { pool: self, free: Vec::with_capacity(4 * BATCH), size }
    }

    /// Exact when no worker runs; otherwise as of each worker's last loop.
    pub fn usage(&self) -> PoolUsage {
        let cached: usize = lock(&self.caches).iter().map(|c| c.load(Relaxed)).sum();
        let total = self.count as usize;
        let free = (lock(&self.depot).len() + cached).min(total);
        PoolUsage { total, free, cached, in_use: total - free }
    }

    /// Debug builds only: the buffers that somebody owns. After all owners are gone these are leaks.
    #[cfg(debug_assertions)]
    pub fn owned(&self) -> Vec<u32> {
        (0..self.count).zip(&self.owned).filter(|(_, o)| o.load(Relaxed)).map(|(i, _)| i).collect()
    }

    /// The memory that holds the packets' bytes.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// How many cells there are; their indices are below.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Where the cell of this index starts in the region.
    #[inline(always)]
    pub const fn offset_of(index: u32) -> usize {
        index as usize * CELL
    }

    /// The cell at this place of the region, and how far into it the place is. `None` behind the last cell.
    #[inline(always)]
    pub fn at(&self, offset: usize) -> Option<(u32, usize)> {
        let index = u32::try_from(offset / CELL).ok().filter(|index| *index < self.count)?;
        Some((index, offset % CELL))
    }

    /// Cells for threads without a cache (devices that start): as many as `to` holds, or fewer when the depot is empty; how many.
    pub fn take(&self, to: &mut [u32]) -> usize {
        let mut depot = lock(&self.depot);
        let keep = depot.len().saturating_sub(to.len());
        let taken = depot.split_off(keep);
        drop(depot);
        to[..taken.len()].copy_from_slice(&taken);
        taken.iter().for_each(|index| self.mark(*index, true));
        taken.len()
    }

    /// Gives cells back, each by itself, from a thread without a cache.
    ///
    /// # Safety
    /// The caller owns every cell and gives it up.
    pub unsafe fn put(&self, cells: &[u32]) {
        cells.iter().for_each(|index| self.mark(*index, false));
        lock(&self.depot).extend_from_slice(cells);
    }

    /// One buffer, for threads without a cache (control, tests). `None` when the pool is empty.
    pub fn alloc(&'static self) -> Option<Buffer> {
        let index = lock(&self.depot).pop()?;
        self.mark(index, true);
        // SAFETY: just taken from the depot, so nobody else holds it.
        Some(unsafe { self.adopt(index) }.reset())
    }

    /// Takes an index back into a safe handle.
    ///
    /// # Safety
    /// The caller owns `index` and gives it up.
    pub(crate) unsafe fn adopt(&'static self, index: u32) -> Buffer {
        Buffer { pool: self, index }
    }

    /// The arrays' addresses, to be kept in registers over a loop.
    #[inline(always)]
    pub(crate) fn cells(&'static self) -> Cells {
        Cells { pool: self, meta: self.meta, data: self.data }
    }

    /// The packet in a buffer.
    ///
    /// # Safety
    /// The caller owns `index`, and makes no second view of it while this one lives.
    #[inline(always)]
    pub(crate) unsafe fn packet<'a>(&'static self, index: u32) -> Packet<'a> {
        // SAFETY: the caller's promise.
        unsafe { self.cells().packet(index) }
    }

    /// # Safety
    /// As [`Pool::packet`]: the caller owns `index`; the reference is the only one.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn cold(&self, index: u32) -> &mut Cold {
        debug_assert!(index < self.count);
        // SAFETY: in range and unshared, as in `packet`.
        unsafe { &mut *self.cold.as_ptr().add(index as usize) }
    }

    #[inline(always)]
    fn mark(&self, index: u32, owned: bool) {
        #[cfg(debug_assertions)]
        {
            let was = self.owned[index as usize].swap(owned, Relaxed);
            assert_ne!(was, owned, "buffer {index} {}", if owned { "handed out twice" } else { "freed twice" });
            // SAFETY: the caller owned the cell until now; the count is atomic.
            let sharers = unsafe { self.cold_of(index) }.sharers.load(Relaxed);
            assert_eq!(sharers, 0, "buffer {index} is given back while others share it");
        }
        let _ = (index, owned);
    }
}

/// See [`Pool::cells`].
#[derive(Clone, Copy)]
pub(crate) struct Cells {
    pool: &'static Pool,
    meta: NonNull<Meta>,
    data: NonNull<u8>,
}

impl Cells {
    /// The packet in a buffer.
    ///
    /// # Safety
    /// The caller owns `index`, and makes no second view of it while this one lives.
    #[inline(always)]
    pub unsafe fn packet<'a>(self, index: u32) -> Packet<'a> {
        debug_assert!(index < self.pool.count);
        let index_ = index as usize;
        // SAFETY: owned indices are below `count`, the length of all three arrays; one view at a time by contract.
        unsafe {
            Packet::from_parts(self.pool, index, &mut *self.meta.as_ptr().add(index_), self.data.add(index_ * CELL))
        }
    }

    /// Writes what is known of a packet that lies in its cell already.
    ///
    /// # Safety
    /// The caller owns the part's cell, which [fits](Part::fits); nobody has a view of it.
    #[inline(always)]
    pub unsafe fn dress(self, part: Part, interface: u32) {
        debug_assert!(part.index < self.pool.count && part.fits());
        let meta = Meta { offset: part.offset, len: part.len, ..Meta::fresh(interface) };
        // SAFETY: owned indices are below `count`; no view by contract.
        unsafe { self.meta.as_ptr().add(part.index as usize).write(meta) };
    }

    /// Brings the lines that every node touches towards the cache. Harmless for any index.
    #[inline(always)]
    pub fn prefetch(self, index: u32) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch never faults, whatever the address; wrapping arithmetic makes no claim about it.
        unsafe {
            _mm_prefetch(self.meta.as_ptr().wrapping_add(index as usize).cast(), _MM_HINT_T0);
            _mm_prefetch(self.data.as_ptr().wrapping_add(index as usize * CELL + HEADROOM).cast(), _MM_HINT_T0);
        }
    }
}

impl Pool {
    /// Makes one packet of parts, which stand in their cells already.
    ///
    /// # Safety
    /// The caller owns the cells, each of which is there once; the parts [fit](Part::fits).
    pub(crate) unsafe fn chain(&'static self, parts: &[Part], interface: u32) {
        let mut behind: (u32, u32) = (NONE, 0);
        for part in parts.iter().rev() {
            // SAFETY: the caller's promise.
            unsafe {
                self.cells().dress(*part, interface);
                if behind.0 != NONE {
                    self.packet(part.index).meta.flags |= CHAINED;
                }
                let cold = self.cold(part.index);
                (cold.next, cold.chain_len) = behind;
            }
            behind = (part.index, behind.1 + u32::from(part.len));
        }
    }
}

/// A panicking thread can't leave these lists half-changed in a way that matters: go on with what is there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> &'static Pool {
        Pool::new(1024, HugePages::Off).unwrap()
    }

    #[test]
    fn every_buffer_comes_back() {
        let pool = pool();
        let mut cache = pool.cache();
        let mut held: Vec<_> = std::iter::from_fn(|| cache.alloc()).collect();
        assert_eq!(held.len(), 1024);
        cache.publish();
        assert_eq!(pool.usage(), PoolUsage { total: 1024, free: 0, cached: 0, in_use: 1024 });
        held.truncate(512);
        held.into_iter().for_each(|b| cache.free(b));
        cache.publish();
        let usage = pool.usage();
        assert!(usage.in_use == 0 && usage.cached > 0, "{usage:?}");
        drop(cache);
        assert_eq!(pool.usage(), PoolUsage { total: 1024, free: 1024, cached: 0, in_use: 0 });
    }

    #[test]
    fn a_long_packet_is_a_chain_and_is_freed_as_one() {
        let pool = pool();
        let bytes: Vec<u8> = (0..9000).map(|i| i as u8).collect();
        let mut b = pool.alloc().unwrap();
        assert!(b.append(&bytes[..3000], || pool.alloc()));
        assert!(b.append(&bytes[3000..], || pool.alloc()));
        assert_eq!(b.packet().total_len(), 9000);
        let joined: Vec<u8> = b.packet().segments().flatten().copied().collect();
        assert_eq!(joined, bytes);
        assert_eq!(pool.usage().in_use, 5);
        drop(b);
        assert_eq!(pool.usage().in_use, 0);
    }

    #[test]
    fn an_empty_pool_ends_an_append() {
        let pool = pool();
        let mut b = pool.alloc().unwrap();
        assert!(!b.append(&[0; 3000], || None));
        assert_eq!(b.packet().total_len(), 2048);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "freed twice")]
    fn debug_builds_find_a_double_free() {
        let pool = pool();
        let mut cache = pool.cache();
        let index = cache.alloc().unwrap().into_index();
        // SAFETY: none; the second call is the bug that the check is there to find.
        unsafe {
            cache.put_packets(&[index]);
            cache.put_packets(&[index]);
        }
    }
}
