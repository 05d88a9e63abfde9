//! What a writer publishes and readers follow: one value, or a fixed number of slots with a value each.

use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

use super::{Domain, Guard, domain};
use crossbeam::utils::CachePadded;

/// A heap value that a writer replaces while readers use it.
///
/// Dropping it retires the value, so references got from it outlive it safely.
pub struct Published<T: Send + Sync + 'static>(Slot<T>);

impl<T: Send + Sync + 'static> Published<T> {
    /// Publishes the first value.
    pub fn new(value: T) -> Self {
        Self(Slot { pointer: AtomicPtr::new(Box::into_raw(Box::new(CachePadded::new(value)))), owns: PhantomData })
    }

    /// The current value. Two calls may give two values; take it once per frame where that matters.
    #[inline]
    #[must_use]
    pub fn get<'g>(&self, guard: &Guard<'g>) -> &'g T {
        let pointer = self.0.load(guard);
        // SAFETY: never null: `new` and `publish` store boxes, and only dropping takes the last one out. Alive and unaliased by
        // any `&mut` for 'g, see `Slot::load`.
        unsafe { &*pointer }
    }

    /// Replaces the value; the old one is retired.
    pub fn publish(&self, domain: &Domain, value: T) {
        self.0.replace(domain, Some(value));
    }
}

impl<T: Send + Sync + fmt::Debug + 'static> fmt::Debug for Published<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Published(..)")
    }
}

/// An index beyond the capacity that a [`Slots`] was created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("slot {index} is out of range: there are {capacity}")]
pub struct OutOfRange {
    /// The index asked for.
    pub index: u32,
    /// The number of slots.
    pub capacity: u32,
}

/// A fixed number of slots, each empty or holding a value that a writer replaces while readers use it.
///
/// An empty slot costs 8 bytes of address space and, on a page that was never written, no memory. Dropping it retires the values.
pub struct Slots<T: Send + Sync + 'static> {
    blocks: Box<[Block<T>]>,
    capacity: u32,
}

/// Slots in one block.
const BLOCK: usize = 16;

/// Slots on cache lines that hold nothing else: whoever wrote beside them would slow every reader.
#[repr(C, align(128))]
struct Block<T: Send + Sync + 'static>([Slot<T>; BLOCK]);

const _: () = assert!(size_of::<Block<()>>() == BLOCK * size_of::<Slot<()>>());

impl<T: Send + Sync + 'static> Slots<T> {
    /// `capacity` empty slots.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        let blocks = Box::new_zeroed_slice((capacity as usize).div_ceil(BLOCK));
        // SAFETY: a slot is transparent over an `AtomicPtr`, for which all bits zero is the null pointer.
        Self { blocks: unsafe { blocks.assume_init() }, capacity }
    }

    /// The number of slots.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        // SAFETY: the blocks are an array of at least `capacity` slots, without padding between them.
        let slots =
            unsafe { std::slice::from_raw_parts(self.blocks.as_ptr().cast::<Slot<T>>(), self.capacity as usize) };
        slots.get(index as usize)
    }

    /// The value at `index`; none if the slot is empty or does not exist. Wait-free.
    #[inline]
    #[must_use]
    pub fn get<'g>(&self, index: u32, guard: &Guard<'g>) -> Option<&'g T> {
        let pointer = self.slot(index)?.load(guard);
        // SAFETY: null or alive and unaliased by any `&mut` for 'g, see `Slot::load`.
        unsafe { pointer.as_ref() }.map(|value| &**value)
    }

    /// Fills a slot or replaces its value; the old one is retired.
    ///
    /// # Errors
    /// [`OutOfRange`] if there is no such slot; `value` is dropped.
    pub fn set(&self, domain: &Domain, index: u32, value: T) -> Result<(), OutOfRange> {
        let capacity = self.capacity();
        let slot = self.slot(index).ok_or(OutOfRange { index, capacity })?;
        slot.replace(domain, Some(value));
        Ok(())
    }

    /// Empties a slot; its value is retired. Returns whether there was one.
    pub fn clear(&self, domain: &Domain, index: u32) -> bool {
        self.slot(index).is_some_and(|slot| slot.replace(domain, None))
    }
}

impl<T: Send + Sync + fmt::Debug + 'static> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

/// Null, or a box that this slot owns, on cache lines of its own. `T` is `Send + Sync` throughout: references to it are shared among threads, and it is
/// dropped on whichever thread collects.
#[repr(transparent)]
struct Slot<T: Send + Sync + 'static> {
    pointer: AtomicPtr<CachePadded<T>>,
    owns: PhantomData<CachePadded<T>>,
}

impl<T: Send + Sync + 'static> Slot<T> {
    /// The current pointer. If not null it may be dereferenced, shared, for 'g: the box is given up only by `replace`, which
    /// retires it after unlinking, and the guard's participant, which is online, passes no quiescent point before 'g ends.
    #[inline]
    fn load<'g>(&self, _guard: &Guard<'g>) -> *const CachePadded<T> {
        self.pointer.load(Acquire)
    }

    /// Swaps the value and retires the old one; says whether there was one.
    fn replace(&self, domain: &Domain, value: Option<T>) -> bool {
        let new = value.map_or(ptr::null_mut(), |value| Box::into_raw(Box::new(CachePadded::new(value))));
        let old = self.pointer.swap(new, AcqRel);
        if old.is_null() {
            return false;
        }
        // SAFETY: every pointer stored here came from `Box::into_raw`, and the swap gave this one to us alone.
        domain.retire(unsafe { Box::from_raw(old) });
        true
    }
}

impl<T: Send + Sync + 'static> Drop for Slot<T> {
    fn drop(&mut self) {
        // A reader may still hold what it got through a guard: 'g does not borrow the slot.
        self.replace(&domain(), None);
    }
}
