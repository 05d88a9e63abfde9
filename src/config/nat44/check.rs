//! The rules of the `nat44` section.

use super::{
    Exempt, ExternalAddress, Mapping, MappingKey, Nat44, NatLog, NatProtocol, Timeouts,
    file::{TIMEOUT, mapping_spot, spot},
};
use crate::{
    AddressRange, Config, DEFAULT_VRF, PortRange,
    decode::{Scalar, suggestion},
    validate::Check,
};
use ipnet::IpNet;
use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr},
};

/// What an address of a pool must be.
const HOSTS: &str = "expected addresses of hosts";

pub(crate) fn check(check: &mut Check<'_>) {
    let nat = &check.config.nat44;
    if *nat == Nat44::default() {
        return;
    }
    interfaces(check, nat);
    ranges(check, "pool", nat.pool.ranges().collect(), Nat44::MAX_POOL);
    ranges(check, "twice-nat-pool", nat.twice_nat_pool.iter().collect(), Nat44::MAX_TWICE_NAT);
    twice_nat_pool(check, nat);
    if nat.mappings.len() > Nat44::MAX_MAPPINGS {
        let message = format!("nat44: static-mappings: {} mappings", nat.mappings.len());
        check.problem(spot("static-mappings"), message, format!("expected at most {}", Nat44::MAX_MAPPINGS));
    }
    for (key, mapping) in &nat.mappings {
        ports(check, key, mapping);
        external(check, nat, key);
        internal(check, nat, key, mapping);
    }
    overlaps(check, nat);
    exempt(check, nat);
    numbers(check, nat);
}

/// The VRFs that external addresses are seen in.
fn outside_vrfs<'c>(config: &'c Config) -> BTreeSet<&'c str> {
    let vrfs: BTreeSet<&'c str> =
        config.nat44.outside.iter().filter_map(|name| Some(config.interfaces.get(name)?.vrf.as_str())).collect();
    if vrfs.is_empty() { BTreeSet::from([DEFAULT_VRF]) } else { vrfs }
}

/// Why no host can have an external address.
fn unusable(check: &Check<'_>, address: Ipv4Addr) -> Option<String> {
    outside_vrfs(check.config).into_iter().find_map(|vrf| check.subnets.unusable(vrf, address.into()))
}

/// The interface that has this address in a VRF that external addresses are seen in.
fn owner<'c>(check: &Check<'c>, address: Ipv4Addr) -> Option<&'c str> {
    let vrfs = outside_vrfs(check.config);
    vrfs.into_iter().find_map(|vrf| check.subnets.owner(vrf, address.into())).map(|name| name.as_str())
}

/// The address that an external address stands for now.
fn resolve(config: &Config, address: &ExternalAddress) -> Option<Ipv4Addr> {
    match address {
        ExternalAddress::Ip(address) => Some(*address),
        ExternalAddress::Interface(name) => config.interfaces.get(name)?.addresses.iter().find_map(ipv4),
    }
}

/// The address, if it is one that this translation knows.
fn ipv4(net: &IpNet) -> Option<Ipv4Addr> {
    match net {
        IpNet::V4(net) => Some(net.addr()),
        IpNet::V6(_) => None,
    }
}

fn interfaces(check: &mut Check<'_>, nat: &Nat44) {
    for (key, names) in [("inside", &nat.inside), ("outside", &nat.outside)] {
        for name in names {
            check.interface(spot(key).value(name), &format!("nat44: {key}"), name);
        }
    }
    // What comes back is told apart by its external address, so that this must mean one interface's VRF.
    let mut seen: HashMap<Ipv4Addr, (&str, &str)> = HashMap::new();
    for (name, interface) in nat.outside.iter().filter_map(|name| check.config.interfaces.get_key_value(name)) {
        for address in interface.addresses.iter().filter_map(ipv4) {
            let (other, vrf) = *seen.entry(address).or_insert((name.as_str(), interface.vrf.as_str()));
            if vrf != interface.vrf.as_str() {
                let message = format!("nat44: outside: {name} has {address}, as {other} has in VRF {vrf}");
                check.problem(
                    spot("outside").value(name),
                    message,
                    "expected addresses of their own on outside interfaces",
                );
            }
        }
    }
}

/// The ranges of a pool, in order.
fn ranges(check: &mut Check<'_>, key: &'static str, ranges: Vec<&AddressRange>, most: u64) {
    let count: u64 = ranges.iter().map(|range| range.count()).sum();
    if count > most {
        let message = format!("nat44: {key}: {count} addresses");
        check.problem(spot(key), message, format!("expected at most {most}"));
    }
    let mut highest: Option<&AddressRange> = None;
    for range in ranges {
        if let Some(other) = highest.filter(|other| other.overlaps(range)) {
            let message = format!("nat44: {key}: {range} overlaps {other}");
            check.problem(spot(key).value(range), message, "expected each address once");
        }
        highest = highest.filter(|other| other.last >= range.last).or(Some(range));
        let mut addresses = range.addresses().filter(|_| count <= most);
        if let Some((address, wrong)) = addresses.find_map(|address| Some((address, unusable(check, address)?))) {
            check.problem(spot(key).value(range), format!("nat44: {key}: {address} is {wrong}"), HOSTS);
        }
    }
}

