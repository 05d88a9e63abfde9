//! The changes that an operator makes by command, each an edit of the same configuration that a file describes.
//!
//! [`edit`] is pure and gives the next configuration; [`plan`](crate::plan()) then says how to get there. It refuses
//! - to add what is there, and to remove what isn't;
//! - to remove an interface that sub-interfaces, cross-connects, neighbours, routes, policy routes or nat44 name: remove those first;
//! - whatever a file with the same content would be refused for.

use crate::{
    Config, Driver, Interface, Mac, MssClamp, Name, Nat44Edit, NeighborKey, PolicyMatch, PolicyRoute, Problem, Route,
    RouteKey, RouterAdvertisements, State, Urpf,
    decode::Fields,
    diagnostic::{Diagnostic, Position, Reader},
    policy_routes,
    yaml::{self, Entry, Node, Value},
};
use ipnet::IpNet;
use std::collections::btree_map;

/// A change by command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// `interface add NAME driver D [KEY VALUE]...`: the keys and values of a file; a list is written `[a, b]`.
    /// A sub-interface is added as `PARENT.VLAN` with driver `vlan`.
    InterfaceAdd {
        /// Its name.
        name: Name,
        /// The driver's word.
        driver: String,
        /// Further keys and their values, as in a file.
        settings: Vec<(String, String)>,
    },
    /// `interface remove NAME`: with its addresses. Refused while anything else refers to it.
    InterfaceRemove {
        /// Its name.
        name: Name,
    },
    /// `interface set NAME {up|down|mtu N|mac M|vrf V|urpf U|mss-clamp C|router-advertisements R|cross-connect X|KEY VALUE}`.
    InterfaceSet {
        /// Its name.
        name: Name,
        /// What to set.
        setting: InterfaceSetting,
    },
    /// `address add PREFIX interface NAME`: behind the ones it has.
    AddressAdd {
        /// The interface.
        interface: Name,
        /// The address with the length of its subnet.
        address: IpNet,
    },
    /// `address remove PREFIX interface NAME`.
    AddressRemove {
        /// The interface.
        interface: Name,
        /// The address with the length of its subnet.
        address: IpNet,
    },
    /// `route add PREFIX ...`: refused if the prefix has a route.
    RouteAdd {
        /// VRF and prefix.
        key: RouteKey,
        /// Where it leads.
        route: Route,
    },
    /// `route replace PREFIX ...`: adds the route, or leads an existing one elsewhere.
    RouteReplace {
        /// VRF and prefix.
        key: RouteKey,
        /// Where it leads.
        route: Route,
    },
    /// `route remove PREFIX [vrf V]`.
    RouteRemove {
        /// VRF and prefix.
        key: RouteKey,
    },
    /// `neighbor add ADDRESS mac MAC interface NAME`.
    NeighborAdd {
        /// Interface and address.
        key: NeighborKey,
        /// The Ethernet address.
        mac: Mac,
    },
    /// `neighbor remove ADDRESS interface NAME`.
    NeighborRemove {
        /// Interface and address.
        key: NeighborKey,
    },
    /// `nat44 ...`.
    Nat44(Nat44Edit),
    /// `policy-route add [source P] [interface I] vrf V [position N]`: behind all others unless there is a position, from 1.
    PolicyRouteAdd {
        /// The rule.
        rule: PolicyRoute,
        /// The place that it is to have; one higher than there are rules means the end.
        at: Option<usize>,
    },
    /// `policy-route remove [source P] [interface I]`.
    PolicyRouteRemove(PolicyMatch),
}

/// What `interface set` sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceSetting {
    /// `up` or `down`.
    State(State),
    /// `mtu N`, in bytes. Sub-interfaces whose MTU is the interface's keep to it.
    Mtu(u16),
    /// `mac M`; none: the device's own.
    Mac(Option<Mac>),
    /// `vrf V`.
    Vrf(Name),
    /// `router-advertisements on|off`, or the keys of a file in braces: `{interval: 30s, managed: true}`.
    RouterAdvertisements(String),
    /// `urpf off|strict|loose`.
    Urpf(Urpf),
    /// `mss-clamp off|auto|N`, in bytes.
    MssClamp(MssClamp),
    /// `cross-connect OTHER|off`.
    CrossConnect(Option<Name>),
    /// Keys of its driver with their values, as in a file. An empty value: what is meant without the key.
    Driver(Vec<(String, String)>),
}

