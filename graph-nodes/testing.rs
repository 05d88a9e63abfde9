//! What the tests of nodes share: a small world of interfaces, adjacencies and routes, packets made by etherparse (so
//! that no code of the router judges itself), and short words for what a bench shows.

pub mod dual;
mod icmp6;
mod ip6;
pub mod sent;

pub use icmp6::*;
pub use ip6::*;

use crate::forwarding::{Forwarding, Interface};
use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type, IpNumber, Ipv4Header, TcpHeader, UdpHeader};
use millrace_engine::epoch::domain;
use millrace_engine::memory::HugePages;
use millrace_engine::testing::Outcome;
use millrace_engine::{Packet, Pool};
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_tables::fib::Target;
use millrace_tables::load_balance::LoadBalance;
use millrace_tables::lpm::{Lpm, Writer};
use millrace_wire::{MacAddr, Tags};
use std::net::Ipv4Addr;

pub type Ip = [u8; 4];

/// Interface 1, with 192.168.1.1/24 and 10.9.0.1/16, and interface 3 as its VLAN 100.
pub const LAN: u32 = 1;
/// Interface 2, with 203.0.113.1/24.
pub const WAN: u32 = 2;
/// Interface 3, with 10.100.0.1/24.
pub const LAN_100: u32 = 3;

pub const LAN_MAC: MacAddr = MacAddr([2, 0xfe, 0, 0, 0, 1]);
pub const WAN_MAC: MacAddr = MacAddr([2, 0xfe, 0, 0, 0, 2]);
pub const LAN_IP: Ip = [192, 168, 1, 1];
pub const WAN_IP: Ip = [203, 0, 113, 1];

/// A host in the lan.
pub const HOST: Ip = [192, 168, 1, 10];
pub const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 10]);
/// A host in the wan with adjacency [`TO_PEER`], and a route of its own.
pub const PEER: Ip = [203, 0, 113, 10];
pub const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 2, 10]);
/// The next hop of adjacency [`TO_STRANGER`], whose MAC address nobody knows.
pub const STRANGER: Ip = [203, 0, 113, 20];
pub const STRANGER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 2, 20]);

pub const NO_ROUTE: u32 = 0;
pub const TO_PEER: u32 = 1;
pub const TO_LAN_100: u32 = 2;
pub const TO_STRANGER: u32 = 3;
pub const WAN_SUBNET: u32 = 4;
pub const OURS: u32 = 5;
pub const BLACKHOLE: u32 = 6;
pub const UNREACHABLE: u32 = 7;
pub const PROHIBIT: u32 = 8;

/// The world's tables, and the writers of table 0.
pub struct World {
    pub forwarding: Forwarding,
    routes: Writer<u32>,
    routes6: Writer<u128>,
}

/// The header of frames from the router's wan interface.
pub fn wan_header(to: MacAddr) -> Vec<u8> {
    [&to.0[..], &WAN_MAC.0, &[8, 0]].concat()
}

/// An adjacency to a station in the wan.
pub fn neighbour(mac: MacAddr, address: Ip, mtu: u16) -> Adjacency {
    Adjacency::with_rewrite(WAN, mtu, u32::from_be_bytes(address).into(), &wan_header(mac)).unwrap()
}

fn interfaces() -> [(u32, Interface); 3] {
    let address = |a: Ip, len| (Ipv4Addr::from(a), len);
    let lan = Interface {
        mac: LAN_MAC,
        mtu: 1500,
        addresses: vec![address(LAN_IP, 24), address([10, 9, 0, 1], 16)],
        sub_interfaces: vec![(Tags::single(100), LAN_100), (Tags::single(200), 9)],
        ..Interface::default()
    };
    let wan = Interface { mac: WAN_MAC, mtu: 1500, addresses: vec![address(WAN_IP, 24)], ..Interface::default() };
    let addresses = vec![address([10, 100, 0, 1], 24)];
    let tags = Some(Tags::single(100));
    let tagged = Interface { mac: LAN_MAC, mtu: 1500, table: 7, addresses, tags, ..Interface::default() };
    [(LAN, lan), (WAN, wan), (LAN_100, tagged)]
}

