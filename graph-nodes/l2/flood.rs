//! l2-flood: a frame for every port of the domain that it may reach but the one it came from.
//! Reads: rx interface, scratch. Writes: tx interface.
//!
//! Long frames are not copied: their ports' packets share the bytes behind the headers ([`Ctx::share`]). Only the router's own
//! interface in the bridge gets a frame for itself, whose bytes it may change.

use super::output;
use super::port::PortKind;
use super::tables::{Bridging, Found};
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("l2-flood");

edges! {
    /// A copy to each.
    pub enum Next { Output => output::NAME }
}

counters! {
    /// What became of frames.
    pub enum Count {
        Copies => "copies made",
        Nobody => "no other port to flood to",
        NoBuffer => "no free buffer for a copy",
        NoPort => "interface is no port any more",
    }
}

/// What `show trace` tells.
pub struct Trace(usize);

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to {} port{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// A port that a frame goes to.
#[derive(Clone, Copy)]
struct To {
    interface: u32,
    bvi: bool,
}

/// The node.
pub struct Flood {
    /// Reads: domains, ports.
    bridging: Bridging,
    /// The ports of the frame at hand: never more than there are interfaces.
    to: Vec<To>,
}

impl Flood {
    /// With these tables.
    pub fn new(bridging: Bridging) -> Flood {
        Flood { bridging, to: Vec::with_capacity(MAX_INTERFACES) }
    }
}

impl Node for Flood {
    const NAME: NodeName = NAME;
    const HOLDS: bool = true;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let guard = cx.guard();
        let (ports, rx) = (&self.bridging.ports, packet.meta.rx_interface);
        let found = Found::of(packet);
        let domain = self.bridging.domains.get(found.domain.into(), &guard);
        let (Some(from), Some(domain)) = (ports.get(rx, &guard), domain) else { return cx.drop(Count::NoPort) };
        // A group that hosts join goes to those who did.
        let snoop = &self.bridging.snoop;
        let wanted = if found.look { snoop.wanted(packet, found.domain, &guard) } else { None };
        let wants = |to: &&u32| **to != rx && wanted.is_none_or(|wanted| wanted.binary_search(to).is_ok());
        let reached = domain.members.iter().filter(wants).filter_map(|to| {
            let port = ports.get(*to, &guard).filter(|port| from.reaches(port))?;
            Some(To { interface: *to, bvi: port.kind == PortKind::Bvi })
        });
        self.to.clear();
        self.to.extend(reached.take(MAX_INTERFACES));
        cx.trace(packet, || Trace(self.to.len()));
        match self.to.as_slice() {
            [] => cx.consume(Count::Nobody),
            [only] => {
                packet.meta.tx_interface = only.interface;
                Next::Output
            }
            // All of them one way, so that a flow's frames, long and short, stay in their order.
            _ => cx.hold(),
        }
    }

    fn hold(&mut self, frame: Buffer, cx: &mut Ctx<'_, Self>) {
        let mut copies = cx.share(frame, self.to.len());
        let mut to = self.to.iter();
        let mut made = 0u64;
        while let (Some(to), Some(mut copy)) = (to.next(), copies.next(cx)) {
            made += 1;
            copy.packet().meta.tx_interface = to.interface;
            let next = if to.bvi && !cx.unshare(&mut copy) { cx.drop(Count::NoBuffer) } else { Next::Output };
            cx.send(copy, next);
        }
        cx.count_n(Count::Copies, made.saturating_sub(1));
        let missing = self.to.len() as u64 - made;
        if missing > 0 {
            cx.count_n(Count::NoBuffer, missing);
        }
    }
}

#[cfg(test)]
#[path = "flood_tests.rs"]
mod tests;
