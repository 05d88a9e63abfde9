//! VXLAN's nodes against headers that etherparse makes and reads.

use super::*;
use crate::marks;
use crate::neighbor_events::NeighborEvent;
use crate::testing::dual::{Dual, both, ip};
use crate::testing::*;
use etherparse::{IpNumber, Ipv4Header, Ipv6Header, UdpHeader};
use millrace_engine::testing::{Bench, Out};
use millrace_engine::{Waker, testing::Outcome};
use millrace_tables::lpm::Address;
use proptest::prelude::*;

/// The VXLAN interface.
const VX: u32 = 5;
/// Its remotes.
const ONE: u32 = 1024;
const TWO: u32 = 1025;
/// A remote of another interface.
const OTHER: u32 = 1030;
const VNI: u32 = 0x12_3456;
/// The table of the underlay.
const TABLE: u32 = 7;
const PORT: u16 = 4789;

/// Either family, as a packet in it looks from outside.
trait Outer: Dual + Underlay {
    const IP_LEN: usize;
    /// The headers before the frame.
    const BEFORE: usize = Self::IP_LEN + 16;

    /// A packet of UDP from `from`; its type of service or traffic class.
    fn packet(from: &str, to: &str, tos: u8, udp: &[u8]) -> Vec<u8>;
    /// Where a packet is from and to, its TOS, its time to live, and what is behind its header, which must be right.
    fn parsed(packet: &[u8]) -> (IpAddr, IpAddr, u8, u8, &[u8]);
    /// A UDP header with the right checksum.
    fn udp_header(from: &str, to: &str, ports: (u16, u16), data: &[u8]) -> UdpHeader;
}

fn v4(text: &str) -> [u8; 4] {
    text.parse::<std::net::Ipv4Addr>().unwrap().octets()
}

impl Outer for V4 {
    const IP_LEN: usize = 20;

    fn packet(from: &str, to: &str, tos: u8, udp: &[u8]) -> Vec<u8> {
        let mut header = header(v4(from), v4(to));
        (header.dscp, header.ecn) = ((tos >> 2).try_into().unwrap(), (tos & 3).try_into().unwrap());
        packet(&header, udp)
    }

    fn parsed(packet: &[u8]) -> (IpAddr, IpAddr, u8, u8, &[u8]) {
        let (header, rest) = parsed(packet);
        assert!(!header.dont_fragment && !header.more_fragments && header.protocol == IpNumber::UDP);
        let tos = header.dscp.value() << 2 | header.ecn.value();
        (header.source.into(), header.destination.into(), tos, header.time_to_live, rest)
    }

    fn udp_header(from: &str, to: &str, (source, destination): (u16, u16), data: &[u8]) -> UdpHeader {
        UdpHeader::with_ipv4_checksum(source, destination, &header(v4(from), v4(to)), data).unwrap()
    }
}

impl Outer for V6 {
    const IP_LEN: usize = 40;

    fn packet(from: &str, to: &str, tos: u8, udp: &[u8]) -> Vec<u8> {
        let header = Ipv6Header { traffic_class: tos, ..header6(from, to, IpNumber::UDP) };
        packet6(&header, udp)
    }

    fn parsed(packet: &[u8]) -> (IpAddr, IpAddr, u8, u8, &[u8]) {
        let (header, rest) = parsed6(packet);
        assert_eq!(header.next_header, IpNumber::UDP);
        (header.source.into(), header.destination.into(), header.traffic_class, header.hop_limit, rest)
    }

    fn udp_header(from: &str, to: &str, (source, destination): (u16, u16), data: &[u8]) -> UdpHeader {
        let header = header6(from, to, IpNumber::UDP);
        UdpHeader::with_ipv6_checksum(source, destination, &header, data).unwrap()
    }
}

/// How the interface of a test is set up.
#[derive(Clone)]
struct Setting {
    replicate: Vec<u32>,
    bridged: bool,
    checksum: bool,
    df: Option<bool>,
    learn: bool,
    zero_checksum: bool,
}

const PLAIN: Setting = Setting {
    replicate: Vec::new(),
    bridged: true,
    checksum: false,
    df: Some(false),
    learn: false,
    zero_checksum: false,
};

