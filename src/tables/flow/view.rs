//! What a flow is known by.

use std::fmt;
use std::net::Ipv4Addr;

/// Which side of the translator, or of the firewall, a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The protected network.
    Inside = 0,
    /// The rest of the world.
    Outside = 1,
}

impl Side {
    /// The side that a packet from this one goes to.
    #[inline(always)]
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Inside => Self::Outside,
            Self::Outside => Self::Inside,
        }
    }
}

/// One side's view of a flow: bytes 12 to 24 of an IPv4 packet without options, which are source, destination, source port and
/// destination port, in network order.
///
/// Of ICMP queries the identifier is the inside's port: the source port of packets from inside, where the destination port is 0, and
/// the destination port of packets from outside, where the source port is 0. Of other protocols both ports are 0.
///
/// Kept as the two numbers that it is compared, hashed and copied by: a load that takes in more than one store waits for all before.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(C, packed(4))]
pub struct View {
    /// Source below destination.
    addresses: u64,
    /// Source port below destination port.
    ports: u32,
}

const _: () = assert!(size_of::<View>() == 12);

impl View {
    /// Of packets from `source` and `source_port` to the others.
    #[inline]
    #[must_use]
    pub const fn new(source: Ipv4Addr, source_port: u16, destination: Ipv4Addr, destination_port: u16) -> Self {
        let (source, destination) = (source.to_bits().to_be(), destination.to_bits().to_be());
        let (source_port, destination_port) = (source_port.to_be(), destination_port.to_be());
        Self {
            addresses: source as u64 | (destination as u64) << 32,
            ports: source_port as u32 | (destination_port as u32) << 16,
        }
    }

    /// As they stand in a packet.
    #[inline(always)]
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Self { addresses: u64::from_le_bytes([a, b, c, d, e, f, g, h]), ports: u32::from_le_bytes([i, j, k, l]) }
    }

    #[inline(always)]
    pub(super) const fn from_numbers((addresses, ports): (u64, u32)) -> Self {
        Self { addresses, ports }
    }

    /// Addresses and ports.
    #[inline(always)]
    pub(super) const fn numbers(self) -> (u64, u32) {
        (self.addresses, self.ports)
    }

    /// As they stand in a packet.
    #[inline(always)]
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 12] {
        // SAFETY: twelve bytes without padding, and any bytes may be read as such.
        unsafe { &*std::ptr::from_ref(self).cast() }
    }

    /// The source address.
    #[inline(always)]
    #[must_use]
    pub const fn source(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::from_be(self.addresses as u32))
    }

    /// The destination address.
    #[inline(always)]
    #[must_use]
    pub const fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::from_be((self.addresses >> 32) as u32))
    }

    /// The source port, or an ICMP query's identifier.
    #[inline(always)]
    #[must_use]
    pub const fn source_port(&self) -> u16 {
        u16::from_be(self.ports as u16)
    }

    /// The destination port, or an ICMP query's identifier.
    #[inline(always)]
    #[must_use]
    pub const fn destination_port(&self) -> u16 {
        u16::from_be((self.ports >> 16) as u16)
    }

    /// What an answer looks like: source and destination, and their ports, change places.
    #[inline(always)]
    #[must_use]
    pub const fn swapped(self) -> Self {
        Self { addresses: self.addresses.rotate_left(32), ports: self.ports.rotate_left(16) }
    }

    /// A key's view, protocol and table as numbers.
    #[inline(always)]
    pub(super) const fn words(&self, protocol: u8, table: u16) -> Words {
        let rest = (table as u64) << 32 | (protocol as u64) << 48;
        Words(self.addresses, self.ports as u64 | rest)
    }
}

/// A [`Key`] in two registers, to compare and to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words(pub u64, pub u64);

/// `192.0.2.1:1024 -> 198.51.100.7:53`
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.source(), self.destination());
        write!(f, "{source}:{} -> {destination}:{}", self.source_port(), self.destination_port())
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a packet's flow is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// What the packet says.
    pub view: View,
    /// The IP protocol.
    pub protocol: u8,
    /// The number of the forwarding table: of the inside's VRF for packets from inside, 0 for packets from outside.
    pub table: u16,
}

impl Key {
    #[inline(always)]
    pub(super) const fn words(&self) -> Words {
        self.view.words(self.protocol, self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_it_stands_in_a_packet() {
        let view = View::new(Ipv4Addr::new(192, 0, 2, 1), 0x1234, Ipv4Addr::new(198, 51, 100, 7), 53);
        assert_eq!(view.as_bytes(), &[192, 0, 2, 1, 198, 51, 100, 7, 0x12, 0x34, 0, 53]);
        assert_eq!(View::from_bytes(*view.as_bytes()), view);
        assert_eq!((view.source(), view.source_port()), (Ipv4Addr::new(192, 0, 2, 1), 0x1234));
        assert_eq!((view.destination(), view.destination_port()), (Ipv4Addr::new(198, 51, 100, 7), 53));
        assert_eq!(view.to_string(), "192.0.2.1:4660 -> 198.51.100.7:53");
        assert_eq!(view.swapped().to_string(), "198.51.100.7:53 -> 192.0.2.1:4660");
        assert_eq!(view.swapped().swapped(), view);
        assert_eq!(view.words(6, 0x7fff), Words(0x0764_33c6_0102_00c0, 0x0006_7fff_3500_3412));
    }

    #[test]
    fn sides() {
        assert_eq!((Side::Inside.other(), Side::Outside.other()), (Side::Outside, Side::Inside));
        assert_eq!((Side::Inside as usize, Side::Outside as usize), (0, 1));
    }
}
