//! Time on the packet path: the time-stamp counter, calibrated once against the system's monotonic clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Ticks of the time-stamp counter.
#[inline(always)]
pub fn clocks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { std::arch::x86_64::_rdtsc() }
}

struct Scale {
    start: u64,
    /// Nanoseconds a tick, as a fraction of 2^32.
    nanos_per_tick: u64,
}

static SCALE: OnceLock<Scale> = OnceLock::new();

fn scale() -> &'static Scale {
    SCALE.get_or_init(|| {
        let (c0, t0) = (clocks(), Instant::now());
        while t0.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        let (ticks, nanos) = (clocks() - c0, t0.elapsed().as_nanos() as u64);
        Scale {
            start: c0,
            nanos_per_tick: (u128::from(nanos) << 32).checked_div(u128::from(ticks)).unwrap_or(1 << 32) as u64,
        }
    })
}

/// Nanoseconds since the program first asked; cheap, monotonic on one processor.
#[inline]
pub fn now() -> u64 {
    let s = scale();
    ((u128::from(clocks().wrapping_sub(s.start)) * u128::from(s.nanos_per_tick)) >> 32) as u64
}

/// Ticks of the time-stamp counter in a second.
pub fn clocks_per_second() -> u64 {
    ((1_000_000_000_u128 << 32) / u128::from(scale().nanos_per_tick.max(1))) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_with_the_system_clock() {
        let (a, t) = (now(), Instant::now());
        while t.elapsed() < Duration::from_millis(20) {}
        let (b, real) = (now(), t.elapsed().as_nanos() as u64);
        assert!((b - a).abs_diff(real) < real / 10, "{} against {real}", b - a);
    }
}
