//! Unix sockets that interfaces meet their peers on, and what those have in common.

use crate::{
    decode::{Fields, Scalar, Unreadable, number},
    diagnostic::Reader,
    keyword::keywords,
};
use std::{fmt, ops::RangeInclusive, path::Path};

keywords! {
    /// Which side of a socket the router is.
    Role, "server or client" {
        /// It makes the socket and waits for the peer (default).
        Server = "server",
        /// It connects to the peer's socket, again and again until there is one.
        Client = "client",
    }
}

/// The address of a Unix socket: an absolute path, or `@` and a name that lives in no folder (`unix(7)`, abstract).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Socket(String);

impl Socket {
    /// The longest address in bytes: what `sockaddr_un` holds, with a zero behind it.
    pub const MAX: usize = 107;

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address as a path, which compares regardless of doubled slashes.
    pub(crate) fn path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// Reads one that is a file.
    pub(crate) fn file(text: &str) -> Result<Self, Unreadable> {
        let fits = text.len() <= Self::MAX && !text.contains('\0') && !text.ends_with('/');
        if text.starts_with('/') && fits {
            return Ok(Self(text.to_owned()));
        }
        let wanted = format_args!(
            "the absolute path of a socket, such as /run/millrace/vm1.sock, of at most {} bytes",
            Self::MAX
        );
        Err(Unreadable::wanted(wanted))
    }
}

impl Scalar for Socket {
    const WANTED: &'static str =
        "the absolute path of a socket or `@` and a name, such as /run/millrace/memif.sock, of at most 107 bytes";
    fn read(text: &str) -> Result<Self, Unreadable> {
        let name =
            text.strip_prefix('@').filter(|name| !name.is_empty() && name.len() < Self::MAX && !name.contains('\0'));
        match name {
            Some(_) => Ok(Self(text.to_owned())),
            None => Self::file(text).map_err(|_| Unreadable::wanted(Self::WANTED)),
        }
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads `ring-size`: how many descriptors each ring has, a power of two.
pub(crate) fn ring_size(fields: &mut Fields<'_>, range: RangeInclusive<u32>, default: u32, reader: &mut Reader) -> u32 {
    let read = |text: &str| {
        let size = number(text, &range).ok().filter(|size| size.is_power_of_two());
        let wanted = || Unreadable::wanted(format_args!("a power of two from {} to {}", range.start(), range.end()));
        size.ok_or_else(wanted)
    };
    fields.read("ring-size", reader, read).unwrap_or(default)
}
