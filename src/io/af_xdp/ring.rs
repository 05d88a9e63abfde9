//! The rings that the kernel and a socket share: one side moves the producer, the other the consumer.

use crate::sys;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Memory of a ring, mapped.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<u8>,
    len: usize,
    at: libc::xdp_ring_offset,
    slots: u32,
}

// SAFETY: plain memory; who touches which ring is decided by those who make a view of it.
unsafe impl Send for Mapping {}
// SAFETY: as above: a mapping by itself only tells where it is.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a ring of `slots` slots of `size` bytes.
    pub fn new(
        fd: BorrowedFd<'_>,
        place: i64,
        at: libc::xdp_ring_offset,
        slots: u32,
        size: usize,
    ) -> io::Result<Mapping> {
        let len = at.desc as usize + slots as usize * size;
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, access, flags, fd.as_raw_fd(), place) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mmap returned address 0"))?;
        Ok(Mapping { base, len, at, slots })
    }

    /// A view of the ring.
    ///
    /// # Safety
    /// There is one view of a ring at a time, its slots are `T`s, and the mapping outlives it.
    pub unsafe fn view<T: Copy>(&self) -> Ring<T> {
        // SAFETY: the kernel says where these lie, within what it has mapped.
        let at = |offset: u64| unsafe { self.base.add(offset as usize) };
        let (mine, theirs) = (0, 0);
        Ring {
            producer: at(self.at.producer).cast(),
            consumer: at(self.at.consumer).cast(),
            flags: at(self.at.flags).cast(),
            slots: at(self.at.desc).cast(),
            size: self.slots,
            mine,
            theirs,
            _slots: PhantomData,
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped; views are gone by contract.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// A ring as one side sees it, the producing or the consuming one.
pub(super) struct Ring<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    slots: NonNull<T>,
    /// A power of two.
    size: u32,
    /// How far this side has come, and how far the other had when it was looked at last. Both run on for ever.
    mine: u32,
    theirs: u32,
    _slots: PhantomData<T>,
}

// SAFETY: the one view of its ring (contract of `Mapping::view`).
unsafe impl<T: Send> Send for Ring<T> {}

impl<T: Copy> Ring<T> {
    pub fn size(&self) -> u32 {
        self.size
    }

    /// How far this side has come.
    #[inline(always)]
    pub fn mine(&self) -> u32 {
        self.mine
    }

    fn word(&self, word: NonNull<AtomicU32>) -> &AtomicU32 {
        // SAFETY: aligned words in the mapping, which outlives the view.
        unsafe { word.as_ref() }
    }

    /// Whether the kernel wants a system call to go on.
    #[inline(always)]
    pub fn needs_wakeup(&self) -> bool {
        self.word(self.flags).load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    /// # Safety
    /// Only this side touches the slot now.
    #[inline(always)]
    unsafe fn slot(&self, at: u32) -> *mut T {
        // SAFETY: below `size`, so in the mapping.
        unsafe { self.slots.as_ptr().add((at & (self.size - 1)) as usize) }
    }
}

/// For the side that produces.
impl<T: Copy> Ring<T> {
    /// Slots that are free, looked at anew when fewer than `wanted` are known.
    #[inline(always)]
    pub fn free(&mut self, wanted: u32) -> u32 {
        let free = self.size.wrapping_sub(self.mine.wrapping_sub(self.theirs));
        if free >= wanted {
            return free;
        }
        self.size.wrapping_sub(self.mine.wrapping_sub(self.consumed()))
    }

    /// How far the kernel has come.
    #[inline(always)]
    pub fn consumed(&mut self) -> u32 {
        self.theirs = self.word(self.consumer).load(Ordering::Acquire);
        self.theirs
    }

    /// Fills the next slot, which is free.
    #[inline(always)]
    pub fn write(&mut self, value: T) {
        // SAFETY: free slots are the producer's.
        unsafe { self.slot(self.mine).write(value) };
        self.mine = self.mine.wrapping_add(1);
    }

    /// Lets the kernel see what was written.
    #[inline(always)]
    pub fn publish(&self) {
        self.word(self.producer).store(self.mine, Ordering::Release);
    }

    /// Takes back the last of the slots that were filled from `to` on, which the kernel has not looked at.
    pub fn take_back(&mut self, to: u32) -> Option<T> {
        if self.mine == to {
            return None;
        }
        self.mine = self.mine.wrapping_sub(1);
        // SAFETY: not looked at, so still the producer's.
        Some(unsafe { self.slot(self.mine).read() })
    }
}

/// For the side that consumes.
impl<T: Copy> Ring<T> {
    /// How many slots are filled, looked at anew when none is known to be.
    #[inline(always)]
    pub fn ready(&mut self) -> u32 {
        if self.theirs == self.mine {
            self.theirs = self.word(self.producer).load(Ordering::Acquire);
        }
        self.theirs.wrapping_sub(self.mine)
    }

    /// The next filled slot.
    #[inline(always)]
    pub fn read(&mut self) -> Option<T> {
        if self.ready() == 0 {
            return None;
        }
        // SAFETY: filled slots are the consumer's.
        let value = unsafe { self.slot(self.mine).read() };
        self.mine = self.mine.wrapping_add(1);
        Some(value)
    }

    /// What a slot further on holds, if it is known to be filled.
    #[inline(always)]
    pub fn ahead(&self, distance: u32) -> Option<T> {
        if self.theirs.wrapping_sub(self.mine) <= distance {
            return None;
        }
        // SAFETY: as in `read`.
        Some(unsafe { self.slot(self.mine.wrapping_add(distance)).read() })
    }

    /// Goes on where an earlier view of the ring ended.
    pub fn resume(&mut self) {
        self.mine = self.word(self.consumer).load(Ordering::Acquire);
        self.theirs = self.mine;
    }

    /// Gives the slots that were read back to the kernel.
    #[inline(always)]
    pub fn release(&self) {
        self.word(self.consumer).store(self.mine, Ordering::Release);
    }
}

/// Which cells the kernel has from one half of a socket: a bit each. One thread changes them; whoever closes the socket reads them.
#[derive(Debug)]
pub(super) struct Held(Box<[std::sync::atomic::AtomicU64]>);

impl Held {
    /// None of `cells` cells.
    pub fn new(cells: u32) -> Held {
        Held((0..cells.div_ceil(64)).map(|_| Default::default()).collect())
    }

    /// The kernel gets it.
    #[inline(always)]
    pub fn give(&self, cell: u32) {
        if let Some(word) = self.0.get((cell / 64) as usize) {
            word.store(word.load(Ordering::Relaxed) | 1 << (cell % 64), Ordering::Relaxed);
        }
    }

    /// The kernel gives it back; whether it had it.
    #[inline(always)]
    pub fn take(&self, cell: u32) -> bool {
        let Some(word) = self.0.get((cell / 64) as usize) else { return false };
        let (bits, bit) = (word.load(Ordering::Relaxed), 1 << (cell % 64));
        word.store(bits & !bit, Ordering::Relaxed);
        bits & bit != 0
    }

    /// Whether the kernel has none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }

    /// All that the kernel still has.
    pub fn drain(&self) -> Vec<u32> {
        let mut all = Vec::new();
        for (word, at) in self.0.iter().zip(0..) {
            let mut bits = word.swap(0, Ordering::Relaxed);
            while bits != 0 {
                all.push(at * 64 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        all
    }
}

/// Reads where a socket's rings lie in their mappings.
pub(super) fn offsets(fd: BorrowedFd<'_>) -> io::Result<libc::xdp_mmap_offsets> {
    const WORDS: usize = size_of::<libc::xdp_mmap_offsets>() / 4;
    let words: [u32; WORDS] = sys::option(fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS)?;
    // SAFETY: the kernel filled in this structure of 64-bit numbers; any bits are valid.
    Ok(unsafe { std::mem::transmute::<[u32; WORDS], libc::xdp_mmap_offsets>(words) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_has_is_known() {
        let held = Held::new(130);
        for cell in [0, 63, 64, 129] {
            held.give(cell);
        }
        assert!(held.take(63) && !held.take(63), "it comes back once");
        assert!(!held.take(1) && !held.take(1 << 20), "and was given before");
        assert!(!held.is_empty());
        assert_eq!(held.drain(), [0, 64, 129]);
        assert!(held.is_empty());
    }

    #[test]
    fn rings_run_on_past_the_largest_number() {
        let words = [u32::MAX - 1, u32::MAX - 1, 0].map(AtomicU32::new);
        let mut slots = [0u64; 4];
        let [producer, consumer, flags] = words.each_ref().map(NonNull::from);
        let slots = NonNull::from(&mut slots).cast();
        let (mine, _slots) = (u32::MAX - 1, PhantomData);
        // One ring from both of its sides.
        let mut to = Ring { producer, consumer, flags, slots, size: 4, mine, theirs: mine, _slots };
        let mut from = Ring { producer, consumer, flags, slots, size: 4, mine, theirs: mine, _slots };
        for value in 0..4 {
            assert_eq!(to.free(1), 4 - value as u32);
            to.write(value);
        }
        assert_eq!((to.free(1), from.read()), (0, None), "not published");
        assert_eq!(to.take_back(to.mine().wrapping_sub(1)), Some(3));
        to.publish();
        assert_eq!(
            (from.read(), from.ahead(1), from.read(), from.read(), from.read()),
            (Some(0), Some(2), Some(1), Some(2), None)
        );
        assert_eq!(to.free(1), 1);
        from.release();
        assert_eq!((to.free(2), to.consumed()), (4, 1));
    }
}
