//! The control channel: packet sockets of the Unix domain, in the file system or by abstract name (unix(7)).

use super::message::{LEN, Message};
use crate::sys::{self, check as checked, check_len};
use std::ffi::CString;
use std::io;
use std::mem::{offset_of, size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 64;
/// Messages of a peer that are read in vain at its end, at most.
const UNREAD: usize = 1000;

/// What a socket has for us.
#[derive(Debug)]
pub(super) enum Received {
    /// A message, and a descriptor if one came with it.
    Message(Message, Option<OwnedFd>),
    /// Nothing yet.
    Nothing,
    /// The peer is gone.
    Closed,
    /// What the protocol doesn't know.
    Wrong(&'static str),
}

/// One end of a connection. Nothing on it waits.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// Connects to a server.
    ///
    /// # Errors
    /// When nobody listens there, or too many wait already.
    pub fn connect(name: &str) -> io::Result<Channel> {
        let socket = new()?;
        let (address, len) = address(name)?;
        // SAFETY: `address` is a socket address of `len` bytes.
        checked(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len) })?;
        Ok(Channel(socket))
    }

    /// Sends a message, with a descriptor. A peer that doesn't read what it is sent is an error, too.
    ///
    /// # Errors
    /// When the peer is gone or reads nothing.
    pub fn send(&self, message: &Message, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let bytes = message.encode();
        let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: LEN };
        let mut control = Control::default();
        // SAFETY: a message without anything in it is all zeros.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_iov = &mut part;
        header.msg_iovlen = 1;
        if let Some(descriptor) = descriptor {
            header.msg_control = control.bytes.as_mut_ptr().cast();
            header.msg_controllen = Control::ROOM;
            // SAFETY: the control buffer is aligned as its header wants, and has room for one descriptor.
            unsafe {
                let first = libc::CMSG_FIRSTHDR(&header);
                (*first).cmsg_level = libc::SOL_SOCKET;
                (*first).cmsg_type = libc::SCM_RIGHTS;
                (*first).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as usize;
                libc::CMSG_DATA(first).cast::<RawFd>().write_unaligned(descriptor.as_raw_fd());
            }
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: everything that `header` points to outlives the call.
        check_len(unsafe { libc::sendmsg(self.0.as_raw_fd(), &header, flags) }).map(drop)
    }

    /// Tells the peer why this is the end; it may be gone already.
    pub fn disconnect(&self, reason: &str) {
        let _ = self.send(&Message::Disconnect { code: 0, reason: reason.to_owned() }, None);
        // A socket that is closed with something unread tells its peer of that first, and not the reason.
        for _ in 0..UNREAD {
            if matches!(self.receive(), Received::Nothing | Received::Closed) {
                break;
            }
        }
    }

    /// Receives what is there.
    pub fn receive(&self) -> Received {
        // More room than a message needs, so that longer ones are seen.
        let mut bytes = [0u8; LEN + 1];
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let mut control = Control::default();
        // SAFETY: as in `send`.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_iov = &mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.bytes.as_mut_ptr().cast();
        header.msg_controllen = Control::ROOM;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: the kernel writes to `bytes`, `control` and `header`, within their sizes.
        let len = match check_len(unsafe { libc::recvmsg(self.0.as_raw_fd(), &mut header, flags) }) {
            Ok(len) => len,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Received::Nothing;
            }
            Err(_) => return Received::Closed,
        };
        let mut descriptors = descriptors(&header);
        if len == 0 {
            return Received::Closed;
        }
        let Some(bytes) = bytes.first_chunk().filter(|_| len == LEN) else {
            return Received::Wrong("a message that is not of 128 bytes");
        };
        if header.msg_flags & libc::MSG_CTRUNC != 0 || descriptors.len() > 1 {
            return Received::Wrong("a message with more than one descriptor");
        }
        match Message::decode(bytes) {
            Ok(message) => Received::Message(message, descriptors.pop()),
            Err(_) => Received::Wrong("a message of an unknown type"),
        }
    }

    /// The process at the other end when it connected; 0 when it is in another process namespace.
    pub fn peer_pid(&self) -> u32 {
        sys::option::<3>(self.0.as_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED).map_or(0, |[pid, ..]| pid)
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Room for what comes beside a message: one descriptor; alignment lets a second one in.
#[repr(align(8))]
struct Control {
    bytes: [u8; Control::ROOM],
}

impl Control {
    // SAFETY: plain arithmetic.
    const ROOM: usize = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) } as usize;
}

