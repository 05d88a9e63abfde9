//! ICMP errors on their way through the NAT (RFC 5508 section 4): what the packet that they quote says, and its translation back.
//!
//! An error from one side quotes a packet that was going there, so the quote with its ends swapped is the view of its flow from the
//! side that the error comes from: [`Quoted::view`] finds the flow like a packet's own view does. What the quoted packet was before
//! its translation is the flow's view from the other side.

use super::parse::{Malformed, Parsed, checksum_at, identifier};
use super::rewrite::{Ports, Transport, adjust, replace};
use millrace_engine::Packet;
use millrace_tables::flow::{Side, View};
use millrace_wire::checksum::{Delta, Sum};
use millrace_wire::{FromBytes, Icmp4, IpProtocol, Ipv4};
use std::net::Ipv4Addr;

/// What is left of the transport header at least (RFC 792).
const AT_LEAST: usize = 8;
/// Where a TCP header has its length.
const DATA_OFFSET: usize = 12;

/// The packet that an ICMP error quotes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quoted {
    /// The key of its flow, for packets from the side that the error comes from.
    pub view: View,
    /// What it carries.
    pub protocol: IpProtocol,
    /// Bytes from the error's IP header to the quoted one.
    at: usize,
    transport: Transport,
}

/// Reads the error in `packet`, whose IP header has `len` and which has `total` bytes.
pub(super) fn read(packet: &Packet<'_>, len: usize, total: usize, side: Side) -> Result<Quoted, Malformed> {
    // RFC 5508 REQ-3.
    if !sum(packet, len, total).is_ok() {
        return Err(Malformed::IcmpChecksum);
    }
    let at = len + Icmp4::LEN;
    // Extensions behind it (RFC 4884 section 4) are behind the 128th byte, where no header is that matters.
    let quote = packet.data().get(at..total.min(packet.len())).ok_or(Malformed::Quote)?;
    let (header, _) = Ipv4::ref_from_prefix(quote).map_err(|_| Malformed::Quote)?;
    // RFC 5508 REQ-3 b: behind the options.
    let behind = header.header_len();
    let (Some(whole), Some(rest)) = (quote.get(..behind), quote.get(behind..)) else { return Err(Malformed::Quote) };
    // RFC 1812 section 4.3.2.7: there are no errors about later fragments.
    if header.version() != 4 || behind < Ipv4::LEN || header.is_later_fragment() {
        return Err(Malformed::Quote);
    }
    // RFC 5508 REQ-3 a. By REQ-3 c the transport's checksum is nobody's business.
    if !Sum::of(whole).is_ok() {
        return Err(Malformed::QuoteChecksum);
    }
    let protocol = header.protocol();
    let (ports, [from, to]) = quoted_ports(protocol, rest, side)?;
    // The zeros that fill a quote up before extensions are no header.
    let filled = protocol == IpProtocol::TCP && rest.get(DATA_OFFSET) == Some(&0);
    let checksum = checksum_at(protocol).filter(|at| at + 2 <= rest.len() && !filled);
    let transport = Transport { at: behind, ports, checksum: checksum.map(|at| behind + at), protocol };
    Ok(Quoted { view: View::new(header.dst(), from, header.src(), to), protocol, at, transport })
}

/// The ports of what lies behind a quoted IP header, in the order of [`Quoted::view`].
fn quoted_ports(protocol: IpProtocol, rest: &[u8], side: Side) -> Result<(Ports, [u16; 2]), Malformed> {
    let first = rest.first_chunk::<AT_LEAST>();
    match protocol {
        IpProtocol::TCP | IpProtocol::UDP => {
            let [a, b, c, d, ..] = *first.ok_or(Malformed::Quote)?;
            Ok((Ports::Two, [u16::from_be_bytes([c, d]), u16::from_be_bytes([a, b])]))
        }
        IpProtocol::ICMP => {
            let (message, _) = Icmp4::ref_from_prefix(rest).map_err(|_| Malformed::Quote)?;
            match message.kind() {
                kind if kind.is_query() => Ok((Ports::Identifier, identifier(message.id(), side))),
                kind if kind.is_error() => Err(Malformed::ErrorAboutError),
                _ => Err(Malformed::IcmpType),
            }
        }
        _ => Ok((Ports::None, [0, 0])),
    }
}

/// The sum of the bytes from `from` to `to`, over all buffers.
fn sum(packet: &Packet<'_>, from: usize, to: usize) -> Sum {
    let (mut sum, mut at) = (Sum::default(), 0);
    for segment in packet.segments() {
        let (first, last) = (from.saturating_sub(at), to.saturating_sub(at).min(segment.len()));
        sum = sum.bytes(segment.get(first..last).unwrap_or(&[]));
        at += segment.len();
    }
    sum
}

/// Makes `to` the quoted packet's view again, as it was when it came to the router, and its source the error's destination (RFC
/// 5508 REQ-4, REQ-5 and REQ-7); the error's source becomes `source`, if one is given. Type, code and extensions stay.
///
/// `to` is the view of the flow from the side that the error goes to; see [`new_source`] for `source`.
pub fn translate(packet: &mut Packet<'_>, parsed: &Parsed, quoted: &Quoted, to: &View, source: Option<Ipv4Addr>) {
    let outer = View::new(source.unwrap_or(parsed.view.source()), 0, to.source(), 0);
    let data = packet.data_mut();
    let inner = data.get_mut(quoted.at..).map_or(Delta::default(), |quote| replace(quote, Some(quoted.transport), to));
    adjust(data, parsed.header_len + 2, inner, Delta::apply);
    replace(data, None, &outer);
}

/// What the source of an error from `side` becomes, when `to` is what the quoted packet's view becomes. From inside it is the
/// external address, whoever inside sent the error (RFC 5508 REQ-5 c). From outside it stays, unless it is the flow's remote end,
/// which may have another address inside. An error that the router itself made keeps its source: pass `None` instead.
pub fn new_source(side: Side, parsed: &Parsed, quoted: &Quoted, to: &View) -> Option<Ipv4Addr> {
    let flow_end = parsed.view.source() == quoted.view.source();
    (side == Side::Inside || flow_end).then_some(to.destination())
}

#[cfg(test)]
#[path = "icmp_tests.rs"]
mod tests;
