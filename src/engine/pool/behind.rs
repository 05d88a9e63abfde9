//! What follows the first cell of a packet, to be read only: others may have it, too.

use super::{CHAINED, Cold, Meta, NONE, Part, Pool};
use std::marker::PhantomData;

/// The cells behind a packet's first, in order, as far as they are the packet's: of shared ones a packet may have less than there is.
pub(crate) struct Behind<'a> {
    pool: &'static Pool,
    next: u32,
    /// Bytes of the packet that are still to come.
    left: u32,
    _packet: PhantomData<&'a [u8]>,
}

impl Behind<'_> {
    /// Of a packet in one cell.
    #[inline(always)]
    pub fn nothing(pool: &'static Pool) -> Self {
        Behind { pool, next: NONE, left: 0, _packet: PhantomData }
    }
}

impl Pool {
    /// What follows the cell `head`.
    ///
    /// # Safety
    /// The caller has for `'a` the packet of which `head` is the first cell, and it is chained; nobody writes what follows.
    #[inline]
    pub(crate) unsafe fn behind<'a>(&'static self, head: u32) -> Behind<'a> {
        // SAFETY: the caller's promise.
        let cold = unsafe { self.cold_of(head) };
        Behind { pool: self, next: cold.next, left: cold.chain_len, _packet: PhantomData }
    }

    /// What is known of a cell behind a head.
    ///
    /// # Safety
    /// The caller has the cell, alone or with others, as long as the references live, and nobody writes there. (The count of
    /// sharers is atomic.)
    #[inline(always)]
    pub(super) unsafe fn tail(&self, index: u32) -> (&Meta, &Cold) {
        debug_assert!(index < self.count);
        // SAFETY: cells that somebody has are in range; nobody writes by contract.
        unsafe { (&*self.meta.as_ptr().add(index as usize), &*self.cold.as_ptr().add(index as usize)) }
    }

    /// What only some packets need, to be read.
    ///
    /// # Safety
    /// As [`Pool::tail`].
    #[inline(always)]
    pub(crate) unsafe fn cold_of(&self, index: u32) -> &Cold {
        // SAFETY: the caller's promise.
        unsafe { self.tail(index) }.1
    }
}

impl<'a> Iterator for Behind<'a> {
    type Item = (Part, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<(Part, &'a [u8])> {
        if self.next == NONE {
            return None;
        }
        let index = self.next;
        // SAFETY: whoever made this has the chain for 'a, and nobody writes it.
        let (meta, cold) = unsafe { self.pool.tail(index) };
        self.next = if meta.flags & CHAINED != 0 { cold.next } else { NONE };
        let len = self.left.min(meta.len.into());
        self.left -= len;
        // SAFETY: `offset + len <= CELL`, and the cell stays as it is for 'a.
        let bytes = unsafe {
            let from = self.pool.data.as_ptr().add(Pool::offset_of(index) + usize::from(meta.offset));
            std::slice::from_raw_parts(from, len as usize)
        };
        Some((Part { index, offset: meta.offset, len: len as u16 }, bytes))
    }
}
