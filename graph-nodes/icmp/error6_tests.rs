use super::*;
use crate::forwarding::Interface;
use crate::testing::*;
use etherparse::IpNumber;
use millrace_engine::pool::Meta;
use millrace_engine::testing::{Bench, Outcome};
use millrace_tables::fib::Target;
use proptest::prelude::*;

/// RFC 4443 section 2.4 (c): 1280 bytes in all.
const QUOTE: usize = 1280 - 48;
/// Somewhere beyond the routers of the wan.
const FAR: &str = "2001:db8:99::1";

fn bench() -> Bench<Icmp6Error> {
    bench_in(&World::new())
}

fn bench_in(world: &World) -> Bench<Icmp6Error> {
    let mut bench = Bench::new(Icmp6Error::new(world.forwarding.clone()));
    // As packets come: behind an Ethernet header.
    bench.skip = 14;
    bench
}

fn run(bench: &mut Bench<Icmp6Error>, packet: &[u8], reason: Reason, change: impl Fn(&mut Meta)) -> Outcome {
    let frame = [&[0; 14], packet].concat();
    bench.run(&[&frame], |meta| {
        (meta.rx_interface, meta.scratch[0]) = (LAN, reason.to_word());
        change(meta);
    })
}

fn problem(code: u8, pointer: u16) -> Reason {
    Reason::ParameterProblem { code, pointer }
}

#[test]
fn the_reasons() {
    for (reason, kind, rest, count) in [
        // RFC 4443 section 3.1.
        (Reason::NetUnreachable, (1, 0), 0, "sent no route"),
        (Reason::Prohibited, (1, 1), 0, "sent administratively prohibited"),
        (Reason::BeyondScope, (1, 2), 0, "sent beyond scope of source address"),
        (Reason::HostUnreachable, (1, 3), 0, "sent address unreachable"),
        (Reason::PortUnreachable, (1, 4), 0, "sent port unreachable"),
        // RFC 4443 section 3.2.
        (Reason::TooBig { mtu: 1400 }, (2, 0), 1400, "sent packet too big"),
        // RFC 4443 section 3.3.
        (Reason::TimeExceeded, (3, 0), 0, "sent hop limit exceeded"),
        (Reason::ReassemblyTimeExceeded, (3, 1), 0, "sent reassembly time exceeded"),
        // RFC 4443 section 3.4.
        (problem(0, 42), (4, 0), 42, "sent parameter problem"),
        (problem(1, 6), (4, 1), 6, "sent parameter problem"),
        (problem(2, 0x1234), (4, 2), 0x1234, "sent parameter problem"),
        (Reason::ProtocolUnreachable, (4, 1), 6, "sent parameter problem"),
    ] {
        let outcome = run(&mut bench(), &udp6(HOST6, FAR), reason, |_| {});
        assert_eq!(fate(&outcome), ("ip6-lookup", &[(count, 1)][..]), "{reason:?}");
        let (ip, is, bytes, quote) = icmp6_parsed(bytes(&outcome));
        assert_eq!((is, u32::from_be_bytes(bytes), quote), (kind, rest, &udp6(HOST6, FAR)[..]), "{reason:?}");
        let ends = (ip6(LAN_IP6).octets(), ip6(HOST6).octets());
        assert_eq!(((ip.source, ip.destination), ip.hop_limit), (ends, 64), "{reason:?}");
        assert_eq!(outcome.packets[0].marks, marks::OWN, "{reason:?}");
    }
}

/// RFC 4443 section 2.4 (c): as much of the original as fits into 1280 bytes, unchanged.
#[test]
fn the_quote() {
    for data in [0, 1, 8, QUOTE - 49, QUOTE - 48, QUOTE - 47, 1401, 2101, 9000] {
        let packet = udp6_with(HOST6, FAR, data, |h| h.hop_limit = 1);
        let outcome = run(&mut bench(), &packet, Reason::TimeExceeded, |_| {});
        let (_, _, _, quote) = icmp6_parsed(bytes(&outcome));
        assert_eq!(quote, &packet[..packet.len().min(QUOTE)], "{data} bytes of data");
        assert!(bytes(&outcome).len() <= 1280);
    }
}