/// Tables with an interface and its two remotes.
fn tables<F: Outer>(setting: &Setting) -> (Forwarding, [Traffic; 2]) {
    let forwarding = World::new().forwarding;
    let traffic = [Traffic::new(1), Traffic::new(1)];
    let replicate = setting.replicate.clone();
    forwarding.vxlan.set(VX, Some(Tunnel { replicate, bridged: setting.bridged }));
    let remote = |interface, address, traffic: &Traffic| Remote {
        interface,
        table: TABLE,
        headers: Headers::new(ip(F::WAN_IP), ip(address), PORT, VNI, 61).unwrap(),
        checksum: setting.checksum,
        df: setting.df,
        traffic: traffic.clone(),
    };
    forwarding.vxlan.set_remote(ONE, Some(remote(VX, F::PEER, &traffic[0])));
    forwarding.vxlan.set_remote(TWO, Some(remote(VX, F::STRANGER, &traffic[1])));
    forwarding.vxlan.set_remote(OTHER, Some(remote(VX + 1, F::NEW, &traffic[1])));
    hear::<F>(&forwarding, setting, 1, &[(F::PEER, ONE), (F::STRANGER, TWO)]);
    (forwarding, traffic)
}

/// Whose datagrams are.
fn hear<F: Outer>(forwarding: &Forwarding, setting: &Setting, generation: u64, remotes: &[(&str, u32)]) {
    let known = |remote| Known { interface: VX, remote, learn: setting.learn, zero_checksum: setting.zero_checksum };
    forwarding.vxlan.set_ends(generation, |ends4, ends6| match ip(F::WAN_IP) {
        IpAddr::V4(local) => {
            let at = (TABLE, local.to_bits(), PORT);
            ends4.interface(at, VNI, known(0));
            remotes.iter().for_each(|(r, n)| ends4.remote(at, VNI, u32::of_ip(ip(r)).unwrap(), known(*n)));
        }
        IpAddr::V6(local) => {
            let at = (TABLE, local.to_bits(), PORT);
            ends6.interface(at, VNI, known(0));
            remotes.iter().for_each(|(r, n)| ends6.remote(at, VNI, u128::of_ip(ip(r)).unwrap(), known(*n)));
        }
    });
}

fn encap<F: Outer>(setting: &Setting) -> (Bench<VxlanEncap<F>>, [Traffic; 2]) {
    let (forwarding, traffic) = tables::<F>(setting);
    (Bench::new(VxlanEncap::new(forwarding, 0)), traffic)
}

fn input<F: Outer>(setting: &Setting) -> (Bench<VxlanInput<F>>, Forwarding, NeighborEvents, [Traffic; 2]) {
    let (forwarding, traffic) = tables::<F>(setting);
    let events = NeighborEvents::new(Waker::new().unwrap());
    (Bench::new(VxlanInput::new(forwarding.clone(), events.clone())), forwarding, events, traffic)
}

/// Runs one frame that a bridge, or the router, sends to that remote.
fn send<F: Outer>(bench: &mut Bench<VxlanEncap<F>>, frame: &[u8], remote: u32) -> Outcome {
    bench.run(&[frame], |meta| (meta.tx_interface, meta.adjacency, meta.rx_interface) = (VX, remote, LAN))
}

/// A frame to the lan with this packet.
fn frame(ether_type: u16, packet: &[u8]) -> Vec<u8> {
    [&HOST_MAC.0[..], &PEER_MAC.0, &ether_type.to_be_bytes(), packet].concat()
}

