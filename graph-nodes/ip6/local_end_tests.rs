use super::*;
use crate::testing::*;
use etherparse::{IpNumber, TcpHeader, UdpHeader};
use millrace_engine::Waker;
use millrace_engine::testing::{Bench, Outcome};
use proptest::prelude::*;
use std::net::Ipv6Addr;

const ALL_NODES: &str = "ff02::1";
const OTHER_GROUP: &str = "ff02::fb";
const PROBLEM: &str = "icmp6-error";
const ECHO: &str = "icmp6-echo-reply";
const DISCOVERY: &str = "icmp6-neighbor-discovery";
const PUNT: &str = "error-punt";

struct Test {
    bench: Bench<Ip6LocalEndOfArc>,
    events: NeighborEvents,
}

impl Test {
    fn new() -> Test {
        let events = NeighborEvents::new(Waker::new().unwrap());
        Test { bench: Bench::new(Ip6LocalEndOfArc::new(World::new().forwarding, events.clone())), events }
    }

    /// Runs a packet, which comes out unchanged.
    #[track_caller]
    fn run(&mut self, name: &str, packet: &[u8]) -> Outcome {
        let outcome = self.bench.one(packet);
        assert_eq!(bytes(&outcome), packet, "{name}: unchanged");
        outcome
    }
}

/// A packet with these headers, each of 8 bytes or what it says, before its upper layer.
fn behind(to: &str, headers: &[(u8, &[u8])], last: u8, upper: &[u8]) -> Vec<u8> {
    let kinds: Vec<u8> = headers.iter().map(|(kind, _)| *kind).chain([last]).collect();
    let chain: Vec<u8> =
        headers.iter().zip(&kinds[1..]).flat_map(|((_, rest), next)| [&[*next], *rest].concat()).collect();
    packet6(&header6(HOST6, to, IpNumber(kinds[0])), &[&chain[..], upper].concat())
}

fn udp_part(to: &str) -> Vec<u8> {
    udp6(HOST6, to)[40..].to_vec()
}

fn tcp_syn(to: &str) -> Vec<u8> {
    let header = header6(HOST6, to, IpNumber::TCP);
    let mut tcp = TcpHeader::new(40_000, 80, 1000, 500);
    tcp.syn = true;
    tcp.checksum = tcp.calc_checksum_ipv6(&header, &[]).unwrap();
    packet6(&header, &tcp.to_bytes())
}

/// The padding that an options header of 8 bytes has without options.
const PADDED: &[u8] = &[0, 1, 4, 0, 0, 0, 0];

/// An options header of 8 bytes: two of padding, and from byte 4 on an option of this type.
fn option(kind: u8) -> [u8; 7] {
    [0, 1, 0, kind, 2, 0, 0]
}

#[test]
fn by_protocol() {
    let bad_udp = "UDP length or checksum is wrong";
    let closed = "UDP port is closed";
    let flip = |mut packet: Vec<u8>, at: usize| {
        packet[at] ^= 1;
        packet
    };
    let without_sum = |mut packet: Vec<u8>| {
        packet[46..48].fill(0);
        packet
    };
    let udp_len = |len: u8| {
        let mut packet = udp6(HOST6, LAN_IP6);
        packet[45] = len;
        packet
    };
    // The sum covers the datagram, not what is behind it.
    let with_tail = {
        let header = header6(HOST6, LAN_IP6, IpNumber::UDP);
        let udp = UdpHeader::with_ipv6_checksum(40_000, 7, &header, b"data").unwrap();
        packet6(&header, &[&udp.to_bytes()[..], b"data and more"].concat())
    };
    for (name, packet, next, count) in [
        ("TCP", tcp_syn(LAN_IP6), "tcp-reset", None),
        ("TCP to a group", tcp_syn(ALL_NODES), "drop", Some("multicast for no service")),
        // RFC 4443 section 3.1.
        ("a closed port", udp6(HOST6, LAN_IP6), PROBLEM, Some(closed)),
        ("over several buffers", udp6_with(HOST6, LAN_IP6, 5001, |_| {}), PROBLEM, Some(closed)),
        ("bytes behind the datagram", with_tail, PROBLEM, Some(closed)),
        ("UDP to a group", udp6(HOST6, ALL_NODES), "drop", Some("multicast for no service")),
        // RFC 8200 section 8.1.
        ("UDP without a checksum", without_sum(udp6(HOST6, LAN_IP6)), "drop", Some(bad_udp)),
        ("UDP, one bit wrong", flip(udp6(HOST6, LAN_IP6), 50), "drop", Some(bad_udp)),
        ("one bit of the source wrong", flip(udp6(HOST6, LAN_IP6), 20), "drop", Some(bad_udp)),
        ("in buffers, one bit wrong", flip(udp6_with(HOST6, LAN_IP6, 5001, |_| {}), 5040), "drop", Some(bad_udp)),
        ("UDP length of 7", udp_len(7), "drop", Some(bad_udp)),
        ("UDP length beyond the packet", udp_len(21), "drop", Some(bad_udp)),
        ("UDP of 7 bytes", behind(LAN_IP6, &[], 17, &[0; 7]), "drop", Some(bad_udp)),
        ("less than a header", vec![0x60; 39], "drop", Some("no IPv6 header")),
    ] {
        let outcome = Test::new().run(name, &packet);
        let counts: Vec<_> = count.map(|count| (count, 1)).into_iter().collect();
        assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
        if next == PROBLEM {
            assert_eq!(Reason::of(&outcome.packets[0]), Some(Reason::PortUnreachable), "{name}");
        }
    }
}