impl Default for Control {
    fn default() -> Control {
        Control { bytes: [0; Control::ROOM] }
    }
}

/// All descriptors that came with a message, so that none stays open unnoticed.
fn descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut found = Vec::new();
    // SAFETY: the kernel wrote the control messages that `header` points to, and their lengths.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = next.as_ref() {
            if message.cmsg_level == libc::SOL_SOCKET && message.cmsg_type == libc::SCM_RIGHTS {
                let bytes = message.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
                let first = libc::CMSG_DATA(message).cast::<RawFd>();
                for at in 0..bytes / size_of::<RawFd>() {
                    found.push(OwnedFd::from_raw_fd(first.add(at).read_unaligned()));
                }
            }
            next = libc::CMSG_NXTHDR(header, message);
        }
    }
    found
}

/// The socket that clients connect to. Its file goes with it.
#[derive(Debug)]
pub(super) struct Listener {
    socket: OwnedFd,
    /// The file, and which one of that name it is.
    file: Option<(CString, (u64, u64))>,
}

impl Listener {
    /// Makes the socket; a file that a dead process left is replaced.
    ///
    /// # Errors
    /// What is in the way, in words.
    pub fn bind(name: &str) -> Result<Listener, String> {
        let in_words = |e: io::Error| e.to_string();
        let (address, len) = address(name).map_err(in_words)?;
        let path = path(name);
        let mut replaced = false;
        let socket = loop {
            let socket = new().map_err(in_words)?;
            // SAFETY: `address` is a socket address of `len` bytes.
            match checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) }) {
                Ok(_) => break socket,
                Err(e) if e.kind() == io::ErrorKind::AddrInUse && !replaced => match &path {
                    Some(path) => {
                        remove_stale(name, path)?;
                        replaced = true;
                    }
                    None => return Err(format!("another process listens on {name}: choose another socket")),
                },
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return Err(format!("the folder of {name} does not exist: make it first"));
                }
                Err(e) => return Err(format!("{name}: {e}")),
            }
        };
        // SAFETY: numbers only.
        checked(unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) }).map_err(in_words)?;
        let file = path.and_then(|path| identity(&path).map(|identity| (path, identity)));
        Ok(Listener { socket, file })
    }

    /// The next client that wants in, if one does.
    pub fn accept(&self) -> Option<Channel> {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let null = std::ptr::null_mut();
        // SAFETY: no address is asked for.
        let fd = checked(unsafe { libc::accept4(self.socket.as_raw_fd(), null, null.cast(), flags) }).ok()?;
        // SAFETY: the kernel just gave us this descriptor.
        Some(Channel(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some((path, ours)) = &self.file
            && identity(path) == Some(*ours)
        {
            // SAFETY: a NUL-terminated path.
            unsafe { libc::unlink(path.as_ptr()) };
        }
    }
}

fn new() -> io::Result<OwnedFd> {
    sys::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK, 0)
}

/// The path of a socket that is a file.
fn path(name: &str) -> Option<CString> {
    if name.starts_with('@') { None } else { CString::new(name).ok() }
}

/// The address of a socket: a path, or `@` and an abstract name.
fn address(name: &str) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: a socket address without anything in it is all zeros.
    let mut address: libc::sockaddr_un = unsafe { zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let wrong = || {
        let most = address.sun_path.len() - 1;
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the name of a socket has 1 to {most} bytes, none of them 0"),
        )
    };
    let is_abstract = name.starts_with('@');
    if name.len() <= usize::from(is_abstract) || name.len() >= address.sun_path.len() || name.contains('\0') {
        return Err(wrong());
    }
    for (to, from) in address.sun_path.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    if is_abstract {
        address.sun_path[0] = 0;
    }
    // The name of an abstract socket ends with its length, a path with a NUL.
    let len = offset_of!(libc::sockaddr_un, sun_path) + name.len() + usize::from(!is_abstract);
    Ok((address, len as libc::socklen_t))
}

