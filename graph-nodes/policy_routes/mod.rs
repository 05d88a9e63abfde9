//! Policy routes: packets from chosen sources, or by chosen interfaces, are looked up in another VRF than that of their interface.

pub mod select;
pub mod table;

use crate::forwarding::Forwarding;
use crate::ip::{Family, V4, V6};
use crate::nat44;
use millrace_engine::counters::Counter;
use millrace_engine::epoch::{Published, domain};
use millrace_engine::{Feature, Graph, NodeName};
use select::PolicyRoute;
use std::sync::Arc;
pub use table::{Rule, Rules};

/// The most rules that there can be.
pub const MAX: usize = 256;

/// The name of the IPv4 node.
pub const NAME4: NodeName = NodeName::new("ip4-policy-route");
/// The name of the IPv6 node.
pub const NAME6: NodeName = NodeName::new("ip6-policy-route");

/// What the selection has to know of a family.
pub trait Selected: Family {
    /// The node's name, and its place on the arc.
    const FEATURE: Feature;

    /// The family's rules.
    fn rules(all: &PolicyRoutes) -> &Published<Rules>;
}

impl Selected for V4 {
    /// Before the translation of destinations, whose sessions say in which VRF the inside host is.
    const FEATURE: Feature = Feature { arc: V4::UNICAST, node: NAME4, after: &[], before: &[nat44::out2in::NAME] };

    #[inline(always)]
    fn rules(all: &PolicyRoutes) -> &Published<Rules> {
        &all.0.rules4
    }
}

impl Selected for V6 {
    const FEATURE: Feature = Feature { arc: V6::UNICAST, node: NAME6, after: &[], before: &[] };

    #[inline(always)]
    fn rules(all: &PolicyRoutes) -> &Published<Rules> {
        &all.0.rules6
    }
}

/// The rules as control holds them and nodes share them; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct PolicyRoutes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rules4: Published<Rules>,
    rules6: Published<Rules>,
    /// By worker: how many packets rules sent elsewhere, by their counters.
    hits: Box<[Box<[Counter]>]>,
}

impl PolicyRoutes {
    /// No rules, for so many workers.
    pub fn new(workers: usize) -> PolicyRoutes {
        let counters = |_| (0..MAX).map(|_| Counter::default()).collect();
        PolicyRoutes(Arc::new(Shared {
            rules4: Published::new(Rules::of::<u32>(&[])),
            rules6: Published::new(Rules::of::<u128>(&[])),
            hits: (0..workers.max(1)).map(counters).collect(),
        }))
    }

    /// Puts rules in force, the first that matches first.
    pub fn publish(&self, rules: &[Rule]) {
        self.0.rules4.publish(&domain(), Rules::of::<u32>(rules));
        self.0.rules6.publish(&domain(), Rules::of::<u128>(rules));
    }

    /// How many packets were sent elsewhere on this counter since the start.
    pub fn hits(&self, counter: u16) -> u64 {
        self.0.hits.iter().filter_map(|worker| worker.get(usize::from(counter))).map(Counter::get).sum()
    }

    /// Counts a packet, on the worker that has it.
    #[inline(always)]
    fn count(&self, worker: usize, counter: u16) {
        if let Some(counter) = self.0.hits.get(worker).and_then(|worker| worker.get(usize::from(counter))) {
            counter.add(1);
        }
    }
}

/// Adds the nodes and their places on the arcs.
pub fn register(graph: &mut Graph, forwarding: &Forwarding, rules: &PolicyRoutes) {
    let (tables, handle) = (forwarding.clone(), rules.clone());
    graph.node(move |_| PolicyRoute::<V4>::new(tables.clone(), handle.clone())).feature(V4::FEATURE);
    let (tables, handle) = (forwarding.clone(), rules.clone());
    graph.node(move |_| PolicyRoute::<V6>::new(tables.clone(), handle.clone())).feature(V6::FEATURE);
}
