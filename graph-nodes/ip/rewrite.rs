//! ip4-rewrite, ip6-rewrite: time to live (hop limit), MTU, and the Ethernet header that the adjacency has ready.
//! Reads: adjacency, marks, rx interface. Writes: tx interface.

use crate::forwarding::Forwarding;
use crate::icmp::reason::Reason;
use crate::ip::{Family, V4, V6};
use crate::{interface, marks};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::Adjacency;
use millrace_wire::Ethernet;
use std::fmt;
use std::marker::PhantomData;

/// The name of the IPv4 node.
pub const NAME4: NodeName = V4::REWRITE;
/// The name of the IPv6 node.
pub const NAME6: NodeName = V6::REWRITE;

edges! {
    /// Out, or what stands against it.
    pub enum Next<F: Family> { Output => interface::output::NAME, Fragment => F::FRAGMENT, IcmpError => F::ICMP_ERROR }
}

counters! {
    /// Packets that are not sent on as they are.
    pub enum Count {
        Short => "no IP header",
        Expired => "time to live ran out",
        TooBig => "longer than the MTU and may not be fragmented",
        LinkMulticast => "came as a link-layer broadcast or multicast",
        BeyondScope => "source address is not valid beyond its link",
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
pub struct IpRewrite<F: Family> {
    /// Reads: adjacencies.
    forwarding: Forwarding,
    family: PhantomData<F>,
}

impl<F: Family> IpRewrite<F> {
    /// Reads adjacencies of `forwarding`.
    pub fn new(forwarding: Forwarding) -> IpRewrite<F> {
        IpRewrite { forwarding, family: PhantomData }
    }
}

impl<F: Family> Node for IpRewrite<F> {
    const NAME: NodeName = F::REWRITE;
    type Next = Next<F>;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next<F> {
        let guard = cx.guard();
        let adjacency = self.forwarding.adjacencies.get(packet.meta.adjacency, &guard);
        let Some(adjacency) = adjacency.filter(|a| a.kind.sends()) else { return cx.drop(Count::Gone) };
        let marks = packet.meta.marks & (marks::OWN | marks::LINK_MULTICAST | marks::LINK_LOCAL);
        let Some(header) = packet.header_mut::<F::Header>() else { return cx.drop(Count::Short) };
        if F::total_len(header) > adjacency.mtu.into() {
            return too_big(adjacency, packet, cx);
        }
        if marks & (marks::LINK_MULTICAST | marks::LINK_LOCAL) != 0
            && let Some(refused) = stays(adjacency, packet, cx)
        {
            return refused;
        }
        // RFC 1812 section 5.3.1, RFC 8200 section 3: a router counts down what it forwards, not what it sends.
        if marks & marks::OWN == 0 {
            let Some(header) = packet.header_mut::<F::Header>() else { return cx.drop(Count::Short) };
            if F::hop_limit(header) <= 1 {
                return expired(packet, cx);
            }
            F::count_down(header);
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
fn tagged<F: Family>(adjacency: &Adjacency, packet: &mut Packet<'_>, cx: &mut Ctx<'_, IpRewrite<F>>) -> Next<F> {
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
fn expired<F: Family>(packet: &mut Packet<'_>, cx: &mut Ctx<'_, IpRewrite<F>>) -> Next<F> {
    cx.count(Count::Expired);
    Reason::TimeExceeded.note(packet);
    Next::IcmpError
}

/// Why a packet that is marked goes no further, if it doesn't.
#[cold]
fn stays<F: Family>(adjacency: &Adjacency, packet: &mut Packet<'_>, cx: &mut Ctx<'_, IpRewrite<F>>) -> Option<Next<F>> {
    let own = packet.meta.marks & marks::OWN != 0;
    // RFC 1812 section 5.3.4: it was not meant for the router alone, so others have it, too.
    if packet.meta.marks & marks::LINK_MULTICAST != 0 && !own {
        return Some(cx.drop(Count::LinkMulticast));
    }
    // RFC 4291 section 2.5.6: to another link it must not go. RFC 4443 section 3.1 says what its source hears.
    if packet.meta.marks & marks::LINK_LOCAL != 0 && adjacency.interface != packet.meta.rx_interface {
        if own {
            return Some(cx.drop(Count::BeyondScope));
        }
        cx.count(Count::BeyondScope);
        Reason::BeyondScope.note(packet);
        return Some(Next::IcmpError);
    }
    None
}

/// Cut in pieces, or refused with the MTU that would do (RFC 1191 section 4, RFC 4443 section 3.2). A packet that is to be
/// forwarded is counted down first: its pieces come back here as the router's own.
///
/// A tunnel takes what every link takes, whatever is left of its path's MTU: it cuts the outer packet (RFC 4213 section 3.2.2).
#[cold]
fn too_big<F: Family>(adjacency: &Adjacency, packet: &mut Packet<'_>, cx: &mut Ctx<'_, IpRewrite<F>>) -> Next<F> {
    let own = packet.meta.marks & marks::OWN != 0;
    if let Some(refused) = stays(adjacency, packet, cx) {
        return refused;
    }
    let Some(header) = packet.header_mut::<F::Header>() else { return cx.drop(Count::Short) };
    if !own && F::hop_limit(header) <= 1 {
        return expired(packet, cx);
    }
    let taken = adjacency.rewrite_len == 0 && F::total_len(header) <= F::LEAST_MTU.into();
    if !taken && !F::may_fragment(header, own) {
        cx.count(Count::TooBig);
        Reason::TooBig { mtu: adjacency.mtu.max(F::LEAST_MTU) }.note(packet);
        return Next::IcmpError;
    }
    if !own {
        F::count_down(header);
    }
    if taken {
        packet.meta.tx_interface = adjacency.interface;
        return Next::Output;
    }
    packet.meta.marks |= marks::OWN;
    Next::Fragment
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
