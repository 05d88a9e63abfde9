//! Which mapping a flow stands on, and whom a mapping's inside endpoint talks to (for the filter of RFC 4787 REQ-8).
//!
//! The flows of a mapping to one remote address are a list; an index has its first. One flow of each mapping, the resident, is in no list: most
//! mappings have one flow, and that costs nothing here.

use super::mappings::Mapping;
use millrace_tables::flow::{Flow, FlowId, FlowTable, Hash, Index, Seed, Side};
use millrace_tables::slab::Slab;
use std::io;
use std::net::Ipv4Addr;

/// What there is for each flow.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    /// The mapping that it stands on; 0: on the rules.
    mapping: u32,
    next: FlowId,
    /// 0 for the first of a list.
    prev: FlowId,
}

const _: () = assert!(size_of::<Link>() == 12);

/// The links of all flows of a worker.
#[derive(Debug)]
pub struct Groups {
    seed: Seed,
    index: Index,
    links: Slab<Link>,
}

/// The remote address of a flow.
fn remote(flow: &Flow) -> Ipv4Addr {
    flow.view(Side::Outside).source()
}

impl Groups {
    pub fn new(max: usize) -> io::Result<Groups> {
        Ok(Groups { seed: Seed::random()?, index: Index::new()?, links: Slab::new(max + 1)? })
    }

    fn hash(&self, mapping: u32, remote: Ipv4Addr) -> Hash {
        self.seed.hash(u64::from(mapping), u64::from(remote.to_bits()))
    }

    /// The mapping that a flow stands on; 0: on the rules.
    #[inline]
    pub fn mapping(&self, id: FlowId) -> u32 {
        self.links.get(id as usize).map_or(0, |link| link.mapping)
    }

    #[inline]
    pub fn prefetch(&self, id: FlowId) {
        self.links.prefetch(id as usize);
    }

    fn link(&mut self, id: FlowId) -> Option<&mut Link> {
        self.links.get_mut(id as usize)
    }

    /// Notes what a new flow stands on. It is not in a list.
    pub fn set(&mut self, id: FlowId, mapping: u32) {
        let link = Link { mapping, ..Link::default() };
        while self.links.len() <= id as usize {
            if self.links.push(Link::default()).is_none() {
                return;
            }
        }
        if let Some(slot) = self.link(id) {
            *slot = link;
        }
    }

    /// Lets a new flow, which was [set](Self::set), be seen by the filter.
    pub fn join(&mut self, flows: &FlowTable, id: FlowId, mapping_id: u32, mapping: &mut Mapping) {
        if mapping.resident == 0 {
            mapping.resident = id;
            return;
        }
        let Some(remote) = flows.get(id).map(remote) else { return };
        match self.first(flows, mapping_id, remote) {
            Some(first) => {
                let next = self.link(first).map_or(0, |first| std::mem::replace(&mut first.next, id));
                if let Some(link) = self.link(id) {
                    (link.prev, link.next) = (first, next);
                }
                if let Some(next) = self.link(next).filter(|_| next != 0) {
                    next.prev = id;
                }
            }
            // Without a place it is not seen by the filter, and that is all.
            None => {
                let _ = self.index.insert(self.hash(mapping_id, remote), id);
            }
        }
    }

    /// A flow goes, which [joined](Self::join).
    pub fn leave(&mut self, id: FlowId, flow: &Flow, mapping_id: u32, mapping: &mut Mapping) {
        if mapping.resident == id {
            mapping.resident = 0;
            return;
        }
        let Some(Link { next, prev, .. }) = self.link(id).map(|link| *link) else { return };
        if let Some(next) = self.link(next).filter(|_| next != 0) {
            next.prev = prev;
        }
        if prev != 0 {
            if let Some(prev) = self.link(prev) {
                prev.next = next;
            }
            return;
        }
        let hash = self.hash(mapping_id, remote(flow));
        self.index.remove(hash, id);
        if next != 0 {
            // There is room: one has just gone.
            let _ = self.index.insert(hash, next);
        }
    }

    /// Whether a mapping has a flow to a remote address.
    pub fn knows(&self, flows: &FlowTable, mapping_id: u32, mapping: &Mapping, address: Ipv4Addr) -> bool {
        flows.get(mapping.resident).is_some_and(|flow| remote(flow) == address)
            || self.first(flows, mapping_id, address).is_some()
    }

    fn first(&self, flows: &FlowTable, mapping_id: u32, address: Ipv4Addr) -> Option<FlowId> {
        let is = |flow: &Flow| remote(flow) == address;
        self.index
            .iter(self.hash(mapping_id, address))
            .find(|&id| self.mapping(id) == mapping_id && flows.get(id).is_some_and(is))
    }

    /// Lists of flows.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn memory(&self) -> usize {
        self.links.memory() + self.index.memory()
    }
}
