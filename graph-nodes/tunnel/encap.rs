//! tunnel-encap: puts a packet into the tunnel that it leaves by, and looks up the way of the outer packet; the last feature of the
//! interface-output arc on tunnels. Reads: tx interface, marks. Writes: table, rx interface, marks; forgets flow hash.
//!
//! An outer packet that is known to be too long for the way to the other end, and may be cut, is cut here: nobody on the way would
//! cut IPv6. What may not be cut goes all the same, and whoever refuses it tells (RFC 2003 section 5.1).

use super::ends::Ready;
use super::outer::{Head, Open, sum_from};
use crate::forwarding::Forwarding;
use crate::interface::sending::Sender;
use crate::ip::fragment::{Cut, cut};
use crate::ip::{self, V4, V6};
use crate::marks;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{Ipv4, Ipv6};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// Its name.
pub const NAME: NodeName = NodeName::new("tunnel-encap");

edges! {
    /// The outer packet's way.
    pub enum Next { Lookup4 => ip::lookup::NAME4, Lookup6 => ip::lookup::NAME6 }
}

counters! {
    /// What becomes of packets.
    pub enum Count {
        Cut => "outer packets fragmented for the path's MTU",
        Pieces => "fragments made",
        Down => "tunnel is down",
        TooDeep => "a tunnel in a tunnel in a tunnel in a tunnel",
        NotIp => "neither IPv4 nor IPv6",
        TooLong => "longer than an outer packet can be",
        NoHeadroom => "no room for the outer headers",
        NotCut => "outer packet can't be fragmented",
        Gone => "tunnel is being removed",
    }
}

/// What `show trace` tells.
pub struct Trace {
    local: IpAddr,
    remote: IpAddr,
    open: Open,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trace { local, remote, open } = self;
        let df = if open.dont_fragment { " df" } else { "" };
        write!(f, "{local} -> {remote} length {} tos {:#04x}{df}", open.len, open.tos)
    }
}

/// The node.
pub struct TunnelEncap {
    /// Reads: tunnels.
    forwarding: Forwarding,
    /// Identifications that no other worker gives.
    own: std::ops::Range<u32>,
    /// Identifications of IPv6 fragments that nobody can guess (RFC 7739).
    ids: RandomState,
}

/// What is to be known of a packet that goes into a tunnel.
struct Inner {
    is_ip6: bool,
    tos: u8,
    dont_fragment: bool,
}

impl TunnelEncap {
    /// Reads tunnels of `forwarding`.
    pub fn new(forwarding: Forwarding) -> TunnelEncap {
        TunnelEncap { forwarding, own: 0..0, ids: RandomState::new() }
    }

    /// The next identification.
    #[inline(always)]
    fn id(&mut self) -> u32 {
        match self.own.next() {
            Some(id) => id,
            None => {
                self.own = self.forwarding.tunnels.ids();
                self.own.next().unwrap_or_default()
            }
        }
    }

    #[cold]
    fn cut(&self, id: u32, head: &Head, packet: &Packet<'_>, mtu: u16, cx: &mut Ctx<'_, Self>) -> Next {
        let made = match head.is_ip6 {
            false => pieces::<V4>(packet, mtu, id, cx, || Next::Lookup4),
            true => pieces::<V6>(packet, mtu, self.ids.hash_one(id) as u32, cx, || Next::Lookup6),
        };
        match made {
            Some(pieces) => {
                cx.count_n(Count::Pieces, pieces);
                cx.consume(Count::Cut)
            }
            None => cx.drop(Count::NotCut),
        }
    }
}

impl Node for TunnelEncap {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let (guard, interface) = (cx.guard(), packet.meta.tx_interface);
        let sender = Sender::new(interface, cx);
        let Some(Ready { tunnel, heads }) = self.forwarding.tunnels.of(interface, &guard) else {
            return sender.refuse(Count::Gone, cx);
        };
        if !sender.is_up(cx) {
            return sender.refuse(Count::Down, cx);
        }
        if packet.meta.marks & marks::TUNNELS == marks::TUNNELS {
            return sender.refuse(Count::TooDeep, cx);
        }
        let Some(inner) = look(packet) else { return sender.refuse(Count::NotIp, cx) };
        let [inside4, inside6] = heads;
        let head = if inner.is_ip6 { inside6 } else { inside4 };
        let inner_len = packet.total_len();
        let len = inner_len + head.len();
        if len > head.longest() {
            return sender.refuse(Count::TooLong, cx);
        }
        let too_long = len > tunnel.path_mtu.into();
        // An IPv6 packet of the least MTU must get through, whatever the path (RFC 4213 section 3.2.2, RFC 2473 section 7.1).
        let dont_fragment = !head.is_ip6 && tunnel.dont_fragment(inner.dont_fragment) && !(too_long && inner.is_ip6);
        let id = self.id();
        let open = Open { len, tos: tunnel.outer_tos(inner.tos), id: id as u16, dont_fragment };
        if !packet.retreat(head.len()) || !head.write(packet.data_mut(), open) {
            return sender.refuse(Count::NoHeadroom, cx);
        }
        if head.checksum {
            fill_checksum(head, packet);
        }
        cx.trace(packet, || Trace { local: tunnel.local, remote: tunnel.remote, open });
        sender.count(inner_len, cx);
        packet.mark_l3();
        let depth = (packet.meta.marks & marks::TUNNELS) + marks::ONE_TUNNEL;
        let meta = &mut *packet.meta;
        (meta.marks, meta.table, meta.rx_interface, meta.flow_hash) = (marks::OWN | depth, tunnel.table, interface, 0);
        if too_long && !dont_fragment {
            return self.cut(id, head, packet, tunnel.path_mtu, cx);
        }
        if head.is_ip6 { Next::Lookup6 } else { Next::Lookup4 }
    }
}

#[inline(always)]
fn look(packet: &Packet<'_>) -> Option<Inner> {
    match packet.data().first()? >> 4 {
        4 => {
            let ip = packet.header::<Ipv4>()?;
            Some(Inner { is_ip6: false, tos: ip.tos(), dont_fragment: ip.dont_fragment() })
        }
        6 => {
            let ip = packet.header::<Ipv6>()?;
            Some(Inner { is_ip6: true, tos: ip.traffic_class(), dont_fragment: true })
        }
        _ => None,
    }
}

/// RFC 2784 section 2.5: over the GRE header and all behind it.
fn fill_checksum(head: &Head, packet: &mut Packet<'_>) {
    let at = head.gre_at();
    let sum = sum_from(packet.segments(), at).checksum();
    if let Some(field) = packet.data_mut().get_mut(at + 4..at + 6) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

/// How many pieces the packet was cut into, which are on their way.
fn pieces<F: Cut>(
    packet: &Packet<'_>,
    mtu: u16,
    id: u32,
    cx: &mut Ctx<'_, TunnelEncap>,
    next: fn() -> Next,
) -> Option<u64> {
    cut::<F, _>(packet, mtu.into(), id, cx, next).ok()
}

#[cfg(test)]
#[path = "encap_tests.rs"]
mod tests;
