//! Which multicast groups the router listens to, told to the link: the listener's part of MLDv2 (RFC 3810 section 6). Switches that
//! look at these messages (RFC 4541) send a group only where somebody wants it, and without them no solicitation would get through.
//!
//! All groups are listened to whoever sends (an EXCLUDE filter of nobody). ff02::1 is never reported (section 6).

use super::random::Random;
use millrace_wire::nd;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

/// How often a change is told (RFC 3810 section 9.1: the robustness variable).
pub const ROBUSTNESS: u8 = 2;
/// The longest time between two times (section 9.11: the unsolicited report interval).
pub const REPEAT: Duration = Duration::from_secs(1);

/// What a record says of its group (RFC 3810 section 5.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Listening, in answer to a query: `MODE_IS_EXCLUDE`.
    Listens = 2,
    /// Not any more: `CHANGE_TO_INCLUDE_MODE`.
    Leaves = 3,
    /// From now on: `CHANGE_TO_EXCLUDE_MODE`.
    Joins = 4,
}

/// A record of a report.
pub type Record = (Kind, Ipv6Addr);

#[derive(Debug, Default)]
struct Membership {
    groups: BTreeSet<Ipv6Addr>,
    /// Changes to be told, and how often still.
    changes: BTreeMap<Ipv6Addr, (Kind, u8)>,
    /// When they are told next.
    changed: Option<Instant>,
    /// When all groups are told, because somebody asked.
    asked: Option<Instant>,
    /// When single ones are.
    asked_for: BTreeMap<Ipv6Addr, Instant>,
}

impl Membership {
    fn next(&self) -> Option<Instant> {
        [self.changed, self.asked, self.asked_for.values().min().copied()].into_iter().flatten().min()
    }
}

/// The groups of all interfaces; see the module.
#[derive(Debug, Default)]
pub struct Listeners {
    interfaces: BTreeMap<u32, Membership>,
    random: Random,
}

impl Listeners {
    /// Sets the groups of an interface whose link is up. What is new or gone is told.
    pub fn set(&mut self, interface: u32, groups: impl IntoIterator<Item = Ipv6Addr>, now: Instant) {
        let groups: BTreeSet<Ipv6Addr> = groups.into_iter().filter(|group| *group != nd::ALL_NODES).collect();
        let membership = self.interfaces.entry(interface).or_default();
        let joined = groups.difference(&membership.groups).map(|group| (*group, (Kind::Joins, ROBUSTNESS)));
        let left = membership.groups.difference(&groups).map(|group| (*group, (Kind::Leaves, ROBUSTNESS)));
        let changes: Vec<_> = joined.chain(left).collect();
        if !changes.is_empty() {
            membership.changes.extend(changes);
            membership.changed = Some(now);
        }
        membership.asked_for.retain(|group, _| groups.contains(group));
        membership.groups = groups;
    }

    /// Tells of all groups again: there is an address now to tell it from (RFC 3590 section 4).
    pub fn tell_again(&mut self, interface: u32, now: Instant) {
        let Some(membership) = self.interfaces.get_mut(&interface) else { return };
        membership.changes.extend(membership.groups.iter().map(|group| (*group, (Kind::Joins, ROBUSTNESS))));
        membership.changed = (!membership.changes.is_empty()).then_some(now);
    }

    /// Forgets an interface, as its link is down or it is gone.
    pub fn forget(&mut self, interface: u32) {
        self.interfaces.remove(&interface);
    }

    /// Somebody wants to know of one group or of all. The answer is due at a random moment within `longest` (RFC 3810 section 6.2);
    /// however often this is asked, one is outstanding for each group at most, and one for all.
    pub fn queried(&mut self, interface: u32, group: Option<Ipv6Addr>, longest: Duration, now: Instant) {
        let due = now + self.random.up_to(longest);
        let Some(membership) = self.interfaces.get_mut(&interface) else { return };
        if membership.asked.is_some_and(|asked| asked <= due) {
            return;
        }
        match group {
            None => membership.asked = Some(due),
            Some(group) if membership.groups.contains(&group) => {
                let asked = membership.asked_for.entry(group).or_insert(due);
                *asked = due.min(*asked);
            }
            Some(_) => {}
        }
    }

