use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// A port for a mapping.
fn wish(protocol: u8, port: u16, holder: u32) -> Request<'static> {
    Request { protocol, port, foreseen: None, reserved: None, holder }
}

fn at(seconds: u32) -> Ticks {
    Ticks::from_secs(1_000_000 + seconds)
}

#[test]
fn all_ports_but_0_can_be_had() {
    for protocol in PROTOCOLS {
        let (ports, mut random) = (AddressPorts::new(ADDRESS, 1).unwrap(), Random::default());
        let mut seen = [false; 65536];
        let mut take = |port| ports.take(0, &wish(protocol, port, 7), &mut random, at(0));
        for _ in 0..64512 {
            seen[usize::from(take(40001).unwrap())] = true;
        }
        assert_eq!(take(40001), None, "never from 0 to 1023");
        while let Some(port) = take(5) {
            assert!(!std::mem::replace(&mut seen[usize::from(port)], true), "{port} twice");
        }
        let missing: Vec<_> = (0..65536).filter(|port| !seen[*port]).collect();
        let wanted = if protocol == ICMP { 0..1024 } else { 0..1 };
        assert_eq!(missing, wanted.collect::<Vec<_>>());
        assert_eq!(ports.used()[protocol_index(protocol).unwrap()] as usize, 65536 - missing.len());
    }
}

#[test]
fn the_right_parity_as_long_as_there_is_one() {
    let (ports, mut random) = (AddressPorts::new(ADDRESS, 1).unwrap(), Random::default());
    let odd =
        (0..64512).map(|_| ports.take(0, &wish(UDP, 5001, 7), &mut random, at(0)).unwrap() % 2).collect::<Vec<_>>();
    assert!(odd[..32256].iter().all(|&odd| odd == 1) && odd[32256..].iter().all(|&odd| odd == 0));
}

#[test]
fn quarantine_in_turn_and_shortened_when_nothing_else_is_free() {
    let (ports, mut random) = (AddressPorts::new(ADDRESS, 1).unwrap(), Random::default());
    for port in 1024..=65535 {
        assert_eq!(ports.take(0, &wish(UDP, port, u32::from(port)), &mut random, at(0)), Some(port));
    }
    for port in [3000, 2000, 4000] {
        ports.release(0, (UDP, port), u32::from(port), at(1));
        ports.release(0, (UDP, port), u32::from(port), at(1));
        assert_eq!(ports.holder(0, UDP, port), None);
    }
    assert_eq!((ports.used()[1], ports.waiting()[1]), (64509, 3));
    // The oldest first, whatever is wished for.
    assert_eq!(ports.take(0, &wish(UDP, 4000, 9), &mut random, at(2)), Some(3000));
    assert_eq!(ports.settle(0, 100, at(120)), 0);
    assert_eq!(ports.settle(0, 100, at(122)), 2);
    assert_eq!(ports.take(0, &wish(UDP, 4000, 9), &mut random, at(122)), Some(4000));
    assert_eq!((ports.used()[1], ports.waiting()[1]), (64511, 0));
    assert!(!ports.in_use(UDP, 2000) && ports.in_use(UDP, 3000));
}

#[test]
fn what_was_foreseen_comes_true() {
    let (ports, mut random) = (AddressPorts::new(ADDRESS, 1).unwrap(), Random::default());
    let mut unforeseen = 0;
    for holder in 1..=100 {
        for port in [123, 5000, 5001] {
            let foreseen = ports.foresee(0, (UDP, port), &mut random);
            unforeseen += usize::from(foreseen.is_none());
            let taken = ports.take(0, &Request { foreseen, ..wish(UDP, port, holder) }, &mut random, at(0));
            assert!(foreseen.is_none() || taken == foreseen);
            assert!(holder > 1 || taken == Some(port), "kept");
            assert_eq!(taken.map(|taken| taken % 2), Some(port % 2));
            // Meanwhile somebody else got it.
            let again = ports.take(0, &Request { foreseen, ..wish(UDP, port, holder) }, &mut random, at(0));
            assert!(again.is_some() && again != taken);
        }
        // Only of the range that is asked for.
        let taken = ports.take(0, &Request { foreseen: Some(999), ..wish(UDP, 5000, holder) }, &mut random, at(0));
        assert!(taken.is_some_and(|port| port >= 1024));
    }
    assert!(unforeseen < 10, "{unforeseen}");
}

#[test]
fn workers_take_blocks_and_give_them_back() {
    let (ports, mut random) = (AddressPorts::new(ADDRESS, 2).unwrap(), Random::default());
    let mut take = |worker, port| ports.take(worker, &wish(TCP, port, 7), &mut random, at(0));
    assert_eq!(take(0, 5000), Some(5000));
    assert_eq!((ports.owner(TCP, 5000), ports.owner(TCP, 5055), ports.owner(TCP, 5056)), (Some(0), Some(0), None));
    assert_ne!(take(1, 5001).map(|port| port / 64), Some(5000 / 64), "another's block");
    assert_eq!((ports.holder(0, TCP, 5000), ports.holder(1, TCP, 5000)), (Some(7), None));
    ports.release(1, (TCP, 5000), 7, at(0));
    assert_eq!(ports.holder(0, TCP, 5000), Some(7), "not the other's to give back");
    ports.release(0, (TCP, 5000), 8, at(0));
    assert_eq!(ports.holder(0, TCP, 5000), Some(7), "not another mapping's");
    ports.release(0, (TCP, 5000), 7, at(0));
    assert_eq!(ports.owner(TCP, 5000), None);
    assert_eq!(take(1, 5000), Some(5000));
}

