//! Mirrors: what interfaces receive and send, once more by another interface or in a file.

use harness::capture_file::{Captured, captured};
use harness::frames::{self, Mac};
use harness::{Host, HttpServer, LAN, Lab, Router, WAN, Wire, eventually};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Two stations, and one that listens.
struct Net {
    router: Router,
    lan: Wire,
    wan: Wire,
    probe: Wire,
    _lab: Lab,
}

const CONFIG: &str = "
interfaces:
  lan: {driver: af-packet, device: lan, mtu: 9000, mac: '02:fe:00:00:00:01', addresses: [192.168.1.1/24]}
  wan: {driver: af-packet, device: wan, mtu: 9000, mac: '02:fe:00:00:00:02', addresses: [203.0.113.1/24]}
  probe: {driver: af-packet, device: probe, mtu: 9000}
neighbors:
  - {interface: lan, address: 192.168.1.10, mac: '02:00:00:00:01:0a'}
  - {interface: wan, address: 203.0.113.10, mac: '02:00:00:00:02:0a'}
";

fn start(config: &str) -> Net {
    let lab = Lab::new();
    let [lan, wan, probe] = ["lan", "wan", "probe"].map(|device| {
        let wire = lab.wire(device);
        wire.end.ip("link set end0 mtu 9000");
        lab.router.ip(&format!("link set {device} mtu 9000"));
        wire
    });
    let router = lab.start(config);
    [&lan, &wan, &probe].iter().for_each(|wire| drop(wire.drain()));
    Net { router, lan, wan, probe, _lab: lab }
}

const LAN_MAC: Mac = [2, 0xfe, 0, 0, 0, 1];
const WAN_MAC: Mac = [2, 0xfe, 0, 0, 0, 2];
const HOST: Mac = [2, 0, 0, 0, 1, 0x0a];
const SERVER: Mac = [2, 0, 0, 0, 2, 0x0a];

/// A packet from the LAN to the WAN with so many bytes behind its headers, and as it leaves.
fn across(number: u16, length: usize) -> (Vec<u8>, Vec<u8>) {
    let data: Vec<u8> = (0..length).map(|n| n as u8).collect();
    let packet = frames::udp_packet(LAN.ip, WAN.ip, number, &data);
    let mut after = packet.clone();
    after[8] -= 1;
    let sum = u16::from_be_bytes([after[10], after[11]]) + 0x100;
    after[10..12].copy_from_slice(&sum.to_be_bytes());
    (frames::ethernet(HOST, LAN_MAC, frames::IP4, &packet), frames::ethernet(WAN_MAC, SERVER, frames::IP4, &after))
}

fn next(wire: &Wire) -> Option<Vec<u8>> {
    wire.recv(Duration::from_secs(10))
}

/// What is in a file, once there are so many packets.
fn written(file: &Path, count: usize) -> Vec<Captured> {
    eventually(&format!("{count} packets in {}", file.display()), || {
        Some(captured(file)).filter(|packets| packets.len() >= count)
    })
}

fn mirror(net: &Net, name: &str) -> Value {
    net.router.json(&format!("show mirrors {name}"))
}

#[test]
fn what_comes_and_goes_leaves_by_another_interface() {
    let net = start(CONFIG);
    net.router.run("mirror add both from lan to probe");
    // Long ones are shared by those who get them, and nobody's bytes change by what others do.
    for (number, length) in [(1, 20), (2, 1400), (3, 2200), (4, 8000)] {
        let (sent, left) = across(number, length);
        net.lan.send(&sent);
        assert!(next(&net.wan).as_ref() == Some(&left), "{length} bytes");
        assert!(next(&net.probe).as_ref() == Some(&sent), "a copy of {length} bytes as they came");
        let back = frames::ethernet(
            SERVER,
            WAN_MAC,
            frames::IP4,
            &frames::udp_packet(WAN.ip, LAN.ip, number, &vec![9; length]),
        );
        net.wan.send(&back);
        let came = next(&net.lan).expect("an answer");
        assert!(next(&net.probe) == Some(came), "a copy of {length} bytes as they left");
    }
    // What the router says itself leaves, too; and what others receive is nobody's business.
    net.wan.send(&frames::ethernet(
        SERVER,
        WAN_MAC,
        frames::IP4,
        &frames::echo_request(WAN.ip, WAN.router_ip, 1, 1, b"?"),
    ));
    assert!(next(&net.wan).is_some());
    net.lan.send(&frames::ethernet(
        HOST,
        LAN_MAC,
        frames::IP4,
        &frames::echo_request(LAN.ip, LAN.router_ip, 1, 1, b"?"),
    ));
    let answer = next(&net.lan);
    assert_eq!(net.probe.drain().len() + usize::from(next(&net.probe).is_some()), 2, "the question and the answer");
    assert!(answer.is_some());
    let shown = mirror(&net, "both");
    assert_eq!((&shown["state"], &shown["copied"], &shown["to"]), (&"active".into(), &10.into(), &"probe".into()));
    assert_eq!(net.router.counter("probe", "tx_packets"), 10);
    assert_eq!(net.probe.drain(), Vec::<Vec<u8>>::new());
}

