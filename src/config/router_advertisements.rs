//! `router-advertisements` of an interface: what it tells hosts on its link about the router, the prefixes and the name servers
//! (RFC 4861 clause 6.2.1, RFC 4191 for the preference, RFC 8106 for name servers). Hosts make their addresses from it (RFC 4862).
//!
//! All of it has a default: `router-advertisements: {}` is enough, and advertises every /64 subnet of the interface.

mod file;

use crate::{
    Driver, Interface, Name, Time, addresses,
    decode::{Scalar, Unreadable},
    diagnostic::Spot,
    keyword::keywords,
    validate::Check,
};
use ipnet::{IpNet, Ipv6Net};
use std::{collections::BTreeSet, fmt, net::Ipv6Addr, ops::RangeInclusive, str::FromStr, time::Duration};

/// What an interface tells the hosts on its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterAdvertisements {
    /// The longest time between two advertisements that nobody asked for (MaxRtrAdvInterval); one of
    /// [`RouterAdvertisements::INTERVALS`], default 600 s. The shortest one is [`RouterAdvertisements::min_interval`].
    pub interval: Time,
    /// How long hosts take this router for a default router (AdvDefaultLifetime), in whole seconds: 0, they don't, or `interval`
    /// to [`RouterAdvertisements::MAX_LIFETIME`]. Default three intervals: 1800 s.
    pub lifetime: Time,
    /// Whether hosts get addresses by DHCPv6 (the M flag). Default false.
    pub managed: bool,
    /// Whether hosts get other settings by DHCPv6 (the O flag). Default false.
    pub other_config: bool,
    /// The MTU that hosts are to use on the link, in bytes: 1280 to the interface's own. None, the default: nothing is said.
    pub mtu: Option<u16>,
    /// The hop limit that hosts are to send with; 0: nothing is said. Default 64.
    pub hop_limit: u8,
    /// How long hosts take a neighbour for reachable after it was heard of; at most
    /// [`RouterAdvertisements::MAX_REACHABLE_TIME`], 0 (default): nothing is said.
    pub reachable_time: Time,
    /// How long hosts wait before they ask for a neighbour again; at most [`RouterAdvertisements::MAX_RETRANSMIT_TIMER`],
    /// 0 (default): nothing is said.
    pub retransmit_timer: Time,
    /// How this router compares with other ones on the link. Default medium.
    pub preference: Preference,
    /// The prefixes to advertise. None, the default: those of the interface's /64 subnets.
    pub prefixes: Option<Vec<AdvertisedPrefix>>,
    /// Name servers, the first is asked first.
    pub dns: Vec<Ipv6Addr>,
    /// Domains in which names are looked for, in this order.
    pub search: Vec<DomainName>,
}

/// A prefix that hosts are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvertisedPrefix {
    /// The prefix; no bit is set behind its length.
    pub prefix: Ipv6Net,
    /// How long addresses of it are valid; default 30 days.
    pub valid_lifetime: Lifetime,
    /// How long they are preferred for new connections, at most `valid_lifetime`; default 7 days.
    pub preferred_lifetime: Lifetime,
    /// Whether its addresses are on the link, reached without a router (the L flag). Default true.
    pub on_link: bool,
    /// Whether hosts make themselves addresses of it (the A flag); takes a /64. Default true.
    pub autonomous: bool,
}

/// A lifetime in seconds; [`Lifetime::FOREVER`] has no end. Written as a time of whole seconds, or `forever`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(pub u32);

/// The name of a domain: labels of 1 to 63 letters, digits, dashes and underscores, 253 characters in all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

keywords! {
    /// How a router compares with other ones on its link (RFC 4191 clause 2.1).
    Preference, "high, medium or low" {
        /// Hosts use it before others.
        High = "high",
        /// As a router that says nothing (default).
        Medium = "medium",
        /// Hosts use it when there is no other one.
        Low = "low",
    }
}

impl Default for RouterAdvertisements {
    fn default() -> Self {
        Self {
            interval: Self::INTERVAL,
            lifetime: Self::lifetime_for(Self::INTERVAL),
            managed: false,
            other_config: false,
            mtu: None,
            hop_limit: 64,
            reachable_time: Time::ZERO,
            retransmit_timer: Time::ZERO,
            preference: Preference::Medium,
            prefixes: None,
            dns: Vec::new(),
            search: Vec::new(),
        }
    }
}

impl RouterAdvertisements {
    /// The interval of an interface that has none in the configuration.
    pub const INTERVAL: Time = Time::seconds(600);
    /// The intervals that there can be.
    pub const INTERVALS: RangeInclusive<Time> = Time::seconds(4)..=Time::seconds(1800);
    /// The longest lifetime.
    pub const MAX_LIFETIME: Time = Time::seconds(9000);
    /// The longest reachable time (AdvReachableTime).
    pub const MAX_REACHABLE_TIME: Time = Time::seconds(3600);
    /// The longest retransmission timer: what its 32 bits of milliseconds hold, in whole seconds.
    pub const MAX_RETRANSMIT_TIMER: Time = Time::seconds(u32::MAX as u64 / 1000);
    /// The largest packet, in bytes: neighbour discovery must not be fragmented (RFC 6980), and every link carries so much.
    pub const MAX_LENGTH: usize = Interface::MTU_MIN_IPV6 as usize;

