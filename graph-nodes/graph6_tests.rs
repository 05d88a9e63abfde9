//! All nodes together, stepped by hand: what becomes of IPv6 packets for the router itself, and of those that it can't forward.

use crate::neighbor_events::{NeighborEvent, NeighborEvents};
use crate::testing::*;
use etherparse::{IpNumber, Ipv6Header, TcpHeader};
use millrace_engine::testing::Testbed;
use millrace_engine::{Graph, Waker};
use millrace_tables::adjacency::Adjacency;
use millrace_tables::fib::Target;
use millrace_wire::MacAddr;
use proptest::prelude::*;

/// The adjacency of the host in the lan, and one to the peer by a narrow link.
const TO_HOST6: u32 = 40;
const NARROW6: u32 = 41;
const NARROW: &str = "2001:db8:aa::1";
const NOWHERE: &str = "2001:db8:ff::1";
/// A minute and a tick.
const LONG: u64 = 61_000_000_000;

struct Router {
    bed: Testbed,
    events: NeighborEvents,
    _world: World,
}

impl Router {
    fn new() -> Router {
        let mut world = World::new();
        let header = frame_header6(HOST_MAC, LAN_MAC);
        world.adjacency(TO_HOST6, Adjacency::with_rewrite(LAN, 1500, ip6(HOST6).to_bits(), &header).unwrap());
        world.adjacency(NARROW6, neighbour6(PEER_MAC, PEER6, 1280));
        world.route6("2001:db8:1::10/128", Target::Adjacency(TO_HOST6));
        world.route6("2001:db8:aa::/48", Target::Adjacency(NARROW6));
        let waker = Waker::new().unwrap();
        let events = NeighborEvents::new(waker.clone());
        let mut graph = Graph::new();
        crate::register(&mut graph, &world.forwarding, &events);
        crate::link_control::register(&mut graph, &crate::link_control::Frames::new(waker));
        Router { bed: Testbed::new(graph, 1, &[LAN, WAN, LAN_100]), events, _world: world }
    }

    /// What comes out, and where, when the host in the lan sends a packet.
    fn host_sends(&mut self, packet: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let to = match packet.get(24..40) {
            Some([0xff, _, .., a, b, c, d]) => MacAddr([0x33, 0x33, *a, *b, *c, *d]),
            _ => LAN_MAC,
        };
        let frame = [&frame_header6(to, HOST_MAC), packet].concat();
        self.bed.one(0, LAN, &frame).into_iter().map(|sent| (sent.interface, sent.data)).collect()
    }

    /// The one packet that comes back to the host, without its Ethernet header.
    #[track_caller]
    fn answer(&mut self, name: &str, packet: &[u8]) -> Vec<u8> {
        let out = self.host_sends(packet);
        let [(LAN, frame)] = &out[..] else { panic!("{name}: {out:?}") };
        assert_eq!(frame[..14], frame_header6(HOST_MAC, LAN_MAC), "{name}");
        frame[14..].to_vec()
    }
}

#[test]
fn forwards() {
    let mut router = Router::new();
    let out = router.host_sends(&udp6(HOST6, PEER6));
    let there = [frame_header6(PEER_MAC, WAN_MAC), udp6_with(HOST6, PEER6, 12, |h| h.hop_limit = 63)].concat();
    assert_eq!(out, [(WAN, there)]);
    // Extension headers are not the router's business on the way (RFC 8200 section 4).
    let packet = packet6(&header6(HOST6, PEER6, IpNumber(60)), &[&[17, 0, 0xde, 4, 0, 0, 0, 0][..], &[0; 8]].concat());
    assert_eq!(router.host_sends(&packet).len(), 1);
}

