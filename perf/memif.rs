//! The row of memif, loaded by another process.

use crate::pairs::{Driver, Pair};
use crate::report::Measured;
use crate::rfc2544::{self, Search};
use crate::{forward, machine};
use anyhow::Result;
use std::time::Duration;

/// What should pass without a loss in any case, packets a second, and for how long.
const STEADY: f64 = 1e6;
const STEADY_TIME: Duration = Duration::from_secs(10);
/// Slots of the rings, the most that there are: a processor that its host gives to somebody else for a moment shall not lose packets.
const RING: u32 = 16_384;
/// Short trials, several at a rate: what a neighbour of the machine spoils, another one shows.
const SEARCH: Search =
    Search { trial: Duration::from_millis(500), confirmation: Duration::from_secs(2), resolution: 0.05, tries: 4 };
/// Trials of it, as a neighbour of the machine may spoil one.
const TRIES: usize = 3;

/// Millions of packets a second that a router forwards from one memif interface to another without a loss, 64-byte frames to 65,536
/// destinations under one prefix, while another process on another processor makes and takes them; beside it the router's clocks a
/// packet, and how long packets are under way at half of that rate.
pub fn run() -> Result<Option<Measured>> {
    let (cpu, load_cpu) = machine::processors()?;
    if cpu == load_cpu {
        return Ok(None);
    }
    let mut pair = Pair::with_rings(Driver::Memif, 64, RING)?;
    let found = rfc2544::search(&mut pair.load, &SEARCH)?;
    let mut lost = u64::MAX;
    for _ in 0..TRIES {
        if lost > 0 {
            lost = lost.min(pair.load.run(STEADY, STEADY_TIME)?.lost());
        }
    }
    pair.router.json(&["clear", "runtime"])?;
    pair.load.run(found.throughput.rate(), Duration::from_secs(1))?;
    let clocks = forward::clocks(&pair.router)?;
    let mpps = found.throughput.rate() / 1e6;
    let mut measured = Measured { value: mpps, mpps: Some(mpps), nodes: clocks.nodes };
    for (name, value) in [
        ("clocks in all", clocks.all),
        ("Mpps of a flood", found.flood.rate() / 1e6),
        ("lost at 1 Mpps", lost as f64),
        ("us average at half", found.half.latency.average),
        ("us p99 at half", found.half.latency.p99),
    ] {
        measured.nodes.insert(name.to_owned(), value);
    }
    Ok(Some(measured))
}
