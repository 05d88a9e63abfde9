//! A set of blocks: a bit for each.

use super::space::BLOCKS;
use std::ops::RangeInclusive;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

const WORDS: usize = BLOCKS / 64;

/// Written by one worker, or, with the functions that say so, by all.
#[derive(Debug, Default)]
pub struct BlockSet([AtomicU64; WORDS]);

impl BlockSet {
    pub fn full() -> BlockSet {
        BlockSet(std::array::from_fn(|_| AtomicU64::new(u64::MAX)))
    }

    fn word(&self, block: usize) -> Option<&AtomicU64> {
        self.0.get(block / 64)
    }

    #[inline]
    pub fn contains(&self, block: usize) -> bool {
        self.word(block).is_some_and(|word| word.load(Relaxed) >> (block % 64) & 1 == 1)
    }

    pub fn insert(&self, block: usize) {
        if let Some(word) = self.word(block) {
            word.store(word.load(Relaxed) | 1 << (block % 64), Relaxed);
        }
    }

    pub fn remove(&self, block: usize) {
        if let Some(word) = self.word(block) {
            word.store(word.load(Relaxed) & !(1 << (block % 64)), Relaxed);
        }
    }

    /// Whoever else does the same.
    pub fn insert_shared(&self, block: usize) {
        if let Some(word) = self.word(block) {
            word.fetch_or(1 << (block % 64), Relaxed);
        }
    }

    /// Whoever else does the same.
    pub fn remove_shared(&self, block: usize) {
        if let Some(word) = self.word(block) {
            word.fetch_and(!(1 << (block % 64)), Relaxed);
        }
    }

    /// Whether one of these is in it.
    pub fn any_in(&self, blocks: &RangeInclusive<usize>) -> bool {
        let (first, last) = (*blocks.start(), *blocks.end());
        (first / 64..=last / 64).any(|at| {
            let below = if at == first / 64 { (1 << (first % 64)) - 1 } else { 0 };
            let above = if at == last / 64 { !(u64::MAX >> (63 - last % 64)) } else { 0 };
            self.word(at * 64).is_some_and(|word| word.load(Relaxed) & !below & !above != 0)
        })
    }

    /// All of them, from `start` on and around.
    pub fn from(&self, start: usize) -> impl Iterator<Item = usize> {
        let below = (1u64 << (start % 64)) - 1;
        (0..=WORDS).flat_map(move |step| {
            let at = (start / 64 + step) % WORDS;
            let word = self.word(at * 64).map_or(0, |word| word.load(Relaxed));
            let mut left = match step {
                0 => word & !below,
                WORDS => word & below,
                _ => word,
            };
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = left.trailing_zeros() as usize;
                    left &= left - 1;
                    at * 64 + bit
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn around_from_any_start() {
        let set = BlockSet::default();
        let blocks = [0, 1, 15, 16, 63, 64, 500, 1023];
        blocks.iter().for_each(|&block| set.insert(block));
        for start in [0, 1, 2, 16, 63, 64, 501, 1023] {
            let mut wanted = blocks.to_vec();
            wanted.rotate_left(blocks.iter().position(|&block| block >= start).unwrap_or(0));
            assert_eq!(set.from(start).collect::<Vec<_>>(), wanted);
        }
        set.remove(64);
        assert!(set.contains(63) && !set.contains(64) && !set.contains(5000));
        assert_eq!(BlockSet::full().from(77).count(), BLOCKS);
    }

    #[test]
    fn a_range_by_its_ends() {
        for block in [16, 63, 64, 700, 1023] {
            let set = BlockSet::default();
            set.insert(block);
            assert!(set.any_in(&(block..=block)) && set.any_in(&(0..=block)) && set.any_in(&(block..=1023)));
            assert!(!set.any_in(&(0..=block - 1)) && (block == 1023 || !set.any_in(&(block + 1..=1023))));
        }
    }
}
