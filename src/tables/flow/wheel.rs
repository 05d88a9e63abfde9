//! Which flow's time runs out when.
//!
//! Two wheels, of flows that are to be kept and of transitory ones, with a slot for about each second of the next two hours and a half. A
//! flow is filed once, under its deadline, and not again when a packet of it moves the deadline: who finds it due looks at when it
//! was last used, and files it anew. Deadlines farther away than the wheel reaches are filed at its end. The lists in the slots are
//! doubly linked by flow numbers, so that a flow is taken out in constant time.

use std::io;

use super::time::Ticks;
use crate::region::{Region, Zeroed};

/// The number of a flow, from 1.
pub type FlowId = u32;

/// Slots of a wheel.
const SLOTS: u32 = 8192;
/// Ticks of a slot, as a power of two: a slot is 1.07 seconds.
const SLOT: u32 = 4;
/// Slot times wrap around with the ticks.
const TIMES: u32 = 1 << (32 - SLOT);

/// Bit 31 of a link: there is no neighbour on this side. The other bits name the slot.
const END: u32 = 1 << 31;

/// Neighbours of a flow in its slot's list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Links {
    prev: u32,
    next: u32,
}

// SAFETY: zero is a number.
unsafe impl Zeroed for Links {}

/// Which wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Kept = 0,
    Transitory = 1,
}

#[derive(Debug)]
struct Wheel {
    /// The first and the last flow of each slot, in the order in which they were filed; 0 if there is none.
    heads: Box<[FlowId; SLOTS as usize]>,
    tails: Box<[FlowId; SLOTS as usize]>,
    /// A bit for each slot that has flows.
    filled: [u64; SLOTS as usize / 64],
    /// The slot time before which no flow is filed. All of them are filed within a turn from it.
    cursor: u32,
    len: u32,
}

/// Later is how many slot times later? Negative, that is above half of the range, counts as none.
const fn ahead(later: u32, earlier: u32) -> u32 {
    let span = later.wrapping_sub(earlier) % TIMES;
    if span >= TIMES / 2 { 0 } else { span }
}

/// The slot time that has come at `now`.
const fn reached(now: Ticks) -> u32 {
    now.0 >> SLOT
}

/// The slot time at which `deadline` is surely over.
const fn slot_time(deadline: Ticks) -> u32 {
    (deadline.0.wrapping_add((1 << SLOT) - 1)) >> SLOT
}

impl Wheel {
    fn new() -> Self {
        let none = || Box::new([0; SLOTS as usize]);
        Self { heads: none(), tails: none(), filled: [0; SLOTS as usize / 64], cursor: 0, len: 0 }
    }

    /// How many slots after the cursor's the first one is that has flows, among that one and the next `span`.
    fn first_filled(&self, span: u32) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let span = span.min(SLOTS - 1);
        let start = self.cursor % SLOTS;
        let mut offset = 0;
        while offset <= span {
            let slot = (start + offset) % SLOTS;
            let word = self.filled[slot as usize / 64] >> (slot % 64);
            if word != 0 {
                let found = offset + word.trailing_zeros();
                return (found <= span).then_some(found);
            }
            offset += 64 - slot % 64;
        }
        None
    }
}

/// Both wheels, and the links of all flows.
#[derive(Debug)]
pub struct Wheels {
    wheels: [Wheel; 2],
    links: Region<Links>,
}

impl Wheels {
    /// For flows 1 to `max`.
    pub fn new(max: u32) -> io::Result<Self> {
        let links = Region::new(max as usize + 1)?;
        Ok(Self { wheels: [Wheel::new(), Wheel::new()], links })
    }

    /// Bytes that do not depend on the number of flows, and bytes that each flow takes.
    pub const MEMORY: (usize, usize) = (2 * (size_of::<Wheel>() + SLOTS as usize * 8), size_of::<Links>());

    /// To be called with each number that is used for the first time; see [`Region::advance`].
    #[inline(always)]
    pub fn advance(&self, id: FlowId) {
        self.links.advance(id as usize - 1, id as usize);
    }

    fn link(&mut self, id: FlowId) -> &mut Links {
        debug_assert!(id > 0 && (id as usize) < self.links.len());
        // SAFETY: the table hands out numbers from 1 to the `max` that there are links for, and nothing else gets into the lists.
        unsafe { self.links.base().add(id as usize).as_mut() }
    }

