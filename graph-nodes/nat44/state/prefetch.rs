//! What opening a flow will read, fetched beforehand: a frame's cache misses overlap.

use super::State;
use super::mappings::Kind;
use crate::nat44::rules::Rules;
use millrace_tables::flow::{Key, View};

impl State {
    /// How often [`prefetch_outbound`](Self::prefetch_outbound) has to go through a frame, `stage` being 0, 1 and so on.
    pub const STAGES: usize = 3;

    /// Fetches some of what [`outbound`](Self::outbound) will read for a packet with this key: first where its mapping and its host are
    /// looked up; then the host; then, as that has an external address and the port is probably kept, the port and where the way
    /// back is looked up. Each stage needs that the one before it has arrived.
    #[inline]
    pub fn prefetch_outbound(&self, rules: &Rules, key: &Key, stage: usize) {
        let (mappings, hosts) = (&self.base.mappings, &self.base.hosts);
        let Key { view, protocol, table } = *key;
        let host = hosts.hash(table, view.source());
        match stage {
            0 => {
                let inside = (view.source(), view.source_port());
                mappings.prefetch(mappings.hash(Kind::Dynamic, table, inside, protocol));
                hosts.prefetch(host);
            }
            1 => hosts.prefetch_candidate(host),
            _ => {
                let Some(external) = hosts.candidate(host).and_then(|host| host.external()) else { return };
                if let Some(ports) = rules.any_external(external).and_then(|external| external.ports()) {
                    ports.prefetch(protocol, view.source_port());
                }
                let back = View::new(view.destination(), view.destination_port(), external, view.source_port());
                self.flows.prefetch(self.flows.hash(&Key { view: back, protocol, table: 0 }));
            }
        }
    }
}
