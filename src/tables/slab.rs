//! Arrays that grow in place: memory is taken as elements come, and they never move.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::io;
use std::mem::MaybeUninit;

use crate::region::Region;

/// Starts loading the cache line that something begins in, if there is something.
#[inline(always)]
pub fn prefetch<T>(at: Option<&T>) {
    if let Some(at) = at {
        // SAFETY: a prefetch reads nothing that anyone sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast()) }
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// An array of up to so many elements.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Region<MaybeUninit<T>>,
    /// Elements before it are initialised.
    len: usize,
}

impl<T: Copy> Slab<T> {
    /// An empty one, with address space for `max` elements, at least one.
    ///
    /// # Errors
    /// The system refuses to map it.
    pub fn new(max: usize) -> io::Result<Self> {
        Ok(Self { slots: Region::new(max.max(1))?, len: 0 })
    }

    /// Adds an element and returns its index; none if there is no space.
    pub fn push(&mut self, value: T) -> Option<usize> {
        let at = self.len;
        self.slots.get_mut(at)?.write(value);
        self.slots.advance(at, at + 1);
        self.len = at + 1;
        Some(at)
    }

    /// An element.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&T> {
        // SAFETY: it is initialised.
        self.slots.get(at).filter(|_| at < self.len).map(|slot| unsafe { slot.assume_init_ref() })
    }

    /// An element, to change.
    #[inline(always)]
    #[must_use]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let len = self.len;
        // SAFETY: it is initialised.
        self.slots.get_mut(at).filter(|_| at < len).map(|slot| unsafe { slot.assume_init_mut() })
    }

    /// Starts loading an element. Any index will do.
    #[inline(always)]
    pub fn prefetch(&self, at: usize) {
        prefetch(self.slots.get(at));
        if !LINE.is_multiple_of(size_of::<T>()) {
            // It may reach into the next line, where in that case the next element begins or goes on.
            prefetch(self.slots.get(at.saturating_add(1)));
        }
    }

    /// The elements that there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory that its elements take.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.len * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_its_end_and_no_further() {
        let mut slab = Slab::new(3).unwrap();
        assert_eq!((slab.get(0), slab.is_empty()), (None, true));
        assert_eq!([slab.push(7u32), slab.push(8), slab.push(9), slab.push(10)], [Some(0), Some(1), Some(2), None]);
        assert_eq!((slab.get(2), slab.get(3), slab.len(), slab.memory()), (Some(&9), None, 3, 12));
        *slab.get_mut(1).unwrap() = 80;
        assert_eq!(slab.get(1), Some(&80));
        assert_eq!(slab.get_mut(3), None);
        slab.prefetch(1 << 40);
    }

    #[test]
    fn what_was_not_pushed_is_not_there() {
        let slab = Slab::<std::num::NonZeroU32>::new(1000).unwrap();
        assert!((0..1000).all(|at| slab.get(at).is_none()));
    }
}
