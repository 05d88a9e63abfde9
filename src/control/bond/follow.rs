//! Bonds and members as the configuration has them: what comes and goes, and what members are given by their bond.

use super::{Bond, Bonds, Counts, Member, is_lacp, port_number, settings_of};
use crate::control::Router;
use crate::control::interfaces::Interface;
use crate::control::lacp::{Aggregator, Settings};
use millrace_config as config;
use millrace_graph_nodes::bond::Membership;
use millrace_wire::MacAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// What is wanted of a bond.
struct Wanted {
    settings: config::Bond,
    members: Vec<u32>,
    wanted_mac: Option<MacAddr>,
    mtu: u16,
}

impl Router {
    /// Lets bonds have the members of the configuration, and members the MAC address and MTU of their bond.
    pub(super) fn follow_members(&mut self) {
        let wanted = self.wanted_bonds();
        let member_of =
            |(bond, wanted): (&u32, &Wanted)| wanted.members.iter().map(|m| (*m, *bond)).collect::<Vec<_>>();
        let members: BTreeMap<u32, u32> = wanted.iter().flat_map(member_of).collect();
        let leaves = |(index, member): (&u32, &Member)| (members.get(index) != Some(&member.bond)).then_some(*index);
        let left: Vec<u32> = self.bonds.members.iter().filter_map(leaves).collect();
        left.into_iter().for_each(|index| self.release_member(index));
        let gone: Vec<u32> = self.bonds.bonds.keys().filter(|index| !wanted.contains_key(index)).copied().collect();
        for index in gone {
            self.bonds.bonds.remove(&index);
            self.bonds.nodes.set_bond(index, None);
        }
        for (index, wanted) in wanted {
            self.follow_bond(index, wanted);
        }
    }

    fn wanted_bonds(&self) -> BTreeMap<u32, Wanted> {
        let wanted = |interface: &Interface| {
            let settings = settings_of(interface)?.clone();
            let members = settings.members.iter().filter_map(|name| self.interfaces.index(name)).collect();
            let wanted_mac = interface.wanted_mac.map(|mac| MacAddr(mac.0));
            Some((interface.index, Wanted { settings, members, wanted_mac, mtu: interface.mtu }))
        };
        self.interfaces.iter().filter_map(wanted).collect()
    }

    fn follow_bond(&mut self, index: u32, wanted: Wanted) {
        let Wanted { settings, members, wanted_mac, mtu } = wanted;
        let Bonds { bonds, members: all, nodes, .. } = &mut self.bonds;
        let bond = bonds.entry(index).or_insert_with(|| Bond {
            settings: settings.clone(),
            members: Vec::new(),
            lender: None,
            active: None,
            lacp: None,
            published: None,
            told: false,
        });
        let joined: Vec<u32> = members.iter().filter(|member| !bond.members.contains(member)).copied().collect();
        bond.members = members;
        bond.settings = settings;
        for member in joined {
            let member_of = Member {
                bond: index,
                carries: super::Carries::default(),
                why: None,
                refused: None,
                counts: Counts::default(),
            };
            all.insert(member, member_of);
            nodes.set_member(member, Some(Membership { bond: index, collects: false }));
        }
        let mac = self.lend_mac(index, wanted_mac);
        self.set_bond_mac(index, mac);
        self.give_to_members(index, mac, mtu);
        self.follow_lacp(index, wanted_mac, mac);
    }

    /// The bond's MAC address: the operator's, or that of the first member that has one, for as long as it is a member.
    fn lend_mac(&mut self, index: u32, wanted: Option<MacAddr>) -> MacAddr {
        let Router { bonds: Bonds { bonds, .. }, interfaces, .. } = self;
        let own = |member: &u32| interfaces.get(*member).map(Interface::own_mac).filter(MacAddr::is_unicast);
        let Some(bond) = bonds.get_mut(&index) else { return MacAddr::ZERO };
        let stays = bond.lender.filter(|lender| bond.members.contains(lender) && own(lender).is_some());
        bond.lender = stays.or_else(|| bond.members.iter().copied().find(|member| own(member).is_some()));
        let name = interfaces.name(index);
        let lent = bond.lender.as_ref().and_then(own);
        wanted.or(lent).unwrap_or_else(|| MacAddr(millrace_io::derived_mac(&name)))
    }

