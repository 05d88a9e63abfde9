//! ip4-local: packets for the router itself, and broadcasts that reach it.
//! Reads: rx interface, table, marks.
//!
//! Echo requests are answered; other ICMP that a host would take goes to the control plane, for its `ping` and
//! `traceroute`. The router has no services on UDP and TCP ports: the former are unreachable, connections to the latter are
//! reset. It does not put fragments together again: packets for itself that came in fragments are dropped, and counted as
//! such.

use crate::forwarding::Forwarding;
use crate::icmp::error::Reason;
use crate::{icmp, ip4, marks};
use millrace_engine::builtin::ERROR_PUNT;
use millrace_engine::epoch::Guard;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::AdjacencyKind;
use millrace_tables::fib::Target;
use millrace_wire::{FromBytes, Icmp4, Icmp4Type, IpProtocol, Ipv4, Udp, checksum};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-local");

edges! {
    /// By protocol.
    pub enum Next {
        EchoReply => icmp::echo_reply::NAME,
        TcpReset => ip4::tcp_reset::NAME,
        IcmpError => icmp::error::NAME,
        Punt => ERROR_PUNT,
    }
}

counters! {
    /// What becomes of packets.
    pub enum Count {
        Punted => "ICMP messages for the control plane",
        ClosedPort => "UDP port is closed",
        UnknownProtocol => "unknown protocol",
        OwnSource => "source address is our own",
        Fragment => "fragment for the router itself",
        SourceRoute => "source route is not followed",
        Broadcast => "broadcast for no service",
        BroadcastEcho => "echo request to a broadcast address",
        UnknownIcmp => "ICMP message of a type that is not ours",
        BadIcmp => "ICMP message is too short or its checksum wrong",
        BadUdp => "UDP length or checksum is wrong",
        Malformed => "no IPv4 header",
        NoInterface => "interface is being removed",
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
pub struct Ip4Local {
    /// Reads: interfaces, tables, adjacencies.
    pub forwarding: Forwarding,
}

impl Node for Ip4Local {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let guard = cx.guard();
        let Some(&header) = packet.header::<Ipv4>() else { return cx.drop(Count::Malformed) };
        let own = packet.meta.marks & marks::OWN != 0;
        let protocol = header.protocol();
        // RFC 1122 section 3.2.1.3 (f): our address as a source is a lie, unless we really are the source.
        if !own && self.is_ours(header.src_u32(), packet.meta.table, &guard) {
            return cx.drop(Count::OwnSource);
        }
        let Some(options) = packet.data().get(Ipv4::LEN..header.header_len()) else { return cx.drop(Count::Malformed) };
        // RFC 7126 sections 4.3.5 and 4.4.5.
        if has_source_route(options) {
            return cx.drop(Count::SourceRoute);
        }
        if header.is_fragment() {
            return cx.drop(Count::Fragment);
        }
        let interface = self.forwarding.interfaces.get(packet.meta.rx_interface, &guard);
        let broadcast = packet.meta.marks & marks::LINK_MULTICAST != 0
            || header.dst().is_broadcast()
            || interface.is_some_and(|i| i.is_broadcast(header.dst()));
        cx.trace(packet, || Trace { protocol, broadcast });
        match protocol {
            IpProtocol::ICMP => icmp(packet, header, broadcast, cx),
            // RFC 1122 section 3.2.2: no error about a broadcast, and RFC 9293 section 3.9.2.3 none by TCP.
            _ if broadcast => cx.drop(Count::Broadcast),
            IpProtocol::TCP => Next::TcpReset,
            IpProtocol::UDP => udp(packet, header, cx),
            _ => {
                cx.count(Count::UnknownProtocol);
                Reason::ProtocolUnreachable.note(packet);
                Next::IcmpError
            }
        }
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

fn icmp(packet: &mut Packet<'_>, header: Ipv4, broadcast: bool, cx: &mut Ctx<'_, Ip4Local>) -> Next {
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

fn udp(packet: &mut Packet<'_>, header: Ipv4, cx: &mut Ctx<'_, Ip4Local>) -> Next {
    let datagram = packet.data().get(header.header_len()..).and_then(|d| Udp::ref_from_prefix(d).ok());
    let Some((len, sum)) = datagram.map(|(udp, _)| (udp.datagram_len(), udp.checksum())) else {
        return cx.drop(Count::BadUdp);
    };
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

/// Goes on summing with what is behind the IP header.
fn sum_behind(packet: &Packet<'_>, header: usize, sum: checksum::Sum) -> checksum::Sum {
    let mut segments = packet.segments();
    let first = segments.next().and_then(|s| s.get(header..)).unwrap_or(&[]);
    segments.fold(sum.bytes(first), checksum::Sum::bytes)
}
