//! Bridges as control has them: the ports, domains and stations of the packet path follow from the settings of bridges and
//! interfaces and from the state of links.
//!
//! A *domain* is where a station's address is its own: the frames of a bridge that are of no VLAN, or those of one VLAN of it. Each has a
//! number in the packet path for as long as it lives, and until nothing is remembered of it afterwards.

pub mod news;
mod publish;
pub mod sweep;
mod tell;
#[cfg(test)]
mod tests;
pub mod wanted;

use super::Router;
use super::events::Severity;
use super::interfaces::Interface;
use millrace_config::{Bridge, Name};
use millrace_engine::Feature;
use millrace_graph_nodes::l2::{self, Bridging, Happened};
use millrace_io::Link;
use millrace_tables::indices::Indices;
use millrace_tables::mac::{BRIDGES, Known, MacTable, Station};
use millrace_wire::MacAddr;
use news::Watch;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use sweep::{State, Sweep};
use wanted::{Domain, Key, Live, Parts, Port, Structure, Wanted};

/// How long is waited between two looks at whether all workers know.
const SOON: Duration = Duration::from_millis(1);
/// Why a bridge's own interface has no link.
const NO_PORT: &str = "no port of the bridge is up";

/// All of it.
#[derive(Debug)]
pub struct Bridges {
    /// What the packet path reads.
    bridging: Bridging,
    settings: BTreeMap<Name, Bridge>,
    structure: Structure,
    published: Wanted,
    indices: Indices,
    /// The numbers of the domains that there are.
    numbers: BTreeMap<Key, u16>,
    /// What numbers mean, or meant until lately.
    keys: BTreeMap<u16, Key>,
    /// Static stations that the table has no room for; each was told once.
    homeless: BTreeSet<(u16, MacAddr)>,
    sweep: Sweep,
    watch: Watch,
    /// Seconds since the start, as the table of stations was told last.
    second: u64,
    /// A change of the configuration is under way: what follows from its steps is looked at once, when all are taken.
    under_way: bool,
}

impl Bridges {
    /// No bridges yet.
    pub fn new(bridging: Bridging) -> Bridges {
        Bridges {
            bridging,
            settings: BTreeMap::new(),
            structure: Structure::default(),
            published: Wanted::default(),
            // 0 is none.
            indices: Indices::new(1..BRIDGES as u32),
            numbers: BTreeMap::new(),
            keys: BTreeMap::new(),
            homeless: BTreeSet::new(),
            sweep: Sweep::new(BRIDGES),
            watch: Watch::default(),
            second: 0,
            under_way: false,
        }
    }

