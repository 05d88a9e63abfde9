//! IPv6 (RFC 8200): the fixed header.

use core::net::Ipv6Addr;

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::IpProtocol;

/// The fixed IPv6 header. Extension headers, if any, follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Ipv6 {
    version_class_flow: U32,
    payload_len: U16,
    next_header: u8,
    hop_limit: u8,
    src: [u8; 16],
    dst: [u8; 16],
}

impl Ipv6 {
    /// The header's length in bytes.
    pub const LEN: usize = size_of::<Self>();
    /// Where in it the payload length lies, in bytes: what a parameter problem points at.
    pub const PAYLOAD_LEN: usize = 4;
    /// Where in it the next header lies, in bytes.
    pub const NEXT_HEADER: usize = 6;

    /// A header for a payload of `payload_len` bytes, with traffic class and flow label zero.
    #[must_use]
    pub const fn new(src: Ipv6Addr, dst: Ipv6Addr, next_header: IpProtocol, hop_limit: u8, payload_len: u16) -> Self {
        Self {
            version_class_flow: U32::new(6 << 28),
            payload_len: U16::new(payload_len),
            next_header: next_header.0,
            hop_limit,
            src: src.octets(),
            dst: dst.octets(),
        }
    }

    /// The version: 6.
    #[inline]
    #[must_use]
    pub const fn version(&self) -> u8 {
        (self.version_class_flow.get() >> 28) as u8
    }

    /// DSCP (upper 6 bits) and ECN.
    #[inline]
    #[must_use]
    pub const fn traffic_class(&self) -> u8 {
        (self.version_class_flow.get() >> 20) as u8
    }

    /// The flow label, 20 bits.
    #[inline]
    #[must_use]
    pub const fn flow_label(&self) -> u32 {
        self.version_class_flow.get() & 0xf_ffff
    }

    /// The length of what follows this header, in bytes.
    #[inline]
    #[must_use]
    pub const fn payload_len(&self) -> u16 {
        self.payload_len.get()
    }

    /// What follows this header: a transport or an extension header.
    #[inline]
    #[must_use]
    pub const fn next_header(&self) -> IpProtocol {
        IpProtocol(self.next_header)
    }

    /// How many hops it has left.
    #[inline]
    #[must_use]
    pub const fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// Counts one hop. Only for a limit above 0.
    #[inline]
    pub const fn count_down(&mut self) {
        self.hop_limit = self.hop_limit.wrapping_sub(1);
    }

    /// Says how much follows this header, in bytes.
    #[inline]
    pub const fn set_payload_len(&mut self, len: u16) {
        self.payload_len = U16::new(len);
    }

    /// Says what follows this header.
    #[inline]
    pub const fn set_next_header(&mut self, next_header: IpProtocol) {
        self.next_header = next_header.0;
    }

    /// Sets DSCP (upper 6 bits) and ECN.
    #[inline]
    pub const fn set_traffic_class(&mut self, class: u8) {
        let rest = self.version_class_flow.get() & 0xf00f_ffff;
        self.version_class_flow = U32::new(rest | (class as u32) << 20);
    }

    /// The source address in host order.
    #[inline(always)]
    #[must_use]
    pub const fn src_u128(&self) -> u128 {
        u128::from_be_bytes(self.src)
    }

    /// The destination address in host order.
    #[inline(always)]
    #[must_use]
    pub const fn dst_u128(&self) -> u128 {
        u128::from_be_bytes(self.dst)
    }

    /// The source address.
    #[inline]
    #[must_use]
    pub const fn src(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(self.src)
    }

    /// The destination address.
    #[inline]
    #[must_use]
    pub const fn dst(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(self.dst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&[0x6b, 0x8a, 0xbc, 0xde, 0, 16, 17, 64]);
        bytes[23] = 1;
        bytes[24..28].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        let ip = Ipv6::ref_from_bytes(&bytes).unwrap();
        assert_eq!((ip.version(), ip.traffic_class(), ip.flow_label()), (6, 0xb8, 0xa_bcde));
        assert_eq!((ip.payload_len(), ip.next_header(), ip.hop_limit()), (16, IpProtocol::UDP, 64));
        assert_eq!((ip.src(), ip.dst().to_string().as_str()), (Ipv6Addr::LOCALHOST, "2001:db8::"));

        assert_eq!((ip.src_u128(), ip.dst_u128()), (1, 0x2001_0db8 << 96));

        let ip = Ipv6::mut_from_bytes(&mut bytes).unwrap();
        ip.set_traffic_class(0x5a);
        ip.set_payload_len(0x1234);
        ip.set_next_header(IpProtocol::TCP);
        ip.count_down();
        assert_eq!((ip.version(), ip.traffic_class(), ip.flow_label()), (6, 0x5a, 0xa_bcde));
        assert_eq!((ip.payload_len(), ip.next_header(), ip.hop_limit()), (0x1234, IpProtocol::TCP, 63));

        bytes[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 16, 17, 64]);
        let built = Ipv6::new(Ipv6Addr::LOCALHOST, "2001:db8::".parse().unwrap(), IpProtocol::UDP, 64, 16);
        assert_eq!(built.as_bytes(), &bytes);

        assert_eq!(built.as_bytes()[Ipv6::NEXT_HEADER], 17);
        assert_eq!(built.as_bytes()[Ipv6::PAYLOAD_LEN + 1], 16);
    }
}
