//! What router advertisements say: a packet made of the configuration (RFC 4861 section 4.2, RFC 4191 for the preference, RFC 8106 for
//! name servers).

use super::packets::icmp6;
use millrace_config::{AdvertisedPrefix, DomainName, Preference, RouterAdvertisements};
use millrace_wire::nd::{self, LinkLayerOption, MtuOption, NdOptionType, PrefixInformation, RouterAdvertisement};
use millrace_wire::{IntoBytes, MacAddr};
use std::net::Ipv6Addr;

/// How many intervals name servers are good for (RFC 8106 section 5.1).
const DNS_INTERVALS: u64 = 3;

/// An advertisement from a link-local address to all nodes, from the IPv6 header on. `last`: the router is no default router any
/// more (RFC 4861 section 6.2.5), and no way to name servers.
pub fn advertisement(
    told: &RouterAdvertisements,
    prefixes: &[AdvertisedPrefix],
    (mac, src): (MacAddr, Ipv6Addr),
    last: bool,
) -> (MacAddr, Vec<u8>) {
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let preference = match told.preference {
        // RFC 4191 section 2.2: who is no default router has no preference.
        _ if last || told.lifetime.0.is_zero() => 0,
        Preference::High => RouterAdvertisement::HIGH,
        Preference::Medium => 0,
        Preference::Low => RouterAdvertisement::LOW,
    };
    let flags = flag(told.managed, RouterAdvertisement::MANAGED)
        | flag(told.other_config, RouterAdvertisement::OTHER)
        | preference;
    let lifetime = if last { 0 } else { u16::try_from(told.lifetime.0.as_secs()).unwrap_or(u16::MAX) };
    let millis = |time: std::time::Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    let (reachable, retransmit) = (millis(told.reachable_time.0), millis(told.retransmit_timer.0));
    let head = RouterAdvertisement::new(told.hop_limit, flags, lifetime, reachable, retransmit);
    let mut message = head.as_bytes().to_vec();
    message.extend(LinkLayerOption::source(mac).as_bytes());
    if let Some(mtu) = told.mtu {
        message.extend(MtuOption::new(mtu.into()).as_bytes());
    }
    for prefix in prefixes {
        let flags =
            flag(prefix.on_link, PrefixInformation::ON_LINK) | flag(prefix.autonomous, PrefixInformation::AUTONOMOUS);
        let (net, len) = (prefix.prefix.network(), prefix.prefix.prefix_len());
        let (valid, preferred) = (prefix.valid_lifetime.0, prefix.preferred_lifetime.0);
        message.extend(PrefixInformation::new(net, len, flags, valid, preferred).as_bytes());
    }
    let seconds = if last { 0 } else { told.interval.0.as_secs().saturating_mul(DNS_INTERVALS) };
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    if !told.dns.is_empty() {
        let servers: Vec<u8> = told.dns.iter().flat_map(Ipv6Addr::octets).collect();
        dns_option(&mut message, NdOptionType::DNS_SERVERS, seconds, &servers);
    }
    if !told.search.is_empty() {
        let names: Vec<u8> = told.search.iter().flat_map(encoded).collect();
        dns_option(&mut message, NdOptionType::DNS_SEARCH, seconds, &names);
    }
    (nd::multicast_mac(nd::ALL_NODES), icmp6(src, nd::ALL_NODES, nd::HOP_LIMIT, message))
}

/// An option of RFC 8106: type, length, two reserved bytes, a lifetime in seconds, and what it is about, padded to eight bytes.
fn dns_option(message: &mut Vec<u8>, kind: NdOptionType, lifetime: u32, body: &[u8]) {
    let eights = 1 + body.len().div_ceil(8);
    message.extend([kind.0, u8::try_from(eights).unwrap_or(u8::MAX), 0, 0]);
    message.extend(lifetime.to_be_bytes());
    message.extend(body);
    message.resize(message.len().next_multiple_of(8), 0);
}