    /// The reports that are due, each with its interface.
    pub fn run(&mut self, now: Instant) -> Vec<(u32, Vec<Record>)> {
        let Listeners { interfaces, random } = self;
        let mut reports = Vec::new();
        let is_due = |due: &Option<Instant>| due.is_some_and(|due| due <= now);
        for (&interface, membership) in interfaces {
            if is_due(&membership.changed) {
                let told = membership.changes.iter().map(|(group, (kind, _))| (*kind, *group)).collect();
                reports.push((interface, told));
                membership.changes.values_mut().for_each(|(_, times)| *times -= 1);
                membership.changes.retain(|_, (_, times)| *times > 0);
                membership.changed = (!membership.changes.is_empty()).then(|| now + random.up_to(REPEAT));
            }
            let mut answer: BTreeSet<Record> = BTreeSet::new();
            if is_due(&membership.asked) {
                membership.asked = None;
                membership.asked_for.clear();
                answer.extend(membership.groups.iter().map(|group| (Kind::Listens, *group)));
            }
            membership.asked_for.retain(|group, due| {
                if *due <= now {
                    answer.insert((Kind::Listens, *group));
                }
                *due > now
            });
            if !answer.is_empty() {
                reports.push((interface, answer.into_iter().collect()));
            }
        }
        reports
    }

    /// When [`run`](Self::run) has something to do next.
    pub fn next(&self) -> Option<Instant> {
        self.interfaces.values().filter_map(Membership::next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1);
    const TWO: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 2);
    const SECOND: Duration = Duration::from_secs(1);

    /// Listens to the first group, and has told of it.
    fn listeners(now: Instant) -> Listeners {
        let mut listeners = Listeners::default();
        listeners.set(1, [nd::ALL_NODES, ONE], now);
        listeners.run(now);
        listeners.run(now + REPEAT);
        assert_eq!(listeners.next(), None);
        listeners
    }

    #[test]
    fn changes_are_told_twice() {
        let (mut listeners, now) = (Listeners::default(), Instant::now());
        listeners.set(1, [nd::ALL_NODES], now);
        assert_eq!(listeners.next(), None, "ff02::1 is told to nobody");
        listeners.set(1, [nd::ALL_NODES, ONE], now);
        assert_eq!((listeners.next(), listeners.run(now)), (Some(now), vec![(1, vec![(Kind::Joins, ONE)])]));
        // Another change comes before the first one is told again.
        listeners.set(1, [TWO], now);
        assert_eq!(listeners.run(now), [(1, vec![(Kind::Leaves, ONE), (Kind::Joins, TWO)])]);
        let again = listeners.next().unwrap();
        assert!(again <= now + REPEAT);
        assert_eq!(listeners.run(again), [(1, vec![(Kind::Leaves, ONE), (Kind::Joins, TWO)])]);
        assert_eq!((listeners.next(), listeners.run(now + 9 * SECOND)), (None, vec![]));
        listeners.tell_again(1, now);
        assert_eq!(listeners.run(now), [(1, vec![(Kind::Joins, TWO)])]);
        listeners.forget(1);
        assert_eq!(listeners.next(), None);
    }

    #[test]
    fn queries_are_answered_once_each() {
        let now = Instant::now();
        let mut listeners = listeners(now);
        for _ in 0..100_000 {
            listeners.queried(1, None, 10 * SECOND, now);
            listeners.queried(1, Some(ONE), 10 * SECOND, now);
        }
        assert_eq!(listeners.run(now + 10 * SECOND), [(1, vec![(Kind::Listens, ONE)])]);
        assert_eq!((listeners.next(), listeners.run(now + 99 * SECOND)), (None, vec![]));
        listeners.queried(1, Some(ONE), SECOND, now);
        assert!(listeners.next().unwrap() <= now + SECOND);
        assert_eq!(listeners.run(now + SECOND), [(1, vec![(Kind::Listens, ONE)])]);
        listeners.queried(1, Some(TWO), SECOND, now);
        listeners.queried(2, None, SECOND, now);
        assert_eq!(listeners.next(), None, "who doesn't listen says nothing");
    }
}
