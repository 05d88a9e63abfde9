//! One step of a plan: what it changes, how it reads, how it is applied to a [`Config`] and how it is undone.

use crate::{
    Api, Bridge, Buffers, Config, DEFAULT_VRF, Driver, Eal, Interface, Lldp, Mac, Member, Mirror, MssClamp, Name,
    Nat44, NeighborKey, PolicyRoute, Route, RouteKey, RouterAdvertisements, State, Urpf, Vrf, Workers, bridges,
    mirrors, policy_routes, yaml::Node,
};
use ipnet::IpNet;
use std::{collections::BTreeMap, fmt};

/// A value before and after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<T> {
    /// What it is before the step.
    pub from: T,
    /// What it is after the step.
    pub to: T,
}

impl<T> Change<T> {
    fn inverse(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

/// One step. It carries the old value beside the new one, so that it can be shown and undone without anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Other workers. Takes a restart.
    WorkersSet(Change<Workers>),
    /// Other buffers. Takes a restart.
    BuffersSet(Change<Buffers>),
    /// Another environment of DPDK. Takes a restart once DPDK has been started; the daemon knows whether it has.
    DpdkSet(Change<Eal>),
    /// Another API socket.
    ApiSet(Change<Api>),
    /// A new VRF.
    VrfAdd(Name),
    /// A VRF goes; nothing refers to it any more.
    VrfRemove(Name),
    /// A new bridge, without static stations: those follow in a step of their own.
    BridgeAdd {
        /// Its name.
        name: Name,
        /// All the rest of it; `static_macs` is empty.
        bridge: Box<Bridge>,
    },
    /// Other settings of a bridge. The ports that its static stations are behind are there before and after.
    BridgeSet {
        /// Its name.
        name: Name,
        /// All settings.
        change: Box<Change<Bridge>>,
    },
    /// A bridge goes; its own interface went before, and nothing is a port of it any more.
    BridgeRemove {
        /// Its name.
        name: Name,
        /// What it was; `static_macs` is empty.
        bridge: Box<Bridge>,
    },
    /// A new interface, without addresses, cross-connect and bridge: those follow in steps of their own. Its parent, its members, the
    /// bridge that it is the interface of and its VRF exist.
    InterfaceCreate {
        /// Its name.
        name: Name,
        /// All the rest of it; `addresses` is empty, `cross_connect` and `bridge` none.
        interface: Box<Interface>,
    },
    /// An interface goes; its addresses, sub-interfaces, neighbours and the routes and cross-connects that name it went before.
    InterfaceRemove {
        /// Its name.
        name: Name,
        /// What it was; `addresses` is empty, `cross_connect` and `bridge` none.
        interface: Box<Interface>,
    },
    /// An attribute of an interface changes while it runs.
    InterfaceSet {
        /// The interface.
        name: Name,
        /// Which attribute, from what to what.
        setting: Setting,
    },
    /// An interface gets an address, and so a connected route.
    AddressAdd(Address),
    /// An interface loses an address.
    AddressRemove(Address),
    /// A new route; there is none of its key.
    RouteAdd {
        /// Its VRF and prefix.
        key: RouteKey,
        /// Where it leads.
        route: Route,
    },
    /// A route leads elsewhere from now on, without a moment in which there is none.
    RouteReplace {
        /// Its VRF and prefix.
        key: RouteKey,
        /// Where it led and where it leads.
        change: Change<Route>,
    },
    /// A route goes.
    RouteRemove {
        /// Its VRF and prefix.
        key: RouteKey,
        /// Where it led.
        route: Route,
    },
    /// A new static neighbour.
    NeighborAdd {
        /// Its interface and address.
        key: NeighborKey,
        /// Its Ethernet address.
        mac: Mac,
    },
    /// A static neighbour has another Ethernet address.
    NeighborReplace {
        /// Its interface and address.
        key: NeighborKey,
        /// The Ethernet addresses.
        change: Change<Mac>,
    },
    /// A static neighbour goes.
    NeighborRemove {
        /// Its interface and address.
        key: NeighborKey,
        /// The Ethernet address it had.
        mac: Mac,
    },
    /// Another translation of addresses, as a whole. The interfaces and VRFs that it names exist before and after.
    Nat44Set(Box<Change<Nat44>>),
    /// Other policy routes, as a whole. The interfaces and VRFs that they name exist before and after.
    PolicyRoutesSet(Change<Vec<PolicyRoute>>),
    /// Other mirrors, all of them. The interfaces that they name exist before and after.
    MirrorsSet(Box<Change<BTreeMap<Name, Mirror>>>),
    /// Other settings of LLDP, all of them. The interfaces that they name exist before and after.
    LldpSet(Box<Change<Lldp>>),
}

/// An attribute that changes while an interface runs. Any other change of an interface makes it anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The MTU, in bytes.
    Mtu(Change<u16>),
    /// The Ethernet address; none: the device's own.
    Mac(Change<Option<Mac>>),
    /// Up or down.
    State(Change<State>),
    /// The VRF. The interface has no addresses, neighbours or routes that name it while this is applied.
    Vrf(Change<Name>),
    /// What it tells the hosts on its link; none: nothing.
    RouterAdvertisements(Box<Change<Option<RouterAdvertisements>>>),
    /// The sources that it takes packets from.
    Urpf(Change<Urpf>),
    /// The largest segment size of TCP connections through it.
    MssClamp(Change<MssClamp>),
    /// The interface that everything it receives leaves by; none: packets are routed.
    CrossConnect(Change<Option<Name>>),
    /// The bridge that it is a port of, and how; none: packets are routed.
    Bridge(Box<Change<Option<Member>>>),
    /// Other settings of its driver, which is of the same kind, and virtual.
    Driver(Box<Change<Driver>>),
}

