//! Frames through a bridge of two ports: what they look like behind it.

use crate::l2::testing::*;
use crate::l2::{Domain, Port, PortKind, Rewrite, Tagging, Trunk, input, output};
use millrace_engine::NodeName;
use millrace_engine::epoch::domain;
use millrace_wire::{EtherType, Tags};

/// The domains of frames without VLANs, of VLAN 10, and of VLAN 20.
const DOMAINS: [(u16, u16); 3] = [(1, 0), (2, 10), (3, 20)];

const Q: u16 = 0x8100;
const AD: u16 = 0x88a8;

/// A frame with these tags: EtherType and control information.
fn tagged(tags: &[(u16, u16)]) -> Vec<u8> {
    let tags = tags.iter().flat_map(|(kind, control)| [kind.to_be_bytes(), control.to_be_bytes()]).flatten();
    let bytes = frame(mac(1), mac(2), b"payload");
    bytes[..12].iter().copied().chain(tags).chain(bytes[12..].iter().copied()).collect()
}

fn plain() -> Port {
    Port::new(1)
}

fn access() -> Port {
    Port { tagging: Tagging::Access, ..Port::new(2) }
}

fn trunk(native: u16) -> Port {
    Port { tagging: Tagging::Trunk(Box::new(Trunk::new([(10, 2), (20, 3)]))), ..Port::new(native) }
}

fn rewrite(rewrite: Rewrite) -> Port {
    Port { rewrite, ..Port::new(1) }
}

const ONE: Tags = Tags::single(100);
const TWO: Tags = Tags { tag_type: EtherType::SERVICE_VLAN, outer: 200, inner: Some(7) };

/// A bridge of ports 1 and 2.
fn bridge(from: Port, to: Port) -> Bridge {
    let bridge = Bridge::with(&[1, 2], 1);
    for (number, vlan) in DOMAINS {
        let value = Domain { vlan, members: vec![1, 2], ..Domain::default() };
        bridge.bridging.domains.set(&domain(), number.into(), value).unwrap();
    }
    bridge.port(1, from);
    bridge.port(2, to);
    bridge
}

