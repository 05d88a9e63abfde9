//! A memif peer of raw sockets and raw memory, which can say anything: written after the protocol, without the driver's code.
#![allow(dead_code, reason = "each test uses its part")]

#[path = "shared.rs"]
mod shared;

use shared::check;
pub use shared::{Shared, eventfd};
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

pub const ACK: u16 = 1;
pub const HELLO: u16 = 2;
pub const INIT: u16 = 3;
pub const ADD_REGION: u16 = 4;
pub const ADD_RING: u16 = 5;
pub const CONNECT: u16 = 6;
pub const CONNECTED: u16 = 7;
pub const DISCONNECT: u16 = 8;

/// A message: the type, then fields one behind the other.
pub fn message(kind: u16, fields: &[&[u8]]) -> [u8; 128] {
    let mut bytes = [0; 128];
    bytes[..2].copy_from_slice(&kind.to_le_bytes());
    let body = fields.concat();
    bytes[2..2 + body.len()].copy_from_slice(&body);
    bytes
}

pub fn kind(message: &[u8; 128]) -> u16 {
    u16::from_le_bytes([message[0], message[1]])
}

/// Why a DISCONNECT came.
pub fn reason(message: &[u8; 128]) -> String {
    assert_eq!(kind(message), DISCONNECT, "{message:?}");
    String::from_utf8_lossy(message[6..102].split(|byte| *byte == 0).next().unwrap()).into_owned()
}

fn address(name: &str) -> (libc::sockaddr_un, libc::socklen_t) {
    assert!(name.starts_with('@'), "abstract names only");
    // SAFETY: plain numbers.
    let mut address: libc::sockaddr_un = unsafe { zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    for (to, from) in address.sun_path[1..].iter_mut().zip(name[1..].bytes()) {
        *to = from as libc::c_char;
    }
    (address, (offset_of!(libc::sockaddr_un, sun_path) + name.len()) as libc::socklen_t)
}

fn readable(fd: &OwnedFd, timeout: Duration) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor, described by `poll`.
    unsafe { libc::poll(&mut poll, 1, timeout.as_millis() as i32) == 1 }
}

fn wait_for(fd: &OwnedFd, what: &str) {
    let start = Instant::now();
    while !readable(fd, Duration::from_secs(1)) {
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain for {what}");
    }
}

/// A socket that other ends connect to.
pub struct RawListener(OwnedFd);

impl RawListener {
    pub fn bind(name: &str) -> RawListener {
        let (address, len) = address(name);
        // SAFETY: a new socket, bound to an address of `len` bytes.
        unsafe {
            let fd = check(libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0)).unwrap();
            let socket = OwnedFd::from_raw_fd(fd);
            check(libc::bind(fd, (&raw const address).cast(), len)).unwrap();
            check(libc::listen(fd, 4)).unwrap();
            RawListener(socket)
        }
    }

    /// The next client, within ten seconds.
    pub fn accept(&self) -> Raw {
        wait_for(&self.0, "a client");
        let null = std::ptr::null_mut();
        // SAFETY: no address is asked for; the descriptor is new.
        unsafe {
            let fd = check(libc::accept4(self.0.as_raw_fd(), null, null.cast(), libc::SOCK_CLOEXEC)).unwrap();
            Raw(OwnedFd::from_raw_fd(fd))
        }
    }
}

/// A control channel.
pub struct Raw(OwnedFd);

