//! tunnel-input: takes a packet out of the tunnel that it came through; from there on it was received by the tunnel's interface. Starts
//! the tunnel-input arc.
//! Reads: table. Writes: rx interface, table, marks; forgets flow hash.
//!
//! A packet is of a tunnel if it comes from its other end to the router's, in the table that the tunnel's packets are routed in, with
//! its key. Whoever sends others hears that the router does not speak the protocol.

use super::ends::{Arrival, End};
use super::outer::sum_from;
use crate::forwarding::Forwarding;
use crate::icmp::reason::Reason;
use crate::ip::{Family, V4, V6};
use crate::{ip, ip4, ip6};
use millrace_engine::{ArcName, ArcPoint, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{BadGre, EtherType, Gre, IpProtocol, Ipv4, Ipv6, Ipv6Extensions, checksum, ecn, parameter_problem};
use std::fmt;
use std::net::IpAddr;

/// Its name.
pub const NAME: NodeName = NodeName::new("tunnel-input");

/// Features on packets out of a tunnel, whole ones from their IP header on, by its interface.
pub const ARC: ArcPoint = ArcPoint { name: ArcName::new("tunnel-input"), starts: &[NAME], end: ip::input::NAME };

edges! {
    /// By the family of the packet inside; or of the outer one, if it is no tunnel's.
    pub enum Next {
        Input4 => ip4::input::NAME,
        Input6 => ip6::input::NAME,
        IcmpError4 => V4::ICMP_ERROR,
        IcmpError6 => V6::ICMP_ERROR,
    }
}

counters! {
    /// Packets that are of no tunnel, or spoilt.
    pub enum Count {
        Unknown => "no tunnel between these addresses",
        WrongKey => "tunnels between these addresses have other keys",
        Down => "tunnel is down",
        BadVersion => "GRE version is not 0",
        BadFlags => "GRE header with routing or other fields of RFC 1701",
        Short => "shorter than its headers",
        NoChecksum => "no GRE checksum, which the tunnel asks for",
        BadChecksum => "GRE checksum is wrong",
        NotIp => "neither IPv4 nor IPv6 inside",
        Congested => "congestion met by a packet that can't tell of it",
        Gone => "interface is being removed",
        Malformed => "no IP header",
    }
}

/// What `show trace` tells.
pub struct Trace {
    outer: Outer,
    interface: u32,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outer { local, remote, protocol, .. } = self.outer;
        write!(f, "{remote} -> {local} {protocol} interface {}", self.interface)
    }
}

/// The node.
pub struct TunnelInput {
    /// Reads: interfaces, ends of tunnels.
    forwarding: Forwarding,
}

/// What the outer header says.
#[derive(Clone, Copy)]
struct Outer {
    local: IpAddr,
    remote: IpAddr,
    tos: u8,
    protocol: IpProtocol,
    /// Where what it carries begins, in bytes.
    at: usize,
    /// What whoever sent it hears if it is nobody's.
    unknown: Reason,
}

/// What the packet says of its tunnel.
struct Inside {
    gre: bool,
    key: Option<u32>,
    has_checksum: bool,
    is_ip6: bool,
    /// Where the packet inside begins, in bytes.
    at: usize,
}

impl TunnelInput {
    /// Reads `forwarding`.
    pub fn new(forwarding: Forwarding) -> TunnelInput {
        TunnelInput { forwarding }
    }
}

impl Node for TunnelInput {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(outer) = Outer::of(packet.data()) else { return cx.drop(Count::Malformed) };
        let inside = match Inside::of(packet.data(), &outer) {
            Ok(inside) => inside,
            Err(cause) => return cx.drop(cause),
        };
        let guard = cx.guard();
        let end = End::new(packet.meta.table, (outer.local, outer.remote), inside.gre, inside.key);
        let Some(&Arrival { interface, checksum }) = self.forwarding.tunnels.at(&end, &guard) else {
            let known = self.forwarding.tunnels.at(&end.any_key(), &guard).is_some();
            return refuse(&outer, if known { Count::WrongKey } else { Count::Unknown }, packet, cx);
        };
        if !cx.is_up(interface) {
            return lose(Count::Down, interface, cx);
        }
        if checksum && !inside.has_checksum {
            return lose(Count::NoChecksum, interface, cx);
        }
        if inside.has_checksum && !sum_from(packet.segments(), outer.at).is_ok() {
            return lose(Count::BadChecksum, interface, cx);
        }
        let Some(there) = self.forwarding.interfaces.get(interface, &guard) else {
            return lose(Count::Gone, interface, cx);
        };
        cx.trace(packet, || Trace { outer, interface });
        if !packet.advance(inside.at) {
            return lose(Count::Short, interface, cx);
        }
        if outer.tos & 3 != 0
            && let Err(cause) = pass_congestion(packet, &inside, outer.tos)
        {
            return lose(cause, interface, cx);
        }
        let counters = cx.interface(interface);
        counters.rx_packets.add(1);
        counters.rx_bytes.add(packet.total_len() as u64);
        let meta = &mut *packet.meta;
        (meta.rx_interface, meta.table, meta.marks, meta.flow_hash) = (interface, there.table, 0, 0);
        let next = if inside.is_ip6 { Next::Input6 } else { Next::Input4 };
        cx.start_arc(packet, interface, next)
    }
}

