//! `interfaces`: what packets come in by and leave by. Sub-interfaces stand in the same map, as `parent.vlan`.

use crate::{
    Config, cross_connect,
    decode::{Fields, Scalar, Unreadable, number, suggestion},
    diagnostic::{Position, Reader, Spot},
    driver::{Driver, Resource},
    generator::Flow,
    keyword::keywords,
    later,
    mac::Mac,
    mss_clamp::{self, MssClamp},
    name::Name,
    ports::Member,
    router_advertisements::{self, RouterAdvertisements},
    urpf::Urpf,
    validate::Check,
    vlan::Vlan,
    yaml::{Entry, Node, Value},
};
use ipnet::IpNet;
use std::{
    collections::{
        BTreeMap, BTreeSet, HashMap,
        btree_map::Entry::{Occupied, Vacant},
    },
    path::Path,
};

/// One interface; its name is its key in [`Config::interfaces`](crate::Config::interfaces).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// What moves its packets, with the driver's own keys.
    pub driver: Driver,
    /// The largest IP packet it carries, in bytes; [`Interface::MTU_MIN`] to [`Interface::MTU_MAX`].
    /// Default 1500; a sub-interface has its parent's, and never more.
    pub mtu: u16,
    /// Its Ethernet address; none: the device's own. Always none on a sub-interface, which has its parent's.
    pub mac: Option<Mac>,
    /// Whether the operator wants it up.
    pub state: State,
    /// The VRF it belongs to.
    pub vrf: Name,
    /// Its addresses with the length of their subnet, in the operator's order. The first of each family is its primary address:
    /// the source of what the router sends by itself. At most one is link-local; without one, it makes its own.
    pub addresses: Vec<IpNet>,
    /// What it tells the hosts on its link by router advertisements; none: nothing, and it is no IPv6 router to them.
    pub router_advertisements: Option<RouterAdvertisements>,
    /// From which sources it takes packets.
    pub urpf: Urpf,
    /// The largest segment size of TCP connections through it.
    pub mss_clamp: MssClamp,
    /// The interface that everything it receives leaves by, untouched; none: packets are routed.
    pub cross_connect: Option<Name>,
    /// The bridge that it is a port of, and how; none: packets are routed.
    pub bridge: Option<Member>,
}

keywords! {
    /// Whether the operator wants an interface to carry packets.
    State, "up or down" {
        /// It carries packets (default).
        Up = "up",
        /// It is switched off.
        Down = "down",
    }
}

impl Interface {
    /// The smallest MTU: every IPv4 module must forward a datagram of 68 bytes (RFC 791 clause 3.2).
    pub const MTU_MIN: u16 = 68;
    /// The smallest MTU with IPv6 (RFC 8200 clause 5).
    pub const MTU_MIN_IPV6: u16 = 1280;
    /// The largest MTU.
    pub const MTU_MAX: u16 = 9216;
    /// The MTU of an interface that has none in the configuration.
    pub const MTU_DEFAULT: u16 = 1500;

    /// An interface with this driver and nothing else set.
    pub fn new(driver: Driver) -> Self {
        Self {
            driver,
            mtu: Self::MTU_DEFAULT,
            mac: None,
            state: State::Up,
            vrf: Name::default_vrf(),
            addresses: Vec::new(),
            router_advertisements: None,
            urpf: Urpf::Off,
            mss_clamp: MssClamp::Off,
            cross_connect: None,
            bridge: None,
        }
    }

    /// The interface whose frames it takes its own from, if it is a sub-interface.
    pub fn parent(&self) -> Option<&Name> {
        match &self.driver {
            Driver::Vlan(vlan) => Some(&vlan.parent),
            _ => None,
        }
    }
}

/// Keys of an interface with a driver that rules are about which concern more than one value.
const PLACES: &[&str] = &["mac", "device", "write", "socket", "id", "role", "zero-copy", "cross-connect"];

/// The `interfaces` of a file. An interface of which something could not be read is there with what could, and in the set.
pub(crate) fn decode(node: &Node, config: &mut Config, reader: &mut Reader) -> BTreeSet<Name> {
    let mut partial = BTreeSet::new();
    if Fields::open(node, "interfaces", "interfaces", reader).is_none() {
        return partial;
    }
    let Value::Map(entries) = &node.value else { return partial };
    for entry in entries {
        let Ok(name) = Name::new(&entry.key) else {
            let message = format!("interfaces: cannot take \"{}\"", entry.key);
            reader.error(entry.key_at, message, format!("expected {}", Name::WANTED));
            continue;
        };
        let errors = reader.count();
        reader.place(Spot::new("interfaces", &name), entry.key_at);
        let subs = Interface::decode(&name, &entry.value, reader);
        for (name, interface, at) in subs {
            if reader.count() > errors {
                partial.insert(name.clone());
            }
            match config.interfaces.entry(name) {
                Vacant(place) => drop(place.insert(interface)),
                Occupied(other) => {
                    let message = format!("interface {}: stands here twice", other.key());
                    reader.error(
                        at,
                        message,
                        "a sub-interface is called `parent.vlan`: rename the other interface of that name",
                    );
                }
            }
        }
    }
    partial
}

