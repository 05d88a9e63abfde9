//! The memif protocol by hand, either end of it: for what no honest peer says. Numbers and layouts are those of libmemif.

use crate::PATIENCE;
use std::io::Error;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// Types of messages.
pub const ACK: u16 = 1;
/// The server's first message.
pub const HELLO: u16 = 2;
/// The client's first message.
pub const INIT: u16 = 3;
/// A region of memory, with its descriptor.
pub const ADD_REGION: u16 = 4;
/// A ring in a region, with its eventfd.
pub const ADD_RING: u16 = 5;
/// The client has said it all.
pub const CONNECT: u16 = 6;
/// The server's answer to that.
pub const CONNECTED: u16 = 7;
/// The end, with a reason.
pub const DISCONNECT: u16 = 8;

/// Bytes of a ring before its descriptors.
pub const RING_HEADER: usize = 128;
/// What a ring begins with.
pub const COOKIE: u32 = 0x03e3_1f20;
/// A descriptor's flag: the packet goes on in the next one.
pub const NEXT: u16 = 1;
/// Protocol 2.0.
pub const VERSION: u16 = 0x0200;

/// A control message: 128 bytes, numbers in the host's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(pub Vec<u8>);

impl Message {
    /// One with nothing but its type.
    pub fn new(kind: u16) -> Message {
        Message(vec![0; 128]).put(0, &kind.to_ne_bytes())
    }

