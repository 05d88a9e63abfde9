//! ip4-arp: holds packets whose next hop has no MAC address yet, until the adjacency has a header for it.
//! Reads: adjacency, marks. Uses the scratch slot while it holds a packet.

use crate::arp::ArpEvents;
use crate::arp::hold::{Answer, Holding, Neighbour, Release, expired};
use crate::forwarding::Forwarding;
use crate::icmp::reason::Reason;
use crate::{icmp, ip, marks};
use millrace_engine::epoch::Guard;
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::{Adjacencies, AdjacencyKind};
use std::fmt;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-arp");

edges! {
    /// Where packets go after they waited.
    pub enum Next { Lookup => ip::lookup::NAME4, IcmpError => icmp::error::NAME }
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
        if expired(packet) {
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
            AdjacencyKind::Rewrite => Answer::Resolved,
            AdjacencyKind::Arp => Answer::Wait,
            _ => Answer::LookUp,
        },
        _ => Answer::LookUp,
    }
}

fn released(packet: &mut Packet<'_>, why: Release, cx: &mut Ctx<'_, Ip4Arp>) -> Next {
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
mod tests {
    use super::*;
    use crate::arp::hold::{IN_ALL, PATIENCE, PER_NEIGHBOUR};
    use crate::arp::{ArpEvent, EVENTS};
    use crate::testing::*;
    use millrace_engine::Waker;
    use millrace_engine::testing::{Bench, Outcome};
    use millrace_tables::adjacency::Adjacency;

    const SECOND: u64 = 1_000_000_000;

    struct Test {
        world: World,
        events: ArpEvents,
        bench: Bench<Ip4Arp>,
    }

    fn test() -> Test {
        let (world, events) = (World::new(), ArpEvents::new(Waker::new().unwrap()));
        let bench = Bench::new(Ip4Arp::new(world.forwarding.clone(), events.clone()));
        Test { world, events, bench }
    }

    fn wanted(address: Ip) -> Option<ArpEvent> {
        Some(ArpEvent::Wanted { interface: WAN, address: address.into() })
    }

    impl Test {
        /// Packets to the next hop of an adjacency, told apart by the length of their data.
        fn send(&mut self, adjacency: u32, lengths: impl IntoIterator<Item = usize>) -> Outcome {
            let packets: Vec<_> = lengths.into_iter().map(|n| udp_with(HOST, [8; 4], n, |_| {})).collect();
            let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
            self.bench.run(&packets, |meta| (meta.rx_interface, meta.adjacency) = (LAN, adjacency))
        }

        fn tick_at(&mut self, now: u64) -> Outcome {
            self.bench.now = now;
            self.bench.tick()
        }
    }

    /// Where each packet that was sent went, by the length of its data.
    fn sent(outcome: &Outcome) -> Vec<(&'static str, usize)> {
        outcome.sent.iter().map(|out| (out.next, out.data.len() - 28)).collect()
    }

    #[test]
    fn packets_wait_for_the_answer_and_go_in_order() {
        let mut t = test();
        let outcome = t.send(TO_STRANGER, [1, 2, 3]);
        assert!(outcome.packets.iter().all(|out| out.next == "held"));
        assert_eq!((&outcome.counts[..], t.bench.held()), (&[("packets held for their next hop", 3)][..], 3));
        assert!(t.bench.wants_tick());
        assert_eq!((t.events.pop(), t.events.pop()), (wanted(STRANGER), None), "one question for all");
        assert_eq!(t.tick_at(SECOND), Outcome::default(), "nobody answered yet");
        t.world.adjacency(TO_STRANGER, neighbour(STRANGER_MAC, STRANGER, 1500));
        let outcome = t.tick_at(SECOND + 1);
        // Features on its way out are still before it.
        assert_eq!(sent(&outcome), [("ip4-lookup", 1), ("ip4-lookup", 2), ("ip4-lookup", 3)]);
        assert_eq!(outcome.counts, [("packets sent on after a wait", 3)]);
        assert_eq!(outcome.sent[0].data, udp_with(HOST, [8; 4], 1, |_| {}));
        assert_eq!((t.bench.held(), t.bench.wants_tick()), (0, false));
    }

    /// RFC 1812 section 5.3.1: that its time ran out is known before anybody is asked.
    #[test]
    fn what_goes_no_further_does_not_wait() {
        let mut t = test();
        for (ttl, own, next) in [(0, 0, "icmp4-error"), (1, 0, "icmp4-error"), (1, marks::OWN, "held"), (2, 0, "held")]
        {
            let packet = udp_with(HOST, [8; 4], 10, |h| h.time_to_live = ttl);
            let outcome = t
                .bench
                .run(&[&packet], |meta| (meta.rx_interface, meta.adjacency, meta.marks) = (LAN, TO_STRANGER, own));
            assert_eq!(outcome.packets[0].next, next, "{ttl} {own}");
            if next != "held" {
                assert_eq!(outcome.counts, [("time to live ran out", 1)]);
                assert_eq!(Reason::of(&outcome.packets[0]), Some(Reason::TimeExceeded));
            }
        }
    }

    #[test]
    fn the_oldest_gives_way_to_the_newest() {
        let mut t = test();
        let outcome = t.send(TO_STRANGER, 0..PER_NEIGHBOUR + 2);
        assert_eq!(sent(&outcome), [("drop", 0), ("drop", 1)]);
        let full = ("too many packets wait for the next hop; the oldest is dropped", 2);
        assert_eq!(outcome.counts, [("packets held for their next hop", PER_NEIGHBOUR as u64 + 2), full]);
        t.world.adjacency(TO_STRANGER, neighbour(STRANGER_MAC, STRANGER, 1500));
        let lengths: Vec<usize> = sent(&t.tick_at(1)).into_iter().map(|(_, n)| n).collect();
        assert_eq!(lengths, (2..PER_NEIGHBOUR + 2).collect::<Vec<_>>());
    }

    /// RFC 1122 section 2.3.2.1: at most one question a second.
    #[test]
    fn control_is_told_once_a_second() {
        let mut t = test();
        for (now, event) in [(0, wanted(STRANGER)), (1, None), (SECOND - 1, None), (SECOND, wanted(STRANGER))] {
            t.bench.now = now;
            t.send(TO_STRANGER, [1]);
            assert_eq!(t.events.pop(), event, "at {now} ns");
        }
    }

    /// RFC 1812 section 5.2.7.1 and RFC 1122 section 2.3.2.2.
    #[test]
    fn without_an_answer_the_senders_hear_of_it() {
        let mut t = test();
        t.send(TO_STRANGER, [1, 2]);
        assert_eq!(t.tick_at(PATIENCE - 1), Outcome::default());
        let outcome = t.tick_at(PATIENCE);
        assert_eq!(sent(&outcome), [("icmp4-error", 1), ("icmp4-error", 2)]);
        assert_eq!(outcome.counts, [("next hop does not answer", 2)]);
        assert!(outcome.sent.iter().all(|out| (Reason::of(out), out.rx_interface) == (Some(Reason::HostUnreachable), LAN)));
        // The router itself gets no errors.
        t.bench.run(&[&udp(WAN_IP, PEER)], |meta| (meta.adjacency, meta.marks) = (TO_STRANGER, marks::OWN));
        let outcome = t.tick_at(2 * PATIENCE);
        assert_eq!((outcome.sent[0].next, &outcome.counts[..]), ("drop", &[("next hop does not answer", 1)][..]));
        assert_eq!(t.bench.held(), 0);
    }

    #[test]
    fn an_index_that_means_something_else_by_now() {
        let other = neighbour(PEER_MAC, PEER, 1500);
        let elsewhere = Adjacency { interface: LAN, ..neighbour(STRANGER_MAC, STRANGER, 1500) };
        for (name, now) in [
            ("another next hop", other),
            ("another interface", elsewhere),
            ("another kind", Adjacency::new(AdjacencyKind::Drop)),
        ] {
            let mut t = test();
            t.send(TO_STRANGER, [1]);
            t.world.adjacency(TO_STRANGER, now);
            assert_eq!(sent(&t.tick_at(1)), [("ip4-lookup", 1)], "{name}");
        }
    }

    #[test]
    fn what_waits_is_bounded_in_all() {
        let mut t = test();
        let neighbours = (IN_ALL / PER_NEIGHBOUR) as u32;
        for index in 0..=neighbours {
            let kind = Adjacency::new(AdjacencyKind::Arp);
            t.world.adjacency(100 + index, Adjacency { interface: WAN, next_hop: index, ..kind });
        }
        for index in 0..neighbours {
            t.send(100 + index, 0..PER_NEIGHBOUR);
        }
        assert_eq!(t.bench.held(), IN_ALL);
        let outcome = t.send(100 + neighbours, [1]);
        assert_eq!(fate(&outcome), ("drop", &[("too many packets wait in all", 1)][..]));
        let outcome = t.send(100, [1]);
        assert_eq!((outcome.packets[0].next, sent(&outcome).len()), ("held", 1), "the oldest makes room");
        assert_eq!(t.tick_at(PATIENCE).sent.len(), IN_ALL);
        assert_eq!(t.bench.held(), 0);
    }

    #[test]
    fn a_full_queue_of_events_is_tried_again() {
        let mut t = test();
        while t.events.push(wanted(PEER).unwrap()) {}
        let outcome = t.send(TO_STRANGER, [1]);
        let counts = [("packets held for their next hop", 1), ("queue to the control plane is full", 1)];
        assert_eq!(fate(&outcome), ("held", &counts[..]));
        (0..EVENTS).for_each(|_| assert_eq!(t.events.pop(), wanted(PEER)));
        t.tick_at(1);
        assert_eq!((t.events.pop(), t.events.pop()), (wanted(STRANGER), None));
    }

    #[test]
    fn trace() {
        let mut t = test();
        let (_, text) = t.bench.traced(&udp(HOST, [8; 4]), |meta| meta.adjacency = TO_STRANGER);
        assert_eq!(text, "interface 2 next hop 203.0.113.20");
        let outcome = t.send(99, [1]);
        assert_eq!(fate(&outcome), ("drop", &[("adjacency is being removed", 1)][..]));
    }
}
