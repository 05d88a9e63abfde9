//! ICMP for IPv4 (RFC 792): errors and echo replies.

pub mod echo_reply;
pub mod error;
pub mod reason;

use crate::forwarding::Forwarding;
use millrace_engine::{Graph, Packet};
use millrace_wire::checksum::Sum;

/// Hops that packets of the router's own may make (RFC 1700, "IP TIME TO LIVE PARAMETER").
pub const TTL: u8 = 64;

/// Adds the nodes.
pub fn register(graph: &mut Graph, forwarding: &Forwarding) {
    graph.node(|_| echo_reply::Icmp4EchoReply::default());
    let forwarding = forwarding.clone();
    graph.node(move |_| error::Icmp4Error::new(forwarding.clone()));
}

/// The sum over a packet from its current header on, over all its buffers.
pub(crate) fn sum(packet: &Packet<'_>) -> Sum {
    packet.segments().fold(Sum::default(), Sum::bytes)
}
