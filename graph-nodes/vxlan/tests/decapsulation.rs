//! Frames out of datagrams.

use super::*;
use crate::neighbor_events::NeighborEvent;
use crate::testing::dual::both;

both! { frames_out_of_datagrams, congestion_in, unknown_remotes, all_lengths }

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
