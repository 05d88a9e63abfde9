//! The thread at the control socket: it waits for the other end, talks to it, and starts over when it has gone. It never touches packets.

use super::backend::Backend;
use super::early;
use super::features::Features;
use super::shared::{Shared, Status, peer};
use super::socket::{Listener, dial};
use super::{Counts, count};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};
use vhost::vhost_user::{BackendReqHandler, Error};

/// How long a client waits before it tries again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long nobody is listened to who broke the rules.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the other end is.
#[derive(Debug)]
pub(super) enum Place {
    /// It comes to us.
    Listen(Listener),
    /// We go to it.
    Dial(PathBuf),
}

/// What the thread works with.
pub(super) struct Control {
    pub shared: Arc<Shared>,
    pub counts: Arc<Counts>,
    pub offered: Features,
    pub place: Place,
}

/// The running thread; dropping it ends and joins it, and with it the connection.
pub(super) struct Running {
    shared: Arc<Shared>,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

/// How it is ended.
#[derive(Default)]
struct Stop {
    now: AtomicBool,
    /// The connection, in which the thread may be waiting.
    stream: Mutex<Option<UnixStream>>,
}

impl Stop {
    fn is_due(&self) -> bool {
        self.now.load(Ordering::SeqCst)
    }

    /// Remembers the connection, to be cut.
    fn hold(&self, stream: Option<UnixStream>) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = stream;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.now.store(true, Ordering::SeqCst);
        self.shared.control.wake();
        if let Some(stream) = &*self.stop.stream.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Why a connection ended.
enum End {
    /// The device goes.
    Stopped,
    /// The other end has gone.
    Gone,
    /// The other end broke the rules.
    Broken(String),
}

impl Control {
    /// Starts the thread of interface `name`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(self, name: &str) -> io::Result<Running> {
        let stop = Arc::new(Stop::default());
        let (shared, its_stop) = (self.shared.clone(), stop.clone());
        let thread = thread::Builder::new().name(format!("vhost-{name}")).spawn(move || self.run(&its_stop))?;
        Ok(Running { shared, stop, thread: Some(thread) })
    }

    fn run(&self, stop: &Stop) {
        let mut before = String::new();
        while !stop.is_due() {
            let stream = match &self.place {
                Place::Listen(listener) => {
                    self.wait_for(format!("{before}no peer on {} yet", listener.path().display()));
                    self.sleep(&[listener.fd()], None);
                    self.accept(listener)
                }
                Place::Dial(path) => match dial(path) {
                    Ok(stream) => Some(stream),
                    Err(error) => {
                        let why = match error.raw_os_error() {
                            Some(libc::ENOENT) => "it doesn't exist".to_owned(),
                            Some(libc::ECONNREFUSED) => "nobody listens".to_owned(),
                            Some(libc::EAGAIN) => "too many wait for it".to_owned(),
                            _ => error.to_string(),
                        };
                        self.wait_for(format!("{before}no peer on {} yet: {why}", path.display()));
                        self.sleep(&[], Some(AGAIN));
                        None
                    }
                },
            };
            let Some(stream) = stream.filter(|_| !stop.is_due()) else { continue };
            self.counts.add(count::CONNECTIONS, 1);
            let end = self.serve(stream, stop);
            stop.hold(None);
            before = match end {
                End::Stopped => return,
                End::Gone => "the peer has gone; ".to_owned(),
                End::Broken(why) => {
                    self.counts.add(count::BROKEN, 1);
                    format!("the last connection was ended: {why}; ")
                }
            };
            if let (Place::Dial(_), _) | (_, true) = (&self.place, before.starts_with("the last")) {
                self.wait_for(before.trim_end_matches("; ").to_owned());
                self.sleep(&[], Some(PAUSE));
            }
        }
    }

    /// Who has connected. Without descriptors it takes a little longer.
    fn accept(&self, listener: &Listener) -> Option<UnixStream> {
        listener.accept().unwrap_or_else(|_| {
            thread::sleep(PAUSE);
            None
        })
    }

    /// Shows that there is no connection, and why.
    fn wait_for(&self, note: String) {
        self.shared.show(Status { up: false, modes: Vec::new(), notes: vec![note] });
    }

    /// Waits for one of the descriptors, or for whoever wakes this thread; which have something to say.
    fn sleep(&self, fds: &[i32], at_most: Option<Duration>) -> Vec<i16> {
        let one = |fd: i32| libc::pollfd { fd, events: libc::POLLIN | libc::POLLRDHUP, revents: 0 };
        let mut polled: Vec<_> = fds.iter().copied().chain([self.shared.control.fd()]).map(one).collect();
        let timeout = at_most.map_or(-1, |time| time.as_millis() as i32);
        // SAFETY: as many descriptors as are described.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) };
        self.shared.control.clear();
        polled.iter().map(|fd| fd.revents).collect()
    }

    /// Talks to the other end until it goes.
    fn serve(&self, stream: UnixStream, stop: &Stop) -> End {
        let who = peer(stream.as_fd());
        let backend = Backend::new(self.shared.clone(), self.counts.clone(), self.offered, who);
        let backend = Arc::new(Mutex::new(backend));
        let fd = stream.as_raw_fd();
        stop.hold(stream.try_clone().ok());
        let Ok(side) = stream.try_clone() else { return End::Gone };
        let mut requests = BackendReqHandler::from_stream(stream, backend.clone());
        loop {
            if stop.is_due() {
                return End::Stopped;
            }
            {
                let mut backend = backend.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = backend.check() {
                    return End::Broken(error.to_string());
                }
                backend.show();
            }
            let listener = if let Place::Listen(listener) = &self.place { Some(listener) } else { None };
            let fds: Vec<i32> = [fd].into_iter().chain(listener.map(Listener::fd)).collect();
            let events = self.sleep(&fds, None);
            let has = |at: usize, what: i16| events.get(at).is_some_and(|events| events & what != 0);
            if has(0, libc::POLLHUP | libc::POLLRDHUP | libc::POLLERR) {
                return End::Gone;
            }
            if has(0, libc::POLLIN) {
                // Whatever it is that a message sets off, it ends this connection and no more.
                let handled = catch_unwind(AssertUnwindSafe(|| {
                    let early = early::enable(&side, &mut backend.lock().unwrap_or_else(PoisonError::into_inner))?;
                    if early { Ok(()) } else { requests.handle_request() }
                }));
                match handled {
                    Ok(Ok(())) => {}
                    Ok(Err(Error::Disconnected | Error::SocketBroken(_))) => return End::Gone,
                    Ok(Err(error)) => return End::Broken(reason(error)),
                    Err(_) => return End::Broken("a message that can't be dealt with".to_owned()),
                }
            }
            if let Some(listener) = listener.filter(|_| has(1, libc::POLLIN)) {
                // There is one guest at a time. Who isn't told so would wait for an answer.
                self.counts.add(count::REFUSED, self.accept(listener).is_some().into());
            }
        }
    }
}

/// An error in words.
fn reason(error: Error) -> String {
    match error {
        Error::ReqHandlerError(error) => error.to_string(),
        other => other.to_string(),
    }
}
