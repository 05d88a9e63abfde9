//! ICMP errors (RFC 792, RFC 1812 4.3): which, from whom, about what, byte by byte; and when there must be none.

use etherparse::icmpv4::{DestUnreachableHeader, TimeExceededCode};
use etherparse::{Icmpv4Type, IpNumber, Ipv4Header};
use harness::frames::{self, Icmp, Ip};
use harness::{LAN, WAN, Wires, eventually};

/// RFC 1812 4.3.2.3: an error quotes as much of the packet as fits into 576 bytes.
const QUOTE: usize = 576 - 20 - 8;
const ROUTES: &str = "
routes:
  - {to: 198.51.100.0/28, type: blackhole}
  - {to: 198.51.100.16/28, type: unreachable}
  - {to: 198.51.100.32/28, type: prohibit}
";
/// An experimental option (RFC 4727), no operation, end of the list.
const OPTIONS: [u8; 8] = [0x9e, 6, 1, 2, 3, 4, 1, 0];
const NO_ROUTE: Ip = [192, 0, 2, 1];

fn header(to: Ip, change: impl Fn(&mut Ipv4Header)) -> Ipv4Header {
    let mut header = frames::header(LAN.ip, to);
    change(&mut header);
    header
}

fn datagram(header: &Ipv4Header, bytes: usize) -> Vec<u8> {
    frames::packet(header, &frames::udp(header, 40_000, 7, &vec![0x5a; bytes]))
}

/// The quote is the packet as it came, though a router need not undo its own decrement of the time to live
/// (RFC 1812 4.3.2.3).
fn assert_quotes(name: &str, original: &[u8], quote: &[u8]) {
    let (mut wanted, mut quoted) = (original[..original.len().min(QUOTE)].to_vec(), quote.to_vec());
    assert_eq!(quoted.len(), wanted.len(), "{name}: length of the quote");
    assert_eq!(frames::checksum(&quote[..usize::from(quote[0] & 15) * 4]), 0, "{name}: the quoted header's checksum");
    for packet in [&mut wanted, &mut quoted] {
        (packet[8], packet[10], packet[11]) = (0, 0, 0);
    }
    assert_eq!(quoted, wanted, "{name}: the quote");
}

#[test]
fn errors_byte_by_byte() {
    let net = Wires::start(ROUTES);
    for size in [0, 1, 8, 100, QUOTE - 28, QUOTE - 27, 1400] {
        let one = |change: &dyn Fn(&mut Ipv4Header)| datagram(&header(WAN.ip, change), size);
        let to = |address: Ip| datagram(&header(address, |_| {}), size);
        for (name, packet, kind, code, source) in [
            ("time to live 1", one(&|h| h.time_to_live = 1), 11, 0, LAN.router_ip),
            ("time to live 0", one(&|h| h.time_to_live = 0), 11, 0, LAN.router_ip),
            (
                "time to live 1, options",
                one(&|h| (h.time_to_live, h.options) = (1, OPTIONS.into())),
                11,
                0,
                LAN.router_ip,
            ),
            ("a first fragment", one(&|h| (h.time_to_live, h.more_fragments) = (1, true)), 11, 0, LAN.router_ip),
            ("no route", to(NO_ROUTE), 3, 0, LAN.router_ip),
            ("unreachable", to([198, 51, 100, 17]), 3, 1, LAN.router_ip),
            ("prohibit", to([198, 51, 100, 33]), 3, 13, LAN.router_ip),
            ("a closed port", to(LAN.router_ip), 3, 3, LAN.router_ip),
            ("a closed port on the other side", to(WAN.router_ip), 3, 3, WAN.router_ip),
        ] {
            let name = &format!("{name}, {size} bytes");
            let seen = net.pass(&[LAN.frame(&packet)]);
            assert!(seen.wan.is_empty(), "{name} was forwarded");
            assert_eq!(seen.lan.len(), 1, "{name}: {:02x?}", seen.lan);
            let (to, from, _, _) = frames::link(&seen.lan[0]);
            assert_eq!((to, from), (LAN.mac, LAN.router_mac), "{name}");
            let error = Icmp::of(&seen.lan[0]).expect("an ICMP message");
            assert_eq!((error.kind, error.code, error.rest), (kind, code, [0; 4]), "{name}");
            assert_eq!((error.ip.source, error.ip.destination), (source, LAN.ip), "{name}");
            // RFC 1812 4.3.2.5: precedence 6 or 7, so that it gets through where it is needed.
            assert!(error.ip.dscp.value() >= 0b110_000, "{name}: precedence");
            assert!(error.ip.time_to_live >= 64 && error.ip.options.is_empty(), "{name}: {:?}", error.ip);
            assert_quotes(name, &packet, &error.data);
        }
    }
}

