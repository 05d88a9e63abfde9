//! The addresses of interfaces: which ones a router can have, and who has what.
//!
//! Link-local addresses (RFC 4291 clause 2.5.6) mean something on their own link only: each interface has its own, which may be
//! the same as another's, and no route leads to them.

use crate::{Config, DEFAULT_VRF, Interface, Name, diagnostic::Spot, validate::Check};
use ipnet::{IpNet, Ipv6Net};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What link-local addresses begin with.
const LINK_LOCAL: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);
/// The only link-local subnet there is (RFC 4291 clause 2.5.6: the 54 bits behind the first ten are zero).
const LINK_LOCAL_SUBNET: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 64);
/// What multicast addresses begin with.
const MULTICAST: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8);

/// The address, if it is a link-local one.
pub(crate) fn link_local(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(address).filter(|address| LINK_LOCAL.contains(address)),
        IpAddr::V4(_) => None,
    }
}

/// What kind of addresses a prefix holds if no packet to any of them is ever forwarded (RFC 4291 clauses 2.5.6 and 2.7).
pub fn never_routed(prefix: IpNet) -> Option<&'static str> {
    let IpNet::V6(prefix) = prefix else { return None };
    let all = [(LINK_LOCAL, "link-local addresses"), (MULTICAST, "multicast addresses")];
    all.into_iter().find_map(|(all, whose)| all.contains(&prefix).then_some(whose))
}

impl Interface {
    /// Whether it was given this link-local address. The one that it makes by itself doesn't stand in the configuration.
    pub(crate) fn has_link_local(&self, address: Ipv6Addr) -> bool {
        self.addresses.iter().any(|net| link_local(net.addr()) == Some(address))
    }

    /// Whether it takes part in IPv6: it has an address, or tells hosts about itself.
    pub fn uses_ipv6(&self) -> bool {
        self.router_advertisements.is_some() || self.addresses.iter().any(|net| net.addr().is_ipv6())
    }
}

/// Who has which address and which subnet, by VRF. Link-local ones are not among them.
#[derive(Default)]
pub(crate) struct Subnets<'c> {
    addresses: HashMap<(&'c str, IpAddr), &'c Name>,
    subnets: HashMap<(&'c str, IpNet), &'c Name>,
    /// The addresses of subnets that no host has: network and broadcast, subnet-router anycast.
    ends: HashMap<(&'c str, IpAddr), (&'static str, IpNet)>,
}

impl<'c> Subnets<'c> {
    /// What the interfaces of a configuration have; the first to name something has it.
    pub fn of(config: &'c Config) -> Self {
        let mut all = Self::default();
        for (name, interface) in &config.interfaces {
            let vrf = interface.vrf.as_str();
            for address in interface.addresses.iter().filter(|net| routed(**net)) {
                all.addresses.entry((vrf, address.addr())).or_insert(name);
                all.subnets.entry((vrf, address.trunc())).or_insert(name);
                for (end, what) in ends(*address) {
                    all.ends.insert((vrf, end), (what, address.trunc()));
                }
            }
        }
        all
    }

    /// The interface that has this address.
    pub fn owner(&self, vrf: &str, address: IpAddr) -> Option<&'c Name> {
        self.addresses.get(&(vrf, address)).copied()
    }

    /// The interface that is connected to exactly this subnet.
    pub fn connected(&self, vrf: &str, subnet: IpNet) -> Option<&'c Name> {
        self.subnets.get(&(vrf, subnet)).copied()
    }

    /// Why no host can have this address in this VRF, other than that the router has it.
    pub fn unusable(&self, vrf: &str, address: IpAddr) -> Option<String> {
        if let Some((what, net)) = self.ends.get(&(vrf, address)) {
            return Some(format!("the {what} address of {net}"));
        }
        kind(address).map(|kind| format!("{kind} address"))
    }
}

/// The addresses of a subnet that are no hosts: its first and last, but with a prefix of 31 (RFC 3021) or 32 bits; of an IPv6 one
/// the first, which means its routers (RFC 4291 clause 2.6.1), but with a prefix of 127 (RFC 6164) or 128 bits.
fn ends(net: IpNet) -> Vec<(IpAddr, &'static str)> {
    match net {
        IpNet::V4(_) if net.prefix_len() < 31 => vec![(net.network(), "network"), (net.broadcast(), "broadcast")],
        IpNet::V6(_) if net.prefix_len() < 127 => vec![(net.network(), "subnet-router anycast")],
        _ => Vec::new(),
    }
}

