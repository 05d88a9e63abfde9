//! Which indices of a table are in use. Writer side only.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_engine::epoch;

/// Hands out the indices of a range. A released index is handed out again only after every reader passed a quiescent point, so a
/// reader that still has it finds what it was looking for: leave the old value in its slot until it is set anew.
#[derive(Debug)]
pub struct Indices {
    /// Never handed out yet.
    fresh: Range<u32>,
    free: Arc<Mutex<Vec<u32>>>,
}

impl Indices {
    /// All of `range` is free.
    #[must_use]
    pub fn new(range: Range<u32>) -> Self {
        Self { fresh: range, free: Arc::default() }
    }

    /// An index that nobody uses. None if all are in use, or wait for a reader.
    pub fn allocate(&mut self) -> Option<u32> {
        self.reuse().or_else(|| self.fresh.next()).or_else(|| {
            let _ = epoch::domain().collect();
            self.reuse()
        })
    }

    /// Gives an index back, after it was taken out of everything that readers look it up in. Each index once.
    pub fn release(&mut self, index: u32) {
        epoch::domain().retire(Released { index, free: Arc::clone(&self.free) });
    }

    /// Gives an index back that was in nothing readers look it up in since it was handed out. Each index once.
    pub fn give_back(&mut self, index: u32) {
        lock(&self.free).push(index);
    }

    /// The lowest index that was never handed out.
    #[must_use]
    pub fn high_water(&self) -> u32 {
        self.fresh.start
    }

    fn reuse(&self) -> Option<u32> {
        lock(&self.free).pop()
    }
}

/// Waits in the epoch's garbage; being dropped there means that the index can be reused.
struct Released {
    index: u32,
    free: Arc<Mutex<Vec<u32>>>,
}

impl Drop for Released {
    fn drop(&mut self) {
        lock(&self.free).push(self.index);
    }
}

fn lock(free: &Mutex<Vec<u32>>) -> MutexGuard<'_, Vec<u32>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reused_after_the_grace_period_only() {
        let mut me = epoch::domain().register();
        let mut indices = Indices::new(1..4);
        assert_eq!([indices.allocate(), indices.allocate(), indices.allocate()], [Some(1), Some(2), Some(3)]);
        assert_eq!(indices.high_water(), 4);
        assert_eq!(indices.allocate(), None);
        indices.release(2);
        assert_eq!(indices.allocate(), None, "a reader may still use it");
        me.quiescent();
        // Readers of other tests may hold it back for a while.
        while indices.allocate() != Some(2) {
            std::thread::yield_now();
        }
        assert_eq!(indices.allocate(), None);
    }
}
