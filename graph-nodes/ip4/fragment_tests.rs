use super::*;
use crate::ip::fragment::IpFragment;
use crate::marks;
use crate::testing::*;
use etherparse::Ipv4Header;
use millrace_engine::testing::{Bench, Outcome};
use proptest::prelude::*;

struct Test {
    world: World,
    bench: Bench<IpFragment<V4>>,
}

impl Test {
    fn new() -> Test {
        let world = World::new();
        let bench = Bench::new(IpFragment::new(world.forwarding.clone()));
        Test { world, bench }
    }

    /// Cuts a packet for a next hop with this MTU.
    fn cut(&mut self, mtu: u16, packet: &[u8]) -> Outcome {
        self.world.adjacency(20, neighbour(PEER_MAC, PEER, mtu));
        self.bench.run(&[packet], |meta| {
            (meta.adjacency, meta.rx_interface, meta.tx_interface, meta.table) = (20, LAN, WAN, 7);
        })
    }
}

fn with_body(change: impl Fn(&mut Ipv4Header), bytes: usize) -> Vec<u8> {
    let mut header = header(HOST, PEER);
    change(&mut header);
    let body: Vec<u8> = (0..bytes).map(|at| (at / 7) as u8).collect();
    packet(&header, &body)
}

fn offset(header: &Ipv4Header) -> usize {
    usize::from(header.fragment_offset.value()) * 8
}

/// Offset in bytes, bytes of data, whether more follow.
fn pieces(outcome: &Outcome) -> Vec<(usize, usize, bool)> {
    let piece = |packet: &[u8]| {
        let (header, data) = parsed(packet);
        (offset(&header), data.len(), header.more_fragments)
    };
    outcome.sent.iter().map(|out| piece(&out.data)).collect()
}

/// RFC 791 section 3.2, "An Example Fragmentation Procedure".
#[test]
fn exact_pieces() {
    let at = |offset: u16, more| {
        move |h: &mut Ipv4Header| {
            (h.fragment_offset, h.more_fragments) = ((offset / 8).try_into().unwrap(), more);
        }
    };
    for (name, mtu, packet, expected) in [
        ("a byte too many", 600, with_body(|_| {}, 581), &[(0, 576, true), (576, 5, false)][..]),
        ("two in full", 596, with_body(|_| {}, 1152), &[(0, 576, true), (576, 576, false)]),
        ("the last may be odd", 601, with_body(|_| {}, 1157), &[(0, 576, true), (576, 581, false)]),
        ("the smallest MTU", 68, with_body(|_| {}, 100), &[(0, 48, true), (48, 48, true), (96, 4, false)]),
        (
            "a piece in the middle",
            600,
            with_body(at(80, true), 1160),
            &[(80, 576, true), (656, 576, true), (1232, 8, true)],
        ),
        ("a last piece", 600, with_body(at(64_000, false), 600), &[(64_000, 576, true), (64_576, 24, false)]),
        (
            "up to the end of numbers",
            1500,
            with_body(at(63_000, false), 2535),
            &[(63_000, 1480, true), (64_480, 1055, false)],
        ),
        (
            "from one chain to others",
            3000,
            with_body(|_| {}, 7000),
            &[(0, 2976, true), (2976, 2976, true), (5952, 1048, false)],
        ),
    ] {
        let outcome = Test::new().cut(mtu, &packet);
        assert_eq!(pieces(&outcome), expected, "{name}");
        let counts = [("packets fragmented", 1), ("fragments made", expected.len() as u64)];
        assert_eq!(fate(&outcome), ("consumed", &counts[..]), "{name}");
        let original = parsed(&packet).0;
        for out in &outcome.sent {
            let piece = parsed(&out.data).0;
            let same = Ipv4Header {
                total_len: original.total_len,
                more_fragments: original.more_fragments,
                fragment_offset: original.fragment_offset,
                header_checksum: original.header_checksum,
                ..piece
            };
            assert_eq!(same, original, "{name}: nothing else changes");
            let way = (out.next, out.adjacency, out.rx_interface, out.tx_interface, out.table, out.marks);
            assert_eq!(way, ("ip4-rewrite", 20, LAN, WAN, 7, marks::OWN), "{name}");
        }
    }
}

