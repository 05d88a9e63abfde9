//! How long packets took: counts by time, each bucket a thirty-second of its value wide.

use std::time::Duration;

/// Buckets to a power of two.
const STEPS: u64 = 32;
/// Enough for seventeen minutes in nanoseconds; what takes longer counts there.
const BUCKETS: usize = 36 * STEPS as usize;

/// Times by how often they came.
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    sum: u64,
    packets: u64,
    min: u64,
    max: u64,
}

/// What a histogram says, microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    pub min: f64,
    pub average: f64,
    /// 99 of a hundred packets took no longer.
    pub p99: f64,
    /// 999 of a thousand.
    pub p999: f64,
    pub max: f64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: Box::new([0; BUCKETS]), sum: 0, packets: 0, min: u64::MAX, max: 0 }
    }
}

impl Histogram {
    /// Counts a packet that took so many nanoseconds.
    #[inline]
    pub fn add(&mut self, nanoseconds: u64) {
        if let Some(count) = self.counts.get_mut(bucket(nanoseconds)) {
            *count += 1;
        }
        self.sum += nanoseconds;
        self.packets += 1;
        self.min = self.min.min(nanoseconds);
        self.max = self.max.max(nanoseconds);
    }

    /// The figures; all zero without packets.
    pub fn summary(&self) -> Latency {
        if self.packets == 0 {
            return Latency::default();
        }
        let microseconds = |nanoseconds: u64| Duration::from_nanos(nanoseconds).as_secs_f64() * 1e6;
        let part = |of_thousand: u64| microseconds(self.quantile(of_thousand).clamp(self.min, self.max));
        Latency {
            min: microseconds(self.min),
            average: microseconds(self.sum) / self.packets as f64,
            p99: part(990),
            p999: part(999),
            max: microseconds(self.max),
        }
    }

    /// The time that so many of a thousand packets stayed within: the upper end of its bucket.
    fn quantile(&self, of_thousand: u64) -> u64 {
        let mut left = (u128::from(self.packets) * u128::from(of_thousand)).div_ceil(1000) as u64;
        for (at, count) in self.counts.iter().enumerate() {
            if *count >= left {
                return upper_end(at);
            }
            left -= count;
        }
        self.max
    }
}

/// Values below [`STEPS`] have a bucket each; above, each power of two is cut into as many.
#[inline]
fn bucket(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let power = value.ilog2() - STEPS.ilog2();
    let at = (u64::from(power) + 1) * STEPS + (value >> power) - STEPS;
    (at as usize).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper_end(bucket: usize) -> u64 {
    let (power, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match power.checked_sub(1) {
        None => step,
        Some(power) => ((STEPS + step + 1) << power) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_where_the_next_begins() {
        for value in (0..5000).chain((13..40).map(|power| 1 << power)) {
            let at = bucket(value);
            assert!(upper_end(at) >= value, "{value}");
            assert_eq!(bucket(upper_end(at)), at, "{value}");
            assert_eq!(bucket(upper_end(at) + 1), at + 1, "{value}");
            assert!(upper_end(at) - value <= value / STEPS, "{value}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn figures_of_known_times() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|microseconds| histogram.add(microseconds * 1000));
        let figures = histogram.summary();
        for (figure, expected) in [(figures.min, 1.0), (figures.average, 500.5), (figures.max, 1000.0)] {
            assert!((figure - expected).abs() < 1e-6, "{figure} for {expected}");
        }
        for (figure, expected) in [(figures.p99, 990.0), (figures.p999, 999.0)] {
            assert!((expected..expected * 1.04).contains(&figure), "{figure} for {expected}");
        }
        assert_eq!(Histogram::default().summary().max, 0.0);
    }
}
