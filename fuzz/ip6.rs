//! Any bytes at all, taken for IPv6 packets from both sides of a router with time between them. Whatever they are, no node panics,
//! every buffer is accounted for, what leaves is well-formed, what the router says itself has the right checksum, and nothing that
//! belongs to one link reaches another.
//!
//! The fuzz target and an ordinary test over saved and random inputs share this.

use crate::lab::{Input, assert_settled, checksum};
use millrace_engine::epoch::domain;
use millrace_engine::testing::{Sent, Testbed};
use millrace_engine::{Graph, Waker};
use millrace_graph_nodes::forwarding::{Forwarding, Interface};
use millrace_graph_nodes::link_control;
use millrace_graph_nodes::neighbor_events::NeighborEvents;
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_tables::fib::Target;
use millrace_tables::lpm::{Lpm, Writer};
use millrace_wire::MacAddr;
use std::cell::RefCell;
use std::net::Ipv6Addr;

const LAN: u32 = 1;
const WAN: u32 = 2;
const MACS: [MacAddr; 2] = [MacAddr([2, 0xfe, 0, 0, 0, 1]), MacAddr([2, 0xfe, 0, 0, 0, 2])];
/// The router's own, one on each side, and what is tentative on the first.
const OWN: [&str; 4] = ["2001:db8:1::1", "fe80::1", "2001:db8:2::1", "fe80::2"];
/// The router's, as everyone's on the way to its subnet: it answers to it.
const ANYCAST: &str = "2001:db8:1::";
const TENTATIVE: &str = "2001:db8:1::7";
/// Whom packets are from and to.
const ADDRESSES: [&str; 16] = [
    OWN[0],
    OWN[1],
    OWN[2],
    OWN[3],
    TENTATIVE,
    "2001:db8:1::10",
    "2001:db8:2::10",
    "2001:db8:9::1",
    "fe80::10",
    "ff02::1",
    "ff02::2",
    "ff02::1:ff00:1",
    "ff02::1:ff00:7",
    "::",
    ANYCAST,
    "2001:db8:3::1",
];
const SECOND: u64 = 1_000_000_000;

struct Lab {
    bed: Testbed,
    events: NeighborEvents,
    _routes: Writer<u128>,
}

thread_local! {
    /// For the next input: nothing is left in it of the last.
    static LAB: RefCell<Option<Lab>> = const { RefCell::new(None) };
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut lab = LAB.take().unwrap_or_else(Lab::new);
    let mut input = Input(data);
    while !input.0.is_empty() {
        lab.step(&mut input);
    }
    lab.end();
    LAB.set(Some(lab));
    let _ = domain().collect();
}

fn bits(text: &str) -> u128 {
    text.parse::<Ipv6Addr>().unwrap().to_bits()
}

