use super::*;
use crate::ip::fragment::IpFragment;
use crate::marks;
use crate::testing::*;
use etherparse::{IpNumber, Ipv6FlowLabel};
use millrace_engine::testing::{Bench, Outcome};
use proptest::prelude::*;

struct Test {
    world: World,
    bench: Bench<IpFragment<V6>>,
}

impl Test {
    fn new() -> Test {
        let world = World::new();
        let bench = Bench::new(IpFragment::new(world.forwarding.clone()));
        Test { world, bench }
    }

    /// Cuts a packet of ours for a next hop with this MTU.
    fn cut(&mut self, mtu: u16, packet: &[u8]) -> Outcome {
        self.world.adjacency(40, neighbour6(PEER_MAC, PEER6, mtu));
        self.bench.run(&[packet], |meta| {
            (meta.adjacency, meta.rx_interface, meta.tx_interface, meta.table) = (40, LAN, WAN, 7);
            meta.marks = marks::OWN;
        })
    }
}

/// A packet with these extension headers and so many bytes behind them.
fn with_body(first: u8, headers: &[u8], bytes: usize) -> Vec<u8> {
    let body: Vec<u8> = (0..bytes).map(|at| (at / 7) as u8).collect();
    let mut header = header6(LAN_IP6, PEER6, IpNumber(first));
    (header.traffic_class, header.flow_label) = (0xb8, Ipv6FlowLabel::try_new(0x12345).unwrap());
    packet6(&header, &[headers, &body].concat())
}

/// A fragment taken apart: headers in front of the fragment header, that header, data.
fn apart(packet: &[u8], at: usize) -> (&[u8], [u8; 8], &[u8]) {
    parsed6(packet);
    (&packet[..at], packet[at..at + 8].try_into().unwrap(), &packet[at + 8..])
}

/// Next header, offset in bytes, whether more follow, identification.
fn fields(header: [u8; 8]) -> (u8, usize, bool, u32) {
    let offset = u16::from_be_bytes([header[2], header[3]]);
    assert_eq!((header[1], offset & 6), (0, 0), "reserved bits");
    (header[0], usize::from(offset & !7), offset & 1 == 1, u32::from_be_bytes(header[4..].try_into().unwrap()))
}

/// RFC 8200 section 4.5: all pieces but the last a multiple of 8 bytes long, none longer than the MTU.
#[test]
fn exact_pieces() {
    for (name, mtu, data, expected) in [
        ("a byte too many", 1280, 1241, &[(0, 1232, true), (1232, 9, false)][..]),
        ("two in full", 1280, 2464, &[(0, 1232, true), (1232, 1232, false)]),
        ("the last may be odd", 1287, 2471, &[(0, 1232, true), (1232, 1239, false)]),
        ("over several buffers", 3000, 7000, &[(0, 2952, true), (2952, 2952, true), (5904, 1096, false)]),
        ("the longest", 40_000, 65_535, &[(0, 39_952, true), (39_952, 25_583, false)]),
    ] {
        let packet = with_body(58, &[], data);
        let outcome = Test::new().cut(mtu, &packet);
        let counts = [("packets fragmented", 1), ("fragments made", expected.len() as u64)];
        assert_eq!(fate(&outcome), ("consumed", &counts[..]), "{name}");
        let mut ids = Vec::new();
        let mut pieces = Vec::new();
        for out in &outcome.sent {
            let (head, fragment, data) = apart(&out.data, 40);
            let (next, offset, more, id) = fields(fragment);
            pieces.push((offset, data.len(), more));
            ids.push(id);
            assert_eq!(next, 58, "{name}");
            // Version, traffic class, flow label, hop limit and addresses are the packet's.
            assert_eq!((&head[..4], head[6], &head[7..]), (&packet[..4], 44, &packet[7..40]), "{name}");
            let way = (out.next, out.adjacency, out.rx_interface, out.tx_interface, out.table, out.marks);
            assert_eq!(way, ("ip6-rewrite", 40, LAN, WAN, 7, marks::OWN), "{name}");
        }
        assert_eq!(pieces, expected, "{name}");
        assert!(ids.iter().all(|id| *id == ids[0]), "{name}: one identification");
    }
}

