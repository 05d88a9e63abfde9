//! What is told and heard, without a wire.

use super::heard::Refused;
use super::sender::Sender;
use super::told::Told;
use super::*;
use millrace_wire::lldp::{LldpCapabilities, LldpIdKind, LldpTlv, LldpType};
use proptest::prelude::*;
use std::sync::LazyLock;
use std::time::Duration;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn at(milliseconds: u64) -> Instant {
    *START + Duration::from_millis(milliseconds)
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&LldpTlv::header(LldpType(kind), value.len())[..], value].concat()
}

/// What a Cisco Catalyst 3560 told its neighbour, whose name for the port is its own.
fn catalyst() -> Vec<u8> {
    [
        tlv(1, &[4, 0x00, 0x18, 0xba, 0x98, 0x68, 0x8f]),
        tlv(2, b"\x07Fa0/13"),
        tlv(3, &[0, 120]),
        tlv(5, b"S1.cisco.com"),
        tlv(6, b"Cisco IOS Software, C3560 Software\nCopyright (c) 1986-2008 by Cisco Systems, Inc.\r\nCompiled Sat 05-Jan-08"),
        tlv(4, b"FastEthernet0/13"),
        tlv(7, &[0, 0x14, 0, 0x04]),
        tlv(127, &[0x00, 0x80, 0xc2, 1, 0, 1]),
        tlv(127, &[0x00, 0x12, 0x0f, 1, 0x03, 0x00, 0x36, 0, 0x10]),
        tlv(0, &[]),
    ]
    .concat()
}

#[test]
fn a_switch_is_understood() {
    let heard = Heard::read(&catalyst()).unwrap();
    assert_eq!((&heard.chassis.text[..], &heard.port.text[..], heard.ttl), ("00:18:ba:98:68:8f", "Fa0/13", 120));
    assert_eq!((heard.chassis.kind, heard.port.kind), (LldpIdKind::Mac, LldpIdKind::Local));
    assert_eq!(heard.system_name.as_deref(), Some("S1.cisco.com"));
    let description =
        "Cisco IOS Software, C3560 Software Copyright (c) 1986-2008 by Cisco Systems, Inc. Compiled Sat 05-Jan-08";
    assert_eq!(heard.system_description.as_deref(), Some(description), "on one line");
    assert_eq!(heard.port_description.as_deref(), Some("FastEthernet0/13"));
    let (can, does) = heard.capabilities.unwrap();
    assert_eq!((can.0, does), (0x14, LldpCapabilities::BRIDGE));
    assert_eq!(
        (heard.port_vlan, heard.discarded, heard.unrecognized),
        (Some(1), 0, 1),
        "MAC and PHY are not known here"
    );
    assert_eq!(called(&heard), "S1.cisco.com port Fa0/13");
}

#[test]
fn texts_do_nothing_to_a_terminal() {
    let begin = [tlv(1, b"\x07a"), tlv(2, b"\x07b"), tlv(3, &[0, 9])].concat();
    for (sent, shown) in [
        (&b"plain"[..], "plain"),
        (b"\x1b[31mred\x07", "\u{fffd}[31mred\u{fffd}"),
        (b"two\r\nlines\tand a tab", "two lines and a tab"),
        (b"ends with zeros\0\0", "ends with zeros"),
        ("turned\u{202e}round".as_bytes(), "turned\u{fffd}round"),
        (b"\xff\xfe no UTF-8", "\u{fffd}\u{fffd} no UTF-8"),
        ("Zürich".as_bytes(), "Zürich"),
    ] {
        let heard = Heard::read(&[&begin[..], &tlv(5, sent)].concat()).unwrap();
        assert_eq!(heard.system_name.as_deref(), Some(shown));
    }
    // Names that are numbers are shown as such.
    let heard = Heard::read(&[tlv(1, &[7, 0, 1, 2]), tlv(2, &[4, 1, 192, 0, 2, 7]), tlv(3, &[0, 9])].concat()).unwrap();
    assert_eq!((&heard.chassis.text[..], &heard.port.text[..]), ("00:01:02", "192.0.2.7"));
}

