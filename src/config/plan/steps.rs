//! The steps of a plan, in their order.

use super::{
    Difference,
    spared::{bare, bare_bridge},
};
use crate::{
    Bridge, Driver, Lldp, Member, Mirror, Name,
    op::{Address, Change, Op, Setting},
};
use std::collections::BTreeMap;

impl Difference<'_> {
    pub(super) fn restarts(&self, ops: &mut Vec<Op>) {
        let Self { running, wanted, .. } = self;
        if running.workers != wanted.workers {
            ops.push(Op::WorkersSet(Change { from: running.workers.clone(), to: wanted.workers.clone() }));
        }
        if running.buffers != wanted.buffers {
            ops.push(Op::BuffersSet(Change { from: running.buffers.clone(), to: wanted.buffers.clone() }));
        }
        // Before interfaces that start it.
        if running.dpdk != wanted.dpdk {
            ops.push(Op::DpdkSet(Change { from: running.dpdk.clone(), to: wanted.dpdk.clone() }));
        }
    }

    pub(super) fn prune(&self, ops: &mut Vec<Op>) {
        ops.extend(mirrors(&self.running.mirrors, self.spared_mirrors()));
        ops.extend(lldp(&self.running.lldp, self.spared_lldp()));
        for (key, route) in &self.running.routes {
            if !self.wanted.routes.contains_key(key) || self.goes_before(route) {
                ops.push(Op::RouteRemove { key: key.clone(), route: route.clone() });
            }
        }
        // Packets that a rule is about stay in the VRF of their interface while what the rule names is worked on.
        let spared = self.spared_policy_routes();
        if spared != self.running.policy_routes {
            ops.push(Op::PolicyRoutesSet(Change { from: self.running.policy_routes.clone(), to: spared }));
        }
        for (key, mac) in &self.running.neighbors {
            if !self.wanted.neighbors.contains_key(key) || self.fate.touched(&key.interface) {
                ops.push(Op::NeighborRemove { key: key.clone(), mac: *mac });
            }
        }
        // Translation leaves what is worked on alone until it is done.
        let spared = self.spared_nat44();
        if spared != self.running.nat44 {
            ops.push(Op::Nat44Set(Box::new(Change { from: self.running.nat44.clone(), to: spared })));
        }
        for (name, interface) in &self.running.interfaces {
            let mut addresses = interface.addresses.clone();
            let kept = self.kept(name, interface);
            for address in interface.addresses.iter().filter(|address| !kept.contains(*address)) {
                let at = addresses.iter().position(|a| a == address).unwrap_or(0);
                addresses.remove(at);
                ops.push(Op::AddressRemove(Address { interface: name.clone(), address: *address, at }));
            }
        }
        for (name, bridge) in &self.running.bridges {
            let spared = self.spared_bridge(name).unwrap_or_else(|| *bare_bridge(bridge));
            ops.extend(set_bridge(name, bridge, spared));
        }
        for (name, interface) in &self.running.interfaces {
            ops.extend(cross_connect(name, interface.cross_connect.as_ref(), self.spared_cross_connect(name)));
            ops.extend(port(name, interface.bridge.as_ref(), self.spared_port(name)));
        }
        for (name, interface) in &self.running.interfaces {
            if let Some(spared) = self.spared_bond(name) {
                ops.extend(driver(name, &interface.driver, &Driver::Bond(spared)));
            }
        }
        let mut gone: Vec<_> =
            self.running.interfaces.iter().filter(|(name, _)| self.fate.removed.contains(name)).collect();
        // What others need is made before them, and goes after them.
        gone.sort_by_key(|(name, interface)| (interface.driver.rank(), *name));
        for (name, interface) in gone.into_iter().rev() {
            ops.push(Op::InterfaceRemove { name: name.clone(), interface: bare(interface) });
        }
        for (name, bridge) in self.running.bridges.iter().filter(|(name, _)| !self.wanted.bridges.contains_key(*name)) {
            ops.push(Op::BridgeRemove { name: name.clone(), bridge: bare_bridge(bridge) });
        }
    }

    pub(super) fn change(&self, ops: &mut Vec<Op>) {
        for name in self.wanted.vrfs.keys().filter(|name| !self.running.vrfs.contains_key(*name)) {
            ops.push(Op::VrfAdd(name.clone()));
        }
        // The MTU of a sub-interface or bond never exceeds that of its parent or members, at no step: it shrinks before and grows after.
        let (mut shrink, mut grow) = (Vec::new(), Vec::new());
        let mut stay: Vec<_> =
            self.running.interfaces.iter().filter(|(name, _)| !self.fate.removed.contains(name)).collect();
        stay.sort_by_key(|(name, interface)| (interface.driver.rank(), *name));
        for (name, old) in stay {
            let Some(new) = self.wanted.interfaces.get(name) else { continue };
            let set = |setting| Op::InterfaceSet { name: name.clone(), setting };
            if !matches!(new.driver, Driver::Bond(_)) {
                ops.extend(driver(name, &old.driver, &new.driver));
            }
            if new.vrf != old.vrf {
                ops.push(set(Setting::Vrf(Change { from: old.vrf.clone(), to: new.vrf.clone() })));
            }
            if new.mtu != old.mtu {
                let step = set(Setting::Mtu(Change { from: old.mtu, to: new.mtu }));
                if new.mtu < old.mtu { shrink.push(step) } else { grow.push(step) }
            }
            if new.mac != old.mac {
                ops.push(set(Setting::Mac(Change { from: old.mac, to: new.mac })));
            }
            if new.state != old.state {
                ops.push(set(Setting::State(Change { from: old.state, to: new.state })));
            }
            if new.router_advertisements != old.router_advertisements {
                let (from, to) = (old.router_advertisements.clone(), new.router_advertisements.clone());
                ops.push(set(Setting::RouterAdvertisements(Box::new(Change { from, to }))));
            }
            if new.urpf != old.urpf {
                ops.push(set(Setting::Urpf(Change { from: old.urpf, to: new.urpf })));
            }
            if new.mss_clamp != old.mss_clamp {
                ops.push(set(Setting::MssClamp(Change { from: old.mss_clamp, to: new.mss_clamp })));
            }
        }
        ops.extend(shrink.into_iter().rev().chain(grow));
        for name in self.running.vrfs.keys().filter(|name| !self.wanted.vrfs.contains_key(*name)) {
            ops.push(Op::VrfRemove(name.clone()));
        }
    }

    pub(super) fn create(&self, ops: &mut Vec<Op>) {
        let Self { running, wanted, fate } = self;
        for (name, bridge) in wanted.bridges.iter().filter(|(name, _)| !running.bridges.contains_key(*name)) {
            ops.push(Op::BridgeAdd { name: name.clone(), bridge: bare_bridge(bridge) });
        }
        let is_new = |name: &Name| !running.interfaces.contains_key(name) || fate.removed.contains(name);
        let mut new: Vec<_> = wanted.interfaces.iter().filter(|(name, _)| is_new(name)).collect();
        new.sort_by_key(|(name, interface)| (interface.driver.rank(), *name));
        for (name, interface) in new {
            ops.push(Op::InterfaceCreate { name: name.clone(), interface: bare(interface) });
        }
        for (name, interface) in &wanted.interfaces {
            if let Some(spared) = self.spared_bond(name) {
                ops.extend(driver(name, &Driver::Bond(spared), &interface.driver));
            }
        }
        for (name, interface) in &wanted.interfaces {
            let kept = running.interfaces.get(name).map_or(0, |old| self.kept(name, old).len());
            for (at, address) in interface.addresses.iter().enumerate().skip(kept) {
                ops.push(Op::AddressAdd(Address { interface: name.clone(), address: *address, at }));
            }
        }
        for (name, interface) in &wanted.interfaces {
            ops.extend(cross_connect(name, self.spared_cross_connect(name), interface.cross_connect.as_ref()));
            ops.extend(port(name, self.spared_port(name), interface.bridge.as_ref()));
        }
        for (name, bridge) in &wanted.bridges {
            let before = self.spared_bridge(name).unwrap_or_else(|| *bare_bridge(bridge));
            ops.extend(set_bridge(name, &before, bridge.clone()));
        }
        for (key, mac) in &wanted.neighbors {
            match running.neighbors.get(key).filter(|_| !fate.touched(&key.interface)) {
                None => ops.push(Op::NeighborAdd { key: key.clone(), mac: *mac }),
                Some(old) if old != mac => {
                    ops.push(Op::NeighborReplace { key: key.clone(), change: Change { from: *old, to: *mac } });
                }
                Some(_) => {}
            }
        }
        // Before the routes, so that nothing leaves untranslated by a route that is new.
        let spared = self.spared_nat44();
        if spared != wanted.nat44 {
            ops.push(Op::Nat44Set(Box::new(Change { from: spared, to: wanted.nat44.clone() })));
        }
        for (key, route) in &wanted.routes {
            match running.routes.get(key).filter(|old| !self.goes_before(old)) {
                None => ops.push(Op::RouteAdd { key: key.clone(), route: route.clone() }),
                Some(old) if old != route => {
                    let change = Change { from: old.clone(), to: route.clone() };
                    ops.push(Op::RouteReplace { key: key.clone(), change });
                }
                Some(_) => {}
            }
        }
        // Behind the routes that they lead to.
        let spared = self.spared_policy_routes();
        if spared != wanted.policy_routes {
            ops.push(Op::PolicyRoutesSet(Change { from: spared, to: wanted.policy_routes.clone() }));
        }
        ops.extend(lldp(&self.spared_lldp(), wanted.lldp.clone()));
        ops.extend(mirrors(&self.spared_mirrors(), wanted.mirrors.clone()));
    }
}

