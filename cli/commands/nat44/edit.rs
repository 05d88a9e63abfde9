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
            Arg::Required(keyword("external", "EXTERNAL", Kind::Word, EXTERNAL)),
            Arg::Required(keyword(
                "internal",
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
        more: "Without a protocol the whole address is mapped, one-to-one.\n\n  \
               nat44 mapping add protocol tcp external 203.0.113.2:8080 internal 192.168.1.10:80\n  \
               nat44 mapping add protocol udp external wan:5000-5100 internal 192.168.1.10:6000-6100\n  \
               nat44 mapping add protocol tcp external wan:443 internal 192.168.1.10:443,192.168.1.11:443 weights 2,1\n  \
               nat44 mapping add external 203.0.113.3 internal 192.168.1.11",
        run: |session, args| {
            let mapping = mapping(args)?;
            change(session, Change::MappingAdd(mapping))
        },
    },
    Command {
        path: &["nat44", "mapping", "remove"],
        args: &[Arg::Required(keyword("external", "EXTERNAL", Kind::Nat44External, EXTERNAL)), Arg::Option(PROTOCOL)],
        help: "remove a static mapping",
        more: "Its sessions end.",
        run: |session, args| {
            let (protocol, external) = (args.owned("protocol"), args.text("external"));
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
        path: &["nat44", "set", "filtering"],
        args: &[value("WHO", Kind::Choice(FILTERING), "whose packets")],
        help: "whose packets to a mapped port are let in",
        more: "endpoint-independent: anyone's. address-dependent: those of addresses that the inside host has sent to. \
               address-and-port-dependent: those of addresses and ports that it has sent to.",
        run: |session, args| set_one(session, args, "filtering", "WHO"),
    },
    Command {
        path: &["nat44", "set", "mss-clamp"],
        args: &[value("BYTES", Kind::Suggest(&["off"]), "from 536, or off")],
        help: "the largest MSS that TCP connections may agree on",
        more: "  nat44 set mss-clamp 1452",
        run: |session, args| set_one(session, args, "mss-clamp", "BYTES"),
    },
    Command {
        path: &["nat44", "set", "timeouts"],
        args: &[Arg::AnyOf(&[
            keyword("udp", "TIME", Kind::Word, "UDP, and other protocols without connections, such as 300s"),
            keyword("tcp-established", "TIME", Kind::Word, "TCP connections that are open"),
            keyword("tcp-transitory", "TIME", Kind::Word, "TCP connections that are opening or closing"),
            keyword("icmp", "TIME", Kind::Word, "ICMP queries"),
        ])],
        help: "how long sessions last without packets",
        more: "  nat44 set timeouts udp 120s icmp 30s",
        run: |session, args| set(session, args, "timeouts", &["udp", "tcp-established", "tcp-transitory", "icmp"]),
    },
    Command {
        path: &["nat44", "set", "max-sessions"],
        args: &[value("N", Kind::Number(1, 16_000_000), "how many")],
        help: "the most sessions in all",
        more: "",
        run: |session, args| set_one(session, args, "max-sessions", "N"),
    },
    Command {
        path: &["nat44", "set", "max-sessions-per-host"],
        args: &[value("N", Kind::Number(1, 16_000_000), "how many")],
        help: "the most sessions of an inside host",
        more: "",
        run: |session, args| set_one(session, args, "max-sessions-per-host", "N"),
    },
    Command {
        path: &["nat44", "set", "log"],
        args: &[Arg::AnyOf(&[
            keyword(
                "mappings",
                "BOOL",
                Kind::Choice(&["true", "false"]),
                "whether to tell of mappings that come and go",
            ),
            keyword("syslog", "COLLECTOR", Kind::Suggest(&["off"]), "whom to tell, such as 192.0.2.9:514, or off"),
            keyword("rate", "N", Kind::Number(1, 100_000), "the most messages a second"),
        ])],
        help: "what is told of mappings, and to whom",
        more: "  nat44 set log mappings true syslog 192.0.2.9:514",
        run: |session, args| set(session, args, "log", &["mappings", "syslog", "rate"]),
    },
];

const FILTERING: &[&str] = &["endpoint-independent", "address-dependent", "address-and-port-dependent"];

fn change(session: &mut Session, change: Change) -> Result<(), Error> {
    edit(session, Edit::Nat44(Nat44Edit { edit: Some(change) }))
}

/// Sets a key to what was typed in the place of `name`.
fn set_one(session: &mut Session, args: &Args, key: &str, name: &str) -> Result<(), Error> {
    let setting = Setting { key: key.to_owned(), value: args.text(name) };
    change(session, Change::Set(Nat44Set { settings: vec![setting] }))
}

/// Sets those of the keys below a key that were typed.
fn set(session: &mut Session, args: &Args, above: &str, keys: &[&str]) -> Result<(), Error> {
    let setting = |key: &&str| Some(Setting { key: format!("{above} {key}"), value: args.owned(key)? });
    change(session, Change::Set(Nat44Set { settings: keys.iter().filter_map(setting).collect() }))
}

fn exempt(args: &Args) -> Nat44Exempt {
    Nat44Exempt { source: args.owned("source"), destination: args.owned("destination") }
}

fn mapping(args: &Args) -> Result<Nat44MappingAdd, Error> {
    let servers: Vec<&str> = args.get("internal").unwrap_or_default().split(',').collect();
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
        external: args.text("external"),
        internal: servers.into_iter().zip(weights).map(server).collect(),
        affinity: args.owned("affinity").unwrap_or_default(),
        twice_nat: args.has("twice-nat"),
        vrf: args.owned("vrf"),
    })
}
