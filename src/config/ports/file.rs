//! How a port stands in a file: keys of its interface. `off` stands for what is meant without a key.

use super::{Member, StormControl, TagRewrite, Tagging, Trunk, UnknownUnicast, Vlans};
use crate::{
    decode::{Fields, Scalar, Unreadable, number},
    diagnostic::Reader,
    name::Name,
    vlan::Vlan,
    yaml::{Node, Value},
};
use std::ops::RangeInclusive;

/// The keys of a port.
pub(crate) const KEYS: &[&str] = &[
    "bridge",
    "learn",
    "flood",
    "unknown-unicast",
    "isolated",
    "split-horizon-group",
    "mac-limit",
    "storm-control",
    "vlan",
    "trunk",
    "tag-rewrite",
];

/// The VLAN identifiers.
const VLANS: RangeInclusive<u16> = Vlan::MIN..=Vlan::MAX;

impl Member {
    /// What an interface says of itself as a port; none: it is none.
    pub(crate) fn decode(fields: &mut Fields<'_>, is_sub_interface: bool, reader: &mut Reader) -> Option<Self> {
        let bridge = fields.read("bridge", reader, |text| off_or(text, Name::read));
        // A name that can't be read was told already.
        let is_port = fields.has("bridge") && bridge.is_none();
        let Some(bridge) = bridge.flatten() else {
            for key in KEYS[1..].iter().filter(|key| fields.has(key)).collect::<Vec<_>>() {
                let _ = fields.entry(key);
                if !is_port {
                    let message = format!("{}: only a port of a bridge has it", fields.name(key));
                    reader.error(fields.at(key), message, format!("expected `bridge: NAME` beside it, or no `{key}`"));
                }
            }
            return None;
        };
        let mut port = Self::new(bridge, is_sub_interface);
        port.learn = fields.scalar("learn", reader).unwrap_or(port.learn);
        port.flood = fields.scalar("flood", reader).unwrap_or(port.flood);
        port.unknown_unicast = fields.scalar("unknown-unicast", reader).unwrap_or(port.unknown_unicast);
        port.isolated = fields.scalar("isolated", reader).unwrap_or(port.isolated);
        port.split_horizon_group = fields.number("split-horizon-group", 0..=u8::MAX, reader).unwrap_or(0);
        let limits = 1..=Self::MAX_MAC_LIMIT;
        port.mac_limit = fields.read("mac-limit", reader, |text| off_or(text, |text| number(text, &limits))).flatten();
        if let Some(entry) = fields.entry("storm-control") {
            port.storm_control = StormControl::decode(&entry.value, &fields.name("storm-control"), reader);
        }
        port.tagging = Tagging::decode(fields, is_sub_interface, reader);
        Some(port)
    }

    /// Its keys, onto those of its interface.
    pub(crate) fn encode(&self, node: Node, is_sub_interface: bool) -> Node {
        let default = Self::new(self.bridge.clone(), is_sub_interface);
        let mut node = node
            .with("bridge", Node::text(&self.bridge))
            .with_unless(&default.learn, "learn", &self.learn)
            .with_unless(&default.flood, "flood", &self.flood)
            .with_unless(&UnknownUnicast::Flood, "unknown-unicast", &self.unknown_unicast)
            .with_unless(&default.isolated, "isolated", &self.isolated)
            .with_unless(&0, "split-horizon-group", &self.split_horizon_group);
        if let Some(limit) = self.mac_limit {
            node = node.with("mac-limit", Node::text(limit));
        }
        if self.storm_control != StormControl::default() {
            let limits = self.storm_control.limits().into_iter();
            let limits = limits.filter_map(|(key, limit)| Some((key, limit?)));
            let limits = limits.fold(Node::map(), |node, (key, limit)| node.with(key, Node::text(limit)));
            node = node.with("storm-control", limits);
        }
        if self.tagging == default.tagging { node } else { self.tagging.encode(node) }
    }
}

impl StormControl {
    fn decode(node: &Node, what: &str, reader: &mut Reader) -> Self {
        if is_off(node) {
            return Self::default();
        }
        let Some(mut fields) = Fields::open(node, what, "storm-control", reader) else { return Self::default() };
        let mut limit = |key| {
            let limit = fields.read(key, reader, |text| off_or(text, |text| number(text, &(1..=u32::MAX))));
            limit.flatten()
        };
        let (broadcast, multicast, unknown) = (limit("broadcast"), limit("multicast"), limit("unknown"));
        fields.close(reader);
        Self { broadcast, multicast, unknown }
    }
}

