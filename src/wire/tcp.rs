//! TCP (RFC 9293): what a forwarder and a translator look at.

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The control bits of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Opens a connection.
    pub const SYN: Self = Self(0x02);
    /// Resets a connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);

    /// Whether all of `flags` are set.
    #[inline]
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Both sets of flags together.
    #[inline]
    #[must_use]
    pub const fn and(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }
}

/// The fixed part of a TCP header. Options, if any, follow it: see [`header_len`](Self::header_len).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Tcp {
    src_port: U16,
    dst_port: U16,
    sequence: U32,
    acknowledgment: U32,
    data_offset: u8,
    flags: u8,
    window: U16,
    checksum: U16,
    urgent: U16,
}

impl Tcp {
    /// The length of a header without options, in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// A header without options; numbers, window and checksum are zero.
    #[must_use]
    pub const fn new(src_port: u16, dst_port: u16, flags: TcpFlags) -> Self {
        Self {
            src_port: U16::new(src_port),
            dst_port: U16::new(dst_port),
            sequence: U32::ZERO,
            acknowledgment: U32::ZERO,
            data_offset: 5 << 4,
            flags: flags.0,
            window: U16::ZERO,
            checksum: U16::ZERO,
            urgent: U16::ZERO,
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

    /// The number of the first byte.
    #[inline]
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence.get()
    }

    /// The number of the byte that the sender waits for.
    #[inline]
    #[must_use]
    pub const fn acknowledgment(&self) -> u32 {
        self.acknowledgment.get()
    }

    /// Sets both numbers; the checksum stays as it was.
    #[inline]
    pub const fn set_numbers(&mut self, sequence: u32, acknowledgment: u32) {
        self.sequence = U32::new(sequence);
        self.acknowledgment = U32::new(acknowledgment);
    }

    /// The header's length in bytes, options included: a multiple of 4 up to 60; at least 20 in a valid one.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        (self.data_offset >> 4) as usize * 4
    }

    /// The control bits.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> TcpFlags {
        TcpFlags(self.flags)
    }

    /// The window, not scaled.
    #[inline]
    #[must_use]
    pub const fn window(&self) -> u16 {
        self.window.get()
    }

    /// The checksum.
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
        let bytes = [0x1f, 0x90, 0, 80, 0, 0, 0, 7, 0, 0, 1, 0, 0xa0, 0x12, 0x72, 0x10, 0xab, 0xcd, 0, 0];
        let tcp = Tcp::ref_from_bytes(&bytes).unwrap();
        assert_eq!((tcp.src_port(), tcp.dst_port()), (8080, 80));
        assert_eq!((tcp.sequence(), tcp.acknowledgment()), (7, 256));
        assert_eq!((tcp.header_len(), tcp.window(), tcp.checksum()), (40, 29200, 0xabcd));
        assert_eq!(tcp.flags(), TcpFlags::SYN.and(TcpFlags::ACK));
        assert!(tcp.flags().contains(TcpFlags::SYN) && !tcp.flags().contains(TcpFlags::SYN.and(TcpFlags::FIN)));
    }

    #[test]
    fn built() {
        let mut tcp = Tcp::new(1, 2, TcpFlags::RST);
        tcp.set_src_port(8080);
        tcp.set_dst_port(80);
        tcp.set_numbers(7, 256);
        tcp.set_checksum(0xabcd);
        let bytes = [0x1f, 0x90, 0, 80, 0, 0, 0, 7, 0, 0, 1, 0, 0x50, 4, 0, 0, 0xab, 0xcd, 0, 0];
        assert_eq!(tcp.as_bytes(), &bytes);
        assert_eq!(tcp.header_len(), Tcp::LEN);
    }
}
