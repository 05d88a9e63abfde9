//! Duplicate address detection (RFC 4862 section 5.4): an address is the router's own only when nobody else on the link has it.
//!
//! An address is probed for once its interface is up, and again whenever it comes up again, as the link may be another. If nobody
//! objects within a second it is usable. The probe goes out at once: the random delay before it (section 5.4.2) is for links on which
//! many hosts start together. A duplicate stays one until the link comes up again or the operator changes something.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// How long an objection is waited for: `RetransTimer`, after the one probe that `DupAddrDetectTransmits` asks for.
pub const WAIT: Duration = Duration::from_secs(1);
/// How often at most a conflict about an address in use is told.
pub const TELL_EVERY: Duration = Duration::from_secs(60);

/// An interface and an address of it.
pub type Key = (u32, Ipv6Addr);

/// How far the detection is with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not begun: the link is down.
    Waiting,
    /// Probed for; decided by then.
    Tentative(Instant),
    /// Nobody else has it.
    Usable {
        /// When somebody else last claimed it all the same.
        conflict: Option<Instant>,
    },
    /// Somebody else has it.
    Duplicate,
}

impl State {
    /// Whether it is still open whether anybody else has the address.
    pub const fn is_undecided(self) -> bool {
        matches!(self, State::Waiting | State::Tentative(_))
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask whether anybody has it.
    Probe(Key),
    /// It may be used now.
    Usable(Key),
}

/// What hearing of a duplicate came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The address can't be used.
    Duplicate,
    /// An address in use is claimed by somebody else.
    Conflict,
}

/// The addresses of all interfaces; see the module.
#[derive(Debug, Default)]
pub struct Dad {
    addresses: BTreeMap<Key, State>,
    timers: BTreeSet<(Instant, Key)>,
}

impl Dad {
    /// Adds an address. `detect`: somebody else could have it; otherwise it is usable at once.
    pub fn add(&mut self, key: Key, detect: bool) {
        let state = if detect { State::Waiting } else { State::Usable { conflict: None } };
        self.put(key, state);
    }

    /// Takes an address out.
    pub fn remove(&mut self, key: Key) {
        if let Some(State::Tentative(due)) = self.addresses.remove(&key) {
            self.timers.remove(&(due, key));
        }
    }

    /// What is known of an address.
    pub fn state(&self, key: Key) -> Option<State> {
        self.addresses.get(&key).copied()
    }

    /// Whether an address may be used.
    pub fn is_usable(&self, key: Key) -> bool {
        matches!(self.state(key), Some(State::Usable { .. }))
    }

    /// The link of an interface is up: begins with the addresses that wait for that.
    pub fn begin(&mut self, interface: u32, now: Instant) -> Vec<Action> {
        let waiting = self.of(interface, |state| state == State::Waiting);
        waiting.iter().for_each(|key| self.put(*key, State::Tentative(now + WAIT)));
        waiting.into_iter().map(Action::Probe).collect()
    }

    /// The link of an interface is down: none of its addresses is known to be its own any more.
    pub fn suspend(&mut self, interface: u32) {
        for key in self.of(interface, |_| true) {
            self.put(key, State::Waiting);
        }
    }

    /// Somebody else has an address, or is about to take it (RFC 4862 sections 5.4.3 and 5.4.4). `None`: nothing new.
    pub fn heard(&mut self, key: Key, now: Instant) -> Option<Heard> {
        match self.state(key)? {
            State::Waiting | State::Tentative(_) => {
                self.put(key, State::Duplicate);
                Some(Heard::Duplicate)
            }
            State::Usable { conflict }
                if conflict.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY) =>
            {
                self.put(key, State::Usable { conflict: Some(now) });
                Some(Heard::Conflict)
            }
            State::Usable { .. } | State::Duplicate => None,
        }
    }

    /// Does what is due.
    pub fn run(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(&(due, key)) = self.timers.first()
            && due <= now
        {
            self.put(key, State::Usable { conflict: None });
            actions.push(Action::Usable(key));
        }
        actions
    }

    /// When [`run`](Self::run) has something to do next.
    pub fn next(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    fn of(&self, interface: u32, which: impl Fn(State) -> bool) -> Vec<Key> {
        self.addresses.range(all(interface)).filter(|(_, state)| which(**state)).map(|(key, _)| *key).collect()
    }

    fn put(&mut self, key: Key, state: State) {
        self.remove(key);
        if let State::Tentative(due) = state {
            self.timers.insert((due, key));
        }
        self.addresses.insert(key, state);
    }
}

/// The keys of an interface.
fn all(interface: u32) -> RangeInclusive<Key> {
    (interface, Ipv6Addr::UNSPECIFIED)..=(interface, Ipv6Addr::from_bits(u128::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = (1, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    const OTHER: Key = (2, KEY.1);
    const USABLE: Option<State> = Some(State::Usable { conflict: None });

    #[test]
    fn silence_makes_an_address_usable() {
        let (mut dad, now) = (Dad::default(), Instant::now());
        dad.add(KEY, true);
        dad.add(OTHER, true);
        assert_eq!((dad.next(), dad.is_usable(KEY)), (None, false), "nothing happens while the link is down");
        assert_eq!(dad.begin(1, now), [Action::Probe(KEY)]);
        assert_eq!(dad.begin(1, now), [], "it is probed for once");
        assert_eq!((dad.next(), dad.run(now + WAIT / 2)), (Some(now + WAIT), vec![]));
        assert_eq!(dad.run(now + WAIT), [Action::Usable(KEY)]);
        assert_eq!((dad.state(KEY), dad.state(OTHER), dad.next()), (USABLE, Some(State::Waiting), None));
    }

    #[test]
    fn an_objection_ends_it_until_the_link_is_another() {
        let (mut dad, now) = (Dad::default(), Instant::now());
        dad.add(KEY, true);
        dad.begin(1, now);
        assert_eq!(dad.heard(OTHER, now), None, "it is none of that interface");
        assert_eq!(dad.heard(KEY, now), Some(Heard::Duplicate));
        assert_eq!((dad.heard(KEY, now), dad.next(), dad.run(now + 2 * WAIT)), (None, None, vec![]));
        assert_eq!(dad.begin(1, now), [], "as long as nothing changes");
        dad.suspend(1);
        assert_eq!(dad.begin(1, now), [Action::Probe(KEY)]);
    }

    #[test]
    fn an_address_in_use_stays_in_use() {
        let (mut dad, now) = (Dad::default(), Instant::now());
        dad.add(KEY, false);
        assert_eq!(dad.state(KEY), USABLE);
        assert_eq!(dad.heard(KEY, now), Some(Heard::Conflict));
        assert_eq!(dad.heard(KEY, now + TELL_EVERY / 2), None, "told a moment ago");
        assert_eq!(dad.heard(KEY, now + TELL_EVERY), Some(Heard::Conflict));
        assert!(dad.is_usable(KEY));
    }

    #[test]
    fn a_link_that_is_down_decides_nothing() {
        let (mut dad, now) = (Dad::default(), Instant::now());
        dad.add(KEY, true);
        dad.add(OTHER, false);
        dad.begin(1, now);
        dad.suspend(1);
        assert_eq!((dad.state(KEY), dad.next()), (Some(State::Waiting), None));
        assert_eq!(dad.state(OTHER), USABLE, "another interface's");
        dad.begin(1, now);
        dad.remove(KEY);
        assert_eq!((dad.state(KEY), dad.next()), (None, None));
    }
}