/// A name as in a DNS message: labels with their length before them, and a zero at the end (RFC 1035 section 3.1).
fn encoded(name: &DomainName) -> Vec<u8> {
    // Labels have at most 63 characters.
    let label = |label: &str| [&[label.len() as u8], label.as_bytes()].concat();
    name.as_str().split('.').flat_map(label).chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_config::{Config, Name, parse};
    use millrace_wire::{FromBytes, Ipv6};

    const MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 1]);

    fn configured(text: &str) -> (RouterAdvertisements, Vec<AdvertisedPrefix>) {
        let lan =
            format!("driver: generator, addresses: ['2001:db8:1::1/64', 10.0.0.1/24], router-advertisements: {text}");
        let config: Config = parse(&format!("interfaces: {{lan: {{{lan}}}}}"), "test").unwrap();
        let lan = &config.interfaces[&"lan".parse::<Name>().unwrap()];
        let told = lan.router_advertisements.clone().unwrap();
        let prefixes = told.prefixes_for(&lan.addresses);
        (told, prefixes)
    }

    /// The message after the IPv6 header and the checksum.
    fn message(text: &str, last: bool) -> (Ipv6, Vec<u8>) {
        let (told, prefixes) = configured(text);
        let (to, packet) = advertisement(&told, &prefixes, (MAC, nd::link_local(MAC)), last);
        assert_eq!(to.to_string(), "33:33:00:00:00:01");
        let (header, message) = Ipv6::read_from_prefix(&packet).unwrap();
        (header, message.to_vec())
    }

    #[test]
    fn the_defaults_byte_by_byte() {
        let (header, message) = message("{}", false);
        assert_eq!((header.src(), header.dst(), header.hop_limit()), (nd::link_local(MAC), nd::ALL_NODES, 255));
        let expected = [
            &[134, 0][..],
            &message[2..4],
            // Hop limit 64, neither M nor O, medium; 1800 s; nothing about times.
            &[64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 1, 2, 0, 0, 0, 0, 1],
            // The prefix: on the link, autonomous; 30 days, 7 days.
            &[3, 4, 64, 0xc0, 0, 0x27, 0x8d, 0, 0, 0x09, 0x3a, 0x80, 0, 0, 0, 0],
            &[0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(message, expected.concat());
    }

    #[test]
    fn everything_that_can_be_said() {
        let (_, message) = message(
            "{interval: 30s, managed: true, other-config: true, preference: low, mtu: 1400, hop-limit: 0, reachable-time: 30s, \
             retransmit-timer: 1s, prefixes: [{prefix: 'fd00::/48', autonomous: false, valid-lifetime: forever}], \
             dns: ['2001:db8::53'], search: [example.net, a.b]}",
            false,
        );
        let expected = [
            &[0, 0xd8, 0, 90, 0, 0, 0x75, 0x30, 0, 0, 0x03, 0xe8][..],
            &[1, 1, 2, 0, 0, 0, 0, 1],
            &[5, 1, 0, 0, 0, 0, 0x05, 0x78],
            &[3, 4, 48, 0x80, 0xff, 0xff, 0xff, 0xff, 0, 0x09, 0x3a, 0x80, 0, 0, 0, 0],
            &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            // Three intervals.
            &[25, 3, 0, 0, 0, 0, 0, 90, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53],
            &[31, 4, 0, 0, 0, 0, 0, 90],
            b"\x07example\x03net\x00\x01a\x01b\x00\0\0\0\0\0\0",
        ];
        assert_eq!(&message[4..], expected.concat());
    }

    #[test]
    fn the_last_one_takes_back_what_goes_through_the_router() {
        let (_, message) = message("{preference: high, dns: ['2001:db8::53']}", true);
        assert_eq!(&message[4..8], [64, 0, 0, 0], "no lifetime, and so no preference");
        assert_eq!(&message[24..28], [3, 4, 64, 0xc0], "prefixes stay: hosts keep talking to each other");
        assert_eq!(&message[56..64], [25, 3, 0, 0, 0, 0, 0, 0]);
    }
}
