//! Hashes that nobody outside can predict.

use std::io;

/// The 32 bits that an [`Index`](super::Index) knows an entry by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Hash(u32);

impl Hash {
    /// From bits that are well mixed, above all the upper ones. Zero becomes one.
    #[inline(always)]
    #[must_use]
    pub const fn from_u32(bits: u32) -> Self {
        Self(bits | (bits == 0) as u32)
    }

    /// As a number, for [`from_u32`](Self::from_u32). Never zero.
    #[inline(always)]
    #[must_use]
    pub const fn to_u32(self) -> u32 {
        self.0
    }
}

/// A secret that makes a table's hashes its own: who does not know it cannot choose keys that fall on each other.
#[derive(Clone)]
pub struct Seed([u64; 2]);

impl Seed {
    /// A random one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0_u8; 16];
        // SAFETY: the buffer is ours and of this length.
        let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        if got != bytes.len() as isize {
            return Err(io::Error::last_os_error());
        }
        let (halves, _) = bytes.as_chunks::<8>();
        Ok(Self(std::array::from_fn(|at| halves.get(at).map_or(0, |&half| u64::from_le_bytes(half)))))
    }

    /// The hash of 128 bits: two 64-bit halves, each with its secret, multiplied to 128 bits and folded; and that once more with a
    /// constant, without which regular keys spread unevenly for some seeds.
    #[inline(always)]
    #[must_use]
    pub const fn hash(&self, a: u64, b: u64) -> Hash {
        let mixed = fold(fold(a ^ self.0[0], b ^ self.0[1]), 0x9e37_79b9_7f4a_7c15);
        Hash::from_u32(mixed as u32)
    }
}

impl Seed {
    /// 64 bits of hash of 64 bits, all of them well mixed.
    #[inline(always)]
    #[must_use]
    pub const fn hash64(&self, a: u64) -> u64 {
        fold(fold(a ^ self.0[0], self.0[1] | 1), 0x9e37_79b9_7f4a_7c15)
    }
}

/// Both halves of the product.
#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// Keeps the secret.
impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_and_stay_secret() {
        let (a, b) = (Seed::random().unwrap(), Seed::random().unwrap());
        assert!((0..8).any(|key| a.hash(key, key) != b.hash(key, key)));
        assert_eq!(a.hash(1, 2), a.clone().hash(1, 2));
        assert_eq!(format!("{a:?}"), "Seed(..)");
        assert_eq!((Hash::from_u32(0).to_u32(), Hash::from_u32(7).to_u32()), (1, 7));
    }

    #[test]
    fn regular_keys_spread_evenly() {
        let seed = Seed::random().unwrap();
        let keys = 1 << 16;
        let patterns: [fn(u64) -> (u64, u64); 4] =
            [|i| (i, 0), |i| (0, i), |i| (i << 40, i << 16), |i| (i & 255, i >> 8)];
        for key in patterns {
            let mut upper = vec![0_u32; 4096];
            let mut lower = upper.clone();
            for i in 0..keys {
                let (a, b) = key(i);
                let hash = seed.hash(a, b).to_u32();
                upper[hash as usize >> 20] += 1;
                lower[hash as usize & 4095] += 1;
            }
            for counts in [upper, lower] {
                // 16 to a cell on average; chi-square over 4,095 degrees of freedom, ten standard deviations.
                let chi: f64 = counts.iter().map(|&n| (f64::from(n) - 16.0).powi(2) / 16.0).sum();
                assert!(chi < 4095.0 + 10.0 * 90.5, "{chi}");
            }
        }
    }
}
