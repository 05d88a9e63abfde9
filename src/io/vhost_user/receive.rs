//! Packets from the guest.

use super::chain::{self, Descriptor, Piece, Pieces, Violation};
use super::memory;
use super::ring::Ring;
use super::shared::Shared;
use super::{Counts, count};
use crate::segment::{self, Inbound, Offload, VNET_HEADER};
use millrace_engine::device::{RxBurst, RxQueue, Wake};
use millrace_engine::{DATA, HEADROOM, Part, Pool};
use std::cell::Cell;
use std::io;
use std::sync::Arc;

/// The longest packet that a guest's segmentation makes, with headers to spare.
const LARGEST: usize = (64 << 10) + 512;
/// The shortest frame that is worth a look: an Ethernet header.
const SHORTEST: usize = 14;
/// Chains that are looked at together, so that what one has to wait for comes while another is dealt with.
const BATCH: usize = 32;
/// Cells of the longest packet.
const CELLS: usize = LARGEST.div_ceil(DATA);

/// The receive queue of a worker: it looks after every `n`th ring from its own on.
#[repr(align(128))]
pub(super) struct Receiver {
    shared: Arc<Shared>,
    queue: usize,
    counts: Arc<Counts>,
    work: Work,
    /// The pair that comes first at the next burst.
    turn: usize,
    /// Whether the worker may have slept since the last burst.
    slept: Cell<bool>,
}

/// What it takes to take a packet apart.
struct Work {
    counts: Arc<Counts>,
    pieces: Pieces,
    frame: Box<[u8]>,
    /// The packet in `frame`, up to this length, of which a part is not taken in yet.
    pending: Option<(Inbound, usize)>,
}

/// A chain, as far as it is known: its first descriptor, and the buffer of that if it has one that is there.
#[derive(Clone, Copy)]
struct Chain {
    head: u16,
    first: Descriptor,
    piece: Piece,
}

impl Chain {
    const NONE: Chain = Chain { head: 0, first: Descriptor::NONE, piece: Piece::EMPTY };
}

/// What became of a chain.
enum Outcome {
    /// It is dealt with, with the cell that was there for it, or without.
    Done { used: bool },
    /// There is no room for it in this burst.
    Later,
}

impl Receiver {
    pub fn new(shared: Arc<Shared>, queue: usize, counts: Arc<Counts>) -> Receiver {
        let work =
            Work { counts: counts.clone(), pieces: Pieces::new(), frame: vec![0; LARGEST].into(), pending: None };
        Receiver { shared, queue, counts, work, turn: 0, slept: Cell::new(true) }
    }

    /// The rings that it looks after.
    fn pairs(&self) -> impl Iterator<Item = usize> + use<> {
        (self.queue..self.shared.pairs()).step_by(self.shared.queues())
    }
}

impl RxQueue for Receiver {
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        if self.slept.replace(false)
            && let Some((bell, waker)) = self.shared.bell(self.queue)
        {
            waker.clear();
            bell.clear();
        }
        if !self.work.push_pending(burst) {
            return Ok(());
        }
        // Several rings take turns in being first, as the last may find no room.
        let pairs = self.pairs().skip(self.turn).chain(self.pairs().take(self.turn));
        for pair in pairs {
            let Some(mut taken) = self.shared.from_guest.get(pair).and_then(|seat| seat.try_take()) else { continue };
            let Some(ring) = taken.as_mut().filter(|ring| ring.violation.is_none()) else { continue };
            let result = self.work.receive(ring, burst);
            if ring.unpublished() > 0 {
                ring.publish();
                self.counts.add(count::SIGNALS, ring.signal().into());
            }
            let lost = if ring.memory().is_lost() { Err(Violation::Lost) } else { Ok(()) };
            if let Err(violation) = result.and(lost) {
                ring.violation = Some(violation);
                self.shared.control.wake();
            }
        }
        self.turn =
            if self.queue + (self.turn + 1) * self.shared.queues() < self.shared.pairs() { self.turn + 1 } else { 0 };
        Ok(())
    }

    fn wake(&self) -> Wake {
        let Some((bell, _)) = self.shared.bell(self.queue) else { return Wake::Never };
        if self.work.pending.is_some() {
            return Wake::Poll;
        }
        self.slept.set(true);
        for pair in self.pairs() {
            let Some(mut taken) = self.shared.from_guest.get(pair).and_then(|seat| seat.try_take()) else { continue };
            let Some(ring) = taken.as_mut().filter(|ring| ring.violation.is_none()) else { continue };
            ring.listen();
            if !ring.is_kicked() || ring.available() != Ok(0) {
                return Wake::Poll;
            }
        }
        Wake::Fd(bell.fd())
    }
}

impl Work {
    /// Whether all of the packet that was pending is taken in.
    fn push_pending(&mut self, burst: &mut RxBurst<'_>) -> bool {
        let Some((inbound, len)) = &mut self.pending else { return true };
        let done = inbound.push(self.frame.get(..*len).unwrap_or_default(), burst);
        if done {
            self.pending = None;
        }
        done
    }

