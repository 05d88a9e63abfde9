//! What the thread at the control socket and the workers' queues have in common.

use super::ring::Ring;
use crate::bell::Bell;
use crate::seat::Seat;
use crate::sys;
use millrace_engine::Waker;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most queue pairs: the set of those that are in use is one word.
pub(super) const PAIRS: u16 = 64;

/// The rings and who looks after them.
pub(super) struct Shared {
    /// What the guest sends by: the odd rings of the protocol, by pair.
    pub from_guest: Vec<Seat<Ring>>,
    /// What it receives by: the even rings.
    pub to_guest: Vec<Seat<Ring>>,
    /// Pairs by which the guest receives at the moment, a bit each.
    receiving: AtomicU64,
    /// What wakes the worker of each receive queue. Pair `p` is looked after by queue `p % queues`.
    bells: Vec<(Bell, Waker)>,
    /// Wakes the thread at the control socket: a ring has ended, or the device goes.
    pub control: Waker,
    status: Mutex<Status>,
    changed: Waker,
}

/// What is to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Whether packets can pass.
    pub up: bool,
    /// How it works: features that were agreed on, rings, memory.
    pub modes: Vec<(&'static str, String)>,
    /// What is waited for, and what went wrong.
    pub notes: Vec<String>,
}

impl Shared {
    /// Of `pairs` queue pairs, looked after by `queues` receive queues.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new(pairs: u16, queues: usize, changed: Waker) -> io::Result<Shared> {
        let pairs = pairs.clamp(1, PAIRS);
        let bell = |_| {
            let (bell, waker) = (Bell::new()?, Waker::new()?);
            // SAFETY: both stay until the end of `Shared`.
            bell.add(unsafe { BorrowedFd::borrow_raw(waker.fd()) })?;
            Ok((bell, waker))
        };
        Ok(Shared {
            from_guest: (0..pairs).map(|_| Seat::new()).collect(),
            to_guest: (0..pairs).map(|_| Seat::new()).collect(),
            receiving: AtomicU64::new(0),
            bells: (0..queues.max(1)).map(bell).collect::<io::Result<_>>()?,
            control: Waker::new()?,
            status: Mutex::new(Status::default()),
            changed,
        })
    }

    /// How many queue pairs there can be.
    pub fn pairs(&self) -> usize {
        self.to_guest.len()
    }

    /// How many receive queues look after them.
    pub fn queues(&self) -> usize {
        self.bells.len()
    }

    /// What wakes the worker of a receive queue: what to sleep on, and how to make it look again.
    pub fn bell(&self, queue: usize) -> Option<&(Bell, Waker)> {
        self.bells.get(queue % self.bells.len().max(1))
    }

    /// The pairs by which the guest receives, a bit each.
    #[inline(always)]
    pub fn receiving(&self) -> u64 {
        self.receiving.load(Ordering::Relaxed)
    }

    pub fn set_receiving(&self, pairs: u64) {
        self.receiving.store(pairs, Ordering::Relaxed);
    }

    /// What is to be shown.
    pub fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows something else, and says so.
    pub fn show(&self, new: Status) {
        let old = std::mem::replace(&mut *self.status(), new.clone());
        if (old.up, old.notes) != (new.up, new.notes) {
            self.changed.wake();
        }
    }
}

/// Whether somebody reads from or writes to a socket at its other end: `SO_PEERCRED`.
pub(super) fn peer(fd: BorrowedFd<'_>) -> String {
    let [pid, ..] = sys::option::<3>(fd, libc::SOL_SOCKET, libc::SO_PEERCRED).unwrap_or_default();
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("{} (process {pid})", name.trim_end()),
        Err(_) => format!("process {pid}"),
    }
}
