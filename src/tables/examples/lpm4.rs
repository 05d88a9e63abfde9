//! How fast the IPv4 table is: builds one with a million routes of real-world lengths and looks up random addresses inside them.
//!
//! ```text
//! cargo run --release -p millrace-tables --example lpm4 [FILE]
//! ```
//! FILE has a prefix on each line and is used instead of the synthetic routes.

use std::collections::HashSet;
use std::error::Error;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant;

use ipnet::Ipv4Net;
use millrace_engine::epoch;
use millrace_tables::lpm4::{Lpm4, Reader, Writer};

const ROUTES: usize = 1_000_000;
const LOOKUPS: usize = 1 << 20;
const FRAME: usize = 256;

/// Prefix lengths from 8 up, and how many of the 901,899 IPv4 routes of a full BGP table (January 2024) had them.
const LENGTHS: [(u8, u32); 19] = [
    (8, 16),
    (9, 13),
    (10, 38),
    (11, 103),
    (12, 299),
    (13, 581),
    (14, 1203),
    (15, 2100),
    (16, 13490),
    (17, 8235),
    (18, 13798),
    (19, 24870),
    (20, 42611),
    (21, 50750),
    (22, 108_623),
    (23, 96510),
    (24, 537_698),
    (28, 75),
    (32, 886),
];

/// SplitMix64: the same routes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    }

    fn below(&mut self, end: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(end)) >> 32) as u32
    }
}

/// Networks are spread over the unicast space; half of the longer prefixes lie inside shorter ones, and /24s come in runs of
/// neighbours.
fn synthesise(random: &mut Random) -> Result<Vec<Ipv4Net>, Box<dyn Error>> {
    let measured: u32 = LENGTHS.iter().map(|&(_, count)| count).sum();
    let mut seen = HashSet::new();
    let mut routes: Vec<Ipv4Net> = Vec::with_capacity(ROUTES);
    let mut so_far = 0;
    for (len, count) in LENGTHS {
        so_far += count;
        let wanted = (u64::from(so_far) * ROUTES as u64 / u64::from(measured)) as usize;
        let step = 1_u32.unbounded_shl(u32::from(32 - len));
        while routes.len() < wanted {
            let inside = routes.get(random.below(routes.len() as u32 * 2 + 1) as usize);
            let mut address = match inside {
                Some(outer) => outer.network().to_bits() | random.next() & outer.hostmask().to_bits(),
                None => (1 << 24) + random.below(223 << 24),
            };
            let run = if len == 24 { 2 + random.below(7) } else { 1 };
            for _ in 0..run {
                let route = Ipv4Net::new(Ipv4Addr::from_bits(address), len)?.trunc();
                if routes.len() < wanted && seen.insert(route) {
                    routes.push(route);
                }
                address = address.wrapping_add(step);
            }
        }
    }
    // Routes do not arrive sorted by length.
    for i in (1..routes.len()).rev() {
        routes.swap(i, random.below(i as u32 + 1) as usize);
    }
    Ok(routes)
}

fn read(path: &str) -> Result<Vec<Ipv4Net>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect())
}

/// Nanoseconds a lookup, the best of several passes, frame by frame: all prefetches, then all lookups.
fn measure(reader: &Reader, addresses: &[u32], prefetch: bool) -> f64 {
    let mut me = epoch::domain().register();
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let start = Instant::now();
        for frame in addresses.chunks(FRAME) {
            let guard = me.guard();
            if prefetch {
                frame.iter().for_each(|&addr| reader.prefetch(addr));
            }
            let mut values = [0; FRAME];
            for (value, &addr) in values.iter_mut().zip(frame) {
                *value = reader.lookup(&guard, addr);
            }
            black_box(&values);
            me.quiescent();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / addresses.len() as f64);
    }
    best
}

/// Microseconds an update: takes every n-th route out and puts it back in.
fn churn(writer: &mut Writer, routes: &[Ipv4Net]) -> Result<(f64, f64), Box<dyn Error>> {
    let some: Vec<Ipv4Net> = routes.iter().copied().step_by(10).collect();
    let start = Instant::now();
    let removed: Vec<u32> = some.iter().filter_map(|&route| writer.remove(route)).collect();
    let remove = start.elapsed();
    let start = Instant::now();
    for (&route, &value) in some.iter().zip(&removed) {
        writer.insert(route, value)?;
    }
    let per_update = |total: std::time::Duration| total.as_secs_f64() * 1e6 / some.len() as f64;
    Ok((per_update(remove), per_update(start.elapsed())))
}

fn resident_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut random = Random(1);
    let routes = match std::env::args().nth(1) {
        Some(path) => read(&path)?,
        None => synthesise(&mut random)?,
    };
    let before = resident_mib().unwrap_or_default();

    let start = Instant::now();
    let (mut writer, reader) = Lpm4::new()?;
    println!("new table       {:8.1} us", start.elapsed().as_secs_f64() * 1e6);

    let start = Instant::now();
    for &route in &routes {
        writer.insert(route, 1 + random.below(254))?;
    }
    let build = start.elapsed();
    println!("routes          {:8}", writer.len());
    println!(
        "build           {:8.1} ms, {:.0} ns a route",
        build.as_secs_f64() * 1e3,
        build.as_nanos() as f64 / routes.len() as f64
    );
    println!(
        "memory          {:8.1} MiB by its own account, {:.1} MiB resident",
        writer.memory_bytes() as f64 / f64::from(1 << 20),
        resident_mib().unwrap_or_default() - before
    );

    let inside: Vec<u32> = (0..LOOKUPS)
        .map(|_| {
            let route = routes[random.below(routes.len() as u32) as usize];
            route.network().to_bits() | random.next() & route.hostmask().to_bits()
        })
        .collect();
    let few: Vec<u32> = (0..LOOKUPS).map(|i| inside[i % 4096]).collect();
    println!(
        "lookup, random  {:8.2} ns ({:.2} without prefetch)",
        measure(&reader, &inside, true),
        measure(&reader, &inside, false)
    );
    println!(
        "lookup, 4096    {:8.2} ns ({:.2} without prefetch)",
        measure(&reader, &few, true),
        measure(&reader, &few, false)
    );

    let (remove, insert) = churn(&mut writer, &routes)?;
    println!("remove          {remove:8.2} us");
    println!("insert again    {insert:8.2} us");
    Ok(())
}
