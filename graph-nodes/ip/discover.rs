//! ip4-arp, ip6-discover-neighbor: holds packets whose next hop has no MAC address yet, until the adjacency has a header for it.
//! Reads: adjacency, marks. Uses the scratch slot while it holds a packet.

use crate::forwarding::Forwarding;
use crate::ip::Family;
pub use crate::ip::hold::Next;
use crate::ip::hold::{Answer, Counts, Holding, Neighbour};
use crate::neighbor_events::NeighborEvents;
use millrace_engine::epoch::Guard;
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters};
use millrace_tables::adjacency::{Adjacencies, AdjacencyKind};
use std::fmt;
use std::net::IpAddr;

counters! {
    /// What becomes of packets.
    pub enum Count {
        Held => "packets held for their next hop",
        Sent => "packets sent on after a wait",
        NoAnswer => "next hop does not answer",
        QueueFull => "too many packets wait for the next hop; the oldest is dropped",
        Full => "too many packets wait in all",
        Expired => "time to live ran out",
        EventsFull => "queue to the control plane is full",
        Gone => "adjacency is being removed",
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
    next_hop: IpAddr,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interface {} next hop {}", self.interface, self.next_hop)
    }
}

/// The node.
pub struct IpDiscover<F: Family> {
    forwarding: Forwarding,
    holding: Holding<F>,
}

impl<F: Family> IpDiscover<F> {
    /// Holds nothing yet; reads adjacencies.
    pub fn new(forwarding: Forwarding, events: NeighborEvents) -> IpDiscover<F> {
        IpDiscover { forwarding, holding: Holding::new(events) }
    }
}

impl<F: Family> Node for IpDiscover<F> {
    const NAME: NodeName = F::DISCOVER;
    const HOLDS: bool = true;
    type Next = Next<F>;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next<F> {
        let place = packet.meta.adjacency;
        let Some(adjacency) = self.forwarding.adjacencies.get(place, &cx.guard()) else { return cx.drop(Count::Gone) };
        let neighbour = Neighbour { interface: adjacency.interface, address: adjacency.next_hop, place };
        let next_hop = F::next_hop(neighbour.address);
        cx.trace(packet, || Trace { interface: neighbour.interface, next_hop });
        if let Some(error) = Holding::expired(packet, cx) {
            return error;
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
        let (guard, adjacencies) = (cx.guard(), &self.forwarding.adjacencies);
        let answer = |neighbour: &Neighbour| state(adjacencies, neighbour, &guard);
        self.holding.tick(answer, cx);
    }
}

/// What the adjacency is by now. Its index may have come to mean another neighbour meanwhile.
fn state(adjacencies: &Adjacencies, neighbour: &Neighbour, guard: &Guard<'_>) -> Answer {
    match adjacencies.get(neighbour.place, guard) {
        Some(a) if a.interface == neighbour.interface && a.next_hop == neighbour.address => match a.kind {
            kind if kind.sends() => Answer::Resolved,
            AdjacencyKind::Arp => Answer::Wait,
            _ => Answer::LookUp,
        },
        _ => Answer::LookUp,
    }
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
