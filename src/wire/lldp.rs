//! Link layer discovery (IEEE 802.1AB): the TLVs that an LLDPDU is made of, behind the Ethernet header.
//!
//! Clause numbers are those of IEEE 802.1AB-2016.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::MacAddr;

/// The group that frames are addressed to: it ends at the other end of the wire (clause 7.1).
pub const NEAREST_BRIDGE: MacAddr = MacAddr([0x01, 0x80, 0xc2, 0, 0, 0x0e]);

/// Who defined an organization's TLVs.
pub mod oui {
    /// IEEE 802.1: VLANs.
    pub const IEEE_802_1: [u8; 3] = [0x00, 0x80, 0xc2];
    /// IEEE 802.3: what the wire can do.
    pub const IEEE_802_3: [u8; 3] = [0x00, 0x12, 0x0f];
}

/// Which TLV of IEEE 802.1 or 802.3 one is (IEEE 802.1Q annex D, IEEE 802.3 clause 79).
pub mod subtype {
    /// 802.1: the VLAN of untagged frames, in two bytes; 0 for none.
    pub const PORT_VLAN: u8 = 1;
    /// 802.1: a VLAN's number, the length of its name, its name.
    pub const VLAN_NAME: u8 = 3;
    /// 802.3: the longest frame with header and checksum, in two bytes.
    pub const MAX_FRAME_SIZE: u8 = 4;
}

/// What a TLV is (clause 8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LldpType(pub u8);

impl LldpType {
    /// Nothing follows.
    pub const END: Self = Self(0);
    /// The system: [`LldpId`]. The first one.
    pub const CHASSIS_ID: Self = Self(1);
    /// The port: [`LldpId`]. The second one.
    pub const PORT_ID: Self = Self(2);
    /// For how many seconds all of it holds. The third one.
    pub const TTL: Self = Self(3);
    /// What the port is called.
    pub const PORT_DESCRIPTION: Self = Self(4);
    /// What the system is called.
    pub const SYSTEM_NAME: Self = Self(5);
    /// What it is.
    pub const SYSTEM_DESCRIPTION: Self = Self(6);
    /// What it can do, and does: [`LldpCapabilities`], twice.
    pub const CAPABILITIES: Self = Self(7);
    /// Where it is managed: [`ManagementAddress`]. There may be several.
    pub const MANAGEMENT_ADDRESS: Self = Self(8);
    /// Somebody else's: [`LldpTlv::organization`].
    pub const ORGANIZATION: Self = Self(127);
}

/// One of the parts of an LLDPDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LldpTlv<'a> {
    /// What it is.
    pub kind: LldpType,
    /// What it says: at most [`LldpTlv::MAX`] bytes.
    pub value: &'a [u8],
}

impl<'a> LldpTlv<'a> {
    /// The most bytes of a value.
    pub const MAX: usize = 511;

    /// What comes before a value of so many bytes, of which the low nine bits count.
    #[must_use]
    pub const fn header(kind: LldpType, len: usize) -> [u8; 2] {
        ((kind.0 as u16) << 9 | len as u16 & 0x1ff).to_be_bytes()
    }

    /// Of an organization's TLV: whose it is, which, and what it says.
    #[must_use]
    pub fn organization(&self) -> Option<([u8; 3], u8, &'a [u8])> {
        let (oui, rest) = self.value.split_first_chunk::<3>()?;
        let (subtype, value) = rest.split_first()?;
        Some((*oui, *subtype, value))
    }
}

/// An LLDPDU, TLV by TLV, up to the one that ends it, which is left out. A TLV that ends behind the frame is an error, and the last item.
#[derive(Clone, Debug)]
pub struct LldpTlvs<'a>(&'a [u8]);

/// A TLV ends behind the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LldpTruncated;

impl<'a> LldpTlvs<'a> {
    /// Of what follows the Ethernet header.
    #[must_use]
    pub const fn new(pdu: &'a [u8]) -> Self {
        Self(pdu)
    }
}

impl<'a> Iterator for LldpTlvs<'a> {
    type Item = Result<LldpTlv<'a>, LldpTruncated>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let pdu = core::mem::take(&mut self.0);
        let Some((head, rest)) = pdu.split_first_chunk::<2>() else { return Some(Err(LldpTruncated)) };
        let head = u16::from_be_bytes(*head);
        let (kind, len) = (LldpType((head >> 9) as u8), usize::from(head & 0x1ff));
        if kind == LldpType::END {
            return None;
        }
        let Some((value, rest)) = rest.split_at_checked(len) else { return Some(Err(LldpTruncated)) };
        self.0 = rest;
        Some(Ok(LldpTlv { kind, value }))
    }
}

/// What kind of name a system or a port gave itself (clauses 8.5.2.2 and 8.5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LldpIdKind {
    /// The name of a component, of the chassis or of a port in it.
    Component,
    /// What an operator calls an interface.
    InterfaceAlias,
    /// A MAC address.
    Mac,
    /// An address of a family, such as IPv4.
    NetworkAddress,
    /// The name of an interface.
    InterfaceName,
    /// What a relay agent calls it.
    AgentCircuit,
    /// Anything.
    Local,
    /// A number that the standard reserves.
    Reserved(u8),
}

