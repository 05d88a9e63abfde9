//! The periodic transmission machine (clause 6.4.13, figure 6-19): how often the partner is told, as it wishes.

use super::port::Port;
use super::{FAST_PERIODIC, SLOW_PERIODIC};
use millrace_wire::lacp::LacpState;
use std::time::Instant;

/// Its states. PERIODIC_TX is passed through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Periodic {
    /// Nobody is told anything.
    #[default]
    None,
    /// Every second; the next time.
    Fast(Instant),
    /// Every 30 seconds; the next time.
    Slow(Instant),
}

impl Periodic {
    pub fn next(self) -> Option<Instant> {
        match self {
            Periodic::None => None,
            Periodic::Fast(due) | Periodic::Slow(due) => Some(due),
        }
    }
}

impl Port {
    /// PERIODIC_TX when it is time.
    pub(super) fn run_periodic(&mut self, now: Instant) {
        if self.periodic.next().is_some_and(|due| due <= now) {
            self.transmit_periodic(now);
        }
    }

    fn transmit_periodic(&mut self, now: Instant) {
        self.need_to_transmit = true;
        self.periodic = match self.wants_fast() {
            true => Periodic::Fast(now + FAST_PERIODIC),
            false => Periodic::Slow(now + SLOW_PERIODIC),
        };
    }

    /// The link or the partner's wish may have changed.
    pub(super) fn follow_periodic(&mut self, now: Instant) {
        self.periodic = match self.periodic {
            _ if !self.enabled => Periodic::None,
            Periodic::None => Periodic::Fast(now + FAST_PERIODIC),
            Periodic::Fast(_) if !self.wants_fast() => Periodic::Slow(now + SLOW_PERIODIC),
            Periodic::Slow(_) if self.wants_fast() => return self.transmit_periodic(now),
            same => same,
        };
    }

    /// Whether the partner wants to be told every second.
    fn wants_fast(&self) -> bool {
        self.partner.state.has(LacpState::TIMEOUT)
    }
}