/// What an address is if it is none of a host.
pub(crate) fn kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => kind_ipv4(address),
        IpAddr::V6(address) => kind_ipv6(address),
    }
}

/// RFC 1122 clause 3.2.1.3, RFC 1112 clause 4.
fn kind_ipv4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets()[0] {
        _ if address.is_broadcast() => Some("the broadcast"),
        0 => Some("a \"this network\""),
        127 => Some("a loopback"),
        224..=239 => Some("a multicast"),
        240.. => Some("a reserved"),
        _ => None,
    }
}

/// RFC 4291 clauses 2.5.2, 2.5.3, 2.5.5.2 and 2.7.
fn kind_ipv6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("the unspecified")
    } else if address.is_loopback() {
        Some("the loopback")
    } else if address.is_multicast() {
        Some("a multicast")
    } else {
        address.to_ipv4_mapped().map(|_| "an IPv4-mapped")
    }
}

pub(crate) fn check(check: &mut Check<'_>) {
    let config = check.config;
    // Who named an address or a subnet first; what comes later with the same one is the mistake.
    let mut owners: HashMap<(&str, IpAddr), &str> = HashMap::new();
    let mut subnets: HashMap<(&str, IpNet), &str> = HashMap::new();
    for (name, interface) in &config.interfaces {
        let vrf = interface.vrf.as_str();
        let mut own_link_local = None;
        for (i, address) in interface.addresses.iter().enumerate() {
            let spot = || Spot::new("interfaces", name).key("addresses").value(i);
            let what = format!("interface {name}: address {address}");
            if let Some(wrong) = unfit(*address) {
                check.problem(
                    spot(),
                    format!("{what}: {wrong}"),
                    "expected the address of a host with the prefix length of its subnet",
                );
                continue;
            }
            if link_local(address.addr()).is_some() {
                if address.trunc() != IpNet::V6(LINK_LOCAL_SUBNET) {
                    let hint = format!("expected one in {LINK_LOCAL_SUBNET}, with this prefix length");
                    check.problem(spot(), format!("{what}: not as link-local addresses are"), hint);
                } else if let Some(other) = own_link_local.replace(address) {
                    let message =
                        format!("{what}: interface {name} has the link-local address {} already", other.addr());
                    check.problem(spot(), message, "expected one link-local address for each interface");
                }
                continue;
            }
            if let Some(other) = owners.insert((vrf, address.addr()), name) {
                let message = format!("{what}: interface {other} has this address already{}", within(vrf));
                check.problem(spot(), message, "expected an address of its own for each interface of a VRF");
            } else if let Some(other) =
                subnets.insert((vrf, address.trunc()), name).filter(|other| *other != name.as_str())
            {
                let message = format!("{what}: interface {other} is on {} already{}", address.trunc(), within(vrf));
                check.problem(spot(), message, "expected a subnet of its own for each interface of a VRF");
            }
        }
        if interface.uses_ipv6() && interface.mtu < Interface::MTU_MIN_IPV6 && !check.partial.contains(name) {
            let message = format!("interface {name}: mtu: {} is too small for IPv6", interface.mtu);
            let hint = format!("expected at least {}, or no IPv6", Interface::MTU_MIN_IPV6);
            check.problem(Spot::new("interfaces", name).key("mtu"), message, hint);
        }
    }
}

/// Whether an address is one that others reach through the table; what an interface can't have is no one's.
fn routed(address: IpNet) -> bool {
    link_local(address.addr()).is_none() && unfit(address).is_none()
}

/// Why an interface can't have this address.
fn unfit(address: IpNet) -> Option<String> {
    if let Some(kind) = kind(address.addr()) {
        return Some(format!("{kind} address"));
    }
    if let Some((_, what)) = ends(address).into_iter().find(|(end, _)| *end == address.addr()) {
        return Some(format!("the {what} address of {}", address.trunc()));
    }
    (address.prefix_len() == 0).then(|| "a subnet of all addresses".to_owned())
}

/// ` in VRF NAME`, or nothing for the default VRF.
fn within(vrf: &str) -> String {
    if vrf == DEFAULT_VRF { String::new() } else { format!(" in VRF {vrf}") }
}
