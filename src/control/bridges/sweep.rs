//! Forgetting stations: those that were not heard for the bridge's age, and those behind what is gone. In pieces, so that nothing
//! else waits for long; the packet path never does any of it.

use millrace_engine::epoch::domain;
use millrace_tables::mac::{Known, MacTable, Station};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Buckets looked at in a piece: about a millisecond when they are all full.
pub const PIECE: usize = 8192;
/// How often each station is looked at within the shortest age, so that it stays hardly longer than it should.
const VISITS: u64 = 4;

/// What is to be forgotten as a whole.
#[derive(Debug, Default)]
pub struct Gone {
    /// All that was learnt behind these.
    behind: BTreeSet<u16>,
    /// All that was learnt in these domains.
    learnt: BTreeSet<u16>,
    /// Everything in these domains, whose numbers are used again after it.
    domains: BTreeSet<u16>,
}

impl Gone {
    fn is_empty(&self) -> bool {
        self.behind.is_empty() && self.learnt.is_empty() && self.domains.is_empty()
    }

    fn has(&self, station: Station, known: &Known) -> bool {
        let domain = station.bridge();
        self.domains.contains(&domain)
            || !known.fixed && (self.behind.contains(&known.port) || self.learnt.contains(&domain))
    }
}

/// The way through the table that ages stations, and the way that forgets what is gone.
#[derive(Debug)]
pub struct Sweep {
    /// Seconds that a station of a domain may be silent, by number; `None`: for ever.
    ages: Vec<Option<u32>>,
    /// Where ageing goes on.
    at: usize,
    /// Buckets that ageing is due to look at.
    due: usize,
    /// What is to be forgotten when all workers have seen that it is gone, as one that has not still learns.
    gone: Gone,
    seen: Option<Arc<AtomicBool>>,
    /// What is being forgotten, and where that goes on.
    going: Gone,
    going_at: usize,
}

impl Sweep {
    /// For this many domains.
    pub fn new(domains: usize) -> Sweep {
        Sweep {
            ages: vec![None; domains],
            at: 0,
            due: 0,
            gone: Gone::default(),
            seen: None,
            going: Gone::default(),
            going_at: 0,
        }
    }

    /// How long stations of a domain are remembered from now on.
    pub fn age(&mut self, domain: u16, seconds: Option<u32>) {
        if let Some(age) = self.ages.get_mut(usize::from(domain)) {
            *age = seconds;
        }
    }

    /// Forgets what was learnt behind a port (or remote), from the moment on that all workers know what was published by now.
    pub fn forget_behind(&mut self, behind: u16) {
        self.gone.behind.insert(behind);
        self.wait();
    }

    /// Forgets what was learnt in a domain.
    pub fn forget_learnt(&mut self, number: u16) {
        self.gone.learnt.insert(number);
        self.wait();
    }

    /// Forgets all stations of a domain that nothing leads to any more.
    pub fn forget_domain(&mut self, number: u16) {
        self.age(number, None);
        self.gone.domains.insert(number);
        self.wait();
    }

    fn wait(&mut self) {
        let seen = Arc::new(AtomicBool::new(false));
        domain().retire(Seen(Arc::clone(&seen)));
        self.seen = Some(seen);
    }

    /// Whether [`step`](Sweep::step) has something to do, now or in a moment.
    pub fn state(&self) -> State {
        match () {
            () if !self.going.is_empty() || self.due > 0 => State::Busy,
            () if !self.gone.is_empty() => State::Waiting,
            () => State::Idle,
        }
    }

    /// Another second, or more of them, have passed: ageing has to go on.
    pub fn tick(&mut self, stations: &MacTable, seconds: u32) {
        let shortest = (self.ages.iter().enumerate())
            .filter_map(|(domain, age)| age.filter(|_| stations.bridge_len(domain as u16) > 0))
            .min();
        let Some(shortest) = shortest else {
            self.due = 0;
            return;
        };
        let all = stations.buckets() as u64;
        let due = (all * VISITS * u64::from(seconds.max(1))).div_ceil(u64::from(shortest.max(1)));
        self.due = usize::try_from(due.min(all)).unwrap_or(usize::MAX);
    }

    /// Looks at a piece of the table. Numbers of domains that are free from now on.
    pub fn step(&mut self, stations: &MacTable) -> Vec<u16> {
        if self.due > 0 {
            let end = stations.buckets().min(self.at + self.due.min(PIECE));
            let ages = &self.ages;
            stations.walk(self.at..end, |station, known| is_young(ages, stations, station, known));
            self.due -= end - self.at;
            self.at = end % stations.buckets();
        }
        if self.going.is_empty() && !self.gone.is_empty() {
            let _ = domain().collect();
            if self.seen.as_ref().is_none_or(|seen| seen.load(Ordering::Acquire)) {
                (self.going, self.going_at, self.seen) = (std::mem::take(&mut self.gone), 0, None);
            }
        }
        if self.going.is_empty() {
            return Vec::new();
        }
        let end = stations.buckets().min(self.going_at + PIECE);
        let going = &self.going;
        stations.walk(self.going_at..end, |station, known| !going.has(station, known));
        self.going_at = end;
        if end < stations.buckets() {
            return Vec::new();
        }
        std::mem::take(&mut self.going).domains.into_iter().collect()
    }
}

