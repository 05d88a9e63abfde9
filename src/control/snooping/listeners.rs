//! Who listens to which groups in a domain, of one family (RFC 4541): messages of hosts and routers go in, what the packet path is to do
//! comes out. The rules for memberships are those of a router that is not the querier, for each port on its own (RFC 3376 section 6.4,
//! RFC 3810 section 7.4), as far as they say whether anybody listens: a group goes to a port for any source when it does for one.
//!
//! Nothing here looks at a clock, and everything is bounded.

use super::membership::{Membership, Querier};
use millrace_graph_nodes::l2::Groups;
use millrace_wire::membership::{Message, Query, Record, RecordKind};
use millrace_wire::{igmp, nd};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Groups that a port may listen to, of one family and domain.
pub const PORT_GROUPS: usize = 1024;
/// Memberships (a group and a port that listens to it) in a domain, of one family.
pub const DOMAIN_MEMBERSHIPS: usize = 16_384;
/// Sources of a group that are told apart on a port; with more, any will do.
pub const SOURCES: usize = 16;

/// RFC 3376 section 8.1 and RFC 3810 section 9.1: answers that may be lost.
const ROBUSTNESS: u8 = 2;
/// Sections 8.2 and 9.2: time between general queries.
const QUERY_INTERVAL: Duration = Duration::from_secs(125);
/// Sections 8.3 and 9.3: time to answer them.
const RESPONSE_INTERVAL: Duration = Duration::from_secs(10);

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The port has [`PORT_GROUPS`].
    Port,
    /// The domain has [`DOMAIN_MEMBERSHIPS`].
    Domain,
    /// All domains together have as many as may be.
    All,
}

/// What a message changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// What the packet path does.
    pub changed: bool,
    /// A membership that did not come to be.
    pub refused: Option<Refused>,
    /// The querier is another one.
    pub querier: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Listeners {
    groups: BTreeMap<IpAddr, BTreeMap<u32, Membership>>,
    /// Groups by port.
    ports: BTreeMap<u32, usize>,
    /// All memberships.
    memberships: usize,
    /// Up to when ports have routers behind them.
    routers: BTreeMap<u32, Instant>,
    querier: Option<Querier>,
    /// From then on, who listens has said so, and who didn't doesn't.
    answered: Option<Instant>,
    /// Whether groups were filtered when that was last looked at.
    filtered: bool,
    /// Nothing ends before.
    next: Option<Instant>,
    /// Memberships that were refused.
    refused: u64,
}

impl Listeners {
    /// Takes in what came by a port; so many more memberships may there be in all domains.
    pub fn heard(&mut self, port: u32, message: &Message<'_>, room: usize, now: Instant) -> Effect {
        let before = self.refused;
        let mut effect = Effect::default();
        let refused = match message {
            Message::Query(query) => {
                effect = self.queried(port, query, now);
                None
            }
            Message::Report { version, group } => {
                let until = now + self.membership_interval();
                self.join(port, *group, room, &mut effect, |membership| {
                    membership.any = Some(until);
                    if *version == 1 {
                        membership.version1 = Some(until);
                    }
                    until
                })
            }
            // Whether it was the last one the querier finds out: it hears of it, and asks.
            Message::Leave { .. } => None,
            Message::Records(records) => {
                let (mut room, mut refused) = (room, None);
                for record in *records {
                    let memberships = self.memberships;
                    let of_record = self.record(port, record, room, &mut effect, now);
                    refused = refused.or(of_record);
                    room = room.saturating_sub(self.memberships - memberships);
                }
                refused
            }
        };
        debug_assert_eq!(refused.is_some(), self.refused > before, "refusals are counted");
        Effect { refused, ..effect }
    }

    /// A PIM router says that it is behind a port for so long (RFC 4541 section 2.1.1); whether that is new.
    pub fn router(&mut self, port: u32, hold: Duration, now: Instant) -> bool {
        if hold.is_zero() {
            // It goes. A querier is there as long as it asks.
            let asks = self.querier.is_some_and(|querier| querier.port == port);
            return !asks && self.routers.remove(&port).is_some();
        }
        self.router_until(port, now + hold)
    }

    fn router_until(&mut self, port: u32, until: Instant) -> bool {
        self.soon(until);
        let new = !self.routers.contains_key(&port);
        let known = self.routers.entry(port).or_insert(until);
        *known = until.max(*known);
        new
    }

