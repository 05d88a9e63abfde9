//! Mirrors, one node at a time.

use super::super::{RX_FEATURE, TX_FEATURE, Tagged, Way};
use super::super::{rx, tx};
use super::*;
use crate::capture::{Captured, Captures};
use crate::testing::{LAN, WAN, fate};
use millrace_engine::builtin::DEVICE_INPUT_ARC;
use millrace_engine::testing::Bench;
use millrace_engine::{ArcPoint, Feature, Waker};
use millrace_wire::EtherType;

const TAP: u32 = 77;
const LATER: NodeName = NodeName::new("later");

fn received() -> (Mirrors, Bench<MirrorNode<rx::Rx>>) {
    let mirrors = Mirrors::new(2);
    let mut bench = Bench::new(MirrorNode::new(mirrors.clone()));
    let point = ArcPoint { end: crate::ethernet::input::NAME, ..DEVICE_INPUT_ARC };
    let features = [
        Feature { after: &[], before: &[], ..RX_FEATURE },
        Feature { arc: point.name, node: LATER, after: &[rx::NAME], before: &[] },
    ];
    bench.arc(&point, &features, &[(LATER, WAN)]);
    (mirrors, bench)
}

fn to(interface: u32) -> Arc<Mirror> {
    Arc::new(Mirror::new(2, Target::Interface(interface, None), 65_535, None))
}

fn tap(mirror: &Arc<Mirror>) -> Tap {
    Tap { mirror: mirror.clone(), only: None }
}

#[test]
fn the_frame_goes_on_and_a_copy_leaves() {
    let (mirrors, mut bench) = received();
    let mirror = to(TAP);
    mirrors.set(Way::In, WAN, vec![tap(&mirror)]);
    for (name, frame) in [("short", vec![3; 60]), ("long", vec![4; 1514]), ("over several buffers", vec![5; 9000])] {
        let outcome = bench.run(&[&frame], |meta| {
            (meta.rx_interface, meta.marks, meta.adjacency) = (WAN, marks::LINK_MULTICAST | marks::ONE_TUNNEL, 9);
        });
        assert_eq!((outcome.packets[0].next, &outcome.counts[..]), ("held", &[("frames copied", 1)][..]), "{name}");
        let [first, copy] = &outcome.sent[..] else { panic!("{name}: {} packets", outcome.sent.len()) };
        assert_eq!((first.next, &first.data, first.adjacency, first.marks), ("later", &frame, 9, 257), "{name}");
        assert_eq!((copy.next, &copy.data, copy.tx_interface), ("interface-output", &frame, TAP), "{name}");
        assert_eq!((copy.marks, copy.adjacency), (marks::MIRRORED | marks::ONE_TUNNEL, 0), "{name}");
    }
    assert_eq!((mirror.totals(), bench.held()), (super::super::Totals { copied: 3, ..Default::default() }, 0));
    let elsewhere = bench.run(&[b"frame"], |meta| meta.rx_interface = LAN);
    assert_eq!(fate(&elsewhere), ("ethernet-input", &[][..]));
    mirrors.set(Way::In, WAN, Vec::new());
    let off = bench.run(&[b"frame"], |meta| meta.rx_interface = WAN);
    assert_eq!(fate(&off), ("later", &[][..]));
}

#[test]
fn by_the_interface_that_it_leaves_by() {
    let mirrors = Mirrors::new(1);
    let mut bench = Bench::new(MirrorNode::<tx::Tx>::new(mirrors.clone()));
    let arc = interface::output::ARC;
    bench.arc(&arc, &[Feature { after: &[], before: &[], ..TX_FEATURE }], &[]);
    let mirror = to(TAP);
    mirrors.set(Way::Out, WAN, vec![tap(&mirror)]);
    mirrors.set(Way::In, LAN, vec![tap(&mirror)]);
    let outcome = bench.run(&[b"frame"], |meta| (meta.rx_interface, meta.tx_interface) = (LAN, WAN));
    let went: Vec<_> = outcome.sent.iter().map(|out| (out.next, out.tx_interface)).collect();
    assert_eq!(went, [("interface-tx", WAN), ("interface-output", TAP)]);
    let outcome = bench.run(&[b"frame"], |meta| (meta.rx_interface, meta.tx_interface) = (WAN, LAN));
    assert_eq!(fate(&outcome), ("interface-tx", &[][..]));
}