fn adjacencies() -> [(u32, Adjacency); 9] {
    let of = |kind, interface, next_hop: Ip| Adjacency {
        interface,
        mtu: 1500,
        next_hop: u32::from_be_bytes(next_hop).into(),
        ..Adjacency::new(kind)
    };
    let tag: [u8; 18] = [2, 0, 0, 0, 3, 10, 2, 0xfe, 0, 0, 0, 1, 0x81, 0, 0, 100, 8, 0];
    [
        (NO_ROUTE, Adjacency::new(AdjacencyKind::Drop)),
        (TO_PEER, neighbour(PEER_MAC, PEER, 1500)),
        (TO_LAN_100, Adjacency::with_rewrite(LAN_100, 1500, 0x0a64_000a, &tag).unwrap()),
        (TO_STRANGER, of(AdjacencyKind::Arp, WAN, STRANGER)),
        (WAN_SUBNET, of(AdjacencyKind::Glean, WAN, [0; 4])),
        (OURS, Adjacency::new(AdjacencyKind::Local)),
        (BLACKHOLE, Adjacency::new(AdjacencyKind::Blackhole)),
        (UNREACHABLE, Adjacency::new(AdjacencyKind::Unreachable)),
        (PROHIBIT, Adjacency::new(AdjacencyKind::Prohibit)),
    ]
}

impl World {
    pub fn new() -> World {
        let forwarding = Forwarding::new();
        let (routes, reader) = Lpm::with_groups(64).unwrap();
        forwarding.fibs.set(&domain(), 0, reader).unwrap();
        let (routes6, reader) = Lpm::with_groups(256).unwrap();
        forwarding.fibs6.set(&domain(), 0, reader).unwrap();
        let mut world = World { forwarding, routes, routes6 };
        for (index, mut interface) in interfaces() {
            with_ip6(index, &mut interface);
            world.interface(index, interface);
        }
        for (index, adjacency) in adjacencies() {
            world.adjacency(index, adjacency);
        }
        let shared = LoadBalance::from_weights(&[(TO_PEER, 1), (TO_LAN_100, 1)]).unwrap();
        world.forwarding.load_balances.set(&domain(), 1, shared).unwrap();
        for (prefix, index) in [
            ("192.168.1.1/32", OURS),
            ("192.168.1.255/32", OURS),
            ("203.0.113.1/32", OURS),
            ("255.255.255.255/32", OURS),
            ("203.0.113.0/24", WAN_SUBNET),
            ("203.0.113.10/32", TO_PEER),
            ("10.100.0.0/24", TO_LAN_100),
            ("198.51.100.0/28", BLACKHOLE),
            ("198.51.100.16/28", UNREACHABLE),
            ("198.51.100.32/28", PROHIBIT),
            ("198.51.100.48/28", TO_STRANGER),
            ("198.51.100.64/28", 99),
        ] {
            world.route(prefix, Target::Adjacency(index));
        }
        world.route("172.16.0.0/12", Target::LoadBalance(1));
        furnish(&mut world);
        world
    }

    pub fn interface(&mut self, index: u32, interface: Interface) {
        self.forwarding.interfaces.set(&domain(), index, interface).unwrap();
    }

    pub fn adjacency(&mut self, index: u32, adjacency: Adjacency) {
        self.forwarding.adjacencies.set(&domain(), index, adjacency).unwrap();
    }

    pub fn route(&mut self, prefix: &str, target: Target) {
        self.routes.insert(prefix.parse().unwrap(), target.to_u32()).unwrap();
    }

    pub fn route6(&mut self, prefix: &str, target: Target) {
        self.routes6.insert(prefix.parse().unwrap(), target.to_u32()).unwrap();
    }
}

/// A header for UDP from `from` to `to`, with a time to live of 64 and DF clear.
pub fn header(from: Ip, to: Ip) -> Ipv4Header {
    let mut header = Ipv4Header::new(0, 64, IpNumber::UDP, from, to).unwrap();
    (header.dont_fragment, header.identification) = (false, 0x4711);
    header
}

/// A packet of this header, its length and checksum set right, and the body.
pub fn packet(header: &Ipv4Header, body: &[u8]) -> Vec<u8> {
    let mut header = header.clone();
    header.set_payload_len(body.len()).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], body].concat()
}

