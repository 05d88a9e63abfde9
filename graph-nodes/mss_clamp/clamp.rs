//! ip4-mss-clamp-in, ip4-mss-clamp-out, ip6-mss-clamp-in, ip6-mss-clamp-out: lower the maximum segment size in SYNs that come or leave
//! by an interface; features of the ip4-unicast, ip4-output, ip6-unicast and ip6-output arcs.
//! Reads: rx interface, tx interface. Writes: nothing.

use crate::forwarding::Forwarding;
use crate::mss_clamp::{Clamped, segment};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use std::fmt;
use std::marker::PhantomData;

edges! {
    /// Packets go on along the arc.
    pub enum Next {}
}

counters! {
    /// What was done.
    pub enum Count { Lowered => "maximum segment sizes lowered" }
}

/// What `show trace` tells of a SYN.
pub struct Trace {
    limit: u16,
    lowered: bool,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {}{}", self.limit, if self.lowered { ", lowered" } else { "" })
    }
}

/// The node: of packets that leave by an interface if `OUT`, of those that come by it if not.
pub struct MssClamp<F: Clamped, const OUT: bool> {
    forwarding: Forwarding,
    family: PhantomData<F>,
}

impl<F: Clamped, const OUT: bool> MssClamp<F, OUT> {
    /// Reads interfaces.
    pub fn new(forwarding: Forwarding) -> Self {
        MssClamp { forwarding, family: PhantomData }
    }
}

impl<F: Clamped, const OUT: bool> Node for MssClamp<F, OUT> {
    const NAME: NodeName = if OUT { F::OUT.node } else { F::IN.node };
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        if let Some(at) = F::tcp(packet)
            && packet.data().get(at..).is_some_and(segment::is_syn)
        {
            self.syn(at, packet, cx);
        }
        cx.next_feature(packet)
    }
}

impl<F: Clamped, const OUT: bool> MssClamp<F, OUT> {
    #[cold]
    fn syn(&self, at: usize, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) {
        let interface = if OUT { packet.meta.tx_interface } else { packet.meta.rx_interface };
        let interface = self.forwarding.interfaces.get(interface, &cx.guard());
        let Some(limit) = interface.and_then(F::limit) else { return };
        let lowered = packet.data_mut().get_mut(at..).is_some_and(|segment| segment::clamp(segment, limit));
        if lowered {
            cx.count(Count::Lowered);
        }
        cx.trace(packet, || Trace { limit, lowered });
    }
}

#[cfg(test)]
#[path = "clamp_tests.rs"]
mod tests;
