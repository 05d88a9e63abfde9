//! Fragments through the NAT: RFC 4787 REQ-13 and REQ-14, RFC 5508 and RFC 791 beside them, RFC 1858 and RFC 5722 for
//! the malicious.

use etherparse::IpNumber;
use harness::l4::{self, Segment};
use harness::{Nat, frames, remote};

const INSIDE: &str = "192.168.1.10:5000";
const OUTSIDE: &str = "203.0.113.2:5000";
const REMOTE: &str = "198.51.100.1:53";

/// Bytes that tell their place.
fn data(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

/// The order in which three fragments can come.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// RFC 4787 REQ-14: fragments are translated in whatever order they come, both ways.
#[test]
fn in_any_order() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let sent = data(1200);
    for (number, order) in ORDERS.into_iter().enumerate() {
        let number = number as u16;
        let out = l4::fragments(&l4::udp(INSIDE, REMOTE, &sent), 512, 0x100 + number);
        let seen = nat.pass(&order.map(|at| out[at].clone())).wan_packets();
        assert!(seen.len() == 3 && seen.iter().all(|part| part.ip.time_to_live == 63), "{order:?}: {seen:?}");
        let seen = l4::whole(&seen);
        assert_eq!((seen.flow(), seen.data), (format!("udp {OUTSIDE} > {REMOTE}"), sent.clone()), "{order:?}");
        let back = l4::fragments(&l4::udp(REMOTE, OUTSIDE, &sent), 512, 0x200 + number);
        let seen = l4::whole(&nat.pass_back(&order.map(|at| back[at].clone())).lan_packets());
        assert_eq!((seen.flow(), seen.data), (format!("udp {REMOTE} > {INSIDE}"), sent.clone()), "{order:?}");
    }
}

/// RFC 4787 REQ-14 for TCP and ICMP, whose whole is read again with every checksum.
#[test]
fn of_tcp_and_icmp() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let sent = data(1200);
    for order in ORDERS {
        let number = order.iter().fold(0, |number, at| number * 3 + *at as u16);
        let tcp = l4::tcp(INSIDE, REMOTE, &Segment { flags: "PA", seq: 1, ack: 1, options: &[], data: &sent });
        let out = l4::fragments(&tcp, 512, 0x300 + number);
        let seen = l4::whole(&nat.pass(&order.map(|at| out[at].clone())).wan_packets());
        assert_eq!((seen.source(), seen.data), (OUTSIDE.to_owned(), sent.clone()), "{order:?} of TCP");
        let echo = l4::fragments(&l4::echo(INSIDE, remote(1), 1, &sent), 512, 0x400 + number);
        let seen = l4::whole(&nat.pass(&order.map(|at| echo[at].clone())).wan_packets());
        assert_eq!((seen.ip.source, &seen.data), ([203, 0, 113, 2], &sent), "{order:?} of an echo");
        let reply = l4::fragments(&l4::echo_reply(remote(1), &seen.source(), 1, &sent), 512, 0x500 + number);
        let seen = l4::whole(&nat.pass_back(&order.map(|at| reply[at].clone())).lan_packets());
        assert_eq!((seen.destination(), seen.data), (INSIDE.to_owned(), sent.clone()), "{order:?} of its reply");
    }
}

/// RFC 791 3.2: what belongs together is told by addresses, protocol and identification: interleaved datagrams don't mix.
#[test]
fn datagrams_do_not_mix() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let hosts = [10, 11, 12, 13].map(|host| format!("192.168.1.{host}:{}", 6000 + host));
    let data = [1, 2, 3, 4].map(|number| vec![number; 600 + usize::from(number)]);
    let mut frames = Vec::new();
    for part in [1, 0] {
        for (host, data) in hosts.iter().zip(&data) {
            for identification in [7, 8] {
                frames.push(l4::fragments(&l4::udp(host, REMOTE, data), 512, identification)[part].clone());
            }
        }
    }
    let seen = nat.pass(&frames).wan_packets();
    assert_eq!(seen.len(), 16);
    // Each has its data, and both datagrams of a host its port.
    let halves = |first: bool| seen.iter().filter(move |part| (part.ip.fragment_offset.value() == 0) == first);
    for (host, data) in hosts.iter().zip(data) {
        assert_eq!(halves(false).filter(|part| part.data == data[504..]).count(), 2, "{host}");
        let ports: Vec<_> = halves(true).filter(|part| part.data == data[..504]).map(|part| part.from).collect();
        assert!(ports.len() == 2 && ports[0] == ports[1], "{host}: {ports:?}");
    }
}

