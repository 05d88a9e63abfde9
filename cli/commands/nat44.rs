//! Translation of addresses: `nat44 ...`, `show nat44 ...`.
mod edit;
mod summary;

use millrace_api::v1::{
    ClearNat44SessionsRequest, ListNat44MappingsRequest, ListNat44SessionsRequest, Nat44Filter, Nat44Mapping,
    Nat44Session,
};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, keyword};
use crate::output::{self, Format, Listing};
use crate::session::Session;

pub use edit::COMMANDS as EDITS;

const PROTOCOLS: &[&str] = &["tcp", "udp", "icmp", "gre", "esp"];

const INSIDE: Keyword = keyword("inside", "ADDRESS", Kind::Address, "of this inside host");
const OUTSIDE: Keyword = keyword("outside", "ADDRESS", Kind::Address, "seen outside by this address");
const REMOTE: Keyword = keyword("remote", "ADDRESS", Kind::Address, "with this host outside");
const PROTOCOL: Keyword =
    keyword("protocol", "PROTOCOL", Kind::Suggest(PROTOCOLS), "of this protocol, by name or number");
const PORT: Keyword =
    keyword("port", "PORT", Kind::Number(0, 65535), "with this port, or ICMP identifier, inside, outside or remote");
const VRF: Keyword = keyword("vrf", "VRF", Kind::Vrf, "of hosts in this VRF");
const LIMIT: Keyword = keyword("limit", "N", Kind::Number(1, u32::MAX as u64), "no more than this many");

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "nat44", "sessions"],
        args: &[
            Arg::Option(INSIDE),
            Arg::Option(OUTSIDE),
            Arg::Option(REMOTE),
            Arg::Option(PROTOCOL),
            Arg::Option(PORT),
            Arg::Option(VRF),
            Arg::Option(LIMIT),
        ],
        help: "sessions: who talks to whom, and as whom",
        more: "All that is given must hold. A million sessions may be listed: they are printed as they come.\n\n  \
               show nat44 sessions inside 192.168.1.10\n  \
               show nat44 sessions protocol tcp port 443 limit 20",
        run: sessions,
    },
    Command {
        path: &["show", "nat44", "mappings"],
        args: &[
            Arg::Option(INSIDE),
            Arg::Option(OUTSIDE),
            Arg::Option(PROTOCOL),
            Arg::Option(PORT),
            Arg::Option(VRF),
            Arg::Option(LIMIT),
        ],
        help: "mappings: as whom each inside address and port is seen, static ones first",
        more: "  show nat44 mappings outside 203.0.113.2 port 40000",
        run: mappings,
    },
    Command {
        path: &["show", "nat44", "summary"],
        args: &[Arg::Option(keyword("hosts", "N", Kind::Number(1, 1000), "how many of the busiest hosts to name"))],
        help: "how many sessions and ports are used, by whom, and what was refused",
        more: "",
        run: summary::show,
    },
    Command {
        path: &["nat44", "sessions", "clear"],
        args: &[
            Arg::Option(INSIDE),
            Arg::Option(OUTSIDE),
            Arg::Option(REMOTE),
            Arg::Option(PROTOCOL),
            Arg::Option(PORT),
            Arg::Option(VRF),
        ],
        help: "end sessions; all of them unless something is given",
        more: "All that is given must hold. What comes of them later begins new sessions, perhaps by other ports.\n\n  \
               nat44 sessions clear inside 192.168.1.10 protocol udp",
        run: clear,
    },
];

/// What was asked for; `None` for everything.
fn filter(args: &Args) -> Option<Nat44Filter> {
    let filter = Nat44Filter {
        inside: args.owned("inside"),
        outside: args.owned("outside"),
        remote: args.owned("remote"),
        protocol: args.owned("protocol"),
        port: args.number("port"),
        vrf: args.owned("vrf"),
    };
    (filter != Nat44Filter::default()).then_some(filter)
}

fn sessions(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListNat44SessionsRequest { filter: filter(args), limit: args.number("limit").unwrap_or(0) };
    let mut stream = session.call(|mut client| async move { client.show.list_nat44_sessions(request).await })?;
    let mut listing = Listing::new(&session.output, &session_line(&SESSION_HEADINGS));
    while let Some(batch) = session.next(&mut stream)? {
        listing.add(&batch.sessions, |one| format!("{}\n", session_line(&session_cells(one))))?;
    }
    listing.finish("no sessions\n")
}

