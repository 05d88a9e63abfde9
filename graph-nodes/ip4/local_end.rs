//! ip4-local-end-of-arc: what a packet for the router itself is, by protocol.
//! Reads: rx interface, marks.
//!
//! Echo requests are answered; other ICMP that a host would take goes to the control plane, for its `ping` and
//! `traceroute`. The router has no other services on UDP and TCP ports: the former are unreachable, connections to the latter are
//! reset; those of VXLAN have a node of their own. What came in fragments comes again when it is put together.

use crate::forwarding::Forwarding;
use crate::icmp::reason::Reason;
use crate::ip::{V4, tcp_reset};
use crate::vxlan::Underlay;
use crate::{icmp, ip4, marks, tunnel};
use millrace_engine::builtin::ERROR_PUNT;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{FromBytes, Icmp4, Icmp4Type, IpProtocol, Ipv4, Udp, checksum};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-local-end-of-arc");

edges! {
    /// By protocol.
    pub enum Next {
        EchoReply => icmp::echo_reply::NAME,
        TcpReset => tcp_reset::NAME,
        IcmpError => icmp::error::NAME,
        Reassembly => ip4::reassembly::NAME,
        Vxlan => V4::INPUT,
        Tunnel => tunnel::input::NAME,
        Punt => ERROR_PUNT,
    }
}

counters! {
    /// What becomes of packets.
    pub enum Count {
        Punted => "ICMP messages for the control plane",
        ClosedPort => "UDP port is closed",
        UnknownProtocol => "unknown protocol",
        Broadcast => "broadcast for no service",
        BroadcastEcho => "echo request to a broadcast address",
        UnknownIcmp => "ICMP message of a type that is not ours",
        BadIcmp => "ICMP message is too short or its checksum wrong",
        BadUdp => "UDP length or checksum is wrong",
        Malformed => "no IPv4 header",
    }
}

/// What `show trace` tells.
pub struct Trace {
    protocol: IpProtocol,
    broadcast: bool,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.protocol, if self.broadcast { " broadcast" } else { "" })
    }
}

/// The node.
pub struct Ip4LocalEndOfArc {
    /// Reads: interfaces.
    pub forwarding: Forwarding,
}

impl Node for Ip4LocalEndOfArc {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let guard = cx.guard();
        let Some(&header) = packet.header::<Ipv4>() else { return cx.drop(Count::Malformed) };
        if header.is_fragment() {
            return Next::Reassembly;
        }
        let protocol = header.protocol();
        let interface = self.forwarding.interfaces.get(packet.meta.rx_interface, &guard);
        let broadcast = packet.meta.marks & marks::LINK_MULTICAST != 0
            || header.dst().is_broadcast()
            || interface.is_some_and(|i| i.is_broadcast(header.dst()));
        cx.trace(packet, || Trace { protocol, broadcast });
        match protocol {
            IpProtocol::ICMP => icmp_message(packet, header, broadcast, cx),
            // RFC 1122 section 3.2.2: no error about a broadcast, and RFC 9293 section 3.9.2.3 none by TCP.
            _ if broadcast => cx.drop(Count::Broadcast),
            IpProtocol::TCP => Next::TcpReset,
            IpProtocol::UDP => self.udp_datagram(packet, header, cx),
            // Which takes them, or tells that there is none.
            IpProtocol::GRE | IpProtocol::IPV4 | IpProtocol::IPV6 => Next::Tunnel,
            _ => {
                cx.count(Count::UnknownProtocol);
                Reason::ProtocolUnreachable.note(packet);
                Next::IcmpError
            }
        }
    }
}

impl Ip4LocalEndOfArc {
    fn udp_datagram(&self, packet: &mut Packet<'_>, header: Ipv4, cx: &mut Ctx<'_, Self>) -> Next {
        let datagram = packet.data().get(header.header_len()..).and_then(|d| Udp::ref_from_prefix(d).ok());
        let Some((udp, _)) = datagram else { return cx.drop(Count::BadUdp) };
        // Its node looks at length and checksum itself, as it has exceptions.
        if self.forwarding.udp_services.is_open(udp.dst_port()) {
            return Next::Vxlan;
        }
        let (len, sum) = (udp.datagram_len(), udp.checksum());
        let there = usize::from(header.total_len()).saturating_sub(header.header_len());
        if usize::from(len) < Udp::LEN || usize::from(len) > there {
            return cx.drop(Count::BadUdp);
        }
        // RFC 1122 section 4.1.3.4; bytes behind the datagram are not under its checksum, so such a packet is not checked.
        if sum != 0 && usize::from(len) == there {
            let pseudo = checksum::pseudo_header4(header.src_u32(), header.dst_u32(), IpProtocol::UDP, len);
            if !sum_behind(packet, header.header_len(), pseudo).is_ok() {
                return cx.drop(Count::BadUdp);
            }
        }
        cx.count(Count::ClosedPort);
        Reason::PortUnreachable.note(packet);
        Next::IcmpError
    }
}