/// RFC 4443 section 2.2: (a) from the address that it was sent to, if that is ours; (d) else from the interface that it came by. And
/// back into the table of that interface.
#[test]
fn source_and_way_back() {
    let mut world = World::new();
    let only_link_local =
        Interface { addresses6: vec![(ip6("fe80::5"), 64)], table: 0, mtu: 1500, ..Interface::default() };
    let of_vrf = Interface {
        addresses6: vec![(ip6("fe80::6"), 64), (ip6("2001:db8:6::1"), 64), (ip6("2001:db8:66::1"), 48)],
        table: 7,
        ..Interface::default()
    };
    world.interface(5, only_link_local);
    world.interface(6, of_vrf);
    // The subnet-router anycast address (RFC 4291 section 2.6.1), and an address of ours that ends like one.
    world.route6("2001:db8:2::/128", Target::Adjacency(OURS));
    world.route6("2001:db8:7::4/128", Target::Adjacency(OURS));
    world.interface(7, Interface { addresses6: vec![(ip6("2001:db8:7::4"), 127)], ..Interface::default() });
    for (name, interface, from, to, source, table) in [
        ("for somebody else", LAN, HOST6, FAR, LAN_IP6, 0),
        ("for us", LAN, HOST6, LAN_IP6, LAN_IP6, 0),
        ("for our other side", LAN, HOST6, WAN_IP6, WAN_IP6, 0),
        ("for our anycast address there", LAN, HOST6, "2001:db8:2::", LAN_IP6, 0),
        ("for an address that looks like one", LAN, HOST6, "2001:db8:7::4", "2001:db8:7::4", 0),
        ("by the wan", WAN, PEER6, HOST6, WAN_IP6, 0),
        ("from afar", WAN, FAR, HOST6, WAN_IP6, 0),
        ("from a link-local address", LAN, HOST_LL, FAR, LAN_LL, 0),
        ("from one to our own", LAN, HOST_LL, LAN_LL, LAN_LL, 0),
        ("the address with the longest common prefix", 6, "2001:db8:66::9", FAR, "2001:db8:66::1", 7),
        ("from afar, by a link without global addresses", 5, FAR, HOST6, WAN_IP6, 0),
        ("from there", 5, "fe80::99", HOST6, "fe80::5", 0),
    ] {
        let outcome = run(&mut bench_in(&world), &udp6(from, to), Reason::NetUnreachable, |meta| {
            (meta.rx_interface, meta.table, meta.flow_hash) = (interface, 0, 66);
            meta.marks = marks::LINK_LOCAL;
        });
        assert_eq!(fate(&outcome), ("ip6-lookup", &[("sent no route", 1)][..]), "{name}");
        let (ip, ..) = icmp6_parsed(bytes(&outcome));
        if name != "from afar, by a link without global addresses" {
            assert_eq!(ip.source, ip6(source).octets(), "{name}");
        } else {
            let own = [LAN_IP6, WAN_IP6].map(|own| ip6(own).octets());
            assert!(own.contains(&ip.source), "{name}: {:?}", ip.source);
        }
        assert_eq!(ip.destination, ip6(from).octets(), "{name}");
        let out = &outcome.packets[0];
        assert_eq!((out.table, out.tx_interface), (table, interface), "{name}");
        assert_eq!(out.marks, own_marks(ip.source), "{name}: what an address of a link says stays there");
    }
}

