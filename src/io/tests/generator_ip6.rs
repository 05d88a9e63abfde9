//! The generator's IPv6 packets: what it makes is right by another implementation, and its sink finds what is wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use etherparse::{NetHeaders, PacketHeaders, TransportHeader};
use millrace_engine::device::TestBurst;
use millrace_engine::memory::HugePages;
use millrace_engine::{Pool, Waker};
use millrace_io::{
    AddressRange, Context, Device, Flow, FrameSize, Frames, Generator, Order, Protocol, QueuePair, Rate, Spec, Stream,
    open,
};
use std::collections::HashSet;
use std::net::Ipv6Addr;

fn range(first: &str, last: &str) -> AddressRange {
    AddressRange { first: first.parse().unwrap(), last: last.parse().unwrap() }
}

fn flow(last: &str) -> Flow {
    Flow::new(range("2001:db8::1", "2001:db8::1"), range("2001:db8:1::", last))
}

fn spec(flow: Flow) -> Spec {
    let stream = Stream { frames: Frames::Made(Box::new(flow)), rate: Rate::Max, count: None };
    Spec::Generator(Generator { streams: vec![stream], burst: 256, check: true, latency: false })
}

fn context() -> Context {
    Context { pool: Pool::new(16, HugePages::Off).unwrap(), changed: Waker::new().unwrap() }
}

struct Gen {
    device: Box<dyn Device>,
    queues: Vec<QueuePair>,
    burst: TestBurst,
}

impl Gen {
    fn new(flow: Flow) -> Gen {
        let mut device = open(&spec(flow), "gen0", &context()).unwrap();
        let queues = device.queues(1).unwrap();
        Gen { device, queues, burst: TestBurst::new(Pool::new(2048, HugePages::Off).unwrap()) }
    }

    fn rx(&mut self) -> Vec<Vec<u8>> {
        self.burst.rx(&mut **self.queues[0].rx.as_mut().unwrap()).unwrap()
    }

    /// What the sink says of packets: all of its numbers but those that are zero.
    fn sink(&mut self, packets: &[Vec<u8>]) -> Vec<(&'static str, u64)> {
        let slices: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        self.burst.tx(&mut **self.queues[0].tx.as_mut().unwrap(), &slices).unwrap();
        self.device.stats().into_iter().filter(|(name, n)| name.starts_with("sink_") && *n > 0).collect()
    }
}

/// Checks a packet with another implementation; its destination.
fn check(packet: &[u8]) -> Ipv6Addr {
    let headers = PacketHeaders::from_ethernet_slice(packet).unwrap();
    let Some(NetHeaders::Ipv6(ip, _)) = headers.net else { panic!("not IPv6") };
    let payload = headers.payload.slice();
    let len = match headers.transport.unwrap() {
        TransportHeader::Udp(udp) => {
            assert_eq!(udp.checksum, udp.calc_checksum_ipv6(&ip, payload).unwrap());
            assert_eq!((udp.source_port, udp.destination_port), (1024, 9));
            8
        }
        TransportHeader::Tcp(tcp) => {
            assert_eq!(tcp.checksum, tcp.calc_checksum_ipv6(&ip, payload).unwrap());
            assert!(tcp.ack && !tcp.syn);
            20
        }
        TransportHeader::Icmpv6(icmp) => {
            let sum = icmp.icmp_type.calc_checksum(ip.source, ip.destination, payload).unwrap();
            assert_eq!(icmp.checksum, sum);
            assert!(matches!(icmp.icmp_type, etherparse::Icmpv6Type::EchoRequest(_)));
            8
        }
        other => panic!("{other:?}"),
    };
    assert_eq!((usize::from(ip.payload_length), ip.hop_limit), (payload.len() + len, 64));
    assert_eq!(ip.source, "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
    ip.destination.into()
}

#[test]
fn every_protocol_and_size_has_right_checksums() {
    for (protocol, transport) in [(Protocol::Udp, 8), (Protocol::Tcp, 20), (Protocol::Icmp, 8)] {
        for (vlan, tag) in [(None, 0), (Some(100), 4)] {
            let least = 54 + tag + transport;
            for (size, lens) in [
                (FrameSize::Fixed(64), vec![least]),
                (FrameSize::Fixed(100), vec![96]),
                (FrameSize::Fixed(1518), vec![1514]),
                (FrameSize::Fixed(9018), vec![9014]),
                (FrameSize::Range(64, 200), (least..=196).collect()),
                (FrameSize::Imix, vec![least, 590, 1514]),
            ] {
                let mut g = Gen::new(Flow { protocol, vlan, size, ..flow("2001:db8:1::9") });
                let packets = g.rx();
                assert_eq!(packets.iter().map(Vec::len).collect::<HashSet<_>>(), lens.iter().copied().collect());
                for (n, packet) in (0..10).cycle().zip(&packets) {
                    assert_eq!(check(packet), Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, n));
                    assert_eq!(packet[12..16] == [0x81, 0, 0, 100], vlan.is_some());
                }
                let bytes = packets.iter().map(|p| p.len() as u64).sum();
                assert_eq!(g.sink(&packets), [("sink_packets", 256), ("sink_checked_bytes", bytes)]);
            }
        }
    }
}

