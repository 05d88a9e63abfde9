//! Who listens to which groups, and which stations have which addresses, behind the ports of bridges: what the packet path hears goes
//! in, what it is to do with frames comes out.

pub mod bindings;
#[cfg(test)]
mod frames;
pub mod listeners;
pub mod membership;
mod tell;

use super::Router;
use bindings::Table;
use listeners::{Effect, Listeners};
use millrace_config::Name;
use millrace_engine::Waker;
use millrace_engine::epoch::domain;
use millrace_graph_nodes::l2::suppress::{self, Seen};
use millrace_graph_nodes::l2::{Bridging, Groups, Heard, Watch};
use millrace_wire::{MacAddr, igmp, mld, pim};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Memberships in all domains, of both families.
const MEMBERSHIPS: usize = 32_768;
/// Messages and sightings taken in at once, so that others have their turn.
const AT_ONCE: usize = 1024;
/// Between two lists of a domain's groups for the packet path: however fast hosts join and leave.
const PUBLISH: Duration = Duration::from_millis(20);
/// Between two looks at what is over.
const EXPIRE: Duration = Duration::from_millis(100);

/// Which protocol, and so which family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// IPv4.
    Igmp,
    /// IPv6.
    Mld,
}

impl Protocol {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Igmp => "IGMP",
            Protocol::Mld => "MLD",
        }
    }
}

/// A domain that is looked at.
#[derive(Debug)]
pub struct Domain {
    /// Its bridge and VLAN; 0: none.
    pub key: (Name, u16),
    /// Listeners, by protocols that are looked at.
    pub listeners: BTreeMap<Protocol, Listeners>,
    /// Whether the bridge answers for its stations.
    pub suppress: bool,
    /// What the packet path has, and since when.
    published: BTreeMap<Protocol, (Arc<Groups>, Instant)>,
    /// What has changed since.
    changed: bool,
}

/// All of it.
#[derive(Debug)]
pub struct Snooping {
    bridging: Bridging,
    domains: BTreeMap<u16, Domain>,
    bindings: Table,
    /// When something was told last.
    told: BTreeMap<(u16, tell::Topic), Instant>,
    /// When it was last looked at what is over.
    expired: Option<Instant>,
}

impl Snooping {
    /// Nothing is looked at yet. The packet path rings `control` when it has heard something.
    pub fn new(bridging: Bridging, control: Waker) -> Snooping {
        bridging.snoop.wake_by(control);
        let bindings = Table::new(bridging.clone());
        Snooping { bridging, domains: BTreeMap::new(), bindings, told: BTreeMap::new(), expired: None }
    }

    /// The domains that are looked at.
    pub fn domains(&self) -> impl Iterator<Item = (u16, &Domain)> {
        self.domains.iter().map(|(number, domain)| (*number, domain))
    }

    /// Which stations have which addresses.
    pub fn bindings(&self) -> &Table {
        &self.bindings
    }

    /// How many more memberships there may be.
    fn room(&self) -> usize {
        let all = self.domains.values().flat_map(|domain| domain.listeners.values());
        MEMBERSHIPS.saturating_sub(all.map(Listeners::memberships).sum())
    }

    /// Tells the packet path what changed, where that was not done a moment ago.
    fn publish(&mut self, now: Instant) {
        for (number, domain) in &mut self.domains {
            let last = domain.published.values().map(|(_, at)| *at).max();
            if !domain.changed || last.is_some_and(|last| now.saturating_duration_since(last) < PUBLISH) {
                continue;
            }
            domain.changed = false;
            let Domain { listeners, published, .. } = domain;
            *published = (listeners.iter())
                .map(|(protocol, listeners)| (*protocol, (Arc::new(listeners.published(now)), now)))
                .collect();
            let groups = |protocol| domain.published.get(&protocol).map(|(groups, _)| Arc::clone(groups));
            let watch = Watch { igmp: groups(Protocol::Igmp), mld: groups(Protocol::Mld), suppress: domain.suppress };
            // Numbers of domains are below the capacity.
            let _ = self.bridging.snoop.watches.set(&epoch(), (*number).into(), watch);
        }
        self.bindings.publish();
    }

    /// Tells the packet path what changed, however short ago that was done.
    fn publish_at_once(&mut self, now: Instant) {
        for domain in self.domains.values_mut().filter(|domain| domain.changed) {
            domain.published.clear();
        }
        self.publish(now);
    }

