use super::*;
use crate::testing::*;
use etherparse::icmpv4::{DestUnreachableHeader, RedirectCode, RedirectHeader, TimeExceededCode};
use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Ipv4Header};
use millrace_engine::pool::Meta;
use millrace_engine::testing::{Bench, Outcome};

/// RFC 1812 section 4.3.2.3: 576 bytes in all.
const QUOTE: usize = 576 - 28;

fn bench() -> Bench<Icmp4Error> {
    let mut bench = Bench::new(Icmp4Error::new(World::new().forwarding));
    // As packets come: behind an Ethernet header.
    bench.skip = 14;
    bench
}

fn run(bench: &mut Bench<Icmp4Error>, packet: &[u8], reason: Reason, change: impl Fn(&mut Meta)) -> Outcome {
    let frame = [&[0; 14], packet].concat();
    bench.run(&[&frame], |meta| {
        (meta.rx_interface, meta.scratch[0]) = (LAN, reason.to_word());
        change(meta);
    })
}

/// The error's IP header, its ICMP header and what it quotes; all checksums are right.
fn taken_apart(error: &[u8]) -> (Ipv4Header, Icmpv4Header, &[u8]) {
    let (ip, message) = parsed(error);
    assert_eq!(checksum(message), 0, "ICMP checksum");
    let (icmp, quote) = Icmpv4Header::from_slice(message).unwrap();
    (ip, icmp, quote)
}

#[test]
fn the_reasons() {
    let wan = |header| Icmpv4Type::DestinationUnreachable(header);
    for (reason, kind, source, count) in [
        // RFC 1812 section 5.2.7.1.
        (Reason::NetUnreachable, wan(DestUnreachableHeader::Network), LAN_IP, "sent net unreachable"),
        (Reason::HostUnreachable, wan(DestUnreachableHeader::Host), LAN_IP, "sent host unreachable"),
        (Reason::Prohibited, wan(DestUnreachableHeader::FilterProhibited), LAN_IP, "sent administratively prohibited"),
        // RFC 1122 section 3.2.1.3: what was for us is answered by whom it was for.
        (Reason::ProtocolUnreachable, wan(DestUnreachableHeader::Protocol), PEER, "sent protocol unreachable"),
        (Reason::PortUnreachable, wan(DestUnreachableHeader::Port), PEER, "sent port unreachable"),
        // RFC 1191 section 4.
        (
            Reason::TooBig { mtu: 1400 },
            wan(DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 }),
            LAN_IP,
            "sent fragmentation needed",
        ),
        // RFC 1812 section 5.3.1.
        (
            Reason::TimeExceeded,
            Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit),
            LAN_IP,
            "sent time exceeded",
        ),
        (
            // RFC 1122 section 3.2.1.3: from the address that the fragments were for.
            Reason::ReassemblyTimeExceeded,
            Icmpv4Type::TimeExceeded(TimeExceededCode::FragmentReassemblyTimeExceeded),
            PEER,
            "sent reassembly time exceeded",
        ),
    ] {
        let outcome = run(&mut bench(), &udp(HOST, PEER), reason, |_| {});
        assert_eq!(fate(&outcome), ("ip4-lookup", &[(count, 1)][..]), "{reason:?}");
        let (ip, icmp, quote) = taken_apart(bytes(&outcome));
        assert_eq!((icmp.icmp_type, quote), (kind, &udp(HOST, PEER)[..]), "{reason:?}");
        assert_eq!((ip.source, ip.destination), (source, HOST), "{reason:?}");
        assert_eq!((ip.time_to_live, ip.options.len(), ip.is_fragmenting_payload()), (64, 0, false), "{reason:?}");
        assert_eq!(outcome.packets[0].marks & marks::OWN, marks::OWN, "{reason:?}");
    }
}

/// RFC 1812 section 4.3.2.3: as much of the original as fits into 576 bytes, unchanged.
#[test]
fn the_quote() {
    for bytes_of_data in [0, 1, 8, QUOTE - 29, QUOTE - 28, QUOTE - 27, 1400, 2100, 9000] {
        let packet = udp_with(HOST, PEER, bytes_of_data, |h| (h.time_to_live, h.options) = (1, [1, 1, 1, 0].into()));
        let outcome = run(&mut bench(), &packet, Reason::TimeExceeded, |_| {});
        let (ip, _, quote) = taken_apart(bytes(&outcome));
        assert_eq!(quote, &packet[..packet.len().min(QUOTE)], "{bytes_of_data} bytes of data");
        assert!(ip.total_len <= 576);
    }
}

/// RFC 1812 section 4.3.2.5: precedence 6, or the original's where that is higher.
#[test]
fn precedence() {
    for (original, expected) in [(0, 0b110_000), (0b101_110, 0b110_000), (0b111_000, 0b111_000)] {
        let packet = udp_with(HOST, PEER, 0, |h| h.dscp = original.try_into().unwrap());
        let outcome = run(&mut bench(), &packet, Reason::TimeExceeded, |_| {});
        assert_eq!(parsed(bytes(&outcome)).0.dscp.value(), expected);
    }
}

/// The address that the asker knows us by, and the table of the interface that it is behind.
#[test]
fn speaks_from_the_receiving_interface() {
    for (interface, from, source, table) in [
        (LAN, HOST, LAN_IP, 0),
        (LAN, [10, 9, 8, 7], [10, 9, 0, 1], 0),
        (LAN, [8, 8, 8, 8], LAN_IP, 0),
        (WAN, PEER, WAN_IP, 0),
        (LAN_100, [10, 100, 0, 9], [10, 100, 0, 1], 7),
    ] {
        let outcome = run(&mut bench(), &udp(from, [1, 2, 3, 4]), Reason::NetUnreachable, |meta| {
            (meta.rx_interface, meta.table, meta.flow_hash) = (interface, 55, 66);
        });
        assert_eq!(parsed(bytes(&outcome)).0.source, source);
        assert_eq!(outcome.packets[0].table, table);
    }
}