/// Whether a socket may have this name.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(name: &str) -> io::Result<()> {
    address(name).map(drop)
}

/// Which file has this name, by device and number, if it is a socket.
fn identity(path: &CString) -> Option<(u64, u64)> {
    // SAFETY: a `stat` is plain numbers, and the kernel fills it.
    let mut stat: libc::stat = unsafe { zeroed() };
    // SAFETY: a NUL-terminated path, and a `stat` to write to.
    checked(unsafe { libc::lstat(path.as_ptr(), &mut stat) }).ok()?;
    (stat.st_mode & libc::S_IFMT == libc::S_IFSOCK).then_some((stat.st_dev, stat.st_ino))
}

/// Removes a socket that nobody listens on any more.
fn remove_stale(name: &str, path: &CString) -> Result<(), String> {
    if identity(path).is_none() {
        return Err(format!("{name} exists and is no socket: choose another path"));
    }
    match Channel::connect(name) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            // SAFETY: a NUL-terminated path.
            unsafe { libc::unlink(path.as_ptr()) };
            Ok(())
        }
        // It went by itself.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.raw_os_error() == Some(libc::EACCES) => Err(format!("{name} belongs to somebody else: {e}")),
        _ => Err(format!("another process listens on {name}: end it, or choose another socket")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that no other test has.
    fn unique(what: &str) -> String {
        format!("@millrace-{}-{what}", std::process::id())
    }

    fn message(channel: &Channel) -> (Message, Option<OwnedFd>) {
        match channel.receive() {
            Received::Message(message, descriptor) => (message, descriptor),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_pass_with_and_without_descriptors() {
        let name = unique("pass");
        let listener = Listener::bind(&name).unwrap();
        assert!(listener.accept().is_none());
        let client = Channel::connect(&name).unwrap();
        let server = listener.accept().unwrap();
        assert_eq!(server.peer_pid(), std::process::id());
        assert!(matches!(server.receive(), Received::Nothing));
        client.send(&Message::Ack, None).unwrap();
        let (got, descriptor) = message(&server);
        assert!(got == Message::Ack && descriptor.is_none());
        server.send(&Message::Ack, Some(listener.socket.as_fd())).unwrap();
        assert!(message(&client).1.is_some());
        drop(client);
        assert!(matches!(server.receive(), Received::Closed));
        assert!(server.send(&Message::Ack, None).is_err());
    }

    #[test]
    fn what_is_no_message_is_told() {
        let name = unique("wrong");
        let listener = Listener::bind(&name).unwrap();
        let client = Channel::connect(&name).unwrap();
        let server = listener.accept().unwrap();
        let send = |bytes: &[u8]| {
            // SAFETY: the kernel reads the bytes.
            check_len(unsafe { libc::send(client.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) }).unwrap();
            match server.receive() {
                Received::Wrong(why) => why,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(send(&[1; 127]), "a message that is not of 128 bytes");
        assert_eq!(send(&[1; 129]), "a message that is not of 128 bytes");
        assert_eq!(send(&[9; 128]), "a message of an unknown type");
    }

    #[test]
    fn abstract_names_are_used_once() {
        let name = unique("once");
        let first = Listener::bind(&name).unwrap();
        assert!(Listener::bind(&name).unwrap_err().contains("another process listens"));
        drop(first);
        assert!(Listener::bind(&name).is_ok());
    }

    #[test]
    fn names_have_limits() {
        for wrong in ["", "@", "a\0b", &"x".repeat(108)] {
            assert!(address(wrong).is_err(), "{wrong:?}");
        }
        assert!(address(&"x".repeat(107)).is_ok());
    }
}