/// The step from one cross-connect to another, if they differ.
fn cross_connect(name: &Name, from: Option<&Name>, to: Option<&Name>) -> Option<Op> {
    let change = || Change { from: from.cloned(), to: to.cloned() };
    (from != to).then(|| Op::InterfaceSet { name: name.clone(), setting: Setting::CrossConnect(change()) })
}

/// The step from how an interface is a port to how it is one then, if that differs.
fn port(name: &Name, from: Option<&Member>, to: Option<&Member>) -> Option<Op> {
    let change = || Box::new(Change { from: from.cloned(), to: to.cloned() });
    (from != to).then(|| Op::InterfaceSet { name: name.clone(), setting: Setting::Bridge(change()) })
}

/// The step from the settings of a driver to other ones, if they differ.
fn driver(name: &Name, from: &Driver, to: &Driver) -> Option<Op> {
    let change = || Box::new(Change { from: from.clone(), to: to.clone() });
    (from != to).then(|| Op::InterfaceSet { name: name.clone(), setting: Setting::Driver(change()) })
}

/// The step from the settings of a bridge to other ones, if they differ.
fn set_bridge(name: &Name, from: &Bridge, to: Bridge) -> Option<Op> {
    let change = |to| Box::new(Change { from: from.clone(), to });
    (*from != to).then(|| Op::BridgeSet { name: name.clone(), change: change(to) })
}

/// The step from some mirrors to others, if they differ.
fn mirrors(from: &BTreeMap<Name, Mirror>, to: BTreeMap<Name, Mirror>) -> Option<Op> {
    (*from != to).then(|| Op::MirrorsSet(Box::new(Change { from: from.clone(), to })))
}

/// The step from some settings of LLDP to others, if they differ.
fn lldp(from: &Lldp, to: Lldp) -> Option<Op> {
    (*from != to).then(|| Op::LldpSet(Box::new(Change { from: from.clone(), to })))
}
