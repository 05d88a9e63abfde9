//! LLDP: what the router tells on its wires, and makes of what is told there.

use harness::frames::{self, Mac};
use harness::{Lab, Router, SIGTERM, Wire, eventually};
use serde_json::Value;
use std::time::Duration;

const LLDP: u16 = 0x88cc;
const GROUP: Mac = [0x01, 0x80, 0xc2, 0, 0, 0x0e];
const SWITCH: Mac = [2, 0, 0, 0, 0, 0xa];

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let head = u16::from(kind) << 9 | value.len() as u16;
    [&head.to_be_bytes()[..], value].concat()
}

/// A frame of these TLVs.
fn frame(tlvs: &[Vec<u8>]) -> Vec<u8> {
    frames::ethernet(SWITCH, GROUP, LLDP, &tlvs.concat())
}

/// Chassis, port and TTL of a switch, and something else.
fn switch(port: &str, ttl: u16, more: &[Vec<u8>]) -> Vec<u8> {
    let chassis = tlv(1, &[&[4][..], &SWITCH].concat());
    let port = tlv(2, &[&[5], port.as_bytes()].concat());
    let begin = [chassis, port, tlv(3, &ttl.to_be_bytes())];
    frame(&[&begin[..], more, &[tlv(0, &[])]].concat())
}

/// The TLVs of a frame.
fn read(frame: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let (to, _, kind, mut rest) = frames::link(frame);
    if (kind, to) != (LLDP, GROUP) {
        return None;
    }
    let mut tlvs = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<2>() {
        let head = u16::from_be_bytes(*head);
        let (value, behind) = behind.split_at(usize::from(head & 0x1ff));
        if head >> 9 == 0 {
            return Some(tlvs);
        }
        tlvs.push(((head >> 9) as u8, value.to_vec()));
        rest = behind;
    }
    None
}

/// The values of a kind of TLV.
fn of(tlvs: &[(u8, Vec<u8>)], kind: u8) -> Vec<Vec<u8>> {
    tlvs.iter().filter(|tlv| tlv.0 == kind).map(|tlv| tlv.1.clone()).collect()
}

struct Net {
    router: Router,
    wire: Wire,
    _lab: Lab,
}

fn start(more: &str) -> Net {
    let lab = Lab::new();
    let wire = lab.wire("wan");
    let config = format!(
        "
interfaces:
  wan: {{driver: af-packet, device: wan, mac: '02:fe:00:00:00:02', addresses: [203.0.113.1/24, '2001:db8::1/64'],
        sub-interfaces: {{100: {{addresses: [10.100.0.1/24]}}}}}}
{more}"
    );
    Net { router: lab.start(&config), wire, _lab: lab }
}

const ON: &str = "lldp: {enabled: true, system-name: edge-1, interval: 1s, hold: 3}";

impl Net {
    fn neighbors(&self) -> Vec<Value> {
        self.router.list("show lldp neighbors")
    }

    fn counts(&self, key: &str) -> u64 {
        self.router.list("show lldp interfaces")[0][key].as_u64().unwrap_or(0)
    }

    #[track_caller]
    fn await_count(&self, count: usize) {
        eventually(&format!("{count} neighbors"), || (self.neighbors().len() == count).then_some(()));
    }

    /// Waits for an event of the interface's neighbours.
    #[track_caller]
    fn await_event(&self, text: &str) {
        let is =
            |event: &Value| event["source"] == "lldp wan" && event["text"].as_str().is_some_and(|t| t.contains(text));
        eventually(&format!("the event \"{text}\""), || self.router.list("show events").iter().any(is).then_some(()));
    }
}

