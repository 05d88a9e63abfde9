//! The transmit queue: packets stay in their cells until the kernel has sent them.

use super::ring::Ring;
use super::socket::Socket;
use super::{Counts, count};
use millrace_engine::device::{TxBurst, TxQueue};
use millrace_engine::{CELL, Cache, Part, Pool, VECTOR};
use std::io;
use std::sync::Arc;

/// The most pieces of a packet: what the kernel makes of them is a head and 17 fragments.
const MOST_PARTS: usize = 16;

#[repr(align(128))]
pub(super) struct Sender {
    ring: Ring<libc::xdp_desc>,
    done: Ring<u64>,
    pool: &'static Pool,
    /// Pieces that were written to the ring and have not come back.
    out: u32,
    /// How far the ring was filled when a packet of the burst had been written.
    ends: Box<[u32; VECTOR]>,
    /// Packets of a burst that went out in other cells.
    copied: Vec<u32>,
    parts: Vec<Part>,
    /// How far the ring was read each time that the kernel could not send a packet.
    dropped: Vec<u32>,
    most_parts: usize,
    zero_copy: bool,
    counts: Arc<Counts>,
    socket: Arc<Socket>,
}

/// How far the kernel has come.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Kick {
    /// All is sent, or will be without us.
    Done,
    /// Something waits for another call.
    Left,
    /// The device is switched off; nothing was looked at.
    Down,
}

impl Sender {
    pub fn new(socket: Arc<Socket>, counts: Arc<Counts>) -> io::Result<Sender> {
        let (ring, done) = socket.transmitting()?;
        Ok(Sender {
            ring,
            done,
            pool: socket.pool,
            out: 0,
            ends: Box::new([0; VECTOR]),
            copied: Vec::with_capacity(VECTOR),
            parts: Vec::with_capacity(MOST_PARTS + 1),
            dropped: Vec::with_capacity(VECTOR),
            most_parts: if socket.terms.several_pieces { MOST_PARTS } else { 1 },
            zero_copy: socket.terms.zero_copy,
            counts,
            socket,
        })
    }

    /// Takes back the cells that were sent.
    #[inline]
    fn reap(&mut self, cache: &mut Cache) {
        while self.done.ready() > 0 {
            let mut cells = [0; VECTOR];
            let mut n = 0;
            while n < VECTOR
                && let Some(address) = self.done.read()
            {
                self.out -= 1;
                if let Some((cell, _)) = self.pool.at(address as usize)
                    && self.socket.sending.take(cell)
                {
                    cells[n] = cell;
                    n += 1;
                }
            }
            self.done.release();
            // SAFETY: they were the kernel's until now, and nobody else's.
            unsafe { cache.put(&cells[..n]) };
        }
    }

    #[inline(always)]
    fn write(&mut self, part: Part, more: bool) {
        self.socket.sending.give(part.index);
        self.ring.write(libc::xdp_desc {
            addr: (Pool::offset_of(part.index) + usize::from(part.offset)) as u64,
            len: part.len.into(),
            options: if more { libc::XDP_PKT_CONTD } else { 0 },
        });
        self.out += 1;
    }

    /// Writes a packet to the ring, where `room` slots are free. False when these are too few.
    #[inline(always)]
    fn put(&mut self, burst: &mut TxBurst<'_>, position: usize, room: u32) -> bool {
        let Some(packet) = burst.packet(position) else { return false };
        let mut parts = packet.parts();
        match (parts.next(), packet.chained()) {
            (Some(part), false) if room > 0 => self.write(part, false),
            (Some(_), false) => return false,
            _ => return self.put_chain(burst, position, room),
        }
        true
    }

    /// As [`put`](Self::put), for a packet of several cells, or of no bytes.
    #[cold]
    fn put_chain(&mut self, burst: &mut TxBurst<'_>, position: usize, room: u32) -> bool {
        let Some(packet) = burst.packet(position) else { return false };
        self.parts.clear();
        let most = self.most_parts;
        self.parts.extend(packet.parts().take(most + 1));
        let pieces = self.parts.len();
        // Cells without bytes can't be sent, but belong to the packet: then, too, others go.
        let as_it_is = pieces <= most && packet.segments().count() == pieces;
        let (len, needed) = (packet.total_len(), packet.total_len().div_ceil(CELL));
        let needed = if as_it_is { pieces } else { needed };
        if needed == 0 || needed > most {
            self.counts.add(count::TX_TOO_LONG, 1);
            burst.lose(position);
            self.copied.extend(burst.indices().get(position));
            return true;
        }
        if needed > room as usize {
            return false;
        }
        if as_it_is {
            for at in 0..pieces {
                self.write(self.parts[at], at + 1 < pieces);
            }
            return true;
        }
        self.put_copy(burst, position, len)
    }

