//! The way from one configuration to another: a pure function that gives ordered steps.
//!
//! First goes what must go, dependents before what they depend on: routes, policy routes, neighbours, translation, addresses, cross-connects, interfaces. Then interfaces that
//! stay are changed, then comes what is new, in the reverse order. No step leaves a route, neighbour or sub-interface that refers
//! to an interface which isn't there (or is in another VRF), or an interface in a VRF that isn't there.
//!
//! An interface with another driver, or another setting of its driver, is made anew, with everything that refers to it. An
//! interface that changes its VRF stays, but its addresses, its neighbours and the routes that name it go before and come after.

use crate::{
    Config, Driver, Interface, Name, Nat44, NextHop, PolicyRoute, Route,
    op::{Address, Change, Op, Setting},
};
use std::{collections::BTreeSet, fmt};

/// Ordered steps from one configuration to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in the order to take them.
    pub ops: Vec<Op>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The steps that can't be taken while the daemon runs.
    pub fn restart_required(&self) -> impl Iterator<Item = &Op> {
        self.ops.iter().filter(|op| op.restart_required())
    }

    /// The steps that take it back, in the order to take them.
    pub fn inverse(&self) -> Self {
        Self { ops: self.ops.iter().rev().map(Op::inverse).collect() }
    }

    /// Makes all changes in a configuration.
    pub fn apply(&self, config: &mut Config) {
        self.ops.iter().for_each(|op| op.apply(config));
    }
}

/// A step a line, as in a diff.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

/// The steps that make `wanted` of `running`; both are valid.
pub fn plan(running: &Config, wanted: &Config) -> Plan {
    let difference = Difference { running, wanted, fate: Fates::of(running, wanted) };
    let mut ops = Vec::new();
    difference.restarts(&mut ops);
    difference.prune(&mut ops);
    difference.change(&mut ops);
    difference.create(&mut ops);
    if running.api != wanted.api {
        ops.push(Op::ApiSet(Change { from: running.api.clone(), to: wanted.api.clone() }));
    }
    Plan { ops }
}

/// What becomes of the running interfaces that don't just stay.
#[derive(Default)]
struct Fates<'c> {
    /// They go, for good or to be made anew.
    removed: BTreeSet<&'c Name>,
    /// They change their VRF.
    moved: BTreeSet<&'c Name>,
}

impl<'c> Fates<'c> {
    fn of(running: &'c Config, wanted: &Config) -> Self {
        let mut fates = Self::default();
        // A parent sorts before its sub-interfaces, so its fate is known when theirs is asked.
        for (name, old) in &running.interfaces {
            match wanted.interfaces.get(name) {
                Some(new)
                    if stays(&old.driver, &new.driver) && !old.parent().is_some_and(|p| fates.removed.contains(p)) =>
                {
                    if new.vrf != old.vrf {
                        fates.moved.insert(name);
                    }
                }
                _ => drop(fates.removed.insert(name)),
            }
        }
        fates
    }

    /// Whether what refers to this interface can't stay while it is worked on.
    fn touched(&self, name: &Name) -> bool {
        self.removed.contains(name) || self.moved.contains(name)
    }

    fn touches(&self, hops: &[NextHop]) -> bool {
        hops.iter().filter_map(|hop| hop.interface.as_ref()).any(|interface| self.touched(interface))
    }
}

struct Difference<'c> {
    running: &'c Config,
    wanted: &'c Config,
    fate: Fates<'c>,
}

