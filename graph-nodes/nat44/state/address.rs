//! The external endpoint of a new mapping.

use super::mappings::{Kind, Mapping};
use super::{Base, Refusal};
use crate::nat44::log::LogEvent;
use crate::nat44::ports::Request;
use crate::nat44::rules::{External, PoolId, Rules};
use millrace_tables::flow::{Hash, Ticks};
use std::net::Ipv4Addr;

/// Addresses that are tried for a host that has none yet.
const TRIES: usize = 16;

/// The inside endpoint of a mapping to be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub kind: Kind,
    pub table: u16,
    pub inside: (Ipv4Addr, u16),
    pub protocol: u8,
    pub pool: PoolId,
    /// A port that was thought of before.
    pub foreseen: Option<u16>,
}

impl Base {
    /// The mapping of an endpoint, with one session more: the one that it has, if that may be used still, or a new one. Whether it is
    /// new.
    pub fn enter_mapping(
        &mut self,
        rules: &Rules,
        wanted: Wanted,
        host: u32,
        now: Ticks,
    ) -> Result<(u32, bool), Refusal> {
        let Wanted { kind, table, inside, protocol, pool, .. } = wanted;
        let hash = self.mappings.hash(kind, table, inside, protocol);
        let usable = |mapping: &Mapping| {
            mapping.is(kind, table, inside, protocol)
                && rules.any_external(mapping.external().0).is_some_and(|external| external.is_in(pool))
                && !rules.is_static(mapping.external(), protocol)
        };
        if let Some(id) = self.mappings.find(hash, usable) {
            if let Some(mapping) = self.mappings.get_mut(id) {
                mapping.sessions += 1;
            }
            return Ok((id, false));
        }
        let wanted = Wanted { foreseen: self.foreseen.get(hash), ..wanted };
        let external = self.new_external(rules, wanted, host, hash, now)?;
        let mapping = Mapping::new(kind, table, inside, protocol, external);
        match self.mappings.insert(hash, mapping) {
            Some(id) => Ok((id, true)),
            None => {
                self.release_port(rules, &mapping, now);
                Err(Refusal::SessionLimit)
            }
        }
    }

    /// A session of a mapping is gone, and perhaps the mapping with it.
    pub fn leave_mapping(&mut self, rules: &Rules, id: u32, now: Ticks) -> Option<Mapping> {
        let gone = self.mappings.leave(id)?;
        self.release_port_of(rules, &gone, id, now);
        Some(gone)
    }

    fn release_port(&mut self, rules: &Rules, mapping: &Mapping, now: Ticks) {
        if let Some(id) = self.mappings.next_id() {
            self.release_port_of(rules, mapping, id, now);
        }
    }

    fn release_port_of(&mut self, rules: &Rules, mapping: &Mapping, id: u32, now: Ticks) {
        let (address, port) = mapping.external();
        if let Some(ports) = rules.any_external(address).and_then(|external| external.ports()) {
            ports.release(self.worker, (mapping.protocol, port), id, now);
            self.resting = true;
        }
    }

    /// An external endpoint, held for the mapping that comes next.
    fn new_external(
        &mut self,
        rules: &Rules,
        wanted: Wanted,
        host: u32,
        hash: Hash,
        now: Ticks,
    ) -> Result<(Ipv4Addr, u16), Refusal> {
        let addresses = rules.pool_addresses(wanted.pool);
        if addresses.is_empty() {
            return Err(Refusal::NoPool);
        }
        let holder = self.mappings.next_id().ok_or(Refusal::SessionLimit)?;
        if wanted.kind == Kind::Twice {
            let start = hash.to_u32() as usize % addresses.len();
            return self.first_free(rules, addresses, start, wanted, holder, now).ok_or(Refusal::NoPort);
        }
        // RFC 4787 REQ-2: the address that it has, as long as it has one.
        let paired = self.hosts.get(host).and_then(|host| host.external());
        if let Some(paired) = paired
            && let Some(external) = rules.any_external(paired).filter(|found| found.is_in(wanted.pool))
        {
            let port = self.take_port(external, wanted, holder, now);
            return port.map(|port| (paired, port)).ok_or(Refusal::NoPort);
        }
        let start = self.less_used(rules, addresses, wanted);
        let found = self.first_free(rules, addresses, start, wanted, holder, now).ok_or(Refusal::NoPort)?;
        self.hosts.pair(host, found.0);
        Ok(found)
    }

    /// Of two addresses that the host's hash points to the one with fewer ports in use: that keeps them evenly used (Mitzenmacher: "The
    /// power of two choices in randomized load balancing", 2001).
    fn less_used(&self, rules: &Rules, addresses: &[Ipv4Addr], wanted: Wanted) -> usize {
        let hash = self.hosts.hash(wanted.table, wanted.inside.0).to_u32() as usize;
        let choices = [hash % addresses.len(), (hash >> 16) % addresses.len()];
        let used = |choice: &usize| {
            let ports = addresses.get(*choice).and_then(|address| rules.any_external(*address)?.ports());
            ports.map_or(0, |ports| ports.used_by(self.worker, wanted.protocol))
        };
        choices.into_iter().min_by_key(used).unwrap_or(0)
    }

    fn first_free(
        &mut self,
        rules: &Rules,
        addresses: &[Ipv4Addr],
        start: usize,
        wanted: Wanted,
        holder: u32,
        now: Ticks,
    ) -> Option<(Ipv4Addr, u16)> {
        (0..addresses.len().min(TRIES)).find_map(|step| {
            let address = *addresses.get((start + step) % addresses.len())?;
            let port = self.take_port(rules.any_external(address)?, wanted, holder, now)?;
            Some((address, port))
        })
    }

    fn take_port(&mut self, external: &External, wanted: Wanted, holder: u32, now: Ticks) -> Option<u16> {
        let Wanted { protocol, inside: (_, port), foreseen, .. } = wanted;
        let request = Request { protocol, port, foreseen, reserved: external.reserved(protocol), holder };
        external.ports()?.take(self.worker, &request, &mut self.random, now)
    }

    /// Tells of a mapping that came or went (RFC 6888 REQ-12).
    pub fn tell(&self, rules: &Rules, added: bool, mapping: &Mapping, now: Ticks) {
        if rules.log() && mapping.kind == Kind::Dynamic {
            let ((inside, inside_port), (outside, outside_port)) = (mapping.inside(), mapping.external());
            let (protocol, table) = (mapping.protocol, mapping.table);
            self.log.push(LogEvent { added, protocol, table, inside, inside_port, outside, outside_port, at: now });
        }
    }
}