fn icmp_message(packet: &mut Packet<'_>, header: Ipv4, broadcast: bool, cx: &mut Ctx<'_, Ip4LocalEndOfArc>) -> Next {
    let message = packet.data().get(header.header_len()..).and_then(|m| Icmp4::ref_from_prefix(m).ok());
    let Some(kind) = message.map(|(icmp, _)| icmp.kind()) else { return cx.drop(Count::BadIcmp) };
    match kind {
        // RFC 1122 section 3.2.2.6: may be discarded silently; answering would make an amplifier of us.
        Icmp4Type::ECHO_REQUEST if broadcast => cx.drop(Count::BroadcastEcho),
        Icmp4Type::ECHO_REQUEST => Next::EchoReply,
        _ if kind == Icmp4Type::ECHO_REPLY || kind.is_error() => {
            if !sum_behind(packet, header.header_len(), checksum::Sum::default()).is_ok() {
                return cx.drop(Count::BadIcmp);
            }
            cx.count(Count::Punted);
            Next::Punt
        }
        // RFC 1122 section 3.2.2: unknown types must be discarded silently.
        _ => cx.drop(Count::UnknownIcmp),
    }
}

/// Goes on summing with what is behind the IP header.
fn sum_behind(packet: &Packet<'_>, header: usize, sum: checksum::Sum) -> checksum::Sum {
    let mut segments = packet.segments();
    let first = segments.next().and_then(|s| s.get(header..)).unwrap_or(&[]);
    segments.fold(sum.bytes(first), checksum::Sum::bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use etherparse::icmpv4::{DestUnreachableHeader, TimeExceededCode, TimestampMessage};
    use etherparse::{IcmpEchoHeader, Icmpv4Type, IpNumber, Ipv4Header};
    use millrace_engine::testing::Bench;

    const ALL: Ip = [255; 4];
    const SUBNET: Ip = [192, 168, 1, 255];

    fn icmp_to(to: Ip, kind: &Icmpv4Type) -> Vec<u8> {
        icmp_with(HOST, to, kind.clone(), &[7; 28], |_| {})
    }

    fn of_protocol(protocol: u8, to: Ip) -> Vec<u8> {
        udp_with(HOST, to, 10, |h| h.protocol = IpNumber(protocol))
    }

    #[test]
    fn by_protocol() {
        let ids = IcmpEchoHeader { id: 1, seq: 1 };
        let (echo_reply, echo_node) = (Icmpv4Type::EchoReply(ids), "icmp4-echo-reply");
        let echo_request = Icmpv4Type::EchoRequest(ids);
        let unreachable = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
        let exceeded = Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit);
        let timestamp = Icmpv4Type::TimestampRequest(TimestampMessage {
            id: 1,
            seq: 1,
            originate_timestamp: 0,
            receive_timestamp: 0,
            transmit_timestamp: 0,
        });
        let (punted, broadcast) = ("ICMP messages for the control plane", "broadcast for no service");
        let (bad_icmp, bad_udp) =
            ("ICMP message is too short or its checksum wrong", "UDP length or checksum is wrong");
        let flip = |mut packet: Vec<u8>, at: usize| {
            packet[at] ^= 1;
            packet
        };
        let no_sum = |mut packet: Vec<u8>| {
            packet[26..28].fill(0);
            packet
        };
        let udp_len = |len: u8| {
            let mut packet = udp(HOST, LAN_IP);
            packet[25] = len;
            packet
        };
        for (name, packet, next, reason) in [
            ("echo request", icmp_to(LAN_IP, &echo_request), echo_node, None),
            ("echo request to our other side", icmp_to(WAN_IP, &echo_request), echo_node, None),
            ("echo reply", icmp_to(LAN_IP, &echo_reply), "error-punt", Some(punted)),
            ("unreachable", icmp_to(LAN_IP, &unreachable), "error-punt", Some(punted)),
            ("time exceeded", icmp_to(LAN_IP, &exceeded), "error-punt", Some(punted)),
            ("echo reply, one bit wrong", flip(icmp_to(LAN_IP, &echo_reply), 40), "drop", Some(bad_icmp)),
            ("ICMP of 7 bytes", icmp_to(LAN_IP, &echo_request)[..27].to_vec(), "drop", Some(bad_icmp)),
            // RFC 1122 section 3.2.2.
            ("timestamp", icmp_to(LAN_IP, &timestamp), "drop", Some("ICMP message of a type that is not ours")),
            // RFC 1122 section 3.2.2.6.
            ("echo to all", icmp_to(ALL, &echo_request), "drop", Some("echo request to a broadcast address")),
            ("echo to the subnet", icmp_to(SUBNET, &echo_request), "drop", Some("echo request to a broadcast address")),
            // RFC 1122 section 4.1.3.1.
            ("a closed port", udp(HOST, LAN_IP), "icmp4-error", Some("UDP port is closed")),
            ("without a checksum", no_sum(udp(HOST, LAN_IP)), "icmp4-error", Some("UDP port is closed")),
            ("over several buffers", udp_with(HOST, LAN_IP, 5001, |_| {}), "icmp4-error", Some("UDP port is closed")),
            ("bytes behind the datagram", no_sum(udp_len(10)), "icmp4-error", Some("UDP port is closed")),
            // RFC 1122 section 4.1.3.4.
            ("UDP, one bit wrong", flip(udp(HOST, LAN_IP), 30), "drop", Some(bad_udp)),
            ("UDP in buffers, one bit wrong", flip(udp_with(HOST, LAN_IP, 5001, |_| {}), 5020), "drop", Some(bad_udp)),
            ("UDP length of 7", udp_len(7), "drop", Some(bad_udp)),
            ("UDP length beyond the packet", udp_len(19), "drop", Some(bad_udp)),
            ("UDP of 7 bytes", udp(HOST, LAN_IP)[..27].to_vec(), "drop", Some(bad_udp)),
            ("DHCP", udp([0; 4], ALL), "drop", Some(broadcast)),
            ("UDP to the subnet", udp(HOST, SUBNET), "drop", Some(broadcast)),
            ("TCP", tcp(HOST, LAN_IP, b"", |t| t.syn = true), "tcp-reset", None),
            ("TCP to all", tcp(HOST, ALL, b"", |t| t.syn = true), "drop", Some(broadcast)),
            // RFC 1122 section 3.2.2.1.
            ("unknown protocol", of_protocol(132, LAN_IP), "icmp4-error", Some("unknown protocol")),
            ("unknown protocol to all", of_protocol(132, ALL), "drop", Some(broadcast)),
        ] {
            let outcome = Bench::new(Ip4LocalEndOfArc { forwarding: World::new().forwarding }).one(&packet);
            let counts: Vec<_> = reason.map(|r| (r, 1)).into_iter().collect();
            assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
            assert_eq!(bytes(&outcome), packet, "{name}: unchanged");
            if next == "icmp4-error" {
                let closed = reason == Some("UDP port is closed");
                let noted = if closed { Reason::PortUnreachable } else { Reason::ProtocolUnreachable };
                assert_eq!(Reason::of(&outcome.packets[0]), Some(noted), "{name}");
            }
        }
    }

    /// RFC 1812 section 4.2.2.8.
    #[test]
    fn fragments_are_put_together_first() {
        for change in [(|h| h.more_fragments = true) as fn(&mut Ipv4Header), |h| {
            h.fragment_offset = 1.try_into().unwrap();
        }] {
            let packet = udp_with(HOST, LAN_IP, 16, change);
            let outcome = Bench::new(Ip4LocalEndOfArc { forwarding: World::new().forwarding }).one(&packet);
            assert_eq!(fate(&outcome), ("ip4-local-full-reassembly", &[][..]));
        }
    }

    #[test]
    fn marks_decide_too() {
        let mut bench = Bench::new(Ip4LocalEndOfArc { forwarding: World::new().forwarding });
        let ours = echo(LAN_IP, LAN_IP, b"to myself");
        let outcome = bench.run(&[&ours], |meta| meta.marks = marks::OWN);
        assert_eq!(fate(&outcome), ("icmp4-echo-reply", &[][..]));
        let outcome = bench.run(&[&udp(HOST, LAN_IP)], |meta| meta.marks = marks::LINK_MULTICAST);
        assert_eq!(fate(&outcome), ("drop", &[("broadcast for no service", 1)][..]));
        let (_, text) = bench.traced(&udp(HOST, SUBNET), |meta| meta.rx_interface = LAN);
        assert_eq!(text, "udp broadcast");
    }
}
