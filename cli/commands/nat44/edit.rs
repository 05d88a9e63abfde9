//! The commands that change the translation: `nat44 inside|outside|pool|twice-nat-pool|mapping|exempt|set`.
use millrace_api::v1::edit_request::Edit;
use millrace_api::v1::nat44_edit::Edit as Change;
use millrace_api::v1::{Nat44Edit, Nat44Exempt, Nat44MappingAdd, Nat44MappingRemove, Nat44Server, Nat44Set, Setting};

use crate::commands::config::edit;
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, flag, keyword, value};
use crate::session::Session;

const INTERFACE: Arg = value("NAME", Kind::Interface, "the interface");
const RANGE: Arg = value("ADDRESSES", Kind::Word, "an address, a range such as 203.0.113.4-203.0.113.9, or a prefix");
const POOL: Arg = value(
    "ADDRESSES",
    Kind::Suggest(&["interface"]),
    "an address, a range such as 203.0.113.4-203.0.113.9, a prefix, or \"interface\"",
);
const EXTERNAL: &str =
    "what is seen outside: an address or an outside interface, and a port or range if there is a protocol";
const PROTOCOL: Keyword = keyword(
    "protocol",
    "PROTOCOL",
    Kind::Choice(&["tcp", "udp"]),
    "tcp or udp, with ports; all of the address without",
);
const EXEMPT: Arg = Arg::AnyOf(&[
    keyword("source", "PREFIX", Kind::Prefix, "inside; everything unless given"),
    keyword("destination", "PREFIX", Kind::Prefix, "outside; everything unless given"),
]);

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["nat44", "inside", "add"],
        args: &[INTERFACE],
        help: "translate what comes in by an interface and leaves by an outside one",
        more: "",
        run: |session, args| change(session, Change::InsideAdd(args.text("NAME"))),
    },
    Command {
        path: &["nat44", "inside", "remove"],
        args: &[INTERFACE],
        help: "translate no more what comes in by an interface",
        more: "",
        run: |session, args| change(session, Change::InsideRemove(args.text("NAME"))),
    },
    Command {
        path: &["nat44", "outside", "add"],
        args: &[INTERFACE],
        help: "translate what leaves by an interface",
        more: "",
        run: |session, args| change(session, Change::OutsideAdd(args.text("NAME"))),
    },
    Command {
        path: &["nat44", "outside", "remove"],
        args: &[INTERFACE],
        help: "translate no more what leaves by an interface",
        more: "",
        run: |session, args| change(session, Change::OutsideRemove(args.text("NAME"))),
    },
    Command {
        path: &["nat44", "pool", "add"],
        args: &[POOL],
        help: "hide inside hosts behind more addresses",
        more: "Without addresses the pool is \"interface\": each outside interface's own address. The first address takes its \
               place.\n\n  nat44 pool add 203.0.113.16/30",
        run: |session, args| change(session, Change::PoolAdd(args.text("ADDRESSES"))),
    },
    Command {
        path: &["nat44", "pool", "remove"],
        args: &[POOL],
        help: "hide inside hosts behind fewer addresses; also a part of a range",
        more: "Sessions by these addresses end.",
        run: |session, args| change(session, Change::PoolRemove(args.text("ADDRESSES"))),
    },
    Command {
        path: &["nat44", "twice-nat-pool", "add"],
        args: &[RANGE],
        help: "more addresses for clients of mappings with twice-nat",
        more: "",
        run: |session, args| change(session, Change::TwiceNatPoolAdd(args.text("ADDRESSES"))),
    },
    Command {
        path: &["nat44", "twice-nat-pool", "remove"],
        args: &[RANGE],
        help: "fewer addresses for clients of mappings with twice-nat",
        more: "",
        run: |session, args| change(session, Change::TwiceNatPoolRemove(args.text("ADDRESSES"))),
    },
    Command {
        path: &["nat44", "mapping", "add"],
        args: &[
            value("EXTERNAL", Kind::Word, EXTERNAL),
            Arg::Required(keyword(
                "to",
                "SERVERS",
                Kind::Word,
                "inside servers, with commas between them; ports as outside",
            )),
            Arg::Option(PROTOCOL),
            Arg::Option(keyword(
                "weights",
                "NUMBERS",
                Kind::Word,
                "each server's share of the clients, as in 2,1; 1 unless given",
            )),
            Arg::Option(keyword(
                "affinity",
                "AFFINITY",
                Kind::Choice(&["client", "none"]),
                "whether a client keeps to a server; client unless given",
            )),
            Arg::Option(flag("twice-nat", "give clients an address of the twice-nat pool")),
            Arg::Option(keyword("vrf", "VRF", Kind::Vrf, "the VRF of the servers; \"default\" unless given")),
        ],
        help: "let outside hosts reach inside servers",
        more: "  nat44 mapping add 203.0.113.2:8080 to 192.168.1.10:80 protocol tcp\n  \
               nat44 mapping add wan:5000-5100 to 192.168.1.10:6000-6100 protocol udp\n  \
               nat44 mapping add wan:443 to 192.168.1.10:443,192.168.1.11:443 protocol tcp weights 2,1\n  \
               nat44 mapping add 203.0.113.3 to 192.168.1.11",
        run: |session, args| {
            let mapping = mapping(args)?;
            change(session, Change::MappingAdd(mapping))
        },
    },
    Command {
        path: &["nat44", "mapping", "remove"],
        args: &[value("EXTERNAL", Kind::Nat44External, EXTERNAL), Arg::Option(PROTOCOL)],
        help: "remove a static mapping",
        more: "Its sessions end.",
        run: |session, args| {
            let (protocol, external) = (args.owned("protocol"), args.text("EXTERNAL"));
            change(session, Change::MappingRemove(Nat44MappingRemove { protocol, external }))
        },
    },
    Command {
        path: &["nat44", "exempt", "add"],
        args: &[EXEMPT],
        help: "translate nothing between networks",
        more: "  nat44 exempt add source 192.168.1.0/24 destination 10.0.0.0/8",
        run: |session, args| change(session, Change::ExemptAdd(exempt(args))),
    },
    Command {
        path: &["nat44", "exempt", "remove"],
        args: &[EXEMPT],
        help: "translate again between networks",
        more: "",
        run: |session, args| change(session, Change::ExemptRemove(exempt(args))),
    },
    Command {
        path: &["nat44", "set"],
        args: &[Arg::AnyOf(&[
            keyword("filtering", "WHO", Kind::Choice(FILTERING), "whose packets to a mapped port are let in"),
            keyword("mss-clamp", "BYTES", Kind::Suggest(&["off"]), "the largest TCP MSS to agree on, or off"),
            keyword("udp-timeout", "TIME", Kind::Word, "how long a UDP session lasts without packets, such as 300s"),
            keyword("tcp-established-timeout", "TIME", Kind::Word, "how long an open connection lasts without packets"),
            keyword("tcp-transitory-timeout", "TIME", Kind::Word, "how long one lasts that is opening or closing"),
            keyword("icmp-timeout", "TIME", Kind::Word, "how long an ICMP query waits for its answer"),
            keyword("max-sessions", "N", Kind::Number(1, 16_000_000), "the most sessions"),
            keyword("max-sessions-per-host", "N", Kind::Number(1, 16_000_000), "the most sessions of an inside host"),
            keyword("log", "BOOL", Kind::Choice(&["true", "false"]), "whether to tell of mappings that come and go"),
            keyword("syslog", "COLLECTOR", Kind::Suggest(&["off"]), "whom to tell, such as 192.0.2.9:514, or off"),
            keyword("log-rate", "N", Kind::Number(1, 100_000), "the most messages a second"),
        ])],
        help: "change limits, timeouts, filtering and the log",
        more: "  nat44 set udp-timeout 120s max-sessions 500000\n  nat44 set mss-clamp 1452\n  nat44 set log true syslog 192.0.2.9:514",
        run: |session, args| change(session, Change::Set(Nat44Set { settings: settings(args) })),
    },
];

