//! ICMP for IPv4 (RFC 792) and IPv6 (RFC 4443): errors and echo replies.

pub mod echo_reply;
pub mod echo_reply6;
pub mod error;
pub mod error6;
pub mod reason;
mod source6;

use crate::forwarding::Forwarding;
use crate::marks;
use millrace_engine::{Graph, Packet};
use millrace_wire::checksum::Sum;

/// Hops that packets of the router's own may make (RFC 1700, "IP TIME TO LIVE PARAMETER").
pub const TTL: u8 = 64;

/// Adds the nodes.
pub fn register(graph: &mut Graph, forwarding: &Forwarding) {
    graph.node(|_| echo_reply::Icmp4EchoReply::default());
    let tables = forwarding.clone();
    graph.node(move |_| error::Icmp4Error::new(tables.clone()));
    let tables = forwarding.clone();
    graph.node(move |_| echo_reply6::Icmp6EchoReply::new(tables.clone()));
    let tables = forwarding.clone();
    graph.node(move |_| error6::Icmp6Error::new(tables.clone()));
}

/// Makes the answer that a packet was turned into the router's own: it is looked up anew, and goes to where the packet came from.
pub(crate) fn goes_back(packet: &mut Packet<'_>) {
    packet.mark_l3();
    packet.meta.marks =
        packet.meta.marks & !(marks::LINK_MULTICAST | marks::LINK_LOCAL | marks::REASSEMBLED) | marks::OWN;
    packet.meta.flow_hash = 0;
    // For a link-local destination, which the table alone does not lead to.
    packet.meta.tx_interface = packet.meta.rx_interface;
}

/// The sum over a packet from its current header on, over all its buffers.
pub(crate) fn sum(packet: &Packet<'_>) -> Sum {
    packet.segments().fold(Sum::default(), Sum::bytes)
}
