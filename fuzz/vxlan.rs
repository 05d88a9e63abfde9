//! Any bytes at all, taken for datagrams of VXLAN from the underlay, over IPv4 and IPv6, in fragments or whole, and frames from the
//! other port of the bridge. Whatever they are, no node panics, every buffer is accounted for, and what leaves by the underlay is a
//! datagram that says what it is.
//!
//! The fuzz target and an ordinary test over saved and random inputs share this.

use crate::lab::{Input, assert_settled, checksum};
use millrace_engine::builtin::DEVICE_INPUT_ARC;
use millrace_engine::epoch::domain;
use millrace_engine::testing::{Sent, Testbed};
use millrace_engine::{Graph, Waker};
use millrace_graph_nodes::capture::{self, Captures};
use millrace_graph_nodes::forwarding::{Forwarding, Interface};
use millrace_graph_nodes::l2::{self, Bridging, Domain, Port};
use millrace_graph_nodes::link_control;
use millrace_graph_nodes::neighbor_events::NeighborEvents;
use millrace_graph_nodes::vxlan::{self, Headers, Known, Remote, Traffic, Tunnel};
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_tables::fib::Target;
use millrace_tables::lpm::{Lpm, Writer};
use millrace_wire::MacAddr;
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A port of the bridge, the underlay, and the interfaces over either family.
const LAN: u32 = 1;
const UNDER: u32 = 2;
const VX4: u32 = 5;
const VX6: u32 = 6;
const MAC: MacAddr = MacAddr([2, 0xfe, 0, 0, 0, 2]);
const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const LOCAL6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const VNI: u32 = 100;
const PORT: u16 = 4789;
const SECOND: u64 = 1_000_000_000;

/// A remote: the last byte of its address, and its number.
const REMOTES: [(u8, u32); 2] = [(2, 1024), (3, 1025)];

struct Lab {
    bed: Testbed,
    events: NeighborEvents,
    /// What was asked of a router before the first input: links that are up.
    _routes: (Writer<u32>, Writer<u128>),
}

thread_local! {
    /// For the next input: nothing but stations is left in it of the last.
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

fn remote4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

fn remote6(last: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into())
}

impl Lab {
    fn new() -> Lab {
        let tables = Forwarding::new();
        let (mut routes, reader) = Lpm::with_groups(16).unwrap();
        tables.fibs.set(&domain(), 0, reader).unwrap();
        let (mut routes6, reader) = Lpm::with_groups(64).unwrap();
        tables.fibs6.set(&domain(), 0, reader).unwrap();
        let addresses6 = vec![("fe80::1".parse().unwrap(), 64), (LOCAL6, 64)];
        let under = Interface { mac: MAC, mtu: 1500, addresses: vec![(LOCAL, 24)], addresses6, ..Interface::default() };
        tables.interfaces.set(&domain(), UNDER, under).unwrap();
        let header = |ether_type: u16| [&[2, 0, 0, 0, 0, 9][..], &MAC.0, &ether_type.to_be_bytes()].concat();
        let out = |ether_type| Adjacency::with_rewrite(UNDER, 1500, 0, &header(ether_type)).unwrap();
        let adjacencies =
            [Adjacency::new(AdjacencyKind::Drop), Adjacency::new(AdjacencyKind::Local), out(0x800), out(0x86dd)];
        for (index, adjacency) in adjacencies.into_iter().enumerate() {
            tables.adjacencies.set(&domain(), index as u32, adjacency).unwrap();
        }
        let to = |index| Target::Adjacency(index).to_u32();
        routes.insert("192.0.2.1/32".parse().unwrap(), to(1)).unwrap();
        routes.insert("192.0.2.0/24".parse().unwrap(), to(2)).unwrap();
        routes6.insert("2001:db8::1/128".parse().unwrap(), to(1)).unwrap();
        routes6.insert("2001:db8::/64".parse().unwrap(), to(3)).unwrap();
        set_tunnels(&tables);
        let waker = Waker::new().unwrap();
        let events = NeighborEvents::new(waker.clone());
        let bridging = Bridging::new(1024).unwrap();
        let members = vec![LAN, VX4, VX6];
        bridging.domains.set(&domain(), 1, Domain { members: members.clone(), ..Domain::default() }).unwrap();
        for port in members {
            let port_of = Port { tunnel: port != LAN, ..Port::new(1) };
            bridging.ports.set(&domain(), port, port_of).unwrap();
        }
        for (_, number) in REMOTES {
            bridging.set_behind(number as u16, Some(VX4));
            bridging.set_behind(number as u16 + 2, Some(VX6));
        }
        let mut graph = Graph::new();
        millrace_graph_nodes::register(&mut graph, &tables, &events);
        capture::register(&mut graph, &Captures::new(waker.clone()));
        link_control::register(&mut graph, &link_control::Frames::new(waker));
        l2::register(&mut graph, &bridging);
        let bed = Testbed::new(graph, 1, &[LAN, UNDER, VX4, VX6]);
        for port in [LAN, VX4, VX6] {
            bed.switch(DEVICE_INPUT_ARC.name, l2::FEATURE.node, port, true);
        }
        for (feature, interface) in [(vxlan::FEATURE4, VX4), (vxlan::FEATURE6, VX6)] {
            bed.switch(feature.arc, feature.node, interface, true);
        }
        Lab { bed, events, _routes: (routes, routes6) }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        let frame = match what & 7 {
            0 => {
                let sent = self.bed.pass(u64::from(input.byte()) * SECOND / 64, 2);
                return sent.iter().for_each(look);
            }
            1 => {
                let len = usize::from(input.byte());
                let mut packet = input.take(len).to_vec();
                // What is forwarded is not looked at here.
                if let Some(destination) = packet.get_mut(16..20) {
                    destination.copy_from_slice(&LOCAL.octets());
                }
                [&MAC.0[..], &[2, 0, 0, 0, 0, 9], &[8, 0], &packet].concat()
            }
            2 | 3 => {
                let sent = self.bed.one(0, LAN, &inner(input));
                return sent.iter().for_each(look);
            }
            _ => datagram(input, what),
        };
        self.bed.one(0, UNDER, &frame).iter().for_each(look);
        while self.events.pop().is_some() {}
    }

