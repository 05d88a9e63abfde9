//! Keeping to a packet rate, polled.

use crate::spec::Rate;
use millrace_engine::clock;
use millrace_engine::device::Wake;

/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;

/// Says how many packets are due. Packets late by up to a hundredth of a second are caught up with; older debts are dropped,
/// so that a pause isn't followed by a flood.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// Packets in `per` nanoseconds; 0: no limit.
    rate: u128,
    per: u128,
    /// When counting began; 0 before the first packet.
    start: u64,
    sent: u128,
}

impl Pacer {
    /// The share of one of `shares` queues.
    pub fn new(rate: Rate, shares: usize) -> Pacer {
        let rate = match rate {
            Rate::Max => 0,
            Rate::PerSecond(n) => u128::from(n.max(1)),
        };
        Pacer { rate, per: SECOND * shares.max(1) as u128, start: 0, sent: 0 }
    }

    /// Whether there is a limit, that is, whether [`due`](Pacer::due) wants to know the time.
    #[inline]
    pub fn limited(&self) -> bool {
        self.rate != 0
    }

    /// How many packets may go now, `now` in nanoseconds of [`clock::now`].
    #[inline]
    pub fn due(&mut self, now: u64) -> usize {
        if !self.limited() {
            return usize::MAX;
        }
        if self.start == 0 {
            self.start = now.max(1);
        }
        let elapsed = u128::from(now.saturating_sub(self.start));
        let due = (elapsed * self.rate / self.per + 1).saturating_sub(self.sent);
        let most = (self.rate * SECOND / self.per / 100).max(1);
        if due > most {
            self.sent += due - most;
        }
        due.min(most) as usize
    }

    /// Notes that `n` went.
    #[inline]
    pub fn took(&mut self, n: usize) {
        self.sent += n as u128;
    }

    /// When the next is due, in nanoseconds of [`clock::now`]; `None` for at once.
    pub fn next(&self) -> Option<u64> {
        (self.limited() && self.start != 0)
            .then(|| self.start + (self.sent * self.per).div_ceil(self.rate).min(1 << 62) as u64)
    }

    /// The same, for a queue that waits for nothing else.
    pub fn wake(&self) -> Wake {
        match self.next() {
            Some(at) if at > clock::now() => Wake::At(at),
            _ => Wake::Poll,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls every `step` nanoseconds for a second, taking at most `burst`.
    fn run(pacer: &mut Pacer, from: u64, step: u64, burst: usize) -> usize {
        let mut sum = 0;
        for now in (from..from + 1_000_000_000).step_by(step as usize) {
            let n = pacer.due(now).min(burst);
            pacer.took(n);
            sum += n;
        }
        sum
    }

    #[test]
    fn it_keeps_the_rate() {
        assert_eq!(run(&mut Pacer::new(Rate::PerSecond(1000), 1), 5, 10_000, 256), 1000);
        assert_eq!(run(&mut Pacer::new(Rate::PerSecond(1000), 3), 5, 10_000, 256), 334);
        let fast = run(&mut Pacer::new(Rate::PerSecond(10_000_000), 1), 5, 20_000, 256);
        assert!((9_999_000..=10_000_000).contains(&fast), "{fast}");
        assert_eq!(Pacer::new(Rate::Max, 1).due(0), usize::MAX);
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut pacer = Pacer::new(Rate::PerSecond(100_000), 1);
        assert_eq!(pacer.due(1), 1);
        pacer.took(1);
        assert_eq!(pacer.due(60_000_000_000), 1000);
        pacer.took(1000);
        assert_eq!(pacer.due(60_000_000_000), 0);
        let next = pacer.next().unwrap();
        assert!((60_000_000_000..=60_000_010_001).contains(&next), "{next}");
        assert_eq!(pacer.due(next - 1), 0);
        assert_eq!(pacer.due(next), 1);
    }

    #[test]
    fn slow_rates_say_when_to_come_back() {
        let mut pacer = Pacer::new(Rate::PerSecond(1), 1);
        assert_eq!(pacer.wake(), Wake::Poll);
        let now = clock::now().max(1);
        assert_eq!(pacer.due(now), 1);
        pacer.took(1);
        assert_eq!(pacer.wake(), Wake::At(now + 1_000_000_000));
    }
}
