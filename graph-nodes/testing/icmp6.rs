//! ICMPv6 messages with their checksum, which is summed plainly here.

use super::{checksum, header6, ip6, packet6, parsed6};
use etherparse::{IpNumber, Ipv6Header};

/// The checksum over pseudo header and message (RFC 4443 section 2.3): 0 over one that has a right one.
pub fn checksum6(from: [u8; 16], to: [u8; 16], message: &[u8]) -> u16 {
    let len = (message.len() as u32).to_be_bytes();
    checksum(&[&from[..], &to, &len, &[0, 0, 0, 58], message].concat())
}

/// A message of this type and code, with its checksum.
pub fn message6(from: &str, to: &str, (kind, code): (u8, u8), rest: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0][..], &rest, data].concat();
    let sum = checksum6(ip6(from).octets(), ip6(to).octets(), &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// A packet with such a message.
pub fn icmp6(from: &str, to: &str, kind: (u8, u8), rest: [u8; 4], data: &[u8]) -> Vec<u8> {
    packet6(&header6(from, to, IpNumber::IPV6_ICMP), &message6(from, to, kind, rest, data))
}

/// An echo request with id 7 and sequence number 3.
pub fn echo6(from: &str, to: &str, data: &[u8]) -> Vec<u8> {
    icmp6(from, to, (128, 0), [0, 7, 0, 3], data)
}

/// A packet with an ICMPv6 message taken apart: its header, type and code, the four bytes behind the checksum, which must be right, and
/// the rest.
#[track_caller]
pub fn icmp6_parsed(packet: &[u8]) -> (Ipv6Header, (u8, u8), [u8; 4], &[u8]) {
    let (ip, message) = parsed6(packet);
    assert_eq!(ip.next_header, IpNumber::IPV6_ICMP);
    assert_eq!(checksum6(ip.source, ip.destination, message), 0, "checksum");
    (ip, (message[0], message[1]), message[4..8].try_into().unwrap(), &message[8..])
}
