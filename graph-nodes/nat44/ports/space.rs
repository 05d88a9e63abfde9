//! The 65,536 ports of one address and protocol, and which worker's mapping has which.
//!
//! Ports are dealt to workers in blocks of 64. A block has an owner, who alone reads and writes what there is about its ports, so all of that
//! is relaxed; only claiming a block and giving it back order anything. Per port there is one word: 0, the mapping that has it, or, in
//! quarantine, since when and which port comes next in the worker's queue of such ports. Per block there is a bit for each port
//! that is not free.

use super::Random;
use super::block_set::BlockSet;
use crossbeam::utils::CachePadded;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};
use zerocopy::FromZeros;

/// Ports in a block.
const BLOCK: usize = 64;
/// Blocks of an address and protocol.
pub(super) const BLOCKS: usize = 65536 / BLOCK;
/// In a port's word: it is in quarantine; 15 bits of seconds and 16 bits of the next port follow.
const WAITING: u32 = 1 << 31;
/// What the seconds are counted modulo.
const SECONDS: u32 = 0x7fff;
/// Ports whose quarantine is over that each allocation frees, at most: more than it can add.
const SETTLE: usize = 2;
/// Seconds of quarantine (RFC 6888 REQ-8), counted down to whole ones: after more than these it is over.
const QUARANTINE: u32 = 120;
/// Ports in quarantine that are looked at when nothing is free.
const RECALLS: usize = 4;
/// How often a port is drawn before the blocks are gone through.
const DRAWS: usize = 4;

/// A bit for each port.
pub type Bits = [u64; BLOCKS];

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// The port that it should be, if the range has it.
    pub port: u16,
    /// Whole blocks, but for port 0.
    pub range: &'a RangeInclusive<u16>,
    /// Whether another port should be as odd or even as that.
    pub parity: bool,
    /// What [`Space::foresee`] said.
    pub foreseen: Option<u16>,
    /// Ports that are never given out.
    pub reserved: Option<&'a Bits>,
}

impl Wish<'_> {
    /// A port at random.
    fn drawn(self, random: &mut Random) -> u16 {
        let (first, last) = (u32::from(*self.range.start()), u32::from(*self.range.end()));
        let drawn = (first + random.below(last + 1 - first)) as u16;
        if self.parity { drawn & !1 | self.port & 1 } else { drawn }
    }
}

/// The ports.
#[derive(Debug)]
pub struct Space {
    holders: Box<[AtomicU32]>,
    busy: Box<[AtomicU64]>,
    /// 0, or the number of the worker and 1.
    owners: Box<[AtomicU8]>,
    /// Blocks that no worker owns.
    unclaimed: CachePadded<BlockSet>,
    lanes: Box<[CachePadded<Lane>]>,
}

/// What a worker keeps; nobody else writes it.
#[derive(Debug, Default)]
struct Lane {
    /// Blocks that it owns, and those of them that have a free port.
    mine: BlockSet,
    open: BlockSet,
    owned: AtomicU32,
    /// The queue of ports in quarantine, the oldest first; 0: none.
    head: AtomicU16,
    tail: AtomicU16,
    used: AtomicU32,
    waiting: AtomicU32,
}

/// Port 0 is nobody's.
const NEVER: u64 = 1;

/// The block of a port, and its bit in it.
fn place(port: u16) -> (usize, u64) {
    (usize::from(port) / BLOCK, 1 << (usize::from(port) % BLOCK))
}

/// What is always busy in a block.
fn never(block: usize) -> u64 {
    if block == 0 { NEVER } else { 0 }
}

fn add(count: &AtomicU32, by: i32) {
    count.store(count.load(Relaxed).wrapping_add_signed(by), Relaxed);
}

impl Space {
    /// All ports free, for so many workers; memory is backed where ports are used. None if there is none.
    pub fn new(workers: usize) -> Option<Space> {
        Some(Space {
            holders: <[AtomicU32]>::new_box_zeroed_with_elems(65536).ok()?,
            busy: (0..BLOCKS).map(|block| AtomicU64::new(never(block))).collect(),
            owners: (0..BLOCKS).map(|_| AtomicU8::new(0)).collect(),
            unclaimed: CachePadded::new(BlockSet::full()),
            lanes: (0..workers).map(|_| CachePadded::default()).collect(),
        })
    }

