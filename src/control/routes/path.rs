//! Where routes lead.

use super::Origin;
use std::net::IpAddr;
use std::sync::Arc;

/// One way that a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// The next router, of the route's own address family.
    pub gateway: IpAddr,
    /// The interface that it is on; looked up when it isn't said. A link-local gateway is none without it, and the unspecified one
    /// is whoever is at the other end of a point-to-point link.
    pub interface: Option<u32>,
    /// Its share of the flows.
    pub weight: u16,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// To one of these.
    Via(Arc<[Hop]>),
    /// To the destination itself, on an interface's subnet.
    Glean(u32),
    /// To a neighbour whose adjacency this is, of this interface.
    Neighbor(u32, u32),
    /// To the router: an address of this interface.
    Local(u32),
    /// To the router: an address of no interface, behind which NAT hides others.
    External,
    /// Nowhere: the network or broadcast address of a subnet of this interface.
    Broadcast(u32),
    /// To the router, whichever interface it came by.
    LimitedBroadcast,
    /// To the router, which looks whether the interface it came by listens to that group.
    Multicast,
    /// To a station on the link that the packet belongs to.
    LinkLocal,
    /// Nowhere.
    Blackhole,
    /// Nowhere, and the sender is told "host unreachable".
    Unreachable,
    /// Nowhere, and the sender is told "administratively prohibited".
    Prohibit,
    /// Where the table of this number says.
    NextVrf(u32),
}

impl Path {
    /// Whether it stands for addresses that are the same in every table or subnet (broadcast, multicast, link-local): of little
    /// interest in a listing.
    pub fn is_end(&self) -> bool {
        matches!(self, Path::Broadcast(_) | Path::LimitedBroadcast | Path::Multicast | Path::LinkLocal)
    }

    /// The interface whose state it hangs on by itself.
    pub(super) fn interface(&self) -> Option<u32> {
        match self {
            Path::Glean(interface)
            | Path::Neighbor(_, interface)
            | Path::Local(interface)
            | Path::Broadcast(interface) => Some(*interface),
            _ => None,
        }
    }
}

/// One of the router's own routes to a prefix; of several the best that works is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who made it; the lowest is the best.
    pub origin: Origin,
    /// Tells those of one origin apart.
    pub owner: u128,
    /// Where it leads.
    pub path: Path,
    /// The set of next hops.
    pub group: Option<u32>,
}

/// The router's own routes to a prefix, the best first.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub candidates: Vec<Candidate>,
}

impl Entry {
    /// Whether it has a route that listings show.
    pub fn counts(&self) -> bool {
        self.candidates.iter().any(Candidate::counts)
    }
}

impl Candidate {
    /// Whether listings show it.
    pub fn counts(&self) -> bool {
        self.origin != Origin::Neighbor && !self.path.is_end()
    }
}
