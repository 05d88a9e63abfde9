//! The epochs under loom: all interleavings of a reader and a writer, with all that the C++ memory model lets a load see.
//!
//! The code is that of the crate; only the atomics and locks beneath it are loom's. Leaving out a fence, or weakening the ordering of
//! a quiescent point, of going offline, of retiring or of collecting, makes a case here fail.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::{AcqRel, Acquire};
use loom::thread;

mod sync {
    pub use loom::sync::atomic::{AtomicU64, fence};
    pub use loom::sync::{Arc, Mutex, MutexGuard};

    macro_rules! global {
        ($name:ident: $type:ty = $value:expr) => {
            loom::lazy_static! { static ref $name: $type = $value; }
        };
    }
    pub(super) use global;
}

#[allow(dead_code, reason = "the cases need only a part of it")]
#[path = "../epoch/domain.rs"]
mod domain;

use domain::{Participant, domain};

/// A published index, and for each index whether what it names is alive. Loom reports any access to a cell that is not ordered
/// after the accesses before it, so it finds a reader that may still be there when its value is freed.
struct Table {
    current: AtomicUsize,
    alive: Vec<UnsafeCell<bool>>,
}

impl Table {
    fn read(&self, participant: &Participant) {
        let _guard = participant.guard();
        let current = self.current.load(Acquire);
        // SAFETY: loom checks that nobody writes meanwhile.
        self.alive[current].with(|alive| assert!(unsafe { *alive }, "freed under a reader"));
    }
}

// SAFETY: the cells are reached through loom alone, which checks that accesses to them are ordered.
unsafe impl Sync for Table {}

/// Frees an index when it is dropped.
struct Freed(Arc<Table>, usize);

impl Drop for Freed {
    fn drop(&mut self) {
        // SAFETY: loom checks that nobody else reads or writes meanwhile.
        self.0.alive[self.1].with_mut(|alive| unsafe { *alive = false });
    }
}

/// Runs `reader` beside a writer that replaces the value twice and collects each time.
fn model(reader: fn(&Table, Participant)) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let alive = (0..3).map(|_| UnsafeCell::new(true)).collect();
        let table = Arc::new(Table { current: AtomicUsize::new(0), alive });
        let participant = domain().register();
        let reading = thread::spawn({
            let table = Arc::clone(&table);
            move || reader(&table, participant)
        });
        for next in 1..3 {
            table.current.swap(next, AcqRel);
            domain().retire(Freed(Arc::clone(&table), next - 1));
            let _ = domain().collect();
        }
        assert!(reading.join().is_ok());
        assert_eq!(domain().collect(), 0, "nobody is left to wait for");
    });
}

#[test]
fn quiescent_points() {
    model(|table, mut me| {
        table.read(&me);
        me.quiescent();
        table.read(&me);
    });
}

#[test]
fn going_offline_and_back() {
    model(|table, mut me| {
        me.offline();
        table.read(&me);
        me.offline();
        me.online();
        table.read(&me);
    });
}

#[test]
fn registering() {
    model(|table, me| {
        drop(me);
        table.read(&domain().register());
    });
}