    /// Takes in what the ring has, as far as there is room.
    fn receive(&mut self, ring: &mut Ring, burst: &mut RxBurst<'_>) -> Result<(), Violation> {
        ring.deafen();
        let ready = usize::from(ring.available()?);
        loop {
            let n = (ready - usize::from(ring.unpublished())).min(burst.room()).min(BATCH);
            if n == 0 {
                return Ok(());
            }
            if self.batch(ring, n, burst)? < n {
                return Ok(());
            }
        }
    }

    /// Takes in the next `n` chains, at most [`BATCH`], if there is room and there are cells; how many.
    #[inline]
    fn batch(&mut self, ring: &mut Ring, n: usize, burst: &mut RxBurst<'_>) -> Result<usize, Violation> {
        let base = ring.unpublished();
        let mut chains = [Chain::NONE; BATCH];
        let chains = &mut chains[..n];
        for (ahead, chain) in (base..).zip(chains.iter_mut()) {
            chain.head = ring.head(ahead);
            ring.prefetch(chain.head);
        }
        // What is wrong with a chain ends the ring when its turn comes: those before it are good.
        let mut good = 0;
        for chain in chains.iter_mut() {
            let Ok(descriptor) = ring.descriptor(chain.head) else { break };
            chain.first = descriptor;
            let (memory, hint) = ring.buffers();
            if let Ok(piece) = chain::piece(memory, hint, descriptor) {
                prefetch(piece.at.as_ptr());
                chain.piece = piece;
            }
            good += 1;
        }
        let mut cells = [0; BATCH];
        let got = burst.cache().take_many(&mut cells[..n]);
        let mut spare = &cells[..got];
        let mut result = Ok(());
        let mut done = 0;
        for chain in chains.iter().take(good) {
            // A packet that is still being cut comes before those behind it.
            let Some((cell, rest)) = spare.split_first().filter(|_| self.pending.is_none()) else { break };
            match self.chain(ring, chain, *cell, burst) {
                Ok(Outcome::Done { used }) => {
                    if used {
                        spare = rest;
                    }
                    ring.give_back(chain.head, 0);
                    done += 1;
                }
                Ok(Outcome::Later) => break,
                Err(violation) => {
                    result = Err(violation);
                    break;
                }
            }
        }
        if got < n && done == got {
            // The packets stay with the guest until there are cells again.
            burst.starved(1);
        }
        if done == good && good < n && result.is_ok() {
            result = Err(Violation::Number(chains.get(good).map_or(0, |chain| chain.head)));
        }
        // SAFETY: taken from the cache above, and in no packet.
        unsafe { burst.cache().put(spare) };
        result.map(|()| done)
    }

    /// Takes in one packet, for which `cell` is there.
    #[inline]
    fn chain(
        &mut self,
        ring: &mut Ring,
        chain: &Chain,
        cell: u32,
        burst: &mut RxBurst<'_>,
    ) -> Result<Outcome, Violation> {
        let Chain { first, piece, .. } = *chain;
        let header_len = ring.header();
        // A buffer that is nowhere has no bytes here.
        let len = piece.len.wrapping_sub(header_len);
        if !first.is_plain_read() || !(SHORTEST..=DATA).contains(&len) || !ring.enabled {
            return self.long_chain(ring, first, cell, burst);
        }
        let to = place(burst.cache().pool(), cell);
        // SAFETY: the piece has the header and `len` bytes behind it; the cell is ours, with room for `DATA` bytes from there.
        let header = unsafe {
            memory::copy(piece.at.as_ptr().add(header_len), to, len);
            piece.at.cast::<[u8; VNET_HEADER]>().read_unaligned()
        };
        if header[0] | header[1] != 0 {
            // SAFETY: the cell is ours, and was written up to there just now (whatever of it was written before).
            let frame = unsafe { std::slice::from_raw_parts_mut(to, len) };
            return Ok(match ring.features().allows(header[0], header[1]) {
                false => self.refuse(),
                true => self.offload(Offload::read(&header), frame, cell, burst),
            });
        }
        Ok(take_in(cell, len, burst))
    }

    /// A packet in a cell of which something is left to do.
    #[cold]
    fn offload(&mut self, offload: Offload, frame: &mut [u8], cell: u32, burst: &mut RxBurst<'_>) -> Outcome {
        let len = frame.len();
        match segment::prepare(offload, frame) {
            Ok(None) => {
                let outcome = take_in(cell, len, burst);
                if matches!(outcome, Outcome::Done { .. }) && !offload.is_done() {
                    self.counts.add(count::CHECKSUMS, 1);
                }
                outcome
            }
            Ok(Some(cutter)) => {
                let Some(to) = self.frame.get_mut(..len) else { return self.refuse() };
                to.copy_from_slice(frame);
                self.cut(cutter, len, burst)
            }
            Err(segment::Malformed) => self.refuse(),
        }
    }

    fn refuse(&mut self) -> Outcome {
        self.counts.add(count::MALFORMED, 1);
        Outcome::Done { used: false }
    }

