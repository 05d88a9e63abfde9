//! IPv6 and ICMPv6 by hand: made and taken apart with etherparse and a checksum of our own, so that no code of the router
//! judges itself.

use crate::frames::{self, Mac};
use etherparse::{IpNumber, Ipv6Header};

/// An IPv6 address.
pub type Ip6 = [u8; 16];

/// EtherType of IPv6.
pub const IP6: u16 = 0x86dd;
/// `::`
pub const UNSPECIFIED: Ip6 = [0; 16];
/// ff02::1, every host of the link.
pub const ALL_NODES: Ip6 = group(1);
/// ff02::2, every router of the link.
pub const ALL_ROUTERS: Ip6 = group(2);
/// ff02::16, who listens to MLDv2 reports (RFC 3810 5.2.14).
pub const MLD_ROUTERS: Ip6 = group(0x16);
/// What a path must carry (RFC 8200 section 5), and so what an error may have (RFC 4443 2.4 c).
pub const MINIMUM_MTU: usize = 1280;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ICMP: u8 = 58;
const DESTINATION_OPTIONS: u8 = 60;

const fn group(number: u8) -> Ip6 {
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number]
}

/// Reads an address such as "2001:db8::1".
#[track_caller]
pub fn ip6(text: &str) -> Ip6 {
    text.parse::<std::net::Ipv6Addr>().unwrap_or_else(|e| panic!("{text}: {e}")).octets()
}

/// The group that neighbours ask for an address by (RFC 4291 2.7.1).
pub fn solicited_node(address: Ip6) -> Ip6 {
    let mut group = ip6("ff02::1:ff00:0");
    group[13..].copy_from_slice(&address[13..]);
    group
}

/// The hardware address of a group (RFC 2464 section 7).
pub fn group_mac(group: Ip6) -> Mac {
    [0x33, 0x33, group[12], group[13], group[14], group[15]]
}

/// The link-local address that comes of a hardware address (RFC 4291 appendix A).
pub fn link_local(mac: Mac) -> Ip6 {
    let mut address = ip6("fe80::");
    address[8..].copy_from_slice(&[mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]]);
    address
}

/// A header for a UDP packet with a hop limit of 64. Change what you like, then call [`packet`].
pub fn header(from: Ip6, to: Ip6) -> Ipv6Header {
    Ipv6Header { next_header: IpNumber::UDP, hop_limit: 64, source: from, destination: to, ..Ipv6Header::default() }
}

/// A packet: the header with its length set right, and the body, which begins with extension headers if there are any.
pub fn packet(header: &Ipv6Header, body: &[u8]) -> Vec<u8> {
    let mut header = header.clone();
    header.payload_length = u16::try_from(body.len()).expect("the body fits a packet");
    [&header.to_bytes()[..], body].concat()
}

