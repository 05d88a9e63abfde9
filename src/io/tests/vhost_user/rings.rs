//! Rings: signals, starts and stops, several of them.

use crate::common::{Port, experimental, until};
use crate::frontend::{Code, numbers};
use crate::guest::*;
use millrace_engine::device::Wake;
use millrace_io::{Link, Role};
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;

fn with(features: u64) -> (Port, Guest) {
    let path = socket_path();
    let port = server(&path);
    let guest = Guest::on(&path, features, &*port.device);
    (port, guest)
}

fn rings(fd: RawFd) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor.
    unsafe { libc::poll(&mut poll, 1, 0) == 1 }
}

/// Goes to sleep, as a worker does: what it would sleep on.
fn sleep(port: &mut Port) -> RawFd {
    let mut fd = -1;
    until("something to sleep on", || {
        assert!(port.rx().is_empty());
        match port.rx.wake() {
            Wake::Fd(at) => fd = at,
            other => assert_eq!(other, Wake::Poll),
        }
        fd >= 0
    });
    fd
}

#[test]
fn a_sleeping_worker_is_woken_by_the_guest_and_a_waking_one_is_not_disturbed() {
    for features in [VERSION_1, VERSION_1 | EVENT_IDX] {
        let (mut port, mut guest) = with(features);
        let frame = experimental(1, 60);
        let (used, size) = (guest.rings[1].used, u64::from(SIZE));
        // Whether a driver would kick for what it makes available next.
        let wants_kick = |guest: &Guest| match features & EVENT_IDX != 0 {
            true => guest.word(used + 4 + 8 * size).load(Ordering::SeqCst) == guest.rings[1].next,
            false => guest.word(used).load(Ordering::SeqCst) & 1 == 0,
        };
        for _ in 0..3 {
            let bell = sleep(&mut port);
            assert!(!rings(bell));
            assert!(wants_kick(&guest));
            guest.send(&frame);
            guest.rings[1].kick.ring();
            assert!(rings(bell));
            assert_eq!(port.rx(), [&frame[..]]);
            assert!(!rings(bell), "the ring is taken back");
            assert!(!wants_kick(&guest), "a worker that polls");
        }
        // What came in between is not slept over.
        guest.send(&frame);
        assert_eq!(port.rx.wake(), Wake::Poll);
        assert_eq!(port.rx(), [&frame[..]]);
    }
}

#[test]
fn a_sleeping_worker_looks_at_rings_that_start() {
    let path = socket_path();
    let mut port = server(&path);
    let bell = sleep(&mut port);
    let mut guest = Guest::new(VERSION_1, 1);
    guest.connect(&path);
    let frame = experimental(1, 60);
    // Nobody kicks for what was there before.
    guest.send(&frame);
    assert!(!rings(bell));
    guest.start();
    assert!(rings(bell));
    assert_eq!(port.rx(), [frame]);
    assert!(!rings(bell));
}

#[test]
fn a_ring_that_nobody_kicks_is_polled() {
    let (mut port, mut guest) = with(VERSION_1);
    assert!(guest.frontend().tell(Code::SetVringKick, &numbers(&[1 | 1 << 8]), &[]));
    assert!(port.rx().is_empty());
    assert_eq!(port.rx.wake(), Wake::Poll);
    guest.send(&experimental(1, 60));
    assert_eq!(port.rx().len(), 1);
}

#[test]
fn the_guest_is_interrupted_unless_it_says_that_it_looks_by_itself() {
    let (mut port, mut guest) = with(VERSION_1);
    let _before = [guest.rings[0].call.count(), guest.rings[1].call.count()];
    guest.make_room(8, 2048);
    let frame = experimental(1, 60);
    assert_eq!(port.tx(&[&frame, &frame]), 2);
    assert_eq!(guest.rings[0].call.count(), 1, "once a burst");
    guest.word(guest.rings[0].available).store(1, Ordering::SeqCst);
    assert_eq!(port.tx(&[&frame]), 1);
    assert_eq!(guest.rings[0].call.count(), 0);
    guest.word(guest.rings[0].available).store(0, Ordering::SeqCst);
    assert_eq!(port.tx(&[&frame]), 1);
    assert_eq!(guest.rings[0].call.count(), 1);
    guest.send(&frame);
    assert_eq!(port.rx().len(), 1);
    assert_eq!(guest.rings[1].call.count(), 1, "what it sent may be used again");
    assert_eq!(port.stat("guest_interrupts"), 3);
}

