//! `routes`: the static routes. Connected routes come from the addresses of interfaces and don't stand here.

use crate::{
    Config, addresses,
    decode::{Fields, Scalar},
    diagnostic::{Position, Reader, Spot},
    keyword::keywords,
    name::Name,
    validate::Check,
    yaml::{Node, Value},
};
use ipnet::IpNet;
use std::{
    collections::btree_map::Entry::{Occupied, Vacant},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What names a route: there is one for each prefix of a VRF.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// The VRF it belongs to.
    pub vrf: Name,
    /// The destinations; no bit is set behind the prefix length.
    pub prefix: IpNet,
}

/// What happens to packets of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// They go to one of these next hops; 1 to [`Route::MAX_HOPS`], sorted, all different.
    Via(Vec<NextHop>),
    /// They are looked up once more, in this VRF's table: its routes leak into the one that has this route.
    NextVrf(Name),
    /// They are dropped without a word.
    Blackhole,
    /// They are dropped; the sender gets ICMP host unreachable (type 3 code 1; ICMPv6 type 1 code 3).
    Unreachable,
    /// They are dropped; the sender gets ICMP administratively prohibited (type 3 code 13; ICMPv6 type 1 code 1).
    Prohibit,
}

keywords! {
    /// The `type` of a route that drops.
    Kind, "blackhole, unreachable or prohibit" {
        /// [`Route::Blackhole`].
        Blackhole = "blackhole",
        /// [`Route::Unreachable`].
        Unreachable = "unreachable",
        /// [`Route::Prohibit`].
        Prohibit = "prohibit",
    }
}

impl Kind {
    const fn route(self) -> Route {
        match self {
            Self::Blackhole => Route::Blackhole,
            Self::Unreachable => Route::Unreachable,
            Self::Prohibit => Route::Prohibit,
        }
    }
}

/// One way that a route leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHop {
    /// The next router, of the prefix's address family. Without `interface` it is looked up in the route's VRF: on a connected
    /// subnet, or by another route. A link-local one needs `interface`. The unspecified address: none, as by a tunnel that has one
    /// other end only; see [`NextHop::has_gateway`].
    pub gateway: IpAddr,
    /// The interface it is on, of the route's VRF or of another one.
    pub interface: Option<Name>,
    /// Its share of the flows among the route's hops; 1 to [`NextHop::MAX_WEIGHT`], default 1.
    pub weight: u16,
}

impl Route {
    /// The most next hops of a route.
    pub const MAX_HOPS: usize = 64;

    /// A route by these next hops, brought into order.
    pub fn via(mut hops: Vec<NextHop>) -> Self {
        hops.sort();
        Self::Via(hops)
    }

    /// The word of its `type` in the configuration; `via` for one with next hops, `next-vrf` for one into another VRF.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Via(_) => "via",
            Self::NextVrf(_) => "next-vrf",
            Self::Blackhole => Kind::Blackhole.as_str(),
            Self::Unreachable => Kind::Unreachable.as_str(),
            Self::Prohibit => Kind::Prohibit.as_str(),
        }
    }

    /// Its next hops; none for a route that drops or leads into another VRF.
    pub fn hops(&self) -> &[NextHop] {
        match self {
            Self::Via(hops) => hops,
            _ => &[],
        }
    }

    /// The VRF that it leads into.
    pub const fn next_vrf(&self) -> Option<&Name> {
        match self {
            Self::NextVrf(vrf) => Some(vrf),
            _ => None,
        }
    }
}

impl NextHop {
    /// The largest weight.
    pub const MAX_WEIGHT: u16 = 256;

    /// A next hop of weight 1 that is looked up.
    pub const fn new(gateway: IpAddr) -> Self {
        Self { gateway, interface: None, weight: 1 }
    }

    /// Whether there is a next router to find: by a tunnel of packets, there is only its other end.
    pub const fn has_gateway(&self) -> bool {
        !self.gateway.is_unspecified()
    }

