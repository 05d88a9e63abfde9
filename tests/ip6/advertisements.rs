//! Router advertisements (RFC 4861 6.2, RFC 8106, RFC 4191), byte by byte on a raw wire.

use harness::frames6::{self, ALL_NODES, Ip6, UNSPECIFIED, ip6};
use harness::nd::{Nd, RA, SOURCE_MAC};
use harness::{LAN6, SIGTERM, Wires, eventually};
use std::time::{Duration, Instant};

const PREFIX: u8 = 3;
const MTU: u8 = 5;
const RDNSS: u8 = 25;
const DNSSL: u8 = 31;

/// The configuration with these settings of advertisements in the lan.
fn config(settings: &str) -> String {
    Wires::DUAL.replace("device: lan,", &format!("device: lan, router-advertisements: {settings},"))
}

fn station() -> ([u8; 6], Ip6) {
    (LAN6.mac, frames6::link_local(LAN6.mac))
}

/// The next advertisement that says that here is a router.
#[track_caller]
fn advertisement(net: &Wires) -> Nd {
    net.lan.expect("a router advertisement", |frame| Nd::of_kind(RA, frame))
}

/// Asks for an advertisement, and returns it.
#[track_caller]
fn solicited(net: &Wires) -> Nd {
    net.lan.drain();
    net.lan.send(&Nd::router_solicitation(station()).frame());
    advertisement(net)
}

fn seconds(time: u32) -> [u8; 4] {
    time.to_be_bytes()
}

/// An option with a prefix (RFC 4861 4.6.2), without its type and length.
fn prefix(address: &str, flags: u8, valid: u32, preferred: u32) -> Vec<u8> {
    [&[64, flags][..], &seconds(valid), &seconds(preferred), &[0; 4], &ip6(address)].concat()
}

/// The order of options is the sender's (RFC 4861 4.6).
fn sorted(mut message: Nd) -> Nd {
    message.options.sort();
    message
}

#[test]
fn by_default() {
    let net = Wires::dual_with(&config("{}"));
    let got = solicited(&net);
    // To all, or to who asked (RFC 4861 6.2.6).
    assert!([ALL_NODES, station().1].contains(&got.ip.1), "{got:?}");
    let to_mac = if got.ip.1 == ALL_NODES { frames6::group_mac(ALL_NODES) } else { LAN6.mac };
    let wanted = Nd {
        link: (to_mac, LAN6.router_mac),
        ip: (LAN6.router_link_local(), got.ip.1),
        hop_limit: 255,
        kind: RA,
        code: 0,
        // Current hop limit, no flags, 1800 seconds.
        word: [64, 0, 0x07, 0x08],
        body: vec![0; 8],
        options: vec![
            (SOURCE_MAC, LAN6.router_mac.to_vec()),
            (PREFIX, prefix("2001:db8:1::", 0xc0, 2_592_000, 604_800)),
        ],
    };
    assert_eq!(sorted(got), wanted);
}

#[test]
fn with_everything_set() {
    let net = Wires::dual_with(&config(
        "{interval: 60s, lifetime: 300s, managed: true, other-config: true, mtu: 1400, hop-limit: 32, \
         reachable-time: 20s, retransmit-timer: 2s, preference: high, \
         prefixes: [{prefix: '2001:db8:1::/64', valid-lifetime: 1h, preferred-lifetime: 30m, autonomous: false}, \
         {prefix: '2001:db8:55::/64', on-link: false}], \
         dns: ['2001:db8:1::53', '2001:db8:2::53'], search: [example.org, lab.example.net]}",
    ));
    let got = solicited(&net);
    // M, O and high preference (RFC 4191 2.2).
    assert_eq!(got.word, [32, 0x80 | 0x40 | 0x08, 1, 0x2c]);
    assert_eq!(got.body, [seconds(20_000), seconds(2000)].concat());
    assert_eq!(got.option(MTU), Some(&[&[0, 0][..], &seconds(1400)].concat()[..]));
    let mut prefixes: Vec<_> = got.options.iter().filter(|option| option.0 == PREFIX).map(|option| &option.1).collect();
    prefixes.sort_by_key(|option| option[14..].to_vec());
    assert_eq!(
        prefixes,
        [&prefix("2001:db8:1::", 0x80, 3600, 1800), &prefix("2001:db8:55::", 0x40, 2_592_000, 604_800)]
    );
    // RFC 8106 5.1, 5.2: a lifetime of at least the interval between advertisements.
    let dns = got.option(RDNSS).expect("servers");
    let lifetime = |option: &[u8]| u32::from_be_bytes(option[2..6].try_into().expect("four bytes"));
    assert!((60..=3600).contains(&lifetime(dns)), "{dns:02x?}");
    assert_eq!(dns[6..], [ip6("2001:db8:1::53"), ip6("2001:db8:2::53")].concat());
    let search = got.option(DNSSL).expect("domains");
    assert!((60..=3600).contains(&lifetime(search)), "{search:02x?}");
    let names = b"\x07example\x03org\0\x03lab\x07example\x03net\0";
    assert_eq!(search[6..6 + names.len()], names[..]);
    assert!(search[6 + names.len()..].iter().all(|byte| *byte == 0), "padding: {search:02x?}");
    assert_eq!(got.option(SOURCE_MAC), Some(&LAN6.router_mac[..]));
}

