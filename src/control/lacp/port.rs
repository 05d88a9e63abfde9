//! A port of a bond, with the state of its machines, and the transmit machine (clause 6.4.16).

use super::churn::{Churn, ChurnTimer};
use super::mux::Mux;
use super::periodic::Periodic;
use super::receive::Receive;
use super::{FAST_PERIODIC, MOST_SENT, PRIORITY, Send, Settings};
use millrace_wire::lacp::{LacpPort, LacpState, Lacpdu};
use std::time::Instant;

/// A port.
#[derive(Clone, Debug)]
pub struct Port {
    /// port_enabled: its link is up.
    pub(super) enabled: bool,
    /// What it is, and says of itself.
    pub(super) actor: LacpPort,
    /// What it knows of the one at the other end.
    pub(super) partner: LacpPort,
    /// Whether it belongs to the aggregate that the bond is.
    pub(super) selected: bool,
    /// NTT: the partner has to be told.
    pub(super) need_to_transmit: bool,
    pub(super) receive: Receive,
    /// When what is known of the partner is too old.
    pub(super) current_while: Option<Instant>,
    pub(super) periodic: Periodic,
    pub(super) mux: Mux,
    /// Until when it waits for others to join with it.
    pub(super) wait_while: Option<Instant>,
    actor_churn: ChurnTimer,
    partner_churn: ChurnTimer,
    /// When the last PDUs were sent, the oldest first.
    sent: [Option<Instant>; MOST_SENT],
}

impl Port {
    /// One whose link is down (BEGIN).
    pub(super) fn new(number: u16, settings: &Settings, now: Instant) -> Port {
        let state = LacpState::ACTIVITY.with(LacpState::AGGREGATION);
        let actor = LacpPort { port: number, port_priority: PRIORITY, state, ..LacpPort::default() };
        let mut port = Port {
            enabled: false,
            actor,
            partner: LacpPort::default(),
            selected: false,
            need_to_transmit: false,
            receive: Receive::PortDisabled,
            current_while: None,
            periodic: Periodic::default(),
            mux: Mux::Detached,
            wait_while: None,
            actor_churn: ChurnTimer::new(now),
            partner_churn: ChurnTimer::new(now),
            sent: [None; MOST_SENT],
        };
        port.follow(settings);
        port.initialize();
        port
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.actor.port
    }

    /// What it says of itself.
    pub fn actor(&self) -> &LacpPort {
        &self.actor
    }

    /// What it knows of its partner.
    pub fn partner(&self) -> &LacpPort {
        &self.partner
    }

    /// Whether its link is up.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether it belongs to the aggregate.
    pub fn is_selected(&self) -> bool {
        self.selected
    }

    /// What became of what its partner tells.
    pub fn receive(&self) -> Receive {
        self.receive
    }

    /// How far it is in the aggregate.
    pub fn mux(&self) -> Mux {
        self.mux
    }

    /// Whether it takes too long to come to terms: here, and at the other end.
    pub fn churn(&self) -> (Churn, Churn) {
        (self.actor_churn.state(), self.partner_churn.state())
    }

    /// Whether frames from the link are taken.
    pub fn is_collecting(&self) -> bool {
        self.actor.state.has(LacpState::COLLECTING)
    }

    /// Whether frames are sent over the link.
    pub fn is_distributing(&self) -> bool {
        self.actor.state.has(LacpState::DISTRIBUTING)
    }

    /// Takes over what the bond is. Under another name nothing holds that was agreed on (clause 6.4.14.1 h).
    pub(super) fn follow(&mut self, settings: &Settings) {
        let Settings { system, key, fast, .. } = *settings;
        if (self.actor.system, self.actor.key) != (system, key) {
            (self.actor.system, self.actor.key, self.actor.system_priority) = (system, key, PRIORITY);
            self.selected = false;
        }
        self.actor.state.set(LacpState::TIMEOUT, fast);
        self.need_to_transmit = true;
    }

    /// Whoever was not selected has been detached before.
    pub(super) fn set_selected(&mut self, selected: bool) {
        self.selected = selected;
    }

    /// Does what is due.
    pub(super) fn run(&mut self, now: Instant) {
        if self.current_while.is_some_and(|due| due <= now) {
            self.timed_out(now);
        }
        self.run_periodic(now);
    }

    /// What the other machines made of an event has consequences for those behind them: what is sent, if anything.
    pub(super) fn finish(&mut self, now: Instant) -> Option<Send> {
        self.follow_periodic(now);
        let (actor, partner) = (self.actor.state, self.partner.state);
        self.actor_churn.follow(self.enabled, actor.has(LacpState::SYNCHRONIZATION), now);
        self.partner_churn.follow(self.enabled, partner.has(LacpState::SYNCHRONIZATION), now);
        self.transmit(now).map(|pdu| Send { port: self.number(), pdu })
    }

    /// Clause 6.4.16: what is to be said is said at once, but not more than three times in a second.
    fn transmit(&mut self, now: Instant) -> Option<Lacpdu> {
        if !self.enabled {
            self.need_to_transmit = false;
        }
        if !self.need_to_transmit || self.may_transmit().is_some_and(|from| from > now) {
            return None;
        }
        self.sent.rotate_left(1);
        *self.sent.last_mut()? = Some(now);
        self.need_to_transmit = false;
        Some(Lacpdu::new(&self.actor, &self.partner))
    }

    /// From when on a PDU may be sent; `None`: at once.
    fn may_transmit(&self) -> Option<Instant> {
        self.sent.first().copied().flatten().map(|oldest| oldest + FAST_PERIODIC)
    }

    /// What the partner is told when the port leaves the bond, whatever was said a moment ago.
    pub(super) fn farewell(mut self) -> Option<Lacpdu> {
        for bit in [LacpState::SYNCHRONIZATION, LacpState::COLLECTING, LacpState::DISTRIBUTING] {
            self.actor.state.set(bit, false);
        }
        self.enabled.then(|| Lacpdu::new(&self.actor, &self.partner))
    }

    /// Until when it wants to wait for others to join with it.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        self.wait_while
    }

    /// When it has something to do next, besides joining.
    pub(super) fn next(&self) -> Option<Instant> {
        let transmit = self.may_transmit().filter(|_| self.need_to_transmit);
        let churn = [&self.actor_churn, &self.partner_churn].into_iter().filter_map(|churn| churn.next(self.enabled));
        [self.current_while, self.periodic.next(), transmit].into_iter().flatten().chain(churn).min()
    }
}