/// RFC 4443 section 2.4 (e), item by item.
#[test]
fn never_about_these() {
    let (error, multicast, link) =
        ("none about an ICMP error or redirect", "none about a multicast", "none about a link-layer multicast");
    let no_host = "none to a source that is not one host";
    let icmp = |kind| icmp6(HOST6, FAR, (kind, 0), [0; 4], &[0; 40]);
    let options = [58, 0, 1, 4, 0, 0, 0, 0];
    let behind_options = packet6(&header6(HOST6, FAR, IpNumber(60)), &[&options[..], &[1, 4, 0, 0]].concat());
    let piece = |next: u8, start: u8| {
        packet6(&header6(HOST6, FAR, IpNumber(44)), &[&[next, 0, 0, start, 0, 0, 0, 1][..], &[1; 16]].concat())
    };
    let cut = packet6(&header6(HOST6, FAR, IpNumber::IPV6_ICMP), &[]);
    let group = || udp6(HOST6, "ff02::1");
    let (own, l2) = (marks::OWN, marks::LINK_MULTICAST);
    let time = Reason::TimeExceeded;
    for (name, packet, reason, marks, why) in [
        ("(e.1) unreachable", icmp(1), time, 0, error),
        ("(e.1) an error that isn't known", icmp(127), time, 0, error),
        ("(e.1) even packet too big", icmp(3), Reason::TooBig { mtu: 1280 }, 0, error),
        ("(e.1) behind options", behind_options, time, 0, error),
        ("(e.1) the first fragment of one", piece(58, 1), time, 0, error),
        ("(e.1) a later fragment of what may be one", piece(58, 8), time, 0, error),
        ("(e.1) a message without a type", cut, time, 0, error),
        ("(e.2) redirect", icmp(137), time, 0, error),
        ("(e.3) multicast", group(), time, 0, multicast),
        ("(e.3) unknown next header", group(), problem(1, 6), 0, multicast),
        ("(e.4), (e.5) link-layer multicast", udp6(HOST6, FAR), time, l2, link),
        ("(e.6) from nobody", udp6("::", FAR), time, 0, no_host),
        ("(e.6) from a group", udp6("ff02::1", FAR), time, 0, no_host),
        ("(e.6) from loopback", udp6("::1", FAR), time, 0, no_host),
        ("(e.6) whatever the reason", udp6("ff02::1", FAR), Reason::TooBig { mtu: 1280 }, 0, no_host),
        ("our own", udp6(LAN_IP6, FAR), time, own, "none about the router's own packet"),
    ] {
        let outcome = run(&mut bench(), &packet, reason, |meta| meta.marks = marks);
        assert_eq!(fate(&outcome), ("drop", &[(why, 1)][..]), "{name}");
    }
    // What (e.3) to (e.5) except, and what is only like the others.
    let (too_big, time_sent, problem_sent) =
        ("sent packet too big", "sent hop limit exceeded", "sent parameter problem");
    for (name, packet, reason, marks, sent) in [
        ("packet too big about a multicast", group(), Reason::TooBig { mtu: 1280 }, 0, too_big),
        ("and about a link-layer one", group(), Reason::TooBig { mtu: 1280 }, l2, too_big),
        ("an option that asks for it", group(), problem(2, 42), l2, problem_sent),
        ("a question", echo6(HOST6, FAR, b"?"), time, 0, time_sent),
        ("a solicitation", icmp(135), time, 0, time_sent),
        ("a first fragment", piece(17, 1), time, 0, time_sent),
        ("a later one", piece(17, 9), time, 0, time_sent),
        (
            "a chain that can't be followed",
            packet6(&header6(HOST6, FAR, IpNumber(60)), &[58, 9]),
            problem(3, 0),
            0,
            problem_sent,
        ),
    ] {
        let outcome = run(&mut bench(), &packet, reason, |meta| meta.marks = marks);
        assert_eq!(fate(&outcome), ("ip6-lookup", &[(sent, 1)][..]), "but: {name}");
        icmp6_parsed(bytes(&outcome));
    }
}

