use super::*;
use crate::testing::*;
use crate::tunnel::testing::*;
use crate::tunnel::{Df, FEATURE, Kind, Tunnel};
use etherparse::{Ipv4Header, Ipv6Header};
use millrace_engine::testing::{Bench, Outcome};

fn bench(tunnels: Vec<Tunnel>) -> Bench<TunnelEncap> {
    Bench::new(TunnelEncap::new(world(tunnels).forwarding))
}

/// What becomes of a packet that leaves by a tunnel.
fn sent(tunnel: Tunnel, packet: &[u8]) -> Outcome {
    bench(vec![tunnel]).run(&[packet], |meta| meta.tx_interface = FIRST)
}

/// The outer header, whose checksum and length must be right, and what it carries.
#[track_caller]
fn outer(outcome: &Outcome) -> (Ipv4Header, Vec<u8>) {
    assert_eq!(fate(outcome), ("ip4-lookup", &[][..]));
    let (ip, rest) = parsed(bytes(outcome));
    (ip, rest.to_vec())
}

#[track_caller]
fn outer_ip6(outcome: &Outcome) -> (Ipv6Header, Vec<u8>) {
    assert_eq!(fate(outcome), ("ip6-lookup", &[][..]));
    let (ip, rest) = parsed6(bytes(outcome));
    (ip, rest.to_vec())
}

/// RFC 2784, RFC 2890, RFC 2003, RFC 4213, RFC 7676, RFC 2473: both families in both.
#[test]
fn packets_in_all_kinds() {
    let keyed = Kind::Gre { key: Some(0x0102_0304), checksum: false };
    let checked = Kind::Gre { key: None, checksum: true };
    let both = Kind::Gre { key: Some(7), checksum: true };
    let (four, six) = (udp(HOST, PEER), udp6(HOST6, PEER6));
    for (name, kind, inner, protocol, inside) in [
        ("GRE", GRE, &four, 47, gre(0, 0x800, &[], &four)),
        ("GRE, IPv6 inside", GRE, &six, 47, gre(0, 0x86dd, &[], &six)),
        ("key", keyed, &four, 47, gre(0x2000, 0x800, &[0x0102_0304], &four)),
        ("checksum", checked, &four, 47, summed(gre(0x8000, 0x800, &[0], &four))),
        ("key and checksum", both, &six, 47, summed(gre(0xa000, 0x86dd, &[0, 7], &six))),
        ("4in4", Kind::Ipip, &four, 4, four.clone()),
        ("6in4", Kind::Ipip, &six, 41, six.clone()),
    ] {
        let outcome = sent(tunnel(kind, false), inner);
        let (ip, rest) = outer(&outcome);
        let ends = (ip.source, ip.destination, ip.protocol.0, ip.time_to_live);
        assert_eq!(ends, ([192, 0, 2, 1], [198, 51, 100, 9], protocol, 64), "{name}");
        assert_eq!(rest, inside, "{name}");
        let outcome = sent(tunnel(kind, true), inner);
        let (ip, rest) = outer_ip6(&outcome);
        let ends = (ip.source, ip.destination, ip.next_header.0, ip.hop_limit, ip.flow_label.value());
        assert_eq!(ends, (ip6(LOCAL6).octets(), ip6(REMOTE6).octets(), protocol, 64, 0), "{name}");
        assert_eq!(rest, inside, "{name}");
        let out = &outcome.packets[0];
        assert_eq!(
            (out.table, out.rx_interface, out.marks),
            (UNDERLAY, FIRST, marks::OWN | marks::ONE_TUNNEL),
            "{name}"
        );
    }
}

#[test]
fn a_checksum_over_several_buffers() {
    for bytes in [1800, 4000, 8001] {
        let long = udp_with(HOST, PEER, bytes, |_| {});
        let outcome = sent(tunnel(Kind::Gre { key: None, checksum: true }, false), &long);
        assert_eq!(outer(&outcome).1, summed(gre(0x8000, 0x800, &[0], &long)));
    }
}

/// RFC 2003 section 3.1, RFC 4213 section 3.2.
#[test]
fn dont_fragment_by_setting() {
    let four = |df| udp_with(HOST, PEER, 10, |h| h.dont_fragment = df);
    let six = udp6(HOST6, PEER6);
    for (df, clear, set, ip6) in
        [(Df::Inherit, false, true, true), (Df::Set, true, true, true), (Df::Clear, false, false, false)]
    {
        for (packet, expected) in [(&four(false), clear), (&four(true), set), (&six, ip6)] {
            let (ip, _) = outer(&sent(Tunnel { df, ..tunnel(GRE, false) }, packet));
            assert_eq!(ip.dont_fragment, expected, "{df:?}");
        }
    }
}

/// RFC 6040 section 4.1: ECN is the packet's own, whatever the class is.
#[test]
fn class_and_congestion() {
    for (tos, inner, expected) in
        [(None, 0xb8, 0xb8), (None, 0xbb, 0xbb), (Some(0x20), 0xbb, 0x23), (Some(0x23), 0xb8, 0x20)]
    {
        let mut four = udp(HOST, PEER);
        four[1] = inner;
        let mut six = udp6(HOST6, PEER6);
        (six[0], six[1]) = (0x60 | inner >> 4, inner << 4);
        for packet in [four, six] {
            let outcome = sent(Tunnel { tos, ..tunnel(GRE, false) }, &packet);
            assert_eq!(bytes(&outcome)[1], expected);
            let outcome = sent(Tunnel { tos, ttl: 9, ..tunnel(Kind::Ipip, true) }, &packet);
            let (ip, _) = outer_ip6(&outcome);
            assert_eq!((ip.traffic_class, ip.hop_limit), (expected, 9));
        }
    }
}

