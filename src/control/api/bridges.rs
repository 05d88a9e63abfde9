//! Bridges and the stations behind their ports, as the API lists them. The table of stations is gone through in pieces, and waits for
//! the client in between: whoever reads slowly, or no longer, holds up nobody.

use super::{Answer, Items, Sender, interfaces, no_interface, ok, stream};
use crate::control::bridges::wanted::Parts;
use crate::control::{Router, Shared};
use millrace_api::v1::{
    Bridge, BridgeBvi, BridgePort, BridgeVlan, ClearMacTableReply, ClearMacTableRequest, ListBridgesReply,
    ListBridgesRequest, ListMacTableRequest, MacEntries, MacEntry, StormControl, StormDrops,
};
use millrace_config::{Bridge as Settings, Member, Name, TagRewrite, Tagging, UnknownUnicast};
use millrace_tables::mac::{Known, Station};
use millrace_wire::MacAddr;
use std::collections::BTreeSet;
use tonic::{Response, Status};

/// Stations in a batch.
const BATCH: usize = 1000;
/// As many are listed in order; more come as they are found.
const SORTED: usize = 10_000;

pub fn no_bridge(name: &str) -> Status {
    Status::not_found(format!("no bridge \"{name}\"; `show bridges` lists them"))
}

pub fn list(router: &Router, request: &ListBridgesRequest) -> Result<ListBridgesReply, Status> {
    let all = router.bridges.iter().filter(|(name, ..)| request.name.as_deref().is_none_or(|only| only == &***name));
    let bridges: Vec<_> = all.map(|(name, settings, parts)| message(router, name, settings, parts)).collect();
    match &request.name {
        Some(name) if bridges.is_empty() => Err(no_bridge(name)),
        _ => Ok(ListBridgesReply { bridges }),
    }
}

fn message(router: &Router, name: &Name, settings: &Settings, parts: &Parts) -> Bridge {
    let stations = router.bridges.stations();
    let domains: Vec<_> = router.bridges.domains(name).collect();
    let ports: Vec<_> = parts.ports.values().filter_map(|index| port(router, settings, *index)).collect();
    let vlan = |(vlan, number): &(u16, u16)| BridgeVlan {
        vlan: (*vlan).into(),
        stations: stations.bridge_len(*number),
        interfaces: ports_of(router, parts, *number),
        bvi: parts.bvi.and_then(|bvi| routed(router, bvi, *vlan)),
    };
    Bridge {
        bridge: name.to_string(),
        mac_age: settings.mac_age.0.as_secs() as u32,
        mac_limit: settings.mac_limit,
        learn: settings.learn,
        forward: settings.forward,
        flood: settings.flood,
        unknown_unicast: settings.unknown_unicast.to_string(),
        stp: settings.stp.to_string(),
        arp_suppression: settings.arp_suppression,
        igmp_snooping: settings.igmp_snooping,
        mld_snooping: settings.mld_snooping,
        stations: domains.iter().map(|(_, number)| stations.bridge_len(*number)).sum(),
        static_stations: domains.iter().map(|(_, number)| router.bridges.fixed(*number) as u32).sum(),
        moves: ports.iter().map(|port| port.moves).sum(),
        bvi: parts.bvi.and_then(|bvi| bvi_message(router, bvi)),
        ports,
        vlans: if domains.len() > 1 { domains.iter().map(vlan).collect() } else { Vec::new() },
    }
}

/// The names of the ports that have a domain.
fn ports_of(router: &Router, parts: &Parts, number: u16) -> Vec<String> {
    let has = |index: &u32| router.bridges.port(*index).is_some_and(|port| port.domains().contains(&number));
    parts.ports.iter().filter(|(_, index)| has(index)).map(|(name, _)| name.to_string()).collect()
}

/// The name of the routed interface in a VLAN of the bridge whose own interface this is.
fn routed(router: &Router, bvi: u32, vlan: u16) -> Option<String> {
    if vlan == 0 {
        return Some(router.interfaces.name(bvi));
    }
    let children = router.interfaces.children(bvi);
    let mut children = children.into_iter().filter_map(|child| router.interfaces.get(child));
    let child =
        children.find(|i| i.parent.as_ref().is_some_and(|(_, own)| own.outer == vlan && own.inner.is_none()))?;
    Some(child.name.to_string())
}

fn bvi_message(router: &Router, index: u32) -> Option<BridgeBvi> {
    let interface = router.interfaces.get(index)?;
    let children = router.interfaces.children(index).into_iter();
    Some(BridgeBvi {
        interface: interface.name.to_string(),
        state: interface.state.to_string(),
        link: interfaces::link(interface.link).to_owned(),
        mac: router.interfaces.mac(index).to_string(),
        addresses: interfaces::addresses(interface),
        sub_interfaces: children.map(|child| router.interfaces.name(child)).collect(),
    })
}