/// RFC 4443 section 4.2, from and to addresses of every scope.
#[test]
fn echo() {
    for (name, from, to, speaks) in [
        ("global", HOST6, LAN_IP6, LAN_IP6),
        ("our other side", HOST6, WAN_IP6, WAN_IP6),
        ("link-local", HOST_LL, LAN_LL, LAN_LL),
        ("global from link-local", HOST_LL, LAN_IP6, LAN_IP6),
        ("all nodes", HOST_LL, "ff02::1", LAN_LL),
        ("all routers", HOST6, "ff02::2", LAN_IP6),
    ] {
        let reply = Router::new().answer(name, &echo6(from, to, b"hello"));
        let (ip, kind, ids, data) = icmp6_parsed(&reply);
        assert_eq!((kind, ids, data), ((129, 0), [0, 7, 0, 3], &b"hello"[..]), "{name}");
        assert_eq!((ip.source, ip.destination), (ip6(speaks).octets(), ip6(from).octets()), "{name}");
    }
}

/// RFC 8200 section 4.5: put together, answered, and cut again for the way back.
#[test]
fn a_long_echo() {
    let data: Vec<u8> = (0..4000).map(|at| (at / 3) as u8).collect();
    let request = message6(HOST6, LAN_IP6, (128, 0), [0, 7, 0, 3], &data);
    let piece = |from: usize, to: usize| {
        let offset = from as u16 | u16::from(to < request.len());
        let header = [&[58, 0][..], &offset.to_be_bytes(), &[0, 0, 0, 9]].concat();
        packet6(&header6(HOST6, LAN_IP6, IpNumber(44)), &[&header, &request[from..to]].concat())
    };
    let mut router = Router::new();
    assert_eq!(router.host_sends(&piece(2000 / 8 * 8, 4008)), []);
    let out = router.host_sends(&piece(0, 2000 / 8 * 8));
    let mut message = Vec::new();
    for (at, (interface, frame)) in out.iter().enumerate() {
        let (ip, rest) = parsed6(&frame[14..]);
        assert_eq!((*interface, ip.next_header.0, rest[0]), (LAN, 44, 58));
        assert!(frame.len() <= 1514);
        let offset = u16::from_be_bytes([rest[2], rest[3]]);
        assert_eq!((usize::from(offset & !7), offset & 1 == 1), (message.len(), at + 1 < out.len()));
        message.extend_from_slice(&rest[8..]);
    }
    assert_eq!(message.len(), 4008);
    assert_eq!(checksum6(ip6(LAN_IP6).octets(), ip6(HOST6).octets(), &message), 0);
    assert!(message[0] == 129 && message[8..] == data);
}

#[test]
fn complaints() {
    let with = |from, to, change: fn(&mut Ipv6Header)| udp6_with(from, to, 12, change);
    let long = udp6_with(HOST6, NARROW, 1280, |_| {});
    let option = [&[17, 0, 0x9e, 4, 0, 0, 0, 0][..], &[0; 8]].concat();
    let option = packet6(&header6(HOST6, LAN_IP6, IpNumber(60)), &option);
    for (name, packet, kind, rest, speaks) in [
        // RFC 4443 sections 3.1 to 3.4.
        ("no route", udp6(HOST6, NOWHERE), (1, 0), 0, LAN_IP6),
        ("forbidden", udp6(HOST6, "2001:db8:f2::1"), (1, 1), 0, LAN_IP6),
        ("beyond its scope", udp6(HOST_LL, PEER6), (1, 2), 0, LAN_LL),
        ("unreachable", udp6(HOST6, "2001:db8:f1::1"), (1, 3), 0, LAN_IP6),
        ("a closed port", udp6(HOST6, LAN_IP6), (1, 4), 0, LAN_IP6),
        ("a closed port, link-local", udp6(HOST_LL, LAN_LL), (1, 4), 0, LAN_LL),
        ("too big", long, (2, 0), 1280, LAN_IP6),
        ("hop limit", with(HOST6, PEER6, |h| h.hop_limit = 1), (3, 0), 0, LAN_IP6),
        ("unknown protocol", with(HOST6, WAN_IP6, |h| h.next_header = IpNumber(132)), (4, 1), 6, WAN_IP6),
        ("unknown option", option, (4, 2), 42, LAN_IP6),
    ] {
        let error = Router::new().answer(name, &packet);
        let (ip, is, bytes, quote) = icmp6_parsed(&error);
        assert_eq!((is, u32::from_be_bytes(bytes)), (kind, rest), "{name}");
        assert_eq!((ip.source, ip.destination), (ip6(speaks).octets(), packet[8..24].try_into().unwrap()), "{name}");
        assert_eq!(quote, &packet[..packet.len().min(1232)], "{name}");
        assert!(error.len() <= 1280, "{name}");
    }
    let header = header6(HOST6, LAN_IP6, IpNumber::TCP);
    let mut syn = TcpHeader::new(40_000, 80, 1000, 500);
    (syn.syn, syn.checksum) = (true, 0);
    syn.checksum = syn.calc_checksum_ipv6(&header, &[]).unwrap();
    let reset = Router::new().answer("SYN", &packet6(&header, &syn.to_bytes()));
    assert!(TcpHeader::from_slice(parsed6(&reset).1).unwrap().0.rst);
}

