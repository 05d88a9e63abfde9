//! IPv4 (RFC 791).

use core::net::Ipv4Addr;

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::IpProtocol;
use crate::checksum::{self, Sum};

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
/// In units of 8 bytes.
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// The fixed part of an IPv4 header. Options, if any, follow it: see [`header_len`](Self::header_len).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Ipv4 {
    version_and_len: u8,
    tos: u8,
    total_len: U16,
    id: U16,
    flags_and_offset: U16,
    ttl: u8,
    protocol: u8,
    checksum: U16,
    src: U32,
    dst: U32,
}

impl Ipv4 {
    /// The length of a header without options, in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// A header without options for a payload of `payload_len` bytes (at most 65,515). Everything else, the checksum too, is zero:
    /// end with [`fill_checksum`](Self::fill_checksum).
    #[must_use]
    pub const fn new(src: Ipv4Addr, dst: Ipv4Addr, protocol: IpProtocol, ttl: u8, payload_len: u16) -> Self {
        Self {
            version_and_len: 0x45,
            tos: 0,
            total_len: U16::new(payload_len.saturating_add(Self::LEN as u16)),
            id: U16::ZERO,
            flags_and_offset: U16::ZERO,
            ttl,
            protocol: protocol.0,
            checksum: U16::ZERO,
            src: U32::new(src.to_bits()),
            dst: U32::new(dst.to_bits()),
        }
    }

