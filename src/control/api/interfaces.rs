//! Interfaces as the API lists them.

use super::no_interface;
use crate::control::Router;
use crate::control::interfaces::{Interface, link_local_net};
use crate::control::ip6::dad::State;
use ipnet::{IpNet, Ipv6Net};
use millrace_api::v1::{
    self, InterfaceDetails, InterfaceQueue, Ipv6Address, ListInterfacesReply, ListInterfacesRequest, Mode, NamedCount,
    RouterAdvertisements,
};
use millrace_config::Driver;
use millrace_io::Link;
use millrace_wire::MacAddr;
use std::time::Instant;
use tonic::Status;

pub fn list(router: &Router, request: &ListInterfacesRequest) -> Result<ListInterfacesReply, Status> {
    let interfaces = match &request.name {
        None => router.interfaces.iter().map(|i| message(router, i)).collect(),
        Some(name) => {
            let interface = router.interfaces.named(name).ok_or_else(|| no_interface(name))?;
            vec![v1::Interface { details: Some(details(router, interface)), ..message(router, interface) }]
        }
    };
    Ok(ListInterfacesReply { interfaces })
}

fn message(router: &Router, interface: &Interface) -> v1::Interface {
    let index = interface.index;
    let totals = router.engine.interface(index).since(&interface.baseline);
    let rates = router.stats.interface(index);
    let mac = router.interfaces.mac(index);
    v1::Interface {
        name: interface.name.to_string(),
        driver: match interface.driver {
            Driver::Vlan(_) => "sub-interface",
            _ => interface.driver.as_str(),
        }
        .to_owned(),
        device: device_name(interface),
        state: interface.state.to_string(),
        link: link(router.interfaces.link(index)).to_owned(),
        mac: if mac == MacAddr::ZERO || !interface.driver.has_ethernet() { String::new() } else { mac.to_string() },
        mtu: interface.mtu.into(),
        vrf: interface.vrf.0.to_string(),
        bridge: interface.bridge.as_ref().map(|member| member.bridge.to_string()),
        addresses: addresses(interface),
        rx_packets: totals.rx_packets,
        rx_bytes: totals.rx_bytes,
        tx_packets: totals.tx_packets,
        tx_bytes: totals.tx_bytes,
        rx_drops: interface.lost().saturating_sub(interface.lost_before),
        tx_drops: totals.tx_drops,
        rx_pps: rates.rx_pps,
        rx_bps: rates.rx_bps,
        tx_pps: rates.tx_pps,
        tx_bps: rates.tx_bps,
        parent: interface.parent.as_ref().map(|(parent, _)| router.interfaces.name(*parent)),
        vlan: interface.parent.as_ref().map(|(_, vlan)| vlan.outer.into()),
        details: None,
        link_reason: interface.link_reason(),
    }
}

/// Its addresses as the operator has them, and then the link-local one that it has by itself.
pub(super) fn addresses(interface: &Interface) -> Vec<String> {
    let by_itself = interface.link_local.map(link_local_net).map(IpNet::from);
    interface.addresses.iter().copied().chain(by_itself).map(|net| net.to_string()).collect()
}

/// Its IPv6 addresses in the same order, with what is known of them.
fn ipv6_addresses(router: &Router, interface: &Interface) -> Vec<Ipv6Address> {
    let state = |net: &Ipv6Net| match router.interfaces.dad.state((interface.index, net.addr())) {
        Some(State::Usable { .. }) => "preferred",
        Some(State::Duplicate) => "duplicate",
        Some(State::Waiting | State::Tentative(_)) | None => "tentative",
    };
    let by_itself = interface.link_local.map(link_local_net);
    let all = interface.configured6().chain(by_itself);
    all.map(|net| Ipv6Address { address: net.to_string(), state: state(&net).to_owned() }).collect()
}

/// What it tells hosts; none while that is off.
fn router_advertisements(router: &Router, interface: &Interface) -> Option<RouterAdvertisements> {
    let told = interface.router_advertisements.as_ref()?;
    let counts = router.ip6.advertisers.counts(interface.index).unwrap_or_default();
    let now = Instant::now();
    Some(RouterAdvertisements {
        sent: counts.sent,
        solicitations: counts.solicitations,
        last_seconds: counts.last.map(|last| now.saturating_duration_since(last).as_secs_f64()),
        next_seconds: counts.next.map(|next| next.saturating_duration_since(now).as_secs_f64()),
        prefixes: told.prefixes_for(&interface.addresses).iter().map(|p| p.prefix.to_string()).collect(),
    })
}

/// What the configuration names; a driver that names none says itself what it opened.
fn device_name(interface: &Interface) -> String {
    let named = interface.driver.device().map(str::to_owned);
    named.or_else(|| Some(interface.device.as_ref()?.info().device)).unwrap_or_default()
}

pub(super) fn link(link: Link) -> &'static str {
    match link {
        Link::Up => "up",
        Link::Down => "down",
        Link::Missing => "missing",
    }
}

fn details(router: &Router, interface: &Interface) -> InterfaceDetails {
    let info = interface.device.as_ref().map(|device| device.info()).unwrap_or_default();
    let queue = |(queue, worker): (usize, &usize)| InterfaceQueue { queue: queue as u32, worker: Some(*worker as u32) };
    let statistics = interface.device.as_ref().map(|device| device.stats()).unwrap_or_default();
    let count = |(name, count): (&str, u64)| NamedCount { name: name.to_owned(), count };
    let mut notes = info.notes;
    notes.extend(interface.problem.clone());
    let mode = |(name, value): &(&str, String)| Mode { name: (*name).to_owned(), value: value.clone() };
    InterfaceDetails {
        mode: info.modes.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join("; "),
        queues: interface.pollers.iter().enumerate().map(queue).collect(),
        capabilities: if info.queues > 1 { vec!["multi-queue".to_owned()] } else { Vec::new() },
        features: router.features_of(interface),
        statistics: statistics.into_iter().map(count).collect(),
        notes,
        ipv6_addresses: ipv6_addresses(router, interface),
        router_advertisements: router_advertisements(router, interface),
        urpf: interface.urpf.to_string(),
        mss_clamp: interface.mss_clamp.to_string(),
        modes: info.modes.iter().map(mode).collect(),
        cross_connect: interface.cross_connect.as_ref().map(ToString::to_string),
    }
}
