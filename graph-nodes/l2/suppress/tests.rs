//! What is learnt of stations' addresses, and what is answered for them, through a whole bridge.

use super::super::testing::{ALL, Bridge, PORTS, mac};
use super::super::{Domain, Port, Watch};
use super::*;
use millrace_engine::NodeName;
use millrace_wire::nd::{self as wire_nd, NeighborAdvertisement, NeighborFlags, NeighborSolicitation};
use millrace_wire::{Arp, ArpOperation, IntoBytes, IpProtocol, Ipv6, checksum};
use std::net::{Ipv4Addr, Ipv6Addr};

fn ip(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

fn ip6(n: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into())
}

fn arp(to: [u8; 6], packet: &Arp) -> Vec<u8> {
    [&to[..], &packet.sender_mac.0, &[8, 6], packet.as_bytes()].concat()
}

/// Station `n` asks everyone for station `target`.
fn asks(n: u8, target: u8) -> Vec<u8> {
    arp(ALL, &Arp::request((MacAddr(mac(n)), ip(n)), ip(target)))
}

/// Station `n` tells `to` where it is.
fn replies(n: u8, to: u8) -> Vec<u8> {
    let (sender, target) = ((MacAddr(mac(n)), ip(n)), (MacAddr(mac(to)), ip(to)));
    arp(mac(to), &Arp::new(ArpOperation::REPLY, sender, target))
}

