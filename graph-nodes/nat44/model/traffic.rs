//! What happens in a run of the model test: packets from a few hosts to a few others with a few ports, so that they collide, answer
//! each other, hairpin and get filtered; and the events between them. All of it is plain data that proptest makes and shrinks.

use super::packet::{ICMP, Ip, Kind, TCP, UDP, set_word, word};
use proptest::prelude::*;
use std::net::Ipv4Addr;

pub const GRE: u8 = 47;

/// TCP flags.
pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// What happens next.
#[derive(Clone, Debug)]
pub enum Step {
    /// A host sends a packet.
    Send(Packet),
    /// A host, or a router before it, reports an error about a packet that came its way.
    Report(Report),
    /// Seconds go by.
    Pass(u16),
    /// One of the static mappings comes or goes.
    Toggle(usize),
    /// All sessions are cleared.
    Clear,
}

/// Who sends, to whom.
#[derive(Clone, Debug)]
pub enum Way {
    /// A host inside to one outside.
    Out { host: usize, port: u16, to: usize, to_port: u16 },
    /// A host inside to an external address and a port there.
    Hairpin { host: usize, port: u16, to: usize, to_port: u16 },
    /// A host inside to the source of an earlier packet that went out.
    HairpinTo { host: usize, port: u16, earlier: usize },
    /// Back to the sender of an earlier packet, from where that went, or nearly.
    Back { earlier: usize, from: From },
    /// A host outside to an external address and a port there.
    In { from: usize, port: u16, to: usize, to_port: u16 },
    /// A host outside straight to one inside.
    Straight { from: usize, port: u16, host: usize, to_port: u16 },
}

/// From where an answer comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// The address and port that were asked.
    There,
    /// Another port of that address.
    OtherPort(u16),
    /// Another address.
    Other(usize, u16),
}

