//! ip4-lookup: the longest prefix that matches the destination, in the packet's table, down to one adjacency; starts the
//! ip4-output arc.
//! Reads: table, flow hash. Writes: adjacency, tx interface, flow hash.

use crate::forwarding::Forwarding;
use crate::icmp::error::Reason;
use crate::ip4::flow_hash;
use crate::{arp, icmp, ip4};
use millrace_engine::{ArcName, ArcPoint, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::AdjacencyKind;
use millrace_tables::fib::Target;
use millrace_wire::Ipv4;
use std::fmt;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-lookup");

/// Features on packets whose next hop is known, by tx interface: before the time to live is counted down and the MTU looked at.
pub const ARC: ArcPoint = ArcPoint { name: ArcName::new("ip4-output"), starts: &[NAME], end: ip4::rewrite::NAME };

edges! {
    /// By kind of adjacency.
    pub enum Next {
        Rewrite => ip4::rewrite::NAME,
        Local => ip4::local::NAME,
        Arp => arp::ip4_arp::NAME,
        Glean => arp::ip4_glean::NAME,
        IcmpError => icmp::error::NAME,
    }
}

counters! {
    /// Packets that are not sent on.
    pub enum Count {
        Short => "no IPv4 header",
        NoRoute => "no route",
        Blackhole => "blackhole route",
        Unreachable => "unreachable route",
        Prohibit => "prohibit route",
        Gone => "adjacency is being removed",
    }
}

/// What `show trace` tells.
pub struct Trace {
    table: u32,
    destination: Ipv4Addr,
    adjacency: u32,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} destination {} adjacency {}", self.table, self.destination, self.adjacency)
    }
}

/// The node.
pub struct Ip4Lookup {
    /// Reads: tables, load-balances, adjacencies.
    pub forwarding: Forwarding,
}

impl Node for Ip4Lookup {
    const NAME: NodeName = NAME;
    const STAGES: usize = 1;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn prefetch(&mut self, _stage: usize, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) {
        if let Some(header) = packet.header::<Ipv4>()
            && let Some(fib) = self.forwarding.fibs.get(packet.meta.table, &cx.guard())
        {
            fib.prefetch(header.dst_u32());
        }
    }

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(destination) = packet.header::<Ipv4>().map(Ipv4::dst_u32) else { return cx.drop(Count::Short) };
        let guard = cx.guard();
        let table = packet.meta.table;
        let value = match self.forwarding.fibs.get(table, &guard) {
            Some(fib) => fib.lookup(&guard, destination),
            None => Target::NO_ROUTE.to_u32(),
        };
        let index = match Target::from_u32(value) {
            Target::Adjacency(index) => index,
            Target::LoadBalance(index) => self.balance(index, packet, cx),
        };
        packet.meta.adjacency = index;
        cx.trace(packet, || Trace { table, destination: Ipv4Addr::from(destination), adjacency: index });
        let Some(adjacency) = self.forwarding.adjacencies.get(index, &guard) else { return cx.drop(Count::Gone) };
        packet.meta.tx_interface = adjacency.interface;
        if adjacency.kind == AdjacencyKind::Rewrite {
            return cx.start_arc(packet, adjacency.interface, Next::Rewrite);
        }
        special(adjacency.kind, packet, cx)
    }
}

