//! Fragments for the router itself (RFC 8200 4.5, RFC 5722, RFC 6946), and what it sends in fragments.

use etherparse::IpNumber;
use harness::frames6::{self, Icmp6, traffic};
use harness::{LAN6, WAN6, Wires};

/// A ping of the router with this much data.
fn question(bytes: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
    frames6::echo_request(LAN6.ip, LAN6.router_ip, 1, 1, &data)
}

/// A fragment of a packet, as a frame: the bytes from here to there of what follows its header.
fn piece(of: &[u8], start: usize, end: usize, id: u32) -> Vec<u8> {
    let end = end.min(of.len() - 40);
    LAN6.frame(&frames6::fragment(of, start, &of[40 + start..40 + end], end < of.len() - 40, id))
}

/// The fragments of the router's answer, put together: the message behind the header.
#[track_caller]
fn whole(frames: &[Vec<u8>]) -> Vec<u8> {
    let (mut together, mut ids) = (Vec::new(), Vec::new());
    for frame in frames {
        assert!(frame.len() <= 14 + 1500, "{} bytes", frame.len());
        let (header, body) = frames6::ip6_of(frame).expect("IPv6");
        assert_eq!((header.next_header, body[0]), (IpNumber(44), 58), "a fragment of ICMPv6: {header:?}");
        let (place, data) = (u16::from_be_bytes([body[2], body[3]]), &body[8..]);
        assert_eq!(usize::from(place & !7), together.len(), "where the next fragment begins");
        assert!(place & 1 == 0 || data.len() % 8 == 0, "{} bytes with more to come", data.len());
        together.extend_from_slice(data);
        ids.push(body[4..8].to_vec());
        if place & 1 == 0 {
            let (mut sent, _) = frames6::ip6_of(&frames[0]).expect("IPv6");
            sent.payload_length = together.len() as u16;
            assert_eq!(frames6::checksum(&sent, 58, &together), 0, "the checksum of the whole");
            assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "one identification: {ids:02x?}");
            return together;
        }
    }
    panic!("the last fragment is missing: {} frames", frames.len());
}

/// In whatever order they come.
#[test]
fn the_router_puts_its_own_together() {
    let net = Wires::dual("");
    let sent = question(1200);
    for (name, order) in [
        ("in order", [(0, 400), (400, 800), (800, 1208)]),
        ("the last first", [(800, 1208), (400, 800), (0, 400)]),
        ("mixed", [(400, 800), (0, 400), (800, 1208)]),
    ] {
        let frames = order.map(|(start, end)| piece(&sent, start, end, 7));
        let seen = traffic(&net.pass(&frames).lan);
        assert_eq!(seen.len(), 1, "{name}: {seen:02x?}");
        let reply = Icmp6::of(&seen[0]).expect("an echo reply");
        assert_eq!((reply.kind, &reply.data[..]), (129, &sent[48..]), "{name}");
    }
}

/// A ping of 5000 bytes: it comes in fragments, and so goes the answer.
#[test]
fn a_large_ping() {
    let net = Wires::dual("");
    let sent = question(5000);
    let frames: Vec<_> = frames6::fragments(&sent, 1448, 9).iter().map(|piece| LAN6.frame(piece)).collect();
    let message = whole(&traffic(&net.pass(&frames).lan));
    assert_eq!((message[0], &message[4..]), (129, &sent[44..]));
}

/// RFC 5722, RFC 8200 4.5: fragments that overlap end the datagram, without a word.
#[test]
fn overlaps_are_dropped() {
    let net = Wires::dual("");
    let sent = question(1200);
    for (number, (name, order)) in [
        ("a part twice, in other cuts", [(0, 408), (800, 1208), (400, 800)]),
        ("one within another", [(0, 608), (1000, 1208), (400, 480)]),
        ("one around another", [(0, 200), (400, 800), (392, 808)]),
        ("over a gap", [(0, 400), (800, 1208), (392, 808)]),
        ("the last one's end", [(800, 1208), (400, 808), (0, 400)]),
    ]
    .into_iter()
    .enumerate()
    {
        let drops = || net.router.errors("ip6-local-full-reassembly", "overlap");
        let (id, before) = (100 + number as u32, drops());
        let frames: Vec<_> = order.iter().map(|(start, end)| piece(&sent, *start, *end, id)).collect();
        let seen = traffic(&net.pass(&frames).lan);
        assert!(seen.is_empty(), "{name}: {seen:02x?}");
        let dropped = drops() - before;
        assert!((2..=3).contains(&dropped), "{name}: {dropped} dropped");
        // One that came when all was over is the first of another datagram, which is completed here.
        if dropped == 2 {
            assert_eq!(traffic(&net.pass(&[piece(&sent, 400, 1208, id)]).lan).len(), 1, "{name}");
        }
    }
}

/// RFC 6946: a fragment that is the whole waits for none, whatever else has its identification.
#[test]
fn an_atomic_fragment() {
    let net = Wires::dual("");
    let sent = question(64);
    let frames = [piece(&question(1200), 0, 400, 3), piece(&sent, 0, 72, 3)];
    let seen = traffic(&net.pass(&frames).lan);
    assert_eq!(seen.len(), 1, "{seen:02x?}");
    assert_eq!(Icmp6::of(&seen[0]).expect("an echo reply").data, sent[48..]);
    assert_eq!(traffic(&net.pass(&[piece(&question(1200), 400, 1208, 3)]).lan).len(), 1, "the other one waits on");
}

/// Those of others are none of its business (RFC 8200 section 5).
#[test]
fn what_goes_through_is_left_in_pieces() {
    let net = Wires::dual("");
    let sent = frames6::udp_packet(LAN6.ip, WAN6.ip, 7, &[1; 1200]);
    let frames = [piece(&sent, 0, 408, 1), piece(&sent, 400, 800, 1), piece(&sent, 800, 1208, 1)];
    assert_eq!(traffic(&net.pass(&frames).wan).len(), 3);
}