#[derive(Clone, Debug)]
pub enum Transport {
    Udp,
    Tcp {
        flags: u8,
        sequence: u32,
        ack: u32,
        window: u16,
        options: Vec<u8>,
    },
    /// ICMP: echo, or timestamp; an answer where the way leads back.
    Query {
        timestamp: bool,
    },
    Gre,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksum {
    Right,
    /// UDP without one.
    None,
    Wrong(u16),
}

#[derive(Clone, Debug)]
pub struct Packet {
    pub way: Way,
    pub transport: Transport,
    pub data: usize,
    pub ttl: u8,
    pub dont_fragment: bool,
    pub options: Vec<u8>,
    pub checksum: Checksum,
    pub pieces: Option<Pieces>,
}

/// A packet in fragments.
#[derive(Clone, Debug)]
pub struct Pieces {
    /// Where it is cut, in units of 8 bytes.
    pub cuts: Vec<usize>,
    /// Swaps of neighbours in the order of sending.
    pub swaps: Vec<usize>,
    /// One that is not sent.
    pub lost: Option<usize>,
    /// One that is sent twice, the second time from so many units earlier on.
    pub again: Option<(usize, usize)>,
}

#[derive(Clone, Debug)]
pub struct Report {
    /// The earlier packet that it is about, on its way out of the router.
    pub about: usize,
    pub kind: (u8, u8),
    /// Who says so: the packet's receiver, or a router on the way there.
    pub by_receiver: bool,
    /// How much of the packet it quotes, behind the IP header.
    pub quote: usize,
    /// What is wrong with it: nothing, its checksum, or the quoted header's.
    pub spoilt: u8,
}

/// An IPv4 packet of a header with these options (a multiple of 4 bytes) and this body; all checksums right.
pub fn build(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, options: &[u8], body: &[u8]) -> Ip {
    let len = 20 + options.len();
    let mut bytes = vec![0; 20];
    bytes[0] = 0x40 | (len / 4) as u8;
    set_word(&mut bytes, 2, (len + body.len()) as u16);
    (bytes[8], bytes[9]) = (64, protocol);
    bytes[12..16].copy_from_slice(&source.octets());
    bytes[16..20].copy_from_slice(&destination.octets());
    let mut ip = Ip::new(&[&bytes, options, body].concat());
    ip.seal();
    ip
}

impl Ip {
    /// Makes the transport's checksum wrong, or none.
    pub fn spoil(&mut self, how: Checksum) {
        let at = match (self.kind(), self.protocol(), how) {
            (_, _, Checksum::Right) | (Kind::Other | Kind::Bad | Kind::Later, ..) => return,
            (_, UDP, _) => 6,
            (_, _, Checksum::None) => return,
            (_, TCP, _) => 16,
            _ => 2,
        } + self.header_len();
        let value = match how {
            Checksum::Wrong(by) => word(&self.bytes, at) ^ by,
            _ => 0,
        };
        set_word(&mut self.bytes, at, value);
    }
}

/// The transport header with `data` bytes behind it; the checksum is left to be set.
pub fn body(transport: &Transport, ports: (u16, u16), answer: bool, data: usize) -> (u8, Vec<u8>) {
    let data: Vec<u8> = (0..data).map(|at| (at * 37 + 11) as u8).collect();
    let [a, b] = [ports.0.to_be_bytes(), ports.1.to_be_bytes()];
    match transport {
        Transport::Udp => {
            let len = (8 + data.len() as u16).to_be_bytes();
            (UDP, [&a[..], &b, &len, &[0, 0], &data].concat())
        }
        Transport::Tcp { flags, sequence, ack, window, options } => {
            let fixed = [((20 + options.len()) / 4 * 16) as u8, *flags];
            let numbers = [sequence.to_be_bytes(), ack.to_be_bytes()].concat();
            (TCP, [&a[..], &b, &numbers, &fixed, &window.to_be_bytes(), &[0; 4], options, &data].concat())
        }
        Transport::Query { timestamp } => {
            let (kind, id) = match (timestamp, answer) {
                (false, false) => (8, a),
                (false, true) => (0, b),
                (true, false) => (13, a),
                (true, true) => (14, b),
            };
            (ICMP, [&[kind, 0, 0, 0][..], &id, &[0, 9], &data].concat())
        }
        Transport::Gre => (GRE, [&[0, 0, 8, 0][..], &data].concat()),
    }
}

/// Cuts a packet in fragments (RFC 791 section 3.2), in the order and with the losses and repetitions asked for.
pub fn cut(ip: &Ip, pieces: &Pieces) -> Vec<Ip> {
    let (len, total) = (ip.header_len(), ip.body().len());
    let mut cuts: Vec<usize> = pieces.cuts.iter().map(|c| c * 8).filter(|c| (1..total).contains(c)).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let ends = cuts.iter().copied().chain([total]);
    let mut ranges: Vec<_> = [0].into_iter().chain(cuts.iter().copied()).zip(ends).collect();
    if let Some((which, earlier)) = pieces.again {
        let (from, to) = ranges[which % ranges.len()];
        ranges.push((from.saturating_sub(earlier * 8), to));
    }
    if let Some(lost) = pieces.lost {
        ranges.remove(lost % ranges.len());
    }
    for swap in &pieces.swaps {
        if ranges.len() > 1 {
            let at = swap % (ranges.len() - 1);
            ranges.swap(at, at + 1);
        }
    }
    let piece = |(from, to): (usize, usize)| {
        let mut bytes = [&ip.bytes[..len], &ip.body()[from..to]].concat();
        set_word(&mut bytes, 2, (len + to - from) as u16);
        set_word(&mut bytes, 6, (from / 8) as u16 | if to < total { 0x2000 } else { 0 });
        let mut piece = Ip::new(&bytes);
        piece.seal_header();
        piece
    };
    ranges.into_iter().map(piece).collect()
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![4 => Just(4000), 2 => Just(4001), 1 => Just(53), 1 => Just(1024), 1 => Just(0), 1 => any::<u16>()]
}

/// Ports outside, those of static mappings among them.
fn service() -> impl Strategy<Value = u16> {
    prop_oneof![3 => Just(80), 1 => Just(443), 1 => Just(8080), 1 => Just(5001), 1 => Just(4000), 1 => Just(4001), 1 => any::<u16>()]
}

fn way() -> impl Strategy<Value = Way> {
    let from = prop_oneof![
        4 => Just(From::There),
        2 => service().prop_map(From::OtherPort),
        2 => (0..3_usize, service()).prop_map(|(a, p)| From::Other(a, p))
    ];
    prop_oneof![
        6 => (0..4_usize, port(), 0..3_usize, service())
            .prop_map(|(host, port, to, to_port)| Way::Out { host, port, to, to_port }),
        1 => (0..4_usize, port(), 0..3_usize, service())
            .prop_map(|(host, port, to, to_port)| Way::Hairpin { host, port, to, to_port }),
        1 => (0..4_usize, port(), 0..8_usize).prop_map(|(host, port, earlier)| Way::HairpinTo { host, port, earlier }),
        8 => (0..8_usize, from).prop_map(|(earlier, from)| Way::Back { earlier, from }),
        2 => (0..3_usize, service(), 0..3_usize, service())
            .prop_map(|(from, port, to, to_port)| Way::In { from, port, to, to_port }),
        1 => (0..3_usize, service(), 0..4_usize, port())
            .prop_map(|(from, port, host, to_port)| Way::Straight { from, port, host, to_port }),
    ]
}

fn transport() -> impl Strategy<Value = Transport> {
    let flags = prop_oneof![
        4 => Just(SYN),
        4 => Just(SYN | ACK),
        6 => Just(ACK),
        3 => Just(FIN | ACK),
        2 => Just(RST),
        2 => Just(RST | ACK),
        1 => any::<u8>()
    ];
    let number = prop::sample::select(vec![0_u32, 1000, 1001, 1500, 2000, 70_000, 0x8000_0000, u32::MAX]);
    let options = prop_oneof![
        4 => Just(vec![]),
        1 => Just(vec![2, 4, 0x05, 0xb4]),
        // An MSS at an odd place, a window scale, and an end.
        1 => Just(vec![1, 2, 4, 0x05, 0xb4, 3, 3, 7, 0, 0, 0, 0]),
        1 => Just(vec![3, 3, 15, 1]),
        1 => Just(vec![2, 4, 0x01, 0x00]),
        1 => prop::collection::vec(any::<u8>(), 8),
    ];
    let window = prop::sample::select(vec![0_u16, 1, 500, 65_535]);
    let tcp = (flags, number.clone(), number, window, options)
        .prop_map(|(flags, sequence, ack, window, options)| Transport::Tcp { flags, sequence, ack, window, options });
    prop_oneof![
        4 => Just(Transport::Udp),
        6 => tcp,
        3 => any::<bool>().prop_map(|timestamp| Transport::Query { timestamp }),
        1 => Just(Transport::Gre)
    ]
}

fn pieces() -> impl Strategy<Value = Pieces> {
    let again = prop::option::weighted(0.2, (0..5_usize, 0..3_usize));
    (
        prop::collection::vec(1..10_usize, 1..4),
        prop::collection::vec(0..5_usize, 0..5),
        prop::option::weighted(0.1, 0..5_usize),
        again,
    )
        .prop_map(|(cuts, swaps, lost, again)| Pieces { cuts, swaps, lost, again })
}

fn packet() -> impl Strategy<Value = Packet> {
    let ttl = prop_oneof![16 => Just(64_u8), 1 => Just(0), 2 => Just(1), 1 => Just(2)];
    let options =
        prop_oneof![8 => Just(vec![]), 1 => Just(vec![0x94, 4, 0, 0]), 1 => Just(vec![7, 7, 4, 0, 0, 0, 0, 0])];
    let data = prop_oneof![6 => 0..20_usize, 2 => 40..80_usize, 1 => 500..800_usize];
    let checksum = prop_oneof![8 => Just(Checksum::Right), 1 => Just(Checksum::None), 1 => (1..=u16::MAX).prop_map(Checksum::Wrong)];
    (
        way(),
        transport(),
        data,
        ttl,
        prop::bool::weighted(0.3),
        options,
        checksum,
        prop::option::weighted(0.15, pieces()),
    )
        .prop_map(|(way, transport, data, ttl, dont_fragment, options, checksum, pieces)| Packet {
            way,
            transport,
            data,
            ttl,
            dont_fragment: dont_fragment && pieces.is_none(),
            options,
            checksum,
            pieces,
        })
}

fn report() -> impl Strategy<Value = Report> {
    let kind = prop::sample::select(vec![(3, 3), (3, 1), (3, 4), (3, 13), (11, 0), (11, 1), (12, 0), (4, 0), (5, 1)]);
    let quote = prop_oneof![3 => Just(8_usize), 1 => Just(7), 1 => 8..30_usize, 2 => Just(1000)];
    let spoilt = prop_oneof![8 => Just(0_u8), 1 => Just(1), 1 => Just(2)];
    (0..8_usize, kind, any::<bool>(), quote, spoilt).prop_map(|(about, kind, by_receiver, quote, spoilt)| Report {
        about,
        kind,
        by_receiver,
        quote,
        spoilt,
    })
}

/// A step.
pub fn step() -> impl Strategy<Value = Step> {
    let pass = prop::sample::select(vec![1_u16, 20, 45, 61, 100, 121, 130, 241, 301, 7441]);
    prop_oneof![
        24 => packet().prop_map(Step::Send),
        3 => report().prop_map(Step::Report),
        2 => pass.prop_map(Step::Pass),
        1 => (0..5_usize).prop_map(Step::Toggle),
        1 => prop::bool::weighted(0.3).prop_map(|clear| if clear { Step::Clear } else { Step::Pass(5) }),
    ]
}
