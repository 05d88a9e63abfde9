//! nat44-hairpin: packets from inside hosts to external addresses that other inside hosts are behind (RFC 4787 REQ-9): their source is
//! translated as if they went out, then their destination as if they came in. And from servers to clients that they know by an address
//! of the twice-NAT pool: the first of both changes source and destination.
//! Reads: marks. Writes: marks.

use crate::icmp::reason::Reason;
use crate::nat44::rules::Rules;
use crate::nat44::{Nat44, external_view, in2out, is_echo_request};
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
        // Once is enough: what comes here again has found nobody, and would go round for ever.
        if packet.meta.marks & marks::HAIRPIN != 0 {
            return cx.next_feature(packet);
        }
        let rules = self.nat.rules(&cx.guard());
        let behind = match header.is_fragment() {
            // All fragments of a datagram go one way: nat44-in2out-slowpath decides when their ports are known.
            true => rules.external(header.dst()).is_some(),
            false => is_behind(rules, packet),
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

/// Whether somebody inside has the endpoint that a packet is for.
fn is_behind(rules: &Rules, packet: &Packet<'_>) -> bool {
    let Some((view, protocol)) = external_view(packet) else { return false };
    let (external, port) = (view.destination(), view.destination_port());
    match is_echo_request(packet) {
        // Nobody asks who has asked something himself: the identifier is that of another's request.
        true => rules.is_static((external, port), protocol),
        false => rules.in_use(external, protocol, port),
    }
}