/// RFC 8200 sections 4.1 to 4.7, in the order in which they come.
#[test]
fn extension_headers() {
    let problem = |code, pointer| Some(Reason::ParameterProblem { code, pointer });
    let (unknown, forbids) = ("unknown option", "unknown option that has the packet dropped silently");
    let (header, bad) = ("unknown next header", "extension headers are malformed or too many");
    let closed = "UDP port is closed";
    let unreachable = Some(Reason::PortUnreachable);
    let (hops, dest, routing, piece) = (0, 60, 43, 44);
    let to_us = |headers: &[(u8, &[u8])]| behind(LAN_IP6, headers, 17, &udp_part(LAN_IP6));
    let to_all = |headers: &[(u8, &[u8])]| behind(ALL_NODES, headers, 17, &udp_part(ALL_NODES));
    let left = |kind: u8, left: u8| [0, kind, left, 0, 0, 0, 0];
    let many: Vec<(u8, &[u8])> = vec![(dest, PADDED); 9];
    for (name, packet, next, count, reason) in [
        (
            "all in order",
            to_us(&[(hops, PADDED), (dest, PADDED), (routing, &left(0, 0)), (dest, PADDED)]),
            PROBLEM,
            closed,
            unreachable,
        ),
        // Section 4: hop-by-hop options only first; pointer to the byte that names it.
        ("hop-by-hop options later", to_us(&[(dest, PADDED), (hops, PADDED)]), PROBLEM, header, problem(1, 40)),
        ("twice", to_us(&[(hops, PADDED), (hops, PADDED)]), PROBLEM, header, problem(1, 40)),
        // Section 4: a protocol that nobody knows, authentication among them.
        ("an unknown protocol", behind(LAN_IP6, &[], 132, &[0; 20]), PROBLEM, header, problem(1, 6)),
        (
            "one behind headers",
            behind(LAN_IP6, &[(hops, PADDED), (dest, PADDED)], 132, &[0; 20]),
            PROBLEM,
            header,
            problem(1, 48),
        ),
        ("authentication", behind(LAN_IP6, &[], 51, &[17; 40]), PROBLEM, header, problem(1, 6)),
        ("to a group", behind(ALL_NODES, &[], 132, &[0; 20]), "drop", "multicast for no service", None),
        // Section 4.2: the upper two bits say what to do; pointer to the option.
        ("00: skip", to_us(&[(hops, &option(0x1e))]), PROBLEM, closed, unreachable),
        ("01: drop", to_us(&[(dest, &option(0x5e))]), "drop", forbids, None),
        ("10: tell", to_us(&[(dest, &option(0x9e))]), PROBLEM, unknown, problem(2, 44)),
        ("11: tell", to_us(&[(dest, &option(0xde))]), PROBLEM, unknown, problem(2, 44)),
        ("jumbo payload", to_us(&[(hops, &option(0xc2))]), PROBLEM, unknown, problem(2, 44)),
        ("10 to a group: tell", to_all(&[(dest, &option(0x9e))]), PROBLEM, unknown, problem(2, 44)),
        ("11 to a group: drop", to_all(&[(dest, &option(0xde))]), "drop", forbids, None),
        ("in the second header", to_us(&[(hops, PADDED), (dest, &option(0x9e))]), PROBLEM, unknown, problem(2, 52)),
        ("an option beyond its header", to_us(&[(dest, &[0, 5, 9, 0, 0, 0, 0])]), "drop", bad, None),
        // Section 4.4 and RFC 5095.
        (
            "type 0, segments left",
            to_us(&[(routing, &left(0, 1))]),
            PROBLEM,
            "routing header with segments left",
            problem(0, 42),
        ),
        (
            "unknown type, segments left",
            to_us(&[(hops, PADDED), (routing, &left(200, 3))]),
            PROBLEM,
            "routing header with segments left",
            problem(0, 50),
        ),
        ("unknown type, none left", to_us(&[(routing, &left(200, 0))]), PROBLEM, closed, unreachable),
        // Section 4.5.
        ("a fragment", to_us(&[(piece, &[0, 0, 1, 0, 0, 0, 1])]), "ip6-local-full-reassembly", "", None),
        (
            "a later one",
            to_us(&[(hops, PADDED), (piece, &[0, 0, 8, 0, 0, 0, 1])]),
            "ip6-local-full-reassembly",
            "",
            None,
        ),
        ("an atomic one", to_us(&[(piece, &[0, 0, 0, 0, 0, 0, 1])]), "ip6-local-full-reassembly", "", None),
        // What is wrong with the headers before it comes first.
        (
            "a fragment behind an unknown option",
            to_us(&[(dest, &option(0x9e)), (piece, &[0, 0, 1, 0, 0, 0, 1])]),
            PROBLEM,
            unknown,
            problem(2, 44),
        ),
        // Section 4.7.
        (
            "no next header",
            behind(LAN_IP6, &[(dest, PADDED)], 59, &[1, 2, 3]),
            "drop",
            "nothing behind the headers",
            None,
        ),
        // What lies.
        (
            "a header beyond the packet",
            behind(LAN_IP6, &[(dest, &[200, 1, 4, 0, 0, 0, 0])], 17, &[0; 20]),
            "drop",
            bad,
            None,
        ),
        ("half a header", behind(LAN_IP6, &[], 60, &[17, 0, 1]), "drop", bad, None),
        ("endless headers", to_us(&many), "drop", bad, None),
    ] {
        let outcome = Test::new().run(name, &packet);
        let counts: Vec<_> = (!count.is_empty()).then_some((count, 1)).into_iter().collect();
        assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
        if next == PROBLEM {
            assert_eq!(Reason::of(&outcome.packets[0]), reason, "{name}");
        }
    }
}

