//! How a generator is written.

use super::{Flow, FlowProtocol, FrameSize, Frames, Generator, IpRange, Stream};
use crate::{
    Mac, Name, Rate, Vlan,
    decode::{Fields, Scalar, Unreadable},
    diagnostic::{Reader, Spot},
    ranges::{pair, range},
    yaml::Node,
};
use std::{fmt, net::Ipv4Addr, path::PathBuf, str::FromStr};

/// The keys that describe the headers of made frames: they don't go with `template`.
const HEADERS: &[&str] = &[
    "source",
    "destination",
    "source-mac",
    "destination-mac",
    "vlan",
    "protocol",
    "source-ports",
    "destination-ports",
    "size",
    "order",
];

impl Generator {
    pub(crate) fn decode(interface: &Name, fields: &mut Fields<'_>, reader: &mut Reader) -> Self {
        let default = Self::default();
        let mut streams = Vec::new();
        let name = fields.name("streams");
        if let Some(entry) = fields.entry("streams") {
            for (i, node) in entry.value.items().iter().enumerate() {
                reader.place(Spot::new("interfaces", interface).key("streams").value(i), node.at);
                streams.extend(Stream::decode(node, &format!("{name}: stream {}", i + 1), reader));
            }
        }
        Self {
            streams,
            burst: fields.number("burst", 1..=Self::MAX_BURST, reader).unwrap_or(default.burst),
            check: fields.scalar("check", reader).unwrap_or(default.check),
            latency: fields.scalar("latency", reader).unwrap_or(default.latency),
        }
    }

    pub(crate) fn encode(&self, mut node: Node) -> Node {
        let default = Self::default();
        if !self.streams.is_empty() {
            node = node.with("streams", Node::list(self.streams.iter().map(Stream::encode)));
        }
        node.with_unless(&default.burst, "burst", &self.burst)
            .with_unless(&default.check, "check", &self.check)
            .with_unless(&default.latency, "latency", &self.latency)
    }
}

impl Stream {
    /// None when something about it is wrong.
    fn decode(node: &Node, what: &str, reader: &mut Reader) -> Option<Self> {
        let mut fields = Fields::open(node, what, "stream", reader)?;
        let frames = if fields.has("template") {
            for key in HEADERS {
                if fields.entry(key).is_none() {
                    continue;
                }
                let message = format!("{} beside a template", fields.name(key));
                reader.error(
                    fields.at(key),
                    message,
                    "the frames of a capture are sent as they are: remove one of the two",
                );
            }
            fields.scalar::<PathBuf>("template", reader).map(Frames::Template)
        } else {
            Flow::decode(&mut fields, reader).map(|flow| Frames::Made(Box::new(flow)))
        };
        let rate = fields.scalar("rate", reader).unwrap_or(Rate::Max);
        let count = fields.number("count", 1..=u64::MAX, reader);
        fields.close(reader);
        Some(Self { frames: frames?, rate, count })
    }

    fn encode(&self) -> Node {
        let node = match &self.frames {
            Frames::Made(flow) => flow.encode(),
            Frames::Template(path) => Node::map().with("template", Node::text(path.display())),
        };
        let node = node.with_unless(&Rate::Max, "rate", &self.rate);
        self.count.iter().fold(node, |node, count| node.with("count", Node::text(count)))
    }
}

impl Flow {
    fn decode(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        let source = fields.required("source", reader);
        let destination = fields.required("destination", reader);
        // Everything is read before the first `?`, so that each error is reported.
        let nowhere = IpRange::one(Ipv4Addr::UNSPECIFIED.into());
        let mut flow = Self::new(source.unwrap_or(nowhere), destination.unwrap_or(nowhere));
        let mut addresses = source.zip(destination);
        if addresses.is_some_and(|(source, destination)| source.is_ipv6() != destination.is_ipv6()) {
            let message = format!("{}: not of the source's family", fields.name("destination"));
            reader.error(fields.at("destination"), message, "both IPv4, or both IPv6");
            addresses = None;
        }
        set(&mut flow.source_mac, fields.scalar("source-mac", reader));
        flow.destination_mac = fields.scalar("destination-mac", reader);
        flow.vlan = fields.number("vlan", Vlan::MIN..=Vlan::MAX, reader);
        set(&mut flow.protocol, fields.scalar("protocol", reader));
        for (key, ports) in
            [("source-ports", &mut flow.source_ports), ("destination-ports", &mut flow.destination_ports)]
        {
            if flow.protocol == FlowProtocol::Icmp && fields.entry(key).is_some() {
                reader.error(fields.at(key), format!("{}: ICMP has no ports", fields.name(key)), "remove the key");
            } else {
                set(ports, fields.scalar(key, reader));
            }
        }
        set(&mut flow.size, fields.scalar("size", reader));
        set(&mut flow.order, fields.scalar("order", reader));
        addresses.map(|_| flow)
    }

    fn encode(&self) -> Node {
        let default = Self::new(self.source, self.destination);
        let mut node =
            Node::map().with("source", Node::text(self.source)).with("destination", Node::text(self.destination));
        node = node.with_unless(&default.source_mac, "source-mac", &self.source_mac);
        node = self.destination_mac.iter().fold(node, |node, mac: &Mac| node.with("destination-mac", Node::text(mac)));
        node = self.vlan.iter().fold(node, |node, vlan| node.with("vlan", Node::text(vlan)));
        node.with_unless(&default.protocol, "protocol", &self.protocol)
            .with_unless(&default.source_ports, "source-ports", &self.source_ports)
            .with_unless(&default.destination_ports, "destination-ports", &self.destination_ports)
            .with_unless(&default.size, "size", &self.size)
            .with_unless(&default.order, "order", &self.order)
    }
}

/// Sets what there is a value for.
fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

impl FromStr for FrameSize {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match pair(text, Self::MIN, Self::MAX) {
            _ if text == "imix" => Ok(Self::Imix),
            Some((first, last)) if first == last => Ok(Self::Fixed(first)),
            Some((first, last)) => Ok(Self::Range(first, last)),
            None => Err(Unreadable::wanted(Self::WANTED)),
        }
    }
}

impl Scalar for FrameSize {
    const WANTED: &'static str = "a frame size from 64 to 9238, a range such as 64-1518, or `imix`";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl fmt::Display for FrameSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Fixed(size) => range(f, size, size),
            Self::Range(first, last) => range(f, first, last),
            Self::Imix => f.write_str("imix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_sizes() {
        assert_eq!("imix".parse(), Ok(FrameSize::Imix));
        assert_eq!("64-1518".parse(), Ok(FrameSize::Range(64, 1518)));
        assert_eq!("64-64".parse(), Ok(FrameSize::Fixed(64)));
        for bad in ["63", "9239", "1518-64", "small"] {
            assert!(bad.parse::<FrameSize>().is_err(), "{bad:?} must be refused");
        }
    }
}