    /// The packet in `frame` is to be cut.
    fn cut(&mut self, cutter: segment::Cutter, len: usize, burst: &mut RxBurst<'_>) -> Outcome {
        let inbound = Inbound::new(Some(cutter), None);
        self.counts.add(count::SEGMENTS, inbound.packets() as u64);
        self.pending = Some((inbound, len));
        self.push_pending(burst);
        Outcome::Done { used: false }
    }

    /// A packet that is in several buffers, or doesn't fit into one cell, or is not wanted.
    #[cold]
    fn long_chain(
        &mut self,
        ring: &mut Ring,
        first: Descriptor,
        cell: u32,
        burst: &mut RxBurst<'_>,
    ) -> Result<Outcome, Violation> {
        let (features, header_len) = (ring.features(), ring.header());
        self.pieces.clear();
        let total = chain::collect(ring, first, false, &mut self.pieces)?;
        let unwanted = match total.checked_sub(header_len) {
            _ if !ring.enabled => Some(count::DISABLED),
            Some(SHORTEST..=LARGEST) => None,
            Some(len) if len > LARGEST => Some(count::TOO_LONG),
            _ => Some(count::TOO_SHORT),
        };
        if let Some(why) = unwanted {
            self.counts.add(why, 1);
            return Ok(Outcome::Done { used: false });
        }
        let len = total - header_len;
        let mut header = [0; 12];
        // SAFETY: the header has at most 12 bytes; the pieces are of the ring's memory.
        unsafe { self.pieces.read(header.as_mut_ptr(), header_len) };
        let [flags, gso, ..] = header;
        if flags | gso == 0 {
            return Ok(self.take_in_long(len, cell, burst));
        }
        let Some(basic) = header.first_chunk().filter(|_| features.allows(flags, gso)) else {
            return Ok(self.refuse());
        };
        let Some(frame) = self.frame.get_mut(..len) else { return Ok(self.refuse()) };
        // SAFETY: `frame` has `len` bytes; the pieces are of the ring's memory.
        unsafe { self.pieces.read(frame.as_mut_ptr(), len) };
        let offload = Offload::read(basic);
        Ok(match segment::prepare(offload, frame) {
            Ok(Some(cutter)) => self.cut(cutter, len, burst),
            Ok(None) => {
                self.counts.add(count::CHECKSUMS, u64::from(!offload.is_done()));
                self.pending = Some((Inbound::new(None, None), len));
                self.push_pending(burst);
                Outcome::Done { used: false }
            }
            Err(segment::Malformed) => self.refuse(),
        })
    }

    /// Takes in the `len` bytes that come next in `pieces`, in as many cells as it takes.
    fn take_in_long(&mut self, len: usize, cell: u32, burst: &mut RxBurst<'_>) -> Outcome {
        let mut cells = [cell; CELLS];
        let count = len.div_ceil(DATA).clamp(1, CELLS);
        let got = 1 + burst.cache().take_many(&mut cells[1..count]);
        let outcome = if got == count {
            let mut parts = [Part { index: 0, offset: HEADROOM as u16, len: 0 }; CELLS];
            for (at, (part, cell)) in parts.iter_mut().zip(&cells[..count]).enumerate() {
                (part.index, part.len) = (*cell, (len - at * DATA).min(DATA) as u16);
                // SAFETY: the cell is ours, with room for `DATA` bytes from there; the pieces are of the ring's memory.
                unsafe { self.pieces.read(place(burst.cache().pool(), *cell), part.len.into()) };
            }
            // SAFETY: all cells are ours, each another.
            if unsafe { burst.adopt_chain(&parts[..count]) } { Outcome::Done { used: true } } else { Outcome::Later }
        } else {
            burst.starved(1);
            Outcome::Later
        };
        if matches!(outcome, Outcome::Later) {
            // SAFETY: taken above, and in no packet.
            unsafe { burst.cache().put(&cells[1..got]) };
        }
        outcome
    }
}

/// Takes in a packet of `len` bytes that is in its cell.
#[inline(always)]
fn take_in(cell: u32, len: usize, burst: &mut RxBurst<'_>) -> Outcome {
    let part = Part { index: cell, offset: HEADROOM as u16, len: len as u16 };
    // SAFETY: the cell is the caller's, who doesn't use it any more when it is taken.
    if unsafe { burst.adopt(part) } { Outcome::Done { used: true } } else { Outcome::Later }
}

/// Where packets start in a cell.
#[inline(always)]
fn place(pool: &'static Pool, cell: u32) -> *mut u8 {
    // SAFETY: cells of the pool lie in its region.
    unsafe { pool.region().base().as_ptr().add(Pool::offset_of(cell) + HEADROOM) }
}

/// Brings the header and the start of the packet towards the cache. They are seldom in one line: headers of packets are aligned, and this
/// one is in front of them.
#[inline(always)]
fn prefetch(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch never faults, and wrapping arithmetic makes no claim about the address.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(64).cast());
    }
}
