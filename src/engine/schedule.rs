//! A worker's pending frames: which node runs next, and how its packets are scattered to their nexts.

use crate::arc::SolvedArc;
use crate::builtin::{Builtin, DEVICE_INPUT};
use crate::dispatch::{GONE, Nexts, Run, one_way};
use crate::frame::Frame;
use crate::graph::{Make, NOWHERE, Solved};
use crate::node::{NodeName, SLOT_CONSUME, SLOT_HOLD};
use std::collections::VecDeque;
use std::sync::Arc;

/// Empty frames that a worker keeps for reuse.
const SPARE: usize = 256;

/// What runs at a place in the graph.
pub(crate) enum Kind {
    Node(Box<dyn Run>),
    Builtin(Builtin),
}

/// One node on this worker.
pub(crate) struct Place {
    pub kind: Kind,
    pub name: NodeName,
    /// Position of the target, by slot.
    pub targets: Box<[u16]>,
    /// Name of the target, by slot, for the trace.
    pub names: Box<[Option<NodeName>]>,
    pub arc: Option<(Arc<SolvedArc>, u8)>,
    /// Whether packets come to it from devices, touched by nobody yet.
    pub cold: bool,
    /// What waits for it, oldest first: full frames, then the one that is being filled.
    full: VecDeque<Box<Frame>>,
    filling: Box<Frame>,
}

/// All nodes of a worker and what is pending.
pub(crate) struct Schedule {
    pub places: Vec<Place>,
    /// A bit for each place with something pending.
    pending: [u64; 4],
    #[allow(clippy::vec_box, reason = "frames move between places by their box, not by copying a kibibyte")]
    spare: Vec<Box<Frame>>,
}

impl Schedule {
    pub fn new(graph: &Solved, worker: usize) -> Schedule {
        let first: Vec<NodeName> =
            graph.edges().into_iter().filter(|(from, _)| *from == DEVICE_INPUT).map(|(_, to)| to).collect();
        let places = graph.nodes.iter().map(|node| Place {
            kind: match &node.make {
                Make::Node(make) => Kind::Node(make(worker)),
                Make::Builtin(b) => Kind::Builtin(*b),
            },
            name: node.name,
            targets: node.targets.clone().into(),
            names: node.targets.iter().map(|t| graph.nodes.get(usize::from(*t)).map(|n| n.name)).collect(),
            arc: node.arc.and_then(|(number, slot)| Some((graph.arcs.get(number)?.clone(), slot))),
            cold: first.contains(&node.name),
            full: VecDeque::new(),
            filling: Frame::boxed(),
        });
        Schedule { places: places.collect(), pending: [0; 4], spare: (0..16).map(|_| Frame::boxed()).collect() }
    }

    /// The first place in graph order with something pending.
    #[inline(always)]
    pub fn first(&self) -> Option<usize> {
        self.pending.iter().enumerate().find(|(_, w)| **w != 0).map(|(i, w)| i * 64 + w.trailing_zeros() as usize)
    }

    /// Takes the oldest frame that waits for a place.
    #[inline(always)]
    pub fn take(&mut self, at: usize) -> Option<Box<Frame>> {
        let place = self.places.get_mut(at)?;
        if let Some(frame) = place.full.pop_front() {
            return Some(frame);
        }
        self.pending[at / 64 % 4] &= !(1 << (at % 64));
        let empty = self.spare.pop().unwrap_or_else(Frame::boxed);
        Some(std::mem::replace(&mut place.filling, empty))
    }

    /// An empty frame.
    #[inline(always)]
    pub fn empty_frame(&mut self) -> Box<Frame> {
        self.spare.pop().unwrap_or_else(Frame::boxed)
    }

    /// Takes back a frame whose packets are elsewhere now.
    #[inline(always)]
    pub fn give_back(&mut self, mut frame: Box<Frame>) {
        frame.clear();
        if self.spare.len() < SPARE {
            self.spare.push(frame);
        }
    }

    /// Sends one packet to a place. False, and the packet still the caller's, when there is no such place.
    #[inline(always)]
    #[must_use]
    pub fn put(&mut self, at: u16, index: u32) -> bool {
        let Some(place) = self.places.get_mut(usize::from(at)) else { return false };
        if !place.filling.push(index) {
            let mut next = self.spare.pop().unwrap_or_else(Frame::boxed);
            let fits = next.push(index);
            debug_assert!(fits);
            place.full.push_back(std::mem::replace(&mut place.filling, next));
        }
        self.pending[usize::from(at) / 64 % 4] |= 1 << (at % 64);
        true
    }

    /// Sends a whole frame to a place.
    #[inline(always)]
    pub fn put_frame(&mut self, at: u16, mut frame: Box<Frame>) {
        debug_assert!(usize::from(at) < self.places.len());
        if let Some(place) = self.places.get_mut(usize::from(at))
            && place.filling.is_empty()
        {
            if !frame.is_empty() {
                self.pending[usize::from(at) / 64 % 4] |= 1 << (at % 64);
            }
            std::mem::swap(&mut place.filling, &mut frame);
        } else {
            for index in frame.as_slice() {
                let _ = self.put(at, *index);
            }
        }
        self.give_back(frame);
    }

    /// Sends the packets of a frame where `nexts` says. Returns, in the frame, those that the node consumed.
    #[inline(always)]
    pub fn scatter(&mut self, from: usize, mut frame: Box<Frame>, nexts: &Nexts) -> Option<Box<Frame>> {
        let n = frame.len();
        if let Some(slot) = one_way(&nexts[..n])
            && let Some(target) = self.target(from, slot)
        {
            self.put_frame(target, frame);
            return None;
        }
        let mut consumed = 0;
        for (i, &slot) in nexts[..n].iter().enumerate() {
            let index = frame.as_slice()[i];
            if let Some(target) = self.target(from, slot) {
                let _ = self.put(target, index);
            } else if slot != GONE {
                debug_assert!(slot == SLOT_CONSUME || slot == SLOT_HOLD, "slot {slot} leads nowhere");
                frame.set(consumed, index);
                consumed += 1;
            }
        }
        frame.shorten(consumed);
        Some(frame)
    }

    /// The place behind a slot of another.
    #[inline(always)]
    pub fn target(&self, from: usize, slot: u8) -> Option<u16> {
        let target = *self.places.get(from)?.targets.get(usize::from(slot))?;
        (target != NOWHERE).then_some(target)
    }
}
