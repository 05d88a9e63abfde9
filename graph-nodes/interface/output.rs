//! interface-output: the last node that is the same for all protocols; starts the interface-output arc.
//! Reads: tx interface.

use millrace_engine::builtin::INTERFACE_TX;
use millrace_engine::node::NoTrace;
use millrace_engine::{ArcName, ArcPoint, Ctx, Node, NodeName, Packet, counters, edges};

/// Its name.
pub const NAME: NodeName = NodeName::new("interface-output");

/// Features on packets that leave, whole frames with their Ethernet header, by tx interface.
pub const ARC: ArcPoint = ArcPoint { name: ArcName::new("interface-output"), starts: &[NAME], end: INTERFACE_TX };

edges! {
    /// To the device.
    pub enum Next { Tx => INTERFACE_TX }
}

counters! {
    /// Nothing.
    pub enum Count {}
}

/// The node.
pub struct InterfaceOutput;

impl Node for InterfaceOutput {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let interface = packet.meta.tx_interface;
        cx.start_arc(packet, interface, Next::Tx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_engine::Feature;
    use millrace_engine::testing::Bench;

    #[test]
    fn features_of_the_interface_that_the_packet_leaves_by() {
        const FEATURE: NodeName = NodeName::new("feature");
        let mut bench = Bench::new(InterfaceOutput);
        let feature = Feature { arc: ARC.name, node: FEATURE, after: &[], before: &[] };
        bench.arc(&ARC, &[feature], &[(FEATURE, 2)]);
        for (interface, next) in [(1, "interface-tx"), (2, "feature"), (3, "interface-tx")] {
            let outcome = bench.run(&[b"frame"], |meta| meta.tx_interface = interface);
            assert_eq!(outcome.packets[0].next, next, "interface {interface}");
        }
    }
}
