//! TCP, UDP and ICMP packets by hand: made from one line, and taken apart with every checksum judged.

use crate::frames::{self, Ip};
use etherparse::{IcmpEchoHeader, Icmpv4Type, IpNumber, Ipv4Header, TcpHeader, TcpOptions};
use std::net::SocketAddrV4;

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;

/// Reads an endpoint such as "192.0.2.1:53".
#[track_caller]
pub fn at(text: &str) -> SocketAddrV4 {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A header between two endpoints, of this protocol; DF clear, time to live 64.
pub fn header(from: &str, to: &str, protocol: IpNumber) -> Ipv4Header {
    let mut header = frames::header(at(from).ip().octets(), at(to).ip().octets());
    header.protocol = protocol;
    header
}

/// A UDP packet.
pub fn udp(from: &str, to: &str, data: &[u8]) -> Vec<u8> {
    let header = header(from, to, IpNumber::UDP);
    frames::packet(&header, &frames::udp(&header, at(from).port(), at(to).port(), data))
}

/// What a TCP segment says.
#[derive(Clone, Debug, Default)]
pub struct Segment<'a> {
    /// Letters as tcpdump writes them: S, A, F, R, P, U.
    pub flags: &'a str,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Options, a multiple of four bytes.
    pub options: &'a [u8],
    /// Payload.
    pub data: &'a [u8],
}

/// A segment with these flags and numbers, without options and data.
pub fn segment(flags: &str, seq: u32, ack: u32) -> Segment<'_> {
    Segment { flags, seq, ack, ..Segment::default() }
}

/// A TCP packet with a window of 64240.
pub fn tcp(from: &str, to: &str, segment: &Segment) -> Vec<u8> {
    let header = header(from, to, IpNumber::TCP);
    let mut tcp = TcpHeader::new(at(from).port(), at(to).port(), segment.seq, 64240);
    let has = |flag| segment.flags.contains(flag);
    (tcp.syn, tcp.ack, tcp.fin, tcp.rst, tcp.psh, tcp.urg) =
        (has('S'), has('A'), has('F'), has('R'), has('P'), has('U'));
    tcp.acknowledgment_number = segment.ack;
    tcp.options = TcpOptions::try_from_slice(segment.options).expect("options that fit");
    tcp.checksum = tcp.calc_checksum_ipv4(&header, segment.data).expect("a segment that fits");
    frames::packet(&header, &[&tcp.to_bytes()[..], segment.data].concat())
}

/// The option of a SYN that tells the maximum segment size (RFC 9293 3.7.1).
pub fn mss(bytes: u16) -> [u8; 4] {
    [2, 4, (bytes >> 8) as u8, bytes as u8]
}

/// An echo request; the identifier stands where a port would: "192.168.1.10:77".
pub fn echo(from: &str, to: Ip, seq: u16, data: &[u8]) -> Vec<u8> {
    frames::echo_request(at(from).ip().octets(), to, at(from).port(), seq, data)
}

/// An echo reply, whose receiver is given with the identifier as its port.
pub fn echo_reply(from: Ip, to: &str, seq: u16, data: &[u8]) -> Vec<u8> {
    let id = at(to).port();
    icmp(from, at(to).ip().octets(), &frames::icmp(Icmpv4Type::EchoReply(IcmpEchoHeader { id, seq }), data))
}

/// An ICMP error about a packet, which it quotes whole.
pub fn error(from: Ip, to: Ip, (kind, code): (u8, u8), rest: [u8; 4], quoted: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0], &rest[..], quoted].concat();
    let sum = frames::checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    icmp(from, to, &message)
}

fn icmp(from: Ip, to: Ip, message: &[u8]) -> Vec<u8> {
    let mut header = frames::header(from, to);
    header.protocol = IpNumber::ICMP;
    frames::packet(&header, message)
}

