//! The router's own addresses (RFC 4862 5.3, 5.4): tentative, then announced; and what is nobody else's is used.

use harness::frames6::{self, ALL_NODES, Icmp6, Ip6, UNSPECIFIED, ip6, traffic};
use harness::nd::{NA, NS, Nd, OVERRIDE, ROUTER};
use harness::{LAN6, Lab, Router, Wire, Wires, eventually, frames};
use std::time::{Duration, Instant};

/// The command that gives the lan its address.
const ADD: &str = "address add 2001:db8:1::1/64 interface lan";

/// The detection of an address: who asks for it from nobody.
#[track_caller]
fn detection(wire: &Wire, address: Ip6) -> Nd {
    wire.expect("duplicate address detection", |frame| {
        Nd::of_kind(NS, frame).filter(|asked| asked.ip.0 == UNSPECIFIED && asked.target() == address)
    })
}

/// A station in the lan, by its link-local address.
fn station() -> ([u8; 6], Ip6) {
    (LAN6.mac, frames6::link_local(LAN6.mac))
}

fn echo(seq: u16, to: Ip6) -> Vec<u8> {
    LAN6.frame(&frames6::echo_request(LAN6.ip, to, 5, seq, b"in use?"))
}

/// RFC 4862 5.4: a question for the address, a second of waiting, in which the address is not used; then it is announced
/// (RFC 4861 7.2.6) and used.
#[test]
fn an_address_is_tentative_first() {
    let net = Wires::start("");
    net.router.run(ADD);
    let own = LAN6.router_ip;
    let asked = detection(&net.lan, own);
    let begin = Instant::now();
    assert_eq!(asked, Nd::detection(LAN6.router_mac, own));
    // Neither pings nor questions are answered.
    net.lan.send(&echo(1, own));
    net.lan.send(&Nd::solicitation(station(), own).frame());
    let announced = net.lan.expect("the announcement", |frame| {
        assert!(Icmp6::of(frame).is_none_or(|message| message.kind != 129), "it answers by a tentative address");
        Nd::of_kind(NA, frame).filter(|told| told.target() == own)
    });
    assert!(begin.elapsed() >= Duration::from_millis(500), "RetransTimer is a second: {:?}", begin.elapsed());
    let all = (frames6::group_mac(ALL_NODES), ALL_NODES);
    let flags = announced.word[0];
    assert!([ROUTER, ROUTER | OVERRIDE].contains(&flags), "{announced:?}");
    let wanted = Nd::advertisement((LAN6.router_mac, own), all, flags);
    assert_eq!(announced, Nd { ip: (announced.ip.0, ALL_NODES), ..wanted });
    net.lan.send(&Nd::solicitation(station(), own).frame());
    net.lan.expect("an answer", |frame| Nd::of_kind(NA, frame).filter(|told| told.ip.1 == station().1));
    net.router.run("neighbor add 2001:db8:1::10 mac 02:00:00:00:01:0a interface lan");
    net.lan.send(&echo(2, own));
    let reply = net.lan.expect("an echo reply", |frame| Icmp6::of(frame).filter(|message| message.kind == 129));
    assert_eq!(reply.word[3], 2, "the first was answered, too");
}

/// The link-local address comes by itself, from the hardware address, with the first one, and is tried as any other.
#[test]
fn the_link_local_address_comes_by_itself() {
    let net = Wires::start("");
    let local = LAN6.router_link_local();
    net.router.run(ADD);
    assert_eq!(detection(&net.lan, local), Nd::detection(LAN6.router_mac, local));
    let announced =
        net.lan.expect("the announcement", |frame| Nd::of_kind(NA, frame).filter(|told| told.target() == local));
    assert_eq!(announced.ip, (local, ALL_NODES));
    net.lan.send(&Nd::solicitation(station(), local).frame());
    net.lan.expect("an answer", |frame| Nd::of_kind(NA, frame).filter(|told| told.ip == (local, station().1)));
    let ping = frames6::echo_request(station().1, local, 5, 1, b"?");
    net.lan.send(&LAN6.frame(&ping));
    let reply = net.lan.expect("an echo reply", |frame| Icmp6::of(frame).filter(|message| message.kind == 129));
    assert_eq!((reply.ip.source, reply.ip.destination), (local, station().1));
}

