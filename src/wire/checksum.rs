//! The Internet checksum: computing (RFC 1071) and updating it (RFC 1624).
//!
//! Sums are taken over words in the machine's own byte order and swapped once at the end, which RFC 1071 section 2(B) shows to be
//! the same. Checksums come and go as host-order numbers, as the headers' accessors have them.

use core::net::Ipv6Addr;

use crate::IpProtocol;

/// A one's complement sum in progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// Native-endian 32-bit words, summed without folding: room for 16 GiB of them.
    words: u64,
    /// An odd number of bytes was added, so the next piece begins in the low half of a word.
    odd: bool,
}

impl Sum {
    /// The sum of `bytes`.
    #[inline]
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::default().bytes(bytes)
    }

    /// Goes on with the next piece of the data, of any length and alignment.
    #[inline]
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let mut sum = sum_bytes(bytes);
        if self.odd {
            // The piece lies one byte further than it was summed: every one of its bytes has the other weight.
            sum = u64::from(fold(sum).swap_bytes());
        }
        Self { words: self.words + sum, odd: self.odd ^ (bytes.len() % 2 == 1) }
    }

    /// Goes on with a big-endian 16-bit field. Only after an even number of bytes.
    #[inline]
    #[must_use]
    pub const fn u16(self, value: u16) -> Self {
        debug_assert!(!self.odd, "a field after an odd number of bytes");
        Self { words: self.words + value.to_be() as u64, odd: self.odd }
    }

    /// Goes on with a big-endian 32-bit field. Only after an even number of bytes.
    #[inline]
    #[must_use]
    pub const fn u32(self, value: u32) -> Self {
        debug_assert!(!self.odd, "a field after an odd number of bytes");
        Self { words: self.words + value.to_be() as u64, odd: self.odd }
    }

    /// The checksum: what to put into the field that was zero, or left out, when summing.
    #[inline]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !u16::from_be(fold(self.words))
    }

    /// Whether data that includes its checksum is intact.
    #[inline]
    #[must_use]
    pub const fn is_ok(self) -> bool {
        fold(self.words) == 0xffff
    }
}

/// The end-around carry, until 16 bits are left. Zero only if `sum` is.
#[inline]
const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum + (sum >> 16)) as u16
}

#[inline]
fn sum_bytes(bytes: &[u8]) -> u64 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let mut sum = 0;
    // Halves are added apart, so that no carry is lost and the compiler may use vectors.
    for eight in eights {
        let word = u64::from_ne_bytes(*eight);
        sum += (word & 0xffff_ffff) + (word >> 32);
    }
    if !rest.is_empty() {
        // RFC 1071 section 4.1: a last odd byte is padded with zero on its right.
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let word = u64::from_ne_bytes(last);
        sum += (word & 0xffff_ffff) + (word >> 32);
    }
    sum
}

/// Whether an IPv4 header without options has a good checksum (RFC 1812 section 5.2.2). Straight-line code.
#[inline]
#[must_use]
pub const fn ipv4_header_ok(header: &[u8; 20]) -> bool {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = *header;
    let (sum, carry) =
        u64::from_ne_bytes([a, b, c, d, e, f, g, h]).overflowing_add(u64::from_ne_bytes([i, j, k, l, m, n, o, p]));
    let (sum, again) = sum.overflowing_add(u32::from_ne_bytes([q, r, s, t]) as u64 + carry as u64);
    let sum = sum.wrapping_add(again as u64);
    // Adding a number to itself with its halves swapped leaves in the upper half their sum with the end-around carry.
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    sum.wrapping_add(sum.rotate_left(16)) >> 16 == 0xffff
}

/// What changing fields under a checksum does to it (RFC 1624 equation 3), to be computed once and applied to many packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta(u16);

impl Delta {
    /// A 16-bit field changes, too.
    #[inline]
    #[must_use]
    pub const fn u16(self, old: u16, new: u16) -> Self {
        Self(fold(self.0 as u64 + !old as u64 + new as u64))
    }

    /// A 32-bit field changes, too.
    #[inline]
    #[must_use]
    pub const fn u32(self, old: u32, new: u32) -> Self {
        Self(fold(self.0 as u64 + !old as u64 + new as u64))
    }

