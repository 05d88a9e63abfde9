//! A session: the link to the daemon, the way to print, and the running of lines.
use std::future::Future;
use std::sync::Arc;

use millrace_api::Client;
use serde::Serialize;
use tonic::{Response, Status, Streaming};

use crate::commands::GRAMMAR;
use crate::error::Error;
use crate::grammar::{self, Expected, Line, Parser};
use crate::link::Link;
use crate::output::Output;

/// A session, handed to each command.
#[derive(Debug)]
pub struct Session {
    /// The link to the daemon.
    pub link: Arc<Link>,
    /// The way to print.
    pub output: Output,
    /// Set by a command that ends the session.
    pub leaving: bool,
}

impl Session {
    /// A session that has run nothing yet.
    pub fn new(link: Arc<Link>, output: Output) -> Session {
        Session { link, output, leaving: false }
    }

    /// Runs a line. A last word `?` lists what can follow instead, as the key does in the shell.
    pub fn run(&mut self, line: &Line) -> Result<(), Error> {
        if let Some((last, words)) = line.words.split_last()
            && last.text == "?"
        {
            let mut parser = Parser::new(&GRAMMAR);
            for word in words {
                parser.feed(word)?;
            }
            return self.output.print_text(&follow(&self.link, &parser.expected(), ""));
        }
        match grammar::parse(&GRAMMAR, line)? {
            Some(invocation) => (invocation.command.run)(self, &invocation.args),
            None => Ok(()),
        }
    }

    /// Makes a call to the daemon and waits for its answer.
    pub fn call<T, F>(&self, call: impl FnOnce(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.link.call(call)
    }

    /// The next message of a stream; `None` at its end.
    pub fn next<T>(&self, stream: &mut Streaming<T>) -> Result<Option<T>, Error> {
        self.link.next(stream)
    }

    /// Prints one thing or a listing: `text` makes the table.
    pub fn print<T: Serialize + ?Sized>(&self, data: &T, text: impl FnOnce(&T) -> String) -> Result<(), Error> {
        self.output.print(data, text)
    }
}

/// The list under `?`, with live names.
pub fn follow(link: &Link, expected: &[Expected], partial: &str) -> String {
    grammar::follow_text(expected, partial, |value| crate::live::names(link, value.kind, partial))
}
