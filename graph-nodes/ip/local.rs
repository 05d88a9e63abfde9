//! ip4-local, ip6-local: packets for the router itself, and broadcasts and multicasts that reach it; start the ip4-local, or ip6-local,
//! arc. Reads: rx interface, table, marks.

use crate::forwarding::{Forwarding, Interface};
use crate::ip::Family;
use crate::marks;
use millrace_engine::epoch::Guard;
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::AdjacencyKind;
use millrace_tables::fib::Target;
use std::marker::PhantomData;

/// What a family has a look at before its packets go on to the router itself.
pub trait Local: Family {
    /// By protocol: the end of the arc.
    const END_OF_ARC: NodeName;

    /// Whether an address is the interface's own, as far as the table doesn't tell.
    fn owns(interface: &Interface, address: Self::Address) -> bool;
    /// Why a packet from outside is refused, if it is. `interface` is the one that it came by.
    fn refused(packet: &Packet<'_>, header: &Self::Header, interface: Option<&Interface>) -> Option<Count>;
    /// Whether a packet that comes from one of our addresses is to be heard all the same.
    fn may_claim_ours(packet: &Packet<'_>, header: &Self::Header) -> bool;
}

edges! {
    /// By protocol.
    pub enum Next<F: Local> { EndOfArc => F::END_OF_ARC }
}

counters! {
    /// Why packets end here.
    pub enum Count {
        OwnSource => "source address is our own",
        SourceRoute => "source route is not followed",
        OtherLink => "link-local address is not the receiving interface's",
        Malformed => "no IP header",
    }
}

/// The node.
pub struct IpLocal<F: Local> {
    /// Reads: interfaces, tables, adjacencies.
    forwarding: Forwarding,
    family: PhantomData<F>,
}

impl<F: Local> IpLocal<F> {
    /// Reads `forwarding`.
    pub fn new(forwarding: Forwarding) -> IpLocal<F> {
        IpLocal { forwarding, family: PhantomData }
    }
}

impl<F: Local> Node for IpLocal<F> {
    const NAME: NodeName = F::LOCAL;
    type Next = Next<F>;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next<F> {
        let guard = cx.guard();
        let Some(header) = packet.header::<F::Header>() else { return cx.drop(Count::Malformed) };
        let index = packet.meta.rx_interface;
        let interface = self.forwarding.interfaces.get(index, &guard);
        // RFC 1122 section 3.2.1.3 (f): our address as a source is a lie, unless we really are the source.
        let ours = |source| {
            is_ours::<F>(&self.forwarding, source, packet.meta.table, &guard)
                || interface.is_some_and(|i| F::owns(i, source))
        };
        if packet.meta.marks & marks::OWN == 0 {
            if ours(F::source(header)) && !F::may_claim_ours(packet, header) {
                return cx.drop(Count::OwnSource);
            }
            if let Some(cause) = F::refused(packet, header, interface) {
                return cx.drop(cause);
            }
        }
        cx.start_arc(packet, index, Next::EndOfArc)
    }
}

/// Whether a table has an address as one of the router's own, or as a broadcast.
pub(crate) fn is_ours<F: Family>(forwarding: &Forwarding, address: F::Address, table: u32, guard: &Guard<'_>) -> bool {
    let Some(fib) = F::fibs(forwarding).get(table, guard) else { return false };
    let Target::Adjacency(index) = Target::from_u32(fib.lookup(guard, address)) else { return false };
    forwarding.adjacencies.get(index, guard).is_some_and(|a| a.kind == AdjacencyKind::Local)
}
