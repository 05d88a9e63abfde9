//! How VXLAN interfaces should be set up, from their settings.

use super::super::Router;
use super::remotes::{Remote, Source};
use millrace_config::{Df, Driver, UdpChecksum};
use millrace_graph_nodes::vxlan::{self, Headers};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How one interface should be set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its segment.
    pub vni: u32,
    /// The router's own end.
    pub local: IpAddr,
    /// The UDP port of both ends.
    pub port: u16,
    /// The table of the underlay.
    pub table: u32,
    /// The remotes that the configuration names.
    pub remotes: BTreeMap<IpAddr, Source>,
    /// Whether others become remotes when they are heard: in a bridge, where it is known who is behind whom.
    pub learn: bool,
    /// Whether it is a port of a bridge, or carries one.
    pub bridged: bool,
    /// Whether datagrams that are sent have a checksum.
    pub checksum: bool,
    /// Whether received ones may have none over IPv6.
    pub zero_checksum: bool,
    /// The time to live or hop limit.
    pub ttl: u8,
    /// Whether IPv4 routers on the way may not fragment it; none: as the packet inside says.
    pub df: Option<bool>,
}

impl Wanted {
    /// All that the outer headers of its datagrams depend on.
    pub(super) const fn outer(&self) -> (u32, IpAddr, u16, u32, bool, u8, Option<bool>) {
        (self.vni, self.local, self.port, self.table, self.checksum, self.ttl, self.df)
    }

    /// Whether a remote that there is may stay.
    pub(super) fn keeps(&self, address: IpAddr, source: Source) -> bool {
        let named = self.remotes.get(&address) == Some(&source);
        named || source == Source::Learnt && self.may_learn(address)
    }

    /// Whether a remote may be learnt: an address that a router can have, and is not its own.
    pub(super) fn may_learn(&self, address: IpAddr) -> bool {
        let possible = match address {
            IpAddr::V4(a) => !a.is_multicast() && !a.is_broadcast() && a.octets()[0] != 0,
            IpAddr::V6(a) => !a.is_multicast() && !a.is_unicast_link_local(),
        };
        let usable = possible && !address.is_unspecified() && !address.is_loopback() && address != self.local;
        self.learn && usable && address.is_ipv4() == self.local.is_ipv4()
    }

    /// A remote as the packet path has it.
    pub(super) fn published(&self, interface: u32, remote: &Remote) -> Option<vxlan::Remote> {
        Some(vxlan::Remote {
            interface,
            table: self.table,
            headers: Headers::new(self.local, remote.address, self.port, self.vni, self.ttl)?,
            checksum: self.checksum,
            df: self.df,
            traffic: remote.traffic.clone(),
        })
    }
}

impl Router {
    /// How all interfaces should be set up, by their numbers.
    pub(super) fn wanted_vxlan(&self) -> BTreeMap<u32, Wanted> {
        let mut all = BTreeMap::new();
        for interface in self.interfaces.iter() {
            let Driver::Vxlan(vxlan) = &interface.driver else { continue };
            // Validation has seen that there is one.
            let Ok(table) = self.table(&vxlan.underlay_vrf) else { continue };
            let mut remotes: BTreeMap<IpAddr, Source> =
                vxlan.remotes.iter().map(|address| (*address, Source::Named)).collect();
            let bridge = interface.bridge.as_ref();
            let stations = bridge.and_then(|member| self.bridges.get(&member.bridge)).map(|b| &b.static_macs);
            for station in stations.into_iter().flat_map(BTreeMap::values) {
                if let Some(address) = station.remote.filter(|_| station.interface == interface.name) {
                    remotes.entry(address).or_insert(Source::Station);
                }
            }
            let df = match vxlan.df {
                Df::Inherit => None,
                Df::Set => Some(true),
                Df::Clear => Some(false),
            };
            let wanted = Wanted {
                vni: vxlan.vni,
                local: vxlan.local,
                port: vxlan.port,
                table,
                remotes,
                learn: vxlan.learn_remotes && bridge.is_some(),
                bridged: bridge.is_some(),
                checksum: vxlan.checksummed(),
                zero_checksum: vxlan.udp_checksum == UdpChecksum::Off,
                ttl: vxlan.ttl,
                df,
            };
            all.insert(interface.index, wanted);
        }
        all
    }
}
