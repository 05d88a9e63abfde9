//! A client's rings when it shares the pool: descriptors name cells, and nothing is copied here.

use super::memory::Memory;
use super::ring::{Descriptor, Fault, MAX_PACKET, Ring};
use millrace_engine::device::{RxBurst, TxBurst};
use millrace_engine::{Cache, DATA, HEADROOM, Part, Pool};
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::sync::Arc;

/// The pool among the client's regions.
const REGION: u16 = 1;
/// No cell.
const NONE: u32 = u32::MAX;
/// Cells are posted so many at a time.
const BATCH: usize = 32;
/// Cells of a packet at most.
const CELLS: usize = 64;
/// Packets of a burst at most.
const BURST: usize = 256;

/// Where in its region a cell's packet starts. Zero copy is refused for pools with cells beyond what an offset reaches.
fn offset(cell: u32, into: usize) -> u32 {
    (Pool::offset_of(cell) + into) as u32
}

/// A ring that packets come in by: the server writes them into cells.
pub(super) struct Receive {
    ring: Ring,
    /// Where the ring lies.
    _memory: Arc<Memory>,
    pool: &'static Pool,
    /// The first slot that was not taken in yet.
    at: u16,
    /// The first slot without a cell.
    head: u16,
    /// The cell of each slot.
    cells: Box<[u32]>,
}

impl Receive {
    pub fn new(ring: Ring, memory: Arc<Memory>, pool: &'static Pool) -> Receive {
        Receive { ring, _memory: memory, pool, at: 0, head: 0, cells: vec![NONE; usize::from(ring.size())].into() }
    }

    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// How many slots are filled.
    #[inline(always)]
    pub fn ready(&self) -> Result<u16, Fault> {
        let ready = self.ring.tail().wrapping_sub(self.at);
        if ready > self.head.wrapping_sub(self.at) { Err(Fault::Index) } else { Ok(ready) }
    }

    #[inline(always)]
    fn cell(&mut self, at: u16) -> &mut u32 {
        let slot = usize::from(at & (self.ring.size() - 1));
        &mut self.cells[slot]
    }

    /// What the server put into a slot.
    #[inline(always)]
    fn part(&mut self, at: u16) -> Result<(Part, bool), Fault> {
        let Descriptor { more, len, .. } = self.ring.read(at);
        match len {
            0 => Err(Fault::Empty),
            len if len as usize > DATA => Err(Fault::Length),
            len => Ok((Part { index: *self.cell(at), offset: HEADROOM as u16, len: len as u16 }, more)),
        }
    }

    /// Takes in what the burst has room for, and posts new cells.
    #[inline]
    pub fn rx(&mut self, burst: &mut RxBurst<'_>) -> Result<(), Fault> {
        let mut ready = self.ready()?;
        let idle = ready == 0;
        let base = burst.cache().pool().region().base().as_ptr();
        while ready > 0 && burst.room() > 0 {
            let ahead = *self.cell(self.at.wrapping_add(4));
            // SAFETY: a prefetch never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(base.wrapping_add(offset(ahead, HEADROOM) as usize).cast()) };
            let (part, more) = self.part(self.at)?;
            if more {
                let slots = self.chain(part, ready, burst)?;
                self.at = self.at.wrapping_add(slots);
                ready -= slots;
                continue;
            }
            // SAFETY: the cell was posted, and is the burst's from here on; without room it would still be ours.
            if !unsafe { burst.adopt(part) } {
                break;
            }
            *self.cell(self.at) = NONE;
            self.at = self.at.wrapping_add(1);
            ready -= 1;
        }
        self.refill(burst, idle);
        Ok(())
    }

    /// A packet of several slots, which starts with `first`; how many.
    #[cold]
    fn chain(&mut self, first: Part, ready: u16, burst: &mut RxBurst<'_>) -> Result<u16, Fault> {
        let mut parts = [first; CELLS];
        let mut count = 1;
        let mut more = true;
        while more {
            if count == usize::from(ready) {
                return Err(Fault::Unended);
            }
            if count == parts.len() {
                return Err(Fault::Endless);
            }
            (parts[count], more) = self.part(self.at.wrapping_add(count as u16))?;
            count += 1;
        }
        if parts[..count].iter().map(|part| usize::from(part.len)).sum::<usize>() > MAX_PACKET {
            return Err(Fault::Endless);
        }
        // SAFETY: the cells were posted, each in one slot, and are the burst's from here on.
        if !unsafe { burst.adopt_chain(&parts[..count]) } {
            return Err(Fault::Endless);
        }
        for slot in 0..count as u16 {
            *self.cell(self.at.wrapping_add(slot)) = NONE;
        }
        Ok(count as u16)
    }

