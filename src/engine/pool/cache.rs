//! A worker's own free buffers.

use super::{BATCH, Buffer, CHAINED, Pool, lock};
use crossbeam::utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A worker's stock of free buffers, refilled from and spilt to the depot a batch at a time.
pub struct Cache {
    pub(super) pool: &'static Pool,
    pub(super) free: Vec<u32>,
    pub(super) size: Arc<CachePadded<AtomicUsize>>,
}

impl Cache {
    /// The pool it draws on.
    #[inline(always)]
    pub fn pool(&self) -> &'static Pool {
        self.pool
    }

    /// One cell, as it was left, or `None` when the pool is empty. It is the caller's until it is [`put`](Cache::put) back, or given
    /// away in a packet.
    #[inline(always)]
    pub fn take(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            self.refill(BATCH);
        }
        let index = self.free.pop()?;
        self.pool.mark(index, true);
        Some(index)
    }

    /// As many cells as `to` holds, as they were left, or fewer when the pool is empty; how many. See [`take`](Cache::take).
    #[inline]
    pub fn take_many(&mut self, to: &mut [u32]) -> usize {
        if self.free.len() < to.len() {
            self.refill(to.len().max(BATCH));
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
        unsafe { self.put_packets(&[index]) }
    }

    /// Gives cells back, each by itself: whatever chain they were part of is forgotten.
    ///
    /// # Safety
    /// The caller owns every cell, which no [shared](crate::Packet::shared) packet has a part of, and gives it up.
    #[inline]
    pub unsafe fn put(&mut self, cells: &[u32]) {
        for &index in cells {
            self.pool.mark(index, false);
        }
        self.free.extend_from_slice(cells);
        if self.free.len() >= 3 * BATCH {
            self.spill();
        }
    }

    /// Gives packets back, each with the chain behind it.
    ///
    /// # Safety
    /// The caller owns every packet and gives it up.
    #[inline(always)]
    pub unsafe fn put_packets(&mut self, indices: &[u32]) {
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
        // SAFETY: the owner of a packet gives it up, with its chain.
        unsafe { self.pool.give_up_rest(head, |index| self.free.push(index)) }
    }

    #[cold]
    fn refill(&mut self, cells: usize) {
        let mut depot = lock(&self.pool.depot);
        let keep = depot.len().saturating_sub(cells);
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
        lock(&self.pool.caches).retain(|size| !Arc::ptr_eq(size, &self.size));
    }
}
