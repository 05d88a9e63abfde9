//! The changes that an operator makes by command, each an edit of the same configuration that a file describes.
//!
//! [`edit`] is pure and gives the next configuration; [`plan`](crate::plan()) then says how to get there. It refuses
//! - to add what is there, and to remove what isn't;
//! - to remove an interface or a bridge that something else names ([`Config::users_of`]): remove that first;
//! - whatever a file with the same content would be refused for.

mod interface;
mod keys;

use crate::{
    Config, Mac, MssClamp, Name, Nat44Edit, NeighborKey, PolicyMatch, PolicyRoute, Problem, Route, RouteKey, State,
    Urpf, bridges, lldp, mirrors, policy_routes,
};
use ipnet::IpNet;
use std::collections::btree_map;

pub(crate) use interface::refuse_used;
use interface::{add_interface, get, remove_interface, set_interface};
pub(crate) use keys::{keys, unreadable, with_keys};

/// A change by command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// `interface add NAME driver D [KEY VALUE]...`: the keys and values of a file; a list is written `[a, b]`.
    /// A sub-interface is added as `PARENT.VLAN` or `PARENT.OUTER.INNER` with driver `vlan`, a bridge's own interface under the
    /// bridge's name with driver `bvi`.
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
    /// `bridge add NAME [KEY VALUE]...`: the keys and values of a file.
    BridgeAdd {
        /// Its name.
        name: Name,
        /// Keys and their values, as in a file.
        settings: Vec<(String, String)>,
    },
    /// `bridge set NAME KEY VALUE...`.
    BridgeSet {
        /// Its name.
        name: Name,
        /// Keys and their values, as in a file. An empty value: what is meant without the key. `bvi` takes `on` and `off`, too.
        settings: Vec<(String, String)>,
    },
    /// `bridge remove NAME`: with its own interface. Refused while anything else refers to one of them.
    BridgeRemove {
        /// Its name.
        name: Name,
    },
    /// `mirror add NAME from A[,B] to C|file F [direction D] [limit N] [snap-length N]`.
    MirrorAdd {
        /// Its name.
        name: Name,
        /// Keys and their values, as in a file.
        settings: Vec<(String, String)>,
    },
    /// `mirror remove NAME`.
    MirrorRemove {
        /// Its name.
        name: Name,
    },
    /// `lldp set KEY VALUE...`: keys and their values, as in a file. An empty value: what is meant without the key.
    LldpSet(Vec<(String, String)>),
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
    /// Keys of its driver, and those of a port of a bridge, with their values, as in a file. An empty value: what is meant without the
    /// key. `bridge off` makes it no port any more; `vlan`, `trunk` and `tag-rewrite` each take the place of the others.
    Keys(Vec<(String, String)>),
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
        Edit::BridgeAdd { name, settings } => bridges::add(&mut next, name, &settings)?,
        Edit::BridgeSet { name, settings } => bridges::set(&mut next, &name, &settings)?,
        Edit::BridgeRemove { name } => bridges::remove(&mut next, &name)?,
        Edit::MirrorAdd { name, settings } => mirrors::add(&mut next, name, &settings)?,
        Edit::MirrorRemove { name } => mirrors::remove(&mut next, &name)?,
        Edit::LldpSet(settings) => lldp::set(&mut next, &settings)?,
    }
    let problems = next.problems();
    if problems.is_empty() { Ok(next) } else { Err(EditError::Invalid(problems)) }
}
