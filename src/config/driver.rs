//! The drivers of interfaces, each with its own keys: those with many have their own file, of the driver's name.

use crate::{
    Interface,
    af_xdp::AfXdp,
    bond::Bond,
    decode::{Fields, Scalar, Unreadable, suggestion},
    diagnostic::Reader,
    dpdk::Dpdk,
    generator::Generator,
    memif::Memif,
    name::Name,
    pcap::Pcap,
    tunnels::{Gre, Ipip},
    vhost_user::VhostUser,
    vlan::Vlan,
    vxlan::Vxlan,
    yaml::Node,
};
use std::path::Path;

/// What moves an interface's packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A network device of the kernel, by a packet socket.
    AfPacket(AfPacket),
    /// A network device of the kernel, by a program in front of its protocols.
    AfXdp(AfXdp),
    /// A tap device that the daemon makes: the kernel's end of a wire to the router.
    Tap(Tap),
    /// Memory shared with another process.
    Memif(Memif),
    /// The network device of a virtual machine.
    VhostUser(VhostUser),
    /// A device that DPDK drives.
    Dpdk(Dpdk),
    /// Frames read from and written to capture files.
    Pcap(Pcap),
    /// No wire: always up, what is sent to it is dropped, its addresses are the router's own.
    Loopback,
    /// The built-in source and sink of traffic.
    Generator(Generator),
    /// A sub-interface: the frames of its parent with certain tags. Written under `sub-interfaces` of its parent.
    Vlan(Vlan),
    /// The routed interface of the bridge of the same name. Written under `bvi` of its bridge.
    Bvi,
    /// A tunnel that carries Ethernet frames in UDP.
    Vxlan(Vxlan),
    /// A tunnel that carries packets in GRE.
    Gre(Gre),
    /// A tunnel that carries packets in IP.
    Ipip(Ipip),
    /// Several interfaces as one.
    Bond(Bond),
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

impl Driver {
    /// The most queues of one device.
    pub const MAX_QUEUES: u16 = 64;

    /// The driver's word in the configuration; `vlan` for a sub-interface, `bvi` for a bridge's own interface.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::AfPacket(_) => "af-packet",
            Self::AfXdp(_) => "af-xdp",
            Self::Tap(_) => "tap",
            Self::Memif(_) => "memif",
            Self::VhostUser(_) => "vhost-user",
            Self::Dpdk(_) => "dpdk",
            Self::Pcap(_) => "pcap",
            Self::Loopback => "loopback",
            Self::Generator(_) => "generator",
            Self::Vlan(_) => "vlan",
            Self::Bvi => "bvi",
            Self::Vxlan(_) => "vxlan",
            Self::Gre(_) => "gre",
            Self::Ipip(_) => "ipip",
            Self::Bond(_) => "bond",
        }
    }

    /// Whether it has no device of its own: what it sends leaves by other interfaces.
    pub const fn is_virtual(&self) -> bool {
        matches!(self, Self::Vlan(_) | Self::Bvi | Self::Vxlan(_) | Self::Gre(_) | Self::Ipip(_) | Self::Bond(_))
    }

    /// Whether its packets have an Ethernet header: neighbours, VLANs and bridges are possible.
    pub const fn has_ethernet(&self) -> bool {
        !matches!(self, Self::Gre(_) | Self::Ipip(_))
    }

    /// Whether an interface with this driver can take over the settings of another one while it runs.
    pub fn changes_in_place(&self, other: &Self) -> bool {
        self.is_virtual()
            && std::mem::discriminant(self) == std::mem::discriminant(other)
            && !matches!(self, Self::Vlan(_))
    }

    /// The MTU of an interface with it if nothing is said: what its headers leave of an Ethernet's 1500 bytes.
    pub const fn mtu(&self) -> u16 {
        match self {
            Self::Vxlan(vxlan) => vxlan.mtu(),
            Self::Gre(gre) => gre.mtu(),
            Self::Ipip(ipip) => ipip.mtu(),
            _ => Interface::MTU_DEFAULT,
        }
    }

    /// Whether there is a wire, or something like one, with its own device behind it.
    pub const fn has_wire(&self) -> bool {
        !self.is_virtual() && !matches!(self, Self::Loopback)
    }

    /// Its place in the order in which interfaces are made: those that others need come first.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::Vlan(_) => 2,
            Self::Bond(_) => 1,
            _ => 0,
        }
    }

    /// The interfaces that must be there before it, and that it takes for itself or depends on: parent, members.
    pub fn needs(&self) -> &[Name] {
        match self {
            Self::Vlan(vlan) => std::slice::from_ref(&vlan.parent),
            Self::Bond(bond) => &bond.members,
            _ => &[],
        }
    }

    /// What it uses, if that has a name: a device of the kernel or of DPDK, a socket.
    pub fn device(&self) -> Option<&str> {
        match self {
            Self::AfPacket(AfPacket { device, .. })
            | Self::AfXdp(AfXdp { device, .. })
            | Self::Tap(Tap { device, .. })
            | Self::Dpdk(Dpdk { device, .. }) => Some(device),
            Self::Memif(Memif { socket, .. }) | Self::VhostUser(VhostUser { socket, .. }) => Some(socket.as_str()),
            Self::Pcap(_) | Self::Loopback | Self::Generator(_) => None,
            Self::Vlan(_) | Self::Bvi | Self::Vxlan(_) | Self::Gre(_) | Self::Ipip(_) | Self::Bond(_) => None,
        }
    }
}

