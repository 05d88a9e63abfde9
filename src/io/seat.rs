//! Where a worker's queue sits: what it works on, which another thread puts there and takes away as a peer comes and goes.
//!
//! The queue belongs to its worker and lives as long as the interface; the rings that it works on belong to one connection. The
//! worker takes the seat once a burst by a compare-and-swap that nobody contends for, and never waits: while somebody is changing
//! what is there, there is nothing. Who changes it waits until the worker is out of it, so that afterwards rings may be reported
//! as stopped, and memory unmapped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// A seat; clones are handles to the same one.
#[derive(Debug)]
pub(crate) struct Seat<T>(Arc<Mutex<Option<T>>>);

impl<T> Clone for Seat<T> {
    fn clone(&self) -> Seat<T> {
        Seat(self.0.clone())
    }
}

/// What lies on a seat, taken for a burst.
pub(crate) type Taken<'a, T> = MutexGuard<'a, Option<T>>;

impl<T> Seat<T> {
    /// An empty one.
    pub fn new() -> Seat<T> {
        Seat(Arc::new(Mutex::new(None)))
    }

    /// For the worker: what is there, if nobody is changing it. It never waits.
    #[inline]
    pub fn try_take(&self) -> Option<Taken<'_, T>> {
        let taken = match self.0.try_lock() {
            Ok(taken) => taken,
            // A worker that panicked has left rings that were read only up to somewhere: as good as any other state.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        taken.is_some().then_some(taken)
    }

    /// Puts something there; what was there before, which the worker is out of.
    pub fn put(&self, value: T) -> Option<T> {
        self.wait().replace(value)
    }

    /// Empties it; what was there, which the worker is out of.
    pub fn remove(&self) -> Option<T> {
        self.wait().take()
    }

    /// For threads other than the worker: a look at what is there, which keeps the worker out meanwhile.
    pub fn look<R>(&self, at: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.wait().as_mut().map(at)
    }

    fn wait(&self) -> Taken<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_finds_what_was_put_and_nothing_while_it_is_changed() {
        let seat = Seat::new();
        assert!(seat.try_take().is_none());
        assert_eq!(seat.put(1), None);
        assert_eq!(seat.put(2), Some(1));
        assert_eq!(seat.try_take().and_then(|taken| *taken), Some(2));
        let worker = seat.clone();
        seat.look(|_| assert!(worker.try_take().is_none()));
        assert_eq!(seat.remove(), Some(2));
        assert!(worker.try_take().is_none());
    }

    #[test]
    fn whoever_removes_waits_for_the_worker() {
        let seat = Seat::new();
        seat.put(String::from("rings"));
        let taken = seat.try_take();
        let other = seat.clone();
        let remover = std::thread::spawn(move || other.remove());
        assert!(!remover.is_finished());
        drop(taken);
        assert_eq!(remover.join().unwrap().as_deref(), Some("rings"));
    }

    #[test]
    fn a_panic_in_a_worker_leaves_the_seat_usable() {
        let seat = Seat::new();
        seat.put(1);
        let worker = seat.clone();
        let panicked = std::thread::spawn(move || {
            let _taken = worker.try_take();
            panic!("a bug in a driver");
        });
        assert!(panicked.join().is_err());
        assert!(seat.try_take().is_some());
        assert_eq!(seat.remove(), Some(1));
    }
}