/// RFC 4443 section 2.4 (f), and packet too big does not suffer from it.
#[test]
fn at_a_limited_rate() {
    let mut bench = bench();
    let frame = [&[0; 14], &udp6(HOST6, FAR)[..]].concat();
    let mut burst = |now, packets: usize, reason: Reason| {
        bench.now = now;
        let frames: Vec<&[u8]> = vec![&frame; packets];
        bench.run(&frames, |meta| (meta.rx_interface, meta.scratch[0]) = (LAN, reason.to_word())).counts
    };
    let (exceeded, too_big) = (Reason::TimeExceeded, Reason::TooBig { mtu: 1280 });
    assert_eq!(burst(0, 256, exceeded), [("sent hop limit exceeded", BURST), ("rate limit", 256 - BURST)]);
    assert_eq!(burst(0, 1, Reason::NetUnreachable), [("rate limit", 1)]);
    for _ in 0..TOO_BIG_BURST / 250 {
        assert_eq!(burst(0, 250, too_big), [("sent packet too big", 250)]);
    }
    assert_eq!(burst(0, 1, too_big), [("rate limit of packet too big", 1)]);
    assert_eq!(burst(10_000_000, 20, exceeded), [("sent hop limit exceeded", 10), ("rate limit", 10)]);
    assert_eq!(burst(10_000_000, 101, too_big), [("sent packet too big", 100), ("rate limit of packet too big", 1)]);
}

#[test]
fn what_can_not_be_answered() {
    let mut world = World::new();
    world.interface(8, Interface { table: 9, ..Interface::default() });
    let mut bench = bench_in(&world);
    for (interface, packet, reason) in [
        (8, udp6(HOST6, FAR), "no address to speak from"),
        (77, udp6(HOST6, FAR), "interface is being removed"),
        (LAN, vec![0x60; 39], "no IPv6 header"),
    ] {
        let outcome = run(&mut bench, &packet, Reason::TimeExceeded, |meta| meta.rx_interface = interface);
        assert_eq!(fate(&outcome), ("drop", &[(reason, 1)][..]));
    }
    let outcome = run(&mut bench, &udp6(HOST6, FAR), Reason::TimeExceeded, |meta| meta.scratch[0] = 0);
    assert_eq!(fate(&outcome), ("drop", &[("no reason noted", 1)][..]));
    bench.skip = 0;
    let outcome = bench.run(&[&udp6_with(HOST6, FAR, 1900, |_| {})], |meta| {
        (meta.rx_interface, meta.scratch[0]) = (LAN, Reason::TimeExceeded.to_word());
    });
    assert_eq!(fate(&outcome), ("ip6-lookup", &[("sent hop limit exceeded", 1)][..]), "the headroom will do");
}

#[test]
fn trace() {
    let frame = [&[0; 14], &udp6(HOST6, FAR)[..]].concat();
    let (_, text) = bench().traced(&frame, |meta| {
        (meta.rx_interface, meta.scratch[0]) = (LAN, Reason::HostUnreachable.to_word());
    });
    assert_eq!(text, "type 1 code 3 2001:db8:1::1 -> 2001:db8:1::10");
}

proptest! {
    /// Any bytes behind an IPv6 header: an error that is right in itself, or a counted drop.
    #[test]
    fn any_bytes(next: u8, body in prop::collection::vec(any::<u8>(), 0..3000), code in 0u8..4, pointer: u16) {
        let packet = packet6(&header6(HOST6, FAR, IpNumber(next)), &body);
        let outcome = run(&mut bench(), &packet, problem(code, pointer), |_| {});
        prop_assert_eq!(outcome.counts.len(), 1);
        if outcome.packets[0].next == "ip6-lookup" {
            let (_, _, rest, quote) = icmp6_parsed(bytes(&outcome));
            prop_assert_eq!(u32::from_be_bytes(rest), u32::from(pointer));
            prop_assert!(quote == &packet[..packet.len().min(QUOTE)]);
        }
    }
}
