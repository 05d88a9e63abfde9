//! Messages made by hand: what is answered, byte by byte, and what control hears.

mod answers;
mod any;
mod refused;

use super::input::{NAME, NdInput};
use crate::forwarding::Interface;
use crate::marks;
use crate::neighbor_events::{EVENTS, HeardKind, NeighborEvent, NeighborEvents};
use crate::testing::*;
use etherparse::IpNumber;
use millrace_engine::Waker;
use millrace_engine::testing::{Bench, Outcome};
use millrace_wire::{MacAddr, Tags};
use std::net::IpAddr;

/// The group of [`LAN_IP6`], which ends in 00:0001.
const LAN_GROUP: &str = "ff02::1:ff00:1";
/// An address that LAN is about to have, and its group.
const TENTATIVE: &str = "2001:db8:1::aa:5";
const TENTATIVE_GROUP: &str = "ff02::1:ffaa:5";
const HOST_EVENT: HeardKind = HeardKind::Request;

/// An ICMPv6 message with its checksum, which replaces whatever was there, in a packet with this hop limit.
fn message(from: &str, to: &str, hop_limit: u8, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body[2..4].fill(0);
    let pseudo = [&ip6(from).octets()[..], &ip6(to).octets(), &(body.len() as u32).to_be_bytes(), &[0, 0, 0, 58]];
    let sum = checksum(&[&pseudo.concat()[..], &body].concat());
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut header = header6(from, to, IpNumber::IPV6_ICMP);
    header.hop_limit = hop_limit;
    packet6(&header, &body)
}

/// A message of this type whose last four bytes of header begin with `flags`, about a target, with options.
fn about(kind: u8, flags: u8, target: &str, options: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0, flags, 0, 0, 0][..], &ip6(target).octets(), options].concat()
}

/// A link-layer address option: 1 is the source's, 2 the target's.
fn link_layer(kind: u8, mac: MacAddr) -> Vec<u8> {
    [&[kind, 1][..], &mac.0].concat()
}

fn solicitation(from: &str, to: &str, target: &str, options: &[u8]) -> Vec<u8> {
    message(from, to, 255, &about(135, 0, target, options))
}

fn advertisement(from: &str, to: &str, target: &str, flags: u8, options: &[u8]) -> Vec<u8> {
    message(from, to, 255, &about(136, flags, target, options))
}

fn router_solicitation(from: &str, options: &[u8]) -> Vec<u8> {
    message(from, "ff02::2", 255, &[&[133, 0, 0, 0, 0, 0, 0, 0][..], options].concat())
}

/// The question that the host in the lan asks for the router's address.
fn question() -> Vec<u8> {
    solicitation(HOST6, LAN_GROUP, LAN_IP6, &link_layer(1, HOST_MAC))
}

fn frame(packet: &[u8]) -> Vec<u8> {
    frame_from(HOST_MAC, packet)
}

fn frame_from(from: MacAddr, packet: &[u8]) -> Vec<u8> {
    [&frame_header6(LAN_MAC, from)[..], packet].concat()
}

struct Test {
    world: World,
    events: NeighborEvents,
    bench: Bench<NdInput>,
}

/// A node, on a world whose LAN has a tentative address, too.
fn test() -> Test {
    let (mut world, events) = (World::new(), NeighborEvents::new(Waker::new().unwrap()));
    let mut lan = Interface { mac: LAN_MAC, mtu: 1500, tentative: vec![ip6(TENTATIVE)], ..Interface::default() };
    with_ip6(LAN, &mut lan);
    world.interface(LAN, lan);
    let mut bench = Bench::new(NdInput::new(world.forwarding.clone(), events.clone()));
    bench.skip = 14;
    Test { world, events, bench }
}

impl Test {
    fn run(&mut self, packet: &[u8]) -> Outcome {
        self.bench.one(&frame(packet))
    }

    fn heard(&self) -> Vec<NeighborEvent> {
        std::iter::from_fn(|| self.events.pop()).collect()
    }
}

