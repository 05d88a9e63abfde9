//! From the API's edits to those of the configuration.

mod nat44;

use crate::control::Router;
use ipnet::IpNet;
use millrace_api::v1::edit_request::Edit as Asked;
use millrace_api::v1::{EditRequest, NeighborRemove, Setting};
use millrace_config::{
    Edit, EditError, InterfaceSetting, Name, NeighborKey, NextHop, PolicyMatch, PolicyRoute, Route, RouteKey,
};
use std::fmt::Display;
use std::str::FromStr;
use tonic::Status;

/// The edits that a request asks for, in order.
///
/// # Errors
/// Something in it can't be read.
pub fn read(request: EditRequest) -> Result<Vec<Edit>, Status> {
    let Some(asked) = request.edit else { return Err(Status::invalid_argument("no edit is named")) };
    Ok(vec![match asked {
        Asked::InterfaceAdd(add) => Edit::InterfaceAdd {
            name: word("interface", &add.name)?,
            driver: add.driver,
            settings: pairs(&add.settings),
        },
        Asked::InterfaceRemove(remove) => Edit::InterfaceRemove { name: word("interface", &remove.name)? },
        Asked::InterfaceSet(set) => {
            let name: Name = word("interface", &set.name)?;
            if set.settings.is_empty() {
                return Err(Status::invalid_argument("no setting is named"));
            }
            let edit = |setting| Edit::InterfaceSet { name: name.clone(), setting };
            return Ok(settings(&set.settings)?.into_iter().map(edit).collect());
        }
        Asked::AddressAdd(add) => {
            Edit::AddressAdd { interface: word("interface", &add.interface)?, address: word("address", &add.prefix)? }
        }
        Asked::AddressRemove(remove) => Edit::AddressRemove {
            interface: word("interface", &remove.interface)?,
            address: word("address", &remove.prefix)?,
        },
        Asked::RouteAdd(asked) => Edit::RouteAdd {
            key: key(&asked.prefix, asked.vrf.as_deref())?,
            route: route(word("prefix", &asked.prefix)?, &asked.r#type, &asked.next_hops, asked.next_vrf.as_deref())?,
        },
        Asked::RouteReplace(asked) => Edit::RouteReplace {
            key: key(&asked.prefix, asked.vrf.as_deref())?,
            route: route(word("prefix", &asked.prefix)?, &asked.r#type, &asked.next_hops, asked.next_vrf.as_deref())?,
        },
        Asked::RouteRemove(asked) => Edit::RouteRemove { key: key(&asked.prefix, asked.vrf.as_deref())? },
        Asked::NeighborAdd(add) => {
            Edit::NeighborAdd { key: neighbor(&add.interface, &add.address)?, mac: word("mac", &add.mac)? }
        }
        Asked::NeighborRemove(remove) => Edit::NeighborRemove { key: neighbor(&remove.interface, &remove.address)? },
        Asked::PolicyRouteAdd(add) => Edit::PolicyRouteAdd {
            rule: PolicyRoute {
                packets: packets(add.source.as_deref(), add.interface.as_deref())?,
                vrf: word("vrf", &add.vrf)?,
            },
            at: (add.position > 0).then_some(add.position as usize),
        },
        Asked::PolicyRouteRemove(remove) => {
            Edit::PolicyRouteRemove(packets(remove.source.as_deref(), remove.interface.as_deref())?)
        }
        Asked::BridgeAdd(add) => Edit::BridgeAdd { name: word("bridge", &add.name)?, settings: pairs(&add.settings) },
        Asked::BridgeSet(set) => Edit::BridgeSet { name: word("bridge", &set.name)?, settings: named(&set.settings)? },
        Asked::BridgeRemove(remove) => Edit::BridgeRemove { name: word("bridge", &remove.name)? },
        Asked::MirrorAdd(add) => Edit::MirrorAdd { name: word("mirror", &add.name)?, settings: pairs(&add.settings) },
        Asked::MirrorRemove(remove) => Edit::MirrorRemove { name: word("mirror", &remove.name)? },
        Asked::LldpSet(set) => Edit::LldpSet(named(&set.settings)?),
        Asked::Nat44(asked) => return Ok(nat44::read(asked)?.into_iter().map(Edit::Nat44).collect()),
    }])
}

/// Keys and values as the configuration takes them.
fn pairs(settings: &[Setting]) -> Vec<(String, String)> {
    settings.iter().map(|Setting { key, value }| (key.clone(), unquoted(value))).collect()
}

/// The same, of which there must be one.
fn named(settings: &[Setting]) -> Result<Vec<(String, String)>, Status> {
    if settings.is_empty() { Err(Status::invalid_argument("no setting is named")) } else { Ok(pairs(settings)) }
}

/// The packets that a policy route is about.
fn packets(source: Option<&str>, interface: Option<&str>) -> Result<PolicyMatch, Status> {
    Ok(PolicyMatch {
        source: source.map(|source| word("source", source)).transpose()?,
        interface: interface.map(|interface| word("interface", interface)).transpose()?,
    })
}

/// A neighbour that was learnt is no part of the configuration: when one is to be removed, it is forgotten here, and
/// there is nothing else to do.
pub fn forgets_learnt_neighbor(router: &mut Router, request: &EditRequest) -> bool {
    let Some(Asked::NeighborRemove(NeighborRemove { interface, address })) = &request.edit else { return false };
    let Ok(key) = neighbor(interface, address) else { return false };
    if router.config.neighbors.contains_key(&key) {
        return false;
    }
    let (Some(index), Ok(address)) = (router.interfaces.index(interface), address.parse()) else { return false };
    router.forget_neighbor((index, address))
}

/// The status of an edit that was refused.
pub fn status(error: &EditError) -> Status {
    let text = error.to_string();
    match error {
        EditError::NotFound(_) => Status::not_found(text),
        EditError::Exists(_) => Status::already_exists(text),
        EditError::InUse(_) => Status::failed_precondition(text),
        EditError::Unreadable(_) | EditError::Invalid(_) => Status::invalid_argument(text),
    }
}

fn word<T: FromStr<Err: Display>>(what: &str, text: &str) -> Result<T, Status> {
    text.parse().map_err(|error| Status::invalid_argument(format!("{what} \"{text}\": {error}")))
}

fn key(prefix: &str, vrf: Option<&str>) -> Result<RouteKey, Status> {
    let prefix: IpNet = word("prefix", prefix)?;
    if prefix != prefix.trunc() {
        let right = prefix.trunc();
        return Err(Status::invalid_argument(format!("{prefix} has bits behind its length; expected {right}")));
    }
    let vrf = vrf.map_or_else(|| Ok(Name::default_vrf()), |vrf| word("vrf", vrf))?;
    Ok(RouteKey { vrf, prefix })
}

fn neighbor(interface: &str, address: &str) -> Result<NeighborKey, Status> {
    Ok(NeighborKey { interface: word("interface", interface)?, address: word("address", address)? })
}

/// A route of this type over these next hops, or into this VRF.
pub(super) fn route(
    prefix: IpNet,
    kind: &str,
    next_hops: &[millrace_api::v1::NextHop],
    next_vrf: Option<&str>,
) -> Result<Route, Status> {
    if next_vrf.is_some() && kind != "next-vrf" {
        let kind = if kind.is_empty() { "unicast" } else { kind };
        return Err(Status::invalid_argument(format!("a route of type {kind} takes no next_vrf")));
    }
    let fixed = match kind {
        "" | "unicast" => None,
        "next-vrf" => {
            let vrf = next_vrf.ok_or_else(|| Status::invalid_argument("a route of type next-vrf needs next_vrf"))?;
            Some(Route::NextVrf(word("next-vrf", vrf)?))
        }
        "blackhole" => Some(Route::Blackhole),
        "unreachable" => Some(Route::Unreachable),
        "prohibit" => Some(Route::Prohibit),
        other => {
            let wanted = "expected unicast, next-vrf, blackhole, unreachable or prohibit";
            return Err(Status::invalid_argument(format!("type \"{other}\"; {wanted}")));
        }
    };
    match fixed {
        Some(_) if !next_hops.is_empty() => {
            Err(Status::invalid_argument(format!("a route of type {kind} takes no next hops")))
        }
        Some(route) => Ok(route),
        None => Ok(Route::via(next_hops.iter().map(|asked| hop(prefix, asked)).collect::<Result<_, _>>()?)),
    }
}

/// A next hop; by a tunnel of packets, it needs no gateway.
fn hop(prefix: IpNet, asked: &millrace_api::v1::NextHop) -> Result<NextHop, Status> {
    let interface = asked.interface.as_deref().filter(|name| !name.is_empty());
    let gateway = match &asked.gateway {
        Some(gateway) => {
            let gateway: std::net::IpAddr = word("gateway", gateway)?;
            if gateway.is_unspecified() {
                return Err(Status::invalid_argument(format!(
                    "gateway {gateway}; expected the address of the next router"
                )));
            }
            gateway
        }
        None if interface.is_some() => NextHop::no_gateway(prefix),
        None => return Err(Status::invalid_argument("a next hop needs a gateway")),
    };
    Ok(NextHop {
        gateway,
        interface: interface.map(|name| word("interface", name)).transpose()?,
        weight: u16::try_from(asked.weight.max(1)).unwrap_or(u16::MAX),
    })
}

/// A single value without the quotes that it may need in a file; commands take it as it is.
fn unquoted(value: &str) -> String {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(text) = inside('\'') {
        return text.replace("''", "'");
    }
    let Some(text) = inside('"') else { return value.to_owned() };
    let (mut plain, mut escaped) = (String::new(), false);
    for c in text.chars() {
        if c == '\\' && !escaped {
            escaped = true;
            continue;
        }
        plain.push(c);
        escaped = false;
    }
    plain
}

/// What is to be set, each by itself; but the keys of the driver and of the port all at once, so that it is made anew once.
fn settings(asked: &[Setting]) -> Result<Vec<InterfaceSetting>, Status> {
    let (mut all, mut keys) = (Vec::new(), Vec::new());
    for Setting { key, value } in asked {
        let value = unquoted(value);
        match setting(key, &value)? {
            Some(setting) => all.push(setting),
            None => keys.push((key.clone(), value)),
        }
    }
    if !keys.is_empty() {
        all.push(InterfaceSetting::Keys(keys));
    }
    Ok(all)
}

/// A setting of any interface; none: a key of its driver, of a port, or of none.
fn setting(key: &str, value: &str) -> Result<Option<InterfaceSetting>, Status> {
    Ok(Some(match key {
        "state" => InterfaceSetting::State(word("state", value)?),
        "mtu" => InterfaceSetting::Mtu(word("mtu", value)?),
        "mac" if value.is_empty() => InterfaceSetting::Mac(None),
        "mac" => InterfaceSetting::Mac(Some(word("mac", value)?)),
        "vrf" => InterfaceSetting::Vrf(word("vrf", value)?),
        "router-advertisements" => InterfaceSetting::RouterAdvertisements(value.to_owned()),
        "urpf" => InterfaceSetting::Urpf(word("urpf", value)?),
        "mss-clamp" => InterfaceSetting::MssClamp(word("mss-clamp", value)?),
        "cross-connect" if value == "off" => InterfaceSetting::CrossConnect(None),
        "cross-connect" => InterfaceSetting::CrossConnect(Some(word("cross-connect", value)?)),
        "driver" | "addresses" | "sub-interfaces" => {
            let instead = match key {
                "driver" => "remove the interface, and add it with another driver",
                "addresses" => "use `address add` and `address remove`",
                _ => "use `interface add` with driver vlan, and `interface remove`",
            };
            return Err(Status::invalid_argument(format!("can't set \"{key}\"; {instead}")));
        }
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_api::v1::{PolicyRouteAdd, PolicyRouteRemove, RouteEdit};
    use millrace_config::{MssClamp, Urpf};

    fn asked(edit: Asked) -> Result<Vec<Edit>, Status> {
        read(EditRequest { edit: Some(edit) })
    }

    #[test]
    fn routes_are_read() {
        let hop = |gateway: &str, weight| millrace_api::v1::NextHop {
            gateway: Some(gateway.into()),
            interface: None,
            weight,
        };
        let edit = |prefix: &str, kind: &str, next_hops: Vec<_>, next_vrf: Option<&str>| {
            let (vrf, next_vrf) = (None, next_vrf.map(str::to_owned));
            asked(Asked::RouteAdd(RouteEdit { prefix: prefix.into(), vrf, r#type: kind.into(), next_hops, next_vrf }))
        };
        let route = |prefix: &str, kind: &str, next_hops: Vec<_>| edit(prefix, kind, next_hops, None);
        let edits = route("10.0.0.0/8", "", vec![hop("192.0.2.9", 0), hop("192.0.2.1", 7)]).unwrap();
        let [Edit::RouteAdd { key, route: Route::Via(hops) }] = edits.as_slice() else { panic!("{edits:?}") };
        assert_eq!((key.prefix.to_string(), key.vrf.as_str()), ("10.0.0.0/8".to_owned(), "default"));
        let hops: Vec<_> = hops.iter().map(|h| (h.gateway.to_string(), h.weight)).collect();
        assert_eq!(hops, [("192.0.2.1".to_owned(), 7), ("192.0.2.9".to_owned(), 1)]);
        assert!(route("10.0.0.0/8", "blackhole", vec![]).is_ok());
        let edits = edit("2001:db8::/32", "next-vrf", vec![], Some("blue")).unwrap();
        let [Edit::RouteAdd { route: Route::NextVrf(vrf), .. }] = edits.as_slice() else { panic!("{edits:?}") };
        assert_eq!(vrf.as_str(), "blue");
        for (kind, hops, next_vrf) in [
            ("next-vrf", vec![], None),
            ("next-vrf", vec![hop("192.0.2.1", 1)], Some("blue")),
            ("next-vrf", vec![], Some("no name")),
            ("", vec![hop("192.0.2.1", 1)], Some("blue")),
            ("blackhole", vec![], Some("blue")),
        ] {
            assert_eq!(
                edit("10.0.0.0/8", kind, hops, next_vrf).unwrap_err().code(),
                tonic::Code::InvalidArgument,
                "{kind}"
            );
        }
        for (prefix, kind, hops) in [
            ("10.0.0.1/8", "", vec![hop("192.0.2.1", 1)]),
            ("10.0.0.0/33", "", vec![hop("192.0.2.1", 1)]),
            ("10.0.0.0/8", "", vec![hop("192.0.2", 1)]),
            ("10.0.0.0/8", "blackhole", vec![hop("192.0.2.1", 1)]),
            ("10.0.0.0/8", "black", vec![]),
        ] {
            assert_eq!(route(prefix, kind, hops).unwrap_err().code(), tonic::Code::InvalidArgument, "{prefix} {kind}");
        }
    }

    #[test]
    fn policy_routes_are_read() {
        let add = |source: Option<&str>, interface: Option<&str>, position| {
            let (source, interface) = (source.map(str::to_owned), interface.map(str::to_owned));
            asked(Asked::PolicyRouteAdd(PolicyRouteAdd { source, interface, vrf: "blue".into(), position }))
        };
        for (position, wanted) in [(0, None), (1, Some(1)), (256, Some(256))] {
            let edits = add(Some("10.1.0.0/16"), Some("lan"), position).unwrap();
            let [Edit::PolicyRouteAdd { rule, at }] = edits.as_slice() else { panic!("{edits:?}") };
            assert_eq!((rule.to_string().as_str(), *at), ("source 10.1.0.0/16 interface lan vrf blue", wanted));
        }
        assert!(add(Some("10.1.0.0"), None, 0).is_err() && add(None, Some("no name"), 0).is_err());
        let remove = PolicyRouteRemove { source: None, interface: Some("lan".into()) };
        let edits = asked(Asked::PolicyRouteRemove(remove)).unwrap();
        let [Edit::PolicyRouteRemove(packets)] = edits.as_slice() else { panic!("{edits:?}") };
        assert_eq!(packets.to_string(), "interface lan");
    }

    #[test]
    fn quotes_are_taken_off() {
        for (quoted, plain) in [
            ("a b", "a b"),
            (r#""a: b""#, "a: b"),
            (r#""a\"\\b""#, r#"a"\b"#),
            ("'it''s'", "it's"),
            ("\"", "\""),
            ("", ""),
        ] {
            assert_eq!(unquoted(quoted), plain);
        }
    }

    #[test]
    fn settings_are_read() {
        let all = |asked: &[(&str, &str)]| {
            let setting = |(key, value): &(&str, &str)| Setting { key: (*key).into(), value: (*value).into() };
            settings(&asked.iter().map(setting).collect::<Vec<_>>())
        };
        let set = |key: &str, value: &str| all(&[(key, value)]).map(|settings| settings[0].clone());
        assert_eq!(set("mtu", "1400").unwrap(), InterfaceSetting::Mtu(1400));
        assert_eq!(
            set("mac", "\"02:00:00:00:00:01\"").unwrap(),
            InterfaceSetting::Mac("02:00:00:00:00:01".parse().ok())
        );
        assert_eq!(set("mac", "").unwrap(), InterfaceSetting::Mac(None));
        assert_eq!(set("urpf", "loose").unwrap(), InterfaceSetting::Urpf(Urpf::Loose));
        assert_eq!(set("mss-clamp", "1400").unwrap(), InterfaceSetting::MssClamp(MssClamp::Max(1400)));
        assert_eq!(
            set("router-advertisements", "{interval: 30s}").unwrap(),
            InterfaceSetting::RouterAdvertisements("{interval: 30s}".to_owned())
        );
        assert_eq!(set("cross-connect", "off").unwrap(), InterfaceSetting::CrossConnect(None));
        assert_eq!(set("cross-connect", "lan").unwrap(), InterfaceSetting::CrossConnect("lan".parse().ok()));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let driver = vec![pair("queues", "2"), pair("socket", "/run/a: b.sock")];
        assert_eq!(
            all(&[("queues", "2"), ("mtu", "9000"), ("socket", "\"/run/a: b.sock\"")]).unwrap(),
            [InterfaceSetting::Mtu(9000), InterfaceSetting::Keys(driver)]
        );
        for (key, value) in [
            ("mtu", "big"),
            ("state", "sideways"),
            ("cross-connect", "a b"),
            ("driver", "tap"),
            ("addresses", "10.0.0.1/24"),
        ] {
            assert_eq!(set(key, value).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
    }
}
