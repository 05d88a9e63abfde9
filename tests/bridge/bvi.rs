//! The router in the bridge: its routed interface.

use crate::net::{EXPERIMENT, Hosted, Wired, await_event, behind, frame, only, station};
use harness::capture_file::captured;
use harness::frames::{self, Arp};
use harness::{HttpServer, Lab, PATIENCE, eventually, within};

const BVI: &str = "bvi: {addresses: [192.168.2.1/24, '2001:db8:2::1/64']}";
const WAN: &str = "  wan: {driver: af-packet, device: wan, addresses: [203.0.113.1/24, '2001:db8:9::1/64']}\n";

#[test]
fn hosts_are_routed_from_the_bridge() {
    let lab = Lab::new();
    let wan = lab.host("wan", "203.0.113.10/24", "203.0.113.1");
    wan.configure6("2001:db8:9::10/64", "2001:db8:9::1");
    let net = Hosted::within(lab, 2, BVI, WAN, "");
    let [a, b] = &net.hosts[..] else { panic!("two hosts") };
    a.configure6("2001:db8:2::21/64", "2001:db8:2::1");
    a.ping("192.168.2.1");
    a.ping("203.0.113.10");
    b.ping("203.0.113.10");
    wan.ping("192.168.2.11");
    a.ping("2001:db8:2::1");
    a.ping("2001:db8:9::10");
    a.ping("192.168.2.12");
    HttpServer::start(&wan, 4 << 20).fetch(a);
    HttpServer::start(a, 4 << 20).fetch(&wan);
    let row = net.router.interface("br0").expect("the routed interface");
    assert_eq!((&row["driver"], &row["link"]), (&"bvi".into(), &"up".into()));
    for count in ["rx_packets", "tx_packets"] {
        assert!(row[count].as_u64() > Some(100), "{count}: {row}");
    }
    let own = row["mac"].as_str().expect("an address");
    assert_eq!(behind(&net.router, own), "br0");
    assert!(net.router.neighbor_state("192.168.2.11").is_some_and(|state| state != "incomplete"));
    // The neighbours of the bridge are on it, not on its ports.
    let neighbors = net.router.list("show neighbors interface br0");
    assert!(neighbors.iter().any(|row| row["address"] == "192.168.2.12"), "{neighbors:?}");
}

#[test]
fn hosts_are_translated_to_the_outside() {
    let lab = Lab::new();
    let wan = lab.host("wan", "203.0.113.10/24", "203.0.113.1");
    // It knows no way back.
    wan.ip("route del default");
    let nat = "nat44: {inside: [br0], outside: [wan], pool: interface}\n";
    let net = Hosted::within(lab, 2, BVI, WAN, nat);
    for host in &net.hosts {
        host.ping("203.0.113.10");
        HttpServer::start(&wan, 2 << 20).fetch(host);
    }
    let sessions = net.router.list("show nat44 sessions");
    let inside = |address: &str| sessions.iter().any(|row| row["inside_address"] == address);
    assert!(inside("192.168.2.11") && inside("192.168.2.12"), "{sessions:?}");
    assert!(sessions.iter().all(|row| row["outside_address"] == "203.0.113.1"), "{sessions:?}");
}

#[test]
fn vlans_of_the_bridge_have_routed_interfaces_of_their_own() {
    let lab = Lab::new();
    let host = |name: &str, net: u8| lab.host(name, &format!("10.{net}.0.10/24"), &format!("10.{net}.0.1"));
    let (ten, twenty, trunk) = (host("pa", 10), host("pb", 20), lab.wire("pc"));
    let router = lab.start(
        "
interfaces:
  pa: {driver: af-packet, device: pa, bridge: br0, vlan: 10}
  pb: {driver: af-packet, device: pb, bridge: br0, vlan: 20}
  pc: {driver: af-packet, device: pc, bridge: br0, trunk: {vlans: '10,20'}}
bridges:
  br0:
    bvi:
      sub-interfaces:
        10: {addresses: [10.10.0.1/24]}
        20: {addresses: [10.20.0.1/24]}
",
    );
    ten.ping("10.10.0.1");
    twenty.ping("10.20.0.1");
    ten.ping("10.20.0.10");
    // Who is on the trunk asks for the router, and is answered in its VLAN.
    for (vlan, net) in [(10, [10, 10, 0]), (20, [10, 20, 0])] {
        let at = |host: u8| [net[0], net[1], net[2], host];
        let asked = Arp { operation: 1, sender: (station(3), at(33)), target: ([0; 6], at(1)) };
        trunk.send(&frames::tagged(vlan, &asked.frame(frames::BROADCAST)));
        let answer = trunk.expect("answer", |frame| {
            let (tag, inner) = frames::untagged(frame)?;
            Arp::of(&inner).filter(|arp| tag == vlan && arp.operation == 2)
        });
        assert_eq!((answer.sender.1, answer.target), (at(1), (station(3), at(33))));
    }
    // A capture of one of them has what it receives and sends, and nothing of the other.
    let file = lab.files.file("vlan10.pcapng");
    router.run(&format!("capture start {} interface br0.10 filter icmp", file.display()));
    ten.ping("10.20.0.10");
    twenty.ping("10.20.0.1");
    router.run("capture stop");
    let [received, sent] = [1, 2].map(|way| captured(&file).iter().filter(|packet| packet.direction == way).count());
    assert!(received > 0 && received == sent, "{received} received, {sent} sent");
    let tagged = captured(&file).iter().all(|packet| frames::untagged(&packet.bytes).is_some_and(|(tag, _)| tag == 10));
    assert!(tagged, "as they are on the bridge");
    let bridge = router.json("show bridges br0");
    let vlan = |number: u64| {
        let vlans = bridge["vlans"].as_array().expect("VLANs");
        vlans.iter().find(|vlan| vlan["vlan"] == number).unwrap_or_else(|| panic!("VLAN {number}: {bridge}")).clone()
    };
    assert_eq!((&vlan(10)["bvi"], &vlan(20)["bvi"]), (&"br0.10".into(), &"br0.20".into()));
    assert_eq!(vlan(10)["interfaces"], serde_json::json!(["pa", "pc"]));
    let rows = router.list("show mac-table br0 vlan 20");
    assert!(rows.iter().any(|row| row["mac"] == *twenty.mac() && row["vlan"] == 20), "{rows:?}");
    assert!(!rows.iter().any(|row| row["mac"] == *ten.mac()), "{rows:?}");
}

