//! What the slow path wants to know of an IPv4 packet, whatever its header is like: where its transport header is, the view that its
//! flow is found by, and what a TCP segment or an ICMP error says.
//!
//! Only what a translation needs is checked: a checksum that was wrong stays as wrong as it was, for its receiver to find. An
//! ICMP error is the exception (RFC 5508 REQ-3), because its sender isn't part of the flow.

use super::icmp::{self, Quoted};
use crate::marks;
use crate::mss_clamp::segment;
use millrace_engine::Packet;
use millrace_tables::flow::tcp::TcpSegment;
use millrace_tables::flow::{Side, View};
use millrace_wire::{FromBytes, Icmp4, Icmp4Type, IpProtocol, Ipv4, Tcp, TcpFlags, Udp};
use std::fmt;

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fragment {
    /// All of it.
    No,
    /// The first fragment: it has the transport header.
    First,
    /// One behind the first: it has none.
    Later,
}

/// What of a packet a translation changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// TCP or UDP: addresses and ports.
    Ports,
    /// An ICMP query, request or answer: addresses and the identifier.
    Query,
    /// An ICMP error: addresses, and the packet that it quotes.
    Error(Quoted),
    /// Another protocol: addresses alone.
    Other,
}

/// An IPv4 packet, read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parsed {
    /// The IP header's length in bytes, options included.
    pub header_len: usize,
    /// What the packet carries.
    pub protocol: IpProtocol,
    /// The key of its flow. The ports of an error and of other protocols are 0.
    pub view: View,
    /// Whether it is a fragment.
    pub fragment: Fragment,
    /// What a translation changes.
    pub kind: Kind,
    /// What the TCP header says, if there is one.
    pub tcp: Option<TcpSegment>,
}

/// Why a packet can't be translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// No IPv4 header, or lengths in it that the packet doesn't have.
    Header,
    /// The transport header is cut off, or says that it is longer or shorter than it can be.
    Transport,
    /// TCP flags that no stack sends together.
    TcpFlags,
    /// A fragment behind the first whose ports nobody has found out.
    UnknownPorts,
    /// ICMP that neither asks, nor answers, nor reports an error.
    IcmpType,
    /// An ICMP redirect: it speaks of routers on its sender's own link.
    Redirect,
    /// A fragment of an ICMP error.
    IcmpFragment,
    /// The checksum of an ICMP error is wrong.
    IcmpChecksum,
    /// What an ICMP error quotes isn't the beginning of a packet.
    Quote,
    /// The header checksum of a quoted packet is wrong.
    QuoteChecksum,
    /// An ICMP error about an ICMP error.
    ErrorAboutError,
}

