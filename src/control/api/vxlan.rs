//! VXLAN interfaces and their remotes, as the API lists them.

use crate::control::Router;
use crate::control::interfaces::Interface;
use crate::control::vxlan::remotes::{Remote, Source};
use millrace_api::v1::{ListVxlanReply, ListVxlanRequest, VxlanInterface, VxlanRemote};
use millrace_config::{Driver, Vxlan};
use std::net::IpAddr;
use tonic::Status;

pub fn list(router: &Router, request: &ListVxlanRequest) -> Result<ListVxlanReply, Status> {
    let all = router.interfaces.iter().filter(|i| request.interface.as_deref().is_none_or(|only| only == &*i.name));
    let of_vxlan = all.filter_map(|interface| match &interface.driver {
        Driver::Vxlan(vxlan) => Some(message(router, interface, vxlan)),
        _ => None,
    });
    let interfaces: Vec<_> = of_vxlan.collect();
    match &request.interface {
        Some(name) if interfaces.is_empty() => {
            Err(Status::not_found(format!("no VXLAN interface \"{name}\"; `show vxlan` lists them")))
        }
        _ => Ok(ListVxlanReply { interfaces }),
    }
}

fn message(router: &Router, interface: &Interface, vxlan: &Vxlan) -> VxlanInterface {
    let remotes = router.vxlan.remotes().of(interface.index);
    VxlanInterface {
        interface: interface.name.to_string(),
        vni: vxlan.vni,
        local: vxlan.local.to_string(),
        local_is_here: has_address(router, &vxlan.underlay_vrf, vxlan.local),
        port: vxlan.port.into(),
        underlay_vrf: vxlan.underlay_vrf.to_string(),
        bridge: interface.bridge.as_ref().map(|member| member.bridge.to_string()),
        learn_remotes: vxlan.learn_remotes,
        udp_checksum: vxlan.udp_checksum.to_string(),
        ttl: vxlan.ttl.into(),
        df: vxlan.df.to_string(),
        mtu: interface.mtu.into(),
        remotes: remotes.map(|(address, remote)| remote_message(router, address, remote)).collect(),
    }
}

/// Whether the router has an address in a VRF.
fn has_address(router: &Router, vrf: &str, address: IpAddr) -> bool {
    let of_vrf = router.interfaces.iter().filter(|interface| &*interface.vrf.0 == vrf);
    of_vrf.flat_map(|interface| &interface.addresses).any(|net| net.addr() == address)
}

fn remote_message(router: &Router, address: IpAddr, remote: &Remote) -> VxlanRemote {
    let counts = remote.traffic.totals();
    let origin = match remote.source {
        Source::Named => "static",
        Source::Station => "station",
        Source::Learnt => "learnt",
    };
    VxlanRemote {
        address: address.to_string(),
        origin: origin.to_owned(),
        stations: router.bridges.stations().port_len(remote.number),
        rx_packets: counts.rx_packets,
        rx_bytes: counts.rx_bytes,
        tx_packets: counts.tx_packets,
        tx_bytes: counts.tx_bytes,
    }
}
