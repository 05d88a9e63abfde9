//! How many stations somebody may have.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Stations that are there, and that may be.
#[derive(Debug)]
#[repr(align(64))]
pub struct Share {
    used: AtomicU32,
    limit: AtomicU32,
}

impl Default for Share {
    fn default() -> Share {
        Share { used: AtomicU32::new(0), limit: AtomicU32::new(u32::MAX) }
    }
}

impl Share {
    /// Takes one, if there is one left.
    pub fn take(&self) -> Option<()> {
        let limit = self.limit.load(Relaxed);
        // A flood ends here without a write.
        if self.used.load(Relaxed) >= limit {
            return None;
        }
        if self.used.fetch_add(1, Relaxed) >= limit {
            self.give_back();
            return None;
        }
        Some(())
    }

    /// Gives one back.
    pub fn give_back(&self) {
        self.used.fetch_sub(1, Relaxed);
    }

    /// Those that are there.
    pub fn used(&self) -> u32 {
        self.used.load(Relaxed)
    }

    /// From now on.
    pub fn limit(&self, stations: u32) {
        self.limit.store(stations, Relaxed);
    }
}
