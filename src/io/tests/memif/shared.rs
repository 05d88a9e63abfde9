//! Memory that a raw peer shares, and rings in it.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub fn check(result: i32) -> std::io::Result<i32> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}

pub fn eventfd() -> OwnedFd {
    // SAFETY: the descriptor is new.
    unsafe { OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)).unwrap()) }
}

/// Memory that is shared.
pub struct Shared {
    pub file: OwnedFd,
    base: *mut u8,
    pub len: usize,
}

impl Shared {
    pub fn new(len: usize) -> Shared {
        // SAFETY: the descriptor is new.
        let file = unsafe {
            let fd = check(libc::memfd_create(c"raw".as_ptr(), libc::MFD_CLOEXEC)).unwrap();
            check(libc::ftruncate(fd, len as i64)).unwrap();
            OwnedFd::from_raw_fd(fd)
        };
        Shared::map(file, len)
    }

    pub fn map(file: OwnedFd, len: usize) -> Shared {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(base, libc::MAP_FAILED);
        Shared { file, base: base.cast(), len }
    }

    pub fn put(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.len);
        for (at, byte) in bytes.iter().enumerate() {
            // SAFETY: within the mapping.
            unsafe { self.base.add(offset + at).write_volatile(*byte) };
        }
    }

    pub fn get<const N: usize>(&self, offset: usize) -> [u8; N] {
        assert!(offset + N <= self.len);
        // SAFETY: within the mapping.
        std::array::from_fn(|at| unsafe { self.base.add(offset + at).read_volatile() })
    }

    /// An empty ring, with its cookie.
    pub fn ring(&self, offset: usize) {
        self.put(offset, &[0; 128]);
        self.put(offset, &0x3e3_1f20u32.to_le_bytes());
    }

    pub fn set_head(&self, ring: usize, head: u16) {
        self.put(ring + 6, &head.to_le_bytes());
    }

    pub fn set_tail(&self, ring: usize, tail: u16) {
        self.put(ring + 64, &tail.to_le_bytes());
    }

    pub fn head(&self, ring: usize) -> u16 {
        u16::from_le_bytes(self.get(ring + 6))
    }

    pub fn tail(&self, ring: usize) -> u16 {
        u16::from_le_bytes(self.get(ring + 64))
    }

    /// A descriptor: flags, region, length, offset.
    pub fn descriptor(&self, ring: usize, slot: u16, flags: u16, region: u16, len: u32, offset: u32) {
        let at = ring + 128 + 16 * usize::from(slot);
        self.put(
            at,
            &[&flags.to_le_bytes()[..], &region.to_le_bytes(), &len.to_le_bytes(), &offset.to_le_bytes()].concat(),
        );
    }

    pub fn read_descriptor(&self, ring: usize, slot: u16) -> (u16, u16, u32, u32) {
        let at = ring + 128 + 16 * usize::from(slot);
        let (flags, region) = (u16::from_le_bytes(self.get(at)), u16::from_le_bytes(self.get(at + 2)));
        (flags, region, u32::from_le_bytes(self.get(at + 4)), u32::from_le_bytes(self.get(at + 8)))
    }

    pub fn truncate(&self, len: i64) {
        // SAFETY: numbers only.
        check(unsafe { libc::ftruncate(self.file.as_raw_fd(), len) }).unwrap();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}
