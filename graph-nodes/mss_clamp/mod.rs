//! MSS clamp: what the two ends of a TCP connection tell each other to send at most is lowered to what fits through an interface, for
//! links whose MTU nobody tells them (RFC 2923 section 2.1).

pub mod clamp;
pub mod segment;

use crate::forwarding::{Forwarding, Interface};
use crate::ip::{Family, V4, V6};
use crate::{nat44, policy_routes, urpf};
use clamp::MssClamp;
use millrace_engine::{Feature, Graph, NodeName, Packet};
use millrace_wire::{IpProtocol, Ipv4, Ipv6, Ipv6Extensions};

/// How large the segments may be that come or leave by an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Limit {
    /// As the ends like it.
    #[default]
    Off,
    /// What fits the interface's MTU.
    Auto,
    /// So many bytes.
    Max(u16),
}

/// What the clamp has to know of a family.
pub trait Clamped: Family {
    /// On packets that come by the interface: before NAT, whose slow path, which SYNs take, leaves the arc.
    const IN: Feature;
    /// On packets that leave by it: before NAT for the same reason.
    const OUT: Feature;
    /// The length of an IP and a TCP header without options.
    const HEADERS: u16;

    /// Where a packet's TCP header begins, in bytes from its IP header. `None` of other packets, of fragments, and of those with
    /// headers in between that can't be passed over.
    fn tcp(packet: &Packet<'_>) -> Option<usize>;

    /// The limit of an interface, in bytes.
    fn limit(interface: &Interface) -> Option<u16> {
        match interface.mss_clamp {
            Limit::Off => None,
            Limit::Auto => Some(interface.mtu.saturating_sub(Self::HEADERS)),
            Limit::Max(bytes) => Some(bytes),
        }
    }
}

impl Clamped for V4 {
    const IN: Feature = Feature {
        arc: V4::UNICAST,
        node: NodeName::new("ip4-mss-clamp-in"),
        after: &[urpf::NAME4],
        before: &[policy_routes::NAME4, nat44::out2in::NAME],
    };
    const OUT: Feature = Feature {
        arc: V4::OUTPUT,
        node: NodeName::new("ip4-mss-clamp-out"),
        after: &[],
        before: &[nat44::inside_guard::NAME, nat44::in2out::NAME],
    };
    const HEADERS: u16 = 40;

    #[inline(always)]
    fn tcp(packet: &Packet<'_>) -> Option<usize> {
        let header = packet.header::<Ipv4>()?;
        (header.protocol() == IpProtocol::TCP && !header.is_fragment()).then(|| header.header_len())
    }
}

impl Clamped for V6 {
    const IN: Feature = Feature {
        arc: V6::UNICAST,
        node: NodeName::new("ip6-mss-clamp-in"),
        after: &[urpf::NAME6],
        before: &[policy_routes::NAME6],
    };
    const OUT: Feature = Feature { arc: V6::OUTPUT, node: NodeName::new("ip6-mss-clamp-out"), after: &[], before: &[] };
    const HEADERS: u16 = 60;

    #[inline(always)]
    fn tcp(packet: &Packet<'_>) -> Option<usize> {
        match packet.header::<Ipv6>()?.next_header() {
            IpProtocol::TCP => Some(Ipv6::LEN),
            next if next.is_extension() => behind_extensions(packet.data()),
            _ => None,
        }
    }
}

#[cold]
fn behind_extensions(packet: &[u8]) -> Option<usize> {
    let mut headers = Ipv6Extensions::of(packet);
    for header in headers.by_ref() {
        if header.ok()?.fragment().is_some_and(|fragment| !fragment.is_atomic()) {
            return None;
        }
    }
    (headers.protocol() == IpProtocol::TCP).then(|| headers.offset())
}

/// Adds the nodes and their places on the arcs.
pub fn register(graph: &mut Graph, forwarding: &Forwarding) {
    register_family::<V4>(graph, forwarding);
    register_family::<V6>(graph, forwarding);
}

fn register_family<F: Clamped>(graph: &mut Graph, forwarding: &Forwarding) {
    let tables = forwarding.clone();
    graph.node(move |_| MssClamp::<F, false>::new(tables.clone())).feature(F::IN);
    let tables = forwarding.clone();
    graph.node(move |_| MssClamp::<F, true>::new(tables.clone())).feature(F::OUT);
}
