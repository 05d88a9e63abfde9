//! Neighbour discovery for IPv6 (RFC 4861): its messages, their options, and the addresses that it lives on.
//!
//! Each message is a view from the ICMP header on; options follow it.

use core::net::Ipv6Addr;

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{Icmp6, Icmp6Type, MacAddr};

/// The hop limit of every message: one that came over a router has less (RFC 4861 section 3.1).
pub const HOP_LIMIT: u8 = 255;
/// ff02::1, every node of the link (RFC 4291 section 2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// ff02::2, every router of the link (RFC 4291 section 2.7.1).
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// ff02::16, every router that wants to know of multicast listeners (RFC 3810 section 5.2.14).
pub const ALL_MLD2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// The group that an address's owner listens to: ff02::1:ff00:0/104 and the last 24 bits (RFC 4291 section 2.7.1).
#[must_use]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    const PREFIX: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
    Ipv6Addr::from_bits(PREFIX | address.to_bits() & 0xff_ffff)
}

/// The MAC address of a multicast group: 33:33 and its last 32 bits (RFC 2464 section 7).
#[must_use]
pub const fn multicast_mac(group: Ipv6Addr) -> MacAddr {
    let [a, b, c, d] = (group.to_bits() as u32).to_be_bytes();
    MacAddr([0x33, 0x33, a, b, c, d])
}

/// The link-local address that a MAC address makes (RFC 4291 section 2.5.6 and appendix A: modified EUI-64).
#[must_use]
pub const fn link_local(mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let interface = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from_bits(0xfe80 << 112 | interface as u128)
}

/// Asks whoever has the target address for its MAC address, or whether it is still there (RFC 4861 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct NeighborSolicitation {
    /// Type, code, checksum; the rest is reserved.
    pub icmp: Icmp6,
    target: [u8; 16],
}

impl NeighborSolicitation {
    /// Its length without options, in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// A solicitation; the checksum is zero.
    #[must_use]
    pub const fn new(target: Ipv6Addr) -> Self {
        Self { icmp: Icmp6::new(Icmp6Type::NEIGHBOR_SOLICITATION, 0), target: target.octets() }
    }

    /// Whom it asks for.
    #[inline]
    #[must_use]
    pub const fn target(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(self.target)
    }
}

/// What an advertisement says besides the address (RFC 4861 section 4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeighborFlags {
    /// R: the sender is a router.
    pub router: bool,
    /// S: it answers a solicitation, and so confirms that both ways work.
    pub solicited: bool,
    /// O: it replaces what is known.
    pub override_: bool,
}

/// Tells the MAC address of the target (RFC 4861 section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct NeighborAdvertisement {
    /// Type, code, checksum; the first three bits of the rest are [`NeighborFlags`].
    pub icmp: Icmp6,
    target: [u8; 16],
}

impl NeighborAdvertisement {
    /// Its length without options, in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// An advertisement; the checksum is zero.
    #[must_use]
    pub const fn new(flags: NeighborFlags, target: Ipv6Addr) -> Self {
        let NeighborFlags { router, solicited, override_ } = flags;
        let bits = (router as u32) << 31 | (solicited as u32) << 30 | (override_ as u32) << 29;
        Self { icmp: Icmp6::new(Icmp6Type::NEIGHBOR_ADVERTISEMENT, 0).with_rest(bits), target: target.octets() }
    }

    /// Its flags.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> NeighborFlags {
        let bits = self.icmp.rest();
        NeighborFlags { router: bits >> 31 & 1 != 0, solicited: bits >> 30 & 1 != 0, override_: bits >> 29 & 1 != 0 }
    }

    /// Whose address it tells.
    #[inline]
    #[must_use]
    pub const fn target(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(self.target)
    }
}

/// Asks routers to advertise themselves now (RFC 4861 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RouterSolicitation {
    /// Type, code, checksum; the rest is reserved.
    pub icmp: Icmp6,
}

impl RouterSolicitation {
    /// Its length without options, in bytes.
    pub const LEN: usize = size_of::<Self>();
}

/// A router tells that it is there, and how its link is to be used (RFC 4861 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RouterAdvertisement {
    /// Type, code, checksum; the rest is hop limit, flags and lifetime.
    pub icmp: Icmp6,
    reachable_time: U32,
    retransmit_timer: U32,
}

impl RouterAdvertisement {
    /// Its length without options, in bytes.
    pub const LEN: usize = size_of::<Self>();
    /// M: addresses are had by DHCPv6.
    pub const MANAGED: u8 = 0x80;
    /// O: other configuration is had by DHCPv6.
    pub const OTHER: u8 = 0x40;
    /// Prf: the router is preferred to others (RFC 4191 section 2.2).
    pub const HIGH: u8 = 0x08;
    /// Prf: others are preferred to it.
    pub const LOW: u8 = 0x18;

    /// An advertisement; the checksum is zero. `hop_limit` 0 says nothing of it; `lifetime` is in seconds, 0 when it is no default
    /// router; both times are in milliseconds, 0 says nothing of them.
    #[must_use]
    pub const fn new(hop_limit: u8, flags: u8, lifetime: u16, reachable_time: u32, retransmit_timer: u32) -> Self {
        let rest = (hop_limit as u32) << 24 | (flags as u32) << 16 | lifetime as u32;
        Self {
            icmp: Icmp6::new(Icmp6Type::ROUTER_ADVERTISEMENT, 0).with_rest(rest),
            reachable_time: U32::new(reachable_time),
            retransmit_timer: U32::new(retransmit_timer),
        }
    }
}

