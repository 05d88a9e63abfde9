//! The receive machine (clause 6.4.12, figure 6-18): what is known of the partner, and for how long that holds.

use super::port::Port;
use super::{LONG_TIMEOUT, SHORT_TIMEOUT};
use millrace_wire::lacp::{LacpPort, LacpState, Lacpdu};
use std::time::Instant;

/// Its states. INITIALIZE is passed through, and LACP_DISABLED is never entered: a bond with LACP speaks it on all members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// The link is down. Who was there is remembered.
    PortDisabled,
    /// The partner was not heard for a while, or the link has just come up: it is asked to speak.
    Expired,
    /// It said nothing.
    Defaulted,
    /// It speaks.
    Current,
}

impl Receive {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Receive::PortDisabled => "port-disabled",
            Receive::Expired => "expired",
            Receive::Defaulted => "defaulted",
            Receive::Current => "current",
        }
    }
}

impl Port {
    /// INITIALIZE, and what follows it at once.
    pub(super) fn initialize(&mut self) {
        self.selected = false;
        self.record_default();
        self.actor.state.set(LacpState::EXPIRED, false);
        self.enter_port_disabled();
    }

    fn enter_port_disabled(&mut self) {
        self.receive = Receive::PortDisabled;
        self.current_while = None;
        self.partner.state.set(LacpState::SYNCHRONIZATION, false);
    }

    fn enter_expired(&mut self, now: Instant) {
        self.receive = Receive::Expired;
        self.partner.state.set(LacpState::SYNCHRONIZATION, false);
        // So that it is told of us every second until it answers.
        self.partner.state.set(LacpState::TIMEOUT, true);
        self.current_while = Some(now + SHORT_TIMEOUT);
        self.actor.state.set(LacpState::EXPIRED, true);
    }

    /// What the standard's update_Default_Selected does is done by selection, which selects nobody who is not known.
    fn enter_defaulted(&mut self) {
        self.receive = Receive::Defaulted;
        self.current_while = None;
        self.record_default();
        self.actor.state.set(LacpState::EXPIRED, false);
    }

    fn enter_current(&mut self, pdu: &Lacpdu, now: Instant) {
        self.receive = Receive::Current;
        self.update_selected(pdu);
        self.update_need_to_transmit(pdu);
        self.record_pdu(pdu);
        let timeout = if self.actor.state.has(LacpState::TIMEOUT) { SHORT_TIMEOUT } else { LONG_TIMEOUT };
        self.current_while = Some(now + timeout);
        self.actor.state.set(LacpState::EXPIRED, false);
    }

    /// The link came or went.
    pub(super) fn set_enabled(&mut self, enabled: bool, now: Instant) {
        if self.enabled == enabled {
            return;
        }
        self.enabled = enabled;
        // Who is there shall know at once that we are.
        self.need_to_transmit = enabled;
        if enabled { self.enter_expired(now) } else { self.enter_port_disabled() }
    }

    /// The partner was not heard for as long as current_while says.
    pub(super) fn timed_out(&mut self, now: Instant) {
        match self.receive {
            Receive::Current => self.enter_expired(now),
            Receive::Expired => self.enter_defaulted(),
            Receive::PortDisabled | Receive::Defaulted => {}
        }
    }

    /// A PDU came.
    pub(super) fn received(&mut self, pdu: &Lacpdu, now: Instant) {
        if self.receive != Receive::PortDisabled {
            self.enter_current(pdu, now);
        }
    }

    /// Somebody was heard on another port. If it is who was here before the link went down, it was plugged over (port_moved).
    pub(super) fn partner_moved(&mut self, heard: &LacpPort) {
        let same = (self.partner.system, self.partner.port) == (heard.system, heard.port);
        let known = !self.actor.state.has(LacpState::DEFAULTED);
        if self.receive == Receive::PortDisabled && known && same {
            self.initialize();
        }
    }

    /// recordDefault: nothing is known of the partner.
    fn record_default(&mut self) {
        self.partner = LacpPort::default();
        self.actor.state.set(LacpState::DEFAULTED, true);
    }

    /// recordPDU: what it says of itself, and whether it is in the aggregate together with us.
    fn record_pdu(&mut self, pdu: &Lacpdu) {
        let (actor, partner) = (pdu.actor(), pdu.partner());
        let active = actor.state.has(LacpState::ACTIVITY)
            || self.actor.state.has(LacpState::ACTIVITY) && partner.state.has(LacpState::ACTIVITY);
        let aggregation = |state: LacpState| state.has(LacpState::AGGREGATION);
        // It means us, or doesn't care as it aggregates nothing.
        let means_us = same_port(&partner, &self.actor) && aggregation(partner.state) == aggregation(self.actor.state)
            || !aggregation(actor.state);
        self.partner = actor;
        let in_sync = actor.state.has(LacpState::SYNCHRONIZATION) && means_us && active;
        self.partner.state.set(LacpState::SYNCHRONIZATION, in_sync);
        self.actor.state.set(LacpState::DEFAULTED, false);
    }

    /// update_Selected: another partner, or one that has changed, is a matter of selection.
    fn update_selected(&mut self, pdu: &Lacpdu) {
        if !same_partner(&pdu.actor(), &self.partner) {
            self.selected = false;
        }
    }

    /// update_NTT: the partner has an outdated idea of us.
    fn update_need_to_transmit(&mut self, pdu: &Lacpdu) {
        const TOLD: [LacpState; 4] =
            [LacpState::ACTIVITY, LacpState::TIMEOUT, LacpState::SYNCHRONIZATION, LacpState::AGGREGATION];
        let partner = pdu.partner();
        let knows = TOLD.iter().all(|bit| partner.state.has(*bit) == self.actor.state.has(*bit));
        self.need_to_transmit |= !(same_port(&partner, &self.actor) && knows);
    }
}

/// Whether all names and numbers are the same.
fn same_port(one: &LacpPort, other: &LacpPort) -> bool {
    let anyhow = LacpState::default();
    LacpPort { state: anyhow, ..*one } == LacpPort { state: anyhow, ..*other }
}

/// Whether it is the same partner with the same wish to be aggregated.
fn same_partner(one: &LacpPort, other: &LacpPort) -> bool {
    let aggregation = |port: &LacpPort| port.state.has(LacpState::AGGREGATION);
    same_port(one, other) && aggregation(one) == aggregation(other)
}
