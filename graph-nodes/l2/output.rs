//! l2-output: whether a frame may leave by the port that was chosen.
//! Reads: rx interface, tx interface.

use super::bvi_input;
use super::port::PortKind;
use super::tables::{Bridging, Found};
use crate::interface;
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};

/// Its name.
pub const NAME: NodeName = NodeName::new("l2-output");

edges! {
    /// Out, or to the router itself.
    pub enum Next { Output => interface::output::NAME, Bvi => bvi_input::NAME }
}

counters! {
    /// Why frames end here.
    pub enum Count {
        SamePort => "destination is behind the port that it came from",
        Apart => "ports are kept apart",
        NoPort => "interface is no port any more",
    }
}

/// The node.
pub struct Output {
    /// Reads: ports.
    pub bridging: Bridging,
}

impl Node for Output {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let (rx, tx) = (packet.meta.rx_interface, packet.meta.tx_interface);
        if rx == tx {
            // Two stations on one wire, who have heard each other (802.1Q clause 8.6.1).
            return cx.drop(Count::SamePort);
        }
        let port = |interface| self.bridging.ports.get(interface, &cx.guard());
        let (Some(from), Some(to)) = (port(rx), port(tx)) else { return cx.drop(Count::NoPort) };
        if to.domain != Found::of(packet).domain {
            return cx.drop(Count::NoPort);
        }
        if !from.reaches(to) {
            return cx.drop(Count::Apart);
        }
        match to.kind {
            PortKind::Device => Next::Output,
            PortKind::Bvi => Next::Bvi,
        }
    }
}
