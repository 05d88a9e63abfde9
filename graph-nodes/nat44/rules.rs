//! The rules of NAT: what control says, made ready for lookups; published as a whole and immutable.

mod build;
mod choice;
mod port_map;
mod spec;
mod statics;
#[cfg(test)]
mod tests;

pub use spec::{Backend, Exempt, Filtering, Outside, Pool, Spec, StaticMapping};
pub use statics::Static;

use super::ports::{AddressPorts, Bits, ExternalPorts, protocol_index};
use millrace_tables::flow::{Timeouts, View};
use port_map::PortMap;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Which side of NAT an interface is on. It may be on both, and on none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Role(u8);

impl Role {
    const INSIDE: u8 = 1;
    const OUTSIDE: u8 = 2;

    /// Inside hosts are behind it.
    #[inline(always)]
    #[must_use]
    pub const fn inside(self) -> bool {
        self.0 & Role::INSIDE != 0
    }

    /// It leads to the outside.
    #[inline(always)]
    #[must_use]
    pub const fn outside(self) -> bool {
        self.0 & Role::OUTSIDE != 0
    }
}

/// An address that the outside sees, or (of the twice-NAT pool) that clients seem to have.
#[derive(Debug, Default)]
pub struct External {
    /// An outside interface has it.
    pub own: bool,
    /// The pool that it belongs to.
    pool: Option<PoolId>,
    /// It belongs to the twice-NAT pool.
    twice: bool,
    /// Its ports, if any are, or were, given out.
    ports: Option<Arc<AddressPorts>>,
    /// Ports that must not be given out: configured mappings have them. By protocol.
    reserved: [Option<Box<Bits>>; 3],
    /// What is configured for it; values are indices of mappings.
    mapped: PortMap,
}

impl External {
    /// Its ports, if they are given out to mappings.
    #[inline]
    #[must_use]
    pub fn ports(&self) -> Option<&Arc<AddressPorts>> {
        self.ports.as_ref()
    }

    /// Ports of a protocol that are never given out.
    #[inline]
    #[must_use]
    pub(super) fn reserved(&self, protocol: u8) -> Option<&Bits> {
        self.reserved.get(protocol_index(protocol)?)?.as_deref()
    }

    /// Whether sources of this pool may have it.
    #[inline]
    #[must_use]
    pub(super) fn is_in(&self, pool: PoolId) -> bool {
        if pool == PoolId::TWICE { self.twice } else { self.pool == Some(pool) }
    }

    /// Whether new mappings may have it.
    pub(super) fn in_pool(&self) -> bool {
        self.pool.is_some()
    }

    /// Whether packets from outside may be for it.
    fn is_external(&self) -> bool {
        self.own || self.pool.is_some() || !self.mapped.is_empty()
    }
}

/// A set of addresses for new mappings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolId(u16);

impl PoolId {
    /// What clients of twice-NAT mappings get.
    pub(super) const TWICE: PoolId = PoolId(u16::MAX);
}

/// The rules.
#[derive(Debug)]
pub struct Rules {
    workers: usize,
    roles: Box<[Role]>,
    /// By interface, for outside interfaces.
    pool_of: Box<[Option<PoolId>]>,
    /// By pool.
    pools: Vec<Vec<Ipv4Addr>>,
    twice_pool: Vec<Ipv4Addr>,
    externals: HashMap<u32, External, ByAddress>,
    mappings: Box<[StaticMapping]>,
    /// By inside address: the mappings that it is the only server of.
    inside: HashMap<u32, Vec<(u16, PortMap)>, ByAddress>,
    exempt: Box<[ExemptMasks]>,
    /// The sessions of all workers.
    sessions: Arc<AtomicU32>,
    limits: Limits,
}

/// What is taken from the specification as it is.
#[derive(Clone, Debug)]
struct Limits {
    filtering: Filtering,
    timeouts: Timeouts,
    max_sessions: u32,
    max_sessions_per_host: u32,
    mss_clamp: Option<u16>,
    log: bool,
}

/// Source and destination: a packet matches if what the masks leave is equal.
#[derive(Clone, Copy, Debug)]
struct ExemptMasks {
    source: (u32, u32),
    destination: (u32, u32),
}

impl Default for Rules {
    /// No NAT.
    fn default() -> Self {
        Rules::new(&Spec::default(), 1, &mut ExternalPorts::default())
    }
}

impl Rules {
    /// Whether anything is to be translated at all.
    #[must_use]
    pub fn active(&self) -> bool {
        !self.roles.is_empty()
    }

    /// Which side of NAT an interface is on.
    #[inline(always)]
    #[must_use]
    pub fn role(&self, interface: u32) -> Role {
        self.roles.get(interface as usize).copied().unwrap_or_default()
    }

    /// The workers that share the work.
    #[inline(always)]
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// What there is about an external address. None: NAT has nothing to do with it.
    #[inline]
    #[must_use]
    pub fn external(&self, address: Ipv4Addr) -> Option<&External> {
        self.externals.get(&address.to_bits()).filter(|external| external.is_external())
    }

    /// All external addresses.
    pub fn externals(&self) -> impl Iterator<Item = (Ipv4Addr, &External)> {
        self.externals
            .iter()
            .filter(|(_, external)| external.is_external())
            .map(|(address, external)| (Ipv4Addr::from_bits(*address), external))
    }

