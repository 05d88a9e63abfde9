//! icmp6-echo-reply: answers an ICMPv6 echo request to the router, in place, and looks up the way back (RFC 4443 section 4.2).
//! Reads: rx interface. Writes: marks, table, tx interface; forgets flow hash. Extension headers are not sent back.

use crate::forwarding::Forwarding;
use crate::icmp;
use crate::icmp::source6::answer_from;
use crate::ip::{Family, V6};
use crate::marks;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::checksum::{self, Sum};
use millrace_wire::{Icmp6, Icmp6Type, IpProtocol, Ipv6, upper_layer};
use std::fmt;
use std::net::Ipv6Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("icmp6-echo-reply");

edges! {
    /// The reply finds its way like any packet.
    pub enum Next { Lookup => V6::LOOKUP }
}

counters! {
    /// What comes of requests.
    pub enum Count {
        Sent => "echo replies sent",
        Malformed => "no echo request",
        BadChecksum => "ICMP checksum is wrong",
        NoHost => "source is not one host",
        NoAddress => "no address to speak from",
        NoInterface => "interface is being removed",
    }
}

/// What `show trace` tells.
pub struct Trace {
    to: Ipv6Addr,
    id: u16,
    sequence: u16,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to {} id {} sequence {}", self.to, self.id, self.sequence)
    }
}

/// The node.
pub struct Icmp6EchoReply {
    forwarding: Forwarding,
}

impl Icmp6EchoReply {
    /// Reads interfaces.
    pub fn new(forwarding: Forwarding) -> Icmp6EchoReply {
        Icmp6EchoReply { forwarding }
    }
}

impl Node for Icmp6EchoReply {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let guard = cx.guard();
        let Some(&request) = packet.header::<Ipv6>() else { return cx.drop(Count::Malformed) };
        let (asker, asked) = (request.src(), request.dst());
        let at = upper_layer(packet.data()).filter(|(protocol, _)| *protocol == IpProtocol::ICMP6).map(|(_, at)| at);
        // The reply's header goes where the extension headers end.
        if !at.is_some_and(|at| packet.advance(at)) {
            return cx.drop(Count::Malformed);
        }
        let len = packet.total_len() as u32;
        let pseudo = |from: Ipv6Addr| checksum::pseudo_header6(&from.octets(), &asker.octets(), IpProtocol::ICMP6, len);
        let intact = packet.segments().fold(pseudo(asked), Sum::bytes).is_ok();
        let Some(&icmp) = packet.header::<Icmp6>().filter(|h| h.kind() == Icmp6Type::ECHO_REQUEST) else {
            return cx.drop(Count::Malformed);
        };
        if !intact {
            return cx.drop(Count::BadChecksum);
        }
        if asker.is_unspecified() || asker.is_multicast() || asker.is_loopback() {
            return cx.drop(Count::NoHost);
        }
        let interface = self.forwarding.interfaces.get(packet.meta.rx_interface, &guard);
        // What the router asks itself came by none.
        if interface.is_none() && packet.meta.marks & marks::OWN == 0 {
            return cx.drop(Count::NoInterface);
        }
        // What was sent to a group or an anycast address is answered by one of its members.
        let Some(from) = answer_from(&self.forwarding, interface, packet, (asker, asked), &guard) else {
            return cx.drop(Count::NoAddress);
        };
        cx.trace(packet, || Trace { to: asker, id: icmp.id(), sequence: icmp.sequence() });
        let mut reply = icmp;
        reply.set_kind(Icmp6Type::ECHO_REPLY);
        let before = pseudo(asked).u16(icmp.kind_and_code());
        let now = pseudo(from).u16(reply.kind_and_code());
        reply.set_checksum(checksum::update_u16(icmp.checksum(), !before.checksum(), !now.checksum()));
        if let Some(there) = packet.header_mut::<Icmp6>() {
            *there = reply;
        }
        let mut ip = Ipv6::new(from, asker, IpProtocol::ICMP6, icmp::TTL, len as u16);
        ip.set_traffic_class(request.traffic_class());
        // As many bytes as were just passed over, at least.
        let there = packet.retreat(Ipv6::LEN);
        let Some(header) = packet.header_mut::<Ipv6>().filter(|_| there) else { return cx.drop(Count::Malformed) };
        *header = ip;
        icmp::goes_back(packet, &self.forwarding, &guard);
        cx.count(Count::Sent);
        Next::Lookup
    }
}

#[cfg(test)]
#[path = "echo_reply6_tests.rs"]
mod tests;
