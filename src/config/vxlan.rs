//! `driver: vxlan`: Ethernet frames in UDP, between this router and others (RFC 7348).

use crate::{
    Interface, addresses,
    decode::{Fields, Scalar, number},
    diagnostic::{Reader, Spot},
    driver::Driver,
    keyword::keywords,
    name::Name,
    tunnels::{Df, Ends},
    validate::Check,
    yaml::Node,
};
use std::{collections::HashMap, net::IpAddr};

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

    /// The bytes that its headers add to a packet inside: outer IP header, UDP, VXLAN and inner Ethernet.
    pub const fn overhead(&self) -> u16 {
        match self.local {
            IpAddr::V4(_) => 20 + 8 + 8 + 14,
            IpAddr::V6(_) => 40 + 8 + 8 + 14,
        }
    }

    /// What its headers leave of the underlay's 1500 bytes: the MTU by default.
    pub const fn mtu(&self) -> u16 {
        1500 - self.overhead()
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

impl Vxlan {
    pub(crate) fn decode(name: &Name, fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        let vni = fields.required_by("vni", reader, |text| number(text, &(Self::VNI_MIN..=Self::VNI_MAX)));
        let local = fields.required("local", reader);
        let remotes = fields.list("remotes", reader, IpAddr::read).unwrap_or_default();
        for (i, (_, at)) in remotes.iter().enumerate() {
            reader.place(Spot::new("interfaces", name).key("remotes").value(i), *at);
        }
        let remotes = remotes.into_iter().map(|(remote, _)| remote).collect();
        let port = fields.number("port", 1..=u16::MAX, reader).unwrap_or(Self::PORT);
        let learn_remotes = fields.scalar("learn-remotes", reader).unwrap_or(true);
        let udp_checksum = fields.scalar("udp-checksum", reader).unwrap_or(UdpChecksum::Auto);
        let ttl = fields.number("ttl", 1..=u8::MAX, reader).unwrap_or(Ends::TTL);
        let df = fields.scalar("df", reader).unwrap_or(Df::Clear);
        let underlay_vrf = fields.scalar("underlay-vrf", reader).unwrap_or_else(Name::default_vrf);
        Some(Self { vni: vni?, local: local?, remotes, port, learn_remotes, udp_checksum, ttl, df, underlay_vrf })
    }

    pub(crate) fn encode(&self, node: Node) -> Node {
        let mut node = node.with("vni", Node::text(self.vni)).with("local", Node::text(self.local));
        if !self.remotes.is_empty() {
            node = node.with("remotes", Node::list(self.remotes.iter().map(Node::text)));
        }
        node.with_unless(&Self::PORT, "port", &self.port)
            .with_unless(&true, "learn-remotes", &self.learn_remotes)
            .with_unless(&UdpChecksum::Auto, "udp-checksum", &self.udp_checksum)
            .with_unless(&Ends::TTL, "ttl", &self.ttl)
            .with_unless(&Df::Clear, "df", &self.df)
            .with_unless(&Name::default_vrf(), "underlay-vrf", &self.underlay_vrf)
    }
}

/// Notes what is wrong with the address of another end; whether it is right.
pub(crate) fn check_remote(check: &mut Check<'_>, spot: Spot, what: &str, local: IpAddr, remote: IpAddr) -> bool {
    let (message, hint) = if remote.is_ipv4() != local.is_ipv4() {
        let family = if local.is_ipv4() { "IPv4" } else { "IPv6" };
        (format!("{remote} is not of the family of {local}"), format!("expected an {family} address"))
    } else if let Some(kind) = unusable(remote) {
        (format!("{remote} is {kind} address"), "expected the address of another router".to_owned())
    } else if remote == local {
        (format!("{remote} is its own end"), "expected the address of another router".to_owned())
    } else {
        return true;
    };
    check.problem(spot, format!("{what}: {message}"), hint);
    false
}

/// What kind of address it is that no end of a tunnel can have: the underlay doesn't route it.
pub(crate) fn unusable(end: IpAddr) -> Option<&'static str> {
    addresses::kind(end).or_else(|| addresses::link_local(end).map(|_| "a link-local"))
}

pub(crate) fn check(check: &mut Check<'_>) {
    let config = check.config;
    let mut users = HashMap::new();
    for (name, interface) in &config.interfaces {
        let Driver::Vxlan(vxlan) = &interface.driver else { continue };
        let spot = |key| Spot::new("interfaces", name).key(key);
        let what = format!("interface {name}");
        check.vrf(spot("underlay-vrf"), &format!("{what}: underlay-vrf"), &vxlan.underlay_vrf);
        if let Some(kind) = unusable(vxlan.local) {
            let message = format!("{what}: local: {} is {kind} address", vxlan.local);
            check.problem(spot("local"), message, "expected an address of this router that others can reach");
        }
        for (i, remote) in vxlan.remotes.iter().enumerate() {
            let spot = spot("remotes").value(i);
            let what = format!("{what}: remotes");
            if check_remote(check, spot.clone(), &what, vxlan.local, *remote) && vxlan.remotes[..i].contains(remote) {
                check.problem(spot, format!("{what}: {remote} stands here twice"), "keep one of them");
            }
        }
        if vxlan.remotes.len() > Vxlan::MAX_REMOTES {
            let message = format!("{what}: remotes: {} are too many", vxlan.remotes.len());
            check.problem(spot("remotes"), message, format!("expected at most {}", Vxlan::MAX_REMOTES));
        }
        let key = (vxlan.vni, vxlan.local, vxlan.port, &vxlan.underlay_vrf);
        if let Some(other) = users.insert(key, name) {
            let message = format!("{what}: vni: {} at {} is interface {other}'s already", vxlan.vni, vxlan.local);
            let hint = "expected a VNI of its own for each local address, port and underlay VRF";
            check.problem(spot("vni"), message, hint);
        }
        if vxlan.remotes.is_empty() && !vxlan.learn_remotes && !has_static_remotes(check, name) {
            let message = format!("{what}: learn-remotes: no other end is known, and none can become known");
            let hint = "expected `remotes`, `learn-remotes: true`, or static-macs with a `remote`";
            check.problem(spot("learn-remotes"), message, hint);
        }
        if interface.mtu > Interface::MTU_MAX - vxlan.overhead() {
            let most = Interface::MTU_MAX - vxlan.overhead();
            let message = format!("{what}: mtu: {} leaves no room for the outer headers", interface.mtu);
            check.problem(spot("mtu"), message, format!("expected at most {most}"));
        }
    }
}

/// Whether a station is said to be behind a remote of this interface.
fn has_static_remotes(check: &Check<'_>, name: &Name) -> bool {
    let mut stations = check.config.bridges.values().flat_map(|bridge| bridge.static_macs.values());
    stations.any(|station| station.interface == *name && station.remote.is_some())
}
