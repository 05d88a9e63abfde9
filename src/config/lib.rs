//! The typed configuration: everything that an operator can set, and nothing else. Pure: no input, no output, no clock.
#![forbid(unsafe_code)]

mod api;
mod buffers;
mod decode;
mod driver;
pub mod generator;
mod interfaces;
mod keyword;
mod mac;
mod name;
mod neighbors;
mod routes;
mod units;
mod vrfs;
mod workers;

pub use api::Api;
pub use buffers::{Buffers, HugePages};
pub use decode::{Scalar, Unreadable};
pub use driver::{AfPacket, Driver, Pcap, Tap, Vlan};
pub use generator::Generator;
pub use interfaces::{Interface, State};
pub use mac::Mac;
pub use name::{DEFAULT_VRF, Name};
pub use neighbors::NeighborKey;
pub use routes::{NextHop, Route, RouteKey};
pub use units::{ByteSize, Rate, Repeat, Time};
pub use vrfs::Vrf;
pub use workers::{WorkerMode, Workers};

use std::collections::BTreeMap;

/// The whole configuration, every default filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The polling threads.
    pub workers: Workers,
    /// The packet buffers.
    pub buffers: Buffers,
    /// The interfaces by name, sub-interfaces (`parent.vlan`) among them; a parent sorts before its sub-interfaces.
    pub interfaces: BTreeMap<Name, Interface>,
    /// The VRFs by name, without `default`, which always exists.
    pub vrfs: BTreeMap<Name, Vrf>,
    /// The static routes.
    pub routes: BTreeMap<RouteKey, Route>,
    /// The static neighbours and their Ethernet addresses.
    pub neighbors: BTreeMap<NeighborKey, Mac>,
    /// The API of the daemon.
    pub api: Api,
}

impl Config {
    /// Whether a VRF of this name exists; `default` always does.
    pub fn has_vrf(&self, name: &str) -> bool {
        name == DEFAULT_VRF || self.vrfs.contains_key(name)
    }

    /// The sub-interfaces of an interface, by name.
    pub fn sub_interfaces<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = (&'a Name, &'a Interface)> {
        self.interfaces.iter().filter(move |(_, interface)| interface.parent().is_some_and(|p| p == parent))
    }
}
