//! Time as flows keep it.

use std::ops::Add;

/// Nanoseconds a tick, as a power of two.
const SHIFT: u32 = 26;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A point in time, or a span of it, in ticks of 2^26 ns: 67 ms. Wraps around after nine years; two points are compared by the
/// span between them, which must be less than half of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Ticks(pub u32);

impl Ticks {
    /// No time.
    pub const ZERO: Self = Self(0);
    /// The longest span to count with: two years.
    pub const MAX_SPAN: Self = Self(1 << 30);

    /// The tick that is running at `nanos` on a monotonic clock.
    #[inline(always)]
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self((nanos >> SHIFT) as u32)
    }

    /// The span of `secs` seconds, rounded up; at most [`MAX_SPAN`](Self::MAX_SPAN).
    #[must_use]
    pub const fn from_secs(secs: u32) -> Self {
        let ticks = (secs as u64 * NANOS_PER_SECOND).div_ceil(1 << SHIFT);
        if ticks > Self::MAX_SPAN.0 as u64 { Self::MAX_SPAN } else { Self(ticks as u32) }
    }

    /// A span in seconds, rounded to the nearest.
    #[must_use]
    pub const fn as_secs(self) -> u32 {
        ((((self.0 as u64) << SHIFT) + NANOS_PER_SECOND / 2) / NANOS_PER_SECOND) as u32
    }

    /// The span since `earlier`; none if that is later.
    #[inline(always)]
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        let span = self.0.wrapping_sub(earlier.0);
        if span > i32::MAX as u32 { Self::ZERO } else { Self(span) }
    }

    /// What is left of this span after another has gone by; none if that is longer.
    #[inline(always)]
    #[must_use]
    pub const fn less(self, passed: Self) -> Self {
        Self(self.0.saturating_sub(passed.0))
    }
}

/// A point in time later by a span.
impl Add for Ticks {
    type Output = Self;

    #[inline(always)]
    fn add(self, span: Self) -> Self {
        Self(self.0.wrapping_add(span.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_seconds() {
        assert_eq!(Ticks::from_nanos((1 << 26) - 1), Ticks(0));
        assert_eq!(Ticks::from_nanos(1 << 26), Ticks(1));
        assert_eq!(Ticks::from_nanos(u64::MAX), Ticks(u32::MAX));
        assert_eq!(Ticks::from_secs(0), Ticks(0));
        assert_eq!(Ticks::from_secs(1), Ticks(15));
        assert_eq!(Ticks::from_secs(u32::MAX), Ticks::MAX_SPAN);
        for secs in [0, 1, 2, 59, 60, 300, 7440, 86400, 1_000_000] {
            assert_eq!(Ticks::from_secs(secs).as_secs(), secs);
            let nanos = u64::from(secs) * NANOS_PER_SECOND;
            assert!(Ticks::from_secs(secs).0 - Ticks::from_nanos(nanos).0 <= 1);
        }
    }

    #[test]
    fn spans_cross_the_wrap() {
        let before = Ticks(u32::MAX - 4);
        let after = before + Ticks(10);
        assert_eq!(after, Ticks(5));
        assert_eq!((after.since(before), before.since(after)), (Ticks(10), Ticks(0)));
        assert_eq!((Ticks(10).less(Ticks(3)), Ticks(3).less(Ticks(10))), (Ticks(7), Ticks(0)));
    }
}
