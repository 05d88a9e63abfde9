//! Devices of interfaces: opened, given their queues, watched, lost, and opened again.

use super::Router;
use super::events::Severity;
use super::interfaces::Interface;
use super::routes::{Link as RouteLink, RouteError};
use super::specs::spec;
use millrace_config::{Driver, Eal, Interface as Settings, Name};
use millrace_engine::Attach;
use millrace_engine::epoch::domain;
use millrace_io::{Context, Device, Link, OpenError, QueuePair};
use millrace_wire::MacAddr;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a missing device is looked for, and links are asked, when nothing said that devices changed.
pub const RETRY: Duration = Duration::from_secs(5);
/// A device that is lost again and again is not opened more often than this.
const PAUSE: Duration = Duration::from_millis(500);

impl Router {
    /// Makes an interface. A device that is missing is waited for.
    ///
    /// # Errors
    /// A device that can't be used as specified, or too many interfaces.
    pub(super) fn create_interface(&mut self, name: &Name, settings: &Settings) -> Result<(), String> {
        let table = self.table(&settings.vrf)?;
        let parent = match &settings.driver {
            Driver::Vlan(vlan) => Some((self.interface_index(&vlan.parent)?, vlan.clone())),
            _ => None,
        };
        let parent_index = parent.as_ref().map(|(parent, _)| *parent);
        let index = self.interfaces.allocate().ok_or("there are 1023 interfaces already")?;
        let unset_mac = MacAddr(if settings.driver.is_virtual() { millrace_io::derived_mac(name) } else { [0; 6] });
        let mut interface = Interface {
            name: name.clone(),
            index,
            driver: settings.driver.clone(),
            mtu: settings.mtu,
            wanted_mtu: settings.mtu,
            wanted_mac: settings.mac,
            unset_mac,
            state: settings.state,
            vrf: (settings.vrf.clone(), table),
            addresses: Vec::new(),
            link_local: None,
            router_advertisements: settings.router_advertisements.clone(),
            proxied: Arc::default(),
            urpf: settings.urpf,
            mss_clamp: settings.mss_clamp,
            cross_connect: settings.cross_connect.clone(),
            bridge: settings.bridge.clone(),
            parent,
            device: None,
            idle: Vec::new(),
            fresh: settings.driver.is_virtual() && parent_index.is_none(),
            link: if settings.driver.is_virtual() { Link::Up } else { Link::Missing },
            mac: settings.mac.map_or(unset_mac, |mac| MacAddr(mac.0)),
            problem: None,
            told: Vec::new(),
            pollers: Vec::new(),
            tried: Instant::now(),
            baseline: self.engine.interface(index),
            lost_before: 0,
        };
        self.dpdk_started |= matches!(interface.driver, Driver::Dpdk(_));
        match open(&interface, self.engine.workers(), &self.config.dpdk, &self.device_context) {
            Ok(opened) => interface.take(opened),
            Err(OpenError::Missing { device }) => {
                let text = format!("there is no device {device}; waiting for it");
                self.tell(Severity::Warning, format!("interface {name}"), text.clone());
                interface.problem = Some(text);
            }
            Err(error) => {
                self.interfaces.give_back(index);
                return Err(error.to_string());
            }
        }
        self.engine.set_hardware(index, parent_index.unwrap_or(index));
        self.interfaces.insert(interface);
        if let Err(error) = self.refresh(index) {
            self.remove_interface(index);
            return Err(error.to_string());
        }
        self.tell_notes(index);
        self.capture_new_interface(index);
        Ok(())
    }

    /// Takes an interface away, with its device.
    pub(super) fn remove_interface(&mut self, index: u32) {
        self.bridges.unplug(index);
        self.forget6(index);
        self.end_lldp_port(index);
        self.engine.set_up(index, false);
        let actions = self.neighbors.clear(Some(index));
        self.act(actions);
        self.routes.remove_link(index);
        self.engine.detach(index);
        self.capture_gone_interface(index);
        self.forwarding.interfaces.clear(&domain(), index);
        let parent = self.interfaces.get(index).and_then(|i| i.parent.as_ref()).map(|(parent, _)| *parent);
        // Dropping it closes the device.
        drop(self.interfaces.remove(index));
        self.engine.set_hardware(index, index);
        if let Some(parent) = parent {
            self.publish(parent);
        }
        self.interface_changed();
    }

