//! The adjacencies: one for each neighbour that a route or the neighbour table uses, one for each set of next hops with a single
//! one, one for each interface's unknown neighbours (glean), and a few that stand for what is never sent. The only writer of
//! [`Tables::adjacencies`](millrace_graph_nodes::forwarding::Tables::adjacencies) and of what finds link-local neighbours.
//!
//! What becomes known of a neighbour is published once for it, and once for each set of next hops that leads to it alone: O(sets),
//! however many routes they have.

use millrace_engine::epoch::domain;
use millrace_graph_nodes::forwarding::{Forwarding, MAX_ADJACENCIES};
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_tables::indices::Indices;
use millrace_wire::{EtherType, Ethernet, IntoBytes, MacAddr, Tags};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// The adjacency of packets for the router itself.
pub const LOCAL: u32 = 1;
/// The adjacency of packets that are dropped in silence.
pub const BLACKHOLE: u32 = 2;
/// The adjacency of packets whose sender is told "host unreachable".
pub const UNREACHABLE: u32 = 3;
/// The adjacency of packets whose sender is told "administratively prohibited".
pub const PROHIBIT: u32 = 4;
/// The adjacency of packets to link-local addresses.
pub const LINK_LOCAL: u32 = 5;
const FIRST_FREE: u32 = 6;

/// What adjacencies have to know of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The source address of its frames.
    pub mac: MacAddr,
    /// The tags of a sub-interface's frames.
    pub tags: Option<Tags>,
    /// The longest IP packet, in bytes.
    pub mtu: u16,
    /// Whether routes may lead through it.
    pub up: bool,
    /// Whether there is no Ethernet on it and one station at its other end: all that is sent by it gets there.
    pub point_to_point: bool,
}

#[derive(Debug)]
struct Neighbor {
    index: u32,
    users: u32,
    mac: Option<MacAddr>,
    /// Its MAC address is in use, and not known to be right any more.
    stale: bool,
    /// It was known, and is not any more: where there is a choice, others are taken until it is heard.
    lost: bool,
    /// Adjacencies of others that are always the same as this one.
    copies: BTreeSet<u32>,
}

