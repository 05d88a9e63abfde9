//! How interfaces stand in a file.

use super::{Interface, State};
use crate::{
    Config, cross_connect,
    decode::{Fields, Scalar, Unreadable},
    diagnostic::{Position, Reader, Spot},
    driver::Driver,
    later,
    mss_clamp::MssClamp,
    name::Name,
    ports::Member,
    router_advertisements::RouterAdvertisements,
    urpf::Urpf,
    vlan::Vlan,
    yaml::{Entry, Node, Value},
};
use ipnet::IpNet;
use std::collections::{
    BTreeMap, BTreeSet,
    btree_map::Entry::{Occupied, Vacant},
};

/// Keys of an interface that rules are about which concern more than one value.
const PLACES: &[&str] = &[
    "mac",
    "mtu",
    "vrf",
    "device",
    "write",
    "socket",
    "id",
    "role",
    "zero-copy",
    "cross-connect",
    "bridge",
    "vlan",
    "trunk",
    "tag-rewrite",
    "tag-type",
    "vni",
    "local",
    "remote",
    "remotes",
    "learn-remotes",
    "key",
    "underlay-vrf",
    "members",
    "primary",
    "min-links",
    "router-advertisements",
];

/// An interface of a file, with its name and place.
type Placed = (Name, Interface, Position);

/// The `interfaces` of a file. An interface of which something could not be read is there with what could, and in the set.
pub(crate) fn decode(node: &Node, config: &mut Config, partial: &mut BTreeSet<Name>, reader: &mut Reader) {
    if Fields::open(node, "interfaces", "interfaces", reader).is_none() {
        return;
    }
    let Value::Map(entries) = &node.value else { return };
    for entry in entries {
        let Ok(name) = Name::new(&entry.key) else {
            let message = format!("interfaces: cannot take \"{}\"", entry.key);
            reader.error(entry.key_at, message, format!("expected {}", Name::WANTED));
            continue;
        };
        let errors = reader.count();
        reader.place(Spot::new("interfaces", &name), entry.key_at);
        let all = Interface::decode(&name, &entry.value, reader);
        insert(all, reader.count() > errors, config, partial, reader);
    }
}

/// Takes over interfaces, each of which must have a name of its own.
pub(crate) fn insert(
    all: Vec<Placed>,
    some_unreadable: bool,
    config: &mut Config,
    partial: &mut BTreeSet<Name>,
    reader: &mut Reader,
) {
    for (name, interface, at) in all {
        if some_unreadable {
            partial.insert(name.clone());
        }
        let is_bvi = interface.driver == Driver::Bvi;
        match config.interfaces.entry(name) {
            Vacant(place) => drop(place.insert(interface)),
            Occupied(other) => {
                let hint = if is_bvi {
                    "a bridge's own interface is called as the bridge: rename the bridge or the other interface"
                } else {
                    "a sub-interface is called `parent.vlan`: rename the other interface of that name"
                };
                reader.error(at, format!("interface {}: stands here twice", other.key()), hint);
                partial.insert(other.key().clone());
            }
        }
    }
}

impl Interface {
    /// An interface and its sub-interfaces, each with its name and place.
    pub(crate) fn decode(name: &Name, node: &Node, reader: &mut Reader) -> Vec<Placed> {
        let Some(mut fields) = Fields::open(node, format_args!("interface {name}"), later::INTERFACE, reader) else {
            return vec![(name.clone(), Self::new(Driver::Loopback), node.at)];
        };
        let mut interface = Self::new(Driver::decode(name, &mut fields, reader).unwrap_or(Driver::Loopback));
        interface.mac = fields.scalar("mac", reader);
        interface.cross_connect = fields.read("cross-connect", reader, cross_connect::read).flatten();
        interface.bridge = Member::decode(&mut fields, false, reader);
        interface.decode_rest(name, fields, node.at, reader)
    }

    /// A bridge's own interface and its sub-interfaces: what stands under `bvi`, `on` for one without keys. None: `off`.
    pub(crate) fn decode_bvi(name: &Name, node: &Node, reader: &mut Reader) -> Vec<Placed> {
        let interface = Self::new(Driver::Bvi);
        match &node.value {
            Value::Text(text) if text == "off" => return Vec::new(),
            Value::Text(text) if text == "on" => return vec![(name.clone(), interface, node.at)],
            _ => {}
        }
        let what = format_args!("bridge {name}: bvi");
        match Fields::open(node, what, "a bridge's interface", reader) {
            Some(mut fields) => {
                let mac = fields.scalar("mac", reader);
                Self { mac, ..interface }.decode_rest(name, fields, node.at, reader)
            }
            None => Vec::new(),
        }
    }

    /// The keys of interfaces that are no sub-interfaces, and the sub-interfaces.
    fn decode_rest(mut self, name: &Name, mut fields: Fields<'_>, at: Position, reader: &mut Reader) -> Vec<Placed> {
        self.decode_common(name, &mut fields, reader);
        let subs = fields.entry("sub-interfaces");
        fields.close(reader);
        let mtu = self.mtu;
        let mut all = vec![(name.clone(), self, at)];
        if let Some(subs) = subs
            && Fields::open(&subs.value, format_args!("interface {name}: sub-interfaces"), "sub-interfaces", reader)
                .is_some()
            && let Value::Map(entries) = &subs.value.value
        {
            for entry in entries {
                let sub = Self::decode_sub(name, mtu, entry, reader);
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
        let (outer, inner) = Vlan::read_key(&entry.key).map_err(|e| wanted(e, reader)).ok()?;
        let mut vlan = Vlan { parent: parent.clone(), outer, inner, tag_type: Vlan::tag_type_for(inner) };
        let name = Name::new(&format!("{parent}.{}", vlan.key())).map_err(|e| wanted(e, reader)).ok()?;
        reader.place(Spot::new("interfaces", &name), entry.key_at);
        let Some(mut fields) = Fields::open(&entry.value, format_args!("interface {name}"), later::INTERFACE, reader)
        else {
            return Some((name, Self { mtu, ..Self::new(Driver::Vlan(vlan)) }));
        };
        vlan.tag_type = fields.scalar("tag-type", reader).unwrap_or(vlan.tag_type);
        let mut interface = Self { mtu, ..Self::new(Driver::Vlan(vlan)) };
        interface.bridge = Member::decode(&mut fields, true, reader);
        interface.decode_common(&name, &mut fields, reader);
        fields.close(reader);
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
        for key in PLACES {
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

    /// As it stands in a file, with its sub-interfaces.
    pub(crate) fn encode(&self, name: &Name, config: &Config) -> Node {
        let mut node = self.driver.encode(Node::map());
        if let Some(port) = &self.bridge {
            node = port.encode(node, self.parent().is_some());
        }
        node = node.with_unless(&self.natural_mtu(config), "mtu", &self.mtu);
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
            Driver::Vlan(vlan) => Some(((vlan.outer, vlan.inner), (vlan.key(), sub.encode(name, config)))),
            _ => None,
        });
        let subs = subs.collect::<BTreeMap<_, _>>().into_values();
        let subs = subs.fold(Node::map(), |node, (key, sub)| node.with(key, sub));
        if subs.is_empty() { node } else { node.with("sub-interfaces", subs) }
    }
}

/// The `interfaces` of a file: those of bridges stand there.
pub(crate) fn encode(config: &Config) -> Node {
    let alone = |interface: &Interface| interface.parent().is_none() && interface.driver != Driver::Bvi;
    let parents = config.interfaces.iter().filter(|(_, interface)| alone(interface));
    parents.fold(Node::map(), |node, (name, interface)| node.with(name, interface.encode(name, config)))
}
