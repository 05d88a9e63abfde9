//! nat44-inside-guard: what comes from outside straight to an inside host, past the translation, ends here.
//! Reads: rx interface, marks.

use crate::nat44::parse::{Kind, parse};
use crate::nat44::rules::Rules;
use crate::nat44::{Nat44, in2out};
use crate::{ip, marks};
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Feature, Node, NodeName, Packet, counters, edges};
use millrace_tables::flow::Side;
use millrace_wire::Ipv4;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("nat44-inside-guard");

/// On for inside interfaces.
pub const FEATURE: Feature = Feature { arc: ip::lookup::ARC4.name, node: NAME, after: &[in2out::NAME], before: &[] };

edges! {
    /// Packets go on along the arc.
    pub enum Next {}
}

counters! {
    /// Why packets end here.
    pub enum Count {
        Straight => "from outside straight to an inside host",
        Short => "no IPv4 header",
    }
}

/// The node.
pub struct InsideGuard {
    nat: Nat44,
}

impl InsideGuard {
    /// Reads the rules.
    pub fn new(nat: Nat44) -> InsideGuard {
        InsideGuard { nat }
    }
}

/// Whether it is an ICMP error, from whomever, about a packet of `host` that was not translated.
#[cold]
fn is_about_exempt(rules: &Rules, packet: &Packet<'_>, host: Ipv4Addr) -> bool {
    let Ok(Kind::Error(quoted)) = parse(packet, Side::Outside).map(|parsed| parsed.kind) else { return false };
    quoted.view.destination() == host && rules.exempt(host, quoted.view.source())
}

impl Node for InsideGuard {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        if packet.meta.marks & (marks::NATTED | marks::OWN) == 0 {
            let rules = self.nat.rules(&cx.guard());
            let role = rules.role(packet.meta.rx_interface);
            if role.outside() && !role.inside() {
                let Some(header) = packet.header::<Ipv4>() else { return cx.drop(Count::Short) };
                // Networks that are not translated reach each other both ways.
                if !rules.exempt(header.dst(), header.src()) && !is_about_exempt(rules, packet, header.dst()) {
                    return cx.drop(Count::Straight);
                }
            }
        }
        cx.next_feature(packet)
    }
}