/// RFC 4443 sections 2.4 and 4, RFC 4861, RFC 3810.
#[test]
fn icmp() {
    let (punted, bad) = ("ICMPv6 messages for the control plane", "ICMPv6 message is too short or its checksum wrong");
    let of = |to: &str, kind: u8| icmp6(HOST6, to, (kind, 0), [0; 4], &[7; 40]);
    let wrong = |mut packet: Vec<u8>| {
        packet[60] ^= 1;
        packet
    };
    let reported = "multicast listener reports of others (ignored)";
    let not_ours = "ICMPv6 message of a type that is not ours";
    for (name, packet, next, count) in [
        ("echo request", of(LAN_IP6, 128), ECHO, None),
        ("to our other side", of(WAN_IP6, 128), ECHO, None),
        ("to a group", of(ALL_NODES, 128), ECHO, None),
        ("behind options", behind(LAN_IP6, &[(60, PADDED)], 58, &of(LAN_IP6, 128)[40..]), ECHO, None),
        ("router solicitation", of("ff02::2", 133), DISCOVERY, None),
        ("router advertisement", of(ALL_NODES, 134), DISCOVERY, None),
        ("neighbour solicitation", of("ff02::1:ff00:1", 135), DISCOVERY, None),
        ("neighbour advertisement", of(LAN_IP6, 136), DISCOVERY, None),
        ("redirect", of(LAN_IP6, 137), DISCOVERY, None),
        ("its own checksum is its node's", wrong(of(LAN_IP6, 136)), DISCOVERY, None),
        ("echo reply", of(LAN_IP6, 129), PUNT, Some(punted)),
        ("unreachable", of(LAN_IP6, 1), PUNT, Some(punted)),
        ("packet too big", of(LAN_IP6, 2), PUNT, Some(punted)),
        ("time exceeded", of(LAN_IP6, 3), PUNT, Some(punted)),
        // RFC 4443 section 2.4 (a) and (b).
        ("an unknown error", of(LAN_IP6, 100), PUNT, Some(punted)),
        ("unknown information", of(LAN_IP6, 200), "drop", Some(not_ours)),
        ("node information", of(LAN_IP6, 139), "drop", Some(not_ours)),
        // RFC 4443 section 2.3.
        ("one bit wrong", wrong(of(LAN_IP6, 129)), "drop", Some(bad)),
        ("one bit wrong of what nobody knows", wrong(of(LAN_IP6, 200)), "drop", Some(bad)),
        ("of 7 bytes", behind(LAN_IP6, &[], 58, &[128, 0, 0, 0, 0, 0, 0]), "drop", Some(bad)),
        ("report of version 1", of(ALL_NODES, 131), "consumed", Some(reported)),
        ("done", of("ff02::2", 132), "consumed", Some(reported)),
        ("report of version 2", of(ALL_NODES, 143), "consumed", Some(reported)),
    ] {
        let outcome = Test::new().run(name, &packet);
        let counts: Vec<_> = count.map(|count| (count, 1)).into_iter().collect();
        assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
    }
    // RFC 6980 section 5.
    for (kind, next, counts) in [
        (135, "drop", &[("neighbour discovery in fragments", 1)][..]),
        (134, "drop", &[("neighbour discovery in fragments", 1)]),
        (128, ECHO, &[]),
    ] {
        let outcome = Test::new().bench.run(&[&of(LAN_IP6, kind)], |meta| {
            (meta.rx_interface, meta.marks) = (LAN, marks::REASSEMBLED);
        });
        assert_eq!(fate(&outcome), (next, counts), "type {kind}, put together");
    }
}