impl Malformed {
    /// What counters call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Malformed::Header => "no IPv4 packet",
            Malformed::Transport => "transport header is cut off or inconsistent",
            Malformed::TcpFlags => "impossible TCP flags",
            Malformed::UnknownPorts => "fragment without known ports",
            Malformed::IcmpType => "ICMP message is neither query nor error",
            Malformed::Redirect => "ICMP redirect",
            Malformed::IcmpFragment => "fragment of an ICMP error",
            Malformed::IcmpChecksum => "checksum of an ICMP error is wrong",
            Malformed::Quote => "ICMP error does not quote a packet",
            Malformed::QuoteChecksum => "header checksum of a quoted packet is wrong",
            Malformed::ErrorAboutError => "ICMP error about an ICMP error",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads a packet that comes from `side`, from its IP header on. A fragment behind the first is read when it has the mark
/// [`marks::PORTS_KNOWN`]; until then it is [`Malformed::UnknownPorts`], unless its protocol has no ports.
pub fn parse(packet: &Packet<'_>, side: Side) -> Result<Parsed, Malformed> {
    let header = packet.header::<Ipv4>().ok_or(Malformed::Header)?;
    let (len, total) = (header.header_len(), usize::from(header.total_len()));
    if header.version() != 4 || len < Ipv4::LEN || len > packet.len() || total < len || total > packet.total_len() {
        return Err(Malformed::Header);
    }
    let data = packet.data();
    let there = data.get(len..).map_or(&[][..], |behind| behind.get(..total - len).unwrap_or(behind));
    let fragment = match (header.is_later_fragment(), header.more_fragments()) {
        (true, _) => Fragment::Later,
        (false, true) => Fragment::First,
        (false, false) => Fragment::No,
    };
    let protocol = header.protocol();
    let (kind, [from, to], tcp) = match (fragment, protocol) {
        (Fragment::Later, _) => {
            let (kind, ports) = later(packet, protocol, side)?;
            (kind, ports, None)
        }
        (_, IpProtocol::TCP) => {
            let (ports, segment) = tcp_segment(there)?;
            (Kind::Ports, ports, Some(segment))
        }
        (_, IpProtocol::UDP) => (Kind::Ports, udp_ports(there, fragment, total - len)?, None),
        (_, IpProtocol::ICMP) => {
            let (message, _) = Icmp4::ref_from_prefix(there).map_err(|_| Malformed::Transport)?;
            match message.kind() {
                kind if kind.is_query() => (Kind::Query, identifier(message.id(), side), None),
                Icmp4Type::REDIRECT => return Err(Malformed::Redirect),
                kind if !kind.is_error() => return Err(Malformed::IcmpType),
                _ if fragment != Fragment::No => return Err(Malformed::IcmpFragment),
                _ => (Kind::Error(icmp::read(packet, len, total, side)?), [0, 0], None),
            }
        }
        _ if there.len() < checksum_at(protocol).map_or(0, |at| at + 2) => return Err(Malformed::Transport),
        _ => (Kind::Other, [0, 0], None),
    };
    let view = View::new(header.src(), from, header.dst(), to);
    Ok(Parsed { header_len: len, protocol, view, fragment, kind, tcp })
}

/// An ICMP identifier as the two ports of a view: it is the inside's.
pub(super) fn identifier(id: u16, side: Side) -> [u16; 2] {
    match side {
        Side::Inside => [id, 0],
        Side::Outside => [0, id],
    }
}

/// Where the checksum that covers the pseudo header, or the identifier, stands in a transport header, in bytes.
pub(super) const fn checksum_at(protocol: IpProtocol) -> Option<usize> {
    match protocol {
        IpProtocol::TCP => Some(16),
        IpProtocol::UDP => Some(6),
        IpProtocol::ICMP => Some(2),
        // DCCP (RFC 4340 section 5.1) and UDP-Lite (RFC 3828 section 3.1): translated by address, and summed with them.
        IpProtocol(33 | 136) => Some(6),
        _ => None,
    }
}

/// The ports of a view as `scratch` carries them with the mark [`marks::PORTS_KNOWN`].
pub fn known_ports(view: &View) -> u64 {
    let [.., a, b, c, d] = *view.as_bytes();
    u64::from(u32::from_le_bytes([a, b, c, d]))
}

/// Beside the ports in `scratch`: the datagram asks for an echo.
pub const ASKS_FOR_ECHO: u64 = 1 << 32;

fn later(packet: &Packet<'_>, protocol: IpProtocol, side: Side) -> Result<(Kind, [u16; 2]), Malformed> {
    let kind = match protocol {
        IpProtocol::TCP | IpProtocol::UDP => Kind::Ports,
        IpProtocol::ICMP => Kind::Query,
        _ => return Ok((Kind::Other, [0, 0])),
    };
    if packet.meta.marks & marks::PORTS_KNOWN == 0 {
        return Err(Malformed::UnknownPorts);
    }
    let [a, b, c, d, ..] = packet.meta.scratch[1].to_le_bytes();
    let (from, to) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    // A query that turns round at the router comes from one side first, and then from the other.
    Ok((kind, if kind == Kind::Query { identifier(from | to, side) } else { [from, to] }))
}

fn tcp_segment(there: &[u8]) -> Result<([u16; 2], TcpSegment), Malformed> {
    let (tcp, _) = Tcp::ref_from_prefix(there).map_err(|_| Malformed::Transport)?;
    let options = there.get(Tcp::LEN..tcp.header_len()).ok_or(Malformed::Transport)?;
    let flags = tcp.flags();
    const SYN_ACK: u8 = TcpFlags::SYN.and(TcpFlags::ACK).0;
    const RST_ACK: u8 = TcpFlags::RST.and(TcpFlags::ACK).0;
    const FIN_ACK: u8 = TcpFlags::FIN.and(TcpFlags::ACK).0;
    // RFC 9293 section 3.10 has every segment acknowledge but the first and resets; scanners send the others.
    match flags.0 & (SYN_ACK | RST_ACK | FIN_ACK) {
        SYN_ACK | RST_ACK | FIN_ACK => {}
        alone if alone == TcpFlags::SYN.0 || alone == TcpFlags::RST.0 || alone == TcpFlags::ACK.0 => {}
        _ => return Err(Malformed::TcpFlags),
    }
    let segment = TcpSegment {
        flags,
        sequence: tcp.sequence(),
        acknowledgment: tcp.acknowledgment(),
        window: tcp.window(),
        scale: if flags.contains(TcpFlags::SYN) { window_scale(options) } else { None },
    };
    Ok(([tcp.src_port(), tcp.dst_port()], segment))
}

fn udp_ports(there: &[u8], fragment: Fragment, payload: usize) -> Result<[u16; 2], Malformed> {
    let (udp, _) = Udp::ref_from_prefix(there).map_err(|_| Malformed::Transport)?;
    let len = usize::from(udp.datagram_len());
    // RFC 768. The first fragment is shorter than its datagram.
    if len < Udp::LEN || (len > payload && fragment == Fragment::No) {
        return Err(Malformed::Transport);
    }
    Ok([udp.src_port(), udp.dst_port()])
}

/// RFC 7323 section 2.2; section 2.3 has more than 14 taken for 14.
fn window_scale(options: &[u8]) -> Option<u8> {
    segment::options(options).find_map(|(_, option)| match option {
        [3, 3, shift] => Some((*shift).min(14)),
        _ => None,
    })
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