/// An address of an interface and its place among the interface's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub interface: Name,
    /// The address with the length of its subnet.
    pub address: IpNet,
    /// Where it stands among the interface's addresses; 0 is the primary one.
    pub at: usize,
}

impl Op {
    /// Whether it can't be done while the daemon runs.
    pub const fn restart_required(&self) -> bool {
        matches!(self, Self::WorkersSet(_) | Self::BuffersSet(_))
    }

    /// The step that takes this one back.
    pub fn inverse(&self) -> Self {
        match self.clone() {
            Self::WorkersSet(change) => Self::WorkersSet(change.inverse()),
            Self::BuffersSet(change) => Self::BuffersSet(change.inverse()),
            Self::DpdkSet(change) => Self::DpdkSet(change.inverse()),
            Self::ApiSet(change) => Self::ApiSet(change.inverse()),
            Self::VrfAdd(name) => Self::VrfRemove(name),
            Self::VrfRemove(name) => Self::VrfAdd(name),
            Self::BridgeAdd { name, bridge } => Self::BridgeRemove { name, bridge },
            Self::BridgeSet { name, change } => Self::BridgeSet { name, change: Box::new(change.inverse()) },
            Self::BridgeRemove { name, bridge } => Self::BridgeAdd { name, bridge },
            Self::InterfaceCreate { name, interface } => Self::InterfaceRemove { name, interface },
            Self::InterfaceRemove { name, interface } => Self::InterfaceCreate { name, interface },
            Self::InterfaceSet { name, setting } => Self::InterfaceSet { name, setting: setting.inverse() },
            Self::AddressAdd(address) => Self::AddressRemove(address),
            Self::AddressRemove(address) => Self::AddressAdd(address),
            Self::RouteAdd { key, route } => Self::RouteRemove { key, route },
            Self::RouteReplace { key, change } => Self::RouteReplace { key, change: change.inverse() },
            Self::RouteRemove { key, route } => Self::RouteAdd { key, route },
            Self::NeighborAdd { key, mac } => Self::NeighborRemove { key, mac },
            Self::NeighborReplace { key, change } => Self::NeighborReplace { key, change: change.inverse() },
            Self::NeighborRemove { key, mac } => Self::NeighborAdd { key, mac },
            Self::Nat44Set(change) => Self::Nat44Set(Box::new(change.inverse())),
            Self::PolicyRoutesSet(change) => Self::PolicyRoutesSet(change.inverse()),
            Self::MirrorsSet(change) => Self::MirrorsSet(Box::new(change.inverse())),
            Self::LldpSet(change) => Self::LldpSet(Box::new(change.inverse())),
        }
    }

