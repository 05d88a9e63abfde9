//! `driver: vxlan`: Ethernet frames in UDP, between this router and others (RFC 7348).

use crate::{keyword::keywords, name::Name, tunnels::Df};
use std::net::IpAddr;

/// `driver: vxlan`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vxlan {
    /// The VXLAN network identifier; [`Vxlan::VNI_MIN`] to [`Vxlan::VNI_MAX`].
    pub vni: u32,
    /// The router's own end: its family is that of the underlay.
    pub local: IpAddr,
    /// The ends that frames to everyone go to, of the family of `local`.
    pub remotes: Vec<IpAddr>,
    /// The UDP port, at both ends. Default [`Vxlan::PORT`].
    pub port: u16,
    /// Whether ends that are not among `remotes` are heard, and sent to once they were. Default true.
    pub learn_remotes: bool,
    /// Whether the UDP checksum is computed. Default auto.
    pub udp_checksum: UdpChecksum,
    /// The TTL or hop limit of the outer header; from 1. Default 64.
    pub ttl: u8,
    /// Whether the network may fragment the outer packets, if they are IPv4. Default clear: it may, because the stations of an
    /// Ethernet can't be told that their frames are too long.
    pub df: Df,
    /// The VRF that the outer packets are routed in. Default `default`.
    pub underlay_vrf: Name,
}

keywords! {
    /// Whether the UDP checksum of the outer packets is computed.
    UdpChecksum, "auto, on or off" {
        /// With IPv6, not with IPv4 (RFC 7348 clause 5, RFC 8200 clause 8.1) (default).
        Auto = "auto",
        /// Always.
        On = "on",
        /// Never; with IPv6 as RFC 6935 allows it for tunnels.
        Off = "off",
    }
}

impl Vxlan {
    /// The lowest VXLAN network identifier.
    pub const VNI_MIN: u32 = 1;
    /// The highest VXLAN network identifier.
    pub const VNI_MAX: u32 = (1 << 24) - 2;
    /// The UDP port by default (RFC 7348 clause 5).
    pub const PORT: u16 = 4789;
    /// The most ends that frames to everyone are sent to.
    pub const MAX_REMOTES: usize = 512;

    /// What its header takes of the underlay's 1500 bytes: the MTU by default. Outer IP header, UDP, VXLAN and inner Ethernet.
    pub const fn mtu(&self) -> u16 {
        match self.local {
            IpAddr::V4(_) => 1500 - (20 + 8 + 8 + 14),
            IpAddr::V6(_) => 1500 - (40 + 8 + 8 + 14),
        }
    }

    /// Whether the UDP checksum is computed.
    pub const fn checksummed(&self) -> bool {
        match self.udp_checksum {
            UdpChecksum::Auto => self.local.is_ipv6(),
            UdpChecksum::On => true,
            UdpChecksum::Off => false,
        }
    }
}
