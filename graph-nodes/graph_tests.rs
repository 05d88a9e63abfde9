//! All nodes together, in a running engine with wires in memory: what single nodes can't show.

use crate::capture::{Captures, Direction};
use crate::filter::{Filter, Layer};
use crate::neighbor_events::{HeardKind, NeighborEvent, NeighborEvents};
use crate::testing::*;
use crate::{capture, ip, ip4};
use etherparse::icmpv4::{DestUnreachableHeader, TimeExceededCode};
use etherparse::{Icmpv4Header, Icmpv4Type};
use millrace_engine::device::{RxBurst, RxQueue, TxBurst, TxQueue, Wake};
use millrace_engine::memory::HugePages;
use millrace_engine::{Attach, Engine, EngineConfig, Graph, LedgerTotals, Mode, NodeName, Waker, WorkerConfig};
use millrace_tables::adjacency::Adjacency;
use millrace_tables::fib::Target;
use millrace_wire::MacAddr;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The adjacency of the host in the lan.
const TO_HOST: u32 = 30;
/// One to the same peer, with an MTU of 600.
const NARROW: u32 = 31;

/// A device in memory.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Frames>>);

#[derive(Default)]
struct Frames {
    /// To be received, in order.
    waiting: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

impl RxQueue for Wire {
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        let waiting = &mut self.0.lock().unwrap().waiting;
        while let Some(frame) = waiting.front() {
            // As a device that has its packets in pieces.
            let (a, b) = frame.split_at(frame.len() / 3);
            if !burst.push(&[a, b]) {
                break;
            }
            waiting.pop_front();
        }
        Ok(())
    }

    fn wake(&self) -> Wake {
        Wake::Poll
    }
}

impl TxQueue for Wire {
    fn takes_shared(&self) -> bool {
        true
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        let sent = &mut self.0.lock().unwrap().sent;
        for i in 0..burst.len() {
            sent.extend(burst.packet(i).map(|p| p.segments().flatten().copied().collect::<Vec<u8>>()));
        }
        Ok(burst.len())
    }
}

struct Router {
    world: World,
    engine: Engine,
    events: NeighborEvents,
    captures: Captures,
    lan: Wire,
    wan: Wire,
}

/// Waits for what another thread does.
#[track_caller]
fn eventually<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain");
        std::thread::yield_now();
    }
}

impl Router {
    fn start() -> Router {
        let (mut world, waker) = (World::new(), Waker::new().unwrap());
        let header = [&HOST_MAC.0[..], &LAN_MAC.0, &[8, 0]].concat();
        world.adjacency(TO_HOST, Adjacency::with_rewrite(LAN, 1500, u32::from_be_bytes(HOST).into(), &header).unwrap());
        world.adjacency(NARROW, neighbour(PEER_MAC, PEER, 600));
        world.route("192.168.1.10/32", Target::Adjacency(TO_HOST));
        world.route("100.64.0.0/10", Target::Adjacency(NARROW));
        let (events, captures) = (NeighborEvents::new(waker.clone()), Captures::new(waker.clone()));
        let mut graph = Graph::new();
        crate::register(&mut graph, &world.forwarding, &events);
        crate::link_control::register(&mut graph, &crate::link_control::Frames::new(waker.clone()));
        capture::register(&mut graph, &captures);
        let config = EngineConfig {
            workers: vec![WorkerConfig::default()],
            mode: Mode::Polling,
            buffers: 8192,
            huge_pages: HugePages::Off,
        };
        let engine = Engine::start(graph, &config, waker).unwrap();
        let (lan, wan) = (Wire::default(), Wire::default());
        for (interface, wire) in [(LAN, &lan), (WAN, &wan)] {
            let (rx, tx) = (Box::new(wire.clone()), Box::new(wire.clone()));
            engine.attach(interface, vec![Attach { worker: 0, rx: Some(rx), tx: Some(tx) }]);
            engine.set_up(interface, true);
        }
        engine.set_up(LAN_100, true);
        engine.set_hardware(LAN_100, LAN);
        Router { world, engine, events, captures, lan, wan }
    }

    /// A packet from the host in the lan.
    fn host_sends(&self, packet: &[u8]) {
        self.send(&self.lan, [&LAN_MAC.0[..], &HOST_MAC.0, &[8, 0], packet].concat());
    }

    fn send(&self, wire: &Wire, frame: Vec<u8>) {
        wire.0.lock().unwrap().waiting.push_back(frame);
    }

    /// Waits until as many frames came out.
    #[track_caller]
    fn out<const N: usize>(wire: &Wire) -> [Vec<u8>; N] {
        eventually(|| {
            let sent = &mut wire.0.lock().unwrap().sent;
            (sent.len() >= N).then(|| std::mem::take(sent))
        })
        .try_into()
        .expect("so many frames")
    }

