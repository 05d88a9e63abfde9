//! The locks that changes of the table take: many, by the hash of the station.

use super::Place;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many there are.
const LOCKS: usize = 256;

/// All of them.
#[derive(Debug)]
pub struct Locks(Box<[Padded]>);

/// A lock on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded(AtomicBool);

/// A lock that is held.
pub struct Lock<'a>(&'a AtomicBool);

impl Locks {
    /// None is held.
    pub fn new() -> Locks {
        Locks((0..LOCKS).map(|_| Padded::default()).collect())
    }

    /// The lock of a place, unless it is held.
    pub fn try_lock(&self, place: Place) -> Option<Lock<'_>> {
        let Padded(lock) = &self.0[number(place)];
        lock.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).ok().map(|_| Lock(lock))
    }

    /// For control: whoever has it has it for a few instructions.
    pub fn lock(&self, place: Place) -> Lock<'_> {
        loop {
            if let Some(lock) = self.try_lock(place) {
                return lock;
            }
            std::thread::yield_now();
        }
    }

    /// Whether two places are under one lock.
    pub const fn are_one(a: Place, b: Place) -> bool {
        number(a) == number(b)
    }
}

/// Which lock a place is under.
const fn number(place: Place) -> usize {
    (place.0 >> 20) as usize % LOCKS
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
