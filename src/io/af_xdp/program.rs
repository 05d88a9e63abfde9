//! The program at a device that takes packets to the router: where it runs, and what stands in its way.

use super::bpf::{self, Link, Loaded, SocketMap};
use crate::netlink::Netlink;
use crate::spec::XdpMode;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How long something may stand in the way that the kernel is still clearing away: what a process that ended has left.
pub(super) const CLEARING: Duration = Duration::from_millis(1200);
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// The program at its device, until it is dropped.
#[derive(Debug)]
pub(super) struct Program {
    // The link goes first: a program without sockets would let packets pass to the kernel.
    _link: Link,
    map: SocketMap,
    /// In the driver, rather than in the network stack.
    pub native: bool,
    /// Whether it takes packets of several pieces.
    pub frags: bool,
    /// Why it isn't in the driver although it might be.
    pub why: Option<String>,
}

/// Why it can't be put there.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Another program, told in words.
    Occupied(String),
    /// The kernel's own words.
    Error(io::Error),
}

impl Program {
    /// Puts it at a device with `queues` queues.
    pub fn attach(netlink: &Netlink, device: (&str, i32), mode: XdpMode, queues: u32) -> Result<Program, Refusal> {
        let map = SocketMap::new(queues).map_err(Refusal::Error)?;
        let (loaded, frags) = Loaded::new(&map).map_err(Refusal::Error)?;
        let at = |native| at_device(netlink, device, &loaded, native);
        let (link, native, why) = match mode {
            XdpMode::Generic => (at(false)?, false, None),
            XdpMode::Native => (at(true)?, true, None),
            XdpMode::Auto => match at(true) {
                Ok(link) => (link, true, None),
                Err(Refusal::Error(error)) => (at(false)?, false, Some(reason(&error))),
                Err(occupied) => return Err(occupied),
            },
        };
        Ok(Program { _link: link, map, native, frags, why })
    }

    /// Takes packets of this queue to the socket.
    pub fn connect(&self, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.map.insert(queue, socket)
    }
}

fn at_device(netlink: &Netlink, (name, index): (&str, i32), program: &Loaded, native: bool) -> Result<Link, Refusal> {
    let start = Instant::now();
    loop {
        let error = match program.attach(index, native) {
            Ok(link) => return Ok(link),
            Err(error) => error,
        };
        if !matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST)) {
            return Err(Refusal::Error(error));
        }
        let Some(id) = netlink.find(name).ok().flatten().and_then(|device| device.xdp_program) else {
            // It has just gone.
            if start.elapsed() < CLEARING {
                std::thread::sleep(PAUSE);
                continue;
            }
            return Err(Refusal::Error(error));
        };
        let called = bpf::name_of(id);
        let ours = called == bpf::NAME;
        if !ours || start.elapsed() >= CLEARING {
            return Err(Refusal::Occupied(occupied(name, id, &called, ours)));
        }
        std::thread::sleep(PAUSE);
    }
}

fn occupied(device: &str, id: u32, called: &str, ours: bool) -> String {
    let called = if called.is_empty() { String::new() } else { format!(" ({called})") };
    let whose = if ours { "another router's XDP program" } else { "another XDP program" };
    format!(
        "{whose}, number {id}{called}, is attached to it; end what attached it, or detach it by `ip link set dev {device} xdp off`, \
         or use the driver af-packet, which goes beside it"
    )
}

/// Why a device's driver doesn't take a program, in words.
pub(super) fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => "its driver runs no XDP programs".to_owned(),
        Some(libc::ERANGE) => "the MTU at this or the other end is too large for its driver's XDP".to_owned(),
        Some(libc::ENOSPC) => "it has fewer receive queues than the other end has transmit queues".to_owned(),
        Some(libc::ENOMEM) => "its driver has no rings left for XDP".to_owned(),
        _ => format!("its driver refuses XDP programs ({error})"),
    }
}
