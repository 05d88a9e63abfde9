//! Big shared memory: a memfd in 2 MiB huge pages, falling back to ordinary pages.
//!
//! The region is a file descriptor so that a peer (memif, vhost-user) or the kernel (AF_XDP) can map the same bytes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};
use std::ptr::NonNull;

/// Bytes in a huge page.
pub const HUGE_PAGE: usize = 2 << 20;

/// Whether memory comes from the huge page pool (`buffers.huge-pages` of the configuration).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HugePages {
    /// Huge pages where there are enough of them, ordinary pages (with transparent huge pages asked for) otherwise.
    #[default]
    Auto,
    /// Huge pages or an error.
    Required,
    /// Ordinary pages.
    Off,
}

/// A mapped, zeroed, shared memory region; unmapped when dropped.
#[derive(Debug)]
pub struct Region {
    base: NonNull<u8>,
    len: usize,
    file: File,
    huge: bool,
}

// SAFETY: the region is plain memory; who may touch which byte is decided by the buffer pool on top of it.
unsafe impl Send for Region {}
// SAFETY: as above: `Region` itself hands out only its base pointer.
unsafe impl Sync for Region {}

impl Region {
    /// Maps at least `len` bytes, rounded up to whole huge pages.
    ///
    /// # Errors
    /// When memory can't be had, or no huge pages are free and `pages` requires them.
    pub fn new(len: usize, pages: HugePages) -> io::Result<Region> {
        let len = len.max(1).next_multiple_of(HUGE_PAGE);
        if pages != HugePages::Off {
            match Region::map(len, true) {
                Err(e) if pages == HugePages::Required => {
                    let need = len / HUGE_PAGE;
                    return Err(io::Error::new(
                        e.kind(),
                        format!(
                            "no {need} free 2 MiB huge pages ({e}); reserve them with `sysctl vm.nr_hugepages={need}`"
                        ),
                    ));
                }
                Err(_) => {}
                ok => return ok,
            }
        }
        Region::map(len, false)
    }

    fn map(len: usize, huge: bool) -> io::Result<Region> {
        let flags =
            libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | if huge { libc::MFD_HUGETLB | libc::MFD_HUGE_2MB } else { 0 };
        // SAFETY: the name is a NUL-terminated literal.
        let fd = unsafe { libc::memfd_create(c"millrace-buffers".as_ptr(), flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: memfd_create returned a descriptor that nobody else owns.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len(len as u64)?;
        // Whoever is given the descriptor can't take the memory away.
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: numbers only.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh shared mapping of a file of exactly `len` bytes, at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        if !huge {
            // SAFETY: advice about our own mapping; refusal is harmless.
            unsafe { libc::madvise(base, len, libc::MADV_HUGEPAGE) };
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or_else(|| io::Error::other("mmap returned address 0"))?;
        Ok(Region { base, len, file, huge })
    }

    /// The first byte.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes mapped.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true: a region holds at least one page.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it lies in huge pages of the kernel's pool.
    pub fn huge(&self) -> bool {
        self.huge
    }

    /// The descriptor by which others map it.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` mapped; nothing borrowed from it outlives its owner.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_pages_are_always_there() {
        let r = Region::new(1, HugePages::Off).unwrap();
        assert_eq!(r.len(), HUGE_PAGE);
        assert!(!r.huge());
    }

    #[test]
    fn nobody_takes_the_memory_away() {
        for pages in [HugePages::Off, HugePages::Auto] {
            let r = Region::new(1, pages).unwrap();
            let other = r.file.try_clone().unwrap();
            assert!(other.set_len(0).is_err() && other.set_len(1 << 30).is_err());
        }
    }

    #[test]
    fn an_impossible_demand_says_what_to_do() {
        let e = Region::new(1 << 44, HugePages::Required).unwrap_err();
        assert!(e.to_string().contains("vm.nr_hugepages=8388608"), "{e}");
    }
}