#[test]
fn with_the_event_index_the_guest_is_interrupted_when_it_is_passed() {
    let (mut port, mut guest) = with(VERSION_1 | EVENT_IDX);
    let event = guest.rings[0].available + 4 + 2 * u64::from(SIZE);
    guest.make_room(32, 2048);
    guest.rings[0].call.count();
    let frame = experimental(1, 60);
    let mut sent = 0;
    let mut send = |port: &mut Port, guest: &Guest, n: usize| {
        assert_eq!(port.tx(&vec![frame.as_slice(); n]), n);
        sent += n;
        guest.rings[0].call.count()
    };
    guest.word(event).store(5, Ordering::SeqCst);
    assert_eq!(send(&mut port, &guest, 5), 0, "up to 5");
    assert_eq!(send(&mut port, &guest, 1), 1, "the sixth");
    assert_eq!(send(&mut port, &guest, 4), 0);
    guest.word(event).store(12, Ordering::SeqCst);
    assert_eq!(send(&mut port, &guest, 10), 1, "over it in one burst");
}

#[test]
fn a_ring_stops_before_its_position_is_told_and_goes_on_from_there() {
    let (mut port, mut guest) = with(VERSION_1);
    let frame = experimental(1, 60);
    for _ in 0..3 {
        guest.send(&frame);
        guest.make_room(1, 2048);
    }
    assert_eq!(port.wait_for(3, |_| true).len(), 3);
    assert_eq!(port.tx(&[&frame, &frame]), 2);
    assert_eq!((guest.stop_ring(0), guest.stop_ring(1)), (2, 3));
    wait_link(&*port.device, Link::Down);
    guest.send(&frame);
    assert!(port.rx().is_empty());
    assert_eq!(port.tx(&[&frame]), 0);
    assert_eq!(port.stat("tx_no_peer"), 1);
    guest.start_ring(0, 2);
    guest.start_ring(1, 3);
    wait_link(&*port.device, Link::Up);
    assert_eq!(port.wait_for(1, |_| true), [&frame[..]]);
    assert_eq!(port.tx(&[&frame, &frame]), 1, "the buffer that was left");
}

#[test]
fn a_guest_that_boots_again_starts_with_empty_rings() {
    let (mut port, mut guest) = with(VERSION_1);
    let frame = experimental(1, 60);
    for _ in 0..5 {
        guest.send(&frame);
        guest.make_room(9, 2048);
        assert_eq!(port.wait_for(1, |_| true).len(), 1);
        assert_eq!(port.tx(&[&frame, &frame]), 2);
        for at in [0, 1] {
            guest.enable(at, false);
            guest.stop_ring(at);
        }
        wait_link(&*port.device, Link::Down);
        wait_note(&*port.device, "has not started its rings");
        guest.clear_rings();
        // Another driver: another set of features.
        guest.features ^= MRG | EVENT_IDX;
        let features = guest.features;
        assert!(guest.frontend().tell(Code::SetFeatures, &numbers(&[features]), &[]));
        for at in [0, 1] {
            guest.start_ring(at, 0);
            guest.enable(at, true);
        }
        wait_link(&*port.device, Link::Up);
    }
    assert_eq!(port.stat("connections"), 1);
}

#[test]
fn a_disabled_ring_takes_packets_of_the_guest_away_and_gives_it_none() {
    let (mut port, mut guest) = with(VERSION_1);
    let frame = experimental(1, 60);
    guest.enable(0, false);
    guest.enable(1, false);
    guest.send(&frame);
    guest.make_room(1, 2048);
    until("the packet to be thrown away", || port.rx().is_empty() && port.stat("rx_queue_disabled") == 1);
    assert_eq!(guest.used(1).len(), 1);
    assert_eq!(port.tx(&[&frame]), 0);
    assert_eq!(port.device.link(), Link::Down);
    guest.enable(1, true);
    guest.enable(0, true);
    guest.send(&frame);
    assert_eq!(port.wait_for(1, |_| true).len(), 1);
    assert_eq!(port.tx(&[&frame]), 1);
}

#[test]
fn without_the_protocols_own_features_rings_are_enabled_when_they_start() {
    let path = socket_path();
    let mut port = server(&path);
    let mut guest = Guest::new(VERSION_1, 1);
    guest.connect(&path);
    guest.negotiate();
    guest.features &= !PROTOCOL;
    let features = guest.features;
    let frontend = guest.frontend();
    frontend.send(Code::SetFeatures, 0, &numbers(&[features]), &[]).unwrap();
    // There is nothing that could be acknowledged from here on.
    let memory = [crate::frontend::words(&[2, 0]), numbers(Guest::regions().as_flattened())].concat();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&guest.file);
    let rings: Vec<_> = guest.rings.iter().map(|r| (r.index, r.table, r.available, r.used, r.kick.fd())).collect();
    let frontend = guest.frontend();
    frontend.send(Code::SetMemTable, 0, &memory, &[fd, fd]).unwrap();
    for (index, table, available, used, kick) in rings {
        let words = crate::frontend::words;
        frontend.send(Code::SetVringNum, 0, &words(&[index, SIZE.into()]), &[]).unwrap();
        let addresses = [words(&[index, 0]), numbers(&[USER + table, USER + used, USER + available, 0])].concat();
        frontend.send(Code::SetVringAddr, 0, &addresses, &[]).unwrap();
        frontend.send(Code::SetVringKick, 0, &numbers(&[index.into()]), &[kick]).unwrap();
    }
    wait_link(&*port.device, Link::Up);
    guest.send(&experimental(1, 60));
    assert_eq!(port.wait_for(1, |_| true).len(), 1);
}

