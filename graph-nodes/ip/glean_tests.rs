use super::*;
use crate::forwarding::Interface;
use crate::icmp::reason::Reason;
use crate::ip::V6;
use crate::ip::hold::{PATIENCE, PER_NEIGHBOUR};
use crate::marks;
use crate::neighbor_events::NeighborEvent;
use crate::testing::dual::{Dual, both, ip};
use crate::testing::*;
use millrace_engine::Waker;
use millrace_engine::epoch::domain;
use millrace_engine::testing::{Bench, Outcome};
use millrace_tables::adjacency::Adjacency;

fn test<F: Dual>() -> (World, NeighborEvents, Bench<IpGlean<F>>) {
    let (world, events) = (World::new(), NeighborEvents::new(Waker::new().unwrap()));
    let bench = Bench::new(IpGlean::new(world.forwarding.clone(), events.clone()));
    (world, events, bench)
}

fn send<F: Dual>(bench: &mut Bench<IpGlean<F>>, to: &[&str]) -> Outcome {
    let packets: Vec<_> = to.iter().map(|to| F::udp(F::HOST, to, 10, 64)).collect();
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    bench.run(&packets, |meta| (meta.rx_interface, meta.adjacency) = (LAN, F::WAN_SUBNET))
}

both! {
    a_station_that_is_found_gets_its_packets,
    without_an_answer_the_senders_hear_of_it,
    what_goes_no_further_does_not_wait,
    routes_that_changed_meanwhile_are_looked_up_again,
    the_oldest_gives_way_and_broken_ones_are_counted,
}

fn a_station_that_is_found_gets_its_packets<F: Dual>() {
    let (mut world, events, mut bench) = test::<F>();
    let outcome = send(&mut bench, &[F::NEW, F::STRANGER, F::NEW]);
    assert_eq!((bench.held(), &outcome.counts[..]), (3, &[("packets held for their destination", 3)][..]));
    let wanted = |address| Some(NeighborEvent::Wanted { interface: WAN, address: ip(address) });
    assert_eq!([events.pop(), events.pop(), events.pop()], [wanted(F::NEW), wanted(F::STRANGER), None]);
    assert_eq!(bench.tick(), Outcome::default());
    // Its adjacency and route come first, then its MAC address.
    F::host_route(&mut world, F::STRANGER, Target::Adjacency(F::TO_STRANGER));
    assert_eq!(bench.tick(), Outcome::default(), "on its way");
    world.adjacency(F::TO_STRANGER, F::neighbour(STRANGER_MAC, F::STRANGER));
    let outcome = bench.tick();
    assert_eq!(outcome.counts, [("packets sent on after a wait", 1)]);
    let out = &outcome.sent[0];
    assert_eq!((out.next, &out.data), (F::LOOKUP.as_str(), &F::udp(F::HOST, F::STRANGER, 10, 64)));
    assert_eq!(bench.held(), 2, "others wait on");
}

fn without_an_answer_the_senders_hear_of_it<F: Dual>() {
    let (_world, _events, mut bench) = test::<F>();
    send(&mut bench, &[F::NEW]);
    let own = F::udp(F::WAN_IP, F::NEW, 10, 64);
    bench.run(&[&own], |meta| (meta.adjacency, meta.marks) = (F::WAN_SUBNET, marks::OWN));
    bench.now = PATIENCE;
    let outcome = bench.tick();
    let nexts: Vec<_> = outcome.sent.iter().map(|out| out.next).collect();
    let counts = [("destination does not answer", 2)];
    assert_eq!((nexts, &outcome.counts[..]), (vec![F::ICMP_ERROR.as_str(), "drop"], &counts[..]));
    assert_eq!(Reason::of(&outcome.sent[0]), Some(Reason::HostUnreachable));
    assert_eq!((bench.held(), bench.wants_tick()), (0, false));
}

/// RFC 1812 section 5.3.1, RFC 8200 section 3: that its time ran out is known before anybody is asked.
fn what_goes_no_further_does_not_wait<F: Dual>() {
    let (_world, _events, mut bench) = test::<F>();
    let error = F::ICMP_ERROR.as_str();
    for (hops, own, next) in [(0, 0, error), (1, 0, error), (1, marks::OWN, "held"), (2, 0, "held")] {
        let packet = F::udp(F::HOST, F::NEW, 10, hops);
        let set = |meta: &mut millrace_engine::pool::Meta| {
            (meta.rx_interface, meta.adjacency, meta.marks) = (LAN, F::WAN_SUBNET, own);
        };
        let outcome = bench.run(&[&packet], set);
        assert_eq!(outcome.packets[0].next, next, "{hops} {own}");
        if next != "held" {
            assert_eq!(outcome.counts, [("time to live ran out", 1)]);
            assert_eq!(Reason::of(&outcome.packets[0]), Some(Reason::TimeExceeded));
        }
    }
}