/// A UDP packet from port 40000 to port 7 with `bytes` bytes of data; its header changed by `change`.
pub fn udp_with(from: Ip, to: Ip, bytes: usize, change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    let mut header = header(from, to);
    change(&mut header);
    let data: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
    let udp = UdpHeader::with_ipv4_checksum(40_000, 7, &header, &data).unwrap();
    packet(&header, &[&udp.to_bytes()[..], &data].concat())
}

/// The same with nothing unusual.
pub fn udp(from: Ip, to: Ip) -> Vec<u8> {
    udp_with(from, to, 10, |_| {})
}

/// A TCP segment, changed by `change`, with its checksum.
pub fn tcp(from: Ip, to: Ip, data: &[u8], change: impl FnOnce(&mut TcpHeader)) -> Vec<u8> {
    let mut header = header(from, to);
    header.protocol = IpNumber::TCP;
    let mut tcp = TcpHeader::new(40_000, 80, 1000, 500);
    change(&mut tcp);
    tcp.checksum = tcp.calc_checksum_ipv4(&header, data).unwrap();
    packet(&header, &[&tcp.to_bytes()[..], data].concat())
}

/// An ICMP message with its checksum, in a packet whose header `change` changes.
pub fn icmp_with(from: Ip, to: Ip, kind: Icmpv4Type, data: &[u8], change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    let mut header = header(from, to);
    header.protocol = IpNumber::ICMP;
    change(&mut header);
    packet(&header, &[&Icmpv4Header::with_checksum(kind, data).to_bytes()[..], data].concat())
}

/// An echo request with id 7 and sequence number 3.
pub fn echo(from: Ip, to: Ip, data: &[u8]) -> Vec<u8> {
    icmp_with(from, to, Icmpv4Type::EchoRequest(IcmpEchoHeader { id: 7, seq: 3 }), data, |_| {})
}

/// A packet broken by `change`, its header's checksum set right afterwards.
pub fn broken(mut packet: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut packet);
    fix_checksum(&mut packet);
    packet
}

/// Sets the checksum of an IPv4 header of whatever length it claims.
pub fn fix_checksum(packet: &mut [u8]) {
    let len = packet.first().map_or(0, |b| usize::from(b & 15) * 4).min(packet.len());
    if len >= 20 {
        packet[10..12].fill(0);
        let sum = checksum(&packet[..len]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The Internet checksum, plainly (RFC 1071 section 4.1).
pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum + (sum >> 16)) as u16)
}

/// Calls `work` with a packet that has these bytes, in as many buffers as it takes; what came of it, and the bytes then.
pub fn with_packet<R>(bytes: &[u8], work: impl FnOnce(&mut Packet<'_>) -> R) -> (R, Vec<u8>) {
    thread_local!(static POOL: &'static Pool = Pool::new(64, HugePages::Off).unwrap());
    let pool = POOL.with(|pool| *pool);
    let mut buffer = pool.alloc().unwrap();
    assert!(buffer.append(bytes, || pool.alloc()), "a buffer");
    let mut packet = buffer.packet();
    let result = work(&mut packet);
    (result, packet.segments().flatten().copied().collect())
}

/// Where the only packet of a run went, and all that was counted.
pub fn fate(outcome: &Outcome) -> (&'static str, &[(&'static str, u64)]) {
    assert_eq!(outcome.packets.len(), 1);
    (outcome.packets[0].next, &outcome.counts)
}

/// The bytes of the only packet of a run.
pub fn bytes(outcome: &Outcome) -> &[u8] {
    &outcome.packets[0].data
}

/// An IPv4 packet taken apart: its header, whose checksum and length must be right, and the rest.
#[track_caller]
pub fn parsed(packet: &[u8]) -> (Ipv4Header, &[u8]) {
    let (header, rest) = Ipv4Header::from_slice(packet).expect("an IPv4 header");
    assert_eq!(header.header_checksum, header.calc_header_checksum(), "header checksum");
    assert_eq!(usize::from(header.total_len), packet.len(), "total length");
    (header, rest)
}
