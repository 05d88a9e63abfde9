//! Mappings that packets made, by their inside endpoint. By their external port they are found in the ports.

use millrace_tables::flow::{FlowId, Hash, Index, Seed};
use millrace_tables::slab::Slab;
use std::io;
use std::net::Ipv4Addr;

/// Whose endpoint is mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An inside host's.
    #[default]
    Dynamic = 0,
    /// A client's of a twice-NAT mapping: its "inside" endpoint is outside, its external one of the twice-NAT pool.
    Twice = 1,
}

/// A mapping. One without sessions is free: `resident` is then the next free one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mapping {
    inside: u32,
    external: u32,
    inside_port: u16,
    external_port: u16,
    /// The number of the inside's table.
    pub table: u16,
    /// The IP protocol.
    pub protocol: u8,
    /// Whose it is.
    pub kind: Kind,
    /// Its flows.
    pub sessions: u32,
    /// A flow of it that needs no place in the groups; 0: none.
    pub resident: FlowId,
}

const _: () = assert!(size_of::<Mapping>() == 24);

impl Mapping {
    pub fn new(kind: Kind, table: u16, inside: (Ipv4Addr, u16), protocol: u8, external: (Ipv4Addr, u16)) -> Mapping {
        Mapping {
            inside: inside.0.to_bits(),
            external: external.0.to_bits(),
            inside_port: inside.1,
            external_port: external.1,
            table,
            protocol,
            kind,
            sessions: 1,
            resident: 0,
        }
    }

    /// Whether it is of this endpoint.
    #[inline]
    pub fn is(&self, kind: Kind, table: u16, inside: (Ipv4Addr, u16), protocol: u8) -> bool {
        (self.inside, self.inside_port, self.table) == (inside.0.to_bits(), inside.1, table)
            && self.protocol == protocol
            && self.kind == kind
    }

    pub fn inside(&self) -> (Ipv4Addr, u16) {
        (Ipv4Addr::from_bits(self.inside), self.inside_port)
    }

    pub fn external(&self) -> (Ipv4Addr, u16) {
        (Ipv4Addr::from_bits(self.external), self.external_port)
    }
}

/// All of a worker.
#[derive(Debug)]
pub struct Mappings {
    seed: Seed,
    index: Index,
    /// Number 0 is not used.
    slots: Slab<Mapping>,
    free: u32,
    len: u32,
}

impl Mappings {
    pub fn new(max: usize) -> io::Result<Mappings> {
        let mut slots = Slab::new(max + 1)?;
        slots.push(Mapping::default());
        Ok(Mappings { seed: Seed::random()?, index: Index::new()?, slots, free: 0, len: 0 })
    }

    #[inline]
    pub fn hash(&self, kind: Kind, table: u16, inside: (Ipv4Addr, u16), protocol: u8) -> Hash {
        let rest = u64::from(table) | u64::from(protocol) << 16 | (kind as u64) << 24;
        self.seed.hash(u64::from(inside.0.to_bits()) | u64::from(inside.1) << 32, rest)
    }

    #[inline]
    pub fn prefetch(&self, hash: Hash) {
        self.index.prefetch(hash);
    }

    /// Fetches what looking one up reads, and then putting it there.
    #[inline]
    pub fn prefetch_insertion(&self, hash: Hash) {
        self.index.prefetch(hash);
        self.index.prefetch_alternate(hash);
    }

    #[inline]
    pub fn prefetch_slot(&self, id: u32) {
        self.slots.prefetch(id as usize);
    }

    /// The mapping of this hash that `is` the right one.
    #[inline]
    pub fn find(&self, hash: Hash, is: impl Fn(&Mapping) -> bool) -> Option<u32> {
        let is = |id: &u32| self.get(*id).is_some_and(&is);
        // Almost always the first is the one, if there is one.
        match self.index.first(hash) {
            0 => None,
            first => Some(first).filter(is).or_else(|| self.index.iter(hash).find(is)),
        }
    }

    #[inline]
    pub fn get(&self, id: u32) -> Option<&Mapping> {
        self.slots.get(id as usize).filter(|mapping| mapping.sessions > 0)
    }

    #[inline]
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Mapping> {
        self.slots.get_mut(id as usize).filter(|mapping| mapping.sessions > 0)
    }

    /// The number that the next mapping will have; none if there is no room.
    pub fn next_id(&mut self) -> Option<u32> {
        if self.free == 0 {
            self.free = self.slots.push(Mapping::default())? as u32;
        }
        Some(self.free)
    }

    /// Adds a mapping, with one session; its number is [`next_id`](Self::next_id)'s. None if there is no room.
    pub fn insert(&mut self, hash: Hash, mapping: Mapping) -> Option<u32> {
        let id = self.next_id()?;
        self.index.insert(hash, id).ok()?;
        let slot = self.slots.get_mut(id as usize)?;
        self.free = slot.resident;
        *slot = mapping;
        self.len += 1;
        Some(id)
    }

    /// A session of a mapping is gone. The mapping, if it was the last and the mapping is gone, too.
    pub fn leave(&mut self, id: u32) -> Option<Mapping> {
        let free = self.free;
        let mapping = self.get_mut(id)?;
        mapping.sessions -= 1;
        let gone = *mapping;
        if gone.sessions > 0 {
            return None;
        }
        *mapping = Mapping { resident: free, ..Mapping::default() };
        self.free = id;
        self.len -= 1;
        let hash = self.hash(gone.kind, gone.table, gone.inside(), gone.protocol);
        self.index.remove(hash, id);
        Some(gone)
    }

    pub fn len(&self) -> u32 {
        self.len
    }

    /// The numbers that mappings may have are below it.
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