    /// Makes the change in a configuration.
    pub fn apply(&self, config: &mut Config) {
        match self {
            Self::WorkersSet(change) => config.workers = change.to.clone(),
            Self::BuffersSet(change) => config.buffers = change.to.clone(),
            Self::DpdkSet(change) => config.dpdk = change.to.clone(),
            Self::ApiSet(change) => config.api = change.to.clone(),
            Self::VrfAdd(name) => drop(config.vrfs.insert(name.clone(), Vrf::default())),
            Self::VrfRemove(name) => drop(config.vrfs.remove(name)),
            Self::BridgeAdd { name, bridge } => drop(config.bridges.insert(name.clone(), (**bridge).clone())),
            Self::BridgeSet { name, change } => drop(config.bridges.insert(name.clone(), change.to.clone())),
            Self::BridgeRemove { name, .. } => drop(config.bridges.remove(name)),
            Self::InterfaceCreate { name, interface } => {
                config.interfaces.insert(name.clone(), (**interface).clone());
            }
            Self::InterfaceRemove { name, .. } => drop(config.interfaces.remove(name)),
            Self::InterfaceSet { name, setting } => {
                if let Some(interface) = config.interfaces.get_mut(name) {
                    setting.apply(interface);
                }
            }
            Self::AddressAdd(Address { interface, address, at }) => {
                if let Some(interface) = config.interfaces.get_mut(interface) {
                    let at = interface.addresses.len().min(*at);
                    interface.addresses.insert(at, *address);
                }
            }
            Self::AddressRemove(Address { interface, address, .. }) => {
                if let Some(interface) = config.interfaces.get_mut(interface) {
                    interface.addresses.retain(|a| a != address);
                }
            }
            Self::RouteAdd { key, route } => drop(config.routes.insert(key.clone(), route.clone())),
            Self::RouteReplace { key, change } => drop(config.routes.insert(key.clone(), change.to.clone())),
            Self::RouteRemove { key, .. } => drop(config.routes.remove(key)),
            Self::NeighborAdd { key, mac } => drop(config.neighbors.insert(key.clone(), *mac)),
            Self::NeighborReplace { key, change } => drop(config.neighbors.insert(key.clone(), change.to)),
            Self::NeighborRemove { key, .. } => drop(config.neighbors.remove(key)),
            Self::Nat44Set(change) => config.nat44 = change.to.clone(),
            Self::PolicyRoutesSet(change) => config.policy_routes = change.to.clone(),
            Self::MirrorsSet(change) => config.mirrors = change.to.clone(),
            Self::LldpSet(change) => config.lldp = change.to.clone(),
        }
    }
}

impl Setting {
    fn inverse(self) -> Self {
        match self {
            Self::Mtu(change) => Self::Mtu(change.inverse()),
            Self::Mac(change) => Self::Mac(change.inverse()),
            Self::State(change) => Self::State(change.inverse()),
            Self::Vrf(change) => Self::Vrf(change.inverse()),
            Self::RouterAdvertisements(change) => Self::RouterAdvertisements(Box::new(change.inverse())),
            Self::Urpf(change) => Self::Urpf(change.inverse()),
            Self::MssClamp(change) => Self::MssClamp(change.inverse()),
            Self::CrossConnect(change) => Self::CrossConnect(change.inverse()),
            Self::Bridge(change) => Self::Bridge(Box::new(change.inverse())),
            Self::Driver(change) => Self::Driver(Box::new(change.inverse())),
        }
    }

