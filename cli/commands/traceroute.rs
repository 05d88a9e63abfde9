//! `traceroute`, which prints as traceroute(8) does.
use millrace_api::v1::{TracerouteHop, TracerouteRequest};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, keyword, value};
use crate::output::Format;
use crate::session::Session;

const MAX_HOPS: u32 = 30;

pub const COMMANDS: &[Command] = &[Command {
    path: &["traceroute"],
    args: &[
        value("ADDRESS", Kind::Target, "where to"),
        Arg::Option(keyword("source", "ADDRESS", Kind::Address, "the router's address to send from")),
        Arg::Option(keyword("vrf", "VRF", Kind::Vrf, "the VRF to look up")),
    ],
    help: "find the routers on the way to an address",
    more: "Ctrl-C ends it early. Fails when the address did not answer.",
    run: traceroute,
}];

fn traceroute(session: &mut Session, args: &Args) -> Result<(), Error> {
    let address = args.text("ADDRESS");
    let request = TracerouteRequest {
        address: address.clone(),
        source: args.owned("source"),
        vrf: args.owned("vrf"),
        max_hops: MAX_HOPS,
        ..Default::default()
    };
    let mut stream = session.call(|mut client| async move { client.operate.traceroute(request).await })?;
    session.output.print_line(&format!("traceroute to {address}, {MAX_HOPS} hops max"))?;
    let mut hops = Vec::new();
    while let Some(hop) = session.next(&mut stream)? {
        session.output.print_line(&line(&hop))?;
        hops.push(hop);
    }
    if session.output.format != Format::Table {
        session.print(&hops[..], |_| String::new())?;
    }
    if hops.iter().any(|hop| hop.reached) { Ok(()) } else { Err(Error::Failed) }
}

/// The hop's number, and for each probe its time, after the name of who answered when that is another than before.
fn line(hop: &TracerouteHop) -> String {
    let mut text = format!("{:>2}", hop.hop);
    let mut last = None;
    for probe in &hop.probes {
        let Some(from) = &probe.from else {
            text.push_str("  *");
            continue;
        };
        if last != Some(from) {
            text.push_str(&format!("  {from}"));
            last = Some(from);
        }
        text.push_str(&format!("  {:.3} ms", probe.rtt_us / 1000.0));
        if !probe.note.is_empty() {
            text.push_str(&format!(" {}", probe.note));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_api::v1::TracerouteProbe;

    #[test]
    fn prints_as_traceroute_does() {
        let probe = |from: Option<&str>, rtt_us, note: &str| TracerouteProbe {
            from: from.map(str::to_owned),
            rtt_us,
            note: note.into(),
        };
        let probes = vec![
            probe(Some("192.0.2.1"), 100.0, ""),
            probe(None, 0.0, ""),
            probe(Some("192.0.2.1"), 200.0, ""),
            probe(Some("192.0.2.2"), 300.0, "!H"),
        ];
        let hop = TracerouteHop { hop: 3, probes, reached: false };
        assert_eq!(line(&hop), " 3  192.0.2.1  0.100 ms  *  0.200 ms  192.0.2.2  0.300 ms !H");
    }
}
