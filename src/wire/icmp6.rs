//! ICMP for IPv6 (RFC 4443): the header that all messages begin with.

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Icmp6Type(pub u8);

impl Icmp6Type {
    /// A packet can't be delivered; the code is one of [`mod@unreachable6`].
    pub const UNREACHABLE: Self = Self(1);
    /// A packet is longer than the MTU of the next link, which the message tells.
    pub const PACKET_TOO_BIG: Self = Self(2);
    /// The hop limit ran out (code 0), or reassembly took too long (code 1).
    pub const TIME_EXCEEDED: Self = Self(3);
    /// A field of a header makes no sense; the code is one of [`mod@parameter_problem`].
    pub const PARAMETER_PROBLEM: Self = Self(4);
    /// Asks for an echo reply.
    pub const ECHO_REQUEST: Self = Self(128);
    /// The answer to an echo request.
    pub const ECHO_REPLY: Self = Self(129);
    /// Asks who listens to multicast groups (RFC 2710, RFC 3810).
    pub const LISTENER_QUERY: Self = Self(130);
    /// A station listens to a group (RFC 2710).
    pub const LISTENER_REPORT: Self = Self(131);
    /// A station no longer listens to a group (RFC 2710).
    pub const LISTENER_DONE: Self = Self(132);
    /// Asks routers to advertise themselves (RFC 4861 section 4.1).
    pub const ROUTER_SOLICITATION: Self = Self(133);
    /// A router is here, and so are the link's prefixes (RFC 4861 section 4.2).
    pub const ROUTER_ADVERTISEMENT: Self = Self(134);
    /// Asks a neighbour for its link-layer address (RFC 4861 section 4.3).
    pub const NEIGHBOR_SOLICITATION: Self = Self(135);
    /// Tells a link-layer address (RFC 4861 section 4.4).
    pub const NEIGHBOR_ADVERTISEMENT: Self = Self(136);
    /// There is a better first hop (RFC 4861 section 4.5).
    pub const REDIRECT: Self = Self(137);
    /// The groups that a station listens to (RFC 3810).
    pub const LISTENER_REPORT_V2: Self = Self(143);

    /// Whether it reports an error: no error may be sent about it (RFC 4443 section 2.4 (e.1)). All below 128 (section 2.1).
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 < 128
    }

    /// Whether it is neighbour discovery: what RFC 4861 wants sent with a hop limit of 255.
    #[inline]
    #[must_use]
    pub const fn is_neighbor_discovery(self) -> bool {
        matches!(self.0, 133..=137)
    }
}

/// Codes of [`Icmp6Type::UNREACHABLE`] (RFC 4443 section 3.1).
pub mod unreachable6 {
    /// No route.
    pub const NO_ROUTE: u8 = 0;
    /// Forbidden by a filter or a prohibiting route.
    pub const ADMINISTRATIVELY_PROHIBITED: u8 = 1;
    /// The source's scope ends here: a link-local source and a destination beyond the link.
    pub const BEYOND_SCOPE: u8 = 2;
    /// The neighbour does not answer.
    pub const ADDRESS: u8 = 3;
    /// Nothing listens on the port.
    pub const PORT: u8 = 4;
    /// The source address failed an ingress or egress policy.
    pub const FAILED_POLICY: u8 = 5;
    /// A route refuses the destination.
    pub const REJECT_ROUTE: u8 = 6;
}

/// Codes of [`Icmp6Type::PARAMETER_PROBLEM`] (RFC 4443 section 3.4, RFC 7112 section 5).
pub mod parameter_problem {
    /// A header field is erroneous.
    pub const HEADER: u8 = 0;
    /// The next header isn't known.
    pub const NEXT_HEADER: u8 = 1;
    /// An option isn't known.
    pub const OPTION: u8 = 2;
    /// The first fragment does not hold all headers.
    pub const INCOMPLETE_HEADER_CHAIN: u8 = 3;
}

/// The header of every message: type, code, checksum and four bytes that depend on the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Icmp6 {
    kind: u8,
    code: u8,
    checksum: U16,
    rest: U32,
}

impl Icmp6 {
    /// The header's length in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// A header whose checksum and last four bytes are zero.
    #[must_use]
    pub const fn new(kind: Icmp6Type, code: u8) -> Self {
        Self { kind: kind.0, code, checksum: U16::ZERO, rest: U32::ZERO }
    }

