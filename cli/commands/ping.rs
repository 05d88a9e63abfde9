//! `ping`, which prints as ping(8) does.
use millrace_api::v1::{PingEvent, PingRequest};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, keyword, value};
use crate::output::Format;
use crate::session::Session;

/// Requests that are sent unless a number is given.
const COUNT: u32 = 5;
/// Bytes of payload, as ping(8) sends them.
const SIZE: u32 = 56;

pub const COMMANDS: &[Command] = &[Command {
    path: &["ping"],
    args: &[
        value("ADDRESS", Kind::Target, "whom to ask, on a link as fe80::1%INTERFACE"),
        Arg::Option(keyword("count", "N", Kind::Number(1, 1_000_000), "how many requests; 5 unless given")),
        Arg::Option(keyword("source", "ADDRESS", Kind::Address, "the router's address to send from")),
        Arg::Option(keyword("vrf", "VRF", Kind::Vrf, "the VRF to look up")),
    ],
    help: "send ICMP echo requests from the router",
    more: "Ctrl-C ends it early. Fails when no answer came.",
    run: ping,
}];

fn ping(session: &mut Session, args: &Args) -> Result<(), Error> {
    let address = args.text("ADDRESS");
    let request = PingRequest {
        address: address.clone(),
        count: args.number("count").unwrap_or(COUNT),
        source: args.owned("source"),
        vrf: args.owned("vrf"),
        size: Some(SIZE),
        ..Default::default()
    };
    let mut stream = session.call(|mut client| async move { client.operate.ping(request).await })?;
    session.output.print_line(&format!("PING {address}: {SIZE} data bytes"))?;
    let mut events = Vec::new();
    loop {
        match session.next(&mut stream) {
            Ok(Some(event)) => {
                session.output.print_line(&line(&event))?;
                events.push(event);
            }
            // Ctrl-C ends a ping, it does not fail it.
            Ok(None) | Err(Error::Interrupted) => break,
            Err(error) => return Err(error),
        }
    }
    match session.output.format {
        Format::Table => session.output.print_line(&summary(&address, &events))?,
        _ => session.print(&events[..], |_| String::new())?,
    }
    if events.iter().any(is_reply) { Ok(()) } else { Err(Error::Failed) }
}

fn is_reply(event: &PingEvent) -> bool {
    event.outcome == "reply"
}

fn line(event: &PingEvent) -> String {
    let from = event.from.as_deref().unwrap_or("?");
    match event.outcome.as_str() {
        "reply" => format!(
            "{} bytes from {from}: icmp_seq={} ttl={} time={:.3} ms",
            event.bytes,
            event.sequence,
            event.ttl,
            event.rtt_us / 1000.0
        ),
        "timeout" => format!("no answer: icmp_seq={}", event.sequence),
        other => format!("From {from} icmp_seq={} {other}", event.sequence),
    }
}

fn summary(address: &str, events: &[PingEvent]) -> String {
    let times: Vec<f64> = events.iter().filter(|event| is_reply(event)).map(|event| event.rtt_us / 1000.0).collect();
    let (sent, received) = (events.len(), times.len());
    let loss = (sent - received) as f64 * 100.0 / sent.max(1) as f64;
    let mut text = format!("\n--- {address} ping statistics ---\n");
    text.push_str(&format!("{sent} packets transmitted, {received} received, {loss:.0}% packet loss"));
    if received > 0 {
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);
        let most = times.iter().copied().fold(0.0, f64::max);
        let mean = times.iter().sum::<f64>() / received as f64;
        let deviation = (times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / received as f64).sqrt();
        text.push_str(&format!("\nrtt min/avg/max/mdev = {least:.3}/{mean:.3}/{most:.3}/{deviation:.3} ms"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: u32, outcome: &str, from: Option<&str>, rtt_us: f64) -> PingEvent {
        let (outcome, from) = (outcome.into(), from.map(str::to_owned));
        PingEvent { sequence, outcome, from, bytes: 64, ttl: 63, rtt_us }
    }

    #[test]
    fn prints_as_ping_does() {
        let reply = event(1, "reply", Some("192.0.2.1"), 1250.0);
        let refused = event(2, "Destination Host Unreachable", Some("192.0.2.9"), 0.0);
        let silent = event(3, "timeout", None, 0.0);
        assert_eq!(line(&reply), "64 bytes from 192.0.2.1: icmp_seq=1 ttl=63 time=1.250 ms");
        assert_eq!(line(&refused), "From 192.0.2.9 icmp_seq=2 Destination Host Unreachable");
        assert_eq!(line(&silent), "no answer: icmp_seq=3");
        assert_eq!(
            summary("192.0.2.1", &[reply, event(2, "reply", None, 750.0), refused, silent]),
            "\n--- 192.0.2.1 ping statistics ---\n4 packets transmitted, 2 received, 50% packet loss\n\
             rtt min/avg/max/mdev = 0.750/1.000/1.250/0.250 ms"
        );
        let none = summary("192.0.2.1", &[event(1, "timeout", None, 0.0)]);
        assert!(none.ends_with("1 packets transmitted, 0 received, 100% packet loss"), "{none}");
    }
}
