//! ICMP for IPv4 (RFC 792).

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp4Type(pub u8);

impl Icmp4Type {
    /// The answer to an echo request.
    pub const ECHO_REPLY: Self = Self(0);
    /// A packet can't be delivered; the code is one of [`mod@unreachable`].
    pub const UNREACHABLE: Self = Self(3);
    /// Deprecated (RFC 6633).
    pub const SOURCE_QUENCH: Self = Self(4);
    /// There is a better first hop.
    pub const REDIRECT: Self = Self(5);
    /// Asks for an echo reply.
    pub const ECHO_REQUEST: Self = Self(8);
    /// The TTL ran out (code 0), or reassembly took too long (code 1).
    pub const TIME_EXCEEDED: Self = Self(11);
    /// A header field makes no sense.
    pub const PARAMETER_PROBLEM: Self = Self(12);

    /// Whether it reports an error: no error may be sent about it (RFC 1812 section 4.3.2.7).
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::UNREACHABLE | Self::SOURCE_QUENCH | Self::REDIRECT | Self::TIME_EXCEEDED | Self::PARAMETER_PROBLEM
        )
    }

    /// Whether it asks something or answers, and has an identifier: echo, timestamp and information (RFC 792), address mask (RFC
    /// 950).
    #[inline]
    #[must_use]
    pub const fn is_query(self) -> bool {
        matches!(self.0, 0 | 8 | 13..=18)
    }
}

/// Codes of [`Icmp4Type::UNREACHABLE`] (RFC 792, RFC 1812 section 5.2.7.1).
pub mod unreachable {
    /// No route.
    pub const NET: u8 = 0;
    /// The neighbour does not answer.
    pub const HOST: u8 = 1;
    /// The transport protocol isn't spoken there.
    pub const PROTOCOL: u8 = 2;
    /// Nothing listens on the port.
    pub const PORT: u8 = 3;
    /// Too big, and it must not be fragmented (RFC 1191).
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Forbidden by a filter or a prohibiting route.
    pub const ADMINISTRATIVELY_PROHIBITED: u8 = 13;
}

/// The header of every message: type, code, checksum and four bytes that depend on the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Icmp4 {
    kind: u8,
    code: u8,
    checksum: U16,
    id: U16,
    sequence: U16,
}

impl Icmp4 {
    /// The header's length in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// A header whose checksum and last four bytes are zero.
    #[must_use]
    pub const fn new(kind: Icmp4Type, code: u8) -> Self {
        Self { kind: kind.0, code, checksum: U16::ZERO, id: U16::ZERO, sequence: U16::ZERO }
    }

    /// "Fragmentation needed", with the MTU of the next hop in bytes (RFC 1191 section 4); the checksum is zero.
    #[must_use]
    pub const fn fragmentation_needed(mtu: u16) -> Self {
        let mut header = Self::new(Icmp4Type::UNREACHABLE, unreachable::FRAGMENTATION_NEEDED);
        header.sequence = U16::new(mtu);
        header
    }

    /// An echo request; the checksum is zero.
    #[must_use]
    pub const fn echo_request(id: u16, sequence: u16) -> Self {
        let mut header = Self::new(Icmp4Type::ECHO_REQUEST, 0);
        header.id = U16::new(id);
        header.sequence = U16::new(sequence);
        header
    }

    /// What the message is about.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> Icmp4Type {
        Icmp4Type(self.kind)
    }

    /// Sets what it is about; the checksum stays as it was.
    #[inline]
    pub const fn set_kind(&mut self, kind: Icmp4Type) {
        self.kind = kind.0;
    }

    /// Details of the type.
    #[inline]
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// Type and code as the one 16-bit word that they are under the checksum.
    #[inline]
    #[must_use]
    pub const fn kind_and_code(&self) -> u16 {
        u16::from_be_bytes([self.kind, self.code])
    }

    /// The checksum over the message, from the type to the end.
    #[inline]
    #[must_use]
    pub const fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Sets the checksum.
    #[inline]
    pub const fn set_checksum(&mut self, checksum: u16) {
        self.checksum = U16::new(checksum);
    }

    /// The identifier of an echo request or reply.
    #[inline]
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id.get()
    }

    /// Sets the identifier; the checksum stays as it was.
    #[inline]
    pub const fn set_id(&mut self, id: u16) {
        self.id = U16::new(id);
    }

    /// The sequence number of an echo request or reply.
    #[inline]
    #[must_use]
    pub const fn sequence(&self) -> u16 {
        self.sequence.get()
    }

    /// The next hop's MTU in "fragmentation needed", in bytes; zero from a router older than RFC 1191.
    #[inline]
    #[must_use]
    pub const fn mtu(&self) -> u16 {
        self.sequence.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum;

    #[test]
    fn echo() {
        // As ping sends it: id 0x1234, sequence 1, four bytes of data.
        let mut message = [8, 0, 0, 0, 0x12, 0x34, 0, 1, 0xde, 0xad, 0xbe, 0xef];
        let (header, _) = Icmp4::ref_from_prefix(&message).unwrap();
        assert_eq!(*header, Icmp4::echo_request(0x1234, 1));
        assert_eq!((header.kind(), header.code()), (Icmp4Type::ECHO_REQUEST, 0));
        assert_eq!((header.id(), header.sequence()), (0x1234, 1));
        let checksum = checksum::icmp4(&message);

        // The reply's checksum differs by the type alone.
        let (header, _) = Icmp4::mut_from_prefix(&mut message).unwrap();
        let before = header.kind_and_code();
        header.set_checksum(checksum);
        header.set_kind(Icmp4Type::ECHO_REPLY);
        header.set_checksum(checksum::update_u16(header.checksum(), before, header.kind_and_code()));
        assert!(checksum::Sum::of(&message).is_ok());
    }

    #[test]
    fn types() {
        for kind in (0..=255).map(Icmp4Type) {
            assert_eq!(kind.is_error(), [3, 4, 5, 11, 12].contains(&kind.0), "{kind:?}");
            assert_eq!(kind.is_query(), [0, 8, 13, 14, 15, 16, 17, 18].contains(&kind.0), "{kind:?}");
        }
    }

    #[test]
    fn fragmentation_needed() {
        let header = Icmp4::fragmentation_needed(1400);
        assert_eq!(header.as_bytes(), &[3, 4, 0, 0, 0, 0, 0x05, 0x78]);
        assert_eq!(header.mtu(), 1400);
    }

    #[test]
    fn errors() {
        let errors: Vec<u8> = (0..=255).filter(|&kind| Icmp4Type(kind).is_error()).collect();
        assert_eq!(errors, [3, 4, 5, 11, 12]);
    }

    #[test]
    fn id_is_what_translation_rewrites() {
        let mut header = Icmp4::new(Icmp4Type::TIME_EXCEEDED, 0);
        header.set_id(0xabcd);
        assert_eq!(header.as_bytes(), &[11, 0, 0, 0, 0xab, 0xcd, 0, 0]);
    }
}
