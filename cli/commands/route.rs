//! Changes of routes: `route add|replace|remove`. What shows them is next door.
use millrace_api::v1::edit_request::Edit;
use millrace_api::v1::{NextHop, RouteEdit, RouteRemove};

use super::config::edit;
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, flag, keyword, value};

const PREFIX: Arg = value("PREFIX", Kind::Prefix, "where to, such as 10.0.0.0/8 or 2001:db8::/32");
const VRF: Keyword = keyword("vrf", "VRF", Kind::Vrf, "the VRF; \"default\" unless given");
const WAYS: &[Arg] = &[
    PREFIX,
    Arg::AnyOf(&[
        keyword("via", "GATEWAY", Kind::Addresses, "next routers, with commas between them"),
        keyword("interface", "NAME", Kind::Interface, "the interface to send from; without `via`, a tunnel of packets"),
        keyword("next-vrf", "VRF", Kind::Vrf, "look the packets up in this VRF instead"),
        flag("blackhole", "drop the packets in silence"),
        flag("unreachable", "drop the packets and tell the sender: host unreachable"),
        flag("prohibit", "drop the packets and tell the sender: prohibited"),
    ]),
    Arg::Option(keyword("weight", "N", Kind::Number(1, 255), "share of the traffic, beside other next routers")),
    Arg::Option(VRF),
];

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["route", "add"],
        args: WAYS,
        help: "add a route",
        more: "Refused when there is a route to the prefix; `route replace` is not.\n\n  \
               route add 0.0.0.0/0 via 203.0.113.1\n  \
               route add 10.0.0.0/8 via 192.0.2.1,192.0.2.5 vrf blue\n  \
               route add ::/0 via fe80::1 interface wan\n  \
               route add 10.20.0.0/16 interface gre0\n  \
               route add 10.8.0.0/16 next-vrf blue\n  \
               route add 198.51.100.0/24 blackhole",
        run: |session, args| edit(session, Edit::RouteAdd(route(args)?)),
    },
    Command {
        path: &["route", "replace"],
        args: WAYS,
        help: "add a route, or change the one to the prefix",
        more: "Packets lose no route meanwhile.",
        run: |session, args| edit(session, Edit::RouteReplace(route(args)?)),
    },
    Command {
        path: &["route", "remove"],
        args: &[PREFIX, Arg::Option(VRF)],
        help: "remove a route",
        more: "",
        run: |session, args| {
            edit(session, Edit::RouteRemove(RouteRemove { prefix: args.text("PREFIX"), vrf: args.owned("vrf") }))
        },
    },
];

/// The route that was typed.
fn route(args: &Args) -> Result<RouteEdit, Error> {
    let gateways = args.get("via").unwrap_or_default();
    let hop = |gateway: Option<&str>| NextHop {
        gateway: gateway.map(str::to_owned),
        interface: args.owned("interface"),
        weight: args.number("weight").unwrap_or(1),
    };
    let kinds = ["next-vrf", "blackhole", "unreachable", "prohibit"];
    let mut ways = kinds.into_iter().chain(["via"]).filter(|word| args.has(word));
    if let (Some(one), Some(other)) = (ways.next(), ways.next()) {
        return Err(Error::usage(format!("\"{one}\" and \"{other}\" exclude each other")));
    }
    let mut next_hops: Vec<NextHop> =
        gateways.split(',').filter(|gateway| !gateway.is_empty()).map(|gateway| hop(Some(gateway))).collect();
    let drops = kinds.into_iter().any(|word| args.has(word));
    if next_hops.is_empty() && args.has("interface") && !drops {
        next_hops.push(hop(None));
    }
    if let Some(word) = ["interface", "weight"].into_iter().find(|word| next_hops.is_empty() && args.has(word)) {
        return Err(Error::usage(format!("\"{word}\" says how to reach a gateway, but there is no \"via GATEWAY\"")));
    }
    let kind = kinds.into_iter().find(|word| args.has(word)).unwrap_or("unicast");
    let (prefix, vrf, next_vrf) = (args.text("PREFIX"), args.owned("vrf"), args.owned("next-vrf"));
    Ok(RouteEdit { prefix, vrf, r#type: kind.to_owned(), next_hops, next_vrf })
}
