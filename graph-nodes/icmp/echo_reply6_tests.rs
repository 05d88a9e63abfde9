use super::*;
use crate::forwarding::Interface;
use crate::marks;
use crate::testing::*;
use etherparse::IpNumber;
use millrace_engine::testing::Bench;
use millrace_tables::fib::Target;

fn bench() -> Bench<Icmp6EchoReply> {
    Bench::new(Icmp6EchoReply::new(World::new().forwarding))
}

/// RFC 4443 section 4.2.
#[test]
fn the_request_turned_round() {
    let anycast = "2001:db8:1::";
    for (name, from, to, source, data) in [
        ("usual", HOST6, LAN_IP6, LAN_IP6, 56),
        ("no data", HOST6, LAN_IP6, LAN_IP6, 0),
        ("odd length", HOST6, LAN_IP6, LAN_IP6, 57),
        ("over several buffers", HOST6, LAN_IP6, LAN_IP6, 8000),
        ("over several buffers, odd", HOST6, LAN_IP6, LAN_IP6, 5001),
        ("the longest", HOST6, LAN_IP6, LAN_IP6, 65_527),
        ("our other side", HOST6, WAN_IP6, WAN_IP6, 56),
        ("link-local", HOST_LL, LAN_LL, LAN_LL, 56),
        // "... SHOULD be sent in response to an Echo Request message sent to an IPv6 multicast or anycast address. In this case,
        // the source address of the reply MUST be a unicast address belonging to the interface".
        ("to a group", HOST6, "ff02::1", LAN_IP6, 56),
        ("to a group, odd length", HOST6, "ff02::1", LAN_IP6, 57),
        ("to a group, from a link-local address", HOST_LL, "ff02::2", LAN_LL, 56),
        ("to an anycast address", HOST6, anycast, LAN_IP6, 56),
    ] {
        let mut world = World::new();
        world.route6("2001:db8:1::/128", Target::Adjacency(OURS));
        let data: Vec<u8> = (0..data).map(|at| (at * 7) as u8).collect();
        let mut bench = Bench::new(Icmp6EchoReply::new(world.forwarding.clone()));
        let outcome = bench.run(&[&echo6(from, to, &data)], |meta| {
            meta.rx_interface = LAN;
            meta.marks = marks::LINK_MULTICAST | marks::LINK_LOCAL;
        });
        assert_eq!(fate(&outcome), ("ip6-lookup", &[("echo replies sent", 1)][..]), "{name}");
        let (ip, kind, ids, echoed) = icmp6_parsed(bytes(&outcome));
        assert_eq!((kind, ids), ((129, 0), [0, 7, 0, 3]), "{name}");
        assert_eq!((ip.source, ip.destination), (ip6(source).octets(), ip6(from).octets()), "{name}");
        assert_eq!(ip.hop_limit, 64, "{name}");
        assert!(echoed == data, "{name}: data");
        let out = &outcome.packets[0];
        assert_eq!((out.marks, out.tx_interface, out.table), (own_marks(ip.source), LAN, 0), "{name}");
    }
}

#[test]
fn headers_and_the_way_back() {
    let mut header = header6(HOST6, LAN_IP6, IpNumber(0));
    (header.traffic_class, header.hop_limit) = (0xb9, 1);
    let hops = [60, 0, 1, 4, 0, 0, 0, 0];
    let options = [58, 0, 1, 4, 0, 0, 0, 0];
    let request = message6(HOST6, LAN_IP6, (128, 0), [0, 7, 0, 3], b"hello");
    let packet = packet6(&header, &[&hops[..], &options, &request].concat());
    let outcome = bench().run(&[&packet], |meta| meta.rx_interface = LAN);
    let (ip, kind, _, echoed) = icmp6_parsed(bytes(&outcome));
    assert_eq!((kind, echoed), ((129, 0), &b"hello"[..]), "extension headers are left out");
    assert_eq!((ip.traffic_class, ip.hop_limit), (0xb9, 64));

    let mut world = World::new();
    let addresses6 = vec![(ip6("fe80::6"), 64)];
    world.interface(6, Interface { addresses6, table: 7, ..Interface::default() });
    let mut bench = Bench::new(Icmp6EchoReply::new(world.forwarding.clone()));
    let outcome = bench.run(&[&echo6(HOST6, LAN_IP6, b"")], |meta| meta.rx_interface = 6);
    assert_eq!(outcome.packets[0].table, 7, "back into the VRF that it came from");
}

#[test]
fn refused() {
    let flipped = |mut packet: Vec<u8>, at: usize| {
        packet[at] ^= 1;
        packet
    };
    let behind = |next: u8| packet6(&header6(HOST6, LAN_IP6, IpNumber(60)), &[next, 1, 0, 0, 0, 0, 0, 0]);
    let (none, wrong) = ("no echo request", "ICMP checksum is wrong");
    for (name, packet, interface, reason) in [
        ("one bit of the data", flipped(echo6(HOST6, LAN_IP6, &[0; 9]), 50), LAN, wrong),
        ("one bit in the last buffer", flipped(echo6(HOST6, LAN_IP6, &[0; 5000]), 5040), LAN, wrong),
        ("one bit of the address", flipped(echo6(HOST6, LAN_IP6, b""), 23), LAN, wrong),
        ("an echo reply", icmp6(HOST6, LAN_IP6, (129, 0), [0; 4], b""), LAN, none),
        ("cut off", packet6(&header6(HOST6, LAN_IP6, IpNumber::IPV6_ICMP), &[128, 0, 0, 0, 0, 0, 0]), LAN, none),
        ("UDP", udp6(HOST6, LAN_IP6), LAN, none),
        ("headers that end nowhere", behind(58), LAN, none),
        ("less than a header", vec![0x60; 39], LAN, none),
        // RFC 4443 section 4.2 has the reply go to the source, and from one host's address.
        ("from nobody", echo6("::", LAN_IP6, b""), LAN, "source is not one host"),
        ("from a group", echo6("ff02::1", LAN_IP6, b""), LAN, "source is not one host"),
        ("by an interface that is gone", echo6(HOST6, LAN_IP6, b""), 77, "interface is being removed"),
        ("to a group, by one without an address", echo6(HOST_LL, "ff02::1", b""), 8, "no address to speak from"),
    ] {
        let mut world = World::new();
        world.interface(8, Interface { table: 9, ..Interface::default() });
        let mut bench = Bench::new(Icmp6EchoReply::new(world.forwarding.clone()));
        let outcome = bench.run(&[&packet], |meta| meta.rx_interface = interface);
        assert_eq!(fate(&outcome), ("drop", &[(reason, 1)][..]), "{name}");
    }
}

/// An operator's ping of the router itself comes by no interface.
#[test]
fn what_the_router_asks_itself() {
    let mut world = World::new();
    world.route6(&format!("{LAN_IP6}/128"), Target::Adjacency(OURS));
    let mut bench = Bench::new(Icmp6EchoReply::new(world.forwarding.clone()));
    let outcome = bench.run(&[&echo6(LAN_IP6, LAN_IP6, b"")], |meta| (meta.rx_interface, meta.marks) = (0, marks::OWN));
    assert_eq!(fate(&outcome), ("ip6-lookup", &[("echo replies sent", 1)][..]));
    assert_eq!(icmp6_parsed(bytes(&outcome)).0.source, ip6(LAN_IP6).octets());
}

#[test]
fn trace() {
    let (_, text) = bench().traced(&echo6(HOST6, LAN_IP6, b""), |meta| meta.rx_interface = LAN);
    assert_eq!(text, "to 2001:db8:1::10 id 7 sequence 3");
}
