//! Generic routing encapsulation (RFC 2784), with the key and sequence number of RFC 2890.
//!
//! The header is four bytes, and four more for each of checksum, key and sequence number that its flags name.

use crate::EtherType;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

const CHECKSUM: u16 = 0x8000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// Bits 1, 4 and 5: routing and source routes of RFC 1701, which whoever doesn't speak that must not take (RFC 2784 section 2.3).
const UNKNOWN: u16 = 0x4c00;
const VERSION: u16 = 7;

/// The part of the header that is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Gre {
    flags: U16,
    protocol: U16,
}

/// Why a header is not one of a packet that could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadGre {
    /// It ends before its last field.
    Short,
    /// Its version is not 0: PPTP's is 1 (RFC 2637).
    Version,
    /// It has fields of RFC 1701 that nobody uses any more.
    Flags,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GreFields {
    /// What the packet inside is.
    pub protocol: EtherType,
    /// Whether there is a checksum, over all from the header's first byte on.
    pub has_checksum: bool,
    /// Which of several flows between two tunnel ends it belongs to (RFC 2890 section 2.1).
    pub key: Option<u32>,
    /// Its number in that flow (RFC 2890 section 2.2).
    pub sequence: Option<u32>,
    /// The header's length in bytes: 4 to 16.
    pub len: usize,
}

impl Gre {
    /// The length of a header without fields, in bytes.
    pub const LEN: usize = size_of::<Self>();
    /// The length of each field: checksum with two reserved bytes, key, sequence number.
    pub const FIELD: usize = 4;
    /// The longest header.
    pub const MAX_LEN: usize = Self::LEN + 3 * Self::FIELD;

    /// A header of a packet of this kind, with these fields behind it, in their order: checksum, key.
    #[must_use]
    pub const fn new(protocol: EtherType, checksum: bool, key: bool) -> Self {
        let flags = if checksum { CHECKSUM } else { 0 } | if key { KEY } else { 0 };
        Self { flags: U16::new(flags), protocol: U16::new(protocol.0) }
    }

    /// Reads a header and its fields. Reserved bits are ignored (RFC 2784 section 2.3).
    ///
    /// # Errors
    /// See [`BadGre`].
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<GreFields, BadGre> {
        let (header, rest) = Self::ref_from_prefix(bytes).map_err(|_| BadGre::Short)?;
        let flags = header.flags.get();
        if flags & VERSION != 0 {
            return Err(BadGre::Version);
        }
        if flags & UNKNOWN != 0 {
            return Err(BadGre::Flags);
        }
        let mut fields = rest.as_chunks::<4>().0.iter();
        let mut len = Self::LEN;
        let mut field = |flag| {
            if flags & flag == 0 {
                return Ok(None);
            }
            len += Self::FIELD;
            fields.next().map(|field| Some(u32::from_be_bytes(*field))).ok_or(BadGre::Short)
        };
        let has_checksum = field(CHECKSUM)?.is_some();
        let (key, sequence) = (field(KEY)?, field(SEQUENCE)?);
        Ok(GreFields { protocol: EtherType(header.protocol.get()), has_checksum, key, sequence, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_in_their_order() {
        let plain = GreFields { protocol: EtherType::IPV4, has_checksum: false, key: None, sequence: None, len: 4 };
        assert_eq!(Gre::read(&[0, 0, 8, 0]), Ok(plain));
        assert_eq!(Gre::read(&[0x20, 0, 8, 0, 1, 2, 3, 4]), Ok(GreFields { key: Some(0x0102_0304), len: 8, ..plain }));
        assert_eq!(Gre::read(&[0x10, 0, 8, 0, 0, 0, 0, 9]), Ok(GreFields { sequence: Some(9), len: 8, ..plain }));
        let all = [0xb0, 0, 0x86, 0xdd, 0xab, 0xcd, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
        let (key, sequence) = (Some(1), Some(2));
        let expected = GreFields { protocol: EtherType::IPV6, has_checksum: true, key, sequence, len: 16 };
        assert_eq!(Gre::read(&all), Ok(expected));
        for short in 0..16 {
            assert_eq!(Gre::read(&all[..short]), Err(BadGre::Short), "{short} bytes");
        }
    }

    /// RFC 2784 section 2.3 to 2.3.1.
    #[test]
    fn what_must_be_discarded_and_what_ignored() {
        for (bit, fate) in [
            (1, Err(BadGre::Flags)),
            (4, Err(BadGre::Flags)),
            (5, Err(BadGre::Flags)),
            (6, Ok(4)),
            (7, Ok(4)),
            (8, Ok(4)),
            (12, Ok(4)),
            (13, Err(BadGre::Version)),
            (15, Err(BadGre::Version)),
        ] {
            let flags = (0x8000_u16 >> bit).to_be_bytes();
            assert_eq!(Gre::read(&[flags[0], flags[1], 8, 0]).map(|fields| fields.len), fate, "bit {bit}");
        }
    }

    #[test]
    fn written() {
        assert_eq!(Gre::new(EtherType::IPV4, false, false).as_bytes(), &[0, 0, 8, 0]);
        assert_eq!(Gre::new(EtherType::IPV6, true, true).as_bytes(), &[0xa0, 0, 0x86, 0xdd]);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            if let Ok(fields) = Gre::read(&bytes) {
                prop_assert!(fields.len <= bytes.len().min(Gre::MAX_LEN));
            }
        }
    }
}