/// What an option is (RFC 4861 section 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NdOptionType(pub u8);

impl NdOptionType {
    /// The sender's link-layer address.
    pub const SOURCE_LINK_LAYER: Self = Self(1);
    /// The target's link-layer address.
    pub const TARGET_LINK_LAYER: Self = Self(2);
    /// A prefix of the link.
    pub const PREFIX_INFORMATION: Self = Self(3);
    /// The link's MTU.
    pub const MTU: Self = Self(5);
    /// A nonce of a probe for duplicates, which tells it from a looped back one (RFC 7527).
    pub const NONCE: Self = Self(14);
    /// Recursive DNS servers (RFC 8106 section 5.1).
    pub const DNS_SERVERS: Self = Self(25);
    /// DNS search list (RFC 8106 section 5.2).
    pub const DNS_SEARCH: Self = Self(31);
}

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NdOption<'a> {
    /// What it is.
    pub kind: NdOptionType,
    /// What follows type and length: 6 bytes, or 8 more, and so on.
    pub body: &'a [u8],
}

impl NdOption<'_> {
    /// The Ethernet address that it tells; `None` when it is about something else, or longer than one (RFC 2464 section 6).
    #[must_use]
    pub fn link_layer(&self) -> Option<MacAddr> {
        let of_mac = matches!(self.kind, NdOptionType::SOURCE_LINK_LAYER | NdOptionType::TARGET_LINK_LAYER);
        self.body.try_into().ok().filter(|_| of_mac).map(MacAddr)
    }
}

/// Options that don't fill their message: one has no length, or reaches beyond the end. All of such a message is to be discarded
/// (RFC 4861 section 4.6, 6.1.1 and 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedOptions;

/// The options of a message, one after the other; ends after a malformed one.
#[derive(Clone, Debug)]
pub struct NdOptions<'a>(&'a [u8]);

impl<'a> NdOptions<'a> {
    /// The options in these bytes, which are all that follows the message.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for NdOptions<'a> {
    type Item = Result<NdOption<'a>, MalformedOptions>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = core::mem::take(&mut self.0);
        let [kind, eights, ..] = *rest else {
            return if rest.is_empty() { None } else { Some(Err(MalformedOptions)) };
        };
        // No length would mean that the option never ends.
        let option = rest.split_at_checked(usize::from(eights) * 8).filter(|_| eights != 0);
        let Some((option, rest)) = option else { return Some(Err(MalformedOptions)) };
        self.0 = rest;
        let body = option.get(2..).unwrap_or(&[]);
        Some(Ok(NdOption { kind: NdOptionType(kind), body }))
    }
}

/// A source or target link-layer address option (RFC 4861 section 4.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct LinkLayerOption {
    kind: u8,
    eights: u8,
    /// The address.
    pub mac: MacAddr,
}

impl LinkLayerOption {
    /// Its length in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// The sender's address.
    #[must_use]
    pub const fn source(mac: MacAddr) -> Self {
        Self { kind: NdOptionType::SOURCE_LINK_LAYER.0, eights: 1, mac }
    }

    /// The target's address.
    #[must_use]
    pub const fn target(mac: MacAddr) -> Self {
        Self { kind: NdOptionType::TARGET_LINK_LAYER.0, eights: 1, mac }
    }
}

/// A prefix of the link (RFC 4861 section 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct PrefixInformation {
    kind: u8,
    eights: u8,
    len: u8,
    flags: u8,
    valid_lifetime: U32,
    preferred_lifetime: U32,
    reserved: [u8; 4],
    prefix: [u8; 16],
}

impl PrefixInformation {
    /// L: stations with the prefix are on the link.
    pub const ON_LINK: u8 = 0x80;
    /// A: hosts may make addresses of it (RFC 4862).
    pub const AUTONOMOUS: u8 = 0x40;

    /// The option. Lifetimes are in seconds; `u32::MAX` is for ever.
    #[must_use]
    pub const fn new(prefix: Ipv6Addr, len: u8, flags: u8, valid_lifetime: u32, preferred_lifetime: u32) -> Self {
        Self {
            kind: NdOptionType::PREFIX_INFORMATION.0,
            eights: 4,
            len,
            flags,
            valid_lifetime: U32::new(valid_lifetime),
            preferred_lifetime: U32::new(preferred_lifetime),
            reserved: [0; 4],
            prefix: prefix.octets(),
        }
    }
}

/// The link's MTU (RFC 4861 section 4.6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct MtuOption {
    kind: u8,
    eights: u8,
    reserved: U16,
    mtu: U32,
}

impl MtuOption {
    /// The option, of an MTU in bytes.
    #[must_use]
    pub const fn new(mtu: u32) -> Self {
        Self { kind: NdOptionType::MTU.0, eights: 1, reserved: U16::ZERO, mtu: U32::new(mtu) }
    }
}

#[cfg(test)]
#[path = "nd_tests.rs"]
mod tests;
