//! Rings in shared memory, and what may be wrong with them.
//!
//! A ring is 128 bytes of header (cookie, flags and `head`; `tail` on the second cache line) and a power of two of descriptors.
//! `head` and `tail` run freely over 16 bits. The client always moves `head`, the server always `tail`; between them lie the slots
//! that are the server's.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering, fence};

/// What the first four bytes of every ring are.
pub(super) const COOKIE: u32 = 0x3e3_1f20;
/// Bytes in front of the descriptors.
pub(super) const HEADER: usize = 128;
/// Bytes of a descriptor.
pub(super) const DESCRIPTOR: usize = 16;
/// Where rings may start: at multiples of a descriptor.
pub(super) const ALIGNMENT: usize = 16;
/// The consumer looks by itself: no interrupts.
const MASKED: u16 = 1;
/// Flag of a descriptor: the packet goes on in the next slot.
const NEXT: u16 = 1;
/// Slots of a packet at most.
pub(super) const MAX_CHAIN: u16 = 256;
/// Bytes of a packet at most.
pub(super) const MAX_PACKET: usize = 65_535;

/// What a peer did that it must not do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Fault {
    /// An index moved further than slots were given.
    Index = 1,
    /// A descriptor names a region that there is not.
    Region,
    /// It reaches out of its region.
    Bounds,
    /// It has no bytes.
    Empty,
    /// It has more bytes than its slot.
    Length,
    /// A packet's last slot says that more follow.
    Unended,
    /// A packet of too many slots or bytes.
    Endless,
    /// The memory was made shorter.
    Memory,
    /// A worker had to wait to interrupt the peer.
    Interrupts,
}

impl Fault {
    const ALL: [Fault; 9] = [
        Fault::Index,
        Fault::Region,
        Fault::Bounds,
        Fault::Empty,
        Fault::Length,
        Fault::Unended,
        Fault::Endless,
        Fault::Memory,
        Fault::Interrupts,
    ];

    /// The one of this number.
    pub fn of(number: u8) -> Option<Fault> {
        Fault::ALL.into_iter().find(|fault| *fault as u8 == number)
    }

    /// What the peer is told, and the operator.
    pub fn text(self) -> &'static str {
        match self {
            Fault::Index => "a ring's index moved beyond the ring",
            Fault::Region => "a descriptor names an unknown region",
            Fault::Bounds => "a descriptor reaches out of its region",
            Fault::Empty => "a descriptor of no bytes",
            Fault::Length => "a descriptor of more bytes than its slot",
            Fault::Unended => "a packet's last descriptor says that more follow",
            Fault::Endless => "a packet of too many descriptors or bytes",
            Fault::Memory => "shared memory was made shorter",
            Fault::Interrupts => "the descriptor for interrupts makes its writers wait",
        }
    }
}

/// A slot's content, as read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// The packet goes on in the next slot.
    pub more: bool,
    pub region: u16,
    pub len: u32,
    pub offset: u32,
}

/// A ring in shared memory, which the peer may change at any time. Whoever has one keeps the memory mapped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    base: NonNull<u8>,
    size: u16,
}

// SAFETY: it is reached by atomic and volatile accesses only.
unsafe impl Send for Ring {}

impl Ring {
    /// # Safety
    /// There are [`Ring::bytes`] of memory at `base`, which is aligned to [`ALIGNMENT`], for as long as the ring is used; `log2_size` is at most 14.
    pub unsafe fn new(base: NonNull<u8>, log2_size: u8) -> Ring {
        Ring { base, size: 1 << log2_size.min(14) }
    }

    /// Bytes of a ring.
    pub const fn bytes(log2_size: u8) -> usize {
        HEADER + (DESCRIPTOR << log2_size)
    }

    /// Slots.
    #[inline(always)]
    pub fn size(&self) -> u16 {
        self.size
    }

