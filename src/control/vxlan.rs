//! VXLAN interfaces as control has them: what the packet path knows of them and of their remotes follows from the configuration and
//! from who is heard.
//!
//! A *remote* is a tunnel end point that stations are behind. It has a number, as interfaces have, by which the table of stations names
//! it. Remotes that nobody named are learnt from the datagrams that they send, a bounded number of them, and forgotten when they have
//! been silent for a while and no station is behind them any more. Frames to all are for those only that the operator named.

pub mod remotes;
#[cfg(test)]
mod tests;
pub mod wanted;

use super::Router;
use super::events::Severity;
use super::interfaces::Interface;
use millrace_config::Driver;
use millrace_engine::Feature;
use millrace_graph_nodes::vxlan::{Known, Tunnel};
use millrace_tables::lpm::Address;
use remotes::{Remotes, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use wanted::Wanted;

/// Remotes that an interface learns at most.
const LEARNT: usize = 256;
/// How long a learnt remote without stations is silent before it is forgotten.
const SILENT: Duration = Duration::from_secs(60);
/// How often at most an operator is told that no more are learnt.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// All of it.
#[derive(Debug)]
pub struct Vxlan {
    /// By interface, what was published.
    interfaces: BTreeMap<u32, Wanted>,
    remotes: Remotes,
    /// Open UDP ports.
    ports: BTreeSet<u16>,
    generation: u64,
    /// When it was last told of an interface that it learns no more.
    told: BTreeMap<u32, Instant>,
}

impl Vxlan {
    /// No interfaces yet, and so many workers.
    pub fn new(workers: usize) -> Vxlan {
        Vxlan {
            interfaces: BTreeMap::new(),
            remotes: Remotes::new(workers),
            ports: BTreeSet::new(),
            generation: 0,
            told: BTreeMap::new(),
        }
    }

    /// The remotes of all interfaces.
    pub const fn remotes(&self) -> &Remotes {
        &self.remotes
    }

    /// How an interface is set up now.
    pub fn get(&self, interface: u32) -> Option<&Wanted> {
        self.interfaces.get(&interface)
    }

    /// The number of a remote, if it is known: what stations behind it are behind.
    pub fn number(&self, interface: u32, address: IpAddr) -> Option<u16> {
        self.remotes.get(interface, address).map(|remote| remote.number)
    }
}

impl Router {
    /// The interface and the address of a remote, by the number that stations are behind.
    pub fn remote_name(&self, number: u16) -> Option<(u32, IpAddr)> {
        self.vxlan.remotes.by_number(number)
    }

    /// What sends the frames of an interface, if it or what carries it is one of VXLAN.
    pub(super) fn vxlan_feature(&self, interface: &Interface) -> Option<Feature> {
        let carrier = interface.parent.as_ref().map_or(Some(interface), |(parent, _)| self.interfaces.get(*parent))?;
        match &carrier.driver {
            Driver::Vxlan(vxlan) => Some(millrace_graph_nodes::vxlan::feature_of(vxlan.local)),
            _ => None,
        }
    }

    /// Lets the packet path have what the configuration and the interfaces say now.
    pub(super) fn follow_vxlan(&mut self) {
        let wanted = self.wanted_vxlan();
        if wanted != self.vxlan.interfaces {
            self.set_vxlan(wanted);
        }
    }

    fn set_vxlan(&mut self, wanted: BTreeMap<u32, Wanted>) {
        let before = std::mem::replace(&mut self.vxlan.interfaces, wanted);
        let Router { vxlan: Vxlan { interfaces, remotes, ports, told, .. }, forwarding, .. } = self;
        told.retain(|interface, _| interfaces.contains_key(interface));
        let tables = &forwarding.vxlan;
        // First everything that is new, then whose datagrams are, then what is gone: no datagram finds less than there is.
        let mut lacking = Vec::new();
        for (index, wanted) in interfaces.iter() {
            for (address, source) in &wanted.remotes {
                if !remotes.want((*index, *address), *source) {
                    lacking.push((*index, *address));
                }
            }
        }
        let gone = remotes.retain(|(index, address), source| {
            interfaces.get(&index).is_some_and(|wanted| wanted.keeps(address, source))
        });
        for ((index, _), remote) in remotes.iter() {
            let Some(wanted) = interfaces.get(&index) else { continue };
            if before.get(&index).is_none_or(|old| old.outer() != wanted.outer()) || remote.fresh {
                tables.set_remote(remote.number.into(), wanted.published(index, remote));
                self.bridges.set_remote(remote.number, Some(index));
            }
        }
        remotes.published();
        for (index, wanted) in interfaces.iter() {
            let flooded = wanted.remotes.iter().filter(|(_, source)| **source == Source::Named);
            let replicate = flooded.filter_map(|(address, _)| Some(remotes.get(*index, *address)?.number.into()));
            tables.set(*index, Some(Tunnel { replicate: replicate.collect(), bridged: wanted.bridged }));
        }
        let open: BTreeSet<u16> = interfaces.values().map(|wanted| wanted.port).collect();
        for port in ports.symmetric_difference(&open) {
            forwarding.udp_services.set(*port, open.contains(port));
        }
        *ports = open;
        self.publish_ends();
        for index in before.keys().filter(|index| !self.vxlan.interfaces.contains_key(index)) {
            self.forwarding.vxlan.set(*index, None);
        }
        for number in gone {
            self.bridges.set_remote(number, None);
            self.forwarding.vxlan.set_remote(number.into(), None);
        }
        for (index, address) in lacking {
            let text = format!("remote {address} is not served: there are too many remotes already");
            let name = self.interfaces.name(index);
            self.tell(Severity::Error, format!("interface {name}"), text);
        }
    }

    /// Says whose datagrams are.
    fn publish_ends(&mut self) {
        let Vxlan { interfaces, remotes, generation, .. } = &mut self.vxlan;
        *generation += 1;
        self.forwarding.vxlan.set_ends(*generation, |ends4, ends6| {
            for (index, wanted) in interfaces.iter() {
                let known = |remote| Known {
                    interface: *index,
                    remote,
                    learn: wanted.learn,
                    zero_checksum: wanted.zero_checksum,
                };
                let of = remotes.of(*index).map(|(address, remote)| (address, u32::from(remote.number)));
                let (table, port, vni) = (wanted.table, wanted.port, wanted.vni);
                match wanted.local {
                    IpAddr::V4(local) => {
                        let at = (table, local.to_bits(), port);
                        ends4.interface(at, vni, known(0));
                        of.filter_map(|(address, number)| Some((u32::of_ip(address)?, number)))
                            .for_each(|(address, number)| ends4.remote(at, vni, address, known(number)));
                    }
                    IpAddr::V6(local) => {
                        let at = (table, local.to_bits(), port);
                        ends6.interface(at, vni, known(0));
                        of.filter_map(|(address, number)| Some((u128::of_ip(address)?, number)))
                            .for_each(|(address, number)| ends6.remote(at, vni, address, known(number)));
                    }
                }
            }
        });
        // Frames may wait for it.
        self.engine.tables_changed();
    }

    /// A datagram came from somebody who is no remote of the interface.
    pub(super) fn remote_heard(&mut self, index: u32, address: IpAddr, now: Instant) {
        let Router { vxlan: Vxlan { interfaces, remotes, told, .. }, .. } = self;
        let Some(wanted) = interfaces.get(&index).filter(|wanted| wanted.may_learn(address)) else { return };
        // Several of its frames may have come.
        if remotes.get(index, address).is_some() {
            return;
        }
        let learnt = remotes.of(index).filter(|(_, remote)| remote.source == Source::Learnt).count();
        let name = self.interfaces.name(index);
        if learnt >= LEARNT || !remotes.want((index, address), Source::Learnt) {
            if told.get(&index).is_none_or(|before| now.duration_since(*before) >= TELL_EVERY) {
                told.insert(index, now);
                let text = format!("{address} and others are not learnt as remotes: {learnt} are already");
                self.tell(Severity::Warning, format!("interface {name}"), text);
            }
            return;
        }
        let Some(remote) = remotes.get(index, address) else { return };
        let number = remote.number;
        self.forwarding.vxlan.set_remote(number.into(), wanted.published(index, remote));
        self.bridges.set_remote(number, Some(index));
        remotes.published();
        self.publish_ends();
        self.tell(Severity::Info, format!("interface {name}"), format!("remote {address} learnt"));
    }

    /// Forgets learnt remotes that are silent, once a second.
    pub(super) fn second_vxlan(&mut self) {
        let (now, bridges) = (Instant::now(), &self.bridges);
        let stations = |number| bridges.stations().port_len(number);
        let silent = self.vxlan.remotes.silent(now, SILENT, stations);
        self.vxlan.remotes.reuse(now, stations);
        if silent.is_empty() {
            return;
        }
        let gone = self.vxlan.remotes.retain(|key, _| !silent.contains(&key));
        self.publish_ends();
        for number in gone {
            self.bridges.set_remote(number, None);
            self.forwarding.vxlan.set_remote(number.into(), None);
        }
        for (index, address) in silent {
            let name = self.interfaces.name(index);
            self.tell(Severity::Info, format!("interface {name}"), format!("remote {address} forgotten: it is silent"));
        }
    }
}
