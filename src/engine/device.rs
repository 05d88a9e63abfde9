//! What a device is to the engine: queues that fill and empty bursts of packets. The io crate has the drivers.

use crate::frame::{Frame, VECTOR};
use crate::packet::Packet;
use crate::pool::{Buffer, Cache, Meta, Pool};
use std::io;
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
    /// Sends packets from the front of `burst`, in order; how many. The rest is dropped and counted. The device keeps
    /// nothing of the burst: bytes are copied out.
    ///
    /// # Errors
    /// When the device is gone; nothing of the burst was sent.
    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize>;
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
    pub(crate) pool: &'static Pool,
    pub(crate) indices: &'a [u32],
}

impl TxBurst<'_> {
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

    /// The packet at `position`, from the Ethernet header on. `None` behind the last.
    #[inline(always)]
    pub fn packet(&mut self, position: usize) -> Option<Packet<'_>> {
        let index = *self.indices.get(position)?;
        // SAFETY: the burst owns its packets, and `&mut self` makes this view the only one.
        Some(unsafe { self.pool.packet(index) })
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
        self.drain();
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
        let sent = queue.tx(&mut TxBurst { pool: self.cache.pool(), indices: self.frame.as_slice() });
        self.drain();
        sent
    }

    fn drain(&mut self) {
        // SAFETY: the frame owned them and is emptied right after.
        unsafe { self.cache.free_indices(self.frame.as_slice()) };
        self.frame.clear();
    }
}