    /// The lifetime that goes with an interval when none is set (RFC 4861 clause 6.2.1: three times).
    pub const fn lifetime_for(interval: Time) -> Time {
        Time::seconds(interval.0.as_secs().saturating_mul(3))
    }

    /// The shortest time between two advertisements (MinRtrAdvInterval): a third of the longest, or the same below 9 seconds.
    pub fn min_interval(&self) -> Duration {
        let longest = self.interval.0;
        if longest >= Duration::from_secs(9) { longest * 33 / 100 } else { longest }
    }

    /// The prefixes that an interface with these addresses advertises.
    pub fn prefixes_for(&self, addresses: &[IpNet]) -> Vec<AdvertisedPrefix> {
        let subnet = |net: &IpNet| match net {
            IpNet::V6(net) if net.prefix_len() == 64 && addresses::link_local(net.addr().into()).is_none() => {
                Some(net.trunc())
            }
            _ => None,
        };
        self.prefixes.clone().unwrap_or_else(|| {
            let subnets: BTreeSet<Ipv6Net> = addresses.iter().filter_map(subnet).collect();
            subnets.into_iter().map(AdvertisedPrefix::new).collect()
        })
    }

    /// How many bytes the packet has, from the IPv6 header on, with so many prefixes.
    fn length(&self, prefixes: usize) -> usize {
        // IPv6 header, ICMPv6 header and fields, source link-layer address, MTU.
        let fixed = 40 + 16 + 8 + if self.mtu.is_some() { 8 } else { 0 };
        let dns = if self.dns.is_empty() { 0 } else { 8 + 16 * self.dns.len() };
        // A name takes a byte more than it has characters, and a zero at its end; together they are padded to 8 bytes.
        let names: usize = self.search.iter().map(|name| name.as_str().len() + 2).sum();
        let search = if names == 0 { 0 } else { 8 + names.next_multiple_of(8) };
        fixed + 32 * prefixes + dns + search
    }
}

impl AdvertisedPrefix {
    /// A prefix that is advertised with the defaults.
    pub const fn new(prefix: Ipv6Net) -> Self {
        Self {
            prefix,
            valid_lifetime: Lifetime(30 * 86_400),
            preferred_lifetime: Lifetime(7 * 86_400),
            on_link: true,
            autonomous: true,
        }
    }
}

impl Lifetime {
    /// Without end (RFC 4861 clause 4.6.2).
    pub const FOREVER: Self = Self(u32::MAX);
}

impl FromStr for Lifetime {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        if text == "forever" {
            return Ok(Self::FOREVER);
        }
        let seconds = text.parse().ok().filter(|time: &Time| time.0.subsec_nanos() == 0);
        let seconds = seconds.and_then(|time| u32::try_from(time.0.as_secs()).ok()).map(Self);
        seconds.filter(|time| *time != Self::FOREVER).ok_or_else(|| Unreadable::wanted(Self::WANTED))
    }
}

impl Scalar for Lifetime {
    const WANTED: &'static str = "a time of whole seconds such as 7d or 3600s, or `forever`";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::FOREVER { f.write_str("forever") } else { Time::seconds(self.0.into()).fmt(f) }
    }
}

impl DomainName {
    /// The name, without a dot at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DomainName {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        Self::read(text)
    }
}

