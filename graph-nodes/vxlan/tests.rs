//! VXLAN's nodes against headers that etherparse makes and reads.

mod decapsulation;
mod encapsulation;

use super::*;
use crate::marks;
use crate::testing::dual::{Dual, ip};
use crate::testing::*;
use etherparse::{IpNumber, Ipv6Header, UdpHeader};
use millrace_engine::testing::{Bench, Out};
use millrace_engine::{Waker, testing::Outcome};
use millrace_tables::lpm::Address;

/// The VXLAN interface.
const VX: u32 = 5;
/// Its remotes.
const ONE: u32 = 1024;
const TWO: u32 = 1025;
/// A remote of another interface.
const OTHER: u32 = 1030;
const VNI: u32 = 0x12_3456;
/// The table of the underlay.
const TABLE: u32 = 7;
const PORT: u16 = 4789;

/// Either family, as a packet in it looks from outside.
trait Outer: Dual + Underlay {
    const IP_LEN: usize;
    /// The headers before the frame.
    const BEFORE: usize = Self::IP_LEN + 16;

    /// A packet of UDP from `from`; its type of service or traffic class.
    fn packet(from: &str, to: &str, tos: u8, udp: &[u8]) -> Vec<u8>;
    /// Where a packet is from and to, its TOS, its time to live, and what is behind its header, which must be right.
    fn parsed(packet: &[u8]) -> (IpAddr, IpAddr, u8, u8, &[u8]);
    /// A UDP header with the right checksum.
    fn udp_header(from: &str, to: &str, ports: (u16, u16), data: &[u8]) -> UdpHeader;
}

fn v4(text: &str) -> [u8; 4] {
    text.parse::<std::net::Ipv4Addr>().unwrap().octets()
}

impl Outer for V4 {
    const IP_LEN: usize = 20;

    fn packet(from: &str, to: &str, tos: u8, udp: &[u8]) -> Vec<u8> {
        let mut header = header(v4(from), v4(to));
        (header.dscp, header.ecn) = ((tos >> 2).try_into().unwrap(), (tos & 3).try_into().unwrap());
        packet(&header, udp)
    }

    fn parsed(packet: &[u8]) -> (IpAddr, IpAddr, u8, u8, &[u8]) {
        let (header, rest) = parsed(packet);
        assert!(!header.dont_fragment && !header.more_fragments && header.protocol == IpNumber::UDP);
        let tos = header.dscp.value() << 2 | header.ecn.value();
        (header.source.into(), header.destination.into(), tos, header.time_to_live, rest)
    }

    fn udp_header(from: &str, to: &str, (source, destination): (u16, u16), data: &[u8]) -> UdpHeader {
        UdpHeader::with_ipv4_checksum(source, destination, &header(v4(from), v4(to)), data).unwrap()
    }
}

impl Outer for V6 {
    const IP_LEN: usize = 40;

    fn packet(from: &str, to: &str, tos: u8, udp: &[u8]) -> Vec<u8> {
        let header = Ipv6Header { traffic_class: tos, ..header6(from, to, IpNumber::UDP) };
        packet6(&header, udp)
    }

    fn parsed(packet: &[u8]) -> (IpAddr, IpAddr, u8, u8, &[u8]) {
        let (header, rest) = parsed6(packet);
        assert_eq!(header.next_header, IpNumber::UDP);
        (header.source.into(), header.destination.into(), header.traffic_class, header.hop_limit, rest)
    }

    fn udp_header(from: &str, to: &str, (source, destination): (u16, u16), data: &[u8]) -> UdpHeader {
        let header = header6(from, to, IpNumber::UDP);
        UdpHeader::with_ipv6_checksum(source, destination, &header, data).unwrap()
    }
}

/// How the interface of a test is set up.
#[derive(Clone)]
struct Setting {
    replicate: Vec<u32>,
    bridged: bool,
    checksum: bool,
    df: Option<bool>,
    learn: bool,
    zero_checksum: bool,
}

const PLAIN: Setting = Setting {
    replicate: Vec::new(),
    bridged: true,
    checksum: false,
    df: Some(false),
    learn: false,
    zero_checksum: false,
};

