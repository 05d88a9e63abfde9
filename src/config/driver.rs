//! The drivers of interfaces, each with its own keys. The traffic generator has its own file, [`generator`](crate::generator).

use crate::{
    generator::Generator,
    name::Name,
    units::{Rate, Repeat},
};
use std::path::PathBuf;

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

impl Vlan {
    /// The lowest VLAN identifier (0 means no VLAN: IEEE 802.1Q-2018 table 9-2).
    pub const MIN: u16 = 1;
    /// The highest VLAN identifier (4095 is reserved: same table).
    pub const MAX: u16 = 4094;
}
