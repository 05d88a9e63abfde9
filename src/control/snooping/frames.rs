//! Messages of IGMP and MLD for tests, from their IP header on.

use millrace_wire::checksum::{self, Sum};
use millrace_wire::{IntoBytes, IpProtocol, Ipv4, Ipv6, igmp, nd};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const HOST6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);

/// An IPv4 packet with a router alert.
pub fn igmp(from: Ipv4Addr, to: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    const ALERT: [u8; 4] = [0x94, 4, 0, 0];
    let mut message = message.to_vec();
    let sum = Sum::of(&message).checksum();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut ip = Ipv4::new(from, to, IpProtocol::IGMP, 1, (ALERT.len() + message.len()) as u16);
    ip.as_mut_bytes()[0] = 0x46;
    ip.fill_checksum(&ALERT);
    [ip.as_bytes(), &ALERT, &message].concat()
}

/// An IPv6 packet with a router alert.
pub fn mld(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let sum = checksum::icmp6(from, to, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let ip = Ipv6::new(from, to, IpProtocol::HOP_BY_HOP, 1, 8 + message.len() as u16);
    [ip.as_bytes(), &[58, 0, 5, 2, 0, 0, 1, 0], &message].concat()
}

/// What a report of the newest version says of a group.
pub fn record(kind: u8, group: IpAddr, sources: &[IpAddr]) -> Vec<u8> {
    let bytes = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let sources_bytes: Vec<u8> = sources.iter().flat_map(bytes).collect();
    [&[kind, 0, 0, sources.len() as u8][..], &bytes(&group), &sources_bytes].concat()
}

/// A report of the newest version with these records.
pub fn report(family4: bool, records: &[Vec<u8>]) -> Vec<u8> {
    let count = (records.len() as u16).to_be_bytes();
    let message = |kind| [&[kind, 0, 0, 0, 0, 0, count[0], count[1]][..], &records.concat()].concat();
    match family4 {
        true => igmp(HOST, igmp::ALL_V3_ROUTERS, &message(0x22)),
        false => mld(HOST6, nd::ALL_MLD2_ROUTERS, &message(143)),
    }
}

/// A report of IGMPv1 or v2 or MLDv1.
pub fn old_report(version: u8, group: IpAddr) -> Vec<u8> {
    match group {
        IpAddr::V4(group) => {
            let kind = if version == 1 { 0x12 } else { 0x16 };
            igmp(HOST, group, &[&[kind, 0, 0, 0][..], &group.octets()].concat())
        }
        IpAddr::V6(group) => mld(HOST6, group, &[&[131, 0, 0, 0, 0, 0, 0, 0][..], &group.octets()].concat()),
    }
}

/// A leave of IGMPv2 or MLDv1.
pub fn leave(group: IpAddr) -> Vec<u8> {
    match group {
        IpAddr::V4(group) => igmp(HOST, igmp::ALL_ROUTERS, &[&[0x17, 0, 0, 0][..], &group.octets()].concat()),
        IpAddr::V6(group) => mld(HOST6, nd::ALL_ROUTERS, &[&[132, 0, 0, 0, 0, 0, 0, 0][..], &group.octets()].concat()),
    }
}

/// A query of the newest version: robustness 2, `interval` seconds, answered within `response` tenths of a second.
pub fn query(from: IpAddr, group: Option<IpAddr>, sources: &[Ipv4Addr], interval: u8, response: u8) -> Vec<u8> {
    match from {
        IpAddr::V4(from) => {
            let group = match group {
                Some(IpAddr::V4(group)) => group,
                _ => Ipv4Addr::UNSPECIFIED,
            };
            let to = if group.is_unspecified() { igmp::ALL_SYSTEMS } else { group };
            let sources_bytes: Vec<u8> = sources.iter().flat_map(|source| source.octets()).collect();
            let rest = [&[2, interval, 0, sources.len() as u8][..], &sources_bytes].concat();
            igmp(from, to, &[&[0x11, response, 0, 0][..], &group.octets(), &rest].concat())
        }
        IpAddr::V6(from) => {
            let group = match group {
                Some(IpAddr::V6(group)) => group,
                _ => Ipv6Addr::UNSPECIFIED,
            };
            let to = if group.is_unspecified() { nd::ALL_NODES } else { group };
            let response = (u16::from(response) * 100).to_be_bytes();
            let head = [130, 0, 0, 0, response[0], response[1], 0, 0];
            mld(from, to, &[&head[..], &group.octets(), &[2, interval, 0, 0]].concat())
        }
    }
}
