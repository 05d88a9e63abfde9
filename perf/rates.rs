//! The tables of rates: what passes from one interface of a driver to another of the same, and RFC 2544's figures of one.

use crate::daemon::Daemon;
use crate::pairs::{self, Driver, Outside, Pair};
use crate::rfc2544::{self, Found, Search};
use crate::{forward, machine};
use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use std::time::Duration;

/// What is asked for on the command line.
#[derive(clap::Args)]
pub struct Asked {
    /// Drivers; all that the load can be at the other end of when none is named.
    #[arg(value_enum)]
    drivers: Vec<Driver>,
    /// Sizes of the frames in bytes with their check sequence.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1518])]
    sizes: Vec<u16>,
    /// Slots of a ring, where the driver has rings: a power of two.
    #[arg(long, default_value_t = pairs::RING)]
    ring: u32,
    /// Seconds of a trial; one that confirms takes five times as long.
    #[arg(long, default_value_t = 1.0)]
    time: f64,
    /// Trials at each rate, the best of which counts.
    #[arg(long, default_value_t = 2)]
    tries: usize,
}

/// RFC 2544: throughput without loss, and latency at half of it.
pub fn rfc2544(asked: &Asked) -> Result<()> {
    println!(
        "{:<24} {:>5} {:>11} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>11}",
        "driver", "size", "throughput", "Gbit/s", "us: min", "average", "p99", "p99.9", "max", "of a flood"
    );
    each(asked, |driver, size| {
        let mut pair = Pair::with_rings(driver, size, asked.ring)?;
        let trial = Duration::from_secs_f64(asked.time);
        let how = Search { trial, confirmation: trial * 5, tries: asked.tries, ..Search::default() };
        let Found { flood, throughput, half, load_is_the_limit } = rfc2544::search(&mut pair.load, &how)?;
        let latency = half.latency;
        println!(
            "{:<24} {size:>5} {:>11} {:>8.2} {:>8.1} {:>8.1} {:>8.1} {:>9.1} {:>9.1} {:>11}{}",
            name(driver),
            mpps(throughput.rate()),
            throughput.rate() * f64::from(size) * 8.0 / 1e9,
            latency.min,
            latency.average,
            latency.p99,
            latency.p999,
            latency.max,
            mpps(flood.rate()),
            if load_is_the_limit { "  (the load sends no more)" } else { "" }
        );
        Ok(())
    })
}

/// The matrix: what comes through of a flood, and the router's clocks a packet.
pub fn matrix(asked: &Asked) -> Result<()> {
    println!("{:<24} {:>5} {:>11} {:>8} {:>11}  clocks by node", "driver", "size", "forwarded", "Gbit/s", "offered");
    each(asked, |driver, size| {
        let time = Duration::from_secs_f64(asked.time);
        // Forwarded and offered.
        let (mut best, mut clocks) = ((0.0, 0.0), None);
        let mut keep = |flood: (f64, f64), router: &Daemon| {
            if flood.0 > best.0 {
                best = flood;
                clocks = Some(forward::clocks(router)?);
            }
            router.json(&["clear", "runtime"])
        };
        if driver.by_testpmd() {
            let mut outside = Outside::start(driver, size, asked.ring)?;
            for _ in 0..asked.tries {
                keep(outside.flood(time)?, &outside.router)?;
            }
        } else {
            let mut pair = Pair::with_rings(driver, size, asked.ring)?;
            for _ in 0..asked.tries {
                let outcome = pair.load.flood(time)?;
                ensure!(outcome.wrong == 0, "{} of {} packets came back wrong", outcome.wrong, outcome.received);
                keep((outcome.rate(), outcome.offered()), &pair.router)?;
            }
        }
        let nodes = clocks.map(|clocks| clocks.nodes).unwrap_or_default();
        let nodes: Vec<String> = nodes.iter().map(|(node, clocks)| format!("{node} {clocks:.0}")).collect();
        println!(
            "{:<24} {size:>5} {:>11} {:>8.2} {:>11}  {}",
            name(driver),
            mpps(best.0),
            best.0 * f64::from(size) * 8.0 / 1e9,
            mpps(best.1),
            nodes.join(", ")
        );
        Ok(())
    })
}

/// Measures each driver and size, each in a network of its own.
fn each(asked: &Asked, measure: impl Fn(Driver, u16) -> Result<()>) -> Result<()> {
    if let Some(size) = asked.sizes.iter().find(|size| !(64..=1518).contains(*size)) {
        bail!("frames of {size} bytes: 64 to 1518 are measured");
    }
    if !asked.ring.is_power_of_two() {
        bail!("rings of {} slots: a power of two is wanted", asked.ring);
    }
    let drivers = if asked.drivers.is_empty() { Driver::value_variants() } else { &asked.drivers };
    for driver in drivers {
        for size in &asked.sizes {
            machine::own_network()?;
            if let Err(why) = measure(*driver, *size) {
                println!("{:<24} {size:>5} not measured: {why:#}", name(*driver));
            }
        }
    }
    Ok(())
}

fn name(driver: Driver) -> String {
    driver.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn mpps(rate: f64) -> String {
    format!("{:.3} Mpps", rate / 1e6)
}
