//! What IPv6 asks of a router besides forwarding: addresses that are nobody else's, a link-local one by itself, advertisements to
//! hosts, and the groups that it listens to. The parts are pure state machines; what they want is done here.
//!
//! | file | what |
//! |---|---|
//! | `dad` | duplicate address detection |
//! | `advertise` `advertisement` | router advertisements: when, and what they say |
//! | `listener` | multicast groups, told by MLDv2 |
//! | `packets` | solicitations, announcements, reports |

pub mod advertise;
pub mod advertisement;
pub mod dad;
pub mod listener;
pub mod packets;
pub mod random;
#[cfg(test)]
mod tests;

use super::Router;
use super::events::Severity;
use super::interfaces::{anycast, link_local_net};
use super::routes::{Origin, Path, Source, host};
use advertise::Advertisers;
use advertisement::advertisement;
use dad::{Action, Heard};
use ipnet::Ipv6Net;
use listener::Listeners;
use millrace_config::RouterAdvertisements;
use millrace_engine::epoch::domain;
use millrace_wire::{EtherType, MacAddr, nd};
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the last words of an interface are waited for.
const PATIENCE: Duration = Duration::from_millis(20);

/// What runs by the clock; duplicate address detection is with the [interfaces](super::interfaces::Interfaces::dad).
#[derive(Debug, Default)]
pub struct Ip6 {
    /// Interfaces that advertise.
    pub advertisers: Advertisers,
    /// Multicast groups.
    pub listeners: Listeners,
}

impl Router {
    /// Does what is due.
    pub(super) fn run_ip6(&mut self, now: Instant) {
        let actions = self.interfaces.dad.run(now);
        self.act6(actions, now);
        for index in self.ip6.advertisers.run(now) {
            self.advertise(index, false);
        }
        self.report_groups(now);
    }

    /// When [`run_ip6`](Self::run_ip6) has something to do next.
    pub(super) fn next_ip6(&self) -> Option<Instant> {
        let Ip6 { advertisers, listeners } = &self.ip6;
        [self.interfaces.dad.next(), advertisers.next(), listeners.next()].into_iter().flatten().min()
    }

    /// Gives an interface one more address. It is used at once where nobody else can have it, else when that was found out.
    pub(super) fn add_address6(&mut self, index: u32, net: Ipv6Net) {
        let shared = self.interfaces.is_shared(index);
        self.interfaces.dad.add((index, net.addr()), shared);
        if !shared {
            self.usable(index, net.addr());
        }
    }

    /// Takes an address away.
    pub(super) fn remove_address6(&mut self, index: u32, net: Ipv6Net) {
        self.set_own_routes(index, net, false);
        self.interfaces.dad.remove((index, net.addr()));
    }

    /// Gives an interface the link-local address that goes with its settings and MAC address (RFC 4291 section 2.8 has every
    /// interface have one), and lets everything else follow. To be called when any of these changed.
    pub(super) fn follow_ip6(&mut self, index: u32) {
        let mac = self.interfaces.mac(index);
        let Some(interface) = self.interfaces.get_mut(index) else { return };
        let speaks = interface.configured6().next().is_some() || interface.router_advertisements.is_some();
        let given = interface.configured6().any(|net| net.addr().is_unicast_link_local());
        let wanted = (speaks && !given && mac != MacAddr::ZERO).then(|| nd::link_local(mac));
        let old = interface.link_local;
        if old != wanted {
            interface.link_local = wanted;
            old.into_iter().for_each(|address| self.remove_address6(index, link_local_net(address)));
            wanted.into_iter().for_each(|address| self.add_address6(index, link_local_net(address)));
        }
        self.publish(index);
        self.begin6(index);
    }

    /// Announces the IPv6 addresses of an interface that is up, and probes for those that may be somebody else's.
    pub(super) fn announce6(&mut self, index: u32) {
        if self.interfaces.has_listeners(index) {
            let addresses: Vec<_> = self.interfaces.get(index).into_iter().flat_map(|i| i.addresses6()).collect();
            let usable = |net: &&Ipv6Net| self.interfaces.dad.is_usable((index, net.addr()));
            addresses.iter().filter(usable).for_each(|net| self.announce_address6(index, net.addr()));
        }
        self.begin6(index);
    }

