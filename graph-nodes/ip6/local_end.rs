//! ip6-local-end-of-arc: what a packet for the router itself, or for a group that it listens to, is, by extension headers and protocol.
//! Reads: rx interface, marks.
//!
//! Echo requests are answered, neighbour discovery goes to its node, and other ICMPv6 that a host would take goes to the control
//! plane, for its `ping` and `traceroute`, or as an event. The router has no services on UDP and TCP ports: the former are
//! unreachable, connections to the latter are reset; those of VXLAN have a node of their own. What came in fragments comes again when it
//! is put together.

use super::headers::{Stop, Upper, walk};
use super::listener;
use crate::forwarding::Forwarding;
use crate::icmp::reason::Reason;
use crate::ip::local::Local;
use crate::ip::{Family, V6, tcp_reset};
use crate::neighbor_events::{NeighborEvent, NeighborEvents};
use crate::vxlan::Underlay;
use crate::{icmp, ip6, marks, nd, tunnel};
use millrace_engine::builtin::ERROR_PUNT;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::checksum::{self, Sum};
use millrace_wire::{FromBytes, Icmp6, Icmp6Type, IpProtocol, Ipv6, Udp};
use std::fmt;

/// Its name.
pub const NAME: NodeName = V6::END_OF_ARC;

edges! {
    /// By protocol.
    pub enum Next {
        NeighborDiscovery => nd::input::NAME,
        EchoReply => icmp::echo_reply6::NAME,
        TcpReset => tcp_reset::NAME,
        IcmpError => V6::ICMP_ERROR,
        Reassembly => ip6::reassembly::NAME,
        Vxlan => V6::INPUT,
        Tunnel => tunnel::input::NAME,
        Punt => ERROR_PUNT,
    }
}

counters! {
    /// What becomes of packets.
    pub enum Count {
        Punted => "ICMPv6 messages for the control plane",
        Queried => "multicast listener queries",
        Reported => "multicast listener reports of others (ignored)",
        ClosedPort => "UDP port is closed",
        UnknownHeader => "unknown next header",
        UnknownOption => "unknown option",
        ForbiddingOption => "unknown option that has the packet dropped silently",
        SourceRoute => "routing header with segments left",
        NotListening => "group that the interface does not listen to",
        Multicast => "multicast for no service",
        Nothing => "nothing behind the headers",
        BadHeaders => "extension headers are malformed or too many",
        Fragmented => "neighbour discovery in fragments",
        UnknownIcmp => "ICMPv6 message of a type that is not ours",
        BadIcmp => "ICMPv6 message is too short or its checksum wrong",
        BadQuery => "multicast listener query is not as it must be",
        BadUdp => "UDP length or checksum is wrong",
        EventsFull => "queue to the control plane is full",
        Malformed => "no IPv6 header",
    }
}

/// What `show trace` tells.
pub struct Trace {
    protocol: IpProtocol,
    multicast: bool,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.protocol, if self.multicast { " multicast" } else { "" })
    }
}

/// The node.
pub struct Ip6LocalEndOfArc {
    /// Reads: interfaces.
    forwarding: Forwarding,
    /// Where queries are reported.
    events: NeighborEvents,
}

impl Ip6LocalEndOfArc {
    /// Reads interfaces; reports to `events`.
    pub fn new(forwarding: Forwarding, events: NeighborEvents) -> Ip6LocalEndOfArc {
        Ip6LocalEndOfArc { forwarding, events }
    }
}

impl Node for Ip6LocalEndOfArc {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&header) = packet.header::<Ipv6>() else { return cx.drop(Count::Malformed) };
        let interface = self.forwarding.interfaces.get(packet.meta.rx_interface, &cx.guard());
        let group = header.dst().is_multicast();
        if group && !interface.is_some_and(|i| i.listens6(header.dst())) {
            return cx.drop(Count::NotListening);
        }
        let multicast = group || packet.meta.marks & marks::LINK_MULTICAST != 0;
        let upper = match walk(packet.data(), group) {
            Ok(upper) => upper,
            Err(Stop::Fragment) => return Next::Reassembly,
            Err(Stop::Drop(cause)) => return cx.drop(cause),
            Err(Stop::Tell(reason, cause)) => return tell(reason, cause, packet, cx),
        };
        let protocol = upper.protocol;
        cx.trace(packet, || Trace { protocol, multicast });
        match protocol {
            IpProtocol::ICMP6 => self.icmp_message(packet, &header, upper, cx),
            IpProtocol::NO_NEXT_HEADER => cx.drop(Count::Nothing),
            // RFC 4443 section 2.4 (e.3): no error about a multicast, and RFC 9293 section 3.9.2.3 none by TCP.
            _ if multicast => cx.drop(Count::Multicast),
            IpProtocol::TCP => Next::TcpReset,
            IpProtocol::UDP => self.udp_datagram(packet, &header, upper, cx),
            // Which takes them, or tells that there is none.
            IpProtocol::GRE | IpProtocol::IPV4 | IpProtocol::IPV6 => Next::Tunnel,
            // RFC 8200 section 4.
            _ => tell(upper.unknown(), Count::UnknownHeader, packet, cx),
        }
    }
}

