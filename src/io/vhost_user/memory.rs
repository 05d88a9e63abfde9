//! The guest's memory: files that its owner hands over, mapped here, and finding one's way in them.
//!
//! Nothing of it is ever borrowed as a slice: the guest writes to it as we read. Bytes are copied out, or in, between raw pointers.

use crate::foreign::Guard;
use crate::sys;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;
use std::sync::Arc;

/// The most regions that a guest's memory has.
pub(super) const REGIONS: usize = 32;
/// File systems of memory, from Linux' magic.h. A page of another file may take any time to come.
const TMPFS: i64 = 0x0102_1994;
const HUGETLBFS: i64 = 0x9584_58f6;
/// The largest page that there is.
const LARGEST_PAGE: u64 = 1 << 30;

/// A piece of a file in our address space.
struct Mapping {
    base: NonNull<u8>,
    len: usize,
    guard: Option<Guard>,
}

// SAFETY: plain memory that is shared with another process anyway; it is reached through raw pointers only.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // First nobody guards it any more, then it goes.
        self.guard = None;
        // SAFETY: exactly what was mapped; those who have pointers into it hold the mapping.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// How a region is described by the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// Where it is in the guest's eyes, which is what descriptors say.
    pub guest: u64,
    /// Where it is in the other process, which is what the addresses of rings say.
    pub user: u64,
    /// Its bytes.
    pub size: u64,
    /// Where it starts in its file.
    pub offset: u64,
}

/// A region of guest memory.
#[derive(Clone)]
pub(super) struct Region {
    is: Description,
    /// Its first byte here.
    host: NonNull<u8>,
    mapping: Arc<Mapping>,
}

// SAFETY: as for `Mapping`.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Maps the region.
    ///
    /// # Errors
    /// A file that is no memory, or too short for the region; an offset that can't be mapped.
    pub fn map(is: Description, file: &File) -> io::Result<Region> {
        let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        let metadata = file.metadata()?;
        let kind = file_system(file)?;
        if !matches!(kind, TMPFS | HUGETLBFS) {
            return wrong(format!(
                "guest memory lies in a file of type {kind:#x}; it has to be a memfd, shared memory or huge pages"
            ));
        }
        let page = metadata.blksize();
        if !page.is_power_of_two() || !(4096..=LARGEST_PAGE).contains(&page) {
            return wrong(format!("guest memory in pages of {page} bytes"));
        }
        let end = is.offset.checked_add(is.size).filter(|end| *end <= metadata.len());
        let (Some(end), true) = (end, is.size > 0) else {
            let (Description { size, offset, .. }, len) = (is, metadata.len());
            return wrong(format!("{size} bytes of guest memory at {offset} of a file of {len} bytes"));
        };
        let start = is.offset & !(page - 1);
        let len = (end - start).next_multiple_of(page) as usize;
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_NORESERVE);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), len, access, flags, file.as_raw_fd(), start as libc::off_t) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: advice about our own mapping, whose refusal is harmless: a guest's memory has no place in a core file of ours.
        unsafe { libc::madvise(base, len, libc::MADV_DONTDUMP) };
        let base = NonNull::new(base.cast::<u8>()).ok_or_else(|| io::Error::other("mmap returned address 0"))?;
        // SAFETY: the mapping above, which goes after the guard. Nobody is told: who uses it looks for itself.
        let guard = unsafe { Guard::new(base, len, -1) };
        let mapping = Mapping { base, len, guard: Some(guard) };
        // SAFETY: `start + len` covers `offset`.
        let host = unsafe { base.add((is.offset - start) as usize) };
        Ok(Region { is, host, mapping: Arc::new(mapping) })
    }

    /// What it was described as.
    pub fn is(&self) -> &Description {
        &self.is
    }

    /// Its `len` bytes from `at` of the guest's (`by` says where the region starts in those terms).
    #[inline(always)]
    fn at(&self, by: u64, at: u64, len: usize) -> Option<NonNull<u8>> {
        let offset = at.wrapping_sub(by);
        // No sum that could overflow: what is left behind the offset is at least `len`.
        let fits = offset < self.is.size && len as u64 <= self.is.size - offset;
        // SAFETY: `offset` is in the region, all of which is mapped.
        fits.then(|| unsafe { self.host.add(offset as usize) })
    }
}

