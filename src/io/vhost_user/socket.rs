//! The control socket: listened on, or connected to.

use crate::sys;
use std::fs;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A socket that others connect to; its file goes with it.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Device and inode of the file.
    file: Option<(u64, u64)>,
}

impl Listener {
    /// Makes the socket. The file of one that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// What was wrong, and what would be right.
    pub fn bind(path: &Path) -> Result<Listener, String> {
        if let Ok(there) = fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                return Err("there is a file of this name that is no socket; remove it, or choose another".to_owned());
            }
            if connect(path).is_ok_and(|connected| connected) {
                return Err("another process listens on this socket; choose another, or the role `client`".to_owned());
            }
            fs::remove_file(path).map_err(|error| format!("a socket that is left over can't be removed: {error}"))?;
        }
        let socket = UnixListener::bind(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "the folder of this socket doesn't exist; make it".to_owned(),
            io::ErrorKind::InvalidInput => "the path of a socket has at most 107 bytes".to_owned(),
            _ => format!("the socket can't be made: {error}"),
        })?;
        socket.set_nonblocking(true).map_err(|error| error.to_string())?;
        let file = fs::symlink_metadata(path).ok().map(|is| (is.dev(), is.ino()));
        Ok(Listener { socket, path: path.to_owned(), file })
    }

    /// Who has connected, if anybody has.
    ///
    /// # Errors
    /// When the process has no descriptor left: whoever connected is still there, so don't ask again at once.
    pub fn accept(&self) -> io::Result<Option<UnixStream>> {
        match self.socket.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                Ok(Some(stream))
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)) => {
                Err(error)
            }
            Err(_) => Ok(None),
        }
    }

    /// Where its file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Readable when somebody has connected.
    pub fn fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.path).ok().map(|is| (is.dev(), is.ino()));
        // Somebody may have replaced it.
        if there.is_some() && there == self.file {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Connects to a socket without waiting for whoever listens on it to accept.
///
/// # Errors
/// When nobody listens, or too many wait already.
pub(super) fn dial(path: &Path) -> io::Result<UnixStream> {
    let (fd, result) = try_connect(path)?;
    result?;
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Whether somebody listens there.
fn connect(path: &Path) -> io::Result<bool> {
    let (_, result) = try_connect(path)?;
    Ok(match result {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    })
}

/// A socket, and what came of connecting it.
fn try_connect(path: &Path) -> io::Result<(OwnedFd, io::Result<()>)> {
    let fd = sys::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0)?;
    // SAFETY: all zeros is a valid address.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= address.sun_path.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path of a socket has at most 107 bytes"));
    }
    for (to, byte) in address.sun_path.iter_mut().zip(bytes) {
        *to = *byte as i8;
    }
    let len = offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + 1;
    let at = std::ptr::from_ref(&address).cast();
    // SAFETY: the kernel reads `len` bytes of `address`, which has as many.
    let result = sys::check(unsafe { libc::connect(fd.as_raw_fd(), at, len as u32) }).map(drop);
    Ok((fd, result))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("millrace-vhost-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_socket_that_is_left_over_is_replaced_and_a_living_one_is_not() {
        let path = path("stale");
        drop(UnixListener::bind(&path).unwrap());
        assert!(dial(&path).is_err(), "nobody listens");
        let listener = Listener::bind(&path).unwrap();
        let stream = dial(&path).unwrap();
        assert!(listener.accept().unwrap().is_some());
        drop(stream);
        let refused = Listener::bind(&path).unwrap_err();
        assert!(refused.contains("another process listens"), "{refused}");
        drop(listener);
        assert!(!path.exists(), "the file goes with the socket");
    }

    #[test]
    fn what_is_no_socket_stays() {
        let path = path("file");
        fs::write(&path, "precious").unwrap();
        assert!(Listener::bind(&path).unwrap_err().contains("no socket"));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        let nowhere = path.join("socket");
        assert!(Listener::bind(&nowhere).unwrap_err().contains("folder"));
        let long = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
        assert!(Listener::bind(&long).unwrap_err().contains("107"));
        assert!(dial(&long).is_err());
    }

    #[test]
    fn a_socket_that_somebody_else_put_in_our_place_stays() {
        let path = path("theirs");
        let ours = Listener::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let theirs = Listener::bind(&path).unwrap();
        drop(ours);
        assert!(path.exists());
        drop(theirs);
    }
}
