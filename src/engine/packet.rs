//! The view of a packet that a node works on: headers as typed references, checked once.

use crate::pool::{Behind, CELL, CHAINED, Meta, OWN, Part, Pool, SHARED, TRACED};
use std::marker::PhantomData;
use std::ptr::NonNull;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A packet, borrowed from its owner for as long as one node works on it.
///
/// "Current" is where the last node left off: `ethernet-input` advances past its header, `ip4-rewrite` goes back.
pub struct Packet<'a> {
    pool: &'static Pool,
    index: u32,
    /// What the graph knows about it.
    pub meta: &'a mut Meta,
    cell: NonNull<u8>,
    _cell: PhantomData<&'a mut [u8; CELL]>,
}

impl<'a> Packet<'a> {
    /// # Safety
    /// `cell` points at the `CELL` bytes of buffer `index` of `pool`; the caller owns that buffer for `'a`, and `meta`
    /// keeps `offset + len <= CELL`.
    #[inline(always)]
    pub(crate) unsafe fn from_parts(
        pool: &'static Pool,
        index: u32,
        meta: &'a mut Meta,
        cell: NonNull<u8>,
    ) -> Packet<'a> {
        Packet { pool, index, meta, cell, _cell: PhantomData }
    }

    /// Bytes from the current header to the end of the first buffer.
    #[inline(always)]
    pub fn len(&self) -> usize {
        usize::from(self.meta.len)
    }

    /// Whether nothing is left in the first buffer.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.meta.len == 0
    }

    /// Bytes from the current header to the end of the packet, over all its buffers.
    #[inline(always)]
    pub fn total_len(&self) -> usize {
        let len = usize::from(self.meta.len);
        if self.chained() { len + self.behind() } else { len }
    }

    /// Whether more buffers follow the first.
    #[inline(always)]
    pub fn chained(&self) -> bool {
        self.meta.flags & CHAINED != 0
    }

    /// Whether other packets have the buffers behind the first as well: they are only read.
    #[inline(always)]
    pub fn shared(&self) -> bool {
        self.meta.flags & SHARED != 0
    }

    #[cold]
    fn behind(&self) -> usize {
        // SAFETY: `self` borrows the buffer from its owner.
        unsafe { self.pool.cold_of(self.index) }.chain_len as usize
    }

    /// The bytes from the current header on, in the first buffer.
    #[inline(always)]
    pub fn data(&self) -> &[u8] {
        // SAFETY: `offset + len <= CELL` by the invariant of `Meta`; the cell is ours for 'a.
        unsafe {
            std::slice::from_raw_parts(
                self.cell.as_ptr().add(usize::from(self.meta.offset)),
                usize::from(self.meta.len),
            )
        }
    }

    /// As [`Packet::data`], to be changed.
    #[inline(always)]
    pub fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `data`; `&mut self` makes it the only view.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.cell.as_ptr().add(usize::from(self.meta.offset)),
                usize::from(self.meta.len),
            )
        }
    }

    /// The current header as a `T`, or `None` when fewer bytes are there.
    #[inline(always)]
    pub fn header<T: FromBytes + KnownLayout + Immutable + Unaligned>(&self) -> Option<&T> {
        T::ref_from_prefix(self.data()).ok().map(|(h, _)| h)
    }

    /// As [`Packet::header`], to be changed.
    #[inline(always)]
    pub fn header_mut<T: FromBytes + IntoBytes + KnownLayout + Unaligned>(&mut self) -> Option<&mut T> {
        T::mut_from_prefix(self.data_mut()).ok().map(|(h, _)| h)
    }

    /// Moves the current header `n` bytes on. False, and nothing done, when fewer are there.
    #[inline(always)]
    #[must_use]
    pub fn advance(&mut self, n: usize) -> bool {
        let fits = n <= usize::from(self.meta.len);
        if fits {
            self.meta.offset += n as u16;
            self.meta.len -= n as u16;
        }
        fits
    }

    /// Moves the current header `n` bytes back, over bytes that were there or into the headroom. False, and nothing
    /// done, when there is no room.
    #[inline(always)]
    #[must_use]
    pub fn retreat(&mut self, n: usize) -> bool {
        let fits = n <= usize::from(self.meta.offset);
        if fits {
            self.meta.offset -= n as u16;
            self.meta.len += n as u16;
        }
        fits
    }

    /// Remembers the current header as the network header.
    #[inline(always)]
    pub fn mark_l3(&mut self) {
        self.meta.l3 = self.meta.offset;
    }

    /// Goes back (or forward) to the network header. False when none lies in the packet's buffer.
    #[must_use]
    pub fn to_l3(&mut self) -> bool {
        let end = self.meta.offset + self.meta.len;
        let fits = self.meta.l3 != 0 && self.meta.l3 <= end;
        if fits {
            (self.meta.offset, self.meta.len) = (self.meta.l3, end - self.meta.l3);
        }
        fits
    }

    /// Bytes free before the current header.
    pub fn headroom(&self) -> usize {
        usize::from(self.meta.offset)
    }

    /// Copies `bytes` to the end of the first buffer as far as there is room; how many were copied.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) -> usize {
        let end = usize::from(self.meta.offset) + usize::from(self.meta.len);
        let n = bytes.len().min(CELL - end);
        // SAFETY: `end + n <= CELL`; the cell is ours for 'a, so `bytes` is elsewhere.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.cell.as_ptr().add(end), n) };
        self.meta.len += n as u16;
        n
    }

    /// Puts bytes of another cell where the packet's own are to be; those that a head has, usually, in one copy of fixed length.
    ///
    /// # Safety
    /// So many can be read from there, in another cell; the packet has `len` bytes.
    #[inline(always)]
    pub(crate) unsafe fn copy_own(&mut self, from: *const u8, len: usize) {
        // SAFETY: the caller's promise; the packet's bytes lie in its cell by the invariant of `Meta`.
        unsafe {
            let to = self.cell.as_ptr().add(usize::from(self.meta.offset));
            if len == OWN {
                to.cast::<[u8; OWN]>().write_unaligned(from.cast::<[u8; OWN]>().read_unaligned());
            } else {
                to.copy_from_nonoverlapping(from, len);
            }
        }
    }

    /// Writes a whole fresh packet of known size; one copy of fixed length that the compiler unrolls.
    #[inline(always)]
    pub(crate) fn write_fixed<const N: usize>(&mut self, bytes: &[u8; N]) {
        const { assert!(N <= crate::pool::DATA) };
        self.meta.offset = crate::pool::HEADROOM as u16;
        self.meta.len = N as u16;
        // SAFETY: HEADROOM + N <= CELL.
        unsafe { self.cell.as_ptr().add(crate::pool::HEADROOM).cast::<[u8; N]>().write_unaligned(*bytes) };
    }

    /// Grows the first buffer by `n` zero bytes (of a packet in one buffer). False when they don't fit.
    #[must_use]
    pub fn grow(&mut self, n: usize) -> bool {
        let end = usize::from(self.meta.offset) + usize::from(self.meta.len);
        let fits = !self.chained() && n <= CELL - end;
        if fits {
            let len = self.len();
            self.meta.len += n as u16;
            if let Some(tail) = self.data_mut().get_mut(len..) {
                tail.fill(0);
            }
        }
        fits
    }

    /// Shortens the packet to `len` bytes from the current header (padding behind the network layer goes this way).
    #[inline(always)]
    pub fn truncate(&mut self, len: usize) {
        if self.chained() {
            self.truncate_chain(len);
        } else if len < usize::from(self.meta.len) {
            self.meta.len = len as u16;
        }
    }

    #[cold]
    fn truncate_chain(&mut self, len: usize) {
        let mut left = len.min(self.total_len());
        self.meta.len = left.min(self.len()) as u16;
        left -= self.len();
        // SAFETY: the chain is the packet's, which is borrowed mutably from its owner.
        let mut cold = unsafe { self.pool.cold(self.index) };
        cold.chain_len = left as u32;
        // Others need what is behind; how much of it is this packet's the first buffer knows.
        let mut more = !self.shared();
        // The buffers keep their chain (they are freed with it); those behind the end become empty.
        while more {
            // SAFETY: as above; each buffer is viewed once, and the head's view is not among them.
            let next = unsafe { self.pool.packet(cold.next) };
            next.meta.len = left.min(next.len()) as u16;
            left -= next.len();
            more = next.chained();
            // SAFETY: as above.
            cold = unsafe { self.pool.cold(cold.next) };
            cold.chain_len = left as u32;
        }
    }

    /// The packet's bytes from the current header on, a slice per buffer.
    #[inline]
    pub fn segments(&self) -> Segments<'_> {
        Segments { head: Some(self.data()), behind: self.rest() }
    }

    /// What follows the first buffer.
    #[inline]
    fn rest(&self) -> Behind<'_> {
        // SAFETY: the chain is the packet's, which stays borrowed.
        if self.chained() { unsafe { self.pool.behind(self.index) } } else { Behind::nothing(self.pool) }
    }

    /// Where the bytes of the first buffer lie.
    #[inline(always)]
    pub fn part(&self) -> Part {
        Part { index: self.index, offset: self.meta.offset, len: self.meta.len }
    }

    /// Where the packet's bytes lie from the current header on, buffer by buffer; empty ones are left out.
    pub fn parts(&self) -> Parts<'_> {
        Parts { head: (!self.is_empty()).then(|| self.part()), behind: self.rest() }
    }

    /// Copies up to `to.len()` bytes from the current header on; how many there were.
    pub fn copy_to(&self, to: &mut [u8]) -> usize {
        let mut done = 0;
        for segment in self.segments() {
            let n = segment.len().min(to.len() - done);
            to[done..done + n].copy_from_slice(&segment[..n]);
            done += n;
        }
        done
    }

    /// Whether its way through the graph is being recorded.
    #[inline(always)]
    pub fn traced(&self) -> bool {
        self.meta.flags & TRACED != 0
    }

    pub(crate) fn trace_id(&self) -> u32 {
        // SAFETY: the buffer is borrowed from its owner.
        unsafe { self.pool.cold(self.index) }.trace
    }

    pub(crate) fn set_trace_id(&mut self, id: u32) {
        self.meta.flags |= TRACED;
        // SAFETY: as above.
        unsafe { self.pool.cold(self.index) }.trace = id;
    }
}