    /// Gives the queues of devices that were opened to the workers: packets flow from here on, through routes and to
    /// neighbours that are all there.
    pub(super) fn attach_queues(&mut self) {
        let workers = self.engine.workers();
        // Devices that make packets by themselves come last.
        let mut idle: Vec<(bool, u32)> =
            self.interfaces.iter().filter(|i| !i.idle.is_empty()).map(|i| (is_source(&i.driver), i.index)).collect();
        idle.sort_unstable();
        let attached = !idle.is_empty();
        // All ways out are there before the first packet comes in.
        let mut receive = Vec::new();
        for (_, index) in idle {
            let Some(interface) = self.interfaces.get_mut(index) else { continue };
            let pairs = std::mem::take(&mut interface.idle);
            // Interfaces with fewer queues than there are workers begin with different workers.
            let worker = |at: usize| (index as usize - 1 + at) % workers;
            let polls = |(at, pair): (usize, &QueuePair)| pair.rx.as_ref().map(|_| worker(at));
            interface.pollers = pairs.iter().enumerate().filter_map(polls).collect();
            let apart = |(at, QueuePair { rx, tx })| {
                let worker = worker(at);
                (Attach { worker, rx: None, tx }, Attach { worker, rx, tx: None })
            };
            let (out, back): (Vec<_>, Vec<_>) = pairs.into_iter().enumerate().map(apart).unzip();
            self.engine.attach(index, out);
            receive.push((index, back));
        }
        for (index, queues) in receive {
            self.engine.attach(index, queues);
            self.announce(index);
        }
        if attached {
            self.interface_changed();
        }
        let fresh: Vec<u32> = self.interfaces.iter().filter(|i| i.fresh).map(|i| i.index).collect();
        for index in fresh {
            let Some(interface) = self.interfaces.get_mut(index) else { continue };
            interface.fresh = false;
            self.announce(index);
        }
    }

    /// Takes away a device that is gone.
    fn lose(&mut self, index: u32, why: &str) {
        let Some(interface) = self.interfaces.get_mut(index) else { return };
        if interface.device.is_none() {
            return;
        }
        interface.link = Link::Missing;
        interface.tried = Instant::now();
        interface.problem = Some(why.to_owned());
        interface.pollers.clear();
        interface.idle.clear();
        let device = interface.device.take();
        let name = interface.name.clone();
        self.engine.detach(index);
        drop(device);
        self.tell(Severity::Warning, format!("interface {name}"), format!("its device is gone: {why}"));
        self.refresh_or_warn(index);
    }

    /// Deals with receive queues that found their device gone.
    pub(super) fn collect_lost(&mut self) {
        let mut lost = Vec::new();
        while let Some(queue) = self.engine.lost_queue() {
            lost.push(queue);
        }
        if lost.is_empty() {
            return;
        }
        for queue in lost {
            self.lose(queue.interface, &queue.error);
        }
        // What other queues of these devices said until they were taken away is about what is gone.
        while self.engine.lost_queue().is_some() {}
        self.devices_changed();
    }

