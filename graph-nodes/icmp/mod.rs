//! ICMP for IPv4 (RFC 792) and IPv6 (RFC 4443): errors and echo replies.

pub mod echo_reply;
pub mod echo_reply6;
pub mod error;
pub mod error6;
pub mod reason;
mod source6;

use crate::forwarding::Forwarding;
use crate::marks;
use millrace_engine::epoch::Guard;
use millrace_engine::{Graph, Packet};
use millrace_wire::checksum::Sum;
use millrace_wire::{IpProtocol, Ipv6};

/// Hops that packets of the router's own may make (RFC 1700, "IP TIME TO LIVE PARAMETER").
pub const TTL: u8 = 64;

/// Adds the nodes.
pub fn register(graph: &mut Graph, forwarding: &Forwarding) {
    let tables = forwarding.clone();
    graph.node(move |_| echo_reply::Icmp4EchoReply::new(tables.clone()));
    let tables = forwarding.clone();
    graph.node(move |_| error::Icmp4Error::new(tables.clone()));
    let tables = forwarding.clone();
    graph.node(move |_| echo_reply6::Icmp6EchoReply::new(tables.clone()));
    let tables = forwarding.clone();
    graph.node(move |_| error6::Icmp6Error::new(tables.clone()));
}

/// Makes the answer that a packet was turned into the router's own: it is looked up anew, in the VRF that the packet came from, which
/// a route may have led to another. NAT knows a packet that it translated by the table that it came into.
pub(crate) fn goes_back(packet: &mut Packet<'_>, forwarding: &Forwarding, guard: &Guard<'_>) {
    packet.mark_l3();
    let interface = forwarding.interfaces.get(packet.meta.rx_interface, guard);
    if let Some(interface) = interface.filter(|_| packet.meta.marks & (marks::NATTED | marks::TUNNELS) == 0) {
        packet.meta.table = interface.table;
    }
    let link_local = |header: &Ipv6| header.version() == 6 && header.src().is_unicast_link_local();
    // An answer from an address of a link to somebody who is not there goes nowhere (RFC 4291 section 2.5.6).
    let tied = if packet.header::<Ipv6>().is_some_and(link_local) { marks::LINK_LOCAL } else { 0 };
    let was = marks::LINK_MULTICAST | marks::LINK_LOCAL | marks::REASSEMBLED | marks::TUNNELS;
    packet.meta.marks = packet.meta.marks & !was | marks::OWN | tied;
    packet.meta.flow_hash = 0;
    // For a link-local destination, which the table alone does not lead to.
    packet.meta.tx_interface = packet.meta.rx_interface;
}

/// Whether a packet of the router's own is that of a tunnel: control wants to hear what becomes of those.
pub(crate) fn is_tunnels(packet: &Packet<'_>, protocol: IpProtocol) -> bool {
    packet.meta.marks & marks::TUNNELS != 0 && matches!(protocol, IpProtocol::GRE | IpProtocol::IPV4 | IpProtocol::IPV6)
}

/// The sum over a packet from its current header on, over all its buffers.
pub(crate) fn sum(packet: &Packet<'_>) -> Sum {
    packet.segments().fold(Sum::default(), Sum::bytes)
}
