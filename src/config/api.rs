//! `api`: where the daemon listens for its CLI and for other programs.

use crate::{
    decode::{Fields, Unreadable},
    diagnostic::Reader,
    later,
    yaml::Node,
};
use std::path::PathBuf;

/// The daemon's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The Unix socket: an absolute path of at most [`Api::MAX_PATH`] bytes.
    pub socket: PathBuf,
}

impl Api {
    /// Where the daemon listens unless told otherwise.
    pub const DEFAULT_SOCKET: &str = "/run/millrace/api.sock";
    /// The longest path of a Unix socket (`sun_path` of unix(7) less its terminating zero).
    pub const MAX_PATH: usize = 107;
}

impl Default for Api {
    fn default() -> Self {
        Self { socket: Self::DEFAULT_SOCKET.into() }
    }
}

impl Api {
    pub(crate) fn decode(node: &Node, reader: &mut Reader) -> Self {
        let default = Self::default();
        let Some(mut fields) = Fields::open(node, "api", later::API, reader) else { return default };
        let api = Self { socket: fields.read("socket", reader, socket).unwrap_or(default.socket) };
        fields.close(reader);
        api
    }

    pub(crate) fn encode(&self) -> Node {
        let socket = self.socket.display().to_string();
        Node::map().with_unless(&Self::DEFAULT_SOCKET.to_owned(), "socket", &socket)
    }
}

fn socket(text: &str) -> Result<PathBuf, Unreadable> {
    if !text.starts_with('/') || text.contains('\0') || text.len() > Api::MAX_PATH {
        return Err(Unreadable::wanted(format_args!("an absolute path of at most {} bytes", Api::MAX_PATH)));
    }
    Ok(text.into())
}
