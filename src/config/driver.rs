//! The drivers of interfaces, each with its own keys. The traffic generator has its own file, [`generator`](crate::generator).

use crate::{
    decode::{Fields, Scalar, Unreadable},
    diagnostic::Reader,
    generator::Generator,
    later,
    name::Name,
    units::{Rate, Repeat},
    yaml::Node,
};
use std::path::{Path, PathBuf};

/// What moves an interface's packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A network device of the kernel, by a packet socket.
    AfPacket(AfPacket),
    /// A tap device that the daemon makes: the kernel's end of a wire to the router.
    Tap(Tap),
    /// Frames read from and written to capture files.
    Pcap(Pcap),
    /// No wire: always up, what is sent to it is dropped, its addresses are the router's own.
    Loopback,
    /// The built-in source and sink of traffic.
    Generator(Generator),
    /// A sub-interface: the frames of its parent with one 802.1Q tag. Written under `sub-interfaces` of its parent.
    Vlan(Vlan),
}

/// `driver: af-packet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfPacket {
    /// The kernel's name of the device.
    pub device: String,
    /// Receive queues (a fanout group of so many sockets); 1 to [`Driver::MAX_QUEUES`], default 1.
    pub queues: u16,
}

/// `driver: tap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// The name that the device gets in the kernel.
    pub device: String,
    /// Queues; 1 to [`Driver::MAX_QUEUES`], default 1.
    pub queues: u16,
}

/// `driver: pcap`. At least one of `read` and `write` is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcap {
    /// The capture whose frames come in.
    pub read: Option<PathBuf>,
    /// The capture that frames sent are written to.
    pub write: Option<PathBuf>,
    /// How often `read` is played (key `loop`); default once.
    pub repeat: Repeat,
    /// How fast `read` is played; default `max`.
    pub rate: Rate,
}

/// A sub-interface (IEEE 802.1Q): its name is `parent.id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// The interface whose tagged frames these are.
    pub parent: Name,
    /// The VLAN identifier; [`Vlan::MIN`] to [`Vlan::MAX`].
    pub id: u16,
}

impl Driver {
    /// The most queues of one device.
    pub const MAX_QUEUES: u16 = 64;

    /// The driver's word in the configuration; `vlan` for a sub-interface.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::AfPacket(_) => "af-packet",
            Self::Tap(_) => "tap",
            Self::Pcap(_) => "pcap",
            Self::Loopback => "loopback",
            Self::Generator(_) => "generator",
            Self::Vlan(_) => "vlan",
        }
    }

    /// The kernel's name of the device that it uses, if it uses one.
    pub fn device(&self) -> Option<&str> {
        match self {
            Self::AfPacket(AfPacket { device, .. }) | Self::Tap(Tap { device, .. }) => Some(device),
            _ => None,
        }
    }
}

impl Driver {
    /// What of the host only one interface can use: devices, files written.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let file = match self {
            Self::Pcap(pcap) => pcap.write.as_deref(),
            _ => None,
        };
        let device = self.device().map(|device| ("device", Path::new(device)));
        device.into_iter().chain(file.map(|file| ("the written file", file)))
    }
}

impl Vlan {
    /// The lowest VLAN identifier (0 means no VLAN: IEEE 802.1Q-2018 table 9-2).
    pub const MIN: u16 = 1;
    /// The highest VLAN identifier (4095 is reserved: same table).
    pub const MAX: u16 = 4094;
}

/// The drivers that a file can name.
const WORDS: &str = "af-packet, tap, pcap, loopback or generator";

