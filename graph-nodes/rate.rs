//! A token bucket: so many a second in the long run, so many at once.

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

#[cfg(test)]
mod tests {
    use super::*;

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