/// Copies bytes between guest memory and ours. Most packets are short, and for those a call costs more than the copy.
///
/// # Safety
/// As [`std::ptr::copy_nonoverlapping`].
#[inline(always)]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_storeu_si128};
    const STEP: usize = size_of::<__m128i>();
    if !(STEP..=8 * STEP).contains(&len) {
        // SAFETY: the caller's promise.
        return unsafe { from.copy_to_nonoverlapping(to, len) };
    }
    // SAFETY: every step is inside of the `len` bytes; the last one ends with them, over some that were copied already.
    unsafe {
        let step = |at: usize| _mm_storeu_si128(to.add(at).cast(), _mm_loadu_si128(from.add(at).cast()));
        let mut at = 0;
        while at + STEP < len {
            step(at);
            at += STEP;
        }
        step(len - STEP);
    }
}

fn file_system(file: &File) -> io::Result<i64> {
    // SAFETY: all zeros is a valid `statfs`, which the kernel then writes.
    let mut about: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `statfs`.
    sys::check(unsafe { libc::fstatfs(file.as_raw_fd(), &mut about) })?;
    Ok(about.f_type)
}

/// All of a guest's memory; it stays mapped as long as somebody holds it.
#[derive(Default)]
pub(super) struct Memory {
    regions: Vec<Region>,
}

impl Memory {
    /// Memory of these regions.
    ///
    /// # Errors
    /// Too many, or two that overlap.
    pub fn new(regions: Vec<Region>) -> io::Result<Memory> {
        let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if regions.len() > REGIONS {
            return wrong(format!("{} regions of guest memory; {REGIONS} at most", regions.len()));
        }
        let apart = |a: u64, b: u64, x: &Description, y: &Description| {
            a.wrapping_sub(b) >= y.size && b.wrapping_sub(a) >= x.size
        };
        for (at, Region { is: a, .. }) in regions.iter().enumerate() {
            let others = regions.iter().skip(at + 1).map(Region::is);
            if let Some(b) = others.into_iter().find(|b| !apart(a.guest, b.guest, a, b) || !apart(a.user, b.user, a, b))
            {
                return wrong(format!("regions of guest memory overlap, at {:#x} and {:#x}", a.guest, b.guest));
            }
        }
        Ok(Memory { regions })
    }

    /// Where the `len` bytes at an address of the other process are; `None` unless they are in one region.
    pub fn user(&self, address: u64, len: usize) -> Option<NonNull<u8>> {
        self.regions.iter().find_map(|region| region.at(region.is.user, address, len))
    }

    /// Where the `len` bytes at an address of the guest are; `None` unless they are in one region. `hint` is the region to look in first.
    #[inline(always)]
    pub fn guest(&self, address: u64, len: usize, hint: &mut usize) -> Option<NonNull<u8>> {
        let first = self.regions.get(*hint).and_then(|region| region.at(region.is.guest, address, len));
        if first.is_some() { first } else { self.search(address, len, hint) }
    }

    #[cold]
    fn search(&self, address: u64, len: usize, hint: &mut usize) -> Option<NonNull<u8>> {
        let found = |(at, region): (usize, &Region)| Some((at, region.at(region.is.guest, address, len)?));
        let (at, pointer) = self.regions.iter().enumerate().find_map(found)?;
        *hint = at;
        Some(pointer)
    }

