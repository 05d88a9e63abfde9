//! The neighbour table: who is at which MAC address, found out and kept fresh by ARP (RFC 826, RFC 1122 section 2.3.2) and by
//! neighbour discovery (RFC 4861 section 7), which it follows for both.
//!
//! A pure state machine: it is told what was heard, wanted and used and what time it is, and says what to do (RFC 4861 section
//! 7.3.2 has the states):
//!
//! | state | what | left when |
//! |---|---|---|
//! | `incomplete` | everyone is asked, three times, a second apart | it answers; else it is `failed` |
//! | `reachable` | it answered less than 30 s ago | they are over: `stale` |
//! | `stale` | used as before, and forgotten when nobody does for long | a packet is sent to it: `delay` |
//! | `delay` | used, for 5 s | they are over: `probe` |
//! | `probe` | asked directly, three times, a second apart | it answers; else it is forgotten |
//! | `failed` | doesn't answer; a next hop of routes stays so until it is heard, and is asked now and then | |
//! | `static` | configured | never |
//!
//! The times are not spread at random (RFC 4861 section 6.3.2 has hosts do so): they begin with each neighbour's own traffic.

mod store;
#[cfg(test)]
mod tests;

pub use store::{MAX_KNOWN, MAX_PENDING};

use millrace_graph_nodes::neighbor_events::HeardKind;
use millrace_wire::MacAddr;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use store::Store;

/// How long a neighbour counts as reachable after it answered (RFC 4861 section 10: `REACHABLE_TIME`).
pub const REACHABLE: Duration = Duration::from_secs(30);
/// How long one that is stale is used before it is asked (`DELAY_FIRST_PROBE_TIME`).
pub const DELAY: Duration = Duration::from_secs(5);
/// Between two questions (`RETRANS_TIMER`).
pub const RETRY: Duration = Duration::from_secs(1);
/// Questions without an answer after which it is given up (`MAX_MULTICAST_SOLICIT`, `MAX_UNICAST_SOLICIT`).
pub const TRIES: u8 = 3;
/// How long one that is stale is kept though no packet is sent to it.
pub const UNUSED: Duration = Duration::from_secs(1200);
/// How long one that failed is not asked again.
pub const HOLD_DOWN: Duration = Duration::from_secs(1);
/// How long one that failed is listed.
pub const FAILED: Duration = Duration::from_secs(30);

/// An interface and an address on it.
pub type Key = (u32, IpAddr);

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Asked, no answer yet.
    Incomplete,
    /// Answered lately.
    Reachable,
    /// Not heard for a while, or only by what it said unasked.
    Stale,
    /// As stale, and used: about to be asked.
    Delay,
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
            State::Delay => "delay",
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
    /// Ask for it: everyone, or this station alone.
    Ask(Key, Option<MacAddr>),
    /// Packets to this neighbour have this destination from now on.
    Known(Key, MacAddr),
    /// Whether it is to be told from now on that a packet is sent to this neighbour, which is known.
    Stale(Key, bool),
    /// They have to wait from now on.
    Unknown(Key),
    /// It doesn't answer.
    Failed(Key),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Neighbors {
    store: Store,
    /// Neighbours that had to give way to new ones.
    pub evicted: u64,
    /// Neighbours that found no room.
    pub refused: u64,
}

impl Neighbors {
    /// A packet waits for a neighbour.
    pub fn wanted(&mut self, key: Key, now: Instant) -> Vec<Action> {
        match self.get(key).map(|n| (n.state, n.since)) {
            Some((State::Failed, since)) if now.saturating_duration_since(since) < HOLD_DOWN => return Vec::new(),
            Some((State::Failed, _)) | None => {}
            // Asked already, or known: forwarding learns of it in a moment.
            Some(_) => return Vec::new(),
        }
        let mut actions = Vec::new();
        let room = self.store.room_pending(key);
        if self.make_room(room, &mut actions) {
            let state = State::Incomplete;
            let asked = Neighbor { state, mac: None, since: now, tries: 1, deadline: Some(now + RETRY) };
            self.store.put(key, asked);
            actions.push(Action::Ask(key, None));
        }
        actions
    }

