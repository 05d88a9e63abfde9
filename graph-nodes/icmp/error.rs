//! icmp4-error: turns a packet that can't be delivered into the ICMP error about it, and looks up the way back.
//! Reads: rx interface, marks, table, scratch (the reason). Writes: table, marks, `scratch[2]` (the table of the packet that it is
//! about); forgets adjacency, tx interface, flow hash.
//!
//! The error quotes the packet as it came, as much of it as fits (RFC 1812 section 4.3.2.3), and is the packet's buffer
//! with two headers in front.

use crate::forwarding::{Forwarding, Interface};
use crate::icmp::reason::Reason;
use crate::rate::TokenBucket;
use crate::{icmp, ip, marks};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::checksum::Sum;
use millrace_wire::{FromBytes, Icmp4, Icmp4Type, IntoBytes, IpProtocol, Ipv4, unreachable};
use std::fmt;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("icmp4-error");

/// Errors that a worker sends in a second, and at once (RFC 1812 section 4.3.2.8 asks for a limit).
pub const RATE: u64 = 1000;
/// See [`RATE`].
pub const BURST: u64 = 100;
/// The longest error, in bytes from its IP header on (RFC 1812 section 4.3.2.3).
const LONGEST: usize = 576;
/// What precedes the quote.
const HEADERS: usize = Ipv4::LEN + Icmp4::LEN;
/// Precedence 6, internetwork control, which RFC 1812 section 4.3.2.5 asks for, unless the original had 7.
const TOS: u8 = 0xc0;

/// What ICMP calls a reason: type, code and what is counted. `None` for those that only IPv6 has.
fn named(reason: Reason) -> Option<(Icmp4Type, u8, Count)> {
    let unreachable = |code, count| (Icmp4Type::UNREACHABLE, code, count);
    Some(match reason {
        Reason::NetUnreachable => unreachable(unreachable::NET, Count::SentNetUnreachable),
        Reason::HostUnreachable => unreachable(unreachable::HOST, Count::SentHostUnreachable),
        Reason::ProtocolUnreachable => unreachable(unreachable::PROTOCOL, Count::SentProtocolUnreachable),
        Reason::PortUnreachable => unreachable(unreachable::PORT, Count::SentPortUnreachable),
        Reason::TooBig { .. } => unreachable(unreachable::FRAGMENTATION_NEEDED, Count::SentFragmentationNeeded),
        Reason::Prohibited => unreachable(unreachable::ADMINISTRATIVELY_PROHIBITED, Count::SentProhibited),
        Reason::TimeExceeded => (Icmp4Type::TIME_EXCEEDED, 0, Count::SentTimeExceeded),
        Reason::ReassemblyTimeExceeded => (Icmp4Type::TIME_EXCEEDED, 1, Count::SentReassemblyTimeExceeded),
        Reason::BeyondScope | Reason::ParameterProblem { .. } => return None,
    })
}

edges! {
    /// The error finds its way like any packet.
    pub enum Next { Lookup => ip::lookup::NAME4 }
}

counters! {
    /// Errors sent, and packets about which none is sent.
    pub enum Count {
        SentNetUnreachable => "sent net unreachable",
        SentHostUnreachable => "sent host unreachable",
        SentProtocolUnreachable => "sent protocol unreachable",
        SentPortUnreachable => "sent port unreachable",
        SentFragmentationNeeded => "sent fragmentation needed",
        SentProhibited => "sent administratively prohibited",
        SentTimeExceeded => "sent time exceeded",
        SentReassemblyTimeExceeded => "sent reassembly time exceeded",
        Own => "none about the router's own packet",
        IcmpError => "none about an ICMP error",
        LaterFragment => "none about a fragment other than the first",
        LinkMulticast => "none about a link-layer broadcast or multicast",
        Broadcast => "none about a broadcast or multicast",
        NoHost => "none to a source that is not one host",
        Limited => "rate limit",
        NoAddress => "receiving interface has no address to speak from",
        NoInterface => "interface is being removed",
        Malformed => "no IPv4 header",
        NoReason => "no reason noted",
        NoHeadroom => "no room for the headers",
    }
}

/// What `show trace` tells.
pub struct Trace {
    kind: Icmp4Type,
    code: u8,
    from: Ipv4Addr,
    to: Ipv4Addr,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {} code {} {} -> {}", self.kind.0, self.code, self.from, self.to)
    }
}

/// The node.
pub struct Icmp4Error {
    forwarding: Forwarding,
    bucket: TokenBucket,
    id: u16,
}

