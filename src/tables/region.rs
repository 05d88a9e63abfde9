//! Memory for large tables: anonymous mappings that the system backs, with zeros, as they are touched.

use std::io;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

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
        let base = map(mapped(bytes.ok_or(io::ErrorKind::InvalidInput)?))?.cast();
        Ok(Self { base, len })
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
        mapped(self.len * size_of::<T>())
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
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes()) };
    }
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
}
