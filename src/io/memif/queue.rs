//! The workers' queues. They live as long as the interface; rings lie on their seats while there is a peer.

use super::receive::Receive;
use super::ring::{Fault, Ring};
use super::send::Send;
use super::side::{Client, Server};
use super::{Counts, count, zero};
use crate::bell::Bell;
use crate::seat::Seat;
use millrace_engine::device::{RxBurst, RxQueue, TxBurst, TxQueue, Wake};
use millrace_engine::{Cache, Waker, clock};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

/// How often something is tried that others are in the way of, but not for long.
const TRIES: usize = 10_000;
/// Nanoseconds that no interrupt takes.
const STUCK: u64 = 200_000_000;

/// The first thing that a peer did wrong, told by whatever worker finds it.
pub(super) struct Faults {
    first: AtomicU8,
    waker: Waker,
}

impl Faults {
    pub fn new(waker: Waker) -> Faults {
        Faults { first: AtomicU8::new(0), waker }
    }

    #[cold]
    pub fn tell(&self, fault: Fault) {
        if self.first.compare_exchange(0, fault as u8, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.waker.wake();
        }
    }

    pub fn first(&self) -> Option<Fault> {
        Fault::of(self.first.load(Ordering::Relaxed))
    }
}

/// A ring that packets come in by.
pub(super) enum RxRing {
    Server(Receive<Server>),
    Client(Receive<Client>),
    Zero(zero::Receive),
}

impl RxRing {
    #[inline(always)]
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> Result<(), Fault> {
        match self {
            RxRing::Server(ring) => ring.rx(burst),
            RxRing::Client(ring) => ring.rx(burst),
            RxRing::Zero(ring) => ring.rx(burst),
        }
    }

    fn ready(&self) -> Result<u16, Fault> {
        match self {
            RxRing::Server(ring) => ring.ready(),
            RxRing::Client(ring) => ring.ready(),
            RxRing::Zero(ring) => ring.ready(),
        }
    }

    fn ring(&self) -> &Ring {
        match self {
            RxRing::Server(ring) => ring.ring(),
            RxRing::Client(ring) => ring.ring(),
            RxRing::Zero(ring) => ring.ring(),
        }
    }
}

/// What a receive queue works on while there is a peer.
pub(super) struct Incoming {
    pub rings: Vec<RxRing>,
    pub faults: Arc<Faults>,
    /// Whether the peer was told not to interrupt.
    pub masked: bool,
    /// The peer did something wrong: nothing of it is touched any more.
    pub broken: bool,
}

impl Incoming {
    fn mask(&mut self, masked: bool) {
        if self.masked != masked {
            self.masked = masked;
            self.rings.iter().for_each(|ring| ring.ring().mask(masked));
        }
    }
}

#[repr(align(128))]
pub(super) struct Receiver {
    seat: Seat<Incoming>,
    bell: Bell,
    counts: Arc<Counts>,
    /// The ring that is looked at first, in turns.
    turn: usize,
    slept: Cell<bool>,
}

impl Receiver {
    pub fn new(seat: Seat<Incoming>, bell: Bell, counts: Arc<Counts>) -> Receiver {
        Receiver { seat, bell, counts, turn: 0, slept: Cell::new(false) }
    }
}

impl RxQueue for Receiver {
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        if self.slept.replace(false) {
            self.bell.clear();
        }
        let Some(mut taken) = self.seat.try_take() else { return Ok(()) };
        let Some(incoming) = taken.as_mut().filter(|incoming| !incoming.broken) else { return Ok(()) };
        incoming.mask(true);
        let rings = incoming.rings.len();
        for step in 0..rings {
            let Some(ring) = incoming.rings.get_mut((self.turn + step) % rings) else { break };
            if let Err(fault) = ring.rx(burst) {
                self.counts.add(count::RX_FAULTS, 1);
                incoming.faults.tell(fault);
                incoming.broken = true;
                break;
            }
        }
        self.turn = if self.turn + 1 < rings { self.turn + 1 } else { 0 };
        Ok(())
    }

    fn wake(&self) -> Wake {
        self.slept.set(true);
        if let Some(mut taken) = self.seat.try_take()
            && let Some(incoming) = taken.as_mut().filter(|incoming| !incoming.broken)
        {
            incoming.mask(false);
            // What is wrong is found by the next poll.
            if incoming.rings.iter().any(|ring| ring.ready() != Ok(0)) {
                return Wake::Poll;
            }
        }
        Wake::Fd(self.bell.fd())
    }
}

/// A ring that packets leave by.
pub(super) enum TxRing {
    Server(Send<Server>),
    Client(Send<Client>),
    Zero(zero::Send),
}

/// What a peer sleeps on: an eventfd, which it has, too. It may fill its counter and have its writers wait; whoever talks to the peer
/// looks after them.
pub(super) struct Interrupt {
    eventfd: OwnedFd,
    /// Since when somebody has been writing to it, in nanoseconds of the clock; 0: nobody is.
    since: AtomicU64,
}

impl Interrupt {
    pub fn new(eventfd: OwnedFd) -> Interrupt {
        Interrupt { eventfd, since: AtomicU64::new(0) }
    }

