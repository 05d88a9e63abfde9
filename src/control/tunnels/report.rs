//! ICMP errors about outer packets (RFC 792, RFC 4443): what they say, and of which tunnel.

use millrace_graph_nodes::tunnel::{Kind, Tunnel};
use millrace_wire::{
    BadGre, FromBytes, Gre, Icmp4, Icmp4Type, Icmp6, Icmp6Type, IpProtocol, Ipv4, Ipv6, unreachable, upper_layer,
};
use std::net::IpAddr;

/// Path MTUs of the links that there were (RFC 1191 section 7.1), for routers that name none.
const PLATEAUS: [u16; 11] = [65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

/// What became of an outer packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It was too long: so many bytes get further.
    TooBig(u16),
    /// There is no way, or nobody at the other end who takes it.
    Unreachable,
    /// Its time to live ran out, or its fragments didn't come together.
    TimeExceeded,
    /// It was not understood.
    BadHeader,
}

/// An error, and the outer packet that it quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who says so.
    pub from: IpAddr,
    /// What.
    pub what: What,
    /// The source of the quoted packet.
    pub local: IpAddr,
    /// Its destination.
    pub remote: IpAddr,
    /// Its length in bytes.
    pub len: usize,
    /// Whether there was GRE in it.
    gre: bool,
    /// The key of that, as far as the quote goes: none if it had none, or if it can't be seen.
    key: Option<Option<u32>>,
}

impl Report {
    /// Reads a packet that was for the router, and whose ICMP checksum is right. `None` unless it is an error about what can be a
    /// tunnel's.
    pub fn read(packet: &[u8]) -> Option<Report> {
        match packet.first()? >> 4 {
            4 => read4(packet),
            6 => read6(packet),
            _ => None,
        }
    }

    /// Whether the quoted packet is of a tunnel. What can't be seen of its key is taken as right: the way is the same.
    pub fn is_about(&self, tunnel: &Tunnel, table: u32) -> bool {
        let kind = match tunnel.kind {
            Kind::Gre { key, .. } => self.gre && self.key.is_none_or(|quoted| quoted == key),
            Kind::Ipip => !self.gre,
        };
        kind && (tunnel.local, tunnel.remote, tunnel.table) == (self.local, self.remote, table)
    }
}

fn read4(packet: &[u8]) -> Option<Report> {
    let (ip, _) = Ipv4::ref_from_prefix(packet).ok()?;
    let (icmp, quote) = Icmp4::ref_from_prefix(packet.get(ip.header_len()..)?).ok()?;
    let (quoted, _) = Ipv4::ref_from_prefix(quote).ok()?;
    if ip.protocol() != IpProtocol::ICMP || quoted.is_later_fragment() {
        return None;
    }
    let what = match (icmp.kind(), icmp.code()) {
        (Icmp4Type::UNREACHABLE, unreachable::FRAGMENTATION_NEEDED) => match icmp.mtu() {
            0 => What::TooBig(plateau(quoted.total_len())),
            mtu => What::TooBig(mtu),
        },
        (Icmp4Type::UNREACHABLE, _) => What::Unreachable,
        (Icmp4Type::TIME_EXCEEDED, _) => What::TimeExceeded,
        (kind, _) if kind.is_error() => What::BadHeader,
        _ => return None,
    };
    let (gre, key) = inside(quoted.protocol(), quote.get(quoted.header_len()..)?)?;
    let (local, remote) = (quoted.src().into(), quoted.dst().into());
    Some(Report { from: ip.src().into(), what, local, remote, len: quoted.total_len().into(), gre, key })
}

fn read6(packet: &[u8]) -> Option<Report> {
    let (ip, _) = Ipv6::ref_from_prefix(packet).ok()?;
    let (protocol, at) = upper_layer(packet)?;
    let (icmp, quote) = Icmp6::ref_from_prefix(packet.get(at..)?).ok()?;
    let (quoted, _) = Ipv6::ref_from_prefix(quote).ok()?;
    let what = match icmp.kind() {
        _ if protocol != IpProtocol::ICMP6 => return None,
        Icmp6Type::PACKET_TOO_BIG => What::TooBig(icmp.rest().try_into().unwrap_or(u16::MAX)),
        Icmp6Type::UNREACHABLE => What::Unreachable,
        Icmp6Type::TIME_EXCEEDED => What::TimeExceeded,
        kind if kind.is_error() => What::BadHeader,
        _ => return None,
    };
    let (protocol, at) = upper_layer(quote)?;
    let (gre, key) = inside(protocol, quote.get(at..)?)?;
    let (local, remote) = (quoted.src().into(), quoted.dst().into());
    let len = Ipv6::LEN + usize::from(quoted.payload_len());
    Some(Report { from: ip.src().into(), what, local, remote, len, gre, key })
}

/// Whether GRE is in a quoted packet, and its key as far as that can be seen. `None` if it is no tunnel's.
fn inside(protocol: IpProtocol, quote: &[u8]) -> Option<(bool, Option<Option<u32>>)> {
    match protocol {
        IpProtocol::IPV4 | IpProtocol::IPV6 => Some((false, Some(None))),
        IpProtocol::GRE => match Gre::read(quote) {
            Ok(fields) => Some((true, Some(fields.key))),
            Err(BadGre::Short) => Some((true, None)),
            Err(_) => None,
        },
        _ => None,
    }
}

/// The largest plateau below the length of a packet that was too long.
fn plateau(len: u16) -> u16 {
    PLATEAUS.into_iter().find(|plateau| *plateau < len).unwrap_or(68)
}
