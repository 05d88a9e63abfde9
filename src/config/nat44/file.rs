//! How the `nat44` section is read from a file and written to one.

use super::{
    Affinity, Backend, Exempt, External, Mapping, MappingKey, Nat44, NatLog, NatProtocol, Pool, PoolItem, Timeouts,
};
use crate::{
    AddressRange, Name, Time,
    decode::{Fields, Scalar, Unreadable, number},
    diagnostic::{Position, Reader, Spot},
    yaml::{Node, Value},
};
use ipnet::Ipv4Net;
use std::{
    collections::{
        BTreeMap, BTreeSet,
        btree_map::Entry::{Occupied, Vacant},
    },
    fmt,
    net::{IpAddr, SocketAddr},
};

/// Where a rule finds a key of the section.
pub(super) fn spot(key: &'static str) -> Spot {
    Spot::new("nat44", "").key(key)
}

/// Where a rule finds a key of a static mapping.
pub(super) fn mapping_spot(key: &MappingKey) -> Spot {
    Spot::new("nat44", key)
}

impl Nat44 {
    /// Takes over what a file, or a command, says; the rest stays as it is.
    pub(crate) fn decode(&mut self, node: &Node, reader: &mut Reader) {
        let Some(mut fields) = Fields::open(node, "nat44", "nat44", reader) else { return };
        for key in ["inside", "outside"] {
            if let Some(names) = set(&mut fields, key, reader, Name::read) {
                *(if key == "inside" { &mut self.inside } else { &mut self.outside }) = names;
            }
        }
        if let Some(items) = set(&mut fields, "pool", reader, PoolItem::read) {
            self.pool = pool(items, &fields, reader);
        }
        replace(&mut self.filtering, fields.scalar("filtering", reader));
        fields.section("static-mappings", |node| self.mappings = mappings(node, reader));
        replace(&mut self.twice_nat_pool, set(&mut fields, "twice-nat-pool", reader, AddressRange::read));
        fields.section("exempt", |node| self.exempt = exempt(node, reader));
        replace(&mut self.mss_clamp, fields.read("mss-clamp", reader, mss_clamp));
        fields.section("timeouts", |node| self.timeouts.decode(node, reader));
        for key in ["max-sessions", "max-sessions-per-host"] {
            let limit = fields.number(key, 1..=Self::MAX_SESSIONS, reader);
            let target = if key == "max-sessions" { &mut self.max_sessions } else { &mut self.max_sessions_per_host };
            replace(target, limit);
        }
        fields.section("log", |node| self.log.decode(node, reader));
        fields.close(reader);
    }

    pub(crate) fn encode(&self) -> Node {
        let default = Self::default();
        let mut node = Node::map();
        let list = |node: Node, key: &str, items: Vec<Node>| {
            if items.is_empty() { node } else { node.with(key, Node::list(items)) }
        };
        node = list(node, "inside", texts(&self.inside));
        node = list(node, "outside", texts(&self.outside));
        if let Pool::Addresses(ranges) = &self.pool {
            node = node.with("pool", Node::list(texts(ranges)));
        }
        node = node.with_unless(&default.filtering, "filtering", &self.filtering);
        node = list(node, "static-mappings", self.mappings.iter().map(encode_mapping).collect());
        node = list(node, "twice-nat-pool", texts(&self.twice_nat_pool));
        node = list(node, "exempt", self.exempt.iter().map(Exempt::encode).collect());
        if let Some(mss) = self.mss_clamp {
            node = node.with("mss-clamp", Node::text(mss));
        }
        let timeouts = self.timeouts.encode();
        if !timeouts.is_empty() {
            node = node.with("timeouts", timeouts);
        }
        node = node.with_unless(&default.max_sessions, "max-sessions", &self.max_sessions);
        node = node.with_unless(&default.max_sessions_per_host, "max-sessions-per-host", &self.max_sessions_per_host);
        let log = self.log.encode();
        if log.is_empty() { node } else { node.with("log", log) }
    }
}

fn texts<T: fmt::Display>(items: &BTreeSet<T>) -> Vec<Node> {
    items.iter().map(Node::text).collect()
}

fn replace<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

/// The different values of a key that is a list; one that stands there twice is an error.
fn set<T: Ord + fmt::Display>(
    fields: &mut Fields<'_>,
    key: &'static str,
    reader: &mut Reader,
    read: impl Fn(&str) -> Result<T, Unreadable>,
) -> Option<BTreeSet<T>> {
    let mut all = BTreeSet::new();
    for (value, at) in fields.list(key, reader, read)? {
        reader.place(spot(key).value(&value), at);
        if all.contains(&value) {
            reader.error(at, format!("{}: {value} stands here twice", fields.name(key)), "keep one of them");
        }
        all.insert(value);
    }
    reader.place(spot(key), fields.at(key));
    Some(all)
}

