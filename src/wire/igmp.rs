//! IGMP: who listens to which IPv4 groups; version 1 (RFC 1112 appendix I), 2 (RFC 2236) and 3 (RFC 3376).

use crate::checksum::Sum;
use crate::membership::{Addresses, Family, Fault, Message, Query, Records, float8, timers};
use crate::{FromBytes, IpProtocol, Ipv4};
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

/// 224.0.0.1, everyone: to whom general queries go.
pub const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// 224.0.0.2, to whom leaves go.
pub const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// 224.0.0.22, to whom reports of version 3 go.
pub const ALL_V3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

/// The IPv4 option that has routers look at a packet (RFC 2113), with its length.
const ROUTER_ALERT: [u8; 2] = [0x94, 4];
/// What hosts of version 1 take for a query's response time (RFC 2236 section 4), in tenths of a second.
const V1_RESPONSE: u32 = 100;
/// The length of a message of versions 1 and 2, and the least one of a query of version 3.
const LEN: usize = 8;
const LEN3: usize = 12;

/// Whether a group is never left out: 224.0.0.0/24 is for the protocols of the link (RFC 4541 section 2.1.2).
#[must_use]
pub const fn is_link_local(group: Ipv4Addr) -> bool {
    matches!(group.octets(), [224, 0, 0, _])
}

/// The message of an IPv4 packet, which begins with its header. `None` when it is of a kind that is not known: such a one goes to
/// everyone (RFC 4541 section 2.1.1).
///
/// # Errors
/// What is wrong with it: nobody is to believe it.
pub fn parse(packet: &[u8]) -> Result<Option<Message<'_>>, Fault> {
    let (ip, _) = Ipv4::ref_from_prefix(packet).map_err(|_| Fault::Short)?;
    let packet = packet.get(..ip.total_len().into()).ok_or(Fault::Short)?;
    let (header, message) = packet.split_at_checked(ip.header_len()).ok_or(Fault::Short)?;
    if ip.protocol() != IpProtocol::IGMP || header.len() < Ipv4::LEN || ip.is_fragment() {
        return Err(Fault::Short);
    }
    if !Sum::of(header).is_ok() || !Sum::of(message).is_ok() {
        return Err(Fault::Checksum);
    }
    let [kind, code, _, _, a, b, c, d, ..] = *message else { return Err(Fault::Short) };
    let (group, destination) = (Ipv4Addr::new(a, b, c, d), ip.dst());
    let is_group = |message| if group.is_multicast() { Ok(message) } else { Err(Fault::BadGroup) };
    let to_group = |message| if destination == group { is_group(message) } else { Err(Fault::BadDestination) };
    let (message, alert) = match kind {
        0x11 => {
            let query = query(message, code, group, ip.src())?;
            let to = if query.group.is_some() { group } else { ALL_SYSTEMS };
            if destination != to {
                return Err(Fault::BadDestination);
            }
            (Message::Query(query), query.version > 1)
        }
        // RFC 2236 section 2: versions 1 and 2 are reported to the group itself.
        0x12 => (to_group(Message::Report { version: 1, group: group.into() })?, false),
        0x16 => (to_group(Message::Report { version: 2, group: group.into() })?, true),
        // Section 3: some send it to the group.
        0x17 if destination != ALL_ROUTERS && destination != group => return Err(Fault::BadDestination),
        0x17 => (is_group(Message::Leave { group: group.into() })?, true),
        0x22 if destination != ALL_V3_ROUTERS => return Err(Fault::BadDestination),
        0x22 => {
            let records = message.get(LEN..).unwrap_or(&[]);
            (Message::Records(Records::new(records, u16::from_be_bytes([c, d]), Family::V4)?), true)
        }
        _ => return Ok(None),
    };
    // RFC 3376 section 4: TTL 1, which no router passes on, and a router alert; version 1 has none.
    if ip.ttl() != 1 {
        return Err(Fault::HopLimit);
    }
    if alert && !has_router_alert(header.get(Ipv4::LEN..).unwrap_or(&[])) {
        return Err(Fault::NoRouterAlert);
    }
    Ok(Some(message))
}

/// RFC 3376 section 7.1: the version follows from the length and the maximum response code.
fn query(message: &[u8], code: u8, group: Ipv4Addr, source: Ipv4Addr) -> Result<Query<'_>, Fault> {
    let group = match group {
        Ipv4Addr::UNSPECIFIED => None,
        group if group.is_multicast() => Some(group.into()),
        _ => return Err(Fault::BadGroup),
    };
    let tenths = |tenths: u32| Duration::from_millis(u64::from(tenths) * 100);
    let query = Query {
        version: 2,
        source: IpAddr::V4(source),
        group,
        max_response: tenths(code.into()),
        suppress: false,
        robustness: None,
        interval: None,
        sources: Addresses::none(Family::V4),
    };
    match *message {
        [_, 0, ..] if message.len() == LEN => Ok(Query { version: 1, max_response: tenths(V1_RESPONSE), ..query }),
        [..] if message.len() == LEN => Ok(query),
        [_, _, _, _, _, _, _, _, flags, interval, many, few, ref rest @ ..] => {
            let count = u16::from_be_bytes([many, few]);
            let (sources, _) = Addresses::take(rest, count, Family::V4).ok_or(Fault::BadLength)?;
            let (robustness, interval) = timers(flags, interval);
            let (max_response, suppress) = (tenths(float8(code)), flags & 8 != 0);
            Ok(Query { version: 3, max_response, suppress, robustness, interval, sources, ..query })
        }
        _ => {
            const { assert!(LEN3 == LEN + 4) };
            Err(Fault::BadLength)
        }
    }
}

/// Whether a router alert is among the options of a header.
fn has_router_alert(mut options: &[u8]) -> bool {
    loop {
        let len = match *options {
            [kind, len, ..] if [kind, len] == ROUTER_ALERT => return options.len() >= 4,
            // End of options.
            [] | [0, ..] => return false,
            // No operation.
            [1, ..] => 1,
            [_, len, ..] if len >= 2 => usize::from(len),
            _ => return false,
        };
        options = options.get(len..).unwrap_or(&[]);
    }
}

#[cfg(test)]
#[path = "igmp_tests.rs"]
mod tests;