impl Raw {
    pub fn connect(name: &str) -> Raw {
        let (address, len) = address(name);
        // SAFETY: a new socket, connected to an address of `len` bytes.
        unsafe {
            let fd = check(libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0)).unwrap();
            let socket = OwnedFd::from_raw_fd(fd);
            check(libc::connect(fd, (&raw const address).cast(), len)).unwrap();
            Raw(socket)
        }
    }

    /// Sends any bytes, with any descriptors. False when the other end is gone.
    pub fn send(&self, bytes: &[u8], descriptors: &[RawFd]) -> bool {
        let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut control = [0u64; 16];
        // SAFETY: a message whose parts outlive the call, and control data with room for 16 descriptors.
        unsafe {
            let mut header: libc::msghdr = zeroed();
            header.msg_iov = &mut part;
            header.msg_iovlen = 1;
            if !descriptors.is_empty() {
                let len = size_of_val(descriptors);
                header.msg_control = control.as_mut_ptr().cast();
                header.msg_controllen = libc::CMSG_SPACE(len as u32) as usize;
                let first = libc::CMSG_FIRSTHDR(&header);
                (*first).cmsg_level = libc::SOL_SOCKET;
                (*first).cmsg_type = libc::SCM_RIGHTS;
                (*first).cmsg_len = libc::CMSG_LEN(len as u32) as usize;
                std::ptr::copy_nonoverlapping(descriptors.as_ptr().cast(), libc::CMSG_DATA(first), len);
            }
            libc::sendmsg(self.0.as_raw_fd(), &header, libc::MSG_NOSIGNAL) >= 0
        }
    }

    /// The next message, within ten seconds, and the descriptor with it; `None` when the other end is gone.
    pub fn receive(&self) -> Option<([u8; 128], Option<OwnedFd>)> {
        wait_for(&self.0, "a message");
        let mut bytes = [0; 128];
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let mut control = [0u64; 16];
        // SAFETY: a message whose parts outlive the call.
        unsafe {
            let mut header: libc::msghdr = zeroed();
            header.msg_iov = &mut part;
            header.msg_iovlen = 1;
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = size_of_val(&control);
            let len = libc::recvmsg(self.0.as_raw_fd(), &mut header, libc::MSG_CMSG_CLOEXEC);
            if len != 128 {
                return None;
            }
            let first = libc::CMSG_FIRSTHDR(&header);
            let descriptor = (!first.is_null())
                .then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(first).cast::<RawFd>().read_unaligned()));
            Some((bytes, descriptor))
        }
    }

    pub fn readable(&self, timeout: Duration) -> bool {
        readable(&self.0, timeout)
    }

    /// Sends a message and expects an answer of this kind.
    #[track_caller]
    pub fn ask(&self, bytes: &[u8; 128], descriptors: &[RawFd], answer: u16) -> [u8; 128] {
        assert!(self.send(bytes, descriptors), "the other end is gone");
        let (got, _) = self.receive().expect("an answer");
        assert_eq!(kind(&got), answer, "{:?}", String::from_utf8_lossy(&got[6..]));
        got
    }

    /// Why the other end ends the connection, which it then does.
    #[track_caller]
    pub fn farewell(&self) -> String {
        let (message, _) = self.receive().expect("a reason");
        assert!(self.receive().is_none(), "the end");
        reason(&message)
    }
}

pub fn init(id: u32) -> [u8; 128] {
    message(INIT, &[&0x0200u16.to_le_bytes(), &id.to_le_bytes(), &[0], &[0; 24], b"a raw peer"])
}

pub fn add_region(index: u16, size: u64) -> [u8; 128] {
    message(ADD_REGION, &[&index.to_le_bytes(), &size.to_le_bytes()])
}

/// What ADD_RING says.
#[derive(Clone, Copy)]
pub struct RingMessage {
    pub to_server: bool,
    pub index: u16,
    pub region: u16,
    pub offset: u32,
    pub log2_size: u8,
    pub private_header: u16,
}

impl RingMessage {
    pub fn bytes(self) -> [u8; 128] {
        message(
            ADD_RING,
            &[
                &u16::from(self.to_server).to_le_bytes(),
                &self.index.to_le_bytes(),
                &self.region.to_le_bytes(),
                &self.offset.to_le_bytes(),
                &[self.log2_size],
                &self.private_header.to_le_bytes(),
            ],
        )
    }
}

/// A server that takes as much as `queues` rings each way, of `1 << log2_size` slots.
pub fn hello(version: u16, max_region: u16, queues: u16, log2_size: u8) -> [u8; 128] {
    let (version, last) = (version.to_le_bytes(), (queues - 1).to_le_bytes());
    message(HELLO, &[&[0; 32], &version, &version, &max_region.to_le_bytes(), &last, &last, &[log2_size]])
}

