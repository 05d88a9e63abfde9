use std::collections::HashMap;

use millrace_engine::epoch;
use proptest::prelude::*;

use super::super::hash::Seed;
use super::grow::limit;
use super::*;
use crate::region::HUGE_PAGE;

/// Buckets of an index that grows soon, and without waiting for another thread.
const SMALLEST: u32 = 64;

/// The slow one: the values of each hash.
#[derive(Default)]
struct Reference(HashMap<u32, Vec<u32>>);

impl Reference {
    fn insert(&mut self, hash: Hash, value: u32) {
        self.0.entry(hash.to_u32()).or_default().push(value);
    }

    fn remove(&mut self, hash: Hash, value: u32) -> bool {
        let Some(values) = self.0.get_mut(&hash.to_u32()) else { return false };
        let at = values.iter().position(|&other| other == value);
        at.map(|at| values.swap_remove(at)).is_some()
    }

    fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn agrees_on(&self, index: &Index, hash: Hash) {
        let mut wanted = self.0.get(&hash.to_u32()).cloned().unwrap_or_default();
        let mut got: Vec<u32> = index.iter(hash).collect();
        let first = index.first(hash);
        assert!(got.is_empty() || first != 0);
        let beside = [hash.to_u32(), mix(hash.to_u32()), hash.to_u32().wrapping_mul(UNMIX)];
        let inserted = beside.iter().filter_map(|hash| self.0.get(hash)).flatten().any(|&value| value == first);
        assert!(first == 0 || inserted);
        wanted.sort_unstable();
        got.sort_unstable();
        assert_eq!(got, wanted, "hash {hash:?}");
    }

    fn agrees(&self, index: &Index) {
        assert_eq!(index.len(), self.len());
        assert_eq!(index.is_empty(), self.len() == 0);
        self.0.keys().for_each(|&hash| self.agrees_on(index, Hash::from_u32(hash)));
    }
}

