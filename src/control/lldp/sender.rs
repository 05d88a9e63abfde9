//! When an interface tells (IEEE 802.1AB-2016 clauses 9.2.5 and 9.2.9): every interval, and soon when there is something new, but never a
//! flood.

use super::told::Told;
use std::time::{Duration, Instant};

/// How many frames are sent fast when the link comes up or a neighbour does (txFastInit).
const FAST_COUNT: u8 = 4;
/// How fast (msgFastTx).
const FAST: Duration = Duration::from_secs(1);
/// How many frames may be sent at once (txCreditMax); one more a second.
const MOST_CREDIT: u8 = 5;
/// What has changed is told after a moment, in which more may change.
const MOMENT: Duration = Duration::from_millis(200);

/// An interface that tells.
#[derive(Debug)]
pub struct Sender {
    /// What it told last, or tells next.
    told: Told,
    next: Instant,
    fast_left: u8,
    credit: u8,
    /// Until when credit was given.
    credited: Instant,
}

impl Sender {
    /// One whose link has just come up.
    pub fn new(told: Told, now: Instant) -> Sender {
        Sender { told, next: now, fast_left: FAST_COUNT, credit: MOST_CREDIT, credited: now }
    }

    /// What it tells.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// Tells this from now on, and soon if it is something else.
    pub fn set(&mut self, told: Told, now: Instant) {
        if told != self.told {
            self.told = told;
            self.next = self.next.min(now + MOMENT);
        }
    }

    /// Somebody is new, who shall know soon.
    pub fn hurry(&mut self, now: Instant) {
        if self.fast_left == 0 {
            self.fast_left = FAST_COUNT;
            self.next = self.next.min(now + MOMENT);
        }
    }

    /// When it tells next.
    pub fn next(&self) -> Instant {
        // Without credit, a second after the last was given.
        if self.credit == 0 { self.next.max(self.credited + FAST) } else { self.next }
    }

    /// The frame that is due, if one is.
    pub fn run(&mut self, interval: Duration, now: Instant) -> Option<Vec<u8>> {
        let seconds = now.saturating_duration_since(self.credited).as_secs();
        if seconds > 0 {
            self.credit = MOST_CREDIT.min(self.credit.saturating_add(seconds.min(u64::from(MOST_CREDIT)) as u8));
            self.credited += Duration::from_secs(seconds);
        }
        if self.next > now || self.credit == 0 {
            return None;
        }
        self.credit -= 1;
        self.fast_left = self.fast_left.saturating_sub(1);
        self.next = now + if self.fast_left > 0 { FAST.min(interval) } else { interval };
        Some(self.told.frame())
    }
}
