use super::*;
use crate::testing::*;
use etherparse::Ipv4Header;
use millrace_engine::testing::{Bench, Outcome};

fn rewritten(adjacency: u32, marks: u32, packet: &[u8]) -> Outcome {
    let mut world = World::new();
    world.adjacency(20, neighbour(PEER_MAC, PEER, 600));
    let mut bench = Bench::new(IpRewrite::<V4>::new(world.forwarding));
    bench.run(&[packet], |meta| (meta.adjacency, meta.marks) = (adjacency, marks))
}

#[test]
fn a_header_in_front_and_a_hop_less() {
    for (name, change) in [
        ("plain", (|_| {}) as fn(&mut Ipv4Header)),
        ("last hop but one", |h| h.time_to_live = 2),
        ("options", |h| h.options = [0x94, 4, 0, 0].into()),
        ("don't fragment", |h| h.dont_fragment = true),
    ] {
        let packet = udp_with(HOST, PEER, 1000, change);
        let outcome = rewritten(TO_PEER, 0, &packet);
        assert_eq!(fate(&outcome), ("interface-output", &[][..]), "{name}");
        assert_eq!(outcome.packets[0].tx_interface, WAN, "{name}");
        // RFC 1812 section 5.3.1; the checksum follows by RFC 1624.
        let lower = udp_with(HOST, PEER, 1000, |h| {
            change(h);
            h.time_to_live -= 1;
        });
        assert_eq!(bytes(&outcome), [&wan_header(PEER_MAC)[..], &lower].concat(), "{name}");
    }
}

#[test]
fn a_vlan_tag() {
    let outcome = rewritten(TO_LAN_100, marks::OWN, &udp(HOST, PEER));
    assert_eq!(fate(&outcome), ("interface-output", &[][..]));
    assert_eq!(bytes(&outcome)[12..18], [0x81, 0, 0, 100, 8, 0]);
    assert_eq!(bytes(&outcome)[18..], udp(HOST, PEER), "what the router sends itself keeps its time to live");
    assert_eq!(outcome.packets[0].tx_interface, LAN_100);
}

#[test]
fn what_is_not_sent_on_as_it_is() {
    let with = |bytes, change: fn(&mut Ipv4Header)| udp_with(HOST, PEER, bytes, change);
    let expired = |ttl: u8| udp_with(HOST, PEER, 10, |h| h.time_to_live = ttl);
    let too_big = "longer than the MTU and may not be fragmented";
    let ttl = |packet: &[u8]| packet[8];
    for (name, packet, marks, next, reason, count, ttl_after) in [
        // RFC 1812 section 5.3.1.
        ("time to live 1", expired(1), 0, "icmp4-error", Some(Reason::TimeExceeded), Some("time to live ran out"), 1),
        ("time to live 0", expired(0), 0, "icmp4-error", Some(Reason::TimeExceeded), Some("time to live ran out"), 0),
        ("our own with time to live 1", expired(1), marks::OWN, "interface-output", None, None, 1),
        // 600 bytes fit, 601 don't (RFC 791 section 3.2, RFC 1191 section 4).
        ("fits exactly", with(572, |_| {}), 0, "interface-output", None, None, 63),
        ("one byte too many", with(573, |_| {}), 0, "ip4-fragment", None, None, 63),
        ("our own, too long", with(573, |_| {}), marks::OWN, "ip4-fragment", None, None, 64),
        (
            "too long, time to live 1",
            with(573, |h| h.time_to_live = 1),
            0,
            "icmp4-error",
            Some(Reason::TimeExceeded),
            Some("time to live ran out"),
            1,
        ),
        (
            "too long, don't fragment",
            with(573, |h| h.dont_fragment = true),
            0,
            "icmp4-error",
            Some(Reason::TooBig { mtu: 600 }),
            Some(too_big),
            64,
        ),
    ] {
        let outcome = rewritten(20, marks, &packet);
        let counts: Vec<_> = count.map(|c| (c, 1)).into_iter().collect();
        assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
        let out = &outcome.packets[0];
        if reason.is_some() {
            assert_eq!(Reason::of(out), reason, "{name}");
        }
        let ip = out.data.get(if next == "interface-output" { 14.. } else { 0.. }).unwrap();
        parsed(ip);
        assert_eq!(ttl(ip), ttl_after, "{name}: time to live");
        let own = marks & marks::OWN != 0 || next == "ip4-fragment";
        assert_eq!(out.marks & marks::OWN != 0, own, "{name}: counted down once");
    }
}

/// RFC 1812 section 5.3.4.
#[test]
fn link_layer_broadcasts_go_no_further() {
    let broadcast: &[_] = &[("came as a link-layer broadcast or multicast", 1)];
    for bytes_of_data in [10, 2000] {
        let packet = udp_with(HOST, PEER, bytes_of_data, |_| {});
        let outcome = rewritten(TO_PEER, marks::LINK_MULTICAST | marks::TAGGED, &packet);
        assert_eq!(fate(&outcome), ("drop", broadcast), "{bytes_of_data} bytes of data");
    }
    let outcome = rewritten(TO_PEER, marks::TAGGED, &udp(HOST, PEER));
    assert_eq!((fate(&outcome).0, bytes(&outcome)[14 + 8]), ("interface-output", 63), "a tag changes nothing");
}