    /// With these bytes at this offset.
    pub fn put(mut self, at: usize, bytes: &[u8]) -> Message {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// What a server greets with.
    pub fn hello() -> Message {
        let numbers = [VERSION, VERSION, 255, 255, 255].map(u16::to_ne_bytes).concat();
        Message::new(HELLO).put(2, b"hostile").put(34, &numbers).put(44, &[14])
    }

    /// What a client begins with.
    pub fn init(id: u32, secret: &str) -> Message {
        let message = Message::new(INIT).put(2, &VERSION.to_ne_bytes()).put(4, &id.to_ne_bytes());
        message.put(9, secret.as_bytes()).put(33, b"hostile")
    }

    /// A region.
    pub fn region(index: u16, size: u64) -> Message {
        Message::new(ADD_REGION).put(2, &index.to_ne_bytes()).put(4, &size.to_ne_bytes())
    }

    /// A ring: of the client's to the server or of the other direction.
    pub fn ring(to_server: bool, index: u16, region: u16, offset: u32, log2_size: u8) -> Message {
        let message = Message::new(ADD_RING).put(2, &u16::from(to_server).to_ne_bytes()).put(4, &index.to_ne_bytes());
        message.put(6, &region.to_ne_bytes()).put(8, &offset.to_ne_bytes()).put(12, &[log2_size])
    }

    /// Its type.
    pub fn kind(&self) -> u16 {
        u16::from_ne_bytes([self.0[0], self.0[1]])
    }

    /// The reason of a [`DISCONNECT`].
    pub fn reason(&self) -> String {
        String::from_utf8_lossy(&self.0[6..102]).trim_end_matches('\0').to_owned()
    }
}

/// A control connection.
pub struct Control(OwnedFd);

fn unix_address(path: &Path) -> libc::sockaddr_un {
    // SAFETY: all-zero is a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    let bytes = path.as_os_str().as_encoded_bytes();
    assert!(bytes.len() < address.sun_path.len(), "{} is too long", path.display());
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    address
}

fn packet_socket() -> OwnedFd {
    // SAFETY: plain numbers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0, "socket: {}", Error::last_os_error());
    // SAFETY: a descriptor that was just opened and that nobody else owns.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A listening socket that plays a server.
pub struct Listener(OwnedFd);

impl Listener {
    /// Makes the socket.
    pub fn bind(path: &Path) -> Listener {
        let (socket, address) = (packet_socket(), unix_address(path));
        let size = size_of::<libc::sockaddr_un>() as u32;
        // SAFETY: a live address of the length given.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
        assert_eq!(bound, 0, "bind {}: {}", path.display(), Error::last_os_error());
        // SAFETY: plain numbers.
        assert_eq!(unsafe { libc::listen(socket.as_raw_fd(), 8) }, 0, "listen: {}", Error::last_os_error());
        Listener(socket)
    }

    /// The next client.
    #[track_caller]
    pub fn accept(&self) -> Control {
        assert!(ready(&self.0, PATIENCE.as_millis() as i32), "nobody connects");
        // SAFETY: nobody asks for the address.
        let fd = unsafe { libc::accept(self.0.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut()) };
        assert!(fd >= 0, "accept: {}", Error::last_os_error());
        // SAFETY: a descriptor that was just opened and that nobody else owns.
        Control(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

impl Control {
    /// Connects as a client.
    #[track_caller]
    pub fn connect(path: &Path) -> Control {
        let (socket, address) = (packet_socket(), unix_address(path));
        let size = size_of::<libc::sockaddr_un>() as u32;
        // SAFETY: a live address of the length given.
        let done = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), size) };
        assert_eq!(done, 0, "connect to {}: {}", path.display(), Error::last_os_error());
        Control(socket)
    }

    /// Sends bytes, of whatever length, and a descriptor; false when the other end is gone.
    pub fn send(&self, bytes: &[u8], descriptor: Option<&OwnedFd>) -> bool {
        let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut control = [0_u64; 4];
        // SAFETY: all-zero is a valid msghdr.
        let mut message: libc::msghdr = unsafe { zeroed() };
        (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
        if let Some(descriptor) = descriptor {
            message.msg_control = control.as_mut_ptr().cast();
            // SAFETY: only numbers are reckoned with.
            message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<i32>() as u32) } as usize;
            // SAFETY: the buffer is large enough for one header and one descriptor, and aligned for both.
            unsafe {
                let header = libc::CMSG_FIRSTHDR(&raw const message);
                (*header).cmsg_level = libc::SOL_SOCKET;
                (*header).cmsg_type = libc::SCM_RIGHTS;
                (*header).cmsg_len = libc::CMSG_LEN(size_of::<i32>() as u32) as usize;
                libc::CMSG_DATA(header).cast::<i32>().write_unaligned(descriptor.as_raw_fd());
            }
        }
        // SAFETY: the message points at live buffers of the lengths given.
        let sent = unsafe { libc::sendmsg(self.0.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
        sent == bytes.len() as isize
    }

    /// The next message and the descriptor with it; none when the other end closed, or says nothing for a while.
    pub fn receive(&self) -> Option<(Message, Option<OwnedFd>)> {
        if !ready(&self.0, PATIENCE.as_millis() as i32) {
            return None;
        }
        let mut bytes = vec![0_u8; 256];
        let mut control = [0_u64; 4];
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        // SAFETY: all-zero is a valid msghdr.
        let mut message: libc::msghdr = unsafe { zeroed() };
        (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
        (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), size_of_val(&control));
        // SAFETY: the message points at live buffers of the lengths given.
        let length = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        bytes.truncate(usize::try_from(length).ok().filter(|length| *length > 0)?);
        // SAFETY: the kernel filled the control buffer that the message points at.
        let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
        let descriptor = (!header.is_null()).then(|| {
            // SAFETY: the only control messages of such a socket are SCM_RIGHTS, with a descriptor that is now ours.
            unsafe { OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<i32>().read_unaligned()) }
        });
        Some((Message(bytes), descriptor))
    }

    /// The next message, which must be of this type.
    #[track_caller]
    pub fn expect(&self, kind: u16) -> (Message, Option<OwnedFd>) {
        let Some((message, descriptor)) = self.receive() else { panic!("no message {kind}, but an end") };
        assert_eq!(message.kind(), kind, "{message:?} ({:?})", message.reason());
        (message, descriptor)
    }

    /// Waits until the other end closes it; returns the reason that it gave, if it gave one.
    #[track_caller]
    pub fn ends(&self) -> Option<String> {
        let mut reason = None;
        while ready(&self.0, PATIENCE.as_millis() as i32) {
            match self.receive() {
                Some((message, _)) if message.kind() == DISCONNECT => reason = Some(message.reason()),
                Some(_) => {}
                None => return reason,
            }
        }
        panic!("the link is still there");
    }
}

fn ready(socket: &OwnedFd, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, and the count says so.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) > 0 }
}

