//! The adjacencies: one for each neighbour that a route or the neighbour table uses, one for each interface's unknown
//! neighbours (glean), and a few that stand for what is never sent. The only writer of
//! [`Tables::adjacencies`](millrace_graph_nodes::forwarding::Tables::adjacencies).

use millrace_engine::epoch::domain;
use millrace_graph_nodes::forwarding::{Forwarding, MAX_ADJACENCIES};
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_tables::indices::Indices;
use millrace_wire::{EtherType, Ethernet, IntoBytes, MacAddr, Vlan};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The adjacency of packets for the router itself.
pub const LOCAL: u32 = 1;
/// The adjacency of packets that are dropped in silence.
pub const BLACKHOLE: u32 = 2;
/// The adjacency of packets whose sender is told "host unreachable".
pub const UNREACHABLE: u32 = 3;
/// The adjacency of packets whose sender is told "administratively prohibited".
pub const PROHIBIT: u32 = 4;
const FIRST_FREE: u32 = 5;

/// What adjacencies have to know of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The source address of its frames.
    pub mac: MacAddr,
    /// The VLAN of a sub-interface.
    pub vlan: Option<u16>,
    /// The longest IP packet, in bytes.
    pub mtu: u16,
    /// Whether routes may lead through it.
    pub up: bool,
}

#[derive(Debug)]
struct Neighbor {
    index: u32,
    users: u32,
    mac: Option<MacAddr>,
}

/// See the module.
#[derive(Debug)]
pub struct Adjacencies {
    forwarding: Forwarding,
    indices: Indices,
    links: BTreeMap<u32, (Link, u32)>,
    neighbors: BTreeMap<(u32, Ipv4Addr), Neighbor>,
}

impl Adjacencies {
    /// Only those that are always there.
    pub fn new(forwarding: Forwarding) -> Adjacencies {
        let fixed = [
            (0, AdjacencyKind::Drop),
            (LOCAL, AdjacencyKind::Local),
            (BLACKHOLE, AdjacencyKind::Blackhole),
            (UNREACHABLE, AdjacencyKind::Unreachable),
            (PROHIBIT, AdjacencyKind::Prohibit),
        ];
        let new = Adjacencies {
            forwarding,
            indices: Indices::new(FIRST_FREE..MAX_ADJACENCIES),
            links: BTreeMap::new(),
            neighbors: BTreeMap::new(),
        };
        fixed.into_iter().for_each(|(index, kind)| new.publish(index, Adjacency::new(kind)));
        new
    }

    /// Adds an interface, or says what changed about it: all its adjacencies follow. False when no index is left.
    pub fn set_link(&mut self, interface: u32, link: Link) -> bool {
        let index = match self.links.get(&interface) {
            Some((old, _)) if *old == link => return true,
            Some((_, index)) => *index,
            None => match self.indices.allocate() {
                Some(index) => index,
                None => return false,
            },
        };
        self.links.insert(interface, (link, index));
        let glean = Adjacency { interface, mtu: link.mtu, ..Adjacency::new(AdjacencyKind::Glean) };
        self.publish(index, glean);
        for ((_, address), neighbor) in self.neighbors.range(of(interface)) {
            self.publish(neighbor.index, adjacency(interface, link, *address, neighbor.mac));
        }
        true
    }

    /// Takes an interface out. Nothing uses its adjacencies any more.
    pub fn remove_link(&mut self, interface: u32) {
        if let Some((_, index)) = self.links.remove(&interface) {
            self.indices.release(index);
        }
        let gone: Vec<_> = self.neighbors.range(of(interface)).map(|(key, _)| *key).collect();
        for key in gone {
            if let Some(neighbor) = self.neighbors.remove(&key) {
                self.indices.release(neighbor.index);
            }
        }
    }

    /// What is known of an interface.
    pub fn link(&self, interface: u32) -> Option<Link> {
        self.links.get(&interface).map(|(link, _)| *link)
    }

