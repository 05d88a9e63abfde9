//! `driver: gre` and `driver: ipip`: routed tunnels between this router and another, IP in GRE (RFC 2784, RFC 2890) and IP in IP
//! (RFC 2003, RFC 2473, RFC 4213).

use crate::{
    decode::{Fields, Scalar, Unreadable, number},
    diagnostic::{Reader, Spot},
    driver::Driver,
    keyword::keywords,
    name::Name,
    validate::Check,
    vxlan,
    yaml::Node,
};
use std::{collections::HashMap, fmt, net::IpAddr, str::FromStr};

/// What GRE and IPIP tunnels have in common: their ends, and what the outer header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The router's own end: its family is that of the underlay.
    pub local: IpAddr,
    /// The other end, of the same family.
    pub remote: IpAddr,
    /// The TTL or hop limit of the outer header; from 1. Default 64.
    pub ttl: u8,
    /// The type of service or traffic class of the outer header. Default inherit.
    pub tos: Tos,
    /// Whether the network may fragment the outer packets, if they are IPv4. Default inherit.
    pub df: Df,
    /// The VRF that the outer packets are routed in. Default `default`.
    pub underlay_vrf: Name,
}

/// `driver: gre`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gre {
    /// Its ends and its outer header.
    pub ends: Ends,
    /// Which of the tunnels between two ends it is (RFC 2890); none: that without a key.
    pub key: Option<u32>,
    /// Whether packets carry a checksum, and only such are taken. Default false.
    pub checksum: bool,
}

/// `driver: ipip`: packets of both families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipip {
    /// Its ends and its outer header.
    pub ends: Ends,
}

keywords! {
    /// Whether the outer IPv4 header forbids to fragment it.
    Df, "inherit, set or clear" {
        /// As the packet inside says; IPv6 never is fragmented on its way.
        Inherit = "inherit",
        /// It forbids it.
        Set = "set",
        /// It allows it.
        Clear = "clear",
    }
}

/// The type of service of an outer header. Its two ECN bits always follow RFC 6040.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tos {
    /// That of the packet inside.
    Inherit,
    /// This one.
    Value(u8),
}

impl FromStr for Tos {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        if text == "inherit" {
            return Ok(Self::Inherit);
        }
        number(text, &(0..=u8::MAX)).map(Self::Value).map_err(|_| Unreadable::wanted(Self::WANTED))
    }
}

impl Scalar for Tos {
    const WANTED: &'static str = "`inherit` or a number from 0 to 255";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl fmt::Display for Tos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherit => f.write_str("inherit"),
            Self::Value(value) => value.fmt(f),
        }
    }
}

impl Ends {
    /// The TTL of the outer header by default.
    pub const TTL: u8 = 64;

    /// The bytes of the outer IP header.
    pub const fn header(&self) -> u16 {
        match self.local {
            IpAddr::V4(_) => 20,
            IpAddr::V6(_) => 40,
        }
    }
}

impl Gre {
    /// The bytes of its header behind the outer IP header.
    pub const fn header(&self) -> u16 {
        4 + if self.checksum { 4 } else { 0 } + if self.key.is_some() { 4 } else { 0 }
    }

    /// What its headers leave of the underlay's 1500 bytes: the MTU by default.
    pub const fn mtu(&self) -> u16 {
        1500 - self.ends.header() - self.header()
    }
}

impl Ipip {
    /// What its header leaves of the underlay's 1500 bytes: the MTU by default.
    pub const fn mtu(&self) -> u16 {
        1500 - self.ends.header()
    }
}

impl Ends {
    fn decode(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        let (local, remote) = (fields.required("local", reader), fields.required("remote", reader));
        let ttl = fields.number("ttl", 1..=u8::MAX, reader).unwrap_or(Self::TTL);
        let tos = fields.scalar("tos", reader).unwrap_or(Tos::Inherit);
        let df = fields.scalar("df", reader).unwrap_or(Df::Inherit);
        let underlay_vrf = fields.scalar("underlay-vrf", reader).unwrap_or_else(Name::default_vrf);
        Some(Self { local: local?, remote: remote?, ttl, tos, df, underlay_vrf })
    }

    fn encode(&self, node: Node) -> Node {
        node.with("local", Node::text(self.local))
            .with("remote", Node::text(self.remote))
            .with_unless(&Self::TTL, "ttl", &self.ttl)
            .with_unless(&Tos::Inherit, "tos", &self.tos)
            .with_unless(&Df::Inherit, "df", &self.df)
            .with_unless(&Name::default_vrf(), "underlay-vrf", &self.underlay_vrf)
    }
}

impl Gre {
    pub(crate) fn decode(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        let ends = Ends::decode(fields, reader);
        let key = fields.number("key", 0..=u32::MAX, reader);
        let checksum = fields.scalar("checksum", reader).unwrap_or(false);
        Some(Self { ends: ends?, key, checksum })
    }

    pub(crate) fn encode(&self, node: Node) -> Node {
        let mut node = self.ends.encode(node);
        if let Some(key) = self.key {
            node = node.with("key", Node::text(key));
        }
        node.with_unless(&false, "checksum", &self.checksum)
    }
}

impl Ipip {
    pub(crate) fn decode(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        Ends::decode(fields, reader).map(|ends| Self { ends })
    }

    pub(crate) fn encode(&self, node: Node) -> Node {
        self.ends.encode(node)
    }
}

pub(crate) fn check(check: &mut Check<'_>) {
    let config = check.config;
    let mut users = HashMap::new();
    for (name, interface) in &config.interfaces {
        let (ends, key, key_possible) = match &interface.driver {
            Driver::Gre(gre) => (&gre.ends, gre.key, true),
            Driver::Ipip(ipip) => (&ipip.ends, None, false),
            _ => continue,
        };
        let (kind, a) = (interface.driver.as_str(), if key_possible { "a gre tunnel" } else { "an ipip tunnel" });
        let spot = |key| Spot::new("interfaces", name).key(key);
        let what = format!("interface {name}");
        check.vrf(spot("underlay-vrf"), &format!("{what}: underlay-vrf"), &ends.underlay_vrf);
        if let Some(unfit) = vxlan::unusable(ends.local) {
            let message = format!("{what}: local: {} is {unfit} address", ends.local);
            check.problem(spot("local"), message, "expected an address of this router that others can reach");
        }
        vxlan::check_remote(check, spot("remote"), &format!("{what}: remote"), ends.local, ends.remote);
        if let Some(other) = users.insert((kind, ends.local, ends.remote, key, &ends.underlay_vrf), name) {
            let message = format!("{what}: interface {other} is {a} between these ends already");
            let hint = match key {
                _ if !key_possible => "expected other ends",
                None => "expected other ends, or a `key`",
                Some(_) => "expected other ends, or another `key`",
            };
            check.problem(spot("remote"), message, hint);
        }
        for (unused, key) in [
            (interface.mac.is_some(), "mac"),
            (interface.router_advertisements.is_some(), "router-advertisements"),
            (interface.bridge.is_some(), "bridge"),
            (interface.cross_connect.is_some(), "cross-connect"),
            (config.sub_interfaces(name).next().is_some(), "sub-interfaces"),
        ] {
            if unused {
                let message = format!("{what}: {key}: {a} carries packets, not Ethernet frames");
                check.problem(spot(key), message, format!("expected no {key}, or driver vxlan"));
            }
        }
    }
}
