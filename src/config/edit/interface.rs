//! The commands that change interfaces.

use super::{EditError, InterfaceSetting, keys, unreadable, with_keys};
use crate::{
    Config, Driver, Interface, Name, RouterAdvertisements,
    decode::{self, Fields},
    diagnostic::{Position, Reader},
    ports::{self, Member},
    yaml::{self, Entry, Node},
};

pub(super) fn get<'c>(config: &'c mut Config, name: &Name) -> Result<&'c mut Interface, EditError> {
    if !config.interfaces.contains_key(name) {
        return Err(no_interface(config, name));
    }
    config.interfaces.get_mut(name).ok_or_else(|| EditError::NotFound(format!("no interface \"{name}\"")))
}

fn no_interface(config: &Config, name: &Name) -> EditError {
    if config.bridges.contains_key(name) {
        let hint = format!("`bridge set {name} bvi on` gives it one");
        return EditError::NotFound(format!("bridge {name} has no interface of its own; {hint}"));
    }
    let known: Vec<&str> = config.interfaces.keys().map(Name::as_str).collect();
    let hint = if known.is_empty() { "there are none".to_owned() } else { decode::suggestion(name, &known) };
    EditError::NotFound(format!("no interface \"{name}\"; {hint}"))
}

pub(super) fn add_interface(
    config: &mut Config,
    name: Name,
    driver: &str,
    settings: &[(String, String)],
) -> Result<(), EditError> {
    if let Some(other) = config.interfaces.get(&name) {
        let message = format!("interface {name} is there already ({}); use `interface set`", other.driver);
        return Err(EditError::Exists(message));
    }
    let mut reader = Reader::default();
    let node = keys(format_args!("interface {name}"), settings, &mut reader);
    let decoded = match driver {
        "vlan" => sub_interface(config, &name, &node, &mut reader),
        "bvi" => Interface::decode_bvi(&name, &node, &mut reader),
        _ => Interface::decode(&name, &node.with("driver", Node::text(driver)), &mut reader),
    };
    unreadable(reader)?;
    for (name, interface, _) in decoded {
        if config.interfaces.contains_key(&name) {
            return Err(EditError::Exists(format!("interface {name} is there already; choose another name")));
        }
        config.interfaces.insert(name, interface);
    }
    Ok(())
}

/// A driver with other values for some of its keys.
fn driver(name: &Name, old: &Driver, settings: &[(String, String)]) -> Result<Driver, EditError> {
    let mut reader = Reader::default();
    let refused = match old {
        Driver::Vlan(vlan) => {
            Some(("a sub-interface", format!("set it on {}, or remove it and add another", vlan.parent)))
        }
        Driver::Bvi => Some(("a bridge's own interface", format!("`bridge set {name}` sets the keys of the bridge"))),
        _ => None,
    };
    if let Some((what, hint)) = refused {
        let error = |(key, _): &(String, String)| format!("interface {name}: {key}: {what} has no driver; {hint}");
        return Err(EditError::Unreadable(settings.iter().map(error).collect()));
    }
    let what = format!("interface {name}");
    let node = with_keys(&what, &old.encode(Node::map()), settings, &mut reader);
    let decoded = Fields::open(&node, what, "a driver", &mut reader).and_then(|mut fields| {
        let driver = Driver::decode(name, &mut fields, &mut reader);
        fields.close(&mut reader);
        driver
    });
    unreadable(reader)?;
    decoded.ok_or_else(|| EditError::Unreadable(vec![format!("interface {name}: not a driver's keys")]))
}

/// A port with other values for some of its keys; `bridge` may be one of them.
fn port(name: &Name, interface: &Interface, settings: &[(String, String)]) -> Result<Option<Member>, EditError> {
    if settings.iter().any(|(key, value)| key == "bridge" && matches!(value.as_str(), "off" | "")) {
        return match settings {
            [_] => Ok(None),
            _ => Err(EditError::Unreadable(vec![format!(
                "interface {name}: bridge: off takes all keys of the port away; set it alone"
            )])),
        };
    }
    let is_sub_interface = interface.parent().is_some();
    let old = interface.bridge.as_ref().map_or_else(Node::map, |port| port.encode(Node::map(), is_sub_interface));
    // One way to tell VLANs takes the place of another.
    let tagging = ["vlan", "trunk", "tag-rewrite"];
    let replaced = settings.iter().any(|(key, _)| tagging.contains(&key.as_str()));
    let kept = old.entries().iter().filter(|entry| !(replaced && tagging.contains(&entry.key.as_str())));
    let kept = kept.fold(Node::map(), |node, entry| node.with(&entry.key, entry.value.clone()));
    let (mut reader, what) = (Reader::default(), format!("interface {name}"));
    let node = with_keys(&what, &kept, settings, &mut reader);
    let decoded = Fields::open(&node, what, "a port", &mut reader).and_then(|mut fields| {
        let port = Member::decode(&mut fields, is_sub_interface, &mut reader);
        fields.close(&mut reader);
        port
    });
    unreadable(reader)?;
    Ok(decoded)
}

