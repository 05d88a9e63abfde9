//! The receive queue: packets lie in the router's cells already, and cells for more are given to the kernel.

use super::partial::Transport;
use super::ring::Ring;
use super::socket::Socket;
use super::{Counts, count};
use crate::segment::{self, Inbound};
use millrace_engine::device::{RxBurst, RxQueue, Wake};
use millrace_engine::{CELL, Cache, Part, Pool};
use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Asking for the device's state costs a system call; it is asked for once in so many empty polls.
const CHECK_EVERY: u32 = 256;
/// After so many empty polls there is time to give the kernel all cells that it may have.
const REST: u32 = 16;
/// Cells given to the kernel at once, at least.
const REFILL: usize = 64;
/// The most cells of a packet: 64 KiB, which is what the kernel's segmentation makes, and its headers.
const MOST_PARTS: usize = 40;
/// How many packets ahead the start of a packet is fetched into the cache.
const AHEAD: u32 = 8;
/// Ethernet header and two tags.
const LINK_HEADERS: usize = 14 + 8;

#[repr(align(128))]
pub(super) struct Receiver {
    ring: Ring<libc::xdp_desc>,
    fill: Ring<u64>,
    base: NonNull<u8>,
    pool: &'static Pool,
    fd: RawFd,
    /// Cells that the kernel has from us, those in the receive ring included.
    out: u32,
    empty_polls: u32,
    busy_poll: bool,
    /// Senders may have left work to hardware that isn't there.
    partial: bool,
    /// Pieces of a packet that isn't complete yet, and whether it is to be dropped.
    chain: Vec<Part>,
    dropping: bool,
    /// A packet that is being cut, and did not fit into the last burst.
    cutting: Option<Inbound>,
    large: Vec<u8>,
    /// Largest IP packet of the device.
    mtu: Arc<AtomicU32>,
    counts: Arc<Counts>,
    socket: Arc<Socket>,
}

// SAFETY: `base` is the pool's region, which is for all threads; what a cell holds is its owner's.
unsafe impl Send for Receiver {}

impl Receiver {
    pub fn new(socket: Arc<Socket>, partial: bool, mtu: Arc<AtomicU32>, counts: Arc<Counts>) -> io::Result<Receiver> {
        let (ring, fill) = socket.receiving()?;
        let pool = socket.pool;
        let mut receiver = Receiver {
            ring,
            fill,
            base: pool.region().base(),
            pool,
            fd: socket.fd(),
            out: 0,
            empty_polls: 0,
            busy_poll: socket.busy_poll,
            partial,
            chain: Vec::with_capacity(MOST_PARTS),
            dropping: false,
            cutting: None,
            large: Vec::new(),
            mtu,
            counts,
            socket,
        };
        let mut cells = vec![0; receiver.fill.size() as usize];
        let n = pool.take(&mut cells);
        receiver.give(&cells[..n]);
        receiver.socket.connect()?;
        Ok(receiver)
    }

    /// Gives cells to the kernel.
    #[inline]
    fn give(&mut self, cells: &[u32]) {
        for cell in cells {
            self.socket.filling.give(*cell);
            self.fill.write(Pool::offset_of(*cell) as u64);
        }
        self.fill.publish();
        self.out += cells.len() as u32;
    }

    /// Replaces the cells that came back with packets.
    #[inline]
    fn refill(&mut self, cache: &mut Cache, at_least: usize) {
        // The fill ring has room for all that may be out, and the receive ring for all that may come of it.
        let mut lacking = (self.fill.size() - self.out) as usize;
        while lacking >= at_least {
            let mut cells = [0; 4 * REFILL];
            let wanted = lacking.min(cells.len());
            let n = cache.take_many(&mut cells[..wanted]);
            self.give(&cells[..n]);
            if n < wanted {
                break;
            }
            lacking -= n;
        }
        if self.fill.needs_wakeup() {
            self.socket.receive();
        }
    }

