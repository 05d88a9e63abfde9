//! What differs between VXLAN over IPv4 and over IPv6: the headers.

use super::tables::{Ends, Tunnels};
use crate::ip::{Family, V4, V6};
use millrace_engine::epoch::Published;
use millrace_engine::{NodeName, Packet};
use millrace_wire::checksum::{Sum, pseudo_header4, pseudo_header6};
use millrace_wire::{FromBytes, IntoBytes, IpProtocol, Ipv4, Ipv6, Udp, Vxlan, upper_layer};
use std::net::IpAddr;
use zerocopy::{Immutable, KnownLayout, Unaligned};

/// The headers that stand before the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Outer<H> {
    ip: H,
    udp: Udp,
    vxlan: Vxlan,
}

/// Those to one remote, with all but what differs from frame to frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headers {
    /// Over IPv4.
    V4(Outer<Ipv4>),
    /// Over IPv6.
    V6(Outer<Ipv6>),
}

impl Headers {
    /// From and to these addresses, which must be of the same family: none otherwise. `port` is that of the remote, `ttl` the time to live or hop
    /// limit.
    #[must_use]
    pub const fn new(local: IpAddr, remote: IpAddr, port: u16, vni: u32, ttl: u8) -> Option<Headers> {
        let (udp, vxlan) = (Udp::new(0, port, 0), Vxlan::new(vni));
        match (local, remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                let ip = Ipv4::new(local, remote, IpProtocol::UDP, ttl, 0);
                Some(Headers::V4(Outer { ip, udp, vxlan }))
            }
            (IpAddr::V6(local), IpAddr::V6(remote)) => {
                let ip = Ipv6::new(local, remote, IpProtocol::UDP, ttl, 0);
                Some(Headers::V6(Outer { ip, udp, vxlan }))
            }
            _ => None,
        }
    }
}

/// What is different in each frame's headers.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Bytes of the frame.
    pub len: u16,
    /// The type of service or traffic class.
    pub tos: u8,
    /// Over IPv4: whether routers on the way may not fragment it.
    pub df: bool,
    /// Over IPv4: tells the fragments of one packet from those of another.
    pub id: u16,
    /// The hash of its flow.
    pub hash: u32,
}

/// What a received packet's outer headers say.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<A> {
    /// Who sent it.
    pub source: A,
    /// Which of our addresses it is to.
    pub destination: A,
    /// The type of service or traffic class.
    pub tos: u8,
    /// Where the UDP header is, in bytes.
    pub at: usize,
}

/// A family that VXLAN runs over.
pub trait Underlay: Family<Address: Default> {
    /// The node that puts frames into datagrams.
    const ENCAP: NodeName;
    /// The node that takes them out.
    const INPUT: NodeName;
    /// The headers.
    type Outer: Copy + FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned;
    /// The longest frame, as the lengths in the headers have 16 bits.
    const LONGEST: usize;