const SESSION_HEADINGS: [&str; 9] = ["Prot", "Inside", "Outside", "Remote", "State", "Expires", "Packets", "Bytes", ""];

fn session_cells(one: &Nat44Session) -> [String; 9] {
    [
        one.protocol.clone(),
        endpoint(&one.inside_address, one.inside_port),
        endpoint(&one.outside_address, one.outside_port),
        endpoint(&one.remote_address, one.remote_port),
        one.state.clone(),
        output::seconds(one.expires_in),
        one.packets.to_string(),
        output::bytes(one.bytes),
        if one.vrf == "default" { String::new() } else { format!("vrf {}", one.vrf) },
    ]
}

/// A line of the table. The columns are wide enough for every address and port, because their widths must be known before
/// the last session has come; all together they fit a terminal of 120 columns.
fn session_line(cells: &[impl AsRef<str>; 9]) -> String {
    let [protocol, inside, outside, remote, state, expires, packets, bytes, vrf] = cells.each_ref().map(AsRef::as_ref);
    let ends = format!("{protocol:<4}  {inside:<21}  {outside:<21}  {remote:<21}");
    format!("{ends}  {state:<11}  {expires:>7}  {packets:>8}  {bytes:>10}  {vrf}").trim_end().to_owned()
}

fn mappings(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListNat44MappingsRequest { filter: filter(args), limit: args.number("limit").unwrap_or(0) };
    let mut stream = session.call(|mut client| async move { client.show.list_nat44_mappings(request).await })?;
    let mut listing = Listing::new(&session.output, &mapping_line(&MAPPING_HEADINGS));
    while let Some(batch) = session.next(&mut stream)? {
        listing.add(&batch.mappings, |one| format!("{}\n", mapping_line(&mapping_cells(one))))?;
    }
    listing.finish("no mappings\n")
}

const MAPPING_HEADINGS: [&str; 7] = ["Type", "Protocol", "Inside", "Outside", "Sessions", "VRF", "Notes"];

fn mapping_cells(one: &Nat44Mapping) -> [String; 7] {
    let ports = |address: &str, first: u32| match one.ports {
        0 | 1 => endpoint(address, first),
        ports => format!("{}-{}", endpoint(address, first), first + ports - 1),
    };
    let mut notes: Vec<String> = one.interface.iter().map(|name| format!("of {name}")).collect();
    if one.weight > 1 {
        notes.push(format!("weight {}", one.weight));
    }
    if one.twice_nat {
        notes.push("twice-nat".to_owned());
    }
    [
        one.r#type.clone(),
        one.protocol.clone(),
        ports(&one.inside_address, one.inside_port),
        one.outside_address.as_ref().map_or("-".to_owned(), |address| ports(address, one.outside_port)),
        one.sessions.map_or("-".to_owned(), |sessions| sessions.to_string()),
        one.vrf.clone(),
        notes.join(", "),
    ]
}

fn mapping_line(cells: &[impl AsRef<str>; 7]) -> String {
    let [kind, protocol, inside, outside, sessions, vrf, notes] = cells.each_ref().map(AsRef::as_ref);
    let ends = format!("{kind:<7}  {protocol:<8}  {inside:<27}  {outside:<27}");
    format!("{ends}  {sessions:>8}  {vrf:<10}  {notes}").trim_end().to_owned()
}

/// `address:port`; the address alone where there are no ports.
fn endpoint(address: &str, port: u32) -> String {
    if port == 0 { address.to_owned() } else { format!("{address}:{port}") }
}

fn clear(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ClearNat44SessionsRequest { filter: filter(args) };
    let reply = session.call(|mut client| async move { client.operate.clear_nat44_sessions(request).await })?;
    if session.output.format != Format::Table {
        return session.print(&reply, |_| String::new());
    }
    let sessions = if reply.sessions == 1 { "session" } else { "sessions" };
    session.output.print_line(&format!("{} {sessions} cleared", reply.sessions))
}
