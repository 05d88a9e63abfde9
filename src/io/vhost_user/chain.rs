//! Chains of descriptors: the buffers of a packet, in the guest's memory.

use super::memory::{self, Memory};
use super::ring::Ring;
use std::fmt;
use std::ptr::NonNull;

/// More follow.
const NEXT: u16 = 1;
/// The buffer is for us to write to.
const WRITE: u16 = 2;
/// The buffer is a table of descriptors.
const INDIRECT: u16 = 4;
/// The most buffers of a chain. No guest comes near; QEMU has the same limit.
pub(super) const LONGEST: u32 = 1024;

/// What a guest did that no driver does. The ring stops, for who knows what else is wrong in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// The available index is further ahead than the ring is long.
    AvailableIndex(u16),
    /// There is no descriptor of this number.
    Number(u16),
    /// A chain has more buffers than the ring, or than [`LONGEST`]: a loop.
    Endless,
    /// A buffer is not in one region of memory.
    Outside { address: u64, len: u32 },
    /// A table of descriptors has no whole number of them, none, or too many.
    Table(u32),
    /// A table of descriptors inside of one, or one that was not agreed on, or that more follow.
    Nested,
    /// A buffer to write to where one to read from was due.
    Writable,
    /// A buffer to read from where one to write to was due.
    ReadOnly,
    /// The memory was taken away.
    Lost,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::AvailableIndex(ready) => {
                write!(f, "its available index is {ready} ahead, more than it has descriptors")
            }
            Violation::Number(number) => write!(f, "there is no descriptor {number} in it"),
            Violation::Endless => write!(f, "a chain of descriptors has no end"),
            Violation::Outside { address, len } => {
                write!(f, "a buffer of {len} bytes at {address:#x} is not in the guest's memory")
            }
            Violation::Table(len) => write!(f, "a table of descriptors has {len} bytes"),
            Violation::Nested => write!(f, "a table of descriptors is where none may be"),
            Violation::Writable => write!(f, "a packet of the guest lies in a buffer to write to"),
            Violation::ReadOnly => write!(f, "a buffer for packets is not to be written to"),
            Violation::Lost => write!(f, "the guest's memory was taken away"),
        }
    }
}

/// A descriptor, as it was when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub address: u64,
    pub len: u32,
    flags: u16,
    next: u16,
}

impl Descriptor {
    /// An empty buffer.
    pub const NONE: Descriptor = Descriptor { address: 0, len: 0, flags: 0, next: 0 };

    /// Reads it, each byte once.
    ///
    /// # Safety
    /// 16 bytes of guest memory are there.
    #[inline(always)]
    pub unsafe fn read(at: NonNull<u8>) -> Descriptor {
        // SAFETY: the caller's promise; either way asks for the alignment that there is.
        let [address, rest] = unsafe {
            match at.cast::<u64>().is_aligned() {
                true => [at.cast::<u64>().read_volatile(), at.cast::<u64>().add(1).read_volatile()],
                false => std::mem::transmute::<[u8; 16], [u64; 2]>(at.cast::<[u8; 16]>().read_volatile()),
            }
        };
        Descriptor { address, len: rest as u32, flags: (rest >> 32) as u16, next: (rest >> 48) as u16 }
    }

    /// Whether it is one buffer to read from, and nothing else.
    #[inline(always)]
    pub const fn is_plain_read(&self) -> bool {
        self.flags == 0
    }

    /// Whether it is one buffer to write to, and nothing else.
    #[inline(always)]
    pub const fn is_plain_write(&self) -> bool {
        self.flags == WRITE
    }
}

/// A buffer: bytes of guest memory that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub at: NonNull<u8>,
    pub len: usize,
}

/// Finds a descriptor's buffer.
///
/// # Errors
/// A buffer that is not in one region.
#[inline(always)]
pub(super) fn piece(
    memory: &Memory,
    hint: &mut usize,
    Descriptor { address, len, .. }: Descriptor,
) -> Result<Piece, Violation> {
    match memory.guest(address, len as usize, hint) {
        Some(at) => Ok(Piece { at, len: len as usize }),
        // An empty buffer is nowhere.
        None if len == 0 => Ok(Piece::EMPTY),
        None => Err(Violation::Outside { address, len }),
    }
}