fn heard(address: &str, mac: MacAddr, kind: HeardKind) -> NeighborEvent {
    NeighborEvent::Heard { interface: LAN, address: IpAddr::V6(ip6(address)), mac, kind }
}

fn reply(solicited: bool, override_: bool, router: bool) -> HeardKind {
    HeardKind::Reply { solicited, override_, router }
}

fn duplicate(address: &str) -> NeighborEvent {
    NeighborEvent::Duplicate { interface: LAN, address: ip6(address) }
}

fn router_solicited(from: &str, mac: Option<MacAddr>) -> NeighborEvent {
    NeighborEvent::RouterSolicited { interface: LAN, from: ip6(from), mac }
}

/// What each message that is as it should be comes to: next, count, what control hears.
#[test]
fn what_is_believed() {
    let source = link_layer(1, HOST_MAC);
    let target = link_layer(2, HOST_MAC);
    let (output, answered) = ("interface-output", "solicitations answered");
    let (not_ours, conflict) = ("target address is not ours", "another station claims our address");
    let learnt = "advertisements of neighbours";
    let foreign = "target address is no station of the interface's subnets";
    let foreign_source = "source address is no station of the interface's subnets";
    let asks = |to: &str, target: &str| solicitation(HOST6, to, target, &source);
    let tells = |target: &str, flags: u8, options: &[u8]| advertisement(HOST6, LAN_IP6, target, flags, options);
    let everyone = |target: &str, flags: u8, options: &[u8]| advertisement(HOST6, "ff02::1", target, flags, options);
    let mut t = test();
    for (name, packet, next, count, events) in [
        ("asks for us", question(), output, answered, vec![heard(HOST6, HOST_MAC, HOST_EVENT)]),
        ("asks for our link-local address", asks("ff02::1:ff00:1", LAN_LL), output, answered, {
            vec![heard(HOST6, HOST_MAC, HOST_EVENT)]
        }),
        ("from a link-local address", solicitation(HOST_LL, LAN_GROUP, LAN_IP6, &source), output, answered, {
            vec![heard(HOST_LL, HOST_MAC, HOST_EVENT)]
        }),
        // RFC 4861 section 7.3.1: whether we are still there; such a question may come without an option (section 4.3).
        ("asks us alone", asks(LAN_IP6, LAN_IP6), output, answered, vec![heard(HOST6, HOST_MAC, HOST_EVENT)]),
        ("asks us alone, no option", solicitation(HOST6, LAN_IP6, LAN_IP6, &[]), output, answered, vec![]),
        ("asks for another", asks("ff02::1:ff00:77", "2001:db8:1::77"), "consumed", not_ours, vec![]),
        ("asks for our other side", asks(LAN_GROUP, WAN_IP6), "consumed", not_ours, vec![]),
        // RFC 4291 section 2.6.1: all routers of a subnet have its anycast address.
        ("asks for the subnet's router", asks("ff02::1:ff00:0", "2001:db8:1::"), output, answered, {
            vec![heard(HOST6, HOST_MAC, HOST_EVENT)]
        }),
        // RFC 4862 section 5.4.3.
        (
            "asks for what is ours soon",
            asks(TENTATIVE_GROUP, TENTATIVE),
            "consumed",
            "target address is not ours yet",
            { vec![] },
        ),
        (
            "tries for what is ours soon",
            solicitation("::", TENTATIVE_GROUP, TENTATIVE, &[]),
            "consumed",
            "another station tries for our address",
            vec![duplicate(TENTATIVE)],
        ),
        ("tries for another's", solicitation("::", "ff02::1:ff00:77", "2001:db8:1::77", &[]), "consumed", not_ours, {
            vec![]
        }),
        // With a nonce (RFC 7527), and an option that nobody knows (RFC 4861 section 4.6).
        (
            "unknown options",
            asks_with(&[&[14, 1, 1, 2, 3, 4, 5, 6, 200, 2][..], &[0; 14], &source].concat()),
            output,
            answered,
            vec![heard(HOST6, HOST_MAC, HOST_EVENT)],
        ),
        // An address that is not Ethernet's is none.
        ("16 bytes of an address", asks_with(&[&[1, 2][..], &[2; 14]].concat()), output, answered, vec![]),
        ("an answer", tells(HOST6, 0x60, &target), "consumed", learnt, {
            vec![heard(HOST6, HOST_MAC, reply(true, true, false))]
        }),
        ("an answer of a router", tells(HOST_LL, 0xc0, &target), "consumed", learnt, {
            vec![heard(HOST_LL, HOST_MAC, reply(true, false, true))]
        }),
        ("nobody asked", everyone(HOST6, 0x20, &target), "consumed", learnt, {
            vec![heard(HOST6, HOST_MAC, reply(false, true, false))]
        }),
        // RFC 4861 section 4.4: the answer to a question for one alone may come without its MAC; the frame's confirms it.
        ("an answer without a MAC", tells(HOST6, 0x60, &[]), "consumed", learnt, {
            vec![heard(HOST6, HOST_MAC, reply(true, false, false))]
        }),
        // Section 7.2.8: a proxy speaks for another.
        ("for another station", tells("2001:db8:1::77", 0x40, &target), "consumed", learnt, {
            vec![heard("2001:db8:1::77", HOST_MAC, reply(true, false, false))]
        }),
        // RFC 4862 section 5.4.4.
        ("another has our address", everyone(LAN_IP6, 0x20, &target), "consumed", conflict, vec![duplicate(LAN_IP6)]),
        ("another has what is ours soon", everyone(TENTATIVE, 0x20, &target), "consumed", conflict, {
            vec![duplicate(TENTATIVE)]
        }),
        ("asks from our address", solicitation(LAN_LL, LAN_GROUP, LAN_IP6, &source), "drop", conflict, {
            vec![duplicate(LAN_LL)]
        }),
        ("of another subnet", tells(PEER6, 0x60, &target), "drop", foreign, vec![]),
        ("of the subnet's router", tells("2001:db8:1::", 0x60, &target), "drop", foreign, vec![]),
        ("of nobody", tells("::", 0x60, &target), "drop", foreign, vec![]),
        ("asks from another subnet", solicitation(PEER6, LAN_GROUP, LAN_IP6, &source), "drop", foreign_source, vec![]),
        // RFC 4861 section 6.2.6.
        ("asks for a router", router_solicitation(HOST_LL, &source), "consumed", "router solicitations", {
            vec![heard(HOST_LL, HOST_MAC, HOST_EVENT), router_solicited(HOST_LL, Some(HOST_MAC))]
        }),
        ("asks for a router, no MAC", router_solicitation(HOST_LL, &[]), "consumed", "router solicitations", {
            vec![router_solicited(HOST_LL, None)]
        }),
        ("asks for a router, no address", router_solicitation("::", &[]), "consumed", "router solicitations", {
            vec![router_solicited("::", None)]
        }),
        ("asks for a router from elsewhere", router_solicitation(PEER6, &source), "drop", foreign_source, vec![]),
        ("asks for a router from our address", router_solicitation(LAN_LL, &source), "drop", foreign_source, vec![]),
        // For hosts.
        (
            "another router",
            router_advertisement(HOST_LL),
            "consumed",
            "router advertisements of others (ignored)",
            vec![],
        ),
        // RFC 4861 section 8.2.
        ("a redirect", redirect(HOST_LL), "consumed", "redirects (ignored)", vec![]),
    ] {
        let outcome = t.run(&packet);
        assert_eq!(fate(&outcome), (next, &[(count, 1)][..]), "{name}");
        assert_eq!(t.heard(), events, "{name}: what control hears");
    }
}

