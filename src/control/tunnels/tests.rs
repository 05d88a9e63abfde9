use super::path::AGE;
use super::report::What;
use super::*;
use crate::control::tests::start;
use millrace_wire::checksum::Sum;
use millrace_wire::{Icmp4, Icmp4Type, Icmp6, Icmp6Type, IntoBytes, IpProtocol, Ipv4, Ipv6, Ipv6Fragment};
use std::time::Duration;

const LOCAL: &str = "192.0.2.1";
const REMOTE: &str = "198.51.100.9";
const ROUTER: &str = "203.0.113.254";
const LOCAL6: &str = "2001:db8::1";
const REMOTE6: &str = "2001:db8::9";
const ROUTER6: &str = "2001:db8::fe";
/// The headers of GRE with key 7 and of GRE without options.
const KEYED: [u8; 8] = [0x20, 0, 8, 0, 0, 0, 0, 7];
const PLAIN: [u8; 8] = [0, 0, 8, 0, 0x45, 0, 0, 0];

fn v4(address: &str) -> std::net::Ipv4Addr {
    address.parse().unwrap()
}

fn v6(address: &str) -> std::net::Ipv6Addr {
    address.parse().unwrap()
}

fn gre(key: Option<u32>, is_ip6: bool) -> Tunnel {
    let (local, remote) = if is_ip6 { (LOCAL6, REMOTE6) } else { (LOCAL, REMOTE) };
    let ends = Ends {
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        ttl: 64,
        tos: Tos::Value(3),
        df: ConfigDf::Inherit,
        underlay_vrf: Name::default_vrf(),
    };
    tunnel(&ends, Kind::Gre { key, checksum: false }, 5)
}

/// An ICMP error about an outer packet of so many bytes that carries this.
fn error4(icmp: Icmp4, protocol: IpProtocol, len: u16, inside: &[u8]) -> Vec<u8> {
    let quoted = Ipv4::new(v4(LOCAL), v4(REMOTE), protocol, 64, len - 20);
    let body = [icmp.as_bytes(), quoted.as_bytes(), inside].concat();
    let mut ip = Ipv4::new(v4(ROUTER), v4(LOCAL), IpProtocol::ICMP, 60, body.len() as u16);
    ip.set_checksum(Sum::of(ip.as_bytes()).checksum());
    [ip.as_bytes(), &body].concat()
}

fn error6(icmp: Icmp6, what: IpProtocol, len: u16, inside: &[u8]) -> Vec<u8> {
    let quoted = Ipv6::new(v6(LOCAL6), v6(REMOTE6), what, 64, len - 40);
    let body = [icmp.as_bytes(), quoted.as_bytes(), inside].concat();
    let ip = Ipv6::new(v6(ROUTER6), v6(LOCAL6), IpProtocol::ICMP6, 60, body.len() as u16);
    [ip.as_bytes(), &body].concat()
}

fn too_big4(mtu: u16, len: u16) -> Report {
    let packet = error4(Icmp4::fragmentation_needed(mtu), IpProtocol::GRE, len, &KEYED);
    Report::read(&packet).expect("a report")
}

fn too_big6(mtu: u32, len: u16) -> Report {
    Report::read(&error6(Icmp6::packet_too_big(mtu), IpProtocol::GRE, len, &KEYED)).expect("a report")
}

