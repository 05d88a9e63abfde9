//! What NAT shall be: from the configuration, and from the interfaces and VRFs as they are, to rules for the packet path,
//! features to switch on, routes, and addresses to answer for.

use crate::control::interfaces::{Interface, Interfaces};
use millrace_config::{self as config, Affinity, ExternalAddress, Name, Nat44};
use millrace_engine::{ArcName, Feature, NodeName};
use millrace_graph_nodes::nat44::rules::{Backend, Exempt, Filtering, Outside, Pool, Spec, StaticMapping};
use millrace_graph_nodes::nat44::{hairpin, in2out, inside_guard, out2in};
use millrace_tables::flow::Timeouts;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The features of inside interfaces.
const INSIDE: [Feature; 2] = [inside_guard::FEATURE, hairpin::FEATURE];
/// The features of outside interfaces.
const OUTSIDE: [Feature; 2] = [in2out::FEATURE, out2in::FEATURE];

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The rules.
    pub spec: Spec,
    /// The features to be on, each with its interface.
    pub features: BTreeSet<(ArcName, NodeName, u32)>,
    /// Addresses that lead to the router, by table.
    pub routes: BTreeSet<(u32, Ipv4Addr)>,
    /// Addresses that an interface answers for in ARP, though they are none of its own.
    pub proxied: BTreeMap<u32, BTreeSet<Ipv4Addr>>,
}

/// What `nat44` of the configuration makes of these interfaces and VRFs.
pub fn wanted(nat44: &Nat44, interfaces: &Interfaces, vrfs: &BTreeMap<Name, u32>) -> Wanted {
    let here = |names: &BTreeSet<Name>| names.iter().filter_map(|name| interfaces.named(name)).collect::<Vec<_>>();
    let (inside, outside) = (here(&nat44.inside), here(&nat44.outside));
    if inside.is_empty() && outside.is_empty() {
        return Wanted::default();
    }
    let spec = Spec {
        inside: inside.iter().map(|i| i.index).collect(),
        outside: outside.iter().map(|i| outside_of(i)).collect(),
        pool: match &nat44.pool {
            config::Pool::Interface => Pool::Interface,
            config::Pool::Addresses(_) => Pool::Addresses(nat44.pool.addresses().collect()),
        },
        filtering: match nat44.filtering {
            config::Filtering::EndpointIndependent => Filtering::EndpointIndependent,
            config::Filtering::AddressDependent => Filtering::AddressDependent,
            config::Filtering::AddressAndPortDependent => Filtering::AddressAndPortDependent,
        },
        mappings: nat44.mappings.iter().filter_map(|mapping| static_mapping(mapping, interfaces, vrfs)).collect(),
        twice_nat_pool: nat44.twice_nat_pool.iter().flat_map(config::AddressRange::addresses).collect(),
        exempt: nat44.exempt.iter().map(|e| Exempt { source: e.source, destination: e.destination }).collect(),
        timeouts: timeouts(&nat44.timeouts),
        max_sessions: nat44.max_sessions,
        max_sessions_per_host: nat44.max_sessions_per_host,
        mss_clamp: nat44.mss_clamp,
        log: nat44.log.mappings,
    };
    let on = |features: [Feature; 2], interface: &Interface| features.map(|f| (f.arc, f.node, interface.index));
    let features = inside.iter().flat_map(|i| on(INSIDE, i)).chain(outside.iter().flat_map(|i| on(OUTSIDE, i)));
    let features = features.collect();
    let (routes, proxied) = addresses(&spec, &inside, &outside, interfaces);
    Wanted { spec, features, routes, proxied }
}

fn outside_of(interface: &Interface) -> Outside {
    let addresses = interface.addresses4().map(|net| net.addr()).collect();
    Outside { interface: interface.index, table: interface.vrf.1, addresses }
}

/// A static mapping; none while the interface whose address it maps has no address.
fn static_mapping(
    (key, mapping): (&config::MappingKey, &config::Mapping),
    interfaces: &Interfaces,
    vrfs: &BTreeMap<Name, u32>,
) -> Option<StaticMapping> {
    let external = match &key.external.address {
        ExternalAddress::Ip(address) => *address,
        ExternalAddress::Interface(name) => interfaces.named(name)?.addresses4().next()?.addr(),
    };
    let backend =
        |b: &config::Backend| Backend { address: b.address, port: b.ports.map(|ports| ports.first), weight: b.weight };
    Some(StaticMapping {
        protocol: key.protocol.map(config::NatProtocol::number),
        external,
        external_ports: key.external.ports.map(|ports| (ports.first, ports.last)),
        internal: mapping.internal.iter().map(backend).collect(),
        table: *vrfs.get(&mapping.vrf)?,
        affinity: mapping.affinity == Affinity::Client,
        twice_nat: mapping.twice_nat,
    })
}