impl Ip4Lookup {
    /// The adjacency that the packet's flow has in a load-balance.
    #[cold]
    fn balance(&self, index: u32, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> u32 {
        if packet.meta.flow_hash == 0 {
            packet.meta.flow_hash = flow_hash::of(packet.data());
        }
        self.forwarding.load_balances.get(index, &cx.guard()).map_or(0, |lb| lb.pick(packet.meta.flow_hash))
    }
}

#[cold]
fn special(kind: AdjacencyKind, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Ip4Lookup>) -> Next {
    let (count, reason) = match kind {
        AdjacencyKind::Rewrite => return Next::Rewrite,
        AdjacencyKind::Local => return Next::Local,
        AdjacencyKind::Arp => return Next::Arp,
        AdjacencyKind::Glean => return Next::Glean,
        AdjacencyKind::Blackhole => return cx.drop(Count::Blackhole),
        AdjacencyKind::Drop => (Count::NoRoute, Reason::NetUnreachable),
        AdjacencyKind::Unreachable => (Count::Unreachable, Reason::HostUnreachable),
        AdjacencyKind::Prohibit => (Count::Prohibit, Reason::Prohibited),
    };
    cx.count(count);
    reason.note(packet);
    Next::IcmpError
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use millrace_engine::testing::Bench;

    fn reason_of(packet: &millrace_engine::testing::Out) -> (u8, u8) {
        let [kind, code, ..] = packet.scratch.to_le_bytes();
        (kind, code)
    }

    #[test]
    fn by_kind_of_route() {
        let mut bench = Bench::new(Ip4Lookup { forwarding: World::new().forwarding });
        for (name, to, next, adjacency, interface, count) in [
            ("a neighbour", PEER, "ip4-rewrite", TO_PEER, WAN, None),
            ("the longest prefix wins", [203, 0, 113, 11], "ip4-glean", WAN_SUBNET, WAN, None),
            ("a next hop without MAC", [198, 51, 100, 50], "ip4-arp", TO_STRANGER, WAN, None),
            ("ourselves", LAN_IP, "ip4-local", OURS, 0, None),
            ("everyone", [255; 4], "ip4-local", OURS, 0, None),
            ("no route", [8, 8, 8, 8], "icmp4-error", NO_ROUTE, 0, Some("no route")),
            ("blackhole", [198, 51, 100, 1], "drop", BLACKHOLE, 0, Some("blackhole route")),
            ("unreachable", [198, 51, 100, 17], "icmp4-error", UNREACHABLE, 0, Some("unreachable route")),
            ("prohibit", [198, 51, 100, 33], "icmp4-error", PROHIBIT, 0, Some("prohibit route")),
            ("no such adjacency", [198, 51, 100, 65], "drop", 99, 0, Some("adjacency is being removed")),
        ] {
            let outcome = bench.one(&udp(HOST, to));
            let counts: Vec<_> = count.map(|c| (c, 1)).into_iter().collect();
            assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
            let out = &outcome.packets[0];
            assert_eq!((out.adjacency, out.tx_interface), (adjacency, interface), "{name}");
            assert_eq!(out.data, udp(HOST, to), "{name}: unchanged");
            // RFC 1812 section 5.2.7.1: which code says what.
            let code = match name {
                "no route" => (3, 0),
                "unreachable" => (3, 1),
                "prohibit" => (3, 13),
                _ => continue,
            };
            assert_eq!(reason_of(out), code, "{name}");
        }
    }

    #[test]
    fn in_the_packets_table() {
        let mut bench = Bench::new(Ip4Lookup { forwarding: World::new().forwarding });
        let outcome = bench.run(&[&udp(HOST, PEER)], |meta| meta.table = 5);
        assert_eq!(fate(&outcome), ("icmp4-error", &[("no route", 1)][..]), "a table that is not there");
        assert_eq!(fate(&bench.one(b"short")), ("drop", &[("no IPv4 header", 1)][..]));
    }

    #[test]
    fn flows_keep_their_path_and_are_shared_out() {
        let mut bench = Bench::new(Ip4Lookup { forwarding: World::new().forwarding });
        let packets: Vec<_> = (0..200).map(|n| udp([192, 168, 2, n], [172, 16, 0, 1])).collect();
        let frame: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        let once = bench.run(&frame, |_| {}).packets;
        assert_eq!(bench.run(&frame, |_| {}).packets, once, "the same flow goes the same way");
        let first = once.iter().filter(|out| out.adjacency == TO_PEER).count();
        assert!((60..140).contains(&first), "{first} of 200 flows on one of two paths");
        assert!(once.iter().all(|out| out.next == "ip4-rewrite"));
        // A hash that is there already decides.
        let forced: Vec<u32> =
            (2..6).map(|hash| bench.run(&frame[..1], |meta| meta.flow_hash = hash).packets[0].adjacency).collect();
        assert_eq!(forced, [TO_PEER, TO_LAN_100, TO_PEER, TO_LAN_100]);
    }

    #[test]
    fn features_of_the_interface_that_the_packet_leaves_by() {
        const FEATURE: NodeName = NodeName::new("feature");
        let mut bench = Bench::new(Ip4Lookup { forwarding: World::new().forwarding });
        let feature = millrace_engine::Feature { arc: ARC.name, node: FEATURE, after: &[], before: &[] };
        bench.arc(&ARC, &[feature], &[(FEATURE, WAN)]);
        for (to, next) in [(PEER, "feature"), ([198, 51, 100, 50], "ip4-arp"), (LAN_IP, "ip4-local")] {
            assert_eq!(fate(&bench.one(&udp(HOST, to))), (next, &[][..]));
        }
    }

    #[test]
    fn trace() {
        let mut bench = Bench::new(Ip4Lookup { forwarding: World::new().forwarding });
        let (_, text) = bench.traced(&udp(HOST, PEER), |_| {});
        assert_eq!(text, "table 0 destination 203.0.113.10 adjacency 1");
    }
}
