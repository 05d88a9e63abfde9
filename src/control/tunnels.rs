//! GRE and IPIP interfaces as control has them: what the packet path needs of each, how long packets the way to the other end takes,
//! and what was heard about packets that didn't get there.
//!
//! | file | what |
//! |---|---|
//! | `report` | ICMP errors about outer packets, read |
//! | `path` | what is known of the way to the other end |

pub mod path;
pub mod report;
#[cfg(test)]
mod tests;

use super::Router;
use super::events::Severity;
use super::interfaces::Interface;
use millrace_config::{Df as ConfigDf, Driver, Ends, Name, Tos};
use millrace_engine::Feature;
use millrace_graph_nodes::forwarding::Forwarding;
use millrace_graph_nodes::tunnel::{self, Df, Kind, Tunnel};
use path::Path;
use report::Report;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

/// All of it.
#[derive(Debug, Default)]
pub struct Tunnels {
    /// What the packet path has, by interface.
    published: BTreeMap<u32, Tunnel>,
    /// What was heard of the ways of those.
    paths: BTreeMap<u32, Path>,
}

impl Tunnels {
    /// What the packet path has of an interface. `None` if it is no tunnel, or one without an underlay.
    pub fn get(&self, interface: u32) -> Option<&Tunnel> {
        self.published.get(&interface)
    }

    /// What was heard of a tunnel's way.
    pub fn path(&self, interface: u32) -> Path {
        self.paths.get(&interface).copied().unwrap_or_default()
    }

    /// The longest packet that an interface takes, in bytes: its own MTU, and for a tunnel no more than its way leaves.
    pub fn mtu(&self, interface: u32, configured: u16) -> u16 {
        let left = self.published.get(&interface).map(|tunnel| {
            let path = self.path(interface).mtu().unwrap_or(u16::MAX);
            usize::from(path).saturating_sub(tunnel.overhead()) as u16
        });
        left.map_or(configured, |left| left.min(configured))
    }

    /// Has these tunnels from now on. What was heard of one whose ends are others is forgotten.
    fn set(&mut self, now: BTreeMap<u32, Tunnel>, forwarding: &Forwarding) {
        let same = |interface: &u32| match (self.published.get(interface), now.get(interface)) {
            (Some(old), Some(new)) => (old.local, old.remote, old.table) == (new.local, new.remote, new.table),
            _ => false,
        };
        self.paths.retain(|interface, _| same(interface));
        let now: BTreeMap<u32, Tunnel> =
            now.into_iter().map(|(interface, tunnel)| (interface, self.path(interface).applied(tunnel))).collect();
        if self.published != now {
            forwarding.tunnels.set(&self.published, &now);
            self.published = now;
        }
    }

    /// Takes in what was heard about an outer packet in a table. The tunnels whose way takes shorter packets from now on than so far.
    fn hear(&mut self, table: u32, report: &Report, now: Instant) -> Vec<u32> {
        let Tunnels { published, paths } = self;
        let about = published.iter().filter(|(_, tunnel)| report.is_about(tunnel, table));
        let heard = about.filter(|(interface, tunnel)| paths.entry(**interface).or_default().hear(tunnel, report, now));
        heard.map(|(interface, _)| *interface).collect()
    }

    /// Forgets what is too old. Whether anything was: those ways are tried anew with long packets.
    fn expire(&mut self, now: Instant) -> bool {
        self.paths.values_mut().fold(false, |any, path| path.run(now) | any)
    }

    fn next(&self) -> Option<Instant> {
        self.paths.values().filter_map(Path::next).min()
    }
}