impl Difference<'_> {
    fn restarts(&self, ops: &mut Vec<Op>) {
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

    fn prune(&self, ops: &mut Vec<Op>) {
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
        for (name, interface) in &self.running.interfaces {
            let spared = self.spared_cross_connect(name);
            ops.extend(cross_connect(name, interface.cross_connect.as_ref(), spared));
        }
        // Sub-interfaces sort after their parent, and go before it.
        for (name, interface) in
            self.running.interfaces.iter().rev().filter(|(name, _)| self.fate.removed.contains(name))
        {
            ops.push(Op::InterfaceRemove { name: name.clone(), interface: bare(interface) });
        }
    }

    /// Whether a route can't stay as it is until its turn comes: it names an interface that is worked on, or a VRF that goes.
    fn goes_before(&self, route: &Route) -> bool {
        self.fate.touches(route.hops()) || route.next_vrf().is_some_and(|vrf| !self.wanted.has_vrf(vrf))
    }

    /// The running translation without what names an interface or a VRF that goes or is worked on.
    fn spared_nat44(&self) -> Nat44 {
        self.running.nat44.only(|interface| !self.fate.touched(interface), |vrf| self.wanted.has_vrf(vrf))
    }

    /// The running cross-connect of an interface that stays until it has the wanted one: of an interface that stays, to one that
    /// stays. Without one, it takes part in routing.
    fn spared_cross_connect(&self, name: &Name) -> Option<&Name> {
        let running = self.running.interfaces.get(name)?.cross_connect.as_ref()?;
        self.wanted.interfaces.get(name)?.cross_connect.as_ref()?;
        Some(running).filter(|target| !self.fate.removed.contains(name) && !self.fate.removed.contains(target))
    }

    /// The running policy routes that name no interface and no VRF that goes.
    fn spared_policy_routes(&self) -> Vec<PolicyRoute> {
        let stays = |rule: &&PolicyRoute| {
            self.wanted.has_vrf(&rule.vrf)
                && !rule.packets.interface.as_ref().is_some_and(|name| self.fate.removed.contains(name))
        };
        self.running.policy_routes.iter().filter(stays).cloned().collect()
    }

    /// The addresses of a running interface that stay: those that already stand in the wanted order, so that the rest can be
    /// added behind them.
    fn kept(&self, name: &Name, interface: &Interface) -> &[ipnet::IpNet] {
        let wanted = match self.wanted.interfaces.get(name) {
            Some(wanted) if !self.fate.touched(name) => wanted.addresses.as_slice(),
            _ => return &[],
        };
        let mut running = interface.addresses.iter();
        let in_order = wanted.iter().take_while(|address| running.any(|r| r == *address)).count();
        &wanted[..in_order]
    }

    fn change(&self, ops: &mut Vec<Op>) {
        for name in self.wanted.vrfs.keys().filter(|name| !self.running.vrfs.contains_key(*name)) {
            ops.push(Op::VrfAdd(name.clone()));
        }
        // A sub-interface's MTU never exceeds its parent's, at no step: it shrinks before and grows after.
        let (mut shrink, mut grow) = (Vec::new(), Vec::new());
        for (name, old) in self.running.interfaces.iter().filter(|(name, _)| !self.fate.removed.contains(name)) {
            let Some(new) = self.wanted.interfaces.get(name) else { continue };
            let set = |setting| Op::InterfaceSet { name: name.clone(), setting };
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

    fn create(&self, ops: &mut Vec<Op>) {
        let Self { running, wanted, fate } = self;
        for (name, interface) in &wanted.interfaces {
            if !running.interfaces.contains_key(name) || fate.removed.contains(name) {
                ops.push(Op::InterfaceCreate { name: name.clone(), interface: bare(interface) });
            }
        }
        for (name, interface) in &wanted.interfaces {
            let kept = running.interfaces.get(name).map_or(0, |old| self.kept(name, old).len());
            for (at, address) in interface.addresses.iter().enumerate().skip(kept) {
                ops.push(Op::AddressAdd(Address { interface: name.clone(), address: *address, at }));
            }
        }
        for (name, interface) in &wanted.interfaces {
            let spared = self.spared_cross_connect(name);
            ops.extend(cross_connect(name, spared, interface.cross_connect.as_ref()));
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
    }
}

/// Whether an interface stays when its driver becomes another one.
fn stays(old: &Driver, new: &Driver) -> bool {
    old == new || old.changes_in_place(new)
}

/// The step from one cross-connect to another, if they differ.
fn cross_connect(name: &Name, from: Option<&Name>, to: Option<&Name>) -> Option<Op> {
    let change = || Change { from: from.cloned(), to: to.cloned() };
    (from != to).then(|| Op::InterfaceSet { name: name.clone(), setting: Setting::CrossConnect(change()) })
}

/// The interface without what has steps of its own.
fn bare(interface: &Interface) -> Box<Interface> {
    Box::new(Interface { addresses: Vec::new(), cross_connect: None, bridge: None, ..interface.clone() })
}
