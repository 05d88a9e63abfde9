//! The interfaces as control has them: settings, device, link, and what of that forwarding reads.

use super::devices::has_peer;
use super::ip6::dad::{Dad, State as DadState};
use super::pcapng::LinkType;
use super::{Router, mss_clamp, urpf};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use millrace_config::{Driver, Mac, Member, MssClamp, Name, RouterAdvertisements, State, TagType, Urpf, Vlan};
use millrace_engine::counters::{InterfaceTotals, MAX_INTERFACES};
use millrace_graph_nodes::forwarding;
use millrace_io::{Device, Link, QueuePair};
use millrace_tables::indices::Indices;
use millrace_wire::{EtherType, MacAddr, Tags, nd};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
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
    /// The largest IP packet, in bytes: the operator's, or while it is a member of a bond that one's.
    pub mtu: u16,
    /// The MTU that the operator wants.
    pub wanted_mtu: u16,
    /// The MAC address that the operator wants.
    pub wanted_mac: Option<Mac>,
    /// The MAC address that it has without one of the operator's: its device's, when there is one.
    pub unset_mac: MacAddr,
    /// What the operator wants.
    pub state: State,
    /// Its VRF and the number of that one's table.
    pub vrf: (Name, u32),
    /// Its addresses with their subnets, in the operator's order: the first of each family is the primary one.
    pub addresses: Vec<IpNet>,
    /// The IPv6 link-local address that it has by itself, while it speaks IPv6 and the operator gave it none.
    pub link_local: Option<Ipv6Addr>,
    /// What it tells the hosts on its link.
    pub router_advertisements: Option<RouterAdvertisements>,
    /// External addresses of NAT that it answers for in ARP, sorted.
    pub proxied: Arc<[Ipv4Addr]>,
    /// The sources that it takes packets from.
    pub urpf: Urpf,
    /// The largest segment size of TCP connections through it.
    pub mss_clamp: MssClamp,
    /// The interface that everything it receives leaves by.
    pub cross_connect: Option<Name>,
    /// The bridge that it is a port of, and how.
    pub bridge: Option<Member>,
    /// The interface that carries its frames, and its VLAN there.
    pub parent: Option<(u32, Vlan)>,
    /// The open device; none while it is missing, and never one of a sub-interface.
    pub device: Option<Box<dyn Device>>,
    /// Queues of the device that no worker has yet.
    pub idle: Vec<QueuePair>,
    /// Whether it has no device, and what is below it may not be there yet, as the change that makes it is not done.
    pub fresh: bool,
    /// What the device said last.
    pub link: Link,
    /// The MAC address in use.
    pub mac: MacAddr,
    /// Why there is no device.
    pub problem: Option<String>,
    /// What the operator was told of the device.
    pub told: Vec<String>,
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
const LOST: &[&str] = &[
    "rx_ring_full",
    "rx_truncated",
    "rx_bad_offload_header",
    "rx_bad_descriptors",
    "rx_too_long",
    "rx_too_short",
    "rx_missed_errors",
    "rx_refused",
];

impl Interface {
    /// The tags of its frames, if it is a sub-interface.
    pub fn tags(&self) -> Option<Tags> {
        let (_, Vlan { outer, inner, tag_type, .. }) = self.parent.as_ref()?;
        let tag_type = match tag_type {
            TagType::Dot1q => EtherType::VLAN,
            TagType::Dot1ad => EtherType::SERVICE_VLAN,
        };
        Some(Tags { tag_type, outer: *outer, inner: *inner })
    }

    /// The MAC address that it has but for a bond that it is a member of: the operator's, or else the one that it has by itself.
    pub fn own_mac(&self) -> MacAddr {
        self.wanted_mac.map_or(self.unset_mac, |mac| MacAddr(mac.0))
    }

    /// Packets that its driver lost on receipt since the device was opened.
    pub fn lost(&self) -> u64 {
        let stats = self.device.as_ref().map(|device| device.stats()).unwrap_or_default();
        stats.iter().filter(|(name, _)| LOST.contains(name)).map(|(_, count)| count).sum()
    }

    /// Why its link isn't up, where that is known: the device is missing, or there is no peer.
    pub fn link_reason(&self) -> Option<String> {
        let waits = has_peer(&self.driver) && self.link == Link::Down;
        let waited_for = || self.device.as_ref().filter(|_| waits)?.info().notes.into_iter().next();
        self.problem.clone().or_else(waited_for)
    }

    /// Its IPv4 addresses, the primary first.
    pub fn addresses4(&self) -> impl Iterator<Item = Ipv4Net> {
        self.addresses.iter().filter_map(|net| if let IpNet::V4(net) = net { Some(*net) } else { None })
    }

    /// The IPv6 addresses that the operator gave it.
    pub fn configured6(&self) -> impl Iterator<Item = Ipv6Net> {
        self.addresses.iter().filter_map(|net| if let IpNet::V6(net) = net { Some(*net) } else { None })
    }

    /// Its IPv6 addresses, link-local ones first.
    pub fn addresses6(&self) -> impl Iterator<Item = Ipv6Net> {
        let (near, far) = self.configured6().partition::<Vec<_>, _>(|net| net.addr().is_unicast_link_local());
        let own = self.link_local.map(link_local_net);
        own.into_iter().chain(near).chain(far)
    }
}

