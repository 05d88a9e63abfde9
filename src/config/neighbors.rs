//! `neighbors`: static entries of the neighbour table. Learned ones don't stand here.

use crate::{
    Config, Driver, Mac, addresses,
    decode::Fields,
    diagnostic::{Reader, Spot},
    name::Name,
    validate::Check,
    yaml::Node,
};
use ipnet::IpNet;
use std::{
    collections::btree_map::Entry::{Occupied, Vacant},
    net::IpAddr,
};

/// What names a static neighbour; its value in [`Config::neighbors`](crate::Config::neighbors) is its Ethernet address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NeighborKey {
    /// The interface it is on.
    pub interface: Name,
    /// Its address, within a subnet of the interface, or link-local.
    pub address: IpAddr,
}

/// The `neighbors` of a file.
pub(crate) fn decode(node: &Node, config: &mut Config, reader: &mut Reader) {
    for item in node.items() {
        let Some(mut fields) = Fields::open(item, "neighbor", "a neighbor", reader) else { continue };
        let address = fields.required("address", reader);
        if let Some(address) = &address {
            fields.rename(format_args!("neighbor {address}"));
        }
        let (interface, mac) = (fields.required("interface", reader), fields.required::<Mac>("mac", reader));
        let (at, interface_at, mac_at) = (fields.at("address"), fields.at("interface"), fields.at("mac"));
        fields.close(reader);
        let (Some(address), Some(interface)) = (address, interface) else { continue };
        let key = NeighborKey { interface, address };
        reader.place(Spot::new("neighbors", &key), at);
        reader.place(Spot::new("neighbors", &key).key("interface"), interface_at);
        reader.place(Spot::new("neighbors", &key).key("mac"), mac_at);
        let Some(mac) = mac else { continue };
        match config.neighbors.entry(key) {
            Vacant(place) => drop(place.insert(mac)),
            Occupied(other) => {
                let message = format!("neighbor {}: stands here twice", other.key());
                reader.error(at, message, "expected one entry for each address of an interface");
            }
        }
    }
}

/// The `neighbors` of a file.
pub(crate) fn encode(config: &Config) -> Node {
    Node::list(config.neighbors.iter().map(|(key, mac)| {
        let node = Node::map().with("interface", Node::text(&key.interface));
        node.with("address", Node::text(key.address)).with("mac", Node::text(mac))
    }))
}

pub(crate) fn check(check: &mut Check<'_>) {
    let config = check.config;
    for (key, mac) in &config.neighbors {
        let spot = || Spot::new("neighbors", key);
        let what = format!("neighbor {}", key.address);
        if !mac.is_unicast() {
            let hint = "expected one of a single station: the first byte even, not all zeroes";
            check.problem(spot().key("mac"), format!("{what}: mac: {mac} is no host's address"), hint);
        }
        if !check.interface(spot().key("interface"), &what, &key.interface) {
            continue;
        }
        let Some(interface) = config.interfaces.get(&key.interface) else { continue };
        if check.partial.contains(&key.interface) {
            continue;
        }
        if interface.driver == Driver::Loopback {
            let message = format!("{what}: {} is a loopback and has no neighbors", key.interface);
            check.problem(spot().key("interface"), message, "expected an interface with a wire");
        } else if !interface.driver.has_ethernet() {
            let message = format!("{what}: {} is a tunnel ({}) and has no neighbors", key.interface, interface.driver);
            check.problem(spot().key("interface"), message, "expected an interface with Ethernet addresses");
        } else if let Some(address) = addresses::link_local(key.address) {
            if interface.has_link_local(address) {
                let message = format!("{what}: this is interface {}'s own address", key.interface);
                check.problem(spot(), message, "expected the address of another host");
            } else if !interface.uses_ipv6() {
                let message = format!("{what}: interface {} has no IPv6", key.interface);
                check.problem(spot(), message, "give the interface an IPv6 address");
            }
        } else if !interface.addresses.iter().any(|net| net.contains(&key.address)) {
            let message = format!("{what}: in no subnet of interface {}", key.interface);
            let suits = |net: &&IpNet| {
                net.addr().is_ipv4() == key.address.is_ipv4() && addresses::link_local(net.addr()).is_none()
            };
            let subnets: Vec<_> = interface.addresses.iter().filter(suits).map(|net| net.trunc().to_string()).collect();
            let hint = match subnets.as_slice() {
                [] => "give the interface an address in the neighbor's subnet".to_owned(),
                _ => format!("expected an address in {}", subnets.join(" or ")),
            };
            check.problem(spot(), message, hint);
        } else if let Some(owner) = check.subnets.owner(&interface.vrf, key.address) {
            let message = format!("{what}: this is interface {owner}'s own address");
            check.problem(spot(), message, "expected the address of another host");
        } else if let Some(wrong) = check.subnets.unusable(&interface.vrf, key.address) {
            check.problem(spot(), format!("{what}: this is {wrong}"), "expected the address of a host");
        }
    }
}