/// RFC 4291 section 2.8: the groups that it has joined, and no others.
#[test]
fn groups() {
    let not_listening = &[("group that the interface does not listen to", 1)][..];
    let run = |to: &str, interface: u32, change: u32| {
        Test::new().bench.run(&[&echo6(HOST6, to, b"")], |meta| (meta.rx_interface, meta.marks) = (interface, change))
    };
    for group in [ALL_NODES, "ff02::2", "ff02::1:ff00:1"] {
        assert_eq!(fate(&run(group, LAN, 0)), (ECHO, &[][..]), "{group}");
    }
    for group in [OTHER_GROUP, "ff02::16", "ff02::1:ff00:99", "ff05::2", "ff0e::1"] {
        assert_eq!(fate(&run(group, LAN, 0)), ("drop", not_listening), "{group}");
    }
    assert_eq!(fate(&run(ALL_NODES, 77, 0)), ("drop", not_listening), "an interface that is being removed");
    // The group of WAN's address, if it is another than that of LAN's.
    assert_eq!(fate(&run("ff02::1:ff00:2", LAN, 0)), ("drop", not_listening), "another interface's");
    let outcome = Test::new().bench.run(&[&udp6(HOST6, LAN_IP6)], |meta| {
        (meta.rx_interface, meta.marks) = (LAN, marks::LINK_MULTICAST);
    });
    assert_eq!(fate(&outcome), ("drop", &[("multicast for no service", 1)][..]), "a link-layer multicast");
    let (_, text) = Test::new().bench.traced(&udp6(HOST6, ALL_NODES), |meta| meta.rx_interface = LAN);
    assert_eq!(text, "udp multicast");
}

