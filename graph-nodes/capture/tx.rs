//! capture-tx: copies frames that are being sent to the control plane, where it is switched on; on the
//! interface-output arc. Reads: tx interface.

use crate::capture::{Captures, Copied, Direction};
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};

/// Its name.
pub const NAME: NodeName = NodeName::new("capture-tx");

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
pub struct CaptureTx {
    /// Where copies go.
    pub captures: Captures,
}

impl Node for CaptureTx {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        match self.captures.offer(packet, packet.meta.tx_interface, Direction::Tx, cx) {
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
    use crate::interface::output::ARC;
    use crate::testing::{LAN, WAN, fate};
    use millrace_engine::testing::Bench;
    use millrace_engine::{Feature, Waker};

    #[test]
    fn by_the_interface_that_the_frame_leaves_by() {
        let captures = Captures::new(Waker::new().unwrap());
        let mut bench = Bench::new(CaptureTx { captures: captures.clone() });
        bench.arc(&ARC, &[Feature { arc: ARC.name, node: NAME, after: &[], before: &[] }], &[]);
        let outcome = bench.run(&[b"frame"], |meta| (meta.rx_interface, meta.tx_interface) = (LAN, WAN));
        assert_eq!(fate(&outcome), ("interface-tx", &[("frames copied", 1)][..]));
        let copy = captures.pop().unwrap();
        assert_eq!((copy.interface, copy.direction, &copy.bytes[..]), (WAN, Direction::Tx, &b"frame"[..]));
    }
}
