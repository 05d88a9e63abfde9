//! Numbers that nobody outside can guess (RFC 6888 REQ-15, RFC 6056).

use std::hash::{BuildHasher, RandomState};

/// A keyed hash (SipHash) of a counter. Its key comes from the system.
#[derive(Debug, Default)]
pub struct Random {
    key: RandomState,
    counter: u64,
    /// Bits that were not given out yet, below a 1 that marks their end.
    left: u64,
}

impl Random {
    /// 16 bits.
    #[inline]
    pub fn next_u16(&mut self) -> u16 {
        if self.left <= 1 {
            self.counter += 1;
            let bits = self.key.hash_one(self.counter);
            // 48 bits are kept for the next three calls.
            self.left = bits >> 16 | 1 << 48;
            return bits as u16;
        }
        let bits = self.left as u16;
        self.left >>= 16;
        bits
    }

    /// A number below `bound`, which is at most 65536.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        (u32::from(self.next_u16()) * bound) >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenly_spread_and_never_the_same_twice_over() {
        let mut seen = [0u32; 64];
        let mut random = Random::default();
        for _ in 0..64_000 {
            seen[random.below(64) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| (800..1200).contains(&count)), "{seen:?}");
        let mut other = Random::default();
        let pairs = (0..64).filter(|_| random.next_u16() == other.next_u16()).count();
        assert!(pairs < 8, "two keys give the same numbers");
    }
}
