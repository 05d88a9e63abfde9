//! Runs the commands of a file, one a line, and stops at the first error. Empty lines and `#` comments are skipped.
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::ExitCode;

use crate::error::Error;
use crate::grammar::Line;
use crate::report;
use crate::session::Session;

/// Runs a file; `-` is standard input.
pub fn run_file(session: &mut Session, path: &Path) -> ExitCode {
    if path == Path::new("-") {
        return run(session, std::io::stdin().lock(), "stdin");
    }
    match std::fs::File::open(path) {
        Ok(file) => run(session, BufReader::new(file), &path.display().to_string()),
        Err(error) => report(&Error::File(format!("can't read {}: {error}", path.display())), "", None),
    }
}

/// Runs all lines of `input`; errors name `name` and the line.
fn run(session: &mut Session, input: impl BufRead, name: &str) -> ExitCode {
    for (number, line) in input.lines().enumerate() {
        let place = format!("{name}:{}", number + 1);
        let text = match line {
            Ok(text) => text,
            Err(error) => return report(&Error::File(format!("can't read it: {error}")), "", Some(&place)),
        };
        if let Err(error) = session.run(&Line::split(&text)) {
            return report(&error, &text, Some(&place));
        }
        if session.leaving {
            break;
        }
    }
    ExitCode::SUCCESS
}
