//! What differs between the ends of a ring: who moves which index, and where a slot's bytes lie.
//!
//! The client owns the memory and knows which buffer belongs to which slot; a server believes nothing and looks up what each
//! descriptor says.

use super::memory::{BUFFER, Memory, STRIDE};
use super::ring::{Descriptor, Fault, Ring};
use crate::foreign::Foreign;
use millrace_engine::Waker;
use std::sync::Arc;

/// Bytes of a packet, in a slot that the peer has filled.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub at: *const u8,
    pub len: u32,
    /// The packet goes on in the next slot.
    pub more: bool,
}

impl Piece {
    pub const NONE: Piece = Piece { at: std::ptr::null(), len: 0, more: false };
}

/// Room for bytes of a packet, in a slot that is ours to fill.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub at: *mut u8,
    pub len: u32,
    pub region: u16,
}

/// One end of a ring. Positions run freely; [`Ring`] masks them.
pub(super) trait Side {
    /// Up to where the peer has filled slots, of a ring that packets come in by.
    fn filled(ring: &Ring) -> u16;

    /// What lies in a filled slot.
    fn piece(&self, ring: &Ring, at: u16) -> Result<Piece, Fault>;

    /// Gives slots back that have been read.
    fn release(&self, ring: &Ring, from: u16, to: u16);

    /// Forgets that the packet in this slot went on in the next.
    fn unchain(&self, ring: &Ring, at: u16);

    /// How many slots are free from `at` on, of a ring that packets leave by.
    fn free(&mut self, ring: &Ring, at: u16) -> Result<u16, Fault>;

    /// The room in a free slot.
    fn room(&self, ring: &Ring, at: u16) -> Result<Room, Fault>;

    /// Says what was put there.
    fn fill(&self, ring: &Ring, at: u16, room: Room, len: u32, more: bool);

    /// Hands over all slots before `at`.
    fn publish(ring: &Ring, at: u16);
}

/// The server's end: all memory is the client's.
#[derive(Clone)]
pub(super) struct Server {
    pub regions: Arc<Regions>,
}

/// What the client has shared.
pub(super) struct Regions {
    pub list: Vec<Foreign>,
    /// Who is told when some of it is taken away.
    pub _waker: Waker,
}

impl Server {
    #[inline(always)]
    fn find(&self, descriptor: Descriptor) -> Result<*mut u8, Fault> {
        let region = self.regions.list.get(usize::from(descriptor.region)).ok_or(Fault::Region)?;
        if descriptor.len == 0 {
            return Err(Fault::Empty);
        }
        if u64::from(descriptor.offset) + u64::from(descriptor.len) > region.len() as u64 {
            return Err(Fault::Bounds);
        }
        Ok(region.base().as_ptr().wrapping_add(descriptor.offset as usize))
    }
}

impl Side for Server {
    #[inline(always)]
    fn filled(ring: &Ring) -> u16 {
        ring.head()
    }

    #[inline(always)]
    fn piece(&self, ring: &Ring, at: u16) -> Result<Piece, Fault> {
        let descriptor = ring.read(at);
        let found = self.find(descriptor)?;
        Ok(Piece { at: found, len: descriptor.len, more: descriptor.more })
    }

    #[inline(always)]
    fn release(&self, ring: &Ring, _from: u16, to: u16) {
        ring.set_tail(to);
    }

    /// Clients (DPDK's) leave the flag in slots that they fill again.
    fn unchain(&self, ring: &Ring, at: u16) {
        ring.write_front(at, Descriptor { more: false, ..ring.read(at) });
    }

    #[inline(always)]
    fn free(&mut self, ring: &Ring, at: u16) -> Result<u16, Fault> {
        let free = ring.head().wrapping_sub(at);
        if free > ring.size() { Err(Fault::Index) } else { Ok(free) }
    }

    #[inline(always)]
    fn room(&self, ring: &Ring, at: u16) -> Result<Room, Fault> {
        let descriptor = ring.read(at);
        let found = self.find(descriptor)?;
        Ok(Room { at: found, len: descriptor.len, region: descriptor.region })
    }

    #[inline(always)]
    fn fill(&self, ring: &Ring, at: u16, room: Room, len: u32, more: bool) {
        ring.write_front(at, Descriptor { more, region: room.region, len, offset: 0 });
    }

    #[inline(always)]
    fn publish(ring: &Ring, at: u16) {
        ring.set_tail(at);
    }
}

/// The client's end, with buffers of its own beside the rings: one for each slot, always the same.
#[derive(Clone)]
pub(super) struct Client {
    memory: Arc<Memory>,
    /// Where the ring's buffers start.
    buffers: usize,
    /// Up to where the server had read when it was looked last, of a ring that packets leave by.
    read: u16,
}

impl Client {
    pub fn new(memory: Arc<Memory>, buffers: usize) -> Client {
        Client { memory, buffers, read: 0 }
    }

    #[inline(always)]
    fn offset(&self, ring: &Ring, at: u16) -> usize {
        self.buffers + usize::from(at & (ring.size() - 1)) * STRIDE
    }

    #[inline(always)]
    fn buffer(&self, ring: &Ring, at: u16) -> *mut u8 {
        self.memory.base().as_ptr().wrapping_add(self.offset(ring, at))
    }

    /// Has the server fill all slots from the ring's start on.
    pub fn post_all(&self, ring: &Ring) {
        self.post(ring, 0, ring.size());
        ring.set_head(ring.size());
    }

    #[inline(always)]
    fn post(&self, ring: &Ring, from: u16, to: u16) {
        let mut at = from;
        while at != to {
            let offset = self.offset(ring, at) as u32;
            ring.write(at, Descriptor { more: false, region: 0, len: BUFFER as u32, offset });
            at = at.wrapping_add(1);
        }
    }
}

impl Side for Client {
    #[inline(always)]
    fn filled(ring: &Ring) -> u16 {
        ring.tail()
    }

    #[inline(always)]
    fn piece(&self, ring: &Ring, at: u16) -> Result<Piece, Fault> {
        // The server has no say in where the slot's buffer is.
        let Descriptor { more, len, .. } = ring.read(at);
        match len {
            0 => Err(Fault::Empty),
            len if len as usize > BUFFER => Err(Fault::Length),
            len => Ok(Piece { at: self.buffer(ring, at), len, more }),
        }
    }

    #[inline(always)]
    fn release(&self, ring: &Ring, from: u16, to: u16) {
        // Slots whose packets were read are posted again at the other end of the ring, which is all posted.
        self.post(ring, from, to);
        ring.set_head(to.wrapping_add(ring.size()));
    }

    fn unchain(&self, _ring: &Ring, _at: u16) {}

    #[inline(always)]
    fn free(&mut self, ring: &Ring, at: u16) -> Result<u16, Fault> {
        let tail = ring.tail();
        if tail.wrapping_sub(self.read) > at.wrapping_sub(self.read) {
            return Err(Fault::Index);
        }
        self.read = tail;
        Ok(ring.size() - at.wrapping_sub(tail))
    }

    #[inline(always)]
    fn room(&self, ring: &Ring, at: u16) -> Result<Room, Fault> {
        Ok(Room { at: self.buffer(ring, at), len: BUFFER as u32, region: 0 })
    }

    #[inline(always)]
    fn fill(&self, ring: &Ring, at: u16, _room: Room, len: u32, more: bool) {
        let offset = self.offset(ring, at) as u32;
        ring.write(at, Descriptor { more, region: 0, len, offset });
    }

    #[inline(always)]
    fn publish(ring: &Ring, at: u16) {
        ring.set_head(at);
    }
}
