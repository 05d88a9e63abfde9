//! The headers in front of packets in a tunnel: made ready once, finished for each packet.

use super::{Kind, Tunnel};
use millrace_wire::checksum::Sum;
use millrace_wire::{EtherType, FromBytes, Gre, IntoBytes, IpProtocol, Ipv4, Ipv6};
use std::net::IpAddr;

/// The two bits of TOS and traffic class that are explicit congestion notification's.
const ECN: u8 = 3;

/// The outer IP header and GRE header of one tunnel for packets of one family, without what differs from packet to packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    bytes: [u8; Self::MOST],
    len: u8,
    /// Whether the outer header is IPv6.
    pub is_ip6: bool,
    /// Where the GRE checksum is, in bytes from the GRE header.
    pub checksum: bool,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// The length of the outer packet, in bytes.
    pub len: usize,
    pub tos: u8,
    /// The identification, for IPv4.
    pub id: u16,
    /// For IPv4.
    pub dont_fragment: bool,
}

impl Head {
    /// The longest: IPv6 and GRE with checksum and key.
    const MOST: usize = Ipv6::LEN + Gre::LEN + 2 * Gre::FIELD;

    pub fn new(tunnel: &Tunnel, inner6: bool) -> Head {
        let mut head = Head { bytes: [0; Self::MOST], len: 0, is_ip6: tunnel.remote.is_ipv6(), checksum: false };
        let (what, inside) = match inner6 {
            false => (IpProtocol::IPV4, EtherType::IPV4),
            true => (IpProtocol::IPV6, EtherType::IPV6),
        };
        let protocol = if tunnel.kind.is_empty() { what } else { IpProtocol::GRE };
        match (tunnel.local, tunnel.remote) {
            (IpAddr::V4(from), IpAddr::V4(to)) => head.push(Ipv4::new(from, to, protocol, tunnel.ttl, 0).as_bytes()),
            (IpAddr::V6(from), IpAddr::V6(to)) => head.push(Ipv6::new(from, to, protocol, tunnel.ttl, 0).as_bytes()),
            // Both are of one family: what comes of others goes nowhere.
            _ => {}
        }
        if let Kind::Gre { key, checksum } = tunnel.kind {
            head.checksum = checksum;
            head.push(Gre::new(inside, checksum, key.is_some()).as_bytes());
            head.push(if checksum { &[0; Gre::FIELD] } else { &[] });
            head.push(key.map(u32::to_be_bytes).as_ref().map_or(&[], |key| key));
        }
        head
    }

    fn push(&mut self, bytes: &[u8]) {
        let at = self.len();
        if let Some(to) = self.bytes.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
            self.len += bytes.len() as u8;
        }
    }

    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len.into()
    }

    /// Where the GRE header begins, in bytes.
    pub const fn gre_at(&self) -> usize {
        if self.is_ip6 { Ipv6::LEN } else { Ipv4::LEN }
    }

    /// The longest outer packet that its header can say.
    pub const fn longest(&self) -> usize {
        u16::MAX as usize + if self.is_ip6 { Ipv6::LEN } else { 0 }
    }

    /// Writes the headers to the front of a packet, but for the GRE checksum. False when there is no room.
    #[inline(always)]
    pub fn write(&self, to: &mut [u8], open: Open) -> bool {
        let (Some(to), Some(head)) = (to.get_mut(..self.len()), self.bytes.get(..self.len())) else { return false };
        to.copy_from_slice(head);
        if self.is_ip6 {
            let Ok((ip, _)) = Ipv6::mut_from_prefix(to) else { return false };
            ip.set_payload_len((open.len - Ipv6::LEN) as u16);
            ip.set_traffic_class(open.tos);
        } else {
            let Ok((ip, _)) = Ipv4::mut_from_prefix(to) else { return false };
            ip.set_total_len(open.len as u16);
            ip.set_tos(open.tos);
            ip.set_id(open.id);
            ip.set_dont_fragment(open.dont_fragment);
            ip.fill_checksum(&[]);
        }
        true
    }
}

impl Tunnel {
    /// The TOS of an outer packet: the class of the tunnel or of the packet inside, and that one's ECN (RFC 6040 section 4.1, "normal
    /// mode").
    #[inline(always)]
    pub(super) fn outer_tos(&self, inner: u8) -> u8 {
        self.tos.map_or(inner, |tos| tos & !ECN | inner & ECN)
    }
}

/// The sum over a packet from so many bytes behind its current header on, over all its buffers.
pub(super) fn sum_from<'a>(segments: impl Iterator<Item = &'a [u8]>, mut skip: usize) -> Sum {
    segments.fold(Sum::default(), |sum, segment| {
        let part = segment.get(skip..).unwrap_or(&[]);
        skip = skip.saturating_sub(segment.len());
        sum.bytes(part)
    })
}