    /// What another delta changes changes, too.
    #[inline]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(fold(self.0 as u64 + other.0 as u64))
    }

    /// What changing everything back does.
    #[inline]
    #[must_use]
    pub const fn inverse(self) -> Self {
        Self(!self.0)
    }

    /// The checksum after the change: `HC' = ~(~HC + ~m + m')`.
    #[inline]
    #[must_use]
    pub const fn apply(self, checksum: u16) -> u16 {
        let sum = !checksum as u32 + self.0 as u32;
        !((sum + (sum >> 16)) as u16)
    }

    /// The same for the checksum of UDP over IPv4, where zero says that there is none, which stays so, and a sum of zero is sent
    /// as 0xffff (RFC 768).
    #[inline]
    #[must_use]
    pub const fn apply_udp(self, checksum: u16) -> u16 {
        if checksum == 0 { 0 } else { never_zero(self.apply(checksum)) }
    }
}

/// The checksum after a 16-bit field under it went from `old` to `new` (RFC 1624).
#[inline]
#[must_use]
pub const fn update_u16(checksum: u16, old: u16, new: u16) -> u16 {
    Delta(0).u16(old, new).apply(checksum)
}

/// The checksum after a 32-bit field under it, or two 16-bit fields, went from `old` to `new` (RFC 1624).
#[inline]
#[must_use]
pub const fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    Delta(0).u32(old, new).apply(checksum)
}

/// The sum of the pseudo header of TCP and UDP over IPv4 (RFC 768, RFC 9293 section 3.1). Addresses in host order, `len` is that of
/// the segment with its header, in bytes.
#[inline]
#[must_use]
pub const fn pseudo_header4(src: u32, dst: u32, protocol: IpProtocol, len: u16) -> Sum {
    Sum { words: 0, odd: false }.u32(src).u32(dst).u16(protocol.0 as u16).u16(len)
}

/// The sum of the pseudo header of every transport over IPv6 (RFC 8200 section 8.1). `len` as in [`pseudo_header4`].
#[inline]
#[must_use]
pub fn pseudo_header6(src: &[u8; 16], dst: &[u8; 16], protocol: IpProtocol, len: u32) -> Sum {
    Sum::of(src).bytes(dst).u32(len).u32(u32::from(protocol.0))
}

/// The checksum of a UDP datagram over IPv4 whose checksum field is zero. Never zero (RFC 768).
#[inline]
#[must_use]
pub fn udp4(src: u32, dst: u32, datagram: &[u8]) -> u16 {
    never_zero(pseudo_header4(src, dst, IpProtocol::UDP, datagram.len() as u16).bytes(datagram).checksum())
}

/// The checksum of a TCP segment over IPv4 whose checksum field is zero.
#[inline]
#[must_use]
pub fn tcp4(src: u32, dst: u32, segment: &[u8]) -> u16 {
    pseudo_header4(src, dst, IpProtocol::TCP, segment.len() as u16).bytes(segment).checksum()
}

/// The checksum of an ICMP message over IPv4 whose checksum field is zero (RFC 792).
#[inline]
#[must_use]
pub fn icmp4(message: &[u8]) -> u16 {
    Sum::of(message).checksum()
}

/// The checksum of an ICMP message over IPv6 whose checksum field is zero (RFC 4443 section 2.3). For one that lies in pieces, go on
/// from [`pseudo_header6`].
#[inline]
#[must_use]
pub fn icmp6(src: Ipv6Addr, dst: Ipv6Addr, message: &[u8]) -> u16 {
    transport6(src, dst, IpProtocol::ICMP6, message)
}

/// The checksum of a UDP datagram over IPv6 whose checksum field is zero. Never zero (RFC 8200 section 8.1).
#[inline]
#[must_use]
pub fn udp6(src: Ipv6Addr, dst: Ipv6Addr, datagram: &[u8]) -> u16 {
    never_zero(transport6(src, dst, IpProtocol::UDP, datagram))
}

/// The checksum of a TCP segment over IPv6 whose checksum field is zero.
#[inline]
#[must_use]
pub fn tcp6(src: Ipv6Addr, dst: Ipv6Addr, segment: &[u8]) -> u16 {
    transport6(src, dst, IpProtocol::TCP, segment)
}

fn transport6(src: Ipv6Addr, dst: Ipv6Addr, protocol: IpProtocol, data: &[u8]) -> u16 {
    pseudo_header6(&src.octets(), &dst.octets(), protocol, data.len() as u32).bytes(data).checksum()
}

/// Zero and 0xffff are the same number in one's complement; UDP has the first mean "no checksum".
const fn never_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

#[cfg(test)]
#[path = "checksum_tests.rs"]
mod tests;
