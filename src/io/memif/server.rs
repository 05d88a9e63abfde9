//! The server's end of control channels: a thread for each socket, which all interfaces on it share.

use super::handshake::{Building, End, Limits, PATIENCE, admit, wrong};
use super::link::{Interface, Link, WATCH};
use super::message::{Init, Message};
use super::socket::{Channel, Listener, Received};
use millrace_engine::Waker;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Connections that have not said yet which interface they want, at most.
const UNKNOWN: usize = 64;

/// The sockets of this process, by name.
static SERVERS: Mutex<BTreeMap<String, Arc<Server>>> = Mutex::new(BTreeMap::new());

/// What a socket's thread and the interfaces on it share.
struct Server {
    waker: Waker,
    interfaces: Mutex<Vec<Arc<Interface>>>,
    stop: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    fn interfaces(&self) -> MutexGuard<'_, Vec<Arc<Interface>>> {
        self.interfaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An interface's place on a socket, which is given up when it is dropped.
pub(super) struct Membership {
    server: Arc<Server>,
    interface: Arc<Interface>,
}

impl Membership {
    /// Makes the socket if there is none yet.
    ///
    /// # Errors
    /// What is in the way, in words.
    pub fn join(interface: Arc<Interface>) -> Result<Membership, String> {
        let (socket, id) = (&interface.spec.socket, interface.spec.id);
        let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        let server = match servers.get(socket) {
            Some(server) => server.clone(),
            None => {
                let server = start(socket)?;
                servers.insert(socket.clone(), server.clone());
                server
            }
        };
        if let Some(other) = server.interfaces().iter().find(|other| other.spec.id == id) {
            return Err(format!("interface {} has this id on this socket: take another id", other.name));
        }
        interface.wait_for(format!("no client on {socket} wants id {id} yet"));
        server.interfaces().push(interface.clone());
        Ok(Membership { server, interface })
    }

    /// The interface has its queues.
    pub fn ready(&self) {
        self.server.waker.wake();
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Whoever wants the socket anew waits until it is gone.
        let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        self.interface.close(&self.server.waker);
        if !self.server.interfaces().is_empty() {
            return;
        }
        self.server.stop.store(true, Ordering::Release);
        self.server.waker.wake();
        let thread = self.server.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = thread.map(JoinHandle::join);
        servers.remove(&self.interface.spec.socket);
    }
}

fn start(socket: &str) -> Result<Arc<Server>, String> {
    let listener = Listener::bind(socket)?;
    let server = Arc::new(Server {
        waker: Waker::new().map_err(|e| e.to_string())?,
        interfaces: Mutex::default(),
        stop: AtomicBool::new(false),
        thread: Mutex::default(),
    });
    let state = Loop { server: server.clone(), listener, connections: Vec::new() };
    let thread = std::thread::Builder::new().name("memif".to_owned()).spawn(|| state.run());
    *server.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread.map_err(|e| e.to_string())?);
    Ok(server)
}

/// How far a connection is.
enum State {
    /// It was told what is taken here.
    Greeted,
    /// It wants an interface that has no queues yet.
    Early(Init),
    /// It says what it has.
    Building(Arc<Interface>, Box<Building>),
    /// Packets pass.
    Up(Link),
}

struct Connection {
    channel: Channel,
    limits: Limits,
    until: Instant,
    state: State,
}

impl Connection {
    fn interface(&self) -> Option<&Arc<Interface>> {
        match &self.state {
            State::Greeted | State::Early(_) => None,
            State::Building(interface, _) => Some(interface),
            State::Up(link) => Some(link.interface()),
        }
    }

    fn is_unknown(&self) -> bool {
        self.interface().is_none()
    }

    fn end(self, end: &End) {
        if let Some(why) = end.to_peer() {
            self.channel.disconnect(why);
        }
        let why = end.to_operator("client");
        match self.state {
            State::Up(link) => link.down(why),
            State::Building(interface, _) => interface.refused(why),
            State::Greeted | State::Early(_) => {}
        }
    }
}

/// The thread's own state.
struct Loop {
    server: Arc<Server>,
    listener: Listener,
    connections: Vec<Connection>,
}

