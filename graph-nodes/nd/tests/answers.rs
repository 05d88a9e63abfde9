//! What is answered, byte by byte, where it goes, and how often.

use super::*;
use crate::nd::input::{BURST, RATE};

/// The answer that RFC 4861 section 7.2.4 asks for, byte by byte.
fn answer(from: &str, to: (&str, MacAddr), target: &str, flags: u8) -> Vec<u8> {
    let message = advertisement(from, to.0, target, flags, &link_layer(2, LAN_MAC));
    [&frame_header6(to.1, LAN_MAC)[..], &message].concat()
}

#[test]
fn the_answer() {
    const ROUTER: u8 = 0x80;
    const SOLICITED: u8 = 0x40;
    const OVERRIDE: u8 = 0x20;
    let host = (HOST6, HOST_MAC);
    let source = link_layer(1, HOST_MAC);
    let usual = answer(LAN_IP6, host, LAN_IP6, ROUTER | SOLICITED | OVERRIDE);
    let hop_by_hop = {
        let mut packet = question();
        packet[6] = 0;
        packet[5] += 8;
        packet.splice(40..40, [58, 0, 1, 4, 0, 0, 0, 0]);
        packet
    };
    let everyone = ("ff02::1", MacAddr([0x33, 0x33, 0, 0, 0, 1]));
    for (name, question, answer) in [
        ("to a question to the group", question(), usual.clone()),
        ("to a question to us alone", solicitation(HOST6, LAN_IP6, LAN_IP6, &source), usual.clone()),
        ("which is longer than the question", solicitation(HOST6, LAN_IP6, LAN_IP6, &[]), usual.clone()),
        ("with a hop-by-hop header", hop_by_hop, usual.clone()),
        ("with a longer option", asks_with(&[&source[..], &[14, 3], &[7; 22]].concat()), usual),
        ("for our link-local address", solicitation(HOST_LL, LAN_GROUP, LAN_LL, &source), {
            answer(LAN_LL, (HOST_LL, HOST_MAC), LAN_LL, ROUTER | SOLICITED | OVERRIDE)
        }),
        // RFC 4861 section 7.2.4: to everyone, and not solicited, as the one who asks has no address.
        ("to a probe", solicitation("::", LAN_GROUP, LAN_IP6, &[]), {
            answer(LAN_IP6, everyone, LAN_IP6, ROUTER | OVERRIDE)
        }),
        // Section 7.2.7: for an anycast address, others may answer, too.
        ("for the subnet's router", solicitation(HOST6, "ff02::1:ff00:0", "2001:db8:1::", &source), {
            answer(LAN_IP6, host, "2001:db8:1::", ROUTER | SOLICITED)
        }),
    ] {
        let mut t = test();
        let outcome = t.run(&question);
        assert_eq!(bytes(&outcome), answer, "{name}");
        assert_eq!((outcome.packets[0].next, outcome.packets[0].tx_interface), ("interface-output", LAN), "{name}");
        assert_eq!(t.bench.interface(LAN).tx_packets, 0, "interface-tx counts");
    }
    // The MAC that the question tells is where the answer goes, not that of its frame.
    let mut t = test();
    let outcome = t.bench.one(&frame_from(PEER_MAC, &question()));
    assert_eq!(bytes(&outcome)[..6], HOST_MAC.0);
}

/// What a probe for an address that is ours means to control, besides being answered.
#[test]
fn a_probe_for_our_address() {
    let mut t = test();
    let outcome = t.run(&solicitation("::", LAN_GROUP, LAN_IP6, &[]));
    let counts = [("solicitations answered", 1), ("another station tries for our address", 1)];
    assert_eq!(fate(&outcome), ("interface-output", &counts[..]));
    assert_eq!(t.heard(), [duplicate(LAN_IP6)]);
}

#[test]
fn on_a_vlan() {
    let mut t = test();
    let mut tagged = Interface { mac: LAN_MAC, mtu: 1500, tags: Some(Tags::single(100)), ..Interface::default() };
    with_ip6(LAN, &mut tagged);
    t.world.interface(LAN_100, tagged);
    t.bench.skip = 18;
    let (to, tag) = ([0x33, 0x33, 0xff, 0, 0, 1], [0x81, 0, 0, 100, 0x86, 0xdd]);
    let question = [&to[..], &HOST_MAC.0, &tag, &question()].concat();
    let set = |interface| {
        move |meta: &mut millrace_engine::pool::Meta| (meta.rx_interface, meta.marks) = (interface, marks::TAGGED)
    };
    let outcome = t.bench.run(&[&question], set(LAN_100));
    let plain = answer(LAN_IP6, (HOST6, HOST_MAC), LAN_IP6, 0xe0);
    assert_eq!(bytes(&outcome), [&plain[..12], &tag, &plain[14..]].concat());
    assert_eq!((outcome.packets[0].next, outcome.packets[0].tx_interface), ("interface-output", LAN_100));
    let heard_there = NeighborEvent::Heard {
        interface: LAN_100,
        address: IpAddr::V6(ip6(HOST6)),
        mac: HOST_MAC,
        kind: HeardKind::Request,
    };
    assert_eq!(t.heard(), [heard_there]);
    // A priority tag only: the parent's frame, which is answered without a tag.
    assert_eq!(bytes(&t.bench.run(&[&question], set(LAN))), plain);
}

/// Whoever asks without end gets so many answers; others have theirs a moment later.
#[test]
fn answers_are_limited() {
    let mut t = test();
    let question = frame(&question());
    let asked = |t: &mut Test, n: u64| {
        let mut answered = 0;
        for _ in 0..n {
            let outcome = t.bench.one(&question);
            answered += u64::from(outcome.packets[0].next == "interface-output");
            let limited = [("answers over the limit of a second", 1)];
            assert!(outcome.packets[0].next == "interface-output" || fate(&outcome) == ("drop", &limited[..]));
            while t.events.pop().is_some() {}
        }
        answered
    };
    assert_eq!(asked(&mut t, BURST + 50), BURST);
    t.bench.now += 1_000_000_000 / RATE * 10;
    assert_eq!(asked(&mut t, 50), 10);
}