    /// A packet was sent to a neighbour that is stale (RFC 4861 section 7.3.3).
    pub fn used(&mut self, key: Key, now: Instant) -> Vec<Action> {
        match self.get(key).copied() {
            Some(neighbor) if neighbor.state == State::Stale => {
                let used = Neighbor { state: State::Delay, deadline: Some(now + DELAY), ..neighbor };
                self.store.put(key, used);
                vec![Action::Stale(key, false)]
            }
            _ => Vec::new(),
        }
    }

    /// A station made itself known.
    pub fn heard(&mut self, key: Key, mac: MacAddr, kind: HeardKind, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let old = self.get(key).copied();
        let Some(state) = after(old, mac, kind) else { return actions };
        let room = self.store.room_known(key);
        if !self.make_room(room, &mut actions) {
            return actions;
        }
        // RFC 4861 section 7.2.5, I: what does not replace the address makes it doubtful.
        let kept = old.and_then(|old| old.mac).filter(|_| !replaces(kind));
        let new = Neighbor { state, mac: kept.or(Some(mac)), since: now, tries: 0, deadline: Some(now + lasts(state)) };
        self.store.put(key, new);
        actions.extend(difference(key, old, new));
        actions
    }

    /// Adds a configured neighbour, or changes its address; it takes the place of one that was learnt.
    pub fn set_static(&mut self, key: Key, mac: MacAddr, now: Instant) -> Vec<Action> {
        let old = self.get(key).copied();
        let new = Neighbor { state: State::Static, mac: Some(mac), since: now, tries: 0, deadline: None };
        self.store.put(key, new);
        difference(key, old, new).collect()
    }

    /// Forgets a neighbour, whatever it is.
    pub fn remove(&mut self, key: Key) -> Option<Action> {
        let old = self.store.take(key)?;
        old.mac.map(|_| Action::Unknown(key))
    }

    /// Forgets all that were learnt: of one interface, or of all.
    pub fn clear(&mut self, interface: Option<u32>) -> Vec<Action> {
        let learnt = |(key, n): &(&Key, &Neighbor)| n.state != State::Static && interface.is_none_or(|i| i == key.0);
        let keys: Vec<Key> = self.list().filter(learnt).map(|(key, _)| *key).collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    /// Does what is due. `in_use` tells which neighbours routes lead to.
    pub fn run(&mut self, now: Instant, in_use: impl Fn(Key) -> bool) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some((due, key)) = self.next_due()
            && due <= now
        {
            let Some(neighbor) = self.get(key).copied() else { break };
            let until = |time| Some(now + time);
            match neighbor.state {
                State::Reachable => {
                    self.store.put(key, Neighbor { state: State::Stale, deadline: until(UNUSED), ..neighbor });
                    actions.push(Action::Stale(key, true));
                }
                State::Delay => {
                    self.store.put(key, Neighbor { state: State::Probe, tries: 1, deadline: until(RETRY), ..neighbor });
                    actions.push(Action::Ask(key, neighbor.mac));
                }
                State::Incomplete | State::Probe if neighbor.tries < TRIES => {
                    let again = Neighbor { tries: neighbor.tries + 1, deadline: until(RETRY), ..neighbor };
                    self.store.put(key, again);
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
                        self.store.take(key);
                    }
                }
                State::Stale if in_use(key) => {
                    self.store.put(key, Neighbor { deadline: until(UNUSED), ..neighbor });
                }
                // No packet may be sent to it any more, if there are others.
                State::Failed if in_use(key) => {
                    actions.push(Action::Ask(key, None));
                    self.store.put(key, Neighbor { deadline: until(FAILED), ..neighbor });
                }
                State::Stale => actions.extend(self.remove(key)),
                State::Failed => drop(self.store.take(key)),
                State::Static => self.store.put(key, Neighbor { deadline: None, ..neighbor }),
            }
        }
        actions
    }

    /// When [`run`](Self::run) has something to do next.
    pub fn next(&self) -> Option<Instant> {
        self.next_due().map(|(due, _)| due)
    }

    fn next_due(&self) -> Option<(Instant, Key)> {
        self.store.first_due()
    }

    /// All of them, by interface and address.
    pub fn list(&self) -> impl Iterator<Item = (&Key, &Neighbor)> {
        self.store.iter()
    }

    /// Those of an interface, by address.
    pub fn of(&self, interface: u32) -> impl Iterator<Item = (&Key, &Neighbor)> {
        self.store.of(interface)
    }

    /// One of them.
    pub fn get(&self, key: Key) -> Option<&Neighbor> {
        self.store.get(key)
    }

    fn fail(&mut self, key: Key, now: Instant) {
        let state = State::Failed;
        self.store.put(key, Neighbor { state, mac: None, since: now, tries: 0, deadline: Some(now + FAILED) });
    }

    /// Lets another give way if there is no room. False when nobody does.
    fn make_room(&mut self, room: Result<(), Option<Key>>, actions: &mut Vec<Action>) -> bool {
        match room {
            Ok(()) => true,
            Err(Some(other)) => {
                self.evicted += 1;
                actions.extend(self.remove(other));
                true
            }
            Err(None) => {
                self.refused += 1;
                false
            }
        }
    }
}

