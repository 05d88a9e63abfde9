//! Changes of bridges: `bridge add|set|remove`.
use millrace_api::v1::edit_request::Edit;
use millrace_api::v1::{BridgeAdd, BridgeRemove, BridgeSet};

use super::config::edit;
use super::interface::settings;
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, keyword, value};
use crate::session::Session;

/// `true` and `false`.
const BOOL: Kind = Kind::Choice(&["true", "false"]);

const KEYS: [Keyword; 12] = [
    keyword("mac-age", "TIME", Kind::Suggest(&["300s"]), "how long a station is remembered; 0s: for ever"),
    keyword("mac-limit", "NUMBER", Kind::Number(1, 1 << 20), "the most stations, in each VLAN"),
    keyword("learn", "BOOL", BOOL, "whether stations are learnt"),
    keyword("forward", "BOOL", BOOL, "whether frames to known stations are forwarded"),
    keyword("flood", "BOOL", BOOL, "whether broadcast and multicast are flooded"),
    keyword("unknown-unicast", "WHAT", Kind::Choice(&["flood", "drop"]), "frames to stations that nobody knows"),
    keyword("stp", "WHAT", Kind::Choice(&["drop", "pass"]), "frames of spanning tree protocols"),
    keyword("arp-suppression", "BOOL", BOOL, "whether it answers ARP and ND for stations that it knows"),
    keyword("igmp-snooping", "BOOL", BOOL, "whether IPv4 multicast goes only where somebody listens"),
    keyword("mld-snooping", "BOOL", BOOL, "whether IPv6 multicast goes only where somebody listens"),
    keyword("static-macs", "YAML", Kind::Yaml, "stations that are not learnt, as in the configuration file"),
    keyword("bvi", "WHAT", Kind::Suggest(&["on", "off"]), "its routed interface: on, off, or keys in braces"),
];

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["bridge", "add"],
        args: &[value("NAME", Kind::Word, "name for the bridge: letters, digits, `.`, `_`, `-`"), Arg::Options(&KEYS)],
        help: "add a bridge",
        more: "Interfaces become its ports by `interface set NAME bridge BRIDGE`. Its own routed interface, the BVI, has the bridge's \
               name.\n\n  \
               bridge add br0\n  \
               bridge add br0 bvi '{addresses: [10.1.0.1/24]}'\n  \
               bridge add br1 mac-age 5m mac-limit 1000 unknown-unicast drop",
        run: add,
    },
    Command {
        path: &["bridge", "set"],
        args: &[value("NAME", Kind::Bridge, "bridge to change"), Arg::AnyOf(&KEYS)],
        help: "change a bridge",
        more: "  bridge set br0 mac-age 10m igmp-snooping true\n  \
               bridge set br0 bvi on\n  \
               bridge set br0 static-macs '[{mac: \"02:00:00:00:00:01\", interface: c1}]'\n\n\
               What a BVI has besides is changed like that of any interface: `address add`, `interface set`.",
        run: set,
    },
    Command {
        path: &["bridge", "remove"],
        args: &[value("NAME", Kind::Bridge, "bridge to remove")],
        help: "remove a bridge that has no ports any more",
        more: "Its BVI goes with it, unless something refers to that.",
        run: remove,
    },
];

fn add(session: &mut Session, args: &Args) -> Result<(), Error> {
    let settings = settings(args, KEYS.iter())?;
    edit(session, Edit::BridgeAdd(BridgeAdd { name: args.text("NAME"), settings }))
}

fn set(session: &mut Session, args: &Args) -> Result<(), Error> {
    let settings = settings(args, KEYS.iter())?;
    edit(session, Edit::BridgeSet(BridgeSet { name: args.text("NAME"), settings }))
}

fn remove(session: &mut Session, args: &Args) -> Result<(), Error> {
    edit(session, Edit::BridgeRemove(BridgeRemove { name: args.text("NAME") }))
}
