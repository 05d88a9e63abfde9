//! icmp6-error: turns an IPv6 packet that can't be delivered into the ICMPv6 error about it, and looks up the way back (RFC 4443).
//! Reads: rx interface, marks, scratch (the reason). Writes: table, tx interface, marks; forgets flow hash.
//!
//! The error quotes the packet as it came, as much of it as fits (RFC 4443 section 2.4 (c)), and is the packet's buffer with two headers
//! in front. "Packet too big" has a limit of its own, so that path MTU discovery works while others are limited.

use crate::forwarding::Forwarding;
use crate::icmp::error::{BURST, RATE};
use crate::icmp::reason::Reason;
use crate::icmp::source6::answer_from;
use crate::ip::{Family, V6};
use crate::rate::TokenBucket;
use crate::{icmp, marks};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::checksum::{self, Sum};
use millrace_wire::{
    FromBytes, Icmp6, Icmp6Type, IntoBytes, IpProtocol, Ipv6, Ipv6Extensions, parameter_problem, unreachable6,
};
use std::fmt;
use std::net::Ipv6Addr;

/// Its name.
pub const NAME: NodeName = V6::ICMP_ERROR;

/// "Packet too big" messages that a worker sends in a second, besides [`RATE`] others: a lost one stops a connection.
pub const TOO_BIG_RATE: u64 = 10_000;
/// And at once.
pub const TOO_BIG_BURST: u64 = 2_000;
/// The longest error, in bytes from its IPv6 header on: the least MTU (RFC 4443 section 2.4 (c)).
const LONGEST: usize = 1280;
/// What precedes the quote.
const HEADERS: usize = Ipv6::LEN + Icmp6::LEN;

/// What ICMPv6 calls a reason: the message's header, and what is counted.
fn named(reason: Reason) -> (Icmp6, Count) {
    let unreachable = |code, count| (Icmp6::new(Icmp6Type::UNREACHABLE, code), count);
    let problem =
        |code, pointer: u16, count| (Icmp6::new(Icmp6Type::PARAMETER_PROBLEM, code).with_rest(pointer.into()), count);
    match reason {
        Reason::NetUnreachable => unreachable(unreachable6::NO_ROUTE, Count::SentNoRoute),
        Reason::HostUnreachable => unreachable(unreachable6::ADDRESS, Count::SentAddressUnreachable),
        Reason::PortUnreachable => unreachable(unreachable6::PORT, Count::SentPortUnreachable),
        Reason::Prohibited => unreachable(unreachable6::ADMINISTRATIVELY_PROHIBITED, Count::SentProhibited),
        Reason::BeyondScope => unreachable(unreachable6::BEYOND_SCOPE, Count::SentBeyondScope),
        Reason::TooBig { mtu } => (Icmp6::packet_too_big(mtu.into()), Count::SentTooBig),
        Reason::TimeExceeded => (Icmp6::new(Icmp6Type::TIME_EXCEEDED, 0), Count::SentTimeExceeded),
        Reason::ReassemblyTimeExceeded => (Icmp6::new(Icmp6Type::TIME_EXCEEDED, 1), Count::SentReassemblyTimeExceeded),
        // The node that knows where the protocol is named says so by the next.
        Reason::ProtocolUnreachable => {
            problem(parameter_problem::NEXT_HEADER, Ipv6::NEXT_HEADER as u16, Count::SentParameterProblem)
        }
        Reason::ParameterProblem { code, pointer } => problem(code, pointer, Count::SentParameterProblem),
    }
}

edges! {
    /// The error finds its way like any packet.
    pub enum Next { Lookup => V6::LOOKUP }
}

counters! {
    /// Errors sent, and packets about which none is sent.
    pub enum Count {
        SentNoRoute => "sent no route",
        SentAddressUnreachable => "sent address unreachable",
        SentPortUnreachable => "sent port unreachable",
        SentProhibited => "sent administratively prohibited",
        SentBeyondScope => "sent beyond scope of source address",
        SentTooBig => "sent packet too big",
        SentTimeExceeded => "sent hop limit exceeded",
        SentReassemblyTimeExceeded => "sent reassembly time exceeded",
        SentParameterProblem => "sent parameter problem",
        Own => "none about the router's own packet",
        IcmpError => "none about an ICMP error or redirect",
        LinkMulticast => "none about a link-layer multicast",
        Multicast => "none about a multicast",
        NoHost => "none to a source that is not one host",
        Limited => "rate limit",
        TooBigLimited => "rate limit of packet too big",
        NoAddress => "no address to speak from",
        NoInterface => "interface is being removed",
        Malformed => "no IPv6 header",
        NoReason => "no reason noted",
        NoHeadroom => "no room for the headers",
    }
}

/// What `show trace` tells.
pub struct Trace {
    icmp: Icmp6,
    from: Ipv6Addr,
    to: Ipv6Addr,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {} code {} {} -> {}", self.icmp.kind().0, self.icmp.code(), self.from, self.to)
    }
}

