//! What operators hear of snooping.

use super::bindings::{self, Outcome};
use super::listeners::{self, Effect, Listeners, Refused};
use super::{MEMBERSHIPS, Protocol, Snooping};
use crate::control::Router;
use crate::control::events::Severity;
use millrace_graph_nodes::l2::suppress::Seen;
use std::time::{Duration, Instant, SystemTime};

/// Between two events of a kind and domain.
const TELL: Duration = Duration::from_secs(10);

/// What operators hear of at most now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    Querier(Protocol),
    Refused(Protocol),
    Moved,
    Disputed,
    Own,
    BindingRefused,
}

impl Snooping {
    /// Whether something may be told again.
    fn may_tell(&mut self, domain: u16, topic: Topic, now: Instant) -> bool {
        let told = self.told.get(&(domain, topic)).copied();
        let may = told.is_none_or(|told| now.saturating_duration_since(told) >= TELL);
        if may {
            self.told.insert((domain, topic), now);
        }
        may
    }
}

impl Router {
    /// What events of a domain are said to be about.
    fn snooped_name(&self, number: u16, protocol: Protocol) -> String {
        format!("{} snooping {}", protocol.as_str(), self.domain_name(number))
    }

    fn domain_name(&self, number: u16) -> String {
        match self.snooping.domains.get(&number).map(|domain| &domain.key) {
            Some((name, 0)) => name.to_string(),
            Some((name, vlan)) => format!("{name} VLAN {vlan}"),
            None => String::new(),
        }
    }

    pub(super) fn tell_querier(&mut self, number: u16, protocol: Protocol, effect: Effect, now: Instant) {
        if !effect.querier || !self.snooping.may_tell(number, Topic::Querier(protocol), now) {
            return;
        }
        let listeners = self.snooping.domains.get(&number).and_then(|domain| domain.listeners.get(&protocol));
        let text = match listeners.and_then(Listeners::querier) {
            Some(querier) => format!("querier {} on {}", querier.address, self.interfaces.name(querier.port)),
            None => "no querier any more: groups are flooded".to_owned(),
        };
        let source = self.snooped_name(number, protocol);
        self.tell(Severity::Info, source, text);
    }

    pub(super) fn tell_not_joined(
        &mut self,
        number: u16,
        port: u32,
        protocol: Protocol,
        refused: Refused,
        now: Instant,
    ) {
        if !self.snooping.may_tell(number, Topic::Refused(protocol), now) {
            return;
        }
        let name = self.interfaces.name(port);
        let text = match refused {
            Refused::Port => format!("{name} has joined {} groups, and may have no more", listeners::PORT_GROUPS),
            Refused::Domain => {
                format!("{name} can't join a group: there are {} memberships", listeners::DOMAIN_MEMBERSHIPS)
            }
            Refused::All => {
                format!("{name} can't join a group: there are {MEMBERSHIPS} memberships in all bridges")
            }
        };
        let source = self.snooped_name(number, protocol);
        self.tell(Severity::Warning, source, text);
    }

    pub(super) fn tell_seen(&mut self, seen: &Seen, outcome: Outcome, now: Instant) {
        let (name, address, mac) = (self.interfaces.name(seen.interface), seen.address, seen.mac);
        let (topic, severity, text) = match outcome {
            Outcome::Learnt | Outcome::NoStation => return,
            Outcome::Moved(before) => {
                (Topic::Moved, Severity::Info, format!("{address} is at {mac} on {name} now, and was at {before}"))
            }
            Outcome::Disputed(other) => {
                let text = format!("{address} is claimed by {mac} on {name} and by {other}: not answered for");
                (Topic::Disputed, Severity::Warning, text)
            }
            Outcome::Own => {
                (Topic::Own, Severity::Warning, format!("{mac} on {name} claims the router's own address {address}"))
            }
            Outcome::Refused(refused) => {
                let text = match refused {
                    bindings::Refused::Port => format!("{name} has {} addresses, and may have no more", bindings::PORT),
                    bindings::Refused::Domain => format!("not learnt: there are {} addresses", bindings::DOMAIN),
                    bindings::Refused::Table => format!("not learnt: there are {} addresses in all", bindings::TABLE),
                };
                (Topic::BindingRefused, Severity::Warning, text)
            }
        };
        if self.snooping.may_tell(seen.domain, topic, now) {
            let source = format!("ARP suppression {}", self.domain_name(seen.domain));
            if topic == Topic::Moved {
                self.events.add_frequent(SystemTime::now(), severity, source, text);
            } else {
                self.tell(severity, source, text);
            }
        }
    }
}
