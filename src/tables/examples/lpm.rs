//! How fast the tables are: 1,000,000 IPv4 and 250,000 IPv6 routes of the Internet's prefix lengths, and random addresses inside.
//!
//! ```text
//! cargo run --release -p millrace-tables --example lpm [FILE]
//! ```
//! FILE has a prefix on each line; its routes are taken instead.

use std::arch::x86_64::_rdtsc;
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use millrace_engine::epoch::{self, Guard};
use millrace_tables::lpm::{Address, Lpm, Reader, Walk, Writer};
use millrace_tables::sample::{self, Random, Sample};

const LOOKUPS: usize = 1 << 20;
/// Packets of a frame.
const FRAME: usize = 256;

/// Clocks a lookup, the best of several passes over all addresses, frame by frame.
fn clocks<A: Address>(addresses: &[A], mut lookup: impl FnMut(&Guard<'_>, &[A], &mut [u32])) -> f64 {
    let mut me = epoch::domain().register();
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        // SAFETY: every x86-64 processor counts.
        let start = unsafe { _rdtsc() };
        for frame in addresses.chunks(FRAME) {
            let mut values = [0; FRAME];
            lookup(&me.guard(), frame, &mut values);
            black_box(&values);
            me.quiescent();
        }
        // SAFETY: as above.
        let took = unsafe { _rdtsc() } - start;
        best = best.min(took as f64 / addresses.len() as f64);
    }
    best
}

fn one_by_one<A: Address>(reader: &Reader<A>, guard: &Guard<'_>, frame: &[A], values: &mut [u32]) {
    for (value, &addr) in values.iter_mut().zip(frame) {
        *value = reader.lookup(guard, addr);
    }
}

/// In the ways that there are to look up a whole frame.
fn lookups<A: Address>(name: &str, reader: &Reader<A>, addresses: &[A]) {
    let alone = clocks(addresses, |guard, frame, values| one_by_one(reader, guard, frame, values));
    let prefetched = clocks(addresses, |guard, frame, values| {
        frame.iter().for_each(|&addr| reader.prefetch(addr));
        one_by_one(reader, guard, frame, values);
    });
    let mut walks = [Walk::from_bits(0); FRAME];
    let steps = A::LEVELS.min(3);
    let level_by_level = clocks(addresses, |guard, frame, values| {
        for (walk, &addr) in walks.iter_mut().zip(frame) {
            *walk = reader.start(addr);
        }
        for level in 0..steps {
            for (walk, &addr) in walks.iter_mut().zip(frame) {
                *walk = reader.step(guard, *walk, addr.byte(level));
            }
        }
        for ((value, &walk), &addr) in values.iter_mut().zip(&walks).zip(frame) {
            *value = reader.finish(guard, walk, addr, steps);
        }
    });
    println!("{name:<16}{alone:8.1} clocks, {prefetched:.1} with prefetch, {level_by_level:.1} level by level");
}

/// Microseconds to take a tenth of the routes out and to put one back in.
fn churn<A: Address>(writer: &mut Writer<A>, routes: &[A::Net]) -> Result<(f64, f64), Box<dyn Error>> {
    let some: Vec<A::Net> = routes.iter().copied().step_by(10).collect();
    let start = Instant::now();
    let removed: Vec<u32> = some.iter().filter_map(|&route| writer.remove(route)).collect();
    let remove = start.elapsed();
    let start = Instant::now();
    for (&route, &value) in some.iter().zip(&removed) {
        writer.insert(route, value)?;
    }
    let each = |total: std::time::Duration| total.as_secs_f64() * 1e6 / some.len() as f64;
    Ok((each(remove), each(start.elapsed())))
}

fn family<A: Sample>(count: usize) -> Result<(), Box<dyn Error>> {
    let mut random = Random(1);
    let routes = match std::env::args().nth(1) {
        Some(path) => sample::read::<A>(&path)?,
        None => sample::routes::<A>(count, &mut random),
    };
    let (mut writer, reader) = Lpm::new::<A>()?;
    let start = Instant::now();
    for &route in &routes {
        writer.insert(route, 1 + random.below(254) as u32)?;
    }
    let build = start.elapsed();
    println!("IPv{} routes     {:8}", if A::BITS == 32 { 4 } else { 6 }, writer.len());
    println!("memory          {:8.1} MB", writer.memory_bytes() as f64 / 1e6);
    println!(
        "build           {:8.1} ms, {:.2} us a route",
        build.as_secs_f64() * 1e3,
        build.as_secs_f64() * 1e6 / routes.len() as f64
    );
    let inside: Vec<A> =
        (0..LOOKUPS).map(|_| A::inside(routes[random.below(routes.len() as u64) as usize], &mut random)).collect();
    let few: Vec<A> = (0..LOOKUPS).map(|i| inside[i % 4096]).collect();
    lookups("random", &reader, &inside);
    lookups("4,096 of them", &reader, &few);
    let (remove, insert) = churn(&mut writer, &routes)?;
    println!("remove          {remove:8.2} us");
    println!("insert again    {insert:8.2} us\n");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    family::<u32>(1_000_000)?;
    family::<u128>(250_000)
}
