//! Protocols that end at the other end of the wire: LACP and markers (slow protocols), LLDP. Their frames are the control plane's,
//! which gets whole ones over a bounded queue.
//!
//! Nobody needs many of them, so each interface has a share, of either protocol, that a neighbour gone wild can't leave.

pub mod node;

pub use node::NAME;

use crate::rate::SharedBucket;
use crossbeam::queue::ArrayQueue;
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::{Graph, Waker};
use millrace_wire::EtherType;
use std::fmt;
use std::sync::Arc;

/// Frames that may wait for the control plane.
const QUEUE: usize = 512;
/// The longest frame, in bytes from the Ethernet header on: neither protocol has a longer one.
pub const LONGEST: usize = 1514;
/// Nanoseconds that a frame costs: 100 a second. IEEE 802.3 annex 57A allows ten of a slow protocol.
const COST: u64 = 10_000_000;
/// Nanoseconds that may be saved up: 32 frames at once.
const SAVED: u64 = 32 * COST;

/// A frame that was heard.
#[derive(Clone, Copy)]
pub struct Frame {
    /// The interface that it came in by: the member's, of a bond.
    pub interface: u32,
    len: usize,
    bytes: [u8; LONGEST],
}

impl Frame {
    /// The whole frame from its Ethernet header on, without a tag.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("interface", &self.interface).field("bytes", &self.bytes()).finish()
    }
}

struct Shared {
    queue: ArrayQueue<Frame>,
    waker: Waker,
    /// By interface: slow protocols, LLDP.
    shares: Vec<[SharedBucket; 2]>,
}

/// The control plane's handle to what was heard, and the node's. Clones are handles to the same queue.
#[derive(Clone)]
pub struct Frames(Arc<Shared>);

impl Frames {
    /// An empty queue that wakes by `waker`.
    pub fn new(waker: Waker) -> Frames {
        let shares = (0..MAX_INTERFACES).map(|_| Default::default()).collect();
        Frames(Arc::new(Shared { queue: ArrayQueue::new(QUEUE), waker, shares }))
    }

    /// The oldest frame.
    pub fn pop(&self) -> Option<Frame> {
        self.0.queue.pop()
    }

    /// Whether the interface may have one more frame of the protocol looked at.
    fn allows(&self, interface: u32, protocol: EtherType, now: u64) -> bool {
        let of_interface = self.0.shares.get(interface as usize % MAX_INTERFACES);
        let share = of_interface.and_then(|shares| shares.get(usize::from(protocol == EtherType::LLDP)));
        share.is_some_and(|share| share.take(now, COST, SAVED))
    }

    /// False, and the frame is lost, when the queue is full.
    fn push(&self, frame: Frame) -> bool {
        let fits = self.0.queue.push(frame).is_ok();
        self.0.waker.wake();
        fits
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("waiting", &self.0.queue.len()).finish_non_exhaustive()
    }
}

/// Whether frames of this type go to [`NAME`], untagged ones, whoever they are addressed to.
#[inline(always)]
pub const fn is_link_control(ether_type: EtherType) -> bool {
    matches!(ether_type, EtherType::SLOW_PROTOCOLS | EtherType::LLDP)
}

/// Adds the node.
pub fn register(graph: &mut Graph, frames: &Frames) {
    let frames = frames.clone();
    graph.node(move |_| node::LinkControl { frames: frames.clone() });
}
