//! What of the running configuration stays while interfaces, bridges and VRFs are worked on: what doesn't refer to those that go.
//! Everything else goes before, and what is wanted comes after.

use super::Difference;
use crate::{Bond, Bridge, Driver, Interface, Lldp, Member, Mirror, MirrorTarget, Name, Nat44, PolicyRoute, Route};
use std::collections::BTreeMap;

impl Difference<'_> {
    /// Whether a route can't stay as it is until its turn comes: it names an interface that is worked on, or a VRF that goes.
    pub(super) fn goes_before(&self, route: &Route) -> bool {
        self.fate.touches(route.hops()) || route.next_vrf().is_some_and(|vrf| !self.wanted.has_vrf(vrf))
    }

    /// The running translation without what names an interface or a VRF that goes or is worked on.
    pub(super) fn spared_nat44(&self) -> Nat44 {
        self.running.nat44.only(|interface| !self.fate.touched(interface), |vrf| self.wanted.has_vrf(vrf))
    }

    /// The running cross-connect of an interface that stays until it has the wanted one: of an interface that stays, to one that
    /// stays. Without one, it takes part in routing.
    pub(super) fn spared_cross_connect(&self, name: &Name) -> Option<&Name> {
        let running = self.running.interfaces.get(name)?.cross_connect.as_ref()?;
        self.wanted.interfaces.get(name)?.cross_connect.as_ref()?;
        Some(running).filter(|target| !self.fate.removed.contains(name) && !self.fate.removed.contains(target))
    }

    /// The running policy routes that name no interface and no VRF that goes.
    pub(super) fn spared_policy_routes(&self) -> Vec<PolicyRoute> {
        let stays = |rule: &&PolicyRoute| {
            self.wanted.has_vrf(&rule.vrf)
                && !rule.packets.interface.as_ref().is_some_and(|name| self.fate.removed.contains(name))
        };
        self.running.policy_routes.iter().filter(stays).cloned().collect()
    }

    /// The addresses of a running interface that stay: those that already stand in the wanted order, so that the rest can be
    /// added behind them.
    pub(super) fn kept(&self, name: &Name, interface: &Interface) -> &[ipnet::IpNet] {
        let wanted = match self.wanted.interfaces.get(name) {
            Some(wanted) if !self.fate.touched(name) => wanted.addresses.as_slice(),
            _ => return &[],
        };
        let mut running = interface.addresses.iter();
        let in_order = wanted.iter().take_while(|address| running.any(|r| r == *address)).count();
        &wanted[..in_order]
    }

    /// Whether a running interface stays, perhaps with other settings.
    fn stays(&self, name: &Name) -> bool {
        self.running.interfaces.contains_key(name) && !self.fate.removed.contains(name)
    }

    /// How a running interface that stays is a port until it becomes what is wanted: of a bridge that stays, that it stays a port of.
    pub(super) fn spared_port(&self, name: &Name) -> Option<&Member> {
        let running = self.running.interfaces.get(name)?.bridge.as_ref()?;
        let wanted = self.wanted.interfaces.get(name)?.bridge.as_ref()?;
        Some(running).filter(|port| self.stays(name) && port.bridge == wanted.bridge)
    }

    /// The running bridge with those static stations only that are wanted, too, and whose port stays; none: it goes.
    pub(super) fn spared_bridge(&self, name: &Name) -> Option<Bridge> {
        let (running, wanted) = (self.running.bridges.get(name)?, self.wanted.bridges.get(name)?);
        let mut spared = running.clone();
        spared.static_macs.retain(|key, station| {
            let port = self.spared_port(&station.interface);
            wanted.static_macs.get(key) == Some(station) && port.is_some_and(|port| port.bridge == *name)
        });
        Some(spared)
    }

    /// A running bond that stays with those members only that stay members of it.
    pub(super) fn spared_bond(&self, name: &Name) -> Option<Bond> {
        let driver = |config: &'_ crate::Config| config.interfaces.get(name).map(|interface| interface.driver.clone());
        match (driver(self.running)?, driver(self.wanted)?) {
            (Driver::Bond(running), Driver::Bond(wanted)) if self.stays(name) => {
                Some(running.only(|member| self.stays(member) && wanted.members.contains(member)))
            }
            _ => None,
        }
    }

    /// The running mirrors that are wanted as they are, and name no interface that goes.
    pub(super) fn spared_mirrors(&self) -> BTreeMap<Name, Mirror> {
        let stays = |name: &Name, mirror: &Mirror| {
            let to = match &mirror.to {
                MirrorTarget::Interface(to) => Some(to),
                MirrorTarget::File(_) => None,
            };
            self.wanted.mirrors.get(name) == Some(mirror) && mirror.from.iter().chain(to).all(|name| self.stays(name))
        };
        let running = self.running.mirrors.iter().filter(|(name, mirror)| stays(name, mirror));
        running.map(|(name, mirror)| (name.clone(), mirror.clone())).collect()
    }

    /// The running LLDP on those interfaces only that stay.
    pub(super) fn spared_lldp(&self) -> Lldp {
        let mut spared = self.running.lldp.clone();
        if let Some(interfaces) = &mut spared.interfaces {
            interfaces.retain(|name| self.stays(name));
        }
        spared
    }
}

/// The interface without what has steps of its own.
pub(super) fn bare(interface: &Interface) -> Box<Interface> {
    Box::new(Interface { addresses: Vec::new(), cross_connect: None, bridge: None, ..interface.clone() })
}

/// The bridge without what has a step of its own.
pub(super) fn bare_bridge(bridge: &Bridge) -> Box<Bridge> {
    Box::new(Bridge { static_macs: BTreeMap::new(), ..bridge.clone() })
}
