//! The API: the published contract over a Unix socket. Each service is a list of calls in a file of its own; what they
//! answer is made in the files beside it, by area.

mod bridges;
mod config;
mod edits;
mod interfaces;
mod link;
pub mod listener;
mod mirrors;
mod nat44;
mod operate;
mod ping;
mod routing;
mod runtime;
mod show;
mod snooping;
mod system;
mod traceroute;
mod tunnels;
mod updates;
mod vxlan;

use super::Shared;
use super::apply::CommitError;
use listener::Listener;
use millrace_api::v1::config_server::ConfigServer;
use millrace_api::v1::operate_server::OperateServer;
use millrace_api::v1::show_server::ShowServer;
use millrace_api::{FILE_DESCRIPTOR_SET, MAX_MESSAGE_BYTES};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::{Response, Status};

/// What a call answers.
type Answer<T> = Result<Response<T>, Status>;
/// What a call that streams answers.
type Items<T> = ReceiverStream<Result<T, Status>>;
/// The sending end of that.
type Sender<T> = mpsc::Sender<Result<T, Status>>;

/// The services; clones share the router.
#[derive(Clone, Debug)]
struct Api(Shared);

/// Serves until `end` says so.
///
/// # Errors
/// When the socket breaks.
pub async fn serve(router: Shared, listener: Listener, end: oneshot::Receiver<()>) -> anyhow::Result<()> {
    let api = Api(router);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Server::builder()
        .add_service(ShowServer::new(api.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(ConfigServer::new(api.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(OperateServer::new(api).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(reflection)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener.listener), async {
            let _ = end.await;
        })
        .await?;
    Ok(())
}

fn ok<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

/// A stream whose messages come from a task of their own, one at a time.
fn stream<T>() -> (Sender<T>, Items<T>) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, ReceiverStream::new(receiver))
}

/// The status of a commit that was refused.
fn refused(error: &CommitError) -> Status {
    match error {
        CommitError::NoRevision(_) => Status::not_found(error.to_string()),
        _ => Status::failed_precondition(error.to_string()),
    }
}

fn no_interface(name: &str) -> Status {
    Status::not_found(format!("no interface \"{name}\"; `show interfaces` lists them"))
}

fn no_vrf(name: &str) -> Status {
    Status::not_found(format!("no vrf \"{name}\"; `show vrfs` lists them"))
}
