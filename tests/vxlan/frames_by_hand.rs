//! Datagrams made and taken apart by hand: what Linux never sends, and what it doesn't tell of what it received.

use harness::frames::{self, Mac};
use harness::{Lab, Router, Wire};
use std::collections::BTreeSet;
use std::time::Duration;

const ROUTER: [u8; 4] = [192, 0, 2, 10];
const REMOTE: [u8; 4] = [192, 0, 2, 11];
const ROUTER_MAC: Mac = [2, 0xfe, 0, 0, 0, 1];
const REMOTE_MAC: Mac = [2, 0, 0, 0, 2, 11];
/// A station in the lan and one behind the remote.
const NEAR: Mac = [2, 0, 0, 0, 1, 10];
const FAR: Mac = [2, 0, 0, 0, 9, 9];

struct Net {
    router: Router,
    lan: Wire,
    under: Wire,
    _lab: Lab,
}

fn start(settings: &str) -> Net {
    let lab = Lab::new();
    let (lan, under) = (lab.wire("lan"), lab.wire("under"));
    let router = lab.start(&format!(
        "
bridges: {{br0: {{}}}}
interfaces:
  lan: {{driver: af-packet, device: lan, bridge: br0}}
  under: {{driver: af-packet, device: under, mac: '02:fe:00:00:00:01', addresses: [192.0.2.10/24]}}
  vx0: {{driver: vxlan, vni: 100, local: 192.0.2.10, remotes: [192.0.2.11], bridge: br0, {settings}}}
neighbors:
  - {{interface: under, address: 192.0.2.11, mac: '02:00:00:00:02:0b'}}
"
    ));
    Net { router, lan, under, _lab: lab }
}

impl Net {
    /// Sends a frame from the lan; what comes out on the underlay: the outer IPv4 header, source port and frame.
    fn out(&self, frame: &[u8]) -> (etherparse::Ipv4Header, u16, Vec<u8>) {
        self.lan.send(frame);
        self.under.expect("a datagram of VXLAN", |sent| {
            if frames::ether_type(sent) != frames::IP4 {
                return None;
            }
            let (ip, rest) = etherparse::Ipv4Header::from_slice(&sent[14..]).ok()?;
            let (udp, rest) = etherparse::UdpHeader::from_slice(rest).ok()?;
            assert_eq!((udp.destination_port, udp.checksum), (4789, 0), "no checksum over IPv4");
            let inner = rest.get(8..8 + frame.len())?;
            (inner == frame).then(|| (ip, udp.source_port, rest[..8].to_vec()))
        })
    }

    /// Sends a frame from the remote, in a datagram whose outer header is changed by `change`.
    fn send(&self, header: [u8; 8], frame: &[u8], change: impl FnOnce(&mut etherparse::Ipv4Header)) {
        let mut outer = frames::header(REMOTE, ROUTER);
        change(&mut outer);
        let datagram = frames::udp(&outer, 50_000, 4789, &[&header[..], frame].concat());
        let packet = frames::packet(&outer, &datagram);
        self.under.send(&frames::ethernet(REMOTE_MAC, ROUTER_MAC, frames::IP4, &packet));
    }

    /// The next frame in the lan from the far station.
    #[track_caller]
    fn arrives(&self) -> Vec<u8> {
        self.lan.expect("the frame", |frame| (frame[6..12] == FAR).then(|| frame.to_vec()))
    }

    /// Whether nothing of the far station comes.
    fn nothing_arrives(&self) -> bool {
        self.lan
            .find(Duration::from_millis(300), &mut Vec::new(), |frame| (frame[6..12] == FAR).then_some(()))
            .is_none()
    }
}

/// A frame from the lan with a UDP packet of this port.
fn near(port: u16) -> Vec<u8> {
    let packet = frames::udp_packet([10, 9, 0, 10], [10, 9, 0, 11], port, b"0123456789");
    frames::ethernet(NEAR, FAR, frames::IP4, &packet)
}

const HEADER: [u8; 8] = [8, 0, 0, 0, 0, 0, 100, 0];

