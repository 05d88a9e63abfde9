//! So many a second and no more: a token bucket that holds a second's worth.

use std::time::Instant;

/// A bucket of tokens, full at the start.
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    /// Tokens a second, and how many it holds.
    rate: u32,
    /// Tokens in it, in billionths.
    billionths: u64,
    /// When it was looked at last.
    at: Instant,
}

const ONE: u64 = 1_000_000_000;

impl Limiter {
    /// One that lets `rate` a second pass, and as many at once.
    pub fn new(rate: u32, now: Instant) -> Limiter {
        Limiter { rate, billionths: u64::from(rate) * ONE, at: now }
    }

    /// Whether one more may pass; if so, it counts.
    pub fn allows(&mut self, now: Instant) -> bool {
        // What is more than a second fills the bucket anyway.
        let nanos = now.saturating_duration_since(self.at).as_nanos().min(u128::from(ONE)) as u64;
        self.at = self.at.max(now);
        let full = u64::from(self.rate) * ONE;
        self.billionths = full.min(self.billionths + nanos * u64::from(self.rate));
        let left = self.billionths.checked_sub(ONE);
        self.billionths = left.unwrap_or(self.billionths);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn so_many_a_second() {
        let start = Instant::now();
        let mut limiter = Limiter::new(100, start);
        let passed = |limiter: &mut Limiter, now, tried| (0..tried).filter(|_| limiter.allows(now)).count();
        assert_eq!(passed(&mut limiter, start, 1000), 100, "a second's worth at once");
        assert_eq!(passed(&mut limiter, start + Duration::from_millis(250), 1000), 25);
        assert_eq!(passed(&mut limiter, start, 10), 0, "time never runs back");
        let mut total = 0;
        for milli in 251..=1250 {
            total += passed(&mut limiter, start + Duration::from_millis(milli), 3);
        }
        assert_eq!(total, 100, "single tokens add up");
        assert_eq!(passed(&mut limiter, start + Duration::from_secs(3600), 1000), 100, "an hour saves no more");
        let mut most = Limiter::new(u32::MAX, start);
        assert!(most.allows(start + Duration::from_secs(u64::from(u32::MAX))));
    }
}
