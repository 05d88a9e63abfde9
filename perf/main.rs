//! `make bench`: the rows of the performance page, measured on this machine and compared with what was recorded.
//!
//! The rows drive the real daemon, from its `generator` device to its sink, and read `show runtime` as an operator
//! would. The instruction counts run the same graph in this process under valgrind.

mod af_xdp;
mod daemon;
mod dpdk;
mod failover;
mod feed;
mod flood;
mod forward;
mod graph;
mod idle;
mod ip6;
mod l2;
mod load;
mod machine;
mod memif;
mod nat44;
mod pairs;
mod rates;
mod report;
mod rfc2544;
mod routes;
mod rows;
mod testpmd;
mod updates;
mod valgrind;
mod vxlan;

use anyhow::Result;
use clap::{Parser, Subcommand};
use report::{Baseline, Measured, Row};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures Millrace and compares with the recorded baseline.
#[derive(Parser)]
struct Args {
    /// Rows to measure; all when none is named.
    rows: Vec<String>,
    /// Record what is measured as the new baseline.
    #[arg(long)]
    record: bool,
    /// The recorded baseline.
    #[arg(long, default_value = "perf/baseline.json")]
    baseline: PathBuf,
    /// Where the figures go.
    #[arg(long, default_value = "target/bench.json")]
    out: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Searches the highest rate at which two interfaces of a driver lose nothing, and measures latency at half of it (RFC 2544).
    Rfc2544(rates::Asked),
    /// Prints what passes between two interfaces of each driver.
    Rates(rates::Asked),
    /// Sends a fixed set of packets through the graph in this process and ends (to be run under valgrind).
    Graph {
        /// Packets in a vector.
        #[arg(long)]
        vector: usize,
        /// Vectors.
        #[arg(long)]
        vectors: usize,
        /// Translate: the packets are of so many sessions, in turn.
        #[arg(long)]
        nat44: Option<u32>,
        /// Sessions that there may be at a time; default: all.
        #[arg(long, requires = "nat44")]
        limit: Option<u32>,
    },
}

/// Tries before a row counts as worse than its baseline.
const TRIES: usize = 3;

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(command) = &args.command {
        match command {
            Command::Rfc2544(asked) => rates::rfc2544(asked)?,
            Command::Rates(asked) => rates::matrix(asked)?,
            Command::Graph { vector, vectors, nat44, limit } => {
                let nat = nat44.map(|sessions| graph::Nat { sessions, limit: limit.unwrap_or(sessions) });
                graph::run(*vector, *vectors, nat)?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut baseline = Baseline::read(&args.baseline)?;
    let pace = report::pace();
    println!("pace of this machine: {pace:.2} ns for the reference loop (recorded: {:.2})", baseline.pace);
    let mut results = Vec::new();
    let mut worse = false;
    println!("{}", Row::HEADING);
    for row in rows::ROWS.iter().filter(|r| args.rows.is_empty() || args.rows.iter().any(|n| n == r.name)) {
        let mut best: Option<Measured> = None;
        for _ in 0..TRIES {
            let Some(measured) = row.measure()? else { break };
            if best.as_ref().is_none_or(|b| row.better(&measured, b)) {
                best = Some(measured);
            }
            // What is recorded is the best of all tries, so that a moment's noise does not become the standard.
            if !args.record && best.as_ref().is_some_and(|b| !row.is_worse(b, &baseline, pace)) {
                break;
            }
        }
        let Some(measured) = best else {
            println!("{:<24} not measured: it needs {}", row.name, row.needs);
            continue;
        };
        worse |= row.is_worse(&measured, &baseline, pace) && !args.record;
        println!("{}", row.line(&measured, &baseline, pace));
        results.push((row, measured));
    }
    report::write_json(&args.out, &results, &baseline)?;
    if args.record {
        baseline.record(&args.baseline, pace, &results)?;
    }
    Ok(if worse { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