/// RFC 7348 section 5.
#[test]
fn datagrams_are_what_the_rfc_says() {
    let net = start("ttl: 33");
    let mut ports = BTreeSet::new();
    for n in 0..64 {
        let (ip, port, header) = net.out(&near(1000 + n));
        assert_eq!((ip.source, ip.destination, ip.time_to_live), (ROUTER, REMOTE, 33));
        assert!(!ip.dont_fragment && header == HEADER);
        assert!(port >= 49152);
        assert_eq!(net.out(&near(1000 + n)).1, port, "a flow keeps its port");
        ports.insert(port);
    }
    assert!(ports.len() > 55, "64 flows have {} ports", ports.len());
}

#[test]
fn hostile_datagrams_are_dropped_with_a_cause() {
    let net = start("");
    let frame = frames::ethernet(FAR, NEAR, 0x88b5, &[7; 50]);
    net.send(HEADER, &frame, |_| {});
    assert_eq!(net.arrives(), frame);
    net.send([0xff, 1, 2, 3, 0, 0, 100, 0xff], &frame, |_| {});
    assert_eq!(net.arrives(), frame, "reserved bits are ignored");
    let refused = |cause: &str, header, frame: &[u8]| {
        let before = net.router.errors("vxlan4-input", cause);
        net.send(header, frame, |_| {});
        assert!(net.nothing_arrives(), "{cause}");
        assert_eq!(net.router.errors("vxlan4-input", cause), before + 1, "{}", net.router.run("show errors"));
    };
    refused("without a VNI", [0xf7, 0, 0, 0, 0, 0, 100, 0], &frame);
    refused("with this VNI", [8, 0, 0, 0, 1, 0, 100, 0], &frame);
    refused("UDP length", HEADER, &frame[..13]);
    // A wrong checksum.
    let outer = frames::header(REMOTE, ROUTER);
    let mut datagram = frames::udp(&outer, 50_000, 4789, &[&HEADER[..], &frame].concat());
    datagram[40] ^= 1;
    net.under.send(&frames::ethernet(REMOTE_MAC, ROUTER_MAC, frames::IP4, &frames::packet(&outer, &datagram)));
    assert!(net.nothing_arrives());
    assert_eq!(net.router.errors("vxlan4-input", "checksum is wrong"), 1);
    // Somebody else's address, on an interface that learns: it becomes a remote, and nobody is flooded by way of it.
    let (mut outer, other) = (frames::header(REMOTE, ROUTER), [192, 0, 2, 77]);
    outer.source = other;
    let datagram = frames::udp(&outer, 50_000, 4789, &[&HEADER[..], &frame].concat());
    net.under.send(&frames::ethernet(REMOTE_MAC, ROUTER_MAC, frames::IP4, &frames::packet(&outer, &datagram)));
    assert_eq!(net.arrives(), frame);
    let broadcast = frames::ethernet(NEAR, frames::BROADCAST, 0x88b5, &[1; 50]);
    assert_eq!(net.out(&broadcast).0.destination, REMOTE);
    let remotes = net.router.json("show vxlan vx0")["remotes"].clone();
    let sent = remotes.as_array().unwrap().iter().find(|r| r["address"] == "192.0.2.77").unwrap()["tx_packets"].clone();
    assert_eq!(sent, 0, "{remotes}");
}

/// RFC 6040.
#[test]
fn congestion_is_told_through_the_tunnel() {
    let net = start("");
    let inner = |ecn: u8| {
        let mut header = frames::header([10, 9, 0, 11], [10, 9, 0, 10]);
        header.ecn = ecn.try_into().unwrap();
        let packet = frames::packet(&header, &frames::udp(&header, 1, 2, b"data"));
        frames::ethernet(FAR, NEAR, frames::IP4, &packet)
    };
    let met = |ecn: u8| net.send(HEADER, &inner(ecn), |outer| outer.ecn = 3.try_into().unwrap());
    met(2);
    assert_eq!(net.arrives(), inner(3), "experienced");
    met(0);
    assert!(net.nothing_arrives());
    assert_eq!(net.router.errors("vxlan4-input", "congestion"), 1);
    let mut header = frames::header([10, 9, 0, 10], [10, 9, 0, 11]);
    header.ecn = 2.try_into().unwrap();
    let packet = frames::packet(&header, &frames::udp(&header, 1, 2, b"data"));
    assert_eq!(net.out(&frames::ethernet(NEAR, FAR, frames::IP4, &packet)).0.ecn.value(), 2);
}
