//! Tables of Internet size, changed at random while a reader looks addresses up: every answer is one that was right meanwhile.
//!
//! The routes are synthesised; those of a file are taken instead if the environment says `MILLRACE_ROUTES=FILE`, which has a prefix
//! on each line. `cargo test --release -p millrace-tables -- --ignored full` runs the large ones.

use std::collections::HashMap;
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;
use std::time::Instant;

use super::*;
use crate::sample::{self, Random, Sample};

/// The slow reference at this size: the routes by length and first address, the longest first.
struct Slow<A> {
    routes: HashMap<(u8, A), u32>,
}

impl<A: Address> Slow<A> {
    fn set(&mut self, prefix: A::Net, value: Option<u32>) -> Option<u32> {
        let key = (A::len(prefix), A::first(prefix));
        match value {
            Some(value) => self.routes.insert(key, value),
            None => self.routes.remove(&key),
        }
    }

    fn lookup(&self, lengths: &[u8], addr: A) -> u32 {
        let of_len = |&len: &u8| self.routes.get(&(len, A::first(addr.net(len)))).copied();
        lengths.iter().rev().find_map(of_len).unwrap_or(NO_ROUTE)
    }
}

/// An address, and its answers: from which update on, which value.
struct Probe<A> {
    addr: A,
    answers: Vec<(usize, u32)>,
}

impl<A> Probe<A> {
    /// Whether the value was right at some time from before the update `from` to behind the update `to`.
    fn allows(&self, value: u32, from: usize, to: usize) -> bool {
        let last = self.answers.partition_point(|&(since, _)| since <= to + 1);
        let first = self.answers.partition_point(|&(since, _)| since <= from).saturating_sub(1);
        self.answers[first..last].iter().any(|&(_, answer)| answer == value)
    }
}

fn differential<A: Sample>(count: usize, updates: usize, lookups: usize) {
    let mut random = Random(7);
    let mut pool = match std::env::var("MILLRACE_ROUTES") {
        Ok(path) => sample::read::<A>(&path).unwrap(),
        Err(_) => sample::routes::<A>(count + count / 4, &mut random),
    };
    let count = count.min(pool.len() * 4 / 5);
    // A default route, and prefixes of any length inside others; the shortest are few, as each update of one takes milliseconds.
    for i in 0..pool.len() / 50 {
        let len = if i < 4 { random.below(8) } else { 8 + random.below(u64::from(A::BITS) - 7) };
        let outer = pool[random.below(pool.len() as u64) as usize];
        pool.push(A::inside(outer, &mut random).net(len as u8));
    }
    pool.push(A::first(pool[0]).net(0));
    let value = |random: &mut Random| 1 + random.below((1 << 24) - 1) as u32;

    let (mut writer, reader) = Lpm::new::<A>().unwrap();
    let mut slow = Slow { routes: HashMap::new() };
    for &prefix in &pool[..count] {
        let value = value(&mut random);
        assert_eq!(writer.insert(prefix, value), Ok(slow.set(prefix, Some(value))), "{prefix}");
    }
    let mut lengths: Vec<u8> = pool.iter().map(|&prefix| A::len(prefix)).collect();
    lengths.sort_unstable();
    lengths.dedup();

    // Which updates come, and what that makes of the answers.
    let mut probes: Vec<Probe<A>> = (0..count.min(100_000))
        .map(|_| A::inside(pool[random.below(pool.len() as u64) as usize], &mut random))
        .map(|addr| Probe { addr, answers: vec![(0, slow.lookup(&lengths, addr))] })
        .collect();
    probes.sort_by_key(|probe| probe.addr);
    let mut steps = Vec::with_capacity(updates);
    for step in 0..updates {
        let prefix = loop {
            let prefix = pool[random.below(pool.len() as u64) as usize];
            if A::len(prefix) >= 8 || A::len(prefix) == 0 || random.below(1000) == 0 {
                break prefix;
            }
        };
        let remove = slow.routes.contains_key(&(A::len(prefix), A::first(prefix))) && random.below(2) == 0;
        let new = (!remove).then(|| value(&mut random));
        let old = slow.set(prefix, new);
        steps.push((prefix, new, old));
        let first = probes.partition_point(|probe| probe.addr < A::first(prefix));
        for probe in probes[first..].iter_mut().take_while(|probe| probe.addr <= A::last(prefix)) {
            let answer = slow.lookup(&lengths, probe.addr);
            if probe.answers.last().is_some_and(|&(_, last)| last != answer) {
                probe.answers.push((step + 1, answer));
            }
        }
    }
    let (before, start) = (writer.memory_bytes(), Instant::now());

    // The update that is about to be, or being, done; and the lookups that were checked.
    let (now, checked, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let mut changed = 0;
    thread::scope(|scope| {
        let (probes, now, checked, failed, steps) = (&probes, &now, &checked, &failed, &steps);
        let mut random = Random(8);
        scope.spawn(move || {
            let mut me = epoch::domain().register();
            while checked.load(SeqCst) < lookups {
                for i in 0..256 {
                    let probe = &probes[random.below(probes.len() as u64) as usize];
                    let from = now.load(Acquire);
                    let value = match i % 2 {
                        0 => reader.lookup(&me.guard(), probe.addr),
                        _ => walk(&reader, &me.guard(), probe.addr, 3),
                    };
                    let to = now.load(Acquire);
                    if !probe.allows(value, from, to) {
                        failed.store(true, SeqCst);
                        panic!(
                            "{} during updates {from} to {to}: {value}, not of {:?}",
                            probe.addr.to_ip(),
                            probe.answers
                        );
                    }
                }
                checked.fetch_add(256, SeqCst);
                me.quiescent();
            }
        });
        for (step, &(prefix, new, old)) in steps.iter().enumerate() {
            // In step with the reader.
            while checked.load(SeqCst) * updates < lookups * step && !failed.load(SeqCst) {
                std::hint::spin_loop();
            }
            let done = match new {
                Some(new) => writer.insert(prefix, new).unwrap(),
                None => writer.remove(prefix),
            };
            assert_eq!(done, old, "{prefix}");
            changed += 1;
            now.store(step + 1, Release);
        }
    });
    let took = start.elapsed();
    assert_eq!(writer.len(), slow.routes.len());
    for (prefix, value) in writer.iter() {
        assert_eq!(slow.routes.get(&(A::len(prefix), A::first(prefix))), Some(&value), "{prefix}");
    }
    for probe in &probes {
        assert_eq!(
            writer.longest_match(probe.addr).map_or(NO_ROUTE, |(_, value)| value),
            slow.lookup(&lengths, probe.addr)
        );
    }
    println!(
        "{count} routes in {} MB, {changed} updates, {} lookups in {took:.1?}; {} routes at the end, in {} MB",
        before / 1_000_000,
        checked.load(SeqCst),
        writer.len(),
        writer.memory_bytes() / 1_000_000,
    );
}

#[test]
fn ip4_in_small() {
    differential::<u32>(50_000, 50_000, 500_000);
}

#[test]
fn ip6_in_small() {
    differential::<u128>(25_000, 50_000, 500_000);
}

#[test]
#[ignore = "takes long"]
fn ip4_in_full() {
    differential::<u32>(1_000_000, 1_000_000, 10_000_000);
}

#[test]
#[ignore = "takes long"]
fn ip6_in_full() {
    differential::<u128>(250_000, 1_000_000, 10_000_000);
}
