//! ip4-arp: holds packets whose next hop has no MAC address yet, until the adjacency has a header for it.
//! Reads: adjacency, marks. Uses the scratch slot while it holds a packet.

use crate::arp::ArpEvents;
use crate::arp::hold::{Answer, Holding, Neighbour, Release};
use crate::forwarding::Forwarding;
use crate::icmp::error::Reason;
use crate::{icmp, ip4, marks};
use millrace_engine::epoch::Guard;
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::{Adjacencies, AdjacencyKind};
use std::fmt;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-arp");

edges! {
    /// Where packets go after they waited.
    pub enum Next { Rewrite => ip4::rewrite::NAME, Lookup => ip4::lookup::NAME, IcmpError => icmp::error::NAME }
}

counters! {
    /// What becomes of packets.
    pub enum Count {
        Held => "packets held for their next hop",
        Sent => "packets sent on after a wait",
        NoAnswer => "next hop does not answer",
        QueueFull => "too many packets wait for the next hop; the oldest is dropped",
        Full => "too many packets wait in all",
        EventsFull => "queue to the control plane is full",
        Gone => "adjacency is being removed",
    }
}

/// What `show trace` tells.
pub struct Trace {
    interface: u32,
    next_hop: Ipv4Addr,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interface {} next hop {}", self.interface, self.next_hop)
    }
}

/// The node.
pub struct Ip4Arp {
    forwarding: Forwarding,
    holding: Holding,
}

impl Ip4Arp {
    /// Holds nothing yet; reads adjacencies.
    pub fn new(forwarding: Forwarding, events: ArpEvents) -> Ip4Arp {
        Ip4Arp { forwarding, holding: Holding::new(events) }
    }
}

impl Node for Ip4Arp {
    const NAME: NodeName = NAME;
    const HOLDS: bool = true;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let place = packet.meta.adjacency;
        let Some(adjacency) = self.forwarding.adjacencies.get(place, &cx.guard()) else { return cx.drop(Count::Gone) };
        let neighbour = Neighbour { interface: adjacency.interface, address: adjacency.next_hop, place };
        let next_hop = Ipv4Addr::from_bits(neighbour.address);
        cx.trace(packet, || Trace { interface: neighbour.interface, next_hop });
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
            AdjacencyKind::Rewrite => Answer::Adjacency(neighbour.place),
            AdjacencyKind::Arp => Answer::Wait,
            _ => Answer::LookUp,
        },
        _ => Answer::LookUp,
    }
}

fn released(packet: &mut Packet<'_>, why: Release, cx: &mut Ctx<'_, Ip4Arp>) -> Next {
    match why {
        Release::Resolved(adjacency) => {
            packet.meta.adjacency = adjacency;
            cx.count(Count::Sent);
            Next::Rewrite
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
