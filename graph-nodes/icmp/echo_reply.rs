//! icmp4-echo-reply: answers an echo request to the router, in place, and looks up the way back.
//! Reads: nothing. Writes: marks; forgets flow hash.
//!
//! IP options are not sent back: RFC 1122 section 3.2.2.6 would have source routes reversed and recorded routes go on,
//! but RFC 7126 has routers drop source routes, and a recorded route is the sender's to ask for, not to rely on.

use crate::{icmp, ip4, marks};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{FromBytes, Icmp4, Icmp4Type, Ipv4, checksum};
use std::fmt;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("icmp4-echo-reply");

edges! {
    /// The reply finds its way like any packet.
    pub enum Next { Lookup => ip4::lookup::NAME }
}

counters! {
    /// What comes of requests.
    pub enum Count {
        Sent => "echo replies sent",
        Malformed => "no echo request",
        BadChecksum => "ICMP checksum is wrong",
    }
}

/// What `show trace` tells.
pub struct Trace {
    to: Ipv4Addr,
    id: u16,
    sequence: u16,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to {} id {} sequence {}", self.to, self.id, self.sequence)
    }
}

/// The node.
#[derive(Default)]
pub struct Icmp4EchoReply {
    id: u16,
}

impl Node for Icmp4EchoReply {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&request) = packet.header::<Ipv4>() else { return cx.drop(Count::Malformed) };
        // The reply's header goes where the options end.
        if request.header_len() < Ipv4::LEN || !packet.advance(request.header_len()) {
            return cx.drop(Count::Malformed);
        }
        let intact = icmp::sum(packet).is_ok();
        let Some(icmp) = packet.header_mut::<Icmp4>().filter(|h| h.kind() == Icmp4Type::ECHO_REQUEST) else {
            return cx.drop(Count::Malformed);
        };
        if !intact {
            return cx.drop(Count::BadChecksum);
        }
        let before = icmp.kind_and_code();
        icmp.set_kind(Icmp4Type::ECHO_REPLY);
        icmp.set_checksum(checksum::update_u16(icmp.checksum(), before, icmp.kind_and_code()));
        let trace = Trace { to: request.src(), id: icmp.id(), sequence: icmp.sequence() };
        cx.trace(packet, || trace);
        self.id = self.id.wrapping_add(1);
        let payload = packet.total_len() as u16;
        let mut reply = Ipv4::new(request.dst(), request.src(), request.protocol(), icmp::TTL, payload);
        reply.set_tos(request.tos());
        reply.set_dont_fragment(request.dont_fragment());
        reply.set_id(self.id);
        reply.fill_checksum(&[]);
        // As many bytes as were just passed over, at least.
        let there = packet.retreat(Ipv4::LEN);
        let Some((header, _)) = Ipv4::mut_from_prefix(packet.data_mut()).ok().filter(|_| there) else {
            return cx.drop(Count::Malformed);
        };
        *header = reply;
        packet.mark_l3();
        packet.meta.marks |= marks::OWN;
        packet.meta.flow_hash = 0;
        cx.count(Count::Sent);
        Next::Lookup
    }
}
