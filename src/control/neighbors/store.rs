//! Where the neighbours are kept: by key, by what is due when, and by who has to give way first.

use super::{Key, Neighbor, State};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

/// Learnt neighbours of one interface whose MAC address is known.
pub const MAX_KNOWN: usize = 8192;
/// Neighbours of one interface that are asked for, or failed. Apart from the others, so that whoever scans a subnet of 64 bits
/// does not drive out those that are there (RFC 6583 section 7).
pub const MAX_PENDING: usize = 1024;

/// Neighbours that give way, in this order among those of their kind; the longest unheard of first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Idle {
    Failed,
    Incomplete,
    Stale,
}

impl Idle {
    fn of(state: State) -> Option<Idle> {
        match state {
            State::Failed => Some(Idle::Failed),
            State::Incomplete => Some(Idle::Incomplete),
            State::Stale => Some(Idle::Stale),
            State::Reachable | State::Delay | State::Probe | State::Static => None,
        }
    }
}

/// Whether the MAC address of a learnt neighbour in this state isn't known.
fn is_pending(state: State) -> bool {
    matches!(state, State::Incomplete | State::Failed)
}

/// See the module.
#[derive(Debug, Default)]
pub struct Store {
    table: BTreeMap<Key, Neighbor>,
    timers: BTreeSet<(Instant, Key)>,
    idle: HashMap<(u32, Idle), BTreeSet<(Instant, IpAddr)>>,
    /// By interface and whether they are pending: how many were learnt.
    learnt: HashMap<(u32, bool), usize>,
}

impl Store {
    /// One of them.
    pub fn get(&self, key: Key) -> Option<&Neighbor> {
        self.table.get(&key)
    }

    /// All of them, by interface and address.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Neighbor)> {
        self.table.iter()
    }

    /// Those of an interface.
    pub fn of(&self, interface: u32) -> impl Iterator<Item = (&Key, &Neighbor)> {
        self.table
            .range((interface, IpAddr::V4(Ipv4Addr::UNSPECIFIED))..=(interface, IpAddr::V6(Ipv6Addr::from_bits(!0))))
    }

    /// When something is due next, and for whom.
    pub fn first_due(&self) -> Option<(Instant, Key)> {
        self.timers.first().copied()
    }

    /// Adds one, or replaces the one of that key.
    pub fn put(&mut self, key: Key, neighbor: Neighbor) {
        self.take(key);
        if let Some(deadline) = neighbor.deadline {
            self.timers.insert((deadline, key));
        }
        if let Some(idle) = Idle::of(neighbor.state) {
            self.idle.entry((key.0, idle)).or_default().insert((neighbor.since, key.1));
        }
        if neighbor.state != State::Static {
            *self.learnt.entry((key.0, is_pending(neighbor.state))).or_default() += 1;
        }
        self.table.insert(key, neighbor);
    }

    /// Takes one out.
    pub fn take(&mut self, key: Key) -> Option<Neighbor> {
        let old = self.table.remove(&key)?;
        if let Some(deadline) = old.deadline {
            self.timers.remove(&(deadline, key));
        }
        if let Some(idle) = Idle::of(old.state).and_then(|idle| self.idle.get_mut(&(key.0, idle))) {
            idle.remove(&(old.since, key.1));
        }
        if old.state != State::Static
            && let Some(count) = self.learnt.get_mut(&(key.0, is_pending(old.state)))
        {
            *count -= 1;
        }
        Some(old)
    }

    /// Whether `key` may become one whose MAC address is known; else who gives way first, if anybody does.
    pub fn room_known(&self, key: Key) -> Result<(), Option<Key>> {
        self.room(key, false, MAX_KNOWN, &[Idle::Stale])
    }

    /// As [`room_known`](Self::room_known), for one that is asked for.
    pub fn room_pending(&self, key: Key) -> Result<(), Option<Key>> {
        self.room(key, true, MAX_PENDING, &[Idle::Failed, Idle::Incomplete])
    }

    fn room(&self, key: Key, pending: bool, most: usize, idle: &[Idle]) -> Result<(), Option<Key>> {
        let already = self.get(key).is_some_and(|n| n.state == State::Static || is_pending(n.state) == pending);
        if already || self.learnt.get(&(key.0, pending)).is_none_or(|count| *count < most) {
            return Ok(());
        }
        let first = |idle: &Idle| self.idle.get(&(key.0, *idle))?.first().map(|(_, address)| (key.0, *address));
        Err(idle.iter().find_map(first))
    }
}
