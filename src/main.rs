//! `millrace`: the router's daemon.
#![forbid(unsafe_code)]

use clap::Parser;
use millrace::control::run;
use std::path::PathBuf;
use std::process::ExitCode;

/// A software router: packets in vectors through a graph of nodes.
///
/// Runs in the foreground and logs to stderr; MILLRACE_LOG chooses what (info, debug, millrace_io=debug, ...). SIGHUP reads
/// the configuration file again, SIGTERM and SIGINT end it. Exit codes: 0 done, 1 can't run, 2 wrong usage or configuration.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file (YAML).
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,

    /// Where to serve the API, instead of where the configuration says.
    #[arg(short, long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// Check the configuration file and end: 0 if it is good, 2 and every error with its line if it isn't.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let Arguments { config, socket, check } = Arguments::parse();
    if check { run::check(&config) } else { run::daemon(&config, socket) }
}
