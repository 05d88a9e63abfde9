//! The configuration as a whole: `config ...`, `show configuration`; and what every command that changes it shares.
use millrace_api::v1::edit_request::Edit;
use millrace_api::v1::{
    ApplyReply, ApplyRequest, CheckRequest, ConfigFile, ConfirmRequest, Diagnostic, Done, EditRequest,
    GetConfigurationRequest, ListHistoryRequest, PlanLine, PlanRequest, Revision, RollbackRequest, SaveRequest,
};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, keyword, maybe, value};
use crate::output::{Cell, Color, Format, Output, Table};
use crate::session::Session;

const FILE: Arg = value("FILE", Kind::File, "a configuration file on this machine");

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "configuration"],
        args: &[],
        help: "the running configuration as a file",
        more: "",
        run: show,
    },
    Command {
        path: &["config", "check"],
        args: &[FILE],
        help: "check a file and report its errors",
        more: "",
        run: check,
    },
    Command {
        path: &["config", "plan"],
        args: &[FILE],
        help: "show what applying a file would change",
        more: "`+` is new, `-` goes away, `~` changes. Nothing is changed yet.",
        run: plan,
    },
    Command {
        path: &["config", "apply"],
        args: &[
            FILE,
            Arg::Option(keyword(
                "confirm",
                "SECONDS",
                Kind::Number(1, 86400),
                "undo it unless `config confirm` comes in time",
            )),
        ],
        help: "make a file the running configuration",
        more: "When any part of it fails, nothing is changed.\n\n  config apply router.yaml confirm 60",
        run: apply,
    },
    Command {
        path: &["config", "confirm"],
        args: &[],
        help: "keep what was applied with `confirm`",
        more: "",
        run: |session, _| {
            let reply = session.call(|mut client| async move { client.config.confirm(ConfirmRequest {}).await })?;
            done(session, &reply)
        },
    },
    Command {
        path: &["config", "rollback"],
        args: &[maybe("REVISION", Kind::Revision, "revision to return to; the one before this unless given")],
        help: "return to an earlier configuration",
        more: "",
        run: rollback,
    },
    Command { path: &["config", "history"], args: &[], help: "the configurations that ran", more: "", run: history },
    Command {
        path: &["config", "save"],
        args: &[maybe("FILE", Kind::File, "where to; the file that the daemon was started with unless given")],
        help: "write the running configuration to a file",
        more: "The daemon writes it, with the daemon's rights.",
        run: save,
    },
];

/// Makes an edit. As with other tools that change something, no news is good news.
pub fn edit(session: &mut Session, edit: Edit) -> Result<(), Error> {
    let request = EditRequest { edit: Some(edit) };
    session.call(|mut client| async move { client.config.edit(request).await }).map(drop)
}

/// Prints what the daemon says about a change that worked.
pub fn done(session: &mut Session, done: &Done) -> Result<(), Error> {
    if done.text.is_empty() { Ok(()) } else { session.output.print_line(&done.text) }
}

/// An absolute path for the daemon, whose working directory is another.
pub fn absolute(path: &str) -> Result<String, Error> {
    let wrong = |why: String| Error::File(format!("\"{path}\" is no usable file name: {why}"));
    let absolute = std::path::absolute(path).map_err(|error| wrong(error.to_string()))?;
    absolute.into_os_string().into_string().map_err(|_| wrong("it is not UTF-8".to_owned()))
}

fn file(args: &Args) -> Result<Option<ConfigFile>, Error> {
    let name = args.text("FILE");
    let text = std::fs::read_to_string(&name).map_err(|error| Error::File(format!("can't read {name}: {error}")))?;
    Ok(Some(ConfigFile { text, name }))
}

/// Errors of a file end a command that needed it to be good.
fn valid(diagnostics: Vec<Diagnostic>) -> Result<(), Error> {
    if diagnostics.is_empty() { Ok(()) } else { Err(Error::Invalid(diagnostics)) }
}

fn show(session: &mut Session, _: &Args) -> Result<(), Error> {
    let reply =
        session.call(|mut client| async move { client.show.get_configuration(GetConfigurationRequest {}).await })?;
    if session.output.format != Format::Json {
        return session.output.print_text(&reply.yaml);
    }
    let tree: serde_json::Value = serde_saphyr::from_str(&reply.yaml)
        .map_err(|error| Error::Refused(format!("the daemon's configuration is no YAML: {error}")))?;
    session.print(&tree, |_| String::new())
}

