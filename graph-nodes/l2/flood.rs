//! l2-flood: a frame for every port of the domain that it may reach but the one it came from.
//! Reads: rx interface, scratch. Writes: tx interface.

use super::output;
use super::tables::{Bridging, Found};
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};

/// Its name.
pub const NAME: NodeName = NodeName::new("l2-flood");

edges! {
    /// A copy to each.
    pub enum Next { Output => output::NAME }
}

counters! {
    /// What became of frames.
    pub enum Count {
        Copies => "copies made",
        Nobody => "no other port to flood to",
        NoBuffer => "no free buffer for a copy",
        NoPort => "interface is no port any more",
    }
}

/// The node.
pub struct Flood {
    /// Reads: domains, ports.
    pub bridging: Bridging,
}

impl Node for Flood {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let guard = cx.guard();
        let (ports, rx) = (&self.bridging.ports, packet.meta.rx_interface);
        let (Some(from), Some(domain)) =
            (ports.get(rx, &guard), self.bridging.domains.get(Found::of(packet).domain.into(), &guard))
        else {
            return cx.drop(Count::NoPort);
        };
        let reached = |to: &&u32| **to != rx && ports.get(**to, &guard).is_some_and(|to| from.reaches(to));
        let mut reached = domain.members.iter().filter(reached);
        // The frame itself goes to the first, copies to the others.
        let Some(first) = reached.next() else { return cx.consume(Count::Nobody) };
        for to in reached {
            if copy(packet, *to, cx).is_none() {
                cx.count(Count::NoBuffer);
            }
        }
        packet.meta.tx_interface = *first;
        Next::Output
    }
}

fn copy(packet: &Packet<'_>, to: u32, cx: &mut Ctx<'_, Flood>) -> Option<()> {
    let mut copy = cx.alloc()?;
    for segment in packet.segments() {
        if !copy.append(segment, || cx.alloc_more()) {
            cx.free(copy);
            return None;
        }
    }
    let meta = copy.packet().meta;
    (meta.rx_interface, meta.tx_interface) = (packet.meta.rx_interface, to);
    cx.count(Count::Copies);
    cx.send(copy, Next::Output);
    Some(())
}