#[test]
fn a_worker_with_few_ports_leaves_blocks_to_others() {
    let (ports, mut random) = (AddressPorts::new(ADDRESS, 4).unwrap(), Random::default());
    let mut take = |worker, port| ports.take(worker, &wish(TCP, port, 7), &mut random, at(0));
    // One from each block, and then some.
    for round in 0..5 {
        for block in 16..1024 {
            assert!(take(0, block * 64 + round).is_some());
        }
    }
    for worker in 1..4 {
        for port in 0..10_000 {
            assert!(take(worker, 2000 + port).is_some(), "worker {worker}, {port} ports");
        }
    }
    // Nobody else wants them: all are one worker's.
    let ports = AddressPorts::new(ADDRESS, 4).unwrap();
    let taken = (0..64512).filter(|_| ports.take(0, &wish(TCP, 2000, 7), &mut random, at(0)).is_some());
    assert_eq!(taken.count(), 64512);
}

#[test]
fn threads_never_get_the_same_port() {
    let ports = AddressPorts::new(ADDRESS, 4).unwrap();
    let all: Vec<Vec<u16>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|worker| {
                let ports = &ports;
                scope.spawn(move || {
                    let (mut random, mut mine) = (Random::default(), Vec::new());
                    for round in 0..40_000u32 {
                        let port = 1024 + (round * 7 % 60_000) as u16;
                        if let Some(port) = ports.take(worker, &wish(TCP, port, round + 1), &mut random, at(0)) {
                            mine.push((port, round + 1));
                        }
                        if round % 3 == 0 && !mine.is_empty() {
                            let (port, holder) = mine.swap_remove(mine.len() / 2);
                            ports.release(worker, (TCP, port), holder, at(0));
                        }
                    }
                    mine.into_iter().map(|(port, _)| port).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut holder = HashMap::new();
    for (worker, port) in
        all.iter().enumerate().flat_map(|(worker, ports)| ports.iter().map(move |port| (worker, *port)))
    {
        assert_eq!(holder.insert(port, worker), None, "{port} twice");
        assert_eq!(ports.owner(TCP, port), Some(worker));
    }
    assert_eq!(ports.used()[0] as usize, holder.len());
    assert!(holder.len() > 60_000, "{} ports in use", holder.len());
}

proptest! {
    /// Taking and releasing at random: each port has one holder, and what is counted is so.
    #[test]
    fn one_holder_each(steps in prop::collection::vec((0..2usize, 0..3usize, 1000..1100u16, 0..30u32, any::<bool>()), 1..400)) {
        let (ports, mut random) = (AddressPorts::new(ADDRESS, 2).unwrap(), Random::default());
        let mut reserved: Box<Bits> = Box::new([0; 1024]);
        reserved[1088 / 64] = u64::MAX;
        let mut held: Vec<(usize, u8, u16, u32)> = Vec::new();
        let mut now = 0;
        for (step, (worker, protocol, port, passes, releases)) in (1u32..).zip(steps) {
            now += passes;
            let protocol = PROTOCOLS[protocol];
            if releases && !held.is_empty() {
                let (worker, protocol, port, holder) = held.swap_remove(usize::from(port) % held.len());
                ports.release(worker, (protocol, port), holder, at(now));
                prop_assert_eq!(ports.holder(worker, protocol, port), None);
            } else {
                let taken = ports.take(worker, &Request { reserved: Some(&reserved), ..wish(protocol, port, step) }, &mut random, at(now)).unwrap();
                prop_assert!(taken / 64 != 1088 / 64, "reserved");
                prop_assert!(!held.iter().any(|(_, p, t, _)| (*p, *t) == (protocol, taken)), "held already");
                held.push((worker, protocol, taken, step));
            }
            for &(worker, protocol, port, holder) in &held {
                prop_assert_eq!(ports.holder(worker, protocol, port), Some(holder));
                prop_assert_eq!(ports.owner(protocol, port), Some(worker));
            }
            let count = |of| held.iter().filter(|(_, protocol, ..)| *protocol == of).count() as u32;
            prop_assert_eq!(ports.used(), PROTOCOLS.map(count));
        }
        for (worker, protocol, port, holder) in held {
            ports.release(worker, (protocol, port), holder, at(now));
        }
        prop_assert!(ports.is_unused());
        for worker in 0..2 {
            ports.settle(worker, 1000, at(now + 122));
        }
        prop_assert_eq!(ports.waiting(), [0; 3]);
        prop_assert!((0..=65535).all(|port| PROTOCOLS.iter().all(|&protocol| ports.owner(protocol, port).is_none())));
    }
}