    /// Every packet is accounted for and every buffer free again.
    #[track_caller]
    fn settles(&self) -> LedgerTotals {
        eventually(|| {
            let l = self.engine.ledger(0);
            let there = l.received + l.made == l.sent + l.dropped + l.consumed;
            (there && self.engine.pool().usage().in_use == 0 && self.lan.0.lock().unwrap().waiting.is_empty())
                .then_some(l)
        })
    }

    fn count(&self, node: NodeName, reason: &str) -> u64 {
        self.engine.errors().iter().filter(|row| row.node == node && row.reason == reason).map(|row| row.count).sum()
    }
}

#[test]
fn forwards_answers_and_complains() {
    let router = Router::start();
    router.host_sends(&udp(HOST, PEER));
    let [forwarded] = Router::out(&router.wan);
    assert_eq!(forwarded, [wan_header(PEER_MAC), udp_with(HOST, PEER, 10, |h| h.time_to_live = 63)].concat());
    // A question by ARP.
    let question: Vec<u8> = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &HOST_MAC.0, &HOST, &[0; 6], &LAN_IP].concat();
    router.send(&router.lan, [&MacAddr::BROADCAST.0[..], &HOST_MAC.0, &[8, 6], &question].concat());
    let [answer] = Router::out(&router.lan);
    assert_eq!(answer[..22], [&HOST_MAC.0[..], &LAN_MAC.0, &[8, 6], &[0, 1, 8, 0, 6, 4, 0, 2]].concat());
    let (interface, address, mac, kind) = (LAN, std::net::IpAddr::from(HOST), HOST_MAC, HeardKind::Request);
    assert_eq!(router.events.pop(), Some(NeighborEvent::Heard { interface, address, mac, kind }));
    // A question by ICMP, of the usual length and of several buffers.
    for bytes_of_data in [56, 1472] {
        router.host_sends(&echo(HOST, LAN_IP, &vec![9; bytes_of_data]));
        let [reply] = Router::out(&router.lan);
        let (ip, message) = parsed(&reply[14..]);
        assert_eq!((ip.source, ip.time_to_live, message[0], message.len()), (LAN_IP, 64, 0, bytes_of_data + 8));
    }
    // The last hop.
    let dying = udp_with(HOST, PEER, 10, |h| h.time_to_live = 1);
    router.host_sends(&dying);
    let [error] = Router::out(&router.lan);
    let (ip, message) = parsed(&error[14..]);
    let (icmp, quote) = Icmpv4Header::from_slice(message).unwrap();
    assert_eq!(icmp.icmp_type, Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit));
    assert_eq!((ip.source, ip.time_to_live, quote), (LAN_IP, 64, &dying[..]));
    // Too long for the next hop: in pieces, or not at all.
    router.host_sends(&udp_with(HOST, [100, 64, 0, 1], 1200, |_| {}));
    let pieces: [_; 3] = Router::out(&router.wan);
    assert!(pieces.iter().all(|p| p[..14] == wan_header(PEER_MAC) && parsed(&p[14..]).0.time_to_live == 63));
    router.host_sends(&udp_with(HOST, [100, 64, 0, 1], 1200, |h| h.dont_fragment = true));
    let [error] = Router::out(&router.lan);
    let icmp = Icmpv4Header::from_slice(parsed(&error[14..]).1).unwrap().0;
    let header = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 600 };
    assert_eq!(icmp.icmp_type, Icmpv4Type::DestinationUnreachable(header));
    let ledger = router.settles();
    assert_eq!((ledger.received, ledger.made, ledger.sent, ledger.dropped, ledger.consumed), (7, 3, 9, 0, 1));
}

#[test]
fn a_packet_waits_for_its_neighbour() {
    let mut router = Router::start();
    for to in [[198, 51, 100, 50], STRANGER] {
        router.host_sends(&udp(HOST, to));
        let wanted = NeighborEvent::Wanted { interface: WAN, address: STRANGER.into() };
        assert_eq!(eventually(|| router.events.pop()), wanted);
    }
    eventually(|| (router.engine.pool().usage().in_use == 2).then_some(()));
    router.world.adjacency(TO_STRANGER, neighbour(STRANGER_MAC, STRANGER, 1500));
    router.world.route("203.0.113.20/32", Target::Adjacency(TO_STRANGER));
    router.engine.tables_changed();
    let sent: [_; 2] = Router::out(&router.wan);
    assert!(sent.iter().all(|frame| frame[..14] == wan_header(STRANGER_MAC)));
    router.settles();
}

