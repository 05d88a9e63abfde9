//! The routes themselves, as the writer keeps them to know what is left when one goes: a hash map per prefix length.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::address::Address;

/// All routes of a table.
#[derive(Debug)]
pub struct Routes<A> {
    /// First address to value; by prefix length, 0 to all bits.
    by_len: Box<[HashMap<A, u32, Seeded>]>,
    len: usize,
}

impl<A: Address> Routes<A> {
    pub fn new() -> Self {
        let seed = Seeded(RandomState::new().hash_one(0));
        Self { by_len: (0..=A::BITS).map(|_| HashMap::with_hasher(seed)).collect(), len: 0 }
    }

    pub fn insert(&mut self, prefix: A::Net, value: u32) -> Option<u32> {
        let old = self.by_len[usize::from(A::len(prefix))].insert(A::first(prefix), value);
        self.len += usize::from(old.is_none());
        old
    }

    pub fn remove(&mut self, prefix: A::Net) -> Option<u32> {
        let old = self.by_len[usize::from(A::len(prefix))].remove(&A::first(prefix));
        self.len -= usize::from(old.is_some());
        old
    }

    pub fn get(&self, prefix: A::Net) -> Option<u32> {
        self.by_len[usize::from(A::len(prefix))].get(&A::first(prefix)).copied()
    }

    /// The longest prefix that contains `prefix`, other than itself and the default route: its length and value.
    pub fn covering(&self, prefix: A::Net) -> Option<(u8, u32)> {
        let first = A::first(prefix);
        (1..A::len(prefix)).rev().find_map(|len| {
            let routes = &self.by_len[usize::from(len)];
            if routes.is_empty() {
                return None;
            }
            routes.get(&A::first(first.net(len))).map(|&value| (len, value))
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = (A::Net, u32)> + '_ {
        (0..=A::BITS)
            .zip(&self.by_len)
            .flat_map(|(len, routes)| routes.iter().map(move |(first, &value)| (first.net(len), value)))
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    /// About what the maps have allocated: an entry and a byte of control for each bucket, of which they fill at most 7 in 8.
    pub fn memory_bytes(&self) -> usize {
        let bucket = size_of::<(A, u32)>() + 1;
        self.by_len.iter().map(|routes| routes.capacity() * 8 / 7 * bucket).sum()
    }
}

/// Hashes by folded multiplications, from a random seed: routes come from outside, and nobody there shall choose collisions.
#[derive(Clone, Copy, Debug)]
struct Seeded(u64);

impl BuildHasher for Seeded {
    type Hasher = FoldedMultiply;

    fn build_hasher(&self) -> FoldedMultiply {
        FoldedMultiply(self.0)
    }
}

struct FoldedMultiply(u64);

impl Hasher for FoldedMultiply {
    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        // 2^64 divided by the golden ratio.
        let product = u128::from(self.0 ^ value) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64((value >> 64) as u64);
        self.write_u64(value as u64);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
