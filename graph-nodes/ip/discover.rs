//! ip4-arp, ip6-discover-neighbor: holds packets whose next hop has no MAC address yet, until the adjacency has a header for it.
//! Reads: adjacency, marks. Uses the scratch slot while it holds a packet.

use crate::forwarding::Forwarding;
use crate::icmp::reason::Reason;
use crate::ip::Family;
use crate::ip::hold::{Answer, Holding, Neighbour, Release, expired};
use crate::marks;
use crate::neighbor_events::NeighborEvents;
use millrace_engine::epoch::Guard;
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::{Adjacencies, AdjacencyKind};
use std::fmt;
use std::net::IpAddr;

edges! {
    /// Where packets go after they waited.
    pub enum Next<F: Family> { Lookup => F::LOOKUP, IcmpError => F::ICMP_ERROR }
}

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
        if expired::<F>(packet) {
            cx.count(Count::Expired);
            Reason::TimeExceeded.note(packet);
            return Next::IcmpError;
        }
        if !self.holding.has_room(&neighbour) {
            return cx.drop(Count::Full);
        }
        neighbour.note(packet);
        cx.count(Count::Held);
        cx.hold()
    }

    fn hold(&mut self, mut buffer: Buffer, cx: &mut Ctx<'_, Self>) {
        let neighbour = Neighbour::noted(&buffer.packet());
        let added = self.holding.add(neighbour, buffer, cx.now());
        if added.unheard {
            cx.count(Count::EventsFull);
        }
        if let Some(oldest) = added.oldest {
            let dropped = cx.drop(Count::QueueFull);
            cx.send(oldest, dropped);
        }
    }

    fn wants_tick(&self) -> bool {
        !self.holding.is_empty()
    }

    fn tick(&mut self, cx: &mut Ctx<'_, Self>) {
        let (guard, adjacencies) = (cx.guard(), &self.forwarding.adjacencies);
        let answer = |neighbour: &Neighbour| state(adjacencies, neighbour, &guard);
        self.holding.review(cx.now(), answer, |mut buffer, why| {
            let next = released(&mut buffer.packet(), why, cx);
            cx.send(buffer, next);
        });
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

fn released<F: Family>(packet: &mut Packet<'_>, why: Release, cx: &mut Ctx<'_, IpDiscover<F>>) -> Next<F> {
    match why {
        Release::Resolved => {
            cx.count(Count::Sent);
            Next::Lookup
        }
        Release::LookUp => Next::Lookup,
        Release::NoAnswer if packet.meta.marks & marks::OWN != 0 => cx.drop(Count::NoAnswer),
        Release::NoAnswer => {
            cx.count(Count::NoAnswer);
            Reason::HostUnreachable.note(packet);
            Next::IcmpError
        }
    }
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
