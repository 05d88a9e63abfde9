//! l2-learn: remembers that a frame's source is behind the port that it came in by.
//! Reads: rx interface, scratch.

use super::tables::{Bridging, Found};
use super::{flood, fwd};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::mac::Heard;
use millrace_wire::Ethernet;
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("l2-learn");

edges! {
    /// By the destination.
    pub enum Next { Forward => fwd::NAME, Flood => flood::NAME }
}

counters! {
    /// What it learnt, and what it could not.
    pub enum Count {
        New => "stations learnt",
        Moved => "stations moved",
        Fixed => "source MAC is fixed to another port",
        PortFull => "not learnt: port has its most stations",
        BridgeFull => "not learnt: bridge has its most stations",
        TableFull => "not learnt: table is full",
        Busy => "not learnt: another worker is at it",
        Short => "shorter than its Ethernet header",
    }
}

/// What `show trace` tells.
pub struct Trace(Heard);

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Heard::Known => write!(f, "source is known"),
            Heard::New => write!(f, "source learnt"),
            Heard::Moved(from) => write!(f, "source moved from interface {from}"),
            Heard::Fixed => write!(f, "source is fixed to another port"),
            Heard::PortFull | Heard::BridgeFull | Heard::TableFull | Heard::Busy => write!(f, "source not learnt"),
        }
    }
}

/// The node.
pub struct Learn {
    /// Writes: stations.
    pub bridging: Bridging,
}

impl Node for Learn {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&Ethernet { src, dst, .. }) = packet.header::<Ethernet>() else { return cx.drop(Count::Short) };
        let found = Found::of(packet);
        let heard = self.bridging.stations.hear(found.station(src.0), found.source, packet.meta.rx_interface as u16);
        cx.trace(packet, || Trace(heard));
        if heard == Heard::Fixed {
            return cx.drop(Count::Fixed);
        }
        if heard != Heard::Known {
            changed(heard, cx);
        }
        if dst.is_multicast() { Next::Flood } else { Next::Forward }
    }
}

#[cold]
fn changed(heard: Heard, cx: &mut Ctx<'_, Learn>) {
    let count = match heard {
        Heard::Known | Heard::Fixed => return,
        Heard::New => Count::New,
        Heard::Moved(_) => Count::Moved,
        Heard::PortFull => Count::PortFull,
        Heard::BridgeFull => Count::BridgeFull,
        Heard::TableFull => Count::TableFull,
        Heard::Busy => Count::Busy,
    };
    cx.count(count);
}