/// What leaves by port 2 of what comes in by port 1, and the causes that were counted beside the learning and copying.
fn pass(from: Port, to: Port, frame: &[u8]) -> (Vec<Vec<u8>>, Vec<(NodeName, &'static str)>) {
    let mut bridge = bridge(from, to);
    let out = bridge.bed.one(0, 1, frame).into_iter().map(|sent| sent.data).collect();
    let causes = bridge.counts().into_iter().filter(|(_, what, _)| *what != "stations learnt");
    let causes = causes.map(|(node, what, _)| (node, what)).collect();
    assert_eq!(bridge.bed.held(), 0);
    (out, causes)
}

#[test]
fn what_frames_look_like_behind_the_bridge() {
    let pop = || rewrite(Rewrite::Pop(ONE));
    for (name, from, to, sent, expected) in [
        ("plain ports leave tags alone", plain(), plain(), &[(Q, 10)][..], &[(Q, 10)][..]),
        ("access to access", access(), access(), &[], &[]),
        ("access to trunk", access(), trunk(0), &[], &[(Q, 10)]),
        ("trunk to access", trunk(0), access(), &[(Q, 10)], &[]),
        ("trunk to trunk, priority 5, drop eligible", trunk(0), trunk(0), &[(Q, 0xb014)], &[(Q, 0xb014)]),
        ("a priority tag on an access port (802.1Q 6.9.1)", access(), trunk(0), &[(Q, 0xe000)], &[(Q, 0xe00a)]),
        ("untagged on a trunk: native", trunk(2), access(), &[], &[]),
        ("to the native VLAN", access(), trunk(2), &[], &[]),
        ("a priority tag on a trunk: native", trunk(2), trunk(0), &[(Q, 0x6000)], &[(Q, 0x600a)]),
        ("the native VLAN, tagged", trunk(2), trunk(2), &[(Q, 0x600a)], &[]),
        ("two tags: the second is content", trunk(0), trunk(0), &[(Q, 10), (Q, 20)], &[(Q, 10), (Q, 20)]),
        ("no hop to another VLAN by two tags", trunk(2), trunk(2), &[(Q, 10), (Q, 20)], &[(Q, 10), (Q, 20)]),
        ("a service tag is content", access(), trunk(0), &[(AD, 9)], &[(Q, 10), (AD, 9)]),
        ("and comes out as it was", trunk(0), access(), &[(Q, 10), (AD, 9)], &[(AD, 9)]),
        ("pop", pop(), plain(), &[(Q, 100)], &[]),
        ("pop, put on again", plain(), pop(), &[], &[(Q, 100)]),
        ("pop keeps what is behind", pop(), plain(), &[(Q, 100), (Q, 5)], &[(Q, 5)]),
        (
            "priority through two of them",
            pop(),
            rewrite(Rewrite::Pop(TWO)),
            &[(Q, 0xf064)],
            &[(AD, 0xf0c8), (Q, 0xf007)],
        ),
        ("pop two", rewrite(Rewrite::Pop(TWO)), plain(), &[(AD, 200), (Q, 7)], &[]),
        ("keep", rewrite(Rewrite::Keep(TWO)), plain(), &[(AD, 200), (Q, 7)], &[(AD, 200), (Q, 7)]),
        ("keep, out", plain(), rewrite(Rewrite::Keep(ONE)), &[(Q, 0xa064)], &[(Q, 0xa064)]),
        ("push", rewrite(Rewrite::Push(ONE, 300)), plain(), &[(Q, 0x6064)], &[(AD, 0x612c), (Q, 0x6064)]),
        ("push, out", plain(), rewrite(Rewrite::Push(ONE, 300)), &[(AD, 300), (Q, 0x6064)], &[(Q, 0x6064)]),
        ("translate", rewrite(Rewrite::Translate(ONE, 300)), plain(), &[(Q, 0xa064)], &[(Q, 0xa12c)]),
        (
            "translate, out",
            plain(),
            rewrite(Rewrite::Translate(TWO, 300)),
            &[(AD, 0xa12c), (Q, 7)],
            &[(AD, 0xa0c8), (Q, 7)],
        ),
        (
            "a sub-interface that is a trunk: two tags, the second is the VLAN",
            Port { rewrite: Rewrite::Pop(ONE), ..trunk(0) },
            access(),
            &[(Q, 100), (Q, 10)],
            &[],
        ),
        ("out of it", access(), Port { rewrite: Rewrite::Pop(ONE), ..trunk(0) }, &[], &[(Q, 100), (Q, 10)]),
    ] {
        let (out, causes) = pass(from, to, &tagged(sent));
        assert_eq!(out, [tagged(expected)], "{name}: {causes:?}");
        assert_eq!(causes, [], "{name}");
    }
}

#[test]
fn what_does_not_pass() {
    let other = "VLAN is not one of the trunk's";
    let not_in = "port is not in the bridge or VLAN of the frame";
    let tags = "frame doesn't have the tags that the port's frames have";
    let double = rewrite(Rewrite::Keep(TWO));
    for (name, from, to, sent, node, cause) in [
        ("a tag on an access port", access(), trunk(0), &[(Q, 10)][..], input::NAME, "tagged frame on an access port"),
        (
            "a tag behind a priority tag",
            access(),
            trunk(0),
            &[(Q, 0), (Q, 20)],
            input::NAME,
            "tagged frame on an access port",
        ),
        ("a VLAN that the trunk hasn't", trunk(2), trunk(2), &[(Q, 30)], input::NAME, other),
        (
            "no native VLAN",
            trunk(0),
            trunk(0),
            &[],
            input::NAME,
            "frame without a tag on a trunk without a native VLAN",
        ),
        (
            "nor for a priority tag",
            trunk(0),
            trunk(0),
            &[(Q, 0x2000)],
            input::NAME,
            "frame without a tag on a trunk without a native VLAN",
        ),
        ("keep, without the tag", plain(), rewrite(Rewrite::Keep(ONE)), &[], output::NAME, tags),
        ("keep, with another", plain(), rewrite(Rewrite::Keep(ONE)), &[(Q, 101)], output::NAME, tags),
        ("keep, of another kind", plain(), rewrite(Rewrite::Keep(ONE)), &[(AD, 100)], output::NAME, tags),
        ("keep two, with one", plain(), double, &[(AD, 200)], output::NAME, tags),
        ("push, without it", plain(), rewrite(Rewrite::Push(ONE, 300)), &[(Q, 100)], output::NAME, tags),
        ("translate, untranslated", plain(), rewrite(Rewrite::Translate(ONE, 300)), &[(Q, 100)], output::NAME, tags),
        ("another sub-interface's", rewrite(Rewrite::Pop(ONE)), plain(), &[(Q, 101)], input::NAME, other),
    ] {
        assert_eq!(pass(from, to, &tagged(sent)), (vec![], vec![(node, cause)]), "{name}");
    }
    let fixed = |to: Port| {
        let mut bridge = bridge(access(), to);
        bridge.bridging.stations.fix(millrace_tables::mac::Station::new(2, mac(2)), 2).unwrap();
        (bridge.sent(1, &tagged(&[])), bridge.counts().last().map(|(node, cause, _)| (*node, *cause)))
    };
    let elsewhere = Tagging::Trunk(Box::new(Trunk::new([(10, 5)])));
    for (name, to) in [
        ("a plain port", plain()),
        ("another VLAN's", Port { domain: 3, ..access() }),
        ("the VLAN of another bridge", Port { tagging: elsewhere, ..Port::new(0) }),
    ] {
        assert_eq!(fixed(to), (vec![], Some((output::NAME, not_in))), "{name}");
    }
}

#[test]
fn runts_are_refused_wherever_they_end() {
    let whole = tagged(&[(AD, 200), (Q, 7)]);
    for rewrite in [Rewrite::Pop(TWO), Rewrite::Keep(TWO), Rewrite::Push(TWO, 300), Rewrite::Translate(TWO, 300)] {
        for len in 0..20 {
            let (out, causes) = pass(Port { rewrite, ..Port::new(1) }, plain(), &whole[..len]);
            assert_eq!(
                (out, causes),
                (vec![], vec![(input::NAME, "shorter than its Ethernet header")]),
                "{rewrite:?} {len}"
            );
        }
    }
    for len in 14..18 {
        let (out, causes) = pass(trunk(2), trunk(2), &tagged(&[(Q, 10)])[..len]);
        assert_eq!((out, causes), (vec![], vec![(input::NAME, "shorter than its Ethernet header")]), "{len}");
    }
}

#[test]
fn the_mtu_counts_behind_the_tags() {
    let too_long = vec![(output::NAME, "longer than the port's MTU")];
    let of = |len: usize, tags: &[(u16, u16)]| {
        let mut bytes = tagged(tags);
        bytes.resize(14 + 4 * tags.len() + len, 0);
        bytes
    };
    let small = |port: Port| Port { mtu: 100, ..port };
    let of_trunk = || trunk(0);
    let two = || rewrite(Rewrite::Pop(TWO));
    type Make<'a> = &'a dyn Fn() -> Port;
    for (name, from, to, tags, out) in [
        ("plain", &plain as Make<'_>, &plain as Make<'_>, &[][..], &[][..]),
        ("plain, tags of the frame's own", &plain, &plain, &[(Q, 10), (AD, 9)], &[(Q, 10), (AD, 9)]),
        ("a tag is put on", &access, &of_trunk, &[], &[(Q, 10)]),
        ("a tag is taken off", &of_trunk, &access, &[(Q, 10)], &[]),
        ("two are put on", &plain, &two, &[], &[(AD, 200), (Q, 7)]),
    ] {
        assert_eq!(pass(from(), small(to()), &of(100, tags)), (vec![of(100, out)], vec![]), "{name}");
        assert_eq!(pass(from(), small(to()), &of(101, tags)), (vec![], too_long.clone()), "{name}");
    }
}

#[test]
fn frames_of_a_vlan_reach_the_routers_own_interface_with_its_tag() {
    let bvi = Port { kind: PortKind::Bvi, ..trunk(0) };
    let (out, causes) = pass(access(), bvi, &tagged(&[]));
    assert_eq!((out, causes), (vec![tagged(&[(Q, 10)])], vec![]));
}
