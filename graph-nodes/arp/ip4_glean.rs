//! ip4-glean: holds packets to a station of a connected subnet that nobody spoke to yet, until it has a route of its own.
//! Reads: adjacency, table, marks. Uses the scratch slot while it holds a packet.

use crate::arp::ArpEvents;
use crate::arp::hold::{Answer, Holding, Neighbour, Release, expired};
use crate::forwarding::Forwarding;
use crate::icmp::reason::Reason;
use crate::{icmp, ip, marks};
use millrace_engine::epoch::Guard;
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::AdjacencyKind;
use millrace_tables::fib::Target;
use millrace_wire::Ipv4;
use std::fmt;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-glean");

edges! {
    /// Where packets go after they waited.
    pub enum Next { Lookup => ip::lookup::NAME4, IcmpError => icmp::error::NAME }
}

counters! {
    /// What becomes of packets.
    pub enum Count {
        Held => "packets held for their destination",
        Sent => "packets sent on after a wait",
        NoAnswer => "destination does not answer",
        QueueFull => "too many packets wait for the destination; the oldest is dropped",
        Full => "too many packets wait in all",
        Expired => "time to live ran out",
        EventsFull => "queue to the control plane is full",
        Gone => "adjacency is being removed",
        Short => "no IPv4 header",
    }
}

/// What `show trace` tells.
pub struct Trace {
    interface: u32,
    destination: Ipv4Addr,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interface {} destination {}", self.interface, self.destination)
    }
}

/// The node.
pub struct Ip4Glean {
    forwarding: Forwarding,
    holding: Holding,
}

impl Ip4Glean {
    /// Holds nothing yet; reads tables and adjacencies.
    pub fn new(forwarding: Forwarding, events: ArpEvents) -> Ip4Glean {
        Ip4Glean { forwarding, holding: Holding::new(events) }
    }
}

impl Node for Ip4Glean {
    const NAME: NodeName = NAME;
    const HOLDS: bool = true;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(destination) = packet.header::<Ipv4>().map(Ipv4::dst) else { return cx.drop(Count::Short) };
        let Some(adjacency) = self.forwarding.adjacencies.get(packet.meta.adjacency, &cx.guard()) else {
            return cx.drop(Count::Gone);
        };
        let interface = adjacency.interface;
        cx.trace(packet, || Trace { interface, destination });
        let neighbour = Neighbour { interface, address: destination.to_bits(), place: packet.meta.table };
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
        let (guard, tables) = (cx.guard(), &self.forwarding);
        let answer = |neighbour: &Neighbour| state(tables, neighbour, &guard);
        self.holding.review(cx.now(), answer, |mut buffer, why| {
            let next = released(&mut buffer.packet(), why, cx);
            cx.send(buffer, next);
        });
    }
}

/// What the destination's route is by now.
fn state(tables: &Forwarding, neighbour: &Neighbour, guard: &Guard<'_>) -> Answer {
    let Some(fib) = tables.fibs.get(neighbour.place, guard) else { return Answer::LookUp };
    let Target::Adjacency(index) = Target::from_u32(fib.lookup(guard, neighbour.address)) else {
        return Answer::LookUp;
    };
    match tables.adjacencies.get(index, guard) {
        Some(a) if a.interface == neighbour.interface => match a.kind {
            AdjacencyKind::Rewrite => Answer::Resolved,
            AdjacencyKind::Glean => Answer::Wait,
            // The station's own adjacency is there, and waits for the same answer.
            AdjacencyKind::Arp if a.next_hop == neighbour.address => Answer::Wait,
            _ => Answer::LookUp,
        },
        _ => Answer::LookUp,
    }
}