/// A link-local address with its subnet (RFC 4291 section 2.5.6).
pub fn link_local_net(address: Ipv6Addr) -> Ipv6Net {
    // 64 bits are no more than an address has.
    Ipv6Net::new(address, 64).unwrap_or_else(|_| address.into())
}

/// The subnet-router anycast address (RFC 4291 section 2.6.1) of an address's subnet. Subnets between two routers have none (RFC 6164),
/// and neither has the link.
pub fn anycast(net: Ipv6Net) -> Option<Ipv6Addr> {
    let has = net.prefix_len() < 127 && net.network() != net.addr() && !net.addr().is_unicast_link_local();
    has.then(|| net.network())
}

/// All interfaces.
#[derive(Debug)]
pub struct Interfaces {
    indices: Indices,
    by_index: BTreeMap<u32, Interface>,
    by_name: BTreeMap<Name, u32>,
    /// Which IPv6 addresses are known to be nobody else's.
    pub dad: Dad,
}

impl Default for Interfaces {
    fn default() -> Self {
        let indices = Indices::new(1..MAX_INTERFACES as u32);
        Interfaces { indices, by_index: BTreeMap::new(), by_name: BTreeMap::new(), dad: Dad::default() }
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
        let of = |i: &&Interface| i.parent.as_ref().is_some_and(|(parent, _)| *parent == index);
        self.by_index.values().filter(of).map(|i| i.index).collect()
    }

    /// Whether the operator wants it up, and its parent, too.
    pub fn is_enabled(&self, index: u32) -> bool {
        self.get(index).is_some_and(|i| {
            i.state == State::Up && i.parent.as_ref().is_none_or(|(parent, _)| self.is_enabled(*parent))
        })
    }

    /// What the device says; of a sub-interface, the parent's; of another one without a device, what control says.
    pub fn link(&self, index: u32) -> Link {
        match self.get(index) {
            Some(Interface { parent: Some((parent, _)), .. }) => self.link(*parent),
            Some(interface) => interface.link,
            None => Link::Missing,
        }
    }

    /// What its packets begin with in a capture.
    pub fn link_type(&self, index: u32) -> LinkType {
        self.get(index).map_or(LinkType::Ethernet, |interface| LinkType::of(&interface.driver))
    }

    /// Whether there may be others at the other end of its wire: who remember MAC addresses, and have addresses of their own.
    pub fn is_shared(&self, index: u32) -> bool {
        match self.get(index) {
            Some(Interface { parent: Some((parent, _)), .. }) => self.is_shared(*parent),
            Some(i) => matches!(
                i.driver,
                Driver::AfPacket(_) | Driver::Tap(_) | Driver::Bvi | Driver::Vxlan(_) | Driver::Bond(_)
            ),
            None => false,
        }
    }

    /// Whether these can hear something now: the device has its queues, or those of what is below have.
    pub fn has_listeners(&self, index: u32) -> bool {
        match self.get(index) {
            Some(Interface { parent: Some((parent, _)), .. }) => self.has_listeners(*parent),
            Some(i) => self.is_shared(index) && i.idle.is_empty() && !i.fresh,
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
        let of = |i: &&Interface| i.parent.as_ref().is_some_and(|(parent, _)| *parent == index) && i.state == State::Up;
        let subs = self.by_index.values().filter(of).filter_map(|i| Some((i.tags()?, i.index)));
        let mut sub_interfaces: Vec<_> = subs.collect();
        sub_interfaces.sort_unstable();
        let usable = |net: &Ipv6Net| self.dad.is_usable((index, net.addr()));
        let tentative = |net: &Ipv6Net| self.dad.state((index, net.addr())).is_some_and(|state| state.is_undecided());
        Some(forwarding::Interface {
            mac: self.mac(index),
            mtu: interface.mtu,
            table: interface.vrf.1,
            point_to_point: !interface.driver.has_ethernet(),
            addresses: interface.addresses4().map(|net| (net.addr(), net.prefix_len())).collect(),
            addresses6: interface.addresses6().filter(usable).map(|net| (net.addr(), net.prefix_len())).collect(),
            tentative: interface.addresses6().filter(tentative).map(|net| net.addr()).collect(),
            groups6: self.groups6(interface).into_iter().collect(),
            sub_interfaces,
            tags: interface.tags(),
            switched: interface.bridge.is_some(),
            proxied: Arc::clone(&interface.proxied),
            urpf: urpf::mode(interface.urpf),
            mss_clamp: mss_clamp::limit(interface.mss_clamp),
        })
    }

    /// The IPv6 multicast groups that an interface listens to: everyone, routers, and who asks for one of its addresses (RFC 4291
    /// section 2.8).
    pub fn groups6(&self, interface: &Interface) -> BTreeSet<Ipv6Addr> {
        let mut groups = BTreeSet::new();
        for net in interface.addresses6() {
            if self.dad.state((interface.index, net.addr())).is_some_and(|state| state != DadState::Duplicate) {
                groups.extend([nd::ALL_NODES, nd::ALL_ROUTERS, nd::solicited_node(net.addr())]);
                groups.extend(anycast(net).map(nd::solicited_node));
            }
        }
        groups
    }
}

impl Router {
    /// The features that are on for an interface, as `arc: node`.
    pub fn features_of(&self, interface: &Interface) -> Vec<String> {
        let features = self.engine.features_of(interface.index).into_iter();
        features.map(|(arc, node)| format!("{}: {node}", arc.as_str())).collect()
    }
}
