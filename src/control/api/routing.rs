//! Routes, neighbours and VRFs as the API lists them.

use super::{no_interface, no_vrf};
use crate::control::Router;
use crate::control::routes::{Family, Path, Shown};
use ipnet::{IpNet, Ipv6Net};
use millrace_api::v1::{
    self, ListNeighborsReply, ListNeighborsRequest, ListRoutesRequest, ListVrfsReply, NextHop, Route, Routes,
};
use millrace_config::Name;
use std::net::IpAddr;
use std::ops::Bound;
use std::time::Instant;
use tonic::Status;

/// Routes in a batch.
const BATCH: usize = 1000;

/// A listing of routes that goes on where it stopped.
pub struct Listing {
    /// VRFs still to be listed, the current one last.
    vrfs: Vec<(Name, u32)>,
    /// The prefix that was listed last.
    after: Option<IpNet>,
    /// The only address family.
    family: Option<Family>,
    within: Within,
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
        let mut vrfs: Vec<(Name, u32)> = match &request.vrf {
            Some(vrf) => {
                vec![router.vrfs.get_key_value(vrf.as_str()).map(|(n, t)| (n.clone(), *t)).ok_or_else(|| no_vrf(vrf))?]
            }
            None => vrfs_in_order(router),
        };
        vrfs.reverse();
        let wrong = |text: &str, what| Status::invalid_argument(format!("\"{text}\" is no {what}"));
        let prefix = request.prefix.map(|text| text.parse::<IpNet>().map_err(|_| wrong(&text, "prefix")));
        let address = request.address.map(|text| text.parse().map_err(|_| wrong(&text, "address")));
        let within = match (prefix.transpose()?, address.transpose()?) {
            (Some(prefix), None) if request.longer => Within::Inside(prefix.trunc()),
            (Some(prefix), None) => Within::One(prefix.trunc()),
            (None, Some(address)) => Within::To(address),
            (None, None) => Within::All,
            (Some(_), Some(_)) => {
                return Err(Status::invalid_argument("either a prefix or an address can be asked for, not both"));
            }
        };
        let left = if request.limit == 0 { usize::MAX } else { request.limit as usize };
        let family = match request.family.as_str() {
            "ipv4" => Some(Family::Ip4),
            "ipv6" => Some(Family::Ip6),
            _ => None,
        };
        Ok(Listing { vrfs, after: None, family, within, left })
    }

    /// The next batch; `None` after the last.
    pub fn next(&mut self, router: &Router) -> Option<Routes> {
        while self.left > 0
            && let Some((vrf, table)) = self.vrfs.last().cloned()
        {
            let most = BATCH.min(self.left);
            let wanted = |prefix: IpNet| self.family.is_none_or(|family| family == Family::of(prefix));
            let found: Vec<(IpNet, Shown<'_>)> = match self.within {
                Within::All => {
                    let first = match self.family {
                        Some(Family::Ip6) => Bound::Included(Ipv6Net::default().into()),
                        _ => Bound::Unbounded,
                    };
                    let from = router.routes.list(table, self.after.map_or(first, Bound::Excluded));
                    let from = from.take_while(|(prefix, _)| wanted(*prefix));
                    from.filter(|(_, c)| !c.path.is_end()).take(most).collect()
                }
                Within::Inside(prefix) => {
                    // It comes before all that lie inside it.
                    let from = self.after.map_or(Bound::Included(prefix), Bound::Excluded);
                    let inside = router.routes.list(table, from);
                    let inside = inside.take_while(|(p, _)| p.network() <= prefix.broadcast());
                    inside.filter(|(p, _)| prefix.contains(p)).take(most).collect()
                }
                Within::One(prefix) => router.routes.get(table, prefix).map(|c| (prefix, c)).into_iter().collect(),
                Within::To(address) => router.routes.match_shown(table, address).into_iter().collect(),
            };
            let more = found.len() == most && matches!(self.within, Within::All | Within::Inside(_));
            match found.last().filter(|_| more) {
                Some((last, _)) => self.after = Some(*last),
                None => {
                    self.vrfs.pop();
                    self.after = None;
                }
            }
            self.left -= found.len();
            if !found.is_empty() {
                let routes = found.into_iter().map(|(prefix, shown)| message(router, &vrf, table, prefix, &shown));
                return Some(Routes { routes: routes.collect() });
            }
        }
        None
    }
}

fn message(router: &Router, vrf: &Name, table: u32, prefix: IpNet, shown: &Shown<'_>) -> Route {
    let on =
        |interface: u32| vec![NextHop { gateway: None, interface: Some(router.interfaces.name(interface)), weight: 1 }];
    let (kind, next_hops) = match &shown.path {
        Path::Via(hops) => {
            let interfaces = router.routes.interfaces(table, hops);
            let hop = |(hop, interface): (&crate::control::routes::Hop, Option<u32>)| NextHop {
                gateway: Some(hop.gateway.to_string()),
                interface: interface.map(|index| router.interfaces.name(index)),
                weight: hop.weight.into(),
            };
            ("unicast", hops.iter().zip(interfaces).map(hop).collect())
        }
        Path::Glean(interface) | Path::Neighbor(_, interface) => ("unicast", on(*interface)),
        Path::Local(interface) => ("local", on(*interface)),
        Path::Broadcast(interface) => ("broadcast", on(*interface)),
        Path::LimitedBroadcast | Path::Multicast | Path::LinkLocal | Path::External => ("local", Vec::new()),
        Path::NextVrf(_) => ("next-vrf", Vec::new()),
        Path::Blackhole => ("blackhole", Vec::new()),
        Path::Unreachable => ("unreachable", Vec::new()),
        Path::Prohibit => ("prohibit", Vec::new()),
    };
    let next_vrf = match &shown.path {
        Path::NextVrf(table) => router.vrfs.iter().find(|(_, t)| *t == table).map(|(name, _)| name.to_string()),
        _ => None,
    };
    Route {
        prefix: prefix.to_string(),
        vrf: vrf.to_string(),
        origin: shown.origin.to_owned(),
        r#type: kind.to_owned(),
        next_hops,
        next_vrf,
    }
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
