//! Sharing flows out to next hops of which some are down, so that those of the others stay where they are.

use super::{LoadBalance, LoadBalanceError, MAX_BUCKETS, one_by_one, share_out};

/// Buckets of a load-balance over several next hops.
const SIZE: u32 = MAX_BUCKETS as u32;

/// An adjacency, its weight, and whether it is up.
type Hop = (u32, u16, bool);

impl LoadBalance {
    /// Shares flows out, by weight, to those adjacencies that are up: (adjacency, weight, up).
    ///
    /// Several next hops have 64 buckets, as they would have if all were up; those of the ones that are down go to the others. So a
    /// flow moves only if its next hop goes down, and back when that comes up again, save for the few buckets that small weights
    /// make necessary: each share is off by less than 1/64 of all flows. The result depends on nothing but the arguments; let a
    /// next hop keep its place among them.
    ///
    /// # Errors
    /// No weight that is up, or too many next hops.
    pub fn resilient(hops: &[Hop]) -> Result<Self, LoadBalanceError> {
        if hops.len() > MAX_BUCKETS {
            return Err(LoadBalanceError::TooMany(hops.len()));
        }
        let all = hops.iter().map(|&(_, weight, _)| u32::from(weight));
        let up = hops.iter().map(|&(_, weight, up)| if up { u32::from(weight) } else { 0 });
        let home = share_out(all, SIZE, &[0; MAX_BUCKETS]).ok_or(LoadBalanceError::Empty)?;
        let mut due = share_out(up, SIZE, &home).ok_or(LoadBalanceError::Empty)?;
        if let [(adjacency, ..)] = hops {
            let mut buckets = [0; MAX_BUCKETS];
            buckets[0] = *adjacency;
            return Ok(Self { mask: 0, buckets });
        }
        let mut buckets = [0; MAX_BUCKETS];
        let mut free = Vec::with_capacity(MAX_BUCKETS);
        for (bucket, hop) in one_by_one(&home).enumerate() {
            match (due.get_mut(hop), hops.get(hop)) {
                (Some(due @ 1..), Some((adjacency, ..))) => {
                    *due -= 1;
                    buckets[bucket] = *adjacency;
                }
                _ => free.push(bucket),
            }
        }
        for bucket in free {
            // Of those that are due more, the one that this bucket likes best, whoever else is there.
            let best = (0_u32..).zip(due.iter_mut().zip(hops)).filter(|(_, (due, _))| **due > 0);
            if let Some((_, (due, (adjacency, ..)))) = best.max_by_key(|&(hop, _)| liking(bucket, hop)) {
                *due -= 1;
                buckets[bucket] = *adjacency;
            }
        }
        Ok(Self { mask: SIZE - 1, buckets })
    }
}