fn port(router: &Router, settings: &Settings, index: u32) -> Option<BridgePort> {
    let interface = router.interfaces.get(index)?;
    let member = interface.bridge.as_ref()?;
    let happened = router.bridges.happened(index);
    let (tagging, vlan, trunk) = tagging(member);
    let unknown = match settings.unknown_unicast {
        UnknownUnicast::Flood => member.unknown_unicast,
        UnknownUnicast::Drop => UnknownUnicast::Drop,
    };
    let limits = member.storm_control;
    let limited = limits.limits().iter().any(|(_, limit)| limit.is_some());
    Some(BridgePort {
        interface: interface.name.to_string(),
        state: interface.state.to_string(),
        link: interfaces::link(router.interfaces.link(index)).to_owned(),
        learn: settings.learn && member.learn,
        flood: settings.flood && member.flood,
        unknown_unicast: unknown.to_string(),
        isolated: member.isolated,
        split_horizon_group: member.split_horizon_group.into(),
        mac_limit: member.mac_limit,
        storm_control: limited.then_some(StormControl {
            broadcast: limits.broadcast,
            multicast: limits.multicast,
            unknown: limits.unknown,
        }),
        tagging: tagging.to_owned(),
        vlan: vlan.map(Into::into),
        trunk,
        stations: router.bridges.behind(index),
        storm_drops: Some(StormDrops {
            broadcast: happened.storm_broadcast,
            multicast: happened.storm_multicast,
            unknown: happened.storm_unknown,
        }),
        moves: happened.moved,
        port_full: happened.port_full,
        bridge_full: happened.bridge_full,
        spoofed: happened.spoofed,
    })
}

/// How a port deals with tags, in words: the way, the VLAN that belongs to it, the VLANs of a trunk.
fn tagging(member: &Member) -> (&'static str, Option<u16>, Option<String>) {
    match &member.tagging {
        Tagging::Plain => ("plain", None, None),
        Tagging::Access(vlan) => ("access", Some(*vlan), None),
        Tagging::Trunk(trunk) => ("trunk", trunk.native, Some(trunk.vlans.to_string())),
        Tagging::Rewrite(TagRewrite::Pop) => ("pop", None, None),
        Tagging::Rewrite(TagRewrite::Keep) => ("keep", None, None),
        Tagging::Rewrite(TagRewrite::Push(vlan)) => ("push", Some(*vlan), None),
        Tagging::Rewrite(TagRewrite::Translate(vlan)) => ("translate", Some(*vlan), None),
    }
}

/// Which stations are listed.
#[derive(Clone, Debug)]
struct Filter {
    bridge: Option<Name>,
    interface: Option<u32>,
    mac: Option<MacAddr>,
    vlan: Option<u16>,
    only_static: bool,
}

impl Filter {
    fn of(router: &Router, request: ListMacTableRequest) -> Result<Filter, Status> {
        let wrong = |what: &str, text: &str| Status::invalid_argument(format!("\"{text}\" is no {what}"));
        let mac = request.mac.map(|text| text.parse::<millrace_config::Mac>().map_err(|_| wrong("MAC address", &text)));
        let vlan = request
            .vlan
            .map(|vlan| u16::try_from(vlan).ok().filter(|v| *v < 4095).ok_or_else(|| wrong("VLAN", &vlan.to_string())));
        Ok(Filter {
            bridge: bridge(router, request.bridge)?,
            interface: interface(router, request.interface)?,
            mac: mac.transpose()?.map(|mac| MacAddr(mac.0)),
            vlan: vlan.transpose()?,
            only_static: request.r#static,
        })
    }

    fn passes(&self, router: &Router, station: Station, known: &Known) -> bool {
        let Some((bridge, vlan)) = router.bridges.key(station.bridge()) else { return false };
        self.bridge.as_ref().is_none_or(|only| only == bridge)
            && self.vlan.is_none_or(|only| only == *vlan)
            && self.mac.is_none_or(|only| only == station.mac())
            && (known.fixed || !self.only_static)
            && self.interface.is_none_or(|only| only == router.bridges.interface_of(known.port))
    }
}

fn bridge(router: &Router, named: Option<String>) -> Result<Option<Name>, Status> {
    let find = |name: String| {
        let found = router.bridges.iter().find(|(known, ..)| ***known == *name);
        found.map(|(name, ..)| name.clone()).ok_or_else(|| no_bridge(&name))
    };
    named.map(find).transpose()
}