fn icmp6(from_mac: [u8; 6], to_mac: [u8; 6], from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let sum = checksum::icmp6(from, to, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = Ipv6::new(from, to, IpProtocol::ICMP6, wire_nd::HOP_LIMIT, message.len() as u16);
    [&to_mac[..], &from_mac, &[0x86, 0xdd], header.as_bytes(), &message].concat()
}

/// Station `n` asks for station `target` by neighbour discovery, with the address that it says is its own.
fn solicits(n: u8, from: Ipv6Addr, target: u8) -> Vec<u8> {
    let to = wire_nd::solicited_node(ip6(target));
    let option = if from.is_unspecified() { vec![] } else { [&[1, 1][..], &mac(n)].concat() };
    let message = [NeighborSolicitation::new(ip6(target)).as_bytes(), &option].concat();
    icmp6(mac(n), wire_nd::multicast_mac(to).0, from, to, &message)
}

/// Station `n` advertises itself to `to`.
fn advertises(n: u8, to: u8, flags: NeighborFlags) -> Vec<u8> {
    let message = [NeighborAdvertisement::new(flags, ip6(n)).as_bytes(), &[2, 1], &mac(n)[..]].concat();
    icmp6(mac(n), mac(to), ip6(n), ip6(to), &message)
}

const FLAGS: NeighborFlags = NeighborFlags { router: true, solicited: true, override_: true };

/// The bridge of the tests, whose domain 1 answers for stations. Station `n` is behind port `n`.
fn bridge() -> Bridge {
    let mut bridge = Bridge::new();
    bridge.bed.now = 100_000_000_000;
    for port in PORTS {
        bridge.port(port, Port { look: true, ..Port::new(1) });
        bridge.sent(port, &[&ALL[..], &mac(port as u8), &[0x88, 0xb5]].concat());
    }
    let looking = Domain { look: true, members: PORTS.to_vec(), ..Domain::default() };
    bridge.bridging.domains.set(&domain(), 1, looking).unwrap();
    bridge.bridging.snoop.watches.set(&domain(), 1, Watch { suppress: true, ..Watch::default() }).unwrap();
    bridge.counts();
    bridge
}

fn bind(bridge: &Bridge, address: IpAddr, station: u8, set: impl FnOnce(&mut Binding)) {
    let mut binding = Binding {
        domain: 1,
        address,
        mac: MacAddr(mac(station)),
        router: false,
        override_: true,
        disputed: false,
        seen: Arc::default(),
    };
    set(&mut binding);
    let bindings = &bridge.bridging.snoop.bindings;
    bindings.publish(bindings.list(1, address), vec![binding]);
}

/// What was counted by the nodes that answer.
fn counted(bridge: &mut Bridge) -> Vec<(&'static str, u64)> {
    let of =
        |(name, text, n): (NodeName, &'static str, u64)| (name == arp::NAME || name == nd::NAME).then_some((text, n));
    bridge.counts().into_iter().filter_map(of).collect()
}

/// The frames that leave, with their ports, in the order of ports.
fn out(bridge: &mut Bridge, port: u32, frame: &[u8]) -> Vec<(u32, Vec<u8>)> {
    bridge.bed.put(0, port, frame);
    let mut out: Vec<_> = bridge.bed.run().into_iter().map(|sent| (sent.interface, sent.data)).collect();
    out.sort();
    out
}

fn ports(out: &[(u32, Vec<u8>)]) -> Vec<u32> {
    out.iter().map(|(port, _)| *port).collect()
}

fn sighting(port: u32, address: IpAddr, station: u8, router: bool) -> Option<Seen> {
    Some(Seen { interface: port, domain: 1, address, mac: MacAddr(mac(station)), router, override_: true })
}

#[test]
fn arp_is_learnt_from() {
    let mut bridge = bridge();
    for (what, port, frame, to, seen) in [
        ("a request", 1, asks(1, 2), &[2, 3, 4][..], sighting(1, ip(1).into(), 1, false)),
        ("a reply, to one station", 2, replies(2, 1), &[1], sighting(2, ip(2).into(), 2, false)),
        ("an announcement", 3, asks(3, 3), &[1, 2, 4], sighting(3, ip(3).into(), 3, false)),
    ] {
        assert_eq!(bridge.sent(port, &frame), to, "{what}");
        assert_eq!((bridge.bridging.snoop.seen(), bridge.bridging.snoop.seen()), (seen, None), "{what}");
    }
    bridge.port(2, Port { look: true, learn: false, ..Port::new(1) });
    assert_eq!(bridge.sent(2, &replies(2, 1)), [1]);
    assert_eq!(bridge.bridging.snoop.seen(), sighting(2, ip(2).into(), 2, false), "where no stations are learnt");
    bind(&bridge, ip(1).into(), 1, |_| {});
    bridge.bed.now = 177_000_000_000;
    bridge.sent(1, &asks(1, 2));
    assert_eq!(bridge.bridging.snoop.seen(), None, "it is known");
    let participant = domain().register();
    let known = bridge.bridging.snoop.bindings.find(1, ip(1).into(), &participant.guard()).unwrap();
    assert_eq!(known.seen.load(Relaxed), 177);
    bind(&bridge, ip(1).into(), 4, |_| {});
    bridge.sent(1, &asks(1, 2));
    assert_eq!(bridge.bridging.snoop.seen(), sighting(1, ip(1).into(), 1, false), "it is another's");
}

#[test]
fn a_request_is_answered_as_by_the_station() {
    let mut bridge = bridge();
    bind(&bridge, ip(2).into(), 2, |_| {});
    bind(&bridge, ip(1).into(), 1, |_| {});
    let padded = [&asks(1, 2)[..], &[0; 18]].concat();
    assert_eq!(out(&mut bridge, 1, &padded), [(1, replies(2, 1))]);
    assert_eq!(counted(&mut bridge), [("requests answered for stations", 1)]);
    assert_eq!(bridge.bed.held(), 0);
    let sent = out(&mut bridge, 2, &asks(2, 1));
    assert_eq!(sent, [(2, replies(1, 2))]);
}

#[test]
fn arp_that_is_not_answered() {
    let mut bridge = bridge();
    bind(&bridge, ip(1).into(), 1, |_| {});
    bind(&bridge, ip(2).into(), 2, |_| {});
    let unknown = "requests flooded: address is not known";
    let probes = "probes and announcements, which everyone hears";
    let probe = arp(ALL, &Arp::request((MacAddr(mac(1)), Ipv4Addr::UNSPECIFIED), ip(2)));
    let announces = arp(ALL, &Arp::request((MacAddr(mac(1)), ip(1)), ip(1)));
    let to_one = arp(mac(2), &Arp::request((MacAddr(mac(1)), ip(1)), ip(2)));
    let mut other_source = asks(1, 2);
    other_source[27] = 9;
    let from_group = arp(ALL, &Arp::request((MacAddr(mac(1)), Ipv4Addr::new(224, 0, 0, 1)), ip(2)));
    let mut other_protocol = asks(1, 2);
    other_protocol[16] = 0x86;
    for (what, frame, to, counts) in [
        ("nobody knows", asks(1, 3), &[2, 3, 4][..], &[(unknown, 1)][..]),
        // RFC 5227 section 2.1.1, RFC 9161 section 3.2.
        ("a probe", probe, &[2, 3, 4], &[(probes, 1)]),
        ("an announcement", announces, &[2, 3, 4], &[(probes, 1)]),
        ("to the station itself", to_one, &[2], &[]),
        ("for itself, by another address", asks(1, 1), &[2, 3, 4], &[(probes, 1)]),
        ("of another's", other_source, &[2, 3, 4], &[("not believed: sender MAC is not the frame's source", 1)]),
        ("from a group", from_group, &[2, 3, 4], &[("not believed: sender address is no station's", 1)]),
        (
            "about something else",
            other_protocol,
            &[2, 3, 4],
            &[("not looked at: no ARP packet for IPv4 over Ethernet", 1)],
        ),
        (
            "cut short",
            asks(1, 2)[..41].to_vec(),
            &[2, 3, 4],
            &[("not looked at: no ARP packet for IPv4 over Ethernet", 1)],
        ),
    ] {
        assert_eq!(ports(&out(&mut bridge, 1, &frame)), to, "{what}");
        assert_eq!(counted(&mut bridge), counts, "{what}");
        assert_eq!(bridge.bridging.snoop.seen(), None, "{what}");
    }
    bind(&bridge, ip(2).into(), 2, |binding| binding.disputed = true);
    assert_eq!(bridge.sent(1, &asks(1, 2)), [2, 3, 4], "several claim it");
    bind(&bridge, ip(2).into(), 77, |_| {});
    assert_eq!(bridge.sent(1, &asks(1, 2)), [2, 3, 4], "the station is gone");
    bind(&bridge, ip(2).into(), 1, |_| {});
    assert_eq!(bridge.sent(1, &asks(1, 2)), [2, 3, 4], "the asker's own");
    bind(&bridge, ip(2).into(), 2, |binding| binding.domain = 2);
    assert_eq!(bridge.sent(1, &asks(1, 2)), [2, 3, 4], "of another domain");
    bind(&bridge, ip(2).into(), 2, |_| {});
    bridge.sent(1, &[&ALL[..], &mac(2), &[0x88, 0xb5]].concat());
    assert_eq!(bridge.sent(1, &asks(1, 2)), [2, 3, 4], "behind the same port: it answers itself");
}

/// A router that reaches both may answer instead (local proxy ARP, RFC 3069).
#[test]
fn stations_that_are_kept_apart_are_not_answered_for() {
    let mut bridge = bridge();
    bind(&bridge, ip(2).into(), 2, |_| {});
    for port in [1, 2] {
        bridge.port(port, Port { look: true, isolated: true, ..Port::new(1) });
    }
    assert_eq!(bridge.sent(1, &asks(1, 2)), [3, 4]);
    assert_eq!(out(&mut bridge, 3, &asks(3, 2)), [(3, replies(2, 3))]);
}

#[test]
fn stations_behind_remotes() {
    let mut bridge = bridge();
    bind(&bridge, ip(7).into(), 7, |_| {});
    let station = Station::new(1, mac(7));
    let remote = MAX_INTERFACES as u16 + 5;
    bridge.bridging.stations.hear(station, bridge.bridging.stations.place(station), remote);
    assert_eq!(bridge.sent(1, &asks(1, 7)), [2, 3, 4], "nobody knows where the remote is");
    bridge.bridging.set_behind(remote, Some(4));
    assert_eq!(out(&mut bridge, 1, &asks(1, 7)), [(1, replies(7, 1))]);
}

#[test]
fn neighbour_discovery_is_learnt_from() {
    let mut bridge = bridge();
    assert_eq!(bridge.sent(2, &advertises(2, 1, FLAGS)), [1]);
    assert_eq!(bridge.bridging.snoop.seen(), sighting(2, ip6(2).into(), 2, true));
    assert_eq!(counted(&mut bridge), [("addresses of stations heard that were not known", 1)]);
    // RFC 9161 section 3.1: a solicitation doesn't say whether a router sent it.
    assert_eq!(bridge.sent(1, &solicits(1, ip6(1), 2)), [2, 3, 4]);
    assert_eq!(bridge.bridging.snoop.seen(), None);
    bind(&bridge, ip6(1).into(), 1, |_| {});
    bridge.bed.now = 109_000_000_000;
    bridge.sent(1, &solicits(1, ip6(1), 2));
    let participant = domain().register();
    let known = bridge.bridging.snoop.bindings.find(1, ip6(1).into(), &participant.guard()).unwrap();
    assert_eq!(known.seen.load(Relaxed), 109, "but confirms what is known");
}

#[test]
fn a_solicitation_is_answered_as_by_the_station() {
    let mut bridge = bridge();
    for flags in [FLAGS, NeighborFlags { router: false, override_: false, ..FLAGS }] {
        bind(&bridge, ip6(2).into(), 2, |b| (b.router, b.override_) = (flags.router, flags.override_));
        assert_eq!(out(&mut bridge, 1, &solicits(1, ip6(1), 2)), [(1, advertises(2, 1, flags))]);
        assert_eq!(counted(&mut bridge), [("solicitations answered for stations", 1)]);
    }
    assert_eq!(bridge.bed.held(), 0);
}

#[test]
fn solicitations_that_are_not_answered() {
    let mut bridge = bridge();
    bind(&bridge, ip6(2).into(), 2, |_| {});
    let mut bad_sum = solicits(1, ip6(1), 2);
    bad_sum[56] ^= 1;
    let to_one = [&mac(2)[..], &solicits(1, ip6(1), 2)[6..]].concat();
    let mut other_source = solicits(1, ip6(1), 2);
    other_source[11] = 9;
    for (what, frame, to, counts) in [
        (
            "nobody knows",
            solicits(1, ip6(1), 3),
            &[2, 3, 4][..],
            &[("solicitations flooded: address is not known", 1)][..],
        ),
        // RFC 4862 section 5.4, RFC 9161 section 3.2.
        (
            "a probe",
            solicits(1, Ipv6Addr::UNSPECIFIED, 2),
            &[2, 3, 4],
            &[("probes for duplicate addresses, which everyone hears", 1)],
        ),
        ("to the station itself", to_one, &[2], &[]),
        ("faulty", bad_sum, &[2, 3, 4], &[("not looked at: against RFC 4861", 1)]),
        (
            "of another's",
            other_source,
            &[2, 3, 4],
            &[("not believed: link-layer address is not the frame's source", 1)],
        ),
    ] {
        assert_eq!(ports(&out(&mut bridge, 1, &frame)), to, "{what}");
        assert_eq!(counted(&mut bridge), counts, "{what}");
    }
    let mut lie = advertises(3, 1, FLAGS);
    lie[11] = 4;
    bridge.sent(3, &lie);
    assert_eq!(bridge.bridging.snoop.seen(), None, "it speaks for another");
}

/// What is published for the packet path of groups holds for solicitations, too.
#[test]
fn solicitations_go_to_their_group() {
    let mut bridge = bridge();
    let group = wire_nd::solicited_node(ip6(3));
    let mld = Some(Arc::new(super::super::Groups::new(true, vec![], [(group.into(), [3])])));
    bridge.bridging.snoop.watches.set(&domain(), 1, Watch { suppress: true, mld, igmp: None }).unwrap();
    assert_eq!(bridge.sent(1, &solicits(1, ip6(1), 3)), [3]);
    assert_eq!(bridge.sent(1, &asks(1, 3)), [2, 3, 4]);
}

#[test]
fn a_port_has_a_share() {
    let mut bridge = bridge();
    for n in 0..1200u32 {
        let sender = Ipv4Addr::from_bits(0x0a01_0000 + n);
        bridge.sent(1, &arp(ALL, &Arp::request((MacAddr(mac(1)), sender), ip(2))));
    }
    let counts = counted(&mut bridge);
    assert!(counts.contains(&("not learnt: more than a port's share", 176)), "{counts:?}");
    assert_eq!(std::iter::from_fn(|| bridge.bridging.snoop.seen()).count(), 1024);
}

#[test]
fn traces() {
    let mut bridge = bridge();
    bind(&bridge, ip(2).into(), 2, |_| {});
    // Traces end when they take too long by the system's clock.
    bridge.bed.now = 0;
    bridge.bed.trace(super::super::input::NAME, 2);
    bridge.sent(1, &asks(1, 3));
    out(&mut bridge, 1, &asks(1, 2));
    let texts: Vec<String> =
        bridge.bed.traces().iter().flat_map(|trace| trace.hops.iter().map(|hop| hop.text.clone())).collect();
    for text in ["10.0.0.1 asks for 10.0.0.3", "10.0.0.1 asks for 10.0.0.2, answered: 02:00:00:00:00:02"] {
        assert!(texts.iter().any(|told| told == text), "{texts:?}");
    }
}
