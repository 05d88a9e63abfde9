//! Routes, neighbours and VRFs as the API lists them.

mod resolution;
mod summary;
#[cfg(test)]
mod tests;
mod watch;

pub use resolution::resolve;
pub use summary::summary;
pub use watch::Watch;

use super::{no_interface, no_vrf};
use crate::control::Router;
use crate::control::routes::{Family, Hop, Path, Shown};
use ipnet::{IpNet, Ipv6Net};
use millrace_api::v1::{
    self, ListNeighborsReply, ListNeighborsRequest, ListPolicyRoutesReply, ListRoutesRequest, ListVrfsReply, NextHop,
    Route, Routes,
};
use millrace_config::Name;
use std::net::IpAddr;
use std::ops::Bound;
use std::str::FromStr;
use std::time::Instant;
use tonic::Status;

/// Routes that are looked at before others get their turn.
const BATCH: usize = 1000;

/// The tables and families that a request is about.
pub struct Scope {
    /// VRFs, `default` first.
    vrfs: Vec<(Name, u32)>,
    /// The only address family.
    family: Option<Family>,
}

impl Scope {
    /// # Errors
    /// There is no such VRF or family.
    pub fn read(router: &Router, family: &str, vrf: Option<&str>) -> Result<Scope, Status> {
        let vrfs = match vrf {
            Some(vrf) => {
                vec![router.vrfs.get_key_value(vrf).map(|(n, t)| (n.clone(), *t)).ok_or_else(|| no_vrf(vrf))?]
            }
            None => vrfs_in_order(router),
        };
        let family = match family {
            "" => None,
            "ipv4" => Some(Family::Ip4),
            "ipv6" => Some(Family::Ip6),
            other => return Err(Status::invalid_argument(format!("family \"{other}\"; expected ipv4 or ipv6"))),
        };
        Ok(Scope { vrfs, family })
    }

    /// Whether it is about routes to this prefix.
    fn takes(&self, prefix: IpNet) -> bool {
        self.family.is_none_or(|family| family == Family::of(prefix))
    }
}

/// The words of a request as what they are to be.
fn read<T: FromStr>(text: &str, what: &str) -> Result<T, Status> {
    text.parse().map_err(|_| Status::invalid_argument(format!("\"{text}\" is no {what}")))
}

/// A listing of routes that goes on where it stopped.
pub struct Listing {
    /// Its VRFs are still to be listed, the current one last.
    scope: Scope,
    /// The prefix that was looked at last.
    after: Option<IpNet>,
    within: Within,
    /// The only origin.
    origin: Option<String>,
    left: usize,
}

/// Which routes are listed.
enum Within {
    /// All but the broadcast addresses.
    All,
    /// Exactly this one.
    One(IpNet),
    /// This one and those inside.
    Inside(IpNet),
    /// The one that packets to this address take.
    To(IpAddr),
}

impl Listing {
    pub fn start(router: &Router, request: ListRoutesRequest) -> Result<Listing, Status> {
        let scope = Scope::read(router, &request.family, request.vrf.as_deref())?;
        let prefix = request.prefix.map(|text| read::<IpNet>(&text, "prefix")).transpose()?;
        let address = request.address.map(|text| read(&text, "address")).transpose()?;
        let within = match (prefix, address) {
            (Some(prefix), None) if request.longer => Within::Inside(prefix.trunc()),
            (Some(prefix), None) => Within::One(prefix.trunc()),
            (None, Some(address)) => Within::To(address),
            (None, None) => Within::All,
            (Some(_), Some(_)) => {
                return Err(Status::invalid_argument("either a prefix or an address can be asked for, not both"));
            }
        };
        let left = if request.limit == 0 { usize::MAX } else { request.limit as usize };
        Ok(Listing { origin: request.origin, ..Listing::of(scope, within, left) })
    }