#[test]
fn too_large_with_df_tells_the_mtu() {
    let net = Wires::with(&Wires::CONFIG.replace("device: wan,", "device: wan, mtu: 1000,"));
    for (size, fits) in [(972, true), (973, false), (1400, false)] {
        let packet = datagram(&header(WAN.ip, |h| h.dont_fragment = true), size);
        let seen = net.pass(&[LAN.frame(&packet)]);
        assert_eq!(seen.wan.len(), usize::from(fits), "{size} bytes");
        if !fits {
            let error = Icmp::of(&seen.lan[0]).expect("an ICMP message");
            // RFC 1191 section 4: the next hop's MTU in the low half of the second word.
            assert_eq!((error.kind, error.code, error.rest), (3, 4, [0, 0, 3, 232]));
            assert_eq!((error.ip.source, error.ip.destination), (LAN.router_ip, LAN.ip));
            assert_quotes("too large", &packet, &error.data);
        }
    }
}

#[test]
fn never_about_these() {
    let net = Wires::start(ROUTES);
    let dying = |h: &mut Ipv4Header| h.time_to_live = 1;
    let plain = |change: &dyn Fn(&mut Ipv4Header)| LAN.frame(&datagram(&header(WAN.ip, change), 20));
    let error = |kind: Icmpv4Type| {
        let inner = datagram(&frames::header(WAN.ip, LAN.ip), 8);
        let about = header(WAN.ip, |h| (h.time_to_live, h.protocol) = (1, IpNumber::ICMP));
        LAN.frame(&frames::packet(&about, &frames::icmp(kind, &inner)))
    };
    let link = |mac| frames::ethernet(LAN.mac, mac, frames::IP4, &datagram(&header(WAN.ip, dying), 20));
    let to = |to: Ip| LAN.frame(&datagram(&header(to, dying), 20));
    let from = |ip: Ip| plain(&|h| (h.time_to_live, h.source) = (1, ip));
    // RFC 1812 4.3.2.7, item by item.
    for (name, frame) in [
        ("an error: unreachable", error(Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port))),
        ("an error: time exceeded", error(Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit))),
        ("to multicast", to([224, 0, 0, 5])),
        ("to limited broadcast", to([255; 4])),
        ("to the subnet's broadcast", to([192, 168, 1, 255])),
        ("in a link broadcast", link(frames::BROADCAST)),
        ("in a link multicast", link([1, 0, 0x5e, 0, 0, 5])),
        ("from no host", from([0; 4])),
        ("from loopback", from([127, 0, 0, 1])),
        ("from broadcast", from([255; 4])),
        ("from multicast", from([224, 0, 0, 5])),
        ("from class E", from([240, 0, 0, 1])),
        ("a later fragment", plain(&|h| (h.time_to_live, h.fragment_offset) = (1, 3.try_into().expect("13 bits")))),
        ("to a black hole", LAN.frame(&datagram(&header([198, 51, 100, 1], |_| {}), 20))),
    ] {
        let seen = net.pass(&[frame]);
        assert!(seen.lan.is_empty() && seen.wan.is_empty(), "{name}: {seen:02x?}");
    }
    // But a question that dies is no error.
    let mut question = frames::echo_request(LAN.ip, WAN.ip, 1, 1, b"?");
    (question[8], question[10], question[11]) = (1, 0, 0);
    let sum = frames::checksum(&question[..20]).to_be_bytes();
    question[10..12].copy_from_slice(&sum);
    assert_eq!(net.pass(&[LAN.frame(&question)]).lan.len(), 1);
}

#[test]
fn errors_are_rate_limited() {
    let net = Wires::start("");
    let dying = LAN.frame(&datagram(&header(WAN.ip, |h| h.time_to_live = 1), 20));
    let burst = vec![dying.clone(); 3000];
    let errors = net.pass(&burst).lan.len();
    assert!((1..2000).contains(&errors), "{errors} errors about {} packets", burst.len());
    // RFC 1812 4.3.2.8 asks for a limit, not for silence: after a while there are errors again.
    eventually("an error after the burst", || (net.pass(std::slice::from_ref(&dying)).lan.len() == 1).then_some(()));
}
