//! The calls about translation of addresses. Listings go from worker to worker, a job at a time, and wait for the client in
//! between: whoever reads slowly, or no longer, holds up nobody.

#[cfg(test)]
mod tests;

use super::{Answer, Items, Sender, no_vrf, ok, stream};
use crate::control::nat44::sessions::{AT_ONCE, Walk};
use crate::control::nat44::vrf_name;
use crate::control::{Router, Shared};
use millrace_api::v1::{
    ClearNat44SessionsReply, ClearNat44SessionsRequest, GetNat44SummaryRequest, ListNat44MappingsRequest,
    ListNat44SessionsRequest, Nat44Address, Nat44Filter, Nat44Host, Nat44Log, Nat44Mapping, Nat44Mappings,
    Nat44Session, Nat44Sessions, Nat44Summary,
};
use millrace_config::{Backend, ExternalAddress, Mapping, MappingKey, PortRange};
use millrace_graph_nodes::nat44::state::{Filter, HostRow, MappingRow, SessionRow};
use millrace_wire::IpProtocol;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use tonic::{Response, Status};

/// Static mappings in a batch.
const BATCH: usize = 1000;
/// Hosts that a summary names unless asked for another number, and the most that it names.
const HOSTS: (usize, usize) = (10, 1000);

/// Reads a filter; nothing set means everything.
fn filter(router: &Router, asked: Option<Nat44Filter>) -> Result<Filter, Status> {
    let Some(Nat44Filter { inside, outside, remote, protocol, port, vrf }) = asked else {
        return Ok(Filter::default());
    };
    let wrong = |what: &str, text: &str| Status::invalid_argument(format!("\"{text}\" is no {what}"));
    let address = |text: Option<String>| {
        text.map(|text| text.parse::<Ipv4Addr>().map_err(|_| wrong("IPv4 address", &text))).transpose()
    };
    let protocol = protocol.map(|text| protocol_number(&text).ok_or_else(|| wrong("IP protocol", &text)));
    let port = port.map(|port| u16::try_from(port).map_err(|_| wrong("port", &port.to_string())));
    let table = vrf.map(|vrf| router.vrfs.get(vrf.as_str()).copied().ok_or_else(|| no_vrf(&vrf)));
    Ok(Filter {
        inside: address(inside)?,
        outside: address(outside)?,
        remote: address(remote)?,
        protocol: protocol.transpose()?,
        port: port.transpose()?,
        table: table.transpose()?.map(|table| table as u16),
    })
}

/// The number of a protocol, by number or name.
fn protocol_number(text: &str) -> Option<u8> {
    text.parse().ok().or_else(|| (0..=u8::MAX).find(|number| IpProtocol(*number).to_string() == text))
}

/// So many, where 0 means all.
fn limit(asked: u64) -> usize {
    if asked == 0 { usize::MAX } else { usize::try_from(asked).unwrap_or(usize::MAX) }
}

pub fn sessions(shared: &Shared, request: ListNat44SessionsRequest) -> Answer<Items<Nat44Sessions>> {
    let filter = filter(&shared.lock(), request.filter)?;
    let (sender, items) = stream();
    tokio::spawn(list_sessions(shared.clone(), filter, limit(request.limit), sender));
    Ok(Response::new(items))
}

async fn list_sessions(shared: Shared, filter: Filter, mut left: usize, to: Sender<Nat44Sessions>) {
    let mut walk = Walk::default();
    while left > 0 && !to.is_closed() {
        let Some(sessions) = next_sessions(&shared.lock(), &mut walk, &filter, left) else { return };
        left -= sessions.len();
        if sessions.is_empty() {
            // Others have their turn also when nothing fits for a long time.
            tokio::task::yield_now().await;
        } else if to.send(Ok(Nat44Sessions { sessions })).await.is_err() {
            return;
        }
    }
}

fn next_sessions(router: &Router, walk: &mut Walk, filter: &Filter, most: usize) -> Option<Vec<Nat44Session>> {
    let filter = *filter;
    let rows =
        router.nat44.step(&router.engine, walk, move |state, _, at, now| state.list(at, AT_ONCE, &filter, now))?;
    Some(rows.into_iter().take(most).map(|row| session(router, &row)).collect())
}

fn session(router: &Router, row: &SessionRow) -> Nat44Session {
    Nat44Session {
        protocol: IpProtocol(row.protocol).to_string(),
        inside_address: row.inside.0.to_string(),
        inside_port: row.inside.1.into(),
        outside_address: row.outside.0.to_string(),
        outside_port: row.outside.1.into(),
        remote_address: row.remote.0.to_string(),
        remote_port: row.remote.1.into(),
        state: row.state.as_str().to_owned(),
        expires_in: row.expires_in.into(),
        packets: row.packets,
        bytes: row.bytes,
        vrf: vrf_name(&router.vrfs, row.table),
    }
}

