//! What the neighbour table wants is done here: questions are sent, and forwarding learns who is where.

use super::Router;
use super::events::Severity;
use super::neighbors::{Action, Key, State};
use super::routes::adjacencies::header;
use millrace_engine::NodeName;
use millrace_graph_nodes::arp::ArpEvent;
use millrace_graph_nodes::{interface, ip4, marks};
use millrace_wire::{Arp, EtherType, IntoBytes, MacAddr};
use std::net::Ipv4Addr;
use std::time::Instant;

impl Router {
    /// Takes in what the packet path heard and wants.
    pub(super) fn collect_arp(&mut self, now: Instant) {
        while let Some(event) = self.arp.pop() {
            let actions = match event {
                ArpEvent::Wanted { interface, address } if self.interfaces.is_up(interface) => {
                    self.neighbors.wanted((interface, address), now)
                }
                ArpEvent::Heard { interface, address, mac, kind } if self.interfaces.is_up(interface) => {
                    self.neighbors.heard((interface, address), mac, kind, now)
                }
                // The interface went away meanwhile.
                _ => continue,
            };
            self.act(actions);
        }
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
                Action::Unknown((interface, address)) => {
                    let table = self.interfaces.get(interface).map_or(0, |i| i.vrf.1);
                    self.routes.neighbor_unknown(table, interface, address);
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
            self.engine.tables_changed();
        }
        // The loop has to look at the timers again.
        self.control.wake();
    }

    /// Asks for a neighbour: everyone, or the one who had the address last.
    fn ask(&mut self, index: u32, address: Ipv4Addr, to: Option<MacAddr>) {
        let source = self.interfaces.forwarded(index).and_then(|i| i.source_for(address));
        let Some(source) = source else { return };
        let arp = Arp::request((self.interfaces.mac(index), source), address);
        self.send_arp(index, &arp, to.unwrap_or(MacAddr::BROADCAST));
    }

    /// Announces all addresses of an interface that is up, and of its sub-interfaces (RFC 5227 section 2.3), also those that it
    /// answers for.
    pub(super) fn announce(&mut self, index: u32) {
        let addresses = self.interfaces.get(index).map(|i| i.addresses.clone()).unwrap_or_default();
        addresses.iter().for_each(|net| self.announce_address(index, net.addr()));
        self.announce_again_nat44(index);
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

    fn send_arp(&mut self, index: u32, arp: &Arp, to: MacAddr) {
        let Some(link) = self.routes.adjacencies().link(index).filter(|link| link.up) else { return };
        let frame = [header(link, to, EtherType::ARP).as_slice(), arp.as_bytes()].concat();
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
        self.inject(ip4::lookup::NAME, packet, |meta| {
            meta.table = table;
            meta.marks = marks::OWN;
        })
    }

    /// Sends a packet of the router's own into a node. False when there is no buffer for it.
    pub(super) fn inject(
        &self,
        node: NodeName,
        bytes: &[u8],
        set: impl FnOnce(&mut millrace_engine::pool::Meta),
    ) -> bool {
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
