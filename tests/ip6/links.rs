//! IPv6 on links of other kinds, and on links that come and go.

use harness::frames6::{self, ip6, traffic};
use harness::nd::{self, NA, Nd, OVERRIDE, ROUTER, SOLICITED};
use harness::{DualHosts, Host, HttpServer, Iperf, LAN6, Lab, UdpStream, WAN6, Wires, eventually, frames};

/// A sub-interface has a link-local address and neighbours of its own; all is tagged.
#[test]
fn sub_interfaces() {
    const VLAN: u16 = 100;
    let station = ([2, 0, 0, 0, 1, 0x64], ip6("2001:db8:64::10"));
    let router = ip6("2001:db8:64::1");
    let lan = "'2001:db8:1::1/64']";
    let sub = format!("{lan}, sub-interfaces: {{{VLAN}: {{addresses: [10.100.0.1/24, '2001:db8:64::1/64']}}}}");
    let net = Wires::dual_with(&Wires::DUAL.replace(lan, &sub));
    let tagged = |frame: &[u8]| frames::tagged(VLAN, frame);
    let inner = |frame: &[u8]| frames::untagged(frame).filter(|(vlan, _)| *vlan == VLAN).map(|(_, inner)| inner);
    let asked = Nd::solicitation(station, router);
    let answer = eventually("the router's answer", || {
        net.lan.send(&tagged(&asked.frame()));
        net.lan.find(std::time::Duration::from_millis(100), &mut Vec::new(), |frame| Nd::of_kind(NA, &inner(frame)?))
    });
    let wanted = Nd::advertisement((LAN6.router_mac, router), station, ROUTER | SOLICITED | OVERRIDE);
    assert_eq!(answer, wanted);
    let packet = |to| {
        frames::ethernet(station.0, LAN6.router_mac, frames6::IP6, &frames6::udp_packet(station.1, to, 7, b"across"))
    };
    // Across to another side, and back with a tag.
    let seen = net.pass(&[tagged(&packet(WAN6.ip))]);
    assert_eq!(traffic(&seen.wan).len(), 1);
    net.wan.send(&WAN6.frame(&frames6::udp_packet(WAN6.ip, station.1, 7, b"back")));
    let frame = net.lan.expect("a packet with a tag", |frame| inner(frame).filter(|inner| inner.ends_with(b"back")));
    assert_eq!((frames::link(&frame).0, frame[21]), (station.0, 63));
    // What comes without a tag is another network's, though it has the same hardware address.
    let seen = net.pass(&[asked.frame()]);
    assert!(nd::all(NA, &seen.lan).is_empty());
    // Both have the same link-local address, each on its own link.
    let local = LAN6.router_link_local();
    net.lan.send(&tagged(&Nd::solicitation(station, local).frame()));
    net.lan
        .expect("an answer with a tag", |frame| Nd::of_kind(NA, &inner(frame)?).filter(|told| told.target() == local));
}

/// The tap driver: the kernel's side of the device is a host's card.
#[test]
fn a_tap() {
    let lab = Lab::new();
    let wan = lab.host("wan", "203.0.113.10/24", "203.0.113.1").with6("2001:db8:2::10/64", "2001:db8:2::1");
    let _router = lab.start(
        "
interfaces:
  lan: {driver: tap, device: mr-lan, addresses: [192.168.1.1/24, '2001:db8:1::1/64'], router-advertisements: {}}
  wan: {driver: af-packet, device: wan, addresses: [203.0.113.1/24, '2001:db8:2::1/64']}
",
    );
    let lan = Host::unplugged("lan", "");
    lan.sysctl("net.ipv6.conf.default.router_solicitation_delay=0");
    lab.router.ip(&format!("link set mr-lan netns {} name eth0", lan.name()));
    lan.ip("link set eth0 up");
    // It configures itself by the advertisements.
    let address = eventually("the host has an address", || lan.addresses6().pop());
    let lan = lan.at(&address);
    eventually("it reaches the other side", || lan.reaches("2001:db8:2::10").then_some(()));
    wan.ping(&lan.address);
    HttpServer::start(&wan, 8 << 20).fetch(&lan);
    HttpServer::start(&lan, 8 << 20).fetch(&wan);
    assert!(Iperf::run(&lan, &wan, 1, "-6").bits_per_second > 50e6);
    lan.run("ping -n -c 1 -W 2 -s 5000 2001:db8:1::1").ok();
}

