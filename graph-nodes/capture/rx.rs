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