/// Puts the fragments of one datagram together, in whatever order they came, and reads the whole. There must be no gap and
/// no overlap.
#[track_caller]
pub fn whole(fragments: &[Packet]) -> Packet {
    let mut parts: Vec<_> = fragments.iter().collect();
    parts.sort_by_key(|part| part.ip.fragment_offset.value());
    let Some(first) = parts.first() else { panic!("no fragment came") };
    let (mut header, mut body) = (first.ip.clone(), Vec::new());
    for part in &parts {
        assert_eq!(usize::from(part.ip.fragment_offset.value()) * 8, body.len(), "where the next fragment begins");
        let ends = (part.ip.source, part.ip.destination, part.ip.identification);
        assert_eq!(ends, (header.source, header.destination, header.identification));
        body.extend_from_slice(&part.body);
    }
    assert!(parts.last().is_some_and(|last| !last.ip.more_fragments), "the last fragment is missing");
    header.more_fragments = false;
    Packet::read(&frames::packet(&header, &body))
}

/// A packet cut into fragments of at most this many bytes of data (a multiple of eight), with this identification.
pub fn fragments(packet: &[u8], bytes: usize, identification: u16) -> Vec<Vec<u8>> {
    let (mut header, body) = frames::ip4_packet(packet).expect("an IPv4 packet");
    header.identification = identification;
    let last = body.chunks(bytes).count() - 1;
    let piece = |(number, data): (usize, &[u8])| {
        let mut header = header.clone();
        header.fragment_offset = ((number * bytes / 8) as u16).try_into().expect("13 bits");
        header.more_fragments = number != last;
        frames::packet(&header, data)
    };
    body.chunks(bytes).enumerate().map(piece).collect()
}

/// A packet that was seen. Reading it asserts that its checksums are right, as far as it is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its IPv4 header.
    pub ip: Ipv4Header,
    /// Source port; of ICMP queries the identifier; 0 where there is none.
    pub from: u16,
    /// Destination port; of ICMP replies the identifier; 0 where there is none.
    pub to: u16,
    /// The TCP header, of TCP.
    pub tcp: Option<TcpHeader>,
    /// Type, code and second word, of ICMP.
    pub icmp: Option<(u8, u8, [u8; 4])>,
    /// The checksum of UDP as it stands there; 0 for all others.
    pub udp_checksum: u16,
    /// What follows the IP header.
    pub body: Vec<u8>,
    /// What follows the transport header.
    pub data: Vec<u8>,
}

impl Packet {
    /// Reads a frame, when it is IPv4.
    #[track_caller]
    pub fn of(frame: &[u8]) -> Option<Packet> {
        let (_, _, ether_type, packet) = frames::link(frame);
        (ether_type == frames::IP4).then(|| Packet::read(packet))
    }

    /// Reads a packet without a link header.
    #[track_caller]
    pub fn read(packet: &[u8]) -> Packet {
        let (ip, body) = frames::ip4_packet(packet).expect("an IPv4 packet");
        let whole = usize::from(ip.total_len) == ip.header_len() + body.len();
        Packet::parse(ip, body, whole)
    }

    /// The packet that an ICMP error quotes; its transport checksum is judged when it is quoted whole.
    #[track_caller]
    pub fn quoted(&self) -> Packet {
        assert!(self.icmp.is_some(), "only ICMP errors quote: {self:?}");
        Packet::read(&self.data)
    }