fn released(packet: &mut Packet<'_>, why: Release, cx: &mut Ctx<'_, Ip4Glean>) -> Next {
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
    use crate::arp::ArpEvent;
    use crate::arp::hold::{PATIENCE, PER_NEIGHBOUR};
    use crate::testing::*;
    use millrace_engine::Waker;
    use millrace_engine::testing::{Bench, Outcome};

    const NEW: Ip = [203, 0, 113, 30];

    fn test() -> (World, ArpEvents, Bench<Ip4Glean>) {
        let (world, events) = (World::new(), ArpEvents::new(Waker::new().unwrap()));
        let bench = Bench::new(Ip4Glean::new(world.forwarding.clone(), events.clone()));
        (world, events, bench)
    }

    fn send(bench: &mut Bench<Ip4Glean>, to: &[Ip]) -> Outcome {
        let packets: Vec<_> = to.iter().map(|to| udp(HOST, *to)).collect();
        let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        bench.run(&packets, |meta| (meta.rx_interface, meta.adjacency) = (LAN, WAN_SUBNET))
    }

    #[test]
    fn a_station_that_is_found_gets_its_packets() {
        let (mut world, events, mut bench) = test();
        let outcome = send(&mut bench, &[NEW, STRANGER, NEW]);
        assert_eq!((bench.held(), &outcome.counts[..]), (3, &[("packets held for their destination", 3)][..]));
        let wanted = |address: Ip| Some(ArpEvent::Wanted { interface: WAN, address: address.into() });
        assert_eq!([events.pop(), events.pop(), events.pop()], [wanted(NEW), wanted(STRANGER), None]);
        assert_eq!(bench.tick(), Outcome::default());
        // Its adjacency and route come first, then its MAC address.
        world.route("203.0.113.20/32", Target::Adjacency(TO_STRANGER));
        assert_eq!(bench.tick(), Outcome::default(), "on its way");
        world.adjacency(TO_STRANGER, neighbour(STRANGER_MAC, STRANGER, 1500));
        let outcome = bench.tick();
        assert_eq!(outcome.counts, [("packets sent on after a wait", 1)]);
        let out = &outcome.sent[0];
        assert_eq!((out.next, &out.data), ("ip4-lookup", &udp(HOST, STRANGER)));
        assert_eq!(bench.held(), 2, "others wait on");
    }

    #[test]
    fn without_an_answer_the_senders_hear_of_it() {
        let (_world, _events, mut bench) = test();
        send(&mut bench, &[NEW]);
        bench.run(&[&udp(WAN_IP, NEW)], |meta| (meta.adjacency, meta.marks) = (WAN_SUBNET, marks::OWN));
        bench.now = PATIENCE;
        let outcome = bench.tick();
        let nexts: Vec<_> = outcome.sent.iter().map(|out| out.next).collect();
        assert_eq!(
            (nexts, &outcome.counts[..]),
            (vec!["icmp4-error", "drop"], &[("destination does not answer", 2)][..])
        );
        assert_eq!(Reason::of(&outcome.sent[0]), Some(Reason::HostUnreachable));
        assert_eq!((bench.held(), bench.wants_tick()), (0, false));
    }

    /// RFC 1812 section 5.3.1: that its time ran out is known before anybody is asked.
    #[test]
    fn what_goes_no_further_does_not_wait() {
        let (_world, _events, mut bench) = test();
        for (ttl, own, next) in [(0, 0, "icmp4-error"), (1, 0, "icmp4-error"), (1, marks::OWN, "held"), (2, 0, "held")]
        {
            let packet = udp_with(HOST, NEW, 10, |h| h.time_to_live = ttl);
            let outcome =
                bench.run(&[&packet], |meta| (meta.rx_interface, meta.adjacency, meta.marks) = (LAN, WAN_SUBNET, own));
            assert_eq!(outcome.packets[0].next, next, "{ttl} {own}");
            if next != "held" {
                assert_eq!(outcome.counts, [("time to live ran out", 1)]);
                assert_eq!(Reason::of(&outcome.packets[0]), Some(Reason::TimeExceeded));
            }
        }
    }

    #[test]
    fn routes_that_changed_meanwhile_are_looked_up_again() {
        for (name, target) in [
            ("a blackhole", Target::Adjacency(BLACKHOLE)),
            ("no adjacency", Target::Adjacency(99)),
            ("a load-balance", Target::LoadBalance(1)),
            ("a neighbour elsewhere", Target::Adjacency(TO_LAN_100)),
        ] {
            let (mut world, _events, mut bench) = test();
            send(&mut bench, &[NEW]);
            world.route("203.0.113.30/32", target);
            assert_eq!(bench.tick().sent[0].next, "ip4-lookup", "{name}");
        }
    }

    #[test]
    fn the_oldest_gives_way_and_broken_ones_are_counted() {
        let (_world, _events, mut bench) = test();
        let outcome = send(&mut bench, &[NEW; PER_NEIGHBOUR + 1]);
        let full = ("too many packets wait for the destination; the oldest is dropped", 1);
        assert_eq!(outcome.counts, [("packets held for their destination", PER_NEIGHBOUR as u64 + 1), full]);
        assert_eq!(outcome.sent[0].next, "drop");
        assert_eq!(fate(&bench.one(b"short")), ("drop", &[("no IPv4 header", 1)][..]));
        let outcome = bench.run(&[&udp(HOST, NEW)], |meta| meta.adjacency = 99);
        assert_eq!(fate(&outcome), ("drop", &[("adjacency is being removed", 1)][..]));
        let (_, text) = bench.traced(&udp(HOST, NEW), |meta| meta.adjacency = WAN_SUBNET);
        assert_eq!(text, "interface 2 destination 203.0.113.30");
    }
}