fn routes_that_changed_meanwhile_are_looked_up_again<F: Dual>() {
    for (name, target) in [
        ("a blackhole", Target::Adjacency(BLACKHOLE)),
        ("no adjacency", Target::Adjacency(99)),
        ("a load-balance", Target::LoadBalance(1)),
        ("a neighbour elsewhere", Target::Adjacency(TO_LAN_100)),
        ("another that waits", Target::Adjacency(F::TO_STRANGER)),
    ] {
        let (mut world, _events, mut bench) = test::<F>();
        send(&mut bench, &[F::NEW]);
        F::host_route(&mut world, F::NEW, target);
        let outcome = bench.tick();
        assert_eq!((outcome.sent[0].next, &outcome.counts[..]), (F::LOOKUP.as_str(), &[][..]), "{name}");
    }
}

fn the_oldest_gives_way_and_broken_ones_are_counted<F: Dual>() {
    let (_world, _events, mut bench) = test::<F>();
    let outcome = send(&mut bench, &[F::NEW; PER_NEIGHBOUR + 1]);
    let full = ("too many packets wait for the destination; the oldest is dropped", 1);
    assert_eq!(outcome.counts, [("packets held for their destination", PER_NEIGHBOUR as u64 + 1), full]);
    assert_eq!(outcome.sent[0].next, "drop");
    assert_eq!(fate(&bench.one(b"short")), ("drop", &[("no IP header", 1)][..]));
    let packet = F::udp(F::HOST, F::NEW, 10, 64);
    let outcome = bench.run(&[&packet], |meta| meta.adjacency = 99);
    assert_eq!(fate(&outcome), ("drop", &[("adjacency is being removed", 1)][..]));
    let (_, text) = bench.traced(&packet, |meta| meta.adjacency = F::WAN_SUBNET);
    assert_eq!(text, format!("interface 2 destination {}", F::NEW));
}

/// RFC 4291 section 2.5.6: link-local neighbours are known by interface, and are in no table.
#[test]
fn link_local_neighbours() {
    const FOUND: u32 = 60;
    let (stranger, tables) = (ip6("fe80::20"), [(LAN, LAN_SUBNET6), (WAN, WAN_SUBNET6)]);
    for (interface, glean) in tables {
        let (mut world, events, mut bench) = test::<V6>();
        let packet = udp6(WAN_LL, "fe80::20");
        bench.run(&[&packet], |meta| (meta.adjacency, meta.marks) = (glean, marks::OWN));
        assert_eq!(events.pop(), Some(NeighborEvent::Wanted { interface, address: stranger.into() }));
        assert_eq!(bench.tick(), Outcome::default());
        world.adjacency(FOUND, Adjacency { interface, ..neighbour6(STRANGER_MAC, "fe80::20", 1500) });
        // On the other interface it is somebody else.
        let other = if interface == LAN { WAN } else { LAN };
        let known = || vec![(stranger.to_bits(), FOUND)];
        world.forwarding.link_locals.set(&domain(), other, known()).unwrap();
        assert_eq!(bench.tick(), Outcome::default());
        world.forwarding.link_locals.set(&domain(), interface, known()).unwrap();
        let outcome = bench.tick();
        assert_eq!(
            (outcome.sent[0].next, &outcome.counts[..]),
            ("ip6-lookup", &[("packets sent on after a wait", 1)][..])
        );
    }
    // IPv6 is switched off meanwhile.
    let (world, _events, mut bench) = test::<V6>();
    bench.run(&[&udp6(WAN_LL, "fe80::20")], |meta| (meta.adjacency, meta.marks) = (WAN_SUBNET6, marks::OWN));
    world.forwarding.gleans6.clear(&domain(), WAN);
    assert_eq!(bench.tick().sent[0].next, "ip6-lookup");
}

/// RFC 4862 section 5.4: nobody is asked for an address that is being tried, and nothing for it waits.
#[test]
fn tentative_addresses() {
    let (world, events, mut bench) = test::<V6>();
    let there = Interface { tentative: vec![ip6(<V6 as Dual>::NEW)], ..Interface::default() };
    world.forwarding.interfaces.set(&domain(), WAN, there).unwrap();
    let outcome = send(&mut bench, &[<V6 as Dual>::NEW, <V6 as Dual>::STRANGER]);
    let held = ("packets held for their destination", 1);
    assert_eq!(outcome.counts, [held, ("destination address is not ours yet", 1)]);
    assert_eq!((bench.held(), outcome.packets[0].next), (1, "drop"));
    let asked = NeighborEvent::Wanted { interface: WAN, address: ip(<V6 as Dual>::STRANGER) };
    assert_eq!((events.pop(), events.pop()), (Some(asked), None));
}
