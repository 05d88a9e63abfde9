//! How fast the flow table is: insertions while it grows, lookups a frame at a time as a node makes them, new flows in place of the
//! oldest when it is full, and bytes a flow.
//!
//! ```text
//! cargo run --release -p millrace-tables --example flow [FLOWS ...]
//! ```
//! Clocks are those of the time-stamp counter.

use std::error::Error;
use std::hint::black_box;
use std::net::Ipv4Addr;

use millrace_engine::{clock, epoch};
use millrace_tables::flow::{FlowTable, Key, NewFlow, Owner, Side, State, Ticks, View};

const FRAME: usize = 256;
const FRAMES: usize = 4096;
const ROUNDS: u32 = 10;
const UDP: u8 = 17;
const SIDES: [Side; 2] = [Side::Inside, Side::Outside];
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 7), 53);

/// SplitMix64: the same order in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((((mixed ^ (mixed >> 31)) >> 32) * u64::from(end)) >> 32) as u32
    }
}

/// Source NAT: a thousand flows of each host to one server, from addresses with 50,000 ports each.
fn flow(i: u32) -> NewFlow {
    let inside = (Ipv4Addr::from_bits(0x0a00_0000 + i / 1000), 10_000 + (i % 1000) as u16);
    let outside = (Ipv4Addr::from_bits(0xcb00_7100 + i / 50_000), 10_000 + (i % 50_000) as u16);
    let views =
        [View::new(inside.0, inside.1, SERVER.0, SERVER.1), View::new(SERVER.0, SERVER.1, outside.0, outside.1)];
    NewFlow { views, protocol: UDP, table: 0, owner: Owner::Nat44, opener: Side::Inside, state: State::Unreplied }
}

fn key(i: u32, side: Side) -> Key {
    Key { view: flow(i).views[side as usize], protocol: UDP, table: 0 }
}

/// A frame of packets, as the nodes do it: all loads of a kind are on their way before the first is needed.
#[inline(never)]
fn frame(flows: &mut FlowTable, side: Side, keys: &[Key; FRAME], now: Ticks) -> usize {
    let mut hashes = [Default::default(); FRAME];
    for (hash, key) in hashes.iter_mut().zip(keys) {
        *hash = flows.hash(key);
        flows.prefetch(*hash);
    }
    let mut candidates = [0; FRAME];
    for (candidate, hash) in candidates.iter_mut().zip(hashes) {
        *candidate = flows.candidate(hash);
        flows.prefetch_flow(*candidate);
    }
    let mut found = 0;
    for (candidate, key) in candidates.into_iter().zip(keys) {
        if let Some(flow) = flows.get_mut(candidate).filter(|flow| flow.matches(side, key)) {
            flow.count(64);
            flow.touch(now);
            found += 1;
        }
    }
    found
}

/// Clocks a lookup of random flows, in the best and the median of some rounds, and how many of them the first candidate was not.
fn look_up(flows: &mut FlowTable, side: Side, count: u32, random: &mut Random) -> (f64, f64, usize) {
    let frames: Vec<[Key; FRAME]> =
        (0..FRAMES).map(|_| std::array::from_fn(|_| key(random.below(count), side))).collect();
    let mut rounds = Vec::new();
    let mut missed = 0;
    for round in 0..ROUNDS {
        let (mut clocks, mut found) = (0, 0);
        for keys in &frames {
            // A packet was parsed just before: its key is in the cache.
            let keys = black_box(*keys);
            let start = clock::clocks();
            found += frame(flows, side, &keys, Ticks(round));
            clocks += clock::clocks() - start;
        }
        rounds.push(clocks as f64 / (FRAMES * FRAME) as f64);
        missed = FRAMES * FRAME - found;
    }
    rounds.sort_unstable_by(f64::total_cmp);
    (rounds[0], rounds[rounds.len() / 2], missed)
}

/// What each of some things took.
fn report(what: &str, mut clocks: Vec<u64>) {
    clocks.sort_unstable();
    let mean = |clocks: &[u64]| clocks.iter().sum::<u64>() as f64 / clocks.len() as f64;
    let most = &clocks[..clocks.len() - clocks.len() / 1000];
    let at = |share: f64| clocks[((clocks.len() - 1) as f64 * share) as usize];
    println!("  {what:18} {:8.1} clocks, {:.1} without the slowest 0.1%", mean(&clocks), mean(most));
    println!("{:21}{:8} median, {} 99%, {} 99.9%, {} slowest", "", at(0.5), at(0.99), at(0.999), at(1.0));
}

fn measure(count: u32, random: &mut Random) -> Result<(), Box<dyn Error>> {
    let mut flows = FlowTable::new(count)?;
    let (mut clocks, mut prefetching) = (Vec::with_capacity(count as usize), 0);
    for i in 0..count {
        // Where a frame brings several new flows, what their insertion reads is on its way before the first.
        if (i as usize).is_multiple_of(FRAME) {
            let start = clock::clocks();
            for i in i..(i + FRAME as u32).min(count) {
                SIDES.iter().for_each(|&side| flows.prefetch_insertion(flows.hash(&key(i, side))));
            }
            prefetching += clock::clocks() - start;
        }
        let new = flow(i);
        let start = clock::clocks();
        flows.insert(&new, Ticks::ZERO)?;
        clocks.push(clock::clocks() - start);
    }
    println!("{count} flows, {:.1} bytes each", flows.memory() as f64 / f64::from(count));
    println!("  prefetch           {:8.1} clocks", prefetching as f64 / f64::from(count));
    report("insert", clocks);
    for side in SIDES {
        let (best, median, missed) = look_up(&mut flows, side, count, random);
        let from = format!("lookup, {}", format!("{side:?}").to_lowercase());
        println!("  {from:18} {best:8.1} clocks, {median:.1} median, {missed} of {} missed", FRAMES * FRAME);
    }

    let mut clocks = Vec::with_capacity(count as usize);
    for i in 0..count {
        let (new, now) = (flow(count + i), Ticks(100 + i / 1000));
        let start = clock::clocks();
        let oldest = flows.oldest_transitory(now).ok_or("no transitory flow")?;
        black_box(flows.remove(oldest));
        flows.insert(&new, now)?;
        clocks.push(clock::clocks() - start);
    }
    report("one for the oldest", clocks);

    let mut gone = 0;
    let start = clock::clocks();
    let later = Ticks(100 + count / 1000) + Ticks::from_secs(1000);
    while flows.expire(later, FRAME, |_, _| gone += 1) > 0 {}
    println!("  expire             {:8.1} clocks, {gone} gone", (clock::clocks() - start) as f64 / f64::from(count));
    drop(flows);
    let _ = epoch::domain().collect();
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut counts: Vec<u32> = std::env::args().skip(1).map(|count| count.parse()).collect::<Result<_, _>>()?;
    if counts.is_empty() {
        counts = vec![1 << 16, 1_000_000, 1 << 22];
    }
    let mut random = Random(1);
    counts.into_iter().try_for_each(|count| measure(count, &mut random))
}
