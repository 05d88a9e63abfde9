//! What control should hear of: storms, full ports and bridges, stations that move. Counted by port; told at most once a second for each
//! port and kind.

use super::storm::Kind;
use crossbeam::queue::ArrayQueue;
use millrace_engine::counters::MAX_INTERFACES;
use millrace_wire::MacAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// News that may wait for control.
const QUEUE: usize = 256;
/// How long nothing more of a kind is told of a port, in nanoseconds.
const PAUSE: u64 = 1_000_000_000;

/// Something that happened at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Storm control dropped frames.
    Storm {
        /// The port.
        interface: u32,
        /// What there was too much of.
        kind: Kind,
    },
    /// A station was heard on another port.
    Moved {
        /// Where it is a station.
        domain: u16,
        /// Its address.
        mac: MacAddr,
        /// What it was behind: an interface, or a remote.
        from: u16,
        /// What it is behind now.
        to: u16,
        /// The port.
        interface: u32,
    },
    /// A frame whose source is fixed to another port was dropped.
    Spoofed {
        /// The port that it came by.
        interface: u32,
        /// The source.
        mac: MacAddr,
    },
    /// A station was not learnt, as its port has its most.
    PortFull {
        /// The port.
        interface: u32,
        /// The station.
        mac: MacAddr,
    },
    /// A station was not learnt, as the domain has its most.
    BridgeFull {
        /// The port.
        interface: u32,
        /// The domain.
        domain: u16,
        /// The station.
        mac: MacAddr,
    },
}

impl News {
    const KINDS: usize = 7;

    /// The port, and which of its counters it is.
    const fn place(&self) -> (u32, usize) {
        match *self {
            News::Storm { interface, kind } => (interface, kind as usize),
            News::Moved { interface, .. } => (interface, 3),
            News::PortFull { interface, .. } => (interface, 4),
            News::BridgeFull { interface, .. } => (interface, 5),
            News::Spoofed { interface, .. } => (interface, 6),
        }
    }
}

/// How often what happened at a port, since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Broadcasts that storm control dropped.
    pub storm_broadcast: u64,
    /// Other frames to groups that it dropped.
    pub storm_multicast: u64,
    /// Frames to unknown stations that it dropped.
    pub storm_unknown: u64,
    /// Stations that moved to it.
    pub moved: u64,
    /// Frames whose source was not learnt as the port had its most stations.
    pub port_full: u64,
    /// Frames whose source was not learnt as the domain had its most stations.
    pub bridge_full: u64,
    /// Frames that were dropped as their source is fixed to another port.
    pub spoofed: u64,
}

/// The counters of a port, and when it was last told of them.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Entry {
    counts: [AtomicU64; News::KINDS],
    told: [AtomicU64; News::KINDS],
}

/// All that happened.
#[derive(Debug)]
pub struct Journal {
    queue: ArrayQueue<News>,
    ports: Box<[Entry]>,
}

impl Default for Journal {
    fn default() -> Journal {
        let ports = (0..MAX_INTERFACES).map(|_| Entry::default()).collect();
        Journal { queue: ArrayQueue::new(QUEUE), ports }
    }
}

impl Journal {
    /// The oldest news.
    #[must_use]
    pub fn pop(&self) -> Option<News> {
        self.queue.pop()
    }

    /// What happened at the port of an interface.
    #[must_use]
    pub fn happened(&self, interface: u32) -> Happened {
        let Some(entry) = self.ports.get(interface as usize) else { return Happened::default() };
        let [storm_broadcast, storm_multicast, storm_unknown, moved, port_full, bridge_full, spoofed] =
            entry.counts.each_ref().map(|count| count.load(Relaxed));
        Happened { storm_broadcast, storm_multicast, storm_unknown, moved, port_full, bridge_full, spoofed }
    }

    /// Forgets what happened at the port of an interface, which is to be another's.
    pub fn forget(&self, interface: u32) {
        if let Some(entry) = self.ports.get(interface as usize) {
            entry.counts.iter().chain(&entry.told).for_each(|count| count.store(0, Relaxed));
        }
    }

    /// Counts it, and tells control unless it was told of the like within the last second. `now` is in nanoseconds.
    #[cold]
    pub(super) fn tell(&self, news: News, now: u64) {
        let (interface, kind) = news.place();
        let Some(entry) = self.ports.get(interface as usize) else { return };
        let (Some(count), Some(told)) = (entry.counts.get(kind), entry.told.get(kind)) else { return };
        count.fetch_add(1, Relaxed);
        let last = told.load(Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= PAUSE;
        if due && told.compare_exchange(last, now.max(1), Relaxed, Relaxed).is_ok() {
            // With a queue that is full, control has enough to tell.
            let _ = self.queue.push(news);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_counted_and_told_once_a_second_by_port_and_kind() {
        let journal = Journal::default();
        let storm = |interface, kind| News::Storm { interface, kind };
        let (broadcasts, unknown) = (storm(1, Kind::Broadcast), storm(1, Kind::Unknown));
        let full = News::PortFull { interface: 2, mac: MacAddr([2; 6]) };
        for now in [0, 1, PAUSE - 1] {
            journal.tell(broadcasts, now);
        }
        journal.tell(unknown, 2);
        journal.tell(full, 3);
        journal.tell(broadcasts, PAUSE + 1);
        journal.tell(storm(MAX_INTERFACES as u32, Kind::Unknown), 4);
        let told: Vec<News> = std::iter::from_fn(|| journal.pop()).collect();
        assert_eq!(told, [broadcasts, unknown, full, broadcasts]);
        let expected = Happened { storm_broadcast: 4, storm_unknown: 1, ..Happened::default() };
        assert_eq!((journal.happened(1), journal.happened(2).port_full), (expected, 1));
        journal.forget(1);
        assert_eq!(journal.happened(1), Happened::default());
        journal.tell(broadcasts, PAUSE + 2);
        assert_eq!(journal.pop(), Some(broadcasts), "of the next port that has this number");
        (0..2 * QUEUE as u64).for_each(|second| journal.tell(broadcasts, second * PAUSE));
        assert_eq!(std::iter::from_fn(|| journal.pop()).count(), QUEUE);
    }
}
