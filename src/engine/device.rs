//! What a device is to the engine: queues that fill and empty bursts of packets. The io crate has the drivers.

use crate::frame::{Frame, VECTOR};
use crate::packet::Packet;
use crate::pool::{Buffer, Cache, Meta, Part, Pool};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::RawFd;

/// How a sleeping worker learns that a receive queue has something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// The descriptor becomes readable.
    Fd(RawFd),
    /// Not at all: the queue makes packets by itself and has to be polled.
    Poll,
    /// Not before the time given, in nanoseconds of [`clock::now`](crate::clock::now).
    At(u64),
    /// Nothing more will come (the end of a file).
    Never,
}

/// A receive queue; belongs to one worker.
pub trait RxQueue: Send {
    /// Puts into `burst` what has come, at most what it takes.
    ///
    /// # Errors
    /// When the device is gone. The worker then stops polling the queue and tells control, which opens it anew.
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()>;

    /// How to wait for the next packet.
    fn wake(&self) -> Wake;
}

/// A transmit queue; belongs to one worker.
pub trait TxQueue: Send {
    /// Deals with packets from the front of `burst`, in order; how many. The rest is dropped and counted. Those that it dealt with
    /// are sent, unless it [says](TxBurst::lose) that one is lost. Their cells are freed afterwards, unless it
    /// [keeps](TxBurst::keep) them because the device reads them later.
    ///
    /// # Errors
    /// When the device is gone; nothing of the burst was sent.
    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize>;

    /// Whether it may be given packets with cells that [other packets have, too](Packet::shared): a queue that copies, or that gives
    /// packets back [as such](Cache::put_packets). Others, to which each cell is its own, are given copies.
    fn takes_shared(&self) -> bool {
        false
    }

    /// Gives back the cells of packets that have been sent; whether some are still out. Asked every 10 ms, and before the worker
    /// sleeps.
    fn reclaim(&mut self, _cache: &mut Cache) -> bool {
        false
    }
}

/// Packets on their way in from one queue.
pub struct RxBurst<'a> {
    pub(crate) cache: &'a mut Cache,
    pub(crate) frame: &'a mut Frame,
    pub(crate) interface: u32,
    pub(crate) bytes: u64,
    pub(crate) starved: u64,
}

