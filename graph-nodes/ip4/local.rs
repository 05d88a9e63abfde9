//! ip4-local: what an IPv4 packet must not have that is for the router itself; the node is that of both families.

use crate::forwarding::Interface;
use crate::ip::local::{Count, Local};
use crate::ip::{Family, V4};
use millrace_engine::{ArcName, ArcPoint, NodeName, Packet};
use millrace_wire::Ipv4;

/// Its name.
pub const NAME: NodeName = V4::LOCAL;

/// Features on packets to the router's own addresses, by rx interface.
pub const ARC: ArcPoint = ArcPoint { name: ArcName::new("ip4-local"), starts: &[NAME], end: V4::END_OF_ARC };

impl Local for V4 {
    const END_OF_ARC: NodeName = NodeName::new("ip4-local-end-of-arc");

    fn owns(_: &Interface, _: u32) -> bool {
        false
    }

    /// RFC 7126 sections 4.3.5 and 4.4.5.
    fn refused(packet: &Packet<'_>, header: &Ipv4, _: Option<&Interface>) -> Option<Count> {
        match packet.data().get(Ipv4::LEN..header.header_len()) {
            Some(options) => has_source_route(options).then_some(Count::SourceRoute),
            None => Some(Count::Malformed),
        }
    }

    fn may_claim_ours(_: &Packet<'_>, _: &Ipv4) -> bool {
        false
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
    use crate::ip::local::IpLocal;
    use crate::marks;
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
            ("less than a header", vec![0x45; 19], "drop", "no IP header"),
            ("more header than packet", broken(udp(HOST, LAN_IP), |p| p[0] = 0x4f), "drop", "no IP header"),
        ] {
            let outcome = Bench::new(IpLocal::<V4>::new(World::new().forwarding)).one(&packet);
            let counts: Vec<_> = (next == "drop").then_some((reason, 1)).into_iter().collect();
            assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
            assert_eq!(bytes(&outcome), packet, "{name}: unchanged");
        }
    }

    #[test]
    fn features_of_the_receiving_interface() {
        const FEATURE: NodeName = NodeName::new("feature");
        let mut bench = Bench::new(IpLocal::<V4>::new(World::new().forwarding));
        let feature = Feature { arc: ARC.name, node: FEATURE, after: &[], before: &[] };
        bench.arc(&ARC, &[feature], &[(FEATURE, LAN)]);
        for (interface, next) in [(LAN, "feature"), (WAN, "ip4-local-end-of-arc")] {
            let outcome = bench.run(&[&udp(HOST, LAN_IP)], |meta| meta.rx_interface = interface);
            assert_eq!(fate(&outcome), (next, &[][..]), "interface {interface}");
        }
    }

    #[test]
    fn what_the_router_sent_itself() {
        let mut bench = Bench::new(IpLocal::<V4>::new(World::new().forwarding));
        let outcome = bench.run(&[&echo(LAN_IP, LAN_IP, b"to myself")], |meta| meta.marks = marks::OWN);
        assert_eq!(fate(&outcome), ("ip4-local-end-of-arc", &[][..]));
    }
}