/// A device of 4 pairs with `workers`, and a guest that uses `pairs` of them.
fn several(workers: usize, pairs: u32) -> (Workers, Guest) {
    let path = socket_path();
    let device = Workers::open(&spec(&path, Role::Server, 4, true), workers);
    let mut guest = Guest::new(VERSION_1 | MQ, pairs);
    guest.connect(&path);
    guest.start();
    wait_link(&*device.device, Link::Up);
    until("all pairs", || mode(&*device.device, "receiving-queues") == pairs.to_string());
    (device, guest)
}

#[test]
fn workers_share_the_queues_of_a_guest_whichever_are_more() {
    for (workers, pairs) in [(4, 4), (2, 4), (1, 4), (4, 2), (4, 1), (3, 4)] {
        let (mut device, mut guest) = several(workers, pairs);
        assert_eq!(device.pairs.len(), workers, "each worker has a queue");
        // What the guest sends by any pair is received by somebody.
        for pair in 0..pairs {
            let at = 2 * pair as usize + 1;
            let offset = guest.buffer(at, 0);
            guest.write(offset, &[vec![0; 12], experimental(pair as u8, 60)].concat());
            guest.add(at, &[(GUEST + offset, 72)], 0);
            guest.publish(at);
        }
        let mut got = Vec::new();
        until("a packet of each pair", || {
            (0..workers).for_each(|worker| got.extend(device.rx(worker)));
            got.len() == pairs as usize
        });
        got.sort();
        assert_eq!(got, (0..pairs).map(|pair| experimental(pair as u8, 60)).collect::<Vec<_>>());
        // What any worker sends the guest receives.
        for at in (0..2 * pairs as usize).step_by(2) {
            let offset = guest.buffer(at, 0);
            for n in 0..8 {
                guest.add(at, &[(GUEST + offset + n * 200, 200)], WRITE);
            }
            guest.publish(at);
        }
        for worker in 0..workers {
            assert_eq!(device.tx(worker, &[&experimental(worker as u8, 60)]), 1, "{workers} workers, {pairs} pairs");
        }
        let each: Vec<usize> = (0..pairs as usize).map(|pair| guest.used(2 * pair).len()).collect();
        assert_eq!(each.iter().sum::<usize>(), workers);
        assert!(each.iter().all(|n| *n <= workers.div_ceil(pairs as usize)), "{each:?}");
    }
}

#[test]
fn a_pair_that_is_disabled_is_not_sent_by() {
    let (mut device, mut guest) = several(2, 2);
    let frame = experimental(1, 60);
    for at in [0, 2] {
        let offset = guest.buffer(at, 0);
        for n in 0..8 {
            guest.add(at, &[(GUEST + offset + n * 200, 200)], WRITE);
        }
        guest.publish(at);
    }
    guest.enable(2, false);
    until("one pair", || mode(&*device.device, "receiving-queues") == "1");
    assert_eq!((device.tx(0, &[&frame]), device.tx(1, &[&frame])), (1, 1));
    assert_eq!((guest.used(0).len(), guest.used(2).len()), (2, 0));
    guest.enable(2, true);
    until("two pairs", || mode(&*device.device, "receiving-queues") == "2");
    assert_eq!((device.tx(0, &[&frame]), device.tx(1, &[&frame])), (1, 1));
    assert_eq!((guest.used(0).len(), guest.used(2).len()), (1, 1));
}

#[test]
fn workers_that_share_a_ring_take_turns() {
    let (device, mut guest) = several(2, 1);
    let pool = crate::common::pool();
    for n in 0..u64::from(SIZE) {
        let offset = guest.buffer(0, 0);
        guest.add(0, &[(GUEST + offset + n * 200, 200)], WRITE);
    }
    guest.publish(0);
    let frame = experimental(1, 60);
    let Workers { device: _device, pairs, .. } = device;
    std::thread::scope(|scope| {
        for pair in pairs {
            let frame = &frame;
            scope.spawn(move || {
                let mut burst = millrace_engine::device::TestBurst::new(pool);
                let mut tx = pair.tx.unwrap();
                for _ in 0..32 {
                    assert_eq!(burst.tx(&mut *tx, &[frame]).unwrap(), 1);
                }
            });
        }
    });
    let mut ids: Vec<u32> = guest.used(0).iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..u32::from(SIZE)).collect::<Vec<_>>());
}
