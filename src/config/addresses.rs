//! The addresses of interfaces: which ones a router can have, and who has what.

use crate::{Config, DEFAULT_VRF, Name, diagnostic::Spot, validate::Check};
use ipnet::{IpNet, Ipv4Net};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

/// Who has which address and which subnet, by VRF.
#[derive(Default)]
pub(crate) struct Subnets<'c> {
    addresses: HashMap<(&'c str, IpAddr), &'c Name>,
    subnets: HashMap<(&'c str, IpNet), &'c Name>,
    /// The network and broadcast addresses of subnets that have them.
    ends: HashMap<(&'c str, Ipv4Addr), (&'static str, IpNet)>,
}

impl<'c> Subnets<'c> {
    /// What the interfaces of a configuration have; the first to name something has it.
    pub fn of(config: &'c Config) -> Self {
        let mut all = Self::default();
        for (name, interface) in &config.interfaces {
            let vrf = interface.vrf.as_str();
            for address in &interface.addresses {
                all.addresses.entry((vrf, address.addr())).or_insert(name);
                all.subnets.entry((vrf, address.trunc())).or_insert(name);
                if let IpNet::V4(net) = address
                    && let Some(ends) = ends(*net)
                {
                    for (end, what) in ends.into_iter().zip(["network", "broadcast"]) {
                        all.ends.insert((vrf, end), (what, address.trunc()));
                    }
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
        let IpAddr::V4(v4) = address else { return None };
        if let Some((what, net)) = self.ends.get(&(vrf, v4)) {
            return Some(format!("the {what} address of {net}"));
        }
        kind(v4).map(|kind| format!("{kind} address"))
    }
}

/// The first and last address of a subnet in which they are not hosts; none with a prefix of 31 (RFC 3021) or 32 bits.
fn ends(net: Ipv4Net) -> Option<[Ipv4Addr; 2]> {
    (net.prefix_len() < 31).then(|| [net.network(), net.broadcast()])
}

/// What an address is if it is none of a host: RFC 1122 clause 3.2.1.3, RFC 1112 clause 4.
fn kind(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets()[0] {
        _ if address.is_broadcast() => Some("the broadcast"),
        0 => Some("a \"this network\""),
        127 => Some("a loopback"),
        224..=239 => Some("a multicast"),
        240.. => Some("a reserved"),
        _ => None,
    }
}

pub(crate) fn check(check: &mut Check<'_>) {
    let config = check.config;
    // Who named an address or a subnet first; what comes later with the same one is the mistake.
    let mut owners: HashMap<(&str, IpAddr), &str> = HashMap::new();
    let mut subnets: HashMap<(&str, IpNet), &str> = HashMap::new();
    for (name, interface) in &config.interfaces {
        let vrf = interface.vrf.as_str();
        for (i, address) in interface.addresses.iter().enumerate() {
            let spot = || Spot::new("interfaces", name).key("addresses").value(i);
            let what = format!("interface {name}: address {address}");
            if !check.family(spot(), &what, address.addr()) {
                continue;
            }
            if let Some(wrong) = unfit(*address) {
                check.problem(
                    spot(),
                    format!("{what}: {wrong}"),
                    "expected the address of a host with the prefix length of its subnet",
                );
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
    }
}

/// Why an interface can't have this address.
fn unfit(address: IpNet) -> Option<String> {
    let IpNet::V4(net) = address else { return None };
    if let Some(kind) = kind(net.addr()) {
        return Some(format!("{kind} address"));
    }
    match ends(net)? {
        [network, _] if network == net.addr() => Some(format!("the network address of {}", net.trunc())),
        [_, broadcast] if broadcast == net.addr() => Some(format!("the broadcast address of {}", net.trunc())),
        _ => (net.prefix_len() == 0).then(|| "a subnet of all addresses".to_owned()),
    }
}

/// ` in VRF NAME`, or nothing for the default VRF.
fn within(vrf: &str) -> String {
    if vrf == DEFAULT_VRF { String::new() } else { format!(" in VRF {vrf}") }
}
