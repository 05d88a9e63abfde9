//! The raw end of a cable: frames in and out byte for byte, through a packet socket.

use crate::{Namespace, PATIENCE};
use std::io::Error;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// One end of a cable. What arrives is kept until it is asked for.
pub struct Wire {
    socket: OwnedFd,
    /// The namespace that holds this end.
    pub end: Namespace,
}

impl Wire {
    /// Opens a device of a namespace.
    pub fn open(end: Namespace, device: &str) -> Wire {
        let socket = end.enter(|| packet_socket(device));
        Wire { socket, end }
    }

    /// Sends a frame.
    #[track_caller]
    pub fn send(&self, frame: &[u8]) {
        // SAFETY: the pointer and length are those of a live slice.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        assert_eq!(sent, frame.len() as isize, "send {} bytes: {}", frame.len(), Error::last_os_error());
    }

    /// The next frame, if one comes in this time.
    pub fn recv(&self, time: Duration) -> Option<Vec<u8>> {
        let mut poll = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, and the count says so.
        let ready = unsafe { libc::poll(&raw mut poll, 1, time.as_millis() as i32) };
        if ready > 0 { receive(&self.socket) } else { None }
    }

    /// The first frame for which `look` gives something; panics when none came in [`PATIENCE`]. Others are passed over.
    #[track_caller]
    pub fn expect<T>(&self, what: &str, look: impl FnMut(&[u8]) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let found = self.find(PATIENCE, &mut seen, look);
        found.unwrap_or_else(|| panic!("{what} did not come; what came instead: {:02x?}", &seen[..seen.len().min(8)]))
    }

    /// The first frame for which `look` gives something, if it comes in this time. The others before it go to `others`.
    pub fn find<T>(
        &self,
        time: Duration,
        others: &mut Vec<Vec<u8>>,
        mut look: impl FnMut(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + time;
        loop {
            let frame = self.recv(end.saturating_duration_since(Instant::now()))?;
            match look(&frame) {
                Some(found) => return Some(found),
                None => others.push(frame),
            }
        }
    }

    /// Everything that lies ready.
    pub fn drain(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.recv(Duration::ZERO)).collect()
    }
}

/// A packet socket bound to a device, which sees what comes in but not what goes out.
fn packet_socket(device: &str) -> OwnedFd {
    let every = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: plain numbers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, i32::from(every)) };
    assert!(fd >= 0, "packet socket: {}", Error::last_os_error());
    // SAFETY: a descriptor that was just opened and that nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1);
    set(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, 1);
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 64 << 20);
    let name = std::ffi::CString::new(device).expect("no zero byte in a device's name");
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = every;
    // SAFETY: a string that ends in zero.
    address.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) } as i32;
    // SAFETY: the address is a live sockaddr_ll of the length given.
    let bound = unsafe { libc::bind(fd, (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as u32) };
    assert_eq!(bound, 0, "bind to {device}: {}", Error::last_os_error());
    socket
}

/// Sets a socket's option that is a number.
pub(crate) fn set(socket: &impl AsRawFd, level: i32, option: i32, value: i32) {
    // SAFETY: the value is a live i32 of the length given.
    let done = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size_of::<i32>() as u32)
    };
    assert_eq!(done, 0, "socket option {option}: {}", Error::last_os_error());
}

/// A socket's option that is a number.
pub(crate) fn get(socket: &impl AsRawFd, level: i32, option: i32) -> i32 {
    let (mut value, mut size) = (0_i32, size_of::<i32>() as u32);
    // SAFETY: the value and its size are live, and the size is that of the value.
    let done = unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut size) };
    assert_eq!(done, 0, "socket option {option}: {}", Error::last_os_error());
    value
}

/// Takes a frame that lies ready, with the VLAN tag that the kernel took off put back.
fn receive(socket: &OwnedFd) -> Option<Vec<u8>> {
    let mut frame = vec![0_u8; 70_000];
    let mut control = [0_u64; 16];
    let mut part = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: the message points at live buffers of the lengths given.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    frame.truncate(usize::try_from(length).ok()?);
    // SAFETY: the kernel filled the control buffer that the message points at.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if !header.is_null() {
        // SAFETY: the only control message that was asked for is PACKET_AUXDATA.
        let extra = unsafe { libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned() };
        if extra.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
            let told = extra.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
            let kind: u16 = if told { extra.tp_vlan_tpid } else { 0x8100 };
            frame.splice(12..12, [kind.to_be_bytes(), extra.tp_vlan_tci.to_be_bytes()].concat());
        }
    }
    Some(frame)
}