impl Interface {
    /// An interface and its sub-interfaces, each with its name and place.
    pub(crate) fn decode(name: &Name, node: &Node, reader: &mut Reader) -> Vec<(Name, Self, Position)> {
        let mut interface = Self::new(Driver::Loopback);
        let Some(mut fields) = Fields::open(node, format_args!("interface {name}"), later::INTERFACE, reader) else {
            return vec![(name.clone(), interface, node.at)];
        };
        if let Some(driver) = Driver::decode(name, &mut fields, reader) {
            interface.driver = driver;
        }
        interface.mac = fields.scalar("mac", reader);
        interface.cross_connect = fields.read("cross-connect", reader, cross_connect::read).flatten();
        for key in PLACES {
            if fields.has(key) {
                reader.place(Spot::new("interfaces", name).key(key), fields.at(key));
            }
        }
        interface.decode_common(name, &mut fields, reader);
        let subs = fields.entry("sub-interfaces");
        fields.close(reader);
        let mut all = vec![(name.clone(), interface, node.at)];
        if let Some(subs) = subs
            && Fields::open(&subs.value, format_args!("interface {name}: sub-interfaces"), "sub-interfaces", reader)
                .is_some()
            && let Value::Map(entries) = &subs.value.value
        {
            for entry in entries {
                let sub = Self::decode_sub(name, all[0].1.mtu, entry, reader);
                all.extend(sub.map(|(name, sub)| (name, sub, entry.key_at)));
            }
        }
        all
    }

    pub(crate) fn decode_sub(parent: &Name, mtu: u16, entry: &Entry, reader: &mut Reader) -> Option<(Name, Self)> {
        let wanted = |wanted: Unreadable, reader: &mut Reader| {
            let message = format!("interface {parent}: sub-interfaces: cannot take \"{}\"", entry.key);
            reader.error(entry.key_at, message, wanted.to_string());
        };
        let vlan = number(&entry.key, &(Vlan::MIN..=Vlan::MAX)).map_err(|e| wanted(e, reader)).ok()?;
        let name = Name::new(&format!("{parent}.{vlan}")).map_err(|e| wanted(e, reader)).ok()?;
        let driver =
            Driver::Vlan(Vlan { parent: parent.clone(), outer: vlan, inner: None, tag_type: Vlan::tag_type_for(None) });
        let mut interface = Self { mtu, ..Self::new(driver) };
        reader.place(Spot::new("interfaces", &name), entry.key_at);
        if let Some(mut fields) = Fields::open(&entry.value, format_args!("interface {name}"), later::INTERFACE, reader)
        {
            interface.decode_common(&name, &mut fields, reader);
            fields.close(reader);
        }
        Some((name, interface))
    }

    /// The keys that interfaces and sub-interfaces have in common.
    fn decode_common(&mut self, name: &Name, fields: &mut Fields<'_>, reader: &mut Reader) {
        self.mtu = fields.number("mtu", Self::MTU_MIN..=Self::MTU_MAX, reader).unwrap_or(self.mtu);
        self.state = fields.scalar("state", reader).unwrap_or(self.state);
        if let Some(vrf) = fields.scalar("vrf", reader) {
            self.vrf = vrf;
        }
        self.urpf = fields.scalar("urpf", reader).unwrap_or(self.urpf);
        self.mss_clamp = fields.scalar("mss-clamp", reader).unwrap_or(self.mss_clamp);
        for key in ["mtu", "vrf"] {
            if fields.has(key) {
                reader.place(Spot::new("interfaces", name).key(key), fields.at(key));
            }
        }
        for (i, (address, at)) in
            fields.list("addresses", reader, IpNet::read).unwrap_or_default().into_iter().enumerate()
        {
            reader.place(Spot::new("interfaces", name).key("addresses").value(i), at);
            self.addresses.push(address);
        }
        fields.section("router-advertisements", |node| {
            self.router_advertisements = RouterAdvertisements::decode(name, node, reader);
        });
    }

