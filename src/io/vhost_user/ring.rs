//! A split virtqueue, seen from the device's end (virtio 1.2, section 2.7).
//!
//! The guest owns the descriptor table and the available ring and writes to them whenever it likes; the used ring is ours. Whatever is read is
//! read once, checked, and the copy is used. What can't be is a [`Violation`]: the ring stops there.

use super::chain::{Descriptor, Violation};
use super::features::Features;
use super::memory::Memory;
use super::signal::Signal;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering, fence};

/// The most descriptors of a ring; always a power of two (section 2.7).
pub(super) const LARGEST: u32 = 1 << 15;

/// Ask the other end not to signal: `VIRTQ_USED_F_NO_NOTIFY`, `VIRTQ_AVAIL_F_NO_INTERRUPT`.
const QUIET: u16 = 1;

/// Where the parts of a ring lie, by addresses of the process that described it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
}

/// A ring that runs.
pub(super) struct Ring {
    /// Holds what the pointers point at.
    memory: Arc<Memory>,
    /// The region where the last buffer was.
    hint: usize,
    descriptors: NonNull<u8>,
    available: NonNull<u16>,
    used: NonNull<u16>,
    size: u16,
    /// Where the next chain is taken.
    next: u16,
    /// Where the next one is given back: chains that were taken are given back before the ring is let go, so this is `next` between bursts.
    done: u16,
    /// `done` at the time when it was last thought about a signal.
    signalled: u16,
    features: Features,
    header: usize,
    call: Option<Arc<Signal>>,
    /// Whether the guest is able to say that it made something available.
    kicked: bool,
    listening: bool,
    /// Whether packets pass; if not, those of the guest are thrown away.
    pub enabled: bool,
    /// What ended it.
    pub violation: Option<Violation>,
}

// SAFETY: the pointers lead into memory that `memory` keeps, and that nobody but this ring (in this process) writes to.
unsafe impl Send for Ring {}

/// What a ring is made of.
pub(super) struct Parts<'a> {
    pub memory: &'a Arc<Memory>,
    pub addresses: Addresses,
    pub size: u16,
    pub features: Features,
    pub call: Option<Arc<Signal>>,
    pub kicked: bool,
    pub enabled: bool,
}

impl Ring {
    /// Finds the parts in memory, and goes on where the used ring ends: what was taken behind that was never given back.
    ///
    /// # Errors
    /// What is wrong with the layout.
    pub fn new(parts: Parts<'_>) -> Result<Ring, String> {
        let size = usize::from(parts.size);
        // The indices at which either end wants to hear lie behind the rings, when they are used at all.
        let events = if parts.features.event_index() { 2 } else { 0 };
        let find = |what: &str, address: u64, len: usize, align: usize| {
            let at = parts.memory.user(address, len);
            let at = at.ok_or_else(|| format!("the {what} at {address:#x} lies outside of the guest's memory"))?;
            let fits = at.addr().get().is_multiple_of(align);
            fits.then_some(at).ok_or_else(|| format!("the {what} at {address:#x} is not aligned to {align} bytes"))
        };
        let descriptors = find("descriptor table", parts.addresses.descriptors, 16 * size, 16)?;
        let available = find("available ring", parts.addresses.available, 4 + 2 * size + events, 2)?.cast();
        let used = find("used ring", parts.addresses.used, 4 + 8 * size + events, 4)?.cast();
        let mut ring = Ring {
            memory: parts.memory.clone(),
            hint: 0,
            descriptors,
            available,
            used,
            size: parts.size,
            next: 0,
            done: 0,
            signalled: 0,
            features: parts.features,
            header: parts.features.header(),
            call: parts.call,
            kicked: parts.kicked,
            listening: true,
            enabled: parts.enabled,
            violation: None,
        };
        let given_back = ring.shared(ring.used, 1).load(Ordering::Relaxed);
        (ring.next, ring.done, ring.signalled) = (given_back, given_back, given_back);
        Ok(ring)
    }

    /// The 16-bit word `at` of a ring.
    #[inline(always)]
    fn shared(&self, ring: NonNull<u16>, at: usize) -> &AtomicU16 {
        debug_assert!(at <= 2 + 4 * usize::from(self.size));
        // SAFETY: callers ask for words that `new` has found in memory, aligned; both ends access them as whole words only.
        unsafe { AtomicU16::from_ptr(ring.add(at).as_ptr()) }
    }

    pub const fn size(&self) -> u16 {
        self.size
    }

    pub const fn features(&self) -> Features {
        self.features
    }

    /// Bytes of the header in front of each packet.
    #[inline(always)]
    pub const fn header(&self) -> usize {
        self.header
    }

