//! `ResolveRoute`: where packets to an address go, step by step.

use super::{kind, read, vrf_name};
use crate::control::Router;
use crate::control::api::no_vrf;
use crate::control::routes::{Hop, Step, What};
use millrace_api::v1::{ResolveRouteRequest, ResolveStep, RouteResolution};
use millrace_config::{DEFAULT_VRF, Name};
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tonic::Status;

/// The steps from an address to what is written in front of packets.
///
/// # Errors
/// The address can't be read, or there is no such VRF.
pub fn resolve(router: &Router, request: &ResolveRouteRequest) -> Result<RouteResolution, Status> {
    let address: IpAddr = read(&request.address, "address")?;
    let vrf = request.vrf.as_deref().unwrap_or(DEFAULT_VRF);
    let table = *router.vrfs.get(vrf).ok_or_else(|| no_vrf(vrf))?;
    let steps = steps(router, address, &router.routes.resolved(table, address));
    Ok(RouteResolution { address: address.to_string(), vrf: vrf.to_owned(), steps })
}

/// The steps as they are told. Places of the forwarding plane that only lead on are left out.
fn steps(router: &Router, address: IpAddr, all: &[Step]) -> Vec<ResolveStep> {
    let mut told = Vec::new();
    // The depths of steps above that were left out; the load-balances above, by their depths: the share of each adjacency.
    let mut left_out: Vec<usize> = Vec::new();
    let mut balances: Vec<(usize, HashMap<u32, f64>)> = Vec::new();
    // The share of the flows that come to each depth.
    let mut shares = vec![1.0];
    for (i, step) in all.iter().enumerate() {
        left_out.retain(|depth| *depth < step.depth);
        balances.retain(|(depth, _)| *depth < step.depth);
        shares.truncate(step.depth + 1);
        let above = shares.last().copied().unwrap_or(1.0);
        let (share, message) = match &step.what {
            What::Route { table, prefix, origin, path } => (
                above,
                Some(ResolveStep {
                    kind: "route".to_owned(),
                    vrf: vrf_name(router, *table).map(Name::to_string),
                    prefix: Some(prefix.to_string()),
                    origin: Some(origin.clone()),
                    r#type: Some(kind(path).to_owned()),
                    ..ResolveStep::default()
                }),
            ),
            What::Hop { hop, interface, reachable } => {
                (above * part(all, i, hop), Some(gateway(router, hop, *interface, *reachable)))
            }
            What::Balance { buckets, .. } => {
                let whole = buckets.iter().map(|(_, count)| count).sum::<usize>().max(1) as f64;
                let parts = buckets.iter().map(|(adjacency, count)| (*adjacency, *count as f64 / whole)).collect();
                balances.push((step.depth, parts));
                (above, Some(ResolveStep { kind: "load-balance".to_owned(), ..ResolveStep::default() }))
            }
            What::Adjacency { index, adjacency } => {
                let balanced = balances.last().filter(|(depth, _)| depth + 1 == step.depth);
                let part = balanced.and_then(|(_, parts)| parts.get(index)).copied().unwrap_or(1.0);
                (above * part, end(router, address, adjacency))
            }
        };
        shares.push(share);
        match message {
            None => left_out.push(step.depth),
            Some(message) => {
                let depth = step.depth.saturating_sub(left_out.len()) as u32;
                told.push(ResolveStep { depth, share, ..message });
            }
        }
    }
    told
}

/// The share of a next hop among those of its route, which stand at the same depth.
fn part(all: &[Step], at: usize, hop: &Hop) -> f64 {
    let depth = all.get(at).map_or(0, |step| step.depth);
    let of_route = |step: &&Step| step.depth >= depth;
    let (before, after) = all.split_at(at);
    let beside = before.iter().rev().take_while(of_route).chain(after.iter().take_while(of_route));
    let weight = |step: &Step| match &step.what {
        What::Hop { hop, .. } if step.depth == depth => f64::from(hop.weight),
        _ => 0.0,
    };
    f64::from(hop.weight) / beside.map(weight).sum::<f64>().max(1.0)
}

fn gateway(router: &Router, hop: &Hop, interface: Option<u32>, reachable: bool) -> ResolveStep {
    let state = match (reachable, hop.interface) {
        (true, _) => "resolved",
        (false, Some(_)) => "down",
        (false, None) => "unresolved",
    };
    ResolveStep {
        kind: "gateway".to_owned(),
        gateway: (!hop.gateway.is_unspecified()).then(|| hop.gateway.to_string()),
        interface: interface.map(|index| router.interfaces.name(index)),
        state: Some(state.to_owned()),
        ..ResolveStep::default()
    }
}

/// What an adjacency does; `None` for one that leads on to others.
fn end(router: &Router, address: IpAddr, adjacency: &Adjacency) -> Option<ResolveStep> {
    let word = match adjacency.kind {
        AdjacencyKind::Balance | AdjacencyKind::Table => return None,
        AdjacencyKind::Rewrite | AdjacencyKind::Stale | AdjacencyKind::Arp => "unicast",
        AdjacencyKind::Glean | AdjacencyKind::PointToPoint => "glean",
        AdjacencyKind::Local | AdjacencyKind::LinkLocal => "local",
        AdjacencyKind::Blackhole => "blackhole",
        AdjacencyKind::Drop | AdjacencyKind::Unreachable => "unreachable",
        AdjacencyKind::Prohibit => "prohibit",
    };
    let next_hop = match address {
        _ if word != "unicast" => None,
        IpAddr::V4(_) => Some(IpAddr::V4(Ipv4Addr::from_bits(adjacency.next_hop as u32))),
        IpAddr::V6(_) => Some(IpAddr::V6(Ipv6Addr::from_bits(adjacency.next_hop))),
    };
    let neighbor = next_hop.and_then(|next_hop| router.neighbors.get((adjacency.interface, next_hop)));
    Some(ResolveStep {
        kind: "adjacency".to_owned(),
        r#type: Some(word.to_owned()),
        gateway: next_hop.filter(|next_hop| !next_hop.is_unspecified()).map(|next_hop| next_hop.to_string()),
        interface: (adjacency.interface != 0).then(|| router.interfaces.name(adjacency.interface)),
        mac: neighbor.and_then(|neighbor| neighbor.mac).map(|mac| mac.to_string()),
        state: neighbor.map(|neighbor| neighbor.state.as_str().to_owned()),
        ..ResolveStep::default()
    })
}