impl Lab {
    fn new() -> Lab {
        let tables = Forwarding::new();
        let (mut routes, reader) = Lpm::with_groups(256).unwrap();
        tables.fibs6.set(&domain(), 0, reader).unwrap();
        let mut groups: Vec<Ipv6Addr> = ADDRESSES[9..13].iter().map(|group| group.parse().unwrap()).collect();
        groups.sort_unstable();
        for (index, own) in [(LAN, &OWN[..2]), (WAN, &OWN[2..])] {
            let interface = Interface {
                mac: MACS[index as usize - 1],
                mtu: if index == LAN { 1500 } else { 1280 },
                addresses6: vec![(own[1].parse().unwrap(), 64), (own[0].parse().unwrap(), 64)],
                tentative: if index == LAN { vec![TENTATIVE.parse().unwrap()] } else { Vec::new() },
                groups6: groups.clone(),
                ..Interface::default()
            };
            tables.interfaces.set(&domain(), index, interface).unwrap();
        }
        let of = |kind, interface, next_hop: &str| Adjacency {
            interface,
            mtu: 1280,
            next_hop: bits(next_hop),
            ..Adjacency::new(kind)
        };
        let to = |interface: u32, mtu, next_hop| {
            let header = [&[2, 0, 0, 0, 0, 9][..], &MACS[interface as usize - 1].0, &[0x86, 0xdd]].concat();
            Adjacency::with_rewrite(interface, mtu, bits(next_hop), &header).unwrap()
        };
        for (index, adjacency) in [
            Adjacency::new(AdjacencyKind::Drop),
            Adjacency::new(AdjacencyKind::Local),
            Adjacency::new(AdjacencyKind::LinkLocal),
            to(LAN, 1500, "2001:db8:1::10"),
            to(WAN, 1280, "2001:db8:2::10"),
            of(AdjacencyKind::Glean, LAN, "::"),
            of(AdjacencyKind::Glean, WAN, "::"),
            of(AdjacencyKind::Arp, WAN, "2001:db8:2::99"),
            to(LAN, 1500, "fe80::10"),
        ]
        .into_iter()
        .enumerate()
        {
            tables.adjacencies.set(&domain(), index as u32, adjacency).unwrap();
        }
        for (prefix, index) in [
            ("2001:db8:1::1/128", 1),
            ("2001:db8:2::1/128", 1),
            ("2001:db8:1::/128", 1),
            ("ff00::/8", 1),
            ("fe80::/10", 2),
            ("2001:db8:1::10/128", 3),
            ("2001:db8:2::10/128", 4),
            ("2001:db8:1::/64", 5),
            ("2001:db8:2::/64", 6),
            ("2001:db8:9::/48", 7),
        ] {
            routes.insert(prefix.parse().unwrap(), Target::Adjacency(index).to_u32()).unwrap();
        }
        tables.link_locals.set(&domain(), LAN, vec![(bits("fe80::10"), 8)]).unwrap();
        tables.gleans6.set(&domain(), LAN, 5).unwrap();
        tables.gleans6.set(&domain(), WAN, 6).unwrap();
        let waker = Waker::new().unwrap();
        let events = NeighborEvents::new(waker.clone());
        let mut graph = Graph::new();
        millrace_graph_nodes::register(&mut graph, &tables, &events);
        link_control::register(&mut graph, &link_control::Frames::new(waker));
        Lab { bed: Testbed::new(graph, 1, &[LAN, WAN]), events, _routes: routes }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        let from = if what & 0x80 == 0 { LAN } else { WAN };
        let packet = match what & 7 {
            0 => {
                let nanos = u64::from(input.byte()) * SECOND / 4;
                let sent = self.bed.pass(nanos, 2);
                return look(&sent, None);
            }
            1 => {
                let len = usize::from(input.byte());
                input.take(len).to_vec()
            }
            _ => packet(input, what & 0x40 == 0),
        };
        let to = match packet.get(24..40) {
            Some([0xff, .., a, b, c, d]) => [0x33, 0x33, *a, *b, *c, *d],
            _ => MACS[from as usize - 1].0,
        };
        let frame = [&to[..], &[2, 0, 0, 0, 0, 9], &[0x86, 0xdd], &packet].concat();
        let sent = self.bed.one(0, from, &frame);
        look(&sent, Some(from));
        while self.events.pop().is_some() {}
    }

    /// All time that anything may take passes: nothing is left.
    fn end(&mut self) {
        for _ in 0..8 {
            let sent = self.bed.pass(20 * SECOND, 2);
            look(&sent, None);
        }
        while self.events.pop().is_some() {}
        assert_settled(&mut self.bed);
    }
}