/// An event descriptor, as rings are rung by.
pub fn eventfd() -> OwnedFd {
    // SAFETY: plain numbers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    assert!(fd >= 0, "eventfd: {}", Error::last_os_error());
    // SAFETY: a descriptor that was just opened and that nobody else owns.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Rings: wakes who waits for it.
pub fn ring(bell: &OwnedFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: a live descriptor, and eight live bytes.
    unsafe { libc::write(bell.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// Whether, and how, memory is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// It can't shrink under who has mapped it.
    NoShrink,
    /// It can.
    None,
}

/// Shared memory, mapped here.
pub struct Memory {
    /// Its descriptor, to be sent.
    pub descriptor: OwnedFd,
    base: *mut u8,
    len: usize,
}

impl Memory {
    /// New memory, all zero.
    pub fn new(len: usize, seal: Seal) -> Memory {
        // SAFETY: a name that ends in zero, and flags.
        let fd = unsafe { libc::memfd_create(c"hostile".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        assert!(fd >= 0, "memfd_create: {}", Error::last_os_error());
        // SAFETY: a descriptor that was just opened and that nobody else owns.
        let descriptor = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: a live descriptor and numbers.
        assert_eq!(unsafe { libc::ftruncate(fd, len as i64) }, 0, "ftruncate: {}", Error::last_os_error());
        if seal == Seal::NoShrink {
            // SAFETY: a live descriptor and numbers.
            let sealed = unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) };
            assert_eq!(sealed, 0, "seal: {}", Error::last_os_error());
        }
        Memory::map(descriptor, len)
    }

    /// Somebody's memory.
    pub fn map(descriptor: OwnedFd, len: usize) -> Memory {
        let (access, fd) = (libc::PROT_READ | libc::PROT_WRITE, descriptor.as_raw_fd());
        // SAFETY: the kernel chooses where; the descriptor is live.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, fd, 0) };
        assert_ne!(base, libc::MAP_FAILED, "mmap: {}", Error::last_os_error());
        Memory { descriptor, base: base.cast(), len }
    }

    /// Bytes of it.
    pub fn size(&self) -> usize {
        self.len
    }

    /// Takes all of it away.
    pub fn shrink(&self) {
        // SAFETY: a live descriptor and numbers. The result doesn't matter: a seal may forbid it.
        unsafe { libc::ftruncate(self.descriptor.as_raw_fd(), 0) };
    }

    /// Writes a number or bytes.
    pub fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len);
        for (place, byte) in bytes.iter().enumerate() {
            // SAFETY: inside of the mapping, as checked; other processes are meant to see it.
            unsafe { self.base.add(at + place).write_volatile(*byte) };
        }
    }

    /// Writes an index of a ring, in one go.
    pub fn write_u16(&self, at: usize, value: u16) {
        assert!(at + 2 <= self.len && at.is_multiple_of(2));
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        // SAFETY: inside of the mapping and aligned, as checked.
        unsafe { self.base.add(at).cast::<u16>().write_volatile(value) };
    }

    /// Reads an index of a ring.
    pub fn read_u16(&self, at: usize) -> u16 {
        assert!(at + 2 <= self.len && at.is_multiple_of(2));
        // SAFETY: inside of the mapping and aligned, as checked.
        unsafe { self.base.add(at).cast::<u16>().read_volatile() }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length and nothing refers to it any more.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

/// A descriptor of a ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    /// [`NEXT`] or 0.
    pub flags: u16,
    /// Which region.
    pub region: u16,
    /// Bytes.
    pub length: u32,
    /// Where in the region.
    pub offset: u32,
}

/// A ring in somebody's memory.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    /// Where it begins.
    pub at: usize,
    /// How many slots it has.
    pub slots: usize,
}

impl Ring {
    /// Where the index of what the client has filled or given is.
    pub fn head(&self) -> usize {
        self.at + 6
    }

    /// Where the index of what the server has taken or filled is.
    pub fn tail(&self) -> usize {
        self.at + 64
    }

    /// Writes the header of a new ring.
    pub fn begin(&self, memory: &Memory) {
        memory.write(self.at, &COOKIE.to_ne_bytes());
    }

    /// Writes a slot.
    pub fn put(&self, memory: &Memory, slot: usize, content: Slot) {
        let at = self.at + RING_HEADER + slot % self.slots * 16;
        memory.write(at, &content.flags.to_ne_bytes());
        memory.write(at + 2, &content.region.to_ne_bytes());
        memory.write(at + 4, &content.length.to_ne_bytes());
        memory.write(at + 8, &content.offset.to_ne_bytes());
    }
}
