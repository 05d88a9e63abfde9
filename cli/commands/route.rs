//! Routes: `show ip route`, `route add|replace|remove`.
use millrace_api::v1::edit_request::Edit;
use millrace_api::v1::{ListRoutesRequest, NextHop, Route, RouteEdit, RouteRemove};

use super::config::edit;
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, flag, keyword, maybe, value};
use crate::output::Listing;
use crate::session::Session;

const PREFIX: Arg = value("PREFIX", Kind::Prefix, "where to, such as 10.0.0.0/8");
const VRF: Keyword = keyword("vrf", "VRF", Kind::Vrf, "the VRF; \"default\" unless given");
const WAYS: &[Arg] = &[
    PREFIX,
    Arg::OneOf(&[
        keyword("via", "GATEWAY", Kind::Addresses, "next routers, with commas between them"),
        flag("blackhole", "drop the packets in silence"),
        flag("unreachable", "drop the packets and tell the sender: host unreachable"),
        flag("prohibit", "drop the packets and tell the sender: prohibited"),
    ]),
    Arg::Option(keyword("interface", "NAME", Kind::Interface, "the interface to send from")),
    Arg::Option(keyword("weight", "N", Kind::Number(1, 255), "share of the traffic, beside other next routers")),
    Arg::Option(VRF),
];

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "ip", "route"],
        args: &[
            maybe("PREFIX", Kind::PrefixOrAddress, "a route, or an address to find the route that packets to it take"),
            Arg::Option(flag("longer-prefixes", "also the routes inside the prefix")),
            Arg::Option(VRF),
        ],
        help: "IPv4 routes",
        more: "  show ip route 10.1.2.3\n  show ip route 10.0.0.0/8 longer-prefixes vrf blue",
        run: show,
    },
    Command {
        path: &["route", "add"],
        args: WAYS,
        help: "add a route",
        more: "Refused when there is a route to the prefix; `route replace` is not.\n\n  \
               route add 0.0.0.0/0 via 203.0.113.1\n  \
               route add 10.0.0.0/8 via 192.0.2.1,192.0.2.5 vrf blue\n  \
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
    let hop = |gateway: &str| NextHop {
        gateway: Some(gateway.to_owned()),
        interface: args.owned("interface"),
        weight: args.number("weight").unwrap_or(1),
    };
    let next_hops: Vec<NextHop> = gateways.split(',').filter(|gateway| !gateway.is_empty()).map(hop).collect();
    if let Some(word) = ["interface", "weight"].into_iter().find(|word| next_hops.is_empty() && args.has(word)) {
        return Err(Error::usage(format!("\"{word}\" says how to reach a gateway, but there is no \"via GATEWAY\"")));
    }
    let kind = ["blackhole", "unreachable", "prohibit"].into_iter().find(|word| args.has(word)).unwrap_or("unicast");
    Ok(RouteEdit { prefix: args.text("PREFIX"), vrf: args.owned("vrf"), r#type: kind.to_owned(), next_hops })
}

/// Prints routes as they come: a table may hold a million.
fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let (prefix, address) = match args.owned("PREFIX") {
        Some(text) if text.contains('/') => (Some(text), None),
        text => (None, text),
    };
    let longer = args.has("longer-prefixes");
    if longer && prefix.is_none() {
        return Err(Error::usage("\"longer-prefixes\" needs a prefix before it, such as 10.0.0.0/8"));
    }
    let vrf = args.owned("vrf");
    let request =
        ListRoutesRequest { family: "ipv4".to_owned(), vrf, prefix, longer, address: address.clone(), limit: 0 };
    let mut stream = session.call(|mut client| async move { client.show.list_routes(request).await })?;
    let mut listing = Listing::new(&session.output, &heading());
    while let Some(batch) = session.next(&mut stream)? {
        listing.add(&batch.routes, line)?;
    }
    listing.finish(&address.map_or(String::new(), |address| format!("no route to {address}\n")))
}

fn heading() -> String {
    format!("{:<18}  {:<10}  {:<10}  {:<11}  Next hops", "Prefix", "VRF", "Origin", "Type")
}

/// A route with its next hops, each on a line of its own. The columns are wide enough for what is usual, because
/// their widths must be known before the last route has come.
fn line(route: &Route) -> String {
    let first = format!("{:<18}  {:<10}  {:<10}  {:<11}  ", route.prefix, route.vrf, route.origin, route.r#type);
    let width = first.chars().count();
    let many = route.next_hops.len() > 1;
    let hops: Vec<String> = route.next_hops.iter().map(|hop| next_hop(hop, many)).collect();
    let text = format!("{first}{}", hops.join(&format!("\n{:width$}", "")));
    format!("{}\n", text.trim_end())
}

fn next_hop(hop: &NextHop, many: bool) -> String {
    let interface = hop.interface.as_deref();
    let mut text = match (&hop.gateway, interface) {
        (Some(gateway), Some(interface)) => format!("via {gateway} {interface}"),
        (Some(gateway), None) => format!("via {gateway} (unresolved)"),
        (None, interface) => interface.unwrap_or_default().to_owned(),
    };
    if many && hop.weight > 1 {
        text.push_str(&format!(" weight {}", hop.weight));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_a_line_for_each_next_hop() {
        let hop = |gateway: Option<&str>, interface: Option<&str>, weight| NextHop {
            gateway: gateway.map(str::to_owned),
            interface: interface.map(str::to_owned),
            weight,
        };
        let route = |prefix: &str, kind: &str, next_hops| Route {
            prefix: prefix.into(),
            vrf: "default".into(),
            origin: "static".into(),
            r#type: kind.into(),
            next_hops,
        };
        assert_eq!(
            line(&route(
                "10.0.0.0/8",
                "unicast",
                vec![hop(Some("192.0.2.1"), Some("wan"), 2), hop(Some("192.0.2.5"), None, 1)]
            )),
            "10.0.0.0/8          default     static      unicast      via 192.0.2.1 wan weight 2\n                                                         via 192.0.2.5 (unresolved)\n"
        );
        assert_eq!(
            line(&route("192.0.2.0/24", "unicast", vec![hop(None, Some("wan"), 1)])),
            "192.0.2.0/24        default     static      unicast      wan\n"
        );
        assert_eq!(
            line(&route("198.51.100.0/24", "blackhole", vec![])),
            "198.51.100.0/24     default     static      blackhole\n"
        );
    }
}