/// RFC 8200 section 4.5: headers up to a routing header, or else hop-by-hop options, are in every piece; others are cut.
#[test]
fn headers_of_every_piece() {
    let hops = |next| [next, 0, 1, 4, 0, 0, 0, 0];
    let options = |next| [next, 0, 1, 4, 0, 0, 0, 0];
    let routing = |next| [next, 0, 253, 0, 0, 0, 0, 0];
    for (name, first, headers, each, named_at, next) in [
        ("none", 58, vec![], 40, 6, 58),
        ("hop-by-hop options", 0, hops(58).to_vec(), 48, 40, 58),
        ("destination options are for the last only", 60, options(58).to_vec(), 40, 6, 60),
        ("but with a routing header behind them", 60, [options(43), routing(58)].concat(), 56, 48, 58),
        ("hop-by-hop, and options for the last", 0, [hops(60), options(58)].concat(), 48, 40, 60),
        ("all", 0, [hops(60), options(43), routing(60), options(58)].concat(), 64, 56, 60),
    ] {
        let packet = with_body(first, &headers, 2000);
        let outcome = Test::new().cut(1280, &packet);
        let mut head = packet[..each].to_vec();
        head[named_at] = 44;
        let mut data = Vec::new();
        for out in &outcome.sent {
            let (of_piece, fragment, piece) = apart(&out.data, each);
            head[4..6].copy_from_slice(&of_piece[4..6]);
            assert_eq!((of_piece, fields(fragment).0), (&head[..], next), "{name}");
            assert_eq!(fields(fragment).1, data.len(), "{name}");
            data.extend_from_slice(piece);
        }
        assert_eq!(outcome.sent.len(), 2, "{name}");
        assert_eq!(data, packet[each..], "{name}");
    }
}

/// RFC 7739: nobody can tell the next one.
#[test]
fn identifications() {
    let mut test = Test::new();
    let mut id = || fields(apart(&test.cut(1280, &with_body(58, &[], 2000)).sent[0].data, 40).1).3;
    let (one, two, three) = (id(), id(), id());
    assert!(one != two && two != three);
    assert_ne!(two.wrapping_sub(one), three.wrapping_sub(two), "no counter");
}

#[test]
fn what_can_not_be_cut() {
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let mut cut_off = with_body(58, &[], 1400);
    cut_off.truncate(1000);
    for (name, mtu, packet, reason) in [
        ("a fragment", 1280, with_body(44, &[58, 0, 0, 1, 0, 0, 0, 7], 1400), "may not be fragmented"),
        (
            "a fragment further on",
            1280,
            with_body(0, &[44, 0, 1, 4, 0, 0, 0, 0, 58, 0, 0, 0, 0, 0, 0, 7], 1400),
            "may not be fragmented",
        ),
        ("an MTU of nothing", 55, with_body(58, &[], 1400), "MTU leaves no room for data"),
        (
            "long hop-by-hop options",
            1280,
            with_body(0, &[&[58, 30, 1, 246][..], &[0; 244]].concat(), 1400),
            "MTU leaves no room for data",
        ),
        ("headers beyond the packet", 1280, with_body(60, &[58, 255], 100), "no IP packet"),
        ("endless headers", 1280, with_body(60, &options(60).repeat(20), 1400), "no IP packet"),
        ("less than it says", 1280, cut_off, "no IP packet"),
        ("less than a header", 1280, vec![0x60; 39], "no IP packet"),
    ] {
        assert_eq!(fate(&Test::new().cut(mtu, &packet)), ("drop", &[(reason, 1)][..]), "{name}");
    }
    let mut bench = Bench::new(IpFragment::<V6>::new(World::new().forwarding));
    let outcome = bench.run(&[&with_body(58, &[], 1400)], |meta| meta.adjacency = 99);
    assert_eq!(fate(&outcome), ("drop", &[("adjacency is being removed", 1)][..]));
    let (_, text) = bench.traced(&with_body(58, &[], 1960), |meta| meta.adjacency = TO_PEER6);
    assert_eq!(text, "length 2000 mtu 1500");
}

proptest! {
    #[test]
    fn a_host_gets_what_was_sent(body in prop::collection::vec(any::<u8>(), 1300..9000), mtu in 100_u16..3000) {
        prop_assume!(body.len() + 40 > usize::from(mtu));
        let whole = packet6(&header6(LAN_IP6, PEER6, IpNumber(58)), &body);
        let outcome = Test::new().cut(mtu, &whole);
        let mut data = Vec::new();
        for (at, out) in outcome.sent.iter().enumerate() {
            prop_assert!(out.data.len() <= usize::from(mtu));
            let (_, fragment, piece) = apart(&out.data, 40);
            let (next, offset, more, _) = fields(fragment);
            prop_assert_eq!((next, offset, more), (58, data.len(), at + 1 < outcome.sent.len()));
            prop_assert!(!more || piece.len() % 8 == 0);
            data.extend_from_slice(piece);
        }
        prop_assert!(data == body);
    }
}
