//! The transmit queue: one `sendmmsg` a burst.

use super::{Counts, count, socket};
use crate::sys;
use millrace_engine::VECTOR;
use millrace_engine::device::{TxBurst, TxQueue};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

/// Pieces of packets in one call: a burst of jumbo frames needs five each.
const PIECES: usize = 8 * VECTOR;

#[repr(align(128))]
pub(super) struct Sender {
    socket: OwnedFd,
    counts: Arc<Counts>,
    messages: Box<[libc::mmsghdr]>,
    pieces: Vec<libc::iovec>,
}

// SAFETY: the pointers in the arrays are set before each call and mean nothing after it.
unsafe impl Send for Sender {}

impl Sender {
    pub fn new(index: i32, counts: Arc<Counts>) -> io::Result<Sender> {
        // SAFETY: all-zero is a valid value of this plain structure: no address, no pieces.
        let empty: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Ok(Sender {
            socket: socket::sending(index)?,
            counts,
            messages: vec![empty; VECTOR].into(),
            pieces: Vec::with_capacity(PIECES),
        })
    }

    /// Lists the pieces of packets from `first` on, as many packets as there is room for; how many.
    fn gather(&mut self, burst: &mut TxBurst<'_>, first: usize) -> usize {
        self.pieces.clear();
        let mut packets = 0;
        for message in &mut self.messages {
            let Some(packet) = burst.packet(first + packets) else { break };
            let start = self.pieces.len();
            for segment in packet.segments() {
                if self.pieces.len() == PIECES {
                    break;
                }
                let base = segment.as_ptr().cast_mut().cast();
                self.pieces.push(libc::iovec { iov_base: base, iov_len: segment.len() });
            }
            if self.pieces.len() == PIECES && packets > 0 {
                // Perhaps not all of this packet: it goes with the next call.
                self.pieces.truncate(start);
                break;
            }
            message.msg_hdr.msg_iov = self.pieces.as_mut_ptr().wrapping_add(start);
            message.msg_hdr.msg_iovlen = self.pieces.len() - start;
            packets += 1;
        }
        packets
    }
}

impl TxQueue for Sender {
    fn takes_shared(&self) -> bool {
        true
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        // Packets dealt with, and those of them that were sent.
        let (mut at, mut sent) = (0, 0);
        while at < burst.len() {
            let packets = self.gather(burst, at);
            self.counts.add(count::CALLS, 1);
            let (messages, n) = (self.messages.as_mut_ptr(), packets as u32);
            // SAFETY: the first `n` messages point at pieces that `gather` listed just now, and these at packets that the burst
            // owns and nobody touches meanwhile; the kernel only reads them.
            let result = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), messages, n, libc::MSG_DONTWAIT) };
            let error = match sys::check(result) {
                Ok(0) => break,
                Ok(n) => {
                    at += n as usize;
                    sent += n as usize;
                    continue;
                }
                Err(error) => error,
            };
            let left = (burst.len() - at) as u64;
            match error.raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::ENXIO | libc::ENODEV) if sent == 0 => return Err(error),
                Some(libc::EAGAIN | libc::ENOBUFS) => self.counts.add(count::TX_FULL, left),
                Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => self.counts.add(count::TX_DOWN, left),
                // This packet's own fault: the rest may pass.
                Some(libc::EMSGSIZE) => {
                    self.counts.add(count::TX_TOO_LONG, 1);
                    at += 1;
                    continue;
                }
                _ => {
                    self.counts.add(count::TX_REFUSED, 1);
                    at += 1;
                    continue;
                }
            }
            break;
        }
        Ok(sent)
    }
}
