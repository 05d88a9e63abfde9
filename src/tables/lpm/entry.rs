//! One 32-bit word of the table.

const GROUP: u32 = 1 << 31;
const LEN_SHIFT: u32 = 24;
const LEN: u32 = 0x7f << LEN_SHIFT;
const VALUE: u32 = (1 << 24) - 1;

/// Empty (all zero), or the number of a group (bit 31 set), or a route: its prefix length less one in bits 24 to 30 and its value,
/// which is not zero, below. The length tells a writer which entries a shorter prefix must leave alone; readers ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(pub u32);

impl Entry {
    /// No route but the default.
    pub const EMPTY: Self = Self(0);

    /// A route with a prefix of `len` bits, 1 to 128, and the low 24 bits of `value`.
    pub const fn route(len: u8, value: u32) -> Self {
        Self(((len as u32).wrapping_sub(1) << LEN_SHIFT & LEN) | (value & VALUE))
    }

    /// Points to a group below 2^24.
    pub const fn group(group: u32) -> Self {
        Self(GROUP | (group & VALUE))
    }

    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline(always)]
    pub const fn is_group(self) -> bool {
        self.0 & GROUP != 0
    }

    /// The route's value, or the group's number.
    #[inline(always)]
    pub const fn value(self) -> u32 {
        self.0 & VALUE
    }

    /// The length of the route's prefix, 0 if there is no route. Not for groups.
    pub const fn prefix_len(self) -> u8 {
        if self.is_empty() { 0 } else { (self.0 >> LEN_SHIFT & 0x7f) as u8 + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for len in 1..=128 {
            for value in [1, VALUE] {
                let entry = Entry::route(len, value);
                assert_eq!((entry.prefix_len(), entry.value()), (len, value));
                assert!(!entry.is_group() && !entry.is_empty());
            }
        }
        assert_eq!(Entry::EMPTY.prefix_len(), 0);
        assert!(Entry::group(VALUE).is_group() && Entry::group(VALUE).value() == VALUE);
    }
}
