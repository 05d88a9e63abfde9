//! Writing a capture.

use super::format::{ETHERNET, NANOS};
use super::player::PlayQueue;
use super::{Counts, SharedWriter, count};
use millrace_engine::clock;
use millrace_engine::device::{RxBurst, RxQueue, TxBurst, TxQueue, Wake};
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes gathered before they go to the file.
const BUFFER: usize = 256 << 10;
/// Nanoseconds after which they go in any case.
const PATIENCE: u64 = 1_000_000_000;
/// The most that is kept of a frame, in bytes, as the file's header says.
const SNAP_LEN: u32 = 262_144;

/// Writes a classic capture file with nanoseconds, in this machine's byte order.
#[derive(Debug)]
pub struct Writer<W: Write> {
    file: W,
    buffer: Vec<u8>,
    /// When the oldest byte was put into the buffer, in nanoseconds of the engine's clock; 0 when it is empty.
    since: u64,
}

impl<W: Write> Writer<W> {
    /// Starts the file with its header.
    ///
    /// # Errors
    /// The file's own.
    pub fn new(mut file: W) -> io::Result<Writer<W>> {
        let mut header = Vec::with_capacity(24);
        header.extend(NANOS.to_ne_bytes());
        header.extend(2u16.to_ne_bytes());
        header.extend(4u16.to_ne_bytes());
        header.extend([0; 8]);
        header.extend(SNAP_LEN.to_ne_bytes());
        header.extend(ETHERNET.to_ne_bytes());
        file.write_all(&header)?;
        Ok(Writer { file, buffer: Vec::with_capacity(BUFFER + (64 << 10)), since: 0 })
    }

    /// Adds a frame in pieces, seen at `time` after the epoch.
    ///
    /// # Errors
    /// The file's own. The frame is then not in it, and neither may be those that were buffered before.
    pub fn write<'a>(&mut self, time: Duration, frame: impl IntoIterator<Item = &'a [u8]>) -> io::Result<()> {
        let start = self.buffer.len();
        self.buffer.extend((time.as_secs() as u32).to_ne_bytes());
        self.buffer.extend(time.subsec_nanos().to_ne_bytes());
        self.buffer.extend([0; 8]);
        for piece in frame {
            self.buffer.extend_from_slice(piece);
        }
        let len = (self.buffer.len() - start - 16) as u32;
        for at in [8, 12] {
            self.buffer[start + at..start + at + 4].copy_from_slice(&len.to_ne_bytes());
        }
        if self.since == 0 {
            self.since = clock::now().max(1);
        }
        if self.buffer.len() < BUFFER { Ok(()) } else { self.flush() }
    }

    /// Hands what is buffered to the file.
    ///
    /// # Errors
    /// The file's own; what was buffered is lost then.
    pub fn flush(&mut self) -> io::Result<()> {
        let result = self.file.write_all(&self.buffer);
        self.buffer.clear();
        self.since = 0;
        result
    }

    /// When what is buffered has to go to the file, in nanoseconds of the engine's clock; `None` when nothing is.
    fn due(&self) -> Option<u64> {
        (self.since != 0).then_some(self.since + PATIENCE)
    }
}

impl<W: Write> Drop for Writer<W> {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.flush();
    }
}

fn lock(writer: &SharedWriter) -> MutexGuard<'_, Writer<File>> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The transmit queue. Its lock is shared with the same worker's [`FlushQueue`] only, and taken once a burst.
pub(super) struct WriteQueue {
    writer: SharedWriter,
    counts: Arc<Counts>,
}

impl WriteQueue {
    pub fn new(writer: SharedWriter, counts: Arc<Counts>) -> WriteQueue {
        WriteQueue { writer, counts }
    }
}

impl TxQueue for WriteQueue {
    fn takes_shared(&self) -> bool {
        true
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut writer = lock(&self.writer);
        for at in 0..burst.len() {
            let Some(packet) = burst.packet(at) else { break };
            if writer.write(time, packet.segments()).is_err() {
                // A full disk is no reason to forget the device: it may have room again.
                self.counts.add(count::WRITTEN, at as u64);
                self.counts.add(count::FAILED, (burst.len() - at) as u64);
                return Ok(at);
            }
        }
        self.counts.add(count::WRITTEN, burst.len() as u64);
        Ok(burst.len())
    }
}

/// The receive queue: plays, if there is something to play, and flushes what was written.
pub(super) struct FlushQueue {
    play: Option<PlayQueue>,
    writer: Option<SharedWriter>,
}

impl FlushQueue {
    pub fn new(play: Option<PlayQueue>, writer: Option<SharedWriter>) -> FlushQueue {
        FlushQueue { play, writer }
    }
}

impl RxQueue for FlushQueue {
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        if let Some(play) = &mut self.play {
            play.rx(burst);
        }
        if let Some(writer) = &self.writer {
            let mut writer = lock(writer);
            if writer.due().is_some_and(|at| clock::now() >= at) {
                // A failure is told with the next frames.
                let _ = writer.flush();
            }
        }
        Ok(())
    }

    fn wake(&self) -> Wake {
        let flush = self.writer.as_ref().and_then(|writer| lock(writer).due());
        match (self.play.as_ref().map_or(Wake::Never, PlayQueue::wake), flush) {
            (Wake::At(next), Some(flush)) => Wake::At(next.min(flush)),
            (Wake::Never, Some(flush)) => Wake::At(flush),
            (play, _) => play,
        }
    }
}
