//! The two families of addresses: what a node has to know of one so that it can be written once for both.

use crate::forwarding::Tables;
use crate::{ip4, ip6};
use millrace_engine::epoch::Slots;
use millrace_engine::{ArcName, NodeName};
use millrace_tables::lpm::{self, Address};
use millrace_wire::{FromBytes, IntoBytes, Ipv4, Ipv6};
use std::fmt::Debug;
use std::net::IpAddr;
use zerocopy::{Immutable, KnownLayout, Unaligned};

/// IPv4 or IPv6.
pub trait Family: Copy + Eq + Debug + Send + Sync + 'static {
    /// The header in front of every packet.
    type Header: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned;
    /// An address in host order.
    type Address: Address + Into<u128>;

    /// The longest packet that every link takes whole, in bytes.
    const LEAST_MTU: u16;
    /// Passes over a frame before the last that a lookup takes, for everything to be loaded: see [`passes`](super::passes).
    const STAGES: usize;
    /// The node that finds a packet's route.
    const LOOKUP: NodeName;
    /// The node that puts the Ethernet header in front.
    const REWRITE: NodeName;
    /// The node of packets for the router itself.
    const LOCAL: NodeName;
    /// The node that cuts packets in pieces.
    const FRAGMENT: NodeName;
    /// The node in which packets wait for a next hop.
    const DISCOVER: NodeName;
    /// The node in which packets wait for a station of a connected subnet.
    const GLEAN: NodeName;
    /// The node that makes errors of packets.
    const ICMP_ERROR: NodeName;
    /// Features on received packets before they are looked up.
    const UNICAST: ArcName;
    /// Features on packets whose next hop is known.
    const OUTPUT: ArcName;

    /// The forwarding tables, by number.
    fn fibs(tables: &Tables) -> &Slots<lpm::Reader<Self::Address>>;
    /// Where a packet goes.
    fn destination(header: &Self::Header) -> Self::Address;
    /// Where it came from.
    fn source(header: &Self::Header) -> Self::Address;
    /// How many hops it may still make.
    fn hop_limit(header: &Self::Header) -> u8;
    /// One hop less, of at least one; the header's checksum follows.
    fn count_down(header: &mut Self::Header);
    /// The packet's length from this header on, in bytes: up to 65,575 for IPv6.
    fn total_len(header: &Self::Header) -> u32;
    /// Whether a packet that is too long for its way may be cut in pieces here. `own`: the router is its source.
    fn may_fragment(header: &Self::Header, own: bool) -> bool;
    /// The hash of its flow, never 0.
    fn flow_hash(packet: &[u8]) -> u32;
    /// The next hop of an adjacency.
    fn next_hop(next_hop: u128) -> IpAddr;
    /// Whether an address is valid on its link alone (RFC 4291 section 2.5.6), and the same one may be on others.
    fn is_link_local(address: Self::Address) -> bool;
}

/// IPv4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct V4;

/// IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct V6;

impl Family for V4 {
    type Header = Ipv4;
    type Address = u32;

    /// RFC 791 section 3.2.
    const LEAST_MTU: u16 = 68;
    const STAGES: usize = 1;
    const LOOKUP: NodeName = NodeName::new("ip4-lookup");
    const REWRITE: NodeName = NodeName::new("ip4-rewrite");
    const LOCAL: NodeName = NodeName::new("ip4-local");
    const FRAGMENT: NodeName = NodeName::new("ip4-fragment");
    const DISCOVER: NodeName = NodeName::new("ip4-arp");
    const GLEAN: NodeName = NodeName::new("ip4-glean");
    const ICMP_ERROR: NodeName = NodeName::new("icmp4-error");
    const UNICAST: ArcName = ArcName::new("ip4-unicast");
    const OUTPUT: ArcName = ArcName::new("ip4-output");

    #[inline(always)]
    fn fibs(tables: &Tables) -> &Slots<lpm::Reader<u32>> {
        &tables.fibs
    }

    #[inline(always)]
    fn destination(header: &Ipv4) -> u32 {
        header.dst_u32()
    }

    #[inline(always)]
    fn source(header: &Ipv4) -> u32 {
        header.src_u32()
    }

    #[inline(always)]
    fn hop_limit(header: &Ipv4) -> u8 {
        header.ttl()
    }

    #[inline(always)]
    fn count_down(header: &mut Ipv4) {
        header.dec_ttl();
    }

    #[inline(always)]
    fn total_len(header: &Ipv4) -> u32 {
        header.total_len().into()
    }

    /// RFC 791 section 2.3.
    fn may_fragment(header: &Ipv4, _own: bool) -> bool {
        !header.dont_fragment()
    }

    fn flow_hash(packet: &[u8]) -> u32 {
        ip4::flow_hash::of(packet)
    }

    fn next_hop(next_hop: u128) -> IpAddr {
        (next_hop as u32).to_ip()
    }

    #[inline(always)]
    fn is_link_local(_: u32) -> bool {
        false
    }
}

impl Family for V6 {
    type Header = Ipv6;
    type Address = u128;

    /// RFC 8200 section 5.
    const LEAST_MTU: u16 = 1280;
    /// Each pass more costs what has few levels 5 clocks; two are worth it for a table of the Internet.
    const STAGES: usize = 2;
    const LOOKUP: NodeName = NodeName::new("ip6-lookup");
    const REWRITE: NodeName = NodeName::new("ip6-rewrite");
    const LOCAL: NodeName = NodeName::new("ip6-local");
    const FRAGMENT: NodeName = NodeName::new("ip6-fragment");
    const DISCOVER: NodeName = NodeName::new("ip6-discover-neighbor");
    const GLEAN: NodeName = NodeName::new("ip6-glean");
    const ICMP_ERROR: NodeName = NodeName::new("icmp6-error");
    const UNICAST: ArcName = ArcName::new("ip6-unicast");
    const OUTPUT: ArcName = ArcName::new("ip6-output");

    #[inline(always)]
    fn fibs(tables: &Tables) -> &Slots<lpm::Reader<u128>> {
        &tables.fibs6
    }

    #[inline(always)]
    fn destination(header: &Ipv6) -> u128 {
        header.dst_u128()
    }

    #[inline(always)]
    fn source(header: &Ipv6) -> u128 {
        header.src_u128()
    }

    #[inline(always)]
    fn hop_limit(header: &Ipv6) -> u8 {
        header.hop_limit()
    }

    #[inline(always)]
    fn count_down(header: &mut Ipv6) {
        header.count_down();
    }

    #[inline(always)]
    fn total_len(header: &Ipv6) -> u32 {
        Ipv6::LEN as u32 + u32::from(header.payload_len())
    }

    /// RFC 8200 section 5: only its source may.
    fn may_fragment(_header: &Ipv6, own: bool) -> bool {
        own
    }

    fn flow_hash(packet: &[u8]) -> u32 {
        ip6::flow_hash::of(packet)
    }

    fn next_hop(next_hop: u128) -> IpAddr {
        next_hop.to_ip()
    }

    #[inline(always)]
    fn is_link_local(address: u128) -> bool {
        // fe80::/10.
        address >> 118 == 0x3fa
    }
}