/// RFC 4787 REQ-14a: what never becomes whole costs a bounded room, and goes; meanwhile others pass.
#[test]
fn later_fragments_without_a_first_are_let_go() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let sent = data(1200);
    let orphans: Vec<_> =
        (0..3000).map(|number| l4::fragments(&l4::udp(INSIDE, REMOTE, &sent), 512, number)[1].clone()).collect();
    let before = nat.refusals("");
    let seen: Vec<_> = orphans.chunks(500).flat_map(|chunk| nat.pass(chunk).wan_packets()).collect();
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(seen.len(), 0, "no port is known, so nothing can be translated");
    assert_eq!(nat.out(&l4::udp(INSIDE, REMOTE, b"whole")).source(), OUTSIDE);
    let parts = l4::fragments(&l4::udp("192.168.1.11:5000", REMOTE, &sent), 512, 1);
    assert_eq!(nat.pass(&[parts[0].clone(), parts[1].clone(), parts[2].clone()]).wan.len(), 3, "in order they pass");
    // More than may be held were dropped at once; the others follow when their time is over.
    assert!(nat.refusals("") > before, "{}", nat.router().run("show errors"));
    harness::within(std::time::Duration::from_secs(90), || (nat.refusals("") >= before + 3000).then_some(()))
        .unwrap_or_else(|| panic!("they are still held:\n{}", nat.router().run("show errors")));
    nat.router().settle();
}

/// RFC 1858, RFC 3128, RFC 5722: overlaps, and first fragments too short to hold the ports, are attacks.
#[test]
fn tricks_are_dropped() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let sent = data(1200);
    let packet = l4::udp(INSIDE, REMOTE, &sent);
    let piece = |identification: u16, start: usize, end: usize, more: bool| {
        let (mut header, body) = frames::ip4_packet(&packet).expect("a packet");
        header.identification = identification;
        (header.fragment_offset, header.more_fragments) = (((start / 8) as u16).try_into().expect("13 bits"), more);
        frames::packet(&header, &body[start..end])
    };
    // A later fragment over the first one's end: dropped, and with it the rest of the datagram.
    let before = nat.refusals("");
    let seen = nat.pass(&[piece(1, 0, 512, true), piece(1, 504, 1024, true), piece(1, 1024, 1208, false)]).wan;
    assert!(seen.len() <= 1, "what overlaps passed: {} fragments", seen.len());
    assert!(nat.refusals("") >= before + 2, "{}", nat.router().run("show errors"));
    // A second first fragment, with other ports.
    let mut other = piece(2, 0, 512, true);
    other[20..22].copy_from_slice(&6666_u16.to_be_bytes());
    let seen = nat.pass(&[piece(2, 0, 512, true), other]).wan_packets();
    assert!(seen.iter().all(|part| part.from == 5000), "{seen:?}");
    // The same fragment twice is what a network does, and harmless.
    let seen = nat.pass(&[piece(3, 0, 512, true), piece(3, 0, 512, true), piece(3, 512, 1208, false)]).wan;
    assert!((1..=3).contains(&seen.len()), "{} fragments", seen.len());
    // Too short for its transport header.
    for (protocol, bytes) in [(IpNumber::TCP, 16), (IpNumber::TCP, 8)] {
        let mut header = l4::header(INSIDE, REMOTE, protocol);
        header.more_fragments = true;
        nat.dropped(&frames::packet(&header, &packet[20..20 + bytes]));
    }
}

/// RFC 4787 REQ-13: with DF and too large for the next link, the sender hears of it, in its own terms; without DF, the
/// packet is fragmented after translation, and REQ-14 holds for what is a fragment already.
#[test]
fn a_narrow_link_outside() {
    let config = Nat::config("pool: [203.0.113.2]").replace("device: wan,", "device: wan, mtu: 600,");
    let nat = Nat::with(&config);
    let sent = data(1200);
    let mut packet = l4::udp(INSIDE, REMOTE, &sent);
    let seen = l4::whole(&nat.pass(&[packet.clone()]).wan_packets());
    assert_eq!((seen.source(), seen.data.clone()), (OUTSIDE.to_owned(), sent.clone()));
    let parts = nat.pass(&l4::fragments(&packet, 1000, 77)).wan_packets();
    assert!(parts.len() >= 3, "{} pieces of pieces", parts.len());
    assert_eq!(l4::whole(&parts).data, sent);
    packet[6] |= 0x40;
    (packet[10], packet[11]) = (0, 0);
    let sum = frames::checksum(&packet[..20]).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
    let error = nat.turn(&packet);
    assert_eq!((error.icmp, error.ip.source), (Some((3, 4, [0, 0, 2, 88])), [192, 168, 1, 1]));
    assert_eq!(error.quoted().flow(), format!("udp {INSIDE} > {REMOTE}"), "quoted as the sender sent it");
}