impl Ip6LocalEndOfArc {
    fn icmp_message(&self, packet: &mut Packet<'_>, header: &Ipv6, upper: Upper, cx: &mut Ctx<'_, Self>) -> Next {
        let message = packet.data().get(upper.at..).and_then(|m| Icmp6::ref_from_prefix(m).ok());
        let Some(kind) = message.map(|(icmp, _)| icmp.kind()) else { return cx.drop(Count::BadIcmp) };
        match kind {
            // RFC 4443 section 4.2: also of requests to a group.
            Icmp6Type::ECHO_REQUEST => return Next::EchoReply,
            // RFC 6980 section 5.
            _ if kind.is_neighbor_discovery() && packet.meta.marks & marks::REASSEMBLED != 0 => {
                return cx.drop(Count::Fragmented);
            }
            _ if kind.is_neighbor_discovery() => return Next::NeighborDiscovery,
            _ => {}
        }
        let len = packet.total_len().saturating_sub(upper.at);
        if !sum(packet, header, upper, len).is_ok() {
            return cx.drop(Count::BadIcmp);
        }
        match kind {
            Icmp6Type::LISTENER_QUERY => self.listener_query(packet, header, upper, len, cx),
            // For routers that forward multicasts.
            Icmp6Type::LISTENER_REPORT | Icmp6Type::LISTENER_DONE | Icmp6Type::LISTENER_REPORT_V2 => {
                cx.consume(Count::Reported)
            }
            // RFC 4443 section 2.4 (a): unknown errors, too.
            _ if kind == Icmp6Type::ECHO_REPLY || kind.is_error() => {
                cx.count(Count::Punted);
                Next::Punt
            }
            // RFC 4443 section 2.4 (b): unknown informational messages must be discarded silently.
            _ => cx.drop(Count::UnknownIcmp),
        }
    }

    fn listener_query(
        &self,
        packet: &Packet<'_>,
        header: &Ipv6,
        upper: Upper,
        len: usize,
        cx: &mut Ctx<'_, Self>,
    ) -> Next {
        let query = packet.data().get(upper.at..).and_then(|message| listener::query(message, len));
        // RFC 3810 section 6.2: from a neighbour, which the router alert and the hop limit show.
        let from_neighbour = header.src().is_unicast_link_local() && header.hop_limit() == 1 && upper.alert;
        let Some(query) = query.filter(|_| from_neighbour) else { return cx.drop(Count::BadQuery) };
        let event = NeighborEvent::ListenerQueried {
            interface: packet.meta.rx_interface,
            group: query.group,
            max_delay_ms: query.max_delay_ms,
        };
        if !self.events.push(event) {
            return cx.drop(Count::EventsFull);
        }
        cx.consume(Count::Queried)
    }

    fn udp_datagram(&self, packet: &mut Packet<'_>, header: &Ipv6, upper: Upper, cx: &mut Ctx<'_, Self>) -> Next {
        let datagram = packet.data().get(upper.at..).and_then(|d| Udp::ref_from_prefix(d).ok());
        let Some((udp, _)) = datagram else { return cx.drop(Count::BadUdp) };
        // Its node looks at length and checksum itself, as it has exceptions.
        if self.forwarding.udp_services.is_open(udp.dst_port()) {
            return Next::Vxlan;
        }
        let (len, checksum) = (usize::from(udp.datagram_len()), udp.checksum());
        let there = packet.total_len().saturating_sub(upper.at);
        // RFC 8200 section 8.1: a datagram without a checksum must be discarded.
        if checksum == 0 || !(Udp::LEN..=there).contains(&len) || !sum(packet, header, upper, len).is_ok() {
            return cx.drop(Count::BadUdp);
        }
        tell(Reason::PortUnreachable, Count::ClosedPort, packet, cx)
    }
}

/// Has the sender hear why its packet ends here.
fn tell(reason: Reason, count: Count, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Ip6LocalEndOfArc>) -> Next {
    cx.count(count);
    reason.note(packet);
    Next::IcmpError
}

/// The sum over the pseudo header and the first `len` bytes of what the packet carries.
fn sum(packet: &Packet<'_>, header: &Ipv6, upper: Upper, len: usize) -> Sum {
    let (src, dst) = (header.src().octets(), header.dst().octets());
    let mut sum = checksum::pseudo_header6(&src, &dst, upper.protocol, len as u32);
    let (mut skip, mut left) = (upper.at, len);
    for segment in packet.segments() {
        let part = segment.get(skip..).unwrap_or(&[]);
        skip = skip.saturating_sub(segment.len());
        let part = part.get(..left).unwrap_or(part);
        left -= part.len();
        sum = sum.bytes(part);
    }
    sum
}

#[cfg(test)]
#[path = "local_end_tests.rs"]
mod tests;
