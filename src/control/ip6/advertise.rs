//! When routers advertise themselves (RFC 4861 section 6.2): now and then, three times soon after something changed, and when a host
//! asks. All advertisements go to all nodes, so that one answers every host that asks in the same moment.
//!
//! However many hosts ask, or somebody asks however often, advertisements are three seconds apart at least (section 6.2.6).

use super::random::Random;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Advertisements that come sooner than the others, after something changed (`MAX_INITIAL_RTR_ADVERTISEMENTS`).
pub const INITIAL: u8 = 3;
/// The longest time between these (`MAX_INITIAL_RTR_ADVERT_INTERVAL`).
pub const INITIAL_INTERVAL: Duration = Duration::from_secs(16);
/// The shortest time between two (`MIN_DELAY_BETWEEN_RAS`).
pub const APART: Duration = Duration::from_secs(3);
/// The longest time until one who asks is answered, if that is not too soon (`MAX_RA_DELAY_TIME`).
pub const ANSWER: Duration = Duration::from_millis(500);

/// What was sent and asked on an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Advertisements since it began.
    pub sent: u64,
    /// Questions since then.
    pub solicitations: u64,
    /// When the last advertisement was sent.
    pub last: Option<Instant>,
    /// When the next one is.
    pub next: Option<Instant>,
}

#[derive(Debug)]
struct Schedule {
    /// The shortest and longest time between two (`MinRtrAdvInterval`, `MaxRtrAdvInterval`).
    intervals: (Duration, Duration),
    initial: u8,
    next: Instant,
    /// When the last one was sent.
    last: Option<Instant>,
    sent: u64,
    solicitations: u64,
}

impl Schedule {
    /// The earliest moment for the next one.
    fn earliest(&self, now: Instant) -> Instant {
        self.last.map_or(now, |last| now.max(last + APART))
    }
}

/// The interfaces that advertise; see the module.
#[derive(Debug, Default)]
pub struct Advertisers {
    interfaces: BTreeMap<u32, Schedule>,
    random: Random,
}

impl Advertisers {
    /// An interface advertises from now on, or advertises something else. `intervals`: the shortest and the longest time between two.
    pub fn start(&mut self, interface: u32, intervals: (Duration, Duration), now: Instant) {
        let new = || Schedule { intervals, initial: INITIAL, next: now, last: None, sent: 0, solicitations: 0 };
        let schedule = self.interfaces.entry(interface).or_insert_with(new);
        (schedule.intervals, schedule.initial) = (intervals, INITIAL);
        schedule.next = schedule.earliest(now);
    }

    /// An interface advertises no more. Whether it did.
    pub fn stop(&mut self, interface: u32) -> bool {
        self.interfaces.remove(&interface).is_some()
    }

    /// What was sent and asked; none when an interface doesn't advertise.
    pub fn counts(&self, interface: u32) -> Option<Counts> {
        let Schedule { next, last, sent, solicitations, .. } = *self.interfaces.get(&interface)?;
        Some(Counts { sent, solicitations, last, next: Some(next) })
    }

    /// Whether an interface advertises.
    pub fn advertises(&self, interface: u32) -> bool {
        self.interfaces.contains_key(&interface)
    }

    /// The interfaces that advertise.
    pub fn list(&self) -> Vec<u32> {
        self.interfaces.keys().copied().collect()
    }

    /// A host wants an advertisement.
    pub fn solicited(&mut self, interface: u32, now: Instant) {
        let Advertisers { interfaces, random } = self;
        let Some(schedule) = interfaces.get_mut(&interface) else { return };
        schedule.solicitations += 1;
        let due = schedule.earliest(now + random.up_to(ANSWER));
        schedule.next = schedule.next.min(due);
    }

    /// The interfaces that are to send one.
    pub fn run(&mut self, now: Instant) -> Vec<u32> {
        let Advertisers { interfaces, random } = self;
        let mut due = Vec::new();
        for (&interface, schedule) in interfaces.iter_mut().filter(|(_, schedule)| schedule.next <= now) {
            let (shortest, longest) = schedule.intervals;
            let mut interval = random.between(shortest, longest);
            schedule.initial = schedule.initial.saturating_sub(1);
            if schedule.initial > 0 {
                interval = interval.min(INITIAL_INTERVAL);
            }
            schedule.last = Some(now);
            schedule.sent += 1;
            schedule.next = now + interval.max(APART);
            due.push(interface);
        }
        due
    }

    /// When [`run`](Self::run) has something to do next.
    pub fn next(&self) -> Option<Instant> {
        self.interfaces.values().map(|schedule| schedule.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const INTERVALS: (Duration, Duration) = (Duration::from_secs(198), Duration::from_secs(600));

    /// The times of the next advertisements.
    fn times(advertisers: &mut Advertisers, count: usize) -> Vec<Instant> {
        let mut times = Vec::new();
        while times.len() < count {
            let now = advertisers.next().unwrap();
            assert_eq!(advertisers.run(now), [1]);
            times.push(now);
        }
        times
    }

    /// RFC 4861 section 6.2.4.
    #[test]
    fn three_soon_and_then_at_random_intervals() {
        let (mut advertisers, now) = (Advertisers::default(), Instant::now());
        advertisers.start(1, INTERVALS, now);
        let times = times(&mut advertisers, 50);
        assert_eq!(times[0], now, "at once");
        let gaps: Vec<Duration> = times.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(gaps[..2].iter().all(|gap| *gap == INITIAL_INTERVAL), "{gaps:?}");
        assert!(gaps[2..].iter().all(|gap| (INTERVALS.0..=INTERVALS.1).contains(gap)), "{gaps:?}");
        let mut different = gaps[2..].to_vec();
        different.dedup();
        assert!(different.len() > 40, "at random");
        assert!(advertisers.stop(1) && !advertisers.stop(1) && advertisers.next().is_none());
    }

    /// RFC 4861 section 6.2.6.
    #[test]
    fn who_asks_is_answered_soon_but_nobody_makes_it_send_faster() {
        let (mut advertisers, start) = (Advertisers::default(), Instant::now());
        advertisers.start(1, INTERVALS, start);
        times(&mut advertisers, 1);
        let asked = start + 10 * SECOND;
        advertisers.solicited(1, asked);
        let due = advertisers.next().unwrap();
        assert!((asked..=asked + ANSWER).contains(&due));
        let counts = Counts { sent: 1, solicitations: 1, last: Some(start), next: Some(due) };
        assert_eq!(advertisers.counts(1), Some(counts));
        // A flood for a minute, a question each millisecond.
        let mut sent = Vec::new();
        for millis in 0..60_000 {
            let now = asked + Duration::from_millis(millis);
            advertisers.solicited(1, now);
            sent.extend(advertisers.run(now).iter().map(|_| now));
        }
        assert!((15..=20).contains(&sent.len()), "{}", sent.len());
        assert!(sent.windows(2).all(|two| two[1] - two[0] >= APART));
        advertisers.solicited(2, asked);
        assert_eq!(advertisers.list(), [1]);
    }

    #[test]
    fn what_changed_is_told_at_once_but_not_too_often() {
        let (mut advertisers, now) = (Advertisers::default(), Instant::now());
        advertisers.start(1, INTERVALS, now);
        assert_eq!(advertisers.run(now), [1]);
        advertisers.start(1, (4 * SECOND, 4 * SECOND), now + SECOND);
        assert_eq!(advertisers.next(), Some(now + APART));
        let times = times(&mut advertisers, 9);
        assert!(times.windows(2).all(|two| two[1] - two[0] == 4 * SECOND));
    }
}
