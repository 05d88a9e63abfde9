//! ip4-lookup, ip6-lookup: the longest prefix that matches the destination, in the packet's table, down to one adjacency; starts
//! the ip4-output, or ip6-output, arc.
//! Reads: table, flow hash, marks and tx interface of the router's own packets. Writes: adjacency, tx interface, table, flow hash.
//! Uses the scratch slot.

use crate::forwarding::Forwarding;
use crate::icmp::reason::Reason;
use crate::ip::{Family, V4, V6, passes};
use crate::marks;
use crate::neighbor_events::{NeighborEvent, NeighborEvents};
use millrace_engine::{ArcPoint, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_tables::fib::Target;
use millrace_tables::lpm::Address;
use std::fmt;
use std::net::IpAddr;

/// Features on IPv4 packets whose next hop is known, by tx interface: before the time to live is counted down and the MTU looked
/// at.
pub const ARC4: ArcPoint = ArcPoint { name: V4::OUTPUT, starts: &[V4::LOOKUP], end: V4::REWRITE };
/// The same for IPv6.
pub const ARC6: ArcPoint = ArcPoint { name: V6::OUTPUT, starts: &[V6::LOOKUP], end: V6::REWRITE };

/// Steps from one table or load-balance to the next that a packet may make.
const STEPS: usize = 8;
/// How often at most control hears that a neighbour is used, in nanoseconds.
const TELL_EVERY: u64 = 1_000_000_000;
/// Adjacencies whose use was told lately are kept in so many places, by their lowest bits.
const TOLD: usize = 16;

/// The name of the IPv4 node.
pub const NAME4: NodeName = V4::LOOKUP;
/// The name of the IPv6 node.
pub const NAME6: NodeName = V6::LOOKUP;

edges! {
    /// By kind of adjacency.
    pub enum Next<F: Family> {
        Rewrite => F::REWRITE,
        Local => F::LOCAL,
        Discover => F::DISCOVER,
        Glean => F::GLEAN,
        IcmpError => F::ICMP_ERROR,
    }
}

counters! {
    /// Packets that are not sent on.
    pub enum Count {
        Short => "no IP header",
        NoRoute => "no route",
        Blackhole => "blackhole route",
        Unreachable => "unreachable route",
        Prohibit => "prohibit route",
        Gone => "adjacency is being removed",
        Loop => "routes lead from one VRF to the next without end",
        Back => "would go back over the point-to-point link that it came by",
        NoLinkLocal => "interface of a link-local address has no IPv6",
        EventsFull => "queue to the control plane is full",
    }
}

/// What `show trace` tells.
pub struct Trace {
    table: u32,
    destination: IpAddr,
    adjacency: u32,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} destination {} adjacency {}", self.table, self.destination, self.adjacency)
    }
}

/// The node.
pub struct IpLookup<F: Family> {
    /// Reads: tables, load-balances, adjacencies.
    forwarding: Forwarding,
    events: NeighborEvents,
    /// Adjacencies whose use was told, and when.
    told: [(u32, u64); TOLD],
    family: std::marker::PhantomData<F>,
}

impl<F: Family> IpLookup<F> {
    /// Reads `forwarding`; tells `events` which stale neighbours are used.
    pub fn new(forwarding: Forwarding, events: NeighborEvents) -> IpLookup<F> {
        IpLookup { forwarding, events, told: [(0, 0); TOLD], family: std::marker::PhantomData }
    }
}

impl<F: Family> Node for IpLookup<F> {
    const NAME: NodeName = F::LOOKUP;
    const STAGES: usize = F::STAGES;
    type Next = Next<F>;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn prefetch(&mut self, stage: usize, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) {
        passes::prepare::<F>(&self.forwarding, &cx.guard(), stage, packet, F::destination);
    }

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next<F> {
        let Some(destination) = packet.header::<F::Header>().map(F::destination) else { return cx.drop(Count::Short) };
        let (guard, table) = (cx.guard(), packet.meta.table);
        let target = passes::finish::<F>(&self.forwarding, &guard, packet, destination);
        let index = self.adjacency(target, packet, cx);
        packet.meta.adjacency = index;
        cx.trace(packet, || Trace { table, destination: destination.to_ip(), adjacency: index });
        let Some(adjacency) = self.forwarding.adjacencies.get(index, &guard) else { return cx.drop(Count::Gone) };
        if adjacency.kind == AdjacencyKind::Rewrite {
            packet.meta.tx_interface = adjacency.interface;
            return cx.start_arc(packet, adjacency.interface, Next::Rewrite);
        }
        self.special(adjacency, destination, packet, cx)
    }
}