#[test]
fn only_one_way_and_not_any_more() {
    let net = start(CONFIG);
    net.router.run("mirror add in from lan,wan to probe direction rx");
    let (sent, left) = across(1, 100);
    net.lan.send(&sent);
    assert_eq!((next(&net.wan), next(&net.probe)), (Some(left.clone()), Some(sent.clone())));
    net.router.run("mirror remove in");
    net.router.run("mirror add out from lan,wan to probe direction tx snap-length 64");
    net.lan.send(&sent);
    assert_eq!((next(&net.wan), next(&net.probe)), (Some(left.clone()), Some(left[..64].to_vec())));
    net.router.run("mirror remove out");
    net.lan.send(&sent);
    assert_eq!(next(&net.wan), Some(left));
    assert_eq!((net.probe.drain(), net.router.list("show mirrors")), (Vec::new(), Vec::new()));
    // Nothing is left on the way of a frame.
    assert!(!net.router.run("show interfaces lan").contains("mirror"));
}

#[test]
fn a_target_that_is_down_or_goes_costs_nothing() {
    let net = start(CONFIG);
    net.router.run("mirror add m from lan to probe");
    let (sent, left) = across(1, 1400);
    let pass = || {
        net.lan.send(&sent);
        assert_eq!(next(&net.wan).as_ref(), Some(&left));
    };
    net.router.run("interface set probe down");
    pass();
    let shown = mirror(&net, "m");
    assert_eq!(
        (&shown["state"], &shown["copied"], &shown["missed_down"]),
        (&"target down".into(), &0.into(), &1.into())
    );
    assert_eq!(net.router.errors("mirror-rx", "target is down"), 1);
    net.router.run("interface set probe up");
    eventually("the target is up", || (mirror(&net, "m")["state"] == "active").then_some(()));
    net.probe.drain();
    pass();
    assert_eq!(next(&net.probe).as_ref(), Some(&sent));
    // The cable.
    net.probe.end.ip("link set end0 down");
    eventually("the target's link is down", || (mirror(&net, "m")["state"] == "target down").then_some(()));
    pass();
    net.probe.end.ip("link set end0 up");
    eventually("the target's link is up", || (mirror(&net, "m")["state"] == "active").then_some(()));
    assert_eq!(mirror(&net, "m")["missed_down"], 2);
    // It is not taken from under a mirror.
    let refused = net.router.ctl("interface remove probe").code(1);
    assert!(refused.stderr.contains("mirror m"), "{}", refused.stderr);
    // All at once, by a file.
    let without = CONFIG.replace("  probe: {driver: af-packet, device: probe, mtu: 9000}\n", "");
    net.router.write_config(&without);
    net.router.run(&format!("config apply {}", net.router.config_file().display()));
    pass();
    net.router.rebase();
    assert_eq!(net.router.list("show mirrors"), Vec::<Value>::new());
}

#[test]
fn into_files_beside_a_capture() {
    let net = start(CONFIG);
    let [all, three, short, capture] = ["all", "three", "short", "capture"].map(|name| net.router.files().file(name));
    net.router.run(&format!("mirror add all from lan file {}", all.display()));
    net.router.run(&format!("mirror add three from lan,wan file {} limit 3", three.display()));
    net.router.run(&format!("mirror add short from lan file {} direction rx snap-length 100", short.display()));
    net.router.run(&format!("capture start {} interface lan", capture.display()));
    let mut expected = Vec::new();
    for number in 1..=3 {
        let (sent, left) = across(number, 700 * usize::from(number));
        net.lan.send(&sent);
        assert_eq!(next(&net.wan), Some(left.clone()));
        expected.push((sent, left));
    }
    let frame = |interface: &str, direction, bytes: &[u8], most: usize| {
        let (interface, length) = (interface.to_owned(), bytes.len());
        Captured { interface, direction, length, bytes: bytes[..length.min(most)].to_vec() }
    };
    let received: Vec<Captured> = expected.iter().map(|(sent, _)| frame("lan", 1, sent, usize::MAX)).collect();
    assert_eq!(written(&all, 3), received);
    let cut: Vec<Captured> = expected.iter().map(|(sent, _)| frame("lan", 1, sent, 100)).collect();
    assert_eq!(written(&short, 3), cut);
    // In at one side, out at the other, in again; then it is done.
    let [(first, first_out), (second, _), _] = &expected[..] else { panic!() };
    let both = [frame("lan", 1, first, 9999), frame("wan", 2, first_out, 9999), frame("lan", 1, second, 9999)];
    assert_eq!(written(&three, 3), both);
    eventually("it is done", || (mirror(&net, "three")["state"] == "done").then_some(()));
    let events = net.router.run("show events");
    assert!(events.contains("mirror three") && events.contains("3 frames were copied"), "{events}");
    net.router.run("capture stop");
    assert_eq!(written(&capture, 3), received);
    // What was there stays in the file when the mirror goes.
    net.router.run("mirror remove all");
    assert_eq!(captured(&all), received);
}

