//! `show errors`.
use millrace_api::v1::{ErrorCount, ListErrorsRequest};

use crate::error::Error;
use crate::grammar::{Args, Command};
use crate::output::{Output, Table};
use crate::session::Session;

pub const COMMANDS: &[Command] = &[Command {
    path: &["show", "errors"],
    args: &[],
    help: "drops with their causes, and other counters of nodes",
    more: "Every counter that is not zero, since the last `clear errors`.",
    run: show,
}];

fn show(session: &mut Session, _: &Args) -> Result<(), Error> {
    let reply = session.call(|mut client| async move { client.show.list_errors(ListErrorsRequest {}).await })?;
    let output = session.output;
    session.print(&reply.errors[..], |errors| table(&output, errors))
}

fn table(output: &Output, errors: &[ErrorCount]) -> String {
    let mut table = Table::new(output, &[">Count", "Node", "Reason"]);
    for error in errors {
        table.row([error.count.into(), (&error.node).into(), (&error.reason).into()]);
    }
    table.text()
}
