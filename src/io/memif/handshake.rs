//! How a connection comes to be: what a client offers, and how a server takes it up.

use super::Spec;
use super::link::{Peer, Rings, eventfd};
use super::memory::{Layout, MOST, Memory};
use super::message::{AddRing, ETHERNET, Hello, Init, Message, VERSION, secret};
use super::queue::{RxRing, TxRing};
use super::receive::Receive;
use super::ring::{ALIGNMENT, COOKIE, Ring};
use super::send::Send;
use super::side::{Client, Regions, Server};
use super::{RINGS, zero};
use crate::foreign::Foreign;
use millrace_engine::{Pool, Waker};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// What this program calls itself.
pub(super) const PROGRAM: &str = concat!("millrace ", env!("CARGO_PKG_VERSION"));
/// How long a handshake may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Regions of a client at most.
const REGIONS: u16 = 256;

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The peer closed it without a word.
    Gone,
    /// The peer said why.
    Said(String),
    /// The peer did what it must not do.
    Wrong(String),
    /// The interface goes away.
    Removed,
}

impl End {
    /// What the peer is told, if it is to be told.
    pub fn to_peer(&self) -> Option<&str> {
        match self {
            End::Gone | End::Said(_) => None,
            End::Wrong(why) => Some(why),
            End::Removed => Some("the interface was removed"),
        }
    }

    /// What the operator is told.
    pub fn to_operator(&self, peer: &str) -> String {
        match self {
            End::Gone => format!("the {peer} went away"),
            End::Said(why) => format!("the {peer} ended the last connection: {why}"),
            End::Wrong(why) => format!("the last connection was ended because of the {peer}: {why}"),
            End::Removed => String::new(),
        }
    }
}

/// Something wrong, in words.
pub(super) fn wrong<T>(why: impl Into<String>) -> Result<T, End> {
    Err(End::Wrong(why.into()))
}

/// What a server takes from its clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub queues: u16,
    pub log2_ring_size: u8,
}

impl Limits {
    pub fn hello(&self) -> Message {
        let last = self.queues.saturating_sub(1);
        Message::Hello(Hello {
            name: PROGRAM.to_owned(),
            min_version: VERSION,
            max_version: VERSION,
            max_region: REGIONS - 1,
            max_to_client: last,
            max_to_server: last,
            max_log2_ring_size: self.log2_ring_size,
        })
    }
}

/// Whether a client may have this interface.
pub(super) fn admit(init: &Init, spec: &Spec) -> Result<(), &'static str> {
    if init.version != VERSION {
        return Err("only version 2.0 of the protocol is spoken here");
    }
    if init.mode != ETHERNET {
        return Err("only Ethernet frames are taken here");
    }
    let Some(ours) = &spec.secret else { return Ok(()) };
    // As long for any wrong one: how much of it is right is nobody's business.
    let differs = init.secret.iter().zip(secret(ours)).fold(0, |all, (a, b)| all | (a ^ b));
    match (differs, init.secret.iter().all(|byte| *byte == 0)) {
        (0, _) => Ok(()),
        (_, true) => Err("a secret is required"),
        (_, false) => Err("the secret is wrong"),
    }
}

/// What a client has offered so far.
pub(super) struct Building {
    limits: Limits,
    program: String,
    waker: Waker,
    regions: Vec<Foreign>,
    rx: Vec<(AddRing, OwnedFd)>,
    tx: Vec<(AddRing, OwnedFd)>,
}

impl Building {
    pub fn new(limits: Limits, init: Init, waker: Waker) -> Building {
        Building { limits, program: init.name, waker, regions: Vec::new(), rx: Vec::new(), tx: Vec::new() }
    }

    /// Takes the client's memory.
    pub fn add_region(&mut self, index: u16, size: u64, descriptor: Option<OwnedFd>) -> Result<(), End> {
        let Some(descriptor) = descriptor else { return wrong("a region without a descriptor") };
        if usize::from(index) != self.regions.len() {
            return wrong("regions out of order");
        }
        if index >= REGIONS {
            return wrong("too many regions");
        }
        // No descriptor reaches further.
        let len = size.min(MOST) as usize;
        match Foreign::map(descriptor.as_fd(), len, self.waker.fd()) {
            Ok(region) => {
                // The rings are there, and mostly the buffers.
                if index == 0 {
                    region.populate();
                }
                self.regions.push(region);
            }
            Err(error) => return wrong(format!("region {index} can't be mapped: {error}")),
        }
        Ok(())
    }