/// Why an edit was refused. The text says what is wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// What is to be changed or removed isn't there.
    #[error("{0}")]
    NotFound(String),
    /// What is to be added is there.
    #[error("{0}")]
    Exists(String),
    /// Something refers to what is to be removed.
    #[error("{0}")]
    InUse(String),
    /// The command's values can't be taken; one text for each mistake.
    #[error("{}", .0.join("\n"))]
    Unreadable(Vec<String>),
    /// The result would break these rules.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// The configuration after an edit.
///
/// # Errors
/// See [`EditError`]. `config` is as it was.
pub fn edit(config: &Config, edit: &Edit) -> Result<Config, EditError> {
    let mut next = config.clone();
    match edit.clone() {
        Edit::InterfaceAdd { name, driver, settings } => add_interface(&mut next, name, &driver, &settings)?,
        Edit::InterfaceRemove { name } => remove_interface(&mut next, &name)?,
        Edit::InterfaceSet { name, setting } => set_interface(&mut next, &name, setting)?,
        Edit::AddressAdd { interface, address } => {
            let addresses = &mut get(&mut next, &interface)?.addresses;
            if addresses.contains(&address) {
                return Err(EditError::Exists(format!("interface {interface} has {address} already; nothing to add")));
            }
            addresses.push(address);
        }
        Edit::AddressRemove { interface, address } => {
            let addresses = &mut get(&mut next, &interface)?.addresses;
            let Some(at) = addresses.iter().position(|a| *a == address) else {
                let has: Vec<_> = addresses.iter().map(IpNet::to_string).collect();
                let has = if has.is_empty() { "no address".to_owned() } else { has.join(", ") };
                return Err(EditError::NotFound(format!("interface {interface} doesn't have {address}; it has {has}")));
            };
            addresses.remove(at);
        }
        Edit::RouteAdd { key, route } => match next.routes.entry(key) {
            btree_map::Entry::Vacant(place) => drop(place.insert(route)),
            btree_map::Entry::Occupied(old) => {
                let (key, old) = (old.key(), old.get());
                return Err(EditError::Exists(format!("{key} has a route already ({old}); use `route replace`")));
            }
        },
        Edit::RouteReplace { key, route } => drop(next.routes.insert(key, route)),
        Edit::RouteRemove { key } => {
            if next.routes.remove(&key).is_none() {
                let hint = "`show ip route` lists the routes; connected ones go with their address";
                return Err(EditError::NotFound(format!("{key} has no static route; {hint}")));
            }
        }
        Edit::NeighborAdd { key, mac } => match next.neighbors.entry(key) {
            btree_map::Entry::Vacant(place) => drop(place.insert(mac)),
            btree_map::Entry::Occupied(old) => {
                let (key, old) = (old.key(), old.get());
                return Err(EditError::Exists(format!(
                    "neighbor {key} is there already (mac {old}); use `neighbor remove` first"
                )));
            }
        },
        Edit::NeighborRemove { key } => {
            if next.neighbors.remove(&key).is_none() {
                let hint = "`show neighbors` lists them; learned ones go by `clear neighbors`";
                return Err(EditError::NotFound(format!("there is no static neighbor {key}; {hint}")));
            }
        }
        Edit::Nat44(edit) => next.nat44.edit(edit)?,
        Edit::PolicyRouteAdd { rule, at } => policy_routes::add(&mut next, rule, at)?,
        Edit::PolicyRouteRemove(packets) => policy_routes::remove(&mut next, &packets)?,
    }
    let problems = next.problems();
    if problems.is_empty() { Ok(next) } else { Err(EditError::Invalid(problems)) }
}

fn get<'c>(config: &'c mut Config, name: &Name) -> Result<&'c mut Interface, EditError> {
    if !config.interfaces.contains_key(name) {
        return Err(no_interface(config, name));
    }
    config.interfaces.get_mut(name).ok_or_else(|| EditError::NotFound(format!("no interface \"{name}\"")))
}

fn no_interface(config: &Config, name: &Name) -> EditError {
    let known: Vec<&str> = config.interfaces.keys().map(Name::as_str).collect();
    let hint = if known.is_empty() { "there are none".to_owned() } else { crate::decode::suggestion(name, &known) };
    EditError::NotFound(format!("no interface \"{name}\"; {hint}"))
}