fn pool(items: BTreeSet<PoolItem>, fields: &Fields<'_>, reader: &mut Reader) -> Pool {
    if items.len() > 1 && items.contains(&PoolItem::Interface) {
        let message = format!("{}: `interface` beside addresses", fields.name("pool"));
        reader.error(fields.at("pool"), message, "expected one of the two");
    }
    let ranges = |item| match item {
        PoolItem::Interface => None,
        PoolItem::Range(range) => Some(range),
    };
    if items.contains(&PoolItem::Interface) {
        Pool::Interface
    } else {
        Pool::Addresses(items.into_iter().filter_map(ranges).collect())
    }
}

/// `off`, or what a function reads.
fn or_off<T>(text: &str, read: impl Fn(&str) -> Result<T, Unreadable>) -> Result<Option<T>, Unreadable> {
    if text == "off" { Ok(None) } else { read(text).map(Some) }
}

fn mss_clamp(text: &str) -> Result<Option<u16>, Unreadable> {
    let wanted = |_| {
        Unreadable::wanted(format_args!("a number of bytes from {} to {}, or `off`", Nat44::MSS_MIN, Nat44::MSS_MAX))
    };
    or_off(text, |text| number(text, &(Nat44::MSS_MIN..=Nat44::MSS_MAX))).map_err(wanted)
}

impl Timeouts {
    fn decode(&mut self, node: &Node, reader: &mut Reader) {
        let Some(mut fields) = Fields::open(node, "nat44: timeouts", "timeouts", reader) else { return };
        for (key, target) in self.all_mut() {
            replace(target, fields.read(key, reader, timeout));
        }
        fields.close(reader);
    }

    fn encode(&self) -> Node {
        let default = Self::default();
        let pairs = self.all().into_iter().zip(default.all());
        pairs.fold(Node::map(), |node, ((key, value), (_, default))| node.with_unless(default, key, value))
    }

    /// Each with its key.
    pub(super) fn all(&self) -> [(&'static str, &Time); 4] {
        [
            ("udp", &self.udp),
            ("tcp-established", &self.tcp_established),
            ("tcp-transitory", &self.tcp_transitory),
            ("icmp", &self.icmp),
        ]
    }

    fn all_mut(&mut self) -> [(&'static str, &mut Time); 4] {
        [
            ("udp", &mut self.udp),
            ("tcp-established", &mut self.tcp_established),
            ("tcp-transitory", &mut self.tcp_transitory),
            ("icmp", &mut self.icmp),
        ]
    }

    /// Whether a session can last so long.
    pub(super) fn takes(time: Time) -> bool {
        (Self::MIN..=Self::MAX).contains(&time) && time.0.subsec_nanos() == 0
    }
}

/// What a timeout must be, in words that follow "expected".
pub(super) const TIMEOUT: &str = "a time of whole seconds from 1s to 30d, such as 300s or 5m";

fn timeout(text: &str) -> Result<Time, Unreadable> {
    text.parse().ok().filter(|time| Timeouts::takes(*time)).ok_or_else(|| Unreadable::wanted(TIMEOUT))
}

impl NatLog {
    fn decode(&mut self, node: &Node, reader: &mut Reader) {
        let Some(mut fields) = Fields::open(node, "nat44: log", "log", reader) else { return };
        replace(&mut self.mappings, fields.scalar("mappings", reader));
        replace(&mut self.syslog, fields.read("syslog", reader, |text| or_off(text, collector)));
        replace(&mut self.rate, fields.number("rate", 1..=Self::MAX_RATE, reader));
        fields.close(reader);
    }

    fn encode(&self) -> Node {
        let default = Self::default();
        let mut node = Node::map().with_unless(&default.mappings, "mappings", &self.mappings);
        if let Some(collector) = self.syslog {
            node = node.with("syslog", Node::text(collector));
        }
        node.with_unless(&default.rate, "rate", &self.rate)
    }
}

/// An address with a port, or without.
fn collector(text: &str) -> Result<SocketAddr, Unreadable> {
    let with_port = || text.parse().ok().filter(|collector: &SocketAddr| collector.port() != 0);
    let without = || Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, NatLog::SYSLOG_PORT));
    with_port()
        .or_else(without)
        .ok_or_else(|| Unreadable::wanted("an address with a port, such as 192.0.2.9:514, or `off`"))
}

fn exempt(node: &Node, reader: &mut Reader) -> BTreeSet<Exempt> {
    let mut all = BTreeSet::new();
    for item in node.items() {
        let Some(mut fields) = Fields::open(item, "nat44: exempt", "an exempt pair", reader) else { continue };
        let errors = reader.count();
        let mut net = |key| fields.read(key, reader, prefix).unwrap_or(Exempt::ANY);
        let pair = Exempt { source: net("source"), destination: net("destination") };
        fields.close(reader);
        if reader.count() > errors {
            continue;
        }
        reader.place(spot("exempt").value(pair), item.at);
        if !all.insert(pair) {
            reader.error(item.at, format!("nat44: exempt: {pair} stands here twice"), "keep one of them");
        }
    }
    reader.place(spot("exempt"), node.at);
    all
}