/// Tables with an interface and its two remotes.
fn tables<F: Outer>(setting: &Setting) -> (Forwarding, [Traffic; 2]) {
    let forwarding = World::new().forwarding;
    let traffic = [Traffic::new(1), Traffic::new(1)];
    let replicate = setting.replicate.clone();
    forwarding.vxlan.set(VX, Some(Tunnel { replicate, bridged: setting.bridged }));
    let remote = |interface, address, traffic: &Traffic| Remote {
        interface,
        table: TABLE,
        headers: Headers::new(ip(F::WAN_IP), ip(address), PORT, VNI, 61).unwrap(),
        checksum: setting.checksum,
        df: setting.df,
        traffic: traffic.clone(),
    };
    forwarding.vxlan.set_remote(ONE, Some(remote(VX, F::PEER, &traffic[0])));
    forwarding.vxlan.set_remote(TWO, Some(remote(VX, F::STRANGER, &traffic[1])));
    forwarding.vxlan.set_remote(OTHER, Some(remote(VX + 1, F::NEW, &traffic[1])));
    hear::<F>(&forwarding, setting, 1, &[(F::PEER, ONE), (F::STRANGER, TWO)]);
    (forwarding, traffic)
}

/// Whose datagrams are.
fn hear<F: Outer>(forwarding: &Forwarding, setting: &Setting, generation: u64, remotes: &[(&str, u32)]) {
    let known = |remote| Known { interface: VX, remote, learn: setting.learn, zero_checksum: setting.zero_checksum };
    forwarding.vxlan.set_ends(generation, |ends4, ends6| match ip(F::WAN_IP) {
        IpAddr::V4(local) => {
            let at = (TABLE, local.to_bits(), PORT);
            ends4.interface(at, VNI, known(0));
            remotes.iter().for_each(|(r, n)| ends4.remote(at, VNI, u32::of_ip(ip(r)).unwrap(), known(*n)));
        }
        IpAddr::V6(local) => {
            let at = (TABLE, local.to_bits(), PORT);
            ends6.interface(at, VNI, known(0));
            remotes.iter().for_each(|(r, n)| ends6.remote(at, VNI, u128::of_ip(ip(r)).unwrap(), known(*n)));
        }
    });
}

fn encap<F: Outer>(setting: &Setting) -> (Bench<VxlanEncap<F>>, [Traffic; 2]) {
    let (forwarding, traffic) = tables::<F>(setting);
    (Bench::new(VxlanEncap::new(forwarding, 0)), traffic)
}

fn input<F: Outer>(setting: &Setting) -> (Bench<VxlanInput<F>>, Forwarding, NeighborEvents, [Traffic; 2]) {
    let (forwarding, traffic) = tables::<F>(setting);
    let events = NeighborEvents::new(Waker::new().unwrap());
    (Bench::new(VxlanInput::new(forwarding.clone(), events.clone())), forwarding, events, traffic)
}

/// Runs one frame that a bridge, or the router, sends to that remote.
fn send<F: Outer>(bench: &mut Bench<VxlanEncap<F>>, frame: &[u8], remote: u32) -> Outcome {
    bench.run(&[frame], |meta| (meta.tx_interface, meta.adjacency, meta.rx_interface) = (VX, remote, LAN))
}

/// A frame to the lan with this packet.
fn frame(ether_type: u16, packet: &[u8]) -> Vec<u8> {
    [&HOST_MAC.0[..], &PEER_MAC.0, &ether_type.to_be_bytes(), packet].concat()
}

/// What an encapsulated frame must be: its source port, UDP checksum and TOS.
#[track_caller]
fn check<F: Outer>(out: &Out, to: &str, frame: &[u8]) -> (u16, u16, u8) {
    assert_eq!(out.next, F::LOOKUP.as_str());
    assert_eq!((out.table, out.marks), (TABLE, marks::OWN | marks::ONE_TUNNEL));
    let (from, remote, tos, ttl, rest) = F::parsed(&out.data);
    assert_eq!((from, remote, ttl), (ip(F::WAN_IP), ip(to), 61));
    let (udp, vxlan) = UdpHeader::from_slice(rest).unwrap();
    assert_eq!((udp.destination_port, usize::from(udp.length)), (PORT, rest.len()));
    assert!(udp.source_port >= 49152, "RFC 7348 section 5");
    assert_eq!(vxlan[..8], [8, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
    assert_eq!(vxlan[8..], *frame);
    if udp.checksum != 0 {
        let right = F::udp_header(F::WAN_IP, to, (udp.source_port, PORT), vxlan);
        assert_eq!(udp.checksum, right.checksum);
    }
    (udp.source_port, udp.checksum, tos)
}

/// A datagram of VXLAN with this frame.
fn datagram<F: Outer>(from: &str, tos: u8, vxlan: [u8; 8], frame: &[u8]) -> Vec<u8> {
    let data = [&vxlan[..], frame].concat();
    let udp = F::udp_header(from, F::WAN_IP, (55_555, PORT), &data);
    F::packet(from, F::WAN_IP, tos, &[&udp.to_bytes()[..], &data].concat())
}

const HEADER: [u8; 8] = [8, 0, 0, 0, 0x12, 0x34, 0x56, 0];
