//! The rules of ports.

use crate::{
    DEFAULT_VRF, MssClamp, Name, Urpf, decode::suggestion, diagnostic::Spot, driver::Driver, interfaces::Interface,
    validate::Check,
};

/// A port belongs to its bridge: nothing of it is routed, and the frames that it carries have all their headers.
pub(crate) fn check(check: &mut Check<'_>, name: &Name, interface: &Interface) {
    let Some(port) = &interface.bridge else { return };
    let what = format!("interface {name}: bridge");
    let spot = || Spot::new("interfaces", name).key("bridge");
    bridge_exists(check, spot(), &what, &port.bridge);
    if check.partial.contains(name) {
        return;
    }
    match &interface.driver {
        Driver::Bvi => {
            let hint = format!("expected no bridge: it is the routed interface of bridge {name}");
            check.problem(spot(), format!("{what}: a bridge's own interface is no port of another one"), hint);
        }
        Driver::Loopback => {
            check.problem(spot(), format!("{what}: a loopback has no wire"), "expected an interface with frames");
        }
        Driver::Vlan(vlan) if check.config.interfaces.get(&vlan.parent).is_some_and(|p| p.driver == Driver::Bvi) => {
            let message = format!("{what}: {} is a bridge's own interface, with the VLANs of that bridge", vlan.parent);
            check.problem(spot(), message, "expected no bridge");
        }
        _ => {}
    }
    for (unused, key) in [
        (!interface.addresses.is_empty(), "addresses"),
        (interface.vrf != DEFAULT_VRF, "vrf"),
        (interface.router_advertisements.is_some(), "router-advertisements"),
        (interface.urpf != Urpf::Off, "urpf"),
        (interface.mss_clamp != MssClamp::Off, "mss-clamp"),
        (interface.cross_connect.is_some(), "cross-connect"),
        (check.config.sub_interfaces(name).next().is_some(), "sub-interfaces"),
    ] {
        if unused {
            let message = format!("{what}: no packet of a port is routed, but it has {key}");
            let hint = match key {
                "cross-connect" => "expected one of the two".to_owned(),
                "sub-interfaces" => "expected `trunk` on the port, or the bridge at its sub-interfaces".to_owned(),
                _ => format!("set {key} under `bvi` of bridge {}, or leave the bridge", port.bridge),
            };
            check.problem(spot(), message, hint);
        }
    }
}

/// Refuses a bridge that doesn't exist. Whether it exists.
pub(crate) fn bridge_exists(check: &mut Check<'_>, spot: Spot, what: &str, bridge: &Name) -> bool {
    let exists = check.config.bridges.contains_key(bridge);
    if !exists {
        let known: Vec<&str> = check.config.bridges.keys().map(Name::as_str).collect();
        let hint = if known.is_empty() { "add it to `bridges`".to_owned() } else { suggestion(bridge, &known) };
        check.problem(spot, format!("{what}: no bridge \"{bridge}\""), hint);
    }
    exists
}