/// RFC 4862 5.4.3, 5.4.4, 5.4.5: somebody has the address, or tries for it at the same time. It is not used, and
/// the operator is told.
#[test]
fn an_address_that_somebody_else_has() {
    let other = [2, 0, 0, 0, 9, 9];
    let all = (frames6::group_mac(ALL_NODES), ALL_NODES);
    for (name, conflict) in [
        ("has it", Nd::advertisement((other, LAN6.router_ip), all, OVERRIDE)),
        ("tries for it", Nd::detection(other, LAN6.router_ip)),
    ] {
        let net = Wires::start("");
        net.router.run(ADD);
        detection(&net.lan, LAN6.router_ip);
        net.lan.send(&conflict.frame());
        eventually(&format!("the operator hears that somebody {name}"), || {
            net.router.run("show events").contains("another station has 2001:db8:1::1").then_some(())
        });
        // The link-local address is another matter. Once it is there, the other one would have been, too.
        let local = LAN6.router_link_local();
        let uses = |frame: &[u8]| {
            let message = Icmp6::of(frame)?;
            let own = message.ip.source == LAN6.router_ip;
            assert!(!own, "{name}: it is used: {message:?}");
            Nd::of_kind(NA, frame)
        };
        net.lan.expect("the announcement of the link-local address", |frame| {
            uses(frame).filter(|told| told.target() == local)
        });
        net.lan.send(&echo(1, LAN6.router_ip));
        net.lan.send(&Nd::solicitation(station(), LAN6.router_ip).frame());
        net.lan.send(&Nd::solicitation(station(), local).frame());
        net.lan.expect("an answer by the link-local address", |frame| {
            let told = uses(frame)?;
            assert_ne!(told.target(), LAN6.router_ip, "{name}: it is defended");
            (told.target() == local).then_some(())
        });
    }
}

/// An address that is added is tried, one that is removed is answered for no more.
#[test]
fn addresses_come_and_go() {
    let net = Wires::dual("");
    let own = ip6("2001:db8:1::2");
    net.router.run("address add 2001:db8:1::2/64 interface lan");
    detection(&net.lan, own);
    let used = || traffic(&net.pass(&[echo(1, own)]).lan).iter().any(|frame| Icmp6::of(frame).is_some());
    eventually("it is used", || used().then_some(()));
    let row = net.router.interface("lan").expect("lan");
    assert!(row["addresses"].to_string().contains("2001:db8:1::2/64"), "{row}");
    net.router.run("address remove 2001:db8:1::2/64 interface lan");
    assert!(!used());
    assert_eq!(traffic(&net.pass(&[echo(1, LAN6.router_ip)]).lan).len(), 1, "the other one stays");
}

/// With the last address the link-local one goes, too; an interface takes part in IPv6 or it doesn't.
#[test]
fn the_last_address_takes_the_link_local_one_with_it() {
    let net = Wires::dual("");
    let local = LAN6.router_link_local();
    let answered = || {
        let seen = net.pass(&[Nd::solicitation(station(), local).frame()]).lan;
        seen.iter().any(|frame| Nd::of_kind(NA, frame).is_some_and(|told| told.ip.1 == station().1))
    };
    assert!(answered());
    net.router.run("neighbor remove 2001:db8:1::10 interface lan");
    net.router.run("address remove 2001:db8:1::1/64 interface lan");
    assert!(!answered());
    let row = net.router.interface("lan").expect("lan");
    assert!(!row["addresses"].to_string().contains("fe80::"), "{row}");
}

