use super::*;
use crate::testing::*;
use crate::tunnel::testing::*;
use crate::tunnel::{Kind, Tunnel};
use millrace_engine::testing::{Bench, Outcome};

/// Key 7 over the first two tunnels' addresses, and one that asks for checksums, at other addresses.
fn tunnels() -> Vec<Tunnel> {
    let keyed = Kind::Gre { key: Some(7), checksum: false };
    let strict = Kind::Gre { key: None, checksum: true };
    vec![
        tunnel(GRE, false),
        tunnel(keyed, false),
        tunnel(Kind::Ipip, false),
        tunnel(GRE, true),
        tunnel(Kind::Ipip, true),
        Tunnel { remote: "198.51.100.10".parse().unwrap(), ..tunnel(strict, false) },
    ]
}

fn bench() -> Bench<TunnelInput> {
    Bench::new(TunnelInput::new(world(tunnels()).forwarding))
}

fn received(bench: &mut Bench<TunnelInput>, packet: &[u8]) -> Outcome {
    bench.run(&[packet], |meta| {
        (meta.rx_interface, meta.table, meta.marks, meta.flow_hash) = (WAN, UNDERLAY, crate::marks::REASSEMBLED, 5);
    })
}

fn from(remote: &str, protocol: u8, inside: &[u8]) -> Vec<u8> {
    outer4(remote, LOCAL, protocol, inside, |_| {})
}

#[test]
fn packets_of_all_kinds_come_out_as_they_went_in() {
    let (four, six) = (udp(HOST, PEER), udp6(HOST6, PEER6));
    let long = udp_with(HOST, PEER, 5000, |_| {});
    // RFC 2473 section 4.1.1, which Linux sends: an option that no tunnel end has to know.
    let limited = [&[41, 0, 4, 1, 4, 1, 0, 0][..], &six].concat();
    for (name, packet, inner, interface, next) in [
        ("GRE", from(REMOTE, 47, &gre(0, 0x800, &[], &four)), &four, 0, "ip4-input"),
        ("GRE with a key", from(REMOTE, 47, &gre(0x2000, 0x86dd, &[7], &six)), &six, 1, "ip6-input"),
        ("4in4", from(REMOTE, 4, &four), &four, 2, "ip4-input"),
        ("6in4", from(REMOTE, 41, &six), &six, 2, "ip6-input"),
        ("GRE over IPv6", outer6(REMOTE6, LOCAL6, 47, &gre(0, 0x86dd, &[], &six), 0), &six, 3, "ip6-input"),
        ("4in6", outer6(REMOTE6, LOCAL6, 4, &four, 0), &four, 4, "ip4-input"),
        ("6in6", outer6(REMOTE6, LOCAL6, 41, &six, 0), &six, 4, "ip6-input"),
        ("6in6 with a limit", outer6(REMOTE6, LOCAL6, 60, &limited, 0), &six, 4, "ip6-input"),
        // RFC 2784 section 2.3, RFC 2890 section 2.2: verified and counted through.
        ("checksum", from(REMOTE, 47, &summed(gre(0x8000, 0x800, &[0], &four))), &four, 0, "ip4-input"),
        ("number", from(REMOTE, 47, &gre(0x3000, 0x800, &[7, 99], &four)), &four, 1, "ip4-input"),
        ("all fields", from(REMOTE, 47, &summed(gre(0xb000, 0x800, &[0, 7, 1], &long))), &long, 1, "ip4-input"),
        ("reserved bits", from(REMOTE, 47, &gre(0x03f8, 0x800, &[], &four)), &four, 0, "ip4-input"),
        ("options", outer4(REMOTE, LOCAL, 4, &four, |h| h.options = [1; 8].into()), &four, 2, "ip4-input"),
    ] {
        let mut bench = bench();
        let outcome = received(&mut bench, &packet);
        assert_eq!(fate(&outcome), (next, &[][..]), "{name}");
        let out = &outcome.packets[0];
        assert_eq!((out.rx_interface, out.table, out.marks), (FIRST + interface, OVERLAY, 0), "{name}");
        assert_eq!(&out.data, inner, "{name}");
        let counted = bench.interface(FIRST + interface);
        assert_eq!((counted.rx_packets, counted.rx_bytes), (1, inner.len() as u64), "{name}");
    }
}

#[test]
fn whose_packets_are_no_tunnels() {
    let four = udp(HOST, PEER);
    let (unknown, key) = ("no tunnel between these addresses", "tunnels between these addresses have other keys");
    let plain = gre(0, 0x800, &[], &four);
    let protocol = Reason::ProtocolUnreachable;
    let next_header = |pointer| Reason::ParameterProblem { code: 1, pointer };
    for (name, packet, table, cause, reason) in [
        ("a stranger", from("198.51.100.8", 47, &plain), UNDERLAY, unknown, protocol),
        ("another of ours", outer4(REMOTE, "192.0.2.2", 47, &plain, |_| {}), UNDERLAY, unknown, protocol),
        ("another table", from(REMOTE, 47, &plain), 0, unknown, protocol),
        ("both ends the other way round", outer4(LOCAL, REMOTE, 47, &plain, |_| {}), UNDERLAY, unknown, protocol),
        ("another key", from(REMOTE, 47, &gre(0x2000, 0x800, &[8], &four)), UNDERLAY, key, protocol),
        ("without the key", from("198.51.100.10", 47, &gre(0x2000, 0x800, &[8], &four)), UNDERLAY, key, protocol),
        ("IPIP where GRE is", from("198.51.100.10", 4, &four), UNDERLAY, unknown, protocol),
        ("a stranger, IPv6", outer6("2001:db8:b::8", LOCAL6, 4, &four, 0), UNDERLAY, unknown, next_header(6)),
        (
            "a stranger, IPv6, behind options",
            outer6("2001:db8:b::8", LOCAL6, 60, &[&[4, 0, 1, 4, 0, 0, 0, 0][..], &four].concat(), 0),
            UNDERLAY,
            unknown,
            next_header(40),
        ),
    ] {
        let outcome = bench().run(&[&packet], |meta| (meta.rx_interface, meta.table) = (WAN, table));
        let next = if packet[0] >> 4 == 4 { "icmp4-error" } else { "icmp6-error" };
        assert_eq!(fate(&outcome), (next, &[(cause, 1)][..]), "{name}");
        assert_eq!((Reason::of(&outcome.packets[0]), bytes(&outcome)), (Some(reason), &packet[..]), "{name}");
        assert_eq!(outcome.packets[0].rx_interface, WAN, "{name}");
    }
}

