//! Ethernet II (RFC 894) and 802.1Q tags.

use core::fmt;

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::MacAddr;

/// What an Ethernet frame or a VLAN tag carries. Numbers under 0x600 are lengths of 802.3 frames.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// A customer VLAN tag (802.1Q).
    pub const VLAN: Self = Self(0x8100);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
    /// A service VLAN tag (802.1ad), the outer of two.
    pub const SERVICE_VLAN: Self = Self(0x88a8);
    /// Slow protocols (IEEE 802.3 annex 57A): LACP, markers.
    pub const SLOW_PROTOCOLS: Self = Self(0x8809);
    /// Link layer discovery (IEEE 802.1AB).
    pub const LLDP: Self = Self(0x88cc);
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4 => f.write_str("ipv4"),
            Self::ARP => f.write_str("arp"),
            Self::VLAN => f.write_str("vlan"),
            Self::IPV6 => f.write_str("ipv6"),
            Self::SERVICE_VLAN => f.write_str("service-vlan"),
            Self::SLOW_PROTOCOLS => f.write_str("slow-protocols"),
            Self::LLDP => f.write_str("lldp"),
            Self(other) => write!(f, "{other:#06x}"),
        }
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An Ethernet II header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Ethernet {
    /// The station or group that the frame is for.
    pub dst: MacAddr,
    /// The station that sent it.
    pub src: MacAddr,
    ether_type: U16,
}

impl Ethernet {
    /// The header's length in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// A header.
    #[inline]
    #[must_use]
    pub const fn new(dst: MacAddr, src: MacAddr, ether_type: EtherType) -> Self {
        Self { dst, src, ether_type: U16::new(ether_type.0) }
    }

    /// What follows the header.
    #[inline]
    #[must_use]
    pub const fn ether_type(&self) -> EtherType {
        EtherType(self.ether_type.get())
    }

    /// Says what follows the header.
    #[inline]
    pub const fn set_ether_type(&mut self, ether_type: EtherType) {
        self.ether_type = U16::new(ether_type.0);
    }
}

/// What follows an [`EtherType::VLAN`] or [`EtherType::SERVICE_VLAN`]: the tag's control information and the next ethertype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Vlan {
    control: U16,
    ether_type: U16,
}

impl Vlan {
    /// The tag's length in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// A tag for VLAN `id`, of which the low 12 bits count, with priority 0.
    #[inline]
    #[must_use]
    pub const fn new(id: u16, ether_type: EtherType) -> Self {
        Self { control: U16::new(id & 0xfff), ether_type: U16::new(ether_type.0) }
    }

    /// The VLAN, 0 to 4095. 0 means priority only, no VLAN; 4095 is reserved.
    #[inline]
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.control.get() & 0xfff
    }

    /// The priority code point, 0 to 7.
    #[inline]
    #[must_use]
    pub const fn priority(&self) -> u8 {
        (self.control.get() >> 13) as u8
    }

    /// The whole tag control information: priority, drop eligibility, VLAN.
    #[inline]
    #[must_use]
    pub const fn control(&self) -> u16 {
        self.control.get()
    }

    /// Sets the whole tag control information, such as a kernel that stripped the tag reports it.
    #[inline]
    pub const fn set_control(&mut self, control: u16) {
        self.control = U16::new(control);
    }

    /// What follows the tag.
    #[inline]
    #[must_use]
    pub const fn ether_type(&self) -> EtherType {
        EtherType(self.ether_type.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [u8; 18] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x81, 0x00, 0xb0, 0x64, 0x08, 0x06];

    #[test]
    fn tagged_frame() {
        let (ethernet, rest) = Ethernet::ref_from_prefix(&FRAME).unwrap();
        assert!(ethernet.dst.is_broadcast());
        assert_eq!(ethernet.src.to_string(), "02:00:00:00:00:09");
        assert_eq!(ethernet.ether_type(), EtherType::VLAN);
        let (vlan, rest) = Vlan::ref_from_prefix(rest).unwrap();
        assert_eq!((vlan.id(), vlan.priority(), vlan.control()), (100, 5, 0xb064));
        assert_eq!(vlan.ether_type(), EtherType::ARP);
        assert!(rest.is_empty());
    }

    #[test]
    fn built_frame() {
        let mut ethernet = Ethernet::new(MacAddr::BROADCAST, MacAddr([2, 0, 0, 0, 0, 9]), EtherType::IPV4);
        ethernet.set_ether_type(EtherType::VLAN);
        let mut vlan = Vlan::new(100, EtherType::ARP);
        assert_eq!(vlan.control(), 100);
        vlan.set_control(0xb064);
        assert_eq!(ethernet.as_bytes(), &FRAME[..14]);
        assert_eq!(vlan.as_bytes(), &FRAME[14..]);
    }

    #[test]
    fn short_frames_are_refused() {
        assert!(Ethernet::ref_from_prefix(&FRAME[..13]).is_err());
        assert!(Vlan::ref_from_prefix(&FRAME[..3]).is_err());
    }

    #[test]
    fn names() {
        assert_eq!(EtherType::IPV6.to_string(), "ipv6");
        assert_eq!(EtherType(0x88b5).to_string(), "0x88b5");
        assert_eq!(EtherType(5).to_string(), "0x0005");
    }
}
