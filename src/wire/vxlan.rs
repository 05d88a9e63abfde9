//! VXLAN (RFC 7348).

use zerocopy::byteorder::network_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The I flag in the first word: the VNI is valid.
const VALID: u32 = 1 << 27;

/// A VXLAN header; an Ethernet frame follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Vxlan {
    flags: U32,
    vni_and_reserved: U32,
}

impl Vxlan {
    /// The header's length in bytes.
    pub const LEN: usize = size_of::<Self>();
    /// The UDP port that IANA assigned (section 4.1).
    pub const PORT: u16 = 4789;
    /// The first of the source ports that the RFC wants taken by flow, up to 65535 (section 5, RFC 6335).
    pub const FIRST_SOURCE_PORT: u16 = 49152;

    /// The header of a frame in the segment `vni`, of which the low 24 bits count.
    #[must_use]
    pub const fn new(vni: u32) -> Self {
        Self { flags: U32::new(VALID), vni_and_reserved: U32::new(vni << 8) }
    }

    /// The segment, 0 to 2^24 - 1; none if the header doesn't name one. What is reserved is ignored (section 5).
    #[inline]
    #[must_use]
    pub const fn vni(&self) -> Option<u32> {
        if self.flags.get() & VALID == 0 { None } else { Some(self.vni_and_reserved.get() >> 8) }
    }

    /// The source port of a flow with this hash.
    #[inline]
    #[must_use]
    pub const fn source_port(flow_hash: u32) -> u16 {
        // The hash's upper bits say as much as its lower ones, which balance flows over paths.
        Self::FIRST_SOURCE_PORT | (flow_hash >> 8) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields() {
        let header = Vxlan::new(0x12_3456);
        assert_eq!(header.as_bytes(), &[8, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
        assert_eq!(header.vni(), Some(0x12_3456));
        assert_eq!(Vxlan::new(0xff00_0001).vni(), Some(1), "24 bits");
        // Section 5: reserved bits are ignored on receipt, the I flag must be set.
        assert_eq!(Vxlan::ref_from_bytes(&[0xff, 1, 2, 3, 0, 0, 7, 0xff]).unwrap().vni(), Some(7));
        assert_eq!(Vxlan::ref_from_bytes(&[0xf7, 1, 2, 3, 0, 0, 7, 0xff]).unwrap().vni(), None);
        assert!(Vxlan::ref_from_prefix(&[8, 0, 0, 0, 0, 0, 7]).is_err());
    }

    proptest! {
        /// RFC 6335 section 6: the dynamic ports.
        #[test]
        fn source_ports_are_dynamic_ones(hash: u32) {
            prop_assert!(Vxlan::source_port(hash) >= 49152);
            prop_assert_ne!(Vxlan::source_port(hash), Vxlan::source_port(hash ^ 0x100));
        }
    }
}
