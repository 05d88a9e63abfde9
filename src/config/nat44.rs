//! `nat44`: translation of IPv4 addresses and ports between networks inside and networks outside.
//!
//! ```yaml
//! nat44:
//!   inside: [lan]                     # what comes in by these is translated when it leaves by an outside interface
//!   outside: [wan]
//!   pool: [203.0.113.2, 203.0.113.16/30, 203.0.113.64-203.0.113.95]   # or `interface` (default): the address of each outside interface
//!   filtering: address-dependent      # endpoint-independent | address-dependent | address-and-port-dependent
//!   static-mappings:
//!     - {protocol: tcp, external: "203.0.113.2:8080", internal: "192.168.1.10:80"}
//!     - {protocol: udp, external: "wan:5000-5100", internal: "192.168.1.10:6000-6100"}    # an outside interface's primary address
//!     - {protocol: tcp, external: "203.0.113.2:443", internal: ["192.168.1.10:443", {address: "192.168.1.11:443", weight: 2}], affinity: client}
//!     - {external: 203.0.113.3, internal: 192.168.1.11}                # one-to-one, all protocols
//!     - {external: 198.51.100.9, internal: 198.51.100.9}               # itself: not translated, reachable from outside
//!     - {protocol: tcp, external: "203.0.113.2:25", internal: "192.168.2.25:25", twice-nat: true, vrf: blue}
//!   twice-nat-pool: [192.168.1.254]   # whom clients of a mapping with twice-nat seem to be
//!   exempt: [{source: 192.168.1.0/24, destination: 10.0.0.0/8}]        # not translated
//!   mss-clamp: 1452                   # the largest MSS that TCP connections may agree on; off by default
//!   timeouts: {udp: 300s, tcp-established: 7440s, tcp-transitory: 240s, icmp: 60s}
//!   max-sessions: 1000000
//!   max-sessions-per-host: 10000
//!   log: {mappings: true, syslog: "192.0.2.9:514", rate: 1000}         # off by default
//! ```
//!
//! The order of lists means nothing, so everything is kept sorted. Without interfaces nothing is translated.

mod check;
mod diff;
mod edit;
mod file;
mod mapping;

pub(crate) use check::check;
pub use edit::{Nat44Edit, PoolItem, Side};
pub use mapping::{Affinity, Backend, External, ExternalAddress, Mapping, MappingKey, NatProtocol};

use crate::{AddressRange, Name, Time, keyword::keywords};
use ipnet::Ipv4Net;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// The `nat44` section. Its default translates nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nat44 {
    /// The interfaces that lead to the hosts whose addresses are hidden. An interface may be inside and outside.
    pub inside: BTreeSet<Name>,
    /// The interfaces that lead to the networks that see the external addresses alone.
    pub outside: BTreeSet<Name>,
    /// Behind which addresses inside hosts are hidden.
    pub pool: Pool,
    /// Whose packets to a mapped external port are let in (RFC 4787 clause 5).
    pub filtering: Filtering,
    /// The mappings that always exist, by what is seen of them outside; at most [`Nat44::MAX_MAPPINGS`].
    pub mappings: BTreeMap<MappingKey, Mapping>,
    /// The addresses that stand in place of the outside client's for mappings with twice-NAT; at most
    /// [`Nat44::MAX_TWICE_NAT`] addresses in ranges that don't overlap.
    pub twice_nat_pool: BTreeSet<AddressRange>,
    /// Between which networks nothing is translated; at most [`Nat44::MAX_EXEMPT`].
    pub exempt: BTreeSet<Exempt>,
    /// The largest TCP MSS that a SYN may announce either way, in bytes; [`Nat44::MSS_MIN`] to [`Nat44::MSS_MAX`]. None: as is.
    pub mss_clamp: Option<u16>,
    /// How long sessions last without packets.
    pub timeouts: Timeouts,
    /// The most sessions in all; 1 to [`Nat44::MAX_SESSIONS`], default 1,000,000.
    pub max_sessions: u32,
    /// The most sessions of one inside host; 1 to [`Nat44::MAX_SESSIONS`], default 10,000 (RFC 6888 REQ-4).
    pub max_sessions_per_host: u32,
    /// What is told of mappings that come and go.
    pub log: NatLog,
}

/// Behind which addresses inside hosts are hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Behind the primary address of the outside interface that a packet leaves by, whatever it is at the time (default).
    Interface,
    /// Behind these, in ranges that don't overlap; at most [`Nat44::MAX_POOL`] addresses. Without any only static mappings
    /// translate.
    Addresses(BTreeSet<AddressRange>),
}

keywords! {
    /// Whose packets to a mapped external port are let in (RFC 4787 clause 5).
    Filtering, "endpoint-independent, address-dependent or address-and-port-dependent" {
        /// Anyone's, as long as the mapping lives.
        EndpointIndependent = "endpoint-independent",
        /// Those of hosts that the inside host has sent to (default).
        AddressDependent = "address-dependent",
        /// Those of addresses and ports that the inside host has sent to.
        AddressAndPortDependent = "address-and-port-dependent",
    }
}

/// How long a session lasts without packets: whole seconds from [`Timeouts::MIN`] to [`Timeouts::MAX`] each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// UDP and other protocols without states; default 300 s (RFC 4787 REQ-5: at least 120 s).
    pub udp: Time,
    /// TCP connections that are open; default 7440 s (RFC 5382 REQ-5: at least 2 hours 4 minutes).
    pub tcp_established: Time,
    /// TCP connections that are opening, or closed by both ends; default 240 s (RFC 5382 REQ-5: at least 4 minutes).
    pub tcp_transitory: Time,
    /// ICMP queries; default 60 s (RFC 5508 REQ-2: at least 60 s).
    pub icmp: Time,
}