    /// Fetches what [`take`](Self::take) reads and writes when it gives this port out.
    #[inline]
    pub fn prefetch(&self, port: u16) {
        millrace_tables::slab::prefetch(self.busy.get(place(port).0));
        millrace_tables::slab::prefetch(self.holders.get(usize::from(port)));
    }

    /// The port that will probably be [taken](Self::take), which is fetched.
    pub fn foresee(&self, worker: usize, wish: Wish<'_>, random: &mut Random) -> Option<u16> {
        let lane = self.lanes.get(worker)?;
        let free = |port: &u16| {
            let (block, bit) = place(*port);
            self.busy.get(block).is_some_and(|busy| busy.load(Relaxed) & bit == 0)
        };
        let port = if free(&wish.port) && wish.range.contains(&wish.port) {
            wish.port
        } else if self.has_free(lane, wish) {
            (0..DRAWS).map(|_| wish.drawn(random)).find(free)?
        } else {
            lane.head.load(Relaxed)
        };
        self.prefetch(port);
        Some(port)
    }

    /// Whether there is a block with a free port that is, or can become, the worker's.
    fn has_free(&self, lane: &Lane, wish: Wish<'_>) -> bool {
        let blocks = place(*wish.range.start()).0..=place(*wish.range.end()).0;
        lane.open.any_in(&blocks) || self.unclaimed.any_in(&blocks)
    }

    /// Gives a worker's mapping a port: the one wished for, or else one that nobody can guess. Ports in quarantine come last.
    pub fn take(&self, worker: usize, wish: Wish<'_>, holder: u32, random: &mut Random, now: u32) -> Option<u16> {
        let lane = self.lanes.get(worker)?;
        self.settle(worker, SETTLE, now);
        let take = |port: &u16| wish.range.contains(port) && self.take_port(lane, worker, *port, wish.reserved);
        let port = match Some(wish.port).filter(take).or_else(|| wish.foreseen.filter(take)) {
            Some(port) => Some(port),
            None if self.has_free(lane, wish) => {
                let drawn = (0..DRAWS).map(|_| wish.drawn(random)).find(take);
                drawn.or_else(|| self.search(lane, worker, wish, random)).or_else(|| self.recall(lane, wish, now))
            }
            None => self.recall(lane, wish, now),
        }?;
        self.holders.get(usize::from(port))?.store(holder, Relaxed);
        add(&lane.used, 1);
        Some(port)
    }

    /// Any free port of the blocks that are, or can become, the worker's; one of the right parity if there is a choice.
    fn search(&self, lane: &Lane, worker: usize, wish: Wish<'_>, random: &mut Random) -> Option<u16> {
        let (first, last) = (place(*wish.range.start()).0, place(*wish.range.end()).0);
        let (start, spin) = (first + random.below((last + 1 - first) as u32) as usize, random.below(64));
        let parity = match (wish.parity, wish.port & 1) {
            (false, _) => u64::MAX,
            (true, 0) => 0x5555_5555_5555_5555,
            (true, _) => 0xaaaa_aaaa_aaaa_aaaa,
        };
        let own = |mask| {
            let mut open = lane.open.from(start).filter(|block| (first..=last).contains(block));
            open.find_map(|block| self.pick(block, wish.reserved, mask, spin))
        };
        let unclaimed = |mask| self.pick_unclaimed(lane, worker, (first, start, last), wish.reserved, mask, spin);
        let picked = own(parity)
            .or_else(|| self.may_spread(lane).then(|| unclaimed(parity)).flatten())
            .or_else(|| own(u64::MAX))
            .or_else(|| unclaimed(parity))
            .or_else(|| unclaimed(u64::MAX))?;
        self.mark(lane, picked);
        Some(picked)
    }

    /// Whether a worker may claim a block although it has free ports in others: as long as it has no more than its share, so that each
    /// worker finds some.
    fn may_spread(&self, lane: &Lane) -> bool {
        lane.owned.load(Relaxed) as usize * self.lanes.len() < BLOCKS
    }

