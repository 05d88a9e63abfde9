//! What no driver does: the ring ends with a reason, and nothing else happens.

use crate::common::{Port, experimental, until};
use crate::frontend::Code;
use crate::guest::*;
use millrace_io::Link;
use std::sync::atomic::Ordering;

fn with(features: u64) -> (Port, Guest) {
    let path = socket_path();
    let port = server(&path);
    let guest = Guest::on(&path, features, &*port.device);
    (port, guest)
}

/// Polls until the ring has ended because of `why`, and sees that the guest can start it again.
fn ends(port: &mut Port, guest: &mut Guest, at: usize, why: &str) {
    let frame = experimental(1, 60);
    until(&format!("the ring to end because {why}"), || {
        port.rx();
        port.tx(&[&frame]);
        port.device.link() == Link::Down
    });
    let notes = port.device.info().notes;
    assert!(
        notes.iter().any(|note| note.contains(&format!("ring {at} was stopped")) && note.contains(why)),
        "{notes:?}"
    );
    assert_eq!(port.stat("ring_violations"), 1);
    assert_eq!(guest.rings[at].error.count(), 1, "the guest's owner is told");
    // It stays ended, whatever the guest makes available, and the connection stays.
    guest.send(&frame);
    assert!(port.rx().is_empty() || at == 0);
    // A reset of the device is what a driver answers with, and it helps.
    for at in [0, 1] {
        guest.stop_ring(at);
    }
    guest.clear_rings();
    for at in [0, 1] {
        guest.start_ring(at, 0);
    }
    wait_link(&*port.device, Link::Up);
    guest.send(&frame);
    assert_eq!(port.wait_for(1, |_| true), [&frame[..]]);
    guest.make_room(1, 2048);
    assert_eq!(port.tx(&[&frame]), 1);
    assert_eq!(port.stat("connections"), 1);
    assert!(port.device.info().notes.is_empty());
}

/// A packet in a good chain, and then what `bad` makes available in the guest's ring `at`.
fn after_a_good_one(features: u64, at: usize, why: &str, bad: impl FnOnce(&mut Guest)) {
    let (mut port, mut guest) = with(features);
    let frame = experimental(1, 60);
    if at == 1 {
        guest.send(&frame);
    } else {
        guest.make_room(1, 2048);
    }
    bad(&mut guest);
    guest.publish(at);
    if at == 1 {
        assert_eq!(port.wait_for(1, |_| true), [frame], "what was good before");
    } else {
        assert_eq!(port.tx(&[&frame]), 1, "what was good before");
    }
    ends(&mut port, &mut guest, at, why);
}

/// One descriptor in the table, made available as a chain.
fn one(at: usize, address: u64, len: u32, flags: u16, next: u16) -> impl FnOnce(&mut Guest) {
    move |guest| {
        guest.describe(guest.rings[at].table, 20, (address, len, flags, next));
        guest.offer(at, 20);
    }
}

#[test]
fn a_head_outside_of_the_table() {
    after_a_good_one(VERSION_1, 1, "no descriptor 64", |guest| guest.offer(1, SIZE));
    after_a_good_one(VERSION_1, 0, "no descriptor 65535", |guest| guest.offer(0, u16::MAX));
}

#[test]
fn a_next_outside_of_the_table() {
    after_a_good_one(VERSION_1, 1, "no descriptor 64", one(1, GUEST, 100, NEXT, SIZE));
    after_a_good_one(VERSION_1, 0, "no descriptor 65535", one(0, GUEST, 10, NEXT | WRITE, u16::MAX));
}

#[test]
fn a_chain_that_bites_its_tail() {
    after_a_good_one(VERSION_1, 1, "no end", one(1, GUEST, 100, NEXT, 20));
    after_a_good_one(VERSION_1, 0, "no end", one(0, GUEST, 1, NEXT | WRITE, 20));
    after_a_good_one(VERSION_1, 1, "no end", |guest| {
        let table = guest.rings[1].table;
        (20..30).for_each(|n| guest.describe(table, n, (GUEST, 0, NEXT, if n == 29 { 20 } else { n + 1 })));
        guest.offer(1, 20);
    });
}

#[test]
fn a_buffer_outside_of_memory() {
    let end = GUEST + MEMORY;
    for (address, len) in [
        (0, 100),
        (end, 100),
        (end - 99, 100),
        (u64::MAX - 10, 100),
        (GUEST, u32::MAX),
        (USER, 100),
        (u64::MAX, u32::MAX),
    ] {
        after_a_good_one(VERSION_1, 1, "not in the guest's memory", one(1, address, len, 0, 0));
        after_a_good_one(VERSION_1, 0, "not in the guest's memory", one(0, address, len, WRITE, 0));
        after_a_good_one(VERSION_1, 1, "not in the guest's memory", |guest| {
            guest.describe(guest.rings[1].table, 21, (address, len, 0, 0));
            one(1, GUEST, 100, NEXT, 21)(guest);
        });
    }
}

#[test]
fn a_buffer_of_the_wrong_kind() {
    after_a_good_one(VERSION_1, 1, "a buffer to write to", one(1, GUEST, 100, WRITE, 0));
    after_a_good_one(VERSION_1, 0, "not to be written to", one(0, GUEST, 2000, 0, 0));
    after_a_good_one(VERSION_1, 1, "a buffer to write to", |guest| {
        guest.describe(guest.rings[1].table, 21, (GUEST, 100, WRITE, 0));
        one(1, GUEST, 100, NEXT, 21)(guest);
    });
}

