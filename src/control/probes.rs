//! ICMP echo requests of the router's own, and the answers to them: what `ping` and `traceroute` are made of, for both families.

use super::ip6::packets::icmp6;
use millrace_wire::{
    FromBytes, Icmp4, Icmp4Type, Icmp6, Icmp6Type, IntoBytes, IpProtocol, Ipv4, Ipv6, checksum, unreachable,
    unreachable6, upper_layer,
};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;
use tokio::sync::oneshot;

/// Type and code of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of ICMP.
    V4(Icmp4Type, u8),
    /// Of ICMPv6.
    V6(Icmp6Type, u8),
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When.
    pub at: Instant,
    /// Who sent it.
    pub from: IpAddr,
    /// Its type and code.
    pub kind: Kind,
    /// Bytes of its ICMP message.
    pub bytes: usize,
    /// Its time to live.
    pub ttl: u8,
}

impl Answer {
    /// Whether it is the reply, rather than an error.
    pub fn is_reply(&self) -> bool {
        matches!(self.kind, Kind::V4(Icmp4Type::ECHO_REPLY, _) | Kind::V6(Icmp6Type::ECHO_REPLY, _))
    }

    /// Whether it says that there is no way further.
    pub fn is_end(&self) -> bool {
        matches!(self.kind, Kind::V4(Icmp4Type::UNREACHABLE, _) | Kind::V6(Icmp6Type::UNREACHABLE, _))
    }

    /// What it says, in the words of ping(8).
    pub fn words(&self) -> String {
        match self.kind {
            Kind::V4(kind, code) => words4(kind, code),
            Kind::V6(kind, code) => words6(kind, code),
        }
    }

    /// The mark that traceroute(8) puts behind an error; empty for what it expects.
    pub fn mark(&self) -> String {
        match self.kind {
            Kind::V4(Icmp4Type::UNREACHABLE, unreachable::NET) => "!N".to_owned(),
            Kind::V4(Icmp4Type::UNREACHABLE, unreachable::HOST) => "!H".to_owned(),
            Kind::V4(Icmp4Type::UNREACHABLE, unreachable::PROTOCOL) => "!P".to_owned(),
            Kind::V4(Icmp4Type::UNREACHABLE, unreachable::FRAGMENTATION_NEEDED) => "!F".to_owned(),
            Kind::V4(Icmp4Type::UNREACHABLE, unreachable::ADMINISTRATIVELY_PROHIBITED) => "!X".to_owned(),
            Kind::V6(Icmp6Type::UNREACHABLE, unreachable6::NO_ROUTE) => "!N".to_owned(),
            Kind::V6(Icmp6Type::UNREACHABLE, unreachable6::ADDRESS) => "!H".to_owned(),
            Kind::V6(Icmp6Type::UNREACHABLE, unreachable6::ADMINISTRATIVELY_PROHIBITED) => "!X".to_owned(),
            Kind::V6(Icmp6Type::UNREACHABLE, unreachable6::BEYOND_SCOPE) => "!S".to_owned(),
            Kind::V6(Icmp6Type::PACKET_TOO_BIG, _) => "!F".to_owned(),
            Kind::V4(Icmp4Type::UNREACHABLE, code) | Kind::V6(Icmp6Type::UNREACHABLE, code) => format!("!{code}"),
            _ => String::new(),
        }
    }
}

fn words4(kind: Icmp4Type, code: u8) -> String {
    match (kind, code) {
        (Icmp4Type::ECHO_REPLY, _) => "reply".to_owned(),
        (Icmp4Type::TIME_EXCEEDED, 0) => "Time to live exceeded".to_owned(),
        (Icmp4Type::TIME_EXCEEDED, _) => "Frag reassembly time exceeded".to_owned(),
        (Icmp4Type::UNREACHABLE, unreachable::NET) => "Destination Net Unreachable".to_owned(),
        (Icmp4Type::UNREACHABLE, unreachable::HOST) => "Destination Host Unreachable".to_owned(),
        (Icmp4Type::UNREACHABLE, unreachable::PROTOCOL) => "Destination Protocol Unreachable".to_owned(),
        (Icmp4Type::UNREACHABLE, unreachable::PORT) => "Destination Port Unreachable".to_owned(),
        (Icmp4Type::UNREACHABLE, unreachable::FRAGMENTATION_NEEDED) => "Frag needed and DF set".to_owned(),
        (Icmp4Type::UNREACHABLE, unreachable::ADMINISTRATIVELY_PROHIBITED) => "Packet filtered".to_owned(),
        (Icmp4Type::UNREACHABLE, code) => format!("Dest Unreachable, Bad Code: {code}"),
        (Icmp4Type(kind), code) => format!("ICMP type {kind} code {code}"),
    }
}

