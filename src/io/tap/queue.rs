//! The queues of a tap device: a system call a packet.

use super::{Counts, HEADER, count};
use crate::segment::{self, Inbound, Offload};
use millrace_engine::device::{RxBurst, RxQueue, TxBurst, TxQueue, Wake};
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// The longest packet that the kernel's segmentation makes, with headers to spare.
const LARGEST: usize = (64 << 10) + 512;
/// Buffers of the longest packet.
const PIECES: usize = 40;

#[repr(align(128))]
pub(super) struct Receiver {
    file: Arc<File>,
    counts: Arc<Counts>,
    frame: Box<[u8]>,
    /// The packet in `frame`, up to this length, of which a part is not taken in yet.
    pending: Option<(Inbound, usize)>,
}

impl Receiver {
    pub fn new(file: Arc<File>, counts: Arc<Counts>) -> Receiver {
        Receiver { file, counts, frame: vec![0; HEADER + LARGEST].into(), pending: None }
    }

    /// Reads the next packet. False when none is there.
    fn read(&mut self) -> io::Result<bool> {
        let len = match (&*self.file).read(&mut self.frame) {
            Ok(len) => len,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(true),
            // The device was removed (EBADFD), or the like: nothing will come any more.
            Err(e) => return Err(e),
        };
        let Some((header, frame)) = self.frame.get_mut(..len).and_then(|f| f.split_at_mut_checked(HEADER)) else {
            self.counts.add(count::TRUNCATED, 1);
            return Ok(true);
        };
        if frame.len() == LARGEST {
            // `read` cuts what doesn't fit without a word.
            self.counts.add(count::TRUNCATED, 1);
            return Ok(true);
        }
        let offload = header.first_chunk().map(Offload::read).unwrap_or_default();
        let cutter = match offload.is_done() {
            true => None,
            false => match segment::prepare(offload, frame) {
                Ok(cutter) => cutter,
                Err(segment::Malformed) => {
                    self.counts.add(count::MALFORMED, 1);
                    return Ok(true);
                }
            },
        };
        let inbound = Inbound::new(cutter, None);
        match inbound.packets() {
            1 => self.counts.add(count::CHECKSUMS, u64::from(!offload.is_done())),
            n => self.counts.add(count::SEGMENTS, n as u64),
        }
        self.pending = Some((inbound, len));
        Ok(true)
    }
}

impl RxQueue for Receiver {
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        while burst.room() > 0 {
            if let Some((inbound, len)) = &mut self.pending {
                let frame = self.frame.get(HEADER..*len).unwrap_or_default();
                if !inbound.push(frame, burst) {
                    break;
                }
                self.pending = None;
            }
            if !self.read()? {
                break;
            }
        }
        Ok(())
    }

    fn wake(&self) -> Wake {
        if self.pending.is_some() { Wake::Poll } else { Wake::Fd(self.file.as_raw_fd()) }
    }
}

#[repr(align(128))]
pub(super) struct Sender {
    file: Arc<File>,
    counts: Arc<Counts>,
}

impl Sender {
    pub fn new(file: Arc<File>, counts: Arc<Counts>) -> Sender {
        Sender { file, counts }
    }
}

impl TxQueue for Sender {
    fn takes_shared(&self) -> bool {
        true
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        let nothing_left = [0; HEADER];
        let mut sent = 0;
        for at in 0..burst.len() {
            let Some(packet) = burst.packet(at) else { break };
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let all = std::iter::once(&nothing_left[..]).chain(packet.segments());
            let mut used = 0;
            for (piece, bytes) in pieces.iter_mut().zip(all) {
                *piece = IoSlice::new(bytes);
                used += 1;
            }
            let error = match (&*self.file).write_vectored(pieces.get(..used).unwrap_or_default()) {
                Ok(_) => {
                    sent += 1;
                    continue;
                }
                Err(error) => error,
            };
            let left = (burst.len() - at) as u64;
            match error.raw_os_error() {
                Some(libc::EBADFD) if sent == 0 => return Err(error),
                // The kernel's end is switched off, or the device went in the middle of the burst.
                Some(libc::EIO | libc::EBADFD) => self.counts.add(count::TX_DOWN, left),
                Some(libc::EAGAIN | libc::ENOBUFS) => self.counts.add(count::TX_FULL, left),
                // This packet's own fault: the rest may pass.
                _ => {
                    self.counts.add(count::TX_REFUSED, 1);
                    continue;
                }
            }
            break;
        }
        Ok(sent)
    }
}
