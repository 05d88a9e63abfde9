//! How an index becomes larger while it is in use.

use millrace_engine::epoch;

use super::bucket::{ALTERNATE, Bucket, Places, WIDTH};
use super::{Array, Index, fetch, other};
use crate::ahead::Pending;
use crate::region::{HUGE_PAGE, Region};

/// Buckets up to which an index doubles.
const SMALL: u32 = 1 << 14;
/// Buckets from which on another thread makes the grown array ready.
pub const LARGE: u32 = 1 << 10;
/// Old buckets that move with an insertion.
const STEP: u32 = 2;
/// Old buckets that are given up together: two megabytes.
const PIECE: usize = HUGE_PAGE / size_of::<Bucket>();

/// New buckets that are backed before the first of them is used, and about as many stay ahead.
const AHEAD: usize = 2 * PIECE;

/// The entries at which `count` buckets are to become more.
pub const fn limit(count: u32) -> usize {
    count as usize * WIDTH * 3 / 4
}

/// The entries at which the array is ordered that they are to become, and at which nobody waits for it any longer.
const fn limits(count: u32) -> (usize, usize) {
    let margin = limit(count) / 16;
    (limit(count) - margin, limit(count) + margin)
}

/// The entries at which [`Index::grow`] is first called.
pub const fn first_limit(count: u32) -> usize {
    if count < LARGE { limit(count) } else { limits(count).0 }
}

impl Index {
    /// Bytes of memory. What has just been given up, and waits for its end, is not counted.
    #[must_use]
    pub fn memory(&self) -> usize {
        let [array, _] = self.arrays;
        let moved = (array.number(self.frontier as u32) as usize + AHEAD) * size_of::<Bucket>();
        self.current.bytes() + self.grown.as_ref().map_or(0, |grown| grown.bytes().min(moved))
    }

    /// Orders the grown array, or begins to grow, or waits a while longer.
    #[cold]
    pub(super) fn grow(&mut self) {
        let count = self.current.len() as u32;
        let more = if count < SMALL { count * 2 } else { count.saturating_add(count / 4) };
        let (_, last) = limits(count);
        let grown = match &self.ordered {
            None if count >= LARGE && self.len < limit(count) => {
                self.ordered = Some(Pending::order(more as usize, AHEAD));
                Ok(None)
            }
            None => Region::new(more as usize).map(Some),
            Some(ordered) => match ordered.take() {
                Ok(None) if self.len >= last => Region::new(more as usize).map(Some),
                taken => taken,
            },
        };
        match grown {
            Ok(Some(grown)) => {
                self.arrays = [Array::of(&grown), Array::of(&self.current)];
                self.limit = first_limit(grown.len() as u32);
                self.grown = Some(grown);
                self.ordered = None;
            }
            Ok(None) => self.limit = limit(count).max(self.len + self.len / 128),
            // No memory: again when there is perhaps some.
            Err(_) => {
                self.limit = self.len + self.len / 64;
                self.ordered = None;
            }
        }
    }

    /// Moves a few buckets, and starts loading the next ones.
    pub(super) fn step(&mut self) {
        let arrays @ [grown, old] = self.arrays;
        let before = grown.number(self.frontier as u32) as usize;
        let next = ((self.frontier * u64::from(old.count)) >> 32) as u32;
        let end = old.count.min(next + STEP);
        for number in next..end {
            self.move_bucket(arrays, number);
        }
        if end == old.count {
            return self.finish();
        }
        let given_up = old.count as usize - self.current.len();
        if end as usize - given_up >= PIECE
            && let Some(piece) = self.current.split_front(PIECE)
        {
            epoch::domain().retire(piece);
        }
        for ahead in 0..STEP as usize {
            // Wrapping: what lies behind the array is not read, and loading nothing does no harm.
            fetch(old.base.as_ptr().wrapping_add(end as usize + ahead));
        }
        let start = grown.number(self.frontier as u32) as usize;
        if let Some(region) = &self.grown {
            region.advance(before + AHEAD - PIECE, start + AHEAD - PIECE);
        }
        for ahead in 0..=STEP as usize + 1 {
            fetch(grown.base.as_ptr().wrapping_add(start + ahead));
        }
    }

    fn move_bucket(&mut self, [grown, old]: [Array; 2], number: u32) {
        // SAFETY: `number` is below the count and has not moved, so that the bucket was not given up.
        let bucket = unsafe { old.base.add(number as usize).read() };
        let first = grown.number(self.frontier as u32);
        // The first hash of the next bucket, rounded up as scaling rounds down. From here on nobody looks at the old bucket.
        self.frontier = (u64::from(number + 1) << 32).div_ceil(u64::from(old.count));
        // Its entries go to three new buckets at most. Where those have room is kept here: reading it where something has just been
        // written takes long.
        let mut free = free(grown, first);
        for (hash, value) in bucket.used().map(|at| bucket.entry(at)) {
            let new = grown.bucket(hash);
            if let Some(at) = free.get_mut((grown.number(hash) - first) as usize).and_then(Places::next) {
                // SAFETY: a bucket of the region that `self`, borrowed mutably, owns.
                unsafe { (*new.as_ptr()).set(at, (hash, value)) };
                continue;
            }
            if !self.place((hash, value)) {
                self.homeless.push(if value & ALTERNATE == 0 { (hash, value) } else { other((hash, value)) });
            }
            free = self::free(grown, first);
        }
    }

    #[cold]
    fn finish(&mut self) {
        if let Some(grown) = self.grown.take() {
            self.arrays = [Array::of(&grown); 2];
            self.frontier = 0;
            epoch::domain().retire(std::mem::replace(&mut self.current, grown));
        }
        self.house();
    }
}

/// Where some buckets, from number `first` on, have room.
fn free(array: Array, first: u32) -> [Places; 3] {
    [0, 1, 2].map(|at| match array.at(first + at) {
        // SAFETY: a bucket of the array, which nobody changes meanwhile.
        Some(bucket) => unsafe { bucket.as_ref() }.free(),
        None => Places::NONE,
    })
}
