//! What opening a flow will read, fetched beforehand: a frame's cache misses overlap.

use super::mappings::Kind;
use super::{Base, State};
use crate::nat44::rules::Rules;
use millrace_engine::VECTOR;
use millrace_tables::flow::{FlowId, Hash, Key, Side, View};
use std::sync::atomic::Ordering::Relaxed;

impl State {
    /// How often [`prefetch_outbound`](Self::prefetch_outbound) has to go through a frame, `stage` being 0, 1 and so on.
    pub const STAGES: usize = 3;

    /// Fetches some of what [`outbound`](Self::outbound) will read for a packet with this key, and for the flow that has to make room
    /// for it if the table is full. Each stage needs that what the one before it fetched has arrived.
    #[inline]
    pub fn prefetch_outbound(&mut self, rules: &Rules, key: &Key, stage: usize) {
        self.prefetch_new(rules, key, stage);
        if self.base.credit == 0 && rules.sessions().load(Relaxed) >= rules.max_sessions() {
            self.prefetch_oldest(rules, stage);
        }
    }

    /// First where its mapping and its host are looked up; then the host, and where it will be found; then, as the host has an external
    /// address, a port is thought of, and where the way back will be found.
    #[inline]
    fn prefetch_new(&mut self, rules: &Rules, key: &Key, stage: usize) {
        let Base { worker, mappings, hosts, random, foreseen, .. } = &mut self.base;
        let Key { view, protocol, table } = *key;
        let inside = (view.source(), view.source_port());
        let host = hosts.hash(table, view.source());
        match stage {
            0 => {
                mappings.prefetch_insertion(mappings.hash(Kind::Dynamic, table, inside, protocol));
                hosts.prefetch(host);
            }
            1 => {
                hosts.prefetch_candidate(host);
                self.flows.prefetch_insertion(self.flows.hash(key));
            }
            _ => {
                let Some(external) = hosts.candidate(host).and_then(|host| host.external()) else { return };
                let Some(ports) = rules.any_external(external).and_then(|external| external.ports()) else { return };
                let Some(port) = ports.foresee(*worker, (protocol, inside.1), random) else { return };
                foreseen.set(mappings.hash(Kind::Dynamic, table, inside, protocol), port);
                let back = View::new(view.destination(), view.destination_port(), external, port);
                self.flows.prefetch_insertion(self.flows.hash(&Key { view: back, protocol, table: 0 }));
            }
        }
    }

    /// For each packet another one of the oldest flows: first the flow itself; then where it was found, its host and its mapping; then where
    /// that was found, and its port.
    #[inline]
    fn prefetch_oldest(&mut self, rules: &Rules, stage: usize) {
        let Some(ahead) = self.ahead.get_mut(stage) else { return };
        let id = self.flows.next_oldest(*ahead);
        *ahead = id;
        let base = &self.base;
        match stage {
            0 => {
                self.flows.prefetch_flow(id);
                base.groups.prefetch(id);
            }
            1 => {
                self.flows.prefetch_removal(id);
                base.mappings.prefetch_slot(base.groups.mapping(id));
                if let Some(flow) = self.flows.get(id) {
                    base.hosts.prefetch(base.hosts.hash(flow.table(), flow.view(Side::Inside).source()));
                }
            }
            _ => base.prefetch_release(rules, id),
        }
    }
}

/// Ports that were thought of for the mappings of a frame: by a part of their hash, the latest ones.
#[derive(Debug)]
pub struct Foreseen(Box<[(Hash, u16); VECTOR]>);

impl Default for Foreseen {
    fn default() -> Foreseen {
        Foreseen(Box::new([(Hash::default(), 0); VECTOR]))
    }
}

impl Foreseen {
    fn set(&mut self, mapping: Hash, port: u16) {
        if let Some(place) = self.0.get_mut(mapping.to_u32() as usize % VECTOR) {
            *place = (mapping, port);
        }
    }

    /// The port that was thought of for the mapping with this hash.
    pub fn get(&self, mapping: Hash) -> Option<u16> {
        let place = self.0.get(mapping.to_u32() as usize % VECTOR);
        place.filter(|(of, _)| *of == mapping).map(|(_, port)| *port)
    }
}

impl Base {
    #[inline]
    fn prefetch_release(&self, rules: &Rules, id: FlowId) {
        let Some(mapping) = self.mappings.get(self.groups.mapping(id)) else { return };
        let hash = self.mappings.hash(mapping.kind, mapping.table, mapping.inside(), mapping.protocol);
        self.mappings.prefetch(hash);
        self.hosts.prefetch_candidate(self.hosts.hash(mapping.table, mapping.inside().0));
        let (address, port) = mapping.external();
        if let Some(ports) = rules.any_external(address).and_then(|external| external.ports()) {
            ports.prefetch(mapping.protocol, port);
        }
    }
}
