//! capture-rx: copies received frames to the control plane, where it is switched on; on the device-input arc.
//! Reads: rx interface.

use crate::capture::{Captures, Copied, Direction};
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};

/// Its name.
pub const NAME: NodeName = NodeName::new("capture-rx");

edges! {
    /// Packets go on along the arc.
    pub enum Next {}
}

counters! {
    /// What was copied.
    pub enum Count {
        Copied => "frames copied",
        QueueFull => "queue to the control plane is full",
    }
}

/// The node.
pub struct CaptureRx {
    /// Where copies go.
    pub captures: Captures,
}

impl Node for CaptureRx {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        match self.captures.offer(packet, packet.meta.rx_interface, Direction::Rx, cx) {
            Copied::Yes => cx.count(Count::Copied),
            Copied::QueueFull => cx.count(Count::QueueFull),
            Copied::NotWanted => {}
        }
        cx.next_feature(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Captured, QUEUE, WHOLE};
    use crate::testing::*;
    use millrace_engine::builtin::DEVICE_INPUT_ARC;
    use millrace_engine::testing::Bench;
    use millrace_engine::{ArcPoint, Feature, Waker};
    use std::sync::Arc;

    const LATER: NodeName = NodeName::new("later");

    fn bench() -> (Captures, Bench<CaptureRx>) {
        let captures = Captures::new(Waker::new().unwrap());
        let mut bench = Bench::new(CaptureRx { captures: captures.clone() });
        let point = ArcPoint { end: crate::ethernet::input::NAME, ..DEVICE_INPUT_ARC };
        let feature = |node, after| Feature { arc: point.name, node, after, before: &[] };
        bench.arc(&point, &[feature(NAME, &[]), feature(LATER, &[NAME])], &[(NAME, LAN), (NAME, WAN), (LATER, WAN)]);
        (captures, bench)
    }

    #[test]
    fn a_copy_waits_and_the_frame_goes_on() {
        let (captures, mut bench) = bench();
        for (name, bytes) in [("short", 10), ("over several buffers", 5000)] {
            let frame = udp_with(HOST, PEER, bytes, |_| {});
            bench.now = 1234;
            let outcome = bench.one(&frame);
            assert_eq!(fate(&outcome), ("ethernet-input", &[("frames copied", 1)][..]), "{name}");
            assert_eq!(outcome.packets[0].data, frame, "{name}");
            let (interface, direction) = (LAN, Direction::Rx);
            let copy = Captured { time: 1234, interface, direction, length: frame.len(), bytes: frame };
            assert_eq!((captures.pop(), captures.pop()), (Some(copy), None), "{name}");
        }
        let outcome = bench.run(&[b"frame"], |meta| meta.rx_interface = WAN);
        assert_eq!(outcome.packets[0].next, "later");
    }

    #[test]
    fn as_much_as_is_wanted_of_what_is_wanted() {
        let (captures, mut bench) = bench();
        captures.set_filter(Some(Arc::new(|frame: &[u8]| frame.starts_with(b"yes"))), 5);
        assert_eq!(fate(&bench.one(b"no")), ("ethernet-input", &[][..]));
        assert_eq!(fate(&bench.one(b"yes, but")), ("ethernet-input", &[("frames copied", 1)][..]));
        let copy = captures.pop().unwrap();
        assert_eq!((copy.length, &copy.bytes[..]), (8, &b"yes, "[..]));
        captures.set_filter(None, WHOLE);
        bench.one(b"no");
        assert_eq!(captures.pop().unwrap().bytes, b"no");
        assert_eq!(captures.pop(), None);
    }

    #[test]
    fn a_full_queue_is_counted() {
        let (captures, mut bench) = bench();
        let many: Vec<&[u8]> = vec![b"frame"; 256];
        (0..QUEUE / 256).for_each(|_| assert_eq!(bench.run(&many, |_| {}).counts, [("frames copied", 256)]));
        let outcome = bench.one(b"frame");
        assert_eq!(fate(&outcome), ("ethernet-input", &[("queue to the control plane is full", 1)][..]));
        assert!(captures.pop().is_some());
        assert_eq!(bench.one(b"frame").counts, [("frames copied", 1)]);
    }
}