/// A number that says how much a bucket likes a next hop: always the same, and for each bucket another order (rendezvous hashing).
const fn liking(bucket: usize, hop: u32) -> u32 {
    let mut mixed = (bucket as u32 + 1).wrapping_mul(0x9e37_79b1) ^ (hop + 1).wrapping_mul(0x85eb_ca77);
    mixed = (mixed ^ mixed >> 15).wrapping_mul(0xd168_aaad);
    mixed = (mixed ^ mixed >> 15).wrapping_mul(0xaf72_3597);
    mixed ^ mixed >> 15
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all_up(weights: &[u16]) -> Vec<Hop> {
        (100..).zip(weights).map(|(adjacency, &weight)| (adjacency, weight, true)).collect()
    }

    fn with_down(hops: &[Hop], down: &[usize]) -> Vec<Hop> {
        let mut hops = hops.to_vec();
        down.iter().for_each(|&at| hops[at].2 = false);
        hops
    }

    fn buckets(hops: &[Hop]) -> Vec<u32> {
        LoadBalance::resilient(hops).unwrap().buckets().to_vec()
    }

    fn of(buckets: &[u32], adjacency: u32) -> usize {
        buckets.iter().filter(|&&bucket| bucket == adjacency).count()
    }

    fn moved(before: &[u32], after: &[u32]) -> usize {
        before.iter().zip(after).filter(|(before, after)| before != after).count()
    }

    #[test]
    fn one_next_hop_has_one_bucket() {
        assert_eq!(buckets(&[(7, 3, true)]), [7]);
        assert_eq!(buckets(&[(7, 3, true), (8, 3, false)]), [7; 64]);
    }

    #[test]
    fn refused() {
        for hops in [&[][..], &[(1, 0, true)], &[(1, 1, false)], &[(1, 1, false), (2, 0, true)]] {
            assert_eq!(LoadBalance::resilient(hops), Err(LoadBalanceError::Empty), "{hops:?}");
        }
        assert_eq!(LoadBalance::resilient(&[(1, 1, true); 65]), Err(LoadBalanceError::TooMany(65)));
    }

    #[test]
    fn four_equal_ones_lose_one_and_another() {
        let hops = all_up(&[1; 4]);
        let full = buckets(&hops);
        assert_eq!([100, 101, 102, 103].map(|hop| of(&full, hop)), [16; 4]);
        let three = buckets(&with_down(&hops, &[1]));
        assert_eq!(moved(&full, &three), 16);
        let mut counts = [100, 101, 102, 103].map(|hop| of(&three, hop));
        counts.sort_unstable();
        assert_eq!(counts, [0, 21, 21, 22]);
        let two = buckets(&with_down(&hops, &[1, 2]));
        // Those of the second, and some of those that the first had lent.
        assert!((21..=28).contains(&moved(&three, &two)), "{}", moved(&three, &two));
        assert_eq!([100, 103].map(|hop| of(&two, hop)), [32, 32]);
        // Back again, in whichever order.
        assert_eq!(buckets(&hops), full);
    }

    /// Weights that are even, of any size, or of which most are too small for a bucket.
    fn weights() -> impl Strategy<Value = Vec<u16>> {
        prop_oneof![
            prop::collection::vec(0_u16..8, 2..=8),
            prop::collection::vec(0_u16.., 2..=64),
            prop::collection::vec(prop_oneof![5 => 1_u16..4, 1 => 0_u16..], 2..=64),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn shares_are_right_and_survivors_stay(
            (weights, up) in weights().prop_flat_map(|weights| {
                let up = prop::collection::vec(prop::bool::weighted(0.7), weights.len());
                (Just(weights), up)
            }),
        ) {
            let hops = all_up(&weights);
            prop_assume!(weights.iter().any(|&weight| weight > 0));
            let full = buckets(&hops);
            let now: Vec<Hop> = hops.iter().zip(&up).map(|(hop, &up)| (hop.0, hop.1, up)).collect();
            let total: f64 = now.iter().filter(|hop| hop.2).map(|hop| f64::from(hop.1)).sum();
            prop_assume!(total > 0.0);
            let some = buckets(&now);
            prop_assert_eq!(some.len(), 64);
            let mut driven_out = 0;
            for &(adjacency, weight, up) in &now {
                let (had, has) = (of(&full, adjacency), of(&some, adjacency));
                if !up {
                    prop_assert_eq!(has, 0);
                    continue;
                }
                let due = f64::from(weight) / total * 64.0;
                prop_assert!((has as f64 - due).abs() < 1.0, "{} for {}", has, due);
                // Its buckets stay, but for one that a share so small can't hold on to.
                let stayed = full.iter().zip(&some).filter(|(a, b)| **a == adjacency && **b == adjacency).count();
                prop_assert!(stayed == had.min(has) && had - stayed <= 1);
                driven_out += had - stayed;
            }
            // No more than had to: those of the next hops that are down, and those that were driven out.
            let gone: usize = now.iter().filter(|hop| !hop.2).map(|hop| of(&full, hop.0)).sum();
            prop_assert_eq!(moved(&full, &some), gone + driven_out);
            let again: Vec<Hop> = now.iter().map(|hop| (hop.0, hop.1, true)).collect();
            prop_assert_eq!(buckets(&again), full);
        }
    }
}