/// A UDP datagram for a packet with this header.
pub fn udp(header: &Ipv6Header, from: u16, to: u16, data: &[u8]) -> Vec<u8> {
    let length = (8 + data.len()) as u16;
    let mut datagram = [&from.to_be_bytes()[..], &to.to_be_bytes(), &length.to_be_bytes(), &[0, 0], data].concat();
    // A sum of zero is written as all ones, as zero means none (RFC 8200 8.1).
    let sum = match checksum(header, 17, &datagram) {
        0 => 0xffff,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// A UDP packet with everything as usual.
pub fn udp_packet(from: Ip6, to: Ip6, port: u16, data: &[u8]) -> Vec<u8> {
    let header = header(from, to);
    packet(&header, &udp(&header, 40_000, port, data))
}

/// An ICMPv6 message with its checksum, for a packet with this header.
pub fn icmp(header: &Ipv6Header, (kind, code): (u8, u8), word: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0], &word[..], data].concat();
    let sum = checksum(header, ICMP, &message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    message
}

/// A packet with this header and an ICMPv6 message.
pub fn icmp_packet(header: &Ipv6Header, kind: (u8, u8), word: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut header = header.clone();
    header.next_header = IpNumber::IPV6_ICMP;
    packet(&header, &icmp(&header, kind, word, data))
}

/// An echo request packet.
pub fn echo_request(from: Ip6, to: Ip6, id: u16, seq: u16, data: &[u8]) -> Vec<u8> {
    let ([a, b], [c, d]) = (id.to_be_bytes(), seq.to_be_bytes());
    icmp_packet(&header(from, to), (128, 0), [a, b, c, d], data)
}

/// A packet cut into fragments of at most this many bytes of data (a multiple of eight), with this identification.
pub fn fragments(packet: &[u8], bytes: usize, identification: u32) -> Vec<Vec<u8>> {
    let last = packet[40..].chunks(bytes).count() - 1;
    let piece = |(number, data): (usize, &[u8])| fragment(packet, number * bytes, data, number != last, identification);
    packet[40..].chunks(bytes).enumerate().map(piece).collect()
}

/// One fragment of a packet: these data, which stand at this offset in what follows its header.
pub fn fragment(of: &[u8], offset: usize, data: &[u8], more: bool, identification: u32) -> Vec<u8> {
    let (mut header, _) = Ipv6Header::from_slice(of).expect("an IPv6 packet");
    let place = (offset as u16 & !7) | u16::from(more);
    let protocol = header.next_header.0;
    header.next_header = IpNumber(FRAGMENT);
    let id = identification.to_be_bytes();
    packet(&header, &[&[protocol, 0], &place.to_be_bytes()[..], &id, data].concat())
}

/// The header of a frame's packet and what follows it, without the frame's padding.
pub fn ip6_of(frame: &[u8]) -> Option<(Ipv6Header, &[u8])> {
    if frames::ether_type(frame) == IP6 { ip6_packet(&frame[14..]) } else { None }
}

/// The same for a packet without a link header.
pub fn ip6_packet(packet: &[u8]) -> Option<(Ipv6Header, &[u8])> {
    let (header, rest) = Ipv6Header::from_slice(packet).ok()?;
    let length = usize::from(header.payload_length).min(rest.len());
    Some((header, &rest[..length]))
}

/// What follows the extension headers, and its protocol. A fragment's is protocol 44 and begins with the fragment header.
pub fn upper<'a>(header: &Ipv6Header, body: &'a [u8]) -> (u8, &'a [u8]) {
    let (mut protocol, mut body) = (header.next_header.0, body);
    while let (HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS, [next, length, ..]) = (protocol, body) {
        let length = 8 + 8 * usize::from(*length);
        (protocol, body) = (*next, body.get(length..).unwrap_or_default());
    }
    (protocol, body)
}

/// The checksum of a message with its pseudo-header (RFC 8200 8.1): what belongs into the message, or 0 when a right one is in.
pub fn checksum(header: &Ipv6Header, protocol: u8, message: &[u8]) -> u16 {
    let length = (message.len() as u32).to_be_bytes();
    let pseudo = [&header.source[..], &header.destination, &length, &[0, 0, 0, protocol]].concat();
    frames::checksum(&[&pseudo[..], message].concat())
}

/// An ICMPv6 message as it came; reading it asserts that its checksum is right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Icmp6 {
    /// The packet's header.
    pub ip: Ipv6Header,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The second word of the header.
    pub word: [u8; 4],
    /// Everything after the eight bytes of header.
    pub data: Vec<u8>,
}

impl Icmp6 {
    /// Reads a frame, when it is ICMPv6 and no fragment.
    #[track_caller]
    pub fn of(frame: &[u8]) -> Option<Icmp6> {
        let (ip, body) = ip6_of(frame)?;
        let (protocol, message) = upper(&ip, body);
        if protocol != ICMP || message.len() < 8 {
            return None;
        }
        assert_eq!(checksum(&ip, ICMP, message), 0, "ICMPv6 checksum of {message:02x?} in {ip:?}");
        let word = message[4..8].try_into().expect("four bytes");
        Some(Icmp6 { ip, kind: message[0], code: message[1], word, data: message[8..].to_vec() })
    }

    /// Reads a frame, when it is an ICMPv6 error (RFC 4443 2.1).
    #[track_caller]
    pub fn error(frame: &[u8]) -> Option<Icmp6> {
        Icmp6::of(frame).filter(|message| message.kind < 128)
    }
}

/// Frames that go to one station and hold IPv6, but no neighbour discovery: what is left of what came when the link's own
/// affairs are taken away.
pub fn traffic(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let affair = |frame: &[u8]| {
        let kind =
            ip6_of(frame).map(|(ip, body)| upper(&ip, body)).map(|(protocol, message)| (protocol, message.first()));
        matches!(kind, Some((ICMP, Some(130..=137 | 143))))
    };
    let ours = |frame: &&Vec<u8>| frames::ether_type(frame) == IP6 && !affair(frame);
    frames.iter().filter(ours).cloned().collect()
}
