//! The mux machine (clause 6.4.15, figure 6-21: collecting and distributing are switched one by one): whether frames pass.

use super::AGGREGATE_WAIT;
use super::port::Port;
use millrace_wire::lacp::LacpState;
use std::time::Instant;

/// Its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mux {
    /// The port is in no aggregate.
    Detached,
    /// It is going to be in one, and waits for others to join with it.
    Waiting,
    /// It is in one. The partner isn't, or not yet.
    Attached,
    /// Frames from the link are taken.
    Collecting,
    /// Frames are sent, too.
    Distributing,
}

impl Mux {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mux::Detached => "detached",
            Mux::Waiting => "waiting",
            Mux::Attached => "attached",
            Mux::Collecting => "collecting",
            Mux::Distributing => "distributing",
        }
    }
}

impl Port {
    /// ready_N: it doesn't keep others from joining.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.mux != Mux::Waiting || self.wait_while.is_none_or(|until| until <= now)
    }

    /// Goes from state to state as far as that leads. `ready`: all who wait to join have waited.
    pub(super) fn step_mux(&mut self, ready: bool, now: Instant) {
        while let Some(next) = self.next_mux(ready) {
            self.mux = next;
            self.wait_while = (next == Mux::Waiting).then(|| now + AGGREGATE_WAIT);
            let reached = |state: Mux| next as u8 >= state as u8;
            self.actor.state.set(LacpState::SYNCHRONIZATION, reached(Mux::Attached));
            self.actor.state.set(LacpState::COLLECTING, reached(Mux::Collecting));
            self.actor.state.set(LacpState::DISTRIBUTING, reached(Mux::Distributing));
            // Of waiting there is nothing to tell; of distributing neither, as nothing of the partner's hangs on it.
            self.need_to_transmit |= !matches!(next, Mux::Waiting | Mux::Distributing);
        }
    }

    fn next_mux(&self, ready: bool) -> Option<Mux> {
        let partner = |bit| self.partner.state.has(bit);
        let in_sync = self.selected && partner(LacpState::SYNCHRONIZATION);
        let takes_frames = in_sync && partner(LacpState::COLLECTING);
        match self.mux {
            Mux::Detached => self.selected.then_some(Mux::Waiting),
            Mux::Waiting | Mux::Attached if !self.selected => Some(Mux::Detached),
            Mux::Waiting => ready.then_some(Mux::Attached),
            Mux::Attached => in_sync.then_some(Mux::Collecting),
            Mux::Collecting if !in_sync => Some(Mux::Attached),
            Mux::Collecting => takes_frames.then_some(Mux::Distributing),
            Mux::Distributing => (!takes_frames).then_some(Mux::Collecting),
        }
    }
}
