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
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct View([u8; 12]);

impl View {
    /// Of packets from `source` and `source_port` to the others.
    #[inline]
    #[must_use]
    pub const fn new(source: Ipv4Addr, source_port: u16, destination: Ipv4Addr, destination_port: u16) -> Self {
        let (s, d) = (source.octets(), destination.octets());
        let (sp, dp) = (source_port.to_be_bytes(), destination_port.to_be_bytes());
        Self([s[0], s[1], s[2], s[3], d[0], d[1], d[2], d[3], sp[0], sp[1], dp[0], dp[1]])
    }

    /// As they stand in a packet.
    #[inline(always)]
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    /// As they stand in a packet.
    #[inline(always)]
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }

    /// The source address.
    #[inline(always)]
    #[must_use]
    pub const fn source(&self) -> Ipv4Addr {
        let [a, b, c, d, ..] = self.0;
        Ipv4Addr::new(a, b, c, d)
    }

    /// The destination address.
    #[inline(always)]
    #[must_use]
    pub const fn destination(&self) -> Ipv4Addr {
        let [_, _, _, _, a, b, c, d, ..] = self.0;
        Ipv4Addr::new(a, b, c, d)
    }

    /// The source port, or an ICMP query's identifier.
    #[inline(always)]
    #[must_use]
    pub const fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.0[8], self.0[9]])
    }

    /// The destination port, or an ICMP query's identifier.
    #[inline(always)]
    #[must_use]
    pub const fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.0[10], self.0[11]])
    }

    /// What an answer looks like: source and destination, and their ports, change places.
    #[inline(always)]
    #[must_use]
    pub const fn swapped(self) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.0;
        Self([e, f, g, h, a, b, c, d, k, l, i, j])
    }

    /// A key's view, protocol and table as numbers.
    #[inline(always)]
    pub(super) const fn words(&self, protocol: u8, table: u16) -> Words {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.0;
        let rest = (table as u64) << 32 | (protocol as u64) << 48;
        Words(u64::from_le_bytes([a, b, c, d, e, f, g, h]), u32::from_le_bytes([i, j, k, l]) as u64 | rest)
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
