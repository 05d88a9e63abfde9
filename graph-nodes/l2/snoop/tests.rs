//! What l2-snoop tells and where frames go then, through a whole bridge.

use super::super::testing::{Bridge, PORTS, mac};
use super::super::{Domain, Port, suppress};
use super::*;
use millrace_engine::NodeName;
use millrace_engine::epoch::domain;
use millrace_wire::checksum::{self, Sum};
use millrace_wire::{IntoBytes, IpProtocol, igmp, nd};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const HOST6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 1);

/// A frame to an IPv4 group.
fn to4(group: Ipv4Addr, ttl: u8, protocol: IpProtocol, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut ip = Ipv4::new(HOST, group, protocol, ttl, (options.len() + payload.len()) as u16);
    ip.as_mut_bytes()[0] = 0x45 + (options.len() / 4) as u8;
    ip.fill_checksum(options);
    let [_, b, c, d] = group.octets();
    let ethernet = [1, 0, 0x5e, b & 0x7f, c, d];
    [&ethernet[..], &mac(9), &[8, 0], ip.as_bytes(), options, payload].concat()
}

/// An IGMP message, with a router alert.
fn igmp_frame(to: Ipv4Addr, kind: u8, group: Ipv4Addr, rest: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, 10, 0, 0][..], &group.octets(), rest].concat();
    let sum = Sum::of(&message).checksum();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    to4(to, 1, IpProtocol::IGMP, &[0x94, 4, 0, 0], &message)
}

fn to6(group: Ipv6Addr, hops: u8, next: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let ip = Ipv6::new(HOST6, group, next, hops, payload.len() as u16);
    [&nd::multicast_mac(group).0[..], &mac(9), &[0x86, 0xdd], ip.as_bytes(), payload].concat()
}

