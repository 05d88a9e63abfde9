//! The tables that nodes read and control writes, published through epochs: readers never wait.

use crate::{mss_clamp, tunnel, urpf, vxlan};
use crossbeam::utils::CachePadded;
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::epoch::{Guard, Slots};
use millrace_tables::adjacency::Adjacencies;
use millrace_tables::load_balance::LoadBalance;
use millrace_tables::lpm;
use millrace_wire::{MacAddr, Tags};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Adjacencies that there can be: neighbours, and a few for each interface.
pub const MAX_ADJACENCIES: u32 = 1 << 18;
/// Distinct sets of next hops with more than one member.
pub const MAX_LOAD_BALANCES: u32 = 1 << 16;
/// Forwarding tables (VRFs).
pub const MAX_TABLES: u32 = 1024;

/// What the packet path knows of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its MAC address; frames for other unicast addresses are not for us.
    pub mac: MacAddr,
    /// The longest packet that it sends, in bytes from the IP header on.
    pub mtu: u16,
    /// The table (VRF) in which packets from it are looked up.
    pub table: u32,
    /// Whether there is no Ethernet on it and one station at its other end.
    pub point_to_point: bool,
    /// Its IPv4 addresses with the length of their subnet's prefix, the primary first.
    pub addresses: Vec<(Ipv4Addr, u8)>,
    /// Its sub-interfaces, as (tags, index), sorted.
    pub sub_interfaces: Vec<(Tags, u32)>,
    /// Its IPv6 addresses with the length of their subnet's prefix, its link-local address first. Without one, IPv6 is off.
    pub addresses6: Vec<(Ipv6Addr, u8)>,
    /// Addresses that it has only if nobody else does, which is being found out (RFC 4862 section 5.4).
    pub tentative: Vec<Ipv6Addr>,
    /// IPv6 multicast groups that it listens to, sorted.
    pub groups6: Vec<Ipv6Addr>,
    /// What precedes an EtherType on it: the tags of a sub-interface.
    pub tags: Option<Tags>,
    /// Whether its frames are switched as they are, in a bridge, rather than routed; a sub-interface's.
    pub switched: bool,
    /// Addresses that are none of its own but answered for in ARP, as those behind which NAT hides others; sorted.
    pub proxied: Arc<[Ipv4Addr]>,
    /// Which packets it takes, by their source.
    pub urpf: urpf::Mode,
    /// How large the segments of TCP connections through it may be.
    pub mss_clamp: mss_clamp::Limit,
}

impl Interface {
    /// Whether one of its own addresses.
    pub fn owns(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|(a, _)| *a == address)
    }

    /// Whether the router answers for an address in ARP: its own, or a proxied one.
    pub fn answers_for(&self, address: Ipv4Addr) -> bool {
        self.owns(address) || self.proxied.binary_search(&address).is_ok()
    }

    /// The address to speak from to a neighbour: the one in whose subnet it is, else the primary.
    pub fn source_for(&self, neighbour: Ipv4Addr) -> Option<Ipv4Addr> {
        let in_subnet = |(a, len): &&(Ipv4Addr, u8)| (a.to_bits() ^ neighbour.to_bits()) & mask(*len) == 0;
        self.addresses.iter().find(in_subnet).or(self.addresses.first()).map(|(a, _)| *a)
    }

    /// Whether `address` can be a station on one of its subnets: in it, and neither the subnet's own address nor its
    /// broadcast address, which subnets of 31 and 32 bits don't have (RFC 3021).
    pub fn is_neighbour(&self, address: Ipv4Addr) -> bool {
        let station = |(a, len): &(Ipv4Addr, u8)| {
            let (mask, address) = (mask(*len), address.to_bits());
            let host = address & !mask;
            (a.to_bits() ^ address) & mask == 0 && (*len >= 31 || (host != 0 && host != !mask))
        };
        self.addresses.iter().any(station)
    }

    /// Whether `address` means everyone: the limited broadcast, or the broadcast address of one of its subnets, also in
    /// the old form with zeros (RFC 1812 section 4.2.3.1).
    pub fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        let of_subnet = |(a, len): &(Ipv4Addr, u8)| {
            let (mask, address) = (mask(*len), address.to_bits());
            let host = address & !mask;
            *len < 31 && (a.to_bits() ^ address) & mask == 0 && (host == 0 || host == !mask)
        };
        address.is_broadcast() || self.addresses.iter().any(of_subnet)
    }

    /// Whether it speaks IPv6, or is about to.
    pub fn has_ip6(&self) -> bool {
        !self.addresses6.is_empty() || !self.tentative.is_empty()
    }

    /// Whether one of its own IPv6 addresses, and known to be nobody else's.
    pub fn owns6(&self, address: Ipv6Addr) -> bool {
        self.addresses6.iter().any(|(a, _)| *a == address)
    }

    /// Its own address on the link (RFC 4291 section 2.5.6).
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.addresses6.iter().map(|(a, _)| *a).find(Ipv6Addr::is_unicast_link_local)
    }

    /// The address to speak from to a station: for one on this link, the link-local address or that of the same subnet; for
    /// others, one that is valid beyond the link (RFC 6724 section 5, rules 1, 2 and 8).
    pub fn source_for6(&self, to: Ipv6Addr) -> Option<Ipv6Addr> {
        if to.is_unicast_link_local() || to.is_multicast() && to.octets()[1] & 0xf == 2 {
            return self.link_local();
        }
        let beyond = || self.addresses6.iter().filter(|(a, _)| !a.is_unicast_link_local());
        let common = |a: &Ipv6Addr| (a.to_bits() ^ to.to_bits()).leading_zeros();
        // Of several with as long a common prefix, the first.
        beyond().rev().max_by_key(|(a, _)| common(a)).map(|(a, _)| *a)
    }

    /// Whether `address` can be a station on this link: link-local, or in one of its subnets; and not the subnet-router anycast
    /// address (RFC 4291 section 2.6.1), which subnets of 127 and 128 bits don't have (RFC 6164).
    pub fn is_neighbour6(&self, address: Ipv6Addr) -> bool {
        let station = |(a, len): &(Ipv6Addr, u8)| {
            let (mask, bits) = (mask6(*len), address.to_bits());
            (a.to_bits() ^ bits) & mask == 0 && (*len >= 127 || bits & !mask != 0)
        };
        let possible = !address.is_multicast() && !address.is_unspecified() && !address.is_loopback();
        possible && (address.is_unicast_link_local() || self.addresses6.iter().any(station))
    }

    /// Whether it listens to a multicast group.
    pub fn listens6(&self, group: Ipv6Addr) -> bool {
        self.groups6.binary_search(&group).is_ok()
    }
}