/// RFC 791 section 3.2: fragments of two packets must not be taken for those of one.
#[test]
fn identifications_of_all_workers_differ() {
    let world = world(vec![tunnel(GRE, false)]);
    let mut workers = [0, 1].map(|_| Bench::new(TunnelEncap::new(world.forwarding.clone())));
    let mut ids = Vec::new();
    for round in 0..3000 {
        let outcome = workers[round % 7 % 2].run(&[&udp(HOST, PEER)], |meta| meta.tx_interface = FIRST);
        ids.push(outer(&outcome).0.identification);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3000);
}

/// RFC 2473 section 7.1, RFC 4213 section 3.2.2: what every link takes gets through, in pieces.
#[test]
fn a_path_that_is_narrower_than_ipv6_allows() {
    let six = udp6_with(HOST6, PEER6, 1280 - 48, |_| {});
    let outcome = sent(Tunnel { path_mtu: 1000, df: Df::Set, ..tunnel(Kind::Ipip, false) }, &six);
    assert_eq!(outcome.counts, [("outer packets fragmented for the path's MTU", 1), ("fragments made", 2)]);
    let mut whole = Vec::new();
    for (at, out) in outcome.sent.iter().enumerate() {
        assert_eq!((out.next, out.table, out.data.len() <= 1000), ("ip4-lookup", UNDERLAY, true));
        assert_eq!(out.marks, marks::OWN | marks::ONE_TUNNEL);
        let (ip, rest) = parsed(&out.data);
        assert_eq!((ip.more_fragments, ip.dont_fragment), (at == 0, false));
        assert_eq!(usize::from(ip.fragment_offset.value()) * 8, whole.len());
        whole.extend_from_slice(rest);
    }
    assert_eq!((outcome.sent.len(), whole), (2, six.clone()));
    let outcome = sent(Tunnel { path_mtu: 1280, ..tunnel(Kind::Ipip, true) }, &six);
    assert_eq!(outcome.sent.iter().map(|out| (out.next, out.data[6])).collect::<Vec<_>>(), [("ip6-lookup", 44); 2]);
    assert!(outcome.sent.iter().all(|out| out.data.len() <= 1280));
    // What fits is not cut, and what must not be is left to the path.
    let fits = udp6_with(HOST6, PEER6, 1000 - 20 - 48, |_| {});
    assert!(outer(&sent(Tunnel { path_mtu: 1000, ..tunnel(Kind::Ipip, false) }, &fits)).0.dont_fragment);
    let df = udp_with(HOST, PEER, 1000, |h| h.dont_fragment = true);
    assert!(outer(&sent(Tunnel { path_mtu: 1000, ..tunnel(Kind::Ipip, false) }, &df)).0.dont_fragment);
    let may = udp_with(HOST, PEER, 1000, |_| {});
    assert_eq!(sent(Tunnel { path_mtu: 1000, ..tunnel(Kind::Ipip, false) }, &may).sent.len(), 2);
}

#[test]
fn what_goes_into_no_tunnel() {
    let good = udp(HOST, PEER);
    let mut bench = bench(vec![tunnel(GRE, false), tunnel(Kind::Ipip, true)]);
    bench.set_up(FIRST + 1, false);
    let long4 = udp_with(HOST, PEER, 65_535 - 24 - 28, |_| {});
    for (name, packet, interface, tunnels, cause) in [
        ("another interface", &good, FIRST + 2, 0, "tunnel is being removed"),
        ("switched off", &good, FIRST + 1, 0, "tunnel is down"),
        ("in three tunnels already", &good, FIRST, 3, "a tunnel in a tunnel in a tunnel in a tunnel"),
        ("no IP", &b"\x50 neither".to_vec(), FIRST, 0, "neither IPv4 nor IPv6"),
        ("nothing", &Vec::new(), FIRST, 0, "neither IPv4 nor IPv6"),
        ("a header cut off", &good[..19].to_vec(), FIRST, 0, "neither IPv4 nor IPv6"),
        (
            "a byte too long",
            &udp_with(HOST, PEER, 65_535 - 23 - 28, |_| {}),
            FIRST,
            0,
            "longer than an outer packet can be",
        ),
    ] {
        let outcome = bench.run(&[packet], |meta| {
            meta.tx_interface = interface;
            meta.marks = marks::ONE_TUNNEL * tunnels;
        });
        assert_eq!(fate(&outcome), ("drop", &[(cause, 1)][..]), "{name}");
        let counted = bench.interface(interface);
        assert_eq!((counted.tx_packets, counted.tx_bytes), (0, 0), "{name}");
        assert!(counted.tx_drops > 0, "{name}");
    }
    let outcome = bench.run(&[&long4], |meta| (meta.tx_interface, meta.marks) = (FIRST, marks::ONE_TUNNEL * 2));
    assert_eq!(outer(&outcome).1.len(), 65_535 - 20, "the longest, in a third tunnel");
    assert_eq!(outcome.packets[0].marks, marks::OWN | marks::TUNNELS);
    assert_eq!((bench.interface(FIRST).tx_packets, bench.interface(FIRST).tx_bytes), (1, 65_535 - 24));
}

#[test]
fn trace_and_place() {
    let mut bench = bench(vec![tunnel(GRE, false)]);
    let packet = udp_with(HOST, PEER, 10, |h| h.dont_fragment = true);
    let (_, text) = bench.traced(&packet, |meta| meta.tx_interface = FIRST);
    assert_eq!(text, "192.0.2.1 -> 198.51.100.9 length 62 tos 0x00 df");
    assert_eq!((FEATURE.arc.as_str(), FEATURE.node), ("interface-output", NAME));
}
