//! Packets that share their bytes: each has a first cell of its own, and all of them the cells behind.
//!
//! What is shared is a *tail*: the cells of one packet but for its first bytes, which every sharer has a copy of in a cell of its own,
//! where it may change them and put headers in front. The first cell of the tail counts the sharers (`Cold::sharers`). From the moment
//! that there are two until there is one again nobody writes a tail, neither its bytes nor what is known of its cells; who has the last
//! share owns the cells as if they had never been shared. A head says by [`SHARED`] that what follows it is a tail. A tail's cells are
//! never heads, and never lead to another tail.

use super::{Buffer, CELL, CHAINED, Cache, DATA, Meta, NONE, Pool, SHARED, TRACED};
use crate::ctx::Ctx;
use crate::node::Node;
use crate::packet::Packet;
use std::mem;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::fence;

/// Bytes that a packet with shared cells has for itself: enough for the headers of a packet in a tunnel, with options.
pub const OWN: usize = 256;
/// The longest packet that is copied rather than shared, by the number of copies: what making and freeing one takes has been measured. A
/// share takes as long as copying 1,000 bytes if there are many, and as 1,500 of two (perf's row l2-flood-8 has the first).
pub const fn short(copies: u32) -> usize {
    if copies > 2 { 1024 } else { DATA }
}

impl Pool {
    /// Gives up a share in a tail; whether it was the last, and the tail's cells are now the caller's alone.
    ///
    /// # Safety
    /// The caller owns so many shares and gives them up.
    pub(super) unsafe fn release(&self, tail: u32, shares: u32) -> bool {
        // SAFETY: the tail is there while there are shares; of a tail's cold line there are only shared references.
        let sharers = unsafe { &self.tail(tail).1.sharers };
        // What nobody else has needs no locked instruction. Nobody can get a share but from who has one.
        let last = sharers.load(Acquire) == shares || sharers.fetch_sub(shares, Release) == shares;
        if last {
            // Whatever others read of the cells they have read before; and the next owner finds no count.
            fence(Acquire);
            sharers.store(0, Relaxed);
        }
        last
    }
}

impl Pool {
    /// Gives up what follows the first cell of a packet: the cells that are nobody else's go to `free`.
    ///
    /// # Safety
    /// The caller owns the packet and gives up its chain.
    pub(super) unsafe fn give_up_rest(&self, head: u32, mut free: impl FnMut(u32)) {
        let mut index = head;
        loop {
            // SAFETY: the head is the caller's, and what follows, until it is given to `free`: nobody gets it before we are done.
            let (flags, next) = unsafe { (self.tail(index).0.flags, self.tail(index).1.next) };
            if flags & CHAINED == 0 {
                return;
            }
            // SAFETY: the packet's share.
            if flags & SHARED != 0 && !unsafe { self.release(next, 1) } {
                return;
            }
            self.mark(next, false);
            free(next);
            index = next;
        }
    }
}

/// What is left to hand out of a packet that several get; see [`Ctx::share`].
#[must_use]
pub struct Copies {
    pool: &'static Pool,
    from: From,
    /// Copies that are still to be made, the packet itself among them. Of a tail: as many shares are ours.
    left: u32,
    /// Whether the first is still to come.
    first: bool,
}

/// What copies are made of.
enum From {
    /// A packet that is the last of them itself.
    Packet(Buffer),
    /// A tail, in front of which lie so many bytes that heads get; and the trace that the first of them goes on with.
    Tail {
        index: u32,
        own: u16,
        trace: Option<u32>,
    },
    Nothing,
}

impl Copies {
    /// As [`Ctx::share`].
    pub(crate) fn new(mut buffer: Buffer, copies: usize) -> Copies {
        let pool = buffer.pool;
        let left = u32::try_from(copies).unwrap_or(u32::MAX).max(1);
        let packet = buffer.packet();
        if left == 1 || packet.shared() || packet.total_len() <= short(left) {
            return Copies { pool, from: From::Packet(buffer), left, first: true };
        }
        let own = OWN.min(packet.len()) as u16;
        let trace = packet.traced().then(|| packet.trace_id());
        packet.meta.flags &= !TRACED;
        packet.meta.offset += own;
        packet.meta.len -= own;
        let index = buffer.into_index();
        // SAFETY: the packet was ours alone until here.
        unsafe { pool.cold(index) }.sharers.store(left, Relaxed);
        Copies { pool, from: From::Tail { index, own, trace }, left, first: true }
    }

