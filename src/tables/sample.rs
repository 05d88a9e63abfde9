//! Routes like those of the Internet, synthesised: what tests and measurements fill tables with. The same in every run.
//!
//! Prefix lengths are as frequent as in a full BGP table of January 2024 (the test data of github.com/gaissmai/bart, which has
//! 901,899 IPv4 and 160,147 IPv6 routes); as there, half of the prefixes and more lie inside shorter ones, and longer ones come in
//! runs of neighbours.

use std::collections::HashSet;
use std::hash::Hash;
use std::io::{self, BufRead, BufReader};

use ipnet::IpNet;

use crate::lpm::Address;

/// A family whose routes can be synthesised.
pub trait Sample: Address {
    /// Prefix lengths, ascending, and how many routes have them.
    const LENGTHS: &[(u8, u32)];
    /// The length of which neighbours come in runs, and longer ones.
    const RUNS_FROM: u8;

    /// The first of a network as providers are given.
    fn provider(random: &mut Random) -> Self;

    /// Any address of a prefix.
    fn inside(net: Self::Net, random: &mut Random) -> Self;

    /// The address behind a prefix, if there is one.
    fn behind(net: Self::Net) -> Option<Self>;
}

impl Sample for u32 {
    const LENGTHS: &[(u8, u32)] = &[
        (8, 16),
        (9, 13),
        (10, 38),
        (11, 103),
        (12, 299),
        (13, 581),
        (14, 1203),
        (15, 2100),
        (16, 13_490),
        (17, 8235),
        (18, 13_798),
        (19, 24_870),
        (20, 42_611),
        (21, 50_750),
        (22, 108_623),
        (23, 96_510),
        (24, 537_698),
        (25, 20),
        (26, 3),
        (27, 11),
        (28, 18),
        (29, 17),
        (30, 3),
        (31, 3),
        (32, 886),
    ];
    const RUNS_FROM: u8 = 24;

    /// In the unicast space.
    fn provider(random: &mut Random) -> u32 {
        (1 << 24) + random.below(223 << 24) as u32
    }

    fn inside(net: Self::Net, random: &mut Random) -> u32 {
        Self::first(net) | random.next() as u32 & net.hostmask().to_bits()
    }

    fn behind(net: Self::Net) -> Option<u32> {
        Self::last(net).checked_add(1)
    }
}

impl Sample for u128 {
    const LENGTHS: &[(u8, u32)] = &[
        (20, 16),
        (22, 7),
        (23, 8),
        (24, 30),
        (25, 8),
        (26, 15),
        (27, 20),
        (28, 193),
        (29, 4371),
        (30, 650),
        (31, 284),
        (32, 22_548),
        (33, 2926),
        (34, 2603),
        (35, 1043),
        (36, 5996),
        (37, 880),
        (38, 1617),
        (39, 1377),
        (40, 13_418),
        (41, 903),
        (42, 2301),
        (43, 1001),
        (44, 14_365),
        (45, 1553),
        (46, 3039),
        (47, 3153),
        (48, 75_488),
        (52, 4),
        (56, 24),
        (60, 22),
        (64, 184),
        (112, 2),
        (122, 1),
        (124, 4),
        (125, 9),
        (126, 19),
        (127, 42),
        (128, 6),
    ];
    const RUNS_FROM: u8 = 33;

    /// A /29 of the blocks that the registries hand out.
    fn provider(random: &mut Random) -> u128 {
        const BLOCKS: [u16; 16] = [
            0x2001, 0x2400, 0x2401, 0x2402, 0x2403, 0x2404, 0x2405, 0x2406, 0x2407, 0x2600, 0x2602, 0x2804, 0x2a00,
            0x2a01, 0x2a02, 0x2c0f,
        ];
        let block = BLOCKS[random.below(BLOCKS.len() as u64) as usize];
        u128::from(block) << 112 | u128::from(random.below(1 << 13)) << 99
    }

    fn inside(net: Self::Net, random: &mut Random) -> u128 {
        let any = u128::from(random.next()) << 64 | u128::from(random.next());
        Self::first(net) | any & net.hostmask().to_bits()
    }

    fn behind(net: Self::Net) -> Option<u128> {
        Self::last(net).checked_add(1)
    }
}

/// So many routes, in random order.
#[must_use]
pub fn routes<A: Sample>(count: usize, random: &mut Random) -> Vec<A::Net> {
    let measured: u64 = A::LENGTHS.iter().map(|&(_, count)| u64::from(count)).sum();
    let mut seen = HashSet::with_capacity(count);
    let mut routes: Vec<A::Net> = Vec::with_capacity(count);
    let mut so_far = 0;
    for &(len, frequency) in A::LENGTHS {
        so_far += u64::from(frequency);
        let wanted = (so_far * count as u64 / measured) as usize;
        while routes.len() < wanted {
            // Two of three lie inside another, as long as there are any.
            let outer = routes.get(random.below(routes.len() as u64 * 3 / 2 + 1) as usize);
            let mut address = Some(match outer {
                Some(&outer) => A::inside(outer, random),
                None => A::provider(random),
            });
            let run = if len >= A::RUNS_FROM { 1 + random.below(7) } else { 1 };
            for _ in 0..run {
                let Some(route) = address.map(|address| address.net(len)) else { break };
                if routes.len() < wanted && seen.insert(route) {
                    routes.push(route);
                }
                address = A::behind(route);
            }
        }
    }
    // They do not arrive sorted by length.
    for i in (1..routes.len()).rev() {
        routes.swap(i, random.below(i as u64 + 1) as usize);
    }
    routes
}

/// The routes of this family in a file that has a prefix on each line, each once.
///
/// # Errors
/// It can't be read.
pub fn read<A: Address>(path: &str) -> io::Result<Vec<A::Net>> {
    let mut seen = HashSet::new();
    let mut routes = Vec::new();
    for line in BufReader::new(std::fs::File::open(path)?).lines() {
        let route = line?.trim().parse::<IpNet>().ok().and_then(|net| A::of_net(net.trunc()));
        routes.extend(route.filter(|&route| seen.insert(route)));
    }
    Ok(routes)
}

/// SplitMix64.
#[derive(Clone, Debug, Hash)]
pub struct Random(pub u64);

impl Random {
    /// Any number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        ((self.next() as u128 * end as u128) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape<A: Sample>() {
        let routes = routes::<A>(10_000, &mut Random(1));
        assert_eq!(routes.iter().collect::<HashSet<_>>().len(), 10_000);
        let measured: u32 = A::LENGTHS.iter().map(|&(_, count)| count).sum();
        for &(len, count) in A::LENGTHS {
            let have = routes.iter().filter(|&&route| A::len(route) == len).count();
            let due = f64::from(count) / f64::from(measured) * 10_000.0;
            assert!((have as f64 - due).abs() < 1.0, "/{len}: {have} for {due}");
        }
    }

    #[test]
    fn lengths_are_as_frequent_as_measured() {
        shape::<u32>();
        shape::<u128>();
    }
}
