//! ICMP echo requests of the router's own, and the answers to them: what `ping` and `traceroute` are made of.

use millrace_wire::{FromBytes, Icmp4, Icmp4Type, IntoBytes, IpProtocol, Ipv4, checksum, unreachable};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Instant;
use tokio::sync::oneshot;

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When.
    pub at: Instant,
    /// Who sent it.
    pub from: Ipv4Addr,
    /// Its type and code.
    pub kind: (Icmp4Type, u8),
    /// Bytes of its ICMP message.
    pub bytes: usize,
    /// Its time to live.
    pub ttl: u8,
}

impl Answer {
    /// Whether it is the reply, rather than an error.
    pub fn is_reply(&self) -> bool {
        self.kind.0 == Icmp4Type::ECHO_REPLY
    }

    /// What it says, in the words of ping(8).
    pub fn words(&self) -> String {
        match self.kind {
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

    /// The mark that traceroute(8) puts behind an error; empty for what it expects.
    pub fn mark(&self) -> String {
        match self.kind {
            (Icmp4Type::UNREACHABLE, unreachable::NET) => "!N".to_owned(),
            (Icmp4Type::UNREACHABLE, unreachable::HOST) => "!H".to_owned(),
            (Icmp4Type::UNREACHABLE, unreachable::PROTOCOL) => "!P".to_owned(),
            (Icmp4Type::UNREACHABLE, unreachable::FRAGMENTATION_NEEDED) => "!F".to_owned(),
            (Icmp4Type::UNREACHABLE, unreachable::ADMINISTRATIVELY_PROHIBITED) => "!X".to_owned(),
            (Icmp4Type::UNREACHABLE, code) => format!("!{code}"),
            _ => String::new(),
        }
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

    /// Hands a packet for the router, from its IPv4 header on, to whom it answers.
    pub fn answer(&mut self, packet: &[u8], at: Instant) {
        if let Some((key, answer)) = read(packet, at)
            && let Some(waiting) = self.waiting.remove(&key)
        {
            // Who no longer waits has given up.
            let _ = waiting.send(answer);
        }
    }
}

/// Whom a packet answers, and what it says.
fn read(packet: &[u8], at: Instant) -> Option<(Key, Answer)> {
    let (header, message) = icmp(packet)?;
    let (icmp_header, quoted) = Icmp4::ref_from_prefix(message).ok()?;
    let key = match icmp_header.kind() {
        Icmp4Type::ECHO_REPLY => (icmp_header.id(), icmp_header.sequence()),
        kind if kind.is_error() => {
            let (original, _) = Icmp4::ref_from_prefix(icmp(quoted)?.1).ok()?;
            (original.kind() == Icmp4Type::ECHO_REQUEST).then(|| (original.id(), original.sequence()))?
        }
        _ => return None,
    };
    let kind = (icmp_header.kind(), icmp_header.code());
    Some((key, Answer { at, from: header.src(), kind, bytes: message.len(), ttl: header.ttl() }))
}

/// The header of an IPv4 packet that carries ICMP, and what it carries.
fn icmp(packet: &[u8]) -> Option<(&Ipv4, &[u8])> {
    let (header, _) = Ipv4::ref_from_prefix(packet).ok()?;
    let message = packet.get(header.header_len()..)?;
    (header.protocol() == IpProtocol::ICMP).then_some((header, message))
}

/// An echo request with `size` bytes of payload. `None` when it is longer than an IPv4 packet can be.
pub fn request(from: Ipv4Addr, to: Ipv4Addr, ttl: u8, (identifier, sequence): Key, size: usize) -> Option<Vec<u8>> {
    let len = u16::try_from(Icmp4::LEN + size).ok().filter(|len| usize::from(*len) + Ipv4::LEN <= 65_535)?;
    let mut header = Ipv4::new(from, to, IpProtocol::ICMP, ttl, len);
    // Requests differ in it, so that those that are cut in pieces can be put together again.
    header.set_id(identifier.rotate_left(8) ^ sequence);
    header.fill_checksum(&[]);
    let mut message = Icmp4::echo_request(identifier, sequence).as_bytes().to_vec();
    message.extend((0..size).map(|n| n as u8));
    let sum = checksum::icmp4(&message);
    if let Ok((icmp, _)) = Icmp4::mut_from_prefix(&mut message) {
        icmp.set_checksum(sum);
    }
    Some([header.as_bytes(), &message].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const THEM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

    fn packet(from: Ipv4Addr, message: &[u8]) -> Vec<u8> {
        let header = Ipv4::new(from, US, IpProtocol::ICMP, 61, message.len() as u16);
        [header.as_bytes(), message].concat()
    }

    #[test]
    fn a_reply_finds_its_request() {
        let (mut probes, now) = (Probes::default(), Instant::now());
        let id = probes.identifier();
        assert_ne!(probes.identifier(), id);
        let (mut first, mut second) = (probes.wait(id, 1), probes.wait(id, 2));
        let mut reply = request(THEM, US, 61, (id, 2), 56).unwrap();
        reply[Ipv4::LEN] = 0;
        probes.answer(&reply, now);
        let answer = second.try_recv().unwrap();
        assert_eq!((answer.from, answer.bytes, answer.ttl), (THEM, 64, 61));
        assert!(answer.is_reply());
        assert!(first.try_recv().is_err());
    }

    #[test]
    fn an_error_finds_the_request_that_it_quotes() {
        let (mut probes, now) = (Probes::default(), Instant::now());
        let mut waiting = probes.wait(7, 3);
        let asked = request(US, Ipv4Addr::new(198, 51, 100, 1), 1, (7, 3), 0).unwrap();
        let error = |kind, code| [Icmp4::new(kind, code).as_bytes(), &asked[..28]].concat();
        probes.answer(&packet(THEM, &error(Icmp4Type::TIME_EXCEEDED, 0)[..30]), now);
        assert!(waiting.try_recv().is_err(), "cut short");
        probes.answer(&packet(THEM, &error(Icmp4Type::TIME_EXCEEDED, 0)), now);
        let answer = waiting.try_recv().unwrap();
        assert_eq!((answer.words().as_str(), answer.mark().as_str()), ("Time to live exceeded", ""));
        let mut waiting = probes.wait(7, 3);
        probes.answer(&packet(THEM, &error(Icmp4Type::UNREACHABLE, 1)), now);
        let answer = waiting.try_recv().unwrap();
        assert_eq!((answer.words().as_str(), answer.mark().as_str()), ("Destination Host Unreachable", "!H"));
    }

    #[test]
    fn requests_are_right() {
        let bytes = request(US, THEM, 64, (7, 3), 3).unwrap();
        let header = Ipv4::ref_from_prefix(&bytes).unwrap().0;
        assert!(header.checksum_ok() && header.total_len() == 31);
        assert!(checksum::Sum::of(&bytes[20..]).is_ok());
        assert!(request(US, THEM, 64, (7, 3), 65_507).is_some());
        assert!(request(US, THEM, 64, (7, 3), 65_508).is_none());
    }
}