/// Networks between which nothing is translated: packets from `source` inside to `destination` outside, and what comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exempt {
    /// Inside; default all. No bit is set behind the prefix length.
    pub source: Ipv4Net,
    /// Outside; default all. No bit is set behind the prefix length.
    pub destination: Ipv4Net,
}

/// What is told of mappings that come and go (RFC 6888 REQ-12: not whom they talk to).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatLog {
    /// Whether they are told at all, as events (`show events`); default no.
    pub mappings: bool,
    /// The collector that is told too, in RFC 5424 messages over UDP; its port is 514 unless named.
    pub syslog: Option<SocketAddr>,
    /// The most messages a second; 1 to [`NatLog::MAX_RATE`], default 1000. What is more is counted.
    pub rate: u32,
}

impl Nat44 {
    /// The most addresses of a pool.
    pub const MAX_POOL: u64 = 4096;
    /// The most addresses for clients of twice-NAT.
    pub const MAX_TWICE_NAT: u64 = 256;
    /// The most static mappings.
    pub const MAX_MAPPINGS: usize = 65_536;
    /// The most exempt pairs of networks.
    pub const MAX_EXEMPT: usize = 256;
    /// The smallest MSS to clamp to: what everyone can take (RFC 9293 clause 3.7.1).
    pub const MSS_MIN: u16 = 536;
    /// The largest: that of the largest MTU.
    pub const MSS_MAX: u16 = crate::Interface::MTU_MAX - 40;
    /// The most sessions; each takes up to 160 bytes of memory.
    pub const MAX_SESSIONS: u32 = 16_000_000;

    /// Whether it translates nothing: no interface is inside or outside.
    pub fn is_off(&self) -> bool {
        self.inside.is_empty() && self.outside.is_empty()
    }

    /// The interfaces that it names: inside, outside, or as the external address of a mapping.
    pub fn interfaces(&self) -> BTreeSet<&Name> {
        let mapped = self.mappings.keys().filter_map(|key| key.external.address.interface());
        self.inside.iter().chain(&self.outside).chain(mapped).collect()
    }

    /// What of it names this interface.
    pub(crate) fn users_of(&self, interface: &Name) -> Vec<String> {
        let sides = [("inside", &self.inside), ("outside", &self.outside)].into_iter();
        let sides = sides.filter(|(_, names)| names.contains(interface)).map(|(side, _)| format!("nat44 {side}"));
        let mapped = self.mappings.keys().filter(|key| key.external.address.interface() == Some(interface));
        sides.chain(mapped.map(|key| format!("nat44 mapping {key}"))).collect()
    }

    /// The same without what names an interface or a VRF that isn't kept: what it can be while those are worked on.
    pub(crate) fn only(&self, interface: impl Fn(&Name) -> bool, vrf: impl Fn(&Name) -> bool) -> Self {
        let mut kept = self.clone();
        kept.inside.retain(&interface);
        kept.outside.retain(&interface);
        kept.mappings
            .retain(|key, mapping| vrf(&mapping.vrf) && key.external.address.interface().is_none_or(&interface));
        kept
    }
}

impl Default for Nat44 {
    fn default() -> Self {
        Self {
            inside: BTreeSet::new(),
            outside: BTreeSet::new(),
            pool: Pool::Interface,
            filtering: Filtering::AddressDependent,
            mappings: BTreeMap::new(),
            twice_nat_pool: BTreeSet::new(),
            exempt: BTreeSet::new(),
            mss_clamp: None,
            timeouts: Timeouts::default(),
            max_sessions: 1_000_000,
            max_sessions_per_host: 10_000,
            log: NatLog::default(),
        }
    }
}

impl Pool {
    /// Its ranges; none if it is each outside interface's own address.
    pub fn ranges(&self) -> impl Iterator<Item = &AddressRange> {
        match self {
            Self::Interface => None,
            Self::Addresses(ranges) => Some(ranges),
        }
        .into_iter()
        .flatten()
    }

    /// The range that this address is in.
    pub fn range_of(&self, address: Ipv4Addr) -> Option<&AddressRange> {
        let Self::Addresses(ranges) = self else { return None };
        // Ranges don't overlap, so that only the last one that begins before it can have it.
        let until = AddressRange { first: address, last: Ipv4Addr::BROADCAST };
        ranges.range(..=until).next_back().filter(|range| range.contains(address))
    }

    /// Its addresses, in order; none if it is each outside interface's own.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.ranges().flat_map(AddressRange::addresses)
    }
}

impl Timeouts {
    /// The shortest.
    pub const MIN: Time = Time(Duration::from_secs(1));
    /// The longest: 30 days.
    pub const MAX: Time = Time(Duration::from_secs(30 * 24 * 3600));
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = |n| Time(Duration::from_secs(n));
        Self { udp: seconds(300), tcp_established: seconds(7440), tcp_transitory: seconds(240), icmp: seconds(60) }
    }
}

impl Exempt {
    /// All addresses.
    pub const ANY: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);
}

impl NatLog {
    /// The port of syslog over UDP (RFC 5426 clause 3.3).
    pub const SYSLOG_PORT: u16 = 514;
    /// The most messages a second.
    pub const MAX_RATE: u32 = 100_000;
}

impl Default for NatLog {
    fn default() -> Self {
        Self { mappings: false, syslog: None, rate: 1000 }
    }
}