fn timeouts(timeouts: &config::Timeouts) -> Timeouts {
    let seconds = |time: config::Time| u32::try_from(time.0.as_secs()).unwrap_or(u32::MAX);
    Timeouts {
        udp: seconds(timeouts.udp),
        tcp_established: seconds(timeouts.tcp_established),
        tcp_transitory: seconds(timeouts.tcp_transitory),
        icmp: seconds(timeouts.icmp),
    }
}

/// Whether a mapping changes nothing: the inside host itself has the external address.
fn is_identity(mapping: &StaticMapping) -> bool {
    let same_port = |port: Option<u16>| port.is_none() || port == mapping.external_ports.map(|(first, _)| first);
    mapping.internal.iter().all(|b| b.address == mapping.external && same_port(b.port))
}

/// The addresses that lead to the router by table, and those answered for in ARP by interface.
///
/// External addresses are the router's in the tables of the outside, so that it answers pings, and of the inside, so that hosts
/// reach each other by them (RFC 4787 REQ-9). The address of an identity mapping leads to its host. What clients of twice-NAT seem
/// to be is the router's where the servers are. An interface's own address has its own route.
#[allow(clippy::type_complexity)]
fn addresses(
    spec: &Spec,
    inside: &[&Interface],
    outside: &[&Interface],
    interfaces: &Interfaces,
) -> (BTreeSet<(u32, Ipv4Addr)>, BTreeMap<u32, BTreeSet<Ipv4Addr>>) {
    let tables = |of: &[&Interface]| of.iter().map(|i| i.vrf.1).collect::<BTreeSet<u32>>();
    let pool: Vec<Ipv4Addr> = match &spec.pool {
        Pool::Addresses(addresses) => addresses.clone(),
        Pool::Interface => spec.outside.iter().filter_map(|o| o.addresses.first().copied()).collect(),
    };
    let mapped = spec.mappings.iter().map(|m| m.external);
    let external: BTreeSet<Ipv4Addr> = pool.iter().copied().chain(mapped).collect();
    // Something else may be translated to the address of an identity mapping, too.
    let of_router = spec.mappings.iter().filter(|m| !is_identity(m)).map(|m| m.external);
    let of_router: BTreeSet<Ipv4Addr> = pool.iter().copied().chain(of_router).collect();
    let of_twice_nat = |mapping: &&StaticMapping| mapping.twice_nat;
    let servers: BTreeSet<u32> = spec.mappings.iter().filter(of_twice_nat).map(|m| m.table).collect();
    let everywhere = &tables(inside) | &tables(outside);
    let mut routes: BTreeSet<(u32, Ipv4Addr)> =
        everywhere.iter().flat_map(|table| of_router.iter().map(|address| (*table, *address))).collect();
    routes.extend(servers.iter().flat_map(|table| spec.twice_nat_pool.iter().map(|address| (*table, *address))));
    for interface in interfaces.iter() {
        for own in interface.addresses4() {
            routes.remove(&(interface.vrf.1, own.addr()));
        }
    }
    let mut proxied: BTreeMap<u32, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    let mut answer = |interface: &Interface, addresses: &mut dyn Iterator<Item = Ipv4Addr>| {
        let own = |address: &Ipv4Addr| interface.addresses4().any(|net| net.addr() == *address);
        let on_link = |address: &Ipv4Addr| interface.addresses4().any(|net| net.contains(address));
        let new: BTreeSet<_> = addresses.filter(|address| on_link(address) && !own(address)).collect();
        if !new.is_empty() {
            proxied.entry(interface.index).or_default().extend(new);
        }
    };
    outside.iter().for_each(|interface| answer(interface, &mut external.iter().copied()));
    for interface in inside.iter().filter(|interface| servers.contains(&interface.vrf.1)) {
        answer(interface, &mut spec.twice_nat_pool.iter().copied());
    }
    (routes, proxied)
}
