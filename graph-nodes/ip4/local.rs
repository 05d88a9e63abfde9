//! ip4-local: packets for the router itself, and broadcasts that reach it; starts the ip4-local arc.
//! Reads: rx interface, table, marks.

use crate::forwarding::Forwarding;
use crate::{ip4, marks};
use millrace_engine::epoch::Guard;
use millrace_engine::node::NoTrace;
use millrace_engine::{ArcName, ArcPoint, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::AdjacencyKind;
use millrace_tables::fib::Target;
use millrace_wire::Ipv4;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-local");

/// Features on packets to the router's own addresses, by rx interface.
pub const ARC: ArcPoint = ArcPoint { name: ArcName::new("ip4-local"), starts: &[NAME], end: ip4::local_end::NAME };

edges! {
    /// By protocol.
    pub enum Next { EndOfArc => ip4::local_end::NAME }
}

counters! {
    /// Why packets end here.
    pub enum Count {
        OwnSource => "source address is our own",
        SourceRoute => "source route is not followed",
        Malformed => "no IPv4 header",
    }
}

/// The node.
pub struct Ip4Local {
    /// Reads: tables, adjacencies.
    pub forwarding: Forwarding,
}

impl Node for Ip4Local {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&header) = packet.header::<Ipv4>() else { return cx.drop(Count::Malformed) };
        let own = packet.meta.marks & marks::OWN != 0;
        // RFC 1122 section 3.2.1.3 (f): our address as a source is a lie, unless we really are the source.
        if !own && self.is_ours(header.src_u32(), packet.meta.table, &cx.guard()) {
            return cx.drop(Count::OwnSource);
        }
        let Some(options) = packet.data().get(Ipv4::LEN..header.header_len()) else { return cx.drop(Count::Malformed) };
        // RFC 7126 sections 4.3.5 and 4.4.5.
        if has_source_route(options) {
            return cx.drop(Count::SourceRoute);
        }
        let interface = packet.meta.rx_interface;
        cx.start_arc(packet, interface, Next::EndOfArc)
    }
}

impl Ip4Local {
    fn is_ours(&self, address: u32, table: u32, guard: &Guard<'_>) -> bool {
        let Some(fib) = self.forwarding.fibs.get(table, guard) else { return false };
        let Target::Adjacency(index) = Target::from_u32(fib.lookup(guard, address)) else { return false };
        self.forwarding.adjacencies.get(index, guard).is_some_and(|a| a.kind == AdjacencyKind::Local)
    }
}

/// Whether there is a loose (131) or strict (137) source route among the options (RFC 791 section 3.1).
fn has_source_route(mut options: &[u8]) -> bool {
    while let [kind, rest @ ..] = options {
        options = match kind {
            0 => return false,
            1 => rest,
            131 | 137 => return true,
            _ => match rest.first() {
                Some(len) if *len >= 2 => options.get(usize::from(*len)..).unwrap_or(&[]),
                _ => return false,
            },
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use etherparse::Ipv4Header;
    use millrace_engine::Feature;
    use millrace_engine::testing::Bench;

    const SUBNET: Ip = [192, 168, 1, 255];

    fn options(options: &[u8]) -> Vec<u8> {
        let mut padded = [0; 40];
        padded[..options.len()].copy_from_slice(options);
        udp_with(HOST, LAN_IP, 10, |h: &mut Ipv4Header| h.options = padded.into())
    }

    #[test]
    fn before_the_protocol() {
        const END: &str = "ip4-local-end-of-arc";
        let own_source = "source address is our own";
        let route = "source route is not followed";
        for (name, packet, next, reason) in [
            // RFC 1122 section 3.2.1.3.
            ("from the address that it is for", udp(LAN_IP, LAN_IP), "drop", own_source),
            ("from our other side", udp(WAN_IP, LAN_IP), "drop", own_source),
            ("from the subnet's broadcast", udp(SUBNET, LAN_IP), "drop", own_source),
            // RFC 7126 sections 4.3.5 and 4.4.5.
            ("loose source route", options(&[131, 7, 4, 1, 2, 3, 4]), "drop", route),
            ("strict source route behind others", options(&[1, 0x94, 4, 0, 0, 137, 3, 4]), "drop", route),
            ("record route", options(&[7, 7, 4, 0, 0, 0, 0]), END, ""),
            ("no source route behind the end", options(&[0, 131, 3, 4]), END, ""),
            ("an option without length", options(&[1, 7, 0, 131]), END, ""),
            ("a fragment", udp_with(HOST, LAN_IP, 16, |h| h.more_fragments = true), END, ""),
            ("less than a header", vec![0x45; 19], "drop", "no IPv4 header"),
            ("more header than packet", broken(udp(HOST, LAN_IP), |p| p[0] = 0x4f), "drop", "no IPv4 header"),
        ] {
            let outcome = Bench::new(Ip4Local { forwarding: World::new().forwarding }).one(&packet);
            let counts: Vec<_> = (next == "drop").then_some((reason, 1)).into_iter().collect();
            assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
            assert_eq!(bytes(&outcome), packet, "{name}: unchanged");
        }
    }

    #[test]
    fn features_of_the_receiving_interface() {
        const FEATURE: NodeName = NodeName::new("feature");
        let mut bench = Bench::new(Ip4Local { forwarding: World::new().forwarding });
        let feature = Feature { arc: ARC.name, node: FEATURE, after: &[], before: &[] };
        bench.arc(&ARC, &[feature], &[(FEATURE, LAN)]);
        for (interface, next) in [(LAN, "feature"), (WAN, "ip4-local-end-of-arc")] {
            let outcome = bench.run(&[&udp(HOST, LAN_IP)], |meta| meta.rx_interface = interface);
            assert_eq!(fate(&outcome), (next, &[][..]), "interface {interface}");
        }
    }

    #[test]
    fn what_the_router_sent_itself() {
        let mut bench = Bench::new(Ip4Local { forwarding: World::new().forwarding });
        let outcome = bench.run(&[&echo(LAN_IP, LAN_IP, b"to myself")], |meta| meta.marks = marks::OWN);
        assert_eq!(fate(&outcome), ("ip4-local-end-of-arc", &[][..]));
    }
}
