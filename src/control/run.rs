//! The daemon from its start to its end: configuration, socket, workers, and then a loop over what happens.

use super::api::{self, listener};
use super::ready::{Bell, Ready};
use super::{Options, Router, Shared, log};
use millrace_config::{Config, Diagnostic};
use millrace_engine::Waker;
use millrace_io::{LinkWatch, link_watch};
use sd_notify::NotifyState;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

/// The exit code of a bad configuration.
const BAD_CONFIG: u8 = 2;
/// How long API calls that run may take to end when the daemon ends.
const GRACE: Duration = Duration::from_millis(300);

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file can't be read.
    #[error("can't read {}: {error}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// What it says is wrong: every error.
    #[error("{}", .0.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n"))]
    Bad(Vec<Diagnostic>),
}

/// Reads a configuration file.
///
/// # Errors
/// See [`ReadError`].
pub fn read(file: &Path) -> Result<Config, ReadError> {
    let text = std::fs::read_to_string(file).map_err(|error| ReadError::File { file: file.to_owned(), error })?;
    millrace_config::parse(&text, &file.display().to_string()).map_err(ReadError::Bad)
}

/// `millrace --check`: says whether a file is good.
pub fn check(file: &Path) -> ExitCode {
    match read(file) {
        Ok(_) => {
            println!("{}: ok", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(BAD_CONFIG)
        }
    }
}

/// `millrace`: runs until a signal ends it.
pub fn daemon(file: &Path, socket: Option<PathBuf>) -> ExitCode {
    let config = match read(file) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(BAD_CONFIG);
        }
    };
    log::start();
    match serve(file, socket, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(file: &Path, socket: Option<PathBuf>, config: Config) -> anyhow::Result<()> {
    let options = Options {
        config_file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
        socket_given: socket.is_some(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // The socket comes first: a second daemon ends here, before it touches any device.
        let listener = listener::bind(&socket.unwrap_or_else(|| config.api.socket.clone()))?;
        let wakers = Wakers { control: Waker::new()?, devices: Waker::new()? };
        let watch = link_watch();
        let signals = Signals::new()?;
        let router = Shared::new(Router::start(config, options, wakers.control.clone(), wakers.devices.clone())?);
        let (end_api, api_ends) = oneshot::channel();
        let path = listener.path().to_owned();
        let served = tokio::spawn(api::serve(router.clone(), listener, api_ends));
        tracing::info!(version = env!("CARGO_PKG_VERSION"), socket = %path.display(), "running");
        notify(&[NotifyState::Ready]);
        let ended = events(&router, &wakers, watch, signals).await;
        notify(&[NotifyState::Stopping]);
        router.lock().farewell();
        let _ = end_api.send(());
        let _ = tokio::time::timeout(GRACE, served).await;
        listener::remove(&path);
        ended
    })
    // The runtime ends here, and with its last task the router: workers stop, devices close.
}

/// What rings for the control plane.
struct Wakers {
    /// The packet path has something to say.
    control: Waker,
    /// The peer of a device came or went.
    devices: Waker,
}

/// Everything that happens, until a signal ends it.
async fn events(
    router: &Shared,
    wakers: &Wakers,
    watch: std::io::Result<LinkWatch>,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let packets = Ready::new(Bell(wakers.control.clone()))?;
    let peers = Ready::new(Bell(wakers.devices.clone()))?;
    let links = watch.and_then(Ready::new);
    let links = links.inspect_err(|error| tracing::warn!(%error, "changes of devices are seen late")).ok();
    let mut second = interval(super::stats::EVERY);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (due, busy) = {
            let router = router.lock();
            (router.next_deadline(), router.routes.has_work())
        };
        tokio::select! {
            () = packets.wait() => {
                wakers.control.clear();
                router.lock().pump();
            }
            () = peers.wait() => {
                wakers.devices.clear();
                router.lock().devices_changed();
            }
            () = changed(links.as_ref()) => router.lock().devices_changed(),
            () = sleep_until(due.unwrap_or_else(|| Instant::now() + Duration::from_secs(60)).into()) => {
                router.lock().timers();
            }
            _ = second.tick() => router.lock().second(),
            // What many routes hang on has changed; others get their turn between the pieces.
            () = tokio::task::yield_now(), if busy => drop(router.lock().routes.work()),
            _ = signals.hangup.recv() => reload(router),
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
        }
    }
}

/// Ends when devices of the kernel changed; never without a watch.
async fn changed(links: Option<&Ready<LinkWatch>>) {
    let Some(links) = links else { return std::future::pending().await };
    loop {
        links.wait().await;
        // A broken watch says that everything may have changed.
        if links.owner().drain().unwrap_or(true) {
            return;
        }
    }
}

/// SIGHUP: the file as it is now, or nothing.
fn reload(router: &Shared) {
    notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Status("reloading"))]);
    let mut router = router.lock();
    let file = router.options.config_file.clone();
    let result = match read(&file) {
        Ok(config) => router.commit(config, "reload").map(drop).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = result {
        for line in error.lines() {
            tracing::error!("not reloaded: {line}");
        }
        let text = format!("{} is not loaded: {error}", file.display());
        router.events.add(super::events::Severity::Error, "config".to_owned(), text);
    }
    drop(router);
    notify(&[NotifyState::Ready]);
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// Tells the service manager, if there is one.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager can't be told");
    }
}
