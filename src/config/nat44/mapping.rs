//! Static mappings: what is seen of them outside, whom they lead to, and how both are written.

use crate::{
    Name, PortRange,
    decode::{Scalar, Unreadable},
    keyword::keywords,
    op::in_vrf,
    ranges::pair,
};
use std::{fmt, net::Ipv4Addr, str::FromStr};

/// What names a static mapping; no two overlap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappingKey {
    /// The protocol; none: all, one-to-one by address.
    pub protocol: Option<NatProtocol>,
    /// What is seen of it outside. It has ports just when there is a protocol.
    pub external: External,
}

/// Whom a static mapping leads to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The inside servers; 1 to [`Mapping::MAX_BACKENDS`], sorted, all different. Their ports are as many as the external ones.
    pub internal: Vec<Backend>,
    /// Which of several servers a client comes to.
    pub affinity: Affinity,
    /// Whether clients come from an address of the twice-NAT pool, so that the server's answers find the way back.
    pub twice_nat: bool,
    /// The VRF that the servers are in.
    pub vrf: Name,
}

/// An external address, with ports or as a whole. Written `203.0.113.2:80`, `203.0.113.2:5000-5100`, `wan:80` or `203.0.113.2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct External {
    /// The address.
    pub address: ExternalAddress,
    /// Its ports; from 1.
    pub ports: Option<PortRange>,
}

/// An address that is seen outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExternalAddress {
    /// This one.
    Ip(Ipv4Addr),
    /// The primary address of this outside interface, whatever it is at the time.
    Interface(Name),
}

/// One inside server. Written `192.168.1.10:80`, `192.168.1.10:6000-6100` or `192.168.1.10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its ports; from 1.
    pub ports: Option<PortRange>,
    /// Its share of the clients among the mapping's servers; 1 to 255, default 1.
    pub weight: u8,
}

keywords! {
    /// A protocol with ports.
    NatProtocol, "tcp or udp" {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }
}

keywords! {
    /// Which of several servers a client comes to.
    Affinity, "client or none" {
        /// A client, by its address, always comes to the same one while the servers stay the same (default).
        Client = "client",
        /// Each session by itself.
        Off = "none",
    }
}

impl NatProtocol {
    /// Its number in the IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl ExternalAddress {
    /// The interface's name, if it is that of an interface.
    pub const fn interface(&self) -> Option<&Name> {
        match self {
            Self::Ip(_) => None,
            Self::Interface(name) => Some(name),
        }
    }
}

impl MappingKey {
    /// Whether it maps an address as a whole.
    pub const fn is_one_to_one(&self) -> bool {
        self.protocol.is_none()
    }
}

impl Mapping {
    /// The most servers of a mapping.
    pub const MAX_BACKENDS: usize = 64;

    /// A mapping to these servers, brought into order, and everything else at its default.
    pub fn to(mut internal: Vec<Backend>) -> Self {
        internal.sort();
        Self { internal, affinity: Affinity::Client, twice_nat: false, vrf: Name::default_vrf() }
    }
}

/// Takes `:PORT` or `:FIRST-LAST` off the end of a text.
fn split(text: &str) -> Option<(&str, Option<PortRange>)> {
    match text.rsplit_once(':') {
        None => Some((text, None)),
        Some((address, ports)) => {
            let (first, last) = pair(ports, 1, u16::MAX)?;
            Some((address, Some(PortRange { first, last })))
        }
    }
}

impl FromStr for External {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let wanted = || Unreadable::wanted(Self::WANTED);
        let (address, ports) = split(text).ok_or_else(wanted)?;
        // What looks like an address is no name.
        let numbers = address.split('.').count() == 4 && address.chars().all(|c| c.is_ascii_digit() || c == '.');
        let address = match address.parse() {
            Ok(address) => ExternalAddress::Ip(address),
            Err(_) if numbers => return Err(wanted()),
            Err(_) => ExternalAddress::Interface(Name::new(address).map_err(|_| wanted())?),
        };
        Ok(Self { address, ports })
    }
}

impl FromStr for Backend {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let read = split(text).and_then(|(address, ports)| Some((address.parse().ok()?, ports)));
        let (address, ports) = read.ok_or_else(|| Unreadable::wanted(Self::WANTED))?;
        Ok(Self { address, ports, weight: 1 })
    }
}

impl Scalar for External {
    const WANTED: &'static str =
        "an IPv4 address or an outside interface, with ports or without: 203.0.113.2:80, wan:5000-5100, 203.0.113.2";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl Scalar for Backend {
    const WANTED: &'static str =
        "an IPv4 address with ports or without: 192.168.1.10:80, 192.168.1.10:6000-6100, 192.168.1.10";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl fmt::Display for ExternalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Interface(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        self.ports.map_or(Ok(()), |ports| write!(f, ":{ports}"))
    }
}

impl Backend {
    /// Its address and ports, without its weight: as a file has it.
    pub(crate) fn endpoint(&self) -> String {
        match self.ports {
            Some(ports) => format!("{}:{ports}", self.address),
            None => self.address.to_string(),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoint())?;
        if self.weight == 1 { Ok(()) } else { write!(f, " weight {}", self.weight) }
    }
}

impl fmt::Display for MappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(protocol) = self.protocol {
            write!(f, "{protocol} ")?;
        }
        write!(f, "{}", self.external)
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.internal.iter().map(Backend::to_string).collect();
        write!(f, "to {}", servers.join(", "))?;
        if self.affinity != Affinity::Client {
            write!(f, " affinity {}", self.affinity)?;
        }
        if self.twice_nat {
            f.write_str(" twice-nat")?;
        }
        f.write_str(&in_vrf(&self.vrf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_written() {
        for text in ["203.0.113.2:80", "203.0.113.2:5000-5100", "wan:80", "203.0.113.2", "wan.100:1-65535", "10.100:80"]
        {
            assert_eq!(text.parse::<External>().unwrap().to_string(), text);
        }
        for bad in ["", ":80", "203.0.113.300:80", "203.0.113.2:0", "203.0.113.2:", "203.0.113.2:9-8", "a b:1", "a:1:2"]
        {
            assert!(bad.parse::<External>().is_err(), "{bad:?} must be refused");
        }
        for text in ["192.168.1.10:80", "192.168.1.10:6000-6100", "192.168.1.10"] {
            assert_eq!(text.parse::<Backend>().unwrap().to_string(), text);
        }
        for bad in ["", "lan:80", "192.168.1.10:65536", "192.168.1:80", "192.168.1.0/24"] {
            assert!(bad.parse::<Backend>().is_err(), "{bad:?} must be refused");
        }
    }
}