    fn set_bond_mac(&mut self, index: u32, mac: MacAddr) {
        let Some(interface) = self.interfaces.get_mut(index).filter(|interface| interface.mac != mac) else { return };
        interface.mac = mac;
        self.refresh_or_warn(index);
        self.announce(index);
    }

    fn give_to_members(&mut self, index: u32, mac: MacAddr, mtu: u16) {
        let members = self.bonds.bonds.get(&index).map(|bond| bond.members.clone()).unwrap_or_default();
        for index in members {
            let Some(interface) = self.interfaces.get_mut(index) else { continue };
            if (interface.mac, interface.mtu) == (mac, mtu) {
                continue;
            }
            let refused = give(interface, mac, mtu);
            self.refresh_or_warn(index);
            self.tell_refused(index, refused);
        }
    }

    /// A member leaves: it is told to the partner, and is what it was.
    fn release_member(&mut self, index: u32) {
        let Some(member) = self.bonds.members.remove(&index) else { return };
        self.bonds.nodes.set_member(index, None);
        let lacp = self.bonds.bonds.get_mut(&member.bond).and_then(|bond| bond.lacp.as_mut());
        let sends = lacp.map(|lacp| lacp.remove(port_number(index), Instant::now())).unwrap_or_default();
        self.send_lacp(sends);
        if let Some(bond) = self.bonds.bonds.get_mut(&member.bond) {
            bond.members.retain(|other| *other != index);
        }
        let Some(interface) = self.interfaces.get_mut(index) else { return };
        let refused = give(interface, interface.own_mac(), interface.wanted_mtu);
        self.refresh_or_warn(index);
        self.tell_refused(index, refused);
    }

    fn tell_refused(&mut self, index: u32, refused: Option<String>) {
        let Some(text) = refused else { return };
        // Once: what is not given is not tried again until something changes.
        if let Some(member) = self.bonds.members.get_mut(&index) {
            if member.refused.as_ref() == Some(&text) {
                return;
            }
            member.refused = Some(text.clone());
        }
        self.tell_bond(index, crate::control::events::Severity::Warning, text);
    }

    /// Lets the machines of LACP be those of the settings. The system's name is the bond's MAC address when it began: under another
    /// name all would have to be agreed on anew, only because a member was taken away.
    fn follow_lacp(&mut self, index: u32, wanted: Option<MacAddr>, mac: MacAddr) {
        let now = Instant::now();
        let Some(bond) = self.bonds.bonds.get_mut(&index) else { return };
        let numbers: BTreeSet<u16> = bond.members.iter().map(|member| port_number(*member)).collect();
        let named = bond.lacp.as_ref().map(|lacp| lacp.settings().system);
        let wanted = is_lacp(&bond.settings).then_some(Settings {
            system: wanted.or(named).unwrap_or(mac),
            key: port_number(index),
            fast: bond.settings.lacp_rate == config::LacpRate::Fast,
            min_links: bond.settings.min_links.into(),
        });
        let mut sends = Vec::new();
        match (wanted, &mut bond.lacp) {
            (Some(wanted), Some(lacp)) => sends.extend(lacp.set(wanted, now)),
            (Some(wanted), none) => *none = Some(Aggregator::new(wanted)),
            (None, Some(lacp)) => {
                let ports: Vec<u16> = lacp.ports().map(|port| port.number()).collect();
                sends.extend(ports.into_iter().flat_map(|port| lacp.remove(port, now)));
                bond.lacp = None;
            }
            (None, None) => {}
        }
        if let Some(lacp) = &mut bond.lacp {
            sends.extend(numbers.into_iter().flat_map(|port| lacp.add(port, now)));
        }
        self.send_lacp(sends);
    }
}

/// Gives an interface a MAC address and an MTU, as far as its device takes them. What it refused.
fn give(interface: &mut Interface, mac: MacAddr, mtu: u16) -> Option<String> {
    let mut refused = None;
    if interface.mac != mac {
        match interface.device.as_mut().map_or(Ok(()), |device| device.set_mac(mac.0)) {
            Ok(()) => interface.mac = mac,
            Err(error) => refused = Some(format!("its bond's address {mac} can't be set: {error}")),
        }
    }
    if interface.mtu != mtu {
        match interface.device.as_mut().map_or(Ok(()), |device| device.set_mtu(mtu.into())) {
            Ok(()) => interface.mtu = mtu,
            Err(error) => refused = Some(format!("its bond's mtu {mtu} can't be set: {error}")),
        }
    }
    refused
}
