//! What the packet path tells the control plane of neighbours, of both families, over one bounded queue.

use crossbeam::queue::ArrayQueue;
use millrace_engine::Waker;
use millrace_wire::MacAddr;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Events that may wait for the control plane.
pub(crate) const EVENTS: usize = 4096;

/// How a station made itself known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeardKind {
    /// It asks for one of our addresses, or for a router.
    Request,
    /// It answers us, whether we asked or not. The flags are those of RFC 4861 section 4.4; an ARP reply is as one that answers a
    /// question and replaces what is known.
    Reply {
        /// It answers a question of ours, so that both ways work.
        solicited: bool,
        /// It replaces what is known.
        override_: bool,
        /// It is a router.
        router: bool,
    },
    /// It announces its own address (RFC 5227 section 3): for entries that exist, not for new ones.
    Gratuitous,
}

/// What the control plane has to know. All interfaces are those that the packet came by: a sub-interface for tagged frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NeighborEvent {
    /// A station is at this MAC address.
    Heard {
        /// The interface.
        interface: u32,
        /// The station's address: of a subnet of the interface, or link-local, and not our own.
        address: IpAddr,
        /// Its MAC address: unicast.
        mac: MacAddr,
        /// How it became known.
        kind: HeardKind,
    },
    /// A packet waits for the MAC address of this neighbour. At most one a second for each neighbour and worker.
    Wanted {
        /// The interface to ask on.
        interface: u32,
        /// Whom to ask for.
        address: IpAddr,
    },
    /// A packet was sent to a neighbour that was not heard for a while (RFC 4861 section 7.3.3). Told now and then, not of every packet.
    Used {
        /// The interface.
        interface: u32,
        /// The neighbour.
        address: IpAddr,
    },
    /// Somebody else has an address of ours, or one that we are about to take, or is about to take it (RFC 4862 section 5.4).
    Duplicate {
        /// The interface.
        interface: u32,
        /// The address.
        address: Ipv6Addr,
    },
    /// A datagram of VXLAN came from an unknown remote, on an interface that learns them; it waits for that one to be known.
    RemoteHeard {
        /// The VXLAN interface.
        interface: u32,
        /// The remote: any address that a packet can be from.
        address: IpAddr,
    },
    /// A host wants a router advertisement (RFC 4861 section 6.2.6).
    RouterSolicited {
        /// The interface.
        interface: u32,
        /// Who: `::` before the host has an address.
        from: Ipv6Addr,
        /// The host's MAC address, unless it doesn't tell.
        mac: Option<MacAddr>,
    },
    /// Somebody wants to know which multicast groups we listen to (RFC 3810 section 6.2).
    ListenerQueried {
        /// The interface.
        interface: u32,
        /// The group that is asked about; `None` for all.
        group: Option<Ipv6Addr>,
        /// The answer is due at a random moment within so many milliseconds.
        max_delay_ms: u32,
    },
}

/// The queue of events from all workers to the control plane. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct NeighborEvents {
    queue: Arc<ArrayQueue<NeighborEvent>>,
    waker: Waker,
}

impl NeighborEvents {
    /// An empty queue that wakes by `waker`.
    pub fn new(waker: Waker) -> NeighborEvents {
        NeighborEvents { queue: Arc::new(ArrayQueue::new(EVENTS)), waker }
    }

    /// The oldest event.
    pub fn pop(&self) -> Option<NeighborEvent> {
        self.queue.pop()
    }

    /// Adds one. False, and the event is lost, when the queue is full.
    pub(crate) fn push(&self, event: NeighborEvent) -> bool {
        let fits = self.queue.push(event).is_ok();
        self.waker.wake();
        fits
    }
}
