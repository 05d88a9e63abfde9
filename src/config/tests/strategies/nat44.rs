//! Parts of a `nat44` section by chance.

use super::{ALL_INTERFACES, name};
use millrace_config::*;
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::time::Duration;

/// One thing that the section may say.
#[derive(Clone, Debug)]
pub enum Part {
    Interface(Side, Name),
    Pool(Pool),
    Mapping(MappingKey, Mapping),
    TwiceNat(AddressRange),
    Exempt(Exempt),
    Timeouts(Timeouts),
    Limits(u32, u32),
    Filtering(Filtering),
    MssClamp(Option<u16>),
    Log(NatLog),
}

const EXTERNAL: &[&str] = &["203.0.113.2", "203.0.113.3", "203.0.113.9", "a", "b", "c", "a.1"];
const INTERNAL: &[&str] = &["192.168.1.10", "192.168.1.11", "203.0.113.9"];
const RANGES: &[&str] = &["203.0.113.2", "203.0.113.16/30", "203.0.113.18-203.0.113.40", "192.168.1.254", "10.0.0.1"];
const NETS: &[&str] = &["0.0.0.0/0", "10.0.0.0/8", "192.168.1.0/24"];

fn range() -> impl Strategy<Value = AddressRange> {
    select(RANGES).prop_map(|text| text.parse().unwrap())
}

fn time() -> impl Strategy<Value = Time> {
    (1..100_000u64).prop_map(|seconds| Time(Duration::from_secs(seconds)))
}

/// With ports or without, as many outside as inside.
fn mapping() -> impl Strategy<Value = Part> {
    let ports = option::weighted(0.8, (select(NatProtocol::ALL), 1..9u16, 1..9u16, 0..3u16));
    let server = (select(INTERNAL), prop_oneof![3 => Just(1), 1 => 1..=255u8]);
    let twice_nat = select(&[true, false, false][..]);
    let rest = (select(Affinity::ALL), twice_nat, name(&["default", "default", "default", "red"]));
    (select(EXTERNAL), ports, vec(server, 1..3), rest).prop_map(
        |(external, ports, servers, (affinity, twice_nat, vrf))| {
            let range = |first| ports.map(|(.., more)| PortRange { first, last: first + more });
            let (outside, inside) =
                ports.map_or((None, None), |(_, outside, inside, _)| (range(outside), range(inside)));
            let external = External { address: external.parse::<External>().unwrap().address, ports: outside };
            let server =
                |(address, weight): (&str, u8)| Backend { address: address.parse().unwrap(), ports: inside, weight };
            let mapping =
                Mapping { affinity, twice_nat, vrf, ..Mapping::to(servers.into_iter().map(server).collect()) };
            Part::Mapping(MappingKey { protocol: ports.map(|(protocol, ..)| protocol), external }, mapping)
        },
    )
}

pub fn part() -> impl Strategy<Value = Part> {
    let net = || select(NETS).prop_map(|text| text.parse().unwrap());
    let pool = prop_oneof![
        1 => Just(Pool::Interface),
        2 => vec(range(), 0..3).prop_map(|ranges| Pool::Addresses(ranges.into_iter().collect())),
    ];
    let log = (any::<bool>(), option::of(select(&["192.0.2.9:514", "[2001:db8::9]:1514"][..])), 1..2000u32);
    let log = log.prop_map(|(mappings, syslog, rate)| {
        Part::Log(NatLog { mappings, syslog: syslog.map(|text| text.parse().unwrap()), rate })
    });
    let timeouts = (time(), time(), time(), time()).prop_map(|(udp, tcp_established, tcp_transitory, icmp)| {
        Part::Timeouts(Timeouts { udp, tcp_established, tcp_transitory, icmp })
    });
    prop_oneof![
        9 => (select(Side::ALL), name(ALL_INTERFACES)).prop_map(|(side, name)| Part::Interface(side, name)),
        2 => pool.prop_map(Part::Pool),
        9 => mapping(),
        2 => range().prop_map(Part::TwiceNat),
        2 => (net(), net()).prop_map(|(source, destination)| Part::Exempt(Exempt { source, destination })),
        1 => timeouts,
        1 => (1..9u32, 1..16_000_000u32).prop_map(|(all, host)| Part::Limits(all, host)),
        1 => select(Filtering::ALL).prop_map(Part::Filtering),
        1 => option::of(536..=9176u16).prop_map(Part::MssClamp),
        1 => log,
    ]
}

impl Part {
    /// A mapping may need a twice-NAT pool.
    pub fn rank(&self) -> usize {
        usize::from(matches!(self, Self::Mapping(..)))
    }

    pub fn put(self, nat: &mut Nat44) {
        match self {
            Self::Interface(Side::Inside, name) => drop(nat.inside.insert(name)),
            Self::Interface(Side::Outside, name) => drop(nat.outside.insert(name)),
            Self::Pool(pool) => nat.pool = pool,
            Self::Mapping(key, mapping) => {
                nat.outside.extend(key.external.address.interface().cloned());
                nat.mappings.insert(key, mapping);
            }
            Self::TwiceNat(range) => drop(nat.twice_nat_pool.insert(range)),
            Self::Exempt(pair) => drop(nat.exempt.insert(pair)),
            Self::Timeouts(timeouts) => nat.timeouts = timeouts,
            Self::Limits(all, host) => (nat.max_sessions, nat.max_sessions_per_host) = (all, host),
            Self::Filtering(filtering) => nat.filtering = filtering,
            Self::MssClamp(mss) => nat.mss_clamp = mss,
            Self::Log(log) => nat.log = log,
        }
    }
}
