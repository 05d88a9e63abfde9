//! From a specification to rules.

use super::port_map::PortMap;
use super::{ByAddress, ExemptMasks, External, Limits, Pool, PoolId, Role, Rules, Spec, StaticMapping};
use crate::nat44::ports::{Bits, ExternalPorts, PROTOCOLS, TCP, UDP};
use ipnet::Ipv4Net;
use std::collections::HashMap;
use std::net::Ipv4Addr;

impl Rules {
    /// The rules that say what `spec` says, for this many workers, 254 at most. `ports` has the ports of earlier rules' addresses, and the
    /// count of sessions.
    #[must_use]
    pub fn new(spec: &Spec, workers: usize, ports: &mut ExternalPorts) -> Rules {
        let (pool_of, pools) = pools(spec);
        let exempt = spec.exempt.iter();
        let exempt = exempt.map(|e| ExemptMasks { source: masks(e.source), destination: masks(e.destination) });
        let mut rules = Rules {
            workers: workers.max(1),
            roles: roles(spec),
            pool_of,
            pools,
            twice_pool: spec.twice_nat_pool.clone(),
            externals: HashMap::default(),
            mappings: spec.mappings.clone().into(),
            inside: inside(&spec.mappings),
            exempt: exempt.collect(),
            sessions: ports.sessions(),
            limits: Limits {
                filtering: spec.filtering,
                timeouts: spec.timeouts,
                max_sessions: spec.max_sessions,
                max_sessions_per_host: spec.max_sessions_per_host,
                mss_clamp: spec.mss_clamp,
                log: spec.log,
            },
        };
        rules.add_configured(spec);
        rules.add_pools(ports);
        rules
    }

    fn at(&mut self, address: Ipv4Addr) -> &mut External {
        self.externals.entry(address.to_bits()).or_default()
    }

    fn add_configured(&mut self, spec: &Spec) {
        for address in spec.outside.iter().flat_map(|outside| &outside.addresses) {
            self.at(*address).own = true;
        }
        for (index, mapping) in (0..).zip(&spec.mappings) {
            add(&mut self.at(mapping.external).mapped, mapping, mapping.external_ports, index);
        }
        for external in self.externals.values_mut() {
            external.mapped.finish();
        }
    }

    fn add_pools(&mut self, ports: &mut ExternalPorts) {
        let workers = self.workers;
        // An address that a mapping has as a whole has no ports to give.
        let mut usable = |external: &mut External, address: &Ipv4Addr| {
            external.ports = if external.mapped.takes_all() { None } else { ports.of(*address, workers) };
            external.ports.is_some()
        };
        for (pool, addresses) in (0..).zip(&mut self.pools) {
            addresses.retain(|address| {
                let external = self.externals.entry(address.to_bits()).or_default();
                external.pool = usable(external, address).then_some(PoolId(pool));
                external.pool.is_some()
            });
        }
        self.twice_pool.retain(|address| {
            let external = self.externals.entry(address.to_bits()).or_default();
            external.twice = usable(external, address);
            external.twice
        });
        let known =
            |address: Ipv4Addr| self.externals.get(&address.to_bits()).is_some_and(|found| found.ports.is_some());
        for gone in ports.gone(known) {
            let address = gone.address().to_bits();
            self.externals.entry(address).or_default().ports = Some(gone);
        }
        for external in self.externals.values_mut().filter(|external| external.ports.is_some()) {
            external.reserved = PROTOCOLS.map(|protocol| reserved(&external.mapped, protocol));
        }
    }
}

fn roles(spec: &Spec) -> Box<[Role]> {
    let inside = spec.inside.iter().map(|&interface| (interface, Role::INSIDE));
    let outside = spec.outside.iter().map(|outside| (outside.interface, Role::OUTSIDE));
    let mut roles = Vec::new();
    for (interface, role) in inside.chain(outside) {
        let at = interface as usize;
        roles.resize(roles.len().max(at + 1), Role::default());
        if let Some(of) = roles.get_mut(at) {
            of.0 |= role;
        }
    }
    roles.into()
}

/// The pool of each outside interface, and the addresses of each pool. Interfaces with one address have one pool.
fn pools(spec: &Spec) -> (Box<[Option<PoolId>]>, Vec<Vec<Ipv4Addr>>) {
    let mut pools: Vec<Vec<Ipv4Addr>> = Vec::new();
    let mut pool_of = Vec::new();
    for outside in &spec.outside {
        let addresses = match &spec.pool {
            Pool::Addresses(addresses) => addresses.clone(),
            Pool::Interface => outside.addresses.iter().take(1).copied().collect(),
        };
        let pool = pools.iter().position(|known| *known == addresses).unwrap_or_else(|| {
            pools.push(addresses);
            pools.len() - 1
        });
        let at = outside.interface as usize;
        pool_of.resize(pool_of.len().max(at + 1), None);
        if let Some(of) = pool_of.get_mut(at) {
            *of = Some(PoolId(pool as u16));
        }
    }
    (pool_of.into(), pools)
}

/// By inside address and table: the mappings that an inside endpoint's own flows use.
fn inside(mappings: &[StaticMapping]) -> HashMap<u32, Vec<(u16, PortMap)>, ByAddress> {
    let mut all: HashMap<u32, Vec<(u16, PortMap)>, ByAddress> = HashMap::default();
    for (index, mapping) in (0..).zip(mappings) {
        let [server] = mapping.internal.as_slice() else { continue };
        let tables = all.entry(server.address.to_bits()).or_default();
        let table = mapping.table as u16;
        if !tables.iter().any(|(of, _)| *of == table) {
            tables.push((table, PortMap::default()));
        }
        let Some((_, map)) = tables.iter_mut().find(|(of, _)| *of == table) else { continue };
        let ports = mapping.external_ports.map(|(first, last)| {
            let port = server.port.unwrap_or(first);
            (port, port.saturating_add(last.saturating_sub(first)))
        });
        add(map, mapping, ports, index);
    }
    for (_, map) in all.values_mut().flatten() {
        map.finish();
    }
    all
}

fn add(map: &mut PortMap, mapping: &StaticMapping, ports: Option<(u16, u16)>, index: u32) {
    match (ports, mapping.protocol) {
        (None, protocol) => map.add_whole(protocol, index),
        (Some(ports), Some(protocol)) => map.add_range(protocol, ports, index),
        (Some(ports), None) => [TCP, UDP].into_iter().for_each(|protocol| map.add_range(protocol, ports, index)),
    }
}

/// A bit for each port of a protocol that configured mappings have; none if they have none.
fn reserved(mapped: &PortMap, protocol: u8) -> Option<Box<Bits>> {
    let whole = mapped.find_whole(protocol).is_some();
    let mut ranges = mapped.ranges(protocol).peekable();
    if !whole && ranges.peek().is_none() {
        return None;
    }
    let mut bits: Box<Bits> = Box::new([if whole { u64::MAX } else { 0 }; size_of::<Bits>() / 8]);
    for port in ranges.flat_map(|(first, last)| first..=last) {
        if let Some(word) = bits.get_mut(usize::from(port) / 64) {
            *word |= 1 << (port % 64);
        }
    }
    Some(bits)
}

fn masks(net: Ipv4Net) -> (u32, u32) {
    (net.network().to_bits(), net.netmask().to_bits())
}
