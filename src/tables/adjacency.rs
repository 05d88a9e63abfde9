//! What happens to a packet after its route is known: out of which interface, behind which Ethernet header.

use millrace_engine::epoch::Slots;

/// All adjacencies of the router, by index. Index 0 is the one of packets without a route. The writer takes indices from
/// [`Indices::new(1..capacity)`](crate::indices::Indices).
pub type Adjacencies = Slots<Adjacency>;

/// What to do with the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AdjacencyKind {
    /// There is no route: ICMP "net unreachable" (RFC 1812 section 5.2.7.1).
    #[default]
    Drop = 0,
    /// Put the prebuilt header in front and send.
    Rewrite,
    /// Send to `next_hop`, whose MAC address isn't known yet.
    Arp,
    /// Send to the packet's own destination, a neighbour on the interface's subnet that no adjacency exists for yet.
    Glean,
    /// It is for the router itself.
    Local,
    /// Drop without a word.
    Blackhole,
    /// Drop; ICMP "host unreachable".
    Unreachable,
    /// Drop; ICMP "administratively prohibited".
    Prohibit,
    /// As [`Rewrite`](Self::Rewrite), to a neighbour that has not been heard for a while: control wants to know that it is used
    /// (RFC 4861 section 7.3.3).
    Stale,
    /// One of several ways: `index` is the load-balance.
    Balance,
    /// To be looked up in another table: `index` is its number.
    Table,
    /// As [`Rewrite`](Self::Rewrite), to the packet's own destination on the other end of a point-to-point link: what came from there
    /// doesn't go back (RFC 4443 section 3.1).
    PointToPoint,
    /// A link-local destination, which every interface has neighbours of its own for (RFC 4291 section 2.5.6).
    LinkLocal,
}

impl AdjacencyKind {
    /// Whether the header is there and packets can be sent.
    #[inline(always)]
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::Rewrite | Self::Stale | Self::PointToPoint)
    }
}

/// One way to send packets on. A cache line, read once per packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Adjacency {
    /// The header to put in front, from its first byte; of which [`rewrite_len`](Self::rewrite_len) bytes count.
    pub rewrite: [u8; Self::MAX_REWRITE],
    /// 14 for Ethernet, 18 and 22 with one and two VLAN tags, 0 for no header.
    pub rewrite_len: u8,
    /// What to do.
    pub kind: AdjacencyKind,
    /// The longest packet, from its IP header on, that the interface takes, in bytes.
    pub mtu: u16,
    /// The index of the interface to send on.
    pub interface: u32,
    /// What [`Balance`](AdjacencyKind::Balance) and [`Table`](AdjacencyKind::Table) lead to.
    pub index: u32,
    /// The address of the next hop in host order, one of IPv4 in its lowest 32 bits; 0 where the packet's destination is meant, or
    /// none.
    pub next_hop: u128,
}

impl Adjacency {
    /// An Ethernet header and two VLAN tags.
    pub const MAX_REWRITE: usize = 22;

    /// An adjacency without a header, interface or next hop.
    #[must_use]
    pub fn new(kind: AdjacencyKind) -> Self {
        Self { kind, ..Self::default() }
    }

    /// Sends packets of at most `mtu` bytes out of `interface` behind `header`. None if the header is longer than
    /// [`MAX_REWRITE`](Self::MAX_REWRITE).
    #[must_use]
    pub fn with_rewrite(interface: u32, mtu: u16, next_hop: u128, header: &[u8]) -> Option<Self> {
        let mut rewrite = [0; Self::MAX_REWRITE];
        rewrite.get_mut(..header.len())?.copy_from_slice(header);
        // At most 22.
        let rewrite_len = header.len() as u8;
        Some(Self { rewrite, rewrite_len, kind: AdjacencyKind::Rewrite, mtu, interface, index: 0, next_hop })
    }

    /// The header to put in front.
    #[inline]
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.rewrite[..usize::from(self.rewrite_len).min(Self::MAX_REWRITE)]
    }
}

const _: () = assert!(size_of::<Adjacency>() == 64);

#[cfg(test)]
mod tests {
    use millrace_engine::epoch;

    use super::*;

    #[test]
    fn header_lengths() {
        for len in [0, 14, 18, 22] {
            let header: Vec<u8> = (1..=len).collect();
            let adjacency = Adjacency::with_rewrite(3, 1500, 0x0a00_0001, &header).unwrap();
            assert_eq!(adjacency.header(), header);
            assert_eq!((adjacency.kind, adjacency.mtu, adjacency.interface), (AdjacencyKind::Rewrite, 1500, 3));
        }
        assert_eq!(Adjacency::with_rewrite(3, 1500, 0, &[0; 23]), None);
        let broken = Adjacency { rewrite_len: 255, ..Adjacency::default() };
        assert_eq!(broken.header().len(), 22);
    }

    #[test]
    fn published() {
        let adjacencies = Adjacencies::new(16);
        let me = epoch::domain().register();
        assert!(adjacencies.get(1, &me.guard()).is_none());
        let glean = Adjacency { interface: 7, ..Adjacency::new(AdjacencyKind::Glean) };
        adjacencies.set(&epoch::domain(), 1, glean).unwrap();
        assert_eq!(adjacencies.get(1, &me.guard()), Some(&glean));
        assert_eq!(Adjacency::new(AdjacencyKind::default()).kind as u8, 0);
    }
}
