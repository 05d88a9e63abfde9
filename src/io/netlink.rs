//! Network devices of the kernel, by rtnetlink (rtnetlink(7)): looking one up, changing it, hearing of changes.

use crate::device::Link;
use crate::sys;
use std::cell::Cell;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// What the kernel says about a network device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NetDevice {
    /// Its number, which no other device gets while the namespace lives.
    pub index: i32,
    /// `IFF_*` flags.
    pub flags: u32,
    /// Its own address, if it is an Ethernet device.
    pub mac: Option<[u8; 6]>,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    min_mtu: u32,
    max_mtu: u32,
    /// What made it (`veth`, `tun`, ...); empty for hardware.
    pub kind: String,
    /// Number of the XDP program that is attached to it.
    pub xdp_program: Option<u32>,
    /// Receive queues that it may have.
    pub rx_queues: u32,
}

impl NetDevice {
    /// Whether frames pass.
    pub fn link(&self) -> Link {
        let both = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
        if self.flags & both == both { Link::Up } else { Link::Down }
    }

    /// Sizes of IP packets in bytes that it can be set to.
    pub fn mtu_range(&self) -> RangeInclusive<u32> {
        // No maximum is told as 0; no IPv4 packet is longer than this.
        let max = if self.max_mtu == 0 { 65_535 } else { self.max_mtu.min(65_535) };
        self.min_mtu.max(68)..=max
    }
}

/// A socket to ask the kernel by. It stays in the network namespace of the thread that made it.
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: Cell<u32>,
}

impl Netlink {
    pub fn open() -> io::Result<Netlink> {
        Ok(Netlink {
            socket: sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?,
            sequence: Cell::new(0),
        })
    }

    /// The same in another network namespace, which a thread of its own goes to for a moment.
    pub fn open_in(namespace: &OwnedFd) -> io::Result<Netlink> {
        let enter = || {
            // SAFETY: a live descriptor and a number; it moves this thread only, which ends with the closure.
            sys::check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })?;
            Netlink::open()
        };
        let gone = || Err(io::Error::other("a thread could not be started"));
        std::thread::scope(|scope| match std::thread::Builder::new().spawn_scoped(scope, enter) {
            Ok(thread) => thread.join().unwrap_or_else(|_| gone()),
            Err(error) => Err(error),
        })
    }

    /// The device of this name; `None` when there is none.
    pub fn find(&self, name: &str) -> io::Result<Option<NetDevice>> {
        let mut request = Request::new(libc::RTM_GETLINK, 0, 0, 0);
        request.attribute(libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
        match self.ask(request) {
            Ok(answer) => Ok(Some(parse(&answer))),
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENODEV)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Sets the largest IP packet, in bytes.
    pub fn set_mtu(&self, index: i32, mtu: u32) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWLINK, index, 0, 0);
        request.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
        self.ask(request).map(drop)
    }

    /// Switches the device on.
    pub fn set_up(&self, index: i32) -> io::Result<()> {
        let up = libc::IFF_UP as u32;
        self.ask(Request::new(libc::RTM_NEWLINK, index, up, up)).map(drop)
    }

    /// Sends a request; the body of the answer, empty when it only says that all is well.
    fn ask(&self, request: Request) -> io::Result<Vec<u8>> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let bytes = request.finish(sequence);
        // SAFETY: the kernel reads `bytes.len()` bytes of it.
        sys::check_len(unsafe { libc::send(self.socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) })?;
        let mut buffer = vec![0; 32 << 10];
        loop {
            // SAFETY: the kernel writes at most `buffer.len()` bytes to it. It answers requests before `send` returns.
            let len = sys::check_len(unsafe {
                libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
            })?;
            let mut rest = &buffer[..len.min(buffer.len())];
            while let Some((header, body, next)) = message(rest) {
                rest = next;
                if header.sequence != sequence {
                    continue;
                }
                if header.kind != libc::NLMSG_ERROR as u16 {
                    return Ok(body.to_vec());
                }
                return match body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code)) {
                    0 => Ok(Vec::new()),
                    code => Err(io::Error::from_raw_os_error(-code)),
                };
            }
        }
    }
}

