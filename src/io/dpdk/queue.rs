//! What workers poll and send by.

use super::count;
use super::log::explain;
use super::pool::Known;
use crate::counts::Counts;
use crate::seat::Seat;
use crate::sys as os;
use dpdk_sys as sys;
use millrace_engine::device::{RxBurst, RxQueue, TxBurst, TxQueue, Wake};
use millrace_engine::{CELL, Cache, Part, Pool, clock};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::from_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub(super) type Numbers = Counts<{ count::NAMES.len() }>;

/// Packets that a driver is asked for at once.
const POLL: usize = 64;
/// Packets that the graph is given at once, at most: so many mbufs and their cells' metadata (256 bytes a packet) stay in the first-level
/// cache from the driver's hands back into them.
const TURN: usize = 128;
/// Where a packet's bytes start in a cell that it is copied into.
const START: usize = 128;
/// The first and the longest sleep of a worker while nothing comes by a queue without an interrupt, in nanoseconds.
const NAPS: (u64, u64) = (20_000, 1_000_000);

/// The queue of a port that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub port: u16,
    pub queue: u16,
    /// Receiving: the next packet can wake the worker.
    pub interrupts: bool,
    /// Sending: packets may lie in several cells.
    pub segments: bool,
}

/// What the queue of a worker has of its device.
pub(super) struct Place {
    pub pool: Known,
    pub seat: Seat<Live>,
    pub gone: Arc<AtomicBool>,
    pub counts: Arc<Numbers>,
}

impl Place {
    fn gone(&self) -> io::Result<()> {
        if self.gone.load(Relaxed) { Err(io::Error::from_raw_os_error(libc::ENODEV)) } else { Ok(()) }
    }
}

/// What DPDK's interrupts of one queue make readable.
#[derive(Clone, Debug)]
pub(super) struct Interrupts(Arc<OwnedFd>);

