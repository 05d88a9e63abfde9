//! The neighbours on each interface: how they come, change, and go.

use super::heard::{Heard, Id};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Neighbours on an interface at most: on a wire there is one, on a segment with dumb switches there are a few.
pub const MOST: usize = 16;

/// A neighbour: who it is (clause 3.6: the MSAP identifier).
pub type Key = (Id, Id);

/// One that is known.
#[derive(Clone, Debug)]
pub struct Neighbor {
    /// What it told last.
    pub heard: Heard,
    /// Since when it is known.
    pub since: Instant,
    /// When it told something last.
    pub last: Instant,
    /// When it is forgotten.
    pub until: Instant,
}

/// What came of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    New,
    /// It tells something else.
    Changed,
    /// It tells the same.
    Same,
    /// It says good-bye.
    Gone,
    /// It says good-bye, and nobody knew it.
    Unknown,
    /// There are too many.
    TooMany,
}

/// The neighbours on an interface.
#[derive(Debug, Default)]
pub struct Neighbors(BTreeMap<Key, Neighbor>);

impl Neighbors {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Neighbor> {
        self.0.values()
    }

    /// One told something.
    pub fn heard(&mut self, heard: &Heard, now: Instant) -> Change {
        let key = (heard.chassis.clone(), heard.port.clone());
        if heard.ttl == 0 {
            return if self.0.remove(&key).is_some() { Change::Gone } else { Change::Unknown };
        }
        let until = now + Duration::from_secs(heard.ttl.into());
        if let Some(known) = self.0.get_mut(&key) {
            let same = known.heard.says_as(heard);
            known.heard.clone_from(heard);
            (known.last, known.until) = (now, until);
            return if same { Change::Same } else { Change::Changed };
        }
        if self.0.len() >= MOST {
            return Change::TooMany;
        }
        self.0.insert(key, Neighbor { heard: heard.clone(), since: now, last: now, until });
        Change::New
    }

    /// Forgets those that were not heard for as long as they said.
    pub fn expire(&mut self, now: Instant) -> Vec<Neighbor> {
        self.0.extract_if(.., |_, neighbor| neighbor.until <= now).map(|(_, neighbor)| neighbor).collect()
    }

    /// Forgets all.
    pub fn clear(&mut self) -> Vec<Neighbor> {
        std::mem::take(&mut self.0).into_values().collect()
    }

    /// When somebody is forgotten next.
    pub fn next(&self) -> Option<Instant> {
        self.0.values().map(|neighbor| neighbor.until).min()
    }
}