#[test]
fn the_router_tells_of_itself() {
    let net = start(ON);
    let tlvs = net.wire.expect("LLDP", read);
    let begin: Vec<u8> = tlvs.iter().take(3).map(|tlv| tlv.0).collect();
    assert_eq!(begin, [1, 2, 3], "chassis, port, TTL");
    let mac = [4, 2, 0xfe, 0, 0, 0, 2];
    assert_eq!(
        (&of(&tlvs, 1)[0][..], &of(&tlvs, 2)[0][..], &of(&tlvs, 3)[0][..]),
        (&mac[..], &b"\x05wan"[..], &[0, 4][..])
    );
    assert_eq!((&of(&tlvs, 4)[0][..], &of(&tlvs, 5)[0][..]), (&b"wan"[..], &b"edge-1"[..]));
    assert!(of(&tlvs, 6)[0].starts_with(b"Millrace "));
    assert_eq!(of(&tlvs, 7)[0], [0, 0x14, 0, 0x10], "it can bridge and route, and routes");
    let management = of(&tlvs, 8);
    assert_eq!(management[0][..6], [5, 1, 203, 0, 113, 1]);
    assert_eq!(management[1][..4], [17, 2, 0x20, 0x01]);
    let own = of(&tlvs, 127);
    assert!(own.contains(&vec![0, 0x12, 0x0f, 4, 0x05, 0xee]), "1518 bytes: {own:02x?}");
    assert!(own.contains(&[&[0, 0x80, 0xc2, 3, 0, 100, 7][..], b"wan.100"].concat()), "a VLAN: {own:02x?}");
    // Again and again; what changes is told soon.
    net.wire.expect("the next", read);
    net.router.run("interface set wan mtu 1400");
    net.wire.expect("the change", |frame| {
        read(frame).filter(|tlvs| of(tlvs, 127).contains(&vec![0, 0x12, 0x0f, 4, 0x05, 0x8a]))
    });
    // Switched off: good-bye.
    net.wire.drain();
    net.router.run("lldp set enabled false");
    let tlvs = net.wire.expect("good-bye", |frame| read(frame).filter(|tlvs| of(tlvs, 3)[0] == [0, 0]));
    assert_eq!(tlvs.len(), 3);
    net.wire.drain();
    assert!(net.wire.find(Duration::from_millis(1500), &mut Vec::new(), read).is_none(), "and nothing more");
    assert!(net.router.run("show lldp neighbors").contains("LLDP is off"));
    // On again, and the router ends: good-bye.
    net.router.run("lldp set enabled true");
    net.wire.expect("it speaks again", read);
    let Net { mut router, wire, _lab } = net;
    router.end(SIGTERM);
    wire.expect("good-bye", |frame| read(frame).filter(|tlvs| of(tlvs, 3)[0] == [0, 0]));
}

#[test]
fn neighbours_come_change_and_go() {
    let net = start(ON);
    eventually("it takes part", || (!net.router.list("show lldp interfaces").is_empty()).then_some(()));
    let more = [
        tlv(4, b"uplink"),
        tlv(5, b"switch-1"),
        tlv(6, b"a switch\r\nof two lines\x1b[2J"),
        tlv(7, &[0, 0x14, 0, 0x04]),
        tlv(8, &[5, 1, 192, 0, 2, 7, 2, 0, 0, 0, 1, 0]),
        tlv(127, &[0, 0x80, 0xc2, 1, 0, 5]),
        tlv(127, &[&[0, 0x80, 0xc2, 3, 0, 10, 4][..], b"blue"].concat()),
        tlv(127, &[0, 0x12, 0x0f, 4, 0x05, 0xf2]),
        tlv(99, b"who knows"),
    ];
    net.wire.send(&switch("Gi0/1", 120, &more));
    net.await_count(1);
    let one = net.neighbors().remove(0);
    for (key, value) in [
        ("interface", Value::from("wan")),
        ("chassis_id", "02:00:00:00:00:0a".into()),
        ("chassis_id_type", "mac".into()),
        ("port_id", "Gi0/1".into()),
        ("port_id_type", "interface name".into()),
        ("ttl", 120.into()),
        ("port_description", "uplink".into()),
        ("system_name", "switch-1".into()),
        ("system_description", "a switch of two lines\u{fffd}[2J".into()),
        ("capabilities", vec!["bridge", "router"].into()),
        ("enabled_capabilities", vec!["bridge"].into()),
        ("management_addresses", vec!["192.0.2.7"].into()),
        ("port_vlan", 5.into()),
        ("max_frame_size", 1522.into()),
    ] {
        assert_eq!(one[key], value, "{key}");
    }
    assert_eq!(one["vlans"][0]["name"], "blue");
    net.await_event("switch-1 port Gi0/1 is there");
    let detail = net.router.run("show lldp neighbors interface wan");
    assert!(detail.contains("switch-1") && detail.contains("10 blue"), "{detail}");
    assert!(net.router.run("show lldp neighbors").contains("switch-1"));
    // It tells something else, and then good-bye.
    net.wire.send(&switch("Gi0/1", 120, &[tlv(5, b"switch-2")]));
    net.await_event("switch-2 port Gi0/1 tells something else");
    net.wire.send(&switch("Gi0/1", 0, &[]));
    net.await_count(0);
    net.await_event("says good-bye");
    // Another one falls silent.
    net.wire.send(&switch("Gi0/2", 1, &[]));
    net.await_count(1);
    net.await_count(0);
    net.await_event("02:00:00:00:00:0a port Gi0/2 is gone: not heard for 1 s");
    assert_eq!(net.counts("aged_out"), 1);
    // A third one's cable is pulled.
    net.wire.send(&switch("Gi0/3", 120, &[]));
    net.await_count(1);
    net.wire.end.ip("link set end0 down");
    net.await_count(0);
    net.await_event("is gone: link down");
}

