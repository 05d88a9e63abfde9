//! `driver: gre` and `driver: ipip`: routed tunnels between this router and another, IP in GRE (RFC 2784, RFC 2890) and IP in IP
//! (RFC 2003, RFC 2473, RFC 4213).

use crate::{
    decode::{Scalar, Unreadable},
    keyword::keywords,
    name::Name,
};
use std::{fmt, net::IpAddr, str::FromStr};

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
        crate::decode::number(text, &(0..=u8::MAX)).map(Self::Value).map_err(|_| Unreadable::wanted(Self::WANTED))
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
