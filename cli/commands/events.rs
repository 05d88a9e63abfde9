//! What happened lately: `show events`, `show log`.
use millrace_api::v1::{Event, ListEventsRequest, ListLogRequest, LogLine};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, maybe};
use crate::output::{Cell, Color, Output, Table};
use crate::session::Session;

const COUNT: Arg = maybe("COUNT", Kind::Number(1, u32::MAX as u64), "only the newest this many");

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "events"],
        args: &[COUNT],
        help: "what happened lately: links, configuration, failures",
        more: "",
        run: events,
    },
    Command { path: &["show", "log"], args: &[COUNT], help: "the last lines of the daemon's log", more: "", run: log },
];

fn events(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListEventsRequest { limit: args.number("COUNT").unwrap_or(0) };
    let reply = session.call(|mut client| async move { client.show.list_events(request).await })?;
    let output = session.output;
    session.print(&reply.events[..], |events| events_table(&output, events))
}

fn log(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListLogRequest { limit: args.number("COUNT").unwrap_or(0) };
    let reply = session.call(|mut client| async move { client.show.list_log(request).await })?;
    let output = session.output;
    session.print(&reply.lines[..], |lines| log_text(&output, lines))
}

fn events_table(output: &Output, events: &[Event]) -> String {
    let mut table = Table::new(output, &["Time", "Severity", "Source", "Event"]);
    for event in events {
        let severity = Cell::from(&event.severity);
        let severity = match color(&event.severity) {
            Some(color) => severity.color(color),
            None => severity,
        };
        table.row([(&event.time).into(), severity, (&event.source).into(), (&event.text).into()]);
    }
    table.text()
}

fn log_text(output: &Output, lines: &[LogLine]) -> String {
    let mut text = String::new();
    for line in lines {
        let level = format!("{:<5}", line.level);
        let level = color(&line.level).map_or(level.clone(), |color| output.paint(color, &level));
        text.push_str(&format!("{} {level} {}: {}\n", line.time, line.target, line.text));
    }
    text
}

fn color(severity: &str) -> Option<Color> {
    match severity {
        "error" => Some(Color::Red),
        "warning" | "warn" => Some(Color::Yellow),
        _ => None,
    }
}
