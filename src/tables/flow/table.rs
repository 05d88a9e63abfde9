//! The flows of one worker.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::io;

use super::hash::{Hash, Seed};
use super::index::Index;
use super::record::{Flow, NewFlow};
use super::state::{Spans, State, Timeouts};
use super::time::Ticks;
use super::view::{Key, Side, Words};
use super::wheel::{Class, FlowId, Wheels};
use crate::region::Region;

/// The most flows that a table can be made for.
pub const MAX_FLOWS: u32 = 1 << 24;
/// How many flows [`FlowTable::oldest_transitory`] looks at.
const OLDEST: usize = 64;

/// Why a flow was not inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// As many flows as there may be, or no place in the index.
    #[error("the flow table is full")]
    Full,
    /// This flow has one of the two keys.
    #[error("flow {0} has one of the keys")]
    Exists(FlowId),
}

/// See the [module](super).
#[derive(Debug)]
pub struct FlowTable {
    index: Index,
    seed: Seed,
    /// Slot 0 is not used. Slots that were never used are zero, which says that they are free.
    flows: Region<Flow>,
    /// The first of the list of slots that were used and are free; 0 if there is none.
    free: FlowId,
    /// Slots from here on were never used.
    unused: FlowId,
    spans: Spans,
    wheels: Wheels,
    /// Flows from here on may be filed under deadlines that were brought forward since.
    refile: Option<FlowId>,
    len: u32,
    by_state: [u32; 8],
    by_protocol: [u32; 256],
}

impl FlowTable {
    /// An empty table for `max` flows, at least 1 and at most [`MAX_FLOWS`]. Takes address space for all of them, and memory as they
    /// come.
    ///
    /// # Errors
    /// The system has no memory or no random numbers.
    pub fn new(max: u32) -> io::Result<Self> {
        let max = max.clamp(1, MAX_FLOWS);
        Ok(Self {
            index: Index::new()?,
            seed: Seed::random()?,
            flows: Region::new(max as usize + 1)?,
            free: 0,
            unused: 1,
            spans: Spans::new(&Timeouts::default()),
            wheels: Wheels::new(max)?,
            refile: None,
            len: 0,
            by_state: [0; 8],
            by_protocol: [0; 256],
        })
    }

    /// The hash of a key, for the other functions.
    #[inline(always)]
    #[must_use]
    pub const fn hash(&self, key: &Key) -> Hash {
        self.hash_of(key.words())
    }

    #[inline(always)]
    const fn hash_of(&self, key: Words) -> Hash {
        self.seed.hash(key.0, key.1)
    }

    /// Starts loading what [`candidate`](Self::candidate) reads.
    #[inline(always)]
    pub fn prefetch(&self, hash: Hash) {
        self.index.prefetch(hash);
    }

    /// The first flow, if any, one of whose keys has this hash; else 0. Almost always the one, but to be compared:
    /// [`Flow::matches`]; where it is not, [`find`](Self::find) knows.
    #[inline(always)]
    #[must_use]
    pub fn candidate(&self, hash: Hash) -> FlowId {
        self.index.first(hash)
    }

    /// Starts loading a flow. Any number will do.
    #[inline(always)]
    pub fn prefetch_flow(&self, id: FlowId) {
        // SAFETY: a prefetch reads nothing that anyone sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(self.flows.base().as_ptr().wrapping_add(id as usize).cast()) }
    }

