//! The generator: what it makes is what was asked for, at the rate asked for, and the sink finds what is wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use etherparse::{NetHeaders, PacketHeaders, TransportHeader};
use millrace_engine::device::{TestBurst, Wake};
use millrace_engine::memory::HugePages;
use millrace_engine::{Pool, Waker};
use millrace_io::{
    AddressRange, Context, Device, Flow, FrameSize, Frames, Generator, OpenError, Order, PcapWriter, PortRange,
    Protocol, QueuePair, Rate, Spec, Stream, open,
};
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

fn range(first: &str, last: &str) -> AddressRange {
    AddressRange { first: first.parse().unwrap(), last: last.parse().unwrap() }
}

fn flow(destinations: &str) -> Flow {
    Flow::new(range("10.0.0.1", "10.0.0.1"), range("198.18.0.0", destinations))
}

fn stream(flow: Flow) -> Stream {
    Stream { frames: Frames::Made(Box::new(flow)), rate: Rate::Max, count: None }
}

fn generator(streams: Vec<Stream>) -> Generator {
    Generator { streams, burst: 256, check: true, latency: false }
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
    fn open(spec: Generator, queues: usize) -> Gen {
        let mut device = open(&Spec::Generator(spec), "gen0", &context()).unwrap();
        let queues = device.queues(queues).unwrap();
        Gen { device, queues, burst: TestBurst::new(Pool::new(2048, HugePages::Off).unwrap()) }
    }

    fn one(flow: Flow) -> Gen {
        Gen::open(generator(vec![stream(flow)]), 1)
    }

    fn rx(&mut self, queue: usize) -> Vec<Vec<u8>> {
        self.burst.rx(&mut **self.queues[queue].rx.as_mut().unwrap()).unwrap()
    }

    fn tx(&mut self, packets: &[Vec<u8>]) -> usize {
        let slices: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        self.burst.tx(&mut **self.queues[0].tx.as_mut().unwrap(), &slices).unwrap()
    }

    fn wake(&self) -> Wake {
        self.queues[0].rx.as_ref().unwrap().wake()
    }

    /// All of the sink's numbers but those that are zero.
    fn sink(&self) -> Vec<(&'static str, u64)> {
        self.device.stats().into_iter().filter(|(name, n)| name.starts_with("sink") && *n > 0).collect()
    }
}

fn destination(packet: &[u8]) -> Ipv4Addr {
    let at = if packet[12..14] == [0x81, 0x00] { 34 } else { 30 };
    Ipv4Addr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap())
}