/// What an encapsulated frame must be: its source port, UDP checksum and TOS.
#[track_caller]
fn check<F: Outer>(out: &Out, to: &str, frame: &[u8]) -> (u16, u16, u8) {
    assert_eq!(out.next, F::LOOKUP.as_str());
    assert_eq!((out.table, out.marks), (TABLE, marks::OWN | marks::ONE_TUNNEL));
    let (from, remote, tos, ttl, rest) = F::parsed(&out.data);
    assert_eq!((from, remote, ttl), (ip(F::WAN_IP), ip(to), 61));
    let (udp, vxlan) = UdpHeader::from_slice(rest).unwrap();
    assert_eq!((udp.destination_port, usize::from(udp.length)), (PORT, rest.len()));
    assert!(udp.source_port >= 49152, "RFC 7348 section 5");
    assert_eq!(vxlan[..8], [8, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
    assert_eq!(vxlan[8..], *frame);
    if udp.checksum != 0 {
        let right = F::udp_header(F::WAN_IP, to, (udp.source_port, PORT), vxlan);
        assert_eq!(udp.checksum, right.checksum);
    }
    (udp.source_port, udp.checksum, tos)
}

/// A datagram of VXLAN with this frame.
fn datagram<F: Outer>(from: &str, tos: u8, vxlan: [u8; 8], frame: &[u8]) -> Vec<u8> {
    let data = [&vxlan[..], frame].concat();
    let udp = F::udp_header(from, F::WAN_IP, (55_555, PORT), &data);
    F::packet(from, F::WAN_IP, tos, &[&udp.to_bytes()[..], &data].concat())
}

const HEADER: [u8; 8] = [8, 0, 0, 0, 0x12, 0x34, 0x56, 0];

both! { to_one_remote, to_all_remotes, why_frames_are_not_sent, congestion_out, checksums_out, frames_out_of_datagrams, congestion_in, unknown_remotes, traces, all_lengths }

fn to_one_remote<F: Outer>() {
    let (mut bench, traffic) = encap::<F>(&Setting { replicate: vec![ONE], ..PLAIN });
    let frame = frame(0x800, &udp(PEER, HOST));
    for (number, to) in [(ONE, F::PEER), (TWO, F::STRANGER), (ONE, F::PEER)] {
        let outcome = send(&mut bench, &frame, number);
        assert_eq!((outcome.packets.len(), outcome.sent.len(), &outcome.counts[..]), (1, 0, &[][..]));
        check::<F>(&outcome.packets[0], to, &frame);
    }
    let sent = |n: usize| (traffic[n].totals().tx_packets, traffic[n].totals().tx_bytes);
    let len = frame.len() as u64;
    assert_eq!((sent(0), sent(1)), ((2, 2 * len), (1, len)));
    let totals = bench.interface(VX);
    assert_eq!((totals.tx_packets, totals.tx_bytes, totals.tx_drops), (3, 3 * len, 0));
    // A sub-interface counts, and so does who carries it.
    bench.set_hardware(9, VX);
    let outcome = bench.run(&[&frame], |meta| (meta.tx_interface, meta.adjacency) = (9, TWO));
    check::<F>(&outcome.packets[0], F::STRANGER, &frame);
    assert_eq!((bench.interface(9).tx_packets, bench.interface(VX).tx_packets), (1, 4));
}

fn to_all_remotes<F: Outer>() {
    let frame = frame(0x800, &udp_with(PEER, HOST, 5000, |_| {}));
    let both = Setting { replicate: vec![ONE, TWO], ..PLAIN };
    let routed = Setting { bridged: false, replicate: vec![ONE], ..PLAIN };
    for (name, setting, adjacency, to) in [
        ("nobody's", &both, 0, &[F::PEER, F::STRANGER][..]),
        ("another interface's", &both, OTHER, &[F::PEER, F::STRANGER]),
        ("one that is gone", &both, 1500, &[F::PEER, F::STRANGER]),
        ("a neighbour's adjacency of that number", &routed, TWO, &[F::PEER]),
    ] {
        let (mut bench, traffic) = encap::<F>(setting);
        let outcome = send(&mut bench, &frame, adjacency);
        let mut all: Vec<&Out> = outcome.sent.iter().chain(&outcome.packets).collect();
        assert_eq!(all.len(), to.len(), "{name}");
        let ports: Vec<u16> = all.drain(..).zip(to).map(|(out, to)| check::<F>(out, to, &frame).0).collect();
        assert!(ports.iter().all(|port| *port == ports[0]), "{name}: one flow");
        let copies: Vec<_> = (to.len() > 1).then_some(("copies for further remotes", 1)).into_iter().collect();
        assert_eq!(outcome.counts, copies, "{name}");
        let sent: u64 = traffic.iter().map(|t| t.totals().tx_packets).sum();
        assert_eq!(sent, to.len() as u64, "{name}");
        assert_eq!(bench.interface(VX).tx_packets, 1, "{name}: one frame of the interface");
    }
}

fn why_frames_are_not_sent<F: Outer>() {
    let plain = frame(0x800, &udp(PEER, HOST));
    let nobody = encap::<F>(&PLAIN).0;
    let down = |interface| {
        let mut bench = encap::<F>(&PLAIN).0;
        bench.set_hardware(9, VX);
        bench.set_up(interface, false);
        bench
    };
    let normal = || encap::<F>(&PLAIN).0;
    let long = frame(0x800, &vec![0; F::LONGEST + 1 - 14]);
    for (name, mut bench, tx, frame, marks, adjacency, cause) in [
        ("no remotes", nobody, VX, &plain, 0, 0, "no remote to send to"),
        ("down", down(VX), VX, &plain, 0, ONE, "interface is down"),
        ("sub-interface is down", down(9), 9, &plain, 0, ONE, "interface is down"),
        ("what carries it is down", down(VX), 9, &plain, 0, ONE, "interface is down"),
        ("none any more", normal(), VX + 2, &plain, 0, ONE, "interface is no VXLAN any more"),
        ("three tunnels", normal(), VX, &plain, marks::TUNNELS, ONE, "tunnel in a tunnel in a tunnel"),
        ("too long", normal(), VX, &long, 0, ONE, "frame is too long for a datagram"),
    ] {
        let outcome = bench.run(&[frame], |meta| {
            (meta.tx_interface, meta.adjacency, meta.marks) = (tx, adjacency, marks);
        });
        assert_eq!(fate(&outcome), ("drop", &[(cause, 1)][..]), "{name}");
        assert_eq!(outcome.sent, [], "{name}");
        assert_eq!((bench.interface(tx).tx_drops, bench.interface(tx).tx_packets), (1, 0), "{name}");
    }
    let mut bench = normal();
    let two = bench.run(&[&plain], |meta| {
        (meta.tx_interface, meta.adjacency, meta.marks) = (VX, ONE, 2 * marks::ONE_TUNNEL | marks::LINK_MULTICAST);
    });
    assert_eq!(two.packets[0].marks, marks::OWN | marks::TUNNELS, "the third is the last");
}

/// RFC 6040 section 4.1: the outer header has the inner one's field, whatever it is (normal mode); DSCP goes with it.
fn congestion_out<F: Outer>() {
    let (mut bench, _) = encap::<F>(&PLAIN);
    for tos in [0, 1, 2, 3, 0xb8, 0xff] {
        let inner4 = V4::packet(V4::PEER, V4::HOST, tos, &[0; 20]);
        let inner6 = V6::packet(V6::PEER, V6::HOST, tos, &[0; 20]);
        let tagged = [&[0, 5, 8, 0][..], &inner4].concat();
        let twice = [&[0, 5, 0x81, 0, 0, 9, 0x86, 0xdd][..], &inner6].concat();
        for (name, frame, outer) in [
            ("IPv4", frame(0x800, &inner4), tos),
            ("IPv6", frame(0x86dd, &inner6), tos),
            ("behind a tag", frame(0x8100, &tagged), tos),
            ("behind two", frame(0x88a8, &twice), tos),
            ("no IP", frame(0x806, &inner4), 0),
            ("a tag cut short", frame(0x8100, &[0]), 0),
            ("a header cut short", frame(0x800, &inner4[..19]), 0),
            ("a runt", vec![2; 5], 0),
        ] {
            let outcome = send(&mut bench, &frame, ONE);
            assert_eq!(check::<F>(&outcome.packets[0], F::PEER, &frame).2, outer, "{name} {tos}");
        }
    }
}

/// RFC 7348 section 4.1.
fn checksums_out<F: Outer>() {
    for checksum in [false, true] {
        let (mut bench, _) = encap::<F>(&Setting { checksum, ..PLAIN });
        for bytes in [0, 1, 17, 1000, 5001] {
            let frame = frame(0x800, &udp_with(PEER, HOST, bytes, |_| {}));
            let outcome = send(&mut bench, &frame, ONE);
            let (_, there, _) = check::<F>(&outcome.packets[0], F::PEER, &frame);
            assert_eq!(there != 0, checksum, "{bytes}");
        }
    }
}

fn all_lengths<F: Outer>() {
    let (mut bench, _) = encap::<F>(&Setting { checksum: true, ..PLAIN });
    let (mut back, ..) = input::<F>(&PLAIN);
    for len in (14..3000).step_by(61).chain([F::LONGEST]) {
        let frame: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
        let outcome = send(&mut bench, &frame, ONE);
        check::<F>(&outcome.packets[0], F::PEER, &frame);
        // The same, from the remote's side.
        let sent = datagram::<F>(F::PEER, 0, HEADER, &frame);
        let outcome = back.run(&[&sent], |meta| meta.table = TABLE);
        assert_eq!((fate(&outcome).0, bytes(&outcome) == frame), ("interface-input", true), "{len}");
    }
}

fn frames_out_of_datagrams<F: Outer>() {
    let frame = frame(0x800, &udp(PEER, HOST));
    let vxlan = |header: [u8; 8]| datagram::<F>(F::PEER, 0, header, &frame);
    let change = |at: usize, bytes: &[u8]| {
        let mut packet = vxlan(HEADER);
        packet[F::IP_LEN + at..F::IP_LEN + at + bytes.len()].copy_from_slice(bytes);
        packet
    };
    let udp_len = |by: i16| {
        let len = (frame.len() as i16 + 16 + by) as u16;
        let mut packet = change(4, &len.to_be_bytes());
        packet[F::IP_LEN + 6..F::IP_LEN + 8].fill(0);
        packet
    };
    let short = |len: usize| datagram::<F>(F::PEER, 0, HEADER, &frame[..len]);
    let unknown = "no VXLAN interface with this VNI, local address and port";
    let none = "IPv6 datagram without a checksum";
    let v6 = F::NEEDS_CHECKSUM;
    let zero_ok = Setting { zero_checksum: true, ..PLAIN };
    let behind = [datagram::<F>(F::PEER, 0, HEADER, &frame), vec![1, 2, 3]].concat();
    for (name, setting, packet, table, cause) in [
        ("plain", &PLAIN, vxlan(HEADER), TABLE, None),
        ("bytes behind it", &PLAIN, behind, TABLE, None),
        // RFC 7348 section 5: "reserved fields MUST be ... ignored on receipt".
        ("reserved bits", &PLAIN, vxlan([0xff, 0xff, 0xff, 0xff, 0x12, 0x34, 0x56, 0xff]), TABLE, None),
        ("no I flag", &PLAIN, vxlan([0xf7, 0, 0, 0, 0x12, 0x34, 0x56, 0]), TABLE, Some("VXLAN header without a VNI")),
        ("another VNI", &PLAIN, vxlan([8, 0, 0, 0, 0x12, 0x34, 0x57, 0]), TABLE, Some(unknown)),
        ("another table", &PLAIN, vxlan(HEADER), TABLE + 1, Some(unknown)),
        ("another port", &PLAIN, change(2, &[0x12, 0xb6]), TABLE, Some(unknown)),
        (
            "from nobody",
            &PLAIN,
            datagram::<F>(F::NEW, 0, HEADER, &frame),
            TABLE,
            Some("from no remote of the interface"),
        ),
        // RFC 7348 section 4.1: "if ... non-zero UDP checksum ... MUST be dropped if incorrect"; RFC 8200 section 8.1.
        ("wrong checksum", &PLAIN, change(6, &[0xff, 0xfe]), TABLE, Some("UDP checksum is wrong")),
        ("a bit of the frame", &PLAIN, change(40, &[0xa5]), TABLE, Some("UDP checksum is wrong")),
        ("no checksum", &PLAIN, change(6, &[0, 0]), TABLE, v6.then_some(none)),
        ("no checksum, configured", &zero_ok, change(6, &[0, 0]), TABLE, None),
        ("wrong, none needed", &zero_ok, change(6, &[0xff, 0xfe]), TABLE, Some("UDP checksum is wrong")),
        ("no Ethernet header", &PLAIN, short(13), TABLE, Some("UDP length is wrong")),
        ("no VXLAN header", &PLAIN, vxlan(HEADER)[..F::BEFORE - 1].to_vec(), TABLE, Some("shorter than its headers")),
        ("no UDP header", &PLAIN, vxlan(HEADER)[..F::IP_LEN + 7].to_vec(), TABLE, Some("shorter than its headers")),
        ("no header", &PLAIN, vec![0x45; 7], TABLE, Some("shorter than its headers")),
        ("length beyond the packet", &PLAIN, udp_len(1), TABLE, Some("UDP length is wrong")),
        ("length within the headers", &PLAIN, change(4, &[0, 29]), TABLE, Some("UDP length is wrong")),
    ] {
        let (mut bench, _, events, traffic) = input::<F>(setting);
        let outcome = bench.run(&[&packet], |meta| {
            (meta.table, meta.marks, meta.adjacency) = (table, marks::LINK_MULTICAST | marks::ONE_TUNNEL, 1400);
            meta.flow_hash = 1;
        });
        let counts: Vec<_> = cause.map(|cause| (cause, 1)).into_iter().collect();
        let next = if cause.is_some() { "drop" } else { "interface-input" };
        assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
        assert_eq!(events.pop(), None, "{name}");
        let received = (traffic[0].totals().rx_packets, traffic[0].totals().rx_bytes);
        if cause.is_some() {
            assert_eq!(received, (0, 0), "{name}");
            continue;
        }
        let out = &outcome.packets[0];
        assert_eq!((&out.data, out.rx_interface, out.adjacency), (&frame, VX, 0), "{name}");
        assert_eq!((out.marks, out.scratch2), (marks::ONE_TUNNEL, u64::from(ONE) << 16), "{name}");
        assert_eq!(received, (1, frame.len() as u64), "{name}");
    }
    // A shorter UDP length than there is room for cuts the frame.
    let outcome = input::<F>(&zero_ok).0.run(&[&udp_len(-3)], |meta| meta.table = TABLE);
    assert_eq!(bytes(&outcome), &frame[..frame.len() - 3]);
}

/// RFC 6040 section 4.2.
fn congestion_in<F: Outer>() {
    let (mut bench, ..) = input::<F>(&PLAIN);
    for inner in 0..4 {
        for outer in 0..4 {
            let expected = millrace_wire::ecn::decapsulated(0x50 | inner, outer);
            let of4 = |tos| V4::packet(V4::PEER, V4::HOST, tos, &[7; 20]);
            let of6 = |tos| V6::packet(V6::PEER, V6::HOST, tos, &[7; 20]);
            let tag = |packet: &[u8]| [&[0, 5, 8, 0][..], packet].concat();
            let (before4, after4) = (of4(0x50 | inner), expected.map(of4));
            let (before6, after6) = (of6(0x50 | inner), expected.map(of6));
            for (name, sent, left) in [
                ("IPv4", frame(0x800, &before4), after4.as_ref().map(|p| frame(0x800, p))),
                ("IPv6", frame(0x86dd, &before6), after6.map(|p| frame(0x86dd, &p))),
                ("behind a tag", frame(0x8100, &tag(&before4)), after4.map(|p| frame(0x8100, &tag(&p)))),
                ("no IP", frame(0x806, &before4), Some(frame(0x806, &before4))),
                ("a header cut short", frame(0x800, &before4[..19]), Some(frame(0x800, &before4[..19]))),
            ] {
                let packet = datagram::<F>(F::PEER, outer, HEADER, &sent);
                let outcome = bench.run(&[&packet], |meta| meta.table = TABLE);
                match left {
                    Some(frame) => {
                        assert_eq!(fate(&outcome), ("interface-input", &[][..]), "{name} {inner} {outer}");
                        assert_eq!(bytes(&outcome), frame, "{name} {inner} {outer}");
                    }
                    None => {
                        let count = ("met congestion that its sender can't hear of", 1);
                        assert_eq!(fate(&outcome), ("drop", &[count][..]), "{name} {inner} {outer}");
                    }
                }
            }
        }
    }
}

fn unknown_remotes<F: Outer>() {
    const WAITS: &str = "frames that wait for their remote to be known";
    let learning = Setting { learn: true, ..PLAIN };
    let (mut bench, forwarding, events, _) = input::<F>(&learning);
    let frame = frame(0x800, &udp(PEER, HOST));
    let from = |address| datagram::<F>(address, 0, HEADER, &frame);
    let outcome = bench.run(&[&from(F::PEER), &from(F::NEW)], |meta| meta.table = TABLE);
    let nexts: Vec<_> = outcome.packets.iter().map(|out| out.next).collect();
    assert_eq!((nexts, outcome.counts), (vec!["interface-input", "held"], vec![(WAITS, 1)]));
    assert_eq!(events.pop(), Some(NeighborEvent::RemoteHeard { interface: VX, address: ip(F::NEW) }));
    assert_eq!(events.pop(), None);
    // It waits, until it is known where it is to be.
    bench.now = 499_999_999;
    assert_eq!((bench.tick().sent, bench.wants_tick()), (vec![], true));
    hear::<F>(&forwarding, &learning, 2, &[(F::PEER, ONE), (F::NEW, 1040)]);
    let sent = bench.tick().sent;
    assert_eq!((sent.len(), bench.wants_tick(), bench.held()), (1, false, 0));
    assert_eq!((sent[0].next, &sent[0].data, sent[0].rx_interface), ("interface-input", &frame, VX));
    assert_eq!(sent[0].scratch2, 1040 << 16);
    // Nobody makes it known.
    let outcome = bench.run(&[&from(F::STRANGER)], |meta| meta.table = TABLE);
    assert_eq!((fate(&outcome).0, bench.held()), ("held", 1));
    bench.now += 500_000_000;
    let outcome = bench.tick();
    assert_eq!((outcome.sent[0].next, &outcome.counts[..]), ("drop", &[("from no remote of the interface", 1)][..]));
    // Its interface is gone meanwhile.
    bench.run(&[&from(F::STRANGER)], |meta| meta.table = TABLE);
    forwarding.vxlan.set_ends(3, |_, _| {});
    let outcome = bench.tick();
    let count = ("no VXLAN interface with this VNI, local address and port", 1);
    assert_eq!((outcome.sent[0].next, &outcome.counts[..]), ("drop", &[count][..]));
    // Not more than some.
    hear::<F>(&forwarding, &learning, 4, &[]);
    let packet = from(F::STRANGER);
    let outcome = bench.run(&[&packet[..]; 70], |meta| meta.table = TABLE);
    assert_eq!(outcome.counts, [(WAITS, 64), ("too many frames wait for their remotes", 6)]);
    assert_eq!((outcome.sent.len(), bench.held()), (6, 64));
}

fn traces<F: Outer>() {
    let frame = frame(0x806, &[0; 28]);
    let (_, text) = encap::<F>(&PLAIN).0.traced(&frame, |meta| (meta.tx_interface, meta.adjacency) = (VX, TWO));
    assert!(text.starts_with("remote 1025 source port ") && text.ends_with(" frame of 42 bytes"), "{text}");
    let packet = datagram::<F>(F::PEER, 0, HEADER, &frame);
    let (_, text) = input::<F>(&PLAIN).0.traced(&packet, |meta| meta.table = TABLE);
    assert_eq!(text, format!("VNI 1193046 from {} interface 5 remote 1024", F::PEER));
}

/// The source port of a frame.
fn port(bench: &mut Bench<VxlanEncap<V4>>, frame: &[u8]) -> u16 {
    check::<V4>(&send(bench, frame, ONE).packets[0], V4::PEER, frame).0
}

proptest! {
    // Each case has benches of its own.
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// RFC 7348 section 5: one port for a flow, many for many.
    #[test]
    fn source_ports_follow_flows(src: u32, dst: u32, ports: [u8; 4], data: [u8; 16], bit in 0_usize..96) {
        let (mut bench, _) = encap::<V4>(&PLAIN);
        let flow = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut packet = udp_with(src.to_be_bytes(), dst.to_be_bytes(), 20, |_| {});
            packet[20..24].copy_from_slice(&ports);
            change(&mut packet);
            frame(0x800, &packet)
        };
        let here = port(&mut bench, &flow(&|_| {}));
        prop_assert_eq!(here, port(&mut bench, &flow(&|packet| packet[30..46].copy_from_slice(&data))));
        // Another flow has another port, but for one in 16,384.
        let others = (0..3).map(|n| (bit + 31 * n) % 96);
        let ports: Vec<u16> =
            others.map(|bit| port(&mut bench, &flow(&|p| p[12 + bit / 8] ^= 1 << (bit % 8)))).collect();
        prop_assert!(ports.iter().any(|port| *port != here));
        // Frames that are no IP: by stations.
        let mut stations = frame(0x88b5, &data);
        let here = port(&mut bench, &stations);
        stations[14] ^= 1;
        prop_assert_eq!(here, port(&mut bench, &stations));
        let ports: Vec<u16> = (0..3).map(|at| {
            let mut frame = stations.clone();
            frame[at * 4 + 1] ^= 0x10;
            port(&mut bench, &frame)
        }).collect();
        prop_assert!(ports.iter().any(|port| *port != here));
    }

    /// Whatever bytes come, no frame is longer than what came, and nothing panics.
    #[test]
    fn any_bytes(packet: Vec<u8>, header in 0_usize..3, table in 6_u32..9) {
        let packet = match header {
            0 => packet,
            1 => V4::packet(V4::PEER, V4::WAN_IP, 3, &packet),
            _ => datagram::<V4>(V4::PEER, 3, HEADER, &packet),
        };
        let (mut bench, ..) = input::<V4>(&Setting { learn: true, ..PLAIN });
        let outcome = bench.run(&[&packet], |meta| meta.table = table);
        prop_assert!(outcome.packets[0].data.len() <= packet.len());
        let (mut bench, ..) = input::<V6>(&Setting { learn: true, ..PLAIN });
        bench.run(&[&packet], |meta| meta.table = table);
        let (mut bench, _) = encap::<V6>(&Setting { replicate: vec![ONE, TWO], ..PLAIN });
        send(&mut bench, &packet, 0);
    }
}

/// Only IPv4 routers fragment what others sent.
#[test]
fn who_may_fragment() {
    let (mut plain, mut forbidding) = (header(PEER, HOST), header(PEER, HOST));
    (plain.dont_fragment, forbidding.dont_fragment) = (false, true);
    let frames = [
        frame(0x800, &packet(&plain, &[0; 20])),
        frame(0x800, &packet(&forbidding, &[0; 20])),
        frame(0x86dd, &udp6(PEER6, HOST6)),
        frame(0x806, &[0; 28]),
    ];
    for (df, expected) in [(Some(false), [false; 4]), (Some(true), [true; 4]), (None, [false, true, true, false])] {
        let (mut bench, _) = encap::<V4>(&Setting { df, ..PLAIN });
        let outer = frames.each_ref().map(|frame| parsed(bytes(&send(&mut bench, frame, ONE))).0.dont_fragment);
        assert_eq!(outer, expected, "{df:?}");
    }
}

/// A hash that a load-balance computed is the flow's, too.
#[test]
fn a_hash_that_is_known_is_used() {
    let (mut bench, _) = encap::<V4>(&PLAIN);
    let frame = frame(0x800, &udp(PEER, HOST));
    let outcome =
        bench.run(&[&frame], |meta| (meta.tx_interface, meta.adjacency, meta.flow_hash) = (VX, ONE, 0x12_3400));
    assert_eq!(check::<V4>(&outcome.packets[0], V4::PEER, &frame).0, 0xc000 | 0x1234);
}

/// RFC 6864: identifications differ, so that fragments of one packet are not taken for another's.
#[test]
fn each_packet_has_an_identification() {
    let (mut bench, _) = encap::<V4>(&PLAIN);
    let frame = frame(0x800, &udp(PEER, HOST));
    let mut ids: Vec<u16> = (0..100).map(|_| parsed(bytes(&send(&mut bench, &frame, ONE))).0.identification).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 100);
    let _: Ipv4Header = parsed(bytes(&send(&mut bench, &frame, ONE))).0;
}
