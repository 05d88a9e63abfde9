//! The one message that the `vhost` crate takes too late. QEMU enables rings by VHOST_USER_SET_VRING_ENABLE before it tells which features
//! the guest took, and not again after that; the crate refuses the message until then, as it belongs to one of the features. So until
//! then it is taken off the socket here.

use super::backend::Backend;
use crate::sys;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use vhost::vhost_user::message::{FrontendReq, VhostUserProtocolFeatures};
use vhost::vhost_user::{Error, Result, VhostUserBackendReqHandlerMut};

/// Bytes in front of what a message says: which it is, flags, how much follows.
const HEADER: usize = 12;
/// A ring's number, and whether it is enabled.
const BODY: usize = 8;
/// The protocol's version is in the flags,
const VERSION: u32 = 1;
/// and whether it is an answer,
const REPLY: u32 = 1 << 2;
/// or one is wanted.
const NEED_REPLY: u32 = 1 << 3;

/// Deals with the next message if it enables or disables a ring and comes before the features; whether it did.
///
/// # Errors
/// What the message says can't be, or the other end has gone.
pub(super) fn enable(mut stream: &UnixStream, backend: &mut Backend) -> Result<bool> {
    if backend.has_features() || !is_next(stream) {
        return Ok(false);
    }
    let mut message = [0; HEADER + BODY];
    stream.read_exact(&mut message).map_err(|_| Error::Disconnected)?;
    let [_, flags, _, index, on] = words(&message);
    let done = match on {
        0 => backend.set_vring_enable(index, false),
        1 => backend.set_vring_enable(index, true),
        _ => Err(Error::InvalidParam),
    };
    if flags & NEED_REPLY != 0 && backend.has_protocol_feature(VhostUserProtocolFeatures::REPLY_ACK) {
        let answer = [FrontendReq::SET_VRING_ENABLE as u32, VERSION | REPLY, 8, done.is_err().into(), 0];
        stream.write_all(&answer.map(u32::to_ne_bytes).concat()).map_err(|_| Error::Disconnected)?;
    }
    done.map(|()| true)
}

/// Whether the message that comes next is the one. Nothing else is looked into, and nothing is taken off the socket.
fn is_next(stream: &UnixStream) -> bool {
    let mut header = [0; HEADER];
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    let peeked = sys::check_len(unsafe {
        libc::recv(stream.as_raw_fd(), header.as_mut_ptr().cast(), HEADER, libc::MSG_PEEK | libc::MSG_DONTWAIT)
    });
    let [request, flags, size] = words(&header);
    matches!(peeked, Ok(HEADER))
        && request == FrontendReq::SET_VRING_ENABLE as u32
        && flags & !NEED_REPLY == VERSION
        && size == BODY as u32
}

/// The 32-bit numbers that a message starts with, in this machine's order.
fn words<const COUNT: usize>(message: &[u8]) -> [u32; COUNT] {
    let mut numbers = message.chunks_exact(4).map(|bytes| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}
