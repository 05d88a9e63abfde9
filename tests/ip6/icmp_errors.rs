//! ICMPv6 errors (RFC 4443): which, from whom, about what, byte by byte; and when there must be none.

use etherparse::{IpNumber, Ipv6Header};
use harness::frames6::{self, Icmp6, Ip6, MINIMUM_MTU, ip6, traffic};
use harness::{LAN6, WAN6, Wires, eventually, frames};

const ROUTES: &str = "
routes:
  - {to: '2001:db8:b::/64', type: blackhole}
  - {to: '2001:db8:c::/64', type: unreachable}
  - {to: '2001:db8:d::/64', type: prohibit}
";
/// What of a packet fits into an error: all but two headers of 1280 bytes (RFC 4443 2.4 c).
const QUOTE: usize = MINIMUM_MTU - 40 - 8;

fn header(to: Ip6, change: impl Fn(&mut Ipv6Header)) -> Ipv6Header {
    let mut header = frames6::header(LAN6.ip, to);
    change(&mut header);
    header
}

fn datagram(header: &Ipv6Header, bytes: usize) -> Vec<u8> {
    frames6::packet(header, &frames6::udp(header, 40_000, 7, &vec![0x5a; bytes]))
}

/// The quote is the packet as it came, though a router need not undo its own decrement of the hop limit.
fn assert_quotes(name: &str, original: &[u8], quote: &[u8]) {
    let (mut wanted, mut quoted) = (original[..original.len().min(QUOTE)].to_vec(), quote.to_vec());
    assert_eq!(quoted.len(), wanted.len(), "{name}: length of the quote");
    (wanted[7], quoted[7]) = (0, 0);
    assert_eq!(quoted, wanted, "{name}: the quote");
}

/// The only error among frames, which must have come from the router in the lan to the station there.
#[track_caller]
fn the_error(name: &str, frames: &[Vec<u8>]) -> Icmp6 {
    let frames = traffic(frames);
    assert_eq!(frames.len(), 1, "{name}: {frames:02x?}");
    let (to, from, _, _) = frames::link(&frames[0]);
    assert_eq!((to, from), (LAN6.mac, LAN6.router_mac), "{name}");
    assert!(frames[0].len() <= 14 + MINIMUM_MTU, "{name}: {} bytes", frames[0].len());
    Icmp6::error(&frames[0]).unwrap_or_else(|| panic!("{name}: no error: {frames:02x?}"))
}

#[test]
fn errors_byte_by_byte() {
    let net = Wires::dual(ROUTES);
    for size in [0, 1, 8, 100, QUOTE - 48, QUOTE - 47, 1400] {
        let one = |change: &dyn Fn(&mut Ipv6Header)| datagram(&header(WAN6.ip, change), size);
        let to = |address: Ip6| datagram(&header(address, |_| {}), size);
        // RFC 4443 3.1 and 3.3: type, code. The source is the interface's that the packet came by, or the address itself.
        for (name, packet, kind, source) in [
            ("hop limit 1", one(&|h| h.hop_limit = 1), (3, 0), LAN6.router_ip),
            ("hop limit 0", one(&|h| h.hop_limit = 0), (3, 0), LAN6.router_ip),
            ("no route", to(ip6("2001:db8:77::1")), (1, 0), LAN6.router_ip),
            ("unreachable", to(ip6("2001:db8:c::1")), (1, 3), LAN6.router_ip),
            ("prohibit", to(ip6("2001:db8:d::1")), (1, 1), LAN6.router_ip),
            ("a closed port", to(LAN6.router_ip), (1, 4), LAN6.router_ip),
            ("a closed port on the other side", to(WAN6.router_ip), (1, 4), WAN6.router_ip),
        ] {
            let name = &format!("{name}, {size} bytes");
            let seen = net.pass(&[LAN6.frame(&packet)]);
            assert!(traffic(&seen.wan).is_empty(), "{name} was forwarded");
            let error = the_error(name, &seen.lan);
            assert_eq!(((error.kind, error.code), error.word), (kind, [0; 4]), "{name}");
            assert_eq!((error.ip.source, error.ip.destination), (source, LAN6.ip), "{name}");
            assert!(error.ip.hop_limit >= 64, "{name}: {:?}", error.ip);
            assert_quotes(name, &packet, &error.data);
        }
    }
}