fn interface(router: &Router, named: Option<String>) -> Result<Option<u32>, Status> {
    named.map(|name| router.interfaces.index(&name).ok_or_else(|| no_interface(&name))).transpose()
}

pub fn stations(shared: &Shared, request: ListMacTableRequest) -> Answer<Items<MacEntries>> {
    let left = if request.limit == 0 { usize::MAX } else { usize::try_from(request.limit).unwrap_or(usize::MAX) };
    let filter = Filter::of(&shared.lock(), request)?;
    let (sender, items) = stream();
    tokio::spawn(list_stations(shared.clone(), filter, left, sender));
    Ok(Response::new(items))
}

async fn list_stations(shared: Shared, filter: Filter, left: usize, to: Sender<MacEntries>) {
    let (mut at, mut found, mut sent) = (Some(0), Vec::new(), 0);
    while let Some(from) = at {
        if to.is_closed() {
            return;
        }
        at = piece(&shared.lock(), &filter, from, &mut found);
        if sent > 0 || found.len() > SORTED {
            let part = std::mem::take(&mut found);
            let Some(now) = send(&to, part, left - sent).await else { return };
            sent += now;
            if sent >= left {
                return;
            }
        }
        // Others have their turn.
        tokio::task::yield_now().await;
    }
    if sent == 0 {
        found.sort_unstable_by(|a, b| (&a.bridge, a.vlan, &a.mac).cmp(&(&b.bridge, b.vlan, &b.mac)));
    }
    let _ = send(&to, found, left - sent).await;
}

/// Adds the stations of a piece of the table; where the next one begins. With an address there is no need to look through all.
fn piece(router: &Router, filter: &Filter, from: usize, found: &mut Vec<MacEntry>) -> Option<usize> {
    let bridges = &router.bridges;
    if let Some(mac) = filter.mac {
        let stations = bridges.stations();
        for number in bridges.all_domains() {
            let station = Station::new(number, mac.0);
            let known = stations.find(station, stations.place(station));
            let passes = known.filter(|known| filter.passes(router, station, known));
            found.extend(passes.map(|known| entry(router, station, &known)));
        }
        return None;
    }
    let (_, next) = bridges.walk(from, |station, known| {
        if filter.passes(router, station, known) {
            found.push(entry(router, station, known));
        }
        true
    });
    next
}

/// Sends no more than so many; how many it were. None when nobody listens any more.
async fn send(to: &Sender<MacEntries>, mut entries: Vec<MacEntry>, most: usize) -> Option<usize> {
    entries.truncate(most);
    for batch in entries.chunks(BATCH) {
        to.send(Ok(MacEntries { entries: batch.to_vec() })).await.ok()?;
    }
    Some(entries.len())
}

fn entry(router: &Router, station: Station, known: &Known) -> MacEntry {
    let bridges = &router.bridges;
    let (bridge, vlan) = bridges.key(station.bridge()).cloned().unwrap_or_else(|| (Name::default_vrf(), 0));
    let interface = bridges.interface_of(known.port);
    MacEntry {
        interface: router.interfaces.name(interface),
        mac: station.mac().to_string(),
        age: (!known.fixed).then(|| bridges.stations().age(known)),
        r#static: known.fixed,
        vlan: Some(vlan.into()).filter(|_| bridges.parts(&bridge).is_some_and(|parts| parts.vlans.len() > 1)),
        remote: router.remote_name(known.port).map(|(_, address)| address.to_string()),
        bridge: bridge.to_string(),
    }
}

pub async fn clear(shared: &Shared, request: ClearMacTableRequest) -> Answer<ClearMacTableReply> {
    let (domains, interface) = {
        let router = shared.lock();
        let interface = interface(&router, request.interface)?;
        let bridge = bridge(&router, request.bridge)?;
        let domains: Option<BTreeSet<u16>> =
            bridge.map(|name| router.bridges.domains(&name).map(|(_, number)| number).collect());
        (domains, interface)
    };
    let (mut at, mut stations) = (Some(0), 0);
    while let Some(from) = at {
        let (gone, next) = clear_some(&shared.lock(), from, domains.as_ref(), interface);
        stations += gone as u64;
        at = next;
        // Others have their turn.
        tokio::task::yield_now().await;
    }
    ok(ClearMacTableReply { stations })
}

fn clear_some(
    router: &Router,
    from: usize,
    domains: Option<&BTreeSet<u16>>,
    interface: Option<u32>,
) -> (usize, Option<usize>) {
    let bridges = &router.bridges;
    bridges.walk(from, |station, known| {
        let gone = domains.is_none_or(|domains| domains.contains(&station.bridge()))
            && interface.is_none_or(|only| only == bridges.interface_of(known.port));
        known.fixed || !gone
    })
}