    /// The link of an interface is down: nothing is known of it any more.
    pub(super) fn suspend6(&mut self, index: u32) {
        self.ip6.advertisers.stop(index);
        self.ip6.listeners.forget(index);
        if !self.interfaces.is_shared(index) {
            return;
        }
        let addresses: Vec<_> = self.interfaces.get(index).into_iter().flat_map(|i| i.addresses6()).collect();
        self.interfaces.dad.suspend(index);
        addresses.into_iter().for_each(|net| self.set_own_routes(index, net, false));
        self.publish(index);
    }

    /// An interface goes: hosts are told, as far as they can be.
    pub(super) fn forget6(&mut self, index: u32) {
        self.stop_advertising(index);
        self.ip6.listeners.forget(index);
        if let Some(address) = self.interfaces.get_mut(index).and_then(|i| i.link_local.take()) {
            self.remove_address6(index, link_local_net(address));
        }
    }

    /// Somebody else has an address of ours, or is about to take it.
    pub(super) fn duplicate(&mut self, index: u32, address: Ipv6Addr, now: Instant) {
        let name = self.interfaces.name(index);
        let source = format!("interface {name}");
        match self.interfaces.dad.heard((index, address), now) {
            Some(Heard::Duplicate) => {
                self.tell(Severity::Error, source, format!("another station has {address}: it is not used"));
                self.publish(index);
                self.follow_groups(index, now);
            }
            Some(Heard::Conflict) => {
                self.tell(Severity::Warning, source, format!("another station claims {address}, which is in use here"));
            }
            None => {}
        }
    }

    /// Sets what an interface tells the hosts on its link.
    pub(super) fn set_router_advertisements(&mut self, index: u32, told: Option<RouterAdvertisements>) {
        if told.is_none() {
            self.stop_advertising(index);
        }
        if let Some(interface) = self.interfaces.get_mut(index) {
            interface.router_advertisements = told;
        }
        self.follow_ip6(index);
        self.start_advertising(index, Instant::now());
    }

    /// Tells all hosts that the router is no way out any more.
    pub(super) fn end_advertising(&mut self) {
        self.ip6.advertisers.list().into_iter().for_each(|index| self.stop_advertising(index));
    }

    /// Begins with what waits for the interface to be up and heard.
    fn begin6(&mut self, index: u32) {
        if !self.interfaces.is_up(index) || !self.interfaces.has_listeners(index) {
            return;
        }
        let now = Instant::now();
        let actions = self.interfaces.dad.begin(index, now);
        self.publish(index);
        // RFC 4862 section 5.4.2: the group comes before the probe, or a switch keeps the answer away.
        self.follow_groups(index, now);
        self.act6(actions, now);
        let link_local = self.link_local(index);
        if link_local.is_some() && !self.ip6.advertisers.advertises(index) {
            self.start_advertising(index, now);
        }
    }

    fn act6(&mut self, actions: Vec<Action>, now: Instant) {
        for action in actions {
            match action {
                Action::Probe((index, address)) => {
                    let (to, packet) = packets::probe(address);
                    self.send_frame(index, to, EtherType::IPV6, &packet);
                }
                Action::Usable((index, address)) => {
                    self.usable(index, address);
                    self.announce_address6(index, address);
                    if address.is_unicast_link_local() {
                        self.ip6.listeners.tell_again(index, now);
                        self.start_advertising(index, now);
                    }
                }
            }
        }
        self.control.wake();
    }

    /// An address is known to be nobody else's.
    fn usable(&mut self, index: u32, address: Ipv6Addr) {
        self.publish(index);
        let net = self.interfaces.get(index).and_then(|i| i.addresses6().find(|net| net.addr() == address));
        if let Some(net) = net {
            self.set_own_routes(index, net, true);
            self.engine.tables_changed();
        }
    }

