//! l2-learn: remembers that a frame's source is behind the port that it came in by.
//! Reads: rx interface, scratch.

use super::news::News;
use super::tables::{Bridging, Found};
use super::{flood, fwd};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::mac::Heard;
use millrace_wire::{Ethernet, MacAddr};
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
        let heard = self.bridging.stations.hear(found.station(src.0), found.source, found.behind);
        cx.trace(packet, || Trace(heard));
        if heard == Heard::Fixed {
            return cx.drop(Count::Fixed);
        }
        if heard != Heard::Known {
            self.changed(heard, src, packet, cx);
        }
        if dst.is_multicast() { Next::Flood } else { Next::Forward }
    }
}

impl Learn {
    #[cold]
    fn changed(&self, heard: Heard, mac: MacAddr, packet: &Packet<'_>, cx: &mut Ctx<'_, Learn>) {
        let Found { domain, behind, .. } = Found::of(packet);
        let interface = packet.meta.rx_interface;
        let (count, news) = match heard {
            Heard::Known | Heard::Fixed => return,
            Heard::New => (Count::New, None),
            Heard::Moved(from) => (Count::Moved, Some(News::Moved { domain, mac, from, to: behind, interface })),
            Heard::PortFull => (Count::PortFull, Some(News::PortFull { interface, mac })),
            Heard::BridgeFull => (Count::BridgeFull, Some(News::BridgeFull { interface, domain, mac })),
            Heard::TableFull => (Count::TableFull, None),
            Heard::Busy => (Count::Busy, None),
        };
        cx.count(count);
        if let Some(news) = news {
            self.bridging.journal.tell(news, cx.now());
        }
    }
}
