//! `millctl`: Millrace's command line. It knows nothing but the daemon's published API.
//!
//! `millctl` alone on a terminal is an interactive shell; `millctl COMMAND` runs one command; `millctl -f FILE`, or
//! commands on standard input, run one after the other. Exit codes: 0 done, 1 refused by the daemon, 2 wrong usage or
//! invalid configuration, 3 the daemon can't be reached.
#![forbid(unsafe_code)]

mod commands;
mod error;
mod grammar;
mod link;
mod live;
mod output;
mod script;
mod session;
mod shell;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use error::Error;
use grammar::Line;
use link::Link;
use output::{Format, Output};
use session::Session;

/// Millrace's command line. Without a command: an interactive shell, or the commands on standard input.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "`millctl help` lists the commands, `millctl help COMMAND` tells about one.\n\
    Exit codes: 0 done, 1 refused by the daemon, 2 wrong usage or invalid configuration, 3 can't reach the daemon."
)]
struct Options {
    /// The daemon's socket
    #[arg(short, long, value_name = "PATH", env = "MILLRACE_SOCKET", default_value = millrace_api::DEFAULT_SOCKET)]
    socket: PathBuf,

    /// How to print answers
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Format,

    /// Run the commands of a file (`-`: standard input) and stop at the first error
    #[arg(short, long, value_name = "FILE", conflicts_with = "command")]
    file: Option<PathBuf>,

    /// The command to run
    command: Vec<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let link = match Link::new(options.socket) {
        Ok(link) => Arc::new(link),
        Err(error) => return report(&Error::File(format!("can't start: {error}")), "", None),
    };
    let mut session = Session::new(link, Output::detect(options.output));
    if let Some(file) = options.file {
        return script::run_file(&mut session, &file);
    }
    if !options.command.is_empty() {
        let line = Line::from_words(&options.command);
        return match session.run(&line) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => report(&error, &line.text, None),
        };
    }
    if std::io::stdin().is_terminal() { shell::run(&mut session) } else { script::run_file(&mut session, "-".as_ref()) }
}

/// Prints what went wrong on standard error and gives its exit code.
fn report(error: &Error, line: &str, place: Option<&str>) -> ExitCode {
    let text = error.report(line, place);
    if !text.is_empty() {
        eprintln!("{text}");
    }
    ExitCode::from(error.exit_code())
}
