//! One cache line of an index: eight entries.

use std::arch::x86_64::{__m128i, _mm_cmpeq_epi32, _mm_load_si128, _mm_movemask_epi8, _mm_packs_epi32, _mm_set1_epi32};

use crate::region::Zeroed;

/// Set in the value of an entry that stands in the second of its two buckets.
pub const ALTERNATE: u32 = 1 << 31;

/// Entries in a bucket.
pub const WIDTH: usize = 8;

/// Eight placement hashes, zero where there is no entry, and their values, zero there, too.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Bucket {
    hashes: [u32; WIDTH],
    values: [u32; WIDTH],
}

const _: () = assert!(size_of::<Bucket>() == 64);

// SAFETY: zero is a number.
unsafe impl Zeroed for Bucket {}

/// Where in a bucket: two bits for each place, both set or both clear.
#[derive(Clone, Copy)]
pub struct Places(u32);

impl Places {
    /// Nowhere.
    pub const NONE: Self = Self(0);

    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first, from 0 to 7. There must be one.
    #[inline(always)]
    pub const fn first(self) -> usize {
        (self.0.trailing_zeros() as usize / 2) & (WIDTH - 1)
    }
}

impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        let first = self.first();
        self.0 &= !(3 << (2 * first));
        Some(first)
    }
}

impl Bucket {
    /// Where the placement hash is `hash`.
    #[inline(always)]
    pub fn places(&self, hash: u32) -> Places {
        let halves = self.hashes.as_ptr().cast::<__m128i>();
        // SAFETY: SSE2 is part of x86-64. The eight hashes are two vectors, at the start of a line and so aligned.
        let mask = unsafe {
            let wanted = _mm_set1_epi32(hash as i32);
            let low = _mm_cmpeq_epi32(_mm_load_si128(halves), wanted);
            let high = _mm_cmpeq_epi32(_mm_load_si128(halves.add(1)), wanted);
            _mm_movemask_epi8(_mm_packs_epi32(low, high))
        };
        Places(mask as u32)
    }

    /// Where nothing is.
    #[inline(always)]
    pub fn free(&self) -> Places {
        self.places(0)
    }

    /// The value at a place, or at `at` modulo 8.
    #[inline(always)]
    pub const fn value(&self, at: usize) -> u32 {
        self.values[at & (WIDTH - 1)]
    }

    /// Placement hash and value.
    #[inline(always)]
    pub const fn entry(&self, at: usize) -> (u32, u32) {
        (self.hashes[at & (WIDTH - 1)], self.values[at & (WIDTH - 1)])
    }

    /// Where something is.
    #[inline(always)]
    pub fn used(&self) -> Places {
        Places(self.free().0 ^ 0xffff)
    }

    /// Puts an entry there; zeros take one out.
    #[inline(always)]
    pub const fn set(&mut self, at: usize, (hash, value): (u32, u32)) {
        self.hashes[at & (WIDTH - 1)] = hash;
        self.values[at & (WIDTH - 1)] = value;
    }
}

/// The values of a bucket that have a placement hash, and the mark of the second bucket or not; without that mark.
#[derive(Clone)]
pub struct Values<'a> {
    bucket: &'a Bucket,
    places: Places,
    mark: u32,
}

impl<'a> Values<'a> {
    #[inline(always)]
    pub fn of(bucket: &'a Bucket, hash: u32, mark: u32) -> Self {
        Self { bucket, places: bucket.places(hash), mark }
    }
}

impl Iterator for Values<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let Self { bucket, places, mark } = self;
        places.map(|at| bucket.value(at)).find(|value| value & ALTERNATE == *mark).map(|value| value & !ALTERNATE)
    }
}