    /// A free port of a block that was nobody's, and now is the worker's.
    fn pick_unclaimed(
        &self,
        lane: &Lane,
        worker: usize,
        (first, start, last): (usize, usize, usize),
        reserved: Option<&Bits>,
        mask: u64,
        spin: u32,
    ) -> Option<u16> {
        let blocks = self.unclaimed.from(start).filter(|block| (first..=last).contains(block));
        let mut picked = blocks.filter_map(|block| {
            // Looked at before it is claimed: what is reserved is not worth a block.
            let port = pick(never(block), reserved.and_then(|bits| bits.get(block)), mask, spin, block)?;
            self.claim(lane, worker, block).then_some(port)
        });
        picked.next()
    }

    fn pick(&self, block: usize, reserved: Option<&Bits>, mask: u64, spin: u32) -> Option<u16> {
        let busy = self.busy.get(block)?.load(Relaxed);
        pick(busy, reserved.and_then(|bits| bits.get(block)), mask, spin, block)
    }

    /// Takes a certain port if it is free, and its block the worker's or nobody's.
    fn take_port(&self, lane: &Lane, worker: usize, port: u16, reserved: Option<&Bits>) -> bool {
        let (block, bit) = place(port);
        if reserved.and_then(|bits| bits.get(block)).is_some_and(|bits| bits & bit != 0) {
            return false;
        }
        let free = (lane.mine.contains(block) || self.may_spread(lane) && self.claim(lane, worker, block))
            && self.busy.get(block).is_some_and(|busy| busy.load(Relaxed) & bit == 0);
        if free {
            self.mark(lane, port);
        }
        free
    }

    /// Makes a block the worker's. False if it is somebody's already.
    fn claim(&self, lane: &Lane, worker: usize, block: usize) -> bool {
        let Some(owner) = self.owners.get(block) else { return false };
        // Looked at first: a failed exchange would take the line from the others.
        if owner.load(Relaxed) != 0 || owner.compare_exchange(0, worker as u8 + 1, Acquire, Relaxed).is_err() {
            return false;
        }
        self.unclaimed.remove_shared(block);
        add(&lane.owned, 1);
        lane.mine.insert(block);
        lane.open.insert(block);
        true
    }

    /// A port of an own block is busy from now on.
    fn mark(&self, lane: &Lane, port: u16) {
        let (block, bit) = place(port);
        let Some(busy) = self.busy.get(block) else { return };
        let now_busy = busy.load(Relaxed) | bit;
        busy.store(now_busy, Relaxed);
        if now_busy == u64::MAX {
            lane.open.remove(block);
        }
    }

    /// A port of an own block is free. Its block goes back when all of it is, and others may want it.
    fn free(&self, lane: &Lane, port: u16) {
        let (block, bit) = place(port);
        let (Some(busy), Some(holder)) = (self.busy.get(block), self.holders.get(usize::from(port))) else { return };
        holder.store(0, Relaxed);
        let still = busy.load(Relaxed) & !bit;
        busy.store(still, Relaxed);
        let gives_back = still == never(block) && self.lanes.len() > 1;
        if !gives_back {
            lane.open.insert(block);
        }
        if gives_back && let Some(owner) = self.owners.get(block) {
            lane.mine.remove(block);
            lane.open.remove(block);
            add(&lane.owned, -1);
            self.unclaimed.insert_shared(block);
            owner.store(0, Release);
        }
    }

    /// Takes a port back from the mapping that has it, if it has: free at once, or after the quarantine.
    pub fn release(&self, worker: usize, port: u16, holder: u32, quarantine: bool, now: u32) {
        let Some(lane) = self.lanes.get(worker).filter(|_| self.holder(worker, port) == Some(holder)) else { return };
        add(&lane.used, -1);
        if quarantine {
            self.enqueue(lane, port, now);
        } else {
            self.free(lane, port);
        }
    }