    /// Where it goes on: what `GET_VRING_BASE` answers.
    pub const fn position(&self) -> u16 {
        self.next
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Both what finds buffers, and where it found the last.
    #[inline(always)]
    pub fn buffers(&mut self) -> (&Memory, &mut usize) {
        (&self.memory, &mut self.hint)
    }

    /// How many chains the guest has made available.
    ///
    /// # Errors
    /// More than there are descriptors.
    #[inline(always)]
    pub fn available(&self) -> Result<u16, Violation> {
        // Pairs with the guest's write barrier: what it wrote before the index is seen behind this.
        let index = self.shared(self.available, 1).load(Ordering::Acquire);
        let ready = index.wrapping_sub(self.next);
        if ready <= self.size { Ok(ready) } else { Err(Violation::AvailableIndex(ready)) }
    }

    /// The number of the descriptor that starts the `ahead`th chain from the next. It may be any number.
    #[inline(always)]
    pub fn head(&self, ahead: u16) -> u16 {
        let slot = usize::from(self.next.wrapping_add(ahead) & (self.size - 1));
        self.shared(self.available, 2 + slot).load(Ordering::Relaxed)
    }

    /// Brings a descriptor towards the cache.
    #[inline(always)]
    pub fn prefetch(&self, number: u16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch never faults, and wrapping arithmetic makes no claim about the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(self.descriptors.as_ptr().wrapping_add(16 * usize::from(number)).cast()) };
    }

    /// A descriptor of the table.
    ///
    /// # Errors
    /// A number that is none.
    #[inline(always)]
    pub fn descriptor(&self, number: u16) -> Result<Descriptor, Violation> {
        if number >= self.size {
            return Err(Violation::Number(number));
        }
        // SAFETY: the table has `size` descriptors of 16 bytes, aligned to that.
        Ok(unsafe { Descriptor::read(self.descriptors.add(16 * usize::from(number))) })
    }

    /// Where the table is, for chains.
    pub fn table(&self) -> (NonNull<u8>, u16) {
        (self.descriptors, self.size)
    }

    /// Gives a chain back, of which `written` bytes were written; the guest sees it after [`publish`](Ring::publish).
    #[inline(always)]
    pub fn give_back(&mut self, head: u16, written: u32) {
        let slot = usize::from(self.done & (self.size - 1));
        // SAFETY: the used ring has `size` elements of two 32-bit words behind two 16-bit words, all aligned to 4 bytes.
        unsafe {
            let element = self.used.add(2 + 4 * slot).cast::<u32>();
            element.write_volatile(u32::from(head));
            element.add(1).write_volatile(written);
        }
        self.done = self.done.wrapping_add(1);
    }

    /// Lets the guest see what was given back, with one store; then those chains are behind us.
    #[inline(always)]
    pub fn publish(&mut self) {
        self.shared(self.used, 1).store(self.done, Ordering::Release);
        self.next = self.done;
    }

    /// How many chains were given back and are not published yet.
    #[inline(always)]
    pub fn unpublished(&self) -> u16 {
        self.done.wrapping_sub(self.next)
    }

    /// Signals the guest, if it wants to hear of what was published since it was last thought about; whether that was done.
    #[inline]
    pub fn signal(&mut self) -> bool {
        let before = std::mem::replace(&mut self.signalled, self.done);
        let Some(call) = &self.call else { return false };
        if before == self.done {
            return false;
        }
        // What was published has to be seen before it is looked at whether the guest listens, which it says before it looks at what was
        // published.
        fence(Ordering::SeqCst);
        let wanted = match self.features.event_index() {
            true => {
                let at = self.shared(self.available, 2 + usize::from(self.size)).load(Ordering::Relaxed);
                is_passed(at, before, self.done)
            }
            false => self.shared(self.available, 0).load(Ordering::Relaxed) & QUIET == 0,
        };
        if wanted {
            call.ring();
        }
        wanted
    }

    /// Sets how the guest is signalled. It hears at once, for it could not hear of what was given back before.
    pub fn set_call(&mut self, call: Option<Arc<Signal>>) {
        self.call = call;
        if let Some(call) = &self.call {
            call.ring();
        }
    }

    /// Whether the guest says when it made something available.
    pub const fn is_kicked(&self) -> bool {
        self.kicked
    }

    /// Asks the guest to say when it makes something available. What it made available before has to be looked for afterwards.
    pub fn listen(&mut self) {
        self.listening = true;
        self.ask();
    }

    /// Lets the guest save itself the trouble to say that it made something available.
    #[inline(always)]
    pub fn deafen(&mut self) {
        if self.listening {
            self.listening = false;
            self.ask();
        }
    }

    #[cold]
    fn ask(&mut self) {
        if self.features.event_index() {
            // It says so when it passes this index: the next one, or one that is a whole turn of the indices away.
            let at = if self.listening { self.next } else { self.next.wrapping_sub(1) };
            self.shared(self.used, 2 + 4 * usize::from(self.size)).store(at, Ordering::Relaxed);
        } else {
            self.shared(self.used, 0).store(if self.listening { 0 } else { QUIET }, Ordering::Relaxed);
        }
        // The guest looks at this after it made something available.
        fence(Ordering::SeqCst);
    }
}

/// Whether an index was passed on the way from `before` to `now` (section 2.7.10).
const fn is_passed(at: u16, before: u16, now: u16) -> bool {
    now.wrapping_sub(at).wrapping_sub(1) < now.wrapping_sub(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_passed_when_it_is_among_those_that_were_given_back() {
        assert!(is_passed(5, 5, 6) && is_passed(5, 4, 6) && is_passed(u16::MAX, u16::MAX, 0));
        assert!(!is_passed(5, 6, 7) && !is_passed(5, 4, 5) && !is_passed(5, 5, 5));
    }
}