/// See the module.
#[derive(Debug)]
pub struct Adjacencies {
    forwarding: Forwarding,
    indices: Indices,
    links: BTreeMap<u32, (Link, u32)>,
    neighbors: BTreeMap<(u32, IpAddr), Neighbor>,
    slots: usize,
    /// Interfaces whose link-local neighbours are others than the packet path finds.
    unpublished: BTreeSet<u32>,
    /// Indices that it still finds there, to be given back.
    released: Vec<u32>,
    /// The tables that packets can be looked up in.
    tables: BTreeSet<u32>,
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
            (LINK_LOCAL, AdjacencyKind::LinkLocal),
        ];
        let new = Adjacencies {
            forwarding,
            indices: Indices::new(FIRST_FREE..MAX_ADJACENCIES),
            links: BTreeMap::new(),
            neighbors: BTreeMap::new(),
            slots: 0,
            unpublished: BTreeSet::new(),
            released: Vec::new(),
            tables: BTreeSet::new(),
        };
        fixed.into_iter().for_each(|(index, kind)| new.publish(index, Adjacency::new(kind)));
        new
    }

    /// Adds an interface, or says what changed about it: all its adjacencies follow. False when no index is left.
    pub fn set_link(&mut self, interface: u32, link: Link) -> bool {
        let (old, index) = match self.links.get(&interface) {
            Some((old, index)) => (Some(*old), *index),
            None => match self.indices.allocate() {
                Some(index) => (None, index),
                None => return false,
            },
        };
        self.links.insert(interface, (link, index));
        if link.up && old.is_some_and(|old| !old.up) {
            // Its neighbours went with it, and have to be asked for, by what is sent to them.
            self.neighbors.range_mut(of(interface)).for_each(|(_, neighbor)| neighbor.lost = false);
        }
        // Whether it is up is no part of an adjacency.
        if old.is_some_and(|old| Link { up: link.up, ..old } == link) {
            return true;
        }
        // Of both families: a packet's destination says for itself which it is.
        let kind = if link.point_to_point { AdjacencyKind::PointToPoint } else { AdjacencyKind::Glean };
        self.publish(index, Adjacency { interface, mtu: link.mtu, ..Adjacency::new(kind) });
        let _ = self.forwarding.gleans6.set(&domain(), interface, index);
        for ((_, address), neighbor) in self.neighbors.range(of(interface)) {
            self.publish_neighbor(interface, link, *address, neighbor);
        }
        true
    }

    /// Takes an interface out. Nothing uses its adjacencies any more.
    pub fn remove_link(&mut self, interface: u32) {
        if let Some((_, index)) = self.links.remove(&interface) {
            self.forwarding.gleans6.clear(&domain(), interface);
            self.forwarding.link_locals.clear(&domain(), interface);
            self.unpublished.remove(&interface);
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

    /// Says whether packets can be looked up in a table. Slots that lead to it are not touched.
    pub fn set_table(&mut self, table: u32, there: bool) {
        if there {
            self.tables.insert(table);
        } else {
            self.tables.remove(&table);
        }
    }

    /// The adjacency of a neighbour, made when there is none. To be [released](Self::release) as often. `None` when the
    /// interface is unknown or no index is left.
    pub fn acquire(&mut self, interface: u32, address: IpAddr) -> Option<u32> {
        if let Some(neighbor) = self.neighbors.get_mut(&(interface, address)) {
            neighbor.users += 1;
            return Some(neighbor.index);
        }
        let link = self.link(interface)?;
        let index = self.indices.allocate()?;
        let neighbor = Neighbor { index, users: 1, mac: None, stale: false, lost: false, copies: BTreeSet::new() };
        self.publish_neighbor(interface, link, address, &neighbor);
        self.neighbors.insert((interface, address), neighbor);
        Some(index)
    }

    /// Gives up one use of a neighbour's adjacency.
    pub fn release(&mut self, interface: u32, address: IpAddr) {
        let Some(neighbor) = self.neighbors.get_mut(&(interface, address)) else { return };
        neighbor.users -= 1;
        if neighbor.users == 0
            && let Some(neighbor) = self.neighbors.remove(&(interface, address))
        {
            // Nobody else may have an index that the packet path still finds.
            match is_link_local(address) && self.unpublished.contains(&interface) {
                true => self.released.push(neighbor.index),
                false => self.indices.release(neighbor.index),
            }
        }
    }

    /// Says which MAC address a neighbour has; `None`: it has to be asked for. Ignored when nobody uses the neighbour.
    pub fn set_mac(&mut self, interface: u32, address: IpAddr, mac: Option<MacAddr>) {
        self.change(interface, address, |neighbor| {
            (neighbor.mac, neighbor.stale, neighbor.lost) = (mac, false, mac.is_none());
        });
    }

    /// Says whether the packet path is to tell when it uses a neighbour's MAC address. Ignored when nobody uses the neighbour.
    pub fn set_stale(&mut self, interface: u32, address: IpAddr, stale: bool) {
        self.change(interface, address, |neighbor| neighbor.stale = stale);
    }

    fn change(&mut self, interface: u32, address: IpAddr, change: impl FnOnce(&mut Neighbor)) {
        let Some(link) = self.link(interface) else { return };
        let Some(neighbor) = self.neighbors.get_mut(&(interface, address)) else { return };
        let old = (neighbor.mac, neighbor.stale);
        change(neighbor);
        if old == (neighbor.mac, neighbor.stale) {
            return;
        }
        let known = (old.0.is_some(), neighbor.mac.is_some());
        if let Some(neighbor) = self.neighbors.get(&(interface, address)) {
            self.publish_neighbor(interface, link, address, neighbor);
        }
        if known.0 != known.1 && is_link_local(address) {
            self.unpublished.insert(interface);
        }
    }

    /// Lets the packet path find the known neighbours that no route leads to: O(those), so once after many of them changed. Whoever
    /// makes new ones up as fast as the line goes makes work in proportion to the messages, and garbage in proportion to the calls.
    pub fn publish_link_locals(&mut self) {
        for interface in std::mem::take(&mut self.unpublished) {
            self.publish_link_locals_of(interface);
        }
        self.released.drain(..).for_each(|index| self.indices.release(index));
    }

    fn publish_link_locals_of(&self, interface: u32) {
        let all = self.neighbors.range((interface, LINK_LOCALS.0.into())..=(interface, LINK_LOCALS.1.into()));
        let known = all.filter(|(_, neighbor)| neighbor.mac.is_some()).filter_map(|((_, address), neighbor)| {
            let IpAddr::V6(address) = address else { return None };
            Some((address.to_bits(), neighbor.index))
        });
        let _ = self.forwarding.link_locals.set(&domain(), interface, known.collect());
    }

    /// Whether a neighbour was known once, and can't be found any more.
    pub fn is_lost(&self, interface: u32, address: IpAddr) -> bool {
        self.neighbors.get(&(interface, address)).is_some_and(|neighbor| neighbor.lost)
    }

    /// Whether routes other than a known neighbour's own host route lead to it.
    pub fn is_next_hop(&self, interface: u32, address: IpAddr) -> bool {
        self.neighbors.get(&(interface, address)).is_some_and(|n| n.users > u32::from(n.mac.is_some()))
    }

    /// Whether a neighbour's MAC address is known.
    pub fn is_known(&self, interface: u32, address: IpAddr) -> bool {
        self.neighbors.get(&(interface, address)).is_some_and(|neighbor| neighbor.mac.is_some())
    }

    /// A new adjacency that leads nowhere at first. `None` when no index is left.
    pub fn add_slot(&mut self) -> Option<u32> {
        let slot = self.indices.allocate()?;
        self.slots += 1;
        self.publish(slot, Adjacency::new(AdjacencyKind::Drop));
        Some(slot)
    }

    /// Gives up what [`add_slot`](Self::add_slot) gave. It is no [copy](Self::copy) any more.
    pub fn remove_slot(&mut self, slot: u32) {
        self.slots -= 1;
        self.indices.release(slot);
    }

    /// Leads a slot nowhere.
    pub fn lead_nowhere(&self, slot: u32) {
        self.publish(slot, Adjacency::new(AdjacencyKind::Drop));
    }

    /// Leads a slot to a load-balance.
    pub fn lead_to_balance(&self, slot: u32, index: u32) {
        self.publish(slot, Adjacency { index, ..Adjacency::new(AdjacencyKind::Balance) });
    }

    /// Leads a slot to another table. False, and it leads nowhere, if there is none of that number.
    pub fn lead_to_table(&self, slot: u32, table: u32) -> bool {
        let there = self.tables.contains(&table);
        let adjacency = Adjacency { index: table, ..Adjacency::new(AdjacencyKind::Table) };
        self.publish(slot, if there { adjacency } else { Adjacency::new(AdjacencyKind::Drop) });
        there
    }

    /// Makes a slot the same as a neighbour's adjacency, until [`part`](Self::part). False if there is no such neighbour.
    pub fn copy(&mut self, interface: u32, address: IpAddr, slot: u32) -> bool {
        let Some(link) = self.link(interface) else { return false };
        let Some(neighbor) = self.neighbors.get_mut(&(interface, address)) else { return false };
        neighbor.copies.insert(slot);
        let adjacency = adjacency(interface, link, address, neighbor);
        self.publish(slot, adjacency);
        true
    }

    /// Ends that a slot follows a neighbour; it stays as it is.
    pub fn part(&mut self, interface: u32, address: IpAddr, slot: u32) {
        if let Some(neighbor) = self.neighbors.get_mut(&(interface, address)) {
            neighbor.copies.remove(&slot);
        }
    }

    /// How many adjacencies there are. O(1).
    pub fn count(&self) -> usize {
        FIRST_FREE as usize + self.links.len() + self.neighbors.len() + self.slots
    }

    fn publish_neighbor(&self, interface: u32, link: Link, address: IpAddr, neighbor: &Neighbor) {
        let adjacency = adjacency(interface, link, address, neighbor);
        self.publish(neighbor.index, adjacency);
        neighbor.copies.iter().for_each(|slot| self.publish(*slot, adjacency));
    }

    fn publish(&self, index: u32, adjacency: Adjacency) {
        // Every index comes from a range within the capacity.
        let _ = self.forwarding.adjacencies.set(&domain(), index, adjacency);
    }
}

/// The first and the last link-local address.
const LINK_LOCALS: (Ipv6Addr, Ipv6Addr) = (
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
    Ipv6Addr::new(0xfebf, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff),
);

/// Whether an address means something on its own link only, and no route leads to it.
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// The keys of an interface's neighbours.
fn of(interface: u32) -> RangeInclusive<(u32, IpAddr)> {
    (interface, IpAddr::V4(Ipv4Addr::UNSPECIFIED))..=(interface, IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)))
}