/// What [`Sweep`] has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Idle,
    /// Workers have to come round first: a matter of less than a millisecond unless one hangs.
    Waiting,
    /// Pieces of the table.
    Busy,
}

fn is_young(ages: &[Option<u32>], stations: &MacTable, station: Station, known: &Known) -> bool {
    let age = ages.get(usize::from(station.bridge())).copied().flatten();
    known.fixed || age.is_none_or(|age| stations.age(known) < age)
}

/// Waits in the epoch's garbage; being dropped there means that every worker has seen what was published before.
struct Seen(Arc<AtomicBool>);

impl Drop for Seen {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_tables::mac::Heard;

    /// A table of several pieces.
    fn table() -> MacTable {
        let table = MacTable::new(4 * PIECE).unwrap();
        assert!(table.buckets() > PIECE);
        table
    }

    fn hear(table: &MacTable, domain: u16, number: u16, port: u16) -> Station {
        let [a, b] = number.to_be_bytes();
        let station = Station::new(domain, [2, 0, 0, 0, a, b]);
        assert_eq!(table.hear(station, table.place(station), port), Heard::New);
        station
    }

    fn knows(table: &MacTable, station: Station) -> bool {
        table.find(station, table.place(station)).is_some()
    }

    /// Steps until there is nothing left to do; the domains that became free, and the number of steps.
    fn finish(sweep: &mut Sweep, table: &MacTable) -> (Vec<u16>, usize) {
        let (mut free, mut steps) = (Vec::new(), 0);
        while sweep.state() != State::Idle {
            free.extend(sweep.step(table));
            steps += 1;
            assert!(steps < 1_000_000);
        }
        (free, steps)
    }

    #[test]
    fn silent_stations_go_within_a_quarter_of_the_age_more() {
        let (table, mut sweep) = (table(), Sweep::new(8));
        sweep.age(1, Some(20));
        sweep.age(2, Some(1000));
        table.tick(0);
        let (short, long, never) = (hear(&table, 1, 1, 5), hear(&table, 2, 1, 5), hear(&table, 3, 1, 5));
        let fixed = Station::new(1, [2, 0, 0, 0, 9, 9]);
        table.fix(fixed, 5).unwrap();
        for second in 1..=26 {
            table.tick(second);
            sweep.tick(&table, 1);
            finish(&mut sweep, &table);
            assert!(second >= 20 || knows(&table, short), "gone after {second} s");
        }
        assert!(!knows(&table, short), "there after 26 s");
        assert!(knows(&table, long) && knows(&table, never) && knows(&table, fixed));
    }

    #[test]
    fn what_is_heard_stays() {
        let (table, mut sweep) = (table(), Sweep::new(8));
        sweep.age(1, Some(10));
        let station = hear(&table, 1, 1, 5);
        for second in 1..40 {
            table.tick(second);
            if second % 9 == 0 {
                table.hear(station, table.place(station), 5);
            }
            sweep.tick(&table, 1);
            finish(&mut sweep, &table);
            assert!(knows(&table, station), "after {second} s");
        }
    }

    #[test]
    fn an_empty_table_is_no_work_and_a_full_one_is_done_in_pieces() {
        let (table, mut sweep) = (table(), Sweep::new(8));
        sweep.age(1, Some(10));
        sweep.tick(&table, 1);
        assert_eq!(sweep.state(), State::Idle);
        hear(&table, 1, 1, 5);
        sweep.tick(&table, 3);
        assert_eq!(sweep.state(), State::Busy);
        let (_, steps) = finish(&mut sweep, &table);
        assert_eq!(steps, table.buckets() / PIECE, "all of it, as 3 of 10 seconds have passed, and nothing twice");
    }

    #[test]
    fn what_is_gone_is_forgotten_when_all_workers_know() {
        let (table, mut sweep) = (table(), Sweep::new(8));
        let mut worker = domain().register();
        let (a, b, c) = (hear(&table, 1, 1, 5), hear(&table, 1, 2, 6), hear(&table, 2, 1, 6));
        let fixed = Station::new(1, [2, 0, 0, 0, 9, 9]);
        table.fix(fixed, 5).unwrap();
        sweep.forget_behind(5);
        assert_eq!((sweep.step(&table), sweep.state()), (vec![], State::Waiting));
        assert!(knows(&table, a), "a worker may still learn");
        worker.quiescent();
        assert_eq!(finish(&mut sweep, &table).0, Vec::<u16>::new());
        assert!(!knows(&table, a) && knows(&table, b) && knows(&table, c) && knows(&table, fixed));
        sweep.forget_domain(1);
        worker.quiescent();
        assert_eq!(finish(&mut sweep, &table).0, [1], "its number is free");
        assert!(!knows(&table, b) && knows(&table, c) && !knows(&table, fixed));
    }
}