/// Adds the buffers of the chain that starts with `first` to `pieces`; how many bytes they have. `write` says which kind is due.
///
/// # Errors
/// Anything that is wrong with it; then `pieces` has some of the buffers.
pub(super) fn collect(
    ring: &mut Ring,
    first: Descriptor,
    write: bool,
    pieces: &mut Pieces,
) -> Result<usize, Violation> {
    let (mut table, mut entries) = ring.table();
    let indirect = ring.features().indirect();
    let (memory, hint) = ring.buffers();
    let mut descriptor = first;
    if first.flags & INDIRECT != 0 {
        if !indirect || first.flags & NEXT != 0 {
            return Err(Violation::Nested);
        }
        let len = first.len;
        if len == 0 || !len.is_multiple_of(16) || len / 16 > LONGEST {
            return Err(Violation::Table(len));
        }
        table = piece(memory, hint, first)?.at;
        entries = (len / 16) as u16;
        // SAFETY: `piece` has found all of the table.
        descriptor = unsafe { Descriptor::read(table) };
    }
    let mut left = LONGEST.min(entries.into());
    let mut total = 0;
    loop {
        if left == 0 {
            return Err(Violation::Endless);
        }
        left -= 1;
        if descriptor.flags & INDIRECT != 0 {
            return Err(Violation::Nested);
        }
        match (descriptor.flags & WRITE != 0, write) {
            (true, false) => return Err(Violation::Writable),
            (false, true) => return Err(Violation::ReadOnly),
            _ => {}
        }
        let piece = piece(memory, hint, descriptor)?;
        total += piece.len;
        if !pieces.push(piece) {
            return Err(Violation::Endless);
        }
        if descriptor.flags & NEXT == 0 {
            return Ok(total);
        }
        if descriptor.next >= entries {
            return Err(Violation::Number(descriptor.next));
        }
        // SAFETY: the number is in the table.
        descriptor = unsafe { Descriptor::read(table.add(16 * usize::from(descriptor.next))) };
    }
}

/// Buffers that a packet is in, one behind the other, and how far into them one has come.
#[derive(Debug)]
pub(super) struct Pieces {
    all: Vec<Piece>,
    at: usize,
    within: usize,
}

// SAFETY: used while the ring whose memory they are in is held, and emptied before each use.
unsafe impl Send for Pieces {}

impl Piece {
    /// No bytes, nowhere.
    pub const EMPTY: Piece = Piece { at: NonNull::dangling(), len: 0 };
}

impl Pieces {
    /// None, with room for a longest chain.
    pub fn new() -> Pieces {
        Pieces { all: Vec::with_capacity(LONGEST as usize), at: 0, within: 0 }
    }

    pub fn clear(&mut self) {
        self.all.clear();
        (self.at, self.within) = (0, 0);
    }

    /// Whether there was room.
    fn push(&mut self, piece: Piece) -> bool {
        // No allocation: the capacity is never exceeded.
        let fits = self.all.len() < LONGEST as usize;
        if fits {
            self.all.push(piece);
        }
        fits
    }

    /// The next bytes that lie side by side, at most `len`, and steps over them. `None` at the end.
    fn next(&mut self, len: usize) -> Option<Piece> {
        loop {
            let piece = self.all.get(self.at)?;
            if self.within < piece.len {
                // SAFETY: inside of the piece.
                let at = unsafe { piece.at.add(self.within) };
                let len = len.min(piece.len - self.within);
                self.within += len;
                return Some(Piece { at, len });
            }
            (self.at, self.within) = (self.at + 1, 0);
        }
    }

    /// Copies the next `len` bytes to `to`; how many there were.
    ///
    /// # Safety
    /// `to` has room for `len` bytes, outside of guest memory; the pieces are of memory that is still there.
    pub unsafe fn read(&mut self, to: *mut u8, len: usize) -> usize {
        let mut done = 0;
        while done < len {
            let Some(piece) = self.next(len - done) else { break };
            // SAFETY: the caller's promise; the piece is in guest memory.
            unsafe { memory::copy(piece.at.as_ptr(), to.add(done), piece.len) };
            done += piece.len;
        }
        done
    }

    /// Copies `bytes` to the next bytes; how many there was room for.
    ///
    /// # Safety
    /// The pieces are of memory that is still there.
    pub unsafe fn write(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let Some(piece) = self.next(rest.len()) else { break };
            // SAFETY: the piece has room for its length, and `rest` is at least as long.
            unsafe { memory::copy(rest.as_ptr(), piece.at.as_ptr(), piece.len) };
            done += piece.len;
        }
        done
    }
}
