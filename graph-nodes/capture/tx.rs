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
