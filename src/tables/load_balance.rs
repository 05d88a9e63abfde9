//! Several next hops of one route, each with its share of the flows.

mod resilient;

use std::cmp::Reverse;

/// The most next hops, and buckets, that a load-balance has.
pub const MAX_BUCKETS: usize = 64;

/// A power of two of buckets, each naming an adjacency; a flow's hash picks one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct LoadBalance {
    /// The number of buckets less one. In front, in one cache line with the first buckets.
    mask: u32,
    buckets: [u32; MAX_BUCKETS],
}

/// Next hops that no load-balance can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadBalanceError {
    /// There is none, or all weights are zero.
    #[error("a load-balance needs at least one next hop with a weight above 0")]
    Empty,
    /// More than [`MAX_BUCKETS`].
    #[error("{0} next hops; a load-balance takes at most {MAX_BUCKETS}")]
    TooMany(usize),
}

impl LoadBalance {
    /// Shares flows out to adjacencies by weight.
    ///
    /// The number of buckets is the smallest that gives each next hop exactly its share, else 64. Each share is then off by less than
    /// 1/64 of all flows; a next hop that is due less than that may get none.
    ///
    /// # Errors
    /// No weight, or too many next hops.
    pub fn from_weights(next_hops: &[(u32, u16)]) -> Result<Self, LoadBalanceError> {
        if next_hops.len() > MAX_BUCKETS {
            return Err(LoadBalanceError::TooMany(next_hops.len()));
        }
        let weights = || next_hops.iter().map(|&(_, weight)| u32::from(weight));
        let total: u32 = weights().sum();
        let exact = |size: u32| weights().all(|weight| (weight * size).is_multiple_of(total.max(1)));
        let size = (0..6).map(|log| 1 << log).find(|&size| exact(size)).unwrap_or(MAX_BUCKETS as u32);
        let counts = share_out(weights(), size, &[0; MAX_BUCKETS]).ok_or(LoadBalanceError::Empty)?;
        let mut balance = Self { mask: size - 1, buckets: [0; MAX_BUCKETS] };
        for (bucket, at) in balance.buckets.iter_mut().zip(one_by_one(&counts)) {
            *bucket = next_hops.get(at).map_or(0, |&(adjacency, _)| adjacency);
        }
        Ok(balance)
    }

    /// The adjacency of the flow with this hash, of which the low bits count.
    #[inline]
    #[must_use]
    pub const fn pick(&self, flow_hash: u32) -> u32 {
        // The second mask tells the compiler what the first ensures.
        self.buckets[(flow_hash & self.mask) as usize & (MAX_BUCKETS - 1)]
    }

    /// The adjacency of each bucket.
    #[must_use]
    pub fn buckets(&self) -> &[u32] {
        &self.buckets[..=self.mask as usize & (MAX_BUCKETS - 1)]
    }
}

/// How many of `size` buckets each next hop is due, by the method of the largest remainder: its share rounded down, and one more for
/// some, first for those who then keep what they `have`, then for those who lost most by that. None if there are no weights.
fn share_out(
    weights: impl Iterator<Item = u32> + Clone,
    size: u32,
    have: &[u32; MAX_BUCKETS],
) -> Option<[u32; MAX_BUCKETS]> {
    // At most 64 * 65,535; times 64 it still fits.
    let total: u32 = weights.clone().sum();
    if total == 0 {
        return None;
    }
    let mut due = [0; MAX_BUCKETS];
    let mut order = Vec::with_capacity(MAX_BUCKETS);
    let mut missing = size;
    for (at, ((weight, due), have)) in weights.zip(&mut due).zip(have).enumerate() {
        let share = weight * size;
        *due = share / total;
        missing -= *due;
        order.push((*have > *due && share > 0, share % total, Reverse(at)));
    }
    order.sort_unstable_by(|a, b| b.cmp(a));
    for &(.., Reverse(at)) in order.iter().take(missing as usize) {
        due[at] += 1;
    }
    Some(due)
}

/// The next hop of each bucket, one next hop after the other.
fn one_by_one(counts: &[u32; MAX_BUCKETS]) -> impl Iterator<Item = usize> + '_ {
    counts.iter().enumerate().flat_map(|(at, &count)| std::iter::repeat_n(at, count as usize))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(balance: &LoadBalance, adjacency: u32) -> usize {
        balance.buckets().iter().filter(|&&bucket| bucket == adjacency).count()
    }

    #[test]
    fn even_shares_take_few_buckets() {
        let one = LoadBalance::from_weights(&[(9, 7)]).unwrap();
        assert_eq!(one.buckets(), [9]);
        assert_eq!((one.pick(0), one.pick(u32::MAX)), (9, 9));
        let two = LoadBalance::from_weights(&[(1, 10), (2, 10)]).unwrap();
        assert_eq!(two.buckets(), [1, 2]);
        assert_eq!([two.pick(0), two.pick(1), two.pick(2), two.pick(u32::MAX)], [1, 2, 1, 2]);
        let weighted = LoadBalance::from_weights(&[(1, 3), (2, 1)]).unwrap();
        assert_eq!(weighted.buckets(), [1, 1, 1, 2]);
        let all: Vec<_> = (0..64).map(|adjacency| (adjacency, 1)).collect();
        assert_eq!(LoadBalance::from_weights(&all).unwrap().buckets(), (0..64).collect::<Vec<_>>());
    }

    #[test]
    fn uneven_shares_take_64() {
        let three = LoadBalance::from_weights(&[(1, 1), (2, 1), (3, 1)]).unwrap();
        assert_eq!([1, 2, 3].map(|adjacency| count(&three, adjacency)), [22, 21, 21]);
        let tiny = LoadBalance::from_weights(&[(1, 1), (2, 1000), (3, 0)]).unwrap();
        assert_eq!([1, 2, 3].map(|adjacency| count(&tiny, adjacency)), [0, 64, 0]);
    }

    #[test]
    fn refused() {
        assert_eq!(LoadBalance::from_weights(&[]), Err(LoadBalanceError::Empty));
        assert_eq!(LoadBalance::from_weights(&[(1, 0)]), Err(LoadBalanceError::Empty));
        assert_eq!(LoadBalance::from_weights(&[(1, 1); 65]), Err(LoadBalanceError::TooMany(65)));
    }

    proptest! {
        #[test]
        fn every_share_is_off_by_less_than_a_64th(weights in prop::collection::vec(0_u16.., 1..=64)) {
            let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            prop_assume!(total > 0.0);
            let hops: Vec<(u32, u16)> = (100..).zip(weights).collect();
            let balance = LoadBalance::from_weights(&hops).unwrap();
            let size = balance.buckets().len();
            prop_assert!(size.is_power_of_two() && size <= 64);
            for (adjacency, weight) in hops {
                let share = count(&balance, adjacency) as f64 / size as f64;
                prop_assert!((share - f64::from(weight) / total).abs() < 1.0 / 64.0);
            }
            for hash in [0, 1, 63, 64, 0xdead_beef, u32::MAX] {
                prop_assert_eq!(balance.pick(hash), balance.buckets()[hash as usize % size]);
            }
        }
    }
}