    /// The version: 4.
    #[inline]
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version_and_len >> 4
    }

    /// The header's length in bytes, options included: a multiple of 4 up to 60; at least 20 in a valid one.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        (self.version_and_len & 15) as usize * 4
    }

    /// Whether it is version 4 without options, which nearly every packet is.
    #[inline]
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.version_and_len == 0x45
    }

    /// The type of service byte: DSCP (upper 6 bits) and ECN.
    #[inline]
    #[must_use]
    pub const fn tos(&self) -> u8 {
        self.tos
    }

    /// Sets DSCP and ECN.
    #[inline]
    pub const fn set_tos(&mut self, tos: u8) {
        self.tos = tos;
    }

    /// The packet's length in bytes, header included.
    #[inline]
    #[must_use]
    pub const fn total_len(&self) -> u16 {
        self.total_len.get()
    }

    /// Sets the packet's length.
    #[inline]
    pub const fn set_total_len(&mut self, len: u16) {
        self.total_len = U16::new(len);
    }

    /// Tells the fragments of one packet from those of another.
    #[inline]
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id.get()
    }

    /// Sets the identification.
    #[inline]
    pub const fn set_id(&mut self, id: u16) {
        self.id = U16::new(id);
    }

    /// Whether routers must not fragment it.
    #[inline]
    #[must_use]
    pub const fn dont_fragment(&self) -> bool {
        self.flags_and_offset.get() & DONT_FRAGMENT != 0
    }

    /// Forbids or allows routers to fragment it.
    #[inline]
    pub const fn set_dont_fragment(&mut self, forbid: bool) {
        let rest = self.flags_and_offset.get() & !DONT_FRAGMENT;
        self.flags_and_offset = U16::new(rest | if forbid { DONT_FRAGMENT } else { 0 });
    }

    /// Whether it is a fragment other than the last.
    #[inline]
    #[must_use]
    pub const fn more_fragments(&self) -> bool {
        self.flags_and_offset.get() & MORE_FRAGMENTS != 0
    }

    /// Where the payload lies in that of the original packet, in bytes: a multiple of 8, up to 65,528.
    #[inline]
    #[must_use]
    pub const fn fragment_offset(&self) -> u16 {
        (self.flags_and_offset.get() & FRAGMENT_OFFSET) * 8
    }

    /// Whether it is a fragment, the first included.
    #[inline]
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.flags_and_offset.get() & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0
    }

    /// Whether it is a fragment other than the first: it has no transport header, and no ICMP error is sent about it (RFC 1812
    /// section 4.3.2.7).
    #[inline]
    #[must_use]
    pub const fn is_later_fragment(&self) -> bool {
        self.flags_and_offset.get() & FRAGMENT_OFFSET != 0
    }

    /// Makes it the fragment at `offset` bytes (of which the lower 3 bits are ignored); keeps "don't fragment" as it is.
    #[inline]
    pub const fn set_fragment(&mut self, offset: u16, more: bool) {
        let rest = self.flags_and_offset.get() & !(MORE_FRAGMENTS | FRAGMENT_OFFSET);
        self.flags_and_offset = U16::new(rest | (offset / 8) | if more { MORE_FRAGMENTS } else { 0 });
    }

    /// How many hops it has left.
    #[inline]
    #[must_use]
    pub const fn ttl(&self) -> u8 {
        self.ttl
    }

    /// Sets the hops it has left; the checksum stays as it was.
    #[inline]
    pub const fn set_ttl(&mut self, ttl: u8) {
        self.ttl = ttl;
    }

    /// Takes one hop off, and updates the checksum by RFC 1624. The caller has seen that the TTL is not zero.
    #[inline]
    pub const fn dec_ttl(&mut self) {
        debug_assert!(self.ttl != 0);
        self.ttl = self.ttl.wrapping_sub(1);
        // Equation 3, HC' = ~(~HC + ~m + m'). The TTL is the upper byte of its word, so m' = m - 0x100, whatever the protocol is,
        // and ~m + m' = 0xffff - 0x100.
        let sum = !self.checksum.get() as u32 + 0xfeff;
        self.checksum = U16::new(!((sum + (sum >> 16)) as u16));
    }

    /// What it carries.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        IpProtocol(self.protocol)
    }

    /// The header checksum.
    #[inline]
    #[must_use]
    pub const fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Sets the header checksum, such as one that was updated by a [`Delta`](checksum::Delta).
    #[inline]
    pub const fn set_checksum(&mut self, checksum: u16) {
        self.checksum = U16::new(checksum);
    }

    /// Whether the checksum of a header without options is right. With options, sum all of it by [`Sum::of`].
    #[inline]
    #[must_use]
    pub fn checksum_ok(&self) -> bool {
        checksum::ipv4_header_ok(zerocopy::transmute_ref!(self))
    }

    /// Computes the checksum. `options` are the bytes between this and the payload, mostly none.
    #[inline]
    pub fn fill_checksum(&mut self, options: &[u8]) {
        self.checksum = U16::ZERO;
        self.checksum = U16::new(Sum::of(self.as_bytes()).bytes(options).checksum());
    }

    /// The source address.
    #[inline]
    #[must_use]
    pub const fn src(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.src.get())
    }

    /// The destination address.
    #[inline]
    #[must_use]
    pub const fn dst(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.dst.get())
    }

    /// The source address as a number in host order.
    #[inline]
    #[must_use]
    pub const fn src_u32(&self) -> u32 {
        self.src.get()
    }

    /// The destination address as a number in host order, as tables have it.
    #[inline]
    #[must_use]
    pub const fn dst_u32(&self) -> u32 {
        self.dst.get()
    }

    /// Sets the source address, in host order; the checksum stays as it was.
    #[inline]
    pub const fn set_src(&mut self, src: u32) {
        self.src = U32::new(src);
    }

    /// Sets the destination address, in host order; the checksum stays as it was.
    #[inline]
    pub const fn set_dst(&mut self, dst: u32) {
        self.dst = U32::new(dst);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACKET: [u8; 20] = [
        0x45, 0xb8, 0x00, 0x73, 0x12, 0x34, 0x40, 0x00, 0x40, 0x11, 0xa5, 0x75, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8,
        0x00, 0xc7,
    ];

    #[test]
    fn read() {
        let ip = Ipv4::ref_from_bytes(&PACKET).unwrap();
        assert_eq!((ip.version(), ip.header_len(), ip.is_plain()), (4, 20, true));
        assert_eq!((ip.tos(), ip.total_len(), ip.id()), (0xb8, 115, 0x1234));
        assert!(ip.dont_fragment() && !ip.more_fragments() && !ip.is_fragment() && !ip.is_later_fragment());
        assert_eq!((ip.ttl(), ip.protocol()), (64, IpProtocol::UDP));
        assert_eq!((ip.checksum(), ip.checksum_ok()), (0xa575, true));
        assert_eq!((ip.src(), ip.dst()), (Ipv4Addr::new(192, 168, 0, 1), Ipv4Addr::new(192, 168, 0, 199)));
        assert_eq!((ip.src_u32(), ip.dst_u32()), (0xc0a8_0001, 0xc0a8_00c7));
        assert!(Ipv4::ref_from_prefix(&PACKET[..19]).is_err());
    }

    #[test]
    fn write() {
        let mut ip = Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, IpProtocol::UDP, 1, 0);
        assert_eq!(ip.total_len(), 20);
        ip.set_tos(0xb8);
        ip.set_total_len(115);
        ip.set_id(0x1234);
        ip.set_dont_fragment(true);
        ip.set_ttl(64);
        ip.set_src(0xc0a8_0001);
        ip.set_dst(0xc0a8_00c7);
        ip.fill_checksum(&[]);
        assert_eq!(ip.as_bytes(), &PACKET);
        ip.set_checksum(7);
        assert!(!ip.checksum_ok());
    }

    #[test]
    fn fragments() {
        let mut ip = Ipv4::new(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, IpProtocol::UDP, 64, 100);
        ip.set_fragment(0, true);
        assert!(ip.is_fragment() && ip.more_fragments() && !ip.is_later_fragment());
        ip.set_fragment(65_528, false);
        assert_eq!((ip.fragment_offset(), ip.more_fragments(), ip.is_later_fragment()), (65_528, false, true));
        assert!(!ip.dont_fragment());
        ip.set_dont_fragment(true);
        ip.set_fragment(1480, true);
        assert!(ip.dont_fragment() && ip.more_fragments());
        assert_eq!(ip.fragment_offset(), 1480);
        ip.set_dont_fragment(false);
        assert_eq!((ip.dont_fragment(), ip.fragment_offset()), (false, 1480));
    }

    #[test]
    fn options_count_for_the_checksum() {
        let mut bytes = [0; 24];
        bytes[..20].copy_from_slice(&PACKET);
        bytes[0] = 0x46;
        bytes[20..].copy_from_slice(&[0x94, 4, 0, 0]); // router alert, RFC 2113
        let (ip, options) = Ipv4::mut_from_prefix(&mut bytes).unwrap();
        assert_eq!((ip.header_len(), ip.is_plain()), (24, false));
        ip.fill_checksum(options);
        assert!(Sum::of(&bytes).is_ok());
    }

    /// RFC 1624 section 5: where RFC 1141's update of the TTL would leave 0xffff, the right checksum is zero.
    #[test]
    fn dec_ttl_to_checksum_zero() {
        let mut ip = Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, IpProtocol::UDP, 64, 0);
        ip.fill_checksum(&[]);
        // What the checksum lacks to 0xfeff goes into the identification.
        ip.set_id(checksum::Delta::default().u16(0xfeff, ip.checksum()).apply(0xffff) ^ 0xffff);
        ip.fill_checksum(&[]);
        assert_eq!(ip.checksum(), 0xfeff);
        ip.dec_ttl();
        assert_eq!((ip.checksum(), ip.checksum_ok()), (0, true));
    }

    proptest! {
        #[test]
        fn dec_ttl_is_recomputed(bytes: [u8; 20], ttl in 1_u8..) {
            let mut ip = Ipv4::read_from_bytes(&bytes).unwrap();
            ip.set_ttl(ttl);
            ip.fill_checksum(&[]);
            ip.dec_ttl();
            prop_assert_eq!(ip.ttl(), ttl - 1);
            let updated = ip.checksum();
            ip.fill_checksum(&[]);
            // The all-zero header, which is none, is the one whose sum has two representations.
            prop_assume!(ip.as_bytes()[..10] != [0; 10] || ip.as_bytes()[12..] != [0; 8]);
            prop_assert_eq!(updated, ip.checksum());
        }
    }
}