    /// A flow; none if there is none of this number.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, id: FlowId) -> Option<&Flow> {
        self.flows.get(id as usize).filter(|flow| !flow.is_free())
    }

    /// A flow, to count and to touch; none if there is none of this number.
    #[inline(always)]
    #[must_use]
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.flows.get_mut(id as usize).filter(|flow| !flow.is_free())
    }

    /// The flow that a packet from `side` with this key belongs to.
    #[inline]
    #[must_use]
    pub fn find(&self, side: Side, key: &Key, hash: Hash) -> Option<FlowId> {
        self.find_words(side, key.words(), hash)
    }

    #[inline(always)]
    fn find_words(&self, side: Side, key: Words, hash: Hash) -> Option<FlowId> {
        self.index.iter(hash).find(|&id| self.get(id).is_some_and(|flow| flow.has(side, key)))
    }

    /// Adds a flow, found by packets from either side from now on.
    ///
    /// # Errors
    /// There is one with one of its keys, or no room.
    pub fn insert(&mut self, new: &NewFlow, now: Ticks) -> Result<FlowId, InsertError> {
        let [inside, outside] = &new.views;
        let (inside, outside) = (inside.words(new.protocol, new.table), outside.words(new.protocol, 0));
        let hashes = [self.hash_of(inside), self.hash_of(outside)];
        for hash in hashes {
            self.index.prefetch(hash);
            self.index.prefetch_alternate(hash);
        }
        let id = if self.free != 0 { self.free } else { self.unused };
        if id as usize >= self.flows.len() {
            return Err(InsertError::Full);
        }
        self.prefetch_flow(id);
        let exists = self.find_words(Side::Inside, inside, hashes[0]);
        if let Some(id) = exists.or_else(|| self.find_words(Side::Outside, outside, hashes[1])) {
            return Err(InsertError::Exists(id));
        }
        self.index.insert(hashes[0], id).map_err(|_| InsertError::Full)?;
        if self.index.insert(hashes[1], id).is_err() {
            self.index.remove(hashes[0], id);
            return Err(InsertError::Full);
        }
        let Some(slot) = self.flows.get_mut(id as usize) else { return Err(InsertError::Full) };
        let fresh = self.free == 0;
        if fresh {
            self.unused += 1;
        } else {
            self.free = slot.next_free();
        }
        *slot = Flow::new(new, now);
        if fresh {
            self.flows.advance(id as usize - 1, id as usize);
            self.wheels.advance(id);
        }
        self.len += 1;
        self.by_state[new.state as usize & 7] += 1;
        self.by_protocol[usize::from(new.protocol)] += 1;
        let deadline = now + self.spans.of(new.protocol, new.state);
        self.wheels.file(id, class(new.protocol, new.state), deadline, now);
        Ok(id)
    }

    /// Takes a flow out and returns it; none if there is none of this number.
    pub fn remove(&mut self, id: FlowId) -> Option<Flow> {
        let flow = *self.get(id)?;
        for side in [Side::Inside, Side::Outside] {
            self.index.remove(self.hash_of(flow.words(side)), id);
        }
        self.wheels.unfile(id, class_of(&flow));
        *self.flows.get_mut(id as usize)? = Flow::free(self.free);
        self.free = id;
        self.len -= 1;
        self.by_state[flow.state() as usize & 7] -= 1;
        self.by_protocol[usize::from(flow.protocol())] -= 1;
        Some(flow)
    }

    /// Changes what a flow is doing, and with it its timeout, which goes on from when the flow was last touched.
    pub fn set_state(&mut self, id: FlowId, state: State, now: Ticks) {
        let Some(flow) = self.get_mut(id) else { return };
        let before = *flow;
        flow.set_state(state);
        let after = *flow;
        self.by_state[before.state() as usize & 7] -= 1;
        self.by_state[state as usize & 7] += 1;
        let sooner = self.span(&after).0 < self.span(&before).0;
        if sooner || class_of(&before) != class_of(&after) {
            self.wheels.unfile(id, class_of(&before));
            self.wheels.file(id, class_of(&after), self.deadline(&after), now);
        }
    }

    /// How long flows live without a packet, those that exist included.
    pub fn set_timeouts(&mut self, timeouts: &Timeouts) {
        let spans = Spans::new(timeouts);
        if spans.any_shorter_than(&self.spans) {
            self.refile = Some(1);
        }
        self.spans = spans;
    }

    /// Takes out flows whose time has run out, not more than a slot of the wheel (1.07 s) and the time between two calls late. Each
    /// is shown to `gone` first. Looks at no more than `budget` flows; returns at how many.
    pub fn expire(&mut self, now: Ticks, budget: usize, mut gone: impl FnMut(FlowId, &Flow)) -> usize {
        let mut looked = self.refile_some(now, budget / 2);
        for class in [Class::Kept, Class::Transitory] {
            while looked < budget
                && let Some(id) = self.wheels.due(class, now)
            {
                looked += 1;
                let Some(&flow) = self.get(id) else { break };
                if self.left(&flow, now) == Ticks::ZERO {
                    gone(id, &flow);
                    self.remove(id);
                } else {
                    self.wheels.unfile(id, class);
                    self.wheels.file(id, class, self.deadline(&flow), now);
                }
            }
        }
        looked
    }

    /// After the timeouts became shorter: files up to `budget` flows anew. Returns how many slots it looked at.
    fn refile_some(&mut self, now: Ticks, budget: usize) -> usize {
        let Some(from) = self.refile else { return 0 };
        let end = self.unused.min(from.saturating_add(budget as u32));
        for id in from..end {
            if let Some(&flow) = self.get(id) {
                self.wheels.unfile(id, class_of(&flow));
                self.wheels.file(id, class_of(&flow), self.deadline(&flow), now);
            }
        }
        self.refile = (end < self.unused).then_some(end);
        (end - from) as usize
    }

    /// The transitory flow that expires first, as far as looking at a few flows tells; none if no flow is
    /// [transitory](State::is_transitory). The one to go when another needs its room.
    pub fn oldest_transitory(&mut self, now: Ticks) -> Option<FlowId> {
        let mut best: Option<(Ticks, FlowId)> = None;
        for _ in 0..OLDEST {
            let first = self.wheels.first(Class::Transitory)?;
            let &flow = self.get(first.id)?;
            let deadline = self.deadline(&flow);
            if !first.is_early(deadline) {
                return Some(first.id);
            }
            let left = self.left(&flow, now);
            if best.is_none_or(|(least, _)| left.0 < least.0) {
                best = Some((left, first.id));
            }
            self.wheels.unfile(first.id, Class::Transitory);
            self.wheels.file(first.id, Class::Transitory, deadline, now);
        }
        best.map(|(_, id)| id)
    }

    /// The flow that [`oldest_transitory`](Self::oldest_transitory) looks at first, or, behind one that was got here, the one after
    /// that; 0 if there is none, or the next is far away. For loading beforehand what the removal of a whole frame's flows reads.
    #[inline]
    #[must_use]
    pub fn next_oldest(&self, after: FlowId) -> FlowId {
        match after {
            0 => self.wheels.first(Class::Transitory).map_or(0, |first| first.id),
            _ => self.wheels.next(after),
        }
    }

    /// Starts loading what [`remove`](Self::remove) reads of a flow, which itself was [prefetched](Self::prefetch_flow).
    #[inline]
    pub fn prefetch_removal(&self, id: FlowId) {
        if let Some(flow) = self.get(id) {
            self.index.prefetch(self.hash_of(flow.words(Side::Inside)));
            self.index.prefetch(self.hash_of(flow.words(Side::Outside)));
        }
    }

    /// Starts loading what [`insert`](Self::insert) reads for one of the keys.
    #[inline]
    pub fn prefetch_insertion(&self, hash: Hash) {
        self.index.prefetch(hash);
        self.index.prefetch_alternate(hash);
    }

    /// How long a flow lives from `now` on if no packet comes. Zero if it is over, or there is none of this number.
    #[must_use]
    pub fn expires_in(&self, id: FlowId, now: Ticks) -> Ticks {
        self.get(id).map_or(Ticks::ZERO, |flow| self.left(flow, now))
    }

    fn span(&self, flow: &Flow) -> Ticks {
        self.spans.of(flow.protocol(), flow.state())
    }

    fn deadline(&self, flow: &Flow) -> Ticks {
        flow.last() + self.span(flow)
    }

    fn left(&self, flow: &Flow, now: Ticks) -> Ticks {
        self.span(flow).less(now.since(flow.last()))
    }

    /// The number of flows.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of flows that it was made for.
    #[must_use]
    pub const fn max(&self) -> u32 {
        self.flows.len() as u32 - 1
    }

    /// How many flows are in each state.
    #[must_use]
    pub fn count_by_state(&self) -> [(State, u32); State::ALL.len()] {
        State::ALL.map(|state| (state, self.by_state[state as usize & 7]))
    }

    /// How many flows are of a protocol.
    #[must_use]
    pub const fn count_by_protocol(&self, protocol: u8) -> u32 {
        self.by_protocol[protocol as usize]
    }

    /// Bytes of memory: the index, and as many flows as there were at the same time at most.
    #[must_use]
    pub fn memory(&self) -> usize {
        let (fixed, each) = Wheels::MEMORY;
        size_of::<Self>() + self.index.memory() + fixed + self.unused as usize * (size_of::<Flow>() + each)
    }

    /// The flows among up to `max` slots from `from` (at first 0) on, in the order of their numbers, and where to go on; none if that
    /// was all. A flow that lives all the while is seen exactly once.
    pub fn scan(&self, from: FlowId, max: usize) -> (impl Iterator<Item = (FlowId, &Flow)>, Option<FlowId>) {
        let from = from.clamp(1, self.unused);
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        let end = self.unused.min(from.saturating_add(max));
        let flows = (from..end).filter_map(|id| self.get(id).map(|flow| (id, flow)));
        (flows, (end < self.unused).then_some(end))
    }
}

#[inline]
fn class(protocol: u8, state: State) -> Class {
    if state.is_transitory(protocol) { Class::Transitory } else { Class::Kept }
}

fn class_of(flow: &Flow) -> Class {
    class(flow.protocol(), flow.state())
}

#[cfg(test)]
mod tests;
