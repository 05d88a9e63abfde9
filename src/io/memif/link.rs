//! An interface, as its workers' queues, the thread that talks to its peer and control share it.

use super::queue::{Faults, Incoming, Interrupt, Outgoing, Receiver, RxRing, Sender, SharedOutgoing, TxRing};
use super::ring::Fault;
use super::side::Regions;
use super::{Board, Counts, Spec, count};
use crate::bell::Bell;
use crate::device::QueuePair;
use crate::seat::Seat;
use crate::sys::check;
use millrace_engine::{Pool, Waker};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How often a connection is looked after although nothing happened.
pub(super) const WATCH: Duration = Duration::from_secs(1);

/// An eventfd that never makes its writer wait.
pub(super) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: numbers only.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Where the rings of one queue pair lie.
struct Place {
    rx: Seat<Incoming>,
    tx: Seat<SharedOutgoing>,
    bell: Bell,
    /// Wakes a worker that sleeps, to see what changed.
    kick: OwnedFd,
}

/// What is known of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Peer {
    /// What the program calls itself.
    pub program: String,
    /// What it calls its interface.
    pub interface: String,
    /// Its process, where that can be known.
    pub pid: u32,
    pub rings_in: usize,
    pub rings_out: usize,
    pub ring_size: u16,
    pub regions: usize,
    /// Bytes of memory in its regions.
    pub shared: usize,
}

/// What control is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    pub peer: Option<Peer>,
    /// What is waited for, while there is no peer.
    pub waiting: String,
    /// Why the last connection ended, or the last that tried was refused.
    pub last: Option<String>,
    /// The interface goes away, and the thread has let go of it.
    closed: bool,
    closing: bool,
}

/// The interface.
pub(super) struct Interface {
    pub name: String,
    pub spec: Spec,
    pub pool: &'static Pool,
    changed: Waker,
    /// What the thread counts.
    counts: Arc<Counts>,
    places: OnceLock<Vec<Place>>,
    status: Mutex<Status>,
    closed: Condvar,
}

impl Interface {
    pub fn new(name: &str, spec: &Spec, pool: &'static Pool, changed: Waker, board: &Board) -> Interface {
        Interface {
            name: name.to_owned(),
            spec: spec.clone(),
            pool,
            changed,
            counts: board.queue(),
            places: OnceLock::new(),
            status: Mutex::default(),
            closed: Condvar::new(),
        }
    }

    /// Makes `count` queue pairs. From here on there may be a peer.
    pub fn queues(&self, count: usize, board: &Board) -> io::Result<Vec<QueuePair>> {
        let mut places = Vec::new();
        let mut pairs = Vec::new();
        for _ in 0..count {
            let place = Place { rx: Seat::new(), tx: Seat::new(), bell: Bell::new()?, kick: eventfd()? };
            place.bell.add(place.kick.as_fd())?;
            let counts = board.queue();
            pairs.push(QueuePair {
                rx: Some(Box::new(Receiver::new(place.rx.clone(), place.bell.clone(), counts.clone()))),
                tx: Some(Box::new(Sender::new(place.tx.clone(), counts))),
            });
            places.push(place);
        }
        self.places.set(places).map_err(|_| io::Error::other("the queues were made before"))?;
        Ok(pairs)
    }

