//! MLD: who listens to which IPv6 groups; version 1 (RFC 2710) and 2 (RFC 3810). Its messages are ICMPv6's.

use crate::membership::{Addresses, Family, Fault, Message, Query, Records, timers};
use crate::{FromBytes, Icmp6};
use crate::{Icmp6Type, IpProtocol, Ipv6, Ipv6Extensions, Ipv6Option, checksum, nd};
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

/// Where the group's address lies in a query, and in a message of version 1.
const GROUP: usize = Icmp6::LEN;
/// A query of version 1 has this length (RFC 2710 section 3.7), one of version 2 at least [`LEN2`] (RFC 3810 section 8.1).
const LEN1: usize = GROUP + 16;
const LEN2: usize = LEN1 + 4;

/// The milliseconds of a maximum response code of version 2: a floating-point number from 32768 on (RFC 3810 section 5.1.3).
#[must_use]
pub const fn max_response(code: u16) -> u32 {
    let code = code as u32;
    if code < 0x8000 { code } else { (code & 0xfff | 0x1000) << ((code >> 12 & 7) + 3) }
}

/// The message of an IPv6 packet, which begins with its header. `None` when it carries something else than MLD.
///
/// # Errors
/// What is wrong with it: nobody is to believe it.
pub fn parse(packet: &[u8]) -> Result<Option<Message<'_>>, Fault> {
    let (ip, _) = Ipv6::ref_from_prefix(packet).map_err(|_| Fault::Short)?;
    let packet = packet.get(..Ipv6::LEN + usize::from(ip.payload_len())).ok_or(Fault::Short)?;
    let mut headers = Ipv6Extensions::of(packet);
    let mut alert = false;
    for header in headers.by_ref() {
        let header = header.map_err(|_| Fault::Short)?;
        match header.kind {
            // MLD is in one packet (RFC 3810 section 5.2.15); what else is in fragments is no business of this.
            IpProtocol::FRAGMENT => return Ok(None),
            // The value 0 is MLD (RFC 2711 section 2.1).
            IpProtocol::HOP_BY_HOP => {
                let is_alert = |o: Ipv6Option<'_>| o.kind == Ipv6Option::ROUTER_ALERT && o.data == [0, 0];
                alert |= header.options().flatten().any(is_alert);
            }
            _ => {}
        }
    }
    if headers.protocol() != IpProtocol::ICMP6 {
        return Ok(None);
    }
    let message = packet.get(headers.offset()..).ok_or(Fault::Short)?;
    let (icmp, rest) = Icmp6::ref_from_prefix(message).map_err(|_| Fault::Short)?;
    let kind = icmp.kind();
    let (source, destination) = (ip.src(), ip.dst());
    let message = match kind {
        Icmp6Type::LISTENER_QUERY => {
            checked(source, destination, message)?;
            query(message, source, destination)?
        }
        Icmp6Type::LISTENER_REPORT | Icmp6Type::LISTENER_DONE => {
            checked(source, destination, message)?;
            let group = rest.first_chunk().map(|octets| Ipv6Addr::from_octets(*octets)).ok_or(Fault::BadLength)?;
            let to = if kind == Icmp6Type::LISTENER_DONE { nd::ALL_ROUTERS } else { group };
            if !group.is_multicast() {
                return Err(Fault::BadGroup);
            }
            if destination != to {
                return Err(Fault::BadDestination);
            }
            let group = IpAddr::V6(group);
            match kind {
                Icmp6Type::LISTENER_DONE => Message::Leave { group },
                _ => Message::Report { version: 2, group },
            }
        }
        Icmp6Type::LISTENER_REPORT_V2 => {
            checked(source, destination, message)?;
            if destination != nd::ALL_MLD2_ROUTERS {
                return Err(Fault::BadDestination);
            }
            Message::Records(Records::new(rest, icmp.rest() as u16, Family::V6)?)
        }
        _ => return Ok(None),
    };
    if ip.hop_limit() != 1 {
        return Err(Fault::HopLimit);
    }
    if !alert {
        return Err(Fault::NoRouterAlert);
    }
    // RFC 3810 sections 5.1.14 and 5.2.13; a host without an address yet has none to send from (RFC 3590).
    let asks = matches!(message, Message::Query(_));
    if !source.is_unicast_link_local() && (asks || !source.is_unspecified()) {
        return Err(Fault::BadSource);
    }
    Ok(Some(message))
}

fn checked(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Result<(), Fault> {
    if checksum::icmp6(source, destination, message) == 0 { Ok(()) } else { Err(Fault::Checksum) }
}

/// RFC 3810 section 8.1: the version follows from the length.
fn query(message: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> Result<Message<'_>, Fault> {
    let code = message.get(4..).and_then(|bytes| bytes.first_chunk()).ok_or(Fault::Short)?;
    let code = u16::from_be_bytes(*code);
    let group = message.get(GROUP..).and_then(|bytes| bytes.first_chunk()).ok_or(Fault::BadLength)?;
    let group = match Ipv6Addr::from_octets(*group) {
        Ipv6Addr::UNSPECIFIED => None,
        group if group.is_multicast() => Some(group),
        _ => return Err(Fault::BadGroup),
    };
    if destination != group.unwrap_or(nd::ALL_NODES) {
        return Err(Fault::BadDestination);
    }
    let milliseconds = |number: u32| Duration::from_millis(number.into());
    let query = Query {
        version: 1,
        source: IpAddr::V6(source),
        group: group.map(IpAddr::V6),
        max_response: milliseconds(code.into()),
        suppress: false,
        robustness: None,
        interval: None,
        sources: Addresses::none(Family::V6),
    };
    let query = match message.get(LEN1..) {
        Some([]) => query,
        Some([flags, interval, many, few, rest @ ..]) => {
            let count = u16::from_be_bytes([*many, *few]);
            let (sources, _) = Addresses::take(rest, count, Family::V6).ok_or(Fault::BadLength)?;
            let (robustness, interval) = timers(*flags, *interval);
            let (max_response, suppress) = (milliseconds(max_response(code)), flags & 8 != 0);
            Query { version: 2, max_response, suppress, robustness, interval, sources, ..query }
        }
        _ => {
            const { assert!(LEN2 == LEN1 + 4) };
            return Err(Fault::BadLength);
        }
    };
    Ok(Message::Query(query))
}

#[cfg(test)]
#[path = "mld_tests.rs"]
mod tests;
