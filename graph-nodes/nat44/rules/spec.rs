//! What control wants of NAT: plain data, from the configuration and the interfaces as they are.

use ipnet::Ipv4Net;
use millrace_tables::flow::Timeouts;
use std::net::Ipv4Addr;

/// All of NAT, as it shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The indices of the interfaces that inside hosts are behind.
    pub inside: Vec<u32>,
    /// The interfaces to the outside.
    pub outside: Vec<Outside>,
    /// Where the sources of outbound flows come from.
    pub pool: Pool,
    /// Who may reach a mapping from outside.
    pub filtering: Filtering,
    /// Mappings that were configured; of two that contradict each other the first counts.
    pub mappings: Vec<StaticMapping>,
    /// The addresses that clients of twice-NAT mappings seem to have.
    pub twice_nat_pool: Vec<Ipv4Addr>,
    /// Between which networks nothing is translated (RFC 6888 section 2: exempt destinations).
    pub exempt: Vec<Exempt>,
    /// How long flows may be idle.
    pub timeouts: Timeouts,
    /// Sessions of all workers together.
    pub max_sessions: u32,
    /// Sessions of one inside address (RFC 6888 REQ-4).
    pub max_sessions_per_host: u32,
    /// The highest maximum segment size that TCP is let announce; none: as it comes.
    pub mss_clamp: Option<u16>,
    /// Whether events of mappings are logged (RFC 6888 REQ-12).
    pub log: bool,
}

impl Default for Spec {
    /// No NAT, with the limits and times of an empty configuration.
    fn default() -> Self {
        Spec {
            inside: Vec::new(),
            outside: Vec::new(),
            pool: Pool::Addresses(Vec::new()),
            filtering: Filtering::default(),
            mappings: Vec::new(),
            twice_nat_pool: Vec::new(),
            exempt: Vec::new(),
            timeouts: Timeouts::default(),
            max_sessions: 1_000_000,
            max_sessions_per_host: 10_000,
            mss_clamp: None,
            log: false,
        }
    }
}

/// An interface to the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Its index.
    pub interface: u32,
    /// The number of its VRF's table.
    pub table: u32,
    /// Its own addresses, the primary one first.
    pub addresses: Vec<Ipv4Addr>,
}

/// Where external addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pool {
    /// These, on every outside interface.
    Addresses(Vec<Ipv4Addr>),
    /// The primary address of the interface that a flow leaves by.
    Interface,
}

/// From where packets reach a mapping that an inside host opened (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filtering {
    /// From anywhere.
    EndpointIndependent,
    /// From addresses that the inside endpoint sent something to.
    #[default]
    AddressDependent,
    /// From endpoints that it sent something to.
    AddressAndPortDependent,
}

/// A configured mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticMapping {
    /// The protocol; none: all, and with ports TCP and UDP.
    pub protocol: Option<u8>,
    /// The address that the outside sees.
    pub external: Ipv4Addr,
    /// First and last external port; none: the whole address, all ports kept.
    pub external_ports: Option<(u16, u16)>,
    /// The inside server, or several that share the clients.
    pub internal: Vec<Backend>,
    /// The number of the table of the inside servers' VRF.
    pub table: u32,
    /// With several servers: a client's address decides which it gets; otherwise also its port does.
    pub affinity: bool,
    /// Clients' addresses are translated, too: to one of the twice-NAT pool.
    pub twice_nat: bool,
}

/// An inside server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its address.
    pub address: Ipv4Addr,
    /// The port behind the first external port, and so on upwards; none: the external ports.
    pub port: Option<u16>,
    /// Its share of the clients.
    pub weight: u8,
}

/// Networks between which nothing is translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exempt {
    /// From these inside addresses.
    pub source: Ipv4Net,
    /// To these destinations.
    pub destination: Ipv4Net,
}
