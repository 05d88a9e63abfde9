//! What RFC 4861 has a message checked for before it is believed: sections 6.1.1 (router solicitations), 6.1.2 (router
//! advertisements), 7.1.1 (neighbour solicitations), 7.1.2 (neighbour advertisements), and 8.1 (redirects).

use super::input::Count;
use millrace_engine::Packet;
use millrace_wire::nd::{
    HOP_LIMIT, NdOption, NdOptionType, NdOptions, NeighborAdvertisement, NeighborFlags, NeighborSolicitation,
    RouterAdvertisement, RouterSolicitation, solicited_node,
};
use millrace_wire::{FromBytes, Icmp6, Icmp6Type, IpProtocol, Ipv6, Ipv6Extensions, MacAddr, checksum};
use std::net::Ipv6Addr;

/// The length of a redirect without options (RFC 4861 section 8.1).
const REDIRECT_LEN: usize = 40;

/// A message that is as its RFC asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Who sent it; `::` for who has no address yet.
    pub source: Ipv6Addr,
    /// What it says.
    pub message: Message,
}

/// What a message says. MAC addresses are what its link-layer option tells, if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Who has the target?
    Solicitation {
        target: Ipv6Addr,
        mac: Option<MacAddr>,
    },
    /// The target is here.
    Advertisement {
        target: Ipv6Addr,
        mac: Option<MacAddr>,
        flags: NeighborFlags,
    },
    /// Is there a router?
    RouterSolicitation {
        mac: Option<MacAddr>,
    },
    RouterAdvertisement,
    Redirect,
}

impl Message {
    /// The MAC address that it tells.
    pub const fn mac(&self) -> Option<MacAddr> {
        match self {
            Message::Solicitation { mac, .. }
            | Message::Advertisement { mac, .. }
            | Message::RouterSolicitation { mac } => *mac,
            Message::RouterAdvertisement | Message::Redirect => None,
        }
    }
}

/// The message of a packet, whose current header is that of IPv6, or what is wrong with it.
pub fn check(packet: &Packet<'_>) -> Result<Checked, Count> {
    let data = packet.data();
    let ip = packet.header::<Ipv6>().ok_or(Count::Short)?;
    // All messages fit into a buffer, and are not fragmented: RFC 6980 section 5.
    if packet.chained() {
        return Err(Count::Fragmented);
    }
    let mut headers = Ipv6Extensions::of(data);
    for header in headers.by_ref() {
        if header.map_err(|_| Count::Short)?.kind == IpProtocol::FRAGMENT {
            return Err(Count::Fragmented);
        }
    }
    let message = data.get(headers.offset()..).ok_or(Count::Short)?;
    let (icmp, _) = Icmp6::ref_from_prefix(message).map_err(|_| Count::Short)?;
    if headers.protocol() != IpProtocol::ICMP6 {
        return Err(Count::UnknownType);
    }
    if ip.hop_limit() != HOP_LIMIT {
        return Err(Count::BadHopLimit);
    }
    let (source, destination) = (ip.src(), ip.dst());
    if checksum::icmp6(source, destination, message) != 0 {
        return Err(Count::BadChecksum);
    }
    if icmp.code() != 0 {
        return Err(Count::BadCode);
    }
    let options = |from| link_layer_options(message, from);
    let message = match icmp.kind() {
        Icmp6Type::NEIGHBOR_SOLICITATION => {
            let (header, _) = NeighborSolicitation::ref_from_prefix(message).map_err(|_| Count::Short)?;
            let (mac, _) = options(NeighborSolicitation::LEN)?;
            solicitation(source, destination, header.target(), mac)?
        }
        Icmp6Type::NEIGHBOR_ADVERTISEMENT => {
            let (header, _) = NeighborAdvertisement::ref_from_prefix(message).map_err(|_| Count::Short)?;
            let (_, mac) = options(NeighborAdvertisement::LEN)?;
            advertisement(destination, header, mac)?
        }
        Icmp6Type::ROUTER_SOLICITATION => {
            let (mac, _) = options(RouterSolicitation::LEN)?;
            // Section 6.1.1: who has no address tells none.
            if source.is_unspecified() && mac.is_some() {
                return Err(Count::UnspecifiedWithMac);
            }
            Message::RouterSolicitation { mac }
        }
        Icmp6Type::ROUTER_ADVERTISEMENT => {
            options(RouterAdvertisement::LEN)?;
            // Section 6.1.2: so that hosts can tell routers apart.
            if !source.is_unicast_link_local() {
                return Err(Count::NotLinkLocal);
            }
            Message::RouterAdvertisement
        }
        Icmp6Type::REDIRECT => {
            options(REDIRECT_LEN)?;
            if !source.is_unicast_link_local() {
                return Err(Count::NotLinkLocal);
            }
            Message::Redirect
        }
        _ => return Err(Count::UnknownType),
    };
    Ok(Checked { source, message })
}

/// Section 7.1.1.
fn solicitation(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    target: Ipv6Addr,
    mac: Option<MacAddr>,
) -> Result<Message, Count> {
    if target.is_multicast() {
        return Err(Count::MulticastTarget);
    }
    if source.is_unspecified() {
        if destination != solicited_node(target) {
            return Err(Count::UnspecifiedElsewhere);
        }
        if mac.is_some() {
            return Err(Count::UnspecifiedWithMac);
        }
    }
    Ok(Message::Solicitation { target, mac })
}

/// Section 7.1.2.
fn advertisement(
    destination: Ipv6Addr,
    header: &NeighborAdvertisement,
    mac: Option<MacAddr>,
) -> Result<Message, Count> {
    let (target, flags) = (header.target(), header.flags());
    if target.is_multicast() {
        return Err(Count::MulticastTarget);
    }
    // An answer is for the one who asked.
    if destination.is_multicast() && flags.solicited {
        return Err(Count::SolicitedMulticast);
    }
    Ok(Message::Advertisement { target, mac, flags })
}

/// Source and target link-layer address among the options from byte `from` of a message on, all of which must be well-formed. A
/// group's address, or none, is no station's.
fn link_layer_options(message: &[u8], from: usize) -> Result<(Option<MacAddr>, Option<MacAddr>), Count> {
    let (mut source, mut target) = (None, None);
    for option in NdOptions::new(message.get(from..).ok_or(Count::Short)?) {
        let option: NdOption<'_> = option.map_err(|_| Count::BadOptions)?;
        // Others are for hosts, or not known, and to be ignored (section 4.6).
        let Some(mac) = option.link_layer() else { continue };
        if !mac.is_unicast() {
            return Err(Count::BadMac);
        }
        match option.kind {
            NdOptionType::SOURCE_LINK_LAYER => source = source.or(Some(mac)),
            _ => target = target.or(Some(mac)),
        }
    }
    Ok((source, target))
}
