//! bvi-output: frames that the router sends by a bridge's own routed interface, or a VLAN of it, enter the bridge; the last feature
//! of the interface-output arc there.
//! Reads: tx interface. Writes: rx interface, marks.

use super::input;
use crate::interface::sending::Sender;
use crate::marks;
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};

/// Its name.
pub const NAME: NodeName = NodeName::new("bvi-output");

edges! {
    /// Into the bridge.
    pub enum Next { Input => input::NAME }
}

counters! {
    /// Why frames end here.
    pub enum Count { Down => "interface is down" }
}

/// The node.
pub struct BviOutput;

impl Node for BviOutput {
    const NAME: NodeName = NAME;
    // Only at their metadata.
    const LOOKS: bool = false;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let sender = Sender::new(packet.meta.tx_interface, cx);
        if !sender.is_up(cx) {
            return sender.refuse(Count::Down, cx);
        }
        sender.count(packet.total_len(), cx);
        packet.meta.rx_interface = sender.hardware;
        packet.meta.marks &= marks::TUNNELS | marks::MIRRORED;
        Next::Input
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_engine::testing::Bench;

    /// How deep in tunnels it is, and that it is a mirror's.
    const KEPT: u32 = (2 * marks::ONE_TUNNEL) | marks::MIRRORED;

    #[test]
    fn frames_enter_the_bridge_and_are_counted() {
        let (bvi, vlan, down) = (5, 6, 7);
        let mut bench = Bench::new(BviOutput);
        bench.set_up(down, false);
        bench.set_hardware(vlan, bvi);
        for (interface, next, counts) in
            [(bvi, "l2-input", &[][..]), (vlan, "l2-input", &[]), (down, "drop", &[("interface is down", 1)])]
        {
            let outcome =
                bench.run(&[b"frame"], |meta| (meta.tx_interface, meta.marks) = (interface, marks::OWN | KEPT));
            let packet = &outcome.packets[0];
            assert_eq!((packet.next, &outcome.counts[..]), (next, counts), "interface {interface}");
            if next != "drop" {
                assert_eq!((packet.rx_interface, packet.marks), (bvi, KEPT), "interface {interface}");
            }
        }
        let sent = |interface| bench.interface(interface).tx_packets;
        assert_eq!((sent(bvi), sent(vlan), sent(down)), (2, 1, 0));
        assert_eq!(bench.interface(down).tx_drops, 1);
        assert_eq!(bench.interface(vlan).tx_bytes, 5);
    }
}