    /// The next one: `None` when all were handed out, or the pool is empty. At least one there always is: if there is not a
    /// single buffer, the packet itself.
    #[inline]
    pub fn next<N: Node>(&mut self, cx: &mut Ctx<'_, N>) -> Option<Buffer> {
        let first = self.first;
        let copy = self.take(cx.env.cache)?;
        if !first {
            cx.env.ledger.made.add(1);
        }
        Some(copy)
    }

    pub(crate) fn take(&mut self, cache: &mut Cache) -> Option<Buffer> {
        if self.left == 0 {
            return None;
        }
        let first = mem::replace(&mut self.first, false);
        match &mut self.from {
            From::Packet(buffer) if self.left > 1 => {
                if let Some(mut copy) = cache.copy(&buffer.packet()) {
                    self.left -= 1;
                    if first && buffer.packet().traced() {
                        copy.packet().set_trace_id(buffer.packet().trace_id());
                        buffer.packet().meta.flags &= !TRACED;
                    }
                    return Some(copy);
                }
                self.last()
            }
            From::Packet(_) => self.last(),
            From::Tail { index, own, trace } => {
                let (index, own) = (*index, *own);
                let Some(head) = cache.take() else {
                    // Others have shares already, or the packet is put together again.
                    return if first { self.restore() } else { None };
                };
                let trace = trace.take();
                self.left -= 1;
                // SAFETY: `head` was taken just now; one of our shares in the tail goes with it.
                Some(unsafe { self.pool.put_in_front(head, index, own, trace) })
            }
            From::Nothing => None,
        }
    }

    /// The packet itself.
    fn last(&mut self) -> Option<Buffer> {
        self.left = 0;
        match mem::replace(&mut self.from, From::Nothing) {
            From::Packet(buffer) => Some(buffer),
            From::Tail { .. } | From::Nothing => None,
        }
    }

    /// The packet as it was, when nobody else has got a share in it.
    #[cold]
    fn restore(&mut self) -> Option<Buffer> {
        let From::Tail { index, own, trace } = mem::replace(&mut self.from, From::Nothing) else { return None };
        self.left = 0;
        // SAFETY: all shares are ours.
        let mut buffer = unsafe {
            self.pool.cold(index).sharers.store(0, Relaxed);
            self.pool.adopt(index)
        };
        let mut packet = buffer.packet();
        packet.meta.offset -= own;
        packet.meta.len += own;
        if let Some(trace) = trace {
            packet.set_trace_id(trace);
        }
        Some(buffer)
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        if let From::Tail { index, .. } = self.from
            && self.left > 0
            // SAFETY: those that were not handed out are ours.
            && unsafe { self.pool.release(index, self.left) }
        {
            // SAFETY: that was the last.
            drop(unsafe { self.pool.adopt(index) });
        }
    }
}

impl Pool {
    /// Makes a packet of a free cell and a share in a tail.
    ///
    /// # Safety
    /// The caller owns the cell and a share, and gives up both. `own` bytes in front of the tail's first ones are in its cell.
    unsafe fn put_in_front(&'static self, head: u32, tail: u32, own: u16, trace: Option<u32>) -> Buffer {
        // SAFETY: there is a share, so nobody writes the tail.
        let (meta, cold) = unsafe { self.tail(tail) };
        let (offset, behind) = (meta.offset - own, u32::from(meta.len));
        let more = if meta.flags & CHAINED != 0 { cold.chain_len } else { 0 };
        // SAFETY: the cell is ours, and another than the tail's; `offset + own` is where the tail's bytes start, within its cell.
        unsafe {
            let mut packet = self.packet(head);
            *packet.meta = Meta { offset, len: own, flags: CHAINED | SHARED, ..meta.clone() };
            let from = self.data.as_ptr().add(Pool::offset_of(tail) + usize::from(offset));
            packet.copy_own(from, usize::from(own));
            let own_cold = self.cold(head);
            (own_cold.next, own_cold.chain_len) = (tail, behind + more);
            if let Some(trace) = trace {
                packet.set_trace_id(trace);
            }
            self.adopt(head)
        }
    }
}

