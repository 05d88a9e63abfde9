//! Packet sockets and their options.

use super::ring::Layout;
use crate::sys;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// Memory that large packets may take in the kernel while they wait, in bytes. (A packet of 64 KiB counts for about 70.)
const LARGE: i32 = 8 << 20;
/// Memory of packets sent and still on their way in the kernel, in bytes.
const SENDING: i32 = 8 << 20;

/// Whether this process may open packet sockets.
pub(super) fn permitted() -> io::Result<()> {
    packet_socket().map(drop)
}

/// A packet socket that receives nothing until it is bound to a protocol.
fn packet_socket() -> io::Result<OwnedFd> {
    sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)
}

fn set<T: Copy>(socket: &OwnedFd, name: i32, value: &T) -> io::Result<()> {
    sys::set_option(socket.as_fd(), libc::SOL_PACKET, name, value)
}

fn bind(socket: &OwnedFd, index: i32, protocol: u16) -> io::Result<()> {
    let address = link_address(index, protocol);
    let len = size_of_val(&address) as u32;
    // SAFETY: the address is a `sockaddr_ll` of that length.
    sys::check(unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), len) }).map(drop)
}

fn link_address(index: i32, protocol: u16) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}

/// A socket to send by: sees no packet, has no offload header, goes past the queueing discipline.
pub(super) fn sending(index: i32) -> io::Result<OwnedFd> {
    let socket = packet_socket()?;
    set(&socket, libc::PACKET_QDISC_BYPASS, &1i32)?;
    sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &SENDING)
        .or_else(|_| sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, &SENDING))?;
    bind(&socket, index, 0)?;
    Ok(socket)
}

/// A socket with a receive ring.
pub(super) struct Receiving {
    socket: OwnedFd,
    index: i32,
}

impl Receiving {
    /// `count` sockets on one device, among which the kernel deals out flows; none has received anything yet that another
    /// received, too.
    pub fn group(index: i32, count: usize, layout: &Layout) -> io::Result<Vec<Receiving>> {
        let mut sockets: Vec<Receiving> = Vec::with_capacity(count);
        for _ in 0..count {
            let socket = Receiving::closed(index, layout)?;
            if count > 1 {
                let id = match sockets.first() {
                    Some(first) => {
                        let [id] = sys::option(first.socket.as_fd(), libc::SOL_PACKET, libc::PACKET_FANOUT)?;
                        id & 0xffff
                    }
                    None => libc::PACKET_FANOUT_FLAG_UNIQUEID << 16,
                };
                let kind = libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
                set(&socket.socket, libc::PACKET_FANOUT, &(id | kind << 16))?;
            }
            sockets.push(socket);
        }
        for socket in &sockets {
            let none = 0i32;
            sys::set_option(socket.socket.as_fd(), libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &none)?;
        }
        Ok(sockets)
    }

    /// A bound socket with its ring, and a filter that lets nothing pass.
    fn closed(index: i32, layout: &Layout) -> io::Result<Receiving> {
        let socket = packet_socket()?;
        let mut nothing = [libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 }];
        let filter = libc::sock_fprog { len: 1, filter: nothing.as_mut_ptr() };
        sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)?;
        sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &LARGE)
            .or_else(|_| sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &LARGE))?;
        set(&socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V2 as i32))?;
        set(&socket, libc::PACKET_VNET_HDR, &1i32)?;
        set(&socket, libc::PACKET_COPY_THRESH, &1i32)?;
        set(&socket, libc::PACKET_IGNORE_OUTGOING, &1i32)?;
        set(&socket, libc::PACKET_RX_RING, &layout.request())?;
        let promiscuous = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        set(&socket, libc::PACKET_ADD_MEMBERSHIP, &promiscuous)?;
        bind(&socket, index, libc::ETH_P_ALL as u16)?;
        Ok(Receiving { socket, index })
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// A packet that was too long for its slot, from its offload header on; its full length.
    pub fn large(&self, buffer: &mut [u8]) -> io::Result<usize> {
        sys::receive(self.socket.as_fd(), buffer)
    }

    /// Takes note of what happened to the device: whether it is down just now.
    ///
    /// # Errors
    /// When it is gone.
    pub fn check(&self) -> io::Result<bool> {
        let [error] = sys::option(self.socket.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR)?;
        if error == 0 { Ok(false) } else { self.still_there().map(|()| true) }
    }

    /// # Errors
    /// When the device is gone: the kernel has then unbound the socket.
    pub fn still_there(&self) -> io::Result<()> {
        let mut address = link_address(0, 0);
        let mut len = size_of_val(&address) as u32;
        let to = std::ptr::from_mut(&mut address).cast();
        // SAFETY: the kernel writes at most `len` bytes to `address`.
        sys::check(unsafe { libc::getsockname(self.socket.as_raw_fd(), to, &mut len) })?;
        if address.sll_ifindex == self.index { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ENODEV)) }
    }

    /// Packets seen and packets lost for want of a free slot, since the last call.
    pub fn statistics(&self) -> io::Result<[u64; 2]> {
        let [seen, lost] = sys::option(self.socket.as_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
        Ok([seen, lost].map(u64::from))
    }
}