/// The network mask of a prefix of `len` bits.
fn mask(len: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(len.into())).unwrap_or(0)
}

/// As [`mask`], of 128 bits.
fn mask6(len: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(len.into())).unwrap_or(0)
}

/// All of them; clones are handles to the same tables. On cache lines of their own: who writes beside them would slow every reader.
#[derive(Clone, Debug)]
pub struct Forwarding(Arc<CachePadded<Tables>>);

/// See [`Forwarding`].
#[derive(Debug)]
pub struct Tables {
    /// Interfaces by index; index 0 is none.
    pub interfaces: Slots<Interface>,
    /// Adjacencies by index; index 0 is the one of packets without a route.
    pub adjacencies: Adjacencies,
    /// Load-balances by index.
    pub load_balances: Slots<LoadBalance>,
    /// IPv4 forwarding tables by number; 0 is the default VRF's.
    pub fibs: Slots<lpm::Reader<u32>>,
    /// IPv6 forwarding tables, with the same numbers.
    pub fibs6: Slots<lpm::Reader<u128>>,
    /// By interface: the link-local addresses of known neighbours with their adjacencies, sorted.
    pub link_locals: Slots<Vec<(u128, u32)>>,
    /// By interface: the adjacency of IPv6 neighbours that nobody spoke to yet.
    pub gleans6: Slots<u32>,
    /// The UDP ports at which the router itself listens.
    pub udp_services: UdpServices,
    /// The interfaces that are tunnels of packets.
    pub tunnels: tunnel::Tunnels,
    /// The interfaces of VXLAN and their remotes.
    pub vxlan: vxlan::Tunnels,
}

/// UDP ports with a service, on all of the router's own addresses.
#[derive(Debug)]
pub struct UdpServices(Box<[AtomicU64]>);

impl UdpServices {
    /// None.
    fn new() -> UdpServices {
        UdpServices((0..=u16::MAX / 64).map(|_| AtomicU64::new(0)).collect())
    }

    /// Opens or closes a port. Workers see it with their next packets.
    pub fn set(&self, port: u16, open: bool) {
        let Some(word) = self.0.get(usize::from(port / 64)) else { return };
        let bit = 1 << (port % 64);
        if open {
            word.fetch_or(bit, Relaxed)
        } else {
            word.fetch_and(!bit, Relaxed)
        };
    }

    /// Whether a port is open.
    #[inline(always)]
    pub fn is_open(&self, port: u16) -> bool {
        self.0.get(usize::from(port / 64)).is_some_and(|word| word.load(Relaxed) >> (port % 64) & 1 != 0)
    }
}

