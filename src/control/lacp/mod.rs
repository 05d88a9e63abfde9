//! Link aggregation control (IEEE 802.1AX clause 6.4): which members of a bond carry frames, agreed with the system at the other end.
//!
//! An [`Aggregator`] is one bond. It is pure: events go in with the time, what is to be sent comes out, and nothing else happens. Each
//! port has the machines of the standard, a file each: what is known of the partner (`receive`), how often it is told of us
//! (`periodic`), whether frames pass (`mux`), whether that takes too long (`churn`). What the bond decides of all ports together is in
//! `selection`. Clause numbers are those of IEEE 802.1AX-2014.
//!
//! Left out of the standard: passive mode, standby ports, several aggregators for one key. Narrower than the standard: a link whose
//! partner doesn't speak LACP carries nothing, rather than being an aggregate of its own, so that a wrong cable never makes a loop.

mod churn;
mod mux;
mod periodic;
mod port;
mod receive;
mod selection;

#[cfg(test)]
mod pair_tests;
#[cfg(test)]
mod tests;

pub use churn::Churn;
pub use mux::Mux;
pub use port::Port;
pub use receive::Receive;
pub use selection::Group;

use millrace_wire::MacAddr;
use millrace_wire::lacp::Lacpdu;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often a partner is told that wants to hear often (clause 6.4.4: Fast_Periodic_Time).
pub const FAST_PERIODIC: Duration = Duration::from_secs(1);
/// How often others are told (Slow_Periodic_Time).
pub const SLOW_PERIODIC: Duration = Duration::from_secs(30);
/// When what is known of the partner is too old, if it was asked to speak often (Short_Timeout_Time).
pub const SHORT_TIMEOUT: Duration = Duration::from_secs(3);
/// The same, if it was not (Long_Timeout_Time).
pub const LONG_TIMEOUT: Duration = Duration::from_secs(90);
/// How long ports wait for others to join the aggregate with them (Aggregate_Wait_Time).
pub const AGGREGATE_WAIT: Duration = Duration::from_secs(2);
/// How long it may take to come to terms (Churn_Detection_Time).
pub const CHURN_DETECTION: Duration = Duration::from_secs(60);
/// PDUs that are sent at most in a [`FAST_PERIODIC`] on a port (clause 6.4.16).
pub const MOST_SENT: usize = 3;

/// The priority of the system and of its ports: the middle, as everyone has it.
pub const PRIORITY: u16 = 0x8000;

/// What a bond is to its partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The MAC address that names the system.
    pub system: MacAddr,
    /// The number of the bond in it.
    pub key: u16,
    /// Whether the partner is asked to speak every second.
    pub fast: bool,
    /// How many links the operator wants at least.
    pub min_links: usize,
}

/// A PDU to be sent on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// The port's number.
    pub port: u16,
    /// What is sent.
    pub pdu: Lacpdu,
}

/// A bond.
#[derive(Clone, Debug)]
pub struct Aggregator {
    settings: Settings,
    ports: BTreeMap<u16, Port>,
    group: Option<Group>,
}

impl Aggregator {
    /// One without ports.
    pub fn new(settings: Settings) -> Aggregator {
        Aggregator { settings, ports: BTreeMap::new(), group: None }
    }

    /// Its ports by their numbers.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.values()
    }

    /// A port.
    pub fn port(&self, number: u16) -> Option<&Port> {
        self.ports.get(&number)
    }

    /// Whom it is aggregated with.
    pub fn group(&self) -> Option<Group> {
        self.group
    }

    /// What it is.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Becomes something else. Another name ends all that was agreed on.
    #[must_use]
    pub fn set(&mut self, settings: Settings, now: Instant) -> Vec<Send> {
        if settings != self.settings {
            self.settings = settings;
            self.ports.values_mut().for_each(|port| port.follow(&settings));
        }
        self.settle(now)
    }

    /// Adds a port, whose link is down, with a number that is not 0. What is there already stays.
    #[must_use]
    pub fn add(&mut self, number: u16, now: Instant) -> Vec<Send> {
        let settings = self.settings;
        self.ports.entry(number).or_insert_with(|| Port::new(number, &settings, now));
        self.settle(now)
    }

    /// Takes a port away. Its partner is told that it carries nothing any more, while that can be said.
    #[must_use]
    pub fn remove(&mut self, number: u16, now: Instant) -> Vec<Send> {
        let last = self.ports.remove(&number).and_then(Port::farewell);
        last.into_iter().map(|pdu| Send { port: number, pdu }).chain(self.settle(now)).collect()
    }

    /// What the partner of a port is told before that is switched off, so that it sends its frames elsewhere at once.
    #[must_use]
    pub fn good_bye(&self, number: u16) -> Option<Send> {
        let last = self.ports.get(&number)?.clone().farewell();
        last.map(|pdu| Send { port: number, pdu })
    }

    /// The link of a port came or went.
    #[must_use]
    pub fn set_enabled(&mut self, number: u16, enabled: bool, now: Instant) -> Vec<Send> {
        if let Some(port) = self.ports.get_mut(&number) {
            port.set_enabled(enabled, now);
        }
        self.settle(now)
    }

    /// A PDU came by a port.
    #[must_use]
    pub fn received(&mut self, number: u16, pdu: &Lacpdu, now: Instant) -> Vec<Send> {
        // The partner was plugged from one port to another: what the first one knows of it holds no more.
        for port in self.ports.values_mut().filter(|port| port.number() != number) {
            port.partner_moved(&pdu.actor());
        }
        if let Some(port) = self.ports.get_mut(&number) {
            port.received(pdu, now);
        }
        self.settle(now)
    }

    /// Does what is due.
    #[must_use]
    pub fn run(&mut self, now: Instant) -> Vec<Send> {
        self.ports.values_mut().for_each(|port| port.run(now));
        self.settle(now)
    }

    /// When [`run`](Self::run) is to be called next.
    pub fn next(&self) -> Option<Instant> {
        // Who waits to join waits for the last.
        let join = self.ports.values().filter_map(Port::waits_until).max();
        self.ports.values().filter_map(Port::next).chain(join).min()
    }

    /// Lets the machines go on until none has anything to do.
    fn settle(&mut self, now: Instant) -> Vec<Send> {
        // What is no longer selected is detached before it can be selected again.
        self.ports.values_mut().for_each(|port| port.step_mux(false, now));
        self.select();
        self.ports.values_mut().for_each(|port| port.step_mux(false, now));
        // Clause 6.4.15: ports join together, when all of them have waited.
        if self.ports.values().all(|port| port.is_ready(now)) {
            self.ports.values_mut().for_each(|port| port.step_mux(true, now));
        }
        self.ports.values_mut().filter_map(|port| port.finish(now)).collect()
    }

    fn select(&mut self) {
        let system = self.settings.system;
        self.group = selection::choose(self.ports.values(), system, self.group, self.settings.min_links);
        for port in self.ports.values_mut() {
            let group = selection::group_of(port, system);
            port.set_selected(group.is_some() && group == self.group);
        }
    }
}
