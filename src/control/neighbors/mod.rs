//! The neighbour table: who is at which MAC address, asked for and kept fresh by ARP (RFC 826, RFC 1122 section 2.3.2).
//!
//! A pure state machine: it is told what was heard and wanted and what time it is, and says what to do. A neighbour that
//! is wanted is asked for three times, a second apart. One that answers is `reachable` for 30 s, then `stale`; it is used
//! all the same, and after 30 s more asked directly. If it doesn't answer it is forgotten; next hops of routes stay, as
//! `failed`. Static neighbours never change.

#[cfg(test)]
mod tests;

use millrace_graph_nodes::arp::HeardKind;
use millrace_wire::MacAddr;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// How long a neighbour counts as reachable after it was heard.
pub const REACHABLE: Duration = Duration::from_secs(30);
/// How long it is used after that before it is asked.
pub const STALE: Duration = Duration::from_secs(30);
/// Between two questions.
pub const RETRY: Duration = Duration::from_secs(1);
/// Questions without an answer after which it is given up.
pub const TRIES: u8 = 3;
/// How long one that failed is not asked again.
pub const HOLD_DOWN: Duration = Duration::from_secs(1);
/// How long one that failed is listed.
pub const FAILED: Duration = Duration::from_secs(30);
/// Learnt neighbours of one interface.
pub const MAX_PER_INTERFACE: usize = 8192;

/// An interface and an address on it.
pub type Key = (u32, Ipv4Addr);

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Asked, no answer yet.
    Incomplete,
    /// Heard lately.
    Reachable,
    /// Not heard for a while.
    Stale,
    /// Asked whether it is still there.
    Probe,
    /// Doesn't answer.
    Failed,
    /// Configured.
    Static,
}

impl State {
    /// The word for it in listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Incomplete => "incomplete",
            State::Reachable => "reachable",
            State::Stale => "stale",
            State::Probe => "probe",
            State::Failed => "failed",
            State::Static => "static",
        }
    }
}

/// A neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// What is known of it.
    pub state: State,
    /// Its address, unless it is incomplete or failed.
    pub mac: Option<MacAddr>,
    /// When it was last heard, or first asked for.
    pub since: Instant,
    tries: u8,
    deadline: Option<Instant>,
}

/// What the table wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an ARP request: to everyone, or to this station alone.
    Ask(Key, Option<MacAddr>),
    /// Packets to this neighbour have this destination from now on.
    Known(Key, MacAddr),
    /// They have to wait from now on.
    Unknown(Key),
    /// It doesn't answer.
    Failed(Key),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Neighbors {
    table: BTreeMap<Key, Neighbor>,
    timers: BTreeSet<(Instant, Key)>,
    learnt: HashMap<u32, usize>,
    /// Neighbours that had to give way to new ones.
    pub evicted: u64,
    /// Neighbours that found no room.
    pub refused: u64,
}

impl Neighbors {
    /// A packet waits for a neighbour.
    pub fn wanted(&mut self, key: Key, now: Instant) -> Vec<Action> {
        match self.table.get(&key).map(|n| (n.state, n.since)) {
            Some((State::Failed, since)) if now.saturating_duration_since(since) < HOLD_DOWN => return Vec::new(),
            Some((State::Failed, _)) => {}
            // Asked already, or known: forwarding learns of it in a moment.
            Some(_) => return Vec::new(),
            None => {}
        }
        let mut actions = Vec::new();
        if self.table.contains_key(&key) || self.make_room(key.0, &mut actions) {
            let state = State::Incomplete;
            self.put(key, Neighbor { state, mac: None, since: now, tries: 1, deadline: Some(now + RETRY) });
            actions.push(Action::Ask(key, None));
        }
        actions
    }

    /// A station made itself known.
    pub fn heard(&mut self, key: Key, mac: MacAddr, kind: HeardKind, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let old = self.table.get(&key).copied();
        match old {
            Some(old) if old.state == State::Static => return actions,
            Some(_) => {}
            // Who asks for us will be answered, so it is worth knowing. What nobody asked for is not believed.
            None if kind == HeardKind::Request && self.make_room(key.0, &mut actions) => {}
            None => return actions,
        }
        let state = State::Reachable;
        self.put(key, Neighbor { state, mac: Some(mac), since: now, tries: 0, deadline: Some(now + REACHABLE) });
        if old.and_then(|old| old.mac) != Some(mac) {
            actions.push(Action::Known(key, mac));
        }
        actions
    }