#[test]
fn spoilt_packets() {
    let four = udp(HOST, PEER);
    let mut flipped = summed(gre(0x8000, 0x800, &[0], &four));
    *flipped.last_mut().unwrap() ^= 1;
    let short = |bytes: usize| from(REMOTE, 47, &gre(0xb000, 0x800, &[0, 7, 1], &[])[..bytes]);
    let strict = "198.51.100.10";
    let spoilt = |tos| outer4(REMOTE, LOCAL, 4, &four, |h| set_tos(h, tos));
    // Which of the tunnels it is told of; 0 for none.
    for (name, packet, cause, interface) in [
        ("version 1 (RFC 2637)", from(REMOTE, 47, &gre(1, 0x880b, &[], &four)), "GRE version is not 0", 0),
        (
            "routing (RFC 1701)",
            from(REMOTE, 47, &gre(0x4000, 0x800, &[], &four)),
            "GRE header with routing or other fields of RFC 1701",
            0,
        ),
        ("Ethernet inside", from(REMOTE, 47, &gre(0, 0x6558, &[], &four)), "neither IPv4 nor IPv6 inside", 0),
        ("keepalive", from(REMOTE, 47, &gre(0, 0, &[], &[])), "neither IPv4 nor IPv6 inside", 0),
        ("three bytes of GRE", short(3), "shorter than its headers", 0),
        ("no number", short(15), "shorter than its headers", 0),
        ("wrong checksum", from(REMOTE, 47, &flipped), "GRE checksum is wrong", FIRST),
        ("wrong checksum where one must be", from(strict, 47, &flipped), "GRE checksum is wrong", FIRST + 5),
        (
            "no checksum where one must be",
            from(strict, 47, &gre(0, 0x800, &[], &four)),
            "no GRE checksum, which the tunnel asks for",
            FIRST + 5,
        ),
        // RFC 6040 section 4.2.
        ("congestion", spoilt(3), "congestion met by a packet that can't tell of it", FIRST + 2),
        ("less than a header", vec![0x45; 19], "no IP header", 0),
        ("nothing", Vec::new(), "no IP header", 0),
    ] {
        let mut bench = bench();
        assert_eq!(fate(&received(&mut bench, &packet)), ("drop", &[(cause, 1)][..]), "{name}");
        let told: Vec<u32> = (FIRST..FIRST + 6).filter(|i| bench.interface(*i).rx_drops > 0).collect();
        assert_eq!(told, (interface > 0).then_some(interface).into_iter().collect::<Vec<_>>(), "{name}");
    }
    let mut bench = bench();
    bench.set_up(FIRST, false);
    let outcome = received(&mut bench, &from(REMOTE, 47, &gre(0, 0x800, &[], &four)));
    assert_eq!(fate(&outcome), ("drop", &[("tunnel is down", 1)][..]));
}

/// Sets TOS, of which etherparse has two fields.
fn set_tos(header: &mut etherparse::Ipv4Header, tos: u8) {
    header.dscp = (tos >> 2).try_into().unwrap();
    header.ecn = (tos & 3).try_into().unwrap();
}

/// RFC 6040 section 4.2: the table itself is with `millrace_wire::ecn`.
#[test]
fn congestion_passes_to_the_packet_inside() {
    let four = |tos| udp_with(HOST, PEER, 10, |h| set_tos(h, tos));
    let six = |tos: u8| udp6_with(HOST6, PEER6, 10, |h| h.traffic_class = tos);
    let outer = |tos, protocol, inner: &[u8]| outer4(REMOTE, LOCAL, protocol, inner, |h| set_tos(h, tos));
    for (inner, met, left) in [(0xb9, 0x02, 0xb9), (0xba, 0x03, 0xbb), (0xba, 0x01, 0xb9), (0xb8, 0x02, 0xb8)] {
        let outcome = received(&mut bench(), &outer(met, 4, &four(inner)));
        assert_eq!(bytes(&outcome), four(left), "its checksum, too");
        assert_eq!(bytes(&received(&mut bench(), &outer(met, 41, &six(inner)))), six(left));
    }
    let short = received(&mut bench(), &outer(3, 41, &six(2)[..39]));
    assert_eq!(fate(&short), ("drop", &[("shorter than its headers", 1)][..]));
}

#[test]
fn trace() {
    let packet = from(REMOTE, 47, &gre(0, 0x800, &[], &udp(HOST, PEER)));
    let (_, text) = bench().traced(&packet, |meta| meta.table = UNDERLAY);
    assert_eq!(text, "198.51.100.9 -> 192.0.2.1 gre interface 40");
}
