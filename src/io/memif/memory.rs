//! The memory that a client shares: its rings, and buffers unless packets lie in the pool.

use super::ring::{ALIGNMENT, Ring};
use crate::sys::check;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};
use std::ptr::NonNull;

/// Packet bytes that a buffer takes: what other implementations have, too.
pub(super) const BUFFER: usize = 2048;
/// From one buffer to the next: an odd number of cache lines, so that the first lines spread over all cache sets.
pub(super) const STRIDE: usize = BUFFER + 64;
/// Descriptors reach so far.
pub(super) const MOST: u64 = 1 << 32;
const PAGE: usize = 4 << 10;

/// Where what lies in a client's first region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub to_server: u16,
    pub to_client: u16,
    pub log2_ring_size: u8,
    pub with_buffers: bool,
}

impl Layout {
    /// Rings one behind the other, those to the server first.
    pub fn ring(&self, to_server: bool, index: u16) -> usize {
        let number = if to_server { usize::from(index) } else { usize::from(self.to_server) + usize::from(index) };
        number * Ring::bytes(self.log2_ring_size)
    }

    /// The buffers of a ring.
    pub fn buffers(&self, to_server: bool, index: u16) -> usize {
        let rings = self.ring(false, self.to_client).next_multiple_of(PAGE);
        let number = if to_server { usize::from(index) } else { usize::from(self.to_server) + usize::from(index) };
        rings + (number << self.log2_ring_size) * STRIDE
    }

    /// All of it, in bytes.
    pub fn len(&self) -> usize {
        let end =
            if self.with_buffers { self.buffers(false, self.to_client) } else { self.ring(false, self.to_client) };
        end.next_multiple_of(PAGE)
    }
}

const _: () = assert!(Ring::bytes(0).is_multiple_of(ALIGNMENT));

/// Memory of our own that a peer maps, too. It can't be made shorter by anybody.
pub(super) struct Memory {
    base: NonNull<u8>,
    len: usize,
    file: File,
}

// SAFETY: it is plain memory that the peer may change at any time, and is treated as such wherever it is used.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Zeroed memory of `len` bytes, all of whose pages are there.
    ///
    /// # Errors
    /// When it can't be had.
    pub fn new(len: usize) -> io::Result<Memory> {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: the name ends with NUL.
        let fd = check(unsafe { libc::memfd_create(c"millrace-memif".as_ptr(), flags) })?;
        // SAFETY: the kernel just gave us this descriptor.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len(len as u64)?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: numbers only.
        check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a fresh mapping of a file of exactly `len` bytes, at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, file.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or_else(|| io::Error::other("mmap returned address 0"))?;
        Ok(Memory { base, len, file })
    }

    #[inline(always)]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped; whoever uses it holds this.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overlaps() {
        let layout = Layout { to_server: 2, to_client: 3, log2_ring_size: 5, with_buffers: true };
        let mut parts: Vec<(usize, usize)> = Vec::new();
        for (to_server, count) in [(true, 2), (false, 3)] {
            for index in 0..count {
                parts.push((layout.ring(to_server, index), Ring::bytes(5)));
                parts.push((layout.buffers(to_server, index), 32 * STRIDE));
            }
        }
        parts.sort_unstable();
        assert!(parts.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{parts:?}");
        assert!(parts.iter().all(|(at, _)| at % ALIGNMENT == 0));
        let (last, len) = parts[parts.len() - 1];
        assert!(last + len <= layout.len() && layout.len().is_multiple_of(PAGE));
    }

    #[test]
    fn a_peer_cannot_make_it_shorter() {
        let memory = Memory::new(PAGE).unwrap();
        let theirs = File::from(memory.fd().try_clone_to_owned().unwrap());
        assert!(theirs.set_len(0).is_err());
        assert!(theirs.set_len(1 << 20).is_err());
    }
}