/// RFC 3810 sections 5.1, 6.2 and 8.1; RFC 2710.
#[test]
fn listener_queries() {
    let alert: (u8, &[u8]) = (0, &[0, 5, 2, 0, 0, 1, 0]);
    let bad = "multicast listener query is not as it must be";
    let query = |from: &str, to: &str, headers: &[(u8, &[u8])], group: &str, more: &[u8], hop_limit: u8| {
        let data = [&ip6(group).octets()[..], more].concat();
        let message = message6(from, to, (130, 0), [0x27, 0x10, 0, 0], &data);
        let mut packet = behind(to, headers, 58, &message);
        (packet[7], _) = (hop_limit, packet[8..24].copy_from_slice(&ip6(from).octets()));
        packet
    };
    let asks =
        |group: Option<Ipv6Addr>| Some(NeighborEvent::ListenerQueried { interface: LAN, group, max_delay_ms: 10_000 });
    let group = "ff02::1:ff00:1";
    for (name, packet, event) in [
        ("general, version 2", query(HOST_LL, ALL_NODES, &[alert], "::", &[0; 4], 1), asks(None)),
        ("general, version 1", query(HOST_LL, ALL_NODES, &[alert], "::", &[], 1), asks(None)),
        ("of a group", query(HOST_LL, group, &[alert], group, &[0; 4], 1), asks(Some(ip6(group)))),
        ("of a group and sources", query(HOST_LL, group, &[alert], group, &[0; 20], 1), asks(Some(ip6(group)))),
        ("to our own address", query(HOST_LL, LAN_LL, &[alert], "::", &[0; 4], 1), asks(None)),
        // RFC 3810 section 6.2.
        ("from afar", query(HOST6, ALL_NODES, &[alert], "::", &[0; 4], 1), None),
        ("with another hop limit", query(HOST_LL, ALL_NODES, &[alert], "::", &[0; 4], 2), None),
        ("without a router alert", query(HOST_LL, ALL_NODES, &[], "::", &[0; 4], 1), None),
        ("with other options", query(HOST_LL, ALL_NODES, &[(0, PADDED)], "::", &[0; 4], 1), None),
        // RFC 3810 section 8.1.
        ("between the versions", query(HOST_LL, ALL_NODES, &[alert], "::", &[0; 2], 1), None),
        ("of no group", query(HOST_LL, ALL_NODES, &[alert], HOST6, &[0; 4], 1), None),
    ] {
        let mut test = Test::new();
        let outcome = test.run(name, &packet);
        let expected = match event {
            Some(_) => ("consumed", &[("multicast listener queries", 1)][..]),
            None => ("drop", &[(bad, 1)][..]),
        };
        assert_eq!(fate(&outcome), expected, "{name}");
        assert_eq!((test.events.pop(), test.events.pop()), (event, None), "{name}");
    }
    let mut test = Test::new();
    while test.events.push(NeighborEvent::Used { interface: 1, address: Ipv6Addr::LOCALHOST.into() }) {}
    let outcome = test.run("one too many", &query(HOST_LL, ALL_NODES, &[alert], "::", &[0; 4], 1));
    assert_eq!(fate(&outcome), ("drop", &[("queue to the control plane is full", 1)][..]));
}

proptest! {
    /// Any bytes behind an IPv6 header: one counter at most, an exit, and the packet as it was.
    #[test]
    fn any_bytes(
        first in prop::sample::select(vec![0u8, 6, 17, 43, 44, 58, 59, 60, 51, 132]),
        to in prop::sample::select(vec![LAN_IP6, ALL_NODES, OTHER_GROUP]),
        mut body in prop::collection::vec(any::<u8>(), 0..400),
        kinds in prop::collection::vec(prop::sample::select(vec![0u8, 43, 44, 60, 58, 17, 6]), 12),
        short: bool,
    ) {
        for (at, kind) in kinds.into_iter().enumerate() {
            if let Some([next, len]) = body.get_mut(at * 8..at * 8 + 2) {
                (*next, *len) = (kind, if short { 0 } else { *len });
            }
        }
        let packet = packet6(&header6(HOST6, to, IpNumber(first)), &body);
        let outcome = Test::new().run("any", &packet);
        prop_assert!(outcome.counts.iter().map(|(_, n)| n).sum::<u64>() <= 1);
        prop_assert!(outcome.packets[0].next != "drop" || !outcome.counts.is_empty());
        prop_assert!(outcome.packets[0].next != ECHO || body.contains(&128));
    }
}
