//! The small world as one of the families sees it: for tests that both have to pass.

use super::*;
use crate::ip::{Family, V4, V6};
use std::net::IpAddr;

/// What such a test has to know of a family.
pub trait Dual: Family {
    /// The adjacency of [`Dual::STRANGER`].
    const TO_STRANGER: u32;
    /// The adjacency of the subnet in the wan.
    const WAN_SUBNET: u32;
    /// A host in the lan.
    const HOST: &str;
    /// The router's address in the wan.
    const WAN_IP: &str;
    /// A host in the wan with an adjacency and a route.
    const PEER: &str;
    /// One with an adjacency that waits for its MAC address.
    const STRANGER: &str;
    /// One that nobody spoke to.
    const NEW: &str;
    /// Somewhere beyond.
    const FAR: &str;

    /// A UDP packet with so much data and this time to live, or hop limit.
    fn udp(from: &str, to: &str, bytes: usize, hop_limit: u8) -> Vec<u8>;
    /// An adjacency to a station in the wan.
    fn neighbour(mac: MacAddr, address: &str) -> Adjacency;
    /// A route to a host.
    fn host_route(world: &mut World, address: &str, target: Target);
    /// The length of headers before the data of [`Dual::udp`].
    const HEADERS: usize;
}

/// An address from its text.
pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

fn ip4(text: &str) -> Ip {
    text.parse::<Ipv4Addr>().expect("an IPv4 address").octets()
}

impl Dual for V4 {
    const TO_STRANGER: u32 = TO_STRANGER;
    const WAN_SUBNET: u32 = WAN_SUBNET;
    const HOST: &str = "192.168.1.10";
    const WAN_IP: &str = "203.0.113.1";
    const PEER: &str = "203.0.113.10";
    const STRANGER: &str = "203.0.113.20";
    const NEW: &str = "203.0.113.30";
    const FAR: &str = "8.8.8.8";
    const HEADERS: usize = 28;

    fn udp(from: &str, to: &str, bytes: usize, hop_limit: u8) -> Vec<u8> {
        udp_with(ip4(from), ip4(to), bytes, |h| h.time_to_live = hop_limit)
    }

    fn neighbour(mac: MacAddr, address: &str) -> Adjacency {
        neighbour(mac, ip4(address), 1500)
    }

    fn host_route(world: &mut World, address: &str, target: Target) {
        world.route(&format!("{address}/32"), target);
    }
}

impl Dual for V6 {
    const TO_STRANGER: u32 = TO_STRANGER6;
    const WAN_SUBNET: u32 = WAN_SUBNET6;
    const HOST: &str = HOST6;
    const WAN_IP: &str = WAN_IP6;
    const PEER: &str = PEER6;
    const STRANGER: &str = STRANGER6;
    const NEW: &str = "2001:db8:2::30";
    const FAR: &str = "2001:4860::8888";
    const HEADERS: usize = 48;

    fn udp(from: &str, to: &str, bytes: usize, hop_limit: u8) -> Vec<u8> {
        udp6_with(from, to, bytes, |h| h.hop_limit = hop_limit)
    }

    fn neighbour(mac: MacAddr, address: &str) -> Adjacency {
        neighbour6(mac, address, 1500)
    }

    fn host_route(world: &mut World, address: &str, target: Target) {
        world.route6(&format!("{address}/128"), target);
    }
}

/// Makes tests of functions that are generic over [`Dual`]: one for each family.
macro_rules! both {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        mod v4 {
            $($(#[$meta])* #[test] fn $name() { super::$name::<crate::ip::V4>() })*
        }
        mod v6 {
            $($(#[$meta])* #[test] fn $name() { super::$name::<crate::ip::V6>() })*
        }
    };
}
pub(crate) use both;
