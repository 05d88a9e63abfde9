//! Commands of the shell itself: `help`, `exit`, `quit`.
use super::GRAMMAR;
use crate::error::Error;
use crate::grammar::{self, Args, Command, Handler, Kind, maybe};
use crate::session::Session;

const LEAVE: Handler = |session, _| {
    session.leaving = true;
    Ok(())
};

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["help"],
        args: &[maybe("COMMAND", Kind::Rest, "a command, or the words that several begin with")],
        help: "all commands, or the page of one",
        more: "",
        run: help,
    },
    Command { path: &["exit"], args: &[], help: "leave, as Ctrl-D does", more: "", run: LEAVE },
    Command { path: &["quit"], args: &[], help: "leave, as Ctrl-D does", more: "", run: LEAVE },
];

fn help(session: &mut Session, args: &Args) -> Result<(), Error> {
    let text = match args.get("COMMAND") {
        None => grammar::overview(&GRAMMAR),
        Some(words) => grammar::page(&GRAMMAR, words).map_err(|error| Error::usage(error.message))?,
    };
    session.output.print_text(&text)
}
