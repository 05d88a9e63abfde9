//! Frames by hand: made and taken apart with etherparse, so that no code of the router judges itself.

use etherparse::{ArpEthIpv4Packet, ArpHardwareId, ArpOperation, ArpPacket, EtherType, IcmpEchoHeader, Icmpv4Header};
use etherparse::{Icmpv4Type, IpNumber, Ipv4Header, UdpHeader};

/// A hardware address.
pub type Mac = [u8; 6];
/// An IPv4 address.
pub type Ip = [u8; 4];

/// Every station's hardware address.
pub const BROADCAST: Mac = [0xff; 6];
/// EtherType of IPv4.
pub const IP4: u16 = 0x0800;
/// EtherType of ARP.
pub const ARP: u16 = 0x0806;

/// Reads an address such as "192.0.2.1".
pub fn ip(text: &str) -> Ip {
    text.parse::<std::net::Ipv4Addr>().unwrap_or_else(|e| panic!("{text}: {e}")).octets()
}

/// Reads an address such as "02:00:00:00:00:01".
pub fn mac(text: &str) -> Mac {
    let bytes: Vec<u8> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect();
    bytes.try_into().expect("six bytes")
}

/// An Ethernet frame, without padding.
pub fn ethernet(from: Mac, to: Mac, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &ether_type.to_be_bytes(), payload].concat()
}

/// The same with an 802.1Q tag of priority 0.
pub fn tagged(vlan: u16, frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0x00], &vlan.to_be_bytes(), &frame[12..]].concat()
}

/// The VLAN of a tagged frame, and the frame without the tag.
pub fn untagged(frame: &[u8]) -> Option<(u16, Vec<u8>)> {
    let tag = frame.get(12..16).filter(|tag| tag[..2] == [0x81, 0x00])?;
    Some((u16::from_be_bytes([tag[2], tag[3]]) & 0xfff, [&frame[..12], &frame[16..]].concat()))
}

/// A header for a UDP packet with a time to live of 64 and DF clear. Change what you like, then call [`packet`].
pub fn header(from: Ip, to: Ip) -> Ipv4Header {
    let mut header = Ipv4Header::new(0, 64, IpNumber::UDP, from, to).expect("an empty packet fits");
    header.dont_fragment = false;
    header
}

/// An IPv4 packet: the header with its length and checksum set right, and the body.
pub fn packet(header: &Ipv4Header, body: &[u8]) -> Vec<u8> {
    let mut header = header.clone();
    header.set_payload_len(body.len()).expect("the body fits a packet");
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], body].concat()
}

/// A UDP datagram, header and all, for a packet with this header.
pub fn udp(header: &Ipv4Header, from: u16, to: u16, data: &[u8]) -> Vec<u8> {
    let udp = UdpHeader::with_ipv4_checksum(from, to, header, data).expect("the data fits a datagram");
    [&udp.to_bytes()[..], data].concat()
}

/// A UDP packet with everything as usual.
pub fn udp_packet(from: Ip, to: Ip, port: u16, data: &[u8]) -> Vec<u8> {
    let header = header(from, to);
    packet(&header, &udp(&header, 40_000, port, data))
}

/// An echo request packet.
pub fn echo_request(from: Ip, to: Ip, id: u16, seq: u16, data: &[u8]) -> Vec<u8> {
    let mut header = header(from, to);
    header.protocol = IpNumber::ICMP;
    packet(&header, &icmp(Icmpv4Type::EchoRequest(IcmpEchoHeader { id, seq }), data))
}

/// An ICMP message with its checksum.
pub fn icmp(kind: Icmpv4Type, data: &[u8]) -> Vec<u8> {
    [&Icmpv4Header::with_checksum(kind, data).to_bytes()[..], data].concat()
}

/// What an ARP packet says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arp {
    /// 1 for a request, 2 for a reply.
    pub operation: u16,
    /// Who sends it.
    pub sender: (Mac, Ip),
    /// Whom it is about.
    pub target: (Mac, Ip),
}

impl Arp {
    /// The packet as a frame to `to`.
    pub fn frame(&self, to: Mac) -> Vec<u8> {
        let (operation, (mac, ip), (target_mac, target_ip)) = (ArpOperation(self.operation), self.sender, self.target);
        let hardware = ArpHardwareId::ETHERNET;
        let arp = ArpPacket::new(hardware, EtherType::IPV4, operation, &mac, &ip, &target_mac, &target_ip);
        ethernet(mac, to, ARP, &arp.expect("a valid ARP packet").to_bytes())
    }

    /// Reads a frame, when it is ARP.
    pub fn of(frame: &[u8]) -> Option<Arp> {
        if ether_type(frame) != ARP {
            return None;
        }
        let arp: ArpEthIpv4Packet = ArpPacket::from_slice(&frame[14..]).ok()?.try_eth_ipv4().ok()?;
        let sender = (arp.sender_mac, arp.sender_ipv4);
        Some(Arp { operation: arp.operation.0, sender, target: (arp.target_mac, arp.target_ipv4) })
    }
}

/// The EtherType of a frame; 0 for a runt.
pub fn ether_type(frame: &[u8]) -> u16 {
    frame.get(12..14).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// Destination, source and type of a frame, with the payload that follows.
pub fn link(frame: &[u8]) -> (Mac, Mac, u16, &[u8]) {
    let part = |at: usize| frame[at..at + 6].try_into().expect("six bytes");
    (part(0), part(6), ether_type(frame), &frame[14..])
}

/// The IPv4 header of a frame and what the packet holds, without the frame's padding. The checksum must be right.
pub fn ip4(frame: &[u8]) -> Option<(Ipv4Header, &[u8])> {
    if ether_type(frame) != IP4 {
        return None;
    }
    ip4_packet(&frame[14..])
}

/// The same for a packet without a link header.
pub fn ip4_packet(packet: &[u8]) -> Option<(Ipv4Header, &[u8])> {
    let (header, _) = Ipv4Header::from_slice(packet).ok()?;
    assert_eq!(checksum(&packet[..header.header_len()]), 0, "header checksum of {header:?}");
    let end = usize::from(header.total_len).min(packet.len());
    Some((header.clone(), &packet[header.header_len()..end]))
}

/// An ICMP message as it stands in a packet; its checksum must be right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Icmp {
    /// The packet's header.
    pub ip: Ipv4Header,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The second word of the header.
    pub rest: [u8; 4],
    /// Everything after the eight bytes of header.
    pub data: Vec<u8>,
}

impl Icmp {
    /// Reads a frame, when it is ICMP.
    pub fn of(frame: &[u8]) -> Option<Icmp> {
        let (ip, body) = ip4(frame)?;
        if ip.protocol != IpNumber::ICMP || body.len() < 8 {
            return None;
        }
        assert_eq!(checksum(body), 0, "ICMP checksum of {body:02x?}");
        let rest = body[4..8].try_into().expect("four bytes");
        Some(Icmp { ip, kind: body[0], code: body[1], rest, data: body[8..].to_vec() })
    }
}

/// The Internet checksum (RFC 1071) of the bytes; 0 when they hold a right one.
pub fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