/// The attributes of `IFLA_XDP` with a program's number (`linux/if_link.h`): the only one, the driver's, the stack's, the hardware's.
const XDP_PROGRAMS: RangeInclusive<u16> = 4..=7;

/// Bytes of `struct nlmsghdr` and of `struct ifinfomsg`.
const HEADER: usize = 16;

struct Header {
    kind: u16,
    sequence: u32,
}

/// The first message of some, its body, and what follows.
fn message(bytes: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let len = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let sequence = u32::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
    let next = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some((Header { kind, sequence }, bytes.get(HEADER..len)?, next))
}

/// The attributes in some bytes.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        // The two upper bits tell how the value is coded.
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?) & 0x3fff;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn parse(body: &[u8]) -> NetDevice {
    let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |b| u32::from_ne_bytes(*b));
    let mut device = NetDevice {
        index: number(body.get(4..).unwrap_or_default()) as i32,
        flags: number(body.get(8..).unwrap_or_default()),
        ..NetDevice::default()
    };
    for (kind, value) in attributes(body.get(HEADER..).unwrap_or_default()) {
        match kind {
            libc::IFLA_ADDRESS => device.mac = value.try_into().ok(),
            libc::IFLA_MTU => device.mtu = number(value),
            libc::IFLA_MIN_MTU => device.min_mtu = number(value),
            libc::IFLA_MAX_MTU => device.max_mtu = number(value),
            libc::IFLA_NUM_RX_QUEUES => device.rx_queues = number(value),
            libc::IFLA_XDP => {
                let program = attributes(value).find(|(kind, _)| XDP_PROGRAMS.contains(kind));
                device.xdp_program = program.map(|(_, value)| number(value));
            }
            libc::IFLA_LINKINFO => {
                let name = attributes(value).find(|(kind, _)| *kind == libc::IFLA_INFO_KIND);
                let text = name.map(|(_, value)| String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
                device.kind = text.unwrap_or_default();
            }
            _ => {}
        }
    }
    device
}

struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, index: i32, flags: u32, change: u32) -> Request {
        let mut bytes = vec![0; HEADER];
        let asks = (libc::NLM_F_REQUEST | if kind == libc::RTM_GETLINK { 0 } else { libc::NLM_F_ACK }) as u16;
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&asks.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(index.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(change.to_ne_bytes());
        Request(bytes)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend(((value.len() + 4) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let len = self.0.len() as u32;
        self.0[0..4].copy_from_slice(&len.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// Says when network devices of the kernel came, went or changed. Wait for its descriptor to become readable, [`drain`] it, then
/// ask each device for its [`link`](crate::Device::link) and open missing ones again.
///
/// [`drain`]: LinkWatch::drain
#[derive(Debug)]
pub struct LinkWatch(OwnedFd);

/// `NETLINK_LISTEN_ALL_NSID` of `linux/netlink.h`, which the C library's declarations lack.
const LISTEN_ALL_NSID: i32 = 8;

/// Watches the network namespace that the calling thread is in, and those that devices were moved to from it (netlink(7),
/// `NETLINK_LISTEN_ALL_NSID`) where the process may.
///
/// # Errors
/// When the process has no descriptor left.
pub fn link_watch() -> io::Result<LinkWatch> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK;
    let socket = sys::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE)?;
    let _ = sys::set_option(socket.as_fd(), libc::SOL_NETLINK, LISTEN_ALL_NSID, &1i32);
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    address.nl_groups = libc::RTMGRP_LINK as u32;
    let len = size_of_val(&address) as u32;
    // SAFETY: the address is a `sockaddr_nl` of that length.
    sys::check(unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), len) })?;
    Ok(LinkWatch(socket))
}

impl LinkWatch {
    /// Takes all that has come, without waiting. Whether anything had.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn drain(&self) -> io::Result<bool> {
        let mut buffer = [0; 256];
        let mut any = false;
        loop {
            match sys::receive(self.0.as_fd(), &mut buffer) {
                // What the messages say doesn't matter: whoever waits looks for itself.
                Ok(_) => any = true,
                // Messages were lost: so there were some.
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => any = true,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(any),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for LinkWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