/// The addresses of the twice-NAT pool belong to nobody else.
fn twice_nat_pool(check: &mut Check<'_>, nat: &Nat44) {
    for range in &nat.twice_nat_pool {
        let own = check.config.interfaces.iter().find_map(|(name, interface)| {
            let taken = |net: &&IpNet| matches!(net.addr(), IpAddr::V4(address) if range.contains(address));
            Some((name, interface.addresses.iter().find(taken)?.addr()))
        });
        if let Some((name, address)) = own {
            let message = format!("nat44: twice-nat-pool: {address} is interface {name}'s own address");
            check.problem(spot("twice-nat-pool").value(range), message, "expected addresses that nobody has");
        }
        if let Some(other) = nat.pool.ranges().find(|other| other.overlaps(range)) {
            let message = format!("nat44: twice-nat-pool: {range} overlaps {other} of the pool");
            check.problem(spot("twice-nat-pool").value(range), message, "expected addresses that nobody has");
        }
    }
}

fn ports(check: &mut Check<'_>, key: &MappingKey, mapping: &Mapping) {
    let what = format!("nat44: static mapping {key}");
    match (key.protocol, key.external.ports) {
        (Some(_), None) => {
            let hint = "expected a port, as in 203.0.113.2:80, or no protocol: one-to-one";
            check.problem(mapping_spot(key), format!("{what}: external: no port"), hint);
        }
        (None, Some(_)) => {
            let hint = format!("expected `protocol` with {}", NatProtocol::WANTED);
            check.problem(mapping_spot(key), format!("{what}: a port without a protocol"), hint);
        }
        _ => {}
    }
    let count = |ports: Option<PortRange>| ports.map_or(0, |ports| ports.count());
    for server in &mapping.internal {
        let (wanted, found) = (count(key.external.ports), count(server.ports));
        if wanted != found {
            let hint = match key.external.ports {
                None => "expected an address without a port".to_owned(),
                Some(_) if wanted == 1 => "expected one port, as there is outside".to_owned(),
                Some(_) => format!("expected a range of {wanted} ports, as there is outside"),
            };
            check.problem(mapping_spot(key).key("internal"), format!("{what}: internal: {}", server.endpoint()), hint);
        }
    }
}

fn external(check: &mut Check<'_>, nat: &Nat44, key: &MappingKey) {
    let what = format!("nat44: static mapping {key}");
    match &key.external.address {
        ExternalAddress::Interface(name) if nat.outside.contains(name) => {
            if key.is_one_to_one() {
                let hint = "expected an address that the router doesn't have, or a protocol with ports";
                check.problem(mapping_spot(key), format!("{what}: interface {name} as a whole"), hint);
            }
        }
        ExternalAddress::Interface(name) => {
            let known: Vec<&str> = nat.outside.iter().map(|name| name.as_str()).collect();
            let hint = if known.is_empty() { "add it to `outside`".to_owned() } else { suggestion(name, &known) };
            check.problem(mapping_spot(key), format!("{what}: no outside interface \"{name}\""), hint);
        }
        ExternalAddress::Ip(address) => {
            if let Some(wrong) = unusable(check, *address) {
                check.problem(mapping_spot(key), format!("{what}: this is {wrong}"), "expected the address of a host");
            } else if !key.is_one_to_one() {
            } else if let Some(owner) = owner(check, *address) {
                let hint = "expected an address that the router doesn't have, or a protocol with ports";
                check.problem(mapping_spot(key), format!("{what}: this is interface {owner}'s own address"), hint);
            } else if let Some(range) = nat.pool.range_of(*address) {
                let message = format!("{what}: the pool has this address, in {range}");
                check.problem(
                    mapping_spot(key),
                    message,
                    "take it out of the pool: one-to-one takes the whole address",
                );
            }
        }
    }
}

