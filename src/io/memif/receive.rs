//! Receiving by copying: out of the peer's memory, or out of our own buffers that the peer writes to.

use super::ring::{Fault, MAX_CHAIN, MAX_PACKET, Ring, copy};
use super::side::{Piece, Side};
use millrace_engine::device::RxBurst;
use millrace_engine::{DATA, HEADROOM, Part, Pool};
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// Packets whose bytes are on their way into the cache while others are copied.
const BATCH: usize = 32;
/// Cells of the longest packet.
const CELLS: usize = MAX_PACKET.div_ceil(DATA);

/// A ring that packets come in by.
pub(super) struct Receive<S> {
    ring: Ring,
    side: S,
    at: u16,
}

impl<S: Side> Receive<S> {
    /// From the ring's start on.
    pub fn new(ring: Ring, side: S) -> Receive<S> {
        Receive { ring, side, at: 0 }
    }

    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// How many slots are filled.
    #[inline(always)]
    pub fn ready(&self) -> Result<u16, Fault> {
        let ready = S::filled(&self.ring).wrapping_sub(self.at);
        if ready > self.ring.size() { Err(Fault::Index) } else { Ok(ready) }
    }

    /// Takes in what the burst has room and the pool cells for. What there is no cell for stays in the ring.
    #[inline]
    pub fn rx(&mut self, burst: &mut RxBurst<'_>) -> Result<(), Fault> {
        let mut ready = self.ready()?;
        let start = self.at;
        let mut result = Ok(());
        while ready > 0 && burst.room() > 0 {
            match self.batch(ready, burst) {
                Ok(0) => break,
                Ok(slots) => {
                    self.at = self.at.wrapping_add(slots);
                    ready -= slots;
                }
                Err(fault) => {
                    result = Err(fault);
                    break;
                }
            }
        }
        if self.at != start {
            self.side.release(&self.ring, start, self.at);
        }
        result
    }

    /// A few packets; how many slots they took.
    #[inline]
    fn batch(&self, ready: u16, burst: &mut RxBurst<'_>) -> Result<u16, Fault> {
        let wanted = usize::from(ready).min(burst.room()).min(BATCH);
        let mut cells = [0; BATCH];
        let got = burst.cache().take_many(&mut cells[..wanted]);
        if got < wanted {
            burst.starved(1);
        }
        let base = burst.cache().pool().region().base().as_ptr();
        let home = |cell: u32| base.wrapping_add(Pool::offset_of(cell) + HEADROOM);
        let mut pieces = [Piece::NONE; BATCH];
        let mut simple = 0;
        let mut other = Ok(None);
        for (to, cell) in pieces.iter_mut().zip(&cells[..got]) {
            match self.side.piece(&self.ring, self.at.wrapping_add(simple)) {
                Ok(piece) if !piece.more && piece.len as usize <= DATA => {
                    // SAFETY: a prefetch never faults.
                    unsafe {
                        _mm_prefetch::<_MM_HINT_T0>(piece.at.cast());
                        _mm_prefetch::<_MM_HINT_T0>(home(*cell).cast());
                    }
                    *to = piece;
                    simple += 1;
                }
                Ok(piece) => {
                    other = Ok(Some(piece));
                    break;
                }
                Err(fault) => {
                    other = Err(fault);
                    break;
                }
            }
        }
        let (used, unused) = cells[..got].split_at(usize::from(simple));
        for (cell, piece) in used.iter().zip(&pieces) {
            // SAFETY: the piece lies in memory that stays mapped while we are here; the cell was just taken, and holds DATA bytes behind
            // its headroom. It is put back if the burst doesn't want it.
            unsafe {
                copy(piece.at, home(*cell), piece.len as usize);
                if !burst.adopt(Part { index: *cell, offset: HEADROOM as u16, len: piece.len as u16 }) {
                    burst.cache().put(&[*cell]);
                }
            }
        }
        // SAFETY: taken above, and not used.
        unsafe { burst.cache().put(unused) };
        let more = match other? {
            Some(first) => self.long(self.at.wrapping_add(simple), first, ready - simple, burst)?,
            None => 0,
        };
        Ok(simple + more)
    }

    /// A packet of several slots or several cells, which starts with `first`; how many slots it took, 0 when there were too few cells.
    #[cold]
    fn long(&self, at: u16, first: Piece, ready: u16, burst: &mut RxBurst<'_>) -> Result<u16, Fault> {
        let mut parts = [Part { index: 0, offset: HEADROOM as u16, len: 0 }; CELLS];
        let (mut cells, mut slots) = (0, 0);
        let done = self.gather(at, first, ready, &mut parts, &mut cells, &mut slots, burst);
        let parts = &parts[..cells];
        // SAFETY: `gather` took these cells and filled them; those that the burst doesn't want are put back.
        unsafe {
            if !(matches!(done, Ok(true)) && burst.adopt_chain(parts)) {
                parts.iter().for_each(|part| burst.cache().put(&[part.index]));
                return done.map(|_| 0);
            }
        }
        (0..slots).for_each(|slot| self.side.unchain(&self.ring, at.wrapping_add(slot)));
        Ok(slots)
    }

    /// Copies a packet into as many cells as it needs. False when there were too few.
    #[allow(clippy::too_many_arguments)]
    fn gather(
        &self,
        at: u16,
        first: Piece,
        ready: u16,
        parts: &mut [Part; CELLS],
        cells: &mut usize,
        slots: &mut u16,
        burst: &mut RxBurst<'_>,
    ) -> Result<bool, Fault> {
        let base = burst.cache().pool().region().base().as_ptr();
        let mut piece = first;
        let mut total = 0;
        *slots = 1;
        loop {
            total += piece.len as usize;
            if total > MAX_PACKET {
                return Err(Fault::Endless);
            }
            let (mut from, mut left) = (piece.at, piece.len as usize);
            while left > 0 {
                if *cells == 0 || usize::from(parts[*cells - 1].len) == DATA {
                    let Some(index) = burst.cache().take() else {
                        burst.starved(1);
                        return Ok(false);
                    };
                    // The limit on bytes keeps it within the array.
                    parts[*cells].index = index;
                    *cells += 1;
                }
                let part = &mut parts[*cells - 1];
                let used = usize::from(part.len);
                let n = left.min(DATA - used);
                // SAFETY: as in `batch`; `used + n` is at most DATA.
                unsafe { copy(from, base.add(Pool::offset_of(part.index) + HEADROOM + used), n) };
                part.len += n as u16;
                from = from.wrapping_add(n);
                left -= n;
            }
            if !piece.more {
                return Ok(true);
            }
            if *slots == ready {
                return Err(Fault::Unended);
            }
            if *slots == MAX_CHAIN {
                return Err(Fault::Endless);
            }
            piece = self.side.piece(&self.ring, at.wrapping_add(*slots))?;
            *slots += 1;
        }
    }
}
