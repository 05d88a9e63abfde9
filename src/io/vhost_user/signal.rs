//! The descriptors by which the two ends of a ring wake each other.

use crate::sys;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// An eventfd of the other end.
#[derive(Debug)]
pub(super) struct Signal(File);

impl Signal {
    /// Takes it over. Anything else that the other end might pass (a pipe that is full) could stop who writes to it.
    ///
    /// # Errors
    /// When it is no eventfd.
    pub fn new(file: File) -> io::Result<Signal> {
        let is = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if is.as_os_str() != "anon_inode:[eventfd]" {
            let what = format!("a descriptor for signals is {}, no eventfd", is.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        // SAFETY: no pointers are passed.
        let flags = sys::check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) })?;
        // SAFETY: as above.
        sys::check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
        Ok(Signal(file))
    }

    /// Writes to it.
    pub fn ring(&self) {
        // Fails only when the counter is full, and then nobody has to be told any more.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// To wait for it.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::{FromRawFd, OwnedFd};

    pub fn eventfd(count: u32) -> File {
        // SAFETY: no pointers are passed; the descriptor is new.
        unsafe { File::from_raw_fd(sys::check(libc::eventfd(count, libc::EFD_CLOEXEC)).unwrap()) }
    }

    #[test]
    fn only_an_eventfd_is_rung_and_never_waited_for() {
        let mut peer = eventfd(0);
        let signal = Signal::new(peer.try_clone().unwrap()).unwrap();
        signal.ring();
        let mut count = [0; 8];
        peer.read_exact(&mut count).unwrap();
        assert_eq!(u64::from_ne_bytes(count), 1);
        // As full as it gets: another write would wait.
        peer.write_all(&(u64::MAX - 1).to_ne_bytes()).unwrap();
        signal.ring();
        let (_reader, writer) = io::pipe().unwrap();
        assert!(Signal::new(File::from(OwnedFd::from(writer))).is_err());
    }
}