impl Loop {
    fn run(mut self) {
        while !self.server.stop.load(Ordering::Acquire) {
            let ready = self.poll();
            self.server.waker.clear();
            self.look_after_interfaces();
            // Peers that went make room for those that came instead of them.
            for gone in [true, false] {
                self.read(&ready, gone);
            }
            self.retry_early();
            self.accept();
            self.look_at_the_clock();
        }
    }

    /// Waits until there is something to do; the descriptors that have something, and whether their peer went.
    fn poll(&self) -> Vec<(RawFd, bool)> {
        let now = Instant::now();
        let patience = |connection: &Connection| match connection.state {
            State::Up(_) => WATCH,
            _ => connection.until.saturating_duration_since(now) + Duration::from_millis(1),
        };
        let timeout = self.connections.iter().map(patience).min();
        let fds = self.connections.iter().map(|connection| connection.channel.as_raw_fd());
        wait(fds.chain([self.listener.as_raw_fd(), self.server.waker.fd()]), timeout)
    }

    /// Ends what has to end because of the interface, or of what a worker has found.
    fn look_after_interfaces(&mut self) {
        self.each(|connection| {
            if connection.interface().is_some_and(|interface| interface.is_closing()) {
                return Err(End::Removed);
            }
            match &connection.state {
                State::Up(link) => link.fault().map_or(Ok(()), |fault| wrong(fault.text())),
                _ => Ok(()),
            }
        });
        self.server.interfaces().retain(|interface| {
            let closing = interface.is_closing();
            if closing {
                interface.has_closed();
            }
            !closing
        });
    }

    /// Does something with each connection, and ends those for which that fails.
    fn each(&mut self, mut what: impl FnMut(&mut Connection) -> Result<(), End>) {
        for mut connection in std::mem::take(&mut self.connections) {
            match what(&mut connection) {
                Ok(()) => self.connections.push(connection),
                Err(end) => connection.end(&end),
            }
        }
    }

    fn read(&mut self, ready: &[(RawFd, bool)], gone: bool) {
        let mut connected: Vec<_> = self.connections.iter().filter_map(Connection::interface).cloned().collect();
        let server = self.server.clone();
        self.each(|connection| {
            if !ready.contains(&(connection.channel.as_raw_fd(), gone)) {
                return Ok(());
            }
            match connection.channel.receive() {
                Received::Nothing => Ok(()),
                Received::Closed => Err(End::Gone),
                Received::Wrong(why) => wrong(why),
                Received::Message(Message::Disconnect { reason, .. }, _) => Err(End::Said(reason)),
                Received::Message(Message::Init(init), None) if matches!(connection.state, State::Greeted) => {
                    initiate(connection, init, &server, &mut connected)
                }
                Received::Message(message, descriptor) => build(connection, message, descriptor, &server.waker),
            }
        });
    }

    /// Clients that came before their interface had queues.
    fn retry_early(&mut self) {
        let mut connected: Vec<_> = self.connections.iter().filter_map(Connection::interface).cloned().collect();
        let server = self.server.clone();
        self.each(|connection| match std::mem::replace(&mut connection.state, State::Greeted) {
            State::Early(init) => initiate(connection, init, &server, &mut connected),
            other => {
                connection.state = other;
                Ok(())
            }
        });
    }

    fn accept(&mut self) {
        // Others have their turn however many come.
        for _ in 0..UNKNOWN {
            let Some(channel) = self.listener.accept() else { break };
            if self.connections.iter().filter(|connection| connection.is_unknown()).count() >= UNKNOWN
                && let Some(oldest) = self.connections.iter().position(Connection::is_unknown)
            {
                self.connections.remove(oldest).end(&End::Wrong("others wait".to_owned()));
            }
            let limits = self.limits();
            if channel.send(&limits.hello(), None).is_ok() {
                let until = Instant::now() + PATIENCE;
                self.connections.push(Connection { channel, limits, until, state: State::Greeted });
            }
        }
    }