    /// Where the next piece of a packet lies.
    #[inline(always)]
    fn part(&mut self, piece: libc::xdp_desc) -> Option<Part> {
        // Chunks at any address: where the chunk starts is told apart from where in it the packet does.
        let address = (piece.addr & ((1 << 48) - 1)) + (piece.addr >> 48);
        let (index, offset) = self.pool.at(address as usize)?;
        self.out -= u32::from(self.socket.filling.take(index));
        Some(Part { index, offset: offset as u16, len: piece.len as u16 })
    }

    /// The bytes of a piece.
    ///
    /// # Safety
    /// The cell is ours, and nobody writes to it while the bytes are looked at.
    #[inline(always)]
    unsafe fn bytes<'a>(&self, part: Part) -> &'a [u8] {
        let len = usize::from(part.len).min(CELL.saturating_sub(part.offset.into()));
        // SAFETY: below the pool's count (`part`), and within the cell.
        unsafe {
            let start = self.base.add(Pool::offset_of(part.index) + usize::from(part.offset));
            std::slice::from_raw_parts(start.as_ptr(), len)
        }
    }

    /// Puts two bytes into a piece, which is ours.
    fn write(&self, part: Part, at: usize, bytes: [u8; 2]) {
        let start = usize::from(part.offset) + at;
        if at + 2 <= usize::from(part.len) && start + 2 <= CELL {
            // SAFETY: within a cell that is ours, into which nobody looks now.
            unsafe { self.base.add(Pool::offset_of(part.index) + start).cast().write_unaligned(bytes) };
        }
    }