    fn enqueue(&self, lane: &Lane, port: u16, now: u32) {
        let word = |next: u16, since: u32| WAITING | (since & SECONDS) << 16 | u32::from(next);
        let Some(holder) = self.holders.get(usize::from(port)) else { return };
        holder.store(word(0, now), Relaxed);
        match self.holders.get(usize::from(lane.tail.load(Relaxed))).filter(|_| lane.head.load(Relaxed) != 0) {
            Some(tail) => tail.store(tail.load(Relaxed) & !0xffff | u32::from(port), Relaxed),
            None => lane.head.store(port, Relaxed),
        }
        lane.tail.store(port, Relaxed);
        add(&lane.waiting, 1);
    }

    /// The oldest port in quarantine, and since when; it is out of the queue when `leave` says so.
    fn dequeue(&self, lane: &Lane, leave: impl FnOnce(u16, u32) -> bool) -> Option<u16> {
        let port = lane.head.load(Relaxed);
        let word = self.holders.get(usize::from(port)).filter(|_| port != 0)?.load(Relaxed);
        if !leave(port, word >> 16 & SECONDS) {
            return None;
        }
        lane.head.store(word as u16, Relaxed);
        millrace_tables::slab::prefetch(self.holders.get(usize::from(word as u16)));
        add(&lane.waiting, -1);
        Some(port)
    }

    /// Frees ports whose quarantine is over, at most so many. How many.
    pub fn settle(&self, worker: usize, max: usize, now: u32) -> usize {
        let Some(lane) = self.lanes.get(worker) else { return 0 };
        let over = |since: u32| now.wrapping_sub(since) & SECONDS > QUARANTINE;
        (0..max)
            .map_while(|_| self.dequeue(lane, |_, since| over(since)))
            .inspect(|&port| self.free(lane, port))
            .count()
    }

    /// The port that has been in quarantine for longest: when nothing else is left.
    fn recall(&self, lane: &Lane, wish: Wish<'_>, now: u32) -> Option<u16> {
        for _ in 0..RECALLS {
            let port = self.dequeue(lane, |_, _| true)?;
            let (block, bit) = place(port);
            let reserved = wish.reserved.and_then(|bits| bits.get(block)).is_some_and(|bits| bits & bit != 0);
            if wish.range.contains(&port) && !reserved {
                return Some(port);
            }
            self.enqueue(lane, port, now);
        }
        None
    }

    /// The worker that a port's block belongs to.
    #[inline]
    pub fn owner(&self, port: u16) -> Option<usize> {
        let owner = self.owners.get(place(port).0)?.load(Relaxed);
        usize::from(owner).checked_sub(1)
    }

    /// The mapping of this worker that has a port.
    #[inline]
    pub fn holder(&self, worker: usize, port: u16) -> Option<u32> {
        let lane = self.lanes.get(worker)?;
        let word = self.holders.get(usize::from(port)).filter(|_| lane.mine.contains(place(port).0))?.load(Relaxed);
        (word != 0 && word & WAITING == 0).then_some(word)
    }

    /// Whether a mapping of any worker has a port.
    pub fn in_use(&self, port: u16) -> bool {
        let word = self.holders.get(usize::from(port)).map_or(0, |word| word.load(Relaxed));
        word != 0 && word & WAITING == 0
    }

    /// Ports that mappings have, of one worker.
    pub fn used_by(&self, worker: usize) -> u32 {
        self.lanes.get(worker).map_or(0, |lane| lane.used.load(Relaxed))
    }

    /// Ports that mappings have.
    pub fn used(&self) -> u32 {
        self.lanes.iter().map(|lane| lane.used.load(Relaxed)).sum()
    }

    /// Whether a worker has ports in quarantine.
    pub fn waits(&self, worker: usize) -> bool {
        self.lanes.get(worker).is_some_and(|lane| lane.waiting.load(Relaxed) > 0)
    }

    /// Ports in quarantine.
    pub fn waiting(&self) -> u32 {
        self.lanes.iter().map(|lane| lane.waiting.load(Relaxed)).sum()
    }
}

/// A free port of a block, chosen by `spin`.
fn pick(busy: u64, reserved: Option<&u64>, mask: u64, spin: u32, block: usize) -> Option<u16> {
    let free = !busy & !reserved.copied().unwrap_or(0) & mask;
    (free != 0).then(|| {
        let bit = (free.rotate_right(spin).trailing_zeros() + spin) % 64;
        (block * BLOCK) as u16 + bit as u16
    })
}
