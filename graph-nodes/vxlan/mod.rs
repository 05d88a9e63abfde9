//! VXLAN (RFC 7348): Ethernet frames to remote tunnel end points (*remotes*) and from them, in UDP over IPv4 or IPv6.
//!
//! ```text
//! interface-output ─► [vxlan4-encap] ─► ip4-lookup ─► ... the underlay
//! ip4-local ─► ip4-local-end-of-arc ─► vxlan4-input ─► interface-input ─► bridge, or router
//! ```
//! and the same of IPv6. A frame to a station that was heard from a remote goes to that one; all others go to each remote that
//! the operator named (*head-end replication*).

pub mod encap;
mod inner;
pub mod input;
mod tables;
#[cfg(test)]
mod tests;
mod underlay;

pub use tables::{Ends, Known, Remote, Traffic, Tunnel, Tunnels};
pub use underlay::{Headers, Underlay};

use crate::forwarding::Forwarding;
use crate::interface;
use crate::ip::{V4, V6};
use crate::neighbor_events::NeighborEvents;
use encap::VxlanEncap;
use input::VxlanInput;
use millrace_engine::{Feature, Graph};
use std::net::IpAddr;

/// The feature of a VXLAN interface over IPv4: the last on its interface-output arc, as the outer packet is no frame of its.
pub const FEATURE4: Feature = feature::<V4>();
/// The same over IPv6.
pub const FEATURE6: Feature = feature::<V6>();

const fn feature<F: Underlay>() -> Feature {
    Feature { arc: interface::output::ARC.name, node: F::ENCAP, after: &[], before: &[] }
}

/// The feature of an interface with this local address.
#[must_use]
pub const fn feature_of(local: IpAddr) -> Feature {
    match local {
        IpAddr::V4(_) => FEATURE4,
        IpAddr::V6(_) => FEATURE6,
    }
}

/// Adds the nodes, and the features that send an interface's frames: switched off until control switches one on for an interface.
pub fn register(graph: &mut Graph, forwarding: &Forwarding, events: &NeighborEvents) {
    let (tables4, tables6) = (forwarding.clone(), forwarding.clone());
    graph.node(move |worker| VxlanEncap::<V4>::new(tables4.clone(), worker)).feature(FEATURE4);
    graph.node(move |worker| VxlanEncap::<V6>::new(tables6.clone(), worker)).feature(FEATURE6);
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| VxlanInput::<V4>::new(tables.clone(), queue.clone()));
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| VxlanInput::<V6>::new(tables.clone(), queue.clone()));
}