/// RFC 791 section 3.1: options with the copied flag go into every piece, the others into the first.
#[test]
fn options() {
    let cases: [(&str, &[u8], &[u8]); 5] = [
        ("none is copied", &[0x44, 4, 5, 0], &[]),
        ("all are copied", &[0x94, 4, 0, 0], &[0x94, 4, 0, 0]),
        ("the second is copied", &[0x5e, 4, 1, 2, 0x9e, 4, 3, 4], &[0x9e, 4, 3, 4]),
        ("padding between, padding after", &[1, 0x9e, 5, 1, 2, 3, 1, 0], &[0x9e, 5, 1, 2, 3, 0, 0, 0]),
        ("nothing behind the end", &[0, 0x94, 4, 0], &[]),
    ];
    for (name, options, later) in cases {
        let packet = with_body(|h| h.options = options.try_into().unwrap(), 1400);
        let outcome = Test::new().cut(600, &packet);
        let headers: Vec<_> = outcome.sent.iter().map(|out| parsed(&out.data).0).collect();
        assert_eq!(headers[0].options.as_slice(), options, "{name}");
        assert!(headers[1..].iter().all(|h| h.options.as_slice() == later), "{name}: {headers:?}");
        let first = (580 - options.len()) & !7;
        let room = (580 - later.len()) & !7;
        assert_eq!(
            pieces(&outcome)[..2],
            [(0, first, true), (first, room, true)],
            "{name}: pieces are as long as fits"
        );
    }
}

#[test]
fn what_can_not_be_cut() {
    let options = |bytes: [u8; 8]| with_body(move |h| h.options = bytes.into(), 1400);
    let bad = "malformed IP options";
    let mut cut_off = with_body(|_| {}, 1400);
    cut_off.truncate(1000);
    for (name, mtu, packet, reason) in [
        ("don't fragment", 600, with_body(|h| h.dont_fragment = true, 1400), "may not be fragmented"),
        ("option of length 0", 600, options([0x9e, 0, 0, 0, 0, 0, 0, 0]), bad),
        ("option of length 1", 600, options([0x9e, 1, 0, 0, 0, 0, 0, 0]), bad),
        ("option beyond the header", 600, options([0x9e, 9, 0, 0, 0, 0, 0, 0]), bad),
        ("option without a length", 600, options([1, 1, 1, 1, 1, 1, 1, 0x9e]), bad),
        (
            "beyond 65535 bytes",
            600,
            with_body(|h| h.fragment_offset = 8100.try_into().unwrap(), 1400),
            "fragment reaches beyond 65535 bytes",
        ),
        ("an MTU of nothing", 27, with_body(|_| {}, 1400), "MTU leaves no room for data"),
        ("less than it says", 600, cut_off, "no IP packet"),
        ("more header than packet", 600, [&[0x4f][..], &[0; 39]].concat(), "no IP packet"),
        ("less than a header", 600, vec![0x45; 19], "no IP packet"),
    ] {
        assert_eq!(fate(&Test::new().cut(mtu, &packet)), ("drop", &[(reason, 1)][..]), "{name}");
    }
    let mut bench = Bench::new(IpFragment::<V4>::new(World::new().forwarding));
    let outcome = bench.run(&[&with_body(|_| {}, 1400)], |meta| meta.adjacency = 99);
    assert_eq!(fate(&outcome), ("drop", &[("adjacency is being removed", 1)][..]));
}

#[test]
fn trace() {
    let mut bench = Bench::new(IpFragment::<V4>::new(World::new().forwarding));
    let (_, text) = bench.traced(&with_body(|_| {}, 1980), |meta| meta.adjacency = TO_PEER);
    assert_eq!(text, "length 2000 mtu 1500");
}

/// Puts pieces together as a host does (RFC 815); they may be pieces of pieces.
fn reassembled(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut data = Vec::new();
    for piece in pieces {
        let (header, body) = parsed(piece);
        assert_eq!(offset(&header), data.len(), "in order, without gap or overlap");
        data.extend_from_slice(body);
    }
    data
}

proptest! {
    #[test]
    fn a_host_gets_what_was_sent(
        body in prop::collection::vec(any::<u8>(), 1..9000),
        mtu in 100_u16..3000,
        narrower in 68_u16..1000,
        words in 0_usize..=10,
    ) {
        let mut header = header(HOST, PEER);
        header.options = [1; 40][..words * 4].try_into().unwrap();
        let whole = packet(&header, &body);
        let mut test = Test::new();
        let mut cut = |mtu: u16, packet: &Vec<u8>| -> Vec<Vec<u8>> {
            if packet.len() <= usize::from(mtu) {
                return vec![packet.clone()];
            }
            let outcome = test.cut(mtu, packet);
            assert_eq!(outcome.packets[0].next, "consumed");
            outcome.sent.into_iter().map(|out| out.data).collect()
        };
        let once = cut(mtu, &whole);
        prop_assert_eq!(&reassembled(&once), &body);
        prop_assert!(once.iter().all(|piece| piece.len() <= usize::from(mtu)));
        let twice: Vec<_> = once.iter().flat_map(|piece| cut(narrower, piece)).collect();
        prop_assert_eq!(&reassembled(&twice), &body);
        let more: Vec<_> = twice.iter().map(|piece| parsed(piece).0.more_fragments).collect();
        prop_assert!(more.iter().rev().skip(1).all(|more| *more) && more.last() == Some(&false));
    }
}
