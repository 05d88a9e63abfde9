//! ip4-urpf, ip6-urpf: drops packets with a source that no route, or in strict mode no route by the same interface, leads back to;
//! a feature of the ip4-unicast and ip6-unicast arcs.
//! Reads: rx interface, table. Writes: nothing. Uses the scratch slot.
//!
//! Nobody is told: an error would go to whom the packet pretends to come from (RFC 1812 section 5.3.8 has it dropped in silence).

use crate::forwarding::Forwarding;
use crate::ip::passes;
use crate::urpf::{Filtered, Mode};
use millrace_engine::epoch::Guard;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::AdjacencyKind;
use millrace_tables::fib::Target;
use millrace_tables::lpm::Address;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

/// Steps over tables, load-balances and their buckets that a source may take. A load-balance of 64 ways within another is the most
/// that routes make.
const STEPS: u32 = 256;

edges! {
    /// Packets go on along the arc.
    pub enum Next {}
}

counters! {
    /// Why packets end here.
    pub enum Count {
        Short => "no IP header",
        NoRoute => "no route back to the source",
        OtherInterface => "route back to the source leaves by another interface",
        Discarded => "route back to the source is blackhole, unreachable or prohibit",
        Own => "source is the router's own address or a broadcast address",
    }
}

/// What `show trace` tells.
pub struct Trace {
    source: IpAddr,
    mode: Mode,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Off => "off",
            Mode::Strict => "strict",
            Mode::Loose => "loose",
        };
        write!(f, "source {} {mode}", self.source)
    }
}

/// The node.
pub struct Urpf<F: Filtered> {
    forwarding: Forwarding,
    family: PhantomData<F>,
}

impl<F: Filtered> Urpf<F> {
    /// Reads interfaces, tables, adjacencies and load-balances.
    pub fn new(forwarding: Forwarding) -> Urpf<F> {
        Urpf { forwarding, family: PhantomData }
    }
}

impl<F: Filtered> Node for Urpf<F> {
    const NAME: NodeName = F::FEATURE.node;
    const STAGES: usize = F::STAGES;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn prefetch(&mut self, stage: usize, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) {
        passes::prepare::<F>(&self.forwarding, &cx.guard(), stage, packet, F::source);
    }

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(source) = packet.header::<F::Header>().map(F::source) else { return cx.drop(Count::Short) };
        let guard = cx.guard();
        let interface = packet.meta.rx_interface;
        let mode = self.forwarding.interfaces.get(interface, &guard).map_or(Mode::Off, |interface| interface.urpf);
        cx.trace(packet, || Trace { source: source.to_ip(), mode });
        // A host that has no address yet has no other source, and every link has its own link-local ones: the nodes before this one
        // see to it that neither is forwarded (RFC 2131 section 4.1, RFC 4291 sections 2.5.2 and 2.5.6).
        if mode == Mode::Off || source.into() == 0 || F::is_link_local(source) {
            return cx.next_feature(packet);
        }
        let mut path =
            Path { forwarding: &self.forwarding, guard, by: (mode == Mode::Strict).then_some(interface), left: STEPS };
        let target = passes::finish::<F>(&self.forwarding, &path.guard, packet, source);
        match path.target::<F>(target, source) {
            Ok(()) => cx.next_feature(packet),
            Err(cause) => cx.drop(cause),
        }
    }
}

/// The way back to a source.
struct Path<'a, 'g> {
    forwarding: &'a Forwarding,
    guard: Guard<'g>,
    /// The interface that it has to leave by; none: any.
    by: Option<u32>,
    /// How many steps may still be taken.
    left: u32,
}

impl Path<'_, '_> {
    /// Whether a packet to `source` would leave rightly, by what a table gave.
    #[inline(always)]
    fn target<F: Filtered>(&mut self, target: Target, source: F::Address) -> Result<(), Count> {
        match target {
            Target::Adjacency(index) => self.adjacency::<F>(index, source),
            Target::LoadBalance(index) => self.balance::<F>(index, source),
        }
    }

    #[inline(always)]
    fn adjacency<F: Filtered>(&mut self, index: u32, source: F::Address) -> Result<(), Count> {
        let adjacency = self.forwarding.adjacencies.get(index, &self.guard).ok_or(Count::NoRoute)?;
        match adjacency.kind {
            AdjacencyKind::Rewrite
            | AdjacencyKind::Stale
            | AdjacencyKind::Arp
            | AdjacencyKind::Glean
            | AdjacencyKind::PointToPoint => match self.by {
                Some(interface) if interface != adjacency.interface => Err(Count::OtherInterface),
                _ => Ok(()),
            },
            AdjacencyKind::Table => self.table::<F>(adjacency.index, source),
            AdjacencyKind::Balance => self.balance::<F>(adjacency.index, source),
            AdjacencyKind::LinkLocal => Ok(()),
            AdjacencyKind::Local => Err(Count::Own),
            AdjacencyKind::Drop => Err(Count::NoRoute),
            AdjacencyKind::Blackhole | AdjacencyKind::Unreachable | AdjacencyKind::Prohibit => Err(Count::Discarded),
        }
    }

    /// A route that leads to another table.
    #[cold]
    fn table<F: Filtered>(&mut self, table: u32, source: F::Address) -> Result<(), Count> {
        self.left = self.left.checked_sub(1).ok_or(Count::NoRoute)?;
        let fib = F::fibs(self.forwarding).get(table, &self.guard).ok_or(Count::NoRoute)?;
        self.target::<F>(Target::from_u32(fib.lookup(&self.guard, source)), source)
    }

    /// Any of several ways will do: packets of the source may take each of them (RFC 8704 section 2.3 calls this feasible).
    #[cold]
    fn balance<F: Filtered>(&mut self, index: u32, source: F::Address) -> Result<(), Count> {
        let balance = self.forwarding.load_balances.get(index, &self.guard).ok_or(Count::NoRoute)?;
        let mut verdict = Err(Count::NoRoute);
        let mut last = None;
        for bucket in balance.buckets() {
            // Those of one way stand together, mostly.
            if last.replace(*bucket) == Some(*bucket) {
                continue;
            }
            self.left = self.left.checked_sub(1).ok_or(Count::NoRoute)?;
            verdict = self.adjacency::<F>(*bucket, source);
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
