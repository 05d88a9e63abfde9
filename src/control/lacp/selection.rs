//! Selection logic (clause 6.4.14): which ports may be one aggregate, and which of several aggregates the bond is.

use super::Port;
use millrace_wire::MacAddr;
use millrace_wire::lacp::{LacpPort, LacpState};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Whom a port is connected to. Ports of the same group may be aggregated (clause 6.4.14.1); in the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The partner's priority; smaller is better.
    pub system_priority: u16,
    /// The partner.
    pub system: MacAddr,
    /// The partner's number for what may be aggregated.
    pub key: u16,
    /// The only port, as the partner wants the link for itself.
    individual: Option<u16>,
}

/// The group of a port of `system`. `None` when nothing is known of its partner, or when the cable leads back to the system itself.
pub fn group_of(port: &Port, system: MacAddr) -> Option<Group> {
    let LacpPort { system_priority, system: partner, key, state, .. } = *port.partner();
    let known = !port.actor().state.has(LacpState::DEFAULTED) && partner != system;
    let individual = (!state.has(LacpState::AGGREGATION)).then_some(port.number());
    known.then_some(Group { system_priority, system: partner, key, individual })
}

/// The group that the bond is: one with as many links as are wanted before others; the one that it was before others; then the one
/// with most links.
pub fn choose<'a>(
    ports: impl Iterator<Item = &'a Port>,
    system: MacAddr,
    now: Option<Group>,
    min_links: usize,
) -> Option<Group> {
    let mut links: BTreeMap<Group, usize> = BTreeMap::new();
    for port in ports {
        if let Some(group) = group_of(port, system) {
            // A link that is down doesn't count, but its partner is still known: without a better one, it is waited for.
            *links.entry(group).or_default() += usize::from(port.is_enabled());
        }
    }
    let better = |(group, links): &(Group, usize)| {
        let is_now = Some(*group) == now;
        (*links >= min_links.max(1), *links > 0, is_now, *links, Reverse(*group))
    };
    links.into_iter().max_by_key(better).map(|(group, _)| group)
}