    /// Files a flow, which is not filed, under its deadline.
    pub fn file(&mut self, id: FlowId, class: Class, deadline: Ticks, now: Ticks) {
        let wheel = &mut self.wheels[class as usize];
        if wheel.len == 0 {
            wheel.cursor = reached(now);
        }
        let offset = ahead(slot_time(deadline), wheel.cursor).min(SLOTS - 1);
        let slot = (wheel.cursor.wrapping_add(offset)) % SLOTS;
        wheel.len += 1;
        wheel.filled[slot as usize / 64] |= 1 << (slot % 64);
        let last = std::mem::replace(&mut wheel.tails[slot as usize], id);
        if last == 0 {
            wheel.heads[slot as usize] = id;
        } else {
            self.link(last).next = id;
        }
        *self.link(id) = Links { prev: if last == 0 { END | slot } else { last }, next: END | slot };
    }

    /// Takes a flow out of its slot.
    pub fn unfile(&mut self, id: FlowId, class: Class) {
        let Links { prev, next } = std::mem::take(self.link(id));
        let flow = |link| if link & END == 0 { link } else { 0 };
        let slot = |link| (link % SLOTS) as usize;
        if next & END == 0 {
            self.link(next).prev = prev;
        } else {
            self.wheels[class as usize].tails[slot(next)] = flow(prev);
        }
        let wheel = &mut self.wheels[class as usize];
        wheel.len = wheel.len.saturating_sub(1);
        if prev & END == 0 {
            self.link(prev).next = next;
            return;
        }
        wheel.heads[slot(prev)] = flow(next);
        if next & END != 0 {
            wheel.filled[slot(prev) / 64] &= !(1 << (slot(prev) % 64));
        }
    }

    /// The flow that was filed next in the slot of a flow; 0 if there is none.
    #[inline]
    pub fn next(&self, id: FlowId) -> FlowId {
        self.links.get(id as usize).map_or(0, |links| if links.next & END == 0 { links.next } else { 0 })
    }

    /// A flow of the first slot that is due and has some. If there is none, all that was due has been dealt with.
    pub fn due(&mut self, class: Class, now: Ticks) -> Option<FlowId> {
        let wheel = &mut self.wheels[class as usize];
        let span = ahead(reached(now), wheel.cursor);
        let found = wheel.first_filled(span);
        wheel.cursor = wheel.cursor.wrapping_add(found.unwrap_or(span)) % TIMES;
        found.map(|_| wheel.heads[(wheel.cursor % SLOTS) as usize])
    }

    /// The flow that is filed first, and whether it belongs there, going by its deadline.
    pub fn first(&self, class: Class) -> Option<First> {
        let wheel = &self.wheels[class as usize];
        let offset = wheel.first_filled(SLOTS - 1)?;
        let time = wheel.cursor.wrapping_add(offset) % TIMES;
        Some(First { id: wheel.heads[(time % SLOTS) as usize], time })
    }
}

/// See [`Wheels::first`].
#[derive(Clone, Copy, Debug)]
pub struct First {
    pub id: FlowId,
    time: u32,
}

impl First {
    /// Whether the flow was used since it was filed, so that its slot is not the one of its deadline any more.
    pub const fn is_early(self, deadline: Ticks) -> bool {
        ahead(slot_time(deadline), self.time) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Ticks = Ticks(1000);

    #[test]
    fn flows_of_one_slot_come_in_the_order_in_which_they_were_filed() {
        let mut wheels = Wheels::new(9).unwrap();
        let first = |wheels: &Wheels| wheels.first(Class::Transitory).map(|first| first.id);
        let file = |wheels: &mut Wheels, id| wheels.file(id, Class::Transitory, NOW + Ticks(16), NOW);
        for id in 1..=6 {
            file(&mut wheels, id);
        }
        // From the middle, the end and the beginning; then two go to the end again.
        for id in [3, 6, 1] {
            wheels.unfile(id, Class::Transitory);
        }
        file(&mut wheels, 3);
        file(&mut wheels, 1);
        let order = [2, 4, 5, 3, 1];
        assert_eq!(order.map(|id| wheels.next(id)), [4, 5, 3, 1, 0]);
        for id in order {
            assert_eq!(first(&wheels), Some(id));
            wheels.unfile(id, Class::Transitory);
        }
        assert_eq!(first(&wheels), None);
        file(&mut wheels, 7);
        assert_eq!(wheels.due(Class::Transitory, NOW + Ticks(32)), Some(7));
    }

    #[test]
    fn the_slots_are_apart() {
        let mut wheels = Wheels::new(9).unwrap();
        for id in 1..=3 {
            wheels.file(id, Class::Kept, NOW + Ticks(100 - 20 * id), NOW);
        }
        wheels.unfile(2, Class::Kept);
        let mut due = |ticks| wheels.due(Class::Kept, NOW + Ticks(ticks)).inspect(|&id| wheels.unfile(id, Class::Kept));
        assert_eq!([due(30), due(64), due(64), due(96), due(96)], [None, Some(3), None, Some(1), None]);
    }
}
