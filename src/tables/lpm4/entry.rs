//! One 32-bit word of the table.

const GROUP: u32 = 1 << 31;
const DEPTH_SHIFT: u32 = 24;
const DEPTH: u32 = 0x3f << DEPTH_SHIFT;
const VALUE: u32 = (1 << 24) - 1;

/// Empty (all zero), or the number of a group (bit 31 set), or a route: its prefix length plus one in bits 24 to 29 and its value
/// below. The length tells a writer which entries a shorter prefix must leave alone; readers ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(pub u32);

impl Entry {
    /// No route but the default.
    pub const EMPTY: Self = Self(0);

    /// A route with a prefix of `len` bits, and the low 24 bits of `value`.
    pub const fn route(len: u8, value: u32) -> Self {
        Self(((len as u32 + 1) << DEPTH_SHIFT & DEPTH) | (value & VALUE))
    }

    /// Points to a group below 2^24.
    pub const fn group(group: u32) -> Self {
        Self(GROUP | (group & VALUE))
    }

    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub const fn is_group(self) -> bool {
        self.0 & GROUP != 0
    }

    /// The route's value, or the group's number.
    #[inline]
    pub const fn value(self) -> u32 {
        self.0 & VALUE
    }

    /// The length of the route's prefix; none if empty. Not for groups.
    pub const fn prefix_len(self) -> Option<u8> {
        ((self.0 >> DEPTH_SHIFT & 0x3f) as u8).checked_sub(1)
    }
}