#[test]
fn tables_that_are_none() {
    let table = 2 << 20;
    let with_table = |len: u32, inner: (u64, u32, u16, u16)| {
        move |guest: &mut Guest| {
            guest.describe(table, 0, inner);
            one(1, GUEST + table, len, TABLE, 0)(guest);
        }
    };
    let good = (GUEST, 100, 0, 0);
    let features = VERSION_1 | INDIRECT;
    after_a_good_one(VERSION_1, 1, "table of descriptors is where none may be", with_table(16, good));
    for len in [0, 15, 17, 16 * 1025, u32::MAX, u32::MAX - 15] {
        after_a_good_one(features, 1, &format!("has {len} bytes"), with_table(len, good));
    }
    after_a_good_one(features, 1, "where none may be", with_table(16, (GUEST + table, 16, TABLE, 0)));
    after_a_good_one(features, 1, "no descriptor 1", with_table(16, (GUEST, 100, NEXT, 1)));
    after_a_good_one(features, 1, "no end", with_table(16, (GUEST, 100, NEXT, 0)));
    after_a_good_one(features, 1, "where none may be", one(1, GUEST + table, 16, TABLE | NEXT, 0));
    after_a_good_one(features, 1, "not in the guest's memory", one(1, GUEST + MEMORY - 16, 32, TABLE, 0));
    after_a_good_one(features, 0, "not to be written to", |guest| {
        guest.describe(table, 0, good);
        one(0, GUEST + table, 16, TABLE, 0)(guest);
    });
}

#[test]
fn an_available_index_that_jumps() {
    for (at, ahead) in [(1, SIZE + 1), (1, u16::MAX), (0, SIZE + 1), (0, 0x8000)] {
        let (mut port, mut guest) = with(VERSION_1);
        let ring = &guest.rings[at];
        guest.word(ring.available + 2).store(ahead, Ordering::SeqCst);
        ends(&mut port, &mut guest, at, &format!("{ahead} ahead"));
    }
}

#[test]
fn a_table_that_changes_while_it_is_read() {
    let (mut port, guest) = with(VERSION_1);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let table = guest.rings[1].table;
    (0..SIZE).for_each(|n| guest.describe(table, n, (GUEST + BUFFERS, 100, 0, 0)));
    let words: Vec<_> = (0..8 * u64::from(SIZE)).map(|n| guest.word(table + 2 * n)).collect();
    // A word of the table at a time becomes anything, then what it was: a good one read twice would be a bad one.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = 1u32;
            while !stop.load(Ordering::Relaxed) {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let word = words[(random >> 16) as usize % words.len()];
                let was = word.swap(random as u16, Ordering::Relaxed);
                word.store(was, Ordering::Relaxed);
            }
        });
        let rings = &mut port;
        let mut next = 0u16;
        for _ in 0..20_000 {
            if rings.stat("ring_violations") > 0 {
                break;
            }
            guest.word(table + 0x4000 + 4 + 2 * u64::from(next % SIZE)).store(next % SIZE, Ordering::Relaxed);
            next = next.wrapping_add(1);
            guest.word(table + 0x4000 + 2).store(next, Ordering::SeqCst);
            rings.rx();
        }
        stop.store(true, Ordering::Relaxed);
    });
    // Whatever it came to, a device is there that says what it is.
    assert!(port.device.link() == Link::Up || port.stat("ring_violations") > 0 || port.device.info().notes.len() == 1);
}

#[test]
fn memory_that_is_taken_away_ends_the_connection_and_not_the_process() {
    for at in [0, 1] {
        let (mut port, mut guest) = with(VERSION_1);
        let frame = experimental(1, 60);
        guest.send(&frame);
        guest.make_room(2, 2048);
        // What the rings are in stays, what the packets are in goes. The rings' own memory goes in the second round.
        guest.file.set_len(if at == 0 { BUFFERS } else { 0 }).unwrap();
        until("the connection to end", || {
            port.rx();
            port.tx(&[&frame]);
            port.device.link() == Link::Down
        });
        wait_note(&*port.device, "memory was taken away");
        assert!(guest.frontend().is_ended());
        assert_eq!(port.stat("connections_broken"), 1);
        // The next guest finds everything in order.
        let path = port.device.info().device;
        let mut next = Guest::on(path.as_ref(), VERSION_1, &*port.device);
        next.send(&frame);
        assert_eq!(port.wait_for(1, |_| true), [&frame[..]]);
        std::mem::forget(guest);
    }
}

#[test]
fn a_ring_that_has_ended_is_not_started_by_anything_but_a_new_start() {
    let (mut port, mut guest) = with(VERSION_1);
    guest.offer(1, SIZE);
    guest.publish(1);
    until("the ring to end", || port.rx().is_empty() && port.device.link() == Link::Down);
    assert!(guest.share_memory(), "all rings are put into the new memory");
    guest.enable(1, true);
    assert!(guest.frontend().tell_ring(Code::SetVringBase, 1, 0));
    assert!(port.rx().is_empty());
    // The thread looks for rings that have ended before it answers.
    guest.frontend().get(Code::GetFeatures);
    assert_eq!(port.device.link(), Link::Down);
    assert_eq!(port.stat("ring_violations"), 1);
}
