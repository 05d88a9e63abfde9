//! mirror-rx and mirror-tx: copy frames to where mirrors want them, while the frames go on along their arc.
//! Reads: rx or tx interface, marks. Writes, in copies: tx interface, marks, adjacency, flow hash.

use super::tap::{Mirror, Target};
use super::{Mirrors, Tap};
use crate::capture::{Copied, Direction};
use crate::{interface, marks};
use millrace_engine::epoch::Slots;
use millrace_engine::pool::Meta;
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{Ethernet, Tags};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Interfaces that there is room for before a frame is copied to more.
const USUAL: usize = 16;

edges! {
    /// Copies leave; frames go on along the arc.
    pub enum Next { Output => interface::output::NAME }
}

counters! {
    /// What became of copies.
    pub enum Count {
        Copied => "frames copied",
        Down => "not copied: target is down",
        NoBuffer => "not copied: no free buffer",
        QueueFull => "not copied: the file's queue is full",
    }
}

/// What `show trace` tells.
pub struct Trace {
    interfaces: usize,
    again: bool,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.again, self.interfaces) {
            (true, _) => write!(f, "is a copy itself"),
            (false, 0) => write!(f, "to no interface"),
            (false, 1) => write!(f, "to 1 interface"),
            (false, n) => write!(f, "to {n} interfaces"),
        }
    }
}

/// What differs between what is received and what is sent.
pub trait Side: Send + 'static {
    /// The node's name.
    const NAME: NodeName;
    /// What a capture file says.
    const DIRECTION: Direction;

    /// The interface that frames are tapped by.
    fn interface(meta: &Meta) -> u32;

    /// Who taps them.
    fn taps(mirrors: &Mirrors) -> &Slots<Vec<Tap>>;
}

/// The node.
pub struct MirrorNode<S> {
    /// Reads: who taps which interface.
    mirrors: Mirrors,
    /// The mirrors that want the frame at hand by an interface, and these.
    to: Vec<(Arc<Mirror>, u32, Option<Tags>)>,
    _side: PhantomData<S>,
}

impl<S> MirrorNode<S> {
    /// For these.
    pub fn new(mirrors: Mirrors) -> MirrorNode<S> {
        MirrorNode { mirrors, to: Vec::with_capacity(USUAL), _side: PhantomData }
    }
}

impl<S: Side> Node for MirrorNode<S> {
    const NAME: NodeName = S::NAME;
    const HOLDS: bool = true;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        self.to.clear();
        let interface = S::interface(packet.meta);
        let again = packet.meta.marks & marks::MIRRORED != 0;
        let taps = S::taps(&self.mirrors).get(interface, &cx.guard()).filter(|_| !again);
        for Tap { mirror, only } in taps.into_iter().flatten() {
            if only.as_ref().is_some_and(|only| !only.match_frame(packet.data())) {
                continue;
            }
            let Some(counts) = mirror.counts.get(cx.worker()) else { continue };
            if !mirror.is_up() {
                counts.down.add(1);
                cx.count(Count::Down);
                continue;
            }
            if !mirror.take() {
                continue;
            }
            match mirror.target() {
                Target::Interface(target, tags) => self.to.push((mirror.clone(), *target, *tags)),
                Target::File(captures) => match captures.offer(packet, interface, S::DIRECTION, cx) {
                    Copied::Yes => {
                        counts.copied.add(1);
                        cx.count(Count::Copied);
                    }
                    Copied::QueueFull | Copied::NotWanted => {
                        mirror.untake();
                        counts.queue_full.add(1);
                        cx.count(Count::QueueFull);
                    }
                },
            }
        }
        cx.trace(packet, || Trace { interfaces: self.to.len(), again });
        if self.to.is_empty() { cx.next_feature(packet) } else { cx.hold() }
    }

    fn hold(&mut self, frame: Buffer, cx: &mut Ctx<'_, Self>) {
        let mut copies = cx.share(frame, self.to.len() + 1);
        let Some(mut frame) = copies.next(cx) else { return };
        let next = cx.next_feature(&mut frame.packet());
        cx.send(frame, next);
        for (mirror, target, tags) in self.to.drain(..) {
            let Some(counts) = mirror.counts.get(cx.worker()) else { continue };
            let Some(mut copy) = copies.next(cx) else {
                mirror.untake();
                counts.no_buffer.add(1);
                cx.count(Count::NoBuffer);
                continue;
            };
            let mut packet = copy.packet();
            packet.truncate(mirror.snap_length);
            if let Some(tags) = tags {
                put_on(tags, &mut packet);
            }
            let meta = packet.meta;
            meta.tx_interface = target;
            // Of all that is known of the frame only how deep in tunnels it is holds for the copy.
            meta.marks = meta.marks & marks::TUNNELS | marks::MIRRORED;
            (meta.adjacency, meta.flow_hash) = (0, 0);
            counts.copied.add(1);
            cx.count(Count::Copied);
            cx.send(copy, Next::Output);
        }
    }
}

/// Puts the tags of a sub-interface in front of what a frame has behind its addresses. One without an Ethernet header stays as it is.
fn put_on(tags: Tags, packet: &mut Packet<'_>) {
    let Some(header) = packet.header::<Ethernet>() else { return };
    let header = tags.header(header.dst, header.src, header.ether_type());
    let len = Ethernet::LEN + tags.len();
    if packet.retreat(tags.len())
        && let (Some(to), Some(header)) = (packet.data_mut().get_mut(..len), header.get(..len))
    {
        to.copy_from_slice(header);
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