    /// Whether an outside interface has an address.
    #[inline]
    #[must_use]
    pub fn is_own(&self, address: Ipv4Addr) -> bool {
        self.external(address).is_some_and(|external| external.own)
    }

    /// Whether an outside interface has an address that inside hosts don't share.
    #[must_use]
    pub fn is_the_routers_alone(&self, address: Ipv4Addr) -> bool {
        self.external(address).is_some_and(|external| external.own && !external.in_pool())
    }

    /// An external address, one of the twice-NAT pool, or one that lately was one of those.
    #[inline]
    #[must_use]
    pub(super) fn any_external(&self, address: Ipv4Addr) -> Option<&External> {
        self.externals.get(&address.to_bits())
    }

    /// Whether packets from `source` to `destination` are not translated.
    #[inline]
    #[must_use]
    pub fn exempt(&self, source: Ipv4Addr, destination: Ipv4Addr) -> bool {
        let (source, destination) = (source.to_bits(), destination.to_bits());
        self.exempt.iter().any(|exempt| {
            source & exempt.source.1 == exempt.source.0 && destination & exempt.destination.1 == exempt.destination.0
        })
    }

    /// Where flows that leave by an interface get their sources from. For one that isn't outside, as on the way back to the inside by an
    /// external address: the pool of that address, or else any.
    #[inline]
    #[must_use]
    pub(super) fn pool(&self, tx_interface: u32, destination: Ipv4Addr) -> Option<PoolId> {
        if let Some(Some(pool)) = self.pool_of.get(tx_interface as usize) {
            return Some(*pool);
        }
        let of_destination = self.external(destination).and_then(|external| external.pool);
        of_destination.or_else(|| self.pool_of.iter().find_map(|pool| *pool))
    }

    /// The addresses of a pool that new mappings may get.
    #[inline]
    #[must_use]
    pub(super) fn pool_addresses(&self, pool: PoolId) -> &[Ipv4Addr] {
        if pool == PoolId::TWICE {
            return &self.twice_pool;
        }
        self.pools.get(usize::from(pool.0)).map_or(&[], Vec::as_slice)
    }

    /// The worker that has all flows of an inside address.
    #[inline(always)]
    #[must_use]
    pub fn host_worker(&self, inside: Ipv4Addr) -> usize {
        if self.workers == 1 {
            return 0;
        }
        ((u64::from(inside.to_bits().wrapping_mul(0x9e37_79b1)) * self.workers as u64) >> 32) as usize
    }

    /// The worker that has the flows of an external endpoint. None: nobody is behind it, or it is shared by several servers:
    /// see [`inbound_worker`](Self::inbound_worker).
    #[must_use]
    pub fn port_worker(&self, external: Ipv4Addr, protocol: u8, port: u16) -> Option<usize> {
        let found = self.external(external)?;
        if let Some((index, _)) = found.mapped.find(protocol, port) {
            return match self.mappings.get(index as usize)?.internal.as_slice() {
                [one] => Some(self.host_worker(one.address)),
                _ => None,
            };
        }
        found.ports()?.owner(protocol, port)
    }

    /// The worker that has, or will have, the flow of a packet from outside, as the packet has it. None: nobody is behind the external endpoint.
    #[must_use]
    pub fn inbound_worker(&self, view: &View, protocol: u8) -> Option<usize> {
        match self.static_inbound(view, protocol) {
            Some(found) => Some(self.host_worker(found.inside.0)),
            None => self.external(view.destination())?.ports()?.owner(protocol, view.destination_port()),
        }
    }

    /// Whether somebody is behind an external endpoint, by configuration or by a mapping of any worker: an inside host, or a client
    /// that a server knows by an address of the twice-NAT pool.
    #[must_use]
    pub fn in_use(&self, external: Ipv4Addr, protocol: u8, port: u16) -> bool {
        self.any_external(external).is_some_and(|found| {
            found.mapped.find(protocol, port).is_some()
                || found.ports().is_some_and(|ports| ports.in_use(protocol, port))
        })
    }

    /// From where mappings can be reached.
    #[inline]
    #[must_use]
    pub fn filtering(&self) -> Filtering {
        self.limits.filtering
    }

    /// How long flows may be idle.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.limits.timeouts
    }

    /// Sessions of all workers together.
    #[must_use]
    pub fn max_sessions(&self) -> u32 {
        self.limits.max_sessions
    }

    /// Sessions of an inside address.
    #[must_use]
    pub fn max_sessions_per_host(&self) -> u32 {
        self.limits.max_sessions_per_host
    }

    /// The highest maximum segment size.
    #[must_use]
    pub fn mss_clamp(&self) -> Option<u16> {
        self.limits.mss_clamp
    }

    /// Whether events of mappings are logged.
    #[must_use]
    pub fn log(&self) -> bool {
        self.limits.log
    }

    /// The count of the sessions of all workers.
    #[inline]
    #[must_use]
    pub(super) fn sessions(&self) -> &AtomicU32 {
        &self.sessions
    }

    /// Ports of addresses that are, or lately were, given out.
    pub fn all_ports(&self) -> impl Iterator<Item = &Arc<AddressPorts>> {
        self.externals.values().filter_map(External::ports)
    }
}

/// Hashes addresses of the configuration: nobody outside chooses them.
type ByAddress = BuildHasherDefault<AddressHasher>;

#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    #[inline]
    fn write_u32(&mut self, address: u32) {
        let mixed = u64::from(address).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(self.0 as u32 ^ u32::from(byte));
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
