//! The API's Unix socket: for its owner and group, taken over from a daemon that crashed, never from one that runs.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// Read and write for owner and group.
const MODE: u32 = 0o660;

/// A bound socket and where it is.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    pub(super) listener: UnixListener,
}

impl Listener {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers there.
    #[error("a daemon serves {} already; stop it, or choose another socket with --socket", .0.display())]
    Taken(PathBuf),
    /// There is something else.
    #[error("{} is there and is no socket; remove it, or choose another with --socket", .0.display())]
    NoSocket(PathBuf),
    /// The system refuses it.
    #[error("can't serve {}: {error}", .path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Binds the socket; its folder is made when it is missing. Call it within a runtime.
///
/// # Errors
/// See [`BindError`].
pub fn bind(path: &Path) -> Result<Listener, BindError> {
    let failed = |error| BindError::System { path: path.to_owned(), error };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(what) if !what.file_type().is_socket() => return Err(BindError::NoSocket(path.to_owned())),
        // A socket that nobody listens on was left behind by a crash.
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            _ => return Err(BindError::Taken(path.to_owned())),
        },
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
    Ok(Listener { path: path.to_owned(), listener })
}

/// Removes the socket at the end.
pub fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(%error, "the socket is left behind");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_taken_over_and_a_live_one_is_not() {
        let folder = std::env::temp_dir().join(format!("millrace-listener-{}", std::process::id()));
        let path = folder.join("made/api.sock");
        let first = bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert!(matches!(bind(&path), Err(BindError::Taken(_))));
        drop(first);
        assert!(path.exists(), "left behind, as by a crash");
        drop(bind(&path).unwrap());
        remove(&path);
        std::fs::write(&path, "a file").unwrap();
        assert!(matches!(bind(&path), Err(BindError::NoSocket(_))));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
