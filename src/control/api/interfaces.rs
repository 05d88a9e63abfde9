//! Interfaces as the API lists them.

use super::no_interface;
use crate::control::Router;
use crate::control::interfaces::Interface;
use millrace_api::v1::{
    self, InterfaceDetails, InterfaceQueue, ListInterfacesReply, ListInterfacesRequest, NamedCount,
};
use millrace_config::Driver;
use millrace_io::Link;
use millrace_wire::MacAddr;
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
        mac: if mac == MacAddr::ZERO { String::new() } else { mac.to_string() },
        mtu: interface.mtu.into(),
        vrf: interface.vrf.0.to_string(),
        bridge: None,
        addresses: interface.addresses.iter().map(ToString::to_string).collect(),
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
        parent: interface.parent.map(|(parent, _)| router.interfaces.name(parent)),
        vlan: interface.parent.map(|(_, vlan)| vlan.into()),
        details: None,
    }
}

/// What the configuration names; a driver that names none says itself what it opened.
fn device_name(interface: &Interface) -> String {
    let named = interface.driver.device().map(str::to_owned);
    named.or_else(|| Some(interface.device.as_ref()?.info().device)).unwrap_or_default()
}

fn link(link: Link) -> &'static str {
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
    InterfaceDetails {
        mode: info.modes.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join("; "),
        queues: interface.pollers.iter().enumerate().map(queue).collect(),
        capabilities: if info.queues > 1 { vec!["multi-queue".to_owned()] } else { Vec::new() },
        features: router.features_of(interface),
        statistics: statistics.into_iter().map(count).collect(),
        notes,
    }
}
