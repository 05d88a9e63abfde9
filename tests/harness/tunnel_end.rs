//! The other end of a GRE or IPIP tunnel, where the kernel has none: a TUN device of a Linux host, whose packets leave by a raw socket
//! behind a header made here, and come from it. Nothing of the router's code is in it; the outer headers, and fragments of outer
//! packets, are the kernel's.

use crate::{Namespace, frames, wire};
use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::io::{Error, Read, Write};
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// What stands between the outer header and the packet inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// GRE, with a key and a checksum if said so.
    Gre {
        /// Its key.
        key: Option<u32>,
        /// Whether it has a checksum.
        checksum: bool,
    },
    /// Nothing.
    Nothing,
}

/// What went through it.
#[derive(Debug, Default)]
pub struct Counts {
    /// Packets that came out of the tunnel.
    pub received: AtomicU64,
    /// Packets that went into it.
    pub sent: AtomicU64,
    /// Outer packets that are not as the tunnel's are.
    pub refused: AtomicU64,
}

/// See the module. Ends when it is dropped.
pub struct TunnelEnd {
    /// What went through it.
    pub counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TunnelEnd {
    /// Makes the device on a host, with an MTU and addresses (in CIDR notation), as the end `local` of a tunnel to `remote`.
    pub fn start(
        host: &Namespace,
        device: &str,
        (local, remote): (&str, &str),
        between: Between,
        mtu: u16,
        addresses: &[&str],
    ) -> TunnelEnd {
        let ends: (IpAddr, IpAddr) = (local.parse().expect("an address"), remote.parse().expect("an address"));
        let protocols: &[i32] = if between == Between::Nothing { &[4, 41] } else { &[47] };
        let (tun, sockets) = host.enter(|| {
            let sockets: Vec<(i32, UdpSocket)> = protocols.iter().map(|p| (*p, raw_socket(ends.0, *p))).collect();
            (tun(device), sockets)
        });
        host.ip(&format!("link set {device} up mtu {mtu}"));
        for address in addresses {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            host.ip(&format!("addr add {address} dev {device} {nodad}"));
        }
        let (counts, stop) = (Arc::<Counts>::default(), Arc::new(AtomicBool::new(false)));
        let worker = Worker { tun, sockets, between, remote: ends.1, counts: counts.clone() };
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || worker.run(&stopped));
        TunnelEnd { counts, stop, thread: Some(thread) }
    }

    /// Packets that came out of it.
    pub fn received(&self) -> u64 {
        self.counts.received.load(Ordering::Relaxed)
    }

    /// Packets that went into it.
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::Relaxed)
    }

    /// Outer packets that are not as they should be.
    pub fn refused(&self) -> u64 {
        self.counts.refused.load(Ordering::Relaxed)
    }
}

impl Drop for TunnelEnd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Worker {
    tun: File,
    /// By protocol.
    sockets: Vec<(i32, UdpSocket)>,
    between: Between,
    remote: IpAddr,
    counts: Arc<Counts>,
}

