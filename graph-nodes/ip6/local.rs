//! ip6-local: what an IPv6 packet must be that is for the router itself; the node is that of both families.

use crate::forwarding::Interface;
use crate::ip::local::{Count, Local};
use crate::ip::{Family, V6};
use millrace_engine::{ArcName, ArcPoint, NodeName, Packet};
use millrace_wire::nd::HOP_LIMIT;
use millrace_wire::{Icmp6Type, IpProtocol, Ipv6};
use std::net::Ipv6Addr;

/// Its name.
pub const NAME: NodeName = V6::LOCAL;

/// Features on packets to the router's own addresses and to multicast groups, by rx interface.
pub const ARC: ArcPoint = ArcPoint { name: ArcName::new("ip6-local"), starts: &[NAME], end: V6::END_OF_ARC };

impl Local for V6 {
    const END_OF_ARC: NodeName = NodeName::new("ip6-local-end-of-arc");

    /// Link-local addresses are not in the table.
    fn owns(interface: &Interface, address: u128) -> bool {
        interface.owns6(Ipv6Addr::from_bits(address))
    }

    /// RFC 4291 section 2.5.6: the same link-local address is another station on another link.
    fn refused(_: &Packet<'_>, header: &Ipv6, interface: Option<&Interface>) -> Option<Count> {
        let there = |interface: &Interface| interface.owns6(header.dst());
        let elsewhere = V6::is_link_local(header.dst_u128()) && !interface.is_some_and(there);
        elsewhere.then_some(Count::OtherLink)
    }

    /// Another station that has our address advertises it from it (RFC 4862 section 5.4.4): neighbour discovery wants to know.
    fn may_claim_ours(packet: &Packet<'_>, header: &Ipv6) -> bool {
        header.next_header() == IpProtocol::ICMP6
            && header.hop_limit() == HOP_LIMIT
            && packet.data().get(Ipv6::LEN) == Some(&Icmp6Type::NEIGHBOR_ADVERTISEMENT.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::local::IpLocal;
    use crate::marks;
    use crate::testing::*;
    use etherparse::IpNumber;
    use millrace_engine::Feature;
    use millrace_engine::testing::Bench;

    const END: &str = "ip6-local-end-of-arc";

    fn bench() -> Bench<IpLocal<V6>> {
        Bench::new(IpLocal::new(World::new().forwarding))
    }

    /// ICMPv6 of one type, as far as this node looks.
    fn icmp(from: &str, to: &str, kind: u8, hop_limit: u8) -> Vec<u8> {
        let mut header = header6(from, to, IpNumber::IPV6_ICMP);
        header.hop_limit = hop_limit;
        packet6(&header, &[kind, 0, 0, 0, 0, 0, 0, 0])
    }

    #[test]
    fn before_the_protocol() {
        let own = "source address is our own";
        let other = "link-local address is not the receiving interface's";
        for (name, packet, next, reason) in [
            ("a host's", udp6(HOST6, LAN_IP6), END, ""),
            ("for our other side", udp6(HOST6, WAN_IP6), END, ""),
            ("for a group", udp6(HOST6, "ff02::1"), END, ""),
            // RFC 1122 section 3.2.1.3 says it of IPv4; it is as true here.
            ("from the address that it is for", udp6(LAN_IP6, LAN_IP6), "drop", own),
            ("from our other side", udp6(WAN_IP6, LAN_IP6), "drop", own),
            ("from our link-local address", udp6(LAN_LL, "ff02::1"), "drop", own),
            // RFC 4862 section 5.4.4.
            ("somebody who has our address", icmp(LAN_IP6, "ff02::1", 136, 255), END, ""),
            ("from further away", icmp(LAN_IP6, "ff02::1", 136, 254), "drop", own),
            ("who asks from our address", icmp(LAN_IP6, "ff02::1", 135, 255), "drop", own),
            // RFC 4291 section 2.5.6.
            ("for our link-local address here", udp6(HOST_LL, LAN_LL), END, ""),
            ("for the one of our other side", udp6(HOST_LL, WAN_LL), "drop", other),
            ("for a neighbour's", udp6(HOST6, HOST_LL), "drop", other),
            ("less than a header", vec![0x60; 39], "drop", "no IP header"),
        ] {
            let outcome = bench().one(&packet);
            let counts: Vec<_> = (next == "drop").then_some((reason, 1)).into_iter().collect();
            assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
            assert_eq!(bytes(&outcome), packet, "{name}: unchanged");
        }
        let outcome = bench().run(&[&udp6(HOST_LL, LAN_LL)], |meta| meta.rx_interface = 77);
        assert_eq!(fate(&outcome), ("drop", &[(other, 1)][..]), "an interface that is being removed");
    }

    #[test]
    fn features_of_the_receiving_interface() {
        const FEATURE: NodeName = NodeName::new("feature");
        let mut bench = bench();
        let feature = Feature { arc: ARC.name, node: FEATURE, after: &[], before: &[] };
        bench.arc(&ARC, &[feature], &[(FEATURE, LAN)]);
        for (interface, next) in [(LAN, "feature"), (WAN, END)] {
            let outcome = bench.run(&[&udp6(HOST6, LAN_IP6)], |meta| meta.rx_interface = interface);
            assert_eq!(fate(&outcome), (next, &[][..]), "interface {interface}");
        }
    }

    #[test]
    fn what_the_router_sent_itself() {
        let outcome = bench().run(&[&udp6(LAN_IP6, LAN_IP6)], |meta| meta.marks = marks::OWN);
        assert_eq!(fate(&outcome), (END, &[][..]));
    }
}
