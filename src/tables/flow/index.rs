//! From a 32-bit hash to 31-bit values, in half a cache line of comparing.
//!
//! A bucket is a cache line of eight entries, each its placement hash and its value. The hash says which bucket: scaled to their number,
//! so that there may be any number of them. An entry whose bucket is full goes to the one of another, bijective, hash of its hash;
//! when that is full, too, an entry of the two that has room in its own other bucket moves there. So a lookup reads one bucket,
//! seldom two. For the rare entry that finds no place at all there is a short list.
//!
//! At three quarters, above which a bucket is full ever more often, the index grows: by a quarter, or while it is small by as much as
//! it has. With each insertion a few buckets move, in the order of the placement hash, so both arrays are walked from end to end, and one number, up to which everything has moved, tells
//! which of them has a hash. Entries know their placement hash, so nothing else is read. Another thread maps the new array and backs
//! it, a little ahead of the moving; what is left behind goes to [`epoch`](millrace_engine::epoch), piece by piece, for yet another
//! one to unmap. So no insertion waits for the system.
//!
//! One writer, no readers beside it. Values are not told apart: who looks up compares what they stand for.

mod bucket;
mod grow;

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::io;
use std::ptr::NonNull;

use bucket::{ALTERNATE, Bucket, Values};
use grow::{LARGE, first_limit};

use super::hash::Hash;
use crate::ahead::{self, Pending};
use crate::region::Region;

/// Buckets of a new index: from here on another thread maps what it grows to.
const FIRST: u32 = LARGE;
/// Entries without a place that an insertion may leave behind.
const HOMELESS: usize = 64;

/// No place was found: at the fill that is kept, only many entries of one hash bring that about. Or the value is zero or has more than
/// 31 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no place in the index")]
pub struct Crowded;

/// Buckets that some range of placement hashes is spread over.
#[derive(Clone, Copy, Debug)]
struct Array {
    base: NonNull<Bucket>,
    count: u32,
}

impl Array {
    const fn of(region: &Region<Bucket>) -> Self {
        Self { base: region.base(), count: region.len() as u32 }
    }

    /// Number of the bucket, below `count`.
    #[inline(always)]
    const fn number(self, hash: u32) -> u32 {
        ((hash as u64 * self.count as u64) >> 32) as u32
    }

    /// The bucket of a number, if there is one.
    #[inline(always)]
    fn at(self, number: u32) -> Option<NonNull<Bucket>> {
        // SAFETY: a number below `count` is within the array.
        (number < self.count).then(|| unsafe { self.base.add(number as usize) })
    }

    /// Points to one of the `count` buckets.
    #[inline(always)]
    const fn bucket(self, hash: u32) -> NonNull<Bucket> {
        // SAFETY: a number below `count` is within the array.
        unsafe { self.base.add(self.number(hash) as usize) }
    }
}

/// From a 32-bit hash to 31-bit values: buckets of a cache line that hold eight, of which a lookup reads one, seldom two. Grows a step
/// with each insertion. Values of one hash are not told apart: who looks up compares what they stand for.
#[derive(Debug)]
pub struct Index {
    /// Before the frontier: the grown array, if any. From there on: the current one.
    arrays: [Array; 2],
    /// Placement hashes below it have moved. Zero when nothing moves.
    frontier: u64,
    len: usize,
    /// From so many entries on something is to be done about growing.
    limit: usize,
    homeless: Vec<(u32, u32)>,
    /// While it moves, without what has moved and was given up.
    current: Region<Bucket>,
    ordered: Option<Pending<Bucket>>,
    grown: Option<Region<Bucket>>,
}

// SAFETY: the arrays' pointers go to the regions that the index owns.
unsafe impl Send for Index {}
// SAFETY: nothing changes behind a shared reference.
unsafe impl Sync for Index {}

/// The hash that an entry has in its second bucket.
#[inline(always)]
const fn mix(hash: u32) -> u32 {
    hash.wrapping_mul(MIX)
}

/// Odd, so that there is a way back.
const MIX: u32 = 0x85eb_ca6b;
const UNMIX: u32 = {
    // Newton's iteration doubles the number of right bits, three at first.
    let mut inverse = MIX;
    let mut i = 0;
    while i < 4 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(MIX.wrapping_mul(inverse)));
        i += 1;
    }
    inverse
};

/// The same entry, for its other bucket.
#[inline(always)]
const fn other((hash, value): (u32, u32)) -> (u32, u32) {
    let hash = if value & ALTERNATE == 0 { mix(hash) } else { hash.wrapping_mul(UNMIX) };
    (hash, value ^ ALTERNATE)
}

impl Index {
    /// An empty one, of 64 KiB.
    ///
    /// # Errors
    /// The system has no memory.
    pub fn new() -> io::Result<Self> {
        Self::with_buckets(FIRST)
    }

    fn with_buckets(count: u32) -> io::Result<Self> {
        ahead::start();
        let current = Region::new(count as usize)?;
        let (arrays, limit) = ([Array::of(&current); 2], first_limit(count));
        let homeless = Vec::with_capacity(HOMELESS);
        Ok(Self { arrays, frontier: 0, len: 0, limit, homeless, current, ordered: None, grown: None })
    }