    /// Sends a packet in fresh cells, in as few as there can be.
    fn put_copy(&mut self, burst: &mut TxBurst<'_>, position: usize, len: usize) -> bool {
        let needed = len.div_ceil(CELL);
        let mut cells = [0; MOST_PARTS];
        let taken = burst.cache().take_many(&mut cells[..needed]);
        let Some(packet) = burst.packet(position).filter(|_| taken == needed) else {
            // SAFETY: taken just now.
            unsafe { burst.cache().put(&cells[..taken]) };
            return false;
        };
        let (mut cell, mut filled) = (0, 0);
        for mut segment in packet.segments() {
            while !segment.is_empty() && cell < needed {
                let n = segment.len().min(CELL - filled);
                // SAFETY: within a cell that was taken just now, into which nobody else looks.
                unsafe {
                    let to = self.pool.region().base().add(Pool::offset_of(cells[cell]) + filled);
                    to.copy_from_nonoverlapping(std::ptr::NonNull::from(segment).cast(), n);
                }
                segment = &segment[n..];
                filled = (filled + n) % CELL;
                cell += usize::from(filled == 0);
            }
        }
        for (at, index) in cells[..needed].iter().enumerate() {
            let n = if at + 1 < needed { CELL } else { len - at * CELL };
            self.write(Part { index: *index, offset: 0, len: n as u16 }, at + 1 < needed);
        }
        self.counts.add(count::TX_COPIED, 1);
        self.copied.extend(burst.indices().get(position));
        true
    }

    /// Has the kernel send what is in the ring, and notes in `dropped` how far it was when it could not send a packet.
    fn kick(&mut self) -> io::Result<Kick> {
        if self.zero_copy && !self.ring.needs_wakeup() {
            return Ok(Kick::Done);
        }
        let start = self.ring.consumed();
        let mut seen = start;
        loop {
            self.counts.add(count::CALLS, 1);
            let error = match self.socket.send() {
                Ok(()) => None,
                Err(error) => error.raw_os_error(),
            };
            let came = self.ring.consumed();
            let went_on = came != seen;
            seen = came;
            match error {
                None => break,
                Some(libc::EINTR) => {}
                // One packet could not be sent, and is gone; the next may be.
                Some(libc::EBUSY) if went_on => self.dropped.push(came),
                // So many packets a call; otherwise the device or the memory of sockets is full.
                Some(libc::EAGAIN) if went_on => {}
                Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS) => break,
                Some(libc::ENETDOWN) => return Ok(if seen == start { Kick::Down } else { Kick::Left }),
                _ => return Err(self.socket.lost()),
            }
            if self.zero_copy || seen == self.ring.mine() {
                break;
            }
        }
        Ok(if self.zero_copy || seen == self.ring.mine() { Kick::Done } else { Kick::Left })
    }

    /// Takes back what was written from `start` on, which the kernel has not looked at and never will.
    #[cold]
    fn take_back(&mut self, start: u32, cache: &mut Cache) {
        while let Some(piece) = self.ring.take_back(start) {
            self.out -= 1;
            if let Some((cell, _)) = self.pool.at(piece.addr as usize)
                && self.socket.sending.take(cell)
            {
                // SAFETY: it was given to the kernel, which has not looked at it.
                unsafe { cache.put(&[cell]) };
            }
        }
        self.ring.publish();
    }

    /// Counts the packets, from `first` on, that the kernel could not send.
    #[cold]
    fn lose_dropped(&mut self, burst: &mut TxBurst<'_>, first: usize, end: usize) {
        self.counts.add(count::TX_FULL, self.dropped.len() as u64);
        for came in self.dropped.drain(..) {
            // Those of earlier bursts are not among these.
            let ends = self.ends.get(first..end).unwrap_or_default();
            if let Some(position) = ends.iter().position(|end| *end == came) {
                burst.lose(first + position);
            }
        }
    }
}

impl TxQueue for Sender {
    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        let count = burst.len().min(VECTOR);
        let mut at = 0;
        let result = loop {
            self.reap(burst.cache());
            let (first, start) = (at, self.ring.mine());
            while at < count {
                // What is on its way has to have room in the completion ring.
                let room = self.ring.free(MOST_PARTS as u32).min(self.done.size() - self.out);
                if !self.put(burst, at, room) {
                    break;
                }
                self.ends[at] = self.ring.mine();
                at += 1;
            }
            self.ring.publish();
            let kicked = self.kick();
            if !self.dropped.is_empty() {
                self.lose_dropped(burst, first, at);
            }
            let gone = kicked.is_err();
            // Where the device itself reads the ring, what is in there is sent when the device is switched on again.
            if gone || (matches!(kicked, Ok(Kick::Down)) && !self.zero_copy) {
                (first..at).for_each(|position| burst.lose(position));
                self.counts.add(count::TX_DOWN, (at - first) as u64);
                if !self.zero_copy {
                    self.take_back(start, burst.cache());
                }
            }
            if at == count || at == first || gone {
                break kicked;
            }
        };
        self.counts.add(count::TX_PACKETS, at as u64);
        if at < count && result.is_ok() {
            self.counts.add(count::TX_FULL, (count - at) as u64);
        }
        burst.keep(at);
        if !self.copied.is_empty() {
            // SAFETY: kept, and not in the kernel's hands: their copies are, or nothing.
            unsafe { burst.cache().put_packets(&self.copied) };
            self.copied.clear();
        }
        result.map(|_| at)
    }

    fn reclaim(&mut self, cache: &mut Cache) -> bool {
        if self.ring.consumed() != self.ring.mine() {
            // What is dropped now was counted as sent.
            let _ = self.kick();
            self.counts.add(count::TX_FULL, self.dropped.drain(..).len() as u64);
        }
        self.reap(cache);
        self.out > 0
    }
}
