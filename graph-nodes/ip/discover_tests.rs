use super::*;
use crate::icmp::reason::Reason;
use crate::ip::hold::{IN_ALL, PATIENCE, PER_NEIGHBOUR};
use crate::ip::{V4, V6};
use crate::marks;
use crate::neighbor_events::{EVENTS, NeighborEvent};
use crate::testing::dual::{Dual, both, ip};
use crate::testing::*;
use millrace_engine::Waker;
use millrace_engine::testing::{Bench, Outcome};
use millrace_tables::adjacency::Adjacency;

const SECOND: u64 = 1_000_000_000;

struct Test<F: Family> {
    world: World,
    events: NeighborEvents,
    bench: Bench<IpDiscover<F>>,
}

fn test<F: Dual>() -> Test<F> {
    let (world, events) = (World::new(), NeighborEvents::new(Waker::new().unwrap()));
    let bench = Bench::new(IpDiscover::new(world.forwarding.clone(), events.clone()));
    Test { world, events, bench }
}

fn wanted(address: &str) -> Option<NeighborEvent> {
    Some(NeighborEvent::Wanted { interface: WAN, address: ip(address) })
}

impl<F: Dual> Test<F> {
    /// Packets to the next hop of an adjacency, told apart by the length of their data.
    fn send(&mut self, adjacency: u32, lengths: impl IntoIterator<Item = usize>) -> Outcome {
        let packets: Vec<_> = lengths.into_iter().map(|n| F::udp(F::HOST, F::FAR, n, 64)).collect();
        let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        self.bench.run(&packets, |meta| (meta.rx_interface, meta.adjacency) = (LAN, adjacency))
    }

    fn tick_at(&mut self, now: u64) -> Outcome {
        self.bench.now = now;
        self.bench.tick()
    }

    fn answer(&mut self) {
        self.world.adjacency(F::TO_STRANGER, F::neighbour(STRANGER_MAC, F::STRANGER));
    }
}

/// Where each packet that was sent went, by the length of its data.
fn sent<F: Dual>(outcome: &Outcome) -> Vec<(&'static str, usize)> {
    outcome.sent.iter().map(|out| (out.next, out.data.len() - F::HEADERS)).collect()
}

both! {
    packets_wait_for_the_answer_and_go_in_order,
    what_goes_no_further_does_not_wait,
    the_oldest_gives_way_to_the_newest,
    control_is_told_once_a_second,
    without_an_answer_the_senders_hear_of_it,
    an_index_that_means_something_else_by_now,
    what_waits_is_bounded_in_all,
    a_full_queue_of_events_is_tried_again,
}

fn packets_wait_for_the_answer_and_go_in_order<F: Dual>() {
    let mut t = test::<F>();
    let outcome = t.send(F::TO_STRANGER, [1, 2, 3]);
    assert!(outcome.packets.iter().all(|out| out.next == "held"));
    assert_eq!((&outcome.counts[..], t.bench.held()), (&[("packets held for their next hop", 3)][..], 3));
    assert!(t.bench.wants_tick());
    assert_eq!((t.events.pop(), t.events.pop()), (wanted(F::STRANGER), None), "one question for all");
    assert_eq!(t.tick_at(SECOND), Outcome::default(), "nobody answered yet");
    t.answer();
    let outcome = t.tick_at(SECOND + 1);
    // Features on its way out are still before it.
    let lookup = F::LOOKUP.as_str();
    assert_eq!(sent::<F>(&outcome), [(lookup, 1), (lookup, 2), (lookup, 3)]);
    assert_eq!(outcome.counts, [("packets sent on after a wait", 3)]);
    assert_eq!(outcome.sent[0].data, F::udp(F::HOST, F::FAR, 1, 64));
    assert_eq!((t.bench.held(), t.bench.wants_tick()), (0, false));
}

/// RFC 1812 section 5.3.1, RFC 8200 section 3: that its time ran out is known before anybody is asked.
fn what_goes_no_further_does_not_wait<F: Dual>() {
    let mut t = test::<F>();
    let error = F::ICMP_ERROR.as_str();
    for (hops, own, next) in [(0, 0, error), (1, 0, error), (1, marks::OWN, "held"), (2, 0, "held")] {
        let packet = F::udp(F::HOST, F::FAR, 10, hops);
        let set = |meta: &mut millrace_engine::pool::Meta| {
            (meta.rx_interface, meta.adjacency, meta.marks) = (LAN, F::TO_STRANGER, own);
        };
        let outcome = t.bench.run(&[&packet], set);
        assert_eq!(outcome.packets[0].next, next, "{hops} {own}");
        if next != "held" {
            assert_eq!(outcome.counts, [("time to live ran out", 1)]);
            assert_eq!(Reason::of(&outcome.packets[0]), Some(Reason::TimeExceeded));
        }
    }
}

fn the_oldest_gives_way_to_the_newest<F: Dual>() {
    let mut t = test::<F>();
    let outcome = t.send(F::TO_STRANGER, 0..PER_NEIGHBOUR + 2);
    assert_eq!(sent::<F>(&outcome), [("drop", 0), ("drop", 1)]);
    let full = ("too many packets wait for the next hop; the oldest is dropped", 2);
    assert_eq!(outcome.counts, [("packets held for their next hop", PER_NEIGHBOUR as u64 + 2), full]);
    t.answer();
    let lengths: Vec<usize> = sent::<F>(&t.tick_at(1)).into_iter().map(|(_, n)| n).collect();
    assert_eq!(lengths, (2..PER_NEIGHBOUR + 2).collect::<Vec<_>>());
}

