//! bvi-input: frames of a bridge to its own routed interface, which receives them.
//! Reads: tx interface. Writes: rx interface, marks.

use crate::{interface, marks};
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};

/// Its name.
pub const NAME: NodeName = NodeName::new("bvi-input");

edges! {
    /// Received.
    pub enum Next { Input => interface::input::NAME }
}

counters! {
    /// Nothing.
    pub enum Count {}
}

/// The node.
pub struct BviInput;

impl Node for BviInput {
    const NAME: NodeName = NAME;
    // Only at their metadata.
    const LOOKS: bool = false;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, _: &mut Ctx<'_, Self>) -> Next {
        packet.meta.rx_interface = packet.meta.tx_interface;
        packet.meta.marks &= marks::TUNNELS | marks::MIRRORED;
        Next::Input
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_engine::testing::Bench;

    /// How deep in tunnels it is, and that it is a mirror's.
    const KEPT: u32 = marks::ONE_TUNNEL | marks::MIRRORED;

    #[test]
    fn the_frame_is_the_interfaces_and_bears_no_marks_of_where_it_was() {
        let mut bench = Bench::new(BviInput);
        let all = bench.run(&[b"frame"], |meta| {
            (meta.rx_interface, meta.tx_interface, meta.marks) = (1, 9, marks::OWN | marks::TAGGED | KEPT);
        });
        let packet = &all.packets[0];
        assert_eq!((packet.next, packet.rx_interface, packet.marks), ("interface-input", 9, KEPT));
        assert_eq!(packet.data, b"frame");
    }
}
