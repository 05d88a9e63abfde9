//! Why a command did not work, and the exit code that says so.
use std::ops::Range;

use millrace_api::v1::Diagnostic;
use tonic::Code;

use crate::grammar::ParseError;

/// Why a command did not work.
#[derive(Debug)]
pub enum Error {
    /// It was typed wrongly.
    Usage {
        /// What is wrong, and what would be right.
        message: String,
        /// The words of the line to blame.
        span: Option<Range<usize>>,
    },
    /// The daemon said no.
    Refused(String),
    /// A configuration file has errors.
    Invalid(Vec<Diagnostic>),
    /// It worked, but its result is a failure that has been printed already, such as a ping without an answer.
    Failed,
    /// The daemon can't be reached, or went away.
    Unreachable(String),
    /// A file of this machine can't be read or written.
    File(String),
    /// The operator pressed Ctrl-C.
    Interrupted,
    /// Whoever read the output does not want more of it.
    OutputClosed,
}

impl Error {
    /// A wrong usage without a place in the line.
    pub fn usage(message: impl Into<String>) -> Error {
        Error::Usage { message: message.into(), span: None }
    }

    /// The process's exit code: 0 done, 1 refused, 2 wrong usage or invalid configuration, 3 unreachable.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::OutputClosed => 0,
            Error::Refused(_) | Error::Failed => 1,
            Error::Usage { .. } | Error::Invalid(_) | Error::File(_) => 2,
            Error::Unreachable(_) => 3,
            // What a shell reports for a process that SIGINT ended.
            Error::Interrupted => 130,
        }
    }

    /// What to print about it, as lines without a final line break; empty when there is nothing to say. `line` is the
    /// line as typed, so that the wrong words can be marked; `place` names where it stands in a file of commands.
    pub fn report(&self, line: &str, place: Option<&str>) -> String {
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        match self {
            Error::Usage { message, span: None } => format!("{place}{message}"),
            Error::Usage { message, span: Some(span) } => format!("{place}{message}\n{}", mark(line, span)),
            Error::Refused(message) | Error::Unreachable(message) | Error::File(message) => format!("{place}{message}"),
            Error::Invalid(diagnostics) => {
                diagnostics.iter().map(|one| format!("{place}{}", diagnostic(one))).collect::<Vec<_>>().join("\n")
            }
            Error::Interrupted if !place.is_empty() => format!("{place}interrupted"),
            Error::Failed if !place.is_empty() => format!("{place}failed: {line}"),
            Error::Failed | Error::Interrupted | Error::OutputClosed => String::new(),
        }
    }
}

/// `file:line:column: message`, as compilers and editors know it.
pub fn diagnostic(one: &Diagnostic) -> String {
    match (one.line, one.column) {
        (0, _) => format!("{}: {}", one.file, one.message),
        (line, 0) => format!("{}:{line}: {}", one.file, one.message),
        (line, column) => format!("{}:{line}:{column}: {}", one.file, one.message),
    }
}

/// The line with carets under the words to blame.
fn mark(line: &str, span: &Range<usize>) -> String {
    let width = |range: Range<usize>| line.get(range).map_or(0, |part| part.chars().count());
    let before = " ".repeat(width(0..span.start.min(line.len())));
    format!("  {line}\n  {before}{}", "^".repeat(width(span.clone()).max(1)))
}

impl From<ParseError> for Error {
    fn from(error: ParseError) -> Error {
        Error::Usage { message: error.message, span: Some(error.span) }
    }
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Error {
        // A status with a source was made on this side, by a connection that broke; the daemon's own has none.
        if status.code() == Code::Unavailable || std::error::Error::source(&status).is_some() {
            return Error::Unreachable("the connection to the daemon broke".to_owned());
        }
        match status.message() {
            "" => Error::Refused(format!("the daemon refused: {}", status.code().description())),
            message if status.code() == Code::Unimplemented => {
                Error::Refused(format!("this daemon does not know the request; is it older than millctl? {message}"))
            }
            message => Error::Refused(message.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_words_are_marked_below() {
        let error = Error::Usage { message: "unknown word".to_owned(), span: Some(5..8) };
        assert_eq!(error.report("show xyz now", None), "unknown word\n  show xyz now\n       ^^^");
        assert_eq!(error.report("é ab xyz", Some("f:3")), "f:3: unknown word\n  é ab xyz\n      ^^^");
        let error = Error::Usage { message: "not whole".to_owned(), span: Some(4..4) };
        assert_eq!(error.report("show", None), "not whole\n  show\n      ^");
    }

    #[test]
    fn statuses_become_the_right_exit_codes() {
        let code = |status: tonic::Status| Error::from(status).exit_code();
        assert_eq!(code(tonic::Status::not_found("no interface")), 1);
        assert_eq!(code(tonic::Status::invalid_argument("")), 1);
        assert_eq!(code(tonic::Status::unavailable("gone")), 3);
        assert_eq!(code(tonic::Status::from_error(Box::new(std::io::Error::other("broken")))), 3);
    }

    #[test]
    fn diagnostics_leave_out_places_that_are_not_known() {
        let one = |line, column| diagnostic(&Diagnostic { file: "a.yaml".into(), line, column, message: "bad".into() });
        assert_eq!([one(0, 0), one(3, 0), one(3, 7)], ["a.yaml: bad", "a.yaml:3: bad", "a.yaml:3:7: bad"]);
    }
}