#[test]
fn errors_are_read() {
    let of4 = |kind, code| Icmp4::new(kind, code);
    let expected = |what, from: &str| Some((what, from.parse::<IpAddr>().unwrap(), 1500));
    let short = |report: Option<Report>| report.map(|report| (report.what, report.from, report.len));
    for (name, packet, what) in [
        ("too big", error4(Icmp4::fragmentation_needed(1400), IpProtocol::GRE, 1500, &KEYED), Some(What::TooBig(1400))),
        // RFC 1191 sections 5 and 7.1.
        ("no MTU", error4(Icmp4::fragmentation_needed(0), IpProtocol::GRE, 1500, &KEYED), Some(What::TooBig(1492))),
        ("host", error4(of4(Icmp4Type::UNREACHABLE, 1), IpProtocol::IPV4, 1500, &[]), Some(What::Unreachable)),
        ("expired", error4(of4(Icmp4Type::TIME_EXCEEDED, 0), IpProtocol::IPV6, 1500, &[]), Some(What::TimeExceeded)),
        ("problem", error4(of4(Icmp4Type::PARAMETER_PROBLEM, 0), IpProtocol::GRE, 1500, &PLAIN), Some(What::BadHeader)),
        ("an answer", error4(of4(Icmp4Type::ECHO_REPLY, 0), IpProtocol::GRE, 1500, &PLAIN), None),
        ("about UDP", error4(of4(Icmp4Type::UNREACHABLE, 3), IpProtocol::UDP, 1500, &[0; 8]), None),
        ("PPTP", error4(of4(Icmp4Type::UNREACHABLE, 2), IpProtocol::GRE, 1500, &[0x30, 1, 0x88, 0x0b]), None),
    ] {
        assert_eq!(short(Report::read(&packet)), what.and_then(|what| expected(what, ROUTER)), "{name}");
        for len in 0..packet.len() - 8 {
            assert!(Report::read(&packet[..len]).is_none_or(|report| Some(report.what) == what), "{name}, {len} bytes");
        }
    }
    let of6 = |kind, code| Icmp6::new(kind, code);
    let fragment = Ipv6Fragment::new(IpProtocol::GRE, 0, true, 7);
    let in_pieces = [fragment.as_bytes(), &KEYED].concat();
    for (name, packet, what) in [
        ("too big", error6(Icmp6::packet_too_big(1400), IpProtocol::GRE, 1500, &KEYED), Some(What::TooBig(1400))),
        (
            "too big for words",
            error6(Icmp6::packet_too_big(70_000), IpProtocol::IPV6, 1500, &[]),
            Some(What::TooBig(65535)),
        ),
        (
            "about a piece",
            error6(of6(Icmp6Type::UNREACHABLE, 0), IpProtocol::FRAGMENT, 1500, &in_pieces),
            Some(What::Unreachable),
        ),
        ("expired", error6(of6(Icmp6Type::TIME_EXCEEDED, 0), IpProtocol::IPV4, 1500, &[]), Some(What::TimeExceeded)),
        ("problem", error6(of6(Icmp6Type::PARAMETER_PROBLEM, 1), IpProtocol::GRE, 1500, &PLAIN), Some(What::BadHeader)),
        ("an answer", error6(of6(Icmp6Type::ECHO_REPLY, 0), IpProtocol::GRE, 1500, &PLAIN), None),
    ] {
        assert_eq!(short(Report::read(&packet)), what.and_then(|what| expected(what, ROUTER6)), "{name}");
    }
    assert_eq!(Report::read(&[]), None);
}

#[test]
fn errors_about_later_fragments_say_nothing() {
    let mut packet = error4(Icmp4::fragmentation_needed(1400), IpProtocol::GRE, 1500, &KEYED);
    assert!(Report::read(&packet).is_some());
    // The offset in the quoted header: what follows is no GRE header.
    packet[20 + 8 + 7] = 1;
    assert_eq!(Report::read(&packet), None);
}

#[test]
fn a_router_takes_in_what_it_hears_and_says_what_is_missing() {
    let mut router = start(
        "
interfaces:
  ge0: {driver: generator, addresses: [192.0.2.1/24]}
  gre0: {driver: gre, local: 192.0.2.1, remote: 198.51.100.9, key: 7, addresses: [10.9.0.1/30]}
  gre1: {driver: gre, local: 192.0.2.77, remote: 198.51.100.9}
",
    );
    let [gre0, gre1] = ["gre0", "gre1"].map(|name| router.interfaces.index(name).unwrap());
    let problem = |index| router.interfaces.get(index).unwrap().problem.clone();
    let missing = "no interface has its local address 192.0.2.77: nothing comes back".to_owned();
    assert_eq!((problem(gre0), problem(gre1)), (None, Some(missing)));
    let packet = error4(Icmp4::fragmentation_needed(1400), IpProtocol::GRE, 1500, &KEYED);
    let (table, now) = (router.tunnels.get(gre0).unwrap().table, Instant::now());
    router.tunnels_hear(table, &packet, now);
    let mtus = |router: &Router| (router.tunnels.get(gre0).unwrap().path_mtu, router.tunnels.mtu(gre0, 1472));
    assert_eq!(mtus(&router), (1400, 1372));
    router.run_tunnels(now + AGE);
    assert_eq!(mtus(&router), (u16::MAX, 1472));
}

