//! Inside hosts that have sessions.

use millrace_tables::flow::{Hash, Index, Seed};
use millrace_tables::slab::Slab;
use std::io;
use std::net::Ipv4Addr;

/// An inside host. One without sessions is free: `inside` is then the next free one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host {
    inside: u32,
    /// The external address that it has (RFC 4787 REQ-2); unspecified before it needs one.
    external: u32,
    sessions: u32,
    table: u16,
}

const _: () = assert!(size_of::<Host>() == 16);

impl Host {
    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.inside)
    }

    /// Its table.
    pub fn table(&self) -> u16 {
        self.table
    }

    /// Its sessions, whoever opened them.
    pub fn sessions(&self) -> u32 {
        self.sessions
    }

    /// The external address that its mappings have.
    pub fn external(&self) -> Option<Ipv4Addr> {
        (self.external != 0).then(|| Ipv4Addr::from_bits(self.external))
    }
}

/// All of a worker.
#[derive(Debug)]
pub struct Hosts {
    seed: Seed,
    index: Index,
    /// Number 0 is not used.
    slots: Slab<Host>,
    free: u32,
    len: u32,
}

impl Hosts {
    pub fn new(max: usize) -> io::Result<Hosts> {
        let mut slots = Slab::new(max + 1)?;
        slots.push(Host::default());
        Ok(Hosts { seed: Seed::random()?, index: Index::new()?, slots, free: 0, len: 0 })
    }

    #[inline]
    pub fn hash(&self, table: u16, inside: Ipv4Addr) -> Hash {
        self.seed.hash(u64::from(inside.to_bits()), u64::from(table))
    }

    #[inline]
    pub fn prefetch(&self, hash: Hash) {
        self.index.prefetch(hash);
    }

    /// Fetches the host that probably has this hash.
    #[inline]
    pub fn prefetch_candidate(&self, hash: Hash) {
        self.slots.prefetch(self.index.first(hash) as usize);
    }

    /// The host that probably has this hash.
    #[inline]
    pub fn candidate(&self, hash: Hash) -> Option<&Host> {
        match self.index.first(hash) {
            0 => None,
            id => self.get(id),
        }
    }

    #[inline]
    pub fn get(&self, id: u32) -> Option<&Host> {
        self.slots.get(id as usize).filter(|host| host.sessions > 0)
    }

    #[inline]
    fn find(&self, hash: Hash, table: u16, inside: Ipv4Addr) -> Option<u32> {
        let is = |id: &u32| self.get(*id).is_some_and(|host| host.inside == inside.to_bits() && host.table == table);
        // Almost always the first is the one, if there is one.
        match self.index.first(hash) {
            0 => None,
            first => Some(first).filter(is).or_else(|| self.index.iter(hash).find(is)),
        }
    }

    /// Counts a new session of a host. None, and nothing counted, if it has `limit` already, or there is no room.
    pub fn enter(&mut self, table: u16, inside: Ipv4Addr, limit: u32) -> Option<u32> {
        let hash = self.hash(table, inside);
        if let Some(id) = self.find(hash, table, inside) {
            let host = self.slots.get_mut(id as usize).filter(|host| host.sessions < limit)?;
            host.sessions += 1;
            return Some(id);
        }
        if limit == 0 {
            return None;
        }
        let host = Host { inside: inside.to_bits(), external: 0, sessions: 1, table };
        let id = match self.slots.get_mut(self.free as usize).filter(|_| self.free != 0) {
            Some(slot) => {
                let id = std::mem::replace(&mut self.free, slot.inside);
                *slot = host;
                id
            }
            None => self.slots.push(host)? as u32,
        };
        self.len += 1;
        if self.index.insert(hash, id).is_err() {
            self.give_back(id);
            return None;
        }
        Some(id)
    }

    /// A session of a host is gone.
    pub fn leave(&mut self, table: u16, inside: Ipv4Addr) {
        let hash = self.hash(table, inside);
        let Some(id) = self.find(hash, table, inside) else { return };
        let Some(host) = self.slots.get_mut(id as usize) else { return };
        host.sessions -= 1;
        if host.sessions == 0 {
            self.index.remove(hash, id);
            self.give_back(id);
        }
    }

    fn give_back(&mut self, id: u32) {
        if let Some(slot) = self.slots.get_mut(id as usize) {
            *slot = Host { inside: self.free, ..Host::default() };
            self.free = id;
            self.len -= 1;
        }
    }

    /// From now on a host has this external address.
    pub fn pair(&mut self, id: u32, external: Ipv4Addr) {
        if let Some(host) = self.slots.get_mut(id as usize) {
            host.external = external.to_bits();
        }
    }

    pub fn len(&self) -> u32 {
        self.len
    }

    /// The numbers that hosts may have are below it.
    pub fn end(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Entries of the index.
    #[cfg(test)]
    pub fn indexed(&self) -> usize {
        self.index.len()
    }

    pub fn memory(&self) -> usize {
        self.slots.memory() + self.index.memory()
    }
}