    /// Something changed about devices or their peers: asks every link and address, and tries those that are missing.
    pub(super) fn devices_changed(&mut self) {
        self.follow_macs();
        let linked = |i: &mut Interface| Some((i.index, i.link, i.device.as_ref()?.link()));
        let states: Vec<_> = self.interfaces.iter_mut().filter_map(linked).collect();
        for (index, before, link) in states.into_iter().filter(|(_, before, link)| before != link) {
            if link == Link::Missing {
                self.lose(index, "the device was removed");
                continue;
            }
            if let Some(interface) = self.interfaces.get_mut(index) {
                interface.link = link;
                let (severity, text) = match (link, interface.link_reason()) {
                    (Link::Up, _) => (Severity::Info, "link up".to_owned()),
                    (_, Some(reason)) => {
                        let text = format!("link down: {reason}");
                        interface.told.push(reason);
                        (Severity::Warning, text)
                    }
                    (_, None) => (Severity::Warning, "link down".to_owned()),
                };
                let name = interface.name.clone();
                self.tell(severity, format!("interface {name}"), text);
            }
            tracing::debug!(index, ?before, ?link, "link changed");
            self.refresh_or_warn(index);
            self.announce(index);
        }
        let told: Vec<u32> = self.interfaces.iter().filter(|i| has_peer(&i.driver)).map(|i| i.index).collect();
        told.into_iter().for_each(|index| self.tell_notes(index));
        self.devices_left = false;
        let missing: Vec<u32> =
            self.interfaces.iter().filter(|i| i.device.is_none() && !i.driver.is_virtual()).map(|i| i.index).collect();
        missing.into_iter().for_each(|index| self.open_again(index));
    }

    /// Takes over the addresses of devices that say another one now, unless the operator gave the interface one.
    fn follow_macs(&mut self) {
        let mut changed = Vec::new();
        for interface in self.interfaces.iter_mut().filter(|i| i.wanted_mac.is_none()) {
            // A device that is gone has none.
            let Some(mac) = interface.device.as_ref().and_then(|device| device.mac()).map(MacAddr) else { continue };
            if mac != interface.mac {
                (interface.mac, interface.unset_mac) = (mac, mac);
                changed.push(interface.index);
            }
        }
        for index in changed {
            self.refresh_or_warn(index);
            self.announce(index);
        }
    }

    /// Once in a while, in case that nothing was said: see [`devices_changed`](Self::devices_changed).
    pub(super) fn check_devices(&mut self, now: Instant) {
        if self.devices_left || now.saturating_duration_since(self.devices_checked) >= RETRY {
            self.devices_checked = now;
            self.devices_changed();
        }
    }

    fn open_again(&mut self, index: u32) {
        let (workers, eal, context) = (self.engine.workers(), self.config.dpdk.clone(), self.device_context.clone());
        let Some(interface) = self.interfaces.get_mut(index) else { return };
        if interface.tried.elapsed() < PAUSE {
            self.devices_left = true;
            return;
        }
        interface.tried = Instant::now();
        let name = interface.name.clone();
        match open(interface, workers, &eal, &context) {
            Ok(opened) => {
                interface.take(opened);
                self.tell(Severity::Info, format!("interface {name}"), "its device is there".to_owned());
                self.tell_notes(index);
                self.refresh_or_warn(index);
                self.attach_queues();
            }
            Err(OpenError::Missing { .. }) => {}
            Err(error) => {
                let text = error.to_string();
                if interface.problem.as_ref() != Some(&text) {
                    interface.problem = Some(text.clone());
                    self.tell(Severity::Warning, format!("interface {name}"), text);
                }
            }
        }
    }

    /// Tells what the operator should know of a device and was not told yet.
    fn tell_notes(&mut self, index: u32) {
        let Some(interface) = self.interfaces.get_mut(index) else { return };
        let notes = interface.device.as_ref().map(|device| device.info().notes).unwrap_or_default();
        let told = std::mem::replace(&mut interface.told, notes.clone());
        let name = interface.name.clone();
        for note in notes.into_iter().filter(|note| !told.contains(note)) {
            self.tell(Severity::Warning, format!("interface {name}"), note);
        }
    }

    /// Brings routes and packet path up to date with what an interface and its sub-interfaces are now.
    pub(super) fn refresh(&mut self, index: u32) -> Result<(), RouteError> {
        let refreshed = self.refresh_with_children(index);
        self.interface_changed();
        refreshed
    }