#[test]
fn of_which_tunnel() {
    let report = too_big4(1400, 1500);
    assert!(report.is_about(&gre(Some(7), false), 5));
    for (name, other, table) in [
        ("another key", gre(Some(8), false), 5),
        ("no key", gre(None, false), 5),
        ("another table", gre(Some(7), false), 0),
        ("another family", gre(Some(7), true), 5),
        ("IPIP", Tunnel { kind: Kind::Ipip, ..gre(None, false) }, 5),
        ("another end", Tunnel { remote: v4("198.51.100.8").into(), ..gre(Some(7), false) }, 5),
        ("another end of ours", Tunnel { local: v4("192.0.2.2").into(), ..gre(Some(7), false) }, 5),
    ] {
        assert!(!report.is_about(&other, table), "{name}");
    }
    // RFC 792 promises 8 bytes behind the IP header: the checksum, but not the key behind it.
    let cut = error4(Icmp4::fragmentation_needed(1400), IpProtocol::GRE, 1500, &[0xa0, 0, 8, 0, 1, 2, 0, 0]);
    assert!(Report::read(&cut).unwrap().is_about(&gre(Some(99), false), 5));
}

fn tunnels(all: &[(u32, Tunnel)]) -> Tunnels {
    let mut tunnels = Tunnels::default();
    tunnels.set(all.iter().cloned().collect(), &Forwarding::new());
    tunnels
}

/// RFC 2003 section 5.1, RFC 2473 section 7, RFC 1191 section 6.3.
#[test]
fn a_way_that_takes_less_is_believed_for_ten_minutes() {
    let now = Instant::now();
    let all = [(40, gre(Some(7), false)), (41, gre(Some(7), true)), (42, gre(None, false))];
    let mut tunnels = tunnels(&all);
    let forwarding = Forwarding::new();
    assert_eq!((tunnels.mtu(40, 1472), tunnels.mtu(7, 1500), tunnels.next()), (1472, 1500, None));
    assert_eq!(tunnels.hear(5, &too_big4(1400, 1500), now), [40]);
    assert_eq!(tunnels.hear(5, &too_big6(1400, 1500), now + Duration::from_secs(1)), [41]);
    assert_eq!((tunnels.mtu(40, 1472), tunnels.mtu(40, 1300)), (1400 - 28, 1300));
    assert_eq!((tunnels.mtu(41, 1448), tunnels.mtu(42, 1476)), (1400 - 48, 1476));
    tunnels.set(all.iter().cloned().collect(), &forwarding);
    assert_eq!(tunnels.get(40).map(|tunnel| tunnel.path_mtu), Some(1400));
    // It doesn't get wider by what somebody says, nor does that make it last.
    assert_eq!(tunnels.hear(5, &too_big4(1450, 1500), now), [0; 0]);
    assert_eq!(tunnels.hear(5, &too_big4(1300, 1400), now), [40]);
    assert_eq!(tunnels.next(), Some(now + AGE));
    assert!(!tunnels.expire(now + AGE - Duration::from_millis(1)));
    assert!(tunnels.expire(now + AGE));
    assert_eq!((tunnels.mtu(40, 1472), tunnels.mtu(41, 1448)), (1472, 1352));
    assert_eq!(tunnels.path(40).heard.too_big, 3);
    // Another way begins with nothing known.
    let moved = Tunnel { remote: v6("2001:db8::8").into(), ..gre(Some(7), true) };
    tunnels.set([(41, moved)].into(), &forwarding);
    assert_eq!((tunnels.mtu(41, 1448), tunnels.path(41)), (1448, Path::default()));
    assert_eq!((tunnels.get(40), tunnels.next()), (None, None));
}

#[test]
fn what_is_not_believed() {
    let now = Instant::now();
    let hear = |tunnel: &Tunnel, report: &Report| Path::default().hear(tunnel, report, now);
    let four = gre(Some(7), false);
    assert!(!hear(&four, &too_big4(1500, 1500)), "it would have fit");
    assert!(!hear(&four, &too_big4(67, 1500)), "RFC 791: no link is so narrow");
    assert!(!hear(&Tunnel { df: Df::Clear, ..four.clone() }, &too_big4(1400, 1500)), "it could have been cut");
    assert!(!hear(&gre(Some(7), true), &too_big6(1279, 1500)), "RFC 8201 section 4");
    assert!(hear(&gre(Some(7), true), &too_big6(1280, 1500)));
    // Nobody makes packets too short by what he says; the network is left to cut them further.
    let mut path = Path::default();
    assert!(path.hear(&four, &too_big4(100, 1500), now));
    assert_eq!((path.mtu(), path.applied(four.clone()).df), (Some(552), Df::Clear));
    assert!(!path.hear(&four, &too_big4(90, 552), now), "that is as far as it goes");
    let mut unreachable = too_big4(1400, 1500);
    unreachable.what = What::Unreachable;
    let mut path = Path::default();
    assert!(!path.hear(&four, &unreachable, now));
    assert_eq!((path.heard.unreachable, path.mtu()), (1, None));
    assert_eq!(path.heard.last, Some((What::Unreachable, ROUTER.parse().unwrap(), now)));
}