    /// Takes a ring in that memory.
    pub fn add_ring(&mut self, ring: AddRing, descriptor: Option<OwnedFd>) -> Result<(), End> {
        let Some(descriptor) = descriptor else { return wrong("a ring without a descriptor for interrupts") };
        let rings = if ring.to_server { &mut self.rx } else { &mut self.tx };
        if usize::from(ring.index) != rings.len() {
            return wrong("rings out of order");
        }
        if ring.index >= self.limits.queues {
            return wrong("more rings than were allowed");
        }
        if !(1..=self.limits.log2_ring_size).contains(&ring.log2_size) {
            return wrong("a ring larger than was allowed");
        }
        if ring.private_header != 0 {
            return wrong("private headers are not supported");
        }
        if !is_eventfd(&descriptor) {
            return wrong("interrupts by something that is no eventfd");
        }
        rings.push((ring, descriptor));
        Ok(())
    }

    /// All is there: the rings, ready to be used.
    pub fn finish(self, interface: String, pid: u32) -> Result<(Rings, Peer), End> {
        if self.rx.is_empty() || self.tx.is_empty() {
            return wrong("there has to be a ring in each direction");
        }
        let regions = Arc::new(Regions { list: self.regions, _waker: self.waker });
        let ring_size = self.rx.first().map_or(0, |(ring, _)| 1 << ring.log2_size);
        let peer = Peer {
            program: self.program,
            interface,
            pid,
            rings_in: self.rx.len(),
            rings_out: self.tx.len(),
            ring_size,
            regions: regions.list.len(),
            shared: regions.list.iter().map(Foreign::len).sum(),
        };
        let mut rings = Rings { rx: Vec::new(), tx: Vec::new(), regions: Some(regions.clone()) };
        let side = || Server { regions: regions.clone() };
        for (add, interrupt) in self.rx {
            rings.rx.push((RxRing::Server(Receive::new(find(&add, &regions)?, side())), interrupt));
        }
        for (add, interrupt) in self.tx {
            rings.tx.push((TxRing::Server(Send::new(find(&add, &regions)?, side())), interrupt));
        }
        Ok((rings, peer))
    }
}

/// The ring that was described, empty.
fn find(add: &AddRing, regions: &Regions) -> Result<Ring, End> {
    let Some(region) = regions.list.get(usize::from(add.region)) else {
        return wrong("a ring in an unknown region");
    };
    let offset = add.offset as usize;
    if !offset.is_multiple_of(ALIGNMENT) {
        return wrong("a ring that is not aligned to 16 bytes");
    }
    if offset + Ring::bytes(add.log2_size) > region.len() {
        return wrong("a ring that reaches out of its region");
    }
    // SAFETY: it lies in the region, which the ring's owner keeps mapped, and is aligned as the mapping is; the size was checked when
    // it was added.
    let ring = unsafe { Ring::new(region.base().add(offset), add.log2_size) };
    if ring.cookie() != COOKIE {
        return wrong("a ring without the cookie");
    }
    ring.set_tail(0);
    Ok(ring)
}

/// Whether it is an eventfd, which is then made one that never lets its writer wait.
fn is_eventfd(descriptor: &OwnedFd) -> bool {
    let number = descriptor.as_raw_fd();
    let link = std::fs::read_link(format!("/proc/self/fd/{number}"));
    let it_is = link.is_ok_and(|link| link.as_os_str() == "anon_inode:[eventfd]");
    // SAFETY: numbers only.
    it_is && unsafe { libc::fcntl(number, libc::F_SETFL, libc::O_NONBLOCK) } == 0
}

/// The descriptor that goes with a message of a client.
enum With {
    Nothing,
    Memory,
    Pool,
    Ring { to_server: bool, index: u16 },
}

/// What a client has to say, and what it is about.
pub(super) struct Offer {
    memory: Arc<Memory>,
    pool: Option<&'static Pool>,
    layout: Layout,
    program: String,
    out: Vec<OwnedFd>,
    incoming: Vec<OwnedFd>,
    messages: VecDeque<(Message, With)>,
}

/// Rings of a client of `queues` pairs, as far as its server takes them.
pub(super) fn layout(spec: &Spec, to_server: u16, to_client: u16, most_log2_ring_size: u8) -> Layout {
    let log2_ring_size = (spec.ring_size.ilog2() as u8).min(most_log2_ring_size);
    Layout { to_server, to_client, log2_ring_size, with_buffers: !spec.zero_copy }
}

impl Offer {
    /// To what this server takes.
    pub fn new(hello: Hello, spec: &Spec, name: &str, queues: u16, pool: &'static Pool) -> Result<Offer, End> {
        if !(hello.min_version..=hello.max_version).contains(&VERSION) {
            return wrong("only version 2.0 of the protocol is spoken here");
        }
        let pool = spec.zero_copy.then_some(pool);
        if pool.is_some() && hello.max_region < 1 {
            return wrong("the server takes one region only, zero-copy needs two");
        }
        if hello.max_log2_ring_size < 1 {
            return wrong("the server takes rings of one slot only");
        }
        let rings = |most: u16| queues.min(most.saturating_add(1)).min(RINGS);
        let (to_server, to_client) = (rings(hello.max_to_server), rings(hello.max_to_client));
        let layout = layout(spec, to_server, to_client, hello.max_log2_ring_size);
        let failed = |e: io::Error| End::Wrong(format!("no memory for rings: {e}"));
        let memory = Arc::new(Memory::new(layout.len()).map_err(failed)?);
        let eventfds = |count| (0..count).map(|_| eventfd()).collect::<io::Result<Vec<_>>>();
        let mut offer = Offer {
            out: eventfds(to_server).map_err(failed)?,
            incoming: eventfds(to_client).map_err(failed)?,
            memory,
            pool,
            layout,
            program: hello.name,
            messages: VecDeque::new(),
        };
        offer.plan(spec, name);
        Ok(offer)
    }