/// RFC 1122 section 2.3.2.1: at most one question a second.
fn control_is_told_once_a_second<F: Dual>() {
    let mut t = test::<F>();
    let asked = wanted(F::STRANGER);
    for (now, event) in [(0, asked), (1, None), (SECOND - 1, None), (SECOND, asked)] {
        t.bench.now = now;
        t.send(F::TO_STRANGER, [1]);
        assert_eq!(t.events.pop(), event, "at {now} ns");
    }
}

/// RFC 1812 section 5.2.7.1 and RFC 1122 section 2.3.2.2; RFC 4861 section 7.2.2.
fn without_an_answer_the_senders_hear_of_it<F: Dual>() {
    let mut t = test::<F>();
    t.send(F::TO_STRANGER, [1, 2]);
    assert_eq!(t.tick_at(PATIENCE - 1), Outcome::default());
    let outcome = t.tick_at(PATIENCE);
    let error = F::ICMP_ERROR.as_str();
    assert_eq!(sent::<F>(&outcome), [(error, 1), (error, 2)]);
    assert_eq!(outcome.counts, [("next hop does not answer", 2)]);
    let told = (Some(Reason::HostUnreachable), LAN);
    assert!(outcome.sent.iter().all(|out| (Reason::of(out), out.rx_interface) == told));
    // The router itself gets no errors.
    let packet = F::udp(F::WAN_IP, F::PEER, 10, 64);
    t.bench.run(&[&packet], |meta| (meta.adjacency, meta.marks) = (F::TO_STRANGER, marks::OWN));
    let outcome = t.tick_at(2 * PATIENCE);
    assert_eq!((outcome.sent[0].next, &outcome.counts[..]), ("drop", &[("next hop does not answer", 1)][..]));
    assert_eq!(t.bench.held(), 0);
}

fn an_index_that_means_something_else_by_now<F: Dual>() {
    let stranger = F::neighbour(STRANGER_MAC, F::STRANGER);
    let stale = Adjacency { kind: AdjacencyKind::Stale, ..stranger };
    for (name, now, resolved) in [
        ("another next hop", F::neighbour(PEER_MAC, F::PEER), 0),
        ("another interface", Adjacency { interface: LAN, ..stranger }, 0),
        ("another kind", Adjacency::new(AdjacencyKind::Drop), 0),
        ("several ways", Adjacency { kind: AdjacencyKind::Balance, index: 1, ..stranger }, 0),
        ("the same, and not heard for a while by now", stale, 1),
    ] {
        let mut t = test::<F>();
        t.send(F::TO_STRANGER, [1]);
        t.world.adjacency(F::TO_STRANGER, now);
        let outcome = t.tick_at(1);
        assert_eq!(sent::<F>(&outcome), [(F::LOOKUP.as_str(), 1)], "{name}");
        assert_eq!(outcome.counts.len(), resolved, "{name}");
    }
}

fn what_waits_is_bounded_in_all<F: Dual>() {
    let mut t = test::<F>();
    let neighbours = (IN_ALL / PER_NEIGHBOUR) as u32;
    for index in 0..=neighbours {
        let kind = Adjacency::new(AdjacencyKind::Arp);
        t.world.adjacency(100 + index, Adjacency { interface: WAN, next_hop: index.into(), ..kind });
    }
    for index in 0..neighbours {
        t.send(100 + index, 0..PER_NEIGHBOUR);
    }
    assert_eq!(t.bench.held(), IN_ALL);
    let outcome = t.send(100 + neighbours, [1]);
    assert_eq!(fate(&outcome), ("drop", &[("too many packets wait in all", 1)][..]));
    let outcome = t.send(100, [1]);
    assert_eq!((outcome.packets[0].next, sent::<F>(&outcome).len()), ("held", 1), "the oldest makes room");
    assert_eq!(t.tick_at(PATIENCE).sent.len(), IN_ALL);
    assert_eq!(t.bench.held(), 0);
}

fn a_full_queue_of_events_is_tried_again<F: Dual>() {
    let mut t = test::<F>();
    while t.events.push(wanted(F::PEER).unwrap()) {}
    let outcome = t.send(F::TO_STRANGER, [1]);
    let counts = [("packets held for their next hop", 1), ("queue to the control plane is full", 1)];
    assert_eq!(fate(&outcome), ("held", &counts[..]));
    (0..EVENTS).for_each(|_| assert_eq!(t.events.pop(), wanted(F::PEER)));
    t.tick_at(1);
    assert_eq!((t.events.pop(), t.events.pop()), (wanted(F::STRANGER), None));
}

/// Two next hops that differ in the upper half of their addresses alone.
#[test]
fn all_of_an_address_counts() {
    let mut t = test::<V6>();
    let kind = Adjacency::new(AdjacencyKind::Arp);
    for (index, address) in [(100, "2001:db8:2::9"), (101, "2001:db8:2:1::9"), (102, "2001:db8:2::1:0:9")] {
        t.world.adjacency(index, Adjacency { interface: WAN, next_hop: ip6(address).to_bits(), ..kind });
        t.send(index, [1]);
        assert_eq!(t.events.pop(), wanted(address));
    }
}

#[test]
fn trace() {
    let mut v4 = test::<V4>();
    let (_, text) = v4.bench.traced(&udp(HOST, [8; 4]), |meta| meta.adjacency = TO_STRANGER);
    assert_eq!(text, "interface 2 next hop 203.0.113.20");
    let outcome = v4.send(99, [1]);
    assert_eq!(fate(&outcome), ("drop", &[("adjacency is being removed", 1)][..]));
    let mut v6 = test::<V6>();
    let (_, text) = v6.bench.traced(&udp6(HOST6, PEER6), |meta| meta.adjacency = TO_STRANGER6);
    assert_eq!(text, "interface 2 next hop 2001:db8:2::20");
}