    /// What stands for no gateway in the routes of a prefix.
    pub const fn no_gateway(prefix: IpNet) -> IpAddr {
        match prefix {
            IpNet::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpNet::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

/// The `routes` of a file.
pub(crate) fn decode(node: &Node, config: &mut Config, reader: &mut Reader) {
    for item in node.items() {
        let Some((key, route, at)) = decode_one(item, reader) else { continue };
        match config.routes.entry(key) {
            Vacant(place) => drop(place.insert(route)),
            Occupied(other) => {
                let message = format!("route {}: stands here twice", other.key());
                reader.error(at, message, "expected one route for each prefix; `via` takes a list of next hops");
            }
        }
    }
}

fn decode_one(node: &Node, reader: &mut Reader) -> Option<(RouteKey, Route, Position)> {
    let mut fields = Fields::open(node, "route", "a route", reader)?;
    let prefix: Option<IpNet> = fields.required("to", reader);
    if let Some(prefix) = prefix {
        fields.rename(format_args!("route {prefix}"));
    }
    let at = fields.at("to");
    let vrf = fields.scalar("vrf", reader).or_else(|| (!fields.has("vrf")).then(Name::default_vrf));
    let key = prefix.zip(vrf).map(|(prefix, vrf)| RouteKey { vrf, prefix });
    let kind = fields.scalar::<Kind>("type", reader);
    let via = fields.entry("via");
    let next_vrf = fields.scalar("next-vrf", reader).map(Route::NextVrf);
    let ways: Vec<&str> = ["via", "next-vrf", "type"].into_iter().filter(|way| fields.has(way)).collect();
    let route = match (ways.as_slice(), via) {
        (["via"], Some(via)) => decode_hops(&via.value, key.as_ref(), &fields.name("via"), reader),
        (["next-vrf"], _) => next_vrf,
        (["type"], _) => kind.map(Kind::route),
        ([first, .., last], _) => {
            let message = format!("{} beside `{first}`", fields.name(last));
            reader.error(fields.at(last), message, "expected one of the two");
            None
        }
        _ => {
            let hint = "expected `via` with a gateway, `next-vrf` with a VRF, or `type` with blackhole, unreachable or prohibit";
            reader.error(node.at, format!("{} leads nowhere", fields.what()), hint);
            None
        }
    };
    if let Some(key) = &key {
        reader.place(Spot::new("routes", key), at);
        for name in ["vrf", "next-vrf"] {
            if fields.has(name) {
                reader.place(Spot::new("routes", key).key(name), fields.at(name));
            }
        }
    }
    fields.close(reader);
    Some((key?, route?, at))
}

/// One gateway, one mapping, or a list of these. None when none could be read.
fn decode_hops(node: &Node, key: Option<&RouteKey>, name: &str, reader: &mut Reader) -> Option<Route> {
    let mut hops = Vec::new();
    for item in node.items() {
        let hop = match &item.value {
            Value::Text(text) => match IpAddr::read(text) {
                Ok(gateway) => Some(NextHop::new(gateway)),
                Err(wanted) => {
                    reader.error(item.at, format!("{name}: cannot take \"{text}\""), wanted.to_string());
                    None
                }
            },
            _ => decode_hop(item, key, name, reader),
        };
        if let (Some(key), Some(hop)) = (key, &hop) {
            reader.place(hop.spot(key), item.at);
        }
        hops.extend(hop);
    }
    if node.items().is_empty() {
        reader.error(node.at, format!("{name}: no next hop"), "expected at least one");
    }
    (!hops.is_empty()).then(|| Route::via(hops))
}

fn decode_hop(node: &Node, key: Option<&RouteKey>, name: &str, reader: &mut Reader) -> Option<NextHop> {
    let mut fields = Fields::open(node, name, "a next hop", reader)?;
    let gateway = match key {
        // By a tunnel there is none.
        Some(key) if fields.has("interface") && !fields.has("gateway") => Some(NextHop::no_gateway(key.prefix)),
        _ => fields.required("gateway", reader),
    };
    if let Some(gateway) = gateway.filter(|gateway: &IpAddr| fields.has("gateway") && gateway.is_unspecified()) {
        let message = format!("{}: cannot take \"{gateway}\"", fields.name("gateway"));
        reader.error(fields.at("gateway"), message, "expected the address of the next router");
        return None;
    }
    let interface = fields.scalar("interface", reader);
    let weight = fields.number("weight", 1..=NextHop::MAX_WEIGHT, reader).unwrap_or(1);
    fields.close(reader);
    Some(NextHop { gateway: gateway?, interface, weight })
}

/// The `routes` of a file.
pub(crate) fn encode(config: &Config) -> Node {
    Node::list(config.routes.iter().map(|(key, route)| {
        let node = Node::map().with("to", Node::text(key.prefix)).with_unless(&Name::default_vrf(), "vrf", &key.vrf);
        match route {
            Route::Via(hops) => match hops.as_slice() {
                [only] if *only == NextHop::new(only.gateway) => node.with("via", Node::text(only.gateway)),
                hops => node.with("via", Node::list(hops.iter().map(NextHop::encode))),
            },
            Route::NextVrf(vrf) => node.with("next-vrf", Node::text(vrf)),
            drops => node.with("type", Node::text(drops.kind())),
        }
    }))
}

impl NextHop {
    fn encode(&self) -> Node {
        let node = Node::map();
        let node = if self.has_gateway() { node.with("gateway", Node::text(self.gateway)) } else { node };
        let node = self.interface.iter().fold(node, |node, interface| node.with("interface", Node::text(interface)));
        node.with_unless(&1, "weight", &self.weight)
    }

    /// Where a file says it.
    fn spot(&self, key: &RouteKey) -> Spot {
        Spot::new("routes", key).key("via").value(format_args!(
            "{} {}",
            self.gateway,
            self.interface.as_deref().unwrap_or("")
        ))
    }
}

pub(crate) fn check(check: &mut Check<'_>) {
    let config = check.config;
    for (key, route) in &config.routes {
        let RouteKey { vrf, prefix } = key;
        let spot = || Spot::new("routes", key);
        let what = format!("route {key}");
        check.vrf(spot().key("vrf"), &what, vrf);
        if *prefix != prefix.trunc() {
            check.problem(
                spot(),
                format!("{what}: bits are set behind the prefix length"),
                format!("expected {}", prefix.trunc()),
            );
        } else if let Some(whose) = addresses::never_routed(*prefix) {
            check.problem(
                spot(),
                format!("{what}: these are {whose}"),
                "remove the route: no packet to them is forwarded",
            );
        } else if let Some(owner) = check.subnets.connected(vrf, *prefix) {
            let hint = "remove the route: the interface's address makes a connected route";
            check.problem(spot(), format!("{what}: this is the subnet of interface {owner}"), hint);
        } else if prefix.prefix_len() == prefix.max_prefix_len()
            && let Some(owner) = check.subnets.owner(vrf, prefix.addr())
        {
            check.problem(spot(), format!("{what}: this is interface {owner}'s own address"), "remove the route");
        }
        match route {
            Route::Via(hops) => check_hops(check, key, hops),
            Route::NextVrf(next) if next == vrf => {
                let message = format!("{what}: next-vrf: this is the route's own VRF");
                check.problem(spot().key("next-vrf"), message, "expected the name of another VRF");
            }
            Route::NextVrf(next) => check.vrf(spot().key("next-vrf"), &format!("{what}: next-vrf"), next),
            Route::Blackhole | Route::Unreachable | Route::Prohibit => {}
        }
    }
}

fn check_hops(check: &mut Check<'_>, key: &RouteKey, hops: &[NextHop]) {
    if hops.is_empty() || hops.len() > Route::MAX_HOPS {
        let message = format!("route {key}: via: {} next hops", hops.len());
        check.problem(Spot::new("routes", key), message, format!("expected 1 to {}", Route::MAX_HOPS));
    }
    for (i, hop) in hops.iter().enumerate() {
        let spot = || hop.spot(key);
        let what = match hop.has_gateway() {
            true => format!("route {key}: via {}", hop.gateway),
            false => format!("route {key}: via {hop}"),
        };
        if hop.gateway.is_ipv4() != key.prefix.addr().is_ipv4() {
            let family = if key.prefix.addr().is_ipv4() { "IPv4" } else { "IPv6" };
            let message = format!("{what}: another address family");
            check.problem(spot(), message, format!("expected an {family} address, as the prefix is one"));
            continue;
        }
        if !(1..=NextHop::MAX_WEIGHT).contains(&hop.weight) {
            let hint = format!("expected 1 to {}", NextHop::MAX_WEIGHT);
            check.problem(spot(), format!("{what}: weight {} is out of range", hop.weight), hint);
        }
        // Hops are sorted, so that equal ones are neighbours but for their weights.
        let same = |other: &NextHop| other.gateway == hop.gateway && other.interface == hop.interface;
        if hops[..i].iter().any(same) {
            check.problem(spot(), format!("{what}: stands here twice"), "give it a larger `weight` instead");
        }
        if !hop.has_gateway()
            && let Some(name) = &hop.interface
        {
            let known = check.interface(spot(), &what, name) && !check.partial.contains(name);
            let interface = check.config.interfaces.get(name).filter(|_| known);
            if interface.is_some_and(|interface| interface.driver.has_ethernet()) {
                let hint =
                    format!("expected the address of the next router on {name}: only tunnels of packets need none");
                check.problem(spot(), format!("{what}: gateway is missing"), hint);
            }
            continue;
        }
        // A route may leave its VRF by an interface of another one: the gateway is there.
        let interface = hop.interface.as_ref().and_then(|name| check.config.interfaces.get_key_value(name));
        let vrf = interface.map_or(&key.vrf, |(_, interface)| &interface.vrf);
        let own = match addresses::link_local(hop.gateway) {
            Some(_) if hop.interface.is_none() => {
                let hint = "add `interface`: a link-local address says nothing without it";
                check.problem(spot(), format!("{what}: no interface"), hint);
                continue;
            }
            Some(address) => interface.filter(|(_, i)| i.has_link_local(address)).map(|(name, _)| name),
            None => check.subnets.owner(vrf, hop.gateway),
        };
        if let Some(owner) = own {
            let message = format!("{what}: this is interface {owner}'s own address");
            check.problem(spot(), message, "expected the address of the next router");
        } else if let Some(wrong) = check.subnets.unusable(vrf, hop.gateway) {
            check.problem(spot(), format!("{what}: this is {wrong}"), "expected the address of the next router");
        }
        if let Some(interface) = &hop.interface {
            check.interface(spot(), &what, interface);
        }
    }
}