/// A packet between two of the addresses, with up to three extension headers. `seal`: its length and checksum are right.
fn packet(input: &mut Input<'_>, seal: bool) -> Vec<u8> {
    let address = |byte: u8| bits(ADDRESSES[usize::from(byte) % 16]).to_be_bytes();
    let (source, destination, hops) = (address(input.byte()), address(input.byte()), input.byte());
    let upper = [58, 17, 6, 59, 132][usize::from(input.byte()) % 5];
    let chain = input.byte();
    let kinds = (0..chain & 3).map(|n| [0, 43, 44, 60][usize::from(chain >> (2 + 2 * n)) & 3]).collect::<Vec<u8>>();
    let mut rest = Vec::new();
    for next in kinds.iter().skip(1).chain([&upper]).take(kinds.len()) {
        let body = input.take(6);
        rest.extend([*next, 0]);
        rest.extend(body);
        rest.resize(rest.len().next_multiple_of(8), 0);
    }
    let at = rest.len();
    let len = usize::from(input.byte()) * if chain & 0x80 == 0 { 1 } else { 8 };
    rest.extend(input.take(len));
    // Long ones, without an input as long.
    rest.resize(rest.len().max(len.min(1900)), 0xa5);
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, *kinds.first().unwrap_or(&upper), if hops < 128 { 255 } else { hops }];
    packet.extend(source);
    packet.extend(destination);
    packet.extend(rest);
    if seal {
        let payload = (packet.len() - 40) as u16;
        packet[4..6].copy_from_slice(&payload.to_be_bytes());
        let field = match upper {
            58 => 2,
            17 => 6,
            6 => 16,
            _ => return packet,
        };
        if packet.len() >= 40 + at + field + 2 {
            packet[40 + at + field..][..2].fill(0);
            let sum = transport_checksum(&packet, 40 + at, upper);
            packet[40 + at + field..][..2].copy_from_slice(&sum.to_be_bytes());
        }
    }
    packet
}

/// Of what begins at `at`, with the pseudo-header (RFC 8200 section 8.1).
fn transport_checksum(packet: &[u8], at: usize, protocol: u8) -> u16 {
    let len = (packet.len() - at) as u32;
    let pseudo = [&packet[8..40], &len.to_be_bytes(), &[0, 0, 0, protocol], &packet[at..]].concat();
    checksum(&pseudo)
}

/// `from`: where a packet came in; `None` for what waited.
fn look(sent: &[Sent], from: Option<u32>) {
    for Sent { interface, data, .. } in sent {
        let (ether_type, packet) = (&data[12..14], &data[14..]);
        assert_eq!(ether_type, [0x86, 0xdd]);
        assert_eq!(packet[0] >> 4, 6, "{packet:02x?}");
        let payload = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
        assert_eq!(payload + 40, packet.len(), "payload length: {packet:02x?}");
        assert!(packet[7] > 0, "hop limit: {packet:02x?}");
        let address = |at: usize| Ipv6Addr::from_bits(u128::from_be_bytes(packet[at..at + 16].try_into().unwrap()));
        let (source, destination) = (address(8), address(24));
        // Whoever lies about its source is forwarded with as many hops as no packet of the router's has.
        let ours = |own: &&str| bits(own) == source.to_bits();
        let own = OWN.iter().chain([&ANYCAST]).any(ours) && [64, 255].contains(&packet[7]);
        let mtu = if *interface == LAN { 1500 } else { 1280 };
        assert!(packet.len() <= mtu, "{} bytes on interface {interface}", packet.len());
        if own && packet[6] == 58 {
            assert_eq!(transport_checksum(packet, 40, 58), 0, "checksum: {packet:02x?}");
            // RFC 4443 section 2.4 (c).
            assert!(packet[40] >= 128 || packet.len() <= 1280, "an error of {} bytes", packet.len());
        }
        let tied = |address: Ipv6Addr| address.is_unicast_link_local() || address.is_unspecified();
        assert!(!source.is_multicast() && !source.is_unspecified(), "source: {packet:02x?}");
        // Back to its own link it may go.
        let back = from.is_none_or(|from| from == *interface);
        assert!(own || back || !tied(source), "left its link: {packet:02x?}");
        assert!(own || !tied(destination) && !destination.is_multicast(), "forwarded: {packet:02x?}");
        if own && source.is_unicast_link_local() {
            assert_eq!(
                source.to_bits(),
                bits(OWN[2 * *interface as usize - 1]),
                "another link's address: {packet:02x?}"
            );
        }
    }
}
