//! What the 24 bits of a route's value mean to the IP nodes.

/// Set in a value that names a load-balance.
const LOAD_BALANCE: u32 = 1 << 23;

/// Where a route leads. As a number it fits a [`lpm`](crate::lpm) value: bit 23 tells a load-balance from an adjacency, the bits
/// below are the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The index of an adjacency. Adjacency 0 is reserved: no route.
    Adjacency(u32),
    /// The index of a load-balance.
    LoadBalance(u32),
}

impl Target {
    /// What a lookup that matches nothing gives: adjacency 0.
    pub const NO_ROUTE: Self = Self::Adjacency(0);
    /// The highest index of either kind.
    pub const MAX_INDEX: u32 = LOAD_BALANCE - 1;

    /// The target that a table's value stands for. Bits above the 24th are ignored.
    #[inline]
    #[must_use]
    pub const fn from_u32(value: u32) -> Self {
        let index = value & Self::MAX_INDEX;
        if value & LOAD_BALANCE == 0 { Self::Adjacency(index) } else { Self::LoadBalance(index) }
    }

    /// The value to put into a table. Indices beyond [`MAX_INDEX`](Self::MAX_INDEX) are a bug of the caller.
    #[inline]
    #[must_use]
    pub const fn to_u32(self) -> u32 {
        let (Self::Adjacency(index) | Self::LoadBalance(index)) = self;
        debug_assert!(index <= Self::MAX_INDEX);
        match self {
            Self::Adjacency(index) => index & Self::MAX_INDEX,
            Self::LoadBalance(index) => index & Self::MAX_INDEX | LOAD_BALANCE,
        }
    }
}

const _: () = assert!(Target::NO_ROUTE.to_u32() == crate::lpm::NO_ROUTE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for target in [
            Target::NO_ROUTE,
            Target::Adjacency(1),
            Target::Adjacency(Target::MAX_INDEX),
            Target::LoadBalance(0),
            Target::LoadBalance(Target::MAX_INDEX),
        ] {
            assert!(target.to_u32() < 1 << 24);
            assert_eq!(Target::from_u32(target.to_u32()), target);
        }
        assert_eq!(Target::LoadBalance(5).to_u32(), 0x80_0005);
    }
}