/// The Ethernet header of frames on a link, with the tags of a sub-interface; nothing on a point-to-point link.
pub fn header(link: Link, to: MacAddr, what: EtherType) -> Vec<u8> {
    match link.tags {
        _ if link.point_to_point => Vec::new(),
        None => Ethernet::new(to, link.mac, what).as_bytes().to_vec(),
        Some(tags) => tags.header(to, link.mac, what).into_iter().take(Ethernet::LEN + tags.len()).collect(),
    }
}

fn adjacency(interface: u32, link: Link, address: IpAddr, neighbor: &Neighbor) -> Adjacency {
    let (next_hop, what) = match address {
        IpAddr::V4(address) => (address.to_bits().into(), EtherType::IPV4),
        IpAddr::V6(address) => (address.to_bits(), EtherType::IPV6),
    };
    // Whoever is at the other end needs no MAC address.
    let mac = if link.point_to_point { Some(MacAddr::ZERO) } else { neighbor.mac };
    let header = mac.map(|mac| header(link, mac, what));
    let kind = if neighbor.stale { AdjacencyKind::Stale } else { AdjacencyKind::Rewrite };
    header
        .and_then(|header| Adjacency::with_rewrite(interface, link.mtu, next_hop, &header))
        .map(|adjacency| Adjacency { kind, ..adjacency })
        .unwrap_or(Adjacency { interface, mtu: link.mtu, next_hop, ..Adjacency::new(AdjacencyKind::Arp) })
}