impl RxBurst<'_> {
    /// How many packets it still takes.
    #[inline(always)]
    pub fn room(&self) -> usize {
        self.frame.room()
    }

    /// Adds a packet made of `parts`, one behind the other. False when the burst is full or the pool empty: the packet
    /// is then still the device's.
    #[inline]
    pub fn push(&mut self, parts: &[&[u8]]) -> bool {
        if self.room() == 0 {
            return false;
        }
        let Some(index) = self.start() else { return false };
        let pool = self.cache.pool();
        let total: usize = parts.iter().map(|p| p.len()).sum();
        if total <= crate::pool::DATA {
            // SAFETY: `start` took the index from the free list; it is ours until it is in the frame.
            let mut packet = unsafe { pool.packet(index) };
            for part in parts {
                packet.extend(part);
            }
            return self.commit(index, total);
        }
        // SAFETY: as above; from here on the handle owns it.
        let mut buffer = unsafe { pool.adopt(index) };
        for part in parts {
            let cache = &mut *self.cache;
            if !buffer.append(part, || cache.alloc()) {
                self.starved += 1;
                self.cache.free(buffer);
                return false;
            }
        }
        self.commit(buffer.into_index(), total)
    }

    /// Adds a packet of fixed size; for generators.
    #[inline(always)]
    pub fn push_fixed<const N: usize>(&mut self, bytes: &[u8; N]) -> bool {
        if self.room() == 0 {
            return false;
        }
        let Some(index) = self.start() else { return false };
        // SAFETY: `start` took the index from the free list.
        unsafe { self.cache.pool().packet(index) }.write_fixed(bytes);
        self.commit(index, N)
    }

    /// Adds packets of one fixed size, each the first `N` bytes of a line, as many as there is room and buffers for; how many.
    /// For generators: what can be done once for all is not done for each.
    #[inline]
    pub fn push_lines<const N: usize, const LINE: usize>(&mut self, lines: &[impl AsRef<[u8; LINE]>]) -> usize {
        const { assert!(N <= LINE) };
        let from = self.frame.len();
        let wanted = lines.len().min(self.room());
        let added = self.frame.fill(wanted, |to| self.cache.take_many(to));
        self.starved += (wanted - added) as u64;
        self.bytes += (N * added) as u64;
        let pool = self.cache.pool();
        let interface = self.interface;
        for (at, (index, line)) in self.frame.as_slice()[from..].iter().zip(lines).enumerate() {
            // A table of lines is read once and not needed again soon: it must not push the packets out of the cache.
            if let Some(ahead) = lines.get(at + 8) {
                // SAFETY: a prefetch never faults.
                unsafe {
                    std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_NTA }>(
                        ahead.as_ref().as_ptr().cast(),
                    )
                };
            }
            let Some(bytes) = line.as_ref().first_chunk::<N>() else { break };
            // SAFETY: taken from the free list just now, and in the frame only.
            let mut packet = unsafe { pool.packet(*index) };
            *packet.meta = Meta::fresh(interface);
            packet.write_fixed(bytes);
        }
        added
    }

    /// The worker's stock of free cells, to fill a device's ring from.
    #[inline(always)]
    pub fn cache(&mut self) -> &mut Cache {
        self.cache
    }

    /// Counts packets that the device had no free cell for.
    pub fn starved(&mut self, packets: u64) {
        self.starved += packets;
    }

    /// Adds a packet that the device has put into a cell. False when the burst is full or the part reaches out of its cell: the cell is
    /// then still the caller's.
    ///
    /// # Safety
    /// The caller owns the cell, and gives it up when the answer is true; the device is done with it.
    #[inline(always)]
    pub unsafe fn adopt(&mut self, part: Part) -> bool {
        if self.room() == 0 || !part.fits() || part.index >= self.cache.pool().count() {
            return false;
        }
        // SAFETY: the caller owns the cell, and the part fits.
        unsafe { self.cache.pool().cells().dress(part, self.interface) };
        self.commit(part.index, usize::from(part.len))
    }

    /// As [`adopt`](RxBurst::adopt), for a packet of several cells.
    ///
    /// # Safety
    /// The caller owns the cells, each of which is there once, and gives them up when the answer is true; the device is done with them.
    pub unsafe fn adopt_chain(&mut self, parts: &[Part]) -> bool {
        let count = self.cache.pool().count();
        let [head, ..] = parts else { return false };
        if self.room() == 0 || !parts.iter().all(|part| part.fits() && part.index < count) {
            return false;
        }
        // SAFETY: the caller owns the cells, and the parts fit.
        unsafe { self.cache.pool().chain(parts, self.interface) };
        self.commit(head.index, parts.iter().map(|part| usize::from(part.len)).sum())
    }

    #[inline(always)]
    fn start(&mut self) -> Option<u32> {
        let Some(index) = self.cache.take() else {
            self.starved += 1;
            return None;
        };
        // SAFETY: taken from the free list just now.
        *unsafe { self.cache.pool().packet(index) }.meta = Meta::fresh(self.interface);
        Some(index)
    }

    #[inline(always)]
    fn commit(&mut self, index: u32, len: usize) -> bool {
        self.bytes += len as u64;
        // `room` was checked before, so that this fits.
        self.frame.push(index)
    }
}

/// Packets on their way out by one queue.
pub struct TxBurst<'a> {
    cache: &'a mut Cache,
    indices: &'a [u32],
    kept: usize,
    lost: usize,
    lost_bytes: u64,
}

