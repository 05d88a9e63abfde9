//! `api`: where the daemon listens for its CLI and for other programs.

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