impl fmt::Display for LldpIdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Component => "component",
            Self::InterfaceAlias => "interface alias",
            Self::Mac => "mac",
            Self::NetworkAddress => "network address",
            Self::InterfaceName => "interface name",
            Self::AgentCircuit => "agent circuit id",
            Self::Local => "local",
            Self::Reserved(number) => return write!(f, "reserved {number}"),
        })
    }
}

/// The name of a system or a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LldpId<'a> {
    /// What kind of name it is.
    pub kind: LldpIdKind,
    /// The name: 1 to [`LldpId::MAX`] bytes.
    pub id: &'a [u8],
}

impl<'a> LldpId<'a> {
    /// The most bytes of a name.
    pub const MAX: usize = 255;
    /// How a chassis is said to be named by a MAC address.
    pub const CHASSIS_MAC: u8 = 4;
    /// How a port is said to be named by its interface.
    pub const PORT_INTERFACE_NAME: u8 = 5;

    /// A system's. `None` when its length is wrong.
    #[must_use]
    pub fn chassis(value: &'a [u8]) -> Option<Self> {
        use LldpIdKind::{Component, InterfaceAlias, InterfaceName, Local, Mac, NetworkAddress, Reserved};
        Self::read(value, |number| match number {
            1 | 3 => Component,
            2 => InterfaceAlias,
            Self::CHASSIS_MAC => Mac,
            5 => NetworkAddress,
            6 => InterfaceName,
            7 => Local,
            _ => Reserved(number),
        })
    }

    /// A port's. `None` when its length is wrong.
    #[must_use]
    pub fn port(value: &'a [u8]) -> Option<Self> {
        use LldpIdKind::{
            AgentCircuit, Component, InterfaceAlias, InterfaceName, Local, Mac, NetworkAddress, Reserved,
        };
        Self::read(value, |number| match number {
            1 => InterfaceAlias,
            2 => Component,
            3 => Mac,
            4 => NetworkAddress,
            Self::PORT_INTERFACE_NAME => InterfaceName,
            6 => AgentCircuit,
            7 => Local,
            _ => Reserved(number),
        })
    }

    fn read(value: &'a [u8], kind: impl Fn(u8) -> LldpIdKind) -> Option<Self> {
        let (&number, id) = value.split_first()?;
        let (kind, good) = (kind(number), 1..=Self::MAX);
        let whole = kind != LldpIdKind::Mac || id.len() == 6;
        (good.contains(&id.len()) && whole).then_some(Self { kind, id })
    }

    /// The MAC address that it is, if it is one.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddr> {
        let mac = self.id.try_into().ok().map(MacAddr);
        mac.filter(|_| self.kind == LldpIdKind::Mac)
    }

    /// The IP address that it is, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        let (&family, address) = self.id.split_first()?;
        address_of(family, address).filter(|_| self.kind == LldpIdKind::NetworkAddress)
    }
}

/// An address of a family by its number (IANA's address family numbers).
fn address_of(family: u8, address: &[u8]) -> Option<IpAddr> {
    match family {
        1 => <[u8; 4]>::try_from(address).ok().map(|octets| Ipv4Addr::from(octets).into()),
        2 => <[u8; 16]>::try_from(address).ok().map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

/// What a system can do or does (clause 8.5.8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LldpCapabilities(pub u16);

impl LldpCapabilities {
    /// It bridges (802.1Q).
    pub const BRIDGE: Self = Self(1 << 2);
    /// It routes.
    pub const ROUTER: Self = Self(1 << 4);
    /// Their names, from the lowest bit on.
    pub const NAMES: [&'static str; 11] = [
        "other",
        "repeater",
        "bridge",
        "wlan",
        "router",
        "telephone",
        "docsis",
        "station",
        "c-vlan",
        "s-vlan",
        "relay",
    ];

    /// With these besides.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().enumerate().filter(move |(bit, _)| self.0 >> bit & 1 != 0).map(|(_, name)| name)
    }

    /// What a system can do, and what of it it does. `None` when the length is wrong.
    #[must_use]
    pub fn read(value: &[u8]) -> Option<(Self, Self)> {
        let &[a, b, c, d] = value else { return None };
        Some((Self(u16::from_be_bytes([a, b])), Self(u16::from_be_bytes([c, d]))))
    }
}

/// Where a system is managed (clause 8.5.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagementAddress<'a> {
    /// The family of the address: 1 IPv4, 2 IPv6, 6 MAC and others.
    pub family: u8,
    /// The address: 1 to 31 bytes.
    pub address: &'a [u8],
    /// The number of the interface, counted as the sender says: 1 unknown, 2 ifIndex, 3 port number.
    pub interface: (u8, u32),
}

impl<'a> ManagementAddress<'a> {
    /// Interfaces are counted by ifIndex.
    pub const IF_INDEX: u8 = 2;

    /// Reads one. `None` when a length is wrong.
    #[must_use]
    pub fn read(value: &'a [u8]) -> Option<Self> {
        let (&len, rest) = value.split_first()?;
        let (address, rest) = rest.split_at_checked(len.into())?;
        let (&family, address) = address.split_first()?;
        let (&counted, rest) = rest.split_first()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (&oid, rest) = rest.split_first()?;
        let good = (1..=31).contains(&address.len()) && oid <= 128 && rest.len() == usize::from(oid);
        let interface = (counted, u32::from_be_bytes(*number));
        good.then_some(Self { family, address, interface })
    }

    /// The IP address that it is, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        address_of(self.family, self.address)
    }
}

#[cfg(test)]
#[path = "lldp_tests.rs"]
mod tests;