fn internal(check: &mut Check<'_>, nat: &Nat44, key: &MappingKey, mapping: &Mapping) {
    let what = format!("nat44: static mapping {key}");
    let spot = |name| mapping_spot(key).key(name);
    check.vrf(spot("vrf"), &what, &mapping.vrf);
    let most = if key.is_one_to_one() { 1 } else { Mapping::MAX_BACKENDS };
    if !(1..=most).contains(&mapping.internal.len()) {
        let message = format!("{what}: internal: {} servers", mapping.internal.len());
        let hint = if most == 1 { "expected one: one-to-one".to_owned() } else { format!("expected 1 to {most}") };
        check.problem(spot("internal"), message, hint);
    }
    for (i, server) in mapping.internal.iter().enumerate() {
        let (vrf, address) = (mapping.vrf.as_str(), IpAddr::V4(server.address));
        let what = format!("{what}: internal: {}", server.endpoint());
        if let Some(owner) = check.subnets.owner(vrf, address) {
            let message = format!("{what}: this is interface {owner}'s own address");
            check.problem(spot("internal"), message, "expected the address of an inside host");
        } else if let Some(wrong) = check.subnets.unusable(vrf, address) {
            check.problem(
                spot("internal"),
                format!("{what}: this is {wrong}"),
                "expected the address of an inside host",
            );
        }
        if let Some(range) = nat.pool.range_of(server.address) {
            let message = format!("{what}: the pool has this address, in {range}");
            check.problem(spot("internal"), message, "expected the address of an inside host");
        }
        if server.weight == 0 {
            check.problem(spot("internal"), format!("{what}: weight 0 is out of range"), "expected 1 to 255");
        }
        // Servers are sorted, so that equal ones are neighbours but for their weights.
        if mapping.internal[..i].iter().any(|other| (other.address, other.ports) == (server.address, server.ports)) {
            check.problem(spot("internal"), format!("{what}: stands here twice"), "give it a larger `weight` instead");
        }
    }
    if mapping.twice_nat && nat.twice_nat_pool.is_empty() {
        let hint = "add the addresses that clients get to `twice-nat-pool`";
        check.problem(spot("twice-nat"), format!("{what}: twice-nat: there is no twice-nat-pool"), hint);
    }
    if mapping.twice_nat && key.is_one_to_one() {
        let message = format!("{what}: twice-nat: not with one-to-one");
        check.problem(spot("twice-nat"), message, "expected a protocol with ports, or no twice-nat");
    }
}

/// No packet from outside, and none of an inside host, meets two mappings of the same kind.
fn overlaps(check: &mut Check<'_>, nat: &Nat44) {
    let mut taken: HashMap<_, Vec<(PortRange, &MappingKey)>> = HashMap::new();
    let mut inside: HashMap<_, &MappingKey> = HashMap::new();
    for (key, mapping) in &nat.mappings {
        match (resolve(check.config, &key.external.address), key.external.ports) {
            (Some(address), Some(ports)) => taken.entry((key.protocol, address)).or_default().push((ports, key)),
            _ if key.is_one_to_one() => {
                for server in &mapping.internal {
                    if let Some(other) = inside.insert((&mapping.vrf, server.address), key) {
                        let message =
                            format!("nat44: static mapping {key}: {} is mapped to {other} already", server.address);
                        let hint = "expected one external address for each inside host";
                        check.problem(mapping_spot(key).key("internal"), message, hint);
                    }
                }
            }
            _ => {}
        }
    }
    let mut pairs = Vec::new();
    for ranges in taken.values_mut() {
        ranges.sort();
        let mut highest: Option<(PortRange, &MappingKey)> = None;
        for (ports, key) in ranges.iter().copied() {
            if let Some((_, other)) = highest.filter(|(other, _)| other.overlaps(&ports)) {
                pairs.push((key, other));
            }
            highest = highest.filter(|(other, _)| other.last >= ports.last).or(Some((ports, key)));
        }
    }
    pairs.sort();
    for (key, other) in pairs {
        let message = format!("nat44: static mapping {key}: overlaps {other}");
        check.problem(
            mapping_spot(key),
            message,
            "expected each external port once; `internal` takes a list of servers",
        );
    }
}

fn exempt(check: &mut Check<'_>, nat: &Nat44) {
    if nat.exempt.len() > Nat44::MAX_EXEMPT {
        let message = format!("nat44: exempt: {} pairs of networks", nat.exempt.len());
        check.problem(spot("exempt"), message, format!("expected at most {}", Nat44::MAX_EXEMPT));
    }
    for pair in &nat.exempt {
        let spot = || spot("exempt").value(pair);
        for (key, net) in [("source", pair.source), ("destination", pair.destination)] {
            if net != net.trunc() {
                let message = format!("nat44: exempt: {key}: bits are set behind the prefix length of {net}");
                check.problem(spot(), message, format!("expected {}", net.trunc()));
            }
        }
        if *pair == (Exempt { source: Exempt::ANY, destination: Exempt::ANY }) {
            let message = "nat44: exempt: everything";
            check.problem(spot(), message, "expected `source` or `destination` with a prefix such as 10.0.0.0/8");
        }
    }
}

/// What a file can't say wrong, but whoever makes a configuration by program can.
fn numbers(check: &mut Check<'_>, nat: &Nat44) {
    let mut within = |key: &'static str, value: u32, least: u32, most: u32| {
        if !(least..=most).contains(&value) {
            let message = format!("nat44: {key}: {value} is out of range");
            check.problem(spot(key), message, format!("expected {least} to {most}"));
        }
    };
    within("max-sessions", nat.max_sessions, 1, Nat44::MAX_SESSIONS);
    within("max-sessions-per-host", nat.max_sessions_per_host, 1, Nat44::MAX_SESSIONS);
    within("log", nat.log.rate, 1, NatLog::MAX_RATE);
    if let Some(mss) = nat.mss_clamp {
        within("mss-clamp", mss.into(), Nat44::MSS_MIN.into(), Nat44::MSS_MAX.into());
    }
    for (key, time) in nat.timeouts.all() {
        if !Timeouts::takes(*time) {
            let message = format!("nat44: timeouts: {key}: {time} is out of range");
            check.problem(spot("timeouts"), message, format!("expected {TIMEOUT}"));
        }
    }
}
