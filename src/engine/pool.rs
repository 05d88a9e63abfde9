//! The buffer pool: fixed cells named by a 32-bit index, each with exactly one owner.
//!
//! A cell has three parts in three parallel arrays, so that a peer that maps the packet data never reaches what the
//! router believes about it: [`Meta`] (one cache line, what every node touches), [`Cold`] (chains and trace), and
//! [`CELL`] bytes of data (headroom, then packet). Only the data lies in the shared [`Region`].
//!
//! Ownership is what makes the safe API sound: an index lives in exactly one of a frame, a [`Buffer`], a worker's
//! [`Cache`] or the pool's depot. Debug builds check it at every alloc and free.

use crate::memory::{HugePages, Region};
use crate::packet::Packet;
use crossbeam::utils::CachePadded;
use std::io;
use std::ptr::NonNull;
#[cfg(debug_assertions)]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
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

/// What the graph knows about a packet: exactly one cache line.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
pub struct Meta {
    /// Start of the packet's current header, from the start of the cell. Invariant: `offset + len <= CELL`.
    pub(crate) offset: u16,
    /// Bytes from there in this buffer.
    pub(crate) len: u16,
    pub(crate) flags: u16,
    /// Offset in bytes of the network header from the start of the cell.
    pub(crate) l3: u16,
    /// Features of the current arc that the packet has still to visit, a bit each.
    pub(crate) features: u32,
    /// The interface that it came in by.
    pub rx_interface: u32,
    /// The interface that it leaves by.
    pub tx_interface: u32,
    /// The adjacency that lookup chose.
    pub adjacency: u32,
    /// Hash over what names its flow; 0 until somebody computes it.
    pub flow_hash: u32,
    /// Forwarding table (VRF) that it is looked up in.
    pub table: u32,
    /// Bits that the protocols above define and share.
    pub marks: u32,
    /// Nothing yet. There is no padding anywhere, so that a fresh one is written in whole vectors.
    pub(crate) reserved: u32,
    /// Room for one feature's own use between two nodes that it owns; others may overwrite it.
    pub scratch: [u64; 3],
}

/// What only some packets need: chains and trace.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Cold {
    /// Next buffer of the chain, or `NONE`.
    pub next: u32,
    /// Bytes in the buffers that follow.
    pub chain_len: u32,
    /// Number of this packet's trace.
    pub trace: u32,
}

impl Meta {
    /// Of an empty packet that came in by `interface`. Every field by itself: a struct copied from a default costs more.
    #[inline(always)]
    pub(crate) fn fresh(interface: u32) -> Meta {
        Meta {
            offset: HEADROOM as u16,
            len: 0,
            flags: 0,
            l3: 0,
            features: 0,
            rx_interface: interface,
            tx_interface: 0,
            adjacency: 0,
            flow_hash: 0,
            table: 0,
            marks: 0,
            reserved: 0,
            scratch: [0; 3],
        }
    }
}

const _: () = assert!(size_of::<Meta>() == 64 && size_of::<Cold>() == 64 && (CELL / 64) % 2 == 1);

/// Flag: more buffers follow.
pub(crate) const CHAINED: u16 = 1;
/// Flag: record what every node does to it.
pub(crate) const TRACED: u16 = 2;

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
        let cold = vec![Cold { next: NONE, chain_len: 0, trace: 0 }; count as usize].leak();
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

/// A worker's stock of free buffers, refilled from and spilt to the depot a batch at a time.
pub struct Cache {
    pool: &'static Pool,
    free: Vec<u32>,
    size: Arc<CachePadded<AtomicUsize>>,
}

