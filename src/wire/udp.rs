//! UDP (RFC 768).

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Udp {
    src_port: U16,
    dst_port: U16,
    len: U16,
    checksum: U16,
}

impl Udp {
    /// The header's length in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// The header of a datagram with `payload_len` bytes (at most 65,527) and no checksum.
    #[must_use]
    pub const fn new(src_port: u16, dst_port: u16, payload_len: u16) -> Self {
        Self {
            src_port: U16::new(src_port),
            dst_port: U16::new(dst_port),
            len: U16::new(payload_len.saturating_add(Self::LEN as u16)),
            checksum: U16::ZERO,
        }
    }

    /// The sender's port.
    #[inline]
    #[must_use]
    pub const fn src_port(&self) -> u16 {
        self.src_port.get()
    }

    /// The receiver's port.
    #[inline]
    #[must_use]
    pub const fn dst_port(&self) -> u16 {
        self.dst_port.get()
    }

    /// Sets the sender's port; the checksum stays as it was.
    #[inline]
    pub const fn set_src_port(&mut self, port: u16) {
        self.src_port = U16::new(port);
    }

    /// Sets the receiver's port; the checksum stays as it was.
    #[inline]
    pub const fn set_dst_port(&mut self, port: u16) {
        self.dst_port = U16::new(port);
    }

    /// The datagram's length in bytes, header included.
    #[inline]
    #[must_use]
    pub const fn datagram_len(&self) -> u16 {
        self.len.get()
    }

    /// The checksum; zero says that there is none.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let mut udp = Udp::new(1, 2, 100);
        udp.set_src_port(0x1234);
        udp.set_dst_port(53);
        udp.set_checksum(0xabcd);
        assert_eq!(udp.as_bytes(), &[0x12, 0x34, 0, 53, 0, 108, 0xab, 0xcd]);
        assert_eq!((udp.src_port(), udp.dst_port(), udp.datagram_len(), udp.checksum()), (0x1234, 53, 108, 0xabcd));
        assert!(Udp::ref_from_prefix(&[0; 7]).is_err());
    }
}
