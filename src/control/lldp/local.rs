//! What the router is, as its neighbours are told.

use super::told::Told;
use crate::control::Router;
use crate::control::interfaces::Interface;
use millrace_config::{Driver, Tagging};
use millrace_wire::MacAddr;
use millrace_wire::lldp::LldpCapabilities;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// VLANs of an interface that are told at most.
const MOST_VLANS: usize = 16;
/// What a frame has besides an IP packet: header and checksum.
const FRAME: u16 = 18;
/// The longest time that a frame can hold, in seconds.
const LONGEST: u64 = 65_535;

/// Whether there is a wire at an interface, with somebody at the other end.
const fn has_wire(driver: &Driver) -> bool {
    matches!(
        driver,
        Driver::AfPacket(_)
            | Driver::AfXdp(_)
            | Driver::Tap(_)
            | Driver::Memif(_)
            | Driver::VhostUser(_)
            | Driver::Dpdk(_)
    )
}

impl Router {
    /// What is told by which interface.
    pub(super) fn lldp_told(&mut self) -> BTreeMap<u32, Told> {
        let configured = &self.lldp.configured;
        if !configured.enabled {
            return BTreeMap::new();
        }
        let named = |i: &Interface| configured.interfaces.as_ref().is_none_or(|names| names.contains(&i.name));
        // What it receives is another interface's, if it is cross-connected.
        let takes_part =
            |i: &&Interface| named(i) && has_wire(&i.driver) && i.cross_connect.is_none() && i.idle.is_empty();
        let parts: Vec<u32> = self.interfaces.iter().filter(takes_part).map(|i| i.index).collect();
        let ups: Vec<u32> = parts.into_iter().filter(|index| self.interfaces.is_up(*index)).collect();
        if ups.is_empty() {
            return BTreeMap::new();
        }
        let own = |i: &Interface| Some(i.mac).filter(|mac| has_wire(&i.driver) && mac.is_unicast());
        let chassis = self.lldp.chassis.or_else(|| self.interfaces.iter().find_map(own));
        let Some(chassis) = chassis else { return BTreeMap::new() };
        self.lldp.chassis = Some(chassis);
        let router = self.lldp_router(chassis);
        ups.into_iter().filter_map(|index| Some((index, self.lldp_port(index, &router)?))).collect()
    }

    /// What is the same on all interfaces.
    fn lldp_router(&self, chassis: MacAddr) -> Told {
        let configured = &self.lldp.configured;
        let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        let program = || format!("Millrace {}", env!("CARGO_PKG_VERSION"));
        let bridges = self.interfaces.iter().any(|i| i.bridge.is_some());
        let routes = self.interfaces.iter().any(|i| !i.addresses.is_empty());
        let mut does = LldpCapabilities::default();
        does = if bridges { does.with(LldpCapabilities::BRIDGE) } else { does };
        does = if routes { does.with(LldpCapabilities::ROUTER) } else { does };
        let holds = configured.interval.0.as_secs().saturating_mul(configured.hold.into()).saturating_add(1);
        Told {
            chassis,
            source: chassis,
            port: String::new(),
            port_description: String::new(),
            ttl: holds.min(LONGEST) as u16,
            system_name: configured.system_name.clone().unwrap_or_else(host),
            system_description: configured.system_description.clone().unwrap_or_else(program),
            can: LldpCapabilities::BRIDGE.with(LldpCapabilities::ROUTER),
            does,
            management: Vec::new(),
            port_vlan: None,
            vlans: Vec::new(),
            bond: None,
            max_frame_size: 0,
        }
    }

    /// What is told by an interface.
    fn lldp_port(&self, index: u32, router: &Told) -> Option<Told> {
        let interface = self.interfaces.get(index)?;
        let called = match interface.driver.device().filter(|device| *device != interface.name.as_str()) {
            Some(device) => format!("{} on {device}", interface.name),
            None => interface.name.to_string(),
        };
        let port_vlan = interface.bridge.as_ref().and_then(|member| match &member.tagging {
            Tagging::Access(vlan) => Some(*vlan),
            Tagging::Trunk(trunk) => Some(trunk.native.unwrap_or(0)),
            Tagging::Plain | Tagging::Rewrite(_) => None,
        });
        let vlan = |index: u32| {
            let interface = self.interfaces.get(index)?;
            let (_, vlan) = interface.parent.as_ref().filter(|(_, vlan)| vlan.inner.is_none())?;
            Some((vlan.outer, interface.name.to_string()))
        };
        let vlans = self.interfaces.children(index).into_iter().filter_map(vlan).take(MOST_VLANS).collect();
        Some(Told {
            source: interface.mac,
            port: interface.name.to_string(),
            port_description: called,
            management: self.lldp_management(index),
            port_vlan,
            vlans,
            bond: self.bonds.bond_of(index),
            max_frame_size: interface.mtu.saturating_add(FRAME),
            ..router.clone()
        })
    }

    /// An address of each family at which the router can be reached by an interface: its own, that of its bond or bridge, that of a
    /// sub-interface, or any.
    fn lldp_management(&self, index: u32) -> Vec<(IpAddr, u32)> {
        let bridge = |index: u32| {
            let name = &self.interfaces.get(index)?.bridge.as_ref()?.bridge;
            self.interfaces.index(name)
        };
        let bond = self.bonds.bond_of(index);
        let carriers = [Some(index), bond].into_iter().flatten();
        let near: Vec<u32> = carriers
            .flat_map(|i| [vec![i], bridge(i).into_iter().collect(), self.interfaces.children(i)].concat())
            .collect();
        let all = near.into_iter().chain(self.interfaces.iter().map(|interface| interface.index));
        let of = |index: u32| {
            let addresses = self.interfaces.get(index).into_iter().flat_map(|i| i.addresses.iter());
            addresses.map(move |net| (net.addr(), index))
        };
        let addresses: Vec<(IpAddr, u32)> = all.flat_map(of).collect();
        let first = |v6: bool| addresses.iter().find(|(address, _)| address.is_ipv6() == v6).copied();
        [first(false), first(true)].into_iter().flatten().collect()
    }
}