    fn apply(&self, interface: &mut Interface) {
        match self {
            Self::Mtu(change) => interface.mtu = change.to,
            Self::Mac(change) => interface.mac = change.to,
            Self::State(change) => interface.state = change.to,
            Self::Vrf(change) => interface.vrf = change.to.clone(),
            Self::RouterAdvertisements(change) => interface.router_advertisements = change.to.clone(),
            Self::Urpf(change) => interface.urpf = change.to,
            Self::MssClamp(change) => interface.mss_clamp = change.to,
            Self::CrossConnect(change) => interface.cross_connect = change.to.clone(),
            Self::Bridge(change) => interface.bridge = change.to.clone(),
            Self::Driver(change) => interface.driver = change.to.clone(),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Change<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mac = |mac: Option<Mac>| mac.map_or("the device's".to_owned(), |mac| mac.to_string());
        match self {
            Self::Mtu(change) => write!(f, "mtu {change}"),
            Self::Mac(Change { from, to }) => write!(f, "mac {} -> {}", mac(*from), mac(*to)),
            Self::State(change) => write!(f, "state {change}"),
            Self::Vrf(change) => write!(f, "vrf {change}"),
            Self::RouterAdvertisements(change) => {
                let word = |told: &Option<RouterAdvertisements>| {
                    told.as_ref().map_or("off".to_owned(), RouterAdvertisements::to_string)
                };
                write!(f, "router-advertisements {} -> {}", word(&change.from), word(&change.to))
            }
            Self::Urpf(change) => write!(f, "urpf {change}"),
            Self::MssClamp(change) => write!(f, "mss-clamp {change}"),
            Self::CrossConnect(change) => {
                let word = |target: &Option<Name>| target.as_ref().map_or("off".to_owned(), Name::to_string);
                write!(f, "cross-connect {} -> {}", word(&change.from), word(&change.to))
            }
            Self::Bridge(change) => {
                let word = |port: &Option<Member>| port.as_ref().map_or("off".to_owned(), Member::to_string);
                match (&change.from, &change.to) {
                    (Some(from), Some(to)) if from.bridge == to.bridge => f.write_str(&from.differences(to)),
                    (from, to) => write!(f, "bridge {} -> {}", word(from), word(to)),
                }
            }
            Self::Driver(change) => {
                let (from, to) = (change.from.encode(Node::map()), change.to.encode(Node::map()));
                f.write_str(&from.differences(&to))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {} interface {}", self.address, self.interface)
    }
}

/// One line, as in a diff: `+` for what comes, `-` for what goes, `~` for what changes. [`Op::Nat44Set`],
/// [`Op::PolicyRoutesSet`], [`Op::BridgeSet`] and [`Op::MirrorsSet`] have a line for each thing that is different.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkersSet(change) => write!(f, "~ workers: {change}"),
            Self::BuffersSet(change) => write!(f, "~ buffers: {change}"),
            Self::DpdkSet(change) => write!(f, "~ dpdk: {change}"),
            Self::ApiSet(change) => write!(f, "~ api: {change}"),
            Self::VrfAdd(name) => write!(f, "+ vrf {name}"),
            Self::VrfRemove(name) => write!(f, "- vrf {name}"),
            Self::BridgeAdd { name, bridge } => write!(f, "+ bridge {name}{bridge}"),
            Self::BridgeSet { name, change } => f.write_str(&bridges::changed(name, change)),
            Self::BridgeRemove { name, .. } => write!(f, "- bridge {name}"),
            Self::InterfaceCreate { name, interface } => write!(f, "+ interface {name}: {interface}"),
            Self::InterfaceRemove { name, interface } => write!(f, "- interface {name}: {}", interface.driver),
            Self::InterfaceSet { name, setting } => write!(f, "~ interface {name}: {setting}"),
            Self::AddressAdd(address) => write!(f, "+ {address}"),
            Self::AddressRemove(address) => write!(f, "- {address}"),
            Self::RouteAdd { key, route } => write!(f, "+ route {} {route}{}", key.prefix, in_vrf(&key.vrf)),
            Self::RouteReplace { key, change } => write!(f, "~ route {}{}: {change}", key.prefix, in_vrf(&key.vrf)),
            Self::RouteRemove { key, route } => write!(f, "- route {} {route}{}", key.prefix, in_vrf(&key.vrf)),
            Self::NeighborAdd { key, mac } => write!(f, "+ neighbor {key} mac {mac}"),
            Self::NeighborReplace { key, change } => write!(f, "~ neighbor {key}: mac {change}"),
            Self::NeighborRemove { key, mac } => write!(f, "- neighbor {key} mac {mac}"),
            Self::Nat44Set(change) => write!(f, "{change}"),
            Self::PolicyRoutesSet(change) => f.write_str(&policy_routes::changed(change)),
            Self::MirrorsSet(change) => f.write_str(&mirrors::changed(change)),
            Self::LldpSet(change) => write!(f, "~ lldp: {change}"),
        }
    }
}

/// What of an interface differs from the default, beside its driver.
impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.driver)?;
        if self.mtu != self.driver.mtu() && !matches!(self.driver, Driver::Vlan(_)) {
            write!(f, " mtu {}", self.mtu)?;
        }
        if let Some(mac) = self.mac {
            write!(f, " mac {mac}")?;
        }
        if self.state == State::Down {
            write!(f, " down")?;
        }
        f.write_str(&in_vrf(&self.vrf))?;
        if self.urpf != Urpf::Off {
            write!(f, " urpf {}", self.urpf)?;
        }
        if self.mss_clamp != MssClamp::Off {
            write!(f, " mss-clamp {}", self.mss_clamp)?;
        }
        self.router_advertisements.iter().try_for_each(|told| write!(f, " router-advertisements {told}"))
    }
}

/// ` vrf NAME`, or nothing for the default VRF.
pub(crate) fn in_vrf(vrf: &Name) -> String {
    if *vrf == DEFAULT_VRF { String::new() } else { format!(" vrf {vrf}") }
}
