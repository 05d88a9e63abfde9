//! The other end of the control socket: messages of the vhost-user protocol, made by hand.

use crate::common::PATIENCE;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Codes of messages (docs/interop/vhost-user.rst of QEMU).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    GetFeatures = 1,
    SetFeatures = 2,
    SetOwner = 3,
    SetMemTable = 5,
    SetLogBase = 6,
    SetVringNum = 8,
    SetVringAddr = 9,
    SetVringBase = 10,
    GetVringBase = 11,
    SetVringKick = 12,
    SetVringCall = 13,
    SetVringErr = 14,
    GetProtocolFeatures = 15,
    SetProtocolFeatures = 16,
    GetQueueNum = 17,
    SetVringEnable = 18,
    GetMaxMemSlots = 36,
    AddMemReg = 37,
    RemMemReg = 38,
}

const VERSION: u32 = 1;
const NEED_REPLY: u32 = 1 << 3;

/// A connection.
pub struct Frontend {
    pub stream: UnixStream,
}

impl Frontend {
    pub fn new(stream: UnixStream) -> Frontend {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Frontend { stream }
    }

    /// Sends any bytes, with any descriptors.
    pub fn send_raw(&self, bytes: &[u8], fds: &[RawFd]) -> io::Result<()> {
        let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut control = [0u64; 32];
        // SAFETY: all zeros is a valid `msghdr`; what it points at lives until the end of the call and is as long as it says.
        let sent = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = &mut part;
            message.msg_iovlen = 1;
            if !fds.is_empty() {
                let len = size_of_val(fds) as u32;
                message.msg_control = control.as_mut_ptr().cast();
                message.msg_controllen = libc::CMSG_SPACE(len) as usize;
                let head = libc::CMSG_FIRSTHDR(&message);
                (*head).cmsg_level = libc::SOL_SOCKET;
                (*head).cmsg_type = libc::SCM_RIGHTS;
                (*head).cmsg_len = libc::CMSG_LEN(len) as usize;
                libc::CMSG_DATA(head).copy_from(fds.as_ptr().cast(), len as usize);
            }
            libc::sendmsg(self.stream.as_raw_fd(), &message, libc::MSG_NOSIGNAL)
        };
        if sent == bytes.len() as isize { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Sends a message.
    pub fn send(&self, code: Code, flags: u32, payload: &[u8], fds: &[RawFd]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for word in [code as u32, VERSION | flags, payload.len() as u32] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(payload);
        self.send_raw(&bytes, fds)
    }

    /// The payload of an answer to `code`; nothing when the connection was ended.
    pub fn reply(&mut self, code: Code) -> Option<Vec<u8>> {
        let mut header = [0; 12];
        self.stream.read_exact(&mut header).ok()?;
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(4)), (code as u32, VERSION | 4), "an answer to {code:?}");
        let mut payload = vec![0; word(8) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some(payload)
    }

    /// Asks for a number.
    pub fn get(&mut self, code: Code) -> u64 {
        self.send(code, 0, &[], &[]).unwrap();
        u64::from_le_bytes(self.reply(code).unwrap().try_into().unwrap())
    }

    /// Sends a message that has no answer, and has it acknowledged; whether it was taken.
    pub fn tell(&mut self, code: Code, payload: &[u8], fds: &[RawFd]) -> bool {
        self.send(code, NEED_REPLY, payload, fds).is_ok()
            && self.reply(code).is_some_and(|answer| answer == 0u64.to_le_bytes())
    }

    /// A message about a ring with a number, as [`tell`](Frontend::tell).
    pub fn tell_ring(&mut self, code: Code, ring: u32, number: u32) -> bool {
        self.tell(code, &words(&[ring, number]), &[])
    }

    /// Whether the other side ends the connection.
    pub fn is_ended(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// An eventfd that is read without waiting.
pub struct Event(File);

impl Event {
    pub fn new() -> Event {
        // SAFETY: no pointers are passed; the descriptor is new.
        let fd = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)) };
        Event(File::from(fd))
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub fn ring(&self) {
        io::Write::write_all(&mut &self.0, &1u64.to_ne_bytes()).unwrap();
    }

    /// How often it was rung since this was asked last.
    pub fn count(&self) -> u64 {
        let mut count = [0; 8];
        (&self.0).read_exact(&mut count).map_or(0, |()| u64::from_ne_bytes(count))
    }
}