    fn encode(&self, name: &Name, config: &Config) -> Node {
        let natural_mtu =
            self.parent().and_then(|p| config.interfaces.get(p)).map_or(Self::MTU_DEFAULT, |parent| parent.mtu);
        let mut node = self.driver.encode(Node::map()).with_unless(&natural_mtu, "mtu", &self.mtu);
        if let Some(mac) = self.mac {
            node = node.with("mac", Node::text(mac));
        }
        node = node.with_unless(&State::Up, "state", &self.state).with_unless(&Name::default_vrf(), "vrf", &self.vrf);
        if !self.addresses.is_empty() {
            node = node.with("addresses", Node::list(self.addresses.iter().map(Node::text)));
        }
        if let Some(told) = &self.router_advertisements {
            node = node.with("router-advertisements", told.encode());
        }
        node = node.with_unless(&Urpf::Off, "urpf", &self.urpf);
        node = node.with_unless(&MssClamp::Off, "mss-clamp", &self.mss_clamp);
        if let Some(target) = &self.cross_connect {
            node = node.with("cross-connect", Node::text(target));
        }
        let subs = config.sub_interfaces(name).filter_map(|(name, sub)| match &sub.driver {
            Driver::Vlan(vlan) => Some((vlan.outer, sub.encode(name, config))),
            _ => None,
        });
        let subs = subs.collect::<BTreeMap<_, _>>().into_iter().fold(Node::map(), |node, (id, sub)| node.with(id, sub));
        if subs.is_empty() { node } else { node.with("sub-interfaces", subs) }
    }
}

/// The `interfaces` of a file.
pub(crate) fn encode(config: &Config) -> Node {
    let parents = config.interfaces.iter().filter(|(_, interface)| interface.parent().is_none());
    parents.fold(Node::map(), |node, (name, interface)| node.with(name, interface.encode(name, config)))
}

pub(crate) fn check(check: &mut Check<'_>) {
    let config = check.config;
    let mut users: HashMap<(&str, &Path), (&Name, Resource)> = HashMap::new();
    for (name, interface) in &config.interfaces {
        let spot = |key| Spot::new("interfaces", name).key(key);
        let what = format!("interface {name}");
        if !(Interface::MTU_MIN..=Interface::MTU_MAX).contains(&interface.mtu) {
            let hint = format!("expected {} to {}", Interface::MTU_MIN, Interface::MTU_MAX);
            check.problem(spot("mtu"), format!("{what}: mtu: {} is out of range", interface.mtu), hint);
        }
        if let Some(mac) = interface.mac.filter(|mac| !mac.is_unicast()) {
            let hint = "expected one of a single station: the first byte even, not all zeroes";
            check.problem(spot("mac"), format!("{what}: mac: {mac} is no interface's address"), hint);
        }
        check.vrf(spot("vrf"), &what, &interface.vrf);
        mss_clamp::check(check, name, interface.mss_clamp);
        router_advertisements::check(check, name, interface);
        if let Some(parent) = interface.parent() {
            check_sub(check, name, interface, parent);
        }
        cross_connect::check(check, name, interface);
        if let Some((resource, path)) = interface.driver.resource() {
            let (key, called) = resource.words();
            match users.insert((key, path), (name, resource)) {
                Some((other, theirs)) if !(theirs == resource && resource == Resource::MemifSocket) => {
                    let message = format!("{what}: {called} {} is interface {other}'s already", path.display());
                    check.problem(spot(key), message, "expected one of its own for each interface");
                }
                _ if key == "socket" && path == config.api.socket => {
                    let message = format!("{what}: socket {} is that of the API", path.display());
                    check.problem(spot(key), message, "expected another one");
                }
                _ => {}
            }
        }
        if let Driver::Generator(generator) = &interface.driver
            && !check.partial.contains(name)
        {
            for (i, stream) in generator.streams.iter().enumerate() {
                if let Some(largest) = stream.mtu_needed().filter(|needed| *needed > interface.mtu) {
                    let message = format!("{what}: streams: stream {}: its packets are up to {largest} bytes", i + 1);
                    let hint = format!("expected frames that fit the mtu of {}, or a larger `mtu`", interface.mtu);
                    check.problem(spot("streams").value(i), message, hint);
                }
                if let Some(all) = stream.too_many_to_shuffle() {
                    let message = format!("{what}: streams: stream {}: {all} combinations to shuffle", i + 1);
                    let hint = format!("expected at most {}, or order: random", Flow::SHUFFLED_MAX);
                    check.problem(spot("streams").value(i), message, hint);
                }
            }
        }
    }
}

fn check_sub(check: &mut Check<'_>, name: &Name, interface: &Interface, parent: &Name) {
    let spot = || Spot::new("interfaces", name);
    if interface.mac.is_some() {
        check.problem(
            spot(),
            format!("interface {name}: mac: a sub-interface has its parent's"),
            format!("set it on {parent}"),
        );
    }
    match check.config.interfaces.get(parent) {
        None => {
            let known: Vec<&str> = check.config.interfaces.keys().map(Name::as_str).collect();
            check.problem(spot(), format!("interface {name}: no interface \"{parent}\""), suggestion(parent, &known));
        }
        Some(other) if other.parent().is_some() => {
            let message = format!("interface {name}: {parent} is a sub-interface itself");
            check.problem(
                spot(),
                message,
                "one 802.1Q tag is supported: expected a sub-interface of an interface with a driver",
            );
        }
        Some(other) if interface.mtu > other.mtu => {
            let message = format!("interface {name}: mtu: {} is more than that of {parent}", interface.mtu);
            check.problem(spot().key("mtu"), message, format!("expected at most {}", other.mtu));
        }
        Some(_) => {}
    }
}