/// Checks a packet with another implementation; source port, destination port.
fn ports(packet: &[u8]) -> (u16, u16) {
    let headers = PacketHeaders::from_ethernet_slice(packet).unwrap();
    let Some(NetHeaders::Ipv4(ip, _)) = headers.net else { panic!("not IPv4") };
    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
    let payload = headers.payload.slice();
    match headers.transport.unwrap() {
        TransportHeader::Udp(udp) => {
            assert_eq!(udp.checksum, udp.calc_checksum_ipv4(&ip, payload).unwrap());
            assert_eq!(usize::from(udp.length), payload.len() + 8);
            (udp.source_port, udp.destination_port)
        }
        TransportHeader::Tcp(tcp) => {
            assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(&ip, payload).unwrap());
            assert!(tcp.ack && !tcp.syn);
            (tcp.source_port, tcp.destination_port)
        }
        TransportHeader::Icmpv4(icmp) => {
            assert_eq!(icmp.checksum, icmp.icmp_type.calc_checksum(payload));
            assert!(matches!(icmp.icmp_type, etherparse::Icmpv4Type::EchoRequest(_)));
            (0, 0)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn smallest_frames_walk_through_their_destinations() {
    let mut g = Gen::one(flow("198.18.255.255"));
    let mac = g.device.mac().unwrap();
    let mut next = 0u32;
    for _ in 0..300 {
        let packets = g.rx(0);
        assert_eq!(packets.len(), 256);
        for p in &packets {
            assert_eq!((p.len(), &p[..6]), (60, &mac[..]));
            assert_eq!(destination(p), Ipv4Addr::from_bits(0xc612_0000 + next % 65_536));
            next += 1;
        }
        assert!(packets.iter().step_by(17).all(|p| ports(p) == (1024, 9)));
    }
    assert_eq!(g.device.stats()[0], ("source_packets", 300 * 256));
    assert_eq!(g.wake(), Wake::Poll);
}

#[test]
fn without_buffers_nothing_is_skipped() {
    let mut g = Gen::one(flow("198.18.255.255"));
    g.burst = TestBurst::new(Pool::new(100, HugePages::Off).unwrap());
    for i in 0..1000u32 {
        let packets = g.rx(0);
        assert_eq!(packets.len(), 100);
        assert_eq!(destination(&packets[99]).to_bits(), 0xc612_0000 + (i * 100 + 99) % 65_536);
    }
}

#[test]
fn every_protocol_and_size_has_right_checksums() {
    for protocol in [Protocol::Udp, Protocol::Tcp, Protocol::Icmp] {
        for vlan in [None, Some(100)] {
            for (size, lens) in [
                (FrameSize::Fixed(64), vec![60]),
                (FrameSize::Fixed(1518), vec![1514]),
                (FrameSize::Fixed(9018), vec![9014]),
                (FrameSize::Range(64, 200), (60..=196).collect()),
                (FrameSize::Imix, vec![60, 590, 1514]),
            ] {
                let flow = Flow { protocol, vlan, size, ..flow("198.18.0.9") };
                let mut g = Gen::one(flow);
                let packets = g.rx(0);
                assert_eq!(packets.iter().map(Vec::len).collect::<HashSet<_>>(), lens.iter().copied().collect());
                for p in &packets {
                    ports(p);
                }
                assert!(packets.iter().all(|p| (p[12..16] == [0x81, 0, 0, 100]) == vlan.is_some()));
                let bytes = packets.iter().map(|p| p.len() as u64).sum();
                // Its own sink has nothing to say against it.
                assert_eq!(g.tx(&packets), 256);
                assert_eq!(g.sink(), [("sink_packets", 256), ("sink_checked_bytes", bytes)]);
            }
        }
    }
}

#[test]
fn imix_has_its_proportions() {
    let mut g = Gen::one(Flow { size: FrameSize::Imix, ..flow("198.18.0.0") });
    let lens: Vec<_> = (0..3).flat_map(|_| g.rx(0)).take(120).map(|p| p.len()).collect();
    let of = |len| lens.iter().filter(|l| **l == len).count();
    assert_eq!((of(60), of(590), of(1514)), (70, 40, 10));
}

#[test]
fn ranges_step_each_by_itself() {
    let flow = Flow {
        source: range("10.0.0.1", "10.0.0.3"),
        source_ports: PortRange { first: 65_534, last: 65_535 },
        destination_ports: PortRange { first: 1, last: 5 },
        ..flow("198.18.0.6")
    };
    let mut g = Gen::one(flow);
    // 210 is the period; a table holds it several hundred times without a seam.
    let packets: Vec<_> = (0..400).flat_map(|_| g.rx(0)).collect();
    for (i, p) in packets.iter().enumerate() {
        let i = i as u32;
        assert_eq!(p[26..30], (0x0a00_0001 + i % 3).to_be_bytes());
        assert_eq!(destination(p).to_bits(), 0xc612_0000 + i % 7);
        assert_eq!(
            (p[34..36].to_vec(), p[36..38].to_vec()),
            ((65_534 + (i % 2) as u16).to_be_bytes().to_vec(), (1 + (i % 5) as u16).to_be_bytes().to_vec())
        );
    }
    assert!(packets.iter().step_by(101).all(|p| ports(p).0 >= 65_534));
}

#[test]
fn more_addresses_than_the_table_has_lines() {
    let mut g = Gen::one(flow("198.19.255.255"));
    let mut far = Gen::one(Flow { destination: range("11.0.0.0", "11.255.255.255"), ..flow("198.18.0.0") });
    for i in 0..1100u32 {
        assert_eq!(destination(&g.rx(0)[0]).to_bits(), 0xc612_0000 + i * 256 % 131_072);
        let packets = far.rx(0);
        assert_eq!(destination(&packets[255]).to_bits(), 0x0b00_0000 + i * 256 + 255);
        ports(&packets[i as usize % 256]);
    }
}

#[test]
fn random_order_is_spread_and_the_same_each_time() {
    let flow = Flow { order: Order::Random, ..flow("198.19.255.255") };
    let (mut a, mut b) = (Gen::one(flow.clone()), Gen::one(flow));
    let mut seen = HashSet::new();
    for _ in 0..512 {
        let packets = a.rx(0);
        assert_eq!(packets, b.rx(0));
        seen.extend(packets.iter().map(|p| destination(p)));
    }
    // 131,072 draws of as many addresses find 63.2 % of them.
    let part = seen.len() as f64 / 131_072.0;
    assert!((0.62..0.645).contains(&part), "{part}");
    assert!(seen.iter().all(|d| d.to_bits() >> 17 == 0xc612_0000 >> 17));
}

#[test]
fn a_shuffled_stream_has_every_combination_once_a_round() {
    let ports = PortRange { first: 1000, last: 1099 };
    let shuffled = Flow { order: Order::Shuffled, source_ports: ports, ..flow("198.18.0.99") };
    for queues in [1, 3] {
        let mut g = Gen::open(generator(vec![stream(shuffled.clone())]), queues);
        let mut rounds = vec![Vec::new(); 3];
        for queue in 0..queues {
            let each = (10_000 - queue).div_ceil(queues);
            let mut packets = Vec::new();
            while packets.len() < 3 * each {
                packets.extend(g.rx(queue).iter().map(|p| (destination(p), self::ports(p).0)));
            }
            rounds.iter_mut().zip(packets.chunks_exact(each)).for_each(|(round, part)| round.extend_from_slice(part));
        }
        for round in &rounds {
            assert_eq!(round.iter().collect::<HashSet<_>>().len(), 10_000);
        }
        assert_ne!(rounds[0], rounds[1]);
        assert_eq!(rounds[1], rounds[2]);
        // In a random order the next is the greater one every other time, and rarely where it was the round before.
        let up = |round: &[_]| round.windows(2).filter(|w| w[0] < w[1]).count();
        assert!(rounds.iter().all(|r| (4800..5200).contains(&up(r))));
        assert!(rounds[0].iter().zip(&rounds[1]).filter(|(a, b)| a == b).count() < 20);
    }
}

#[test]
fn the_lengths_of_shuffled_packets_go_with_them() {
    let sizes = Flow { order: Order::Shuffled, size: FrameSize::Range(64, 127), ..flow("198.18.0.9") };
    let mut g = Gen::one(sizes);
    let packets: Vec<_> = (0..5).flat_map(|_| g.rx(0)).collect();
    for round in packets.chunks(640) {
        let all: HashSet<_> = round.iter().map(|p| (destination(p), p.len())).collect();
        assert!(round.iter().all(|p| ports(p).1 == 9));
        assert_eq!(all.len(), 640);
    }
}

#[test]
fn queues_share_a_stream() {
    let streams = vec![Stream { count: Some(1001), ..stream(flow("198.18.255.255")) }];
    let mut g = Gen::open(generator(streams), 3);
    let mut all = Vec::new();
    for queue in 0..3 {
        loop {
            let packets = g.rx(queue);
            if packets.is_empty() {
                break;
            }
            all.extend(packets.iter().map(|p| destination(p).to_bits() - 0xc612_0000));
        }
    }
    all.sort_unstable();
    assert_eq!(all, (0..1001).collect::<Vec<_>>());
    assert_eq!(g.wake(), Wake::Never);
}

#[test]
fn streams_take_turns_at_their_own_rates() {
    let slow = Stream { rate: Rate::PerSecond(1000), ..stream(Flow { vlan: Some(7), ..flow("198.18.0.0") }) };
    let once = Stream { count: Some(10), ..stream(Flow { vlan: Some(8), ..flow("198.18.0.0") }) };
    let mut g = Gen::open(generator(vec![stream(flow("198.18.0.0")), slow, once]), 1);
    let (start, mut counts) = (Instant::now(), [0; 3]);
    while start.elapsed() < Duration::from_millis(200) {
        for p in g.rx(0) {
            counts[if p[12] == 8 { 0 } else { usize::from(p[15]) - 6 }] += 1;
        }
    }
    assert!(counts[0] > 10_000 && counts[2] == 10, "{counts:?}");
    let due = start.elapsed().as_millis() as i64;
    // After a pause of the test itself it doesn't catch up with all of it.
    assert!((50..=due + 2).contains(&counts[1]), "{counts:?} in {due} ms");
    assert_eq!(g.wake(), Wake::Poll);
}

#[test]
fn a_paced_source_says_when_the_next_is_due() {
    let mut g = Gen::open(generator(vec![Stream { rate: Rate::PerSecond(10), ..stream(flow("198.18.0.0")) }]), 1);
    assert_eq!(g.wake(), Wake::Poll);
    assert_eq!(g.rx(0).len(), 1);
    assert!(g.rx(0).is_empty());
    let Wake::At(at) = g.wake() else { panic!("{:?}", g.wake()) };
    let now = millrace_engine::clock::now();
    assert!(at > now && at <= now + 100_000_000);
}

#[test]
fn the_interface_may_get_another_address() {
    let fixed = Flow { destination_mac: Some([2, 9, 9, 9, 9, 9]), ..flow("198.18.0.0") };
    let mut g = Gen::open(generator(vec![stream(flow("198.18.0.0")), stream(fixed)]), 1);
    g.rx(0);
    g.device.set_mac([2, 1, 1, 1, 1, 1]).unwrap();
    let macs: HashSet<_> = g.rx(0).iter().map(|p| p[..6].to_vec()).collect();
    assert_eq!(macs, HashSet::from([vec![2, 1, 1, 1, 1, 1], vec![2, 9, 9, 9, 9, 9]]));
}

#[test]
fn the_sink_finds_what_is_wrong() {
    let mut g = Gen::one(Flow { size: FrameSize::Fixed(3000), ..flow("198.18.0.0") });
    let good = g.rx(0).remove(0);
    let broken = |at: usize| {
        let mut p = good.clone();
        p[at] ^= 0x40;
        p
    };
    let short = good[..1000].to_vec();
    let mut other = good.clone();
    other[12..14].copy_from_slice(&[0x08, 0x06]);
    g.tx(&[good.clone(), broken(26), broken(50), broken(2990), short, other]);
    assert_eq!(
        g.sink(),
        [
            ("sink_packets", 6),
            ("sink_checked_bytes", 5 * 2996 + 1000),
            ("sink_bad_ipv4_checksum", 1),
            ("sink_bad_transport_checksum", 2),
            ("sink_malformed", 1),
            ("sink_not_checkable", 1),
        ]
    );
    // Without `check` it only counts.
    let mut g = Gen::open(Generator { check: false, ..generator(Vec::new()) }, 1);
    assert!(g.queues[0].rx.is_none(), "a sink only");
    assert_eq!(g.tx(&[broken(26)]), 1);
    assert_eq!(g.sink(), [("sink_packets", 1)]);
}

#[test]
fn the_sink_tells_how_long_packets_took() {
    let mut g = Gen::open(Generator { check: false, latency: true, ..generator(vec![stream(flow("198.18.0.0"))]) }, 1);
    let packets = g.rx(0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2) {}
    g.tx(&packets[..100]);
    let passed = start.elapsed();
    let sink: std::collections::HashMap<_, _> = g.sink().into_iter().collect();
    let mean = Duration::from_nanos(sink["sink_latency_ns"] / 100);
    assert!((Duration::from_millis(2)..passed + Duration::from_millis(50)).contains(&mean), "{mean:?}");
    assert_eq!((sink["sink_later_than_100us"], sink["sink_later_than_1ms"]), (100, 100));
}

#[test]
fn frames_of_a_capture_are_played_over_and_over() {
    let path = std::env::temp_dir().join(format!("millrace-generator-{}.pcap", std::process::id()));
    let frames: Vec<Vec<u8>> = [60, 100, 3000].iter().map(|len| (0..*len).map(|i| (i * 7) as u8).collect()).collect();
    {
        let mut writer = PcapWriter::new(std::fs::File::create(&path).unwrap()).unwrap();
        frames.iter().for_each(|f| writer.write(Duration::ZERO, [f.as_slice()]).unwrap());
    }
    let played = Stream { frames: Frames::Template(path.clone()), rate: Rate::Max, count: Some(100) };
    let mut g = Gen::open(generator(vec![played.clone()]), 1);
    let got = g.rx(0);
    assert_eq!(got.len(), 100);
    assert!(got.iter().zip(frames.iter().cycle()).all(|(a, b)| a == b));
    std::fs::remove_file(&path).unwrap();
    let gone = open(&Spec::Generator(generator(vec![played])), "gen0", &context()).map(drop);
    assert!(matches!(gone, Err(OpenError::Refused { .. })));
}

#[test]
fn impossible_streams_are_refused() {
    for (wrong, why) in [
        (Flow { size: FrameSize::Fixed(63), ..flow("198.18.0.0") }, "between 64 and 9238"),
        (Flow { size: FrameSize::Range(100, 9300), ..flow("198.18.0.0") }, "between 64 and 9238"),
        (flow("198.17.0.0"), "ends before it begins"),
        (Flow { vlan: Some(4095), ..flow("198.18.0.0") }, "VLAN"),
        (Flow { order: Order::Shuffled, ..flow("198.255.255.255") }, "to shuffle"),
    ] {
        let error = open(&Spec::Generator(generator(vec![stream(wrong)])), "gen0", &context()).map(drop).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}
