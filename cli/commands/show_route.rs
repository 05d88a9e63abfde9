//! What routes there are: `show ip route`, `show ipv6 route`.
mod resolution;
mod summary;

use millrace_api::v1::{ListRoutesRequest, NextHop, Route};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, flag, keyword, maybe};
use crate::output::Listing;
use crate::session::Session;

/// What comes after `show ip route` and `show ipv6 route`.
const fn which(family: &'static str) -> [Arg; 5] {
    [
        maybe("PREFIX", Kind::Destination(family), "a route, or an address to find the way that packets to it take"),
        Arg::Option(flag("longer-prefixes", "also the routes inside the prefix")),
        Arg::Option(flag("summary", "how many there are, by origin and by length of the prefix")),
        Arg::Option(keyword("origin", "ORIGIN", Kind::Suggest(ORIGINS), "only routes of this origin")),
        Arg::Option(keyword("vrf", "VRF", Kind::Vrf, "only this VRF; of an address, \"default\" unless given")),
    ]
}

/// The origins that every router has; routing daemons add theirs.
const ORIGINS: &[&str] = &["connected", "static", "nat"];

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "ip", "route"],
        args: &const { which("ipv4") },
        help: "IPv4 routes",
        more: "Of an address, the longest match is shown, and how it resolves down to what is written in front of packets.\n\n  \
               show ip route 10.1.2.3\n  \
               show ip route 10.0.0.0/8 longer-prefixes vrf blue\n  \
               show ip route summary",
        run: |session, args| show(session, args, Family::IPV4),
    },
    Command {
        path: &["show", "ipv6", "route"],
        args: &const { which("ipv6") },
        help: "IPv6 routes",
        more: "As `show ip route`.\n\n  show ipv6 route 2001:db8::1\n  show ipv6 route origin connected",
        run: |session, args| show(session, args, Family::IPV6),
    },
];

/// An address family in listings.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// What the API calls it.
    name: &'static str,
    /// The width of its column of prefixes: enough for what is usual.
    width: usize,
}

impl Family {
    pub const IPV4: Family = Family { name: "ipv4", width: 18 };
    pub const IPV6: Family = Family { name: "ipv6", width: 27 };

    /// The family of a prefix or an address.
    pub fn of(text: &str) -> Family {
        if text.contains(':') { Family::IPV6 } else { Family::IPV4 }
    }
}

/// Prints routes as they come: a table may hold a million.
fn show(session: &mut Session, args: &Args, family: Family) -> Result<(), Error> {
    let given = args.owned("PREFIX");
    let longer = args.has("longer-prefixes");
    if args.has("summary") {
        let more = if given.is_some() {
            Some("PREFIX")
        } else {
            ["longer-prefixes", "origin"].into_iter().find(|word| args.has(word))
        };
        return match more {
            Some(word) => Err(Error::usage(format!("\"summary\" is of all routes: it takes no \"{word}\""))),
            None => summary::show(session, family.name, args.owned("vrf")),
        };
    }
    let (prefix, address) = match given {
        Some(text) if text.contains('/') => (Some(text), None),
        text => (None, text),
    };
    if longer && prefix.is_none() {
        return Err(Error::usage("\"longer-prefixes\" needs a prefix before it, such as 10.0.0.0/8"));
    }
    let (vrf, origin) = (args.owned("vrf"), args.owned("origin"));
    match address {
        Some(_) if origin.is_some() => {
            Err(Error::usage("packets to an address take the best route, of whichever \"origin\""))
        }
        Some(address) => resolution::show(session, family, address, vrf),
        None => {
            list(session, family, ListRoutesRequest { vrf, prefix, longer, origin, ..ListRoutesRequest::default() })
        }
    }
}

fn list(session: &mut Session, family: Family, request: ListRoutesRequest) -> Result<(), Error> {
    let request = ListRoutesRequest { family: family.name.to_owned(), ..request };
    let mut stream = session.call(|mut client| async move { client.show.list_routes(request).await })?;
    let mut listing = Listing::new(&session.output, &heading(family));
    while let Some(batch) = session.next(&mut stream)? {
        listing.add(&batch.routes, |route| line(family, route))?;
    }
    listing.finish("")
}

pub fn heading(family: Family) -> String {
    format!("{:<1$}  {2:<10}  {3:<10}  {4:<11}  Next hops", "Prefix", family.width, "VRF", "Origin", "Type")
}

/// A route with its next hops, each on a line of its own. The columns are wide enough for what is usual, because
/// their widths must be known before the last route has come.
pub fn line(family: Family, route: &Route) -> String {
    let Route { prefix, vrf, origin, r#type: kind, next_hops, next_vrf } = route;
    let columns = family.width;
    let first = format!("{prefix:<columns$}  {vrf:<10}  {origin:<10}  {kind:<11}  ");
    let width = first.chars().count();
    let many = next_hops.len() > 1;
    let vrf = next_vrf.iter().map(|vrf| format!("vrf {vrf}"));
    let hops: Vec<String> = next_hops.iter().map(|hop| next_hop(hop, many)).chain(vrf).collect();
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
            next_vrf: None,
        };
        let line = |route: &Route| line(Family::of(&route.prefix), route);
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
        assert_eq!(
            line(&Route { next_vrf: Some("blue".into()), ..route("2001:db8::/32", "next-vrf", vec![]) }),
            "2001:db8::/32                default     static      next-vrf     vrf blue\n"
        );
    }
}