fn prefix(text: &str) -> Result<Ipv4Net, Unreadable> {
    text.parse().map_err(|_| Unreadable::wanted("an IPv4 prefix such as 192.168.1.0/24"))
}

impl Exempt {
    fn encode(&self) -> Node {
        let node = Node::map().with_unless(&Self::ANY, "source", &self.source);
        node.with_unless(&Self::ANY, "destination", &self.destination)
    }
}

impl fmt::Display for Exempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source {} destination {}", self.source, self.destination)
    }
}

fn mappings(node: &Node, reader: &mut Reader) -> BTreeMap<MappingKey, Mapping> {
    let mut all = BTreeMap::new();
    for item in node.items() {
        let Some((key, mapping, at)) = decode_mapping(item, reader) else { continue };
        match all.entry(key) {
            Vacant(place) => drop(place.insert(mapping)),
            Occupied(other) => {
                let message = format!("nat44: static mapping {}: stands here twice", other.key());
                reader.error(at, message, "expected one for each external address and port; `internal` takes a list");
            }
        }
    }
    reader.place(spot("static-mappings"), node.at);
    all
}

fn decode_mapping(node: &Node, reader: &mut Reader) -> Option<(MappingKey, Mapping, Position)> {
    let mut fields = Fields::open(node, "nat44: static mapping", "a static mapping", reader)?;
    let external: Option<External> = fields.required("external", reader);
    let protocol: Option<NatProtocol> = fields.scalar("protocol", reader);
    let protocol_read = protocol.is_some() || !fields.has("protocol");
    let at = fields.at("external");
    let key = external.map(|external| MappingKey { protocol, external });
    if let Some(key) = &key {
        fields.rename(format_args!("nat44: static mapping {key}"));
    }
    if !fields.has("internal") {
        reader.error(
            node.at,
            format!("{} is missing", fields.name("internal")),
            format!("expected {}", Backend::WANTED),
        );
    }
    let internal = fields.entry("internal").and_then(|entry| servers(&entry.value, &fields.name("internal"), reader));
    let affinity = fields.scalar("affinity", reader).unwrap_or(Affinity::Client);
    let twice_nat = fields.scalar("twice-nat", reader).unwrap_or(false);
    let vrf = fields.scalar("vrf", reader).unwrap_or_else(Name::default_vrf);
    if let Some(key) = key.as_ref().filter(|_| protocol_read) {
        reader.place(mapping_spot(key), at);
        for name in ["internal", "twice-nat", "vrf"] {
            reader.place(mapping_spot(key).key(name), fields.at(name));
        }
    }
    fields.close(reader);
    let mapping = Mapping { affinity, twice_nat, vrf, ..Mapping::to(internal?) };
    Some((key.filter(|_| protocol_read)?, mapping, at))
}

/// One server, one mapping of a server and its weight, or a list of these. None when none could be read.
fn servers(node: &Node, name: &str, reader: &mut Reader) -> Option<Vec<Backend>> {
    let mut all = Vec::new();
    for item in node.items() {
        match &item.value {
            Value::Text(text) => match Backend::read(text) {
                Ok(server) => all.push(server),
                Err(wanted) => reader.error(item.at, format!("{name}: cannot take \"{text}\""), wanted.to_string()),
            },
            _ => all.extend(server(item, name, reader)),
        }
    }
    if node.items().is_empty() {
        reader.error(node.at, format!("{name}: no server"), "expected at least one");
    }
    (!all.is_empty()).then_some(all)
}

fn server(node: &Node, name: &str, reader: &mut Reader) -> Option<Backend> {
    let mut fields = Fields::open(node, name, "an inside server", reader)?;
    let server: Option<Backend> = fields.required("address", reader);
    let weight = fields.number("weight", 1..=u8::MAX, reader).unwrap_or(1);
    fields.close(reader);
    Some(Backend { weight, ..server? })
}

fn encode_mapping((key, mapping): (&MappingKey, &Mapping)) -> Node {
    let mut node = Node::map();
    if let Some(protocol) = key.protocol {
        node = node.with("protocol", Node::text(protocol));
    }
    node = node.with("external", Node::text(&key.external));
    let server = |server: &Backend| match server.weight {
        1 => Node::text(server.endpoint()),
        weight => Node::map().with("address", Node::text(server.endpoint())).with("weight", Node::text(weight)),
    };
    node = match mapping.internal.as_slice() {
        [one] => node.with("internal", server(one)),
        several => node.with("internal", Node::list(several.iter().map(server))),
    };
    node = node.with_unless(&Affinity::Client, "affinity", &mapping.affinity);
    node.with_unless(&false, "twice-nat", &mapping.twice_nat).with_unless(&Name::default_vrf(), "vrf", &mapping.vrf)
}
