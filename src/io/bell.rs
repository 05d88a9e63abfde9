//! One descriptor to sleep on that stays the same while the peers' descriptors behind it come and go: an epoll instance.

use crate::sys::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// The most descriptors that are behind one bell.
const MOST: usize = 8;

/// Readable when one of the eventfds behind it was written since [`Bell::clear`]; clones are handles to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Bell(Arc<OwnedFd>);

impl Bell {
    /// A bell with nothing behind it.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Bell> {
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel just gave us this descriptor.
        Ok(Bell(Arc::new(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// The descriptor to wait on for readability.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Listens to this descriptor, too. Each writing of it rings once; nobody has to read it.
    ///
    /// # Errors
    /// When it can't be waited for (a file), or is there already.
    pub fn add(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let events = (libc::EPOLLIN | libc::EPOLLET) as u32;
        let mut event = libc::epoll_event { events, u64: fd.as_raw_fd() as u64 };
        // SAFETY: the kernel reads `event` during the call only.
        check(unsafe { libc::epoll_ctl(self.fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &mut event) }).map(drop)
    }

    /// Stops listening to it; call it before it is closed, as a copy of it in the peer's hands keeps it alive.
    pub fn remove(&self, fd: BorrowedFd<'_>) {
        // SAFETY: the kernel reads no event when it deletes. A descriptor that isn't there is an error that changes nothing.
        unsafe { libc::epoll_ctl(self.fd(), libc::EPOLL_CTL_DEL, fd.as_raw_fd(), std::ptr::null_mut()) };
    }

    /// Takes the rings back; call it when the sleeper woke, before it looks at what they were about.
    pub fn clear(&self) {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; MOST];
        // SAFETY: the kernel writes at most `MOST` events to the array.
        unsafe { libc::epoll_wait(self.fd(), events.as_mut_ptr(), MOST as i32, 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_engine::Waker;

    fn rings(bell: &Bell) -> bool {
        let mut poll = libc::pollfd { fd: bell.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor, described by `poll`.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

    #[test]
    fn each_write_rings_once_until_it_is_cleared() {
        let (bell, peer) = (Bell::new().unwrap(), Waker::new().unwrap());
        // SAFETY: the waker outlives the test's use of its descriptor.
        let fd = unsafe { BorrowedFd::borrow_raw(peer.fd()) };
        bell.add(fd).unwrap();
        assert!(!rings(&bell));
        for _ in 0..3 {
            peer.wake();
            assert!(rings(&bell));
            bell.clear();
            assert!(!rings(&bell));
            peer.clear();
        }
        peer.wake();
        bell.remove(fd);
        assert!(!rings(&bell));
    }
}