impl Cache {
    /// A copy of a packet from its current header on, with all that the graph knows of it but its trace. Of one with shared cells the
    /// copy has a share in them. `None` when the pool is empty.
    pub(crate) fn copy(&mut self, packet: &Packet<'_>) -> Option<Buffer> {
        let mut copy = self.alloc()?;
        let flags = packet.meta.flags & !TRACED;
        if flags & SHARED == 0 {
            let mut to = copy.packet();
            *to.meta = Meta { len: 0, flags: 0, ..packet.meta.clone() };
            if flags & CHAINED == 0 {
                to.extend(packet.data());
                return Some(copy);
            }
            if packet.segments().all(|segment| copy.append(segment, || self.alloc())) {
                return Some(copy);
            }
            self.free(copy);
            return None;
        }
        // SAFETY: the packet is borrowed from its owner, who has a share in the tail.
        let (tail, chain_len) = unsafe {
            let cold = self.pool.cold_of(packet.part().index);
            (cold.next, cold.chain_len)
        };
        // SAFETY: as above. There are never more shares than cells.
        unsafe { self.pool.tail(tail) }.1.sharers.fetch_add(1, Relaxed);
        *copy.packet().meta = Meta { len: 0, flags, ..packet.meta.clone() };
        copy.packet().extend(packet.data());
        // SAFETY: the copy is ours alone.
        let cold = unsafe { self.pool.cold(copy.index) };
        (cold.next, cold.chain_len) = (tail, chain_len);
        Some(copy)
    }
}

impl Buffer {
    /// Makes all of a packet's cells its own: what it shares with others it gets a copy of. False when no buffer was left: the
    /// packet is then as it was.
    #[must_use]
    pub fn unshare(&mut self, mut alloc: impl FnMut() -> Option<Buffer>) -> bool {
        let packet = self.packet();
        if !packet.shared() {
            return true;
        }
        let room = CELL - usize::from(packet.meta.offset) - packet.len();
        let len = packet.total_len();
        // SAFETY: we own the head, which has a share in the tail.
        let tail = unsafe { self.pool.cold_of(self.index) }.next;
        // SAFETY: as above.
        let sharers = unsafe { &self.pool.tail(tail).1.sharers };
        if sharers.load(Acquire) == 1 {
            sharers.store(0, Relaxed);
            let mut packet = self.packet();
            packet.meta.flags &= !SHARED;
            // It may have been shortened, which does not show in the tail.
            packet.truncate(len);
            return true;
        }
        // What fits comes behind the head's own bytes, the rest into further cells. Nothing is changed until all of it is there.
        let mut rest: Option<Buffer> = None;
        let mut free = room;
        for segment in self.packet().segments().skip(1) {
            let (_, over) = segment.split_at(segment.len().min(free));
            free -= segment.len() - over.len();
            if over.is_empty() {
                continue;
            }
            let Some(to) = rest.as_mut() else {
                let Some(mut first) = alloc() else { return false };
                let complete = first.append_chain(over, &mut alloc);
                rest = Some(first);
                if !complete {
                    return false;
                }
                continue;
            };
            if !to.append_chain(over, &mut alloc) {
                return false;
            }
        }
        // SAFETY: the tail is another cell than the head, and read only; the head is ours.
        unsafe {
            let behind = self.pool.behind(self.index);
            let mut packet = self.pool.packet(self.index);
            for (_, segment) in behind {
                packet.extend(segment);
            }
            packet.meta.flags &= !(SHARED | CHAINED);
            if let Some(mut rest) = rest {
                packet.meta.flags |= CHAINED;
                let cold = self.pool.cold(self.index);
                (cold.next, cold.chain_len) = (NONE, rest.packet().total_len() as u32);
                cold.next = rest.into_index();
            }
        }
        // SAFETY: the packet's share, which it no longer has.
        if unsafe { self.pool.release(tail, 1) } {
            // SAFETY: that was the last.
            drop(unsafe { self.pool.adopt(tail) });
        }
        true
    }
}
