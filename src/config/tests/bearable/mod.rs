//! What a data path needs of a configuration at each step of a plan.

use millrace_config::{Config, DEFAULT_VRF, Driver, Interface, MirrorTarget, Name, Op, Setting};
use std::collections::BTreeSet;

/// What a data path could not bear in a configuration on the way.
pub fn unbearable(config: &Config) -> Result<(), String> {
    let (mut devices, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for (name, interface) in &config.interfaces {
        if !config.has_vrf(&interface.vrf) {
            return Err(format!("{name} is in VRF {}, which isn't there", interface.vrf));
        }
        if let Some(parent) = interface.parent() {
            match config.interfaces.get(parent) {
                None => return Err(format!("{name} has no parent")),
                Some(parent) if parent.mtu < interface.mtu => {
                    return Err(format!("{name} has a larger MTU than its parent"));
                }
                Some(_) => {}
            }
        }
        let meeting = match &interface.driver {
            Driver::Memif(memif) => Some(memif.id),
            _ => None,
        };
        if interface.driver.device().is_some_and(|device| !devices.insert((device, meeting))) {
            return Err(format!("{name} shares its device"));
        }
        if let Some(target) = &interface.cross_connect
            && !config.interfaces.contains_key(target)
        {
            return Err(format!("{name} is connected to {target}, which is gone"));
        }
        for address in &interface.addresses {
            let link_local = address.to_string().starts_with("fe80:");
            if !link_local && !addresses.insert((&interface.vrf, address.addr())) {
                return Err(format!("{name} shares {address}"));
            }
        }
    }
    for (key, route) in &config.routes {
        if !config.has_vrf(&key.vrf) {
            return Err(format!("the VRF of route {key} isn't there"));
        }
        if route.next_vrf().is_some_and(|vrf| !config.has_vrf(vrf)) {
            return Err(format!("the VRF that route {key} leads into isn't there"));
        }
        for interface in route.hops().iter().filter_map(|hop| hop.interface.as_ref()) {
            if !config.interfaces.contains_key(interface) {
                return Err(format!("route {key} leads to {interface}, which is gone"));
            }
        }
    }
    let gone = |name: &&Name| !config.interfaces.contains_key(*name);
    if let Some(name) = config.nat44.interfaces().into_iter().find(gone) {
        return Err(format!("nat44 names {name}, which is gone"));
    }
    if let Some((key, _)) = config.nat44.mappings.iter().find(|(_, mapping)| !config.has_vrf(&mapping.vrf)) {
        return Err(format!("the VRF of nat44 mapping {key} isn't there"));
    }
    for rule in &config.policy_routes {
        if !config.has_vrf(&rule.vrf) || rule.packets.interface.as_ref().as_ref().is_some_and(gone) {
            return Err(format!("policy-route {rule} names what isn't there"));
        }
    }
    bearable_at_layer_2(config)?;
    match config.neighbors.keys().find(|key| !config.interfaces.contains_key(&key.interface)) {
        Some(key) => Err(format!("neighbor {key} is on no interface")),
        None => Ok(()),
    }
}

/// What refers to an interface or a bridge finds it.
fn bearable_at_layer_2(config: &Config) -> Result<(), String> {
    let there = |name: &Name| config.interfaces.contains_key(name);
    for (name, interface) in &config.interfaces {
        if interface.bridge.as_ref().is_some_and(|port| !config.bridges.contains_key(&port.bridge)) {
            return Err(format!("{name} is a port of what isn't there"));
        }
        let underlay = match &interface.driver {
            Driver::Bvi if !config.bridges.contains_key(name) => return Err(format!("{name} has no bridge")),
            Driver::Vxlan(vxlan) => Some(&vxlan.underlay_vrf),
            Driver::Gre(gre) => Some(&gre.ends.underlay_vrf),
            Driver::Ipip(ipip) => Some(&ipip.ends.underlay_vrf),
            _ => None,
        };
        if underlay.is_some_and(|vrf| !config.has_vrf(vrf)) {
            return Err(format!("the underlay VRF of {name} isn't there"));
        }
        let Driver::Bond(bond) = &interface.driver else { continue };
        for member in bond.members.iter().chain(&bond.primary) {
            let Some(other) = config.interfaces.get(member) else {
                return Err(format!("{member} of {name} isn't there"));
            };
            if other.bridge.is_some() || !other.addresses.is_empty() || other.cross_connect.is_some() {
                return Err(format!("{member} of {name} has another use"));
            }
            if other.mtu < interface.mtu {
                return Err(format!("{name} has a larger MTU than {member}"));
            }
        }
    }
    for (name, bridge) in &config.bridges {
        for (key, station) in &bridge.static_macs {
            let port = config.interfaces.get(&station.interface).and_then(|interface| interface.bridge.as_ref());
            if port.is_none_or(|port| port.bridge != *name) {
                return Err(format!("{key} of {name} is behind {}, which is no port", station.interface));
            }
        }
    }
    for (name, mirror) in &config.mirrors {
        let to = match &mirror.to {
            MirrorTarget::Interface(to) => Some(to),
            MirrorTarget::File(_) => None,
        };
        if !mirror.from.iter().chain(to).all(there) {
            return Err(format!("mirror {name} names what isn't there"));
        }
        let port = |to: &Name| config.interfaces[to].bridge.is_some() || !config.interfaces[to].addresses.is_empty();
        if to.is_some_and(port) {
            return Err(format!("what mirror {name} copies to has another use"));
        }
    }
    let listed = config.lldp.interfaces.iter().flatten();
    listed.into_iter().try_for_each(|name| if there(name) { Ok(()) } else { Err(format!("LLDP on {name}")) })
}

/// Whether a step finds what its description promises to whoever applies it.
pub fn fits(op: &Op, config: &Config) -> bool {
    let is_bare = |interface: &Interface| {
        interface.addresses.is_empty() && interface.cross_connect.is_none() && interface.bridge.is_none()
    };
    let bare = |name: &str| config.interfaces.get(name).is_some_and(is_bare);
    let connected = |name: &Name| config.interfaces.values().any(|other| other.cross_connect.as_ref() == Some(name));
    match op {
        Op::VrfAdd(name) => !config.has_vrf(name),
        Op::VrfRemove(name) => config.has_vrf(name) && name != DEFAULT_VRF,
        Op::InterfaceCreate { name, interface } => {
            !config.interfaces.contains_key(name) && is_bare(interface) && config.has_vrf(&interface.vrf)
        }
        Op::InterfaceRemove { name, .. } => {
            bare(name) && !connected(name) && config.neighbors.keys().all(|key| key.interface != *name)
        }
        Op::InterfaceSet { name, setting: Setting::Vrf(change) } => {
            config.interfaces[name].addresses.is_empty() && config.interfaces[name].vrf == change.from
        }
        Op::InterfaceSet { name, setting: Setting::CrossConnect(change) } => {
            config.interfaces[name].cross_connect == change.from && change.from != change.to
        }
        Op::InterfaceSet { name, setting: Setting::Bridge(change) } => {
            config.interfaces[name].bridge == change.from && change.from != change.to
        }
        Op::InterfaceSet { name, setting: Setting::Driver(change) } => {
            let same_kind = std::mem::discriminant(&change.from) == std::mem::discriminant(&change.to);
            let in_place = same_kind && change.from.is_virtual() && change.from != change.to;
            config.interfaces[name].driver == change.from && in_place
        }
        Op::InterfaceSet { name, .. } => config.interfaces.contains_key(name),
        Op::AddressAdd(a) => config
            .interfaces
            .get(&a.interface)
            .is_some_and(|i| a.at <= i.addresses.len() && !i.addresses.contains(&a.address)),
        Op::AddressRemove(a) => {
            config.interfaces.get(&a.interface).is_some_and(|i| i.addresses.get(a.at) == Some(&a.address))
        }
        Op::RouteAdd { key, .. } => !config.routes.contains_key(key),
        Op::RouteReplace { key, change } => config.routes.get(key) == Some(&change.from) && change.from != change.to,
        Op::RouteRemove { key, route } => config.routes.get(key) == Some(route),
        Op::NeighborAdd { key, .. } => !config.neighbors.contains_key(key),
        Op::NeighborReplace { key, change } => {
            config.neighbors.get(key) == Some(&change.from) && change.from != change.to
        }
        Op::NeighborRemove { key, mac } => config.neighbors.get(key) == Some(mac),
        Op::WorkersSet(change) => config.workers == change.from && op.restart_required(),
        Op::BuffersSet(change) => config.buffers == change.from && op.restart_required(),
        Op::DpdkSet(change) => config.dpdk == change.from && !op.restart_required(),
        Op::ApiSet(change) => config.api == change.from && !op.restart_required(),
        Op::Nat44Set(change) => config.nat44 == change.from && change.from != change.to,
        Op::PolicyRoutesSet(change) => config.policy_routes == change.from && change.from != change.to,
        Op::BridgeAdd { name, bridge } => !config.bridges.contains_key(name) && bridge.static_macs.is_empty(),
        Op::BridgeSet { name, change } => config.bridges.get(name) == Some(&change.from) && change.from != change.to,
        Op::BridgeRemove { name, bridge } => {
            config.bridges.get(name) == Some(&**bridge) && bridge.static_macs.is_empty()
        }
        Op::MirrorsSet(change) => config.mirrors == change.from && change.from != change.to,
        Op::LldpSet(change) => config.lldp == change.from && change.from != change.to,
    }
}
