//! Puts other addresses and ports into a packet, and corrects the checksums over them incrementally (RFC 1624, RFC 3022 section 4.2).

use super::parse::{Fragment, Kind, Parsed, checksum_at, known_ports};
use crate::marks;
use millrace_engine::Packet;
use millrace_tables::flow::View;
use millrace_wire::IpProtocol;
use millrace_wire::checksum::Delta;

/// Where an IPv4 header has its checksum and its addresses, in bytes.
const IP_CHECKSUM: usize = 10;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;
/// Where an ICMP query has its identifier.
const IDENTIFIER: usize = 4;

/// Makes `to` the packet's view: its addresses, and its ports or identifier where it has them. IP options stay, UDP without a
/// checksum stays so, and of an ICMP error only the outer addresses change (see [`super::icmp::translate`] for all of it).
pub fn rewrite(packet: &mut Packet<'_>, parsed: &Parsed, to: &View) {
    let protocol = parsed.protocol;
    let transport = (parsed.fragment != Fragment::Later).then(|| Transport {
        at: parsed.header_len,
        ports: Ports::of(&parsed.kind),
        checksum: checksum_at(protocol).map(|at| parsed.header_len + at),
        protocol,
    });
    replace(packet.data_mut(), transport, to);
    if packet.meta.marks & marks::PORTS_KNOWN != 0 {
        packet.meta.scratch[1] = known_ports(to);
    }
}

/// What names the endpoints in a transport header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ports {
    Two,
    Identifier,
    None,
}

impl Ports {
    fn of(kind: &Kind) -> Ports {
        match kind {
            Kind::Ports => Ports::Two,
            Kind::Query => Ports::Identifier,
            Kind::Error(_) | Kind::Other => Ports::None,
        }
    }
}

/// A transport header: in bytes from the IP header's first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Transport {
    pub at: usize,
    pub ports: Ports,
    pub checksum: Option<usize>,
    pub protocol: IpProtocol,
}

/// The same for the packet, or the beginning of one, that `bytes` are; what all of it does to a checksum over `bytes`.
pub(super) fn replace(bytes: &mut [u8], transport: Option<Transport>, to: &View) -> Delta {
    let source = put_u32(bytes, SOURCE, to.source().to_bits());
    let addresses = source.and(put_u32(bytes, DESTINATION, to.destination().to_bits()));
    let mut all = addresses.and(adjust(bytes, IP_CHECKSUM, addresses, Delta::apply));
    let Some(transport) = transport else { return all };
    let ports = match transport.ports {
        Ports::Two => {
            let source = put_u16(bytes, transport.at, to.source_port());
            source.and(put_u16(bytes, transport.at + 2, to.destination_port()))
        }
        // The other port is 0, whichever side the packet comes from.
        Ports::Identifier => put_u16(bytes, transport.at + IDENTIFIER, to.source_port() | to.destination_port()),
        Ports::None => Delta::default(),
    };
    all = all.and(ports);
    if let Some(at) = transport.checksum {
        let checksum = match transport.protocol {
            // RFC 792: there is no pseudo header.
            IpProtocol::ICMP => adjust(bytes, at, ports, Delta::apply),
            // RFC 768: zero is no checksum, and a checksum isn't zero.
            IpProtocol::UDP => adjust(bytes, at, addresses.and(ports), Delta::apply_udp),
            _ => adjust(bytes, at, addresses.and(ports), Delta::apply),
        };
        all = all.and(checksum);
    }
    all
}

/// Corrects the checksum at `at`.
pub(super) fn adjust(bytes: &mut [u8], at: usize, by: Delta, apply: impl Fn(Delta, u16) -> u16) -> Delta {
    let Some(field) = bytes.get(at..).and_then(|bytes| bytes.first_chunk::<2>()) else { return Delta::default() };
    put_u16(bytes, at, apply(by, u16::from_be_bytes(*field)))
}

fn put_u16(bytes: &mut [u8], at: usize, new: u16) -> Delta {
    let field = bytes.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut());
    let Some(old) = field.map(|field| std::mem::replace(field, new.to_be_bytes())) else { return Delta::default() };
    let old = u16::from_be_bytes(old);
    if old == new { Delta::default() } else { Delta::default().u16(old, new) }
}

fn put_u32(bytes: &mut [u8], at: usize, new: u32) -> Delta {
    let field = bytes.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut());
    let Some(old) = field.map(|field| std::mem::replace(field, new.to_be_bytes())) else { return Delta::default() };
    let old = u32::from_be_bytes(old);
    if old == new { Delta::default() } else { Delta::default().u32(old, new) }
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
