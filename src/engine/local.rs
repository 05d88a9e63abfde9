//! State that belongs to one worker: its nodes share it, and control's jobs on that worker reach it.

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A value that only one thread ever touches: the first that asks for it. Handles to it may go anywhere.
///
/// It is how nodes of one worker share a table without a lock: a borrow costs two loads and two stores.
#[derive(Debug)]
pub struct Local<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    /// The thread that the value belongs to, as [`this_thread`] numbers it; 0 before anyone asked.
    owner: AtomicUsize,
    borrowed: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: `borrowed` and `value` are reached on the owner's thread only, which `get` checks first; the value may have been made, and
// may be dropped, on another thread, hence `T: Send`.
unsafe impl<T: Send> Sync for Inner<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Inner<T> {}

impl<T> Clone for Local<T> {
    fn clone(&self) -> Self {
        Local(self.0.clone())
    }
}

impl<T: Send> Local<T> {
    /// A value that belongs to the thread that first [gets](Self::get) it.
    pub fn new(value: T) -> Local<T> {
        Local(Arc::new(Inner { owner: AtomicUsize::new(0), borrowed: Cell::new(false), value: UnsafeCell::new(value) }))
    }

    /// The value; none on any other thread than its owner's, and none while a borrow of it is alive.
    #[inline(always)]
    pub fn get(&self) -> Option<Borrow<'_, T>> {
        let inner = &*self.0;
        if inner.owner.load(Relaxed) != this_thread() && !claim(&inner.owner) {
            return None;
        }
        // Only the owner's thread comes here.
        if inner.borrowed.replace(true) {
            return None;
        }
        Some(Borrow { inner, stays: PhantomData })
    }
}

/// The number of a thread that has none yet.
const UNNUMBERED: usize = usize::MAX;
thread_local!(static NUMBER: Cell<usize> = const { Cell::new(UNNUMBERED) });

/// This thread's number, which no other ever has; [`UNNUMBERED`] before it claims anything.
#[inline(always)]
fn this_thread() -> usize {
    NUMBER.get()
}

/// Makes this thread the owner if there is none yet.
#[cold]
fn claim(owner: &AtomicUsize) -> bool {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    if NUMBER.get() == UNNUMBERED {
        NUMBER.set(NEXT.fetch_add(1, Relaxed));
    }
    owner.compare_exchange(0, this_thread(), Relaxed, Relaxed).is_ok()
}

/// The borrowed value of a [`Local`].
#[derive(Debug)]
pub struct Borrow<'a, T> {
    inner: &'a Inner<T>,
    /// Not `Send`: it stays on the owner's thread.
    stays: PhantomData<*const ()>,
}

impl<T> Deref for Borrow<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: `borrowed` makes this the only borrow, and `Inner` keeps it on one thread (a borrow is not `Send`).
        unsafe { &*self.inner.value.get() }
    }
}

impl<T> DerefMut for Borrow<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.inner.value.get() }
    }
}

impl<T> Drop for Borrow<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.inner.borrowed.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_one_borrow() {
        let local = Local::new(1);
        {
            let mut first = local.get().unwrap();
            *first += 1;
            assert!(local.get().is_none(), "borrowed already");
        }
        assert_eq!(*local.get().unwrap(), 2);
        let handle = local.clone();
        assert!(std::thread::spawn(move || handle.get().is_none()).join().unwrap(), "another thread");
    }

    #[test]
    fn the_first_thread_that_asks_owns_it() {
        let local = Local::new(1);
        let handle = local.clone();
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(handle.get().is_some())).join().unwrap();
        });
        assert!(local.get().is_none());
    }

    #[test]
    fn a_panic_gives_the_borrow_back() {
        let local = Local::new(1);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _borrow = local.get().unwrap();
            panic!("in the middle of it");
        }));
        assert!(caught.is_err() && local.get().is_some());
    }
}