    fn refresh_with_children(&mut self, index: u32) -> Result<(), RouteError> {
        let is_up = self.interfaces.is_up(index);
        let was_up = self.routes.adjacencies().is_up(index);
        let Some(interface) = self.interfaces.get(index) else { return Ok(()) };
        let (mtu, tags) = (self.tunnels.mtu(index, interface.mtu), interface.tags());
        let point_to_point = !interface.driver.has_ethernet();
        let link = RouteLink { mac: self.interfaces.mac(index), tags, mtu, up: is_up, point_to_point };
        self.publish(index);
        if let Some((parent, _)) = self.interfaces.get(index).and_then(|i| i.parent.as_ref()) {
            self.publish(*parent);
        }
        self.engine.set_up(index, self.interfaces.is_enabled(index));
        self.routes.set_link(index, link)?;
        if was_up && !is_up {
            let actions = self.neighbors.clear(Some(index));
            self.act(actions);
            self.suspend6(index);
        }
        self.follow_ip6(index);
        self.engine.tables_changed();
        self.interfaces.children(index).into_iter().try_for_each(|child| self.refresh_with_children(child))
    }

    pub(super) fn refresh_or_warn(&mut self, index: u32) {
        if let Err(error) = self.refresh(index) {
            tracing::warn!(interface = %self.interfaces.name(index), %error, "not all of a change took effect");
        }
    }

    /// Lets the packet path see what an interface is now.
    pub(super) fn publish(&self, index: u32) {
        if let Some(mut forwarded) = self.interfaces.forwarded(index) {
            forwarded.mtu = self.tunnels.mtu(index, forwarded.mtu);
            // Numbers are below the capacity.
            let _ = self.forwarding.interfaces.set(&domain(), index, forwarded);
        }
    }

    /// Interfaces whose device is missing, by name.
    pub fn missing(&self) -> BTreeSet<Name> {
        let missing = |i: &&Interface| i.device.is_none() && !i.driver.is_virtual();
        self.interfaces.iter().filter(missing).map(|i| i.name.clone()).collect()
    }
}

impl Interface {
    /// Takes over a device that was opened; a sub-interface has none.
    fn take(&mut self, opened: Option<Opened>) {
        let Some((device, queues, mac)) = opened else { return };
        self.link = device.link();
        self.unset_mac = MacAddr(mac.unwrap_or_else(|| millrace_io::derived_mac(&self.name)));
        self.mac = self.own_mac();
        self.device = Some(device);
        self.problem = None;
        self.idle = queues;
    }
}

/// Whether packets come of it without anybody sending them.
fn is_source(driver: &Driver) -> bool {
    match driver {
        Driver::Generator(generator) => !generator.streams.is_empty(),
        Driver::Pcap(pcap) => pcap.read.is_some(),
        Driver::Dpdk(dpdk) => dpdk.device.starts_with("net_null") || dpdk.device.contains(",rx_pcap="),
        _ => false,
    }
}

/// Whether somebody at its other end comes and goes, of whom it has to tell.
pub(super) fn has_peer(driver: &Driver) -> bool {
    matches!(driver, Driver::Memif(_) | Driver::VhostUser(_))
}

/// A device, the queues that it made, and the address that it has by itself.
type Opened = (Box<dyn Device>, Vec<QueuePair>, Option<[u8; 6]>);

/// Opens an interface's device with its settings; `None` for a sub-interface.
fn open(interface: &Interface, workers: usize, eal: &Eal, context: &Context) -> Result<Option<Opened>, OpenError> {
    let Some(spec) = spec(&interface.driver, eal) else { return Ok(None) };
    let mut device = millrace_io::open(&spec, &interface.name, context)?;
    let mac = device.mac();
    let called = interface.driver.device().unwrap_or(&interface.name).to_owned();
    let failed = |device: &dyn Device, what: &str, error: std::io::Error| match device.link() {
        Link::Missing => OpenError::Missing { device: called.clone() },
        _ => OpenError::Refused { device: called.clone(), reason: format!("{what}: {error}") },
    };
    if let Some(mac) = interface.wanted_mac {
        device.set_mac(mac.0).map_err(|error| failed(&*device, "its address can't be set", error))?;
    }
    device.set_mtu(interface.mtu.into()).map_err(|error| failed(&*device, "its MTU can't be set", error))?;
    let queues = device.queues(workers).map_err(|error| failed(&*device, "its queues can't be made", error))?;
    Ok(Some((device, queues, mac)))
}