    /// Keeps listeners on these ports of a domain only.
    fn keep_ports(&mut self, number: u16, ports: &[u32]) -> Vec<(Protocol, Effect)> {
        let Some(domain) = self.domains.get_mut(&number) else { return Vec::new() };
        let kept = |listeners: &mut Listeners| listeners.keep_ports(|port| ports.binary_search(&port).is_ok());
        let effects: Vec<_> = domain.listeners.iter_mut().map(|(protocol, of)| (*protocol, kept(of))).collect();
        domain.changed |= effects.iter().any(|(_, effect)| effect.changed);
        effects
    }
}

const fn epoch() -> millrace_engine::epoch::Domain {
    domain()
}

impl Router {
    /// Looks at what the settings of bridges say now, on the ports that are up.
    pub(super) fn follow_snooping(&mut self) {
        let now = Instant::now();
        let mut wanted = BTreeMap::new();
        for (name, settings, _) in self.bridges.iter() {
            let protocols = [(Protocol::Igmp, settings.igmp_snooping), (Protocol::Mld, settings.mld_snooping)];
            let protocols: Vec<_> = protocols.into_iter().filter(|(_, on)| *on).map(|(protocol, _)| protocol).collect();
            if !protocols.is_empty() || settings.arp_suppression {
                for (vlan, number) in self.bridges.domains(name) {
                    wanted.insert(number, ((name.clone(), vlan), protocols.clone(), settings.arp_suppression));
                }
            }
        }
        let Snooping { bridging, domains, bindings, told, .. } = &mut self.snooping;
        domains.retain(|number, domain| {
            let stays = wanted.get(number).is_some_and(|(key, ..)| *key == domain.key);
            if !stays {
                bridging.snoop.watches.clear(&epoch(), (*number).into());
                told.retain(|(told, _), _| told != number);
            }
            stays
        });
        let suppressed = |domains: &BTreeMap<u16, Domain>, number| {
            domains.get(&number).is_some_and(|domain: &Domain| domain.suppress)
                && wanted.get(&number).is_some_and(|(_, _, suppress)| *suppress)
        };
        bindings.keep_domains(|number| suppressed(domains, number));
        for (number, (key, protocols, suppress)) in wanted {
            let domain = domains.entry(number).or_insert_with(|| Domain {
                key,
                listeners: BTreeMap::new(),
                suppress: false,
                published: BTreeMap::new(),
                changed: true,
            });
            domain.changed |= domain.suppress != suppress || !domain.listeners.keys().eq(&protocols);
            domain.suppress = suppress;
            domain.listeners.retain(|protocol, _| protocols.contains(protocol));
            for protocol in protocols {
                domain.listeners.entry(protocol).or_default();
            }
            if domain.changed {
                // At once: what was published is another setting's.
                domain.published.clear();
            }
        }
        self.follow_snooped_links(now);
    }

    /// Before operators are told: what they see is what is done.
    pub(super) fn publish_snooping(&mut self) {
        let now = Instant::now();
        self.snooping.expired = None;
        self.run_snooping(now);
        self.snooping.publish_at_once(now);
    }

    /// Keeps what was heard on ports that are up, and lets the router's own addresses be known.
    pub(super) fn follow_snooped_links(&mut self, now: Instant) {
        let numbers: Vec<u16> = self.snooping.domains.keys().copied().collect();
        for number in numbers {
            let members = self.bridges.published(number).map(|domain| domain.members.clone()).unwrap_or_default();
            for (protocol, effect) in self.snooping.keep_ports(number, &members) {
                self.tell_querier(number, protocol, effect, now);
            }
        }
        let own = self.own_addresses();
        self.snooping.bindings.set_own(own, now);
        self.snooping.publish(now);
    }

    /// The addresses of the router's own interfaces in bridges that answer for stations.
    fn own_addresses(&self) -> BTreeMap<(u16, IpAddr), (MacAddr, u32)> {
        let mut own = BTreeMap::new();
        let suppressing = self.bridges.iter().filter(|(_, settings, _)| settings.arp_suppression);
        for (name, bvi) in suppressing.filter_map(|(name, _, parts)| Some((name, parts.bvi?))) {
            let untagged = self.bridges.port(bvi).filter(|port| port.domain != 0).map(|port| (port.domain, bvi));
            let of_child = |child: u32| {
                let (_, tags) = self.interfaces.get(child)?.parent.as_ref().filter(|(_, tags)| tags.inner.is_none())?;
                Some((self.bridges.domain(name, tags.outer)?, child))
            };
            let children = self.interfaces.children(bvi).into_iter().filter_map(of_child);
            for (number, index) in untagged.into_iter().chain(children) {
                let Some(forwarded) = self.interfaces.forwarded(index).filter(|_| self.interfaces.is_up(index)) else {
                    continue;
                };
                let four = forwarded.addresses.iter().map(|(address, _)| IpAddr::V4(*address));
                let six = forwarded.addresses6.iter().map(|(address, _)| IpAddr::V6(*address));
                own.extend(four.chain(six).map(|address| ((number, address), (forwarded.mac, bvi))));
            }
        }
        own
    }

