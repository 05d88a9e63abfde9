//! interface-input: where frames of virtual interfaces come in, as those of devices do in device-input: counts them, and starts the
//! device-input arc.
//! Reads: rx interface.

use crate::ethernet;
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};

/// Its name.
pub const NAME: NodeName = NodeName::new("interface-input");

edges! {
    /// The arc's end.
    pub enum Next { Ethernet => ethernet::input::NAME }
}

counters! {
    /// Why frames end here.
    pub enum Count { Down => "interface is down" }
}

/// The node.
pub struct InterfaceInput;

impl Node for InterfaceInput {
    const NAME: NodeName = NAME;
    // Only at their metadata.
    const LOOKS: bool = false;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let interface = packet.meta.rx_interface;
        if !cx.is_up(interface) {
            return cx.drop(Count::Down);
        }
        let counters = cx.interface(interface);
        counters.rx_packets.add(1);
        counters.rx_bytes.add(packet.total_len() as u64);
        cx.start_arc(packet, interface, Next::Ethernet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_engine::Feature;
    use millrace_engine::builtin::DEVICE_INPUT_ARC;
    use millrace_engine::testing::Bench;

    #[test]
    fn frames_are_counted_and_start_the_arc_of_their_interface() {
        const FEATURE: NodeName = NodeName::new("feature");
        let mut bench = Bench::new(InterfaceInput);
        let feature = Feature { arc: DEVICE_INPUT_ARC.name, node: FEATURE, after: &[], before: &[] };
        bench.arc(&DEVICE_INPUT_ARC, &[feature], &[(FEATURE, 2)]);
        bench.set_up(3, false);
        let long = [7; 5000];
        for (interface, frame, next, counts) in [
            (1, &b"frame"[..], "ethernet-input", &[][..]),
            (2, &long[..], "feature", &[]),
            (3, b"frame", "drop", &[("interface is down", 1)]),
        ] {
            let outcome = bench.run(&[frame], |meta| meta.rx_interface = interface);
            assert_eq!((outcome.packets[0].next, &outcome.counts[..]), (next, counts), "interface {interface}");
            let counted = bench.interface(interface);
            let expected = if next == "drop" { (0, 0) } else { (1, frame.len() as u64) };
            assert_eq!((counted.rx_packets, counted.rx_bytes), expected, "interface {interface}");
        }
    }
}
