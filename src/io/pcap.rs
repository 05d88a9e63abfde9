//! `pcap`: frames read from and written to capture files.
//!
//! The file that is read is taken into memory as a whole when the device is opened, so that playing it costs no more than the
//! copy; classic files of either byte order with micro- or nanoseconds, and pcapng, Ethernet only. At its end nothing more
//! comes, unless it is played again. What is sent is written, buffered, as a classic nanosecond file, and is in the file a second
//! later at most. One queue.

mod format;
mod player;
mod writer;

use crate::counts::Board;
use crate::device::{Device, Info, Link, OpenError, QueuePair, derived_mac};
use crate::pace::Pacer;
use crate::spec::{Rate, Repeat};
pub use format::{FileError, Frames};
use player::PlayQueue;
pub(crate) use player::Player;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
pub use writer::Writer;
use writer::{FlushQueue, WriteQueue};

/// What it counts.
mod count {
    pub const PLAYED: usize = 0;
    pub const WRITTEN: usize = 1;
    pub const FAILED: usize = 2;
    pub const NAMES: [&str; 3] = ["frames_played", "frames_written", "frames_write_failed"];
}

type Counts = crate::counts::Counts<{ count::NAMES.len() }>;
type SharedWriter = Arc<Mutex<Writer<File>>>;

/// The control side.
pub(crate) struct Pcap {
    read: Option<(PathBuf, Arc<Frames>)>,
    write: Option<(PathBuf, SharedWriter)>,
    repeat: Repeat,
    rate: Rate,
    mac: [u8; 6],
    board: Board<{ count::NAMES.len() }>,
}

impl Pcap {
    pub fn open(
        read: Option<&Path>,
        write: Option<&Path>,
        repeat: Repeat,
        rate: Rate,
        name: &str,
    ) -> Result<Pcap, OpenError> {
        let read = read.map(|path| match Frames::read(path) {
            Ok(frames) => Ok((path.to_owned(), Arc::new(frames))),
            Err(FileError::Io(e)) if e.kind() == io::ErrorKind::NotFound => {
                Err(OpenError::Missing { device: path.display().to_string() })
            }
            Err(e) => Err(OpenError::refused(path.display().to_string(), e)),
        });
        let read = read.transpose()?;
        let write = write.map(|path| {
            let writer = File::create(path).and_then(Writer::new);
            let writer = writer.map_err(|e| OpenError::refused(path.display().to_string(), e))?;
            Ok((path.to_owned(), Arc::new(Mutex::new(writer))))
        });
        let write = write.transpose()?;
        Ok(Pcap { read, write, repeat, rate, mac: derived_mac(name), board: Board::new(&count::NAMES) })
    }
}

impl Device for Pcap {
    fn queues(&mut self, count: usize) -> io::Result<Vec<QueuePair>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let counts = self.board.queue();
        let writer = self.write.as_ref().map(|(_, writer)| writer.clone());
        let play = self.read.as_ref().map(|(_, frames)| {
            let player = Player::new(frames.clone(), (0, 1));
            let times = match self.repeat {
                Repeat::Times(n) => Some(u64::from(n.get()) * frames.len() as u64),
                Repeat::Forever => None,
            };
            PlayQueue::new(player, times, Pacer::new(self.rate, 1), counts.clone())
        });
        let tx = writer.clone().map(|writer| Box::new(WriteQueue::new(writer, counts)) as _);
        // What is polled sees to it that what was written reaches the file in time.
        Ok(vec![QueuePair { rx: Some(Box::new(FlushQueue::new(play, writer))), tx }])
    }

    fn link(&self) -> Link {
        Link::Up
    }

    fn mac(&self) -> Option<[u8; 6]> {
        Some(self.mac)
    }

    fn set_mac(&mut self, mac: [u8; 6]) -> io::Result<()> {
        self.mac = mac;
        Ok(())
    }

    fn stats(&self) -> Vec<(&'static str, u64)> {
        self.board.sums()
    }

    fn info(&self) -> Info {
        let name = |path: &Path| path.display().to_string();
        let mut modes = Vec::new();
        if let Some((path, frames)) = &self.read {
            let repeat = match self.repeat {
                Repeat::Times(n) => n.to_string(),
                Repeat::Forever => "forever".to_owned(),
            };
            modes.push(("read", format!("{}, {} frames", name(path), frames.len())));
            modes.push(("loop", repeat));
        }
        if let Some((path, _)) = &self.write {
            modes.push(("write", format!("{}, pcap with nanoseconds", name(path))));
        }
        let device = self.read.as_ref().map(|r| &r.0).or(self.write.as_ref().map(|w| &w.0));
        let device = device.map_or_else(String::new, |path| name(path));
        Info { driver: "pcap", device, queues: 1, modes, notes: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
