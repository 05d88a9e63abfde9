//! What the neighbour table wants is done here: questions are sent, by ARP or by neighbour discovery, and forwarding learns who is
//! where.

use super::Router;
use super::events::Severity;
use super::ip6::packets;
use super::neighbors::{Action, Key, State};
use super::routes::adjacencies::header;
use millrace_engine::NodeName;
use millrace_engine::pool::Meta;
use millrace_graph_nodes::neighbor_events::{HeardKind, NeighborEvent};
use millrace_graph_nodes::{interface, ip, marks};
use millrace_wire::{Arp, EtherType, IntoBytes, MacAddr};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Events taken in at once, so that others have their turn.
const EVENTS_AT_ONCE: usize = 1024;

impl Router {
    /// Takes in what the packet path heard and wants.
    pub(super) fn collect_neighbors(&mut self, now: Instant) {
        let mut actions = Vec::new();
        let mut left = EVENTS_AT_ONCE;
        while left > 0
            && let Some(event) = self.neighbor_events.pop()
        {
            actions.extend(self.neighbor_event(event, now));
            left -= 1;
        }
        self.act(actions);
        if left == 0 {
            self.control.wake();
        }
    }

    fn neighbor_event(&mut self, event: NeighborEvent, now: Instant) -> Vec<Action> {
        // Interfaces may have gone away meanwhile.
        let is_up = |interface: u32| self.interfaces.is_up(interface);
        match event {
            NeighborEvent::Wanted { interface, address } if is_up(interface) => {
                // Whether an address is our own will be known in a moment.
                match self.is_undecided(interface, address) {
                    true => Vec::new(),
                    false => self.neighbors.wanted((interface, address), now),
                }
            }
            NeighborEvent::Heard { interface, address, mac, kind } if is_up(interface) => {
                self.neighbors.heard((interface, address), mac, kind, now)
            }
            NeighborEvent::Used { interface, address } => self.neighbors.used((interface, address), now),
            NeighborEvent::Duplicate { interface, address } => {
                self.duplicate(interface, address, now);
                Vec::new()
            }
            NeighborEvent::RemoteHeard { interface, address } => {
                self.remote_heard(interface, address, now);
                Vec::new()
            }
            NeighborEvent::RouterSolicited { interface, from, mac } if is_up(interface) => {
                self.ip6.advertisers.solicited(interface, now);
                match mac {
                    Some(mac) if !from.is_unspecified() => {
                        self.neighbors.heard((interface, from.into()), mac, HeardKind::Request, now)
                    }
                    _ => Vec::new(),
                }
            }
            NeighborEvent::ListenerQueried { interface, group, max_delay_ms } => {
                let longest = Duration::from_millis(max_delay_ms.into());
                self.ip6.listeners.queried(interface, group, longest, now);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn is_undecided(&self, interface: u32, address: IpAddr) -> bool {
        let IpAddr::V6(address) = address else { return false };
        self.interfaces.dad.state((interface, address)).is_some_and(|state| state.is_undecided())
    }

    /// Lets the neighbour table do what is due.
    pub(super) fn run_neighbors(&mut self, now: Instant) {
        let Router { neighbors, routes, .. } = self;
        let adjacencies = routes.adjacencies();
        let in_use = |(interface, address): Key| adjacencies.is_next_hop(interface, address);
        let actions = neighbors.run(now, in_use);
        self.act(actions);
    }

    /// Does what the neighbour table says.
    pub(super) fn act(&mut self, actions: Vec<Action>) {
        if actions.is_empty() {
            return;
        }
        let mut changed = false;
        let mut more = Vec::new();
        for action in actions {
            match action {
                Action::Ask((interface, address), to) => self.ask(interface, address, to),
                Action::Known((interface, address), mac) => {
                    let table = self.interfaces.get(interface).map_or(0, |i| i.vrf.1);
                    if let Err(error) = self.routes.neighbor_known(table, interface, address, mac) {
                        tracing::warn!(%address, %error, "a neighbour can't be reached");
                    }
                    changed = true;
                }
                Action::Stale((interface, address), stale) => self.routes.neighbor_stale(interface, address, stale),
                Action::Unknown((interface, address)) => {
                    let table = self.interfaces.get(interface).map_or(0, |i| i.vrf.1);
                    self.routes.neighbor_unknown(table, interface, address);
                    // What is sent may go to other next hops now, and nobody else would ask for it.
                    let adjacencies = self.routes.adjacencies();
                    if adjacencies.is_up(interface) && adjacencies.is_next_hop(interface, address) {
                        more.extend(self.neighbors.wanted((interface, address), Instant::now()));
                    }
                    changed = true;
                }
                // Whoever scans a subnet makes no events; a next hop that is gone does.
                Action::Failed((interface, address)) => {
                    let name = self.interfaces.name(interface);
                    tracing::debug!(%address, interface = name, "a neighbour doesn't answer");
                    if self.routes.adjacencies().is_next_hop(interface, address) {
                        let source = format!("neighbor {address}");
                        self.events.add(Severity::Warning, source, format!("no answer on {name}; routes lead there"));
                    }
                }
            }
        }
        if changed {
            self.routes.publish_link_locals();
            self.engine.tables_changed();
        }
        self.act(more);
        // The loop has to look at the timers again.
        self.control.wake();
    }

    /// Asks for a neighbour: everyone, or the one who had the address last.
    fn ask(&mut self, index: u32, address: IpAddr, to: Option<MacAddr>) {
        let Some(interface) = self.interfaces.forwarded(index) else { return };
        match address {
            IpAddr::V4(address) => {
                let Some(source) = interface.source_for(address) else { return };
                let arp = Arp::request((interface.mac, source), address);
                self.send_arp(index, &arp, to.unwrap_or(MacAddr::BROADCAST));
            }
            IpAddr::V6(address) => {
                // RFC 4861 section 7.2.2: any address of the interface will do, and the link-local one always does.
                let source = interface.source_for6(address).or_else(|| interface.link_local());
                let Some(source) = source else { return };
                let (to, packet) = packets::solicitation((interface.mac, source), address, to);
                self.send_frame(index, to, EtherType::IPV6, &packet);
            }
        }
    }

    /// Announces all addresses of an interface that is up, and of its sub-interfaces (RFC 5227 section 2.3, RFC 4861 section 7.2.6),
    /// also those that it answers for. IPv6 addresses that may be somebody else's are probed for first.
    pub(super) fn announce(&mut self, index: u32) {
        let addresses: Vec<_> = self.interfaces.get(index).into_iter().flat_map(|i| i.addresses4()).collect();
        addresses.iter().for_each(|net| self.announce_address(index, net.addr()));
        self.announce_again_nat44(index);
        self.announce6(index);
        self.interfaces.children(index).into_iter().for_each(|child| self.announce(child));
    }

    /// Announces an address, so that neighbours who remember another MAC address for it learn better.
    pub(super) fn announce_address(&mut self, index: u32, address: Ipv4Addr) {
        if !self.interfaces.has_listeners(index) {
            return;
        }
        let arp = Arp::request((self.interfaces.mac(index), address), address);
        self.send_arp(index, &arp, MacAddr::BROADCAST);
    }

    fn send_arp(&self, index: u32, arp: &Arp, to: MacAddr) {
        self.send_frame(index, to, EtherType::ARP, arp.as_bytes());
    }

    /// Sends a packet of the router's own to a station or group on an interface that is up.
    pub(super) fn send_frame(&self, index: u32, to: MacAddr, what: EtherType, packet: &[u8]) {
        let Some(link) = self.routes.adjacencies().link(index).filter(|link| link.up) else { return };
        let frame = [header(link, to, what).as_slice(), packet].concat();
        self.inject(interface::output::NAME, &frame, |meta| meta.tx_interface = index);
    }

    /// Forgets a neighbour that was learnt. False when there is none.
    pub fn forget_neighbor(&mut self, key: Key) -> bool {
        let learnt = self.neighbors.get(key).is_some_and(|neighbor| neighbor.state != State::Static);
        if learnt {
            let actions = self.neighbors.remove(key).into_iter().collect();
            self.act(actions);
        }
        learnt
    }

    /// Forgets all neighbours that were learnt.
    pub fn clear_neighbors(&mut self) {
        let actions = self.neighbors.clear(None);
        self.act(actions);
    }

    /// Sends an IPv4 packet of the router's own where a table says.
    pub fn send_own(&self, table: u32, packet: &[u8]) -> bool {
        self.inject(ip::lookup::NAME4, packet, |meta| {
            meta.table = table;
            meta.marks = marks::OWN;
        })
    }

    /// Sends an IPv6 packet of the router's own where a table says; one to an address of a link, on that interface.
    pub fn send_own6(&self, table: u32, link: Option<u32>, packet: &[u8]) -> bool {
        self.inject(ip::lookup::NAME6, packet, |meta| {
            meta.table = table;
            meta.marks = marks::OWN;
            meta.tx_interface = link.unwrap_or(0);
        })
    }

    /// Sends an IPv6 packet of the router's own to a multicast group on an interface.
    pub fn send_multicast6(&self, index: u32, group: Ipv6Addr, packet: &[u8]) {
        self.send_frame(index, millrace_wire::nd::multicast_mac(group), EtherType::IPV6, packet);
    }

    /// Sends a packet of the router's own into a node. False when there is no buffer for it.
    pub(super) fn inject(&self, node: NodeName, bytes: &[u8], set: impl FnOnce(&mut Meta)) -> bool {
        let pool = self.engine.pool();
        let Some(mut buffer) = pool.alloc() else { return false };
        if !buffer.append(bytes, || pool.alloc()) {
            return false;
        }
        let mut packet = buffer.packet();
        packet.mark_l3();
        set(packet.meta);
        self.engine.inject(node, buffer)
    }
}
