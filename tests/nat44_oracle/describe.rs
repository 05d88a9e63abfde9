//! Packets in one line each, with everything that must be equal on both sides and nothing that may differ: the external
//! ports stand there as the inside's ends, checksums as how wrong they are, and the IP identification not at all.

use crate::event::Flow;
use crate::side::EXTERNAL;
use harness::frames;
use std::collections::HashMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddrV4};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The external ports of a side.
pub struct External<'a> {
    /// By flow.
    pub given: &'a HashMap<Flow, u16>,
}

/// The 16 bits at this place; 0 past the end.
fn word(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]))
}

fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    bytes.get(at..at + 4).map_or(Ipv4Addr::UNSPECIFIED, |four| Ipv4Addr::new(four[0], four[1], four[2], four[3]))
}

/// The source port, or the identifier of a query, of a frame that begins a datagram.
pub fn source_port(frame: &[u8]) -> Option<u16> {
    let packet = frame.get(14..)?;
    let body = packet.get(usize::from(packet[0] & 15) * 4..)?;
    match (packet[9], word(packet, 6) & 0x1fff) {
        (UDP | TCP, 0) => Some(word(body, 0)),
        (ICMP, 0) if query(body[0]) => Some(word(body, 4)),
        _ => None,
    }
}

/// Echo, timestamp and the obsolete queries, and their replies.
fn query(kind: u8) -> bool {
    matches!(kind, 0 | 8 | 13..=18)
}

/// By how much a checksum is wrong: 0 when it is right (RFC 1071 in ones' complement).
fn error(bytes: &[u8]) -> u16 {
    frames::checksum(bytes)
}