/// RFC 4861 6.2.6: an answer within half a second; and where it goes to all, one in three seconds for whatever is asked.
#[test]
fn solicited_soon_and_not_often() {
    let net = Wires::dual_with(&config("{}"));
    // The one at the start may be a moment ago.
    let begin = Instant::now();
    solicited(&net);
    assert!(begin.elapsed() < Duration::from_millis(4000), "{:?}", begin.elapsed());
    for number in 0..50 {
        let host = ([2, 0, 0, 1, 0, number], frames6::link_local([2, 0, 0, 1, 0, number]));
        net.lan.send(&Nd::router_solicitation(host).frame());
    }
    let mut seen = Vec::new();
    net.lan.find::<()>(Duration::from_millis(1500), &mut seen, |_| None);
    let to_all = harness::nd::all(RA, &seen).iter().filter(|told| told.ip.1 == ALL_NODES).count();
    assert!(to_all <= 1, "{to_all} advertisements to all in 1.5 seconds");
}

/// RFC 4861 6.2.4: the first few come soon after each other, unasked.
#[test]
fn unsolicited() {
    let net = Wires::with(&config("{}"));
    let first = advertisement(&net);
    assert_eq!((first.ip.1, first.ip.0), (ALL_NODES, LAN6.router_link_local()));
    assert_eq!(first.link.0, frames6::group_mac(ALL_NODES));
}

/// RFC 4861 6.1.1: what is no sound solicitation is dropped, with a cause.
#[test]
fn malformed_solicitations() {
    let net = Wires::dual_with(&config("{}"));
    let good = Nd::router_solicitation(station());
    let with = |change: &dyn Fn(&mut Nd)| {
        let mut message = good.clone();
        change(&mut message);
        message.frame()
    };
    for (name, frame) in [
        ("hop limit 254", with(&|m| m.hop_limit = 254)),
        ("a code", with(&|m| m.code = 1)),
        ("from nobody, with an option", with(&|m| m.ip.0 = UNSPECIFIED)),
    ] {
        let before = net.router.drops();
        net.pass(&[frame]);
        assert!(net.router.drops() > before, "{name}\n{}", net.router.run("show errors"));
    }
    // From nobody and without an option is how a host asks that has no address yet; the answer goes to all.
    let seen = net.lan.drain();
    drop(seen);
    net.lan.send(&Nd::router_solicitation((LAN6.mac, UNSPECIFIED)).frame());
    assert_eq!(advertisement(&net).ip.1, ALL_NODES);
}

/// RFC 4861 6.2.5, 6.2.8: who ceases to be a router says so.
#[test]
fn the_last_one_has_no_lifetime() {
    let lifetime = |told: &Nd| u16::from_be_bytes([told.word[2], told.word[3]]);
    let mut net = Wires::dual_with(&config("{}"));
    assert_eq!(lifetime(&solicited(&net)), 1800);
    let last = |net: &Wires| {
        net.lan.expect("a last advertisement", |frame| Nd::of_kind(RA, frame).filter(|told| lifetime(told) == 0))
    };
    // Switched off by the operator.
    net.apply(Wires::DUAL);
    assert_eq!(last(&net).ip, (LAN6.router_link_local(), ALL_NODES));
    // From now on nobody is answered.
    net.lan.send(&Nd::router_solicitation(station()).frame());
    let mut seen = Vec::new();
    net.lan.find::<()>(Duration::from_millis(700), &mut seen, |_| None);
    assert!(harness::nd::all(RA, &seen).is_empty());
    // On again, and the daemon ends.
    net.apply(&config("{}"));
    eventually("advertised again", || (lifetime(&solicited(&net)) == 1800).then_some(()));
    net.router.settle();
    net.router.end(SIGTERM).code(0);
    last(&net);
}

/// Only where it is configured: the other side is not told.
#[test]
fn not_on_other_interfaces() {
    let net = Wires::dual_with(&config("{}"));
    solicited(&net);
    net.wan.send(&Nd::router_solicitation((harness::WAN6.mac, frames6::link_local(harness::WAN6.mac))).frame());
    let seen = net.pass(&[]);
    assert!(harness::nd::all(RA, &seen.wan).is_empty());
}