    /// All time that anything may take passes: nothing is left.
    fn end(&mut self) {
        for _ in 0..8 {
            self.bed.pass(20 * SECOND, 2).iter().for_each(look);
        }
        while self.events.pop().is_some() {}
        assert_settled(&mut self.bed);
    }
}

/// Two remotes over each family; over IPv4 others may be learnt.
fn set_tunnels(tables: &Forwarding) {
    tables.udp_services.set(PORT, true);
    let interface = |index, local: IpAddr, of: fn(u8) -> IpAddr, plus: u32| {
        for (last, number) in REMOTES {
            let headers = Headers::new(local, of(last), PORT, VNI, 64).unwrap();
            let (checksum, traffic) = (local.is_ipv6(), Traffic::new(1));
            let remote = Remote { interface: index, table: 0, headers, checksum, df: None, traffic };
            tables.vxlan.set_remote(number + plus, Some(remote));
        }
        let replicate = REMOTES.iter().map(|(_, number)| number + plus).collect();
        tables.vxlan.set(index, Some(Tunnel { replicate, bridged: true }));
    };
    interface(VX4, LOCAL.into(), |last| remote4(last).into(), 0);
    interface(VX6, LOCAL6.into(), |last| remote6(last).into(), 2);
    tables.vxlan.set_ends(1, |ends4, ends6| {
        let known = |interface, remote| Known { interface, remote, learn: interface == VX4, zero_checksum: false };
        let (at4, at6) = ((0, LOCAL.to_bits(), PORT), (0, LOCAL6.to_bits(), PORT));
        ends4.interface(at4, VNI, known(VX4, 0));
        ends6.interface(at6, VNI, known(VX6, 0));
        for (last, number) in REMOTES {
            ends4.remote(at4, VNI, remote4(last).to_bits(), known(VX4, number));
            ends6.remote(at6, VNI, remote6(last).to_bits(), known(VX6, number + 2));
        }
    });
}

/// A frame between few stations, with something in it that may be IP.
fn inner(input: &mut Input<'_>) -> Vec<u8> {
    let how = input.byte();
    let station = |n: u8| if n & 15 == 15 { [0xff; 6] } else { [2, 0, 0, 0, 1, n & 3] };
    let ether_type = [0x0800_u16, 0x86dd, 0x8100, 0x0806][usize::from(how >> 6)];
    let len = usize::from(input.byte()) * if how & 4 == 0 { 1 } else { 8 };
    let mut frame = [&station(how)[..], &station(how >> 4), &ether_type.to_be_bytes(), input.take(len)].concat();
    frame.resize(frame.len().max(len), 0x45);
    frame
}