    /// Adds a configured neighbour, or changes its address; it takes the place of one that was learnt.
    pub fn set_static(&mut self, key: Key, mac: MacAddr, now: Instant) -> Action {
        self.put(key, Neighbor { state: State::Static, mac: Some(mac), since: now, tries: 0, deadline: None });
        Action::Known(key, mac)
    }

    /// Forgets a neighbour, whatever it is.
    pub fn remove(&mut self, key: Key) -> Option<Action> {
        let old = self.take(key)?;
        old.mac.map(|_| Action::Unknown(key))
    }

    /// Forgets all that were learnt: of one interface, or of all.
    pub fn clear(&mut self, interface: Option<u32>) -> Vec<Action> {
        let learnt = |(key, n): &(&Key, &Neighbor)| n.state != State::Static && interface.is_none_or(|i| i == key.0);
        let keys: Vec<Key> = self.table.iter().filter(learnt).map(|(key, _)| *key).collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    /// Does what is due. `in_use` tells which neighbours routes lead to.
    pub fn run(&mut self, now: Instant, in_use: impl Fn(Key) -> bool) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(&(due, key)) = self.timers.first()
            && due <= now
        {
            let Some(neighbor) = self.table.get(&key).copied() else {
                self.timers.pop_first();
                continue;
            };
            let again = Neighbor { tries: neighbor.tries + 1, deadline: Some(now + RETRY), ..neighbor };
            match neighbor.state {
                State::Reachable => {
                    self.put(key, Neighbor { state: State::Stale, deadline: Some(now + STALE), ..neighbor });
                }
                State::Stale => {
                    self.put(key, Neighbor { state: State::Probe, tries: 1, deadline: Some(now + RETRY), ..neighbor });
                    actions.push(Action::Ask(key, neighbor.mac));
                }
                State::Incomplete | State::Probe if neighbor.tries < TRIES => {
                    self.put(key, again);
                    actions.push(Action::Ask(key, neighbor.mac));
                }
                State::Incomplete => {
                    self.fail(key, now);
                    actions.push(Action::Failed(key));
                }
                State::Probe => {
                    actions.push(Action::Unknown(key));
                    if in_use(key) {
                        self.fail(key, now);
                        actions.push(Action::Failed(key));
                    } else {
                        self.take(key);
                    }
                }
                State::Failed if in_use(key) => {
                    self.put(key, Neighbor { deadline: Some(now + FAILED), ..neighbor });
                }
                State::Failed => drop(self.take(key)),
                State::Static => self.put(key, Neighbor { deadline: None, ..neighbor }),
            }
        }
        actions
    }

    /// When [`run`](Self::run) has something to do next.
    pub fn next(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// All of them, by interface and address.
    pub fn list(&self) -> impl Iterator<Item = (&Key, &Neighbor)> {
        self.table.iter()
    }

    /// One of them.
    pub fn get(&self, key: Key) -> Option<&Neighbor> {
        self.table.get(&key)
    }

    fn fail(&mut self, key: Key, now: Instant) {
        let state = State::Failed;
        self.put(key, Neighbor { state, mac: None, since: now, tries: 0, deadline: Some(now + FAILED) });
    }

    fn put(&mut self, key: Key, neighbor: Neighbor) {
        self.take(key);
        if let Some(deadline) = neighbor.deadline {
            self.timers.insert((deadline, key));
        }
        if neighbor.state != State::Static {
            *self.learnt.entry(key.0).or_default() += 1;
        }
        self.table.insert(key, neighbor);
    }

    fn take(&mut self, key: Key) -> Option<Neighbor> {
        let old = self.table.remove(&key)?;
        if let Some(deadline) = old.deadline {
            self.timers.remove(&(deadline, key));
        }
        if old.state != State::Static
            && let Some(count) = self.learnt.get_mut(&key.0)
        {
            *count -= 1;
        }
        Some(old)
    }

    /// Sees to it that an interface can have one more; the stale one that was heard longest ago gives way.
    fn make_room(&mut self, interface: u32, actions: &mut Vec<Action>) -> bool {
        if self.learnt.get(&interface).is_none_or(|count| *count < MAX_PER_INTERFACE) {
            return true;
        }
        let all = (interface, Ipv4Addr::UNSPECIFIED)..=(interface, Ipv4Addr::BROADCAST);
        let idle = |(_, n): &(&Key, &Neighbor)| matches!(n.state, State::Stale | State::Failed);
        let oldest = self.table.range(all).filter(idle).min_by_key(|(_, n)| n.since).map(|(key, _)| *key);
        match oldest {
            Some(key) => {
                self.evicted += 1;
                actions.extend(self.remove(key));
                true
            }
            None => {
                self.refused += 1;
                false
            }
        }
    }
}
