//! The rules of bridges.

use super::{
    Bridge, Station, StationKey,
    file::{spot, spot_of},
};
use crate::{Config, Name, Tagging, Vlan, Vlans, diagnostic::Spot, driver::Driver, ports, validate::Check, vxlan};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub(crate) fn check(check: &mut Check<'_>) {
    let config = check.config;
    let mut all = 0;
    for (name, bridge) in &config.bridges {
        let what = format!("bridge {name}");
        let before = all;
        all += 1 + vlans(config, name).len();
        if before <= Bridge::MAX_VLANS && all > Bridge::MAX_VLANS {
            let message = format!("{what}: with its VLANs there are {all} bridges and VLANs");
            let hint = format!("expected at most {}: fewer VLANs on trunks", Bridge::MAX_VLANS);
            check.problem(Spot::new("bridges", name), message, hint);
        }
        let taken = config.interfaces.get(name).is_some_and(|interface| interface.driver != Driver::Bvi);
        if taken && !check.partial.contains(name) {
            let hint = "expected another name: a bridge's own interface is called as the bridge";
            check.problem(Spot::new("bridges", name), format!("{what}: an interface has this name"), hint);
        }
        for (key, station) in &bridge.static_macs {
            check_station(check, name, key, station);
        }
        check_room(check, name, bridge);
    }
    for (name, interface) in &config.interfaces {
        let spot = || Spot::new("interfaces", name);
        match &interface.driver {
            Driver::Bvi => drop(ports::bridge_exists(check, spot(), &format!("interface {name}"), name)),
            // The VLANs of a bridge have one tag.
            Driver::Vlan(vlan)
                if (vlan.inner.is_some() || vlan.tag_type != Vlan::tag_type_for(None))
                    && config.interfaces.get(&vlan.parent).is_some_and(|parent| parent.driver == Driver::Bvi) =>
            {
                let message = format!("interface {name}: {} knows VLANs of one 802.1q tag only", vlan.parent);
                check.problem(spot(), message, "expected the number of a VLAN of the bridge, without tag-type");
            }
            _ => {}
        }
    }
}

/// The VLANs of a bridge: those that a port, its own interface or a static station names. A trunk of all VLANs has what others have;
/// where there are two of them, they have all.
fn vlans(config: &Config, bridge: &Name) -> BTreeSet<u16> {
    let ports = config.interfaces.values().filter_map(|interface| interface.bridge.as_ref());
    let ports = ports.filter(|port| port.bridge == *bridge);
    let (mut vlans, mut of_all) = (BTreeSet::new(), 0);
    for port in ports {
        match &port.tagging {
            Tagging::Plain | Tagging::Rewrite(_) => {}
            Tagging::Access(vlan) => drop(vlans.insert(*vlan)),
            Tagging::Trunk(trunk) => {
                vlans.extend(trunk.native);
                if trunk.vlans == Vlans::all() { of_all += 1 } else { vlans.extend(trunk.vlans.iter()) }
            }
        }
    }
    if of_all > 1 {
        vlans.extend(Vlans::all().iter());
    }
    vlans.extend(routed_vlans(config, bridge));
    vlans.extend(
        config.bridges.get(bridge).iter().flat_map(|bridge| bridge.static_macs.keys().filter_map(|key| key.vlan)),
    );
    vlans
}

/// The VLANs of a bridge that its own interface has a sub-interface in.
fn routed_vlans<'c>(config: &'c Config, bridge: &'c Name) -> impl Iterator<Item = u16> {
    config.sub_interfaces(bridge).filter_map(|(_, interface)| match &interface.driver {
        Driver::Vlan(vlan) => Some(vlan.outer),
        _ => None,
    })
}