fn mld_frame(to: Ipv6Addr, kind: u8, group: Ipv6Addr) -> Vec<u8> {
    let mut message = [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &group.octets()].concat();
    let sum = checksum::icmp6(HOST6, to, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    to6(to, 1, IpProtocol::HOP_BY_HOP, &[&[58, 0, 5, 2, 0, 0, 1, 0][..], &message].concat())
}

fn pim_hello() -> Vec<u8> {
    to4(millrace_wire::pim::ALL_ROUTERS, 1, millrace_wire::pim::PROTOCOL, &[], &[0x20, 0, 0xdf, 0xff])
}

/// The bridge of the tests, whose domain 1 looks at what the switches say, with a router on port 4, and a listener of both groups on 2.
fn bridge(igmp: bool, mld: bool, filter: bool) -> Bridge {
    let mut bridge = Bridge::new();
    bridge.bed.now = 100_000_000_000;
    for port in PORTS {
        bridge.port(port, Port { look: true, ..Port::new(1) });
    }
    let looking = Domain { look: true, members: PORTS.to_vec(), ..Domain::default() };
    bridge.bridging.domains.set(&domain(), 1, looking).unwrap();
    let groups = |group: IpAddr| Some(Arc::new(Groups::new(filter, vec![4], [(group, [2])])));
    let (igmp, mld) = (igmp.then(|| groups(GROUP.into())).flatten(), mld.then(|| groups(GROUP6.into())).flatten());
    bridge.bridging.snoop.watches.set(&domain(), 1, Watch { igmp, mld, suppress: false }).unwrap();
    bridge
}

fn udp4(group: Ipv4Addr) -> Vec<u8> {
    to4(group, 32, IpProtocol::UDP, &[], &[7; 40])
}

fn udp6(group: Ipv6Addr) -> Vec<u8> {
    to6(group, 32, IpProtocol::UDP, &[7; 40])
}

/// What l2-snoop counted.
fn counted(bridge: &mut Bridge) -> Vec<(&'static str, u64)> {
    let of = |(name, text, n): (NodeName, &'static str, u64)| (name == node::NAME).then_some((text, n));
    bridge.counts().into_iter().filter_map(of).collect()
}

#[test]
fn groups_go_to_listeners_and_routers() {
    let mut bridge = bridge(true, true, true);
    let other6: Ipv6Addr = "ff15::2".parse().unwrap();
    for (what, frame, to) in [
        ("a known group", udp4(GROUP), vec![2, 4]),
        ("another one of the same MAC address", udp4(Ipv4Addr::new(239, 129, 1, 1)), vec![4]),
        ("of the link", udp4(Ipv4Addr::new(224, 0, 0, 251)), vec![2, 3, 4]),
        ("an IPv6 group", udp6(GROUP6), vec![2, 4]),
        ("an unknown one", udp6(other6), vec![4]),
        ("all nodes", udp6(nd::ALL_NODES), vec![2, 3, 4]),
        ("DHCPv6, which nobody joined", udp6("ff02::1:2".parse().unwrap()), vec![2, 3, 4]),
        ("long ones", to4(GROUP, 9, IpProtocol::UDP, &[], &[1; 1400]), vec![2, 4]),
        ("no IP", [&[1, 0, 0x5e, 1, 1, 1][..], &mac(9), &[0x88, 0xb5, 1, 2]].concat(), vec![2, 3, 4]),
        ("cut short", udp4(GROUP)[..20].to_vec(), vec![2, 3, 4]),
        ("broadcast", [&[0xff; 6][..], &udp4(GROUP)[6..]].concat(), vec![2, 4]),
        ("unknown unicast", [&mac(77)[..], &udp4(GROUP)[6..]].concat(), vec![2, 3, 4]),
        (
            "a group's MAC and a station's IP address",
            {
                let mut frame = udp4(GROUP);
                frame[30..34].copy_from_slice(&[10, 0, 0, 1]);
                frame
            },
            vec![2, 3, 4],
        ),
    ] {
        assert_eq!(bridge.sent(1, &frame), to, "{what}");
    }
    assert_eq!(counted(&mut bridge), [], "nothing of it is control's");
    assert_eq!(bridge.sent(2, &udp4(GROUP)), [4], "not back to a listener");
    assert_eq!(bridge.bed.held(), 0);
}

#[test]
fn what_is_not_looked_at_goes_everywhere() {
    let [all, listeners] = [vec![2, 3, 4], vec![2, 4]];
    for (igmp, mld, filter, to4, to6) in
        [(true, true, false, &all, &all), (true, false, true, &listeners, &all), (false, true, true, &all, &listeners)]
    {
        let mut bridge = bridge(igmp, mld, filter);
        assert_eq!((&bridge.sent(1, &udp4(GROUP)), &bridge.sent(1, &udp6(GROUP6))), (to4, to6));
    }
    let mut off = bridge(false, true, true);
    assert_eq!(off.sent(1, &igmp_frame(GROUP, 0x16, GROUP, &[])), [2, 3, 4], "reports, too");
    assert!(off.bridging.snoop.heard().is_none());
}

#[test]
fn ports_that_learn_nothing_are_looked_at_too() {
    let mut bridge = bridge(true, false, true);
    bridge.port(1, Port { look: true, learn: false, ..Port::new(1) });
    assert_eq!(bridge.sent(1, &udp4(GROUP)), [2, 4]);
    assert_eq!(bridge.sent(1, &[&mac(77)[..], &udp4(GROUP)[6..]].concat()), [2, 3, 4]);
}

/// RFC 4541 section 2.1.1.
#[test]
fn messages_are_told() {
    let mut bridge = bridge(true, true, true);
    let all = [2, 3, 4];
    for (what, frame, to) in [
        ("report", igmp_frame(GROUP, 0x16, GROUP, &[]), &[4][..]),
        ("leave", igmp_frame(igmp::ALL_ROUTERS, 0x17, GROUP, &[]), &[4]),
        ("v3 report", igmp_frame(igmp::ALL_V3_ROUTERS, 0x22, Ipv4Addr::UNSPECIFIED, &[]), &[4]),
        ("query", igmp_frame(igmp::ALL_SYSTEMS, 0x11, Ipv4Addr::UNSPECIFIED, &[]), &all),
        ("MLD report", mld_frame(GROUP6, 131, GROUP6), &[4]),
        ("MLD query", mld_frame(nd::ALL_NODES, 130, Ipv6Addr::UNSPECIFIED), &all),
        ("PIM hello", pim_hello(), &all),
    ] {
        assert_eq!(bridge.sent(1, &frame), to, "{what}");
        let heard = bridge.bridging.snoop.heard().unwrap();
        assert_eq!((heard.interface, heard.domain, heard.packet()), (1, 1, &frame[14..]), "{what}");
        assert_eq!(counted(&mut bridge), [("IGMP, MLD and PIM messages heard", 1)], "{what}");
    }
    assert_eq!(bridge.sent(1, &igmp_frame(GROUP, 0x30, GROUP, &[])), all, "(5): what nobody knows is flooded");
    assert!(bridge.bridging.snoop.heard().is_none());
}

/// RFC 4541 section 2.1.1 (7): not believed, not flooded, counted.
#[test]
fn faulty_messages_go_nowhere() {
    let mut bridge = bridge(true, true, true);
    let report = igmp_frame(GROUP, 0x16, GROUP, &[]);
    let mut bad_sum = report.clone();
    *bad_sum.last_mut().unwrap() ^= 1;
    let far = to4(GROUP, 9, IpProtocol::IGMP, &[0x94, 4, 0, 0], &report[38..]);
    let no_alert = to4(GROUP, 1, IpProtocol::IGMP, &[], &report[38..]);
    let mld = mld_frame(GROUP6, 131, GROUP6);
    let mut far6 = mld.clone();
    far6[21] = 9;
    let mut long = igmp_frame(igmp::ALL_V3_ROUTERS, 0x22, Ipv4Addr::UNSPECIFIED, &[0; 1600]);
    for (frame, cause) in [
        (bad_sum, "IGMP or MLD: bad checksum"),
        (far, "IGMP or MLD: TTL or hop limit is not 1"),
        (no_alert, "IGMP or MLD: no router alert"),
        (report[..40].to_vec(), "IGMP or MLD: cut short or a fragment"),
        (igmp_frame(Ipv4Addr::new(239, 9, 9, 9), 0x16, GROUP, &[]), "IGMP or MLD: not sent to where such a message is"),
        (igmp_frame(igmp::ALL_ROUTERS, 0x17, HOST, &[]), "IGMP or MLD: about an address that is no group"),
        (
            igmp_frame(igmp::ALL_V3_ROUTERS, 0x22, Ipv4Addr::new(0, 0, 0, 1), &[]),
            "IGMP or MLD: more counted than there is",
        ),
        (far6, "IGMP or MLD: TTL or hop limit is not 1"),
        (mld[..60].to_vec(), "IGMP or MLD: cut short or a fragment"),
        (std::mem::take(&mut long), "IGMP or MLD: longer than 1500 bytes"),
    ] {
        assert!(bridge.sent(1, &frame).is_empty(), "{cause}");
        assert_eq!(counted(&mut bridge), [(cause, 1)]);
    }
    assert!(bridge.bridging.snoop.heard().is_none());
}

#[test]
fn a_port_has_a_share() {
    let mut bridge = bridge(true, true, true);
    let report = igmp_frame(GROUP, 0x16, GROUP, &[]);
    let passed = (0..1500).filter(|_| bridge.sent(1, &report) == [4]).count();
    assert_eq!(passed, 1024);
    assert_eq!(bridge.sent(3, &report), [4], "others have their own");
    let counts = counted(&mut bridge);
    assert!(counts.contains(&("IGMP or MLD: more than a port's share", 476)), "{counts:?}");
    assert!(counts.contains(&("not heard: queue to the control plane is full", 1)), "{counts:?}");
    assert_eq!(std::iter::from_fn(|| bridge.bridging.snoop.heard()).count(), MESSAGES);
    bridge.bed.now += 1_000_000;
    assert_eq!((bridge.sent(1, &report), bridge.sent(1, &report)), (vec![4], vec![]));
}

#[test]
fn traces_tell_where_frames_go() {
    let mut bridge = bridge(true, true, true);
    // Traces end when they take too long by the system's clock.
    bridge.bed.now = 0;
    bridge.bed.trace(super::super::input::NAME, 1);
    bridge.sent(1, &udp4(GROUP));
    let traces = bridge.bed.traces();
    assert!(traces[0].hops.iter().any(|hop| hop.text == "for listeners of its IPv4 group"), "{traces:?}");
}

proptest! {
    /// Whatever comes: it ends somewhere, and nothing that comes is sent back.
    #[test]
    fn hostile_frames(kind in 0..5u8, bytes in prop::collection::vec(any::<u8>(), 0..120), cut in 0..160usize) {
        let mut bridge = bridge(true, true, true);
        let watch = Watch { suppress: true, ..bridge.bridging.snoop.watches.get(1, &domain().register().guard()).unwrap().clone() };
        bridge.bridging.snoop.watches.set(&domain(), 1, watch).unwrap();
        let whole = match kind {
            0 => to4(GROUP, 1, IpProtocol::IGMP, &[0x94, 4, 0, 0], &bytes),
            1 => to6(GROUP6, 1, IpProtocol::HOP_BY_HOP, &bytes),
            2 => to6(GROUP6, 255, IpProtocol::ICMP6, &[&[135 + bytes.first().unwrap_or(&0) % 2, 0][..], &bytes].concat()),
            3 => [&[0xff; 6][..], &mac(9), &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &bytes].concat(),
            _ => [&[1, 0, 0x5e, 1, 1, 1][..], &mac(9), &bytes].concat(),
        };
        let frame = &whole[..cut.min(whole.len())];
        bridge.bed.put(0, 1, frame);
        prop_assert!(bridge.bed.run().iter().all(|sent| sent.interface != 1));
        prop_assert_eq!(bridge.bed.held(), 0);
        let _ = suppress::seconds();
    }
}