#[test]
fn a_copy_is_not_copied_again() {
    let (mirrors, mut bench) = received();
    mirrors.set(Way::In, WAN, vec![tap(&to(TAP))]);
    let copy = |meta: &mut Meta| (meta.rx_interface, meta.marks) = (WAN, marks::MIRRORED);
    assert_eq!(fate(&bench.run(&[b"frame"], copy)), ("later", &[][..]));
    assert_eq!(bench.traced(b"frame", copy).1, "is a copy itself");
    assert_eq!(bench.traced(b"frame", |meta| meta.rx_interface = WAN).1, "to 1 interface");
}

#[test]
fn what_is_down_costs_a_count_and_what_is_done_nothing() {
    let (mirrors, mut bench) = received();
    let limited = Arc::new(Mirror::new(2, Target::Interface(TAP, None), 65_535, Some(2)));
    let down = to(8);
    down.set_up(false);
    mirrors.set(Way::In, WAN, vec![tap(&limited), tap(&down)]);
    bench.worker = 1;
    let outcome = bench.run(&[b"1", b"2", b"3"], |meta| meta.rx_interface = WAN);
    assert_eq!(outcome.counts, [("frames copied", 2), ("not copied: target is down", 3)]);
    assert_eq!(outcome.packets.iter().map(|out| out.next).collect::<Vec<_>>(), ["held", "held", "later"]);
    assert!(limited.is_done() && !down.is_done());
    assert_eq!((limited.totals().copied, down.totals().down), (2, 3));
}

#[test]
fn several_mirrors_and_as_much_of_a_frame_as_each_wants() {
    let (mirrors, mut bench) = received();
    let short = Arc::new(Mirror::new(2, Target::Interface(9, None), 64, None));
    let captures = Captures::new(Waker::new().unwrap());
    let file = Arc::new(Mirror::new(2, Target::File(captures.clone()), 100, None));
    mirrors.set(Way::In, WAN, [&to(TAP), &short, &file].map(tap).to_vec());
    let frame: Vec<u8> = (0..3000).map(|n| n as u8).collect();
    bench.now = 55;
    let outcome = bench.run(&[&frame], |meta| meta.rx_interface = WAN);
    let sent: Vec<_> = outcome.sent.iter().map(|out| (out.tx_interface, out.data.len())).collect();
    assert_eq!(sent, [(0, 3000), (TAP, 3000), (9, 64)]);
    assert_eq!(outcome.sent[2].data, frame[..64]);
    let bytes = frame[..100].to_vec();
    let expected = Captured { time: 55, interface: WAN, direction: Direction::Rx, length: 3000, bytes };
    assert_eq!((captures.pop(), captures.pop()), (Some(expected), None));
    assert_eq!(outcome.counts, [("frames copied", 3)]);
}

#[test]
fn a_full_queue_is_counted_and_uses_up_no_limit() {
    let (mirrors, mut bench) = received();
    let captures = Captures::new(Waker::new().unwrap());
    let file = Arc::new(Mirror::new(2, Target::File(captures.clone()), 64, Some(5000)));
    mirrors.set(Way::In, WAN, vec![tap(&file)]);
    let many: Vec<&[u8]> = vec![b"frame"; 256];
    (0..20).for_each(|_| drop(bench.run(&many, |meta| meta.rx_interface = WAN)));
    let totals = file.totals();
    assert_eq!((totals.copied + totals.queue_full, totals.queue_full > 0), (20 * 256, true));
    while captures.pop().is_some() {}
    (0..20).for_each(|_| drop(bench.run(&many, |meta| meta.rx_interface = WAN)));
    assert_eq!((file.totals().copied, file.is_done()), (5000, true));
}