    fn queried(&mut self, port: u32, query: &Query<'_>, now: Instant) -> Effect {
        let mut effect = Effect::default();
        let heard = Querier {
            address: query.source,
            port,
            version: query.version,
            robustness: query.robustness.unwrap_or(ROBUSTNESS),
            interval: query.interval.unwrap_or(QUERY_INTERVAL),
            max_response: query.max_response,
            until: now,
        };
        // RFC 3376 section 8.5: the other querier present interval.
        let until = now + heard.interval * u32::from(heard.robustness) + heard.max_response / 2;
        // RFC 4541 section 2.1.1 (1): a switch that asks as 0.0.0.0 is no router.
        if !query.source.is_unspecified() {
            effect.changed |= self.router_until(port, until);
        }
        let Some(group) = query.group else {
            effect.querier = self.elect(Querier { until, ..heard }, now);
            if self.answered.is_none() {
                self.answered = Some(now + heard.max_response);
            }
            self.soon(now + heard.max_response);
            self.soon(until);
            return effect;
        };
        // RFC 3376 section 6.6: only those who still want it answer within the last member query time.
        if !query.suppress {
            self.last_call(group, query, now + heard.max_response * u32::from(heard.robustness));
        }
        effect
    }

    /// RFC 3376 section 6.6.2: the one with the lowest address is the querier; whether it is another one now.
    fn elect(&mut self, heard: Querier, now: Instant) -> bool {
        let rank = |querier: &Querier| (querier.address.is_unspecified(), querier.address);
        match &mut self.querier {
            Some(known) if known.until > now && rank(known) < rank(&heard) => false,
            known => {
                let other = known.is_none_or(|known| (known.address, known.port) != (heard.address, heard.port));
                *known = Some(heard);
                other
            }
        }
    }

    /// A querier asks for a group, or sources of it: whoever doesn't answer up to `until` is gone.
    fn last_call(&mut self, group: IpAddr, query: &Query<'_>, until: Instant) {
        let Some(ports) = self.groups.get_mut(&group) else { return };
        for membership in ports.values_mut() {
            if query.sources.is_empty() {
                // RFC 2236 section 5: hosts of version 1 don't answer in time.
                if membership.version1.is_none_or(|there| there <= until) {
                    membership.any = membership.any.map(|any| any.min(until));
                }
            } else {
                for source in query.sources {
                    if let Some(there) = membership.sources.get_mut(&source) {
                        *there = until.min(*there);
                    }
                }
            }
        }
        self.soon(until);
    }

    /// RFC 3376 section 6.4.
    fn record(
        &mut self,
        port: u32,
        record: Record<'_>,
        room: usize,
        effect: &mut Effect,
        now: Instant,
    ) -> Option<Refused> {
        let until = now + self.membership_interval();
        let joins = match record.kind {
            RecordKind::IsExclude | RecordKind::ToExclude => true,
            RecordKind::IsInclude | RecordKind::ToInclude | RecordKind::Allow => !record.sources.is_empty(),
            // It leaves sources: the querier asks whether others want them.
            RecordKind::Block => false,
        };
        if !joins {
            return None;
        }
        self.join(port, record.group, room, effect, |membership| {
            match record.kind {
                RecordKind::IsExclude | RecordKind::ToExclude => {
                    membership.any = Some(until);
                    // Those that were asked for and are not excluded are part of "any" now.
                    membership.sources.retain(|source, _| { record.sources }.any(|listed| listed == *source));
                }
                _ => {
                    membership.sources.extend(record.sources.take(SOURCES + 1).map(|source| (source, until)));
                    if membership.sources.len() > SOURCES {
                        membership.sources.clear();
                        membership.any = Some(until);
                    }
                }
            }
            until
        })
    }

    /// Lets a port into a group, or refuses it.
    fn join(
        &mut self,
        port: u32,
        group: IpAddr,
        room: usize,
        effect: &mut Effect,
        set: impl FnOnce(&mut Membership) -> Instant,
    ) -> Option<Refused> {
        if !is_listed(group) {
            return None;
        }
        let known = self.groups.get_mut(&group).and_then(|ports| ports.get_mut(&port));
        if let Some(membership) = known {
            let until = set(membership);
            self.soon(until);
            return None;
        }
        let groups = self.ports.get(&port).copied().unwrap_or(0);
        let refused = match () {
            () if groups >= PORT_GROUPS => Some(Refused::Port),
            () if self.memberships >= DOMAIN_MEMBERSHIPS => Some(Refused::Domain),
            () if room == 0 => Some(Refused::All),
            () => None,
        };
        if refused.is_some() {
            self.refused += 1;
            return refused;
        }
        let mut membership = Membership::default();
        let until = set(&mut membership);
        self.soon(until);
        self.groups.entry(group).or_default().insert(port, membership);
        self.memberships += 1;
        *self.ports.entry(port).or_default() += 1;
        effect.changed = true;
        None
    }

