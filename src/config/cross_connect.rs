//! `cross-connect` of an interface: every frame that comes in by it leaves by another one, untouched. One way: the other interface has
//! its own, or takes part in routing.

use crate::{
    Driver, Interface, MssClamp, Name, Urpf,
    decode::{Scalar, Unreadable},
    diagnostic::Spot,
    validate::Check,
};

/// Reads the key: the name of an interface, or `off`.
pub(crate) fn read(text: &str) -> Result<Option<Name>, Unreadable> {
    if text == "off" { Ok(None) } else { Name::read(text).map(Some) }
}

/// What an interface with this key must have, and what it can't have, because no packet of it is routed.
pub(crate) fn check(check: &mut Check<'_>, name: &Name, interface: &Interface) {
    let Some(target) = &interface.cross_connect else { return };
    let what = format!("interface {name}: cross-connect");
    let spot = || Spot::new("interfaces", name).key("cross-connect");
    if target == name {
        check.problem(spot(), format!("{what}: {target} is the interface itself"), "expected another interface");
    } else if check.interface(spot(), &what, target)
        && let Some(parent) = check.config.interfaces.get(target).and_then(Interface::parent)
    {
        let message = format!("{what}: {target} is a sub-interface, and frames leave untouched");
        check.problem(spot(), message, format!("expected an interface with a driver, such as {parent}"));
    }
    if let Some(other) = check.config.interfaces.get(target)
        && matches!(other.driver, Driver::Bvi | Driver::Gre(_) | Driver::Ipip(_))
    {
        let why = if other.driver == Driver::Bvi { "a bridge's own interface" } else { "a tunnel of packets" };
        check.problem(
            spot(),
            format!("{what}: {target} is {why}"),
            "expected an interface that takes frames as they are",
        );
    }
    if interface.driver == Driver::Bvi {
        let hint = "expected it on another interface: frames to the bridge itself are routed";
        check.problem(spot(), format!("{what}: a bridge's own interface has none"), hint);
    }
    if interface.parent().is_some() {
        let hint = "expected it on an interface with a driver";
        check.problem(spot(), format!("{what}: a sub-interface has none of its own"), hint);
    }
    for (unused, key) in [
        (!interface.addresses.is_empty(), "addresses"),
        (interface.router_advertisements.is_some(), "router-advertisements"),
        (interface.urpf != Urpf::Off, "urpf"),
        (interface.mss_clamp != MssClamp::Off, "mss-clamp"),
        (check.config.sub_interfaces(name).next().is_some(), "sub-interfaces"),
    ] {
        if unused {
            let message = format!("{what}: no packet of it is routed, but it has {key}");
            check.problem(spot(), message, format!("expected no {key}, or no cross-connect"));
        }
    }
}
