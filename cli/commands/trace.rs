//! Traced packets: `trace add`, `show trace`.
use millrace_api::v1::{AddTraceRequest, ListTraceRequest, TracedPacket};

use super::config::done;
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, keyword, maybe, value};
use crate::session::Session;

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "trace"],
        args: &[maybe("COUNT", Kind::Number(1, u32::MAX as u64), "at most this many packets")],
        help: "traced packets: the nodes that each passed, what they saw and decided",
        more: "",
        run: show,
    },
    Command {
        path: &["trace", "add"],
        args: &[
            value("NODE", Kind::Node, "node whose packets to trace, such as device-input"),
            value("COUNT", Kind::Number(1, 100_000), "how many packets"),
            Arg::Option(keyword("filter", "EXPR", Kind::Expression, "only packets that match, as in pcap-filter(7)")),
        ],
        help: "trace the next packets that come to a node",
        more: "  trace add device-input 10\n  trace add ip4-input 5 filter icmp and host 192.0.2.1",
        run: add,
    },
];

fn add(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = AddTraceRequest {
        node: args.text("NODE"),
        count: args.number("COUNT").unwrap_or(1),
        filter: args.owned("filter"),
    };
    let reply = session.call(|mut client| async move { client.operate.add_trace(request).await })?;
    done(session, &reply)
}

fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListTraceRequest { limit: args.number("COUNT").unwrap_or(0) };
    let reply = session.call(|mut client| async move { client.show.list_trace(request).await })?;
    session.print(&reply.packets[..], |packets| packets.iter().map(packet).collect::<Vec<_>>().join("\n"))
}

fn packet(packet: &TracedPacket) -> String {
    let mut text = format!("packet {}, worker {}, {}\n", packet.packet, packet.worker, packet.time);
    for hop in &packet.hops {
        let next = if hop.next.is_empty() { String::new() } else { format!(" -> {}", hop.next) };
        text.push_str(&format!("{:>10} ns  {}{next}\n", hop.offset_ns, hop.node));
        for line in hop.text.lines() {
            text.push_str(&format!("{:17}{line}\n", ""));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_api::v1::TraceHop;

    #[test]
    fn each_node_tells_what_it_saw_and_decided() {
        let hop = |node: &str, offset_ns, text: &str, next: &str| TraceHop {
            node: node.into(),
            offset_ns,
            text: text.into(),
            next: next.into(),
        };
        let hops = vec![
            hop("ip4-input", 0, "192.0.2.1 > 192.0.2.2\nttl 1", "error-drop: time to live ran out"),
            hop("error-drop", 1250, "", ""),
        ];
        let traced = TracedPacket { packet: 3, worker: 1, time: "2026-11-21T20:56:01.000001Z".into(), hops };
        assert_eq!(
            packet(&traced),
            "packet 3, worker 1, 2026-11-21T20:56:01.000001Z\n\
             \u{20}        0 ns  ip4-input -> error-drop: time to live ran out\n\
             \u{20}                192.0.2.1 > 192.0.2.2\n\
             \u{20}                ttl 1\n\
             \u{20}     1250 ns  error-drop\n"
        );
    }
}
