//! Frames into datagrams.

use super::*;
use crate::testing::dual::both;
use proptest::prelude::*;

both! { to_one_remote, to_all_remotes, why_frames_are_not_sent, congestion_out, checksums_out, traces }

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
        let mut all: Vec<&Out> = outcome.sent.iter().chain(&outcome.packets).filter(|out| out.next != "held").collect();
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
        (meta.tx_interface, meta.adjacency, meta.marks) = (VX, ONE, (2 * marks::ONE_TUNNEL) | marks::LINK_MULTICAST);
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
}