    /// The bridges by name, with their settings and what they consist of.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Bridge, &Parts)> {
        self.settings.iter().filter_map(|(name, settings)| Some((name, settings, self.structure.bridges.get(name)?)))
    }

    /// The settings of a bridge.
    pub fn get(&self, name: &str) -> Option<&Bridge> {
        self.settings.get(name)
    }

    /// What a bridge consists of.
    pub fn parts(&self, name: &str) -> Option<&Parts> {
        self.structure.bridges.get(name)
    }

    /// The bridge that an interface is a port of.
    pub fn of_port(&self, interface: u32) -> Option<&Name> {
        self.structure.parts.get(&interface).filter(|part| part.member.is_some()).map(|part| &part.bridge)
    }

    /// The number of a domain: of a bridge and a VLAN of it, 0 for frames without one.
    pub fn domain(&self, bridge: &Name, vlan: u16) -> Option<u16> {
        self.numbers.get(&(bridge.clone(), vlan)).copied()
    }

    /// The bridge and VLAN (0: none) of a domain.
    pub fn key(&self, domain: u16) -> Option<&Key> {
        self.keys.get(&domain)
    }

    /// The domains of a bridge, with their VLANs.
    pub fn domains(&self, bridge: &Name) -> impl Iterator<Item = (u16, u16)> {
        let all = (bridge.clone(), 0)..=(bridge.clone(), u16::MAX);
        self.numbers.range(all).map(|((_, vlan), number)| (*vlan, *number))
    }

    /// The numbers of all domains.
    pub fn all_domains(&self) -> impl Iterator<Item = u16> {
        self.numbers.values().copied()
    }

    /// How many stations of a domain are static: by the configuration, and the router itself.
    pub fn fixed(&self, domain: u16) -> usize {
        self.published.fixed.range((domain, MacAddr::ZERO)..=(domain, MacAddr::BROADCAST)).count()
    }

    /// What the packet path has of a port.
    pub fn port(&self, interface: u32) -> Option<&Port> {
        self.published.ports.get(&interface)
    }

    /// What the packet path has of a domain.
    pub fn published(&self, domain: u16) -> Option<&Domain> {
        self.published.domains.get(&domain)
    }

    /// Where stations are.
    pub fn stations(&self) -> &MacTable {
        &self.bridging.stations
    }

    /// What happened at a port since it is one.
    pub fn happened(&self, interface: u32) -> Happened {
        self.bridging.journal.happened(interface)
    }

    /// The interface that a station is behind, which may be by way of a remote.
    pub fn interface_of(&self, behind: u16) -> u32 {
        self.bridging.behind(behind).unwrap_or(behind.into())
    }

    /// Says by which interface stations behind a remote are reached from now on; if by none, they are forgotten.
    pub fn set_remote(&mut self, number: u16, interface: Option<u32>) {
        self.bridging.set_behind(number, interface);
        match interface {
            Some(interface) => {
                let limit = self.port(interface).and_then(|port| port.mac_limit);
                self.stations().limit_port(number, limit.unwrap_or(u32::MAX));
            }
            None => self.sweep.forget_behind(number),
        }
    }

    /// How many stations are behind an interface, its remotes among that.
    pub fn behind(&self, interface: u32) -> u32 {
        let stations = self.stations();
        let own = stations.port_len(interface as u16);
        let tunnel = self.port(interface).is_some_and(|port| port.tunnel);
        own + if tunnel { self.remotes(interface).map(|remote| stations.port_len(remote)).sum() } else { 0 }
    }

    /// The numbers of the remotes on an interface.
    fn remotes(&self, interface: u32) -> impl Iterator<Item = u16> {
        let all = millrace_engine::counters::MAX_INTERFACES as u16..millrace_tables::mac::PORTS as u16;
        all.filter(move |remote| self.bridging.behind(*remote) == Some(interface))
    }

    /// Looks at a piece of the table from a bucket on, and forgets stations for which `keep` says no; how many were, and where the next
    /// piece begins.
    pub fn walk(&self, from: usize, keep: impl FnMut(Station, &Known) -> bool) -> (usize, Option<usize>) {
        let all = self.stations().buckets();
        let end = all.min(from.saturating_add(sweep::PIECE));
        let gone = self.stations().walk(from.min(end)..end, keep);
        (gone, Some(end).filter(|end| *end < all))
    }

    /// The features of an interface.
    pub fn features(&self, interface: &Interface) -> &'static [Feature] {
        let bvi = |index: u32| self.structure.parts.get(&index).is_some_and(|part| part.member.is_none());
        match &interface.parent {
            _ if self.of_port(interface.index).is_some() => &[l2::FEATURE],
            _ if bvi(interface.index) => &[l2::BVI_FEATURE],
            Some((parent, _)) if bvi(*parent) => &[l2::BVI_FEATURE],
            _ => &[],
        }
    }

    /// Deals out numbers to domains that have none, and takes them from those that are not there any more. Domains without one as
    /// there are too many.
    fn number(&mut self) -> Vec<Key> {
        let wanted = self.structure.domains();
        self.numbers.retain(|key, _| wanted.contains(key));
        let mut left_out = Vec::new();
        for key in wanted {
            if self.numbers.contains_key(&key) {
                continue;
            }
            match self.indices.allocate() {
                Some(number) => {
                    // Numbers are below the number of domains, which 16 bits hold.
                    self.keys.insert(number as u16, key.clone());
                    self.numbers.insert(key, number as u16);
                }
                None => left_out.push(key),
            }
        }
        left_out
    }

    /// Tries again to fix those that found no place.
    fn fix_homeless(&mut self) {
        for key in self.homeless.clone() {
            if let Some(behind) = self.published.fixed.get(&key).copied() {
                self.fix(key, behind);
            }
        }
    }

    /// Does a piece of what is to be done with the table.
    fn step(&mut self) {
        let Bridges { sweep, bridging, indices, keys, .. } = self;
        for number in sweep.step(&bridging.stations) {
            keys.remove(&number);
            indices.release(number.into());
        }
        // Before others are learnt in what has become free.
        if sweep.state() == State::Idle {
            self.fix_homeless();
        }
    }
}