fn words6(kind: Icmp6Type, code: u8) -> String {
    match (kind, code) {
        (Icmp6Type::ECHO_REPLY, _) => "reply".to_owned(),
        (Icmp6Type::TIME_EXCEEDED, 0) => "Time exceeded: Hop limit".to_owned(),
        (Icmp6Type::TIME_EXCEEDED, _) => "Time exceeded: Defragmentation failure".to_owned(),
        (Icmp6Type::PACKET_TOO_BIG, _) => "Packet too big".to_owned(),
        (Icmp6Type::UNREACHABLE, unreachable6::NO_ROUTE) => "Destination unreachable: No route".to_owned(),
        (Icmp6Type::UNREACHABLE, unreachable6::ADMINISTRATIVELY_PROHIBITED) => {
            "Destination unreachable: Administratively prohibited".to_owned()
        }
        (Icmp6Type::UNREACHABLE, unreachable6::BEYOND_SCOPE) => {
            "Destination unreachable: Beyond scope of source address".to_owned()
        }
        (Icmp6Type::UNREACHABLE, unreachable6::ADDRESS) => "Destination unreachable: Address unreachable".to_owned(),
        (Icmp6Type::UNREACHABLE, unreachable6::PORT) => "Destination unreachable: Port unreachable".to_owned(),
        (Icmp6Type::UNREACHABLE, code) => format!("Destination unreachable: Unknown code {code}"),
        (Icmp6Type::PARAMETER_PROBLEM, _) => "Parameter problem".to_owned(),
        (Icmp6Type(kind), code) => format!("ICMPv6 type {kind} code {code}"),
    }
}

/// Identifier and sequence number of a request.
type Key = (u16, u16);

/// The requests that wait for an answer.
#[derive(Debug, Default)]
pub struct Probes {
    waiting: HashMap<Key, oneshot::Sender<Answer>>,
    last: u16,
}

impl Probes {
    /// An identifier for a new series of requests.
    pub fn identifier(&mut self) -> u16 {
        // What ran before under the same process id may still be answered; begin elsewhere.
        if self.last == 0 {
            self.last = std::process::id() as u16;
        }
        self.last = self.last.wrapping_add(1).max(1);
        self.last
    }

    /// Where the answer to a request will come.
    pub fn wait(&mut self, identifier: u16, sequence: u16) -> oneshot::Receiver<Answer> {
        self.waiting.retain(|_, waiting| !waiting.is_closed());
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert((identifier, sequence), sender);
        receiver
    }

    /// Hands a packet for the router, from its IP header on, to whom it answers.
    pub fn answer(&mut self, packet: &[u8], at: Instant) {
        let read = match packet.first().map(|first| first >> 4) {
            Some(4) => read4(packet, at),
            Some(6) => read6(packet, at),
            _ => None,
        };
        if let Some((key, answer)) = read
            && let Some(waiting) = self.waiting.remove(&key)
        {
            // Who no longer waits has given up.
            let _ = waiting.send(answer);
        }
    }
}