    /// Whether its owner took some of it away; what is read there is zeros.
    #[inline(always)]
    pub fn is_lost(&self) -> bool {
        self.regions.iter().any(|region| region.mapping.guard.as_ref().is_some_and(Guard::lost))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::os::fd::FromRawFd;

    /// A file of memory.
    pub fn memfd(len: u64) -> File {
        // SAFETY: the name ends with NUL; the descriptor is new.
        let file =
            unsafe { File::from_raw_fd(sys::check(libc::memfd_create(c"guest".as_ptr(), libc::MFD_CLOEXEC)).unwrap()) };
        file.set_len(len).unwrap();
        file
    }

    fn region(guest: u64, user: u64, size: u64) -> Region {
        Region::map(Description { guest, user, size, offset: 0 }, &memfd(size)).unwrap()
    }

    #[test]
    fn addresses_lead_to_one_region_or_nowhere() {
        let memory = Memory::new(vec![region(0, 0x1000_0000, 0x4000), region(0x4000, 0x7000_0000, 0x2000)]).unwrap();
        let mut hint = 0;
        let first = memory.guest(0, 0x4000, &mut hint).unwrap();
        assert_eq!(memory.user(0x1000_0000, 1), Some(first));
        assert_eq!(
            memory.guest(0x3fff, 1, &mut hint).map(|p| p.as_ptr() as usize),
            Some(first.as_ptr() as usize + 0x3fff)
        );
        assert_eq!(hint, 0);
        assert!(memory.guest(0x4000, 0x2000, &mut hint).is_some());
        assert_eq!(hint, 1, "the next will be there, too");
        assert!(memory.guest(0x3fff, 2, &mut hint).is_none(), "over the border of two regions");
        assert!(memory.guest(0x5fff, 2, &mut hint).is_none(), "over the end");
        assert!(memory.guest(0x6000, 0, &mut hint).is_none(), "behind the end");
        assert!(memory.guest(u64::MAX, 2, &mut hint).is_none(), "over the end of all addresses");
        assert!(memory.guest(1, usize::MAX, &mut hint).is_none(), "longer than anything");
        assert!(memory.user(0x1000_4000, 1).is_none());
    }

    #[test]
    fn copies_are_as_long_as_they_are_to_be() {
        let from: Vec<u8> = (1..=250).collect();
        for len in 0..=200 {
            let mut to = [0; 250];
            // SAFETY: both have more bytes.
            unsafe { copy(from.as_ptr(), to.as_mut_ptr(), len) };
            assert_eq!((&to[..len], &to[len..]), (&from[..len], &[0; 250][len..]));
        }
    }

    #[test]
    fn regions_that_overlap_are_refused() {
        assert!(Memory::new(vec![region(0, 0, 0x2000), region(0x1000, 0x10_0000, 0x2000)]).is_err(), "for the guest");
        assert!(Memory::new(vec![region(0, 0, 0x2000), region(0x2000, 0x1000, 0x2000)]).is_err(), "for its owner");
        assert!(Memory::new(vec![region(0x1000, 0, 0x1000), region(0, 0x2000, 0x3000)]).is_err(), "one in the other");
        assert!(Memory::new(vec![region(0x2000, 0x2000, 0x2000), region(0, 0, 0x2000)]).is_ok());
        assert!(Memory::new((0..33).map(|n| region(n << 12, n << 12, 0x1000)).collect()).is_err());
    }

    #[test]
    fn what_is_no_memory_or_too_short_is_refused() {
        let with = |size, offset, file: &File| Region::map(Description { guest: 0, user: 0, size, offset }, file);
        let file = memfd(0x3000);
        assert!(with(0x3000, 0, &file).is_ok());
        assert!(with(0x1000, 0x2000, &file).is_ok());
        assert!(with(0x800, 0x2800, &file).is_ok(), "not at the start of a page");
        assert!(with(0x3001, 0, &file).is_err(), "longer than the file");
        assert!(with(0x2000, 0x2000, &file).is_err());
        assert!(with(u64::MAX, 0x2000, &file).is_err(), "over the end of all addresses");
        assert!(with(0, 0, &file).is_err());
        assert!(with(1, 0, &File::open("/proc/self/exe").unwrap()).is_err(), "a file on a disk");
        assert!(with(1, 0, &File::open("/dev/zero").unwrap()).is_err());
        let read_only = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        assert!(with(0x3000, 0, &read_only).is_err());
    }

    #[test]
    fn a_region_in_the_middle_of_a_page_starts_there() {
        let file = memfd(0x2000);
        std::os::unix::fs::FileExt::write_all_at(&file, b"here", 0x1234).unwrap();
        let region = Region::map(Description { guest: 0x8000, user: 0, size: 0x100, offset: 0x1234 }, &file).unwrap();
        let bytes = region.at(0x8000, 0x8000, 4).unwrap();
        // SAFETY: four bytes that are mapped, and nobody writes to.
        assert_eq!(unsafe { bytes.cast::<[u8; 4]>().read() }, *b"here");
    }
}