    /// Leads an address, and its subnet's anycast address, to the router or no longer. Those of a link need no route.
    fn set_own_routes(&mut self, index: u32, net: Ipv6Net, own: bool) {
        let table = self.interfaces.get(index).map_or(0, |i| i.vrf.1);
        let source = Source(Origin::Connected, net.addr().to_bits());
        let addresses = Some(net.addr()).filter(|address| !address.is_unicast_link_local());
        for address in addresses.into_iter().chain(anycast(net)) {
            if !own {
                self.routes.unset(table, host(address.into()), source);
            } else if let Err(error) = self.routes.set(table, host(address.into()), source, Path::Local(index)) {
                tracing::warn!(%address, %error, "an address can't be used");
            }
        }
    }

    fn announce_address6(&self, index: u32, address: Ipv6Addr) {
        let (to, packet) = packets::announcement(self.interfaces.mac(index), address);
        self.send_frame(index, to, EtherType::IPV6, &packet);
    }

    /// Tells the link of the groups that an interface listens to now.
    fn follow_groups(&mut self, index: u32, now: Instant) {
        let groups = self.interfaces.get(index).map(|i| self.interfaces.groups6(i)).unwrap_or_default();
        self.ip6.listeners.set(index, groups, now);
        self.report_groups(now);
        self.control.wake();
    }

    fn report_groups(&mut self, now: Instant) {
        for (index, records) in self.ip6.listeners.run(now) {
            // RFC 3590: without an address of its own yet, from nobody.
            let source = self.link_local(index).unwrap_or(Ipv6Addr::UNSPECIFIED);
            for (to, packet) in packets::reports(source, &records) {
                self.send_frame(index, to, EtherType::IPV6, &packet);
            }
        }
    }

    /// The link-local address that an interface may use.
    fn link_local(&self, index: u32) -> Option<Ipv6Addr> {
        self.interfaces.forwarded(index)?.link_local()
    }

    /// Begins to advertise, or begins anew because something changed.
    pub(super) fn start_advertising(&mut self, index: u32, now: Instant) {
        let ready = self.interfaces.is_up(index) && self.interfaces.has_listeners(index);
        let told = self.interfaces.get(index).and_then(|i| i.router_advertisements.as_ref());
        if let Some(told) = told.filter(|_| ready)
            && self.link_local(index).is_some()
        {
            self.ip6.advertisers.start(index, (told.min_interval(), told.interval.0), now);
            self.control.wake();
        }
    }

    /// Ends to advertise, with a last advertisement that says so (RFC 4861 section 6.2.5).
    pub(super) fn stop_advertising(&mut self, index: u32) {
        if self.ip6.advertisers.stop(index) {
            self.advertise(index, true);
            self.let_leave();
        }
    }

    /// Returns when what was sent has left, in microseconds; a worker that hangs is not waited for.
    fn let_leave(&self) {
        let deadline = Instant::now() + PATIENCE;
        // One turn takes it in and sends it, or hands it to the worker that has the device, which takes another.
        for _ in 0..2 {
            for worker in 0..self.engine.workers() {
                let _ = self.engine.run_on(worker, || ());
            }
            // A worker is done with its turn when it is done with all that was retired before.
            let turn = Arc::new(());
            let ended = Arc::downgrade(&turn);
            domain().retire(turn);
            while domain().collect() > 0 && ended.strong_count() > 0 && Instant::now() < deadline {
                std::thread::yield_now();
            }
        }
    }

    fn advertise(&self, index: u32, last: bool) {
        let Some(interface) = self.interfaces.get(index) else { return };
        let (Some(told), Some(source)) = (&interface.router_advertisements, self.link_local(index)) else { return };
        let prefixes = told.prefixes_for(&interface.addresses);
        let (to, packet) = advertisement(told, &prefixes, (self.interfaces.mac(index), source), last);
        self.send_frame(index, to, EtherType::IPV6, &packet);
    }
}
