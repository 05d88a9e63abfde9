//! Statistics of a device: one writer a queue, read by control.

use millrace_engine::counters::Counter;
use std::sync::{Arc, Mutex, PoisonError};

/// What one queue counts, `N` numbers on cache lines of their own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Counts<const N: usize>([Counter; N]);

impl<const N: usize> Counts<N> {
    /// Adds to number `at` (the queue's own thread only).
    #[inline]
    pub fn add(&self, at: usize, n: u64) {
        if let Some(counter) = self.0.get(at) {
            counter.add(n);
        }
    }

    /// Number `at`.
    pub fn get(&self, at: usize) -> u64 {
        self.0.get(at).map_or(0, Counter::get)
    }
}

/// The numbers of all queues of a device, under their names.
#[derive(Debug)]
pub(crate) struct Board<const N: usize> {
    names: &'static [&'static str; N],
    queues: Mutex<Vec<Arc<Counts<N>>>>,
}

impl<const N: usize> Board<N> {
    pub fn new(names: &'static [&'static str; N]) -> Board<N> {
        Board { names, queues: Mutex::new(Vec::new()) }
    }

    /// Numbers for one more queue.
    pub fn queue(&self) -> Arc<Counts<N>> {
        let counts = Arc::new(Counts(std::array::from_fn(|_| Counter::default())));
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).push(counts.clone());
        counts
    }

    /// The sums.
    pub fn sums(&self) -> Vec<(&'static str, u64)> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |at: usize| queues.iter().filter_map(|q| q.0.get(at)).map(Counter::get).sum();
        self.names.iter().enumerate().map(|(at, name)| (*name, sum(at))).collect()
    }
}