/// RFC 4443 3.1 code 2: beyond the scope of the source address.
#[test]
fn beyond_scope() {
    let net = Wires::dual("");
    let local = frames6::link_local(LAN6.mac);
    let packet = frames6::udp_packet(local, WAN6.ip, 7, b"too far");
    net.lan.send(&LAN6.frame(&packet));
    // The station is asked for its link-local address first, which the router doesn't know.
    let error = answering(&net, local);
    assert_eq!((error.kind, error.code, error.word), (1, 2, [0; 4]));
    assert_eq!(error.ip.destination, local);
    assert_quotes("beyond scope", &packet, &error.data);
}

/// Answers the router's questions for an address of the station in the lan, until an error comes.
#[track_caller]
fn answering(net: &Wires, own: Ip6) -> Icmp6 {
    use harness::nd::{NA, NS, Nd, OVERRIDE, SOLICITED};
    net.lan.expect("an error", |frame| {
        if let Some(asked) = Nd::of_kind(NS, frame).filter(|asked| asked.target() == own) {
            let answer = Nd::advertisement((LAN6.mac, own), (asked.link.1, asked.ip.0), SOLICITED | OVERRIDE);
            assert_eq!(answer.kind, NA);
            net.lan.send(&answer.frame());
        }
        Icmp6::error(frame)
    })
}

/// RFC 4443 3.4: what can't be read is told with a pointer to it; RFC 8200 4.2: what an option's two upper bits ask for.
#[test]
fn parameter_problems() {
    let net = Wires::dual("");
    let packet = |protocol: u8, body: &[u8]| {
        frames6::packet(&header(LAN6.router_ip, |h| h.next_header = IpNumber(protocol)), body)
    };
    for (name, packet, code, pointer) in [
        ("an unknown next header", packet(253, &[1; 40]), 1, 6),
        ("an unknown next header behind options", packet(60, &[253, 0, 1, 4, 0, 0, 0, 0]), 1, 40),
        (
            "a routing header of type 0 (RFC 5095)",
            packet(43, &[&[17, 2, 0, 1, 0, 0, 0, 0], &WAN6.ip[..], &[0; 16]].concat()),
            0,
            42,
        ),
        (
            "a routing header of an unknown type",
            packet(43, &[&[17, 2, 77, 1, 0, 0, 0, 0], &WAN6.ip[..], &[0; 16]].concat()),
            0,
            42,
        ),
        ("an option that must be known", packet(60, &[17, 0, 0x9e, 4, 1, 2, 3, 4]), 2, 42),
        ("an option that must be known by no group", packet(60, &[17, 0, 0xde, 4, 1, 2, 3, 4]), 2, 42),
        (
            "a fragment's length is no multiple of eight",
            packet(44, &[&[17, 0, 0, 1, 0, 0, 0, 9], &[7; 13][..]].concat()),
            0,
            4,
        ),
        (
            "a fragment that ends behind 65,535",
            packet(44, &[&[17, 0, 0xff, 0xf8, 0, 0, 0, 9], &[7; 16][..]].concat()),
            0,
            42,
        ),
    ] {
        let seen = net.pass(&[LAN6.frame(&packet)]);
        let error = the_error(name, &seen.lan);
        assert_eq!((error.kind, error.code, u32::from_be_bytes(error.word)), (4, code, pointer), "{name}");
        assert_eq!((error.ip.source, error.ip.destination), (LAN6.router_ip, LAN6.ip), "{name}");
        assert_quotes(name, &packet, &error.data);
    }
    // An option that asks to be dropped with, without a word.
    let seen = net.pass(&[LAN6.frame(&packet(60, &[17, 0, 0x5e, 4, 1, 2, 3, 4]))]);
    assert!(traffic(&seen.lan).is_empty(), "{:02x?}", seen.lan);
    // A routing header with nothing left to do is passed over (RFC 8200 4.4).
    let question = frames6::echo_request(LAN6.ip, LAN6.router_ip, 1, 1, b"?");
    let done = packet(43, &[&[58, 0, 0, 0, 0, 0, 0, 0], &question[40..]].concat());
    let seen = traffic(&net.pass(&[LAN6.frame(&done)]).lan);
    assert_eq!(Icmp6::of(&seen[0]).expect("an echo reply").kind, 129);
}