    /// Forgets what is over; what changed.
    pub fn expire(&mut self, now: Instant) -> Effect {
        let mut effect = Effect::default();
        if self.next.is_none_or(|next| next > now) {
            return effect;
        }
        let (routers, memberships) = (self.routers.len(), self.memberships);
        self.routers.retain(|_, until| *until > now);
        if self.querier.is_some_and(|querier| querier.until <= now) {
            (self.querier, self.answered) = (None, None);
            effect.querier = true;
        }
        let filters = self.filters(now);
        effect.changed |= filters != std::mem::replace(&mut self.filtered, filters);
        self.retain(|_, membership| {
            membership.expire(now);
            membership.until().is_some()
        });
        effect.changed |= (self.routers.len(), self.memberships) != (routers, memberships);
        let of_groups = self.groups.values().flat_map(BTreeMap::values).filter_map(Membership::next);
        let others = self.routers.values().copied().chain(self.querier.map(|querier| querier.until));
        let answered = self.answered.filter(|answered| *answered > now);
        self.next = of_groups.chain(others).chain(answered).min();
        effect
    }

    /// Keeps only what is on ports that `keep` says yes to: others are down, or of another domain. What changed.
    pub fn keep_ports(&mut self, keep: impl Fn(u32) -> bool) -> Effect {
        let (routers, memberships) = (self.routers.len(), self.memberships);
        self.routers.retain(|port, _| keep(*port));
        self.retain(|port, _| keep(port));
        let querier = self.querier.is_some_and(|querier| !keep(querier.port));
        if querier {
            (self.querier, self.answered, self.filtered) = (None, None, false);
        }
        let changed = querier || (self.routers.len(), self.memberships) != (routers, memberships);
        Effect { changed, refused: None, querier }
    }

    fn retain(&mut self, mut keep: impl FnMut(u32, &mut Membership) -> bool) {
        let Listeners { groups, ports, memberships, .. } = self;
        groups.retain(|_, of_group| {
            of_group.retain(|port, membership| {
                let kept = keep(*port, membership);
                if !kept {
                    *memberships -= 1;
                    if let Some(count) = ports.get_mut(port) {
                        *count -= 1;
                    }
                }
                kept
            });
            !of_group.is_empty()
        });
        ports.retain(|_, count| *count > 0);
    }

    /// When [`expire`](Self::expire) may have something to do.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    fn soon(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    fn membership_interval(&self) -> Duration {
        let default = QUERY_INTERVAL * u32::from(ROBUSTNESS) + RESPONSE_INTERVAL;
        self.querier.map_or(default, |querier| querier.membership_interval())
    }

    /// What the packet path is to do.
    pub fn published(&self, now: Instant) -> Groups {
        let listeners = self.groups.iter().map(|(group, ports)| (*group, ports.keys().copied()));
        Groups::new(self.filters(now), self.routers.keys().copied().collect(), listeners)
    }

    /// Whether groups go only where somebody listens: there is a querier, and time was to answer it.
    pub fn filters(&self, now: Instant) -> bool {
        self.querier.is_some() && self.answered.is_some_and(|answered| answered <= now)
    }

    /// Who asks.
    pub fn querier(&self) -> Option<&Querier> {
        self.querier.as_ref()
    }

    /// The ports that routers are behind, and up to when without hearing from them.
    pub fn routers(&self) -> impl Iterator<Item = (u32, Instant)> {
        self.routers.iter().map(|(port, until)| (*port, *until))
    }

    /// The groups in order, with their listeners by port.
    pub fn groups(&self) -> &BTreeMap<IpAddr, BTreeMap<u32, Membership>> {
        &self.groups
    }

    /// How many memberships there are.
    pub fn memberships(&self) -> usize {
        self.memberships
    }

    /// How many were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// Whether it is known who listens to a group: not of those that go everywhere, and not of those that are on no wire (RFC 3810 section 6).
fn is_listed(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.is_multicast() && !igmp::is_link_local(group),
        IpAddr::V6(group) => group.is_multicast() && group != nd::ALL_NODES && group.octets()[1] & 0xf > 1,
    }
}

#[cfg(test)]
#[path = "listeners_tests.rs"]
mod tests;
