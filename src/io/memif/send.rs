//! Sending by copying: into the peer's memory, or into our own buffers that the peer reads from.

use super::ring::{Fault, Ring, copy};
use super::side::{Room, Side};
use millrace_engine::Packet;
use millrace_engine::device::TxBurst;

/// Slots of a packet at most.
const SLOTS: usize = 64;

/// A ring that packets leave by.
pub(super) struct Send<S> {
    ring: Ring,
    side: S,
    at: u16,
}

/// What became of a long packet.
enum Long {
    /// It is in so many slots.
    Sent(u16),
    /// Not enough slots are free now.
    Full,
    /// It fits no ring of this kind.
    Never,
}

impl<S: Side> Send<S> {
    /// From the ring's start on.
    pub fn new(ring: Ring, side: S) -> Send<S> {
        Send { ring, side, at: 0 }
    }

    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Sends from the front of the burst; how many packets were dealt with, and how many of them can't be sent at all.
    #[inline]
    pub fn tx(&mut self, burst: &mut TxBurst<'_>) -> Result<(usize, usize), Fault> {
        let mut free = self.side.free(&self.ring, self.at)?;
        let (start, mut lost) = (self.at, 0);
        let mut done = 0;
        while free > 0
            && let Some(packet) = burst.packet(done)
        {
            let data = packet.data();
            let room = self.side.room(&self.ring, self.at)?;
            let used = if !packet.chained() && !data.is_empty() && data.len() <= room.len as usize {
                // SAFETY: the slot has room for it, in memory that stays mapped while we are here.
                unsafe { copy(data.as_ptr(), room.at, data.len()) };
                self.side.fill(&self.ring, self.at, room, data.len() as u32, false);
                1
            } else {
                match self.long(&packet, free)? {
                    Long::Sent(slots) => slots,
                    Long::Full => break,
                    Long::Never => {
                        burst.lose(done);
                        lost += 1;
                        0
                    }
                }
            };
            self.at = self.at.wrapping_add(used);
            free -= used;
            done += 1;
        }
        if self.at != start {
            S::publish(&self.ring, self.at);
        }
        Ok((done, lost))
    }

    /// Sends a packet by as many slots as it needs. Until all of it is there no slot is changed: what it said it has room for is still
    /// true when the packet has to wait.
    #[cold]
    fn long(&self, packet: &Packet<'_>, free: u16) -> Result<Long, Fault> {
        let mut rooms = [(Room { at: std::ptr::null_mut(), len: 0, region: 0 }, 0); SLOTS];
        let mut slots = 0;
        for segment in packet.segments() {
            let mut rest = segment;
            while !rest.is_empty() {
                if slots == 0 || rooms[slots - 1].1 == rooms[slots - 1].0.len {
                    let whole_ring = slots == usize::from(self.ring.size());
                    if whole_ring || slots == SLOTS {
                        return Ok(Long::Never);
                    }
                    if slots == usize::from(free) {
                        return Ok(Long::Full);
                    }
                    rooms[slots] = (self.side.room(&self.ring, self.at.wrapping_add(slots as u16))?, 0);
                    slots += 1;
                }
                let (room, used) = &mut rooms[slots - 1];
                let (now, later) = rest.split_at(rest.len().min((room.len - *used) as usize));
                // SAFETY: as in `tx`; `used + now.len()` is at most what the slot has room for.
                unsafe { copy(now.as_ptr(), room.at.add(*used as usize), now.len()) };
                *used += now.len() as u32;
                rest = later;
            }
        }
        for (slot, (room, used)) in rooms[..slots].iter().enumerate() {
            let at = self.at.wrapping_add(slot as u16);
            self.side.fill(&self.ring, at, *room, *used, slot + 1 < slots);
        }
        Ok(if slots == 0 { Long::Never } else { Long::Sent(slots as u16) })
    }
}