impl<F: Family> IpLookup<F> {
    /// The adjacency of what a table gave.
    #[inline(always)]
    fn adjacency(&self, target: Target, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> u32 {
        match target {
            Target::Adjacency(index) => index,
            Target::LoadBalance(index) => self.balance(index, packet, cx),
        }
    }

    /// The adjacency that the packet's flow has in a load-balance.
    #[cold]
    fn balance(&self, index: u32, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> u32 {
        if packet.meta.flow_hash == 0 {
            packet.meta.flow_hash = F::flow_hash(packet.data());
        }
        self.forwarding.load_balances.get(index, &cx.guard()).map_or(0, |lb| lb.pick(packet.meta.flow_hash))
    }

    /// Everything but the plain way out; also follows what only points further, a bounded number of times.
    #[cold]
    fn special(
        &mut self,
        adjacency: &Adjacency,
        destination: F::Address,
        packet: &mut Packet<'_>,
        cx: &mut Ctx<'_, Self>,
    ) -> Next<F> {
        let mut adjacency = *adjacency;
        for _ in 0..STEPS {
            let index = match adjacency.kind {
                AdjacencyKind::Balance => self.balance(adjacency.index, packet, cx),
                AdjacencyKind::Table => {
                    packet.meta.table = adjacency.index;
                    let guard = cx.guard();
                    let fib = F::fibs(&self.forwarding).get(adjacency.index, &guard);
                    let target = fib.map_or(Target::NO_ROUTE, |fib| Target::from_u32(fib.lookup(&guard, destination)));
                    self.adjacency(target, packet, cx)
                }
                AdjacencyKind::LinkLocal if packet.meta.marks & marks::OWN != 0 => {
                    let on = packet.meta.tx_interface;
                    match self.forwarding.link_local(on, destination.into(), &cx.guard()) {
                        Some(index) => index,
                        None => return cx.drop(Count::NoLinkLocal),
                    }
                }
                _ => {
                    packet.meta.tx_interface = adjacency.interface;
                    return self.end(&adjacency, packet, cx);
                }
            };
            packet.meta.adjacency = index;
            let Some(found) = self.forwarding.adjacencies.get(index, &cx.guard()) else { return cx.drop(Count::Gone) };
            adjacency = *found;
        }
        cx.drop(Count::Loop)
    }

    /// By kind of the last adjacency.
    fn end(&mut self, adjacency: &Adjacency, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next<F> {
        let (count, reason) = match adjacency.kind {
            AdjacencyKind::Rewrite => return cx.start_arc(packet, adjacency.interface, Next::Rewrite),
            AdjacencyKind::Stale => {
                self.used(adjacency, packet.meta.adjacency, cx);
                return cx.start_arc(packet, adjacency.interface, Next::Rewrite);
            }
            AdjacencyKind::PointToPoint
                if adjacency.interface == packet.meta.rx_interface && packet.meta.marks & marks::OWN == 0 =>
            {
                (Count::Back, Reason::HostUnreachable)
            }
            AdjacencyKind::PointToPoint => return cx.start_arc(packet, adjacency.interface, Next::Rewrite),
            // A link-local destination from outside: only the receiving interface's own is for somebody here.
            AdjacencyKind::Local | AdjacencyKind::LinkLocal => return Next::Local,
            AdjacencyKind::Arp => return Next::Discover,
            AdjacencyKind::Glean => return Next::Glean,
            AdjacencyKind::Blackhole => return cx.drop(Count::Blackhole),
            AdjacencyKind::Balance | AdjacencyKind::Table => return cx.drop(Count::Loop),
            AdjacencyKind::Drop => (Count::NoRoute, Reason::NetUnreachable),
            AdjacencyKind::Unreachable => (Count::Unreachable, Reason::HostUnreachable),
            AdjacencyKind::Prohibit => (Count::Prohibit, Reason::Prohibited),
        };
        cx.count(count);
        reason.note(packet);
        Next::IcmpError
    }

    /// Tells control that packets go to a neighbour that it has not heard for a while.
    fn used(&mut self, adjacency: &Adjacency, index: u32, cx: &mut Ctx<'_, Self>) {
        let now = cx.now();
        let place = &mut self.told[index as usize % TOLD];
        if place.0 == index && now.saturating_sub(place.1) < TELL_EVERY {
            return;
        }
        *place = (index, now);
        let address = F::next_hop(adjacency.next_hop);
        if !self.events.push(NeighborEvent::Used { interface: adjacency.interface, address }) {
            cx.count(Count::EventsFull);
        }
    }
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