impl Interrupts {
    pub fn new() -> io::Result<Interrupts> {
        // SAFETY: no pointers are passed.
        let fd = os::check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel just gave us this descriptor.
        Ok(Interrupts(Arc::new(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// Has the interrupts of a queue rung here; whether it has any.
    pub fn open(&self, port: u16, queue: u16) -> bool {
        // SAFETY: a queue that is set up, and a descriptor that lives as long as it.
        let opened = explain(|| unsafe { sys::mr_interrupt_open(port, queue, self.0.as_raw_fd()) });
        // SAFETY: as above; no worker has the queue yet.
        opened.is_ok() && unsafe { arm(port, queue) && disarm(port, queue, self) }
    }
}

/// # Safety
/// The queue is set up, and the caller's.
unsafe fn arm(port: u16, queue: u16) -> bool {
    // SAFETY: as the caller says.
    unsafe { sys::mr_interrupt_arm(port, queue) == 0 }
}

/// # Safety
/// As [`arm`].
unsafe fn disarm(port: u16, queue: u16, interrupts: &Interrupts) -> bool {
    // SAFETY: as the caller says.
    unsafe { sys::mr_interrupt_disarm(port, queue, interrupts.0.as_raw_fd()) };
    true
}

/// Makes the worker's thread known to DPDK, which gives drivers a place of its own in their tables. They work without.
fn meet(met: &mut bool) {
    if !*met {
        *met = true;
        // SAFETY: the environment runs, or there would be no queue.
        unsafe { sys::mr_thread_register() };
    }
}

pub(super) struct Receiver {
    place: Place,
    parts: Box<[sys::Part; sys::PARTS]>,
    met: bool,
    interrupts: Interrupts,
    armed: Cell<bool>,
    naps: Cell<u32>,
}

impl Receiver {
    pub fn new(place: Place, interrupts: Interrupts) -> Receiver {
        let parts = Box::new([sys::Part::default(); sys::PARTS]);
        Receiver { place, parts, met: false, interrupts, armed: Cell::new(false), naps: Cell::new(0) }
    }

    /// Adds what came to the burst.
    #[inline(always)]
    fn adopt(burst: &mut RxBurst<'_>, parts: &[sys::Part], counts: &Numbers) {
        let mut rest = parts;
        while let [first, behind @ ..] = rest {
            if first.index & sys::MORE == 0 {
                rest = behind;
                // SAFETY: the driver has given us the mbuf, and with it its cell.
                if !unsafe { burst.adopt(part(first)) } {
                    refuse(burst, std::slice::from_ref(first), counts);
                }
            } else {
                let n = parts_of_one(rest);
                let (chain, behind) = rest.split_at(n);
                rest = behind;
                adopt_chain(burst, chain, counts);
            }
        }
    }
}

#[inline(always)]
fn part(of: &sys::Part) -> Part {
    Part { index: of.index & !sys::MORE, offset: of.offset, len: of.len }
}

/// How many parts the first packet has.
fn parts_of_one(parts: &[sys::Part]) -> usize {
    parts.iter().position(|part| part.index & sys::MORE == 0).map_or(parts.len(), |last| last + 1)
}

#[cold]
fn adopt_chain(burst: &mut RxBurst<'_>, chain: &[sys::Part], counts: &Numbers) {
    let pieces: Vec<Part> = chain.iter().map(part).collect();
    // SAFETY: the driver has given us the mbufs, and with them their cells.
    if !unsafe { burst.adopt_chain(&pieces) } {
        refuse(burst, chain, counts);
    }
}

/// Gives the cells of a packet back that a driver described as no packet can be.
#[cold]
fn refuse(burst: &mut RxBurst<'_>, chain: &[sys::Part], counts: &Numbers) {
    counts.add(count::RX_REFUSED, 1);
    for piece in chain {
        // SAFETY: the driver has given us the cell, and the burst has not taken it.
        unsafe { burst.cache().put(&[piece.index & !sys::MORE]) };
    }
}

impl RxQueue for Receiver {
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        meet(&mut self.met);
        let Some(taken) = self.place.seat.try_take() else { return self.place.gone() };
        let Some(live) = *taken else { return Ok(()) };
        if self.armed.take() {
            // SAFETY: the seat is ours, so the queue runs and is ours.
            unsafe { disarm(live.port, live.queue, &self.interrupts) };
        }
        let mut received = sys::Received::default();
        let mut room = burst.room().min(TURN);
        loop {
            let most = room.min(POLL);
            let cache = from_mut(burst.cache()).cast();
            let shim = self.place.pool.shim();
            // SAFETY: as above; the cache is this thread's and used by nobody else during the call; `parts` has room for `PARTS`.
            unsafe {
                sys::mr_rx(shim, cache, live.port, live.queue, most as u16, self.parts.as_mut_ptr(), &mut received)
            };
            let parts = self.parts.get(..received.parts as usize).unwrap_or_default();
            Self::adopt(burst, parts, &self.place.counts);
            let came = received.packets as usize;
            if came > 0 {
                self.naps.set(0);
            }
            room -= came.min(room);
            if came < most || room == 0 {
                break;
            }
        }
        if received.bad_ip | received.bad_l4 | received.dropped | received.starved != 0 {
            self.account(&received, burst);
        }
        self.place.gone()
    }

    fn wake(&self) -> Wake {
        let soon = |nanos| Wake::At(clock::now() + nanos);
        let Some(taken) = self.place.seat.try_take() else { return soon(NAPS.1) };
        let Some(live) = *taken else { return soon(NAPS.1) };
        // SAFETY: the seat is ours, so the queue runs and is ours.
        if live.interrupts && unsafe { arm(live.port, live.queue) } {
            self.armed.set(true);
            // What came before that has not rung.
            // SAFETY: as above.
            let waiting = unsafe { sys::mr_rx_waiting(live.port, live.queue) };
            return if waiting > 0 { Wake::Poll } else { Wake::Fd(self.interrupts.0.as_raw_fd()) };
        }
        let naps = self.naps.get();
        self.naps.set((naps + 1).min(16));
        soon((NAPS.0 << naps).min(NAPS.1))
    }
}

impl Receiver {
    #[cold]
    fn account(&self, received: &sys::Received, burst: &mut RxBurst<'_>) {
        self.place.counts.add(count::RX_BAD_IP, received.bad_ip.into());
        self.place.counts.add(count::RX_BAD_L4, received.bad_l4.into());
        self.place.counts.add(count::RX_REFUSED, received.dropped.into());
        burst.starved(received.starved.into());
    }
}

pub(super) struct Sender {
    place: Place,
    parts: Box<[sys::Part; sys::PARTS]>,
    met: bool,
    /// Whether the driver gives back what it has sent when it is asked.
    reclaims: bool,
    /// How often in a row it had nothing to give back.
    quiet: u8,
}

/// What became of a packet that lies in several cells.
enum Shape {
    /// It goes as it is.
    Whole,
    /// It was copied into this cell, and goes from there.
    Copied(u32),
    /// It can't go.
    Lost,
}

impl Sender {
    pub fn new(place: Place) -> Sender {
        let parts = Box::new([sys::Part::default(); sys::PARTS]);
        Sender { place, parts, met: false, reclaims: true, quiet: 0 }
    }
}

fn raw(part: &Part) -> sys::Part {
    sys::Part { index: part.index, offset: part.offset, len: part.len }
}

/// Sends what these parts make; how many packets.
#[inline(always)]
fn send(place: &Place, live: Live, cache: &mut Cache, parts: &[sys::Part]) -> usize {
    let (cache, n) = (from_mut(cache).cast(), parts.len() as u32);
    // SAFETY: the caller has the seat, so the queue runs and is ours; the cache is this thread's; the burst owns the parts' cells.
    unsafe { sys::mr_tx(place.pool.shim(), cache, live.port, live.queue, parts.as_ptr(), n) as usize }
}

/// Describes the packet at `position` to the driver; what becomes of it, and in how many parts. None: there is no room left.
fn shape(
    place: &Place,
    room: &mut [sys::Part],
    burst: &mut TxBurst<'_>,
    position: usize,
    segments: bool,
) -> Option<(Shape, usize)> {
    let packet = burst.packet(position)?;
    let (total, cells) = (packet.total_len(), packet.segments().count());
    let pieces: Vec<Part> = packet.parts().collect();
    // A cell without bytes can't be said to a device, which is to give it back.
    if (cells == 1 || segments) && pieces.len() == cells {
        for (at, (to, piece)) in room.get_mut(..cells)?.iter_mut().zip(&pieces).enumerate() {
            *to = raw(piece);
            to.index |= if at + 1 < cells { sys::MORE } else { 0 };
        }
        return Some((Shape::Whole, cells));
    }
    if total + START > CELL || total == 0 {
        place.counts.add(count::TX_LONG, 1);
        return Some((Shape::Lost, 0));
    }
    let to = room.first_mut()?;
    let Some(index) = burst.cache().take() else { return Some((Shape::Lost, 0)) };
    // SAFETY: the cell was just taken, and lies in the region with all of its bytes.
    let cell = unsafe { place.pool.pool().region().base().add(Pool::offset_of(index)) };
    let mut end = START;
    for segment in burst.packet(position).iter().flat_map(|packet| packet.segments()) {
        // SAFETY: `total + START` bytes fit, and the packet's cells are others.
        unsafe { std::ptr::copy_nonoverlapping(segment.as_ptr(), cell.add(end).as_ptr(), segment.len()) };
        end += segment.len();
    }
    *to = sys::Part { index, offset: START as u16, len: total as u16 };
    place.counts.add(count::TX_COPIED, 1);
    Some((Shape::Copied(index), 1))
}

/// As [`tx`](TxQueue::tx), when a packet lies in several cells.
#[cold]
fn tx_chains(place: &Place, live: Live, parts: &mut [sys::Part], burst: &mut TxBurst<'_>) -> usize {
    let (mut shapes, mut at) = (Vec::with_capacity(burst.len()), 0);
    for position in 0..burst.len().min(sys::BURST) {
        let room = parts.get_mut(at..).unwrap_or_default();
        let Some((shape, n)) = shape(place, room, burst, position, live.segments) else { break };
        shapes.push(shape);
        at += n;
    }
    let mut left = send(place, live, burst.cache(), parts.get(..at).unwrap_or_default());
    let mut done = 0;
    for (position, shape) in shapes.iter().enumerate() {
        match shape {
            Shape::Lost => burst.lose(position),
            _ if left == 0 => break,
            _ => left -= 1,
        }
        done = position + 1;
    }
    // From here on the burst's packets are looked at no more.
    burst.keep(done);
    for (position, shape) in shapes.iter().enumerate() {
        let original = burst.indices().get(position..=position).unwrap_or_default();
        match shape {
            // SAFETY: taken for the copy, which was not sent.
            Shape::Copied(index) if position >= done => unsafe { burst.cache().put(&[*index]) },
            // SAFETY: kept, and not what was sent.
            Shape::Copied(_) | Shape::Lost if position < done => unsafe { burst.cache().put_packets(original) },
            _ => {}
        }
    }
    done
}

impl TxQueue for Sender {
    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        meet(&mut self.met);
        let Some(taken) = self.place.seat.try_take() else { return self.place.gone().map(|()| 0) };
        let Some(live) = *taken else { return Ok(0) };
        self.quiet = 0;
        let all = burst.len().min(sys::BURST);
        let mut plain = true;
        for (position, to) in (0..all).zip(self.parts.iter_mut()) {
            let Some(packet) = burst.packet(position) else { break };
            plain &= !packet.chained() & !packet.is_empty();
            *to = raw(&packet.part());
        }
        let done = if plain {
            let sent = send(&self.place, live, burst.cache(), self.parts.get(..all).unwrap_or_default());
            burst.keep(sent);
            sent
        } else {
            tx_chains(&self.place, live, &mut *self.parts, burst)
        };
        if done < burst.len() {
            self.place.counts.add(count::TX_FULL, (burst.len() - done) as u64);
        }
        Ok(done)
    }

    fn reclaim(&mut self, cache: &mut Cache) -> bool {
        if !self.reclaims || self.quiet > 1 {
            return false;
        }
        let Some(taken) = self.place.seat.try_take() else { return false };
        let Some(live) = *taken else { return false };
        let cache = from_mut(cache).cast();
        // SAFETY: the seat is ours, so the queue runs and is ours; the cache is this thread's.
        let freed = unsafe { sys::mr_tx_reclaim(self.place.pool.shim(), cache, live.port, live.queue) };
        self.reclaims = freed >= 0;
        self.quiet = if freed > 0 { 0 } else { self.quiet + 1 };
        self.reclaims && self.quiet < 2
    }
}