impl Driver {
    /// What of the host it uses that interfaces can't have in common, as its key and its name; and what may share that all the same.
    pub(crate) fn resource(&self) -> Option<(Resource, &Path)> {
        match self {
            Self::AfPacket(AfPacket { device: name, .. })
            | Self::AfXdp(AfXdp { device: name, .. })
            | Self::Tap(Tap { device: name, .. }) => Some((Resource::Device, Path::new(name))),
            Self::Dpdk(dpdk) => Some((Resource::Device, Path::new(dpdk.name()))),
            Self::Memif(memif) => Some((Resource::MemifSocket, memif.socket.path())),
            Self::VhostUser(vhost) => Some((Resource::Socket, vhost.socket.path())),
            Self::Pcap(pcap) => Some((Resource::File, pcap.write.as_deref()?)),
            Self::Loopback | Self::Generator(_) => None,
            Self::Vlan(_) | Self::Bvi | Self::Vxlan(_) | Self::Gre(_) | Self::Ipip(_) | Self::Bond(_) => None,
        }
    }
}

/// What of the host an interface may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// A network device.
    Device,
    /// A file that is written.
    File,
    /// A Unix socket.
    Socket,
    /// A Unix socket that other interfaces may use, too, if they are of driver memif.
    MemifSocket,
}

impl Resource {
    /// The key that names it, and what to call it.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Device => ("device", "device"),
            Self::File => ("write", "the written file"),
            Self::Socket | Self::MemifSocket => ("socket", "socket"),
        }
    }
}

/// The drivers that a file can name.
const WORDS: &[&str] = &[
    "af-packet",
    "af-xdp",
    "tap",
    "memif",
    "vhost-user",
    "dpdk",
    "pcap",
    "loopback",
    "generator",
    "vxlan",
    "gre",
    "ipip",
    "bond",
];

impl Driver {
    /// Reads `driver` and the keys that belong to it. None when something about them is wrong.
    pub(crate) fn decode(interface: &Name, fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        let expected = || Unreadable::wanted(format_args!("one of: {}", WORDS.join(", ")));
        if !fields.has("driver") {
            reader.error(fields.at(""), format!("{} is missing", fields.name("driver")), expected().to_string());
        }
        let word =
            fields.read("driver", reader, |text| if text.is_empty() { Err(expected()) } else { Ok(text.to_owned()) });
        let driver = match word.as_deref() {
            Some("af-packet") => {
                let (device, queues) = (device(fields, reader), queues(fields, reader));
                Self::AfPacket(AfPacket { device: device?, queues })
            }
            Some("tap") => {
                let (device, queues) = (device(fields, reader), queues(fields, reader));
                Self::Tap(Tap { device: device?, queues })
            }
            Some("af-xdp") => Self::AfXdp(AfXdp::decode(fields, reader)?),
            Some("memif") => Self::Memif(Memif::decode(fields, reader)?),
            Some("vhost-user") => Self::VhostUser(VhostUser::decode(fields, reader)?),
            Some("dpdk") => Self::Dpdk(Dpdk::decode(fields, reader)?),
            Some("pcap") => Self::Pcap(Pcap::decode(fields, reader)?),
            Some("loopback") => Self::Loopback,
            Some("generator") => Self::Generator(Generator::decode(interface, fields, reader)),
            Some("vxlan") => Self::Vxlan(Vxlan::decode(interface, fields, reader)?),
            Some("gre") => Self::Gre(Gre::decode(fields, reader)?),
            Some("ipip") => Self::Ipip(Ipip::decode(fields, reader)?),
            Some("bond") => Self::Bond(Bond::decode(interface, fields, reader)?),
            unknown => {
                fields.tolerate();
                let word = unknown?;
                let (at, name) = (fields.at("driver"), fields.name("driver"));
                match word {
                    "vlan" => reader.error(
                        at,
                        format!("{name}: a VLAN is no driver"),
                        "write it under `sub-interfaces` of its parent",
                    ),
                    "bvi" => reader.error(
                        at,
                        format!("{name}: a bridge's own interface is no driver"),
                        "write it under `bvi` of its bridge",
                    ),
                    _ => reader.error(at, format!("{name}: cannot take \"{word}\""), suggestion(word, WORDS)),
                }
                return None;
            }
        };
        Some(driver)
    }

    /// The driver's keys, onto those of its interface.
    pub(crate) fn encode(&self, node: Node) -> Node {
        let unsaid = matches!(self, Self::Vlan(_) | Self::Bvi);
        let node = if unsaid { node } else { node.with("driver", Node::text(self.as_str())) };
        match self {
            Self::AfPacket(AfPacket { device, queues }) | Self::Tap(Tap { device, queues }) => {
                node.with("device", Node::text(device)).with_unless(&1, "queues", queues)
            }
            Self::AfXdp(xdp) => xdp.encode(node),
            Self::Memif(memif) => memif.encode(node),
            Self::VhostUser(vhost) => vhost.encode(node),
            Self::Dpdk(dpdk) => dpdk.encode(node),
            Self::Pcap(pcap) => pcap.encode(node),
            Self::Generator(generator) => generator.encode(node),
            Self::Loopback | Self::Bvi => node,
            Self::Vlan(vlan) => vlan.encode(node),
            Self::Vxlan(vxlan) => vxlan.encode(node),
            Self::Gre(gre) => gre.encode(node),
            Self::Ipip(ipip) => ipip.encode(node),
            Self::Bond(bond) => bond.encode(node),
        }
    }
}

/// The kernel's name of a network device: 1 to 15 bytes without `/`, `:` and white space (dev_valid_name in the kernel).
pub(crate) fn device(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<String> {
    fields.required("device", reader).map(|Device(name)| name)
}

/// Reads `queues`.
pub(crate) fn queues(fields: &mut Fields<'_>, reader: &mut Reader) -> u16 {
    fields.number("queues", 1..=Driver::MAX_QUEUES, reader).unwrap_or(1)
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