fn add_interface(
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
    let node = keys(&name, settings, &mut reader);
    let decoded = match driver {
        "vlan" => sub_interface(config, &name, &node, &mut reader),
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

/// Keys and values of a command as a file would have them, without `driver`.
fn keys(name: &Name, settings: &[(String, String)], reader: &mut Reader) -> Node {
    let mut node = Node::map();
    for (i, (key, value)) in settings.iter().enumerate() {
        if key == "driver" || settings[..i].iter().any(|(other, _)| other == key) {
            reader.error(Position::default(), format!("interface {name}: {key} stands here twice"), "keep one of them");
        }
        if let Some(value) = yaml::value(value, reader) {
            node = node.with(key, value);
        }
    }
    node
}

/// A driver with other values for some of its keys.
fn driver(name: &Name, old: &Driver, settings: &[(String, String)]) -> Result<Driver, EditError> {
    let mut reader = Reader::default();
    if let Driver::Vlan(vlan) = old {
        let hint = format!("set it on {}, or remove it and add another", vlan.parent);
        let error =
            settings.iter().map(|(key, _)| format!("interface {name}: {key}: a sub-interface has no driver; {hint}"));
        return Err(EditError::Unreadable(error.collect()));
    }
    let (new, old) = (keys(name, settings, &mut reader), old.encode(Node::map()));
    let all =
        old.entries().iter().filter(|entry| settings.iter().all(|(key, _)| *key != entry.key)).chain(new.entries());
    let all = all.filter(|entry| !matches!(&entry.value.value, Value::Text(text) if text.is_empty()));
    let node = all.fold(Node::map(), |node, entry| node.with(&entry.key, entry.value.clone()));
    let decoded =
        Fields::open(&node, format_args!("interface {name}"), "a driver", &mut reader).and_then(|mut fields| {
            let driver = Driver::decode(name, &mut fields, &mut reader);
            fields.close(&mut reader);
            driver
        });
    unreadable(reader)?;
    decoded.ok_or_else(|| EditError::Unreadable(vec![format!("interface {name}: not a driver's keys")]))
}

/// Refuses values that could not be read.
fn unreadable(reader: Reader) -> Result<(), EditError> {
    let text = |Diagnostic { message, hint, .. }: Diagnostic| format!("{message}; {hint}");
    let errors: Vec<String> = reader.finish().into_iter().map(text).collect();
    if errors.is_empty() { Ok(()) } else { Err(EditError::Unreadable(errors)) }
}

/// `interface add PARENT.VLAN driver vlan`: what a file says under `sub-interfaces` of the parent.
fn sub_interface(config: &Config, name: &Name, node: &Node, reader: &mut Reader) -> Vec<(Name, Interface, Position)> {
    let parent =
        name.rsplit_once('.').and_then(|(parent, vlan)| Some((config.interfaces.get_key_value(parent)?, vlan)));
    let Some(((parent, interface), vlan)) = parent else {
        let message = format!("interface {name}: no parent of that name");
        reader.error(
            Position::default(),
            message,
            "expected the name of an interface, a dot and a VLAN, as in `wan.100`",
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

fn remove_interface(config: &mut Config, name: &Name) -> Result<(), EditError> {
    get(config, name)?;
    let named = |route: &Route| route.hops().iter().any(|hop| hop.interface.as_ref() == Some(name));
    let subs = config.sub_interfaces(name).map(|(sub, _)| format!("interface {sub}"));
    let neighbors =
        config.neighbors.keys().filter(|key| key.interface == *name).map(|key| format!("neighbor {}", key.address));
    let routes = config.routes.iter().filter(|(_, route)| named(route)).map(|(key, _)| format!("route {key}"));
    let nat44 = config.nat44.users_of(name);
    let connected = config.interfaces.iter().filter(|(_, other)| other.cross_connect.as_ref() == Some(name));
    let connected = connected.map(|(other, _)| format!("cross-connect of {other}"));
    let policy_routes = config.policy_routes.iter().map(|rule| &rule.packets);
    let policy_routes = policy_routes.filter(|packets| packets.interface.as_ref() == Some(name));
    let policy_routes = policy_routes.map(|packets| format!("policy-route {packets}"));
    let users: Vec<_> =
        subs.chain(connected).chain(neighbors).chain(routes).chain(policy_routes).chain(nat44).collect();
    if !users.is_empty() {
        let (shown, more) = users.split_at(users.len().min(8));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        let users = shown.join(", ");
        return Err(EditError::InUse(format!("interface {name} is used by {users}{more}; remove these first")));
    }
    config.interfaces.remove(name);
    Ok(())
}

fn set_interface(config: &mut Config, name: &Name, setting: InterfaceSetting) -> Result<(), EditError> {
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
        InterfaceSetting::Driver(settings) => interface.driver = driver(name, &interface.driver, &settings)?,
        InterfaceSetting::Mtu(mtu) => {
            let old = std::mem::replace(&mut interface.mtu, mtu);
            for sub in config.interfaces.values_mut().filter(|sub| sub.parent() == Some(name) && sub.mtu == old) {
                sub.mtu = mtu;
            }
        }
    }
    Ok(())
}