impl Tagging {
    fn decode(fields: &mut Fields<'_>, is_sub_interface: bool, reader: &mut Reader) -> Self {
        let vlan = fields.read("vlan", reader, |text| off_or(text, |text| number(text, &VLANS))).flatten();
        let trunk = fields.entry("trunk").filter(|entry| !is_off(&entry.value));
        let rewrite = fields.entry("tag-rewrite");
        let mut given = ["vlan", "trunk", "tag-rewrite"].into_iter().filter(|key| match *key {
            "vlan" => vlan.is_some(),
            "trunk" => trunk.is_some(),
            _ => rewrite.is_some(),
        });
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            let message = format!("{}: stands beside `{first}`", fields.name(second));
            reader.error(fields.at(second), message, "keep one of `vlan` (access), `trunk` and `tag-rewrite`");
            return Self::for_port(is_sub_interface);
        }
        let decoded = match (vlan, trunk, rewrite) {
            (Some(vlan), ..) => Some(Self::Access(vlan)),
            (_, Some(trunk), _) => Trunk::decode(&trunk.value, &fields.name("trunk"), reader).map(Self::Trunk),
            (.., Some(rewrite)) if is_sub_interface => {
                TagRewrite::decode(&rewrite.value, &fields.name("tag-rewrite"), reader).map(Self::Rewrite)
            }
            (.., Some(_)) => {
                let message = format!("{}: only a sub-interface has tags of its own", fields.name("tag-rewrite"));
                let hint = "expected `vlan` or `trunk`, or the key at a sub-interface";
                reader.error(fields.at("tag-rewrite"), message, hint);
                None
            }
            _ => None,
        };
        decoded.unwrap_or_else(|| Self::for_port(is_sub_interface))
    }

    fn encode(&self, node: Node) -> Node {
        match self {
            Self::Plain => node,
            Self::Access(vlan) => node.with("vlan", Node::text(vlan)),
            Self::Trunk(trunk) => node.with("trunk", trunk.encode()),
            Self::Rewrite(rewrite) => node.with("tag-rewrite", rewrite.encode()),
        }
    }
}

impl Trunk {
    /// A mapping, or the VLANs alone.
    fn decode(node: &Node, what: &str, reader: &mut Reader) -> Option<Self> {
        if let Value::Text(text) = &node.value {
            let read = Vlans::read(text).map(|vlans| Self { vlans, native: None });
            let refused = |wanted: &Unreadable| {
                reader.error(node.at, format!("{what}: cannot take \"{text}\""), wanted.to_string());
            };
            return read.inspect_err(refused).ok();
        }
        let mut fields = Fields::open(node, what, "trunk", reader)?;
        // In `{vlans: 10,20-30}`, YAML takes the comma for the end of the value.
        let split = node.entries().iter().find(|entry| Vlans::read(&entry.key).is_ok());
        if let Some(entry) = split {
            let message = format!("{what}: vlans: \"{}\" stands apart", entry.key);
            reader.error(
                entry.key_at,
                message,
                "write several VLANs in quotes, \"10,20-30\", or as a list, [10, 20-30]",
            );
            return None;
        }
        if !fields.has("vlans") {
            let message = format!("{} is missing", fields.name("vlans"));
            reader.error(fields.at("vlans"), message, format!("expected {}", Vlans::WANTED));
        }
        let sets = fields.list("vlans", reader, Vlans::read);
        let native = fields.read("native", reader, |text| off_or(text, |text| number(text, &VLANS))).flatten();
        let (at, none) =
            (fields.at("vlans"), fields.entry("vlans").is_some_and(|entry| entry.value.items().is_empty()));
        fields.close(reader);
        if none {
            reader.error(at, format!("{what}: vlans: found none"), format!("expected {}", Vlans::WANTED));
        }
        let vlans = Vlans::union(sets?.into_iter().map(|(set, _)| set));
        Some(Self { vlans, native })
    }

    fn encode(&self) -> Node {
        let node = Node::map().with("vlans", Node::text(&self.vlans));
        self.native.map_or(node.clone(), |native| node.with("native", Node::text(native)))
    }
}

impl TagRewrite {
    const WANTED: &'static str = "pop, keep, {push: VLAN} or {translate: VLAN}";

    fn decode(node: &Node, what: &str, reader: &mut Reader) -> Option<Self> {
        if let Value::Text(text) = &node.value {
            return match text.as_str() {
                "pop" => Some(Self::Pop),
                "keep" => Some(Self::Keep),
                _ => {
                    let message = format!("{what}: cannot take \"{text}\"");
                    reader.error(node.at, message, format!("expected {}", Self::WANTED));
                    None
                }
            };
        }
        let mut fields = Fields::open(node, what, "tag-rewrite", reader)?;
        let push = fields.number("push", VLANS, reader);
        let translate = fields.number("translate", VLANS, reader);
        let (at, count) = (fields.at(""), ["push", "translate"].into_iter().filter(|key| fields.has(key)).count());
        fields.close(reader);
        if count != 1 {
            let found = if count == 0 { "nothing" } else { "both" };
            reader.error(at, format!("{what}: found {found}"), format!("expected {}", Self::WANTED));
            return None;
        }
        push.map(Self::Push).or_else(|| translate.map(Self::Translate))
    }

    fn encode(self) -> Node {
        match self {
            Self::Pop => Node::text("pop"),
            Self::Keep => Node::text("keep"),
            Self::Push(vlan) => Node::map().with("push", Node::text(vlan)),
            Self::Translate(vlan) => Node::map().with("translate", Node::text(vlan)),
        }
    }
}

/// Reads a value for which `off` stands when there is none.
pub(crate) fn off_or<T>(text: &str, read: impl Fn(&str) -> Result<T, Unreadable>) -> Result<Option<T>, Unreadable> {
    if text == "off" { Ok(None) } else { read(text).map(Some) }
}

fn is_off(node: &Node) -> bool {
    matches!(&node.value, Value::Text(text) if text == "off")
}
