//! The churn detection machines (clause 6.4.17): one for the actor, one for the partner. They tell that two systems which can hear each
//! other don't come to terms, and change nothing.

use super::CHURN_DETECTION;
use std::time::Instant;

/// Their states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Churn {
    /// It is waited for the port to be in sync.
    Monitor,
    /// It is.
    None,
    /// It took too long.
    Churned,
}

impl Churn {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Churn::Monitor => "monitor",
            Churn::None => "none",
            Churn::Churned => "churned",
        }
    }
}

/// A machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChurnTimer {
    state: Churn,
    until: Instant,
}

impl ChurnTimer {
    pub fn new(now: Instant) -> ChurnTimer {
        ChurnTimer { state: Churn::Monitor, until: now + CHURN_DETECTION }
    }

    pub fn state(&self) -> Churn {
        self.state
    }

    pub fn follow(&mut self, enabled: bool, in_sync: bool, now: Instant) {
        self.state = match self.state {
            _ if !enabled => {
                *self = ChurnTimer::new(now);
                return;
            }
            _ if in_sync => Churn::None,
            Churn::None => {
                *self = ChurnTimer::new(now);
                return;
            }
            Churn::Monitor if self.until <= now => Churn::Churned,
            same => same,
        };
    }

    /// When it has to be looked at again, on a port whose link is up.
    pub fn next(&self, enabled: bool) -> Option<Instant> {
        (enabled && self.state == Churn::Monitor).then_some(self.until)
    }
}