impl Scalar for DomainName {
    const WANTED: &'static str = "the name of a domain such as example.net";
    fn read(text: &str) -> Result<Self, Unreadable> {
        let fine = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(fine);
        let good = text.len() <= 253 && text.split('.').all(label);
        if good { Ok(Self(text.to_owned())) } else { Err(Unreadable::wanted(Self::WANTED)) }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rules of an interface's router advertisements.
pub(crate) fn check(check: &mut Check<'_>, name: &Name, interface: &Interface) {
    let Some(told) = &interface.router_advertisements else { return };
    let spot = |key: &str| spot(name).value(key);
    let what = format!("interface {name}: router-advertisements");
    if interface.driver == Driver::Loopback && !check.partial.contains(name) {
        check.problem(spot(""), format!("{what}: a loopback has no hosts"), "expected an interface with a wire");
    }
    if told.lifetime != Time::ZERO && !(told.interval..=RouterAdvertisements::MAX_LIFETIME).contains(&told.lifetime) {
        let message = format!("{what}: lifetime: {} is out of range", told.lifetime);
        let hint =
            format!("expected 0s, or from the interval of {} to {}", told.interval, RouterAdvertisements::MAX_LIFETIME);
        check.problem(spot("lifetime"), message, hint);
    }
    if let Some(mtu) = told.mtu.filter(|mtu| !(Interface::MTU_MIN_IPV6..=interface.mtu).contains(mtu)) {
        let hint = format!("expected {} to the interface's {}", Interface::MTU_MIN_IPV6, interface.mtu);
        check.problem(spot("mtu"), format!("{what}: mtu: {mtu} is out of range"), hint);
    }
    let mut seen = BTreeSet::new();
    for (i, prefix) in told.prefixes.iter().flatten().enumerate() {
        let what = format!("{what}: prefix {}", prefix.prefix);
        let spot = || spot(&format!("prefix {i}"));
        if prefix.prefix != prefix.prefix.trunc() {
            let hint = format!("expected {}", prefix.prefix.trunc());
            check.problem(spot(), format!("{what}: bits are set behind the prefix length"), hint);
        } else if let Some(whose) = addresses::never_routed(IpNet::V6(prefix.prefix)) {
            check.problem(
                spot(),
                format!("{what}: these are {whose}"),
                "expected a prefix of the link's own addresses",
            );
        } else if !seen.insert(prefix.prefix) {
            check.problem(spot(), format!("{what}: stands here twice"), "keep one of them");
        }
        if prefix.autonomous && prefix.prefix.prefix_len() != 64 {
            // RFC 4862 clause 5.5.3 d: prefix and interface identifier make 128 bits.
            let hint = "expected a prefix of 64 bits, or `autonomous: false`";
            check.problem(spot(), format!("{what}: no host can make an address of it"), hint);
        }
        if prefix.preferred_lifetime > prefix.valid_lifetime {
            let message = format!("{what}: preferred-lifetime: {} is too long", prefix.preferred_lifetime);
            check.problem(spot(), message, format!("expected at most the valid-lifetime of {}", prefix.valid_lifetime));
        }
    }
    for (i, server) in told.dns.iter().enumerate() {
        let what = format!("{what}: dns: {server}");
        if let Some(kind) = addresses::kind((*server).into()) {
            check.problem(
                spot(&format!("dns {i}")),
                format!("{what}: {kind} address"),
                "expected the address of a host",
            );
        } else if told.dns[..i].contains(server) {
            check.problem(spot(&format!("dns {i}")), format!("{what}: stands here twice"), "keep one of them");
        }
    }
    if let Some((i, twice)) = told.search.iter().enumerate().find(|(i, name)| told.search[..*i].contains(name)) {
        check.problem(
            spot(&format!("search {i}")),
            format!("{what}: search: {twice} stands here twice"),
            "keep one of them",
        );
    }
    let length = told.length(told.prefixes_for(&interface.addresses).len());
    if length > RouterAdvertisements::MAX_LENGTH {
        let message = format!("{what}: {length} bytes are too many for a packet");
        let hint = format!("expected fewer prefixes, servers or domains: at most {}", RouterAdvertisements::MAX_LENGTH);
        check.problem(spot(""), message, hint);
    }
}

/// Where a file says it.
fn spot(interface: &Name) -> Spot {
    Spot::new("interfaces", interface).key("router-advertisements")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_as_in_the_rfc() {
        let with = |seconds| RouterAdvertisements { interval: Time::seconds(seconds), ..Default::default() };
        assert_eq!(with(600).min_interval(), Duration::from_secs(198));
        assert_eq!(with(9).min_interval(), Duration::from_millis(2970));
        assert_eq!(with(8).min_interval(), Duration::from_secs(8));
        assert_eq!(RouterAdvertisements::default().lifetime, Time::seconds(1800));
    }

    #[test]
    fn without_a_list_every_subnet_of_64_bits_is_advertised_once() {
        let addresses = [
            "fe80::1/64",
            "2001:db8:2::1/64",
            "10.0.0.1/24",
            "2001:db8:1::1/64",
            "2001:db8:1::2/64",
            "2001:db8:3::1/80",
        ];
        let addresses: Vec<IpNet> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let mut told = RouterAdvertisements::default();
        let prefixes = |told: &RouterAdvertisements| {
            told.prefixes_for(&addresses).iter().map(|p| p.prefix.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(prefixes(&told), ["2001:db8:1::/64", "2001:db8:2::/64"]);
        told.prefixes = Some(Vec::new());
        assert!(prefixes(&told).is_empty());
    }

    #[test]
    fn lifetimes_and_domains() {
        assert_eq!(Lifetime::read("30d").unwrap(), Lifetime(2_592_000));
        assert_eq!(Lifetime::read("forever").unwrap(), Lifetime::FOREVER);
        assert_eq!((Lifetime(604_800).to_string(), Lifetime::FOREVER.to_string()), ("7d".into(), "forever".into()));
        assert_eq!(Lifetime::read("4294967294s").unwrap(), Lifetime(u32::MAX - 1));
        for bad in ["", "4294967295s", "1500ms", "-1s", "always"] {
            assert!(Lifetime::read(bad).is_err(), "{bad:?} must be refused");
        }
        for good in ["example.net", "lan", "a-b._tcp.example"] {
            assert_eq!(DomainName::read(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "example.net.", "a..b", "a b", "ex\u{e4}mple", &"a".repeat(64), &"ab.".repeat(85)] {
            assert!(DomainName::read(bad).is_err(), "{bad:?} must be refused");
        }
    }
}