fn check(session: &mut Session, args: &Args) -> Result<(), Error> {
    let file = file(args)?;
    let reply = session.call(|mut client| async move { client.config.check(CheckRequest { file }).await })?;
    if session.output.format != Format::Table {
        session.print(&reply.diagnostics[..], |_| String::new())?;
        return if reply.diagnostics.is_empty() { Ok(()) } else { Err(Error::Invalid(Vec::new())) };
    }
    valid(reply.diagnostics)
}

fn plan(session: &mut Session, args: &Args) -> Result<(), Error> {
    let file = file(args)?;
    let reply = session.call(|mut client| async move { client.config.plan(PlanRequest { file }).await })?;
    valid(reply.diagnostics)?;
    let output = session.output;
    session.print(&reply.lines[..], |lines| lines_text(&output, lines))
}

fn apply(session: &mut Session, args: &Args) -> Result<(), Error> {
    let confirm_seconds = args.number("confirm");
    let request = ApplyRequest { file: file(args)?, confirm_seconds };
    let reply = session.call(|mut client| async move { client.config.apply(request).await })?;
    applied(session, reply, confirm_seconds)
}

fn rollback(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = RollbackRequest { revision: args.number("REVISION") };
    let reply = session.call(|mut client| async move { client.config.rollback(request).await })?;
    applied(session, reply, None)
}

fn applied(session: &mut Session, mut reply: ApplyReply, confirm_seconds: Option<u32>) -> Result<(), Error> {
    valid(std::mem::take(&mut reply.diagnostics))?;
    let output = session.output;
    session.print(&reply.lines[..], |lines| {
        let mut text = lines_text(&output, lines);
        if !lines.is_empty() {
            text.push_str(&format!("revision {} runs\n", reply.revision));
        }
        if let Some(seconds) = confirm_seconds {
            text.push_str(&format!("it will be undone unless `config confirm` comes within {seconds} seconds\n"));
        }
        text
    })
}

fn history(session: &mut Session, _: &Args) -> Result<(), Error> {
    let reply = session.call(|mut client| async move { client.config.list_history(ListHistoryRequest {}).await })?;
    let output = session.output;
    session.print(&reply.revisions[..], |revisions| history_table(&output, revisions))
}

fn save(session: &mut Session, args: &Args) -> Result<(), Error> {
    let path = args.get("FILE").map(absolute).transpose()?;
    let reply = session.call(|mut client| async move { client.config.save(SaveRequest { path }).await })?;
    done(session, &reply)
}

fn lines_text(output: &Output, lines: &[PlanLine]) -> String {
    if lines.is_empty() {
        return "no changes\n".to_owned();
    }
    let paint = |line: &PlanLine| {
        let text = format!("{} {}", line.kind, line.text);
        let color = match line.kind.as_str() {
            "+" => Color::Green,
            "-" => Color::Red,
            _ => Color::Yellow,
        };
        format!("{}\n", output.paint(color, &text))
    };
    lines.iter().map(paint).collect()
}

fn history_table(output: &Output, revisions: &[Revision]) -> String {
    let mut table = Table::new(output, &[">Revision", "", "Time", "Source", "Changes"]);
    for revision in revisions {
        table.row([
            revision.revision.into(),
            Cell::from(if revision.running { "*" } else { "" }).color(Color::Green),
            (&revision.time).into(),
            (&revision.source).into(),
            (&revision.summary).into(),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_coloured_like_a_diff() {
        let line = |kind: &str, text: &str| PlanLine { kind: kind.into(), text: text.into() };
        let lines = [line("+", "route a"), line("-", "route b"), line("~", "interface c")];
        let mut output = Output { format: Format::Table, colors: false, terminal: false };
        assert_eq!(lines_text(&output, &lines), "+ route a\n- route b\n~ interface c\n");
        output.colors = true;
        let red = "\x1b[31m- route b\x1b[0m\n";
        assert_eq!(
            lines_text(&output, &lines),
            format!("\x1b[32m+ route a\x1b[0m\n{red}\x1b[33m~ interface c\x1b[0m\n")
        );
        assert_eq!(lines_text(&output, &[]), "no changes\n");
    }

    #[test]
    fn the_running_revision_is_marked() {
        let output = Output { format: Format::Table, colors: false, terminal: false };
        let revision = |revision, running| Revision {
            revision,
            time: "2026-11-21T20:56:01.123Z".into(),
            source: "edit".into(),
            summary: "+ route a".into(),
            running,
        };
        assert_eq!(
            history_table(&output, &[revision(2, true), revision(1, false)]),
            "Revision     Time                      Source  Changes\n\
             \u{20}      2  *  2026-11-21T20:56:01.123Z  edit    + route a\n\
             \u{20}      1     2026-11-21T20:56:01.123Z  edit    + route a\n"
        );
    }
}