    /// Posts cells in all slots that have none, as far as the pool has some.
    #[inline]
    fn refill(&mut self, burst: &mut RxBurst<'_>, idle: bool) {
        let start = self.head;
        let mut missing = usize::from(self.ring.size() - self.head.wrapping_sub(self.at));
        // A few at a time, but never none at all, and every one when there is nothing else to do.
        if !idle && missing < BATCH && missing < usize::from(self.ring.size()) / 2 {
            return;
        }
        while missing > 0 {
            let mut cells = [NONE; BATCH];
            let wanted = missing.min(BATCH);
            let got = burst.cache().take_many(&mut cells[..wanted]);
            for cell in &cells[..got] {
                let (at, len) = (self.head, DATA as u32);
                *self.cell(at) = *cell;
                self.ring.write(at, Descriptor { more: false, region: REGION, len, offset: offset(*cell, HEADROOM) });
                self.head = at.wrapping_add(1);
            }
            missing -= got;
            if got < wanted {
                burst.starved(1);
                break;
            }
        }
        if self.head != start {
            self.ring.set_head(self.head);
        }
    }
}

impl Drop for Receive {
    fn drop(&mut self) {
        let cells: Vec<u32> = self.cells.iter().copied().filter(|cell| *cell != NONE).collect();
        // SAFETY: they were posted and not taken in; the peer is gone, or keeps writing to what it was trusted with.
        unsafe { self.pool.put(&cells) };
    }
}

/// A ring that packets leave by: the server reads them where they lie.
pub(super) struct Send {
    ring: Ring,
    /// Where the ring lies.
    _memory: Arc<Memory>,
    pool: &'static Pool,
    /// The first slot that was not sent by yet.
    at: u16,
    /// The first slot that the server had not read when it was looked last.
    read: u16,
    /// The packet that ends in each slot.
    packets: Box<[u32]>,
}

impl Send {
    pub fn new(ring: Ring, memory: Arc<Memory>, pool: &'static Pool) -> Send {
        Send { ring, _memory: memory, pool, at: 0, read: 0, packets: vec![NONE; usize::from(ring.size())].into() }
    }

    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    #[inline(always)]
    fn packet(&mut self, at: u16) -> &mut u32 {
        let slot = usize::from(at & (self.ring.size() - 1));
        &mut self.packets[slot]
    }

    /// Gives back the packets that the server has read; whether some are still out.
    #[inline]
    pub fn reclaim(&mut self, cache: &mut Cache) -> Result<bool, Fault> {
        let tail = self.ring.tail();
        if tail.wrapping_sub(self.read) > self.at.wrapping_sub(self.read) {
            return Err(Fault::Index);
        }
        let mut done = [NONE; BATCH];
        let mut count = 0;
        while self.read != tail {
            let packet = std::mem::replace(self.packet(self.read), NONE);
            self.read = self.read.wrapping_add(1);
            if packet != NONE {
                done[count] = packet;
                count += 1;
            }
            if count == BATCH {
                // SAFETY: they were kept when they were sent, and the server has read them.
                unsafe { cache.put_packets(&done) };
                count = 0;
            }
        }
        // SAFETY: as above.
        unsafe { cache.put_packets(&done[..count]) };
        Ok(self.read != self.at)
    }

    /// Sends from the front of the burst; how many packets were dealt with, and how many of them can't be sent at all.
    #[inline]
    pub fn tx(&mut self, burst: &mut TxBurst<'_>) -> Result<(usize, usize), Fault> {
        self.reclaim(burst.cache())?;
        let mut free = self.ring.size() - self.at.wrapping_sub(self.read);
        let start = self.at;
        let (mut done, mut lost) = (0, [false; BURST]);
        let mut any_lost = 0;
        while done < BURST
            && let Some(packet) = burst.packet(done)
        {
            let slots = packet.parts().count();
            if slots == 0 || slots > usize::from(self.ring.size()) {
                burst.lose(done);
                lost[done] = true;
                any_lost += 1;
                done += 1;
                continue;
            }
            if slots > usize::from(free) {
                break;
            }
            for (slot, part) in packet.parts().enumerate() {
                let offset = offset(part.index, usize::from(part.offset));
                let descriptor =
                    Descriptor { more: slot + 1 < slots, region: REGION, len: u32::from(part.len), offset };
                self.ring.write(self.at, descriptor);
                self.at = self.at.wrapping_add(1);
            }
            let index = burst.indices().get(done).copied().unwrap_or(NONE);
            *self.packet(self.at.wrapping_sub(1)) = index;
            free -= slots as u16;
            done += 1;
        }
        burst.keep(done);
        if any_lost > 0 {
            for (index, _) in burst.indices().iter().zip(lost).filter(|(_, lost)| *lost) {
                // SAFETY: kept with the others just now, and in no slot.
                unsafe { burst.cache().put_packets(&[*index]) };
            }
        }
        if self.at != start {
            self.ring.set_head(self.at);
        }
        Ok((done, any_lost))
    }
}

impl Drop for Send {
    fn drop(&mut self) {
        let packets: Vec<u32> = self.packets.iter().copied().filter(|packet| *packet != NONE).collect();
        // SAFETY: they were kept when they were sent; nobody waits for them to be read any more.
        unsafe { self.pool.cache().put_packets(&packets) };
    }
}
