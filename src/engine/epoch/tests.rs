//! The domain is shared by all tests of the process: each waits for its own garbage, and may be held back by others for a while.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Counts its own drops.
struct Canary(Arc<AtomicUsize>);

impl Drop for Canary {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn canaries() -> (Arc<AtomicUsize>, impl Fn() -> Canary) {
    let drops = Arc::new(AtomicUsize::new(0));
    (Arc::clone(&drops), move || Canary(Arc::clone(&drops)))
}

fn collect_until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "garbage was never dropped");
        let _ = domain().collect();
        thread::yield_now();
    }
}

#[test]
fn garbage_waits_for_an_online_participant() {
    let (drops, canary) = canaries();
    let mut me = domain().register();
    domain().retire(canary());
    for _ in 0..10 {
        assert!(domain().collect() >= 1);
    }
    assert_eq!(drops.load(SeqCst), 0);
    me.quiescent();
    collect_until(|| drops.load(SeqCst) == 1);
}

#[test]
fn garbage_retired_after_the_quiescent_point_waits_for_the_next() {
    let (drops, canary) = canaries();
    let mut me = domain().register();
    domain().retire(canary());
    me.quiescent();
    domain().retire(canary());
    collect_until(|| drops.load(SeqCst) == 1);
    let _ = domain().collect();
    assert_eq!(drops.load(SeqCst), 1);
    me.quiescent();
    collect_until(|| drops.load(SeqCst) == 2);
}

#[test]
fn an_offline_participant_holds_nothing_back() {
    let (drops, canary) = canaries();
    let mut me = domain().register();
    me.offline();
    // A quiescent point is not a way back online: it has no fence.
    me.quiescent();
    domain().retire(canary());
    collect_until(|| drops.load(SeqCst) == 1);

    me.online();
    domain().retire(canary());
    let _ = domain().collect();
    assert_eq!(drops.load(SeqCst), 1);
    drop(me);
    collect_until(|| drops.load(SeqCst) == 2);
}

#[test]
fn a_guard_brings_its_participant_online() {
    let (drops, canary) = canaries();
    let table = Published::new(canary());
    let mut me = domain().register();
    me.offline();
    let value = table.get(&me.guard());
    table.publish(&domain(), canary());
    let _ = domain().collect();
    assert_eq!(value.0.load(SeqCst), 0);
    me.quiescent();
    collect_until(|| drops.load(SeqCst) == 1);
}

#[test]
fn lag_tells_of_a_stuck_participant() {
    let mut me = domain().register();
    for _ in 0..3 {
        domain().retire(());
    }
    let before = domain().lag();
    assert!(before.epochs >= 3);
    while domain().lag().waiting <= before.waiting {
        thread::yield_now();
    }
    // Other tests retire, too, and their participants lag for a while.
    while domain().lag().epochs >= 3 {
        me.quiescent();
        thread::yield_now();
    }
}

#[test]
fn garbage_may_retire_garbage() {
    struct Nested(Canary);
    impl Drop for Nested {
        fn drop(&mut self) {
            domain().retire(Canary(Arc::clone(&self.0.0)));
        }
    }
    let (drops, canary) = canaries();
    domain().retire(Nested(canary()));
    collect_until(|| drops.load(SeqCst) == 2);
}

#[test]
fn slots_hold_replace_and_clear() {
    let (drops, canary) = canaries();
    let slots = Slots::new(4);
    let me = domain().register();
    assert_eq!(slots.capacity(), 4);
    for index in [0, 3, 4, u32::MAX] {
        assert!(slots.get(index, &me.guard()).is_none());
    }
    slots.set(&domain(), 3, (7, canary())).unwrap();
    assert_eq!(slots.set(&domain(), 4, (8, canary())), Err(OutOfRange { index: 4, capacity: 4 }));
    assert_eq!(drops.load(SeqCst), 1, "the refused one");
    assert_eq!(slots.get(3, &me.guard()).unwrap().0, 7);
    slots.set(&domain(), 3, (9, canary())).unwrap();
    assert_eq!(slots.get(3, &me.guard()).unwrap().0, 9);
    assert!(slots.clear(&domain(), 3));
    assert!(!slots.clear(&domain(), 3));
    assert!(!slots.clear(&domain(), 99));
    assert!(slots.get(3, &me.guard()).is_none());
    assert_eq!(drops.load(SeqCst), 1);
    drop(me);
    collect_until(|| drops.load(SeqCst) == 3);
}

#[test]
fn what_was_read_outlives_the_table() {
    let (drops, canary) = canaries();
    let me = domain().register();
    let table = Published::new(canary());
    let slots = Slots::new(2);
    slots.set(&domain(), 1, canary()).unwrap();
    let guard = me.guard();
    let (one, two) = (table.get(&guard), slots.get(1, &guard).unwrap());
    drop((table, slots));
    let _ = domain().collect();
    assert_eq!(one.0.load(SeqCst) + two.0.load(SeqCst), 0);
    drop(me);
    collect_until(|| drops.load(SeqCst) == 2);
}

/// Readers that come and go offline against a writer. A value poisons itself when dropped, so that a reader that still holds it
/// would see it (and an address sanitizer would, at once).
#[test]
fn readers_never_see_a_dropped_value() {
    const LIVE: u64 = 0x5eed_5eed_5eed_5eed;
    struct Value(AtomicU64, u64);
    impl Drop for Value {
        fn drop(&mut self) {
            self.0.store(0, SeqCst);
        }
    }
    let table = Published::new(Value(AtomicU64::new(LIVE), 0));
    let slots = Slots::new(1);
    let stop = AtomicBool::new(false);
    let reads = AtomicUsize::new(0);
    thread::scope(|scope| {
        for reader in 0..3_usize {
            let (table, slots, stop, reads) = (&table, &slots, &stop, &reads);
            scope.spawn(move || {
                let mut me = domain().register();
                let mut last = 0;
                let mut round = reader;
                while !stop.load(Relaxed) {
                    let guard = me.guard();
                    let value: &Value = table.get(&guard);
                    let slot: Option<&Value> = slots.get(0, &guard);
                    for _ in 0..round % 50 {
                        assert_eq!(value.0.load(Relaxed), LIVE);
                        assert!(slot.is_none_or(|value| value.0.load(Relaxed) == LIVE));
                        std::hint::spin_loop();
                    }
                    assert!(value.1 >= last, "went back in time");
                    last = value.1;
                    round += 1;
                    reads.fetch_add(1, Relaxed);
                    match round % 7 {
                        0 => me.offline(),
                        1 => me = domain().register(),
                        _ => me.quiescent(),
                    }
                }
            });
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut version = 0;
        while (version < 300_000 || reads.load(Relaxed) < 50_000) && Instant::now() < deadline {
            version += 1;
            table.publish(&domain(), Value(AtomicU64::new(LIVE), version));
            slots.set(&domain(), 0, Value(AtomicU64::new(LIVE), version)).unwrap();
            if version % 3 == 0 {
                slots.clear(&domain(), 0);
            }
            if version % 16 == 0 {
                let _ = domain().collect();
            }
        }
        stop.store(true, Relaxed);
    });
    assert!(reads.load(Relaxed) >= 1000);
}
