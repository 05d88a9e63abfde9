//! cross-connect: sends every frame of an interface out by another one; a feature of the device-input arc.
//! Reads: rx interface. Writes: tx interface.
//!
//! What becomes of frames when the other interface is down or gone is told by interface-tx, as of any packet.

use crate::cross_connect::CrossConnects;
use crate::interface;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("cross-connect");

edges! {
    /// Out by the other interface.
    pub enum Next { Output => interface::output::NAME }
}

counters! {
    /// Nothing.
    pub enum Count {}
}

/// What `show trace` tells.
pub struct Trace {
    target: u32,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target {
            0 => write!(f, "off"),
            target => write!(f, "interface {target}"),
        }
    }
}

/// The node.
pub struct CrossConnect {
    /// Reads: the interfaces that frames leave by.
    pub connects: CrossConnects,
}

impl Node for CrossConnect {
    const NAME: NodeName = NAME;
    // Only at their metadata, which device-input has just written.
    const LOOKS: bool = false;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let target = self.connects.target(packet.meta.rx_interface);
        cx.trace(packet, || Trace { target });
        // It was switched off a moment ago.
        if target == 0 {
            return cx.next_feature(packet);
        }
        packet.meta.tx_interface = target;
        Next::Output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross_connect::FEATURE;
    use crate::testing::*;
    use millrace_engine::builtin::DEVICE_INPUT_ARC;
    use millrace_engine::counters::MAX_INTERFACES;
    use millrace_engine::testing::Bench;
    use millrace_engine::{ArcPoint, Feature};

    fn bench(connects: &CrossConnects) -> Bench<CrossConnect> {
        let mut bench = Bench::new(CrossConnect { connects: connects.clone() });
        let point = ArcPoint { end: crate::ethernet::input::NAME, ..DEVICE_INPUT_ARC };
        bench.arc(&point, &[Feature { after: &[], ..FEATURE }], &[(NAME, LAN), (NAME, WAN)]);
        bench
    }

    #[test]
    fn every_frame_leaves_by_the_other_interface_as_it_came() {
        let connects = CrossConnects::new();
        connects.set(LAN, Some(WAN));
        let mut bench = bench(&connects);
        let long = udp_with(HOST, PEER, 5000, |_| {});
        for (name, frame) in
            [("no header at all", &b"x"[..]), ("anything", b"not Ethernet"), ("several buffers", &long)]
        {
            let outcome = bench.run(&[frame], |meta| meta.rx_interface = LAN);
            assert_eq!(fate(&outcome), ("interface-output", &[][..]), "{name}");
            assert_eq!((&outcome.packets[0].data[..], outcome.packets[0].tx_interface), (frame, WAN), "{name}");
        }
    }

    #[test]
    fn each_interface_has_its_own_and_changes_are_seen_at_once() {
        let connects = CrossConnects::default();
        let last = MAX_INTERFACES as u32 - 1;
        connects.set(LAN, Some(last));
        connects.set(last, Some(LAN));
        connects.set(MAX_INTERFACES as u32, Some(7));
        let mut bench = bench(&connects);
        let mut sent = |interface| {
            let outcome = bench.run(&[b"frame"], |meta| meta.rx_interface = interface);
            (outcome.packets[0].next, outcome.packets[0].tx_interface)
        };
        assert_eq!((sent(LAN), sent(last)), (("interface-output", last), ("interface-output", LAN)));
        connects.set(LAN, Some(WAN));
        assert_eq!(sent(LAN), ("interface-output", WAN));
        connects.set(LAN, None);
        assert_eq!((sent(LAN).0, sent(WAN).0), ("ethernet-input", "ethernet-input"));
        assert_eq!(sent(last), ("interface-output", LAN));
    }

    #[test]
    fn traces() {
        let connects = CrossConnects::new();
        let mut bench = bench(&connects);
        assert_eq!(bench.traced(b"frame", |meta| meta.rx_interface = LAN).1, "off");
        connects.set(LAN, Some(WAN));
        assert_eq!(bench.traced(b"frame", |meta| meta.rx_interface = LAN).1, "interface 2");
    }
}