impl Router {
    /// Gives a bridge these settings, or takes it away. Takes effect with [`follow_bridges`](Self::follow_bridges).
    pub(super) fn set_bridge(&mut self, name: &Name, settings: Option<&Bridge>) {
        match settings {
            Some(settings) => drop(self.bridges.settings.insert(name.clone(), settings.clone())),
            None => drop(self.bridges.settings.remove(name)),
        }
    }

    /// Lets the packet path have what the settings of bridges and interfaces say now.
    pub(super) fn follow_bridges(&mut self) {
        let structure = Structure::of(self.interfaces.iter().map(Into::into), &self.bridges.settings);
        if structure != self.bridges.structure {
            self.bridges.structure = structure;
            for (bridge, vlan) in self.bridges.number() {
                let text = format!("VLAN {vlan} is not served: there are {} VLANs of bridges already", BRIDGES - 1);
                self.tell(Severity::Error, format!("bridge {bridge}"), text);
            }
        }
        self.follow_bridge_links();
    }

    /// Says that steps of a change are taken from now on, or that all are.
    pub(super) fn set_under_way(&mut self, under_way: bool) {
        self.bridges.under_way = under_way;
    }

    /// Lets the packet path have what is true of the interfaces that are in bridges now; which those are is as it was.
    pub(super) fn follow_bridge_links(&mut self) {
        if self.bridges.under_way {
            return;
        }
        self.follow_bvi_links();
        let Router { bridges, interfaces, vxlan, .. } = self;
        let live = |index| {
            let mtu = interfaces.get(index).map_or(0, |interface| interface.mtu);
            Live { up: interfaces.is_up(index), mac: interfaces.mac(index), mtu }
        };
        let number = |key: &Key| bridges.numbers.get(key).copied();
        let remote = |interface, address| vxlan.number(interface, address);
        let wanted = wanted::wanted(&bridges.structure, &bridges.settings, number, live, remote);
        if wanted == bridges.published {
            return;
        }
        let refused = bridges.publish(wanted);
        self.engine.tables_changed();
        for ((number, mac), full) in refused {
            self.tell_homeless(number, mac, full);
        }
        // The loop has to look at the timers again.
        self.control.wake();
    }

    /// A bridge's own interface has a link while a port of the bridge is up.
    fn follow_bvi_links(&mut self) {
        let mut changed = Vec::new();
        for parts in self.bridges.structure.bridges.values() {
            let Some(index) = parts.bvi else { continue };
            let up = parts.ports.values().any(|port| self.interfaces.is_up(*port));
            let Some(interface) = self.interfaces.get_mut(index).filter(|i| i.driver == millrace_config::Driver::Bvi)
            else {
                continue;
            };
            let link = if up { Link::Up } else { Link::Down };
            let problem = (!up).then(|| NO_PORT.to_owned());
            if interface.link != link || interface.problem != problem {
                (interface.link, interface.problem) = (link, problem);
                changed.push((index, up));
            }
        }
        for (index, up) in changed {
            let (severity, text) = match up {
                true => (Severity::Info, "link up".to_owned()),
                false => (Severity::Warning, format!("link down: {NO_PORT}")),
            };
            self.tell(severity, format!("interface {}", self.interfaces.name(index)), text);
            self.refresh_or_warn(index);
            if up {
                self.announce(index);
            }
        }
    }

    /// Does a piece of what is to be done with the table of stations.
    pub(super) fn run_bridges(&mut self, _now: Instant) {
        self.bridges.step();
    }

    /// When something is due next.
    pub(super) fn next_bridges(&self) -> Option<Instant> {
        match self.bridges.sweep.state() {
            State::Idle => None,
            State::Waiting => Some(Instant::now() + SOON),
            State::Busy => Some(Instant::now()),
        }
    }

    /// What is done once a second.
    pub(super) fn second_bridges(&mut self) {
        // Nobody rings for news.
        self.pump_bridges();
        let second = self.started.elapsed().as_secs();
        let Router { bridges, interfaces, .. } = self;
        let passed = second.saturating_sub(bridges.second);
        bridges.second = second;
        bridges.bridging.stations.tick(second as u32);
        bridges.sweep.tick(&bridges.bridging.stations, passed as u32);
        bridges.fix_homeless();
        let structure = &bridges.structure;
        let name = |index: u32| structure.parts.contains_key(&index).then(|| interfaces.name(index));
        let journal = &bridges.bridging.journal;
        let told = bridges.watch.second(name, |index| journal.happened(index), second);
        told.into_iter().for_each(|told| self.tell_bridge(told));
    }
}