impl Tables {
    /// The adjacency of a neighbour on `interface` with this link-local address; that for unknown ones when it isn't known.
    /// `None` when the interface has no IPv6.
    pub fn link_local(&self, interface: u32, address: u128, guard: &Guard<'_>) -> Option<u32> {
        let known = self.link_locals.get(interface, guard).map_or(&[][..], Vec::as_slice);
        match known.binary_search_by_key(&address, |(neighbour, _)| *neighbour) {
            Ok(at) => known.get(at).map(|(_, adjacency)| *adjacency),
            Err(_) => self.gleans6.get(interface, guard).copied(),
        }
    }
}

impl Forwarding {
    /// Empty tables: nothing has a route.
    pub fn new() -> Forwarding {
        Forwarding(Arc::new(CachePadded::new(Tables {
            interfaces: Slots::new(MAX_INTERFACES as u32),
            adjacencies: Slots::new(MAX_ADJACENCIES),
            load_balances: Slots::new(MAX_LOAD_BALANCES),
            fibs: Slots::new(MAX_TABLES),
            fibs6: Slots::new(MAX_TABLES),
            link_locals: Slots::new(MAX_INTERFACES as u32),
            gleans6: Slots::new(MAX_INTERFACES as u32),
            udp_services: UdpServices::new(),
            tunnels: tunnel::Tunnels::new(),
            vxlan: vxlan::Tunnels::new(),
        })))
    }
}

impl Default for Forwarding {
    fn default() -> Self {
        Self::new()
    }
}

impl std::ops::Deref for Forwarding {
    type Target = Tables;

    #[inline(always)]
    fn deref(&self) -> &Tables {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(addresses: &[(&str, u8)]) -> Interface {
        let addresses = addresses.iter().map(|(a, len)| (a.parse().unwrap(), *len)).collect();
        Interface { addresses, ..Interface::default() }
    }

    #[test]
    fn each_udp_port_is_by_itself() {
        let services = UdpServices::new();
        for port in [0, 63, 64, 4789, u16::MAX] {
            services.set(port, true);
        }
        services.set(64, false);
        let open: Vec<u16> = (0..=u16::MAX).filter(|port| services.is_open(*port)).collect();
        assert_eq!(open, [0, 63, 4789, u16::MAX]);
    }

    #[test]
    fn whom_an_interface_knows() {
        let lan = interface(&[("192.168.1.1", 24), ("10.0.0.1", 31), ("10.1.0.1", 32), ("172.16.5.1", 12)]);
        for (address, neighbour, broadcast, source) in [
            ("192.168.1.1", true, false, "192.168.1.1"),
            ("192.168.1.254", true, false, "192.168.1.1"),
            ("192.168.1.255", false, true, "192.168.1.1"),
            ("192.168.1.0", false, true, "192.168.1.1"),
            ("192.168.2.1", false, false, "192.168.1.1"),
            // RFC 3021: a subnet of 31 bits has two stations and no broadcast address.
            ("10.0.0.0", true, false, "10.0.0.1"),
            ("10.0.0.2", false, false, "192.168.1.1"),
            ("10.1.0.1", true, false, "10.1.0.1"),
            ("10.1.0.2", false, false, "192.168.1.1"),
            ("172.31.255.255", false, true, "172.16.5.1"),
            ("172.16.255.255", true, false, "172.16.5.1"),
            ("255.255.255.255", false, true, "192.168.1.1"),
        ] {
            let at: Ipv4Addr = address.parse().unwrap();
            let seen = (lan.is_neighbour(at), lan.is_broadcast(at), lan.source_for(at).unwrap().to_string());
            assert_eq!(seen, (neighbour, broadcast, source.to_owned()), "{address}");
        }
        assert!(lan.owns("10.1.0.1".parse().unwrap()) && !lan.owns("10.0.0.0".parse().unwrap()));
        let proxied: Vec<Ipv4Addr> = ["10.0.0.7", "10.0.0.9", "192.168.1.5"].map(|a| a.parse().unwrap()).into();
        let lan = Interface { proxied: proxied.clone().into(), ..lan };
        assert!(proxied.iter().all(|a| lan.answers_for(*a) && !lan.owns(*a)), "another's addresses are not its own");
        assert!(lan.answers_for("10.1.0.1".parse().unwrap()) && !lan.answers_for("10.0.0.8".parse().unwrap()));
        let everything = interface(&[("10.0.0.1", 0)]);
        assert!(everything.is_neighbour(Ipv4Addr::new(8, 8, 8, 8)));
        assert_eq!(interface(&[]).source_for(Ipv4Addr::LOCALHOST), None);
    }
}
