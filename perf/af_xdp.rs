//! The row of AF_XDP: what a router forwards between two veth pairs by it, beside what it forwards by packet sockets.

use crate::pairs::{Driver, Pair};
use crate::report::Measured;
use crate::{forward, machine};
use anyhow::{Context, Result, ensure};
use std::thread;
use std::time::Duration;

/// How long a flood lasts, and how many there are of each driver, in turn; the best counts.
const FLOOD: Duration = Duration::from_secs(1);
const ROUNDS: usize = 3;

/// What one driver reaches.
#[derive(Clone, Copy, Default)]
struct Reached {
    /// Packets a second that came through.
    rate: f64,
    /// The worker's clocks for each, with what the kernel does in its system calls.
    clocks: f64,
}

/// How many times the packets of af-packet AF_XDP forwards in native mode, 64-byte frames to 65,536 destinations under one prefix, while
/// another process on another processor makes and takes as many as go.
pub fn run() -> Result<Option<Measured>> {
    let (cpu, load_cpu) = machine::processors()?;
    if cpu == load_cpu {
        return Ok(None);
    }
    let drivers = [Driver::AfPacket, Driver::AfXdp, Driver::AfXdpGeneric];
    let mut best = [Reached::default(); 3];
    for _ in 0..ROUNDS {
        for (best, driver) in best.iter_mut().zip(drivers) {
            let reached = flood(driver)?;
            if reached.rate > best.rate {
                *best = reached;
            }
        }
    }
    let [packet, native, generic] = best;
    let mut measured = Measured::plain(native.rate / packet.rate);
    measured.mpps = Some(native.rate / 1e6);
    for (name, value) in [
        ("af-packet Mpps", packet.rate / 1e6),
        ("native Mpps", native.rate / 1e6),
        ("generic Mpps", generic.rate / 1e6),
        ("af-packet clocks", packet.clocks),
        ("native clocks", native.clocks),
        ("generic clocks", generic.clocks),
    ] {
        measured.nodes.insert(name.to_owned(), value);
    }
    Ok(Some(measured))
}

/// One flood, by veth pairs that are made for it in a network that goes with it.
fn flood(driver: Driver) -> Result<Reached> {
    let trial = move || {
        machine::own_network()?;
        let mut pair = Pair::start(driver, 64)?;
        pair.load.flood(FLOOD / 4)?;
        pair.router.json(&["clear", "runtime"])?;
        let outcome = pair.load.flood(FLOOD)?;
        ensure!(outcome.wrong == 0, "{} of {} packets came back wrong", outcome.wrong, outcome.received);
        Ok(Reached { rate: outcome.rate(), clocks: forward::clocks(&pair.router)?.all })
    };
    // A thread of its own, as it moves to another network.
    thread::spawn(trial).join().ok().context("the trial panicked")?
}
