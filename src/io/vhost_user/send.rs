//! Packets to the guest.

use super::chain::{self, Piece, Pieces, Violation};
use super::memory;
use super::ring::Ring;
use super::shared::Shared;
use super::{Counts, count};
use crate::seat::Taken;
use millrace_engine::device::{TxBurst, TxQueue};
use std::io;
use std::sync::Arc;

/// Chains that are looked at together, so that what one has to wait for comes while another is dealt with.
const BATCH: usize = 32;
/// The `virtio_net_hdr` of every packet: nothing is left to the guest, and the packet is in one chain of buffers unless said otherwise.
const HEADER: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
/// Where in it the number of chains is.
const CHAINS: usize = 10;
/// The most chains that a packet takes.
const MOST: usize = 64;
/// How often a ring is tried that another worker, or the thread at the control socket, has at the moment.
const TRIES: usize = 10_000;

/// The transmit queue of a worker. It sends by the pair of its own number, or by another one if the guest receives by fewer.
#[repr(align(128))]
pub(super) struct Sender {
    shared: Arc<Shared>,
    queue: usize,
    counts: Arc<Counts>,
    pieces: Pieces,
}

/// Why a packet was not sent.
enum Stop {
    /// The guest has no more buffers: it stays, and those behind it.
    Full,
    /// It doesn't fit into the guest's buffers.
    TooLong,
    /// The guest did what no driver does.
    Violation(Violation),
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Stop {
        Stop::Violation(violation)
    }
}

impl Sender {
    pub fn new(shared: Arc<Shared>, queue: usize, counts: Arc<Counts>) -> Sender {
        Sender { shared, queue, counts, pieces: Pieces::new() }
    }

    /// A ring to send by.
    #[inline]
    fn ring<'a>(shared: &'a Shared, queue: usize) -> Option<Taken<'a, Ring>> {
        let receiving = shared.receiving();
        let own = 1u64.checked_shl(queue as u32).unwrap_or(0) & receiving != 0;
        let pair = if own { queue } else { another(receiving, queue)? };
        let seat = shared.to_guest.get(pair)?;
        for _ in 0..TRIES {
            let taken = seat.try_take();
            // Nothing is there any more when the pair has left the set.
            if taken.is_some() || shared.receiving() != receiving {
                return taken;
            }
            std::hint::spin_loop();
        }
        None
    }
}

/// One of the pairs, for a worker whose own pair is not among them.
#[cold]
fn another(pairs: u64, worker: usize) -> Option<usize> {
    let mut left = pairs;
    for _ in 0..worker as u32 % pairs.count_ones().max(1) {
        left &= left - 1;
    }
    (left != 0).then(|| left.trailing_zeros() as usize)
}

impl TxQueue for Sender {
    fn takes_shared(&self) -> bool {
        true
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        let mut taken = Sender::ring(&self.shared, self.queue);
        let ring = taken.as_mut().and_then(|taken| taken.as_mut());
        let Some(ring) = ring.filter(|ring| ring.enabled && ring.violation.is_none()) else {
            self.counts.add(count::NO_PEER, burst.len() as u64);
            return Ok(0);
        };
        let mut sent = 0;
        let result = send(ring, burst, &mut sent, &mut self.pieces, &self.counts);
        if ring.unpublished() > 0 {
            ring.publish();
            self.counts.add(count::SIGNALS, ring.signal().into());
        }
        let lost = if ring.memory().is_lost() { Err(Violation::Lost) } else { Ok(()) };
        if let Err(violation) = result.and(lost) {
            ring.violation = Some(violation);
            self.shared.control.wake();
        }
        if sent < burst.len() {
            self.counts.add(count::FULL, (burst.len() - sent) as u64);
        }
        Ok(sent)
    }
}

/// Sends packets until the guest has no more buffers; `sent` says how many were dealt with.
fn send(
    ring: &mut Ring,
    burst: &mut TxBurst<'_>,
    sent: &mut usize,
    pieces: &mut Pieces,
    counts: &Counts,
) -> Result<(), Violation> {
    ring.deafen();
    let ready = ring.available()?;
    while *sent < burst.len() {
        let left = usize::from(ready - ring.unpublished()).min(burst.len() - *sent).min(BATCH);
        if left == 0 {
            return Ok(());
        }
        let before = *sent;
        batch(ring, left, burst, sent);
        if *sent - before == left {
            continue;
        }
        // The next packet takes more than one buffer, or is wrong.
        match long(ring, ready, burst, *sent, pieces) {
            Ok(()) => {}
            Err(Stop::Full) => return Ok(()),
            Err(Stop::TooLong) => {
                burst.lose(*sent);
                counts.add(count::TX_TOO_LONG, 1);
            }
            Err(Stop::Violation(violation)) => return Err(violation),
        }
        *sent += 1;
    }
    Ok(())
}

