//! The domain, its participants and its garbage. See the module above for why it is sound.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;

use super::sync::{Arc, AtomicU64, Mutex, MutexGuard, fence, global};

/// What an offline participant announces: it has passed every epoch there will ever be.
const OFFLINE: u64 = u64::MAX;

// The process's one domain.
global!(GLOBAL: Global = Global {
    epoch: CachePadded::new(AtomicU64::new(0)),
    participants: Mutex::new(Vec::new()),
    garbage: Mutex::new(VecDeque::new()),
});

struct Global {
    /// Bumped by every retirement.
    epoch: CachePadded<AtomicU64>,
    /// What each participant has announced. On a line of its own: its owner writes it every loop.
    participants: Mutex<Vec<Arc<CachePadded<AtomicU64>>>>,
    /// In ascending order of `Garbage::epoch`.
    garbage: Mutex<VecDeque<Garbage>>,
}

struct Garbage {
    /// May be dropped when every online participant has announced this epoch.
    epoch: u64,
    since: Instant,
    /// Never looked at, only dropped.
    _value: Box<dyn Any + Send>,
}

/// No code of others runs under these locks, so a poisoned one still guards consistent data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The domain of the process.
#[must_use]
pub const fn domain() -> Domain {
    Domain(())
}

/// A handle to the one reclamation domain of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Domain(());

/// How far the slowest online participant lags behind: the input of the "worker stuck" alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Retirements that it has not passed yet.
    pub epochs: u64,
    /// How long the oldest garbage that it holds back has been waiting; zero when it holds back none.
    pub waiting: Duration,
}

impl Domain {
    /// The same handle as [`domain`] gives.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }

    /// Adds a reader, online. Dropping the participant takes it out again.
    #[must_use]
    pub fn register(&self) -> Participant {
        let announced = Arc::new(CachePadded::new(AtomicU64::new(OFFLINE)));
        lock(&GLOBAL.participants).push(Arc::clone(&announced));
        let participant = Participant { announced, not_sync: PhantomData };
        participant.come_online();
        participant
    }

    /// Takes what has just been unlinked, to be dropped once no participant can hold a reference to it.
    ///
    /// Drops nothing itself; [`collect`](Self::collect) does.
    pub fn retire<T: Send + 'static>(&self, garbage: T) {
        let value = Box::new(garbage);
        let mut queue = lock(&GLOBAL.garbage);
        // Under the lock, so that the queue stays in order. Release: the unlinking is visible to whoever reads this epoch.
        let epoch = GLOBAL.epoch.fetch_add(1, AcqRel) + 1;
        queue.push_back(Garbage { epoch, since: Instant::now(), _value: value });
    }

    /// Drops, on this thread, all garbage that no participant can reach any more. Returns how many pieces remain.
    ///
    /// To be called from a timer of the control thread. Never blocks on a participant.
    #[must_use = "a number that only grows means that a worker is stuck; see `lag`"]
    pub fn collect(&self) -> usize {
        let mut queue = lock(&GLOBAL.garbage);
        if queue.is_empty() {
            return 0;
        }
        let passed = slowest();
        let free = queue.partition_point(|garbage| garbage.epoch <= passed);
        let free: Vec<Garbage> = queue.drain(..free).collect();
        let remaining = queue.len();
        // Unlock first: dropping the garbage may well retire more.
        drop(queue);
        drop(free);
        remaining
    }

    /// How far the slowest online participant lags behind.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let queue = lock(&GLOBAL.garbage);
        let passed = slowest();
        let held = queue.partition_point(|garbage| garbage.epoch <= passed);
        Lag {
            // Saturating: whoever is offline, or came online after this load, is ahead of it.
            epochs: GLOBAL.epoch.load(Relaxed).saturating_sub(passed),
            waiting: queue.get(held).map_or(Duration::ZERO, |garbage| garbage.since.elapsed()),
        }
    }
}

/// The epoch that every online participant has passed; [`OFFLINE`] if there is none. Call with the garbage locked.
fn slowest() -> u64 {
    // Pairs with the fence in `come_online`: either we see that participant's announcement, or it sees every pointer that was
    // unlinked before this.
    fence(SeqCst);
    lock(&GLOBAL.participants).iter().map(|announced| announced.load(Acquire)).min().unwrap_or(OFFLINE)
}

/// One reading thread. It must pass a quiescent point regularly or go [offline](Self::offline); while it does neither, nothing
/// that was retired since is dropped. Can be sent to another thread, not shared.
#[derive(Debug)]
pub struct Participant {
    announced: Arc<CachePadded<AtomicU64>>,
    not_sync: PhantomData<Cell<()>>,
}

impl Participant {
    /// Lets this thread read published tables until the next quiescent point. Brings an offline participant online.
    #[inline]
    #[must_use]
    pub fn guard(&self) -> Guard<'_> {
        if self.is_offline() {
            self.come_online();
        }
        Guard { participant: PhantomData }
    }

    /// States that this thread holds no reference into any table; the borrow checker proves it. Stays offline if it is.
    #[inline]
    pub fn quiescent(&mut self) {
        if !self.is_offline() {
            self.announced.store(GLOBAL.epoch.load(Acquire), Release);
        }
    }

    /// Before a sleep: reclamation no longer waits for this thread.
    #[inline]
    pub fn offline(&mut self) {
        self.announced.store(OFFLINE, Release);
    }

    /// After a sleep. Taking a [`guard`](Self::guard) does it too.
    #[inline]
    pub fn online(&mut self) {
        self.come_online();
    }

    fn is_offline(&self) -> bool {
        self.announced.load(Relaxed) == OFFLINE
    }

    #[cold]
    fn come_online(&self) {
        self.announced.store(GLOBAL.epoch.load(Acquire), Release);
        // The announcement must be visible before this thread loads any table pointer; see `slowest`.
        fence(SeqCst);
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.offline();
        lock(&GLOBAL.participants).retain(|announced| !Arc::ptr_eq(announced, &self.announced));
    }
}

/// Proof that what is read from a published table stays alive for `'a`, that is until the participant's next quiescent point.
#[derive(Clone, Copy, Debug)]
pub struct Guard<'a> {
    /// A shared borrow: while a guard, or a reference got through one, lives, `Participant::quiescent` does not compile. Not
    /// `Send`, because a participant is not `Sync`.
    participant: PhantomData<&'a Participant>,
}