#[test]
fn an_empty_pool_costs_the_copy_and_not_the_frame() {
    let (mirrors, mut bench) = received();
    // More copies than there are buffers.
    let taps: Vec<Tap> = (0..18).map(|n| tap(&to(100 + n))).collect();
    mirrors.set(Way::In, WAN, taps);
    let many: Vec<&[u8]> = vec![b"frame"; 200];
    let outcome = bench.run(&many, |meta| meta.rx_interface = WAN);
    assert_eq!(outcome.sent.iter().filter(|out| out.next == "later").count(), 200);
    let [("frames copied", copied), ("not copied: no free buffer", lost)] = outcome.counts[..] else { panic!() };
    assert_eq!(copied + lost, 200 * 18);
    assert_eq!(bench.held(), 0);
}

#[test]
fn frames_of_a_sub_interface_by_their_tags() {
    let (mirrors, mut bench) = received();
    let tagged = |tags: &[(u16, u16)]| {
        let tags = tags.iter().flat_map(|(kind, id)| [kind.to_be_bytes(), (0x6000 | id).to_be_bytes()]);
        [&[2; 12][..], &tags.flatten().collect::<Vec<u8>>(), &[8, 0, 1, 2, 3]].concat()
    };
    let frames = [
        tagged(&[]),
        tagged(&[(0x8100, 10)]),
        tagged(&[(0x8100, 11)]),
        tagged(&[(0x88a8, 10)]),
        tagged(&[(0x88a8, 200), (0x8100, 10)]),
        tagged(&[(0x88a8, 200), (0x8100, 11)]),
        tagged(&[(0x88a8, 200), (0x88a8, 10)]),
        vec![2; 13],
        [&[2; 12][..], &[0x81, 0, 0]].concat(),
    ];
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let tags = |kind, outer, inner, not: &[u16]| Tagged {
        tags: Tags { tag_type: EtherType(kind), outer, inner },
        not: not.to_vec(),
    };
    for (only, expected) in [
        (tags(0x8100, 10, None, &[]), &[1][..]),
        (tags(0x8100, 10, Some(10), &[]), &[]),
        (tags(0x88a8, 200, None, &[]), &[4, 5, 6]),
        (tags(0x88a8, 200, None, &[11]), &[4, 6]),
        (tags(0x88a8, 200, Some(11), &[]), &[5]),
        (tags(0x88a8, 10, None, &[]), &[3]),
    ] {
        mirrors.set(Way::In, WAN, vec![Tap { mirror: to(TAP), only: Some(only.clone()) }]);
        let outcome = bench.run(&frames, |meta| meta.rx_interface = WAN);
        let copied = |(at, out): (usize, &millrace_engine::testing::Out)| (out.next == "held").then_some(at);
        let copied: Vec<usize> = outcome.packets.iter().enumerate().filter_map(copied).collect();
        assert_eq!(copied, expected, "{only:?}");
    }
}

#[test]
fn copies_that_leave_by_a_sub_interface_have_its_tags() {
    let (mirrors, mut bench) = received();
    let two = Tags { tag_type: EtherType::SERVICE_VLAN, outer: 200, inner: Some(10) };
    for (tags, added) in [(Tags::single(99), &[0x81, 0, 0, 99][..]), (two, &[0x88, 0xa8, 0, 200, 0x81, 0, 0, 10])] {
        let target = Target::Interface(TAP, Some(tags));
        mirrors.set(Way::In, WAN, vec![tap(&Arc::new(Mirror::new(2, target, 65_535, None)))]);
        for frame in [[&[3; 12][..], &[8, 0], &[7; 46]].concat(), [&[3; 12][..], &[0x81, 0, 0, 5], &[7; 4000]].concat()]
        {
            let outcome = bench.run(&[&frame], |meta| meta.rx_interface = WAN);
            assert_eq!(outcome.sent[0].data, frame);
            assert_eq!(outcome.sent[1].data, [&frame[..12], added, &frame[12..]].concat());
        }
        assert_eq!(bench.run(&[b"runt"], |meta| meta.rx_interface = WAN).sent[1].data, b"runt");
    }
}
