//! Mirrors as they are: `show mirrors`.
use millrace_api::v1::{ListMirrorsRequest, Mirror};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, Value};
use crate::output::{Cell, Color, Output, Table};
use crate::session::Session;

const NAME: Value = Value { name: "NAME", kind: Kind::Mirror, help: "this one, with why frames were missed" };

pub const COMMANDS: &[Command] = &[Command {
    path: &["show", "mirrors"],
    args: &[Arg::Maybe(NAME)],
    help: "mirrors: what is copied where, and how much",
    more: "Missed are frames that were to be copied and were not, because the target was down, no packet buffer was free, or they came \
           faster than the file is written. The frames themselves went on.",
    run: show,
}];

fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListMirrorsRequest { name: args.owned("NAME") };
    let reply = session.call(|mut client| async move { client.show.list_mirrors(request).await })?;
    let output = session.output;
    match (args.get("NAME"), reply.mirrors.first()) {
        (Some(_), Some(mirror)) => session.print(mirror, |mirror| details(&output, mirror)),
        _ => session.print(&reply.mirrors[..], |mirrors| table(&output, mirrors)),
    }
}

fn table(output: &Output, mirrors: &[Mirror]) -> String {
    if mirrors.is_empty() {
        return "no mirrors\n".to_owned();
    }
    let mut table = Table::new(output, &["Name", "From", "Direction", "To", "State", ">Copied", ">Missed"]);
    for mirror in mirrors {
        let missed = missed(mirror).iter().map(|(_, count)| count).sum::<u64>();
        table.row([
            (&mirror.mirror).into(),
            mirror.from.join(" ").into(),
            (&mirror.direction).into(),
            target(mirror).into(),
            state(mirror),
            mirror.copied.into(),
            missed.into(),
        ]);
    }
    table.text()
}

fn target(mirror: &Mirror) -> &str {
    mirror.to.as_deref().or(mirror.file.as_deref()).unwrap_or("-")
}

fn state(mirror: &Mirror) -> Cell {
    let text = match &mirror.problem {
        Some(problem) => format!("{}: {problem}", mirror.state),
        None => mirror.state.clone(),
    };
    let color = match mirror.state.as_str() {
        "active" => Color::Green,
        "failed" => Color::Red,
        _ => Color::Yellow,
    };
    Cell::from(text).color(color)
}

/// Why frames were missed, and how many.
fn missed(mirror: &Mirror) -> [(&'static str, u64); 3] {
    [
        ("the target was down", mirror.missed_down),
        ("no packet buffer was free", mirror.missed_no_buffer),
        ("they came faster than the file is written", mirror.missed_queue_full),
    ]
}

fn details(output: &Output, mirror: &Mirror) -> String {
    let mut text = format!("{}\n", output.paint(Color::Bold, &mirror.mirror));
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<12} {value}\n"));
    line("from", mirror.from.join(" "));
    line("direction", mirror.direction.clone());
    line(if mirror.file.is_some() { "file" } else { "to" }, target(mirror).to_owned());
    if let Some(limit) = mirror.limit {
        line("limit", format!("{limit} frames"));
    }
    if let Some(length) = mirror.snap_length {
        line("snap-length", format!("{length} bytes"));
    }
    line(
        "state",
        match &mirror.problem {
            Some(problem) => format!("{}: {problem}", mirror.state),
            None => mirror.state.clone(),
        },
    );
    line("copied", mirror.copied.to_string());
    for (why, count) in missed(mirror).into_iter().filter(|(_, count)| *count > 0) {
        line("missed", format!("{count}: {why}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn what_happened_to_copies() {
        let output = Output { format: Format::Table, colors: false, terminal: false };
        assert_eq!(table(&output, &[]), "no mirrors\n");
        let m1 = Mirror {
            mirror: "m1".into(),
            from: vec!["lan".into(), "wan".into()],
            direction: "both".into(),
            to: Some("tap0".into()),
            state: "target down".into(),
            copied: 7,
            missed_down: 3,
            missed_no_buffer: 1,
            limit: Some(10),
            ..Mirror::default()
        };
        let m2 = Mirror {
            mirror: "m2".into(),
            from: vec!["lan".into()],
            direction: "rx".into(),
            file: Some("/tmp/a.pcapng".into()),
            snap_length: Some(64),
            state: "failed".into(),
            problem: Some("No space left on device".into()),
            ..Mirror::default()
        };
        let lines = [
            "Name  From     Direction  To             State                            Copied  Missed",
            "m1    lan wan  both       tap0           target down                           7       4",
            "m2    lan      rx         /tmp/a.pcapng  failed: No space left on device       0       0",
        ];
        assert_eq!(table(&output, &[m1.clone(), m2.clone()]).lines().map(str::trim_end).collect::<Vec<_>>(), lines);
        let text = "m1\n  from         lan wan\n  direction    both\n  to           tap0\n  limit        10 frames\n  state        target down\n  \
                    copied       7\n  missed       3: the target was down\n  missed       1: no packet buffer was free\n";
        assert_eq!(details(&output, &m1), text);
        let text = "m2\n  from         lan\n  direction    rx\n  file         /tmp/a.pcapng\n  snap-length  64 bytes\n  state        failed: No space left \
                    on device\n  copied       0\n";
        assert_eq!(details(&output, &m2), text);
    }
}
