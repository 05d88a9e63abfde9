//! ip4-lookup: the longest prefix that matches the destination, in the packet's table, down to one adjacency.
//! Reads: table, flow hash. Writes: adjacency, tx interface, flow hash.

use crate::forwarding::Forwarding;
use crate::icmp::error::Reason;
use crate::ip4::flow_hash;
use crate::{arp, icmp, ip4};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::AdjacencyKind;
use millrace_tables::fib::Target;
use millrace_wire::Ipv4;
use std::fmt;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-lookup");

edges! {
    /// By kind of adjacency.
    pub enum Next {
        Rewrite => ip4::rewrite::NAME,
        Local => ip4::local::NAME,
        Arp => arp::ip4_arp::NAME,
        Glean => arp::ip4_glean::NAME,
        IcmpError => icmp::error::NAME,
    }
}

counters! {
    /// Packets that are not sent on.
    pub enum Count {
        Short => "no IPv4 header",
        NoRoute => "no route",
        Blackhole => "blackhole route",
        Unreachable => "unreachable route",
        Prohibit => "prohibit route",
        Gone => "adjacency is being removed",
    }
}

/// What `show trace` tells.
pub struct Trace {
    table: u32,
    destination: Ipv4Addr,
    adjacency: u32,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} destination {} adjacency {}", self.table, self.destination, self.adjacency)
    }
}

/// The node.
pub struct Ip4Lookup {
    /// Reads: tables, load-balances, adjacencies.
    pub forwarding: Forwarding,
}

impl Node for Ip4Lookup {
    const NAME: NodeName = NAME;
    const STAGES: usize = 1;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn prefetch(&mut self, _stage: usize, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) {
        if let Some(header) = packet.header::<Ipv4>()
            && let Some(fib) = self.forwarding.fibs.get(packet.meta.table, &cx.guard())
        {
            fib.prefetch(header.dst_u32());
        }
    }

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(destination) = packet.header::<Ipv4>().map(Ipv4::dst_u32) else { return cx.drop(Count::Short) };
        let guard = cx.guard();
        let table = packet.meta.table;
        let value = match self.forwarding.fibs.get(table, &guard) {
            Some(fib) => fib.lookup(&guard, destination),
            None => Target::NO_ROUTE.to_u32(),
        };
        let index = match Target::from_u32(value) {
            Target::Adjacency(index) => index,
            Target::LoadBalance(index) => self.balance(index, packet, cx),
        };
        packet.meta.adjacency = index;
        cx.trace(packet, || Trace { table, destination: Ipv4Addr::from(destination), adjacency: index });
        let Some(adjacency) = self.forwarding.adjacencies.get(index, &guard) else { return cx.drop(Count::Gone) };
        packet.meta.tx_interface = adjacency.interface;
        if adjacency.kind == AdjacencyKind::Rewrite {
            return Next::Rewrite;
        }
        special(adjacency.kind, packet, cx)
    }
}

impl Ip4Lookup {
    /// The adjacency that the packet's flow has in a load-balance.
    #[cold]
    fn balance(&self, index: u32, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> u32 {
        if packet.meta.flow_hash == 0 {
            packet.meta.flow_hash = flow_hash::of(packet.data());
        }
        self.forwarding.load_balances.get(index, &cx.guard()).map_or(0, |lb| lb.pick(packet.meta.flow_hash))
    }
}

#[cold]
fn special(kind: AdjacencyKind, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Ip4Lookup>) -> Next {
    let (count, reason) = match kind {
        AdjacencyKind::Rewrite => return Next::Rewrite,
        AdjacencyKind::Local => return Next::Local,
        AdjacencyKind::Arp => return Next::Arp,
        AdjacencyKind::Glean => return Next::Glean,
        AdjacencyKind::Blackhole => return cx.drop(Count::Blackhole),
        AdjacencyKind::Drop => (Count::NoRoute, Reason::NetUnreachable),
        AdjacencyKind::Unreachable => (Count::Unreachable, Reason::HostUnreachable),
        AdjacencyKind::Prohibit => (Count::Prohibit, Reason::Prohibited),
    };
    cx.count(count);
    reason.note(packet);
    Next::IcmpError
}
