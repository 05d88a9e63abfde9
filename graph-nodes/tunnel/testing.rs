//! What the tests of both nodes share: tunnels in the small world, and packets in them made by etherparse or by hand.

use super::{Df, Kind, Tunnel};
use crate::testing::*;
use etherparse::{IpNumber, Ipv4Header};
use std::collections::BTreeMap;

/// Tunnels as interfaces from here on.
pub const FIRST: u32 = 40;
/// The table that outer packets are looked up in.
pub const UNDERLAY: u32 = 3;
/// The table that packets out of tunnels are looked up in.
pub const OVERLAY: u32 = 7;

pub const LOCAL: &str = "192.0.2.1";
pub const REMOTE: &str = "198.51.100.9";
pub const LOCAL6: &str = "2001:db8:a::1";
pub const REMOTE6: &str = "2001:db8:b::9";

/// GRE without options.
pub const GRE: Kind = Kind::Gre { key: None, checksum: false };

/// A tunnel between the addresses above with everything else as by default.
pub fn tunnel(kind: Kind, is_ip6: bool) -> Tunnel {
    let (local, remote) = if is_ip6 { (LOCAL6, REMOTE6) } else { (LOCAL, REMOTE) };
    Tunnel {
        kind,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        table: UNDERLAY,
        ttl: 64,
        tos: None,
        df: Df::Inherit,
        path_mtu: u16::MAX,
    }
}

/// A world with these tunnels, from interface [`FIRST`] on.
pub fn world(tunnels: Vec<Tunnel>) -> World {
    let mut world = World::new();
    let all: BTreeMap<u32, Tunnel> = (FIRST..).zip(tunnels).collect();
    for interface in all.keys() {
        let there = crate::forwarding::Interface { table: OVERLAY, point_to_point: true, ..Default::default() };
        world.interface(*interface, there);
    }
    world.forwarding.tunnels.set(&BTreeMap::new(), &all);
    world
}

/// An outer IPv4 packet from one end to the other, with this protocol and what it carries; its header changed by `change`.
pub fn outer4(from: &str, to: &str, protocol: u8, inside: &[u8], change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    let of = |address: &str| address.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let mut ip = Ipv4Header::new(0, 64, IpNumber(protocol), of(from), of(to)).unwrap();
    ip.dont_fragment = false;
    change(&mut ip);
    packet(&ip, inside)
}

/// The same over IPv6.
pub fn outer6(from: &str, to: &str, protocol: u8, inside: &[u8], class: u8) -> Vec<u8> {
    let mut ip = header6(from, to, IpNumber(protocol));
    ip.traffic_class = class;
    packet6(&ip, inside)
}

/// A GRE packet: header with these flags, protocol type, fields and what it carries.
pub fn gre(flags: u16, protocol: u16, fields: &[u32], inside: &[u8]) -> Vec<u8> {
    let fields: Vec<u8> = fields.iter().flat_map(|field| field.to_be_bytes()).collect();
    [&flags.to_be_bytes()[..], &protocol.to_be_bytes(), &fields, inside].concat()
}

/// The same with the checksum that belongs into the first field.
pub fn summed(mut gre: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&gre);
    gre[4..6].copy_from_slice(&sum.to_be_bytes());
    gre
}