/// The buffers of a packet, as slices; see [`Packet::segments`].
pub struct Segments<'a> {
    head: Option<&'a [u8]>,
    behind: Behind<'a>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.head.take().or_else(|| self.behind.next().map(|(_, bytes)| bytes))
    }
}

/// Where a packet's bytes lie; see [`Packet::parts`].
pub struct Parts<'a> {
    head: Option<Part>,
    behind: Behind<'a>,
}

impl Iterator for Parts<'_> {
    type Item = Part;

    #[inline]
    fn next(&mut self) -> Option<Part> {
        self.head.take().or_else(|| self.behind.find(|(part, _)| part.len > 0).map(|(part, _)| part))
    }
}

#[cfg(test)]
mod tests {
    use crate::memory::HugePages;
    use crate::pool::{CELL, HEADROOM, Pool};

    #[test]
    fn headers_move_within_the_cell_only() {
        let pool = Pool::new(8, HugePages::Off).unwrap();
        let mut b = pool.alloc().unwrap();
        let mut p = b.packet();
        assert_eq!(p.extend(&[7; 4000]), 2048);
        assert!(!p.advance(2049));
        assert!(p.advance(2048) && p.is_empty());
        assert!(!p.retreat(CELL + 1));
        assert!(p.retreat(CELL));
        assert_eq!((p.len(), p.headroom()), (CELL, 0));
        assert!(!p.retreat(1));
        assert!(p.header::<[u8; CELL]>().is_some());
        assert!(p.advance(HEADROOM) && p.data().iter().all(|b| *b == 7));
    }

    #[test]
    fn truncating_a_chain_shortens_its_tail() {
        let pool = Pool::new(8, HugePages::Off).unwrap();
        let mut b = pool.alloc().unwrap();
        assert!(b.append(&[1; 5000], || pool.alloc()));
        let mut p = b.packet();
        p.truncate(2100);
        assert_eq!(p.total_len(), 2100);
        assert_eq!(p.segments().map(<[u8]>::len).collect::<Vec<_>>(), [2048, 52, 0]);
        let mut out = [0; 2050];
        assert_eq!(p.copy_to(&mut out), 2050);
    }
}
