//! Memory of other processes: mapped, and guarded against its owner taking it away.
//!
//! Who shares a file can make it shorter at any time, and who then reads or writes what is no longer there gets `SIGBUS`, which ends
//! the process. So a handler of that signal knows what is guarded here: it puts ordinary zeroed memory in place of what is gone and
//! lets the thread go on. Whoever talks to the peer is told by a descriptor, and ends the connection. A signal elsewhere goes to
//! whoever handled it before.

use crate::sys::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, Once, OnceLock, PoisonError};

/// Memory is replaced in pieces of a huge page, as it may lie in some.
const PIECE: usize = 2 << 20;
const PAGE: usize = 4 << 10;
/// The most memory that the kernel is asked for at once in a peer's name.
const POPULATED: usize = 64 << 20;

/// A guarded range. Never freed, but used again: a signal may come at any time.
struct Slot {
    base: AtomicUsize,
    len: AtomicUsize,
    lost: AtomicBool,
    tell: AtomicI32,
    next: AtomicPtr<Slot>,
}

/// All slots, in a list that only grows.
static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());
/// Held by who takes a slot or gives it back.
static TAKING: Mutex<()> = Mutex::new(());
/// What handled the signal before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// The slots, as a signal handler may walk through them.
fn slots() -> impl Iterator<Item = &'static Slot> {
    // SAFETY: slots are leaked, and written before they are linked.
    let follow = |at: &AtomicPtr<Slot>| unsafe { at.load(Ordering::Acquire).as_ref() };
    std::iter::successors(follow(&SLOTS), move |slot| follow(&slot.next))
}

/// Keeps a range of memory from ending the process while it lives.
pub(crate) struct Guard(&'static Slot);

impl Guard {
    /// Guards `len` bytes from `base` on. When some of it is lost, `tell` is written to, if it is an eventfd.
    ///
    /// # Safety
    /// The range is mapped as whole pages, it is nothing but bytes that others may change at any time, and both it and the
    /// descriptor outlive the guard.
    pub unsafe fn new(base: NonNull<u8>, len: usize, tell: RawFd) -> Guard {
        install();
        let _taking = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots().find(|slot| slot.len.load(Ordering::Relaxed) == 0).unwrap_or_else(|| {
            let slot: &'static mut Slot = Box::leak(Box::new(Slot {
                base: AtomicUsize::new(0),
                len: AtomicUsize::new(0),
                lost: AtomicBool::new(false),
                tell: AtomicI32::new(-1),
                next: AtomicPtr::new(SLOTS.load(Ordering::Acquire)),
            }));
            SLOTS.store(slot, Ordering::Release);
            slot
        });
        slot.lost.store(false, Ordering::Relaxed);
        slot.tell.store(tell, Ordering::Relaxed);
        slot.base.store(base.as_ptr() as usize, Ordering::Release);
        slot.len.store(len, Ordering::Release);
        Guard(slot)
    }

    /// Whether some of the memory was gone when it was used.
    pub fn lost(&self) -> bool {
        self.0.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _taking = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.tell.store(-1, Ordering::Relaxed);
        self.0.len.store(0, Ordering::Release);
    }
}

/// Sets the handler, once.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a `sigaction` is plain numbers; the kernel reads the one and writes the other. The handler does only what is allowed
        // in one: it reads atomics, and calls mmap, write and sigaction.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut before);
            let _ = BEFORE.set(before);
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_bus_error as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut());
        }
    });
}

extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid description of the signal; the interrupted code finds its errno as it was.
    unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        let replaced = replace((*info).si_addr() as usize);
        *errno = saved;
        if !replaced {
            pass_on(signal, info, context);
        }
    }
}

/// Puts zeroed memory where `address` is, if that is guarded.
fn replace(address: usize) -> bool {
    for slot in slots() {
        let len = slot.len.load(Ordering::Acquire);
        let base = slot.base.load(Ordering::Acquire);
        // Another thread may be giving the slot to another range: then the two don't belong together.
        if len == 0 || slot.len.load(Ordering::Relaxed) != len || !(base..base + len).contains(&address) {
            continue;
        }
        let from = (address & !(PIECE - 1)).max(base);
        let to = ((address & !(PIECE - 1)) + PIECE).min((base + len).next_multiple_of(PAGE));
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: within a range that its owner gave us to replace (see `Guard::new`).
        let at = unsafe { libc::mmap(from as *mut libc::c_void, to - from, protection, flags, -1, 0) };
        slot.lost.store(true, Ordering::Relaxed);
        let ring = 1u64;
        // SAFETY: eight bytes that live; a descriptor of -1 is refused.
        unsafe { libc::write(slot.tell.load(Ordering::Relaxed), (&raw const ring).cast(), 8) };
        return at != libc::MAP_FAILED;
    }
    false
}

/// Lets whoever handled the signal before have it.
///
/// # Safety
/// The arguments are those of a signal handler.
unsafe fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let default = libc::SIG_DFL;
    let before = BEFORE.get();
    match before.map_or(default, |before| before.sa_sigaction) {
        handler if handler != libc::SIG_DFL && handler != libc::SIG_IGN => {
            let with_info = before.is_some_and(|before| before.sa_flags & libc::SA_SIGINFO != 0);
            // SAFETY: what was registered as a handler of this kind is one.
            unsafe {
                if with_info {
                    type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
                    std::mem::transmute::<usize, Handler>(handler)(signal, info, context);
                } else {
                    std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler)(signal);
                }
            }
        }
        // SAFETY: the instruction runs again, and the signal then ends the process as if we had not been here.
        _ => unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = default;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        },
    }
}