/// Hashes anywhere, or all in few buckets, or a few of which there are many, or such that are the other hash of one that exists.
fn hashes() -> impl Strategy<Value = Hash> {
    let few = 0..40_u32;
    prop_oneof![
        8 => any::<u32>(),
        2 => (0..1_u32 << 24).prop_map(|low| 0xabc0_0000 | low >> 4),
        1 => few.clone().prop_map(|i| i.wrapping_mul(0x1234_5679)),
        1 => few.prop_map(|i| mix(i.wrapping_mul(0x1234_5679))),
    ]
    .prop_map(Hash::from_u32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Up to some thousand entries make the first few growths.
    #[test]
    fn agrees_with_the_reference(
        steps in prop::collection::vec((hashes(), 1..1_u32 << 31, 0..8_u8), 0..4000),
        removals in any::<u64>(),
    ) {
        let (mut index, mut reference) = (Index::with_buckets(SMALLEST).unwrap(), Reference::default());
        let mut entries: Vec<(Hash, u32)> = Vec::new();
        let mut random = removals;
        for (hash, value, kind) in steps {
            if kind == 0 && !entries.is_empty() {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let (hash, value) = entries.swap_remove((random >> 33) as usize % entries.len());
                prop_assert!(index.remove(hash, value) && reference.remove(hash, value));
                reference.agrees_on(&index, hash);
            } else if kind == 1 {
                prop_assert_eq!(index.remove(hash, value), reference.remove(hash, value));
            } else {
                prop_assert_eq!(index.insert(hash, value), Ok(()));
                reference.insert(hash, value);
                entries.push((hash, value));
                reference.agrees_on(&index, hash);
            }
        }
        reference.agrees(&index);
        for (hash, value) in entries {
            prop_assert!(index.remove(hash, value));
        }
        prop_assert!(index.is_empty());
    }
}

#[test]
fn every_entry_is_found_at_every_step_of_a_growth() {
    let (mut index, mut reference) = (Index::with_buckets(SMALLEST).unwrap(), Reference::default());
    let (mut growing, mut growths) = (0, 0);
    for value in 1..=5000 {
        let hash = mixed(value);
        let before = index.grown.is_some();
        index.insert(hash, value).unwrap();
        reference.insert(hash, value);
        if index.grown.is_some() {
            growing += 1;
            reference.agrees(&index);
        }
        growths += usize::from(index.grown.is_some() && !before);
    }
    assert!(growing > 100 && growths >= 4, "{growing} insertions during {growths} growths");
}

#[test]
fn any_number_of_buckets() {
    let region = Region::<Bucket>::new(100).unwrap();
    for count in [1, 2, 3, 7, 64, 99, 100] {
        let array = Array { count, ..Array::of(&region) };
        assert_eq!((array.number(0), array.number(u32::MAX)), (0, count - 1));
        for number in 1..count {
            let first = (u64::from(number) << 32).div_ceil(u64::from(count)) as u32;
            assert_eq!((array.number(first - 1), array.number(first)), (number - 1, number));
        }
    }
}

#[test]
fn the_other_hash_of_the_other_hash() {
    assert_eq!(MIX.wrapping_mul(UNMIX), 1);
    for hash in [1, 2, 0x4000_0000, u32::MAX, 0x1234_5678] {
        let there = other((hash, 5));
        assert_ne!(there.0, hash);
        assert_eq!(there.1, 5 | ALTERNATE);
        assert_eq!(other(there), (hash, 5));
    }
}

/// A hash that is the same in every run.
fn mixed(value: u32) -> Hash {
    Hash::from_u32((u64::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 29) as u32)
}

#[test]
fn many_of_one_hash_stop_nobody_else() {
    let (mut index, mut reference) = (Index::with_buckets(SMALLEST).unwrap(), Reference::default());
    let mut insert = |index: &mut Index, hash, value| {
        index.insert(hash, value).unwrap();
        reference.insert(hash, value);
    };
    (1..=5000).for_each(|value| insert(&mut index, mixed(value), value));
    let same = Hash::from_u32(0x7777_7777);
    let most = 2 * bucket::WIDTH as u32 + HOMELESS as u32;
    (1..=most).for_each(|value| insert(&mut index, same, value));
    assert_eq!(index.insert(same, most + 1), Err(Crowded));
    let before = index.memory();
    assert_eq!(index.insert(same, most + 1), Err(Crowded));
    // Their neighbours go elsewhere, through some growths.
    (1..=20).for_each(|value| insert(&mut index, Hash::from_u32(0x7777_7777 ^ value), value));
    (5001..=20_000).for_each(|value| insert(&mut index, mixed(value), value));
    assert!(index.memory() > before);
    reference.agrees(&index);
    for value in 1..=most {
        assert!(index.remove(same, value));
        assert!(!index.remove(same, value));
        reference.remove(same, value);
    }
    assert!(index.homeless.is_empty());
    reference.agrees(&index);
}

#[test]
fn two_full_buckets_that_become_one() {
    let (mut index, mut reference) = (Index::with_buckets(SMALLEST).unwrap(), Reference::default());
    let mut insert = |index: &mut Index, hash, value| {
        index.insert(hash, value).unwrap();
        reference.insert(hash, value);
    };
    let mut value = 0;
    let mut some = |index: &mut Index, until: &dyn Fn(&Index) -> bool| {
        while !until(index) {
            value += 1;
            insert(index, mixed(value), value);
        }
    };
    some(&mut index, &|index| index.current.len() == 1 << 14 && index.grown.is_none());
    // The last hash of a bucket and the first of the next one, which are of one bucket when there are a quarter more.
    let grown = Array { count: 5 << 12, ..Array::of(&index.current) };
    let firsts = (9000_u64..).map(|number| (number << 32).div_ceil(1 << 14) as u32);
    let first = firsts.into_iter().find(|&hash| grown.number(hash - 1) == grown.number(hash)).unwrap();
    for hash in [first - 1, first].map(Hash::from_u32) {
        (1..=16).for_each(|value| index.insert(hash, value).unwrap());
    }
    assert!(index.homeless.is_empty());
    some(&mut index, &|index| index.grown.is_some());
    some(&mut index, &|index| index.grown.is_none());
    assert_eq!(index.current.len(), 5 << 12);
    assert!(!index.homeless.is_empty());
    for hash in [first - 1, first].map(Hash::from_u32) {
        let mut found: Vec<u32> = index.iter(hash).collect();
        found.sort_unstable();
        assert!(found.into_iter().eq(1..=16));
        assert!((1..=16).all(|value| index.remove(hash, value)));
    }
    reference.agrees(&index);
}

#[test]
fn an_entry_without_a_place_makes_it_grow_early() {
    let mut index = Index::with_buckets(SMALLEST).unwrap();
    // Half full, and then the buckets of one hash full.
    (1..=256).for_each(|value| index.insert(mixed(value), value).unwrap());
    let same = Hash::from_u32(0x7777_7777);
    let mut value = 0;
    while index.homeless.is_empty() {
        value += 1;
        index.insert(same, value).unwrap();
    }
    assert!(value <= 17 && index.grown.is_none() && index.len() < limit(SMALLEST));
    index.insert(mixed(257), 257).unwrap();
    assert!(index.grown.is_some());
    (1..=256).for_each(|value| assert!(index.iter(mixed(value)).eq([value])));
    // But not for ever.
    let before = index.current.len();
    for value in 18..60 {
        index.insert(same, value).unwrap();
    }
    assert!(index.grown.is_none() && index.current.len() == 2 * before);
}

#[test]
fn no_value_that_does_not_fit() {
    let mut index = Index::with_buckets(SMALLEST).unwrap();
    for value in [0, ALTERNATE, u32::MAX] {
        assert_eq!(index.insert(Hash::from_u32(9), value), Err(Crowded));
    }
    assert_eq!(index.insert(Hash::from_u32(9), ALTERNATE - 1), Ok(()));
    assert_eq!(index.first(Hash::from_u32(9)), ALTERNATE - 1);
    assert_eq!(index.len(), 1);
}

#[test]
fn memory_follows_the_number_of_entries() {
    let seed = Seed::random().unwrap();
    let mut index = Index::new().unwrap();
    let hash = |value: u32| seed.hash(value.into(), 2);
    for value in 1..=400_000 {
        index.insert(hash(value), value).unwrap();
        if value % 100 == 0 {
            let _ = epoch::domain().collect();
        }
        assert!(index.memory() <= 2 * HUGE_PAGE + 28 * index.len());
    }
    // Every entry replaced, and replaced again: no more than the growth that had begun.
    let before = index.memory();
    for value in 400_001..=1_200_000 {
        assert!(index.remove(hash(value - 400_000), value - 400_000));
        index.insert(hash(value), value).unwrap();
    }
    assert!(index.memory() <= before * 5 / 4, "{} bytes became {}", before, index.memory());
    assert!(index.homeless.is_empty());
    assert!((800_001..=1_200_000).all(|value| index.iter(hash(value)).any(|found| found == value)));
}