impl Router {
    /// Lets the packet path have what the configuration and the interfaces say now.
    pub(super) fn follow_tunnels(&mut self) {
        let tunnels = || self.interfaces.iter().filter_map(|i| settings(&i.driver).map(|settings| (i, settings)));
        if tunnels().next().is_none() && self.tunnels.published.is_empty() {
            return;
        }
        let of = |interface: &Interface| interface.addresses.iter().map(|net| net.addr()).collect::<Vec<_>>();
        let own: BTreeSet<(u32, IpAddr)> =
            self.interfaces.iter().flat_map(|i| of(i).into_iter().map(|address| (i.vrf.1, address))).collect();
        let mut wanted = BTreeMap::new();
        let mut problems = Vec::new();
        for (interface, (ends, kind)) in tunnels() {
            let Some(table) = self.vrfs.get(&ends.underlay_vrf).copied() else { continue };
            wanted.insert(interface.index, tunnel(ends, kind, table));
            let problem = (!own.contains(&(table, ends.local))).then(|| no_address(ends));
            if interface.problem != problem {
                problems.push((interface.index, problem));
            }
        }
        self.tunnels.set(wanted, &self.forwarding);
        for (index, problem) in problems {
            if let Some(interface) = self.interfaces.get_mut(index) {
                interface.problem = problem;
            }
        }
        // Senders hear of the MTU that is left.
        let adjacencies = self.routes.adjacencies();
        let of_link = |index: &u32| adjacencies.link(*index).map(|link| link.mtu);
        let wanted = |index: &u32| Some(self.tunnels.mtu(*index, self.interfaces.get(*index)?.mtu));
        let stale =
            self.tunnels.published.keys().filter(|index| of_link(index).is_some() && of_link(index) != wanted(index));
        for index in stale.copied().collect::<Vec<_>>() {
            self.refresh_or_warn(index);
        }
    }

    /// The feature that sends a tunnel's packets.
    pub(super) fn tunnel_feature(&self, interface: &Interface) -> Option<Feature> {
        settings(&interface.driver).map(|_| tunnel::FEATURE)
    }

    /// Takes in a packet to the router itself: it may be an error about one in a tunnel. `table` is that in which it is for the router.
    pub(super) fn tunnels_hear(&mut self, table: u32, packet: &[u8], now: Instant) {
        let Some(report) = Report::read(packet) else { return };
        for index in self.tunnels.hear(table, &report, now) {
            let mtu = self.tunnels.path(index).mtu().unwrap_or(u16::MAX);
            let source = format!("interface {}", self.interfaces.name(index));
            let text = format!("the way to {} takes {mtu} bytes, says {}", report.remote, report.from);
            self.tell(Severity::Info, source, text);
            self.follow_tunnels();
            // The loop has to look at the timers again.
            self.control.wake();
        }
    }

    /// Does what is due.
    pub(super) fn run_tunnels(&mut self, now: Instant) {
        if self.tunnels.expire(now) {
            self.follow_tunnels();
        }
    }

    /// When something is due next.
    pub(super) fn next_tunnels(&self) -> Option<Instant> {
        self.tunnels.next()
    }
}

/// The ends of a tunnel, and what it puts between the headers.
pub fn settings(driver: &Driver) -> Option<(&Ends, Kind)> {
    match driver {
        Driver::Gre(gre) => Some((&gre.ends, Kind::Gre { key: gre.key, checksum: gre.checksum })),
        Driver::Ipip(ipip) => Some((&ipip.ends, Kind::Ipip)),
        _ => None,
    }
}

fn tunnel(ends: &Ends, kind: Kind, table: u32) -> Tunnel {
    Tunnel {
        kind,
        local: ends.local,
        remote: ends.remote,
        table,
        ttl: ends.ttl,
        tos: match ends.tos {
            Tos::Inherit => None,
            Tos::Value(tos) => Some(tos),
        },
        df: match ends.df {
            ConfigDf::Inherit => Df::Inherit,
            ConfigDf::Set => Df::Set,
            ConfigDf::Clear => Df::Clear,
        },
        path_mtu: u16::MAX,
    }
}

fn no_address(ends: &Ends) -> String {
    let vrf = match &ends.underlay_vrf {
        vrf if *vrf == Name::default_vrf() => String::new(),
        vrf => format!(" in vrf {vrf}"),
    };
    format!("no interface has its local address {}{vrf}: nothing comes back", ends.local)
}