#[test]
fn a_file_that_cant_be_written_is_told_and_tried_again() {
    let net = start(CONFIG);
    let folder = net.router.files().file("later");
    let file = folder.join("m.pcapng");
    net.router.run(&format!("mirror add m from lan file {}", file.display()));
    let shown = mirror(&net, "m");
    assert_eq!(shown["state"], "failed");
    assert!(shown["problem"].as_str().unwrap_or_default().contains("No such file"), "{shown}");
    assert!(net.router.run("show mirrors").contains("failed: No such file"));
    assert!(net.router.run("show events").contains("can't write"), "{}", net.router.run("show events"));
    std::fs::create_dir(&folder).expect("a folder");
    harness::within(Duration::from_secs(20), || (mirror(&net, "m")["state"] == "active").then_some(()))
        .expect("it is tried again");
    let (sent, _) = across(1, 10);
    net.lan.send(&sent);
    assert_eq!(written(&file, 1)[0].bytes, sent);
}

#[test]
fn of_a_sub_interface_only_its_own_frames() {
    let subs = "addresses: [192.168.1.1/24], sub-interfaces: {100: {addresses: [10.100.0.1/24]}, 200: {addresses: [10.200.0.1/24]}}";
    let net = start(&CONFIG.replace("addresses: [192.168.1.1/24]", subs));
    net.lan.drain();
    net.router.run("mirror add m from lan.100 to probe");
    let echo =
        |from, to| frames::ethernet(HOST, LAN_MAC, frames::IP4, &frames::echo_request(from, to, 1, 1, &[7; 1000]));
    let blue = frames::tagged(100, &echo([10, 100, 0, 9], [10, 100, 0, 1]));
    let red = frames::tagged(200, &echo([10, 200, 0, 9], [10, 200, 0, 1]));
    let ask = |vlan, sender, target| {
        let asked = frames::Arp { operation: 1, sender: (HOST, sender), target: ([0; 6], target) };
        frames::tagged(vlan, &asked.frame(frames::BROADCAST))
    };
    let sent =
        [ask(100, [10, 100, 0, 9], [10, 100, 0, 1]), ask(200, [10, 200, 0, 9], [10, 200, 0, 1]), red, blue.clone()];
    let mut answers = Vec::new();
    for frame in &sent {
        net.lan.send(frame);
        answers.push(net.lan.expect("an answer", |answer| Some(answer.to_vec())));
    }
    let copies: Vec<Vec<u8>> = (0..4).filter_map(|_| next(&net.probe)).collect();
    assert_eq!(copies, [sent[0].clone(), answers[0].clone(), blue, answers[3].clone()]);
    assert_eq!(net.probe.drain(), Vec::<Vec<u8>>::new());
    // With its parent every frame is copied once, whoever of the two is named.
    net.router.run("mirror remove m");
    net.router.run("mirror add m from lan,lan.100 to probe");
    net.lan.send(&sent[2]);
    net.lan.send(&sent[3]);
    let answers = [(); 2].map(|()| net.lan.expect("an answer", |answer| Some(answer.to_vec())));
    let mut copies: Vec<Vec<u8>> = (0..4).filter_map(|_| next(&net.probe)).collect();
    let mut expected = vec![sent[2].clone(), sent[3].clone(), answers[0].clone(), answers[1].clone()];
    copies.sort();
    expected.sort();
    assert_eq!(copies, expected);
    assert_eq!(net.probe.drain(), Vec::<Vec<u8>>::new());
}