/// A frame with a datagram that is mostly what it should be, or a fragment of one.
fn datagram(input: &mut Input<'_>, what: u8) -> Vec<u8> {
    let (six, how) = (what & 8 != 0, input.byte());
    let flags = if how & 1 == 0 { 8 } else { input.byte() };
    let vni = if how & 2 == 0 { VNI } else { u32::from(input.byte()) };
    let vxlan = [&[flags, 0, 0, 0][..], &(vni << 8).to_be_bytes(), &inner(input)].concat();
    let port = if how & 4 == 0 { PORT } else { PORT + 1 };
    let len = if how & 8 == 0 { vxlan.len() + 8 } else { usize::from(input.byte()) * 4 };
    let mut udp =
        [&50_000_u16.to_be_bytes()[..], &port.to_be_bytes(), &(len as u16).to_be_bytes(), &[0, 0], &vxlan].concat();
    let (last, tos) = (2 + (how >> 6), what >> 6);
    let mut fragment = if how & 0x20 == 0 { None } else { Some(u16::from_be_bytes([input.byte(), input.byte()])) };
    if how & 0x10 == 0 {
        let pseudo = if six {
            [&remote6(last).octets()[..], &LOCAL6.octets(), &(udp.len() as u32).to_be_bytes(), &[0, 0, 0, 17]].concat()
        } else {
            [&remote4(last).octets()[..], &LOCAL.octets(), &[0, 17], &(udp.len() as u16).to_be_bytes()].concat()
        };
        let sum = checksum(&[pseudo, udp.clone()].concat());
        udp[6..8].copy_from_slice(&(if sum == 0 { 0xffff } else { sum }).to_be_bytes());
    }
    // Of a fragment in the middle: the bytes that are there.
    if let Some(field) = &mut fragment {
        let from = (usize::from(*field >> 3) % 8 * 64).min(udp.len() / 8 * 8);
        let more = *field & 1;
        udp = udp.split_off(from);
        if more == 1 {
            udp.truncate(64);
        }
        *field = (from / 8) as u16 | more << 15;
    }
    if six {
        let (offset, more) = fragment.map_or((0, 0), |field| (field & 0x1fff, field >> 15));
        let extension = [17, 0, (offset >> 5) as u8, (offset << 3) as u8 | more as u8, 0, 0, 0, last];
        let extension: &[u8] = if fragment.is_some() { &extension } else { &[] };
        let next = if fragment.is_some() { 44 } else { 17 };
        let payload = (udp.len() + extension.len()) as u16;
        let class = u32::from(tos) << 20 | 6 << 28;
        let header =
            [&class.to_be_bytes()[..], &payload.to_be_bytes(), &[next, 64], &remote6(last).octets(), &LOCAL6.octets()];
        return [&MAC.0[..], &[2, 0, 0, 0, 0, 9], &[0x86, 0xdd], &header.concat(), extension, &udp].concat();
    }
    let field = fragment.map_or(0, |field| field & 0x1fff | field >> 15 << 13);
    let mut header =
        [&[0x45, tos][..], &((udp.len() + 20) as u16).to_be_bytes(), &[0, last], &field.to_be_bytes(), &[64, 17, 0, 0]]
            .concat();
    header.extend([remote4(last).octets(), LOCAL.octets()].concat());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [&MAC.0[..], &[2, 0, 0, 0, 0, 9], &[8, 0], &header, &udp].concat()
}

/// What leaves the router. Frames of the bridge may be anything.
fn look(sent: &Sent) {
    let Sent { interface, data, .. } = sent;
    assert!([LAN, UNDER].contains(interface), "nothing leaves by interface {interface} itself");
    if *interface == LAN {
        return;
    }
    let packet = &data[14..];
    assert!(packet.len() <= 1500, "{} bytes", packet.len());
    let (at, protocol, whole) = match data[12..14] {
        [8, 0] => {
            assert_eq!((packet[0], checksum(&packet[..20])), (0x45, 0), "{packet:02x?}");
            assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
            (20, packet[9], packet[6] & 0x3f == 0 && packet[7] == 0)
        }
        [0x86, 0xdd] => {
            assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])) + 40, packet.len());
            (40, packet[6], packet[6] != 44)
        }
        _ => panic!("{data:02x?}"),
    };
    if protocol != 17 || !whole || packet[at + 2..at + 4] != PORT.to_be_bytes() {
        return;
    }
    let udp = &packet[at..];
    assert!(u16::from_be_bytes([udp[0], udp[1]]) >= 49152, "source port: {udp:02x?}");
    assert_eq!(usize::from(u16::from_be_bytes([udp[4], udp[5]])), udp.len());
    assert_eq!((udp[8], &udp[12..16]), (8, &[0, 0, 100, 0][..]));
    if at == 40 {
        let pseudo = [&packet[8..40], &(udp.len() as u32).to_be_bytes(), &[0, 0, 0, 17], udp].concat();
        assert_eq!(checksum(&pseudo), 0, "checksum: {packet:02x?}");
    }
}