/// Whether what was heard replaces a MAC address that is known: all but an advertisement without the override flag.
fn replaces(kind: HeardKind) -> bool {
    !matches!(kind, HeardKind::Reply { override_: false, .. })
}

/// What state a neighbour is in after it was heard. `None`: nothing changes.
fn after(old: Option<Neighbor>, mac: MacAddr, kind: HeardKind) -> Option<State> {
    let Some(old) = old else {
        // Who asks for us will be answered, so it is worth knowing (RFC 4861 section 7.2.3). What nobody asked for is not
        // believed (section 7.2.5).
        return (kind == HeardKind::Request).then_some(State::Stale);
    };
    let solicited = matches!(kind, HeardKind::Reply { solicited: true, .. });
    match old.state {
        State::Static => None,
        // Section 7.2.5: the override flag makes no difference here.
        State::Incomplete | State::Failed if solicited => Some(State::Reachable),
        State::Incomplete | State::Failed => Some(State::Stale),
        State::Reachable | State::Stale | State::Delay | State::Probe => match (old.mac == Some(mac), replaces(kind)) {
            // I: another address that shall not replace this one.
            (false, false) => (old.state == State::Reachable).then_some(State::Stale),
            // II: reachable by the answer to a question alone.
            _ if solicited => Some(State::Reachable),
            (false, true) => Some(State::Stale),
            (true, _) => None,
        },
    }
}

/// How long a state that came of what was heard lasts.
fn lasts(state: State) -> Duration {
    if state == State::Reachable { REACHABLE } else { UNUSED }
}

/// What forwarding has to learn of a neighbour that is known now.
fn difference(key: Key, old: Option<Neighbor>, new: Neighbor) -> impl Iterator<Item = Action> {
    let old_mac = old.and_then(|old| old.mac);
    let is_stale = |neighbor: Option<Neighbor>| neighbor.is_some_and(|n| n.state == State::Stale);
    let (was, is) = (is_stale(old), is_stale(Some(new)));
    let known = new.mac.filter(|_| new.mac != old_mac).map(|mac| Action::Known(key, mac));
    // One whose address changes is told anew.
    let stale = (was != is || (is && known.is_some())).then_some(Action::Stale(key, is));
    known.into_iter().chain(stale)
}
