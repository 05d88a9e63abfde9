//! `memif`: shared memory with another process, by the memif protocol 2.0 (libmemif and VPP's memif plugin).
//!
//! A server listens on a socket, clients connect; interfaces that share a socket are told apart by their ids. The client owns all
//! memory: rings, and the packets' buffers. The server copies to and from it. A client copies as well, through buffers of its own,
//! or shares the pool and copies nothing (`zero-copy`): the server may then read and write every packet of the router at any time.
//!
//! Peers come and go by themselves. Whatever they say, on the socket and in the rings, is read once and checked; what must not be
//! ends the connection with a reason.
//!
//! | file | what |
//! |---|---|
//! | `message` `socket` | the control channel |
//! | `server` `client` `handshake` | the threads that talk to peers |
//! | `link` | an interface, and a connection's way to its workers |
//! | `queue` | the workers' queues |
//! | `ring` `side` | rings, and what differs between their ends |
//! | `receive` `send` `zero` | the packet path: copying, and by the pool's cells |
//! | `memory` | what a client shares |

mod client;
mod handshake;
mod link;
mod memory;
mod message;
mod queue;
mod receive;
mod ring;
mod send;
mod server;
mod side;
mod socket;
mod zero;

use crate::device::{Device, Info, Link, OpenError, QueuePair, derived_mac};
use crate::{Context, Memif as Spec, Role};
use client::Connector;
use link::Interface;
use server::Membership;
use std::io;
use std::sync::Arc;

/// What a queue pair counts, and the thread that talks to the peer.
mod count {
    pub const RX_FAULTS: usize = 0;
    pub const TX_FAULTS: usize = 1;
    pub const TX_NO_PEER: usize = 2;
    pub const TX_RING_FULL: usize = 3;
    pub const TX_TOO_LONG: usize = 4;
    pub const INTERRUPTS: usize = 5;
    pub const CONNECTIONS: usize = 6;
    pub const NAMES: [&str; 7] = [
        "rx_bad_descriptors",
        "tx_bad_descriptors",
        "tx_no_peer",
        "tx_ring_full",
        "tx_too_long",
        "interrupts_sent",
        "connections",
    ];
}

type Counts = crate::counts::Counts<{ count::NAMES.len() }>;
type Board = crate::counts::Board<{ count::NAMES.len() }>;

/// The most rings of one direction.
const RINGS: u16 = 256;

/// Whoever talks to the peer.
enum Talker {
    Server(Membership),
    Client(Connector),
}

/// The control side.
pub(crate) struct Memif {
    mac: [u8; 6],
    board: Board,
    interface: Arc<Interface>,
    talker: Talker,
}

impl Memif {
    pub fn open(spec: &Spec, name: &str, context: &Context) -> Result<Memif, OpenError> {
        let refused = |reason: String| OpenError::refused(format!("memif {} id {}", spec.socket, spec.id), reason);
        check(spec, context).map_err(refused)?;
        let board = Board::new(&count::NAMES);
        let interface = Arc::new(Interface::new(name, spec, context.pool, context.changed.clone(), &board));
        let talker = match spec.role {
            Role::Server => Talker::Server(Membership::join(interface.clone()).map_err(refused)?),
            Role::Client => Talker::Client(Connector::new(interface.clone()).map_err(refused)?),
        };
        Ok(Memif { mac: derived_mac(name), board, interface, talker })
    }
}

/// What can't work, in words.
fn check(spec: &Spec, context: &Context) -> Result<(), String> {
    socket::check(&spec.socket).map_err(|e| e.to_string())?;
    if spec.secret.as_ref().is_some_and(|secret| secret.len() > message::SECRET || secret.contains('\0')) {
        return Err(format!("a secret has at most {} bytes, none of them 0", message::SECRET));
    }
    if !(spec.ring_size.is_power_of_two() && (32..=16_384).contains(&spec.ring_size)) {
        return Err(format!("a ring of {} slots: a power of two from 32 to 16384 is needed", spec.ring_size));
    }
    if !(1..=RINGS).contains(&spec.queues) {
        return Err(format!("{} queues: 1 to {RINGS} are possible", spec.queues));
    }
    if spec.role == Role::Server {
        return match spec.zero_copy {
            true => Err("zero-copy is a client's: the server has no memory to share".to_owned()),
            false => Ok(()),
        };
    }
    let shared = match spec.zero_copy {
        true => context.pool.region().len() as u64,
        false => client::layout(spec, spec.queues, spec.queues, u8::MAX).len() as u64,
    };
    let (gib, most) = (shared >> 30, memory::MOST >> 30);
    match (shared > memory::MOST, spec.zero_copy) {
        (false, _) => Ok(()),
        (true, true) => {
            Err(format!("zero-copy reaches {most} GiB of buffers, and there are {gib}: take fewer buffers"))
        }
        (true, false) => Err(format!("{gib} GiB of rings and buffers; {most} at most: take fewer or smaller rings")),
    }
}

impl Device for Memif {
    fn queues(&mut self, count: usize) -> io::Result<Vec<QueuePair>> {
        let pairs = self.interface.queues(count.min(usize::from(self.interface.spec.queues)), &self.board)?;
        match &self.talker {
            Talker::Server(membership) => membership.ready(),
            Talker::Client(connector) => connector.ready(),
        }
        Ok(pairs)
    }

    fn link(&self) -> Link {
        if self.interface.status().peer.is_some() { Link::Up } else { Link::Down }
    }

    fn mac(&self) -> Option<[u8; 6]> {
        Some(self.mac)
    }

    fn set_mac(&mut self, mac: [u8; 6]) -> io::Result<()> {
        self.mac = mac;
        Ok(())
    }

    fn stats(&self) -> Vec<(&'static str, u64)> {
        self.board.sums()
    }

    fn info(&self) -> Info {
        let spec = &self.interface.spec;
        let status = self.interface.status();
        let is_server = spec.role == Role::Server;
        let copies = match (spec.zero_copy, is_server) {
            (true, _) => "by nobody here: the server reaches all packets of the router",
            (false, true) => "here, as a server always does",
            (false, false) => "here, through buffers of the interface's own",
        };
        let mut modes = vec![
            ("role", if is_server { "server" } else { "client" }.to_owned()),
            ("id", spec.id.to_string()),
            ("secret", if spec.secret.is_some() { "required" } else { "none" }.to_owned()),
            ("copied", copies.to_owned()),
        ];
        let mut notes = Vec::new();
        match &status.peer {
            Some(peer) => {
                let pid = if peer.pid == 0 { String::new() } else { format!(", process {}", peer.pid) };
                let (rings_in, rings_out) = (peer.rings_in, peer.rings_out);
                modes.push(("peer", format!("{}, {}{pid}", peer.program, peer.interface)));
                modes.push(("rings", format!("{rings_in} in, {rings_out} out, of {} slots", peer.ring_size)));
                modes.push(("shared-memory", format!("{} KiB in {} regions", peer.shared >> 10, peer.regions)));
                modes.push(("interrupts", "while the worker sleeps".to_owned()));
            }
            None => notes.push(status.waiting),
        }
        notes.extend(status.last);
        notes.retain(|note| !note.is_empty());
        Info { driver: "memif", device: spec.socket.clone(), queues: self.interface.pairs(), modes, notes }
    }
}