    /// All routes, or those inside a prefix.
    fn whole(scope: Scope, prefix: Option<IpNet>) -> Listing {
        Listing::of(scope, prefix.map_or(Within::All, Within::Inside), usize::MAX)
    }

    fn of(mut scope: Scope, within: Within, left: usize) -> Listing {
        let only = match within {
            Within::All => None,
            Within::One(prefix) | Within::Inside(prefix) => Some(prefix),
            Within::To(address) => Some(IpNet::from(address)),
        };
        scope.vrfs.reverse();
        if only.is_some_and(|prefix| !scope.takes(prefix)) {
            scope.vrfs.clear();
        }
        Listing { scope, after: None, within, origin: None, left }
    }

    /// The next routes, none if those that were looked at are not asked for; `None` after the last.
    pub fn next(&mut self, router: &Router) -> Option<Routes> {
        let (vrf, table) = self.scope.vrfs.last().filter(|_| self.left > 0).cloned()?;
        // Where those begin that are asked for, and where they end.
        let (first, last) = match self.within {
            Within::All => match self.scope.family {
                Some(Family::Ip6) => (Bound::Included(Ipv6Net::default().into()), None),
                _ => (Bound::Unbounded, None),
            },
            // A prefix comes before all that lie inside it.
            Within::Inside(prefix) => (Bound::Included(prefix), Some(prefix.broadcast())),
            Within::One(prefix) => return self.only(router, router.routes.get(table, prefix).map(|c| (prefix, c))),
            Within::To(address) => return self.only(router, router.routes.match_shown(table, address)),
        };
        let from = router.routes.list(table, self.after.map_or(first, Bound::Excluded));
        let scope = &self.scope;
        let from = from.take_while(|(p, _)| scope.takes(*p) && last.is_none_or(|last| p.network() <= last));
        let (mut routes, mut looked, mut after) = (Vec::new(), 0, None);
        for (prefix, shown) in from.take(BATCH) {
            (looked, after) = (looked + 1, Some(prefix));
            let inside = match self.within {
                Within::Inside(whole) => whole.contains(&prefix),
                _ => !shown.path.is_end(),
            };
            if inside && self.asks_for(&shown) {
                routes.push(message(router, &vrf, table, prefix, &shown));
                if routes.len() == self.left {
                    break;
                }
            }
        }
        self.left -= routes.len();
        self.after = after;
        if looked < BATCH {
            self.scope.vrfs.pop();
            self.after = None;
        }
        Some(Routes { routes })
    }

    /// What there is at most one of in a VRF.
    fn only(&mut self, router: &Router, found: Option<(IpNet, Shown<'_>)>) -> Option<Routes> {
        let (vrf, table) = self.scope.vrfs.pop()?;
        let found = found.filter(|(_, shown)| self.asks_for(shown));
        let routes: Vec<Route> =
            found.map(|(prefix, shown)| message(router, &vrf, table, prefix, &shown)).into_iter().collect();
        self.left -= routes.len();
        Some(Routes { routes })
    }

    fn asks_for(&self, shown: &Shown<'_>) -> bool {
        self.origin.as_ref().is_none_or(|origin| origin == shown.origin)
    }
}

fn message(router: &Router, vrf: &Name, table: u32, prefix: IpNet, shown: &Shown<'_>) -> Route {
    let on =
        |interface: u32| vec![NextHop { gateway: None, interface: Some(router.interfaces.name(interface)), weight: 1 }];
    let next_hops = match &shown.path {
        Path::Via(hops) => {
            let interfaces = router.routes.interfaces(table, hops);
            let hop = |(hop, interface): (&Hop, Option<u32>)| NextHop {
                gateway: (!hop.gateway.is_unspecified()).then(|| hop.gateway.to_string()),
                interface: interface.map(|index| router.interfaces.name(index)),
                weight: hop.weight.into(),
            };
            hops.iter().zip(interfaces).map(hop).collect()
        }
        Path::Glean(interface) | Path::Neighbor(_, interface) | Path::Local(interface) | Path::Broadcast(interface) => {
            on(*interface)
        }
        _ => Vec::new(),
    };
    let next_vrf = match &shown.path {
        Path::NextVrf(table) => vrf_name(router, *table).map(Name::to_string),
        _ => None,
    };
    Route {
        prefix: prefix.to_string(),
        vrf: vrf.to_string(),
        origin: shown.origin.to_owned(),
        r#type: kind(&shown.path).to_owned(),
        next_hops,
        next_vrf,
    }
}

/// What becomes of packets, in a word.
fn kind(path: &Path) -> &'static str {
    match path {
        Path::Via(_) | Path::Glean(_) | Path::Neighbor(..) => "unicast",
        Path::Broadcast(_) => "broadcast",
        Path::Local(_) | Path::LimitedBroadcast | Path::Multicast | Path::LinkLocal | Path::External => "local",
        Path::NextVrf(_) => "next-vrf",
        Path::Blackhole => "blackhole",
        Path::Unreachable => "unreachable",
        Path::Prohibit => "prohibit",
    }
}

