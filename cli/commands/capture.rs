//! Capturing packets to a pcapng file: `capture start|stop|status`.
use millrace_api::v1::{Capture, GetCaptureRequest, StartCaptureRequest, StopCaptureRequest};

use super::config::absolute;
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, keyword, value};
use crate::session::Session;

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["capture", "start"],
        args: &[
            value("FILE", Kind::File, "pcapng file to write; the daemon writes it, with the daemon's rights"),
            Arg::Option(keyword("interface", "NAME", Kind::Interface, "only packets of this interface")),
            Arg::Option(keyword("filter", "EXPR", Kind::Expression, "only packets that match, as in pcap-filter(7)")),
            Arg::Option(keyword("limit", "N", Kind::Number(1, u64::MAX), "stop after this many packets")),
        ],
        help: "write packets to a file",
        more: "  capture start /tmp/wan.pcapng interface wan filter tcp port 80 limit 1000",
        run: start,
    },
    Command {
        path: &["capture", "stop"],
        args: &[],
        help: "end the capture and close its file",
        more: "",
        run: |session, _| {
            let reply = session.call(|mut c| async move { c.operate.stop_capture(StopCaptureRequest {}).await })?;
            session.print(&reply, text)
        },
    },
    Command {
        path: &["capture", "status"],
        args: &[],
        help: "the capture that runs, or the last one",
        more: "",
        run: |session, _| {
            let reply = session.call(|mut c| async move { c.operate.get_capture(GetCaptureRequest {}).await })?;
            session.print(&reply, text)
        },
    },
];

fn start(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = StartCaptureRequest {
        file: absolute(&args.text("FILE"))?,
        interface: args.owned("interface"),
        filter: args.owned("filter"),
        limit: args.number("limit").unwrap_or(0),
    };
    let reply = session.call(|mut client| async move { client.operate.start_capture(request).await })?;
    session.print(&reply, text)
}

fn text(capture: &Capture) -> String {
    if capture.file.is_empty() {
        return "no capture yet\n".to_owned();
    }
    let mut text = format!("{} {}", if capture.running { "capturing to" } else { "captured to" }, capture.file);
    if let Some(interface) = &capture.interface {
        text.push_str(&format!(", interface {interface}"));
    }
    if let Some(filter) = &capture.filter {
        text.push_str(&format!(", filter \"{filter}\""));
    }
    if capture.limit > 0 {
        text.push_str(&format!(", limit {}", capture.limit));
    }
    text.push_str(&format!(": {} packets", capture.packets));
    if capture.missed > 0 {
        text.push_str(&format!(", {} missed", capture.missed));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_told_in_a_line() {
        assert_eq!(text(&Capture::default()), "no capture yet\n");
        let capture = Capture {
            running: true,
            file: "/tmp/a.pcapng".into(),
            interface: Some("wan".into()),
            filter: Some("tcp port 80".into()),
            limit: 10,
            packets: 3,
            missed: 1,
        };
        let line = "capturing to /tmp/a.pcapng, interface wan, filter \"tcp port 80\", limit 10: 3 packets, 1 missed\n";
        assert_eq!(text(&capture), line);
    }
}