pub fn mappings(shared: &Shared, request: ListNat44MappingsRequest) -> Answer<Items<Nat44Mappings>> {
    if request.filter.as_ref().is_some_and(|filter| filter.remote.is_some()) {
        return Err(Status::invalid_argument("a mapping is the same for every remote address"));
    }
    let (filter, fixed) = {
        let router = shared.lock();
        let filter = filter(&router, request.filter)?;
        let fixed = static_mappings(&router, &filter);
        (filter, fixed)
    };
    let (sender, items) = stream();
    tokio::spawn(list_mappings(shared.clone(), fixed, filter, limit(request.limit), sender));
    Ok(Response::new(items))
}

async fn list_mappings(
    shared: Shared,
    mut fixed: Vec<Nat44Mapping>,
    filter: Filter,
    mut left: usize,
    to: Sender<Nat44Mappings>,
) {
    fixed.truncate(left);
    left -= fixed.len();
    for batch in fixed.chunks(BATCH) {
        if to.send(Ok(Nat44Mappings { mappings: batch.to_vec() })).await.is_err() {
            return;
        }
    }
    let mut walk = Walk::default();
    while left > 0 && !to.is_closed() {
        let Some(mappings) = next_mappings(&shared.lock(), &mut walk, &filter, left) else { return };
        left -= mappings.len();
        if mappings.is_empty() {
            tokio::task::yield_now().await;
        } else if to.send(Ok(Nat44Mappings { mappings })).await.is_err() {
            return;
        }
    }
}

fn next_mappings(router: &Router, walk: &mut Walk, filter: &Filter, most: usize) -> Option<Vec<Nat44Mapping>> {
    let filter = *filter;
    let rows = router.nat44.step(&router.engine, walk, move |state, _, at, _| state.mappings(at, AT_ONCE, &filter))?;
    Some(rows.into_iter().take(most).map(|row| dynamic(router, &row)).collect())
}

fn dynamic(router: &Router, row: &MappingRow) -> Nat44Mapping {
    Nat44Mapping {
        r#type: "dynamic".to_owned(),
        protocol: IpProtocol(row.protocol).to_string(),
        inside_address: row.inside.0.to_string(),
        inside_port: row.inside.1.into(),
        outside_address: Some(row.outside.0.to_string()),
        outside_port: row.outside.1.into(),
        ports: 1,
        sessions: Some(row.sessions.into()),
        vrf: vrf_name(&router.vrfs, row.table),
        weight: 1,
        ..Nat44Mapping::default()
    }
}

/// The mappings of the configuration that a filter lets pass, in its order.
fn static_mappings(router: &Router, filter: &Filter) -> Vec<Nat44Mapping> {
    let all = router.nat44.config().mappings.iter();
    all.flat_map(|(key, mapping)| servers(router, filter, key, mapping)).collect()
}

/// One line for each inside server of a static mapping.
fn servers(router: &Router, filter: &Filter, key: &MappingKey, mapping: &Mapping) -> Vec<Nat44Mapping> {
    let (outside, interface) = match &key.external.address {
        ExternalAddress::Ip(address) => (Some(*address), None),
        ExternalAddress::Interface(name) => {
            let primary = router.interfaces.named(name).and_then(|i| i.addresses4().next());
            (primary.map(|net| net.addr()), Some(name.to_string()))
        }
    };
    let ports = key.external.ports;
    let protocol = key.protocol.map(|protocol| protocol.number());
    let of_key = filter.protocol.is_none_or(|wanted| protocol.is_none_or(|protocol| protocol == wanted))
        && filter.outside.is_none_or(|wanted| outside == Some(wanted))
        && filter.table.is_none_or(|wanted| router.vrfs.get(&mapping.vrf) == Some(&wanted.into()));
    let has = |ports: Option<PortRange>, port: u16| ports.is_none_or(|p| (p.first..=p.last).contains(&port));
    let wanted = |server: &&Backend| {
        of_key
            && filter.inside.is_none_or(|wanted| server.address == wanted)
            && filter.port.is_none_or(|port| has(ports, port) || has(server.ports, port))
    };
    let first = |ports: Option<PortRange>| ports.map_or(0, |ports| ports.first).into();
    let line = |server: &Backend| Nat44Mapping {
        r#type: "static".to_owned(),
        protocol: protocol.map_or_else(|| "any".to_owned(), |number| IpProtocol(number).to_string()),
        inside_address: server.address.to_string(),
        inside_port: first(server.ports),
        outside_address: outside.map(|address| address.to_string()),
        outside_port: first(ports),
        ports: ports.map_or(0, |ports| ports.count()),
        sessions: None,
        vrf: mapping.vrf.to_string(),
        interface: interface.clone(),
        weight: if mapping.internal.len() == 1 { 1 } else { server.weight.into() },
        twice_nat: mapping.twice_nat,
    };
    mapping.internal.iter().filter(wanted).map(line).collect()
}