    /// The same header with these last four bytes, as a big-endian number: an MTU, a pointer, flags.
    #[must_use]
    pub const fn with_rest(mut self, rest: u32) -> Self {
        self.rest = U32::new(rest);
        self
    }

    /// "Packet too big", with the MTU of the next link in bytes (RFC 4443 section 3.2); the checksum is zero.
    #[must_use]
    pub const fn packet_too_big(mtu: u32) -> Self {
        Self::new(Icmp6Type::PACKET_TOO_BIG, 0).with_rest(mtu)
    }

    /// An echo request; the checksum is zero.
    #[must_use]
    pub const fn echo_request(id: u16, sequence: u16) -> Self {
        Self::new(Icmp6Type::ECHO_REQUEST, 0).with_rest((id as u32) << 16 | sequence as u32)
    }

    /// What the message is about.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> Icmp6Type {
        Icmp6Type(self.kind)
    }

    /// Sets what it is about; the checksum stays as it was.
    #[inline]
    pub const fn set_kind(&mut self, kind: Icmp6Type) {
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

    /// The checksum over pseudo header and message (RFC 4443 section 2.3).
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

    /// The four bytes that depend on the type: the MTU of "packet too big", the pointer of a parameter problem, flags.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> u32 {
        self.rest.get()
    }

    /// The identifier of an echo request or reply.
    #[inline]
    #[must_use]
    pub const fn id(&self) -> u16 {
        (self.rest.get() >> 16) as u16
    }

    /// The sequence number of an echo request or reply.
    #[inline]
    #[must_use]
    pub const fn sequence(&self) -> u16 {
        self.rest.get() as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum;
    use core::net::Ipv6Addr;

    /// An echo request from ::1 to ::1 with id 0x0d24, sequence 1 and eight bytes of data. By hand: 0x465e is the complement of
    /// 1 + 1 + 16 + 58 + 0x8000 + 0x0d24 + 1 + 0x0809 + 0x0a0b + 0x0c0d + 0x0e0f.
    const ECHO: [u8; 16] = [128, 0, 0x46, 0x5e, 0x0d, 0x24, 0, 1, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f];

    #[test]
    fn echo() {
        let (header, data) = Icmp6::ref_from_prefix(&ECHO).unwrap();
        assert_eq!((header.kind(), header.code(), header.kind_and_code()), (Icmp6Type::ECHO_REQUEST, 0, 0x8000));
        assert_eq!((header.id(), header.sequence(), header.rest(), data.len()), (0x0d24, 1, 0x0d24_0001, 8));
        let mut message = ECHO;
        let (built, _) = Icmp6::mut_from_prefix(&mut message).unwrap();
        *built = Icmp6::echo_request(0x0d24, 1);
        let sum = checksum::icmp6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, &message);
        let (built, _) = Icmp6::mut_from_prefix(&mut message).unwrap();
        built.set_checksum(sum);
        assert_eq!(message, ECHO);
        let (built, _) = Icmp6::mut_from_prefix(&mut message).unwrap();
        built.set_kind(Icmp6Type::ECHO_REPLY);
        assert_eq!((message[0], &message[1..]), (129, &ECHO[1..]));
    }

    #[test]
    fn errors() {
        let too_big = Icmp6::packet_too_big(1280);
        assert_eq!((too_big.as_bytes(), too_big.rest()), (&[2, 0, 0, 0, 0, 0, 5, 0][..], 1280));
        let problem = Icmp6::new(Icmp6Type::PARAMETER_PROBLEM, parameter_problem::OPTION).with_rest(42);
        assert_eq!(problem.as_bytes(), &[4, 2, 0, 0, 0, 0, 0, 42]);
        assert!(Icmp6::ref_from_prefix(&ECHO[..7]).is_err());
    }

    #[test]
    fn types() {
        for kind in (0..=255).map(Icmp6Type) {
            assert_eq!(kind.is_error(), kind.0 <= 127, "{kind:?}");
            assert_eq!(kind.is_neighbor_discovery(), [133, 134, 135, 136, 137].contains(&kind.0), "{kind:?}");
        }
    }
}
