//! The routes themselves, as the writer keeps them to know what is left when one goes: a hash map per prefix length.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Prefix lengths 0 to 32.
const LENGTHS: usize = 33;

/// All routes of a table.
#[derive(Debug)]
pub struct Routes {
    /// Network, in host order, to value; by prefix length.
    by_len: [HashMap<u32, u32, Seeded>; LENGTHS],
}

impl Routes {
    pub fn new() -> Self {
        let seed = Seeded(RandomState::new().hash_one(0));
        Self { by_len: std::array::from_fn(|_| HashMap::with_hasher(seed)) }
    }

    fn of_len(&self, len: u8) -> &HashMap<u32, u32, Seeded> {
        &self.by_len[usize::from(len).min(LENGTHS - 1)]
    }

    fn of_len_mut(&mut self, len: u8) -> &mut HashMap<u32, u32, Seeded> {
        &mut self.by_len[usize::from(len).min(LENGTHS - 1)]
    }

    pub fn insert(&mut self, prefix: Ipv4Net, value: u32) -> Option<u32> {
        self.of_len_mut(prefix.prefix_len()).insert(prefix.network().to_bits(), value)
    }

    pub fn remove(&mut self, prefix: Ipv4Net) -> Option<u32> {
        self.of_len_mut(prefix.prefix_len()).remove(&prefix.network().to_bits())
    }

    pub fn get(&self, prefix: Ipv4Net) -> Option<u32> {
        self.of_len(prefix.prefix_len()).get(&prefix.network().to_bits()).copied()
    }

    /// The longest prefix that contains `prefix`, other than itself and the default route: its length and value.
    pub fn covering(&self, prefix: Ipv4Net) -> Option<(u8, u32)> {
        let network = prefix.network().to_bits();
        (1..prefix.prefix_len()).rev().find_map(|len| {
            let routes = self.of_len(len);
            if routes.is_empty() {
                return None;
            }
            let mask = u32::MAX << (32 - len);
            routes.get(&(network & mask)).map(|&value| (len, value))
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = (Ipv4Net, u32)> + '_ {
        (0..=32).zip(&self.by_len).flat_map(|(len, routes)| {
            routes.iter().filter_map(move |(&network, &value)| {
                Some((Ipv4Net::new(Ipv4Addr::from_bits(network), len).ok()?, value))
            })
        })
    }

    pub fn len(&self) -> usize {
        self.by_len.iter().map(HashMap::len).sum()
    }

    /// About what the maps have allocated: an entry and a byte of control for each bucket, of which they fill at most 7 in 8.
    pub fn memory_bytes(&self) -> usize {
        let bucket = size_of::<(u32, u32)>() + 1;
        self.by_len.iter().map(|routes| routes.capacity() * 8 / 7 * bucket).sum()
    }
}

/// Hashes by a folded multiplication, from a random seed: routes come from outside, and nobody there shall choose collisions.
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
        // 2^64 divided by the golden ratio.
        let product = u128::from(self.0 ^ u64::from(value)) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