    /// The number of entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    fn pointer(&self, placement: u32) -> NonNull<Bucket> {
        self.arrays[usize::from(u64::from(placement) >= self.frontier)].bucket(placement)
    }

    #[inline(always)]
    fn bucket(&self, placement: u32) -> &Bucket {
        // SAFETY: points into a region that `self` owns, initialised from the start, and borrowed as `self` is.
        unsafe { self.pointer(placement).as_ref() }
    }

    #[inline(always)]
    fn bucket_mut(&mut self, placement: u32) -> &mut Bucket {
        // SAFETY: as for `bucket`, and `self` is borrowed mutably.
        unsafe { self.pointer(placement).as_mut() }
    }

    /// Starts loading what a lookup of `hash` reads first.
    #[inline(always)]
    pub fn prefetch(&self, hash: Hash) {
        fetch(self.pointer(hash.to_u32()).as_ptr());
    }

    /// Starts loading what it reads if it finds nothing there, as an insertion does.
    #[inline(always)]
    pub fn prefetch_alternate(&self, hash: Hash) {
        fetch(self.pointer(mix(hash.to_u32())).as_ptr());
    }

    /// A value inserted with `hash`, or, once in 2^32, one inserted with the hash that shares a bucket with it; 0 if there is none.
    #[inline(always)]
    #[must_use]
    pub fn first(&self, hash: Hash) -> u32 {
        let bucket = self.bucket(hash.to_u32());
        let places = bucket.places(hash.to_u32());
        if !places.is_empty() {
            return bucket.value(places.first()) & !ALTERNATE;
        }
        let bucket = self.bucket(mix(hash.to_u32()));
        let places = bucket.places(mix(hash.to_u32()));
        if !places.is_empty() {
            return bucket.value(places.first()) & !ALTERNATE;
        }
        if self.homeless.is_empty() { 0 } else { self.first_homeless(hash) }
    }

    #[cold]
    fn first_homeless(&self, hash: Hash) -> u32 {
        self.homeless.iter().find(|&&(other, _)| other == hash.to_u32()).map_or(0, |&(_, value)| value)
    }

    /// All values inserted with `hash`.
    #[inline]
    pub fn iter(&self, hash: Hash) -> impl Iterator<Item = u32> + '_ {
        let values = |placement, mark| Values::of(self.bucket(placement), placement, mark);
        let homeless = self.homeless.iter().filter(move |&&(other, _)| other == hash.to_u32()).map(|&(_, value)| value);
        values(hash.to_u32(), 0).chain(values(mix(hash.to_u32()), ALTERNATE)).chain(homeless)
    }

    /// Adds an entry, even if it exists. Moves a step if the index grows.
    ///
    /// # Errors
    /// There is no place for it.
    #[inline]
    pub fn insert(&mut self, hash: Hash, value: u32) -> Result<(), Crowded> {
        if self.grown.is_some() {
            self.step();
        } else if self.len >= self.limit {
            self.grow();
        }
        if value == 0 || value & ALTERNATE != 0 {
            return Err(Crowded);
        }
        if !self.place((hash.to_u32(), value)) {
            if self.homeless.len() >= HOMELESS {
                return Err(Crowded);
            }
            self.homeless.push((hash.to_u32(), value));
            // More buckets help, unless it is many of one hash that there is no place for.
            if self.len >= self.limit / 8 * 5 {
                self.limit = self.limit.min(self.len);
            }
        }
        self.len += 1;
        Ok(())
    }

    /// Takes out one entry that was inserted with this hash and value, and says whether there was one.
    #[inline]
    pub fn remove(&mut self, hash: Hash, value: u32) -> bool {
        let found = [(hash.to_u32(), value), other((hash.to_u32(), value))].into_iter().any(|(placement, value)| {
            let bucket = self.bucket_mut(placement);
            let at = bucket.places(placement).find(|&at| bucket.value(at) == value);
            at.is_some_and(|at| {
                bucket.set(at, (0, 0));
                true
            })
        });
        if !self.homeless.is_empty() {
            return self.remove_homeless(found, (hash.to_u32(), value));
        }
        self.len -= usize::from(found);
        found
    }

    /// The rest of a removal while there are entries without a place: `entry` may be one, and room for one has perhaps been made.
    #[cold]
    fn remove_homeless(&mut self, found: bool, entry: (u32, u32)) -> bool {
        let at = if found { None } else { self.homeless.iter().position(|&other| other == entry) };
        if let Some(at) = at {
            self.homeless.swap_remove(at);
        } else if found {
            self.house();
        }
        self.len -= usize::from(found || at.is_some());
        found || at.is_some()
    }

    /// Finds places for entries that have none, as far as there are some.
    fn house(&mut self) {
        let mut at = 0;
        while let Some(&entry) = self.homeless.get(at) {
            if self.place(entry) {
                self.homeless.swap_remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Puts an entry into one of its buckets; says whether that was possible.
    #[inline]
    fn place(&mut self, entry: (u32, u32)) -> bool {
        self.place_in(entry) || self.place_in(other(entry)) || self.place_by_moving(entry)
    }

    #[inline(always)]
    fn place_in(&mut self, entry: (u32, u32)) -> bool {
        let bucket = self.bucket_mut(entry.0);
        let free = bucket.free();
        if free.is_empty() {
            return false;
        }
        bucket.set(free.first(), entry);
        true
    }

    /// Both buckets are full: an entry of theirs moves to its other one.
    #[cold]
    fn place_by_moving(&mut self, entry: (u32, u32)) -> bool {
        [entry, other(entry)].into_iter().any(|entry| {
            (0..bucket::WIDTH).any(|at| {
                let mover = other(self.bucket(entry.0).entry(at));
                let moved = self.place_in(mover);
                if moved {
                    self.bucket_mut(entry.0).set(at, entry);
                }
                moved
            })
        })
    }
}

#[inline(always)]
fn fetch(bucket: *const Bucket) {
    // SAFETY: a prefetch reads nothing that anyone sees.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(bucket.cast()) }
}

#[cfg(test)]
mod tests;