/// A mapping of memory that another process shares.
pub(crate) struct Foreign {
    base: NonNull<u8>,
    len: usize,
    mapped: usize,
    guard: Option<Guard>,
}

// SAFETY: it is plain memory that anybody may change at any time, and is treated as such wherever it is used.
unsafe impl Send for Foreign {}
// SAFETY: as above.
unsafe impl Sync for Foreign {}

impl Foreign {
    /// Maps the first `len` bytes of what the peer shares, which has to be memory: reading and writing it then never waits for
    /// anybody. When some of it is gone later, `tell` is written to, an eventfd that outlives the mapping.
    ///
    /// # Errors
    /// When it is no shared memory, or has fewer bytes.
    pub fn map(file: BorrowedFd<'_>, len: usize, tell: RawFd) -> io::Result<Foreign> {
        let refused = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        // Only files that are memory (memfd, tmpfs, hugetlbfs) know of seals.
        // SAFETY: numbers only.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) } < 0 {
            return Err(refused("it is no shared memory"));
        }
        // SAFETY: a `stat` is plain numbers, and the kernel fills it.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        check(unsafe { libc::fstat(file.as_raw_fd(), &mut stat) })?;
        if len == 0 || usize::try_from(stat.st_size).unwrap_or(0) < len {
            return Err(refused("it is shorter than it is said to be"));
        }
        // Mappings of huge pages are whole ones.
        let mapped = len.next_multiple_of(usize::try_from(stat.st_blksize).unwrap_or(PAGE).clamp(PAGE, 1 << 30));
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh shared mapping at an address of the kernel's choice.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), mapped, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or_else(|| io::Error::other("mmap returned address 0"))?;
        // SAFETY: the range was mapped just now for this, and the guard goes before it does.
        let guard = unsafe { Guard::new(base, mapped, tell) };
        Ok(Foreign { base, len, mapped, guard: Some(guard) })
    }

    /// Has the kernel find the pages now, so that no packet has to wait for one; of the first 64 MiB, as the memory that a peer
    /// hasn't touched yet is counted as ours.
    pub fn populate(&self) {
        let len = self.mapped.min(POPULATED);
        // SAFETY: our own mapping. Where there is no memory behind it, the kernel says so and nothing happens.
        unsafe { libc::madvise(self.base.as_ptr().cast(), len, libc::MADV_POPULATE_WRITE) };
    }

    /// Where it starts.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether its owner took some of it away.
    pub fn lost(&self) -> bool {
        self.guard.as_ref().is_some_and(Guard::lost)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.guard = None;
        // SAFETY: exactly what `map` mapped; whoever uses it holds this.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.mapped) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_engine::Waker;
    use std::fs::File;
    use std::os::fd::{AsFd, FromRawFd};

    fn memory(len: u64) -> File {
        // SAFETY: the name ends with NUL; the descriptor is new.
        let file = unsafe { File::from_raw_fd(libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC)) };
        file.set_len(len).unwrap();
        file
    }

    #[test]
    fn memory_that_is_taken_away_reads_as_zero_and_is_told() {
        let (file, waker) = (memory(8 << 20), Waker::new().unwrap());
        let foreign = Foreign::map(file.as_fd(), 8 << 20, waker.fd()).unwrap();
        let at = |offset: usize| foreign.base().as_ptr().wrapping_add(offset);
        // SAFETY: within the mapping.
        unsafe {
            at(0).write_volatile(1);
            at(5 << 20).write_volatile(5);
            file.set_len(4096).unwrap();
            assert!(!foreign.lost());
            assert_eq!(at(5 << 20).read_volatile(), 0);
            at((5 << 20) + 1).write_volatile(7);
            assert_eq!(at((5 << 20) + 1).read_volatile(), 7);
            at((8 << 20) - 1).write_volatile(8);
        }
        assert!(foreign.lost());
        let mut poll = libc::pollfd { fd: waker.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor, described by `poll`.
        assert_eq!(unsafe { libc::poll(&mut poll, 1, 0) }, 1);
    }

    #[test]
    fn what_is_no_memory_or_too_short_is_refused() {
        let refused = |file: &File, len| Foreign::map(file.as_fd(), len, -1).map(drop).unwrap_err().to_string();
        assert!(refused(&memory(4096), 4097).contains("shorter"));
        assert!(refused(&memory(0), 0).contains("shorter"));
        assert!(refused(&File::open("/dev/zero").unwrap(), 4096).contains("no shared memory"));
        assert!(refused(&File::open("/proc/self/exe").unwrap(), 4096).contains("no shared memory"));
    }

    #[test]
    fn guards_are_used_again() {
        let count = || slots().count();
        drop(Foreign::map(memory(4096).as_fd(), 4096, -1).unwrap());
        let before = count();
        for _ in 0..100 {
            drop(Foreign::map(memory(4096).as_fd(), 4096, -1).unwrap());
        }
        // Other tests run beside this one.
        assert!(count() < before + 50, "{} slots", count());
    }
}
