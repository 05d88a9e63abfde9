//! Routed tunnels between this router and another: packets of both families in GRE (RFC 2784, RFC 2890, RFC 7676) or as they are in
//! IP (RFC 2003, RFC 4213, RFC 2473), over IPv4 or IPv6.
//!
//! ```text
//! ip4-rewrite ─► interface-output ─► tunnel-encap ─► ip4-lookup          (the outer packet, in the underlay's table)
//! ip4-local ─► tunnel-input ─► ip4-input                                 (the inner packet, as received by the tunnel)
//! ```
//!
//! A tunnel is an interface without Ethernet: adjacencies put no header in front of its packets. Its MTU makes ip4-rewrite and
//! ip6-rewrite cut packets or answer with ICMP before they get here.

pub mod encap;
mod ends;
pub mod input;
mod outer;
#[cfg(test)]
mod testing;

pub use ends::{Tunnels, same_ends};

use crate::forwarding::Forwarding;
use crate::interface;
use millrace_engine::{Feature, Graph};
use std::net::IpAddr;

/// The last of what happens to packets that leave by a tunnel.
pub const FEATURE: Feature = Feature { arc: interface::output::ARC.name, node: encap::NAME, after: &[], before: &[] };

/// What stands between the outer header and the packet inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A GRE header.
    Gre {
        /// The key that packets carry, and must.
        key: Option<u32>,
        /// Whether they carry a checksum, and must. One that is there is always verified.
        checksum: bool,
    },
    /// Nothing.
    Ipip,
}

/// Whether the network may cut outer packets in pieces, if they are IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Df {
    /// As the packet inside says; no IPv6 packet is cut by the network.
    Inherit,
    /// It may not.
    Set,
    /// It may.
    Clear,
}

/// One tunnel, as control has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// What is between the headers.
    pub kind: Kind,
    /// The router's end.
    pub local: IpAddr,
    /// The other end, of the same family.
    pub remote: IpAddr,
    /// The table (VRF) in which the outer packets are routed.
    pub table: u32,
    /// Their time to live, or hop limit.
    pub ttl: u8,
    /// Their type of service, or traffic class, of which ECN is left out (RFC 6040); none: that of the packet inside.
    pub tos: Option<u8>,
    /// Whether they may be cut.
    pub df: Df,
    /// The longest outer packet that is known to reach the other end, in bytes; 65535 when nobody complained.
    pub path_mtu: u16,
}

impl Kind {
    /// Bytes between the outer IP header and the packet inside.
    pub const fn len(self) -> usize {
        use millrace_wire::Gre;
        match self {
            Kind::Gre { key, checksum } => Gre::LEN + Gre::FIELD * (key.is_some() as usize + checksum as usize),
            Kind::Ipip => 0,
        }
    }

    /// Whether packets go behind the outer header as they are.
    pub const fn is_empty(self) -> bool {
        matches!(self, Kind::Ipip)
    }
}

impl Tunnel {
    /// Bytes in front of a packet inside.
    pub const fn overhead(&self) -> usize {
        use millrace_wire::{Ipv4, Ipv6};
        let ip = if self.remote.is_ipv4() { Ipv4::LEN } else { Ipv6::LEN };
        ip + self.kind.len()
    }
}

/// Adds the nodes; the feature is switched off until control switches it on for an interface.
pub fn register(graph: &mut Graph, forwarding: &Forwarding) {
    let tables = forwarding.clone();
    graph.node(move |_| encap::TunnelEncap::new(tables.clone())).feature(FEATURE);
    let tables = forwarding.clone();
    graph.node(move |_| input::TunnelInput::new(tables.clone())).arc(input::ARC);
}
