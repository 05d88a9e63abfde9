//! Bonds, LACP and neighbours by LLDP, as the API lists them.

use crate::control::Router;
use crate::control::bond::show::BondState;
use crate::control::bond::{Carries, show::MemberState};
use crate::control::lacp::{Aggregator, PRIORITY, Port};
use crate::control::lldp::table::Neighbor;
use millrace_api::v1::*;
use millrace_io::Link;
use millrace_wire::lacp::LacpState;
use millrace_wire::{MacAddr, lldp::LldpCapabilities};
use std::time::Instant;
use tonic::Status;

/// Bonds in the order of their names, or the one of this name.
fn bonds<'a>(router: &'a Router, only: Option<&str>) -> Vec<(String, BondState<'a>)> {
    let named = router.bonds.list().map(|bond| (router.interfaces.name(bond.interface), bond));
    let mut bonds: Vec<_> = named.filter(|(name, _)| only.is_none_or(|only| only == name)).collect();
    bonds.sort_by(|one, other| one.0.cmp(&other.0));
    bonds
}

pub fn list_bonds(router: &Router, request: &ListBondsRequest) -> Result<ListBondsReply, Status> {
    let bonds: Vec<_> = bonds(router, request.name.as_deref());
    match &request.name {
        Some(name) if bonds.is_empty() => {
            Err(Status::not_found(format!("no bond \"{name}\"; `show bonds` lists them")))
        }
        _ => Ok(ListBondsReply { bonds: bonds.into_iter().map(|(name, state)| bond(router, name, &state)).collect() }),
    }
}

fn bond(router: &Router, name: String, state: &BondState<'_>) -> Bond {
    let interface = router.interfaces.get(state.interface);
    let up = router.interfaces.link(state.interface) == Link::Up;
    Bond {
        bond: name,
        mode: state.settings.mode.to_string(),
        hash: state.settings.hash.to_string(),
        link: if up { "up" } else { "down" }.to_owned(),
        reason: interface.and_then(|interface| interface.problem.clone()),
        mac: router.interfaces.mac(state.interface).to_string(),
        mtu: interface.map_or(0, |interface| interface.mtu.into()),
        min_links: state.settings.min_links.into(),
        active: state.active.map(|index| router.interfaces.name(index)),
        primary: state.settings.primary.as_ref().map(ToString::to_string),
        members: state.members.iter().filter_map(|index| member(router, *index)).collect(),
    }
}

fn member(router: &Router, index: u32) -> Option<BondMember> {
    let MemberState { carries, why, .. } = router.bonds.member(index)?;
    let interface = router.interfaces.get(index)?;
    let counted = router.engine.interface(index).since(&interface.baseline);
    let state = match carries {
        Carries { tx: true, .. } => "carries",
        Carries { rx: true, .. } => "receives",
        Carries { .. } => "idle",
    };
    Some(BondMember {
        interface: interface.name.to_string(),
        state: state.to_owned(),
        reason: why.map(str::to_owned),
        rx_packets: counted.rx_packets,
        rx_bytes: counted.rx_bytes,
        tx_packets: counted.tx_packets,
        tx_bytes: counted.tx_bytes,
    })
}