#[test]
fn downloads_through_a_bridge_are_copied_to_a_tap() {
    let lab = Lab::new();
    let one = lab.host("one", "10.0.0.1/24", "10.0.0.2");
    let two = lab.host("two", "10.0.0.2/24", "10.0.0.1");
    let file = lab.files.file("one.pcapng");
    let router = lab.start(&format!(
        "
bridges: {{br0: {{}}}}
interfaces:
  one: {{driver: af-packet, device: one, bridge: br0}}
  two: {{driver: af-packet, device: two, bridge: br0}}
  seen: {{driver: tap, device: seen}}
mirrors:
  tapped: {{from: [one], to: seen}}
  written: {{from: [one], file: {}}}
",
        file.display()
    ));
    // What the kernels say in IPv6 of their own accord comes at no certain time.
    for namespace in [&*lab.router, &*one, &*two] {
        namespace.sysctl("net.ipv6.conf.all.disable_ipv6=1");
    }
    one.ping(&two.address);
    HttpServer::start(&two, 1 << 20).fetch(&one);
    // What was received and what was sent: each frame of the download once for either mirror.
    eventually("both have seen all", || {
        let [tapped, written] = ["tapped", "written"].map(|name| router.json(&format!("show mirrors {name}")));
        let number = |mirror: &Value, key: &str| mirror[key].as_u64().unwrap_or_default();
        let passed = ["rx_packets", "tx_packets"].map(|key| router.counter("one", key));
        let seen = [
            number(&tapped, "copied") + number(&tapped, "missed_no_buffer"),
            number(&written, "copied") + number(&written, "missed_queue_full"),
        ];
        let packets = captured(&file);
        let of = |direction| packets.iter().filter(|packet| packet.direction == direction).count() as u64;
        let all_written =
            packets.len() as u64 == number(&written, "copied") && of(1) <= passed[0] && of(2) <= passed[1];
        (seen == [passed[0] + passed[1]; 2] && all_written && passed[1] > 500).then_some(())
    });
}

/// A bridge's own interface, a bond and a VXLAN send and receive like others: hosts of a segment are routed through all three.
#[test]
fn interfaces_without_a_device_are_copied_too() {
    let lab = Lab::new();
    let inside = lab.host("one", "10.0.0.9/24", "10.0.0.1");
    let outside = lab.host("p0", "203.0.113.10/24", "203.0.113.1");
    let far = lab.host("under", "192.0.2.2/24", "192.0.2.1");
    far.ip("link add vx0 type vxlan id 100 local 192.0.2.2 remote 192.0.2.1 dstport 4789");
    far.ip("addr add 10.0.0.2/24 dev vx0");
    far.ip("link set vx0 up mtu 1450");
    let names = ["br0", "bond0", "vx0"];
    let files = names.map(|name| lab.files.file(&format!("{name}.pcapng")));
    let mirrors = names.iter().zip(&files);
    let mirrors: Vec<_> =
        mirrors.map(|(name, file)| format!("m-{name}: {{from: {name}, file: {}}}", file.display())).collect();
    let _router = lab.start(&format!(
        "
bridges: {{br0: {{bvi: {{addresses: [10.0.0.1/24]}}}}}}
interfaces:
  one: {{driver: af-packet, device: one, bridge: br0}}
  under: {{driver: af-packet, device: under, addresses: [192.0.2.1/24]}}
  vx0: {{driver: vxlan, vni: 100, local: 192.0.2.1, remotes: [192.0.2.2], bridge: br0}}
  p0: {{driver: af-packet, device: p0}}
  bond0: {{driver: bond, members: [p0], addresses: [203.0.113.1/24]}}
mirrors: {{{}}}
",
        mirrors.join(", ")
    ));
    let ask = |from: &Host, to: &str| {
        eventually("the way is there", || from.reaches(to).then_some(()));
        from.ping(to);
    };
    ask(&inside, "203.0.113.10");
    ask(&outside, "10.0.0.9");
    far.ip("route add 203.0.113.0/24 via 10.0.0.1");
    ask(&far, "203.0.113.10");
    // The questions and answers that each has seen, by the way that they went: the kind of an ICMP message and its direction.
    let seen = |at: usize, address: [u8; 4], kind: u8, direction: u32| {
        let of = |packet: &&Captured| {
            let ip = packet.bytes.get(14..).unwrap_or_default();
            let its = ip.get(12..16) == Some(&address) || ip.get(16..20) == Some(&address);
            its && ip.get(9) == Some(&1)
                && ip.get(20) == Some(&kind)
                && (&packet.interface, packet.direction) == (&names[at].to_owned(), direction)
        };
        captured(&files[at]).iter().filter(of).count()
    };
    let (question, answer, received, left) = (8, 0, 1, 2);
    eventually("each has its copies", || {
        let (near, far) = ([10, 0, 0, 9], [10, 0, 0, 2]);
        let of_two = |at, address, from: u32, to: u32| {
            seen(at, address, question, from) >= 3 && seen(at, address, answer, to) >= 3
        };
        let bvi =
            [near, far].iter().all(|address| of_two(0, *address, received, left)) && of_two(0, near, left, received);
        let bond =
            [near, far].iter().all(|address| of_two(1, *address, left, received)) && of_two(1, near, received, left);
        (bvi && bond && of_two(2, far, received, left)).then_some(())
    });
}