/// Sends the next `n` packets, at most [`BATCH`], as far as each is in one cell and fits into one buffer.
#[inline]
fn batch(ring: &mut Ring, n: usize, burst: &mut TxBurst<'_>, sent: &mut usize) {
    let base = ring.unpublished();
    let header_len = ring.header();
    // The head of each chain, and its buffer if it is one plain one that is there.
    let mut chains = [(0, Piece::EMPTY); BATCH];
    let chains = &mut chains[..n];
    for (ahead, chain) in (base..).zip(chains.iter_mut()) {
        chain.0 = ring.head(ahead);
        ring.prefetch(chain.0);
    }
    for chain in chains.iter_mut() {
        let Ok(descriptor) = ring.descriptor(chain.0) else { break };
        let (memory, hint) = ring.buffers();
        if let (Ok(piece), true) = (chain::piece(memory, hint, descriptor), descriptor.is_plain_write()) {
            prefetch(piece.at.as_ptr());
            chain.1 = piece;
        }
    }
    for (head, piece) in chains.iter() {
        let Some(packet) = burst.packet(*sent) else { return };
        let bytes = packet.data();
        let total = header_len + bytes.len();
        if packet.chained() || piece.len < total {
            return;
        }
        // SAFETY: the piece has room for the header and the packet.
        unsafe {
            let to = piece.at.as_ptr();
            write_header(to, header_len);
            memory::copy(bytes.as_ptr(), to.add(header_len), bytes.len());
        }
        ring.give_back(*head, total as u32);
        *sent += 1;
    }
}

/// Writes [`HEADER`], or the first 10 bytes of it.
///
/// # Safety
/// There is room for it.
#[inline(always)]
unsafe fn write_header(to: *mut u8, len: usize) {
    let [short @ .., _, _] = HEADER;
    // SAFETY: the caller's promise. Both are copies of a known length.
    unsafe {
        match len == HEADER.len() {
            true => to.cast::<[u8; 12]>().write_unaligned(HEADER),
            false => to.cast::<[u8; 10]>().write_unaligned(short),
        }
    }
}

/// Sends the packet at `position`, whatever it takes.
#[cold]
fn long(
    ring: &mut Ring,
    ready: u16,
    burst: &mut TxBurst<'_>,
    position: usize,
    pieces: &mut Pieces,
) -> Result<(), Stop> {
    let Some(packet) = burst.packet(position) else { return Err(Stop::TooLong) };
    let header_len = ring.header();
    let total = header_len + packet.total_len();
    let most = if ring.features().mergeable() { MOST } else { 1 };
    let mut chains = [(0, 0); MOST];
    let (mut used, mut room) = (0, 0);
    pieces.clear();
    let base = ring.unpublished();
    while room < total {
        let Some(chain) = chains.get_mut(used).filter(|_| used < most) else { return Err(Stop::TooLong) };
        let ahead = base + used as u16;
        if ahead >= ready {
            // More than the guest will ever have at once?
            return Err(if used >= usize::from(ring.size()) { Stop::TooLong } else { Stop::Full });
        }
        let head = ring.head(ahead);
        let first = ring.descriptor(head)?;
        let len = chain::collect(ring, first, true, pieces)?;
        *chain = (head, len);
        room += len;
        used += 1;
    }
    let mut header = HEADER;
    header[CHAINS] = used as u8;
    // SAFETY: the pieces are of the ring's memory.
    unsafe {
        pieces.write(header.get(..header_len).unwrap_or_default());
        for bytes in packet.segments() {
            pieces.write(bytes);
        }
    }
    let mut left = total;
    for (head, len) in chains.iter().take(used) {
        let written = left.min(*len);
        left -= written;
        ring.give_back(*head, written as u32);
    }
    Ok(())
}

/// Brings the header and the start of the packet towards the cache. They are seldom in one line: headers of packets are aligned, and this
/// one is in front of them.
#[inline(always)]
fn prefetch(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
    // SAFETY: a prefetch never faults, and wrapping arithmetic makes no claim about the address.
    unsafe {
        _mm_prefetch::<_MM_HINT_ET0>(at.cast());
        _mm_prefetch::<_MM_HINT_ET0>(at.wrapping_add(64).cast());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_without_a_pair_of_their_own_spread_over_those_that_there_are() {
        assert_eq!(another(0, 3), None);
        assert_eq!([1, 2, 3].map(|worker| another(0b1, worker)), [Some(0); 3]);
        let of = |worker| another(0b1010_0000, worker);
        assert_eq!([0, 1, 2, 3].map(of), [Some(5), Some(7), Some(5), Some(7)]);
    }
}