#[test]
fn a_trunk_without_a_native_vlan_hears_too() {
    let lab = Lab::new();
    let wire = lab.wire("wan");
    let port = "interfaces: {wan: {driver: af-packet, device: wan, bridge: br0, trunk: '10'}}\nbridges: {br0: {}}\n";
    let net = Net { router: lab.start(&format!("{port}{ON}")), wire, _lab: lab };
    eventually("it takes part", || (!net.router.list("show lldp interfaces").is_empty()).then_some(()));
    net.wire.send(&switch("Gi0/1", 120, &[]));
    net.await_count(1);
    assert_eq!(net.router.errors("l2-input", "frame without a tag on a trunk without a native VLAN"), 0);
}

#[test]
fn hostile_frames_are_refused_and_counted() {
    let net = start(ON);
    eventually("it takes part", || (!net.router.list("show lldp interfaces").is_empty()).then_some(()));
    let good = switch("Gi0/1", 120, &[tlv(5, b"switch-1")]);
    let mut to_other = good.clone();
    to_other[5] = 0;
    let chassis = || tlv(1, &[&[4][..], &SWITCH].concat());
    let port = || tlv(2, b"\x05Gi0/1");
    let ttl = || tlv(3, &[0, 120]);
    let refused = [
        ("nothing", frame(&[])),
        ("no TTL", frame(&[chassis(), port(), tlv(0, &[])])),
        ("another order", frame(&[port(), chassis(), ttl(), tlv(0, &[])])),
        ("a chassis twice", frame(&[chassis(), port(), ttl(), chassis()])),
        ("two names", switch("Gi0/1", 120, &[tlv(5, b"one"), tlv(5, b"two")])),
        ("an empty chassis", frame(&[tlv(1, &[4]), port(), ttl()])),
        ("half a MAC address", frame(&[tlv(1, &[4, 2, 0, 0]), port(), ttl()])),
        ("a port of 256 bytes", frame(&[chassis(), tlv(2, &[7; 257]), ttl()])),
        ("a TTL of one byte", frame(&[chassis(), port(), tlv(3, &[120])])),
        ("a TLV behind the frame", [&frame(&[chassis(), port(), ttl()])[..], &[0x0b, 0xff, b'x']].concat()),
        ("another group", to_other),
    ];
    for (name, bytes) in &refused {
        let before = net.counts("rx_refused");
        net.wire.send(bytes);
        eventually(name, || (net.counts("rx_refused") == before + 1).then_some(()));
    }
    assert_eq!(net.neighbors().len(), 0);
    // Parts that are none are left out.
    let bad = [tlv(7, &[0, 4]), tlv(8, &[200, 1, 1]), tlv(127, &[0, 0x80]), tlv(127, &[0, 0x80, 0xc2, 1, 0])];
    net.wire.send(&switch("Gi0/1", 120, &bad));
    net.await_count(1);
    assert_eq!(
        (net.counts("rx_discarded_tlvs"), net.neighbors()[0]["capabilities"].clone()),
        (4, Value::Array(Vec::new()))
    );
    // Sixteen neighbours, and no more.
    for number in 2..=30 {
        net.wire.send(&switch(&format!("Gi0/{number}"), 120, &[]));
        // So that they keep within the interface's share.
        std::thread::sleep(Duration::from_millis(15));
    }
    eventually("the rest is counted", || (net.counts("rx_too_many") == 14).then_some(()));
    assert_eq!(net.neighbors().len(), 16);
    net.await_event("more than 16 neighbors");
}

#[test]
fn two_routers_see_each_other_also_by_the_members_of_a_bond() {
    let labs = [Lab::new(), Lab::new()];
    for device in ["p0", "p1"] {
        labs[0].router.cable(device, &labs[1].router, device);
    }
    let config = |name: &str, address: &str| {
        format!(
            "
lldp: {{enabled: true, system-name: {name}, interfaces: [p0, p1]}}
interfaces:
  p0: {{driver: af-packet, device: p0}}
  p1: {{driver: af-packet, device: p1}}
  bond0: {{driver: bond, mode: active-backup, members: [p0, p1], addresses: [{address}]}}
"
        )
    };
    let left = labs[0].start(&config("left", "10.9.0.1/24"));
    let right = labs[1].start(&config("right", "10.9.0.2/24"));
    for (router, other, address) in [(&left, "right", "10.9.0.2"), (&right, "left", "10.9.0.1")] {
        let both = eventually("both cables", || Some(router.list("show lldp neighbors")).filter(|all| all.len() == 2));
        for (neighbor, port) in both.iter().zip(["p0", "p1"]) {
            assert_eq!((&neighbor["interface"], &neighbor["port_id"]), (&port.into(), &port.into()));
            assert_eq!(
                (&neighbor["system_name"], &neighbor["management_addresses"][0]),
                (&other.into(), &address.into())
            );
        }
        assert_eq!(both[0]["chassis_id"], both[1]["chassis_id"]);
    }
}