#[test]
fn adjacencies_that_changed_meanwhile() {
    let gone: &[_] = &[("adjacency is being removed", 1)];
    for adjacency in [OURS, TO_STRANGER, 99] {
        assert_eq!(fate(&rewritten(adjacency, 0, &udp(HOST, PEER))), ("drop", gone), "adjacency {adjacency}");
    }
    assert_eq!(fate(&rewritten(TO_PEER, 0, b"short")), ("drop", &[("no IP header", 1)][..]));
}

fn rewritten6(marks: u32, rx_interface: u32, packet: &[u8]) -> Outcome {
    let mut world = World::new();
    world.adjacency(30, neighbour6(PEER_MAC, PEER6, 1280));
    let mut bench = Bench::new(IpRewrite::<V6>::new(world.forwarding));
    bench.run(&[packet], |meta| (meta.adjacency, meta.marks, meta.rx_interface) = (30, marks, rx_interface))
}

#[test]
fn ip6() {
    let too_big = "longer than the MTU and may not be fragmented";
    let expired = |hops: u8| udp6_with(HOST6, PEER6, 10, |h| h.hop_limit = hops);
    let big = udp6_with(HOST6, PEER6, 1233, |_| {});
    let scope = "source address is not valid beyond its link";
    for (name, packet, marks, rx, next, reason, count, hops) in [
        ("plain", udp6(HOST6, PEER6), 0, LAN, "interface-output", None, None, 63),
        ("our own", udp6(HOST6, PEER6), marks::OWN, 0, "interface-output", None, None, 64),
        // RFC 8200 section 3, RFC 4443 section 3.3.
        ("hop limit 1", expired(1), 0, LAN, "icmp6-error", Some(Reason::TimeExceeded), Some("time to live ran out"), 1),
        ("hop limit 0", expired(0), 0, LAN, "icmp6-error", Some(Reason::TimeExceeded), Some("time to live ran out"), 0),
        ("hop limit 2", expired(2), 0, LAN, "interface-output", None, None, 1),
        ("fits exactly", udp6_with(HOST6, PEER6, 1232, |_| {}), 0, LAN, "interface-output", None, None, 63),
        // RFC 8200 section 5: routers don't fragment; RFC 4443 section 3.2.
        ("too long", big.clone(), 0, LAN, "icmp6-error", Some(Reason::TooBig { mtu: 1280 }), Some(too_big), 64),
        ("our own, too long", big.clone(), marks::OWN, 0, "ip6-fragment", None, None, 64),
        // RFC 4291 section 2.5.6, RFC 4443 section 3.1 code 2.
        (
            "link-local source, to another link",
            udp6(HOST_LL, PEER6),
            marks::LINK_LOCAL,
            LAN,
            "icmp6-error",
            Some(Reason::BeyondScope),
            Some(scope),
            64,
        ),
        (
            "the same, too long",
            big.clone(),
            marks::LINK_LOCAL,
            LAN,
            "icmp6-error",
            Some(Reason::BeyondScope),
            Some(scope),
            64,
        ),
        (
            "our own answer, to another link",
            udp6(LAN_LL, PEER6),
            marks::LINK_LOCAL | marks::OWN,
            LAN,
            "drop",
            None,
            Some(scope),
            64,
        ),
        (
            "our own answer, to its link",
            udp6(WAN_LL, PEER6),
            marks::LINK_LOCAL | marks::OWN,
            WAN,
            "interface-output",
            None,
            None,
            64,
        ),
        ("back to its link", udp6(HOST_LL, PEER6), marks::LINK_LOCAL, WAN, "interface-output", None, None, 63),
        (
            "not for us alone",
            udp6(HOST6, PEER6),
            marks::LINK_MULTICAST,
            LAN,
            "drop",
            None,
            Some("came as a link-layer broadcast or multicast"),
            64,
        ),
    ] {
        let outcome = rewritten6(marks, rx, &packet);
        let counts: Vec<_> = count.map(|c| (c, 1)).into_iter().collect();
        assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
        let out = &outcome.packets[0];
        if reason.is_some() {
            assert_eq!(Reason::of(out), reason, "{name}");
        }
        let sent = next == "interface-output";
        let ip = out.data.get(if sent { 14.. } else { 0.. }).unwrap();
        assert_eq!(parsed6(ip).0.hop_limit, hops, "{name}");
        assert_eq!((&ip[..7], &ip[8..]), (&packet[..7], &packet[8..]), "{name}: nothing else changed");
        if sent {
            assert_eq!(out.data[..14], frame_header6(PEER_MAC, WAN_MAC), "{name}");
        }
    }
}
