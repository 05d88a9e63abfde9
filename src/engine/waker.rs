//! Waking a thread that sleeps on a descriptor, with one system call however many call.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An eventfd that is written once until its owner has read it. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct Waker(Arc<(File, AtomicBool)>);

impl Waker {
    /// A new one, not rung.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Waker> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor.
        Ok(Waker(Arc::new((unsafe { File::from_raw_fd(fd) }, AtomicBool::new(false)))))
    }

    /// Makes the descriptor readable, unless it is already.
    pub fn wake(&self) {
        if !self.0.1.swap(true, Ordering::SeqCst) {
            // Fails only when the counter is full, and then the descriptor is readable anyway.
            let _ = (&self.0.0).write(&1u64.to_ne_bytes());
        }
    }

    /// Takes the ring back; call before looking at what it was about.
    pub fn clear(&self) {
        let _ = (&self.0.0).read(&mut [0; 8]);
        self.0.1.store(false, Ordering::SeqCst);
    }

    /// The descriptor to wait on for readability.
    pub fn fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}
