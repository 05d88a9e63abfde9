//! `clear ...`.
use millrace_api::v1::{ClearRequest, ClearWhat};

use super::config::done;
use crate::error::Error;
use crate::grammar::Command;
use crate::session::Session;

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["clear", "counters"],
        args: &[],
        help: "the interfaces' counters",
        more: "",
        run: |session, _| clear(session, ClearWhat::Counters),
    },
    Command {
        path: &["clear", "runtime"],
        args: &[],
        help: "what `show runtime` counted",
        more: "",
        run: |session, _| clear(session, ClearWhat::Runtime),
    },
    Command {
        path: &["clear", "errors"],
        args: &[],
        help: "what `show errors` counted",
        more: "",
        run: |session, _| clear(session, ClearWhat::Errors),
    },
    Command {
        path: &["clear", "trace"],
        args: &[],
        help: "traced packets, and those still to be traced",
        more: "",
        run: |session, _| clear(session, ClearWhat::Trace),
    },
    Command {
        path: &["clear", "neighbors"],
        args: &[],
        help: "neighbours that were learnt",
        more: "",
        run: |session, _| clear(session, ClearWhat::Neighbors),
    },
];

fn clear(session: &mut Session, what: ClearWhat) -> Result<(), Error> {
    let request = ClearRequest { what: what.into() };
    let reply = session.call(|mut client| async move { client.operate.clear(request).await })?;
    done(session, &reply)
}