    /// How many queue pairs there are; 0 until they are made.
    pub fn pairs(&self) -> usize {
        self.places.get().map_or(0, Vec::len)
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Says what is waited for.
    pub fn wait_for(&self, what: String) {
        self.lock().waiting = what;
    }

    /// Says that somebody was refused, or why a connection didn't come to be.
    pub fn refused(&self, why: String) {
        self.lock().last = Some(why);
        self.changed.wake();
    }

    /// Has the thread let go of it, and waits until it has.
    pub fn close(&self, waker: &Waker) {
        let mut status = self.lock();
        status.closing = true;
        waker.wake();
        while !status.closed {
            status = self.closed.wait(status).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// The thread has let go of it.
    pub fn has_closed(&self) {
        self.lock().closed = true;
        self.closed.notify_all();
    }
}

/// Rings that are ready to be used, each with the descriptor of its interrupts.
pub(super) struct Rings {
    pub rx: Vec<(RxRing, OwnedFd)>,
    pub tx: Vec<(TxRing, OwnedFd)>,
    /// The peer's memory, if it is the peer's.
    pub regions: Option<Arc<Regions>>,
}

/// A connection whose rings are in use; they are taken from the workers when it is dropped.
pub(super) struct Link {
    interface: Arc<Interface>,
    faults: Arc<Faults>,
    regions: Option<Arc<Regions>>,
    /// The descriptors behind the bells.
    bells: Vec<(usize, OwnedFd)>,
    /// What the peer sleeps on.
    interrupts: Vec<Arc<Interrupt>>,
    why: String,
}

impl Link {
    /// Gives the rings to the workers.
    ///
    /// # Errors
    /// When a descriptor can't be waited for.
    pub fn up(interface: &Arc<Interface>, rings: Rings, waker: &Waker, peer: Peer) -> io::Result<Link> {
        let faults = Arc::new(Faults::new(waker.clone()));
        let places = interface.places.get().map(Vec::as_slice).unwrap_or_default();
        let mut link = Link {
            interface: interface.clone(),
            faults,
            regions: rings.regions,
            bells: Vec::new(),
            interrupts: Vec::new(),
            why: String::new(),
        };
        let mut incoming: Vec<Vec<RxRing>> = places.iter().map(|_| Vec::new()).collect();
        for (number, (ring, interrupt)) in rings.rx.into_iter().enumerate() {
            let at = number % places.len().max(1);
            if let (Some(place), Some(rings)) = (places.get(at), incoming.get_mut(at)) {
                place.bell.add(interrupt.as_fd())?;
                link.bells.push((at, interrupt));
                rings.push(ring);
            }
        }
        let outgoing: Vec<SharedOutgoing> = (rings.tx.into_iter())
            .map(|(ring, interrupt)| {
                let (interrupt, faults) = (Arc::new(Interrupt::new(interrupt)), link.faults.clone());
                link.interrupts.push(interrupt.clone());
                Arc::new(Mutex::new(Outgoing { ring, interrupt, faults, broken: false }))
            })
            .collect();
        for ((at, place), rings) in places.iter().enumerate().zip(incoming) {
            place.rx.put(Incoming { rings, faults: link.faults.clone(), masked: false, broken: false });
            if let Some(outgoing) = outgoing.get(at % outgoing.len().max(1)) {
                place.tx.put(outgoing.clone());
            }
        }
        {
            let mut status = interface.lock();
            status.peer = Some(peer);
            status.last = None;
        }
        link.kick();
        interface.counts.add(count::CONNECTIONS, 1);
        interface.changed.wake();
        Ok(link)
    }

    /// What the peer did wrong, if it did. To be asked every [`WATCH`].
    pub fn fault(&self) -> Option<Fault> {
        let mut stuck = self.interrupts.iter().filter(|interrupt| interrupt.is_stuck()).peekable();
        if stuck.peek().is_some() {
            stuck.for_each(|interrupt| interrupt.free());
            return Some(Fault::Interrupts);
        }
        let lost = self.regions.as_ref().is_some_and(|regions| regions.list.iter().any(|region| region.lost()));
        if lost { Some(Fault::Memory) } else { self.faults.first() }
    }

    pub fn interface(&self) -> &Arc<Interface> {
        &self.interface
    }

    /// Takes the rings from the workers, and says why.
    pub fn down(mut self, why: String) {
        self.why = why;
    }

    fn kick(&self) {
        let one = 1u64;
        for place in self.interface.places.get().into_iter().flatten() {
            // SAFETY: eight bytes that live; it is nobody's but ours.
            unsafe { libc::write(place.kick.as_raw_fd(), (&raw const one).cast(), 8) };
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let places = self.interface.places.get().map(Vec::as_slice).unwrap_or_default();
        for (at, interrupt) in &self.bells {
            if let Some(place) = places.get(*at) {
                place.bell.remove(interrupt.as_fd());
            }
        }
        for place in places {
            drop(place.rx.remove());
            drop(place.tx.remove());
        }
        {
            let mut status = self.interface.lock();
            status.peer = None;
            status.last = Some(std::mem::take(&mut self.why));
        }
        self.interface.changed.wake();
    }
}
