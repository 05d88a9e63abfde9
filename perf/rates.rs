//! The tables of rates: what passes from one interface of a driver to another of the same, and RFC 2544's figures of one.

use crate::pairs::{Driver, Pair};
use crate::rfc2544::{self, Found, Search};
use crate::{forward, machine};
use anyhow::{Result, bail};
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
    each(asked, |driver, size, pair| {
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
    each(asked, |driver, size, pair| {
        let time = Duration::from_secs_f64(asked.time);
        let mut best = pair.load.flood(time)?;
        for _ in 1..asked.tries {
            pair.router.json(&["clear", "runtime"])?;
            let next = pair.load.flood(time)?;
            best = if next.rate() > best.rate() { next } else { best };
        }
        let nodes = forward::clocks(&pair.router)?.nodes;
        let nodes: Vec<String> = nodes.iter().map(|(node, clocks)| format!("{node} {clocks:.0}")).collect();
        println!(
            "{:<24} {size:>5} {:>11} {:>8.2} {:>11}  {}",
            name(driver),
            mpps(best.rate()),
            best.rate() * f64::from(size) * 8.0 / 1e9,
            mpps(best.offered()),
            nodes.join(", ")
        );
        Ok(())
    })
}

/// Does something with a pair of each driver and size, each in a network of its own.
fn each(asked: &Asked, measure: impl Fn(Driver, u16, &mut Pair) -> Result<()>) -> Result<()> {
    if let Some(size) = asked.sizes.iter().find(|size| !(64..=1518).contains(*size)) {
        bail!("frames of {size} bytes: 64 to 1518 are measured");
    }
    let drivers = if asked.drivers.is_empty() { Driver::value_variants() } else { &asked.drivers };
    for driver in drivers {
        for size in &asked.sizes {
            machine::own_network()?;
            let done = Pair::start(*driver, *size).and_then(|mut pair| measure(*driver, *size, &mut pair));
            if let Err(why) = done {
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
