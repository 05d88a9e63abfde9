//! Reading capture files: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng).

use std::io;
use std::ops::Range;
use std::path::Path;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("not a pcap or pcapng file")]
    Format,
    /// Another link layer than Ethernet; see LINKTYPE_* of the format.
    #[error("frames of link type {0}; only Ethernet (1) can be played")]
    LinkType(u32),
    /// It ends in the middle of a frame, or a length is wrong.
    #[error("the file is damaged at byte {0}")]
    Damaged(usize),
}

/// The frames of a capture file, in memory.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    frames: Vec<Range<usize>>,
}

/// Link type of Ethernet.
pub(super) const ETHERNET: u32 = 1;
/// Magic number of a classic file with microseconds, and of one with nanoseconds.
const MICROS: u32 = 0xa1b2_c3d4;
pub(super) const NANOS: u32 = 0xa1b2_3c4d;
/// Blocks of a pcapng file.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
/// The section header's mark of byte order.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// Numbers in the byte order of a file.
struct Bytes<'a> {
    all: &'a [u8],
    big: bool,
}

impl Bytes<'_> {
    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = *self.all.get(at..)?.first_chunk()?;
        Some(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = *self.all.get(at..)?.first_chunk()?;
        Some(if self.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    /// A range of the file, if it lies in it.
    fn range(&self, at: usize, len: usize) -> Option<Range<usize>> {
        let end = at.checked_add(len)?;
        (end <= self.all.len()).then_some(at..end)
    }
}

impl Frames {
    /// Reads a whole file.
    ///
    /// # Errors
    /// When it can't be read, is no capture file, is damaged, or holds something else than Ethernet frames.
    pub fn read(path: &Path) -> Result<Frames, FileError> {
        Frames::parse(std::fs::read(path)?)
    }

    /// Finds the frames in the contents of a file.
    ///
    /// # Errors
    /// As [`Frames::read`].
    pub fn parse(bytes: Vec<u8>) -> Result<Frames, FileError> {
        let starts = |big| Bytes { all: &bytes, big }.u32(0);
        let classic = |magic| matches!(magic, Some(MICROS | NANOS));
        let frames = match (starts(false), starts(true)) {
            (Some(SECTION), _) => next_generation(&bytes)?,
            (little, _) if classic(little) => records(&Bytes { all: &bytes, big: false })?,
            (_, big) if classic(big) => records(&Bytes { all: &bytes, big: true })?,
            _ => return Err(FileError::Format),
        };
        Ok(Frames { bytes, frames })
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frame at `at`, from its Ethernet header on, as much of it as was captured. `None` behind the last.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        self.bytes.get(self.frames.get(at)?.clone())
    }
}

/// The records of a classic file: 24 bytes of header, then 16 bytes before each frame.
fn records(file: &Bytes<'_>) -> Result<Vec<Range<usize>>, FileError> {
    // The upper bits tell about a frame check sequence.
    let link_type = file.u32(20).ok_or(FileError::Damaged(20))? & 0xffff;
    if link_type != ETHERNET {
        return Err(FileError::LinkType(link_type));
    }
    let (mut frames, mut at) = (Vec::new(), 24);
    while at < file.all.len() {
        let len = file.u32(at + 8).ok_or(FileError::Damaged(at))? as usize;
        let frame = file.range(at + 16, len).ok_or(FileError::Damaged(at))?;
        at = frame.end;
        frames.push(frame);
    }
    Ok(frames)
}

/// The packet blocks of a pcapng file, which may consist of several sections.
fn next_generation(all: &[u8]) -> Result<Vec<Range<usize>>, FileError> {
    let mut file = Bytes { all, big: false };
    let (mut frames, mut at, mut links) = (Vec::new(), 0, Vec::new());
    while at < all.len() {
        let damaged = || FileError::Damaged(at);
        let kind = file.u32(at).ok_or_else(damaged)?;
        if kind == SECTION {
            links.clear();
            file.big = Bytes { all, big: true }.u32(at + 8) == Some(BYTE_ORDER);
            if file.u32(at + 8) != Some(BYTE_ORDER) {
                return Err(damaged());
            }
        }
        let len = file.u32(at + 4).ok_or_else(damaged)? as usize;
        let block = file.range(at, len).filter(|_| len >= 12).ok_or_else(damaged)?;
        // Interface, where the frame starts, its length.
        let packet = match kind {
            INTERFACE => {
                links.push(u32::from(file.u16(at + 8).ok_or_else(damaged)?));
                None
            }
            ENHANCED_PACKET => Some((file.u32(at + 8), at + 28, file.u32(at + 20))),
            PACKET => Some((file.u16(at + 8).map(u32::from), at + 28, file.u32(at + 20))),
            // Its captured length is what the block has room for.
            SIMPLE_PACKET => Some((Some(0), at + 12, file.u32(at + 8).map(|n| n.min(len.saturating_sub(16) as u32)))),
            _ => None,
        };
        if let Some((interface, start, len)) = packet {
            let link = interface.and_then(|i| links.get(i as usize)).ok_or_else(damaged)?;
            if *link != ETHERNET {
                return Err(FileError::LinkType(*link));
            }
            let frame = len.and_then(|len| file.range(start, len as usize)).filter(|f| f.end + 4 <= block.end);
            frames.push(frame.ok_or_else(damaged)?);
        }
        at = block.end.next_multiple_of(4);
    }
    Ok(frames)
}