/// RFC 8200 section 4.5, after a minute; RFC 5722 sooner.
#[test]
fn fragments_that_stay_alone() {
    let piece = |offset: u8, more: u8, len: usize| {
        let header = [253, 0, 0, offset | more, 0, 0, 0, 9];
        packet6(&header6(HOST6, LAN_IP6, IpNumber(44)), &[&header[..], &vec![1; len]].concat())
    };
    let mut router = Router::new();
    assert_eq!(router.host_sends(&piece(0, 1, 16)), []);
    let out: Vec<_> = router.bed.pass(LONG, 1);
    assert_eq!(out.len(), 1);
    let (_, kind, _, quote) = icmp6_parsed(&out[0].data[14..]);
    assert_eq!((kind, quote), ((3, 1), &piece(0, 1, 16)[..]));
    let mut router = Router::new();
    assert_eq!(router.host_sends(&piece(0, 1, 16)), []);
    assert_eq!(router.host_sends(&piece(8, 1, 16)), []);
    assert_eq!((router.bed.held(), router.bed.pass(LONG, 1).len()), (0, 0), "an overlap ends both");
}

#[test]
fn control_hears_of_queries() {
    let mut message = message6(HOST_LL, "ff02::1", (130, 0), [0x27, 0x10, 0, 0], &[0; 20]);
    message.splice(0..0, [58, 0, 5, 2, 0, 0, 1, 0]);
    let mut header = header6(HOST_LL, "ff02::1", IpNumber(0));
    header.hop_limit = 1;
    let mut router = Router::new();
    assert_eq!(router.host_sends(&packet6(&header, &message)), []);
    let event = NeighborEvent::ListenerQueried { interface: LAN, group: None, max_delay_ms: 10_000 };
    assert_eq!(router.events.pop(), Some(event));
}

proptest! {
    /// Any packets: every one is accounted for, and in a while every buffer is free again.
    #[test]
    fn any_bytes(packets in prop::collection::vec(
        (
            prop::sample::select(vec![0u8, 6, 17, 43, 44, 58, 59, 60, 132]),
            prop::sample::select(vec![LAN_IP6, LAN_LL, WAN_IP6, "ff02::1", PEER6, NARROW, STRANGER6, NOWHERE]),
            prop::sample::select(vec![HOST6, HOST_LL, "::", PEER6]),
            prop::collection::vec(any::<u8>(), 0..1400),
            prop::sample::select(vec![0u8, 6, 17, 43, 44, 58, 60]),
        ),
        1..12,
    )) {
        let mut router = Router::new();
        let mut sent = 0;
        for (first, to, from, mut body, next) in packets {
            if let Some([at, len]) = body.get_mut(..2) {
                (*at, *len) = (next, *len & 1);
            }
            sent += router.host_sends(&packet6(&header6(from, to, IpNumber(first)), &body)).len() as u64;
        }
        for _ in 0..3 {
            sent += router.bed.pass(LONG, 1).len() as u64;
        }
        prop_assert!(router.bed.counts().iter().all(|(_, reason, _)| *reason != "panic"));
        prop_assert_eq!(router.bed.held(), 0);
        let ledger = router.bed.ledger();
        prop_assert_eq!(ledger.sent, sent);
        prop_assert_eq!(ledger.received + ledger.made, ledger.sent + ledger.dropped + ledger.consumed);
    }
}