fn asks_with(options: &[u8]) -> Vec<u8> {
    solicitation(HOST6, LAN_GROUP, LAN_IP6, options)
}

fn router_advertisement(from: &str) -> Vec<u8> {
    let fixed = [134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    message(from, "ff02::1", 255, &[&fixed[..], &link_layer(1, HOST_MAC)].concat())
}

fn redirect(from: &str) -> Vec<u8> {
    message(from, LAN_IP6, 255, &[&about(137, 0, HOST6, &[])[..], &ip6(PEER6).octets()].concat())
}

/// RFC 4862 section 5.4.3: what comes back of our own is no duplicate.
#[test]
fn our_own_come_back() {
    let probe = solicitation("::", TENTATIVE_GROUP, TENTATIVE, &[]);
    let announcement = advertisement(LAN_IP6, "ff02::1", LAN_IP6, 0xa0, &link_layer(2, LAN_MAC));
    for packet in [&probe, &announcement] {
        let mut t = test();
        let outcome = t.bench.one(&frame_from(LAN_MAC, packet));
        assert_eq!(fate(&outcome), ("drop", &[("our own packet came back", 1)][..]));
        let outcome = t.bench.run(&[&frame(packet)], |meta| (meta.rx_interface, meta.marks) = (LAN, marks::OWN));
        assert_eq!(fate(&outcome), ("drop", &[("our own packet came back", 1)][..]));
        assert_eq!(t.heard(), []);
    }
    // Somebody says to have our MAC address, which would have us send to ourselves.
    let mut t = test();
    for packet in
        [asks_with(&link_layer(1, LAN_MAC)), advertisement(HOST6, LAN_IP6, HOST6, 0x60, &link_layer(2, LAN_MAC))]
    {
        assert_eq!(fate(&t.run(&packet)), ("drop", &[("our own packet came back", 1)][..]));
        assert_eq!(t.heard(), []);
    }
}

#[test]
fn interfaces_that_changed() {
    let mut t = test();
    let outcome = t.bench.run(&[&frame(&question())], |meta| meta.rx_interface = 77);
    assert_eq!(fate(&outcome), ("drop", &[("interface is being removed", 1)][..]));
    t.world.interface(LAN, Interface { mac: LAN_MAC, ..Interface::default() });
    assert_eq!(fate(&t.run(&question())), ("consumed", &[("target address is not ours", 1)][..]));
    assert_eq!(t.heard(), []);
}

#[test]
fn a_full_queue_is_counted_and_does_not_keep_from_answering() {
    let mut t = test();
    while t.events.push(duplicate(LAN_IP6)) {}
    let full = "queue to the control plane is full";
    let outcome = t.run(&question());
    let counts = [("solicitations answered", 1), (full, 1)];
    assert_eq!(fate(&outcome), ("interface-output", &counts[..]));
    let outcome = t.run(&router_solicitation(HOST_LL, &link_layer(1, HOST_MAC)));
    assert_eq!(fate(&outcome), ("consumed", &[("router solicitations", 1), (full, 2)][..]));
    assert_eq!(t.heard().len(), EVENTS);
}

#[test]
fn trace() {
    let say = |packet: &[u8]| test().bench.traced(&frame(packet), |meta| meta.rx_interface = LAN).1;
    let at = "02:00:00:00:01:0a";
    assert_eq!(say(&question()), format!("who has 2001:db8:1::1? tell 2001:db8:1::10 at {at}"));
    assert_eq!(say(&solicitation("::", LAN_GROUP, LAN_IP6, &[])), "who has 2001:db8:1::1? tell ::");
    let tells = advertisement(HOST6, LAN_IP6, HOST6, 0xe0, &link_layer(2, HOST_MAC));
    assert_eq!(say(&tells), format!("2001:db8:1::10 is here at {at} router solicited override"));
    let router = router_solicitation(HOST_LL, &link_layer(1, HOST_MAC));
    assert_eq!(say(&router), format!("router solicitation from fe80::10 at {at}"));
    assert_eq!(say(&router_advertisement(HOST_LL)), "router advertisement from fe80::10");
    assert_eq!(say(&redirect(HOST_LL)), "redirect from fe80::10");
    assert_eq!(NAME.as_str(), "icmp6-neighbor-discovery");
}