/// The VRF whose table has this number.
fn vrf_name(router: &Router, table: u32) -> Option<&Name> {
    router.vrfs.iter().find(|(_, number)| **number == table).map(|(name, _)| name)
}

/// `default` first, then by name.
fn vrfs_in_order(router: &Router) -> Vec<(Name, u32)> {
    let mut vrfs: Vec<_> = router.vrfs.iter().map(|(name, table)| (name.clone(), *table)).collect();
    vrfs.sort_by_key(|(name, _)| (*name != Name::default_vrf(), name.clone()));
    vrfs
}

pub fn vrfs(router: &Router) -> ListVrfsReply {
    let vrf = |(name, table): (Name, u32)| v1::Vrf {
        interfaces: router.interfaces.iter().filter(|i| i.vrf.0 == name).map(|i| i.name.to_string()).collect(),
        name: name.to_string(),
        ipv4_routes: router.routes.count(table, Family::Ip4) as u64,
        ipv6_routes: router.routes.count(table, Family::Ip6) as u64,
    };
    ListVrfsReply { vrfs: vrfs_in_order(router).into_iter().map(vrf).collect() }
}

pub fn neighbors(router: &Router, request: &ListNeighborsRequest) -> Result<ListNeighborsReply, Status> {
    if let Some(name) = request.interface.as_deref().filter(|name| router.interfaces.named(name).is_none()) {
        return Err(no_interface(name));
    }
    let now = Instant::now();
    let mut neighbors: Vec<v1::Neighbor> = router
        .neighbors
        .list()
        .map(|((interface, address), neighbor)| v1::Neighbor {
            interface: router.interfaces.name(*interface),
            address: address.to_string(),
            mac: neighbor.mac.map(|mac| mac.to_string()),
            state: neighbor.state.as_str().to_owned(),
            age: now.saturating_duration_since(neighbor.since).as_secs(),
        })
        .filter(|n| request.interface.as_ref().is_none_or(|wanted| *wanted == n.interface))
        .collect();
    // By name; within an interface they are in order already.
    neighbors.sort_by(|a, b| a.interface.cmp(&b.interface));
    Ok(ListNeighborsReply { neighbors })
}

/// The policy routes, the first that matches first.
pub fn policy_routes(router: &Router) -> ListPolicyRoutesReply {
    let message = |(at, (rule, packets)): (usize, (&millrace_config::PolicyRoute, u64))| v1::PolicyRoute {
        position: at as u32 + 1,
        source: rule.packets.source.map(|source| source.to_string()),
        interface: rule.packets.interface.as_ref().map(Name::to_string),
        vrf: rule.vrf.to_string(),
        packets,
    };
    ListPolicyRoutesReply { policy_routes: router.policy_routes.list().enumerate().map(message).collect() }
}
