//! Looking at what a bridge forwards: groups that hosts join (IGMP and MLD snooping, RFC 4541), and addresses that stations have, so
//! that the bridge answers for them (see [`suppress`](super::suppress)).
//!
//! ```text
//! l2-input, l2-learn ─► l2-snoop ─┬─────────────────────────────► l2-fwd, l2-flood
//!                                 ├► l2-arp-term, l2-nd-term ─┬─► l2-fwd, l2-flood
//!                                 └► (control hears of it)    └─► l2-output
//! ```
//! Frames come here only in domains that look ([`Domain::look`](super::Domain::look)). What was seen is the control plane's, over
//! bounded queues; what it makes of it is published here.

mod groups;
pub mod node;
#[cfg(test)]
mod tests;

pub use groups::Groups;

use super::suppress::{Bindings, Seen};
use crate::rate::SharedBucket;
use crossbeam::queue::ArrayQueue;
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::epoch::{Guard, Slots};
use millrace_engine::{Packet, Waker};
use millrace_tables::mac::BRIDGES;
use millrace_wire::{Ethernet, Ipv4, Ipv6};
use std::fmt;
use std::sync::{Arc, OnceLock};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Messages that may wait for the control plane.
const MESSAGES: usize = 1024;
/// Sightings of addresses that may.
const SIGHTINGS: usize = 4096;
/// The longest message that is looked at, in bytes from its IP header on.
pub const LONGEST: usize = 1500;
/// Nanoseconds that a message or sighting costs: 1000 a second of each port.
const COST: u64 = 1_000_000;
/// Nanoseconds that may be saved up: as many groups as a port may have join at once.
const SAVED: u64 = 1024 * COST;

/// What is looked at in a domain, and what is known of it.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// The IPv4 groups, with IGMP snooping.
    pub igmp: Option<Arc<Groups>>,
    /// The IPv6 groups, with MLD snooping.
    pub mld: Option<Arc<Groups>>,
    /// Whether the bridge answers ARP and neighbour discovery for stations.
    pub suppress: bool,
}

/// A message of IGMP or MLD, or a hello of PIM, that was heard, and is without fault.
#[derive(Clone, Copy)]
pub struct Heard {
    /// The port that it came in by.
    pub interface: u32,
    /// The domain.
    pub domain: u16,
    len: u16,
    bytes: [u8; LONGEST],
}

impl Heard {
    /// The packet from its IP header on.
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Heard { interface, domain, .. } = self;
        f.debug_struct("Heard").field("interface", interface).field("domain", domain).finish_non_exhaustive()
    }
}

/// What the nodes that look read, and where they tell what they saw.
pub struct Snoop {
    /// By domain.
    pub watches: Slots<Watch>,
    /// Which addresses stations have.
    pub bindings: Bindings,
    heard: ArrayQueue<Heard>,
    seen: ArrayQueue<Seen>,
    /// By interface: messages, sightings.
    shares: Box<[[SharedBucket; 2]]>,
    waker: OnceLock<Waker>,
}

impl fmt::Debug for Snoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snoop")
            .field("heard", &self.heard.len())
            .field("seen", &self.seen.len())
            .finish_non_exhaustive()
    }
}

impl Default for Snoop {
    fn default() -> Snoop {
        Snoop {
            watches: Slots::new(BRIDGES as u32),
            bindings: Bindings::default(),
            heard: ArrayQueue::new(MESSAGES),
            seen: ArrayQueue::new(SIGHTINGS),
            shares: (0..MAX_INTERFACES).map(|_| Default::default()).collect(),
            waker: OnceLock::new(),
        }
    }
}

/// Of what an interface has a share.
#[derive(Clone, Copy)]
enum Share {
    Messages = 0,
    Sightings = 1,
}

impl Snoop {
    /// Says what to ring when something was heard or seen; the first word counts.
    pub fn wake_by(&self, waker: Waker) {
        let _ = self.waker.set(waker);
    }

    /// The oldest message.
    #[must_use]
    pub fn heard(&self) -> Option<Heard> {
        self.heard.pop()
    }

    /// The oldest sighting.
    #[must_use]
    pub fn seen(&self) -> Option<Seen> {
        self.seen.pop()
    }

    /// The ports, sorted, that a frame to a group wants to go to, of those of its domain; `None`: all of them. l2-snoop has said
    /// what kind of frame it is.
    #[inline]
    #[must_use]
    pub fn wanted<'g>(&self, packet: &Packet<'_>, domain: u16, guard: &Guard<'g>) -> Option<&'g [u32]> {
        let way = Way::of(packet);
        if way == Way::All {
            return None;
        }
        let watch = self.watches.get(domain.into(), guard)?;
        let ip = packet.data().get(Ethernet::LEN..)?;
        match way {
            Way::All => None,
            Way::Routers4 => Some(watch.igmp.as_ref()?.routers()),
            Way::Routers6 => Some(watch.mld.as_ref()?.routers()),
            Way::Group4 => watch.igmp.as_ref()?.ports4(read::<Ipv4>(ip)?.dst()),
            Way::Group6 => watch.mld.as_ref()?.ports6(read::<Ipv6>(ip)?.dst()),
        }
    }

    /// Whether there may be one more of an interface.
    fn allows(&self, interface: u32, share: Share, now: u64) -> bool {
        let of_interface = self.shares.get(interface as usize % MAX_INTERFACES);
        of_interface.and_then(|shares| shares.get(share as usize)).is_some_and(|share| share.take(now, COST, SAVED))
    }

    /// Whether a sighting may be told now.
    pub(super) fn allows_sighting(&self, interface: u32, now: u64) -> bool {
        self.allows(interface, Share::Sightings, now)
    }

    /// False, and it is lost, when the queue is full.
    pub(super) fn tell_seen(&self, seen: Seen) -> bool {
        let fits = self.seen.push(seen).is_ok();
        self.wake();
        fits
    }

    /// False, and it is lost, when the queue is full.
    fn tell_heard(&self, heard: Heard) -> bool {
        let fits = self.heard.push(heard).is_ok();
        self.wake();
        fits
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }
}

/// The header that bytes begin with.
#[inline]
pub(super) fn read<T: FromBytes + KnownLayout + Immutable + Unaligned>(bytes: &[u8]) -> Option<&T> {
    T::ref_from_prefix(bytes).ok().map(|(header, _)| header)
}

/// Where a frame to a group goes: l2-snoop tells l2-flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    All = 0,
    /// To IPv4 routers.
    Routers4 = 1,
    /// To IPv6 routers.
    Routers6 = 2,
    /// To listeners of the IPv4 group and routers.
    Group4 = 3,
    /// To listeners of the IPv6 group and routers.
    Group6 = 4,
}

/// Where it lies in the packet's scratch, beside what l2-input put there.
const WAY_AT: u32 = 12;

impl Way {
    #[inline(always)]
    fn put(self, packet: &mut Packet<'_>) {
        let [_, _, third] = &mut packet.meta.scratch;
        *third = *third & !(7 << WAY_AT) | (self as u64) << WAY_AT;
    }

    #[inline(always)]
    fn of(packet: &Packet<'_>) -> Way {
        match packet.meta.scratch[2] >> WAY_AT & 7 {
            1 => Way::Routers4,
            2 => Way::Routers6,
            3 => Way::Group4,
            4 => Way::Group6,
            _ => Way::All,
        }
    }
}