    fn plan(&mut self, spec: &Spec, name: &str) {
        let ours = secret(spec.secret.as_deref().unwrap_or_default());
        let init = Init { version: VERSION, id: spec.id, mode: ETHERNET, secret: ours, name: PROGRAM.to_owned() };
        self.messages.push_back((Message::Init(init), With::Nothing));
        let region = |index, size: usize| Message::AddRegion { index, size: size as u64 };
        self.messages.push_back((region(0, self.memory.len()), With::Memory));
        if let Some(pool) = self.pool {
            self.messages.push_back((region(1, pool.region().len()), With::Pool));
        }
        let both = [(true, self.layout.to_server), (false, self.layout.to_client)];
        for (to_server, index) in both.into_iter().flat_map(|(way, count)| (0..count).map(move |index| (way, index))) {
            self.ring(to_server, index).clear();
            let offset = self.layout.ring(to_server, index) as u32;
            let log2_size = self.layout.log2_ring_size;
            let ring = AddRing { to_server, index, region: 0, offset, log2_size, private_header: 0 };
            self.messages.push_back((Message::AddRing(ring), With::Ring { to_server, index }));
        }
        self.messages.push_back((Message::Connect(name.to_owned()), With::Nothing));
    }

    fn ring(&self, to_server: bool, index: u16) -> Ring {
        let offset = self.layout.ring(to_server, index);
        // SAFETY: the layout keeps it within the memory, which the ring's owner keeps, and aligned.
        unsafe { Ring::new(self.memory.base().add(offset), self.layout.log2_ring_size) }
    }

    /// The next message, if it is not the server's turn for good, and its descriptor.
    pub fn next(&mut self) -> Option<(Message, Option<BorrowedFd<'_>>)> {
        let (message, with) = self.messages.pop_front()?;
        let descriptor = match with {
            With::Nothing => None,
            With::Memory => Some(self.memory.fd()),
            With::Pool => self.pool.map(|pool| pool.region().fd()),
            With::Ring { to_server: true, index } => self.out.get(usize::from(index)).map(OwnedFd::as_fd),
            With::Ring { to_server: false, index } => self.incoming.get(usize::from(index)).map(OwnedFd::as_fd),
        };
        Some((message, descriptor))
    }

    /// Whether all has been said.
    pub fn is_said(&self) -> bool {
        self.messages.is_empty()
    }

    /// The server has taken it: the rings, ready to be used.
    pub fn finish(self, interface: String, pid: u32) -> (Rings, Peer) {
        let mut rings = Rings { rx: Vec::new(), tx: Vec::new(), regions: None };
        let made = [(true, self.layout.to_server), (false, self.layout.to_client)];
        let [sending, receiving] = made.map(|(way, count)| (0..count).map(|n| self.ring(way, n)).collect::<Vec<_>>());
        let peer = Peer {
            program: self.program,
            interface,
            pid,
            rings_in: receiving.len(),
            rings_out: sending.len(),
            ring_size: 1 << self.layout.log2_ring_size,
            regions: 1 + usize::from(self.pool.is_some()),
            shared: self.memory.len() + self.pool.map_or(0, |pool| pool.region().len()),
        };
        let side =
            |to_server, index: usize| Client::new(self.memory.clone(), self.layout.buffers(to_server, index as u16));
        for ((index, ring), interrupt) in sending.into_iter().enumerate().zip(self.out) {
            let ring = match self.pool {
                Some(pool) => TxRing::Zero(zero::Send::new(ring, self.memory.clone(), pool)),
                None => TxRing::Client(Send::new(ring, side(true, index))),
            };
            rings.tx.push((ring, interrupt));
        }
        for ((index, ring), interrupt) in receiving.into_iter().enumerate().zip(self.incoming) {
            let ring = match self.pool {
                Some(pool) => RxRing::Zero(zero::Receive::new(ring, self.memory.clone(), pool)),
                None => {
                    let side = side(false, index);
                    side.post_all(&ring);
                    RxRing::Client(Receive::new(ring, side))
                }
            };
            rings.rx.push((ring, interrupt));
        }
        (rings, peer)
    }
}
