//! capture-rx, capture-tx, capture-tunnel: copy frames to the control plane, where it is switched on.
//! Reads: rx interface of what is received, tx interface of what is sent.

use super::{Captures, Copied, Direction};
use crate::{interface, tunnel};
use millrace_engine::builtin::DEVICE_INPUT_ARC;
use millrace_engine::node::NoTrace;
use millrace_engine::{ArcName, Ctx, Node, NodeName, Packet, counters, edges};
use std::marker::PhantomData;

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

/// Where frames are copied.
pub trait Place: Send + 'static {
    /// The node's name.
    const NAME: NodeName;
    /// The arc that it is on.
    const ARC: ArcName;
    /// Which way frames go there.
    const DIRECTION: Direction;
}

/// Frames from a device, or an interface that has none.
pub struct Rx;

impl Place for Rx {
    const NAME: NodeName = NodeName::new("capture-rx");
    const ARC: ArcName = DEVICE_INPUT_ARC.name;
    const DIRECTION: Direction = Direction::Rx;
}

/// Frames that are being sent, and packets into a tunnel without Ethernet.
pub struct Tx;

impl Place for Tx {
    const NAME: NodeName = NodeName::new("capture-tx");
    const ARC: ArcName = interface::output::ARC.name;
    const DIRECTION: Direction = Direction::Tx;
}

/// Packets out of a tunnel without Ethernet.
pub struct Tunnel;

impl Place for Tunnel {
    const NAME: NodeName = NodeName::new("capture-tunnel");
    const ARC: ArcName = tunnel::input::ARC.name;
    const DIRECTION: Direction = Direction::Rx;
}

/// The nodes.
pub struct Capture<P: Place> {
    captures: Captures,
    place: PhantomData<P>,
}

impl<P: Place> Capture<P> {
    /// Copies go to `captures`.
    pub fn new(captures: Captures) -> Capture<P> {
        Capture { captures, place: PhantomData }
    }
}

impl<P: Place> Node for Capture<P> {
    const NAME: NodeName = P::NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let interface = match P::DIRECTION {
            Direction::Rx => packet.meta.rx_interface,
            Direction::Tx => packet.meta.tx_interface,
        };
        match self.captures.offer(packet, interface, P::DIRECTION, cx) {
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
    use millrace_engine::testing::Bench;
    use millrace_engine::{ArcPoint, Feature, Waker};
    use std::sync::Arc;

    const LATER: NodeName = NodeName::new("later");

    fn bench<P: Place>(point: &ArcPoint) -> (Captures, Bench<Capture<P>>) {
        let captures = Captures::new(Waker::new().unwrap());
        let mut bench = Bench::new(Capture::<P>::new(captures.clone()));
        let feature = |node, after| Feature { arc: P::ARC, node, after, before: &[] };
        let on = [(P::NAME, LAN), (P::NAME, WAN), (LATER, WAN)];
        bench.arc(point, &[feature(P::NAME, &[]), feature(LATER, &[P::NAME])], &on);
        (captures, bench)
    }

    fn received() -> (Captures, Bench<Capture<Rx>>) {
        bench(&ArcPoint { end: crate::ethernet::input::NAME, ..DEVICE_INPUT_ARC })
    }

    #[test]
    fn a_copy_waits_and_the_frame_goes_on() {
        let (captures, mut bench) = received();
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
        let (captures, mut bench) = received();
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
        let (captures, mut bench) = received();
        let many: Vec<&[u8]> = vec![b"frame"; 256];
        (0..QUEUE / 256).for_each(|_| assert_eq!(bench.run(&many, |_| {}).counts, [("frames copied", 256)]));
        let outcome = bench.one(b"frame");
        assert_eq!(fate(&outcome), ("ethernet-input", &[("queue to the control plane is full", 1)][..]));
        assert!(captures.pop().is_some());
        assert_eq!(bench.one(b"frame").counts, [("frames copied", 1)]);
    }

    #[test]
    fn by_the_interface_that_it_came_in_or_leaves_by() {
        fn copied<P: Place>(point: &ArcPoint, next: &str) -> (u32, Direction) {
            let (captures, mut bench) = bench::<P>(point);
            let outcome = bench.run(&[b"frame"], |meta| (meta.rx_interface, meta.tx_interface) = (LAN, WAN));
            assert_eq!(outcome.packets[0].next, next);
            captures.pop().map(|copy| (copy.interface, copy.direction)).unwrap()
        }
        let device = ArcPoint { end: crate::ethernet::input::NAME, ..DEVICE_INPUT_ARC };
        assert_eq!(copied::<Rx>(&device, "ethernet-input"), (LAN, Direction::Rx));
        assert_eq!(copied::<Tunnel>(&tunnel::input::ARC, "ip-input"), (LAN, Direction::Rx));
        assert_eq!(copied::<Tx>(&interface::output::ARC, "interface-tx"), (WAN, Direction::Tx));
    }
}
