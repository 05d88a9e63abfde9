//! The safe handle of a buffer that is in nobody else's hands.

use super::{CHAINED, Meta, Pool, lock};
use crate::packet::Packet;

/// A buffer that somebody owns outside of a frame: a packet held for a neighbour, or under construction. Dropping it
/// frees it (slowly; workers use [`Cache::free`](super::Cache::free)).
#[must_use]
pub struct Buffer {
    pub(super) pool: &'static Pool,
    pub(super) index: u32,
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
    pub(super) fn reset(mut self) -> Buffer {
        *self.packet().meta = Meta::fresh(0);
        self
    }

    /// Appends `bytes`, taking further buffers from `alloc` as the packet outgrows one. False when none was left: the
    /// packet is then incomplete. One with shared cells is [unshared](Buffer::unshare) before.
    pub fn append(&mut self, mut bytes: &[u8], mut alloc: impl FnMut() -> Option<Buffer>) -> bool {
        let mut head = self.packet();
        if head.shared() {
            return self.unshare(&mut alloc) && self.append(bytes, alloc);
        }
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
    pub(super) fn append_chain(&mut self, mut bytes: &[u8], alloc: &mut impl FnMut() -> Option<Buffer>) -> bool {
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
        let mut depot = lock(&self.pool.depot);
        // SAFETY: ours, with its chain; what is in the depot nobody takes until its lock is released.
        unsafe { self.pool.give_up_rest(self.index, |index| depot.push(index)) };
        self.pool.mark(self.index, false);
        depot.push(self.index);
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({})", self.index)
    }
}