/// Static stations count as those that are learnt do: each has its place, whatever was there before it. The router itself has one, too.
fn check_room(check: &mut Check<'_>, name: &Name, bridge: &Bridge) {
    let config = check.config;
    let mut behind: BTreeMap<(&Name, Option<IpAddr>), u32> = BTreeMap::new();
    let mut within: BTreeMap<Option<u16>, u32> = BTreeMap::new();
    let bvi = config.interfaces.get(name).filter(|interface| interface.driver == Driver::Bvi);
    within.extend(bvi.map(|_| (None, 1)));
    within.extend(routed_vlans(config, name).map(|vlan| (Some(vlan), 1)));
    for (key, station) in &bridge.static_macs {
        let port = config.interfaces.get(&station.interface).and_then(|interface| interface.bridge.as_ref());
        let limits = [
            (port.and_then(|port| port.mac_limit), behind.entry((&station.interface, station.remote)).or_default()),
            (Some(bridge.mac_limit), within.entry(key.vlan).or_default()),
        ];
        let names = [
            station.interface.as_str(),
            if bvi.is_some() { "the bridge, with its own interface," } else { "the bridge" },
        ];
        for ((limit, count), of) in limits.into_iter().zip(names) {
            *count += 1;
            // Told once, of the first that has no place.
            if let Some(limit) = limit.filter(|limit| limit.checked_add(1) == Some(*count)) {
                let message = format!("bridge {name}: static-macs: {key}: the mac-limit of {of} is {limit}");
                check.problem(spot(name, key), message, "expected a higher mac-limit, or fewer static-macs");
            }
        }
    }
}

/// A static station is a single one, behind a port of the bridge, in a VLAN of that port.
fn check_station(check: &mut Check<'_>, bridge: &Name, key: &StationKey, station: &Station) {
    let config = check.config;
    let what = format!("bridge {bridge}: static-macs: {key}");
    if !key.mac.is_unicast() {
        let hint = "expected one of a single station: the first byte even, not all zeroes";
        check.problem(spot_of(bridge, key, "mac"), format!("{what}: no station's address"), hint);
    }
    if config.interfaces.get(bridge).is_some_and(|bvi| bvi.mac == Some(key.mac)) {
        let message = format!("{what}: that of the bridge's own interface");
        check.problem(spot_of(bridge, key, "mac"), message, "expected the address of another station");
    }
    let name = &station.interface;
    if !check.interface(spot_of(bridge, key, "interface"), &what, name) || check.partial.contains(name) {
        return;
    }
    let Some(interface) = config.interfaces.get(name) else { return };
    let Some(port) = interface.bridge.as_ref().filter(|port| port.bridge == *bridge) else {
        let ports = config.interfaces.iter().filter(|(_, i)| i.bridge.as_ref().is_some_and(|p| p.bridge == *bridge));
        let ports: Vec<&str> = ports.map(|(name, _)| name.as_str()).collect();
        let hint = match ports.as_slice() {
            [] => format!("expected a port: set `bridge: {bridge}` at an interface"),
            _ => format!("expected one of its ports: {}", ports.join(", ")),
        };
        let message = format!("{what}: {name} is no port of the bridge");
        check.problem(spot_of(bridge, key, "interface"), message, hint);
        return;
    };
    if !port.tagging.carries(key.vlan) {
        let (message, hint) = match key.vlan {
            Some(vlan) => (
                format!("{what}: {name} has no VLAN {vlan}"),
                match port.tagging.vlans() {
                    Some(vlans) => format!("expected one of its VLANs: {vlans}"),
                    None => "expected no vlan, or `vlan` or `trunk` at the port".to_owned(),
                },
            ),
            None => {
                let vlans = port.tagging.vlans().unwrap_or_default();
                (format!("{what}: {name} has VLANs"), format!("expected `vlan`, one of: {vlans}"))
            }
        };
        check.problem(spot_of(bridge, key, "vlan"), message, hint);
    }
    match (&interface.driver, station.remote) {
        (Driver::Vxlan(tunnel), Some(remote)) => {
            let what = format!("{what}: remote");
            vxlan::check_remote(check, spot_of(bridge, key, "remote"), &what, tunnel.local, remote);
        }
        (Driver::Vxlan(_), None) => {
            let hint = "expected `remote`, the address of the router that the station is behind";
            check.problem(spot(bridge, key), format!("{what}: {name} is a VXLAN interface"), hint);
        }
        (_, Some(_)) => {
            let message = format!("{what}: remote: {name} is no VXLAN interface");
            check.problem(spot_of(bridge, key, "remote"), message, "expected no remote");
        }
        (_, None) => {}
    }
}