/// Where the raw client's rings lie: one each way.
pub const TO_SERVER: usize = 0;
pub const TO_CLIENT: usize = 16 << 10;
/// Its buffers, of 2048 bytes each.
pub const BUFFERS: usize = 64 << 10;

/// A client with two rings of `1 << log2_size` slots in 1 MiB of memory.
pub struct RawClient {
    pub raw: Raw,
    pub memory: Shared,
    pub interrupts: [OwnedFd; 2],
}

impl RawClient {
    /// Greeted by the server, nothing said.
    pub fn greeted(name: &str) -> RawClient {
        let raw = Raw::connect(name);
        let (hello, _) = raw.receive().expect("a greeting");
        assert_eq!(kind(&hello), HELLO);
        let memory = Shared::new(1 << 20);
        memory.ring(TO_SERVER);
        memory.ring(TO_CLIENT);
        RawClient { raw, memory, interrupts: [eventfd(), eventfd()] }
    }

    pub fn ring_message(to_server: bool, log2_size: u8) -> RingMessage {
        let offset = if to_server { TO_SERVER } else { TO_CLIENT } as u32;
        RingMessage { to_server, index: 0, region: 0, offset, log2_size, private_header: 0 }
    }

    pub fn region(&self) -> RawFd {
        self.memory.file.as_raw_fd()
    }

    pub fn interrupt(&self, to_server: bool) -> RawFd {
        self.interrupts[usize::from(to_server)].as_raw_fd()
    }

    /// Connected, as the protocol has it.
    pub fn connected(name: &str, id: u32, log2_size: u8) -> RawClient {
        let client = RawClient::greeted(name);
        client.raw.ask(&init(id), &[], ACK);
        client.raw.ask(&add_region(0, 1 << 20), &[client.region()], ACK);
        for to_server in [true, false] {
            let ring = RawClient::ring_message(to_server, log2_size).bytes();
            client.raw.ask(&ring, &[client.interrupt(to_server)], ACK);
        }
        client.raw.ask(&message(CONNECT, &[b"raw0"]), &[], CONNECTED);
        client
    }
}

/// A server that takes whatever a client says.
pub struct RawServer {
    pub raw: Raw,
    pub regions: Vec<Shared>,
    pub rings: Vec<(RingMessage, OwnedFd)>,
}

impl RawServer {
    /// The next client, after it has been taken through the handshake.
    pub fn connected(listener: &RawListener, hello: &[u8; 128]) -> RawServer {
        let raw = listener.accept();
        assert!(raw.send(hello, &[]));
        let mut server = RawServer { raw, regions: Vec::new(), rings: Vec::new() };
        loop {
            let (got, descriptor) = server.raw.receive().expect("the client goes on");
            let u16_at = |at: usize| u16::from_le_bytes([got[at], got[at + 1]]);
            let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
            match kind(&got) {
                INIT => {}
                ADD_REGION => server.regions.push(Shared::map(descriptor.unwrap(), u32_at(4) as usize)),
                ADD_RING => {
                    let ring = RingMessage {
                        to_server: u16_at(2) == 1,
                        index: u16_at(4),
                        region: u16_at(6),
                        offset: u32_at(8),
                        log2_size: got[12],
                        private_header: u16_at(13),
                    };
                    server.rings.push((ring, descriptor.unwrap()));
                }
                CONNECT => {
                    assert!(server.raw.send(&message(CONNECTED, &[b"raw1"]), &[]));
                    return server;
                }
                other => panic!("a message of type {other}"),
            }
            assert!(server.raw.send(&message(ACK, &[]), &[]));
        }
    }

    /// The memory with the rings, and where the first ring of a direction lies.
    pub fn ring(&self, to_server: bool) -> (&Shared, usize) {
        let (ring, _) = self.rings.iter().find(|(ring, _)| ring.to_server == to_server).expect("a ring");
        (&self.regions[usize::from(ring.region)], ring.offset as usize)
    }
}