#[test]
fn a_cable_pulled_and_put_back() {
    let net = DualHosts::start("");
    net.lan.ping("2001:db8:2::10");
    let link = |state: &str| {
        let is = || net.router.interface("wan").is_some_and(|row| row["link"] == state).then_some(());
        eventually(&format!("the link is {state}"), is);
    };
    for _ in 0..2 {
        net.wan.ip("link set eth0 down");
        link("down");
        assert!(!net.lan.reaches("2001:db8:2::10"));
        net.wan.configure6("2001:db8:2::10/64", "2001:db8:2::1");
        link("up");
        eventually("it forwards again", || net.lan.reaches("2001:db8:2::10").then_some(()));
        eventually("in both directions", || net.wan.reaches("2001:db8:1::10").then_some(()));
    }
    net.lan.ping("192.168.1.1");
}

#[test]
fn a_device_that_disappears_and_comes_back() {
    let net = DualHosts::start("");
    net.lan.ping("2001:db8:2::10");
    net.wan.ip("link del eth0");
    let gone = || net.router.interface("wan").is_some_and(|row| row["link"] == "missing").then_some(());
    eventually("it is missing", gone);
    assert!(!net.lan.reaches("2001:db8:2::10"));
    net.lan.ping("2001:db8:1::1");
    net.lab.router.cable("wan", &net.wan, "eth0");
    net.wan.configure6("2001:db8:2::10/64", "2001:db8:2::1");
    eventually("it forwards again", || net.lan.reaches("2001:db8:2::10").then_some(()));
    eventually("in both directions", || net.wan.reaches("2001:db8:1::10").then_some(()));
}

/// An interface with IPv6 comes and goes beside traffic of others, several times.
#[test]
fn one_is_added_and_removed_under_traffic() {
    let net = DualHosts::start("");
    net.lan.ping("2001:db8:2::10");
    let dmz = net.lab.host("dmz", "10.5.0.10/24", "10.5.0.1").with6("2001:db8:5::10/64", "2001:db8:5::1");
    let stream = UdpStream::start(&net.lan, &net.wan, 1000);
    for _ in 0..2 {
        net.router.run("interface add dmz driver af-packet device dmz");
        net.router.run("address add 2001:db8:5::1/64 interface dmz");
        eventually("the new interface forwards", || net.lan.reaches("2001:db8:5::10").then_some(()));
        dmz.ping("2001:db8:2::10");
        net.router.run("interface remove dmz");
        assert!(!dmz.reaches("2001:db8:5::1"), "the interface is gone");
    }
    let (sent, missing) = stream.finish();
    assert!(missing.is_empty(), "{} of {sent} packets were lost: {missing:?}", missing.len());
    net.router.rebase();
}

/// A loopback interface's address is answered for, from any side.
#[test]
fn a_loopback_interface() {
    let net = DualHosts::start("");
    net.router.run("interface add lo0 driver loopback address 2001:db8:ff::1/128");
    eventually("it answers", || net.lan.reaches("2001:db8:ff::1").then_some(()));
    net.wan.ping("2001:db8:ff::1");
    net.router.run("interface remove lo0");
    assert!(!net.lan.reaches("2001:db8:ff::1"));
    net.router.rebase();
}

/// The kernel's own IPv6 takes no part on a device that the router has, and is as it was when the router is gone.
#[test]
fn the_kernel_keeps_out() {
    let lab = Lab::new();
    let lan = lab.host("lan", "192.168.1.10/24", "192.168.1.1").with6("2001:db8:1::10/64", "2001:db8:1::1");
    let disabled = || lab.router.run("sysctl -n net.ipv6.conf.lan.disable_ipv6").ok().trim().to_owned();
    assert_eq!(disabled(), "0");
    let router = lab.start("interfaces: {lan: {driver: af-packet, device: lan, addresses: ['2001:db8:1::1/64']}}");
    if router.is_daemon() {
        assert_eq!(disabled(), "1");
    }
    eventually("the router answers", || lan.reaches("2001:db8:1::1").then_some(()));
    drop(router);
    assert_eq!(disabled(), "0");
}