    fn number(&self, offset: usize) -> &AtomicU16 {
        // SAFETY: within the header, and aligned; others change it by atomic accesses, or get what they deserve.
        unsafe { AtomicU16::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    /// What says that this is a ring.
    pub fn cookie(&self) -> u32 {
        // SAFETY: within the header, and aligned.
        unsafe { self.base.as_ptr().cast::<u32>().read_volatile() }
    }

    /// Makes it an empty ring without interrupts masked.
    pub fn clear(&self) {
        self.number(4).store(0, Ordering::Relaxed);
        self.number(6).store(0, Ordering::Relaxed);
        self.number(64).store(0, Ordering::Relaxed);
        // SAFETY: within the header, and aligned.
        unsafe { self.base.as_ptr().cast::<u32>().write_volatile(COOKIE) };
    }

    /// Where the client is.
    #[inline(always)]
    pub fn head(&self) -> u16 {
        self.number(6).load(Ordering::Acquire)
    }

    #[inline(always)]
    pub fn set_head(&self, at: u16) {
        self.number(6).store(at, Ordering::Release);
    }

    /// Where the server is.
    #[inline(always)]
    pub fn tail(&self) -> u16 {
        self.number(64).load(Ordering::Acquire)
    }

    #[inline(always)]
    pub fn set_tail(&self, at: u16) {
        self.number(64).store(at, Ordering::Release);
    }

    /// For the consumer: whether the producer is to interrupt. When interrupts were wanted, look again afterwards.
    pub fn mask(&self, masked: bool) {
        self.number(4).store(if masked { MASKED } else { 0 }, Ordering::Relaxed);
        // What the producer published before it saw the flag is seen by the look that follows.
        fence(Ordering::SeqCst);
    }

    /// For the producer, after it has published: whether the consumer wants to be interrupted.
    #[inline(always)]
    pub fn wants_interrupt(&self) -> bool {
        fence(Ordering::SeqCst);
        self.number(4).load(Ordering::Relaxed) & MASKED == 0
    }

    #[inline(always)]
    fn slot(&self, at: u16) -> *mut u64 {
        let slot = usize::from(at & (self.size - 1));
        // SAFETY: the mask keeps it within the ring.
        unsafe { self.base.as_ptr().add(HEADER + slot * DESCRIPTOR).cast() }
    }

    /// Reads a slot, each field once.
    #[inline(always)]
    pub fn read(&self, at: u16) -> Descriptor {
        // SAFETY: within the ring, and aligned.
        let (first, second) = unsafe { (self.slot(at).read_volatile(), self.slot(at).add(1).read_volatile()) };
        Descriptor {
            more: first as u16 & NEXT != 0,
            region: (first >> 16) as u16,
            len: (first >> 32) as u32,
            offset: second as u32,
        }
    }

    /// Writes a slot.
    #[inline(always)]
    pub fn write(&self, at: u16, descriptor: Descriptor) {
        self.write_front(at, descriptor);
        // SAFETY: within the ring, and aligned.
        unsafe { self.slot(at).add(1).write_volatile(u64::from(descriptor.offset)) };
    }

    /// Writes all of a slot but the offset, which stays as it is.
    #[inline(always)]
    pub fn write_front(&self, at: u16, descriptor: Descriptor) {
        let flags = if descriptor.more { NEXT } else { 0 };
        let first = u64::from(flags) | u64::from(descriptor.region) << 16 | u64::from(descriptor.len) << 32;
        // SAFETY: within the ring, and aligned.
        unsafe { self.slot(at).write_volatile(first) };
    }
}

/// Copies between packets and memory that another process may be changing: what is copied is then any mixture of bytes, which are not
/// looked at here. Nothing but the `len` bytes is read or written.
///
/// # Safety
/// `len` bytes may be read at `from` and written at `to`; they don't overlap.
#[inline(always)]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    type Line = [u64; 8];
    type Half = [u64; 4];
    // SAFETY: each access is within the `len` bytes; the last one of a size overlaps the one before it.
    unsafe {
        match len {
            64..=256 => {
                let last = len - 64;
                let mut at = 0;
                while at < last {
                    to.add(at).cast::<Line>().write_unaligned(from.add(at).cast::<Line>().read_unaligned());
                    at += 64;
                }
                to.add(last).cast::<Line>().write_unaligned(from.add(last).cast::<Line>().read_unaligned());
            }
            32..64 => {
                let last = len - 32;
                to.cast::<Half>().write_unaligned(from.cast::<Half>().read_unaligned());
                to.add(last).cast::<Half>().write_unaligned(from.add(last).cast::<Half>().read_unaligned());
            }
            _ => std::ptr::copy_nonoverlapping(from, to, len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(16))]
    struct Memory([u8; Ring::bytes(5)]);

    fn ring(memory: &mut Memory) -> Ring {
        // SAFETY: as many bytes as a ring of 2^5 slots has, aligned; the tests keep them.
        unsafe { Ring::new(NonNull::from(&mut memory.0).cast(), 5) }
    }

    /// Offsets as in VPP's and DPDK's memif.h.
    #[test]
    fn fields_lie_where_the_protocol_has_them() {
        let mut memory = Memory([0xff; Ring::bytes(5)]);
        let ring = ring(&mut memory);
        ring.clear();
        ring.set_head(0x0102);
        ring.set_tail(0x0304);
        ring.mask(true);
        assert!(!ring.wants_interrupt());
        let descriptor = Descriptor { more: true, region: 0x0a0b, len: 0x0102_0304, offset: 0x0506_0708 };
        ring.write(33, descriptor);
        assert_eq!(ring.read(1), descriptor);
        ring.write_front(1, Descriptor { more: false, region: 1, len: 9, offset: 7 });
        assert_eq!(ring.read(33), Descriptor { more: false, region: 1, len: 9, offset: 0x0506_0708 });
        ring.write(1, descriptor);
        assert_eq!((ring.head(), ring.tail(), ring.cookie()), (0x0102, 0x0304, COOKIE));
        let _ = ring;
        assert_eq!(memory.0[..8], [0x20, 0x1f, 0xe3, 3, 1, 0, 2, 1]);
        assert_eq!(memory.0[64..66], [4, 3]);
        assert_eq!(memory.0[144..160], [1, 0, 0x0b, 0x0a, 4, 3, 2, 1, 8, 7, 6, 5, 0, 0, 0, 0]);
    }

    #[test]
    fn copies_are_exact() {
        let from: Vec<u8> = (0..2100u32).map(|n| (n % 251) as u8).collect();
        for len in (0..=600).chain([1500, 2048]) {
            let mut to = [0xee; 2100];
            // SAFETY: both are longer than what is copied.
            unsafe { copy(from[3..].as_ptr(), to[5..].as_mut_ptr(), len) };
            assert_eq!(to[5..5 + len], from[3..3 + len]);
            assert!(to[..5].iter().chain(&to[5 + len..]).all(|byte| *byte == 0xee), "{len} bytes");
        }
    }

    #[test]
    fn faults_have_numbers_and_words() {
        for fault in Fault::ALL {
            assert_eq!(Fault::of(fault as u8), Some(fault));
            // A reason has at most 95 bytes.
            assert!(fault.text().len() < 96);
        }
        assert_eq!(Fault::of(0), None);
    }
}