impl External<'_> {
    /// A line for each packet; fragments of one datagram are put together first, when all are there.
    pub fn lines(&self, side: &str, frames: &[Vec<u8>]) -> Vec<String> {
        let packets: Vec<&[u8]> =
            frames.iter().filter(|frame| frames::ether_type(frame) == frames::IP4).map(|frame| &frame[14..]).collect();
        let (pieces, whole): (Vec<&[u8]>, Vec<&[u8]>) =
            packets.into_iter().partition(|packet| word(packet, 6) & 0x3fff != 0);
        let mut lines: Vec<String> = whole.iter().map(|packet| format!("{side} {}", self.packet(packet))).collect();
        if !pieces.is_empty() {
            let line = match together(&pieces) {
                Some(packet) => format!("{side} in pieces: {}", self.packet(&packet)),
                None => format!("{side} {} pieces that don't fit together", pieces.len()),
            };
            lines.push(line);
        }
        lines
    }

    /// An end, an external one by the inside's end behind it.
    fn end(&self, protocol: u8, address: Ipv4Addr, port: u16, other: SocketAddrV4) -> String {
        let behind = |(flow, given): (&Flow, &u16)| {
            (flow.protocol == protocol && *given == port && flow.remote == other).then_some(flow.inside)
        };
        match self.given.iter().find_map(behind).filter(|_| address.to_string() == EXTERNAL) {
            Some(inside) => format!("external of {inside}"),
            None => format!("{address}:{port}"),
        }
    }

    fn packet(&self, packet: &[u8]) -> String {
        let header = usize::from(packet[0] & 15) * 4;
        let (protocol, source, destination) = (packet[9], address(packet, 12), address(packet, 16));
        let body = &packet[header..usize::from(word(packet, 2)).min(packet.len())];
        let own = protocol == ICMP && body.first().is_some_and(|kind| !query(*kind)) && is_routers(source);
        let mut line = format!("{:02x}", packet[0]);
        if own {
            // Each router has its own time to live and precedence for its errors; which of its addresses it shows outside
            // is its own choice, too.
            let side = if source.octets()[0] == 192 { "lan" } else { "wan" };
            write!(line, " router's own by its address in the {side}, to {destination}").unwrap();
        } else {
            write!(line, " tos {:02x} ttl {}", packet[1], packet[8]).unwrap();
        }
        write!(line, " flags {:x} header sum off by {:x}", packet[6] >> 5, error(&packet[..header])).unwrap();
        write!(line, " options {:02x?} ", &packet[20..header]).unwrap();
        self.transport(&mut line, (protocol, source, destination), body, !own);
        line
    }

    fn transport(
        &self,
        line: &mut String,
        (protocol, source, destination): (u8, Ipv4Addr, Ipv4Addr),
        body: &[u8],
        ends: bool,
    ) {
        let pseudo = [&source.octets()[..], &destination.octets(), &[0, protocol], &(body.len() as u16).to_be_bytes()];
        let pseudo = [&pseudo.concat()[..], body].concat();
        let (from, to) = match protocol {
            UDP | TCP => (word(body, 0), word(body, 2)),
            ICMP if body.first().is_some_and(|kind| matches!(kind, 8 | 13 | 15 | 17)) => (word(body, 4), 0),
            ICMP if body.first().is_some_and(|kind| query(*kind)) => (0, word(body, 4)),
            _ => (0, 0),
        };
        if ends {
            let left = self.end(protocol, source, from, SocketAddrV4::new(destination, to));
            let right = self.end(protocol, destination, to, SocketAddrV4::new(source, from));
            write!(line, "protocol {protocol} {left} > {right} ").unwrap();
        }
        match protocol {
            UDP if word(body, 6) == 0 => write!(line, "udp length {} no sum {:02x?}", word(body, 4), rest(body, 8)),
            UDP => write!(line, "udp length {} sum off by {:x} {:02x?}", word(body, 4), error(&pseudo), rest(body, 8)),
            TCP => write!(
                line,
                "tcp {:02x?} sum off by {:x} {:02x?}",
                rest(body.get(..16).unwrap_or(body), 4),
                error(&pseudo),
                rest(body, 18)
            ),
            ICMP if body.first().is_some_and(|kind| query(*kind)) => {
                write!(line, "icmp {:02x?} sum off by {:x} {:02x?}", &body[..2], error(body), rest(body, 6))
            }
            ICMP if body.len() >= 8 + 20 => {
                write!(line, "icmp {:02x?} {:02x?} sum off by {:x} about ", &body[..2], &body[4..8], error(body))
                    .unwrap();
                self.quote(line, &body[8..]);
                Ok(())
            }
            _ => write!(line, "{body:02x?}"),
        }
        .unwrap();
    }

    /// What an error quotes. A router may have counted its time to live down or not (RFC 1812 4.3.2.3), and when it is cut,
    /// its transport checksum can't be judged.
    fn quote(&self, line: &mut String, packet: &[u8]) {
        let header = (usize::from(packet[0] & 15) * 4).min(packet.len());
        let (protocol, source, destination) = (packet[9], address(packet, 12), address(packet, 16));
        let body = &packet[header..];
        write!(line, "({} bytes, options {:02x?}) ", word(packet, 2), &packet[20..header]).unwrap();
        if packet.len() >= usize::from(word(packet, 2)) {
            return self.transport(line, (protocol, source, destination), body, true);
        }
        let (from, to) = if protocol == ICMP { (word(body, 4), 0) } else { (word(body, 0), word(body, 2)) };
        let left = self.end(protocol, source, from, SocketAddrV4::new(destination, to));
        let right = self.end(protocol, destination, to, SocketAddrV4::new(source, from));
        write!(line, "protocol {protocol} {left} > {right}, the first {} bytes", packet.len()).unwrap();
    }
}

/// The routers' addresses outside and inside; the pool's may show in errors, too.
fn is_routers(address: Ipv4Addr) -> bool {
    ["192.168.1.1", "203.0.113.1", EXTERNAL].contains(&address.to_string().as_str())
}

fn rest(body: &[u8], at: usize) -> &[u8] {
    body.get(at..).unwrap_or_default()
}

/// Fragments as the packet that they are pieces of; none when some are missing or overlap.
fn together(pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let mut pieces = pieces.to_vec();
    pieces.sort_by_key(|packet| word(packet, 6) & 0x1fff);
    let first = pieces.first()?;
    let header = usize::from(first[0] & 15) * 4;
    let mut whole = first[..header].to_vec();
    for piece in &pieces {
        if usize::from(word(piece, 6) & 0x1fff) * 8 != whole.len() - header || piece[4..6] != first[4..6] {
            return None;
        }
        whole.extend_from_slice(&piece[usize::from(piece[0] & 15) * 4..usize::from(word(piece, 2)).min(piece.len())]);
    }
    if word(pieces.last()?, 6) & 0x2000 != 0 {
        return None;
    }
    let length = (whole.len() as u16).to_be_bytes();
    whole[2..4].copy_from_slice(&length);
    whole[6] &= 0x40;
    whole[7] = 0;
    (whole[10], whole[11]) = (0, 0);
    let sum = frames::checksum(&whole[..header]).to_be_bytes();
    whole[10..12].copy_from_slice(&sum);
    Some(whole)
}
