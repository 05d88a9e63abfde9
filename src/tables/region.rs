//! Memory for large tables: anonymous mappings that the system backs, with zeros, as they are touched.

use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

use crate::ahead;

/// What a large region is aligned to and, where the system has huge pages to give, backed by.
pub const HUGE_PAGE: usize = 2 << 20;
/// What a small one is.
const PAGE: usize = 4096;

/// Types for which all bits zero is a value, and which nothing needs to drop.
///
/// # Safety
/// Just that.
pub unsafe trait Zeroed: Sized {}

// SAFETY: zero is a number.
unsafe impl Zeroed for AtomicU32 {}
// SAFETY: it may be anything, and drops nothing.
unsafe impl<T> Zeroed for MaybeUninit<T> {}

/// An array of zeros, at first, that costs address space only where nothing was written. From 2 MiB on it asks for huge pages.
#[derive(Debug)]
pub struct Region<T> {
    base: NonNull<T>,
    len: usize,
    /// Of the mapping: whole pages, at least the elements.
    bytes: usize,
}

// SAFETY: a region owns its elements, as a box does.
unsafe impl<T: Send> Send for Region<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Region<T> {}

impl<T: Zeroed> Region<T> {
    /// `len` zeros; `len` and the size of `T` are not zero.
    pub fn new(len: usize) -> io::Result<Self> {
        const { assert!(align_of::<T>() <= PAGE && size_of::<T>() > 0) };
        let bytes = len.checked_mul(size_of::<T>()).filter(|&bytes| bytes > 0 && bytes <= isize::MAX as usize / 2);
        let bytes = mapped(bytes.ok_or(io::ErrorKind::InvalidInput)?);
        Ok(Self { base: map(bytes)?.cast(), len, bytes })
    }
}

impl<T> Region<T> {
    /// The first element. All of them may be accessed through it, as through a raw slice that the region owns.
    #[inline(always)]
    pub const fn base(&self) -> NonNull<T> {
        self.base
    }

    /// The number of elements.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The bytes of address space, whole pages.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Has the system back some elements now. Where it can't, it does when they are touched.
    pub fn back(&self, elements: Range<usize>) {
        back(self.pages(elements));
    }

    /// To be called when, after the first `before` elements, those up to `now` come into use: as they reach a huge page, another
    /// thread backs the next one, so that who uses them needn't wait for it.
    #[inline(always)]
    pub fn advance(&self, before: usize, now: usize) {
        let pages = |len: usize| (len * size_of::<T>()).div_ceil(HUGE_PAGE);
        let next = pages(now) * HUGE_PAGE;
        if pages(now) > pages(before) && next < self.bytes {
            self.back_soon(next..next + HUGE_PAGE);
        }
    }

    #[cold]
    fn back_soon(&self, bytes: Range<usize>) {
        let base = self.base.addr().get();
        let pages = base + bytes.start..base + bytes.end.min(self.bytes);
        ahead::submit(move || back(pages));
    }

    /// The addresses of the pages that elements are in.
    fn pages(&self, elements: Range<usize>) -> Range<usize> {
        let address = |at: usize| self.base.addr().get() + at.min(self.len) * size_of::<T>();
        let end = self.base.addr().get() + self.bytes;
        address(elements.start) / PAGE * PAGE..address(elements.end).next_multiple_of(PAGE).min(end)
    }

    /// Gives away the first `len` elements, which fill whole huge pages, if there are more.
    pub fn split_front(&mut self, len: usize) -> Option<Self> {
        let bytes = len * size_of::<T>();
        if bytes == 0 || len >= self.len || !bytes.is_multiple_of(HUGE_PAGE) {
            return None;
        }
        let front = Self { base: self.base, len, bytes };
        // SAFETY: there are more than `len` elements.
        self.base = unsafe { self.base.add(len) };
        self.len -= len;
        self.bytes -= bytes;
        Some(front)
    }

    /// An element.
    #[inline(always)]
    pub fn get(&self, at: usize) -> Option<&T> {
        // SAFETY: in range, initialised from the start (zero), and borrowed as `self` is.
        (at < self.len).then(|| unsafe { self.base.add(at).as_ref() })
    }

    /// An element, to change.
    #[inline(always)]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        // SAFETY: as for `get`, and `self` is borrowed mutably.
        (at < self.len).then(|| unsafe { self.base.add(at).as_mut() })
    }
}

impl<T> Drop for Region<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone, of this length, and nobody can reach it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// Has the system back some pages, if they are mapped and it knows how (Linux 5.14).
fn back(pages: Range<usize>) {
    // SAFETY: this writes nothing, and so does no harm even if the pages have become somebody else's.
    unsafe { libc::madvise(ptr::without_provenance_mut(pages.start), pages.len(), libc::MADV_POPULATE_WRITE) };
}

/// Whole pages: huge ones if there is at least one of them to fill, so that a small table stays small.
const fn mapped(bytes: usize) -> usize {
    bytes.next_multiple_of(if bytes >= HUGE_PAGE { HUGE_PAGE } else { PAGE })
}