impl Worker {
    fn run(mut self, stop: &AtomicBool) {
        let mut buffer = vec![0; 70_000];
        while !stop.load(Ordering::Relaxed) {
            let of = |fd: c_int| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            let mut polled: Vec<libc::pollfd> = self.sockets.iter().map(|(_, socket)| of(socket.as_raw_fd())).collect();
            polled.push(of(self.tun.as_raw_fd()));
            // SAFETY: as many entries as it says.
            unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, 50) };
            while let Ok(length) = self.tun.read(&mut buffer) {
                self.send(&buffer[..length]);
            }
            for at in 0..self.sockets.len() {
                while let Ok((length, from)) = self.sockets[at].1.recv_from(&mut buffer) {
                    let protocol = self.sockets[at].0;
                    let inside = self.open(&buffer[..length], from, protocol);
                    match inside {
                        Some(packet) if self.tun.write_all(packet).is_ok() => &self.counts.received,
                        _ => &self.counts.refused,
                    }
                    .fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn send(&self, packet: &[u8]) {
        let is_ip6 = packet[0] >> 4 == 6;
        let (protocol, header) = match self.between {
            Between::Nothing => (if is_ip6 { 41 } else { 4 }, Vec::new()),
            Between::Gre { key, checksum } => {
                let flags = [if checksum { 0x80 } else { 0 } | if key.is_some() { 0x20 } else { 0 }, 0];
                let kind: [u8; 2] = if is_ip6 { [0x86, 0xdd] } else { [8, 0] };
                let sum = [0; 4];
                let key = key.map(u32::to_be_bytes);
                let parts = [&flags[..], &kind, if checksum { &sum } else { &[] }, key.as_ref().map_or(&[], |key| key)];
                (47, parts.concat())
            }
        };
        let mut outer = [&header, packet].concat();
        if let Between::Gre { checksum: true, .. } = self.between {
            let sum = frames::checksum(&outer);
            outer[4..6].copy_from_slice(&sum.to_be_bytes());
        }
        let socket = self.sockets.iter().find(|(of, _)| *of == protocol).map(|(_, socket)| socket);
        if socket.is_some_and(|socket| socket.send_to(&outer, (self.remote, 0)).is_ok()) {
            self.counts.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The packet inside, if the outer one is from the other end and as it should be.
    fn open<'a>(&self, outer: &'a [u8], from: SocketAddr, protocol: i32) -> Option<&'a [u8]> {
        // The kernel gives IPv4's header, and keeps IPv6's.
        let skip = if from.is_ipv4() { usize::from(outer[0] & 15) * 4 } else { 0 };
        let carried = outer.get(skip..)?;
        let (inside, kind) = match self.between {
            Between::Nothing => (carried, if protocol == 4 { [8, 0] } else { [0x86, 0xdd] }),
            Between::Gre { key, checksum } => {
                let flags = if checksum { 0x80 } else { 0 } | if key.is_some() { 0x20 } else { 0 };
                let [first, 0, a, b, rest @ ..] = carried else { return None };
                let (sum, rest) = rest.split_at_checked(if checksum { 4 } else { 0 })?;
                let (its, rest) = rest.split_at_checked(if key.is_some() { 4 } else { 0 })?;
                let right = *first == flags && its == key.map(u32::to_be_bytes).as_ref().map_or(&[][..], |key| key);
                let intact = sum.is_empty() || frames::checksum(carried) == 0;
                (rest, (right && intact).then_some([*a, *b])?)
            }
        };
        let version = inside.first()? >> 4;
        let as_said = (version, kind) == (4, [8, 0]) || (version, kind) == (6, [0x86, 0xdd]);
        (from.ip() == self.remote && as_said).then_some(inside)
    }
}

/// A TUN device, whose packets have nothing in front.
fn tun(name: &str) -> File {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.read(true).write(true).open("/dev/net/tun").expect("/dev/net/tun");
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    // SAFETY: the request is a live ifreq, as this call takes.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) };
    assert_eq!(done, 0, "TUN device {name}: {}", Error::last_os_error());
    file
}

/// A raw socket of a protocol, whose packets come from `local` and may be cut in pieces. It can send and receive as one of UDP does.
fn raw_socket(local: IpAddr, protocol: i32) -> UdpSocket {
    let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: plain numbers.
    let fd = unsafe { libc::socket(family, kind, protocol) };
    assert!(fd >= 0, "raw socket: {}", Error::last_os_error());
    // SAFETY: a descriptor that was just opened and that nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    wire::set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 16 << 20);
    let (level, discover, dont) = match local {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT),
    };
    wire::set(&socket, level, discover, dont);
    bind(&socket, local);
    UdpSocket::from(socket)
}

fn bind(socket: &OwnedFd, local: IpAddr) {
    // SAFETY: all-zero is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    let length = match local {
        IpAddr::V4(address) => {
            let to = (&raw mut storage).cast::<libc::sockaddr_in>();
            // SAFETY: the storage is large enough and aligned for every address.
            unsafe {
                (*to).sin_family = libc::AF_INET as u16;
                (*to).sin_addr.s_addr = u32::from_ne_bytes(address.octets());
            }
            size_of::<libc::sockaddr_in>()
        }
        IpAddr::V6(address) => {
            let to = (&raw mut storage).cast::<libc::sockaddr_in6>();
            // SAFETY: the storage is large enough and aligned for every address.
            unsafe {
                (*to).sin6_family = libc::AF_INET6 as u16;
                (*to).sin6_addr.s6_addr = address.octets();
            }
            size_of::<libc::sockaddr_in6>()
        }
    };
    // SAFETY: the address is live and of the length given.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const storage).cast(), length as u32) };
    assert_eq!(bound, 0, "bind to {local}: {}", Error::last_os_error());
}