impl<'a> TxBurst<'a> {
    /// # Safety
    /// The caller owns the packets, and frees those that were not [kept](TxBurst::keep).
    pub(crate) unsafe fn new(cache: &'a mut Cache, indices: &'a [u32]) -> TxBurst<'a> {
        TxBurst { cache, indices, kept: 0, lost: 0, lost_bytes: 0 }
    }

    /// How many there are.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The packet at `position`, from the Ethernet header on. `None` behind the last, and for those that were kept.
    #[inline(always)]
    pub fn packet(&mut self, position: usize) -> Option<Packet<'_>> {
        if position < self.kept {
            return None;
        }
        let index = *self.indices.get(position)?;
        // SAFETY: the burst owns its packets, and `&mut self` makes this view the only one.
        Some(unsafe { self.cache.pool().packet(index) })
    }

    /// For queues to which each cell is its own: packets with shared cells get cells of their own. How many packets from the front on
    /// are such now; fewer than all when no buffer was left.
    #[cold]
    pub(crate) fn unshare(&mut self) -> usize {
        let pool = self.cache.pool();
        let unshared = self.indices.iter().take_while(|index| {
            // SAFETY: the burst owns its packets, of which nobody has a view; the handle is forgotten below.
            let mut packet = ManuallyDrop::new(unsafe { pool.adopt(**index) });
            packet.unshare(|| self.cache.alloc())
        });
        let n = unshared.count();
        self.indices = &self.indices[..n];
        n
    }

    /// The first cells of the packets.
    #[inline(always)]
    pub fn indices(&self) -> &'a [u32] {
        self.indices
    }

    /// The worker's stock of free cells, to give back what was sent.
    #[inline(always)]
    pub fn cache(&mut self) -> &mut Cache {
        self.cache
    }

    /// The cells of the first `n` packets are the device's from here on: it reads them later, and gives them back to a
    /// [`Cache::put`] or [`Pool::put`] then.
    #[inline(always)]
    pub fn keep(&mut self, n: usize) {
        self.kept = n.clamp(self.kept, self.indices.len());
    }

    /// The packet at `position`, one of those that [`TxQueue::tx`] deals with, can't be sent: it is counted as dropped. Not for one that
    /// was kept.
    pub fn lose(&mut self, position: usize) {
        let bytes = self.packet(position).map(|packet| packet.total_len() as u64);
        self.lost += usize::from(bytes.is_some());
        self.lost_bytes += bytes.unwrap_or_default();
    }

    /// Those that were kept, those that were lost, and their bytes.
    pub(crate) fn end(self) -> (usize, usize, u64) {
        (self.kept, self.lost, self.lost_bytes)
    }
}

/// A burst outside of a worker, to test devices with: receives into it, sends from it.
pub struct TestBurst {
    cache: Cache,
    frame: Box<Frame>,
}

impl TestBurst {
    /// An empty burst.
    pub fn new(pool: &'static Pool) -> TestBurst {
        TestBurst { cache: pool.cache(), frame: Frame::boxed() }
    }

    /// Lets the queue fill the burst once (at most 256 packets); what came, and the packets' bytes.
    ///
    /// # Errors
    /// The queue's own.
    pub fn rx(&mut self, queue: &mut dyn RxQueue) -> io::Result<Vec<Vec<u8>>> {
        let mut burst = RxBurst { cache: &mut self.cache, frame: &mut self.frame, interface: 1, bytes: 0, starved: 0 };
        queue.rx(&mut burst)?;
        let pool = self.cache.pool();
        let packets = self.frame.as_slice().iter().map(|index| {
            // SAFETY: the frame owns its packets; one view at a time.
            let packet = unsafe { pool.packet(*index) };
            packet.segments().flatten().copied().collect()
        });
        let packets = packets.collect();
        self.drain(0);
        Ok(packets)
    }

    /// Lets the queue send these packets (at most 256); how many it took.
    ///
    /// # Errors
    /// The queue's own, or an empty pool.
    pub fn tx(&mut self, queue: &mut dyn TxQueue, packets: &[&[u8]]) -> io::Result<usize> {
        for bytes in packets.iter().take(VECTOR) {
            let empty = || io::Error::other("the pool is empty");
            let mut buffer: Buffer = self.cache.alloc().ok_or_else(empty)?;
            let cache = &mut self.cache;
            if !buffer.append(bytes, || cache.alloc()) || !self.frame.push(buffer.into_index()) {
                return Err(empty());
            }
        }
        // SAFETY: the frame owns them; those that are not kept are freed below.
        let mut burst = unsafe { TxBurst::new(&mut self.cache, self.frame.as_slice()) };
        let sent = queue.tx(&mut burst);
        let (kept, lost, _) = burst.end();
        self.drain(kept);
        sent.map(|sent| sent - lost)
    }

    /// Asks a queue to give back what it has sent, as a worker does now and then; whether some is still out.
    pub fn reclaim(&mut self, queue: &mut dyn TxQueue) -> bool {
        queue.reclaim(&mut self.cache)
    }

    fn drain(&mut self, kept: usize) {
        // SAFETY: the frame owned those that were not kept, and is emptied right after.
        unsafe { self.cache.put_packets(&self.frame.as_slice()[kept..]) };
        self.frame.clear();
    }
}
