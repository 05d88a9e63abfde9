//! How router advertisements stand in a file, and read in a plan.

use super::{AdvertisedPrefix, DomainName, RouterAdvertisements, spot};
use crate::{
    Interface, Name, Time,
    decode::{Fields, Scalar, Unreadable, number},
    diagnostic::Reader,
    yaml::{self, Node, Value},
};
use ipnet::Ipv6Net;
use std::{fmt, net::Ipv6Addr, ops::RangeInclusive};

impl RouterAdvertisements {
    /// What stands at an interface's key: a mapping, or `on` for one without keys. None: `off`.
    pub(crate) fn decode(name: &Name, node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut told = Self::default();
        match &node.value {
            Value::Text(text) if text == "off" => return None,
            Value::Text(text) if text == "on" => return Some(told),
            _ => {}
        }
        let what = format!("interface {name}: router-advertisements");
        let mut fields = Fields::open(node, what, "router-advertisements", reader)?;
        reader.place(spot(name), node.at);
        let zero_to = |most| Time::ZERO..=most;
        put(&mut told.interval, fields.read("interval", reader, |text| time(text, &Self::INTERVALS)));
        told.lifetime = Self::lifetime_for(told.interval);
        put(&mut told.lifetime, fields.read("lifetime", reader, whole_seconds));
        put(&mut told.managed, fields.scalar("managed", reader));
        put(&mut told.other_config, fields.scalar("other-config", reader));
        put(&mut told.mtu, fields.read("mtu", reader, mtu));
        put(&mut told.hop_limit, fields.number("hop-limit", 0..=u8::MAX, reader));
        let reachable = zero_to(Self::MAX_REACHABLE_TIME);
        put(&mut told.reachable_time, fields.read("reachable-time", reader, |text| time(text, &reachable)));
        let retransmit = zero_to(Self::MAX_RETRANSMIT_TIMER);
        put(&mut told.retransmit_timer, fields.read("retransmit-timer", reader, |text| time(text, &retransmit)));
        put(&mut told.preference, fields.scalar("preference", reader));
        if let Some(entry) = fields.entry("prefixes") {
            let mut prefixes = Vec::new();
            for node in entry.value.items() {
                if let Some(prefix) = AdvertisedPrefix::decode(node, &fields.name("prefixes"), reader) {
                    reader.place(spot(name).value(format_args!("prefix {}", prefixes.len())), node.at);
                    prefixes.push(prefix);
                }
            }
            told.prefixes = Some(prefixes);
        }
        for (i, (server, at)) in fields.list("dns", reader, Ipv6Addr::read).unwrap_or_default().into_iter().enumerate()
        {
            reader.place(spot(name).value(format_args!("dns {i}")), at);
            told.dns.push(server);
        }
        let domains = fields.list("search", reader, DomainName::read).unwrap_or_default();
        for (i, (domain, at)) in domains.into_iter().enumerate() {
            reader.place(spot(name).value(format_args!("search {i}")), at);
            told.search.push(domain);
        }
        for key in ["lifetime", "mtu"] {
            reader.place(spot(name).value(key), fields.at(key));
        }
        fields.close(reader);
        Some(told)
    }

    /// As it stands in a file: what is not as by default.
    pub(crate) fn encode(&self) -> Node {
        let default = Self::default();
        let list = |node: Node, key: &str, items: Vec<Node>| {
            if items.is_empty() { node } else { node.with(key, Node::list(items)) }
        };
        let mut node = Node::map()
            .with_unless(&default.interval, "interval", &self.interval)
            .with_unless(&Self::lifetime_for(self.interval), "lifetime", &self.lifetime)
            .with_unless(&default.managed, "managed", &self.managed)
            .with_unless(&default.other_config, "other-config", &self.other_config);
        if let Some(mtu) = self.mtu {
            node = node.with("mtu", Node::text(mtu));
        }
        node = node
            .with_unless(&default.hop_limit, "hop-limit", &self.hop_limit)
            .with_unless(&default.reachable_time, "reachable-time", &self.reachable_time)
            .with_unless(&default.retransmit_timer, "retransmit-timer", &self.retransmit_timer)
            .with_unless(&default.preference, "preference", &self.preference);
        if let Some(prefixes) = &self.prefixes {
            node = node.with("prefixes", Node::list(prefixes.iter().map(AdvertisedPrefix::encode)));
        }
        node = list(node, "dns", self.dns.iter().map(Node::text).collect());
        list(node, "search", self.search.iter().map(Node::text).collect())
    }
}

impl AdvertisedPrefix {
    /// A mapping, or a prefix alone.
    fn decode(node: &Node, name: &str, reader: &mut Reader) -> Option<Self> {
        if let Value::Text(text) = &node.value {
            let refused = |wanted: Unreadable| {
                reader.error(node.at, format!("{name}: cannot take \"{text}\""), wanted.to_string())
            };
            return Ipv6Net::read(text).map_err(refused).ok().map(Self::new);
        }
        let mut fields = Fields::open(node, name, "a prefix", reader)?;
        let prefix = fields.required("prefix", reader);
        let mut told = Self::new(prefix.unwrap_or_default());
        put(&mut told.valid_lifetime, fields.scalar("valid-lifetime", reader));
        // Without one of its own, it is no longer than the valid one.
        told.preferred_lifetime = told.preferred_lifetime.min(told.valid_lifetime);
        put(&mut told.preferred_lifetime, fields.scalar("preferred-lifetime", reader));
        put(&mut told.on_link, fields.scalar("on-link", reader));
        put(&mut told.autonomous, fields.scalar("autonomous", reader));
        fields.close(reader);
        prefix.map(|_| told)
    }

    fn encode(&self) -> Node {
        let default = Self::new(self.prefix);
        let preferred = default.preferred_lifetime.min(self.valid_lifetime);
        let prefix = Node::text(self.prefix);
        if *self == default {
            return prefix;
        }
        Node::map()
            .with("prefix", prefix)
            .with_unless(&default.valid_lifetime, "valid-lifetime", &self.valid_lifetime)
            .with_unless(&preferred, "preferred-lifetime", &self.preferred_lifetime)
            .with_unless(&default.on_link, "on-link", &self.on_link)
            .with_unless(&default.autonomous, "autonomous", &self.autonomous)
    }
}

/// `on`, or the keys that are not as by default.
impl fmt::Display for RouterAdvertisements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.encode();
        if node.is_empty() { f.write_str("on") } else { f.write_str(&yaml::flow(&node)) }
    }
}

fn put<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn time(text: &str, range: &RangeInclusive<Time>) -> Result<Time, Unreadable> {
    let wanted = || Unreadable::wanted(format_args!("a time from {} to {}, with its unit", range.start(), range.end()));
    text.parse().ok().filter(|time| range.contains(time)).ok_or_else(wanted)
}

/// What the 16 bits of the lifetime can say; more is the rules' matter.
fn whole_seconds(text: &str) -> Result<Time, Unreadable> {
    let whole = text.parse().ok().filter(|time: &Time| time.0.subsec_nanos() == 0);
    whole.ok_or_else(|| Unreadable::wanted("a time of whole seconds, such as 1800s or 30m"))
}

fn mtu(text: &str) -> Result<Option<u16>, Unreadable> {
    if text == "off" {
        return Ok(None);
    }
    let (least, most) = (Interface::MTU_MIN_IPV6, Interface::MTU_MAX);
    let wanted = |_| Unreadable::wanted(format_args!("a number of bytes from {least} to {most}, or `off`"));
    number(text, &(least..=most)).map(Some).map_err(wanted)
}
