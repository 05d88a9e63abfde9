//! Waiting for a descriptor to become readable. The one place of the control plane with unsafe code: a single call.

use millrace_engine::Waker;
use millrace_io::LinkWatch;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What owns a descriptor that stays the same and open for as long as it lives.
pub trait Owner: AsRawFd {}

impl Owner for LinkWatch {}
impl Owner for Bell {}

/// The handle that is rung for control.
#[derive(Clone, Debug)]
pub struct Bell(pub Waker);

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.fd()
    }
}

/// A descriptor to wait for.
#[derive(Debug)]
pub struct Ready<T: Owner>(AsyncFd<T>);

impl<T: Owner> Ready<T> {
    /// Takes the owner of the descriptor. Call it within a runtime.
    ///
    /// # Errors
    /// When the system can't watch the descriptor.
    #[allow(unsafe_code)]
    pub fn new(owner: T) -> io::Result<Ready<T>> {
        // SAFETY: an `Owner` keeps one descriptor open for as long as it lives, and lives in the `AsyncFd` from here on.
        let fd = unsafe { AsyncFd::register_with_interest(owner, Interest::READABLE) };
        Ok(Ready(fd.map_err(io::Error::from)?))
    }

    /// The owner.
    pub fn owner(&self) -> &T {
        self.0.get_ref()
    }

    /// Ends when the descriptor is readable; never when it can't be watched any more.
    pub async fn wait(&self) {
        match self.0.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_ring_is_heard_once() {
        let waker = Waker::new().unwrap();
        let ready = Ready::new(Bell(waker.clone())).unwrap();
        let soon = |future| tokio::time::timeout(Duration::from_millis(20), future);
        assert!(soon(ready.wait()).await.is_err());
        for _ in 0..3 {
            waker.wake();
            ready.wait().await;
            waker.clear();
        }
        assert!(soon(ready.wait()).await.is_err());
    }
}