impl Driver {
    /// Reads `driver` and the keys that belong to it. None when something about them is wrong.
    pub(crate) fn decode(interface: &Name, fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        let expected = || Unreadable::wanted(WORDS);
        if !fields.has("driver") {
            reader.error(fields.at(""), format!("{} is missing", fields.name("driver")), expected().to_string());
        }
        let word =
            fields.read("driver", reader, |text| if text.is_empty() { Err(expected()) } else { Ok(text.to_owned()) });
        let queues = |fields: &mut Fields<'_>, reader: &mut Reader| {
            fields.number("queues", 1..=Self::MAX_QUEUES, reader).unwrap_or(1)
        };
        let driver = match word.as_deref() {
            Some("af-packet") => {
                let (device, queues) = (device(fields, reader), queues(fields, reader));
                Self::AfPacket(AfPacket { device: device?, queues })
            }
            Some("tap") => {
                let (device, queues) = (device(fields, reader), queues(fields, reader));
                Self::Tap(Tap { device: device?, queues })
            }
            Some("pcap") => Self::Pcap(Pcap::decode(fields, reader)?),
            Some("loopback") => Self::Loopback,
            Some("generator") => Self::Generator(Generator::decode(interface, fields, reader)),
            unknown => {
                fields.tolerate();
                let word = unknown?;
                let (at, name) = (fields.at("driver"), fields.name("driver"));
                match later::feature(later::DRIVER, word) {
                    Some(feature) => {
                        reader.error(
                            at,
                            format!("{name}: this version of millrace has no {feature}"),
                            expected().to_string(),
                        );
                    }
                    None if word == "vlan" => {
                        reader.error(
                            at,
                            format!("{name}: a VLAN is no driver"),
                            "write it under `sub-interfaces` of its parent",
                        );
                    }
                    None => reader.error(at, format!("{name}: cannot take \"{word}\""), expected().to_string()),
                }
                return None;
            }
        };
        Some(driver)
    }

    /// The driver's keys, onto those of its interface.
    pub(crate) fn encode(&self, node: Node) -> Node {
        let node = if matches!(self, Self::Vlan(_)) { node } else { node.with("driver", Node::text(self.as_str())) };
        match self {
            Self::AfPacket(AfPacket { device, queues }) | Self::Tap(Tap { device, queues }) => {
                node.with("device", Node::text(device)).with_unless(&1, "queues", queues)
            }
            Self::Pcap(pcap) => pcap.encode(node),
            Self::Generator(generator) => generator.encode(node),
            Self::Loopback | Self::Vlan(_) => node,
        }
    }
}

impl Pcap {
    fn decode(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        let named = fields.has("read") || fields.has("write");
        let pcap = Self {
            read: fields.scalar("read", reader),
            write: fields.scalar("write", reader),
            repeat: fields.scalar("loop", reader).unwrap_or(Repeat::ONCE),
            rate: fields.scalar("rate", reader).unwrap_or(Rate::Max),
        };
        if !named {
            reader.error(
                fields.at(""),
                format!("{}: pcap without a file", fields.what()),
                "expected `read`, `write` or both",
            );
        }
        if pcap.read.is_some() && pcap.read == pcap.write {
            let message = format!("{}: this is the file that is read", fields.name("write"));
            reader.error(fields.at("write"), message, "expected another file to write to");
        }
        (pcap.read.is_some() || pcap.write.is_some()).then_some(pcap)
    }

    fn encode(&self, mut node: Node) -> Node {
        for (key, path) in [("read", &self.read), ("write", &self.write)] {
            if let Some(path) = path {
                node = node.with(key, Node::text(path.display()));
            }
        }
        node.with_unless(&Repeat::ONCE, "loop", &self.repeat).with_unless(&Rate::Max, "rate", &self.rate)
    }
}

/// The kernel's name of a network device: 1 to 15 bytes without `/`, `:` and white space (dev_valid_name in the kernel).
fn device(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<String> {
    fields.required("device", reader).map(|Device(name)| name)
}

struct Device(String);

impl Scalar for Device {
    const WANTED: &'static str = "the name of a network device: 1 to 15 characters without `/`, `:` and spaces";
    fn read(text: &str) -> Result<Self, Unreadable> {
        let wrong = |c: char| c == '/' || c == ':' || c == '\0' || c.is_ascii_whitespace();
        if text.is_empty() || text.len() > 15 || text.contains(wrong) || matches!(text, "." | "..") {
            return Err(Unreadable::wanted(Self::WANTED));
        }
        Ok(Self(text.to_owned()))
    }
}
