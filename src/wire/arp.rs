//! ARP for IPv4 over Ethernet (RFC 826).

use core::net::Ipv4Addr;

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{EtherType, MacAddr};

/// Hardware type of Ethernet (RFC 826, ar$hrd).
const ETHERNET: u16 = 1;

/// Whether a packet asks or answers (ar$op).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpOperation(pub u16);

impl ArpOperation {
    /// Who has the target address?
    pub const REQUEST: Self = Self(1);
    /// The sender has the sender address.
    pub const REPLY: Self = Self(2);
}

/// An ARP packet, as long as IPv4 over Ethernet makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Arp {
    hardware_type: U16,
    protocol_type: U16,
    hardware_len: u8,
    protocol_len: u8,
    operation: U16,
    /// The sender's MAC address.
    pub sender_mac: MacAddr,
    sender: U32,
    /// The target's MAC address; unset in a request.
    pub target_mac: MacAddr,
    target: U32,
}

impl Arp {
    /// The packet's length in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// A packet for IPv4 over Ethernet.
    #[must_use]
    pub const fn new(operation: ArpOperation, sender: (MacAddr, Ipv4Addr), target: (MacAddr, Ipv4Addr)) -> Self {
        Self {
            hardware_type: U16::new(ETHERNET),
            protocol_type: U16::new(EtherType::IPV4.0),
            hardware_len: 6,
            protocol_len: 4,
            operation: U16::new(operation.0),
            sender_mac: sender.0,
            sender: U32::new(sender.1.to_bits()),
            target_mac: target.0,
            target: U32::new(target.1.to_bits()),
        }
    }

    /// Asks who has `target`. A gratuitous announcement is a request for the sender's own address (RFC 5227 section 3).
    #[must_use]
    pub const fn request(sender: (MacAddr, Ipv4Addr), target: Ipv4Addr) -> Self {
        Self::new(ArpOperation::REQUEST, sender, (MacAddr::ZERO, target))
    }

    /// The answer to this request by the owner of its target address, who has `mac`.
    #[must_use]
    pub const fn reply(&self, mac: MacAddr) -> Self {
        Self::new(ArpOperation::REPLY, (mac, self.target()), (self.sender_mac, self.sender()))
    }

    /// Whether the packet is about IPv4 over Ethernet, so that the other fields mean what they say.
    #[inline]
    #[must_use]
    pub const fn is_ipv4_over_ethernet(&self) -> bool {
        self.hardware_type.get() == ETHERNET
            && self.protocol_type.get() == EtherType::IPV4.0
            && self.hardware_len == 6
            && self.protocol_len == 4
    }

    /// Request or reply.
    #[inline]
    #[must_use]
    pub const fn operation(&self) -> ArpOperation {
        ArpOperation(self.operation.get())
    }

    /// The sender's IPv4 address; 0.0.0.0 in a probe (RFC 5227).
    #[inline]
    #[must_use]
    pub const fn sender(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.sender.get())
    }

    /// The IPv4 address that is asked for, or that of the one who asked.
    #[inline]
    #[must_use]
    pub const fn target(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.target.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
    const REQUEST: [u8; 28] = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1];

    #[test]
    fn request_and_reply() {
        let request = Arp::request((MAC, Ipv4Addr::new(10, 0, 0, 9)), Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(request.as_bytes(), &REQUEST);
        assert!(request.is_ipv4_over_ethernet());
        assert_eq!(request.operation(), ArpOperation::REQUEST);

        let router = MacAddr([2, 0, 0, 0, 0, 1]);
        let reply = Arp::ref_from_bytes(&REQUEST).unwrap().reply(router);
        assert_eq!(reply.operation(), ArpOperation::REPLY);
        assert_eq!((reply.sender_mac, reply.sender()), (router, Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!((reply.target_mac, reply.target()), (MAC, Ipv4Addr::new(10, 0, 0, 9)));
    }

    #[test]
    fn other_address_families_are_told_apart() {
        for (at, value) in [(1, 6), (2, 0x86), (4, 8), (5, 16)] {
            let mut bytes = REQUEST;
            bytes[at] = value;
            assert!(!Arp::ref_from_bytes(&bytes).unwrap().is_ipv4_over_ethernet(), "byte {at}");
        }
        assert!(Arp::ref_from_prefix(&REQUEST[..27]).is_err());
    }
}