#[test]
fn frames_that_are_refused() {
    let (chassis, port, ttl) = (tlv(1, b"\x07a"), tlv(2, b"\x07b"), tlv(3, &[0, 9]));
    let all = |parts: &[&[u8]]| Heard::read(&parts.concat());
    assert!(all(&[&chassis, &port, &ttl]).is_ok(), "an end is not needed");
    for (name, parts, why) in [
        ("nothing", &[][..], Refused::Incomplete),
        ("no port", &[&chassis[..], &ttl][..], Refused::Incomplete),
        ("the end before the TTL", &[&chassis, &port, &[0, 0], &ttl], Refused::Incomplete),
        ("a second chassis", &[&chassis, &port, &ttl, &chassis], Refused::Repeated),
        ("a second TTL", &[&chassis, &port, &ttl, &ttl], Refused::Repeated),
        ("a second description", &[&chassis, &port, &ttl, &tlv(6, b"x"), &tlv(6, b"x")], Refused::Repeated),
        ("capabilities twice", &[&chassis, &port, &ttl, &tlv(7, &[0; 4]), &tlv(7, &[0; 4])], Refused::Repeated),
        ("cut off", &[&chassis, &port, &ttl, &[0x0a, 9, b'x']], Refused::Truncated),
        ("cut off at once", &[&[2]], Refused::Truncated),
    ] {
        assert_eq!(all(parts).err(), Some(why), "{name}");
    }
    // Of good-bye, nothing else is looked at.
    let bye = all(&[&chassis, &port, &tlv(3, &[0, 0]), &chassis]).unwrap();
    assert_eq!(bye.ttl, 0);
    // There are no more of these than are kept.
    let address = |n: u8| tlv(8, &[5, 1, 192, 0, 2, n, 2, 0, 0, 0, 1, 0]);
    let many: Vec<u8> = (0..20).flat_map(address).collect();
    let heard = all(&[&chassis, &port, &ttl, &many]).unwrap();
    assert_eq!((heard.management.len(), heard.discarded), (16, 4));
    let twice = all(&[&chassis, &port, &ttl, &address(1), &address(1)]).unwrap();
    assert_eq!((twice.management.len(), twice.discarded), (1, 0));
    let other = all(&[&chassis, &port, &ttl, &tlv(8, &[3, 9, 1, 2, 1, 0, 0, 0, 0, 0])]).unwrap();
    assert_eq!(other.management, ["family 9: 01:02"]);
}

#[test]
fn parts_of_wrong_lengths_are_left_out() {
    let begin = [tlv(1, b"\x07a"), tlv(2, b"\x07b"), tlv(3, &[0, 9])].concat();
    let with = |part: Vec<u8>| Heard::read(&[&begin[..], &part].concat()).unwrap();
    for (len, kept) in [(255, true), (256, false)] {
        let heard = with(tlv(5, &vec![b'x'; len]));
        assert_eq!((heard.system_name.is_some(), heard.discarded), (kept, u32::from(!kept)), "{len} bytes");
    }
    for (len, kept) in [(1, false), (2, true), (3, false)] {
        let heard = with(tlv(127, &[0x00, 0x80, 0xc2, 3, 0, 10, len, b'a', b'b']));
        let expected = if kept { vec![(10, "ab".to_owned())] } else { vec![] };
        assert_eq!((heard.vlans, heard.discarded), (expected, u32::from(!kept)), "said to be {len} bytes long");
    }
}

fn told() -> Told {
    Told {
        chassis: MacAddr([2, 0xfe, 0, 0, 0, 1]),
        source: MacAddr([2, 0xfe, 0, 0, 0, 2]),
        port: "wan".to_owned(),
        port_description: "wan on eth0".to_owned(),
        ttl: 121,
        system_name: "edge".to_owned(),
        system_description: "Millrace".to_owned(),
        can: LldpCapabilities::BRIDGE.with(LldpCapabilities::ROUTER),
        does: LldpCapabilities::ROUTER,
        management: vec![("192.0.2.1".parse().unwrap(), 3), ("2001:db8::1".parse().unwrap(), 3)],
        port_vlan: Some(10),
        vlans: vec![(100, "wan.100".to_owned())],
        bond: Some(5),
        max_frame_size: 1518,
    }
}

#[test]
fn what_is_told_is_what_is_heard() {
    let frame = told().frame();
    assert_eq!(frame[..14], [1, 0x80, 0xc2, 0, 0, 0x0e, 2, 0xfe, 0, 0, 0, 2, 0x88, 0xcc]);
    let heard = Heard::read(&frame[14..]).unwrap();
    assert_eq!((&heard.chassis.text[..], &heard.port.text[..], heard.ttl), ("02:fe:00:00:00:01", "wan", 121));
    assert_eq!(heard.port.kind, LldpIdKind::InterfaceName);
    assert_eq!(heard.port_description.as_deref(), Some("wan on eth0"));
    assert_eq!(heard.capabilities, Some((told().can, told().does)));
    assert_eq!(heard.management, ["192.0.2.1", "2001:db8::1"]);
    assert_eq!((heard.port_vlan, heard.max_frame_size), (Some(10), Some(1518)));
    assert_eq!(heard.vlans, [(100, "wan.100".to_owned())]);
    assert_eq!((heard.discarded, heard.unrecognized), (0, 1), "of bonds nothing is known of others");
    let bye = Heard::read(&told().good_bye()[14..]).unwrap();
    assert_eq!((bye.ttl, bye.chassis, bye.port), (0, heard.chassis, heard.port));
}

