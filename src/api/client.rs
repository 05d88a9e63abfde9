//! The typed client: one channel over a Unix socket, and the three services on it.
use std::io;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::MAX_MESSAGE_BYTES;
use crate::v1::config_client::ConfigClient;
use crate::v1::operate_client::OperateClient;
use crate::v1::show_client::ShowClient;

/// A connection to a daemon. Clones share the connection. When the daemon goes away, calls end with
/// [`tonic::Code::Unavailable`]; the channel connects again by itself at the next call.
#[derive(Debug, Clone)]
pub struct Client {
    /// What there is to see.
    pub show: ShowClient<Channel>,
    /// What can be changed.
    pub config: ConfigClient<Channel>,
    /// What can be done besides.
    pub operate: OperateClient<Channel>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket could not be opened: nobody listens there, or it is not for this user.
    #[error("can't reach the daemon at {}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket was opened, but what listens there does not speak HTTP/2.
    #[error("what listens at {} is no Millrace daemon: {source}", path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        source: tonic::transport::Error,
    },
}

/// Connects to the daemon that listens at `path`. Must be called within a tokio runtime.
///
/// # Errors
/// [`ConnectError::Socket`] when the socket can't be opened, [`ConnectError::Protocol`] when its other end is not a
/// gRPC server.
pub async fn connect(path: impl AsRef<Path>) -> Result<Client, ConnectError> {
    let path = path.as_ref().to_path_buf();
    // Tried by hand first, because the channel's own error does not hold the system's.
    UnixStream::connect(&path).await.map_err(|source| ConnectError::Socket { path: path.clone(), source })?;

    let socket = path.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The URI only fills the request's authority; the connector knows where to go.
    let channel = Endpoint::from_static("http://millrace")
        .connect_with_connector(connector)
        .await
        .map_err(|source| ConnectError::Protocol { path, source })?;
    Ok(Client {
        show: ShowClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES),
        config: ConfigClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES),
        operate: OperateClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES),
    })
}