pub fn list_lacp(router: &Router, request: &ListLacpRequest) -> Result<ListLacpReply, Status> {
    let bonds = bonds(router, request.bond.as_deref());
    let of_lacp = |(name, state): (String, BondState<'_>)| Some(lacp(router, name, &state, state.lacp?));
    let bonds: Vec<_> = bonds.into_iter().filter_map(of_lacp).collect();
    match &request.bond {
        Some(name) if bonds.is_empty() => {
            Err(Status::not_found(format!("no bond \"{name}\" with LACP; `show lacp` lists them")))
        }
        _ => Ok(ListLacpReply { bonds }),
    }
}

fn system(priority: u16, mac: MacAddr) -> LacpSystem {
    LacpSystem { priority: priority.into(), mac: mac.to_string() }
}

fn lacp(router: &Router, name: String, state: &BondState<'_>, lacp: &Aggregator) -> LacpBond {
    let (settings, group) = (lacp.settings(), lacp.group());
    let of = |index: &u32| port(router, *index, lacp.port(u16::try_from(*index).ok()?)?);
    LacpBond {
        bond: name,
        system: Some(system(PRIORITY, settings.system)),
        key: settings.key.into(),
        rate: state.settings.lacp_rate.to_string(),
        partner: group.map(|group| system(group.system_priority, group.system)),
        partner_key: group.map(|group| group.key.into()),
        ports: state.members.iter().filter_map(of).collect(),
    }
}

fn port(router: &Router, index: u32, port: &Port) -> Option<LacpPort> {
    let MemberState { why, counts, .. } = router.bonds.member(index)?;
    let (actor, partner) = (port.actor(), port.partner());
    let known = !actor.state.has(LacpState::DEFAULTED);
    let (actor_churn, partner_churn) = port.churn();
    Some(LacpPort {
        interface: router.interfaces.name(index),
        port: actor.port.into(),
        priority: actor.port_priority.into(),
        state: words(actor.state),
        selected: port.is_selected(),
        receive: port.receive().as_str().to_owned(),
        mux: port.mux().as_str().to_owned(),
        actor_churn: actor_churn.as_str().to_owned(),
        partner_churn: partner_churn.as_str().to_owned(),
        partner: known.then(|| LacpPartner {
            system: Some(system(partner.system_priority, partner.system)),
            key: partner.key.into(),
            port: partner.port.into(),
            priority: partner.port_priority.into(),
            state: words(partner.state),
        }),
        reason: why.map(str::to_owned),
        rx_lacpdus: counts.received,
        tx_lacpdus: counts.sent,
        markers: counts.markers,
        refused: counts.refused,
    })
}

fn words(state: LacpState) -> Vec<String> {
    LacpState::NAMES.iter().filter(|(bit, _)| state.has(*bit)).map(|(_, name)| (*name).to_owned()).collect()
}

pub fn list_lldp_neighbors(
    router: &Router,
    request: &ListLldpNeighborsRequest,
) -> Result<ListLldpNeighborsReply, Status> {
    if let Some(name) = request.interface.as_ref().filter(|name| router.interfaces.index(name).is_none()) {
        return Err(Status::not_found(format!("no interface \"{name}\"")));
    }
    let now = Instant::now();
    let named = router.lldp.ports().map(|(index, port)| (router.interfaces.name(index), port));
    let wanted = |name: &String| request.interface.as_ref().is_none_or(|only| only == name);
    let mut ports: Vec<_> = named.filter(|(name, _)| wanted(name)).collect();
    ports.sort_by(|one, other| one.0.cmp(&other.0));
    let all = ports.iter().flat_map(|(name, port)| port.neighbors.iter().map(|one| neighbor(name, one, now)));
    let neighbors = all.collect();
    let interface = |(name, port): (String, &crate::control::lldp::Port)| LldpInterface {
        interface: name,
        tx_frames: port.counts.sent,
        rx_frames: port.counts.received,
        rx_refused: port.counts.refused,
        rx_discarded_tlvs: port.counts.discarded_tlvs,
        rx_unrecognized_tlvs: port.counts.unrecognized_tlvs,
        rx_too_many: port.counts.too_many,
        aged_out: port.counts.aged_out,
    };
    let enabled = router.lldp.configured.enabled;
    Ok(ListLldpNeighborsReply { enabled, neighbors, interfaces: ports.into_iter().map(interface).collect() })
}

fn neighbor(interface: &str, neighbor: &Neighbor, now: Instant) -> LldpNeighbor {
    let heard = neighbor.heard.clone();
    let names = |capabilities: LldpCapabilities| capabilities.names().map(str::to_owned).collect();
    let (can, does) = heard.capabilities.unwrap_or_default();
    let seconds = |since: Instant| now.saturating_duration_since(since).as_secs() as u32;
    LldpNeighbor {
        interface: interface.to_owned(),
        chassis_id: heard.chassis.text,
        chassis_id_type: heard.chassis.kind.to_string(),
        port_id: heard.port.text,
        port_id_type: heard.port.kind.to_string(),
        ttl: heard.ttl.into(),
        known_for: seconds(neighbor.since),
        age: seconds(neighbor.last),
        port_description: heard.port_description,
        system_name: heard.system_name,
        system_description: heard.system_description,
        capabilities: names(can),
        enabled_capabilities: names(does),
        management_addresses: heard.management,
        port_vlan: heard.port_vlan.map(u32::from),
        vlans: heard.vlans.into_iter().map(|(vlan, name)| LldpVlan { vlan: vlan.into(), name }).collect(),
        max_frame_size: heard.max_frame_size.map(u32::from),
    }
}
