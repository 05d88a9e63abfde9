//! l2-output: whether a frame may leave by the port that was chosen, and with which tags.
//! Reads: rx interface, tx interface, scratch.

use super::bvi_input;
use super::port::{Port, PortKind};
use super::tables::{Bridging, Found};
use super::tagging::{Refused, leave, tags};
use crate::interface;
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{Ethernet, Vlan};

/// Its name.
pub const NAME: NodeName = NodeName::new("l2-output");

edges! {
    /// Out, or to the router itself.
    pub enum Next { Output => interface::output::NAME, Bvi => bvi_input::NAME }
}

counters! {
    /// Why frames end here.
    pub enum Count {
        SamePort => "destination is behind the port that it came from",
        Apart => "ports are kept apart",
        NoPort => "interface is no port any more",
        OtherDomain => "port is not in the bridge or VLAN of the frame",
        NoTags => "frame doesn't have the tags that the port's frames have",
        TooLong => "longer than the port's MTU",
        NoRoom => "no room for a tag",
    }
}

/// The node.
pub struct Output {
    /// Reads: ports.
    pub bridging: Bridging,
}

impl Node for Output {
    const NAME: NodeName = NAME;
    // Only where there are tags, or the MTU is at stake.
    const LOOKS: bool = false;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let (rx, tx) = (packet.meta.rx_interface, packet.meta.tx_interface);
        if rx == tx {
            // Two stations on one wire, who have heard each other (802.1Q clause 8.6.1).
            return cx.drop(Count::SamePort);
        }
        let Some(to) = self.bridging.ports.get(tx, &cx.guard()) else { return cx.drop(Count::NoPort) };
        if to.may_be_apart() && !self.reaches(rx, to, cx) {
            return cx.drop(Count::Apart);
        }
        if !to.is_plain() {
            return self.tagged(to, packet, cx);
        }
        if to.domain != Found::of(packet).domain {
            return cx.drop(Count::OtherDomain);
        }
        out(to, packet, cx)
    }
}

/// By a port that takes the frame, if it isn't too long for it.
#[inline(always)]
fn out(to: &Port, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Output>) -> Next {
    if packet.total_len() > usize::from(to.mtu) + Ethernet::LEN {
        return long(to, packet, cx);
    }
    by_kind(to.kind)
}

#[inline(always)]
const fn by_kind(kind: PortKind) -> Next {
    match kind {
        PortKind::Device => Next::Output,
        PortKind::Bvi => Next::Bvi,
    }
}

impl Output {
    fn reaches(&self, from: u32, to: &Port, cx: &Ctx<'_, Output>) -> bool {
        self.bridging.ports.get(from, &cx.guard()).is_some_and(|from| from.reaches(to))
    }

    #[inline(never)]
    fn tagged(&self, to: &Port, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Output>) -> Next {
        let found = Found::of(packet);
        let domain = self.bridging.domains.get(found.domain.into(), &cx.guard());
        let Some(domain) = domain.filter(|domain| to.carries(found.domain, domain.vlan)) else {
            return cx.drop(Count::OtherDomain);
        };
        match leave(to, packet, (found.domain, domain.vlan), found.priority) {
            Ok(()) => out(to, packet, cx),
            Err(Refused::NoRoom) => cx.drop(Count::NoRoom),
            Err(Refused::Short | Refused::Tagged | Refused::Untagged | Refused::NoVlan) => cx.drop(Count::NoTags),
        }
    }
}

/// A packet that may be longer than the port's longest, not counting its tags, which come on top (IEEE 802.3 clause 3.2.7).
#[cold]
fn long(to: &Port, packet: &Packet<'_>, cx: &mut Ctx<'_, Output>) -> Next {
    if packet.total_len() > usize::from(to.mtu) + Ethernet::LEN + tags(packet) * Vlan::LEN {
        return cx.drop(Count::TooLong);
    }
    by_kind(to.kind)
}