    /// Brings the start of a packet further on towards the cache: another processor has written it.
    #[inline(always)]
    fn fetch_ahead(&self) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        if let Some(next) = self.ring.ahead(AHEAD) {
            let at = (next.addr & ((1 << 48) - 1)) + (next.addr >> 48);
            // SAFETY: a prefetch never faults; wrapping arithmetic makes no claim about the address.
            unsafe { _mm_prefetch(self.base.as_ptr().wrapping_add(at as usize).cast(), _MM_HINT_T0) };
        }
    }

    /// A packet of one piece.
    #[inline(always)]
    fn single(&mut self, part: Part, burst: &mut RxBurst<'_>) {
        if self.partial {
            // SAFETY: the kernel is done with the cell.
            let head = unsafe { self.bytes(part) };
            if let Some(found) = Transport::find(head)
                && found.looks_partial(head)
            {
                self.complete(found, &[part]);
            }
        }
        // SAFETY: the kernel is done with the cell, which was ours.
        if !unsafe { burst.adopt(part) } {
            self.counts.add(count::MALFORMED, 1);
            // SAFETY: not adopted, so still ours.
            unsafe { burst.cache().put(&[part.index]) };
        }
    }

    /// Fills in a checksum that the sender has left out.
    #[cold]
    fn complete(&self, found: Transport, parts: &[Part]) {
        // SAFETY: the kernel is done with the cells; they are written to afterwards.
        let pieces = parts.iter().map(|part| unsafe { self.bytes(*part) });
        if let (Some((at, checksum)), Some(head)) = (found.missing(pieces), parts.first()) {
            self.write(*head, at, checksum);
            self.counts.add(count::CHECKSUMS, 1);
        }
    }

    /// A piece of a packet of several; its last when `ends`.
    #[cold]
    fn piece(&mut self, part: Part, ends: bool, burst: &mut RxBurst<'_>) {
        self.dropping |= self.chain.len() == MOST_PARTS || usize::from(part.offset) + usize::from(part.len) > CELL;
        if self.dropping {
            // SAFETY: given back by the kernel, so ours.
            unsafe { burst.cache().put(&[part.index]) };
        } else {
            self.chain.push(part);
        }
        if !ends {
            return;
        }
        let mut chain = std::mem::take(&mut self.chain);
        if std::mem::take(&mut self.dropping) {
            self.counts.add(count::MALFORMED, 1);
        } else if self.whole(&chain, burst) {
            chain.clear();
        }
        for part in chain.drain(..) {
            // SAFETY: given back by the kernel, so ours.
            unsafe { burst.cache().put(&[part.index]) };
        }
        self.chain = chain;
    }

    /// A packet of several pieces; whether its cells are in the burst now.
    fn whole(&mut self, chain: &[Part], burst: &mut RxBurst<'_>) -> bool {
        let Some(first) = chain.first() else { return false };
        // SAFETY: the kernel is done with the cell.
        let head = unsafe { self.bytes(*first) };
        let found = Transport::find(head);
        let len: usize = chain.iter().map(|part| usize::from(part.len)).sum();
        let mtu = self.mtu.load(Relaxed) as usize;
        if len <= mtu + LINK_HEADERS {
            if let Some(found) = found.filter(|found| self.partial && found.looks_partial(head)) {
                self.complete(found, chain);
            }
            // SAFETY: the kernel is done with the cells, which were ours.
            return unsafe { burst.adopt_chain(chain) };
        }
        let Some(offload) = found.and_then(|found| found.too_long(head, mtu)) else {
            self.counts.add(count::TOO_LONG, 1);
            return false;
        };
        self.large.clear();
        for part in chain {
            // SAFETY: as above.
            self.large.extend_from_slice(unsafe { self.bytes(*part) });
        }
        match segment::prepare(offload, &mut self.large) {
            Ok(cutter) => {
                let inbound = Inbound::new(cutter, None);
                self.counts.add(count::SEGMENTS, inbound.packets() as u64);
                self.cutting = Some(inbound);
                self.cut(burst);
            }
            Err(_) => self.counts.add(count::MALFORMED, 1),
        }
        false
    }

    /// Goes on with the packet that is being cut. False when the burst is full.
    #[cold]
    fn cut(&mut self, burst: &mut RxBurst<'_>) -> bool {
        let done = self.cutting.as_mut().is_none_or(|inbound| inbound.push(&self.large, burst));
        if done {
            self.cutting = None;
        }
        done
    }

    /// Nothing came.
    #[inline]
    fn idle(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        if self.busy_poll {
            self.socket.receive();
        }
        self.empty_polls += 1;
        if self.empty_polls == REST {
            // All of it: after a time without free cells nothing would come any more.
            self.refill(burst.cache(), 1);
        }
        if self.empty_polls < CHECK_EVERY {
            return Ok(());
        }
        self.empty_polls = 0;
        self.socket.check()
    }
}

impl RxQueue for Receiver {
    #[inline]
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        if self.cutting.is_some() && !self.cut(burst) {
            return Ok(());
        }
        if self.ring.ready() == 0 {
            return self.idle(burst);
        }
        self.empty_polls = 0;
        let mut packets = 0;
        while burst.room() > 0 && self.cutting.is_none() {
            let Some(piece) = self.ring.read() else { break };
            self.fetch_ahead();
            let ends = piece.options & libc::XDP_PKT_CONTD == 0;
            let Some(part) = self.part(piece) else {
                self.counts.add(count::MALFORMED, 1);
                continue;
            };
            if ends && self.chain.is_empty() && !self.dropping {
                self.single(part, burst);
            } else {
                self.piece(part, ends, burst);
            }
            packets += u64::from(ends);
        }
        self.ring.release();
        self.counts.add(count::RX_PACKETS, packets);
        self.refill(burst.cache(), REFILL);
        Ok(())
    }

    fn wake(&self) -> Wake {
        Wake::Fd(self.fd)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let left: Vec<u32> = self.chain.drain(..).map(|part| part.index).collect();
        // SAFETY: given back by the kernel, and in no packet yet.
        unsafe { self.pool.put(&left) };
    }
}