#[test]
fn captures_and_traces_what_is_asked_for() {
    let router = Router::start();
    let chosen: Filter = "udp and dst host 203.0.113.10".parse().unwrap();
    let (for_capture, for_trace) = (chosen.clone(), chosen);
    router.captures.set_filter(Some(Arc::new(move |f: &[u8]| for_capture.matches(Layer::Ethernet, f))), 20);
    assert!(router.engine.switch_feature(capture::RX.arc, capture::RX.node, LAN, true));
    assert!(router.engine.switch_feature(capture::TX.arc, capture::TX.node, WAN, true));
    let layer = Layer::at(ip::lookup::NAME4);
    let filter = Arc::new(move |p: &millrace_engine::Packet<'_>| for_trace.matches(layer, p.data()));
    assert!(router.engine.trace("ip4-lookup", 10, Some(filter)));
    for packet in [udp(HOST, [100, 64, 0, 1]), udp(HOST, PEER)] {
        router.host_sends(&packet);
    }
    let _: [_; 2] = Router::out(&router.wan);
    let copies: Vec<_> = std::iter::from_fn(|| router.captures.pop()).collect();
    let seen: Vec<_> = copies.iter().map(|c| (c.interface, c.direction, c.length, c.bytes.len())).collect();
    assert_eq!(seen, [(LAN, Direction::Rx, 52, 20), (WAN, Direction::Tx, 52, 20)]);
    let traces = eventually(|| Some(router.engine.traces()).filter(|t| t.first().is_some_and(|t| t.hops.len() == 5)));
    let hops: Vec<_> = traces[0].hops.iter().map(|hop| hop.node.as_str()).collect();
    assert_eq!(hops, ["ip4-lookup", "ip4-rewrite", "interface-output", "capture-tx", "interface-tx"]);
    assert_eq!(traces.len(), 1);
    router.settles();
}

/// 20,000 frames: good ones of every kind, mutated, cut and lengthened; and pure noise.
#[test]
fn no_frame_is_too_odd() {
    let router = Router::start();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below.max(1)
    };
    let arp: Vec<u8> = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &HOST_MAC.0, &HOST, &[0; 6], &LAN_IP].concat();
    let ip = |packet: Vec<u8>| [&LAN_MAC.0[..], &HOST_MAC.0, &[8, 0], &packet].concat();
    let tagged = |packet: Vec<u8>| [&LAN_MAC.0[..], &HOST_MAC.0, &[0x81, 0, 0, 100, 8, 0], &packet].concat();
    let seeds = [
        ip(udp(HOST, PEER)),
        ip(udp_with(HOST, [100, 64, 0, 1], 1400, |h| h.options = [0x94, 4, 0, 0].into())),
        ip(udp_with(HOST, [100, 64, 0, 1], 6000, |h| h.more_fragments = true)),
        ip(udp(HOST, STRANGER)),
        ip(udp(HOST, LAN_IP)),
        ip(tcp(HOST, WAN_IP, b"hello", |t| t.syn = true)),
        ip(echo(HOST, LAN_IP, &[0; 3000])),
        tagged(echo([10, 100, 0, 9], [10, 100, 0, 1], b"x")),
        [&MacAddr::BROADCAST.0[..], &HOST_MAC.0, &[8, 6], &arp].concat(),
    ];
    for _ in 0..20_000 {
        let mut frame = seeds[random(seeds.len())].clone();
        for _ in 0..random(6) {
            let at = random(frame.len().min(80));
            frame[at] = random(256) as u8;
        }
        match random(10) {
            0 => frame.truncate(random(frame.len())),
            1 => frame.extend((0..random(200)).map(|n| n as u8)),
            2 => frame = (0..random(300)).map(|_| random(256) as u8).collect(),
            _ => {}
        }
        // Else hardly anything would get past ip4-input.
        if random(2) == 0 && frame.len() > 14 {
            fix_checksum(&mut frame[14..]);
        }
        router.send(&router.lan, frame);
        while router.events.pop().is_some() {}
    }
    let ledger = router.settles();
    assert_eq!(ledger.received, 20_000);
    assert!(ledger.sent > 1000 && ledger.dropped > 1000 && ledger.consumed > 10, "{ledger:?}");
    let errors = router.engine.errors();
    assert!(errors.iter().all(|row| row.count == 0 || !row.reason.contains("panic")), "{errors:?}");
    // And it still forwards.
    router.wan.0.lock().unwrap().sent.clear();
    router.host_sends(&udp(HOST, PEER));
    let [forwarded] = Router::out(&router.wan);
    assert_eq!(forwarded[..14], wan_header(PEER_MAC));
    assert!(router.count(ip4::input::NAME, "header checksum is wrong") > 100);
}