/// Whom an IPv4 packet answers, and what it says.
fn read4(packet: &[u8], at: Instant) -> Option<(Key, Answer)> {
    let (header, message) = message4(packet)?;
    let (icmp, quoted) = Icmp4::ref_from_prefix(message).ok()?;
    let key = match icmp.kind() {
        Icmp4Type::ECHO_REPLY => (icmp.id(), icmp.sequence()),
        kind if kind.is_error() => {
            let (original, _) = Icmp4::ref_from_prefix(message4(quoted)?.1).ok()?;
            (original.kind() == Icmp4Type::ECHO_REQUEST).then(|| (original.id(), original.sequence()))?
        }
        _ => return None,
    };
    let kind = Kind::V4(icmp.kind(), icmp.code());
    Some((key, Answer { at, from: header.src().into(), kind, bytes: message.len(), ttl: header.ttl() }))
}

/// Whom an IPv6 packet answers, and what it says.
fn read6(packet: &[u8], at: Instant) -> Option<(Key, Answer)> {
    let (header, message) = message6(packet)?;
    let (icmp, quoted) = Icmp6::ref_from_prefix(message).ok()?;
    let key = match icmp.kind() {
        Icmp6Type::ECHO_REPLY => (icmp.id(), icmp.sequence()),
        kind if kind.is_error() => {
            let (original, _) = Icmp6::ref_from_prefix(message6(quoted)?.1).ok()?;
            (original.kind() == Icmp6Type::ECHO_REQUEST).then(|| (original.id(), original.sequence()))?
        }
        _ => return None,
    };
    let kind = Kind::V6(icmp.kind(), icmp.code());
    Some((key, Answer { at, from: header.src().into(), kind, bytes: message.len(), ttl: header.hop_limit() }))
}

/// The header of an IPv4 packet that carries ICMP, and what it carries.
fn message4(packet: &[u8]) -> Option<(&Ipv4, &[u8])> {
    let (header, _) = Ipv4::ref_from_prefix(packet).ok()?;
    let message = packet.get(header.header_len()..)?;
    (header.protocol() == IpProtocol::ICMP).then_some((header, message))
}

/// The header of an IPv6 packet that carries ICMPv6, behind whatever extension headers, and what it carries.
fn message6(packet: &[u8]) -> Option<(&Ipv6, &[u8])> {
    let (header, _) = Ipv6::ref_from_prefix(packet).ok()?;
    let (protocol, offset) = upper_layer(packet)?;
    (protocol == IpProtocol::ICMP6).then_some((header, packet.get(offset..)?))
}

/// An echo request with `size` bytes of payload. `None` when it is longer than a packet of its family can be.
pub fn request(from: IpAddr, to: IpAddr, ttl: u8, key: Key, size: usize) -> Option<Vec<u8>> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => request4(from, to, ttl, key, size),
        (IpAddr::V6(from), IpAddr::V6(to)) => request6(from, to, ttl, key, size),
        _ => None,
    }
}

fn payload(size: usize) -> impl Iterator<Item = u8> {
    (0..size).map(|n| n as u8)
}

fn request4(from: Ipv4Addr, to: Ipv4Addr, ttl: u8, (identifier, sequence): Key, size: usize) -> Option<Vec<u8>> {
    let len = u16::try_from(Icmp4::LEN + size).ok().filter(|len| usize::from(*len) + Ipv4::LEN <= 65_535)?;
    let mut header = Ipv4::new(from, to, IpProtocol::ICMP, ttl, len);
    // Requests differ in it, so that those that are cut in pieces can be put together again.
    header.set_id(identifier.rotate_left(8) ^ sequence);
    header.fill_checksum(&[]);
    let mut message = Icmp4::echo_request(identifier, sequence).as_bytes().to_vec();
    message.extend(payload(size));
    let sum = checksum::icmp4(&message);
    if let Ok((icmp, _)) = Icmp4::mut_from_prefix(&mut message) {
        icmp.set_checksum(sum);
    }
    Some([header.as_bytes(), &message].concat())
}

fn request6(from: Ipv6Addr, to: Ipv6Addr, hop_limit: u8, key: Key, size: usize) -> Option<Vec<u8>> {
    u16::try_from(Icmp6::LEN + size).ok()?;
    let mut message = Icmp6::echo_request(key.0, key.1).as_bytes().to_vec();
    message.extend(payload(size));
    Some(icmp6(from, to, hop_limit, message))
}

#[cfg(test)]
mod tests;
