//! The interfaces as control has them: settings, device, link, and what of that forwarding reads.

use super::Router;
use ipnet::Ipv4Net;
use millrace_config::{Driver, Mac, Name, State};
use millrace_engine::counters::{InterfaceTotals, MAX_INTERFACES};
use millrace_graph_nodes::forwarding;
use millrace_io::{Device, Link, QueuePair};
use millrace_tables::indices::Indices;
use millrace_wire::MacAddr;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

/// One interface.
pub struct Interface {
    /// The operator's name for it.
    pub name: Name,
    /// Its number in the packet path.
    pub index: u32,
    /// What moves its packets.
    pub driver: Driver,
    /// The largest IP packet, in bytes.
    pub mtu: u16,
    /// The MAC address that the operator wants.
    pub wanted_mac: Option<Mac>,
    /// What the operator wants.
    pub state: State,
    /// Its VRF and the number of that one's table.
    pub vrf: (Name, u32),
    /// Its addresses with their subnets, the primary first.
    pub addresses: Vec<Ipv4Net>,
    /// External addresses of NAT that it answers for in ARP, sorted.
    pub proxied: Arc<[Ipv4Addr]>,
    /// The interface that carries its frames, and its VLAN there.
    pub parent: Option<(u32, u16)>,
    /// The open device; none while it is missing, and never one of a sub-interface.
    pub device: Option<Box<dyn Device>>,
    /// Queues of the device that no worker has yet.
    pub idle: Vec<QueuePair>,
    /// What the device said last.
    pub link: Link,
    /// The MAC address in use.
    pub mac: MacAddr,
    /// Why there is no device.
    pub problem: Option<String>,
    /// The worker that polls each receive queue.
    pub pollers: Vec<usize>,
    /// When opening the device was last tried.
    pub tried: Instant,
    /// What the number's counters stood at when it began, or when they were cleared.
    pub baseline: InterfaceTotals,
    /// What its driver had lost by then.
    pub lost_before: u64,
}

impl std::fmt::Debug for Interface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interface").field("name", &self.name).field("index", &self.index).finish_non_exhaustive()
    }
}

/// Statistics of drivers that count packets lost on receipt.
const LOST: &[&str] = &["rx_ring_full", "rx_truncated", "rx_bad_offload_header"];

impl Interface {
    /// Packets that its driver lost on receipt since the device was opened.
    pub fn lost(&self) -> u64 {
        let stats = self.device.as_ref().map(|device| device.stats()).unwrap_or_default();
        stats.iter().filter(|(name, _)| LOST.contains(name)).map(|(_, count)| count).sum()
    }
}

/// All interfaces.
#[derive(Debug)]
pub struct Interfaces {
    indices: Indices,
    by_index: BTreeMap<u32, Interface>,
    by_name: BTreeMap<Name, u32>,
}

impl Default for Interfaces {
    fn default() -> Self {
        let indices = Indices::new(1..MAX_INTERFACES as u32);
        Interfaces { indices, by_index: BTreeMap::new(), by_name: BTreeMap::new() }
    }
}

impl Interfaces {
    /// A number for a new one. `None` when there are too many.
    pub fn allocate(&mut self) -> Option<u32> {
        self.indices.allocate()
    }

    /// Gives back a number that came to no interface.
    pub fn give_back(&mut self, index: u32) {
        self.indices.release(index);
    }

    /// Adds one.
    pub fn insert(&mut self, interface: Interface) {
        self.by_name.insert(interface.name.clone(), interface.index);
        self.by_index.insert(interface.index, interface);
    }

    /// Takes one out; its number is used again when no worker can still mean it.
    pub fn remove(&mut self, index: u32) -> Option<Interface> {
        let interface = self.by_index.remove(&index)?;
        self.by_name.remove(&interface.name);
        self.indices.release(index);
        Some(interface)
    }

    /// By number.
    pub fn get(&self, index: u32) -> Option<&Interface> {
        self.by_index.get(&index)
    }

    /// By number.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut Interface> {
        self.by_index.get_mut(&index)
    }

    /// By name.
    pub fn named(&self, name: &str) -> Option<&Interface> {
        self.get(*self.by_name.get(name)?)
    }

    /// The number of a name.
    pub fn index(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The name of a number; empty when there is no such interface.
    pub fn name(&self, index: u32) -> String {
        self.get(index).map(|interface| interface.name.to_string()).unwrap_or_default()
    }

    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.by_name.values().filter_map(|index| self.by_index.get(index))
    }

    /// All, in the order of their numbers.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Interface> {
        self.by_index.values_mut()
    }

    /// The numbers of an interface's sub-interfaces.
    pub fn children(&self, index: u32) -> Vec<u32> {
        let of = |i: &&Interface| i.parent.is_some_and(|(parent, _)| parent == index);
        self.by_index.values().filter(of).map(|i| i.index).collect()
    }

    /// Whether the operator wants it up, and its parent, too.
    pub fn is_enabled(&self, index: u32) -> bool {
        self.get(index)
            .is_some_and(|i| i.state == State::Up && i.parent.is_none_or(|(parent, _)| self.is_enabled(parent)))
    }

    /// What the device says; of a sub-interface, the parent's.
    pub fn link(&self, index: u32) -> Link {
        match self.get(index) {
            Some(Interface { parent: Some((parent, _)), .. }) => self.link(*parent),
            Some(interface) => interface.link,
            None => Link::Missing,
        }
    }

    /// Whether somebody may listen at the other end of its wire who remembers MAC addresses.
    pub fn has_listeners(&self, index: u32) -> bool {
        match self.get(index) {
            Some(Interface { parent: Some((parent, _)), .. }) => self.has_listeners(*parent),
            Some(i) => matches!(i.driver, Driver::AfPacket(_) | Driver::Tap(_)) && i.idle.is_empty(),
            None => false,
        }
    }

    /// Whether packets can leave by it.
    pub fn is_up(&self, index: u32) -> bool {
        self.is_enabled(index) && self.link(index) == Link::Up
    }

    /// The MAC address in use; of a sub-interface, the parent's.
    pub fn mac(&self, index: u32) -> MacAddr {
        match self.get(index) {
            Some(Interface { parent: Some((parent, _)), .. }) => self.mac(*parent),
            Some(interface) => interface.mac,
            None => MacAddr::ZERO,
        }
    }

    /// What the packet path reads of it.
    pub fn forwarded(&self, index: u32) -> Option<forwarding::Interface> {
        let interface = self.get(index)?;
        // A sub-interface that is off is as good as not there.
        let of = |i: &&Interface| i.parent.is_some_and(|(parent, _)| parent == index) && i.state == State::Up;
        let subs = self.by_index.values().filter(of).filter_map(|i| Some((i.parent?.1, i.index)));
        let mut sub_interfaces: Vec<_> = subs.collect();
        sub_interfaces.sort_unstable();
        Some(forwarding::Interface {
            mac: self.mac(index),
            mtu: interface.mtu,
            table: interface.vrf.1,
            addresses: interface.addresses.iter().map(|net| (net.addr(), net.prefix_len())).collect(),
            sub_interfaces,
            vlan: interface.parent.map(|(_, vlan)| vlan),
            proxied: Arc::clone(&interface.proxied),
        })
    }
}

impl Router {
    /// The features that are on for an interface, as `arc: node`.
    pub fn features_of(&self, interface: &Interface) -> Vec<String> {
        let features = self.engine.features_of(interface.index).into_iter();
        features.map(|(arc, node)| format!("{}: {node}", arc.as_str())).collect()
    }
}
