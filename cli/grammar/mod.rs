//! The grammar as data. A feature's file under `commands/` lists its [`Command`]s; the parser, abbreviations, `?`,
//! completion on Tab and the pages of `help` are all derived from those lists, and know no command of their own.
mod help;
mod kind;
mod parse;
#[cfg(test)]
mod tests;
mod words;

use crate::error::Error;
use crate::session::Session;

pub use help::{follow_text, overview, page};
pub use kind::Kind;
pub use parse::{Args, Expected, ParseError, Parser, parse};
pub use words::{Line, Word};

/// What a command does when it was typed rightly.
pub type Handler = fn(&mut Session, &Args) -> Result<(), Error>;

/// A command: what to type, what it means, what it does.
#[derive(Debug)]
pub struct Command {
    /// The words that name it, such as `["route", "add"]`. No command's path begins with another's.
    pub path: &'static [&'static str],
    /// What comes after the path: first the values in their places, then the words in any order.
    pub args: &'static [Arg],
    /// One line for `?` and the overview.
    pub help: &'static str,
    /// More for its page: a paragraph, and examples on lines that begin with two spaces. May be empty.
    pub more: &'static str,
    /// What it does.
    pub run: Handler,
}

/// A part of what comes after a command's path.
#[derive(Debug, Clone, Copy)]
pub enum Arg {
    /// A value in its place.
    Value(Value),
    /// A value in its place that may be left out.
    Maybe(Value),
    /// A word that may be given once.
    Option(Keyword),
    /// Words of which each may be given once.
    Options(&'static [Keyword]),
    /// A word that must be given.
    Required(Keyword),
    /// Words of which exactly one must be given.
    OneOf(&'static [Keyword]),
    /// Words of which at least one must be given.
    AnyOf(&'static [Keyword]),
}

impl Arg {
    /// The words that it stands for; none for a value.
    pub fn keywords(&self) -> &[Keyword] {
        match self {
            Arg::Value(_) | Arg::Maybe(_) => &[],
            Arg::Option(keyword) | Arg::Required(keyword) => std::slice::from_ref(keyword),
            Arg::Options(keywords) | Arg::OneOf(keywords) | Arg::AnyOf(keywords) => keywords,
        }
    }
}

/// A word with a meaning, and perhaps a value after it: `blackhole`, `mtu N`.
#[derive(Debug, Clone, Copy)]
pub struct Keyword {
    /// The word; also its name in [`Args`].
    pub word: &'static str,
    /// What must follow it.
    pub value: Option<Value>,
    /// One line for `?`.
    pub help: &'static str,
    /// Where another word has been given: the values of that one with which this word goes. None: with all.
    pub with: Option<(&'static str, &'static [&'static str])>,
}

/// A value that the operator chooses.
#[derive(Debug, Clone, Copy)]
pub struct Value {
    /// How help names it, in capitals; of a value in its place also its name in [`Args`].
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// One line for `?`.
    pub help: &'static str,
}

/// A value in its place.
pub const fn value(name: &'static str, kind: Kind, help: &'static str) -> Arg {
    Arg::Value(Value { name, kind, help })
}

/// A value in its place that may be left out.
pub const fn maybe(name: &'static str, kind: Kind, help: &'static str) -> Arg {
    Arg::Maybe(Value { name, kind, help })
}

/// A word without a value.
pub const fn flag(word: &'static str, help: &'static str) -> Keyword {
    Keyword { word, value: None, help, with: None }
}

/// A word with a value after it.
pub const fn keyword(word: &'static str, name: &'static str, kind: Kind, help: &'static str) -> Keyword {
    Keyword { word, value: Some(Value { name, kind, help }), help, with: None }
}

impl Command {
    /// The path as it is typed: `route add`.
    pub fn name(&self) -> String {
        self.path.join(" ")
    }
}