#[test]
fn a_frame_is_never_too_long() {
    let long = "ä".repeat(500);
    let vlans = (0..200).map(|vlan| (vlan, long.clone())).collect();
    let most =
        Told { system_name: long.clone(), system_description: long.clone(), port_description: long, vlans, ..told() };
    let frame = most.frame();
    assert!(frame.len() <= 1514 && frame.len() > 1450, "{}", frame.len());
    let heard = Heard::read(&frame[14..]).unwrap();
    assert_eq!(heard.system_name.map(|name| name.chars().count()), Some(127), "whole characters");
    assert_eq!((heard.discarded, heard.vlans.len()), (0, 15), "as many as fit");
}

#[test]
fn told_fast_at_first_and_then_now_and_then() {
    let mut sender = Sender::new(told(), at(0));
    let interval = Duration::from_secs(30);
    let times = |sender: &mut Sender, from: u64, to: u64| -> Vec<u64> {
        (from..=to).step_by(100).filter(|now| sender.run(interval, at(*now)).is_some()).collect()
    };
    assert_eq!(times(&mut sender, 0, 70_000), [0, 1000, 2000, 3000, 33_000, 63_000]);
    assert_eq!(sender.next(), at(93_000));
    // Somebody is new: fast again.
    sender.hurry(at(70_000));
    sender.hurry(at(70_100));
    assert_eq!(times(&mut sender, 70_000, 71_400), [70_200, 71_200]);
    sender.hurry(at(71_500));
    assert_eq!(times(&mut sender, 71_500, 80_000), [72_200, 73_200], "who is new meanwhile hears it, too");
    // The same is nothing new; something else is told in a moment.
    sender.set(told(), at(80_000));
    assert_eq!(sender.next(), at(103_200));
    let changed = |name: &str| Told { system_name: name.to_owned(), ..told() };
    sender.set(changed("other"), at(80_000));
    assert_eq!(sender.next(), at(80_200));
    assert_eq!(times(&mut sender, 80_000, 81_000), [80_200]);
    // What changes all the time is told five times at once, and then once a second.
    let sent = (0..100_u64).filter(|step| {
        let now = at(90_000 + step * 100);
        sender.set(changed(&step.to_string()), now);
        sender.run(interval, now).is_some()
    });
    let count = sent.count();
    assert!((10..=16).contains(&count), "{count} frames in ten seconds");
}

#[test]
fn neighbours_of_an_interface() {
    let mut neighbors = Neighbors::default();
    let from = |port: &str, ttl: u16, name: &str| {
        let (port, name) = ([b"\x05", port.as_bytes()].concat(), name.as_bytes());
        let parts = [tlv(1, b"\x07a"), tlv(2, &port), tlv(3, &ttl.to_be_bytes()), tlv(5, name)];
        Heard::read(&parts.concat()).unwrap()
    };
    assert_eq!(neighbors.heard(&from("1", 10, "x"), at(0)), Change::New);
    assert_eq!(neighbors.heard(&from("1", 20, "x"), at(5000)), Change::Same, "the TTL is nothing that changes it");
    assert_eq!(neighbors.heard(&from("1", 20, "y"), at(6000)), Change::Changed);
    assert_eq!(neighbors.heard(&from("1", 20, "y"), at(6000)), Change::Same);
    assert_eq!(neighbors.next(), Some(at(26_000)));
    assert_eq!(neighbors.expire(at(25_999)).len(), 0);
    assert_eq!(neighbors.expire(at(26_000)).len(), 1);
    assert_eq!(neighbors.heard(&from("1", 0, ""), at(27_000)), Change::Unknown);
    for port in 0..table::MOST {
        assert_eq!(neighbors.heard(&from(&port.to_string(), 10, "x"), at(30_000)), Change::New);
    }
    assert_eq!(neighbors.heard(&from("more", 10, "x"), at(30_000)), Change::TooMany);
    assert_eq!(neighbors.heard(&from("3", 10, "x"), at(30_000)), Change::Same, "who is known is heard");
    assert_eq!(neighbors.heard(&from("3", 0, ""), at(30_000)), Change::Gone);
    assert_eq!(neighbors.heard(&from("more", 10, "x"), at(30_000)), Change::New);
    assert_eq!((neighbors.clear().len(), neighbors.next()), (table::MOST, None));
}

proptest! {
    #[test]
    fn any_bytes(bytes: Vec<u8>, good in any::<bool>()) {
        let front = if good { [tlv(1, b"\x07a"), tlv(2, b"\x07b"), tlv(3, &[0, 9])].concat() } else { Vec::new() };
        if let Ok(heard) = Heard::read(&[&front[..], &bytes].concat()) {
            let texts = [&heard.system_name, &heard.system_description, &heard.port_description];
            let texts = texts.into_iter().flatten().chain([&heard.chassis.text, &heard.port.text]);
            texts.for_each(|text| assert!(!text.chars().any(char::is_control)));
            prop_assert!(heard.management.len() <= 16 && heard.vlans.len() <= 16);
        }
    }

    #[test]
    fn one_byte_changed(at in 0..200_usize, to: u8) {
        let mut bytes = catalyst();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        let _ = Heard::read(&bytes);
    }
}