/// RFC 4291 appendix A, RFC 4861 7.2.6: with another hardware address come another link-local address and the news of it.
#[test]
fn another_hardware_address() {
    let net = Wires::dual("");
    let mac = [2, 0xfe, 0, 0, 0, 0x77];
    net.router.run("interface set lan mac 02:fe:00:00:00:77");
    let mut awaited = vec![frames6::link_local(mac), LAN6.router_ip];
    net.lan.expect("announcements", |frame| {
        let told = Nd::of_kind(NA, frame).filter(|told| told.ip.1 == ALL_NODES && told.link.1 == mac)?;
        assert_eq!(told.option(2), Some(&mac[..]));
        awaited.retain(|address| *address != told.target());
        awaited.is_empty().then_some(())
    });
    for own in [frames6::link_local(mac), LAN6.router_ip] {
        net.lan.send(&Nd::solicitation(station(), own).frame());
        let told =
            net.lan.expect("an answer", |frame| Nd::of_kind(NA, frame).filter(|told| told.ip == (own, station().1)));
        assert_eq!((told.link.1, told.option(2)), (mac, Some(&mac[..])));
    }
    // Nobody answers for the old one any more.
    net.lan.send(&Nd::solicitation(station(), LAN6.router_link_local()).frame());
    net.lan.send(&Nd::solicitation(station(), LAN6.router_ip).frame());
    let told = net.lan.expect("an answer", |frame| Nd::of_kind(NA, frame).filter(|told| told.ip.1 == station().1));
    assert_eq!(told.target(), LAN6.router_ip);
}

/// Two routers that were given the same address: the second finds out, and leaves it to the first.
#[test]
fn two_routers_with_one_address() {
    let (first, second) = (Lab::new(), Lab::new());
    first.router.cable("lan", &second.router, "lan");
    let config = |mac| {
        format!(
            "interfaces: {{lan: {{driver: af-packet, device: lan, mac: '{mac}', addresses: ['2001:db8:1::1/64']}}}}"
        )
    };
    let one = first.start(&config("02:fe:00:00:00:41"));
    let told = |router: &Router| router.run("show events").contains("another station");
    eventually("the first has its address", || (one.ctl("ping 2001:db8:1::1 count 1").code == 0).then_some(()));
    let two = second.start(&config("02:fe:00:00:00:42"));
    eventually("the second finds out", || told(&two).then_some(()));
    // The first goes on: RFC 4862 5.4.3 lets who only tries for an address give way.
    one.run("ping 2001:db8:1::1 count 1");
    two.ctl("ping 2001:db8:1::1 count 1").code(1);
}

/// RFC 8200 section 5: a link of IPv6 carries 1280 bytes at least.
#[test]
fn no_ip6_on_small_links() {
    let net = Wires::dual("");
    assert!(net.router.ctl("interface set lan mtu 1279").code(1).stderr.contains("1280"));
    net.router.run("interface set lan mtu 1280");
}

/// RFC 4291 2.6.1: the subnet's router anycast address is the router's, too.
#[test]
fn the_subnet_router_anycast_address() {
    let net = Wires::dual("");
    let seen = traffic(&net.pass(&[echo(1, ip6("2001:db8:1::"))]).lan);
    let reply = Icmp6::of(seen.first().expect("an answer")).expect("an echo reply");
    assert_eq!((reply.kind, reply.ip.destination), (129, LAN6.ip));
    // Nor is it forwarded by the address of the other side.
    let seen = net.pass(&[echo(1, ip6("2001:db8:2::"))]);
    assert!(traffic(&seen.wan).is_empty(), "{:02x?}", seen.wan);
}

/// An interface without an address of IPv6 takes no part in it.
#[test]
fn no_ip6_without_an_address() {
    let net = Wires::start("");
    let local = LAN6.router_link_local();
    let ping = |to| LAN6.frame(&frames6::echo_request(LAN6.ip, to, 1, 1, b"?"));
    let all = frames::ethernet(
        LAN6.mac,
        [0x33, 0x33, 0, 0, 0, 1],
        frames6::IP6,
        &frames6::echo_request(frames6::link_local(LAN6.mac), ALL_NODES, 1, 1, b"?"),
    );
    let asked = Nd::solicitation((LAN6.mac, LAN6.ip), local).frame();
    let seen = net.pass(&[ping(local), ping(LAN6.router_ip), all, asked]);
    let six = |frames: &[Vec<u8>]| frames.iter().filter(|frame| frames::ether_type(frame) == frames6::IP6).count();
    assert_eq!((six(&seen.lan), six(&seen.wan)), (0, 0), "{seen:02x?}");
}
