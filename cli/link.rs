//! The link to the daemon: connects when it is first needed, and again when the daemon has been restarted.
use std::future::Future;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use millrace_api::Client;
use tokio::runtime::Runtime;
use tonic::{Response, Status, Streaming};

use crate::error::Error;

/// How long completion and `?` wait for live names before they do without.
const NAMES_PATIENCE: Duration = Duration::from_millis(700);

/// The link. Shared by the commands and the line editor, which asks for live names.
#[derive(Debug)]
pub struct Link {
    runtime: Runtime,
    socket: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    client: Option<Client>,
    /// Whether the daemon went away after it had been reached.
    lost: bool,
}

impl Link {
    /// A link to the daemon at `socket`, which is not opened yet.
    pub fn new(socket: PathBuf) -> std::io::Result<Link> {
        // One thread besides this one, so that the connection is looked after while the operator types.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Link { runtime, socket, state: Mutex::default() })
    }

    /// Makes a call and waits for its answer. Ctrl-C ends the wait.
    pub fn call<T, F>(&self, call: impl FnOnce(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let answer = self.wait(async {
            let client = self.client().await?;
            Ok(call(client).await?.into_inner())
        });
        // Not where the connection is made: that may be while the operator types and presses Tab.
        if answer.is_ok() && std::mem::take(&mut self.state().lost) {
            eprintln!("connected to the daemon again");
        }
        self.note(answer)
    }

    /// The next message of a stream; `None` at its end. Ctrl-C ends the wait.
    pub fn next<T>(&self, stream: &mut Streaming<T>) -> Result<Option<T>, Error> {
        let answer = self.wait(async { Ok(stream.message().await?) });
        self.note(answer)
    }

    /// Makes a call for live names: quickly or not at all.
    pub fn names<T, F>(&self, call: impl FnOnce(Client) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let answer = self.runtime.block_on(async {
            tokio::time::timeout(NAMES_PATIENCE, async {
                let client = self.client().await.ok()?;
                call(client).await.ok()
            })
            .await
        });
        answer.ok().flatten()
    }

    /// Opens the link if it is not open.
    pub fn open(&self) -> Result<(), Error> {
        self.wait(async { self.client().await.map(drop) })
    }

    async fn client(&self) -> Result<Client, Error> {
        if let Some(client) = &self.state().client {
            return Ok(client.clone());
        }
        let connected = millrace_api::connect(&self.socket).await;
        let client = connected.map_err(|error| Error::Unreachable(error.to_string()))?;
        self.state().client = Some(client.clone());
        Ok(client)
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.runtime.block_on(async {
            tokio::select! {
                answer = work => answer,
                _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
            }
        })
    }

    /// Drops the connection when an answer says that it is gone, and says where it went.
    fn note<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        let Err(Error::Unreachable(why)) = answer else { return answer };
        let mut state = self.state();
        if state.client.take().is_none() {
            return Err(Error::Unreachable(why));
        }
        state.lost = true;
        Err(Error::Unreachable(format!("{why} (socket {}); the next command tries again", self.socket.display())))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
