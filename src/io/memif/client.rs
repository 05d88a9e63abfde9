//! The client's end of a control channel: a thread for each interface, which connects again and again.

pub(super) use super::handshake::layout;
use super::handshake::{End, Offer, PATIENCE, wrong};
use super::link::{Interface, Link, WATCH};
use super::message::Message;
use super::server::wait;
use super::socket::{Channel, Received};
use millrace_engine::Waker;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long to wait before the next try.
const RETRY: Duration = Duration::from_millis(100);

/// An interface's thread, which ends when this is dropped.
pub(super) struct Connector {
    interface: Arc<Interface>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Connector {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread or descriptor left, in words.
    pub fn new(interface: Arc<Interface>) -> Result<Connector, String> {
        let waker = Waker::new().map_err(|e| e.to_string())?;
        let state = Loop { interface: interface.clone(), waker: waker.clone() };
        let thread = std::thread::Builder::new().name("memif".to_owned()).spawn(move || state.run());
        Ok(Connector { interface, waker, thread: Some(thread.map_err(|e| e.to_string())?) })
    }

    /// The interface has its queues.
    pub fn ready(&self) {
        self.waker.wake();
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.interface.close(&self.waker);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// How far a connection is.
enum State {
    /// The server has to say what it takes.
    Connecting,
    /// Each thing that is said is to be acknowledged.
    Offering(Box<Offer>),
    /// Packets pass.
    Up(Link),
}

/// The thread's own state.
struct Loop {
    interface: Arc<Interface>,
    waker: Waker,
}

impl Loop {
    fn run(self) {
        while !self.interface.is_closing() {
            if self.interface.pairs() == 0 {
                self.pause(None);
                continue;
            }
            let socket = &self.interface.spec.socket;
            match Channel::connect(socket) {
                Ok(channel) => {
                    self.interface.wait_for(format!("the server on {socket} has not taken the connection yet"));
                    self.session(&channel);
                }
                Err(error) => {
                    let why = match error.kind() {
                        ErrorKind::NotFound => "there is no such socket".to_owned(),
                        ErrorKind::ConnectionRefused => "nobody listens on it".to_owned(),
                        _ => error.to_string(),
                    };
                    self.interface.wait_for(format!("no server on {socket} yet: {why}"));
                }
            }
            self.pause(Some(RETRY));
        }
    }

    fn pause(&self, timeout: Option<Duration>) {
        if !self.interface.is_closing() {
            wait([self.waker.fd()].into_iter(), timeout);
            self.waker.clear();
        }
    }

    /// A connection, until it ends.
    fn session(&self, channel: &Channel) {
        let mut state = State::Connecting;
        let until = Instant::now() + PATIENCE;
        let end = loop {
            let timeout = match state {
                State::Up(_) => Some(WATCH),
                _ => Some(until.saturating_duration_since(Instant::now()) + Duration::from_millis(1)),
            };
            let ready = wait([channel.as_raw_fd(), self.waker.fd()].into_iter(), timeout);
            self.waker.clear();
            if self.interface.is_closing() {
                break End::Removed;
            }
            if let State::Up(link) = &state
                && let Some(fault) = link.fault()
            {
                break End::Wrong(fault.text().to_owned());
            }
            if ready.iter().any(|(fd, _)| *fd == channel.as_raw_fd()) {
                if let Err(end) = self.step(channel, &mut state) {
                    break end;
                }
            } else if !matches!(state, State::Up(_)) && Instant::now() >= until {
                break End::Wrong(format!("the handshake took longer than {} s", PATIENCE.as_secs()));
            }
        };
        if let Some(why) = end.to_peer() {
            channel.disconnect(why);
        }
        let why = end.to_operator("server");
        match state {
            State::Up(link) => link.down(why),
            _ => self.interface.refused(why),
        }
    }

    /// Takes what the server says.
    fn step(&self, channel: &Channel, state: &mut State) -> Result<(), End> {
        let message = match channel.receive() {
            Received::Nothing => return Ok(()),
            Received::Closed => return Err(End::Gone),
            Received::Wrong(why) => return wrong(why),
            Received::Message(Message::Disconnect { reason, .. }, _) => return Err(End::Said(reason)),
            Received::Message(message, _) => message,
        };
        if matches!(state, State::Up(_)) {
            return wrong(UNEXPECTED);
        }
        *state = match (std::mem::replace(state, State::Connecting), message) {
            (State::Connecting, Message::Hello(hello)) => {
                let interface = &self.interface;
                // There are at most as many as the configuration has, a 16-bit number.
                let queues = interface.pairs() as u16;
                let offer = Offer::new(hello, &interface.spec, &interface.name, queues, interface.pool)?;
                say(channel, Box::new(offer))?
            }
            (State::Offering(offer), Message::Ack) if !offer.is_said() => say(channel, offer)?,
            (State::Offering(offer), Message::Connected(name)) if offer.is_said() => {
                let (rings, peer) = offer.finish(name, channel.peer_pid());
                let up = Link::up(&self.interface, rings, &self.waker, peer);
                State::Up(up.map_err(|e| End::Wrong(format!("descriptors: {e}")))?)
            }
            _ => return wrong(UNEXPECTED),
        };
        Ok(())
    }
}

const UNEXPECTED: &str = "a message that was not expected";

/// Says the next thing.
fn say(channel: &Channel, mut offer: Box<Offer>) -> Result<State, End> {
    if let Some((message, descriptor)) = offer.next() {
        channel.send(&message, descriptor).map_err(|_| End::Gone)?;
    }
    Ok(State::Offering(offer))
}

impl Drop for Loop {
    fn drop(&mut self) {
        // After a panic, too, nobody waits for this thread in vain.
        self.interface.has_closed();
    }
}