    /// The headers to a remote of this family.
    fn of(headers: &Headers) -> Option<&Self::Outer>;
    /// Fills in what is different in each.
    fn fill(outer: &mut Self::Outer, frame: Frame);
    /// The UDP checksum of a datagram that is ready but for it.
    fn checksum(packet: &Packet<'_>) -> Option<u16>;
    /// Sets it.
    fn set_checksum(outer: &mut Self::Outer, checksum: u16);
    /// Reads the headers of a packet for the router itself; none if no UDP header can be found.
    fn arrived(packet: &Packet<'_>) -> Option<Arrived<Self::Address>>;
    /// The sum of the pseudo header of a datagram.
    fn pseudo(arrived: &Arrived<Self::Address>, len: u16) -> Sum;
    /// Whose datagrams are.
    fn ends(tunnels: &Tunnels) -> &Published<Ends<Self>>;
    /// Whether a datagram needs a checksum unless the operator says otherwise (RFC 768; RFC 8200 section 8.1).
    const NEEDS_CHECKSUM: bool;
}

/// UDP's and VXLAN's.
const UPPER: u16 = (Udp::LEN + Vxlan::LEN) as u16;

impl Underlay for V4 {
    const ENCAP: NodeName = NodeName::new("vxlan4-encap");
    const INPUT: NodeName = NodeName::new("vxlan4-input");
    type Outer = Outer<Ipv4>;
    const LONGEST: usize = u16::MAX as usize - Ipv4::LEN - UPPER as usize;
    const NEEDS_CHECKSUM: bool = false;

    #[inline(always)]
    fn of(headers: &Headers) -> Option<&Outer<Ipv4>> {
        if let Headers::V4(outer) = headers { Some(outer) } else { None }
    }

    #[inline(always)]
    fn fill(outer: &mut Outer<Ipv4>, Frame { len, tos, df, id, hash }: Frame) {
        let total = len + UPPER + Ipv4::LEN as u16;
        outer.ip.set_tos(tos);
        outer.ip.set_total_len(total);
        outer.ip.set_id(id);
        outer.ip.set_dont_fragment(df);
        outer.ip.fill_checksum(&[]);
        outer.udp = Udp::new(Vxlan::source_port(hash), outer.udp.dst_port(), len + Vxlan::LEN as u16);
    }

    fn checksum(packet: &Packet<'_>) -> Option<u16> {
        let ip = packet.header::<Ipv4>()?;
        let len = packet.total_len() - Ipv4::LEN;
        let pseudo = pseudo_header4(ip.src_u32(), ip.dst_u32(), IpProtocol::UDP, len as u16);
        Some(sum(packet, Ipv4::LEN, len, pseudo).checksum())
    }

    fn set_checksum(outer: &mut Outer<Ipv4>, checksum: u16) {
        outer.udp.set_checksum(checksum);
    }

    #[inline(always)]
    fn arrived(packet: &Packet<'_>) -> Option<Arrived<u32>> {
        let ip = packet.header::<Ipv4>()?;
        Some(Arrived { source: ip.src_u32(), destination: ip.dst_u32(), tos: ip.tos(), at: ip.header_len() })
    }

    fn pseudo(arrived: &Arrived<u32>, len: u16) -> Sum {
        pseudo_header4(arrived.source, arrived.destination, IpProtocol::UDP, len)
    }

    #[inline(always)]
    fn ends(tunnels: &Tunnels) -> &Published<Ends<V4>> {
        &tunnels.ends4
    }
}

impl Underlay for V6 {
    const ENCAP: NodeName = NodeName::new("vxlan6-encap");
    const INPUT: NodeName = NodeName::new("vxlan6-input");
    type Outer = Outer<Ipv6>;
    const LONGEST: usize = u16::MAX as usize - UPPER as usize;
    const NEEDS_CHECKSUM: bool = true;

    #[inline(always)]
    fn of(headers: &Headers) -> Option<&Outer<Ipv6>> {
        if let Headers::V6(outer) = headers { Some(outer) } else { None }
    }

    #[inline(always)]
    fn fill(outer: &mut Outer<Ipv6>, Frame { len, tos, hash, .. }: Frame) {
        outer.ip.set_traffic_class(tos);
        outer.ip.set_payload_len(len + UPPER);
        outer.udp = Udp::new(Vxlan::source_port(hash), outer.udp.dst_port(), len + Vxlan::LEN as u16);
    }

    fn checksum(packet: &Packet<'_>) -> Option<u16> {
        let ip = packet.header::<Ipv6>()?;
        let len = packet.total_len() - Ipv6::LEN;
        let pseudo = pseudo_header6(&ip.src().octets(), &ip.dst().octets(), IpProtocol::UDP, len as u32);
        Some(sum(packet, Ipv6::LEN, len, pseudo).checksum())
    }

    fn set_checksum(outer: &mut Outer<Ipv6>, checksum: u16) {
        outer.udp.set_checksum(checksum);
    }

    #[inline(always)]
    fn arrived(packet: &Packet<'_>) -> Option<Arrived<u128>> {
        let ip = packet.header::<Ipv6>()?;
        let at = if ip.next_header() == IpProtocol::UDP { Ipv6::LEN } else { behind_extensions(packet)? };
        Some(Arrived { source: ip.src_u128(), destination: ip.dst_u128(), tos: ip.traffic_class(), at })
    }

    fn pseudo(arrived: &Arrived<u128>, len: u16) -> Sum {
        let (source, destination) = (arrived.source.to_be_bytes(), arrived.destination.to_be_bytes());
        pseudo_header6(&source, &destination, IpProtocol::UDP, len.into())
    }

    #[inline(always)]
    fn ends(tunnels: &Tunnels) -> &Published<Ends<V6>> {
        &tunnels.ends6
    }
}

#[cold]
fn behind_extensions(packet: &Packet<'_>) -> Option<usize> {
    upper_layer(packet.data()).filter(|(protocol, _)| *protocol == IpProtocol::UDP).map(|(_, at)| at)
}

/// Goes on summing with `len` bytes of a packet behind the first `skip`.
pub(super) fn sum(packet: &Packet<'_>, mut skip: usize, mut len: usize, mut sum: Sum) -> Sum {
    for segment in packet.segments() {
        let part = segment.get(skip..).unwrap_or(&[]);
        skip = skip.saturating_sub(segment.len());
        let part = part.get(..len).unwrap_or(part);
        len -= part.len();
        sum = sum.bytes(part);
    }
    sum
}
