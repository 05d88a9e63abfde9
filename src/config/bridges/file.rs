//! How bridges stand in a file.

use super::{Bridge, Station, StationKey};
use crate::{
    Config, Interface, Mac, Member, Name, Time, Vlan,
    decode::{Fields, Scalar, Unreadable},
    diagnostic::{Reader, Spot},
    interfaces,
    yaml::{Node, Value},
};
use std::collections::{BTreeSet, btree_map::Entry};

/// The `bridges` of a file, and their own interfaces.
pub(crate) fn decode(node: &Node, config: &mut Config, partial: &mut BTreeSet<Name>, reader: &mut Reader) {
    if Fields::open(node, "bridges", "bridges", reader).is_none() {
        return;
    }
    let Value::Map(entries) = &node.value else { return };
    for entry in entries {
        let Ok(name) = Name::new(&entry.key) else {
            let message = format!("bridges: cannot take \"{}\"", entry.key);
            reader.error(entry.key_at, message, format!("expected {}", Name::WANTED));
            continue;
        };
        reader.place(Spot::new("bridges", &name), entry.key_at);
        let Some((bridge, bvi)) = Bridge::decode(&name, &entry.value, reader) else { continue };
        if let Some(node) = bvi {
            reader.place(Spot::new("interfaces", &name), node.at);
            let errors = reader.count();
            let all = Interface::decode_bvi(&name, node, reader);
            interfaces::insert(all, reader.count() > errors, config, partial, reader);
        }
        config.bridges.insert(name, bridge);
    }
}

impl Bridge {
    /// A bridge, and what stands under `bvi`.
    pub(crate) fn decode<'n>(name: &Name, node: &'n Node, reader: &mut Reader) -> Option<(Self, Option<&'n Node>)> {
        let mut bridge = Self::default();
        let mut fields = Fields::open(node, format_args!("bridge {name}"), "a bridge", reader)?;
        bridge.mac_age = fields.read("mac-age", reader, age).unwrap_or(bridge.mac_age);
        let limit = fields.number("mac-limit", 1..=Member::MAX_MAC_LIMIT, reader);
        bridge.mac_limit = limit.unwrap_or(bridge.mac_limit);
        for (key, on) in [
            ("learn", &mut bridge.learn),
            ("forward", &mut bridge.forward),
            ("flood", &mut bridge.flood),
            ("arp-suppression", &mut bridge.arp_suppression),
            ("igmp-snooping", &mut bridge.igmp_snooping),
            ("mld-snooping", &mut bridge.mld_snooping),
        ] {
            *on = fields.scalar(key, reader).unwrap_or(*on);
        }
        bridge.unknown_unicast = fields.scalar("unknown-unicast", reader).unwrap_or(bridge.unknown_unicast);
        bridge.stp = fields.scalar("stp", reader).unwrap_or(bridge.stp);
        if let Some(entry) = fields.entry("static-macs") {
            for node in entry.value.items() {
                bridge.decode_station(name, node, &fields.name("static-macs"), reader);
            }
        }
        let bvi = fields.entry("bvi").map(|entry| &entry.value);
        fields.close(reader);
        Some((bridge, bvi))
    }

    fn decode_station(&mut self, name: &Name, node: &Node, what: &str, reader: &mut Reader) {
        let Some(mut fields) = Fields::open(node, what, "a static mac", reader) else { return };
        let mac: Option<Mac> = fields.required("mac", reader);
        if let Some(mac) = mac {
            fields.rename(format_args!("{what}: {mac}"));
        }
        let interface = fields.required("interface", reader);
        let vlan = fields.number("vlan", Vlan::MIN..=Vlan::MAX, reader);
        let remote = fields.scalar("remote", reader);
        let bad_vlan = fields.has("vlan") && vlan.is_none();
        let place = |key: &'static str, fields: &Fields<'_>| fields.at(key);
        let places = ["mac", "interface", "vlan", "remote"].map(|key| (key, place(key, &fields)));
        let what = fields.what().to_owned();
        fields.close(reader);
        let (Some(mac), Some(interface), false) = (mac, interface, bad_vlan) else { return };
        let key = StationKey { vlan, mac };
        match self.static_macs.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Station { interface, remote });
                reader.place(spot(name, &key), node.at);
                for (part, at) in places {
                    reader.place(spot_of(name, &key, part), at);
                }
            }
            Entry::Occupied(_) => reader.error(node.at, format!("{what}: stands here twice"), "keep one of them"),
        }
    }

    /// As it stands in a file, without `bvi`.
    pub(crate) fn encode(&self) -> Node {
        let default = Self::default();
        let node = Node::map()
            .with_unless(&default.mac_age, "mac-age", &self.mac_age)
            .with_unless(&default.mac_limit, "mac-limit", &self.mac_limit)
            .with_unless(&default.learn, "learn", &self.learn)
            .with_unless(&default.forward, "forward", &self.forward)
            .with_unless(&default.flood, "flood", &self.flood)
            .with_unless(&default.unknown_unicast, "unknown-unicast", &self.unknown_unicast)
            .with_unless(&default.stp, "stp", &self.stp)
            .with_unless(&default.arp_suppression, "arp-suppression", &self.arp_suppression)
            .with_unless(&default.igmp_snooping, "igmp-snooping", &self.igmp_snooping)
            .with_unless(&default.mld_snooping, "mld-snooping", &self.mld_snooping);
        if self.static_macs.is_empty() {
            return node;
        }
        let stations = self.static_macs.iter().map(|(key, station)| {
            let mut node =
                Node::map().with("mac", Node::text(key.mac)).with("interface", Node::text(&station.interface));
            if let Some(vlan) = key.vlan {
                node = node.with("vlan", Node::text(vlan));
            }
            station.remote.map_or(node.clone(), |remote| node.with("remote", Node::text(remote)))
        });
        node.with("static-macs", Node::list(stations))
    }
}

/// The `bridges` of a file, with their own interfaces.
pub(crate) fn encode(config: &Config) -> Node {
    config.bridges.iter().fold(Node::map(), |node, (name, bridge)| {
        let bvi = config.interfaces.get(name).map(|interface| interface.encode(name, config));
        let bridge = bridge.encode();
        node.with(name, bvi.map_or(bridge.clone(), |bvi| bridge.with("bvi", bvi)))
    })
}

/// Where a static station stands.
pub(super) fn spot(bridge: &Name, key: &StationKey) -> Spot {
    Spot::new("bridges", bridge).key("static-macs").value(key)
}

/// Where a part of it stands.
pub(super) fn spot_of(bridge: &Name, key: &StationKey, part: &'static str) -> Spot {
    Spot::new("bridges", bridge).key("static-macs").value(format_args!("{key} {part}"))
}

fn age(text: &str) -> Result<Time, Unreadable> {
    let age = Time::read(text).ok();
    age.filter(|age| *age == Time::ZERO || Bridge::MAC_AGES.contains(age)).ok_or_else(|| {
        let (first, last) = (Bridge::MAC_AGES.start(), Bridge::MAC_AGES.end().0.as_secs());
        Unreadable::wanted(format_args!("a time from {first} to {last}s, or 0s: stations are never forgotten"))
    })
}
