//! Random times, which keep the routers and hosts of a link from speaking all at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A keyed hash (SipHash) of a counter. Its key comes from the system.
#[derive(Debug, Default)]
pub struct Random {
    key: RandomState,
    counter: u64,
}

impl Random {
    /// A time from nothing to `longest`.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        self.counter += 1;
        let part = self.key.hash_one(self.counter) >> 32;
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(((u128::from(nanos) * u128::from(part)) >> 32) as u64)
    }

    /// A time from `shortest` to `longest`, which is not shorter.
    pub fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        shortest + self.up_to(longest.saturating_sub(shortest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spread_evenly() {
        let mut random = Random::default();
        let mut seen = [0; 8];
        for _ in 0..8000 {
            let time = random.between(Duration::from_secs(2), Duration::from_secs(10));
            seen[time.as_secs() as usize - 2] += 1;
        }
        assert!(seen.iter().all(|&count| (800..1200).contains(&count)), "{seen:?}");
        assert_eq!(random.between(Duration::from_secs(8), Duration::from_secs(8)), Duration::from_secs(8));
    }
}