/// RFC 1812 section 4.3.2.7, item by item.
#[test]
fn never_about_these() {
    let icmp = |kind| icmp_with(HOST, PEER, kind, &[0; 28], |_| {});
    let about_error = "none about an ICMP error";
    let broadcast = "none about a broadcast or multicast";
    let no_host = "none to a source that is not one host";
    let redirect = RedirectHeader { code: RedirectCode::RedirectForHost, gateway_internet_address: PEER };
    let later = |h: &mut Ipv4Header| h.fragment_offset = 1.try_into().unwrap();
    let mut cut = icmp_with(HOST, PEER, Icmpv4Type::EchoRequest(IcmpEchoHeader { id: 1, seq: 1 }), &[], |_| {});
    cut.truncate(20);
    for (name, packet, marks, reason) in [
        ("unreachable", icmp(Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port)), 0, about_error),
        ("time exceeded", icmp(Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit)), 0, about_error),
        ("redirect", icmp(Icmpv4Type::Redirect(redirect)), 0, about_error),
        ("ICMP without a type", cut, 0, about_error),
        ("a later fragment", udp_with(HOST, PEER, 10, later), 0, "none about a fragment other than the first"),
        (
            "a link-layer broadcast",
            udp(HOST, PEER),
            marks::LINK_MULTICAST,
            "none about a link-layer broadcast or multicast",
        ),
        ("our own", udp(LAN_IP, PEER), marks::OWN, "none about the router's own packet"),
        ("to multicast", udp(HOST, [224, 0, 0, 5]), 0, broadcast),
        ("to limited broadcast", udp(HOST, [255; 4]), 0, broadcast),
        ("to the subnet's broadcast", udp(HOST, [192, 168, 1, 255]), 0, broadcast),
        ("to the subnet's old broadcast", udp(HOST, [192, 168, 1, 0]), 0, broadcast),
        ("to another subnet's broadcast", udp(HOST, [10, 9, 255, 255]), 0, broadcast),
        ("from nobody", udp([0; 4], PEER), 0, no_host),
        ("from loopback", udp([127, 0, 0, 1], PEER), 0, no_host),
        ("from multicast", udp([224, 0, 0, 1], PEER), 0, no_host),
        ("from class E", udp([240, 0, 0, 1], PEER), 0, no_host),
        ("from the subnet's broadcast", udp([192, 168, 1, 255], PEER), 0, no_host),
    ] {
        let outcome = run(&mut bench(), &packet, Reason::TimeExceeded, |meta| meta.marks = marks);
        assert_eq!(fate(&outcome), ("drop", &[(reason, 1)][..]), "{name}");
    }
    for (name, packet) in [
        ("a question", echo(HOST, PEER, b"?")),
        ("a first fragment", udp_with(HOST, PEER, 10, |h| h.more_fragments = true)),
        ("a host", udp(HOST, [192, 168, 1, 254])),
    ] {
        let outcome = run(&mut bench(), &packet, Reason::TimeExceeded, |_| {});
        assert_eq!(fate(&outcome), ("ip4-lookup", &[("sent time exceeded", 1)][..]), "but about {name}");
    }
}

/// RFC 1812 section 4.3.2.8.
#[test]
fn at_a_limited_rate() {
    let mut bench = bench();
    let frame = [&[0; 14], &udp(HOST, PEER)[..]].concat();
    let mut burst = |now, packets: usize| {
        bench.now = now;
        let frames: Vec<&[u8]> = vec![&frame; packets];
        let outcome = bench.run(&frames, |meta| {
            (meta.rx_interface, meta.scratch[0]) = (LAN, Reason::TimeExceeded.to_word());
        });
        outcome.counts
    };
    assert_eq!(burst(0, 256), [("sent time exceeded", BURST), ("rate limit", 256 - BURST)]);
    assert_eq!(burst(0, 1), [("rate limit", 1)]);
    assert_eq!(burst(10_000_000, 20), [("sent time exceeded", 10), ("rate limit", 10)]);
}

#[test]
fn what_can_not_be_answered() {
    let mut world = World::new();
    world.interface(8, Interface::default());
    let mut bench = Bench::new(Icmp4Error::new(world.forwarding));
    bench.skip = 14;
    for (interface, packet, reason) in [
        (8, udp(HOST, PEER), "receiving interface has no address to speak from"),
        (77, udp(HOST, PEER), "interface is being removed"),
        (LAN, vec![0x45; 19], "no IPv4 header"),
    ] {
        let outcome = run(&mut bench, &packet, Reason::TimeExceeded, |meta| meta.rx_interface = interface);
        assert_eq!(fate(&outcome), ("drop", &[(reason, 1)][..]));
    }
    // Nothing, reasons that IPv4 has no name for, and one that nobody gave.
    for noted in [0, Reason::BeyondScope.to_word(), 10, 11, 0xff] {
        let outcome = run(&mut bench, &udp(HOST, PEER), Reason::TimeExceeded, |meta| meta.scratch[0] = noted);
        assert_eq!(fate(&outcome), ("drop", &[("no reason noted", 1)][..]), "{noted:#x}");
    }
}

#[test]
fn trace() {
    let frame = [&[0; 14], &udp(HOST, PEER)[..]].concat();
    let (_, text) = bench().traced(&frame, |meta| {
        (meta.rx_interface, meta.scratch[0]) = (LAN, Reason::HostUnreachable.to_word());
    });
    assert_eq!(text, "type 3 code 1 192.168.1.1 -> 192.168.1.10");
}
