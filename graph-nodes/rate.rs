//! Token buckets: so many a second in the long run, so many at once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts in nanoseconds of saved-up time, of which one event costs an interval.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    interval: u64,
    most: u64,
    saved: u64,
    last: u64,
}

impl TokenBucket {
    /// A full bucket for `per_second` events a second (1 to 1,000,000,000), of which `burst` may come at once.
    pub const fn new(per_second: u64, burst: u64) -> TokenBucket {
        let interval = 1_000_000_000 / per_second;
        TokenBucket { interval, most: burst * interval, saved: burst * interval, last: 0 }
    }

    /// Whether one more event may happen at `now`, in nanoseconds that don't run backwards; takes a token if so.
    pub fn take(&mut self, now: u64) -> bool {
        self.saved = self.most.min(self.saved.saturating_add(now.saturating_sub(self.last)));
        self.last = now;
        let enough = self.saved >= self.interval;
        if enough {
            self.saved -= self.interval;
        }
        enough
    }
}

/// One that several threads draw from: the time up to which what was allowed is paid for, not before the time that it is. Who draws says what an event costs.
#[derive(Debug, Default)]
pub struct SharedBucket(AtomicU64);

impl SharedBucket {
    /// A full one.
    pub const fn new() -> SharedBucket {
        SharedBucket(AtomicU64::new(0))
    }

    /// Whether one more event may happen at `now`, when each costs `interval` and at most `saved` may be saved up (not less than
    /// an interval), all in nanoseconds; pays if so.
    #[inline]
    pub fn take(&self, now: u64, interval: u64, saved: u64) -> bool {
        // Time begins when the router starts, with a full bucket: what may be saved up is lent in advance.
        let pay = |paid: u64| {
            let paid = paid.max(now) + interval;
            (paid <= now + saved).then_some(paid)
        };
        self.0.fetch_update(Relaxed, Relaxed, pay).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_bucket_has_a_burst_and_then_the_rate() {
        let bucket = SharedBucket::new();
        let taken = |now: u64| (0..1000).take_while(|_| bucket.take(now, 1_000_000, 100_000_000)).count();
        assert_eq!(taken(0), 100, "it is full when time begins");
        assert_eq!(taken(1_000_000_000), 100);
        assert_eq!(taken(1_000_999_999), 0);
        assert_eq!(taken(1_001_000_000), 1);
        assert_eq!(taken(1_011_500_000), 10);
        assert_eq!(taken(60_000_000_000), 100, "no more than a burst is saved up");
    }

    fn taken(bucket: &mut TokenBucket, now: u64) -> usize {
        (0..1000).take_while(|_| bucket.take(now)).count()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = TokenBucket::new(1000, 100);
        assert_eq!(taken(&mut bucket, 0), 100);
        assert_eq!(taken(&mut bucket, 999_999), 0);
        assert_eq!(taken(&mut bucket, 1_000_000), 1);
        assert_eq!(taken(&mut bucket, 11_500_000), 10);
        assert_eq!(taken(&mut bucket, 12_000_000), 1, "half a token was kept");
        assert_eq!(taken(&mut bucket, 60_000_000_000), 100, "no more than a burst is saved up");
    }
}