#[test]
fn ranges_of_any_size() {
    for (last, order) in [
        ("2001:db8:1::ffff", Order::Random),
        ("2001:db8:1:0:ffff:ffff:ffff:ffff", Order::Random),
        ("2001:db8:1:ffff:ffff:ffff:ffff:ffff", Order::Random),
        ("2001:db8:1:ffff:ffff:ffff:ffff:ffff", Order::Sequential),
        ("2001:db8:1::ffff", Order::Shuffled),
    ] {
        let mut g = Gen::new(Flow { order, protocol: Protocol::Tcp, ..flow(last) });
        let seen: HashSet<_> = (0..4).flat_map(|_| g.rx()).map(|p| check(&p)).collect();
        assert!(seen.len() > 1000, "{} of {last}, {order:?}", seen.len());
        let (first, last): (Ipv6Addr, Ipv6Addr) = ("2001:db8:1::".parse().unwrap(), last.parse().unwrap());
        assert!(seen.iter().all(|to| (first..=last).contains(to)));
        // Each half has its share, but for those that come one after the other.
        let high =
            seen.iter().filter(|to| to.to_bits() - first.to_bits() > (last.to_bits() - first.to_bits()) / 2).count();
        assert!((order == Order::Sequential && high == 0) || (400..600).contains(&high), "{high} of {last}");
    }
}

#[test]
fn the_sink_finds_what_is_wrong() {
    for protocol in [Protocol::Udp, Protocol::Icmp] {
        let mut g = Gen::new(Flow { protocol, size: FrameSize::Fixed(300), ..flow("2001:db8:1::") });
        let good = g.rx().remove(0);
        let with = |at: usize, bytes: &[u8]| {
            let mut p = good.clone();
            p[at..at + bytes.len()].copy_from_slice(bytes);
            p
        };
        let (next_header, last) = (with(20, &[0]), with(295, &[good[295] ^ 1]));
        let packets = [
            good.clone(),
            with(30, &[7]),
            last,
            with(14, &[0x40]),
            good[..200].to_vec(),
            next_header,
            good[..40].to_vec(),
        ];
        assert_eq!(
            g.sink(&packets)[2..],
            [("sink_bad_transport_checksum", 2), ("sink_malformed", 3), ("sink_not_checkable", 1)]
        );
    }
    // RFC 8200 section 8.1: over IPv6, none is wrong.
    let mut g = Gen::new(flow("2001:db8:1::"));
    let mut none = g.rx().remove(0);
    none[60..62].copy_from_slice(&[0, 0]);
    assert_eq!(g.sink(&[none])[2..], [("sink_bad_transport_checksum", 1)]);
}

#[test]
fn both_ends_are_of_one_family() {
    let mixed = Flow::new(range("10.0.0.1", "10.0.0.1"), range("2001:db8::", "2001:db8::"));
    let error = open(&spec(mixed), "gen0", &context()).map(drop).unwrap_err();
    assert!(error.to_string().contains("different families"), "{error}");
}
