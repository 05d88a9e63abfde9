//! ARP (RFC 826): answers questions, holds packets until their neighbour is known, and tells the control plane what it
//! hears and wants. The neighbour table itself, questions, retries and ageing are the control plane's.

mod hold;
pub mod input;
pub mod ip4_arp;
pub mod ip4_glean;

use crate::forwarding::Forwarding;
use crossbeam::queue::ArrayQueue;
use millrace_engine::{Graph, Waker};
use millrace_wire::MacAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Events that may wait for the control plane.
const EVENTS: usize = 4096;

/// How a station made itself known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeardKind {
    /// It asks for one of our addresses.
    Request,
    /// It answers us, whether we asked or not.
    Reply,
    /// It announces its own address (RFC 5227 section 3): for entries that exist, not for new ones.
    Gratuitous,
}

/// What the control plane has to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArpEvent {
    /// A station is at this MAC address.
    Heard {
        /// The interface, a sub-interface for tagged frames.
        interface: u32,
        /// The station's address, in a subnet of the interface and not our own.
        address: Ipv4Addr,
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
        address: Ipv4Addr,
    },
}

/// The queue of events from all workers to the control plane. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct ArpEvents {
    queue: Arc<ArrayQueue<ArpEvent>>,
    waker: Waker,
}

impl ArpEvents {
    /// An empty queue that wakes by `waker`.
    pub fn new(waker: Waker) -> ArpEvents {
        ArpEvents { queue: Arc::new(ArrayQueue::new(EVENTS)), waker }
    }

    /// The oldest event.
    pub fn pop(&self) -> Option<ArpEvent> {
        self.queue.pop()
    }

    /// Adds one. False, and the event is lost, when the queue is full.
    pub(crate) fn push(&self, event: ArpEvent) -> bool {
        let fits = self.queue.push(event).is_ok();
        self.waker.wake();
        fits
    }
}

/// Adds the nodes.
pub fn register(graph: &mut Graph, forwarding: &Forwarding, events: &ArpEvents) {
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| input::ArpInput { forwarding: tables.clone(), events: queue.clone() });
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| ip4_arp::Ip4Arp::new(tables.clone(), queue.clone()));
    let (tables, queue) = (forwarding.clone(), events.clone());
    graph.node(move |_| ip4_glean::Ip4Glean::new(tables.clone(), queue.clone()));
}