    /// Whether routes may lead through an interface.
    pub fn is_up(&self, interface: u32) -> bool {
        self.link(interface).is_some_and(|link| link.up)
    }

    /// The adjacency for destinations on an interface's subnets that are not known yet.
    pub fn glean(&self, interface: u32) -> Option<u32> {
        self.links.get(&interface).map(|(_, index)| *index)
    }

    /// The adjacency of a neighbour, made when there is none. To be [released](Self::release) as often. `None` when the
    /// interface is unknown or no index is left.
    pub fn acquire(&mut self, interface: u32, address: Ipv4Addr) -> Option<u32> {
        if let Some(neighbor) = self.neighbors.get_mut(&(interface, address)) {
            neighbor.users += 1;
            return Some(neighbor.index);
        }
        let link = self.link(interface)?;
        let index = self.indices.allocate()?;
        self.publish(index, adjacency(interface, link, address, None));
        self.neighbors.insert((interface, address), Neighbor { index, users: 1, mac: None });
        Some(index)
    }

    /// Gives up one use of a neighbour's adjacency.
    pub fn release(&mut self, interface: u32, address: Ipv4Addr) {
        let Some(neighbor) = self.neighbors.get_mut(&(interface, address)) else { return };
        neighbor.users -= 1;
        if neighbor.users == 0
            && let Some(neighbor) = self.neighbors.remove(&(interface, address))
        {
            self.indices.release(neighbor.index);
        }
    }

    /// Says which MAC address a neighbour has; `None`: it has to be asked for. Ignored when nobody uses the neighbour.
    pub fn set_mac(&mut self, interface: u32, address: Ipv4Addr, mac: Option<MacAddr>) {
        let Some(link) = self.link(interface) else { return };
        let Some(neighbor) = self.neighbors.get_mut(&(interface, address)) else { return };
        if neighbor.mac != mac {
            neighbor.mac = mac;
            let index = neighbor.index;
            self.publish(index, adjacency(interface, link, address, mac));
        }
    }

    /// Whether routes other than a known neighbour's own host route lead to it.
    pub fn is_next_hop(&self, interface: u32, address: Ipv4Addr) -> bool {
        self.neighbors.get(&(interface, address)).is_some_and(|n| n.users > u32::from(n.mac.is_some()))
    }

    /// How many adjacencies there are.
    pub fn count(&self) -> usize {
        FIRST_FREE as usize + self.links.len() + self.neighbors.len()
    }

    fn publish(&self, index: u32, adjacency: Adjacency) {
        // Every index comes from a range within the capacity.
        let _ = self.forwarding.adjacencies.set(&domain(), index, adjacency);
    }
}

/// The keys of an interface's neighbours.
fn of(interface: u32) -> std::ops::RangeInclusive<(u32, Ipv4Addr)> {
    (interface, Ipv4Addr::UNSPECIFIED)..=(interface, Ipv4Addr::BROADCAST)
}

/// The Ethernet header of frames on a link, with the tag of a sub-interface.
pub fn header(link: Link, to: MacAddr, what: EtherType) -> Vec<u8> {
    match link.vlan {
        None => Ethernet::new(to, link.mac, what).as_bytes().to_vec(),
        Some(vlan) => {
            [Ethernet::new(to, link.mac, EtherType::VLAN).as_bytes(), Vlan::new(vlan, what).as_bytes()].concat()
        }
    }
}

fn adjacency(interface: u32, link: Link, address: Ipv4Addr, mac: Option<MacAddr>) -> Adjacency {
    let next_hop = address.to_bits();
    mac.and_then(|mac| Adjacency::with_rewrite(interface, link.mtu, next_hop, &header(link, mac, EtherType::IPV4)))
        .unwrap_or(Adjacency { interface, mtu: link.mtu, next_hop, ..Adjacency::new(AdjacencyKind::Arp) })
}