impl Icmp4Error {
    /// Reads interfaces.
    pub fn new(forwarding: Forwarding) -> Icmp4Error {
        Icmp4Error { forwarding, bucket: TokenBucket::new(RATE, BURST), id: 0 }
    }
}

impl Node for Icmp4Error {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(reason) = Reason::noted(packet) else { return cx.drop(Count::NoReason) };
        let Some((kind, code, sent)) = named(reason) else { return cx.drop(Count::NoReason) };
        let Some(&original) = packet.header::<Ipv4>() else { return cx.drop(Count::Malformed) };
        let Some(interface) = self.forwarding.interfaces.get(packet.meta.rx_interface, &cx.guard()) else {
            return cx.drop(Count::NoInterface);
        };
        if let Some(cause) = forbidden(&original, interface, packet) {
            return cx.drop(cause);
        }
        // RFC 1122 section 3.2.1.3: what was sent to one of our addresses is answered from it; anything else, from the
        // interface that it came in by.
        let own = packet.meta.marks & marks::OWN != 0;
        let from = match reason {
            // The other end of a tunnel can't be reached: the router tells itself.
            _ if own => Some(original.src()),
            Reason::PortUnreachable | Reason::ProtocolUnreachable | Reason::ReassemblyTimeExceeded => {
                Some(original.dst())
            }
            _ => interface.source_for(original.src()),
        };
        let Some(from) = from else { return cx.drop(Count::NoAddress) };
        if !self.bucket.take(cx.now()) {
            return cx.drop(Count::Limited);
        }
        cx.trace(packet, || Trace { kind, code, from, to: original.src() });
        packet.truncate(LONGEST - HEADERS);
        let mut icmp = match reason {
            Reason::TooBig { mtu } => Icmp4::fragmentation_needed(mtu),
            _ => Icmp4::new(kind, code),
        };
        // The header first: a quote may have an odd number of bytes, and what follows such would count in other halves.
        let sum = packet.segments().fold(Sum::of(icmp.as_bytes()), Sum::bytes);
        icmp.set_checksum(sum.checksum());
        let quoted = packet.total_len() as u16;
        let mut ip = Ipv4::new(from, original.src(), IpProtocol::ICMP, icmp::TTL, quoted + Icmp4::LEN as u16);
        ip.set_tos(TOS.max(original.tos() & 0xe0));
        self.id = self.id.wrapping_add(1);
        ip.set_id(self.id);
        ip.fill_checksum(&[]);
        if !packet.retreat(HEADERS) {
            return cx.drop(Count::NoHeadroom);
        }
        let Some((ip_there, rest)) = Ipv4::mut_from_prefix(packet.data_mut()).ok() else {
            return cx.drop(Count::Malformed);
        };
        *ip_there = ip;
        if let Ok((icmp_there, _)) = Icmp4::mut_from_prefix(rest) {
            *icmp_there = icmp;
        }
        packet.mark_l3();
        packet.meta.scratch[2] = u64::from(packet.meta.table);
        if !own {
            packet.meta.table = interface.table;
        }
        // What was done to the packet was not done to the error.
        let done = marks::HAIRPIN | marks::NATTED | marks::PORTS_KNOWN | marks::TUNNELS;
        packet.meta.marks = packet.meta.marks & !done | marks::OWN;
        packet.meta.flow_hash = 0;
        cx.count(sent);
        Next::Lookup
    }
}

/// Why no error may be sent about a packet, if none may (RFC 1812 section 4.3.2.7).
fn forbidden(original: &Ipv4, interface: &Interface, packet: &Packet<'_>) -> Option<Count> {
    if packet.meta.marks & marks::OWN != 0 && !super::is_tunnels(packet, original.protocol()) {
        return Some(Count::Own);
    }
    if original.is_later_fragment() {
        return Some(Count::LaterFragment);
    }
    if original.protocol() == IpProtocol::ICMP {
        // A message that is cut off before it says what it is may be one.
        let kind = packet.data().get(original.header_len()).map(|kind| Icmp4Type(*kind));
        if kind.is_none_or(Icmp4Type::is_error) {
            return Some(Count::IcmpError);
        }
    }
    if packet.meta.marks & marks::LINK_MULTICAST != 0 {
        return Some(Count::LinkMulticast);
    }
    if original.dst().is_multicast() || interface.is_broadcast(original.dst()) {
        return Some(Count::Broadcast);
    }
    let source = original.src();
    let first = source.octets()[0];
    let host = first != 0 && first != 127 && first < 224 && !interface.is_broadcast(source);
    (!host).then_some(Count::NoHost)
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