#[test]
fn addresses_are_announced_in_vlans_that_are_new() {
    let lab = Lab::new();
    let trunk = lab.wire("pa");
    let router = lab.start(
        "
interfaces:
  pa: {driver: af-packet, device: pa, bridge: br0, trunk: all}
bridges:
  br0: {bvi: on}
",
    );
    for vlan in 100..112 {
        router.run(&format!("interface add br0.{vlan} driver vlan address 10.{vlan}.0.1/24"));
        trunk.expect(&format!("announcement in VLAN {vlan}"), |frame| {
            let (tag, inner) = frames::untagged(frame)?;
            Arp::of(&inner).filter(|arp| tag == vlan && arp.sender.1 == [10, vlan as u8, 0, 1])
        });
    }
    assert_eq!(router.errors("interface-tx", "interface has no transmit queue"), 0);
}

#[test]
fn it_speaks_when_a_port_comes_up_and_is_down_without_any() {
    let net = Wired::start("bvi: {addresses: [192.168.2.1/24]}", ["state: down", "state: down"]);
    let link = || net.router.interface("br0").expect("br0")["link"].clone();
    assert_eq!(link(), "down");
    await_event(&net.router, PATIENCE, "link down: no port of the bridge is up");
    net.router.run("interface set pb up");
    let said = net.wires[1].expect("announcement", |frame| {
        Arp::of(frame).filter(|arp| arp.sender.1 == [192, 168, 2, 1] && arp.target.1 == arp.sender.1)
    });
    assert_eq!(link(), "up");
    // Whoever asks is answered from the same address.
    let asked = Arp { operation: 1, sender: (station(1), [192, 168, 2, 9]), target: ([0; 6], [192, 168, 2, 1]) };
    net.wires[1].send(&asked.frame(frames::BROADCAST));
    let answer = net.wires[1].expect("answer", |frame| Arp::of(frame).filter(|arp| arp.operation == 2));
    assert_eq!(answer.sender, said.sender);
    net.router.run("interface set pb down");
    eventually("the bridge's interface is down", || (link() == "down").then_some(()));
}

#[test]
fn broadcasts_reach_everybody_and_the_router() {
    let net = Wired::start("bvi: {addresses: [192.168.2.1/24]}", ["", "", ""]);
    // As a host that has no address yet asks for one.
    let [mut source, mut destination] = [[0; 4], [255; 4]];
    (source[0], destination[0]) = (0, 255);
    let packet = frames::udp_packet(source, destination, 67, b"discover");
    let asked = frames::ethernet(station(1), frames::BROADCAST, frames::IP4, &packet);
    assert_eq!(net.send(0, &asked), only([1, 2]));
    let heard = net.router.counter("br0", "rx_packets");
    assert!(heard > 0, "{}", net.router.run("show interfaces"));
    // What is meant for the router goes to nobody else, and what it can't use is no harm.
    let mac = net.router.interface("br0").expect("br0")["mac"].as_str().map(frames::mac).expect("its address");
    assert_eq!(net.pass(1, station(2), mac), only([]));
    assert_eq!(net.router.counter("br0", "rx_packets"), heard + 1);
    // Nobody else has its address.
    net.send(2, &frames::ethernet(mac, frames::BROADCAST, EXPERIMENT, &[0; 46]));
    assert_eq!(behind(&net.router, &crate::net::text(mac)), "br0");
    assert!(net.send(2, &frame(mac, station(1))).is_empty(), "{}", net.router.run("show errors"));
}

#[test]
fn the_router_goes_on_with_a_new_address() {
    let net = Hosted::start(1, BVI, "", "");
    net.hosts[0].ping("192.168.2.1");
    net.router.run("interface set br0 mac 02:00:00:00:00:77");
    let answered = within(PATIENCE, || net.hosts[0].reaches("192.168.2.1").then_some(()));
    assert!(answered.is_some(), "{}", net.router.run("show mac-table"));
    assert_eq!(behind(&net.router, "02:00:00:00:00:77"), "br0");
    assert_eq!(net.router.list("show mac-table static").len(), 1, "the old one is gone");
}