/// The node.
pub struct Icmp6Error {
    forwarding: Forwarding,
    bucket: TokenBucket,
    too_big: TokenBucket,
}

impl Icmp6Error {
    /// Reads interfaces.
    pub fn new(forwarding: Forwarding) -> Icmp6Error {
        let too_big = TokenBucket::new(TOO_BIG_RATE, TOO_BIG_BURST);
        Icmp6Error { forwarding, bucket: TokenBucket::new(RATE, BURST), too_big }
    }

    /// RFC 4443 section 2.4 (f).
    fn limited(&mut self, reason: Reason, now: u64) -> Option<Count> {
        let (bucket, count) = match reason {
            Reason::TooBig { .. } => (&mut self.too_big, Count::TooBigLimited),
            _ => (&mut self.bucket, Count::Limited),
        };
        (!bucket.take(now)).then_some(count)
    }
}

impl Node for Icmp6Error {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let guard = cx.guard();
        let Some(reason) = Reason::noted(packet) else { return cx.drop(Count::NoReason) };
        let Some(&original) = packet.header::<Ipv6>() else { return cx.drop(Count::Malformed) };
        let Some(interface) = self.forwarding.interfaces.get(packet.meta.rx_interface, &guard) else {
            return cx.drop(Count::NoInterface);
        };
        if let Some(cause) = forbidden(&original, reason, packet) {
            return cx.drop(cause);
        }
        if let Some(cause) = self.limited(reason, cx.now()) {
            return cx.drop(cause);
        }
        // The other end of a tunnel can't be reached: the router tells itself.
        let own = (packet.meta.marks & marks::OWN != 0).then(|| original.src());
        let from = own.or_else(|| {
            answer_from(&self.forwarding, Some(interface), packet, (original.src(), original.dst()), &guard)
        });
        let Some(from) = from else { return cx.drop(Count::NoAddress) };
        let (mut icmp, sent) = named(reason);
        packet.truncate(LONGEST - HEADERS);
        let len = (Icmp6::LEN + packet.total_len()) as u16;
        let pseudo = checksum::pseudo_header6(&from.octets(), &original.src().octets(), IpProtocol::ICMP6, len.into());
        // The header first: a quote may have an odd number of bytes, and what follows such would count in other halves.
        icmp.set_checksum(packet.segments().fold(pseudo.bytes(icmp.as_bytes()), Sum::bytes).checksum());
        cx.trace(packet, || Trace { icmp, from, to: original.src() });
        if !packet.retreat(HEADERS) {
            return cx.drop(Count::NoHeadroom);
        }
        let Ok((ip_there, rest)) = Ipv6::mut_from_prefix(packet.data_mut()) else { return cx.drop(Count::Malformed) };
        *ip_there = Ipv6::new(from, original.src(), IpProtocol::ICMP6, icmp::TTL, len);
        if let Ok((icmp_there, _)) = Icmp6::mut_from_prefix(rest) {
            *icmp_there = icmp;
        }
        icmp::goes_back(packet, &self.forwarding, &guard);
        cx.count(sent);
        Next::Lookup
    }
}

/// Why no error may be sent about a packet, if none may (RFC 4443 section 2.4 (e)).
fn forbidden(original: &Ipv6, reason: Reason, packet: &Packet<'_>) -> Option<Count> {
    if packet.meta.marks & marks::OWN != 0 && !super::is_tunnels(packet, original.next_header()) {
        return Some(Count::Own);
    }
    // (e.1), (e.2)
    if is_error(packet.data()) {
        return Some(Count::IcmpError);
    }
    // (e.3) to (e.5): but path MTU discovery works for multicast, and an option may ask for an answer to one.
    let even_so =
        matches!(reason, Reason::TooBig { .. } | Reason::ParameterProblem { code: parameter_problem::OPTION, .. });
    if packet.meta.marks & marks::LINK_MULTICAST != 0 && !even_so {
        return Some(Count::LinkMulticast);
    }
    if original.dst().is_multicast() && !even_so {
        return Some(Count::Multicast);
    }
    // (e.6)
    let source = original.src();
    (source.is_unspecified() || source.is_multicast() || source.is_loopback()).then_some(Count::NoHost)
}

/// Whether a packet is, or may be, an ICMPv6 error or redirect: a message that ends before its type, or a fragment of one other
/// than the first, does not tell.
fn is_error(packet: &[u8]) -> bool {
    let mut headers = Ipv6Extensions::of(packet);
    for header in headers.by_ref() {
        // Of a chain that can't be followed nobody knows what it carries: the sender hears what is wrong with it.
        let Ok(header) = header else { return false };
        if let Some(fragment) = header.fragment().filter(|fragment| fragment.offset() > 0) {
            return fragment.next_header() == IpProtocol::ICMP6;
        }
    }
    let kind = packet.get(headers.offset()).map(|kind| Icmp6Type(*kind));
    headers.protocol() == IpProtocol::ICMP6 && kind.is_none_or(|kind| kind.is_error() || kind == Icmp6Type::REDIRECT)
}

#[cfg(test)]
#[path = "error6_tests.rs"]
mod tests;