const FILTERING: &[&str] = &["endpoint-independent", "address-dependent", "address-and-port-dependent"];

/// The words of `nat44 set`, and the keys of the configuration that they set.
const KEYS: &[(&str, &str)] = &[
    ("filtering", "filtering"),
    ("mss-clamp", "mss-clamp"),
    ("udp-timeout", "timeouts udp"),
    ("tcp-established-timeout", "timeouts tcp-established"),
    ("tcp-transitory-timeout", "timeouts tcp-transitory"),
    ("icmp-timeout", "timeouts icmp"),
    ("max-sessions", "max-sessions"),
    ("max-sessions-per-host", "max-sessions-per-host"),
    ("log", "log mappings"),
    ("syslog", "log syslog"),
    ("log-rate", "log rate"),
];

fn change(session: &mut Session, change: Change) -> Result<(), Error> {
    edit(session, Edit::Nat44(Nat44Edit { edit: Some(change) }))
}

fn settings(args: &Args) -> Vec<Setting> {
    let given = KEYS.iter().filter_map(|(word, key)| Some((*key, args.get(word)?)));
    given.map(|(key, value)| Setting { key: key.to_owned(), value: value.to_owned() }).collect()
}

fn exempt(args: &Args) -> Nat44Exempt {
    Nat44Exempt { source: args.owned("source"), destination: args.owned("destination") }
}

fn mapping(args: &Args) -> Result<Nat44MappingAdd, Error> {
    let servers: Vec<&str> = args.get("to").unwrap_or_default().split(',').collect();
    let weight = |text: &str| match text.parse() {
        Ok(weight @ 1..=255) => Ok(weight),
        _ => Err(Error::usage(format!("\"{text}\" is no weight: a number from 1 to 255"))),
    };
    let mut weights = vec![1; servers.len()];
    if let Some(text) = args.get("weights") {
        weights = text.split(',').map(weight).collect::<Result<_, _>>()?;
    }
    if weights.len() != servers.len() {
        let (servers, weights) = (servers.len(), weights.len());
        return Err(Error::usage(format!(
            "{weights} weights for {servers} servers; each server has one, in their order"
        )));
    }
    let server = |(address, weight): (&str, u32)| Nat44Server { address: address.to_owned(), weight };
    Ok(Nat44MappingAdd {
        protocol: args.owned("protocol"),
        external: args.text("EXTERNAL"),
        internal: servers.into_iter().zip(weights).map(server).collect(),
        affinity: args.owned("affinity").unwrap_or_default(),
        twice_nat: args.has("twice-nat"),
        vrf: args.owned("vrf"),
    })
}