impl Outer {
    #[inline(always)]
    fn of(packet: &[u8]) -> Option<Outer> {
        use millrace_wire::FromBytes;
        match packet.first()? >> 4 {
            4 => {
                let (ip, _) = Ipv4::ref_from_prefix(packet).ok()?;
                Some(Outer {
                    local: ip.dst().into(),
                    remote: ip.src().into(),
                    tos: ip.tos(),
                    protocol: ip.protocol(),
                    at: ip.header_len(),
                    unknown: Reason::ProtocolUnreachable,
                })
            }
            _ => {
                let (ip, _) = Ipv6::ref_from_prefix(packet).ok()?;
                let mut headers = Ipv6Extensions::of(packet);
                let fine = headers.by_ref().all(|header| header.is_ok());
                let pointer = headers.pointer() as u16;
                fine.then_some(Outer {
                    local: ip.dst().into(),
                    remote: ip.src().into(),
                    tos: ip.traffic_class(),
                    protocol: headers.protocol(),
                    at: headers.offset(),
                    unknown: Reason::ParameterProblem { code: parameter_problem::NEXT_HEADER, pointer },
                })
            }
        }
    }
}

impl Inside {
    #[inline(always)]
    fn of(packet: &[u8], outer: &Outer) -> Result<Inside, Count> {
        let plain = |is_ip6| Inside { gre: false, key: None, has_checksum: false, is_ip6, at: outer.at };
        match outer.protocol {
            IpProtocol::IPV4 => return Ok(plain(false)),
            IpProtocol::IPV6 => return Ok(plain(true)),
            _ => {}
        }
        let fields = Gre::read(packet.get(outer.at..).unwrap_or(&[])).map_err(|bad| match bad {
            BadGre::Short => Count::Short,
            BadGre::Version => Count::BadVersion,
            BadGre::Flags => Count::BadFlags,
        })?;
        let is_ip6 = match fields.protocol {
            EtherType::IPV4 => false,
            EtherType::IPV6 => true,
            _ => return Err(Count::NotIp),
        };
        let (key, has_checksum, at) = (fields.key, fields.has_checksum, outer.at + fields.len);
        Ok(Inside { gre: true, key, has_checksum, is_ip6, at })
    }
}

/// Tells whoever sent a packet that no tunnel takes it.
#[cold]
fn refuse(outer: &Outer, cause: Count, packet: &mut Packet<'_>, cx: &mut Ctx<'_, TunnelInput>) -> Next {
    cx.count(cause);
    outer.unknown.note(packet);
    if outer.remote.is_ipv6() { Next::IcmpError6 } else { Next::IcmpError4 }
}

#[cold]
fn lose(cause: Count, interface: u32, cx: &mut Ctx<'_, TunnelInput>) -> Next {
    cx.interface(interface).rx_drops.add(1);
    cx.drop(cause)
}

/// Lets the packet inside have what the outer one met (RFC 6040 section 4.2).
#[cold]
fn pass_congestion(packet: &mut Packet<'_>, inside: &Inside, outer: u8) -> Result<(), Count> {
    if inside.is_ip6 {
        let ip = packet.header_mut::<Ipv6>().ok_or(Count::Short)?;
        let tos = ecn::decapsulated(ip.traffic_class(), outer).ok_or(Count::Congested)?;
        ip.set_traffic_class(tos);
    } else {
        let ip = packet.header_mut::<Ipv4>().ok_or(Count::Short)?;
        let tos = ecn::decapsulated(ip.tos(), outer).ok_or(Count::Congested)?;
        let sum = checksum::update_u16(ip.checksum(), ip.tos().into(), tos.into());
        ip.set_tos(tos);
        ip.set_checksum(sum);
    }
    Ok(())
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