    fn ring(&self) {
        let one = 1u64;
        self.since.store(clock::now().max(1), Ordering::Relaxed);
        // SAFETY: eight bytes that live. A counter that is full wakes the peer as well.
        unsafe { libc::write(self.eventfd.as_raw_fd(), (&raw const one).cast(), 8) };
        self.since.store(0, Ordering::Relaxed);
    }

    /// Whether a worker waits to write to it.
    pub fn is_stuck(&self) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        if since == 0 || clock::now().saturating_sub(since) < STUCK {
            return false;
        }
        // On a machine with much to do it may just not have been its turn.
        let mut poll = libc::pollfd { fd: self.eventfd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one descriptor, described by `poll`.
        unsafe { libc::poll(&mut poll, 1, 0) == 0 }
    }

    /// Makes room until nobody waits, however the peer tries to be faster.
    pub fn free(&self) {
        let mut count = 0u64;
        let part = libc::iovec { iov_base: (&raw mut count).cast(), iov_len: 8 };
        for _ in 0..TRIES {
            // SAFETY: the kernel writes eight bytes to `count`, and doesn't wait for them.
            unsafe { libc::preadv2(self.eventfd.as_raw_fd(), &part, 1, -1, libc::RWF_NOWAIT) };
            if self.since.load(Ordering::Relaxed) == 0 {
                break;
            }
            std::thread::yield_now();
        }
    }
}

/// What a transmit queue works on while there is a peer.
pub(super) struct Outgoing {
    pub ring: TxRing,
    pub interrupt: Arc<Interrupt>,
    pub faults: Arc<Faults>,
    pub broken: bool,
}

impl Outgoing {
    #[inline(always)]
    fn tx(&mut self, burst: &mut TxBurst<'_>) -> Result<(usize, usize), Fault> {
        match &mut self.ring {
            TxRing::Server(ring) => ring.tx(burst),
            TxRing::Client(ring) => ring.tx(burst),
            TxRing::Zero(ring) => ring.tx(burst),
        }
    }

    fn ring(&self) -> &Ring {
        match &self.ring {
            TxRing::Server(ring) => ring.ring(),
            TxRing::Client(ring) => ring.ring(),
            TxRing::Zero(ring) => ring.ring(),
        }
    }
}

/// Rings are shared when there are fewer of them than queues.
pub(super) type SharedOutgoing = Arc<Mutex<Outgoing>>;

/// Does something with a ring, unless others hold it for long.
fn with<R>(outgoing: &SharedOutgoing, what: impl FnOnce(&mut Outgoing) -> R) -> Option<R> {
    for _ in 0..TRIES {
        match outgoing.try_lock() {
            Ok(mut outgoing) => return Some(what(&mut outgoing)),
            Err(TryLockError::Poisoned(_)) => return None,
            Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
        }
    }
    None
}

#[repr(align(128))]
pub(super) struct Sender {
    seat: Seat<SharedOutgoing>,
    counts: Arc<Counts>,
}

impl Sender {
    pub fn new(seat: Seat<SharedOutgoing>, counts: Arc<Counts>) -> Sender {
        Sender { seat, counts }
    }

    #[inline(always)]
    fn send(&self, outgoing: &mut Outgoing, burst: &mut TxBurst<'_>) -> usize {
        let offered = burst.len();
        if outgoing.broken {
            self.counts.add(count::TX_NO_PEER, offered as u64);
            return 0;
        }
        let (done, lost) = match outgoing.tx(burst) {
            Ok(result) => result,
            Err(fault) => {
                self.counts.add(count::TX_FAULTS, 1);
                outgoing.faults.tell(fault);
                outgoing.broken = true;
                return 0;
            }
        };
        if lost > 0 {
            self.counts.add(count::TX_TOO_LONG, lost as u64);
        }
        if done < offered {
            self.counts.add(count::TX_RING_FULL, (offered - done) as u64);
        }
        if done > 0 && outgoing.ring().wants_interrupt() {
            outgoing.interrupt.ring();
            self.counts.add(count::INTERRUPTS, 1);
        }
        done
    }
}

impl TxQueue for Sender {
    fn takes_shared(&self) -> bool {
        true
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        let nobody = || {
            self.counts.add(count::TX_NO_PEER, burst_len(burst));
            0
        };
        let Some(taken) = self.seat.try_take() else { return Ok(nobody()) };
        let Some(outgoing) = taken.as_ref() else { return Ok(nobody()) };
        Ok(with(outgoing, |outgoing| self.send(outgoing, burst)).unwrap_or(0))
    }

    fn reclaim(&mut self, cache: &mut Cache) -> bool {
        let Some(taken) = self.seat.try_take() else { return false };
        let Some(outgoing) = taken.as_ref() else { return false };
        let reclaimed = with(outgoing, |outgoing| match &mut outgoing.ring {
            TxRing::Zero(ring) if !outgoing.broken => match ring.reclaim(cache) {
                Ok(out) => out,
                Err(fault) => {
                    self.counts.add(count::TX_FAULTS, 1);
                    outgoing.faults.tell(fault);
                    outgoing.broken = true;
                    false
                }
            },
            _ => false,
        });
        reclaimed.unwrap_or(true)
    }
}

fn burst_len(burst: &TxBurst<'_>) -> u64 {
    burst.len() as u64
}