    /// Takes in what the packet path has heard and seen.
    pub(super) fn pump_snooping(&mut self) {
        let (now, seconds) = (Instant::now(), suppress::seconds());
        let mut busy = false;
        for n in 0.. {
            let Some(heard) = self.snooping.bridging.snoop.heard() else { break };
            self.snooped(&heard, now);
            if n == AT_ONCE {
                busy = true;
                break;
            }
        }
        for n in 0.. {
            let Some(seen) = self.snooping.bridging.snoop.seen() else { break };
            self.seen(&seen, now, seconds);
            if n == AT_ONCE {
                busy = true;
                break;
            }
        }
        self.snooping.publish(now);
        if busy {
            self.control.wake();
        }
    }

    fn snooped(&mut self, heard: &Heard, now: Instant) {
        let (number, port, packet) = (heard.domain, heard.interface, heard.packet());
        let room = self.snooping.room();
        let up = self.bridges.published(number).is_some_and(|d| d.members.binary_search(&port).is_ok());
        let Some(domain) = self.snooping.domains.get_mut(&number).filter(|_| up) else { return };
        let four = packet.first().is_some_and(|first| first >> 4 == 4);
        let (protocol, message) =
            if four { (Protocol::Igmp, igmp::parse(packet)) } else { (Protocol::Mld, mld::parse(packet)) };
        let Some(listeners) = domain.listeners.get_mut(&protocol) else { return };
        let effect = match message {
            Ok(Some(message)) => listeners.heard(port, &message, room, now),
            _ => {
                let changed = pim::hello(packet).is_some_and(|hold| listeners.router(port, hold, now));
                Effect { changed, ..Effect::default() }
            }
        };
        domain.changed |= effect.changed;
        self.tell_querier(number, protocol, effect, now);
        if let Some(refused) = effect.refused {
            self.tell_not_joined(number, port, protocol, refused, now);
        }
    }

    fn seen(&mut self, seen: &Seen, now: Instant, seconds: u32) {
        if !self.snooping.domains.get(&seen.domain).is_some_and(|domain| domain.suppress) {
            return;
        }
        let outcome = self.snooping.bindings.seen(seen, now, seconds);
        self.tell_seen(seen, outcome, now);
    }

    /// Does what is due.
    pub(super) fn run_snooping(&mut self, now: Instant) {
        if self.snooping.expired.is_none_or(|expired| now.saturating_duration_since(expired) >= EXPIRE) {
            let mut effects = Vec::new();
            for (number, domain) in &mut self.snooping.domains {
                for (protocol, listeners) in &mut domain.listeners {
                    let effect = listeners.expire(now);
                    domain.changed |= effect.changed;
                    effects.push((*number, *protocol, effect));
                }
            }
            self.snooping.expired = Some(now);
            for (number, protocol, effect) in effects {
                self.tell_querier(number, protocol, effect, now);
            }
        }
        self.snooping.publish(now);
    }

    /// When something is due next.
    pub(super) fn next_snooping(&self) -> Option<Instant> {
        let all = self.snooping.domains.values();
        let over = all.clone().flat_map(|domain| domain.listeners.values()).filter_map(Listeners::next).min();
        let over = over.map(|over| self.snooping.expired.map_or(over, |expired| over.max(expired + EXPIRE)));
        let last = |domain: &Domain| domain.published.values().map(|(_, at)| *at + PUBLISH).max();
        let changed = all.filter(|domain| domain.changed).filter_map(last).min();
        [over, changed].into_iter().flatten().min()
    }

    /// What is done once a second.
    pub(super) fn second_snooping(&mut self) {
        let now = Instant::now();
        self.snooping.bindings.sweep(now, suppress::seconds());
        // Addresses come to be usable, and interfaces come up.
        self.follow_snooped_links(now);
    }
}
