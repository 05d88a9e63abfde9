//! l2-learn: remembers that a frame's source is behind the port that it came in by.
//! Reads: rx interface, scratch.

use super::news::News;
use super::tables::{Bridging, Found};
use super::{flood, fwd, snoop};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::mac::{Heard, Station};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("l2-learn");

edges! {
    /// By the destination.
    pub enum Next { Forward => fwd::NAME, Flood => flood::NAME, Snoop => snoop::node::NAME }
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
        let found = Found::of(packet);
        let heard = self.bridging.stations.hear(found.source, found.source_place, found.behind);
        cx.trace(packet, move || Trace(heard));
        if heard != Heard::Known && self.changed(heard, found.source, found.behind, packet.meta.rx_interface, cx) {
            return cx.drop(Count::Fixed);
        }
        match found.destination.is_group() {
            _ if found.look => Next::Snoop,
            true => Next::Flood,
            false => Next::Forward,
        }
    }
}

impl Learn {
    /// Counts and tells what hearing a station changed, or failed to; whether its frame comes from somebody else.
    #[cold]
    fn changed(&self, heard: Heard, source: Station, behind: u16, interface: u32, cx: &mut Ctx<'_, Learn>) -> bool {
        let (domain, mac) = (source.bridge(), source.mac());
        let (count, news) = match heard {
            Heard::Known => (None, None),
            Heard::New => (Some(Count::New), None),
            Heard::Moved(from) => (Some(Count::Moved), Some(News::Moved { domain, mac, from, to: behind, interface })),
            Heard::Fixed => (None, Some(News::Spoofed { interface, mac })),
            Heard::PortFull => (Some(Count::PortFull), Some(News::PortFull { interface, mac })),
            Heard::BridgeFull => (Some(Count::BridgeFull), Some(News::BridgeFull { interface, domain, mac })),
            Heard::TableFull => (Some(Count::TableFull), None),
            Heard::Busy => (Some(Count::Busy), None),
        };
        if let Some(count) = count {
            cx.count(count);
        }
        if let Some(news) = news {
            self.bridging.journal.tell(news, cx.now());
        }
        heard == Heard::Fixed
    }
}