/// Maps `len` bytes, whole pages, of zeroed memory that the system backs when it is touched.
fn map(len: usize) -> io::Result<NonNull<libc::c_void>> {
    let slack = if len >= HUGE_PAGE { HUGE_PAGE } else { 0 };
    // SAFETY: a new anonymous mapping at an address of the system's choice touches nothing that exists.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            len + slack,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let start = NonNull::new(start).ok_or_else(|| io::Error::other("mmap returned address 0"))?;
    if slack == 0 {
        return Ok(start);
    }
    let head = start.align_offset(HUGE_PAGE);
    // SAFETY: `head` is less than the slack; both pieces lie in the mapping just made, in front of and behind what is kept.
    // Unmapping nothing fails, harmlessly. Advice that the system does not take (huge pages off) is harmless, too.
    unsafe {
        let aligned = start.byte_add(head);
        if head > 0 {
            libc::munmap(start.as_ptr(), head);
        }
        libc::munmap(aligned.byte_add(len).as_ptr(), slack - head);
        libc::madvise(aligned.as_ptr(), len, libc::MADV_HUGEPAGE);
        Ok(aligned)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    // SAFETY: zero is a number.
    unsafe impl Zeroed for u64 {}

    #[test]
    fn zeros_at_both_ends_that_keep_what_is_written() {
        for len in [1, 511, 512, 513, HUGE_PAGE / 8 - 1, HUGE_PAGE / 8, HUGE_PAGE / 8 + 1] {
            let mut region = Region::<u64>::new(len).unwrap();
            assert_eq!((region.len(), region.get(0), region.get(len - 1)), (len, Some(&0), Some(&0)));
            assert!(region.get(len).is_none() && region.get_mut(len).is_none());
            *region.get_mut(len - 1).unwrap() = 7;
            assert_eq!(region.get(len - 1), Some(&7));
            let huge = len * 8 >= HUGE_PAGE;
            assert_eq!(region.bytes() % if huge { HUGE_PAGE } else { PAGE }, 0);
            assert!(!huge || region.base().addr().get().is_multiple_of(HUGE_PAGE));
        }
        assert!(Region::<u64>::new(0).is_err());
        assert!(Region::<u64>::new(usize::MAX / 4).is_err());
    }

    /// How many of the pages of some elements are backed.
    fn resident(region: &Region<u64>, elements: Range<usize>) -> usize {
        let pages = region.pages(elements);
        let mut states = vec![0_u8; pages.len() / PAGE];
        let start = ptr::without_provenance_mut(pages.start);
        // SAFETY: the pages are mapped, and the vector has a byte for each.
        assert_eq!(unsafe { libc::mincore(start, pages.len(), states.as_mut_ptr()) }, 0);
        states.iter().filter(|&&state| state & 1 != 0).count()
    }

    #[test]
    fn backed_before_it_is_touched() {
        let region = Region::<u64>::new(10 * 512).unwrap();
        region.back(511..1024);
        assert_eq!([resident(&region, 0..512), resident(&region, 512..1024), resident(&region, 1024..5120)], [1, 1, 0]);
        region.back(5119..1 << 40);
        assert_eq!((resident(&region, 4608..5120), resident(&region, 0..5120)), (1, 3));
    }

    #[test]
    fn the_next_huge_page_is_backed_meanwhile() {
        const HUGE: usize = HUGE_PAGE / 8;
        let region = Region::<u64>::new(2 * HUGE + 1).unwrap();
        (1..HUGE).for_each(|at| region.advance(at, at + 1));
        assert_eq!(resident(&region, 0..3 * HUGE), 0);
        for page in [1, 2] {
            region.advance((page - 1) * HUGE, (page - 1) * HUGE + 1);
            let deadline = Instant::now() + Duration::from_secs(60);
            while resident(&region, page * HUGE..(page + 1) * HUGE) == 0 {
                assert!(Instant::now() < deadline, "nobody did it");
                std::thread::yield_now();
            }
            assert_eq!(resident(&region, 0..HUGE), 0);
        }
        region.advance(2 * HUGE, 2 * HUGE + 1);
    }

    #[test]
    fn the_front_leaves() {
        const HUGE: usize = HUGE_PAGE / 8;
        let mut region = Region::<u64>::new(3 * HUGE - 5).unwrap();
        for at in [0, HUGE, 3 * HUGE - 6] {
            *region.get_mut(at).unwrap() = at as u64 + 1;
        }
        let front = region.split_front(HUGE).unwrap();
        assert_eq!((front.get(0), front.get(HUGE), front.bytes()), (Some(&1), None, HUGE_PAGE));
        drop(front);
        assert_eq!(
            (region.len(), region.bytes(), region.get(0)),
            (2 * HUGE - 5, 2 * HUGE_PAGE, Some(&(HUGE as u64 + 1)))
        );
        for len in [0, 512, 2 * HUGE - 5, 2 * HUGE] {
            assert!(region.split_front(len).is_none());
        }
        drop(region.split_front(HUGE));
        assert_eq!(
            (region.len(), region.bytes(), region.get(HUGE - 6)),
            (HUGE - 5, HUGE_PAGE, Some(&(3 * HUGE as u64 - 5)))
        );
    }
}