    fn parse(ip: Ipv4Header, body: &[u8], whole: bool) -> Packet {
        let port =
            |index: usize| body.get(index..index + 2).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        let (body_bytes, data) = (body.to_vec(), body.to_vec());
        let mut packet = Packet { ip, from: 0, to: 0, tcp: None, icmp: None, udp_checksum: 0, body: body_bytes, data };
        if packet.ip.fragment_offset.value() > 0 {
            return packet;
        }
        let whole = whole && !packet.ip.more_fragments;
        match packet.ip.protocol {
            IpNumber::UDP if body.len() >= 8 => {
                (packet.from, packet.to, packet.udp_checksum) = (port(0), port(2), port(6));
                let right = port(6) == 0 || pseudo_sum(&packet.ip, body) == 0;
                assert!(!whole || right, "UDP checksum {:#06x} of {packet:02x?}", port(6));
                packet.data.drain(..8);
            }
            IpNumber::TCP => {
                (packet.from, packet.to) = (port(0), port(2));
                assert!(!whole || pseudo_sum(&packet.ip, body) == 0, "TCP checksum of {packet:02x?}");
                if let Ok((tcp, data)) = TcpHeader::from_slice(body) {
                    (packet.tcp, packet.data) = (Some(tcp), data.to_vec());
                }
            }
            IpNumber::ICMP if body.len() >= 8 => {
                assert!(!whole || frames::checksum(body) == 0, "ICMP checksum of {packet:02x?}");
                packet.icmp = Some((body[0], body[1], body[4..8].try_into().expect("four bytes")));
                match body[0] {
                    ECHO_REQUEST => packet.from = port(4),
                    ECHO_REPLY => packet.to = port(4),
                    _ => {}
                }
                packet.data.drain(..8);
            }
            _ => {}
        }
        packet
    }

    /// Protocol and both endpoints in one line: "udp 192.0.2.1:5 > 198.51.100.1:53".
    pub fn flow(&self) -> String {
        let protocol = match (self.ip.protocol, self.icmp) {
            (IpNumber::UDP, _) => "udp".to_owned(),
            (IpNumber::TCP, _) => "tcp".to_owned(),
            (_, Some((kind, code, _))) => format!("icmp {kind}/{code}"),
            (other, _) => format!("protocol {}", other.0),
        };
        format!("{protocol} {} > {}", self.source(), self.destination())
    }

    /// Where it comes from: address and port.
    pub fn source(&self) -> String {
        SocketAddrV4::new(self.ip.source.into(), self.from).to_string()
    }

    /// Where it goes to: address and port.
    pub fn destination(&self) -> String {
        SocketAddrV4::new(self.ip.destination.into(), self.to).to_string()
    }

    /// The type and code of an ICMP message.
    #[track_caller]
    pub fn icmp_kind(&self) -> (u8, u8) {
        let (kind, code, _) = self.icmp.unwrap_or_else(|| panic!("no ICMP message: {self:?}"));
        (kind, code)
    }
}

/// Whether a frame holds an IPv4 packet, not a fragment, whose lengths and checksums are right: [`Packet::of`] panics if not.
pub fn is_sound(frame: &[u8]) -> bool {
    let Some(packet) = frame.get(14..).filter(|packet| frames::ether_type(frame) == frames::IP4 && packet.len() >= 20)
    else {
        return false;
    };
    let (header, total) = (usize::from(packet[0] & 15) * 4, usize::from(u16::from_be_bytes([packet[2], packet[3]])));
    let fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff != 0;
    if packet[0] >> 4 != 4 || header < 20 || header > total || total > packet.len() || fragment {
        return false;
    }
    let Some((ip, body)) = Ipv4Header::from_slice(packet).ok().map(|(ip, _)| (ip, &packet[header..total])) else {
        return false;
    };
    let right = match packet[9] {
        17 => body.len() >= 8 && (body[6..8] == [0, 0] || pseudo_sum(&ip, body) == 0),
        6 => body.len() >= 20 && pseudo_sum(&ip, body) == 0,
        1 => body.len() >= 8 && frames::checksum(body) == 0,
        _ => true,
    };
    right && frames::checksum(&packet[..header]) == 0
}

/// The checksum of a TCP segment or UDP datagram with its pseudo-header (RFC 9293 3.1, RFC 768); 0 when it is right.
pub fn pseudo_sum(ip: &Ipv4Header, body: &[u8]) -> u16 {
    let length = (body.len() as u16).to_be_bytes();
    frames::checksum(&[&ip.source[..], &ip.destination, &[0, ip.protocol.0], &length, body].concat())
}
