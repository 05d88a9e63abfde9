//! ip4-glean, ip6-glean: holds packets to a station of a connected subnet that nobody spoke to yet, until it has a route of its own.
//! Reads: adjacency, table, marks. Uses the scratch slot while it holds a packet.

use crate::forwarding::{Forwarding, Tables};
use crate::ip::Family;
pub use crate::ip::hold::Next;
use crate::ip::hold::{Answer, Counts, Holding, Neighbour};
use crate::neighbor_events::NeighborEvents;
use millrace_engine::epoch::Guard;
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters};
use millrace_tables::adjacency::AdjacencyKind;
use millrace_tables::fib::Target;
use millrace_tables::lpm::Address;
use std::fmt;
use std::net::IpAddr;

counters! {
    /// What becomes of packets.
    pub enum Count {
        Held => "packets held for their destination",
        Sent => "packets sent on after a wait",
        NoAnswer => "destination does not answer",
        QueueFull => "too many packets wait for the destination; the oldest is dropped",
        Full => "too many packets wait in all",
        Tentative => "destination address is not ours yet",
        Expired => "time to live ran out",
        EventsFull => "queue to the control plane is full",
        Gone => "adjacency is being removed",
        Short => "no IP header",
    }
}

impl Counts for Count {
    const HELD: Count = Count::Held;
    const SENT: Count = Count::Sent;
    const NO_ANSWER: Count = Count::NoAnswer;
    const QUEUE_FULL: Count = Count::QueueFull;
    const FULL: Count = Count::Full;
    const EXPIRED: Count = Count::Expired;
    const EVENTS_FULL: Count = Count::EventsFull;
}

/// What `show trace` tells.
pub struct Trace {
    interface: u32,
    destination: IpAddr,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interface {} destination {}", self.interface, self.destination)
    }
}

/// The node.
pub struct IpGlean<F: Family> {
    forwarding: Forwarding,
    holding: Holding<F>,
}

impl<F: Family> IpGlean<F> {
    /// Holds nothing yet; reads tables and adjacencies.
    pub fn new(forwarding: Forwarding, events: NeighborEvents) -> IpGlean<F> {
        IpGlean { forwarding, holding: Holding::new(events) }
    }
}

impl<F: Family> Node for IpGlean<F> {
    const NAME: NodeName = F::GLEAN;
    const HOLDS: bool = true;
    type Next = Next<F>;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next<F> {
        let Some(destination) = packet.header::<F::Header>().map(F::destination) else { return cx.drop(Count::Short) };
        let Some(adjacency) = self.forwarding.adjacencies.get(packet.meta.adjacency, &cx.guard()) else {
            return cx.drop(Count::Gone);
        };
        let interface = adjacency.interface;
        cx.trace(packet, || Trace { interface, destination: destination.to_ip() });
        let neighbour = Neighbour { interface, address: destination.into(), place: packet.meta.table };
        if let Some(error) = Holding::expired(packet, cx) {
            return error;
        }
        // RFC 4862 section 5.4: what is for a tentative address is dropped, and nobody is asked for it.
        let guard = cx.guard();
        let tentative = self.forwarding.interfaces.get(interface, &guard).map_or(&[][..], |there| &there.tentative[..]);
        if tentative.iter().any(|own| IpAddr::V6(*own) == destination.to_ip()) {
            return cx.drop(Count::Tentative);
        }
        self.holding.admit(neighbour, packet, cx)
    }

    fn hold(&mut self, buffer: Buffer, cx: &mut Ctx<'_, Self>) {
        self.holding.keep(buffer, cx);
    }

    fn wants_tick(&self) -> bool {
        !self.holding.is_empty()
    }

    fn tick(&mut self, cx: &mut Ctx<'_, Self>) {
        let (guard, tables) = (cx.guard(), &self.forwarding);
        let answer = |neighbour: &Neighbour| state::<F>(tables, neighbour, &guard);
        self.holding.tick(answer, cx);
    }
}

/// What the destination's route is by now.
fn state<F: Family>(tables: &Tables, neighbour: &Neighbour, guard: &Guard<'_>) -> Answer {
    match route::<F>(tables, neighbour, guard).and_then(|index| tables.adjacencies.get(index, guard)) {
        Some(a) if a.interface == neighbour.interface => match a.kind {
            kind if kind.sends() => Answer::Resolved,
            AdjacencyKind::Glean => Answer::Wait,
            // The station's own adjacency is there, and waits for the same answer.
            AdjacencyKind::Arp if a.next_hop == neighbour.address => Answer::Wait,
            _ => Answer::LookUp,
        },
        _ => Answer::LookUp,
    }
}

/// The adjacency that the destination has by now; a link-local one is known to its interface alone.
fn route<F: Family>(tables: &Tables, neighbour: &Neighbour, guard: &Guard<'_>) -> Option<u32> {
    let destination = F::Address::of_ip(F::next_hop(neighbour.address))?;
    if F::is_link_local(destination) {
        return tables.link_local(neighbour.interface, neighbour.address, guard);
    }
    let fib = F::fibs(tables).get(neighbour.place, guard)?;
    match Target::from_u32(fib.lookup(guard, destination)) {
        Target::Adjacency(index) => Some(index),
        Target::LoadBalance(_) => None,
    }
}

#[cfg(test)]
#[path = "glean_tests.rs"]
mod tests;
