//! Throughput and latency as RFC 2544 defines them: the highest rate at which nothing is lost (clause 26.1), found by trials at rates
//! between one that passed and one that did not, and how long packets take (clause 26.2).

use crate::load::{Load, Outcome};
use anyhow::{Result, ensure};
use std::time::Duration;

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// How long a trial sends while searching.
    pub trial: Duration,
    /// How long the one that confirms what was found does. (RFC 2544 clause 24 wants 60 seconds of it.)
    pub confirmation: Duration,
    /// The search ends when what passed and what did not are so near: a part of the rate.
    pub resolution: f64,
    /// Trials at a rate, the best of which counts: on a machine that is not ours alone, one may fail for no fault of the router's.
    pub tries: usize,
}

impl Default for Search {
    fn default() -> Search {
        Search { trial: Duration::from_secs(1), confirmation: Duration::from_secs(5), resolution: 0.02, tries: 2 }
    }
}

/// What was found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Sending all that goes.
    pub flood: Outcome,
    /// The confirmed trial at the highest rate without loss.
    pub throughput: Outcome,
    /// A trial at half of that rate.
    pub half: Outcome,
    /// The load could not send more, so the router may forward more than this.
    pub load_is_the_limit: bool,
}

/// How far below the rate that was asked for a trial may have been offered.
const OFFERED: f64 = 0.99;

/// Searches.
pub fn search(load: &mut Load, how: &Search) -> Result<Found> {
    let flood = load.flood(how.trial)?;
    ensure!(flood.wrong == 0, "{} of {} packets came back wrong", flood.wrong, flood.received);
    // More than a quarter above what comes through of a flood has never passed; a trial tells, should it be otherwise.
    let ceiling = flood.offered().min(flood.rate() * 1.25);
    let (mut passed, mut failed) = (0.0, ceiling);
    let mut rate = flood.rate().min(ceiling * (1.0 - how.resolution));
    while failed - passed > how.resolution * failed {
        if passes(load, rate, how.trial, how.tries)?.is_some() {
            passed = rate;
        } else {
            failed = rate;
        }
        rate = f64::midpoint(passed, failed);
    }
    let load_is_the_limit = failed >= flood.offered();
    // What passes for a moment need not for longer: down from there, faster and faster.
    let mut step = how.resolution;
    let throughput = loop {
        ensure!(passed > ceiling / 100.0, "packets are lost at any rate");
        match passes(load, passed, how.confirmation, how.tries)? {
            Some(outcome) => break outcome,
            None => step = (step * 2.0).min(0.5),
        }
        passed *= 1.0 - step;
    };
    let half = load.run(passed / 2.0, how.confirmation)?;
    Ok(Found { flood, throughput, half, load_is_the_limit })
}

/// The trial at a rate without loss, if one of some is.
pub fn passes(load: &mut Load, rate: f64, time: Duration, tries: usize) -> Result<Option<Outcome>> {
    for _ in 0..tries {
        let outcome = load.run(rate, time)?;
        ensure!(outcome.wrong == 0, "{} of {} packets came back wrong", outcome.wrong, outcome.received);
        if outcome.lost() == 0 && outcome.offered() >= rate * OFFERED {
            return Ok(Some(outcome));
        }
    }
    Ok(None)
}
