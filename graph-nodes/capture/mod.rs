//! Packet capture: features that copy frames to the control plane, on interfaces where it switches them on.
//!
//! Received frames are copied before any node saw them, by the interface of the device: those of a sub-interface are
//! among its parent's, with their tag; packets out of a tunnel as its interface receives them. Sent frames are copied as they leave, by
//! the interface that they leave by.
//! Unlike the rest of the graph, a capture allocates: for the frames that it copies.

mod node;

use crate::ip::{V4, V6};
use crate::tunnel;
use crate::vxlan::Underlay;
use crossbeam::queue::ArrayQueue;
use millrace_engine::epoch::{Published, domain};
use millrace_engine::{Ctx, Feature, Graph, Node, NodeName, Packet, Waker};
use node::{Capture, Place, Rx, Tunnel, Tx};
use std::fmt;
use std::sync::Arc;

/// Frames that may wait for the control plane.
const QUEUE: usize = 4096;
/// Bytes copied of a frame unless said otherwise: all of it.
pub const WHOLE: usize = 65_535;

/// What copies received frames, the first on the device-input arc.
pub const RX: Feature = Feature { arc: Rx::ARC, node: Rx::NAME, after: &[], before: &[] };
/// What copies sent frames, the last on the interface-output arc.
pub const TX: Feature = Feature {
    arc: Tx::ARC,
    node: Tx::NAME,
    after: &[],
    // What a tunnel sends is no frame of its any more.
    before: &[tunnel::encap::NAME, V4::ENCAP, V6::ENCAP],
};
/// What copies packets out of a tunnel without Ethernet, on the tunnel-input arc.
pub const TUNNEL: Feature = Feature { arc: Tunnel::ARC, node: Tunnel::NAME, after: &[], before: &[] };
/// The nodes of all of them.
pub const NODES: [NodeName; 3] = [RX.node, TX.node, TUNNEL.node];

/// Chooses frames by their bytes from the Ethernet header on, or the IP header where there is none, of which it sees those in the first buffer (2 KiB).
pub type Filter = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Which way a frame went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// It was received.
    Rx,
    /// It was sent.
    Tx,
}

/// A copied frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Captured {
    /// Nanoseconds of [`millrace_engine::clock::now`].
    pub time: u64,
    /// The interface: the device's for received frames, the one that it leaves by for sent ones.
    pub interface: u32,
    /// Which way it went.
    pub direction: Direction,
    /// How long it was, in bytes from the Ethernet header on, or the IP header where there is none.
    pub length: usize,
    /// As much of it as was asked for.
    pub bytes: Vec<u8>,
}

/// What is copied.
#[derive(Clone)]
struct Wanted {
    filter: Option<Filter>,
    snap_length: usize,
}

struct Shared {
    queue: ArrayQueue<Captured>,
    waker: Waker,
    wanted: Published<Wanted>,
}

/// The control plane's handle, and the nodes'. Clones are handles to the same queue.
#[derive(Clone)]
pub struct Captures(Arc<Shared>);

impl Captures {
    /// An empty queue that wakes by `waker`; whole frames, all of them.
    pub fn new(waker: Waker) -> Captures {
        let wanted = Published::new(Wanted { filter: None, snap_length: WHOLE });
        Captures(Arc::new(Shared { queue: ArrayQueue::new(QUEUE), waker, wanted }))
    }

    /// Copies from now on what `filter` chooses, all without one, and at most `snap_length` bytes of each.
    pub fn set_filter(&self, filter: Option<Filter>, snap_length: usize) {
        self.0.wanted.publish(&domain(), Wanted { filter, snap_length });
    }

    /// The oldest copy.
    pub fn pop(&self) -> Option<Captured> {
        self.0.queue.pop()
    }
}

impl fmt::Debug for Captures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captures").field("waiting", &self.0.queue.len()).finish_non_exhaustive()
    }
}

/// What came of offering a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Copied {
    Yes,
    NotWanted,
    QueueFull,
}

impl Captures {
    /// Copies a frame if it is wanted. `packet` is at its Ethernet header, or its IP header where there is none.
    pub(crate) fn offer<N: Node>(
        &self,
        packet: &Packet<'_>,
        interface: u32,
        direction: Direction,
        cx: &Ctx<'_, N>,
    ) -> Copied {
        let wanted = self.0.wanted.get(&cx.guard());
        if wanted.filter.as_ref().is_some_and(|wants| !wants(packet.data())) {
            return Copied::NotWanted;
        }
        if self.0.queue.is_full() {
            return Copied::QueueFull;
        }
        let length = packet.total_len();
        let mut bytes = vec![0; length.min(wanted.snap_length)];
        packet.copy_to(&mut bytes);
        let fits = self.0.queue.push(Captured { time: cx.now(), interface, direction, length, bytes }).is_ok();
        self.0.waker.wake();
        if fits { Copied::Yes } else { Copied::QueueFull }
    }
}

/// Adds the nodes, and their features.
pub fn register(graph: &mut Graph, captures: &Captures) {
    register_frames(graph, captures);
    register_one::<Tunnel>(graph, captures, TUNNEL);
}

/// The same for a graph without tunnels.
pub(crate) fn register_frames(graph: &mut Graph, captures: &Captures) {
    register_one::<Rx>(graph, captures, RX);
    register_one::<Tx>(graph, captures, TX);
}

fn register_one<P: Place>(graph: &mut Graph, captures: &Captures, feature: Feature) {
    let handle = captures.clone();
    graph.node(move |_| Capture::<P>::new(handle.clone())).feature(feature);
}
