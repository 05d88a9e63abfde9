//! Storm control: how many frames of a kind a port may have flooded, in packets a second. A loop by a wrong cable ends here.

use crate::rate::SharedBucket;

/// What is flooded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To everyone.
    Broadcast,
    /// To another group.
    Multicast,
    /// To a station that nobody knows.
    Unknown,
}

/// The limits of a port, shared by the workers that receive from it.
#[derive(Debug)]
pub struct Storm([Limit; 3]);

impl Storm {
    /// No limit.
    #[must_use]
    pub const fn off() -> Storm {
        Storm::new(None, None, None)
    }

    /// Frames a second of each kind; none: no limit. A tenth of a second's may come at once, and at least one.
    #[must_use]
    pub const fn new(broadcast: Option<u32>, multicast: Option<u32>, unknown: Option<u32>) -> Storm {
        Storm([Limit::new(broadcast), Limit::new(multicast), Limit::new(unknown)])
    }

    /// Whether one more may be flooded at `now`, in nanoseconds.
    #[inline]
    pub fn allows(&self, kind: Kind, now: u64) -> bool {
        self.0[kind as usize].take(now)
    }
}

#[derive(Debug)]
struct Limit {
    /// Nanoseconds that a frame costs; 0: nothing.
    interval: u64,
    /// Nanoseconds that may be saved up.
    burst: u64,
    bucket: SharedBucket,
}

impl Limit {
    const fn new(per_second: Option<u32>) -> Limit {
        let interval = match per_second {
            Some(0) => u64::MAX,
            Some(n) => 1_000_000_000 / n as u64,
            None => 0,
        };
        let tenth = 100_000_000;
        Limit { interval, burst: if interval > tenth { interval } else { tenth }, bucket: SharedBucket::new() }
    }

    fn take(&self, now: u64) -> bool {
        match self.interval {
            0 => true,
            u64::MAX => false,
            interval => self.bucket.take(now, interval, self.burst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn allowed(storm: &Storm, kind: Kind, now: u64) -> usize {
        (0..10_000).take_while(|_| storm.allows(kind, now)).count()
    }

    #[test]
    fn a_burst_and_then_the_rate_by_kind() {
        let storm = Storm::new(Some(1000), Some(5), None);
        assert_eq!(allowed(&storm, Kind::Broadcast, 10 * SECOND), 100);
        assert_eq!(allowed(&storm, Kind::Broadcast, 10 * SECOND + 5_000_000), 5);
        assert_eq!(allowed(&storm, Kind::Broadcast, 20 * SECOND), 100, "no more than a burst is saved up");
        assert_eq!(allowed(&storm, Kind::Multicast, 10 * SECOND), 1);
        assert_eq!(allowed(&storm, Kind::Multicast, 10 * SECOND + SECOND / 5), 1);
        assert_eq!(allowed(&storm, Kind::Unknown, 10 * SECOND), 10_000);
        assert_eq!(allowed(&Storm::new(Some(0), None, None), Kind::Broadcast, 10 * SECOND), 0);
        assert_eq!(allowed(&Storm::off(), Kind::Broadcast, 0), 10_000);
    }
}
