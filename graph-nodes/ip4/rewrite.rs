//! ip4-rewrite: time to live, checksum, MTU, and the Ethernet header that the adjacency has ready.
//! Reads: adjacency, marks. Writes: tx interface.

use crate::forwarding::Forwarding;
use crate::icmp::error::Reason;
use crate::{icmp, interface, ip4, marks};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_wire::{Ethernet, Ipv4};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-rewrite");

edges! {
    /// Out, or what stands against it.
    pub enum Next { Output => interface::output::NAME, Fragment => ip4::fragment::NAME, IcmpError => icmp::error::NAME }
}

counters! {
    /// Packets that are not sent on as they are.
    pub enum Count {
        Short => "no IPv4 header",
        Expired => "time to live ran out",
        TooBig => "longer than the MTU and may not be fragmented",
        Gone => "adjacency is being removed",
        NoHeadroom => "no room for the Ethernet header",
    }
}

/// What `show trace` tells.
pub struct Trace {
    interface: u32,
    header: [u8; 14],
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interface {} header ", self.interface)?;
        self.header.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The node.
pub struct Ip4Rewrite {
    /// Reads: adjacencies.
    pub forwarding: Forwarding,
}

impl Node for Ip4Rewrite {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let guard = cx.guard();
        let adjacency = self.forwarding.adjacencies.get(packet.meta.adjacency, &guard);
        let Some(adjacency) = adjacency.filter(|a| a.kind == AdjacencyKind::Rewrite) else {
            return cx.drop(Count::Gone);
        };
        let own = packet.meta.marks & marks::OWN != 0;
        let Some(header) = packet.header_mut::<Ipv4>() else { return cx.drop(Count::Short) };
        if header.total_len() > adjacency.mtu {
            return too_big(adjacency.mtu, packet, cx);
        }
        // RFC 1812 section 5.3.1: a router counts down what it forwards, not what it sends.
        if !own {
            if header.ttl() <= 1 {
                return expired(packet, cx);
            }
            header.dec_ttl();
        }
        packet.meta.tx_interface = adjacency.interface;
        cx.trace(packet, || Trace { interface: adjacency.interface, header: *first_14(adjacency) });
        if adjacency.rewrite_len == Ethernet::LEN as u8 && packet.retreat(Ethernet::LEN) {
            if let Some(to) = packet.data_mut().first_chunk_mut() {
                *to = *first_14(adjacency);
            }
            return Next::Output;
        }
        tagged(adjacency, packet, cx)
    }
}

#[inline(always)]
fn first_14(adjacency: &Adjacency) -> &[u8; 14] {
    const { assert!(Adjacency::MAX_REWRITE >= 14) };
    match adjacency.rewrite.first_chunk() {
        Some(header) => header,
        None => &[0; 14],
    }
}

/// A header of another length: one with a VLAN tag.
#[cold]
fn tagged(adjacency: &Adjacency, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Ip4Rewrite>) -> Next {
    let header = adjacency.header();
    if !packet.retreat(header.len()) {
        return cx.drop(Count::NoHeadroom);
    }
    if let Some(to) = packet.data_mut().get_mut(..header.len()) {
        to.copy_from_slice(header);
    }
    Next::Output
}

#[cold]
fn expired(packet: &mut Packet<'_>, cx: &mut Ctx<'_, Ip4Rewrite>) -> Next {
    cx.count(Count::Expired);
    Reason::TimeExceeded.note(packet);
    Next::IcmpError
}

/// Cut in pieces, or refused with the MTU that would do (RFC 1191 section 4). A packet that is to be forwarded is
/// counted down first: its pieces come back here as the router's own.
#[cold]
fn too_big(mtu: u16, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Ip4Rewrite>) -> Next {
    let own = packet.meta.marks & marks::OWN != 0;
    let Some(header) = packet.header_mut::<Ipv4>() else { return cx.drop(Count::Short) };
    if !own && header.ttl() <= 1 {
        return expired(packet, cx);
    }
    if header.dont_fragment() {
        cx.count(Count::TooBig);
        Reason::FragmentationNeeded { mtu }.note(packet);
        return Next::IcmpError;
    }
    if !own {
        header.dec_ttl();
        packet.meta.marks |= marks::OWN;
    }
    Next::Fragment
}