    /// As much as any interface on the socket takes: whose the client will be isn't known when it is greeted.
    fn limits(&self) -> Limits {
        let interfaces = self.server.interfaces();
        let queues = interfaces.iter().map(|interface| interface.spec.queues).max();
        let ring_size = interfaces.iter().map(|interface| interface.spec.ring_size).max();
        Limits { queues: queues.unwrap_or(1), log2_ring_size: ring_size.map_or(10, |size| size.ilog2() as u8) }
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        self.each(|connection| match connection.state {
            State::Up(_) => Ok(()),
            _ if connection.until > now => Ok(()),
            _ => wrong(format!("the handshake took longer than {} s", PATIENCE.as_secs())),
        });
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // After a panic, too, nobody waits for this thread in vain.
        for connection in self.connections.drain(..) {
            connection.end(&End::Removed);
        }
        self.server.interfaces().drain(..).for_each(|interface| interface.has_closed());
    }
}

/// Finds the interface that a client wants.
fn initiate(
    connection: &mut Connection,
    init: Init,
    server: &Server,
    connected: &mut Vec<Arc<Interface>>,
) -> Result<(), End> {
    let found = server.interfaces().iter().find(|interface| interface.spec.id == init.id).cloned();
    let Some(interface) = found else {
        let why = format!("there is no interface of id {}", init.id);
        // One of those that wait may have been meant.
        let interfaces = server.interfaces();
        let waiting = interfaces.iter().filter(|interface| interface.status().peer.is_none());
        waiting.for_each(|interface| interface.refused(format!("a client was refused: {why}")));
        return wrong(why);
    };
    if interface.pairs() == 0 {
        connection.state = State::Early(init);
        return Ok(());
    }
    if let Err(why) = admit(&init, &interface.spec) {
        interface.refused(format!("a client was refused: {why}"));
        return wrong(why);
    }
    if connected.iter().any(|other| Arc::ptr_eq(other, &interface)) {
        return wrong("the interface is connected already");
    }
    connected.push(interface.clone());
    let building = Building::new(connection.limits, init, server.waker.clone());
    connection.state = State::Building(interface, Box::new(building));
    acknowledge(connection)
}

/// Takes what a client says before packets pass.
fn build(connection: &mut Connection, message: Message, descriptor: Option<OwnedFd>, waker: &Waker) -> Result<(), End> {
    let State::Building(_, building) = &mut connection.state else {
        return wrong("a message that was not expected");
    };
    match (message, descriptor) {
        (Message::AddRegion { index, size }, descriptor) => building.add_region(index, size, descriptor)?,
        (Message::AddRing(ring), descriptor) => building.add_ring(ring, descriptor)?,
        (Message::Connect(name), None) => return connect(connection, name, waker),
        _ => return wrong("a message that was not expected"),
    }
    acknowledge(connection)
}

/// The client is done: packets pass from here on.
fn connect(connection: &mut Connection, name: String, waker: &Waker) -> Result<(), End> {
    let State::Building(interface, building) = std::mem::replace(&mut connection.state, State::Greeted) else {
        return Ok(());
    };
    let up = building.finish(name, connection.channel.peer_pid()).and_then(|(rings, peer)| {
        Link::up(&interface, rings, waker, peer).map_err(|e| End::Wrong(format!("descriptors: {e}")))
    });
    match up {
        Ok(link) => connection.state = State::Up(link),
        Err(end) => {
            interface.refused(end.to_operator("client"));
            return Err(end);
        }
    }
    answer(connection, &Message::Connected(interface.name.clone()))
}

fn acknowledge(connection: &Connection) -> Result<(), End> {
    answer(connection, &Message::Ack)
}

fn answer(connection: &Connection, message: &Message) -> Result<(), End> {
    connection.channel.send(message, None).map_err(|_| End::Gone)
}

/// Waits for descriptors; those that have something to read, and whether their peer went.
pub(super) fn wait(fds: impl Iterator<Item = RawFd>, timeout: Option<Duration>) -> Vec<(RawFd, bool)> {
    let mut fds: Vec<_> = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    let timeout = timeout.map_or(-1, |timeout| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
    // SAFETY: the kernel reads and writes as many entries as there are.
    unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) };
    let gone = libc::POLLHUP | libc::POLLERR;
    fds.iter().filter(|fd| fd.revents != 0).map(|fd| (fd.fd, fd.revents & gone != 0)).collect()
}
