//! `vhost-user`: the network card of a virtual machine, whose rings and packets lie in the machine's own memory.
//!
//! Whoever runs the machine (QEMU; DPDK's virtio-user, which needs no machine) describes by a socket where its memory and its rings are
//! ([`backend`], [`vrings`]), and the workers copy packets straight out of the guest's memory and into it ([`receive`], [`send`]), by split
//! virtqueues ([`ring`], [`chain`]). A thread for each device talks at the socket ([`control`]); it puts a ring on its seat when it starts, and
//! takes it away, with no worker in it, when it stops. Either end may come and go at any time.
//!
//! The guest is not trusted: what it writes is read once and checked; memory that is taken away reads as zeros ([`foreign`](crate::foreign)). What no driver
//! does ends the ring, until the guest sets it up again; what no machine says ends the connection.

mod backend;
mod chain;
mod control;
mod early;
mod features;
mod memory;
mod receive;
mod ring;
mod send;
mod shared;
mod signal;
mod socket;
mod vrings;

use crate::Context;
use crate::counts::Board;
use crate::device::{Device, Info, Link, OpenError, QueuePair, derived_mac};
use crate::spec::{self, Role};
use control::{Control, Place, Running};
use features::Features;
use receive::Receiver;
use send::Sender;
use shared::{PAIRS, Shared};
use socket::Listener;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What is counted, by queue and by the thread at the control socket.
mod count {
    pub const TOO_SHORT: usize = 0;
    pub const TOO_LONG: usize = 1;
    pub const MALFORMED: usize = 2;
    pub const DISABLED: usize = 3;
    pub const CHECKSUMS: usize = 4;
    pub const SEGMENTS: usize = 5;
    pub const FULL: usize = 6;
    pub const TX_TOO_LONG: usize = 7;
    pub const NO_PEER: usize = 8;
    pub const SIGNALS: usize = 9;
    pub const CONNECTIONS: usize = 10;
    pub const REFUSED: usize = 11;
    pub const BROKEN: usize = 12;
    pub const VIOLATIONS: usize = 13;
    pub const NAMES: [&str; 14] = [
        "rx_too_short",
        "rx_too_long",
        "rx_bad_offload_header",
        "rx_queue_disabled",
        "rx_checksums_completed",
        "rx_segments_cut",
        "tx_ring_full",
        "tx_too_long",
        "tx_no_peer",
        "guest_interrupts",
        "connections",
        "connections_refused",
        "connections_broken",
        "ring_violations",
    ];
}

type Counts = crate::counts::Counts<{ count::NAMES.len() }>;

/// The control side.
pub(crate) struct VhostUser {
    spec: spec::VhostUser,
    name: String,
    context: Context,
    mac: [u8; 6],
    board: Board<{ count::NAMES.len() }>,
    /// Until the queues are made.
    place: Option<Place>,
    running: Option<(Arc<Shared>, Running)>,
}

impl VhostUser {
    pub fn open(spec: &spec::VhostUser, name: &str, context: &Context) -> Result<VhostUser, OpenError> {
        let refused = |why: String| OpenError::refused(spec.socket.clone(), why);
        if !(1..=PAIRS).contains(&spec.queues) {
            return Err(refused(format!("{} queues; 1 to {PAIRS} can be had", spec.queues)));
        }
        let path = PathBuf::from(&spec.socket);
        let place = match spec.role {
            Role::Server => Place::Listen(Listener::bind(&path).map_err(refused)?),
            Role::Client => Place::Dial(path),
        };
        Ok(VhostUser {
            spec: spec.clone(),
            name: name.to_owned(),
            context: context.clone(),
            mac: derived_mac(name),
            board: Board::new(&count::NAMES),
            place: Some(place),
            running: None,
        })
    }
}

impl Device for VhostUser {
    fn queues(&mut self, count: usize) -> io::Result<Vec<QueuePair>> {
        let Some(place) = self.place.take() else { return Ok(Vec::new()) };
        let queues = count.clamp(1, self.spec.queues.into());
        let shared = Arc::new(Shared::new(self.spec.queues, queues, self.context.changed.clone())?);
        let offered = Features::offered(self.spec.offloads, self.spec.queues > 1);
        let control = Control { shared: shared.clone(), counts: self.board.queue(), offered, place };
        self.running = Some((shared.clone(), control.start(&self.name)?));
        let pair = |queue| {
            let counts = self.board.queue();
            let rx = Receiver::new(shared.clone(), queue, counts.clone());
            let tx = Sender::new(shared.clone(), queue, counts);
            QueuePair { rx: Some(Box::new(rx)), tx: Some(Box::new(tx)) }
        };
        Ok((0..queues).map(pair).collect())
    }

    fn link(&self) -> Link {
        let up = self.running.as_ref().is_some_and(|(shared, _)| shared.status().up);
        if up { Link::Up } else { Link::Down }
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
        let status = self.running.as_ref().map(|(shared, _)| shared.status().clone()).unwrap_or_default();
        let role = match self.spec.role {
            Role::Server => "server",
            Role::Client => "client",
        };
        let mut modes = vec![("role", role.to_owned()), ("most-queues", self.spec.queues.to_string())];
        modes.extend(status.modes);
        Info {
            driver: "vhost-user",
            device: self.spec.socket.clone(),
            queues: self.running.as_ref().map_or(0, |(shared, _)| shared.queues()),
            modes,
            notes: status.notes,
        }
    }
}
