//! What bridges found out by looking at frames, as the API lists it. Addresses of stations are gone through in pieces.

use super::{Answer, Items, Sender, bridges, stream};
use crate::control::snooping::bindings::{self, Entry};
use crate::control::snooping::listeners::Listeners;
use crate::control::snooping::membership::Membership;
use crate::control::snooping::{Domain, Protocol};
use crate::control::{Router, Shared};
use millrace_api::v1::{
    Binding, Bindings, ListBindingsRequest, ListSnoopingReply, ListSnoopingRequest, SnoopedGroup, SnoopedListener,
    SnoopedVlan, SnoopingQuerier, SnoopingRouter,
};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;
use tonic::{Response, Status};

/// Addresses in a batch.
const BATCH: usize = 1000;

pub fn list(router: &Router, request: &ListSnoopingRequest) -> Result<ListSnoopingReply, Status> {
    let protocol = match request.protocol.as_str() {
        "igmp" => Protocol::Igmp,
        "mld" => Protocol::Mld,
        other => return Err(Status::invalid_argument(format!("no protocol \"{other}\": \"igmp\" or \"mld\""))),
    };
    let now = Instant::now();
    let of_domain = |domain: &Domain| Some(vlan(router, domain, domain.listeners.get(&protocol)?, now));
    let mut vlans: Vec<_> = wanted(router, request.bridge.as_deref()).filter_map(of_domain).collect();
    if let (Some(name), true) = (&request.bridge, vlans.is_empty()) {
        let key = format!("{}-snooping", request.protocol);
        return Err(off(router, name, &key, &format!("{} snooping", protocol.as_str())));
    }
    vlans.sort_unstable_by(|a, b| (&a.bridge, a.vlan).cmp(&(&b.bridge, b.vlan)));
    Ok(ListSnoopingReply { vlans })
}

/// The domains of all bridges that are looked at, or of one.
fn wanted<'a>(router: &'a Router, only: Option<&'a str>) -> impl Iterator<Item = &'a Domain> {
    let all = router.snooping.domains().map(|(_, domain)| domain);
    all.filter(move |domain| only.is_none_or(|only| only == domain.key.0.as_str()))
}

/// Why there is nothing to tell of a bridge.
fn off(router: &Router, name: &str, key: &str, what: &str) -> Status {
    match router.bridges.get(name) {
        Some(_) => {
            let text = format!("bridge {name} has no {what}; `bridge set {name} {key} true` switches it on");
            Status::failed_precondition(text)
        }
        None => bridges::no_bridge(name),
    }
}

fn vlan(router: &Router, domain: &Domain, listeners: &Listeners, now: Instant) -> SnoopedVlan {
    let name = |port: u32| router.interfaces.name(port);
    let left = |until: Instant| until.saturating_duration_since(now).as_secs();
    let querier = listeners.querier().map(|querier| SnoopingQuerier {
        address: querier.address.to_string(),
        interface: name(querier.port),
        version: querier.version.into(),
        interval: querier.interval.as_secs() as u32,
        max_response_ms: querier.max_response.as_millis() as u64,
        robustness: querier.robustness.into(),
        expires_in: left(querier.until),
    });
    let listener = |(port, membership): (&u32, &Membership)| SnoopedListener {
        interface: name(*port),
        expires_in: membership.until().map_or(0, left),
        sources: match membership.any {
            Some(_) => Vec::new(),
            None => membership.sources.keys().map(ToString::to_string).collect(),
        },
    };
    let group = |(group, ports): (&IpAddr, &BTreeMap<u32, Membership>)| {
        let mut listeners: Vec<_> = ports.iter().map(listener).collect();
        listeners.sort_unstable_by(|a, b| a.interface.cmp(&b.interface));
        SnoopedGroup { group: group.to_string(), listeners }
    };
    SnoopedVlan {
        bridge: domain.key.0.to_string(),
        vlan: Some(domain.key.1.into()).filter(|vlan| *vlan != 0),
        filtering: listeners.filters(now),
        querier,
        routers: (listeners.routers())
            .map(|(port, until)| SnoopingRouter { interface: name(port), expires_in: left(until) })
            .collect(),
        groups: listeners.groups().iter().map(group).collect(),
        refused: listeners.refused(),
    }
}

pub fn bindings(shared: &Shared, request: &ListBindingsRequest) -> Answer<Items<Bindings>> {
    let router = shared.lock();
    if let Some(name) = &request.bridge
        && !wanted(&router, Some(name)).any(|domain| domain.suppress)
    {
        return Err(off(&router, name, "arp-suppression", "ARP suppression"));
    }
    drop(router);
    let (sender, items) = stream();
    tokio::spawn(list_bindings(shared.clone(), request.bridge.clone(), sender));
    Ok(Response::new(items))
}

async fn list_bindings(shared: Shared, only: Option<String>, to: Sender<Bindings>) {
    let (mut at, mut found) = (Some(0), Vec::new());
    while let Some(from) = at {
        if to.is_closed() {
            return;
        }
        at = {
            let router = shared.lock();
            let (piece, next) = router.snooping.bindings().piece(from);
            let entries = piece.filter_map(|entry| binding(&router, entry));
            found.extend(entries.filter(|entry| only.as_ref().is_none_or(|only| *only == entry.1.bridge)));
            next
        };
        // Others have their turn.
        tokio::task::yield_now().await;
    }
    found.sort_unstable_by(|(a, one), (b, other)| (&one.bridge, one.vlan, a).cmp(&(&other.bridge, other.vlan, b)));
    let entries: Vec<Binding> = found.into_iter().map(|(_, entry)| entry).collect();
    for batch in entries.chunks(BATCH) {
        if to.send(Ok(Bindings { entries: batch.to_vec() })).await.is_err() {
            return;
        }
    }
}

fn binding(router: &Router, entry: &Entry) -> Option<(IpAddr, Binding)> {
    let bound = &entry.binding;
    let (bridge, vlan) = router.bridges.key(bound.domain)?;
    let state = match (entry.own, bound.disputed) {
        (true, _) => "own",
        (_, true) => "disputed",
        _ => "learnt",
    };
    let interface = router.snooping.bindings().interface(bound).map(|index| router.interfaces.name(index));
    let message = Binding {
        bridge: bridge.to_string(),
        address: bound.address.to_string(),
        mac: bound.mac.to_string(),
        interface,
        state: state.to_owned(),
        age: (!entry.own).then(|| bindings::age(bound)),
        vlan: Some((*vlan).into()).filter(|vlan| *vlan != 0),
        router: bound.router,
    };
    Some((bound.address, message))
}