impl Cache {
    /// The pool it draws on.
    #[inline(always)]
    pub fn pool(&self) -> &'static Pool {
        self.pool
    }

    /// One reset buffer's index, or `None` when the pool is empty.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            self.refill();
        }
        let index = self.free.pop()?;
        self.pool.mark(index, true);
        Some(index)
    }

    /// The indices of as many buffers as `to` holds, not reset, or of fewer when the pool is empty; how many.
    #[inline]
    pub(crate) fn take_many(&mut self, to: &mut [u32]) -> usize {
        if self.free.len() < to.len() {
            self.refill();
        }
        let keep = self.free.len().saturating_sub(to.len());
        let taken = &self.free[keep..];
        let n = taken.len();
        to[..n].copy_from_slice(taken);
        self.free.truncate(keep);
        for index in &to[..n] {
            self.pool.mark(*index, true);
        }
        n
    }

    /// One empty buffer, or `None` when the pool is empty.
    #[inline]
    pub fn alloc(&mut self) -> Option<Buffer> {
        let index = self.take()?;
        // SAFETY: taken from the free list just now.
        Some(unsafe { self.pool.adopt(index) }.reset())
    }

    /// Gives a buffer (with the chain behind it) back.
    #[inline]
    pub fn free(&mut self, buffer: Buffer) {
        let index = buffer.into_index();
        // SAFETY: `into_index` gave up ownership to us.
        unsafe { self.free_indices(&[index]) }
    }

    /// Gives many buffers back, each with the chain behind it.
    ///
    /// # Safety
    /// The caller owns every index and gives it up.
    #[inline(always)]
    pub(crate) unsafe fn free_indices(&mut self, indices: &[u32]) {
        for &index in indices {
            self.pool.mark(index, false);
            // SAFETY: owned until it is pushed below.
            let chained = unsafe { (*self.pool.meta.as_ptr().add(index as usize)).flags & CHAINED != 0 };
            if chained {
                self.free_rest(index);
            }
        }
        self.free.extend_from_slice(indices);
        if self.free.len() >= 3 * BATCH {
            self.spill();
        }
    }

    #[cold]
    fn free_rest(&mut self, head: u32) {
        let mut index = head;
        // SAFETY: the owner of a chain's head owns all of it.
        while unsafe { self.pool.packet(index) }.meta.flags & CHAINED != 0 {
            // SAFETY: as above.
            index = unsafe { self.pool.cold(index) }.next;
            self.pool.mark(index, false);
            self.free.push(index);
        }
    }

    #[cold]
    fn refill(&mut self) {
        let mut depot = lock(&self.pool.depot);
        let keep = depot.len().saturating_sub(BATCH);
        self.free.extend(depot.drain(keep..));
    }

    #[cold]
    fn spill(&mut self) {
        lock(&self.pool.depot).extend(self.free.drain(BATCH..));
    }

    /// Tells [`Pool::usage`] how many lie here; once per loop of a worker.
    #[inline]
    pub fn publish(&self) {
        self.size.store(self.free.len(), Relaxed);
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        lock(&self.pool.depot).append(&mut self.free);
        self.size.store(0, Relaxed);
    }
}

/// A buffer that somebody owns outside of a frame: a packet held for a neighbour, or under construction. Dropping it
/// frees it (slowly; workers use [`Cache::free`]).
#[must_use]
pub struct Buffer {
    pool: &'static Pool,
    index: u32,
}

impl Buffer {
    /// The packet in it.
    #[inline(always)]
    pub fn packet(&mut self) -> Packet<'_> {
        // SAFETY: this handle owns the index, and `&mut self` makes the view the only one.
        unsafe { self.pool.packet(self.index) }
    }

    pub(crate) fn into_index(self) -> u32 {
        let index = self.index;
        std::mem::forget(self);
        index
    }

    #[inline(always)]
    fn reset(mut self) -> Buffer {
        *self.packet().meta = Meta::fresh(0);
        self
    }

    /// Appends `bytes`, taking further buffers from `alloc` as the packet outgrows one. False when none was left: the
    /// packet is then incomplete.
    pub fn append(&mut self, mut bytes: &[u8], mut alloc: impl FnMut() -> Option<Buffer>) -> bool {
        let mut head = self.packet();
        if !head.chained() {
            let n = head.extend(bytes);
            bytes = &bytes[n..];
            if bytes.is_empty() {
                return true;
            }
        }
        self.append_chain(bytes, &mut alloc)
    }

    /// The rest of [`Buffer::append`], for what does not fit the first buffer.
    fn append_chain(&mut self, mut bytes: &[u8], alloc: &mut impl FnMut() -> Option<Buffer>) -> bool {
        let (mut tail, mut grown) = (self.index, Vec::new());
        // SAFETY: the owner of the head owns the chain; one view at a time.
        while unsafe { self.pool.packet(tail) }.meta.flags & CHAINED != 0 {
            grown.push(tail);
            // SAFETY: as above.
            tail = unsafe { self.pool.cold(tail) }.next;
        }
        let complete = loop {
            // SAFETY: as above.
            let n = unsafe { self.pool.packet(tail) }.extend(bytes);
            bytes = &bytes[n..];
            grown.push(tail);
            if bytes.is_empty() {
                break true;
            }
            let Some(more) = alloc() else { break false };
            let next = more.into_index();
            // SAFETY: both belong to this chain now.
            unsafe {
                let cold = self.pool.cold(tail);
                (cold.next, cold.chain_len) = (next, 0);
                self.pool.packet(tail).meta.flags |= CHAINED;
            }
            tail = next;
        };
        // Every buffer knows how much follows it: recount from the end, as appends are rare and chains short.
        let mut behind = 0;
        for index in grown.into_iter().rev() {
            // SAFETY: all of this chain.
            unsafe {
                self.pool.cold(index).chain_len = behind;
                behind += u32::from(self.pool.packet(index).meta.len);
            }
        }
        complete
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut index = self.index;
        let mut depot = lock(&self.pool.depot);
        loop {
            self.pool.mark(index, false);
            depot.push(index);
            // SAFETY: ours until the depot's lock is released.
            let (chained, next) =
                unsafe { (self.pool.packet(index).meta.flags & CHAINED != 0, self.pool.cold(index).next) };
            if !chained {
                break;
            }
            index = next;
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({})", self.index)
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
            cache.free_indices(&[index]);
            cache.free_indices(&[index]);
        }
    }
}
