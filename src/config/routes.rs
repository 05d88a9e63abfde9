//! `routes`: the static routes. Connected routes come from the addresses of interfaces and don't stand here.

use crate::name::Name;
use ipnet::IpNet;
use std::net::IpAddr;

/// What names a route: there is one for each prefix of a VRF.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// The VRF it belongs to.
    pub vrf: Name,
    /// The destinations; no bit is set behind the prefix length.
    pub prefix: IpNet,
}

/// What happens to packets of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// They go to one of these next hops; 1 to [`Route::MAX_HOPS`], sorted, all different.
    Via(Vec<NextHop>),
    /// They are dropped without a word.
    Blackhole,
    /// They are dropped; the sender gets ICMP host unreachable (type 3 code 1).
    Unreachable,
    /// They are dropped; the sender gets ICMP administratively prohibited (type 3 code 13).
    Prohibit,
}

/// One way that a route leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHop {
    /// The next router. Without `interface` it is looked up in the route's VRF: on a connected subnet, or by another route.
    pub gateway: IpAddr,
    /// The interface it is on; it belongs to the route's VRF.
    pub interface: Option<Name>,
    /// Its share of the flows among the route's hops; 1 to [`NextHop::MAX_WEIGHT`], default 1.
    pub weight: u16,
}

impl Route {
    /// The most next hops of a route.
    pub const MAX_HOPS: usize = 64;

    /// A route by these next hops, brought into order.
    pub fn via(mut hops: Vec<NextHop>) -> Self {
        hops.sort();
        Self::Via(hops)
    }

    /// The word of its `type` in the configuration; `via` for one with next hops.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Via(_) => "via",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
        }
    }

    /// Its next hops; none for a route that drops.
    pub fn hops(&self) -> &[NextHop] {
        match self {
            Self::Via(hops) => hops,
            _ => &[],
        }
    }
}

impl NextHop {
    /// The largest weight.
    pub const MAX_WEIGHT: u16 = 256;

    /// A next hop of weight 1 that is looked up.
    pub const fn new(gateway: IpAddr) -> Self {
        Self { gateway, interface: None, weight: 1 }
    }
}
