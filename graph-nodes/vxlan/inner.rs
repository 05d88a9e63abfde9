//! What VXLAN looks at in the frames that it carries: which flow they are of, and what routers on the way say to their senders.

use crate::ip4::flow_hash::mix;
use crate::{ip4, ip6};
use millrace_engine::Packet;
use millrace_wire::checksum::Delta;
use millrace_wire::{EtherType, Ethernet, FromBytes, Ipv4, Ipv6, Vlan, ecn};

/// VLAN tags that are looked behind.
const TAGS: usize = 2;

/// What a frame carries, and where that begins, in bytes.
fn payload(frame: &[u8]) -> Option<(EtherType, usize)> {
    let (ethernet, _) = Ethernet::ref_from_prefix(frame).ok()?;
    let (mut ether_type, mut at) = (ethernet.ether_type(), Ethernet::LEN);
    for _ in 0..TAGS {
        if !matches!(ether_type, EtherType::VLAN | EtherType::SERVICE_VLAN) {
            break;
        }
        let (tag, _) = Vlan::ref_from_prefix(frame.get(at..)?).ok()?;
        (ether_type, at) = (tag.ether_type(), at + Vlan::LEN);
    }
    Some((ether_type, at))
}

/// What of a frame its outer headers say, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inner {
    /// The hash of its flow, never 0.
    pub hash: u32,
    /// The type of service or traffic class of an IP packet; 0 for other frames.
    pub tos: u8,
    /// Whether it is an IP packet that no router may fragment.
    pub df: bool,
}

impl Inner {
    /// Of a frame that begins with its Ethernet header. `hash`: that of its flow, if somebody knows it.
    #[inline(always)]
    pub fn of(frame: &[u8], hash: u32) -> Inner {
        let (ether_type, at) = payload(frame).unwrap_or((EtherType(0), 0));
        let packet = frame.get(at..).unwrap_or(&[]);
        let or = |compute: fn(&[u8]) -> u32, bytes| if hash == 0 { compute(bytes) } else { hash };
        match ether_type {
            EtherType::IPV4 => {
                let of = |(header, _): (&Ipv4, _)| (header.tos(), header.dont_fragment());
                let (tos, df) = Ipv4::ref_from_prefix(packet).map_or((0, false), of);
                Inner { hash: or(ip4::flow_hash::of, packet), tos, df }
            }
            EtherType::IPV6 => {
                let tos = Ipv6::ref_from_prefix(packet).map_or(0, |(header, _)| header.traffic_class());
                Inner { hash: or(ip6::flow_hash::of, packet), tos, df: true }
            }
            _ => Inner { hash: or(of_stations, frame), tos: 0, df: false },
        }
    }
}

/// The hash of a frame that is no IP packet: from whom it is, and for whom.
fn of_stations(frame: &[u8]) -> u32 {
    let Some(&[a, b, c, d, e, f, g, h, i, j, k, l]) = frame.first_chunk::<12>() else { return 1 };
    let (to, from) = (u64::from_be_bytes([0, 0, a, b, c, d, e, f]), u64::from_be_bytes([0, 0, g, h, i, j, k, l]));
    mix(to ^ mix(from)) as u32 | 1 << 31
}

/// Lets a frame know of the congestion that the packet around it met, whose type of service or traffic class was `outer`. False when
/// it must be dropped, as its sender couldn't be told (RFC 6040 section 4.2). A frame without an IP packet knows nothing of congestion.
#[cold]
#[must_use]
pub(super) fn congested(packet: &mut Packet<'_>, outer: u8) -> bool {
    let Some((ether_type, at)) = payload(packet.data()) else { return true };
    let Some(bytes) = packet.data_mut().get_mut(at..) else { return true };
    match ether_type {
        EtherType::IPV4 => {
            let Ok((header, _)) = Ipv4::mut_from_prefix(bytes) else { return true };
            let (old, Some(new)) = (header.tos(), ecn::decapsulated(header.tos(), outer)) else { return false };
            header.set_checksum(Delta::default().u16(old.into(), new.into()).apply(header.checksum()));
            header.set_tos(new);
        }
        EtherType::IPV6 => {
            let Ok((header, _)) = Ipv6::mut_from_prefix(bytes) else { return true };
            let Some(new) = ecn::decapsulated(header.traffic_class(), outer) else { return false };
            header.set_traffic_class(new);
        }
        _ => {}
    }
    true
}
