//! nat44-hairpin: packets from inside hosts to external addresses that other inside hosts are behind (RFC 4787 REQ-9): their source is
//! translated as if they went out, then their destination as if they came in.
//! Reads: marks. Writes: marks.

use crate::icmp::error::Reason;
use crate::nat44::{Nat44, external_view, in2out};
use crate::{icmp, ip4, marks};
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Feature, Node, NodeName, Packet, counters, edges};
use millrace_wire::Ipv4;

/// Its name.
pub const NAME: NodeName = NodeName::new("nat44-hairpin");

/// On for inside interfaces.
pub const FEATURE: Feature = Feature { arc: ip4::local::ARC.name, node: NAME, after: &[], before: &[] };

edges! {
    /// Through both directions, unless nobody is behind the address but the router.
    pub enum Next { In2out => in2out::NAME, IcmpError => icmp::error::NAME }
}

counters! {
    /// What becomes of packets.
    pub enum Count {
        Hairpin => "packets from inside to inside by an external address",
        Expired => "time to live ran out",
        Short => "no IPv4 header",
    }
}

/// The node.
pub struct Hairpin {
    nat: Nat44,
}

impl Hairpin {
    /// Reads the rules.
    pub fn new(nat: Nat44) -> Hairpin {
        Hairpin { nat }
    }
}

impl Node for Hairpin {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&header) = packet.header::<Ipv4>() else { return cx.drop(Count::Short) };
        let rules = self.nat.rules(&cx.guard());
        let behind = rules.external(header.dst()).is_some()
            && match external_view(packet) {
                // A fragment's ports are not known yet: it goes with those that have some.
                None => header.is_fragment(),
                Some((view, protocol)) => rules.in_use(view.destination(), protocol, view.destination_port()),
            };
        if !behind {
            return cx.next_feature(packet);
        }
        // Before the translation, so that the error quotes what was sent.
        if header.ttl() <= 1 && packet.meta.marks & marks::OWN == 0 {
            cx.count(Count::Expired);
            Reason::TimeExceeded.note(packet);
            return Next::IcmpError;
        }
        cx.count(Count::Hairpin);
        packet.meta.marks |= marks::HAIRPIN;
        Next::In2out
    }
}