/// `interface add PARENT.VLAN driver vlan`: what a file says under `sub-interfaces` of the parent.
fn sub_interface(config: &Config, name: &Name, node: &Node, reader: &mut Reader) -> Vec<(Name, Interface, Position)> {
    // Of `wan.200.10`, the parent is `wan`, though there may be a `wan.200`.
    let parents = name.match_indices('.').map(|(dot, _)| (&name[..dot], &name[dot + 1..])).rev();
    let parents = parents.filter_map(|(parent, vlan)| Some((config.interfaces.get_key_value(parent)?, vlan)));
    let parent = parents.min_by_key(|((_, interface), _)| interface.parent().is_some());
    let Some(((parent, interface), vlan)) = parent else {
        let message = format!("interface {name}: no parent of that name");
        reader.error(
            Position::default(),
            message,
            "expected the name of an interface, a dot and a VLAN, as in `wan.100`, or two: `wan.200.10`",
        );
        return Vec::new();
    };
    let entry = Entry { key: vlan.to_owned(), key_at: Position::default(), value: node.clone() };
    let sub = Interface::decode_sub(parent, interface.mtu, &entry, reader);
    if let Some((right, _)) = sub.as_ref().filter(|(right, _)| right != name) {
        reader.error(
            Position::default(),
            format!("interface {name}: not the name of VLAN {vlan}"),
            format!("expected {right}"),
        );
    }
    sub.map(|(name, sub)| (name, sub, Position::default())).into_iter().collect()
}

pub(super) fn remove_interface(config: &mut Config, name: &Name) -> Result<(), EditError> {
    get(config, name)?;
    refuse_used(&format!("interface {name}"), config.users_of(name))?;
    config.interfaces.remove(name);
    Ok(())
}

/// Refuses to remove what others use.
pub(crate) fn refuse_used(what: &str, users: Vec<String>) -> Result<(), EditError> {
    if users.is_empty() {
        return Ok(());
    }
    let (shown, more) = users.split_at(users.len().min(8));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    Err(EditError::InUse(format!("{what} is used by {}{more}; remove these first", shown.join(", "))))
}

pub(super) fn set_interface(config: &mut Config, name: &Name, setting: InterfaceSetting) -> Result<(), EditError> {
    let interface = get(config, name)?;
    match setting {
        InterfaceSetting::RouterAdvertisements(text) => {
            let mut reader = Reader::default();
            let node = yaml::value(&text, &mut reader);
            let told = node.and_then(|node| RouterAdvertisements::decode(name, &node, &mut reader));
            unreadable(reader)?;
            interface.router_advertisements = told;
        }
        InterfaceSetting::State(state) => interface.state = state,
        InterfaceSetting::Mac(mac) => interface.mac = mac,
        InterfaceSetting::Vrf(vrf) => interface.vrf = vrf,
        InterfaceSetting::Urpf(urpf) => interface.urpf = urpf,
        InterfaceSetting::MssClamp(clamp) => interface.mss_clamp = clamp,
        InterfaceSetting::CrossConnect(target) => interface.cross_connect = target,
        InterfaceSetting::Keys(settings) => {
            let (of_port, of_driver): (Vec<_>, Vec<_>) =
                settings.into_iter().partition(|(key, _)| ports::KEYS.contains(&key.as_str()));
            if !of_driver.is_empty() {
                let new = driver(name, &interface.driver, &of_driver)?;
                let old = std::mem::replace(&mut interface.driver, new);
                // What headers leave of 1500 bytes may be another size now.
                if interface.mtu == old.mtu() {
                    set_mtu(config, name, None);
                }
            }
            if !of_port.is_empty() {
                let interface = get(config, name)?;
                interface.bridge = port(name, interface, &of_port)?;
            }
        }
        InterfaceSetting::Mtu(mtu) => set_mtu(config, name, Some(mtu)),
    }
    Ok(())
}

/// Sets an MTU, or the one that goes with the driver; sub-interfaces that have the interface's keep to it.
fn set_mtu(config: &mut Config, name: &Name, mtu: Option<u16>) {
    let Some(interface) = config.interfaces.get_mut(name) else { return };
    let mtu = mtu.unwrap_or(interface.driver.mtu());
    let old = std::mem::replace(&mut interface.mtu, mtu);
    for sub in config.interfaces.values_mut().filter(|sub| sub.parent() == Some(name) && sub.mtu == old) {
        sub.mtu = mtu;
    }
}
