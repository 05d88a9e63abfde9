//! The IPv6 side of the small world, and packets for it, made by etherparse.

use super::{BLACKHOLE, HOST_MAC, LAN, LAN_MAC, OURS, PEER_MAC, PROHIBIT, UNREACHABLE, WAN, WAN_MAC, World};
use crate::forwarding::Interface;
use crate::marks;
use etherparse::{IpNumber, Ipv6FlowLabel, Ipv6Header, UdpHeader};
use millrace_engine::epoch::domain;
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_tables::fib::Target;
use millrace_wire::MacAddr;
use std::net::Ipv6Addr;

/// The router's address in 2001:db8:1::/64, on LAN.
pub const LAN_IP6: &str = "2001:db8:1::1";
/// Its link-local address there.
pub const LAN_LL: &str = "fe80::fe:ff:fe00:1";
/// The router's address in 2001:db8:2::/64, on WAN.
pub const WAN_IP6: &str = "2001:db8:2::1";
/// Its link-local address there.
pub const WAN_LL: &str = "fe80::fe:ff:fe00:2";
/// A host in the lan.
pub const HOST6: &str = "2001:db8:1::10";
/// Its link-local address, with adjacency [`TO_HOST_LL`].
pub const HOST_LL: &str = "fe80::10";
/// A host in the wan with adjacency [`TO_PEER6`], and a route of its own.
pub const PEER6: &str = "2001:db8:2::10";
/// The next hop of adjacency [`TO_STRANGER6`], whose MAC address nobody knows.
pub const STRANGER6: &str = "2001:db8:2::20";

pub const TO_PEER6: u32 = 20;
pub const WAN_SUBNET6: u32 = 21;
pub const LINK_LOCAL: u32 = 22;
pub const TO_STRANGER6: u32 = 23;
pub const TO_HOST_LL: u32 = 24;
pub const LAN_SUBNET6: u32 = 25;

/// An address from its text.
pub fn ip6(text: &str) -> Ipv6Addr {
    text.parse().expect("an IPv6 address")
}

/// The header of IPv6 frames between two stations.
pub fn frame_header6(to: MacAddr, from: MacAddr) -> Vec<u8> {
    [&to.0[..], &from.0, &[0x86, 0xdd]].concat()
}

/// An adjacency to a station in the wan.
pub fn neighbour6(mac: MacAddr, address: &str, mtu: u16) -> Adjacency {
    Adjacency::with_rewrite(WAN, mtu, ip6(address).to_bits(), &frame_header6(mac, WAN_MAC)).unwrap()
}

/// The marks of an answer of the router's own from an address.
pub fn own_marks(source: [u8; 16]) -> u32 {
    let tied = if Ipv6Addr::from(source).is_unicast_link_local() { marks::LINK_LOCAL } else { 0 };
    marks::OWN | tied
}

/// Gives LAN and WAN IPv6.
pub fn with_ip6(index: u32, interface: &mut Interface) {
    let (link_local, address) = match index {
        LAN => (LAN_LL, LAN_IP6),
        WAN => (WAN_LL, WAN_IP6),
        _ => return,
    };
    interface.addresses6 = vec![(ip6(link_local), 64), (ip6(address), 64)];
    let solicited = |text| Ipv6Addr::from_bits(ip6("ff02::1:ff00:0").to_bits() | ip6(text).to_bits() & 0xff_ffff);
    interface.groups6 = vec![ip6("ff02::1"), ip6("ff02::2"), solicited(link_local), solicited(address)];
    interface.groups6.sort_unstable();
}

/// Fills in the rest of the world.
pub fn furnish(world: &mut World) {
    let of = |kind, interface, next_hop: &str| Adjacency {
        interface,
        mtu: 1500,
        next_hop: ip6(next_hop).to_bits(),
        ..Adjacency::new(kind)
    };
    let host_ll = frame_header6(HOST_MAC, LAN_MAC);
    for (index, adjacency) in [
        (TO_PEER6, neighbour6(PEER_MAC, PEER6, 1500)),
        (WAN_SUBNET6, of(AdjacencyKind::Glean, WAN, "::")),
        (LINK_LOCAL, Adjacency::new(AdjacencyKind::LinkLocal)),
        (TO_STRANGER6, of(AdjacencyKind::Arp, WAN, STRANGER6)),
        (TO_HOST_LL, Adjacency::with_rewrite(LAN, 1500, ip6(HOST_LL).to_bits(), &host_ll).unwrap()),
        (LAN_SUBNET6, of(AdjacencyKind::Glean, LAN, "::")),
    ] {
        world.adjacency(index, adjacency);
    }
    for (prefix, index) in [
        ("2001:db8:1::1/128", OURS),
        ("2001:db8:2::1/128", OURS),
        ("fe80::/10", LINK_LOCAL),
        ("ff00::/8", OURS),
        ("2001:db8:1::/64", LAN_SUBNET6),
        ("2001:db8:2::/64", WAN_SUBNET6),
        ("2001:db8:2::10/128", TO_PEER6),
        ("2001:db8:f0::/48", BLACKHOLE),
        ("2001:db8:f1::/48", UNREACHABLE),
        ("2001:db8:f2::/48", PROHIBIT),
        ("2001:db8:f3::/48", TO_STRANGER6),
        ("2001:db8:f4::/48", 99),
    ] {
        world.route6(prefix, Target::Adjacency(index));
    }
    let tables = &world.forwarding;
    tables.link_locals.set(&domain(), LAN, vec![(ip6(HOST_LL).to_bits(), TO_HOST_LL)]).unwrap();
    tables.gleans6.set(&domain(), LAN, LAN_SUBNET6).unwrap();
    tables.gleans6.set(&domain(), WAN, WAN_SUBNET6).unwrap();
}

/// A header with a hop limit of 64.
pub fn header6(from: &str, to: &str, next_header: IpNumber) -> Ipv6Header {
    Ipv6Header {
        traffic_class: 0,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: 0,
        next_header,
        hop_limit: 64,
        source: ip6(from).octets(),
        destination: ip6(to).octets(),
    }
}

/// A packet of this header, its length set right, and the body.
pub fn packet6(header: &Ipv6Header, body: &[u8]) -> Vec<u8> {
    let mut header = header.clone();
    header.payload_length = body.len() as u16;
    [&header.to_bytes()[..], body].concat()
}

/// A UDP packet from port 40000 to port 7 with `bytes` bytes of data; its header changed by `change`.
pub fn udp6_with(from: &str, to: &str, bytes: usize, change: impl FnOnce(&mut Ipv6Header)) -> Vec<u8> {
    let mut header = header6(from, to, IpNumber::UDP);
    let data: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
    let udp = UdpHeader::with_ipv6_checksum(40_000, 7, &header, &data).unwrap();
    change(&mut header);
    packet6(&header, &[&udp.to_bytes()[..], &data].concat())
}

/// One with 12 bytes of data and nothing unusual: 60 bytes in all.
pub fn udp6(from: &str, to: &str) -> Vec<u8> {
    udp6_with(from, to, 12, |_| {})
}

/// An IPv6 packet taken apart: its header, whose length must be right, and the rest.
#[track_caller]
pub fn parsed6(packet: &[u8]) -> (Ipv6Header, &[u8]) {
    let (header, rest) = Ipv6Header::from_slice(packet).expect("an IPv6 header");
    assert_eq!(usize::from(header.payload_length), rest.len(), "payload length");
    (header, rest)
}
