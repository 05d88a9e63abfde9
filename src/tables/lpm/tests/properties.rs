//! Any updates, in any order.

use proptest::prelude::*;

use super::*;

/// An update: a value to insert, or none to remove something.
type Update<A> = (<A as Address>::Net, Option<u32>);

fn value() -> impl Strategy<Value = Option<u32>> {
    prop::option::weighted(0.65, prop_oneof![1_u32..4, 1_u32..1 << 24])
}

/// Prefixes that overlap much: few networks, lengths of all kinds (the shortest only rarely, they take long).
fn ip4() -> impl Strategy<Value = Update<u32>> {
    let len = prop_oneof![1 => 0_u8..2, 1 => 6_u8..16, 3 => 16_u8..24, 8 => 24_u8..=32, 2 => Just(32_u8)];
    let low = prop_oneof![any::<u32>(), (0_u32..4).prop_map(|bits| bits << 7), 0_u32..4];
    let prefix =
        (len, low, 0_u32..3).prop_map(|(len, low, high)| (0x0aff_0000 + (high << 14) + (low & 0x3fff)).net(len));
    (prefix, value())
}

/// As above: all below few /20s, with few values of each byte, so that groups have several longer prefixes at every level.
fn ip6() -> impl Strategy<Value = Update<u128>> {
    let len = prop_oneof![
        1 => prop_oneof![Just(0_u8), Just(1), 6_u8..16],
        3 => 16_u8..=24,
        8 => 24_u8..=64,
        2 => prop::sample::select(vec![24_u8, 25, 32, 33, 40, 48, 56, 64]),
        4 => 64_u8..=128,
        2 => Just(128_u8),
    ];
    let byte = || prop::sample::select(vec![0_u8, 0, 0, 1, 0x80, 0xff]);
    let bytes = prop_oneof![prop::array::uniform16(byte()), any::<[u8; 16]>()];
    let prefix = (len, bytes).prop_map(|(len, mut bytes)| {
        bytes[..2].copy_from_slice(&[0x20, 0x01]);
        bytes[2] &= 0x0f;
        u128::from_be_bytes(bytes).net(len)
    });
    (prefix, value())
}

fn agrees<A: Address>(ops: &[Update<A>], probes: impl Iterator<Item = A>) {
    let mut both = Both::<A>::new();
    let mut used = Vec::new();
    for (i, &(prefix, insert)) in ops.iter().enumerate() {
        used.push(prefix);
        match insert {
            Some(value) => both.insert(prefix, value),
            // Mostly one that exists.
            None => both.remove(used[i * 7 % used.len()]),
        }
        both.me.quiescent();
        both.check(A::first(prefix));
        both.check(A::last(prefix));
    }
    both.check_around(used);
    probes.for_each(|probe| both.check(probe));
    for (prefix, _) in both.reference.routes().to_vec() {
        both.remove(prefix);
    }
    both.check_around(ops.iter().map(|op| op.0));
    // And no group is left behind.
    for &(prefix, _) in ops {
        assert_eq!(both.reader.table.load(A::first(prefix).direct()).0, 0, "{prefix}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ip4_agrees_with_the_reference(
        ops in prop::collection::vec(ip4(), 1..120),
        probes in prop::collection::vec(any::<u32>(), 32),
    ) {
        agrees(&ops, probes.into_iter().flat_map(|probe| [probe, 0x0aff_0000 + (probe & 0xffff)]));
    }

    #[test]
    fn ip6_agrees_with_the_reference(
        ops in prop::collection::vec(ip6(), 1..120),
        probes in prop::collection::vec(any::<u128>(), 32),
    ) {
        agrees(&ops, probes.into_iter().flat_map(|probe| [probe, 0x2001 << 112 | probe >> 16]));
    }
}