#[test]
fn never_about_these() {
    let net = Wires::dual(ROUTES);
    let dying = |h: &mut Ipv6Header| h.hop_limit = 1;
    let plain = |change: &dyn Fn(&mut Ipv6Header)| LAN6.frame(&datagram(&header(WAN6.ip, change), 20));
    let message = |kind: (u8, u8)| {
        let about = header(WAN6.ip, dying);
        LAN6.frame(&frames6::icmp_packet(&about, kind, [0; 4], &datagram(&frames6::header(WAN6.ip, LAN6.ip), 8)))
    };
    let link = |mac| frames::ethernet(LAN6.mac, mac, frames6::IP6, &datagram(&header(WAN6.ip, dying), 20));
    let group =
        |to: Ip6| frames::ethernet(LAN6.mac, frames6::group_mac(to), frames6::IP6, &datagram(&header(to, dying), 20));
    let from = |ip: Ip6| plain(&|h| (h.hop_limit, h.source) = (1, ip));
    // RFC 4443 2.4 e, item by item.
    for (name, frame) in [
        ("an error: unreachable", message((1, 0))),
        ("an error: too big", message((2, 0))),
        ("an error: time exceeded", message((3, 0))),
        ("an error of an unknown type", message((99, 0))),
        ("a redirect", message((137, 0))),
        ("to a group", group(ip6("ff0e::1234"))),
        ("to all nodes", group(frames6::ALL_NODES)),
        ("in a link broadcast", link(frames::BROADCAST)),
        ("in a link multicast", link([0x33, 0x33, 0, 0, 0, 1])),
        ("from no host", from(frames6::UNSPECIFIED)),
        ("from loopback", from(ip6("::1"))),
        ("from a group", from(ip6("ff02::1"))),
        ("to a black hole", LAN6.frame(&datagram(&header(ip6("2001:db8:b::1"), |_| {}), 20))),
    ] {
        let seen = net.pass(&[frame]);
        let (lan, wan) = (traffic(&seen.lan), traffic(&seen.wan));
        assert!(lan.is_empty() && wan.is_empty(), "{name}: {lan:02x?} {wan:02x?}");
    }
    // But a question that dies is no error, nor is a message of an unknown type that only informs.
    for kind in [(128, 0), (200, 0)] {
        assert_eq!(traffic(&net.pass(&[message(kind)]).lan).len(), 1, "{kind:?}");
    }
}

/// RFC 4443 2.4 f: limited, by a bucket of tokens; and after a while there are errors again.
#[test]
fn errors_are_rate_limited() {
    let net = Wires::dual("");
    let dying = LAN6.frame(&datagram(&header(WAN6.ip, |h| h.hop_limit = 1), 20));
    let burst = vec![dying.clone(); 3000];
    let errors = traffic(&net.pass(&burst).lan).len();
    assert!((1..2000).contains(&errors), "{errors} errors about {} packets", burst.len());
    let again = || (traffic(&net.pass(std::slice::from_ref(&dying)).lan).len() == 1).then_some(());
    eventually("an error after the burst", again);
}
