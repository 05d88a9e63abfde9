//! Configured mappings, looked up from either side.

use super::{Backend, Rules, StaticMapping, choice};
use millrace_tables::flow::View;
use std::net::Ipv4Addr;

/// A configured mapping, as it was found for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Static {
    /// What the outside sees.
    pub external: (Ipv4Addr, u16),
    /// What is behind it.
    pub inside: (Ipv4Addr, u16),
    /// The inside's table.
    pub table: u16,
    /// Clients get an address of the twice-NAT pool.
    pub twice_nat: bool,
}

impl Rules {
    /// The configured mapping of an external endpoint, with the server that the packet's source gets. Ports, and identifiers of
    /// queries, stand in the view; other protocols have none.
    #[must_use]
    pub fn static_inbound(&self, view: &View, protocol: u8) -> Option<Static> {
        let external = (view.destination(), view.destination_port());
        let (mapping, first) = self.static_at(external, protocol)?;
        let backend = choice::choose(&mapping.internal, view, mapping.affinity)?;
        Some(found(mapping, backend, external.1.wrapping_sub(first), external))
    }

    /// The configured mapping of an external endpoint if it leads to one server: what stands behind it.
    #[must_use]
    pub fn static_inside_of(&self, external: (Ipv4Addr, u16), protocol: u8) -> Option<Static> {
        let (mapping, first) = self.static_at(external, protocol)?;
        match mapping.internal.as_slice() {
            [one] => Some(found(mapping, one, external.1.wrapping_sub(first), external)),
            _ => None,
        }
    }

    /// Whether the configuration maps an external endpoint to this inside one, perhaps among others.
    #[must_use]
    pub(in crate::nat44) fn static_leads_to(&self, external: (Ipv4Addr, u16), protocol: u8, wanted: &Static) -> bool {
        self.static_at(external, protocol).is_some_and(|(mapping, first)| {
            let mut all = mapping.internal.iter();
            all.any(|backend| found(mapping, backend, external.1.wrapping_sub(first), external) == *wanted)
        })
    }

    /// Whether the configuration has an external endpoint: no other mapping may.
    #[inline]
    #[must_use]
    pub fn is_static(&self, external: (Ipv4Addr, u16), protocol: u8) -> bool {
        self.external(external.0).is_some_and(|found| found.mapped.find(protocol, external.1).is_some())
    }

    fn static_at(&self, external: (Ipv4Addr, u16), protocol: u8) -> Option<(&StaticMapping, u16)> {
        let (index, first) = self.external(external.0)?.mapped.find(protocol, external.1)?;
        Some((self.mappings.get(index as usize)?, first))
    }

    /// The configured mapping of an inside endpoint: the source of what it sends. Servers that share an external endpoint have none.
    #[inline]
    #[must_use]
    pub fn static_outbound(&self, table: u16, inside: (Ipv4Addr, u16), protocol: u8) -> Option<Static> {
        let maps = self.inside.get(&inside.0.to_bits())?;
        let map = maps.iter().find_map(|(of, map)| (*of == table).then_some(map))?;
        let (index, first) = map.find(protocol, inside.1)?;
        let mapping = self.mappings.get(index as usize)?;
        let port = mapping.external_ports.map_or(inside.1, |(port, _)| port.wrapping_add(inside.1.wrapping_sub(first)));
        Some(Static { external: (mapping.external, port), inside, table, twice_nat: mapping.twice_nat })
    }
}

/// What a mapping says about one port, `offset` ports behind the first.
fn found(mapping: &StaticMapping, backend: &Backend, offset: u16, external: (Ipv4Addr, u16)) -> Static {
    let port = backend.port.filter(|_| mapping.external_ports.is_some());
    let inside = (backend.address, port.map_or(external.1, |port| port.wrapping_add(offset)));
    Static { external, inside, table: mapping.table as u16, twice_nat: mapping.twice_nat }
}