pub async fn clear(shared: &Shared, request: ClearNat44SessionsRequest) -> Answer<ClearNat44SessionsReply> {
    let filter = filter(&shared.lock(), request.filter)?;
    let (mut walk, mut sessions) = (Walk::default(), 0);
    loop {
        let Some(cleared) = clear_some(&shared.lock(), &mut walk, &filter) else {
            return ok(ClearNat44SessionsReply { sessions });
        };
        sessions += cleared;
        // Others have their turn.
        tokio::task::yield_now().await;
    }
}

fn clear_some(router: &Router, walk: &mut Walk, filter: &Filter) -> Option<u64> {
    let filter = *filter;
    router.nat44.step(&router.engine, walk, move |state, rules, at, now| {
        let (cleared, next) = state.clear(rules, at, AT_ONCE, &filter, now);
        (cleared as u64, next)
    })
}

pub async fn summary(shared: &Shared, request: &GetNat44SummaryRequest) -> Answer<Nat44Summary> {
    let most = if request.hosts == 0 { HOSTS.0 } else { HOSTS.1.min(request.hosts as usize) };
    let (mut walk, mut top) = (Walk::default(), Vec::new());
    loop {
        let Some(hosts) = next_hosts(&shared.lock(), &mut walk, &top, most) else { break };
        top.extend(hosts);
        top.sort_unstable_by_key(|host: &HostRow| (Reverse(host.sessions), host.table, host.address));
        top.truncate(most);
        tokio::task::yield_now().await;
    }
    let router = shared.lock();
    let host = |host: HostRow| Nat44Host {
        address: host.address.to_string(),
        vrf: vrf_name(&router.vrfs, host.table),
        sessions: host.sessions.into(),
    };
    ok(Nat44Summary { top_hosts: top.into_iter().map(host).collect(), ..counts(&router) })
}

/// Hosts that may be among the first `most`, if `top` are those of all so far.
fn next_hosts(router: &Router, walk: &mut Walk, top: &[HostRow], most: usize) -> Option<Vec<HostRow>> {
    let least = top.get(most.saturating_sub(1)).map_or(1, |host| host.sessions + 1);
    router.nat44.step(&router.engine, walk, move |state, _, at, _| state.hosts(at, AT_ONCE, least))
}

fn counts(router: &Router) -> Nat44Summary {
    let nat44 = &router.nat44;
    let mut sum = Nat44Summary {
        max_sessions: nat44.config().max_sessions.into(),
        max_sessions_per_host: nat44.config().max_sessions_per_host.into(),
        addresses: nat44.ports_used().into_iter().map(address).collect(),
        refusals: refusals(router),
        log: nat44.log_counts().map(|c| Nat44Log { told: c.told, suppressed: c.suppressed, unsent: c.unsent }),
        ..Nat44Summary::default()
    };
    sum.ports_used =
        sum.addresses.iter().map(|a| u64::from(a.tcp_ports) + u64::from(a.udp_ports) + u64::from(a.icmp_ids)).sum();
    for one in nat44.on_each(&router.engine, |state, _, _| state.summary()) {
        sum.sessions += u64::from(one.sessions);
        sum.mappings += u64::from(one.mappings);
        sum.hosts += u64::from(one.hosts);
        sum.memory += one.memory as u64;
        let named = one.by_protocol.map(|(protocol, count)| (IpProtocol(protocol).to_string(), count));
        let others = one.sessions - named.iter().map(|(_, count)| count).sum::<u32>().min(one.sessions);
        add(&mut sum.by_protocol, named.into_iter().chain([("other".to_owned(), others)]));
        add(&mut sum.by_state, one.by_state.map(|(state, count)| (state.as_str().to_owned(), count)));
    }
    sum
}

/// Adds what is not zero.
fn add(to: &mut BTreeMap<String, u64>, counts: impl IntoIterator<Item = (String, u32)>) {
    for (word, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        *to.entry(word).or_default() += u64::from(count);
    }
}

fn address((address, [tcp_ports, udp_ports, icmp_ids]): (Ipv4Addr, [u32; 3])) -> Nat44Address {
    Nat44Address { address: address.to_string(), tcp_ports, udp_ports, icmp_ids }
}

/// What nodes of NAT dropped, by reason.
fn refusals(router: &Router) -> BTreeMap<String, u64> {
    let mut refusals = BTreeMap::new();
    for row in router.stats.errors(&router.engine) {
        if row.drops > 0 && row.node.as_str().starts_with("nat44-") {
            *refusals.entry(row.reason.to_owned()).or_default() += row.drops;
        }
    }
    refusals
}
