//! Neighbour solicitations for the router's own addresses (RFC 4861 7.1.1, 7.2.3, 7.2.4): who is answered, how, and who not.

use harness::frames6::{self, ALL_NODES, Ip6, ip6};
use harness::nd::{self, NA, Nd, OVERRIDE, ROUTER, SOLICITED, SOURCE_MAC, TARGET_MAC};
use harness::{LAN6, WAN6, Wires, frames};

/// What the router answers to a station by one of its addresses.
fn answer(own: Ip6, to: ([u8; 6], Ip6)) -> Nd {
    Nd::advertisement((LAN6.router_mac, own), to, ROUTER | SOLICITED | OVERRIDE)
}

fn answers(net: &Wires, frame: Vec<u8>) -> Vec<Nd> {
    nd::all(NA, &net.pass(&[frame]).lan)
}

#[test]
fn answers_for_its_own_addresses_only() {
    let net = Wires::dual("");
    let me = (LAN6.mac, LAN6.ip);
    let stranger = LAN6.station(0x20);
    let (own, local) = (LAN6.router_ip, LAN6.router_link_local());
    for (name, question, wanted) in [
        ("to the group", Nd::solicitation(me, own), Some(answer(own, me))),
        ("by a stranger", Nd::solicitation(stranger, own), Some(answer(own, stranger))),
        ("for the link-local address", Nd::solicitation(me, local), Some(answer(local, me))),
        ("about another station", Nd::solicitation(me, LAN6.station(0x77).1), None),
        ("about the router's address on the other side", Nd::solicitation(me, WAN6.router_ip), None),
        ("about the other link-local address", Nd::solicitation(me, WAN6.router_link_local()), None),
        ("about another network", Nd::solicitation(me, ip6("2001:db8:77::1")), None),
    ] {
        assert_eq!(answers(&net, question.frame()), Vec::from_iter(wanted), "{name}");
    }
    // Straight to the router the option may be left out on both sides (RFC 4861 7.2.4, 4.3).
    let mut probe = Nd::unicast_solicitation(me, (LAN6.router_mac, own));
    for _ in 0..2 {
        let mut got = answers(&net, probe.frame());
        assert_eq!(got.len(), 1, "{probe:?}");
        assert!(got[0].option(TARGET_MAC).is_none_or(|mac| mac == LAN6.router_mac));
        got[0].options = answer(own, me).options;
        assert_eq!(got[0], answer(own, me));
        probe.options.clear();
    }
}

/// RFC 4862 5.4.3, RFC 4861 7.2.4: who would like to have the router's address hears that it is taken, as all do.
#[test]
fn defends_its_addresses() {
    let net = Wires::dual("");
    for own in [LAN6.router_ip, LAN6.router_link_local()] {
        let to = (frames6::group_mac(ALL_NODES), ALL_NODES);
        let wanted = Nd::advertisement((LAN6.router_mac, own), to, ROUTER | OVERRIDE);
        let seen = answers(&net, Nd::detection([2, 0, 0, 0, 9, 9], own).frame());
        assert_eq!(seen, [wanted], "{own:02x?}");
    }
    // It keeps them.
    assert_eq!(answers(&net, Nd::solicitation((LAN6.mac, LAN6.ip), LAN6.router_ip).frame()).len(), 1);
}

#[test]
fn malformed_ones_are_dropped_with_a_cause() {
    let net = Wires::dual("");
    let good = Nd::solicitation((LAN6.mac, LAN6.ip), LAN6.router_ip);
    let with = |change: &dyn Fn(&mut Nd)| {
        let mut message = good.clone();
        change(&mut message);
        message.frame()
    };
    let wrong_sum = {
        let mut frame = good.frame();
        frame[56] ^= 0x55;
        frame
    };
    let detection = |change: &dyn Fn(&mut Nd)| {
        let mut message = Nd::detection(LAN6.mac, LAN6.router_ip);
        change(&mut message);
        message.frame()
    };
    let short = frames6::icmp_packet(&at_255(good.ip), (nd::NS, 0), [0; 4], &LAN6.router_ip[..12]);
    // RFC 4861 7.1.1, item by item.
    for (name, frame) in [
        ("from another link: hop limit 254", with(&|m| m.hop_limit = 254)),
        ("hop limit 64", with(&|m| m.hop_limit = 64)),
        ("a wrong checksum", wrong_sum),
        ("a code", with(&|m| m.code = 1)),
        ("too short", frames::ethernet(LAN6.mac, good.link.0, frames6::IP6, &short)),
        ("the target is a group", with(&|m| m.body = ip6("ff02::1").to_vec())),
        ("an option without a length", with_raw_option(&good, &[SOURCE_MAC, 0, 2, 0, 0, 0, 1, 10])),
        ("an option that goes on behind the end", with_raw_option(&good, &[SOURCE_MAC, 2, 2, 0, 0, 0, 1, 10])),
        ("from nobody, and not to the group", detection(&|m| (m.link.0, m.ip.1) = (LAN6.router_mac, LAN6.router_ip))),
        ("from nobody, with an option", detection(&|m| m.options = vec![(SOURCE_MAC, LAN6.mac.to_vec())])),
        ("from a group", with(&|m| m.ip.0 = ip6("ff02::1"))),
    ] {
        let before = net.router.drops();
        assert_eq!(answers(&net, frame), [], "{name}");
        assert!(!net.router.is_daemon() || net.router.drops() > before, "{name}\n{}", net.router.run("show errors"));
    }
    assert_eq!(answers(&net, good.frame()).len(), 1);
    // What is unknown in options is passed over (RFC 4861 4.6).
    let unknown = with(&|m| m.options.insert(0, (200, vec![7; 14])));
    assert_eq!(answers(&net, unknown).len(), 1);
}

fn at_255((from, to): (Ip6, Ip6)) -> etherparse::Ipv6Header {
    let mut header = frames6::header(from, to);
    header.hop_limit = 255;
    header
}

/// The message with these bytes in place of its options.
fn with_raw_option(message: &Nd, option: &[u8]) -> Vec<u8> {
    let body = [&message.body[..], option].concat();
    let packet = frames6::icmp_packet(&at_255(message.ip), (message.kind, message.code), message.word, &body);
    frames::ethernet(message.link.1, message.link.0, frames6::IP6, &packet)
}
