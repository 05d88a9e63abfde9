//! ip4-policy-route, ip6-policy-route: the table that packets are looked up in, by their source and the interface that they came by;
//! a feature of the ip4-unicast and ip6-unicast arcs.
//! Reads: rx interface, table. Writes: table. Uses the scratch slot.
//!
//! Packets for the router itself stay where they are, so that no rule cuts it off from those who manage it.

use crate::forwarding::Forwarding;
use crate::ip::passes;
use crate::policy_routes::{PolicyRoutes, Selected};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::AdjacencyKind;
use millrace_tables::fib::Target;
use millrace_tables::lpm::Address;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

edges! {
    /// Packets go on along the arc.
    pub enum Next {}
}

counters! {
    /// Why packets end here.
    pub enum Count { Short => "no IP header" }
}

/// What `show trace` tells.
pub struct Trace {
    source: IpAddr,
    table: u32,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source {} table {}", self.source, self.table)
    }
}

/// The node.
pub struct PolicyRoute<F: Selected> {
    forwarding: Forwarding,
    rules: PolicyRoutes,
    family: PhantomData<F>,
}

impl<F: Selected> PolicyRoute<F> {
    /// Reads rules, tables and adjacencies; counts hits of rules.
    pub fn new(forwarding: Forwarding, rules: PolicyRoutes) -> PolicyRoute<F> {
        PolicyRoute { forwarding, rules, family: PhantomData }
    }
}

impl<F: Selected> Node for PolicyRoute<F> {
    const NAME: NodeName = F::FEATURE.node;
    const STAGES: usize = F::STAGES;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn prefetch(&mut self, stage: usize, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) {
        passes::prepare::<F>(&self.forwarding, &cx.guard(), stage, packet, F::destination);
    }

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(header) = packet.header::<F::Header>() else { return cx.drop(Count::Short) };
        let (source, destination) = (F::source(header), F::destination(header));
        let guard = cx.guard();
        let found = F::rules(&self.rules).get(&guard).find(packet.meta.rx_interface, source.into());
        if let Some(found) = found
            && !self.is_for_us(packet, destination, cx)
        {
            packet.meta.table = found.table;
            self.rules.count(cx.worker(), found.counter);
        }
        let table = packet.meta.table;
        cx.trace(packet, || Trace { source: source.to_ip(), table });
        cx.next_feature(packet)
    }
}

impl<F: Selected> PolicyRoute<F> {
    /// Whether the packet's table has its destination end here.
    #[inline(always)]
    fn is_for_us(&self, packet: &Packet<'_>, destination: F::Address, cx: &Ctx<'_, Self>) -> bool {
        let guard = cx.guard();
        let target = passes::finish::<F>(&self.forwarding, &guard, packet, destination);
        let Target::Adjacency(index) = target else { return false };
        let kind = self.forwarding.adjacencies.get(index, &guard).map(|adjacency| adjacency.kind);
        matches!(kind, Some(AdjacencyKind::Local | AdjacencyKind::LinkLocal))
    }
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
