use super::*;
use crate::IntoBytes;
use crate::membership::{Record, RecordKind};
use proptest::prelude::*;

const ALERT: [u8; 4] = [0x94, 4, 0, 0];
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

/// A packet with these options, TTL and message, whose checksum is put in.
fn packet(options: &[u8], ttl: u8, to: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    if let [_, _, a, b, ..] = &mut message[..] {
        (*a, *b) = (0, 0);
        let sum = Sum::of(&message).checksum().to_be_bytes();
        message[2..4].copy_from_slice(&sum);
    }
    let mut ip = Ipv4::new(HOST, to, IpProtocol::IGMP, ttl, (options.len() + message.len()) as u16);
    ip.as_mut_bytes()[0] = 0x45 + (options.len() / 4) as u8;
    ip.fill_checksum(options);
    [ip.as_bytes(), options, &message].concat()
}

fn good(to: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    packet(&ALERT, 1, to, message)
}

fn with(head: [u8; 4], group: Ipv4Addr, rest: &[u8]) -> Vec<u8> {
    [&head[..], &group.octets(), rest].concat()
}

fn asked(packet: &[u8]) -> (u8, Option<IpAddr>, u64, bool, Option<u8>, Option<u64>, usize) {
    let Ok(Some(Message::Query(q))) = parse(packet) else { panic!("no query") };
    let (response, interval) = (q.max_response.as_millis() as u64, q.interval.map(|i| i.as_secs()));
    (q.version, q.group, response, q.suppress, q.robustness, interval, q.sources.count())
}

#[test]
fn queries_of_three_versions() {
    let all = Ipv4Addr::UNSPECIFIED;
    // RFC 2236 section 4: hosts of version 1 answer within 10 s.
    let version1 = packet(&[], 1, ALL_SYSTEMS, &with([0x11, 0, 0, 0], all, &[]));
    assert_eq!(asked(&version1), (1, None, 10_000, false, None, None, 0));
    assert_eq!(asked(&good(ALL_SYSTEMS, &with([0x11, 100, 0, 0], all, &[]))), (2, None, 10_000, false, None, None, 0));
    let group = Some(IpAddr::V4(GROUP));
    assert_eq!(asked(&good(GROUP, &with([0x11, 10, 0, 0], GROUP, &[]))), (2, group, 1000, false, None, None, 0));
    let version3 = |code, rest: &[u8]| good(ALL_SYSTEMS, &with([0x11, code, 0, 0], all, rest));
    assert_eq!(asked(&version3(10, &[2, 125, 0, 0])), (3, None, 1000, false, Some(2), Some(125), 0));
    // RFC 3376 sections 4.1.1, 4.1.6 and 4.1.7.
    assert_eq!(asked(&version3(0x80, &[0, 0x80, 0, 0])), (3, None, 12_800, false, None, Some(128), 0));
    assert_eq!(asked(&version3(0xff, &[7, 0xff, 0, 0])), (3, None, 3_174_400, false, Some(7), Some(31_744), 0));
    assert_eq!(asked(&version3(10, &[7, 0, 0, 0])), (3, None, 1000, false, Some(7), None, 0));
    let of_two = good(GROUP, &with([0x11, 10, 0, 0], GROUP, &[8 | 2, 20, 0, 2, 10, 0, 0, 1, 10, 0, 0, 2]));
    assert_eq!(asked(&of_two), (3, group, 1000, true, Some(2), Some(20), 2));
}

#[test]
fn reports_and_leaves() {
    let group = IpAddr::V4(GROUP);
    for (what, packet, expected) in [
        ("v1", packet(&[], 1, GROUP, &with([0x12, 0, 0, 0], GROUP, &[])), Message::Report { version: 1, group }),
        ("v2", good(GROUP, &with([0x16, 0, 0, 0], GROUP, &[])), Message::Report { version: 2, group }),
        ("leave", good(ALL_ROUTERS, &with([0x17, 0, 0, 0], GROUP, &[])), Message::Leave { group }),
        ("to the group", good(GROUP, &with([0x17, 0, 0, 0], GROUP, &[])), Message::Leave { group }),
    ] {
        assert_eq!(parse(&packet), Ok(Some(expected)), "{what}");
        // Behind a short frame's packet there is padding.
        assert_eq!(parse(&[&packet[..], &[0xff; 20]].concat()), Ok(Some(expected)), "{what}, padded");
    }
    assert_eq!(parse(&good(GROUP, &with([0x30, 0, 0, 0], GROUP, &[]))), Ok(None), "something newer");
}

#[test]
fn records() {
    let to_ex = [&[4, 0, 0, 0][..], &GROUP.octets()].concat();
    // With auxiliary data, which is skipped.
    let allow = [&[5, 1, 0, 2][..], &GROUP.octets(), &[10, 0, 0, 1, 10, 0, 0, 2, 9, 9, 9, 9]].concat();
    let unknown = [&[9, 0, 0, 0][..], &GROUP.octets()].concat();
    let report = |count: u8, records: &[&[u8]]| {
        good(ALL_V3_ROUTERS, &[&[0x22, 0, 0, 0, 0, 0, 0, count][..], &records.concat()].concat())
    };
    let packet = report(3, &[&allow, &unknown, &to_ex]);
    let Ok(Some(Message::Records(mut records))) = parse(&packet) else { panic!("no report") };
    let Some(Record { kind: RecordKind::Allow, group, sources }) = records.next() else { panic!("no record") };
    assert_eq!(group, IpAddr::V4(GROUP));
    assert_eq!(sources.map(|s| s.to_string()).collect::<Vec<_>>(), ["10.0.0.1", "10.0.0.2"]);
    let last = records.next().unwrap();
    assert_eq!((last.kind, last.sources.is_empty()), (RecordKind::ToExclude, true));
    assert_eq!(records.next(), None);
    assert_eq!(parse(&report(2, &[&to_ex])), Err(Fault::BadLength), "one record short");
    assert_eq!(parse(&report(1, &[&allow[..15]])), Err(Fault::BadLength), "one byte short");
    assert_eq!(parse(&report(1, &[&[4, 0, 0, 0, 10, 0, 0, 1]])), Err(Fault::BadGroup));
    assert!(matches!(parse(&report(0, &[])), Ok(Some(Message::Records(r))) if r.count() == 0));
}

#[test]
fn what_is_not_believed() {
    let all = Ipv4Addr::UNSPECIFIED;
    let report = with([0x16, 0, 0, 0], GROUP, &[]);
    let mut bad_sum = good(GROUP, &report);
    *bad_sum.last_mut().unwrap() ^= 1;
    let mut bad_header = good(GROUP, &report);
    bad_header[4] ^= 1;
    let mut fragment = good(GROUP, &report);
    fragment[6] = 0x20;
    for (what, packet, fault) in [
        ("checksum", bad_sum, Fault::Checksum),
        ("the header's checksum", bad_header, Fault::Checksum),
        ("fragment", fragment, Fault::Short),
        // RFC 3376 section 4.
        ("TTL 2", packet(&ALERT, 2, GROUP, &report), Fault::HopLimit),
        ("TTL 2 of version 1", packet(&[], 2, GROUP, &with([0x12, 0, 0, 0], GROUP, &[])), Fault::HopLimit),
        ("no alert", packet(&[], 1, GROUP, &report), Fault::NoRouterAlert),
        ("another option", packet(&[7, 4, 4, 0], 1, GROUP, &report), Fault::NoRouterAlert),
        ("behind the end of options", packet(&[0, 0, 0, 0, 0x94, 4, 0, 0], 1, GROUP, &report), Fault::NoRouterAlert),
        ("option without length", packet(&[7, 0, 0, 0], 1, GROUP, &report), Fault::NoRouterAlert),
        ("to another group", good(Ipv4Addr::new(239, 9, 9, 9), &report), Fault::BadDestination),
        ("v3 to the group", good(GROUP, &[0x22, 0, 0, 0, 0, 0, 0, 0]), Fault::BadDestination),
        ("leave to all", good(ALL_SYSTEMS, &with([0x17, 0, 0, 0], GROUP, &[])), Fault::BadDestination),
        ("general query to a group", good(GROUP, &with([0x11, 9, 0, 0], all, &[])), Fault::BadDestination),
        ("query of a group to all", good(ALL_SYSTEMS, &with([0x11, 9, 0, 0], GROUP, &[])), Fault::BadDestination),
        ("report of a station", good(HOST, &with([0x16, 0, 0, 0], HOST, &[])), Fault::BadGroup),
        ("leave of a station", good(ALL_ROUTERS, &with([0x17, 0, 0, 0], HOST, &[])), Fault::BadGroup),
        ("query of a station", good(HOST, &with([0x11, 9, 0, 0], HOST, &[])), Fault::BadGroup),
        // RFC 3376 section 7.1: between the versions.
        ("9 bytes", good(ALL_SYSTEMS, &with([0x11, 9, 0, 0], all, &[0])), Fault::BadLength),
        ("11 bytes", good(ALL_SYSTEMS, &with([0x11, 9, 0, 0], all, &[0; 3])), Fault::BadLength),
        ("more sources than bytes", good(GROUP, &with([0x11, 9, 0, 0], GROUP, &[2, 9, 0, 1, 10])), Fault::BadLength),
        ("7 bytes", good(GROUP, &[0x16, 0, 0, 0, 239, 1, 2]), Fault::Short),
        ("nothing", vec![], Fault::Short),
    ] {
        assert_eq!(parse(&packet), Err(fault), "{what}");
    }
    let alert_behind_no_operation = packet(&[1, 1, 1, 1, 0x94, 4, 0, 0], 1, GROUP, &report);
    assert!(parse(&alert_behind_no_operation).is_ok());
    let whole = good(GROUP, &report);
    for len in 0..whole.len() {
        assert_eq!(parse(&whole[..len]), Err(Fault::Short), "{len} bytes");
    }
}

#[test]
fn groups_of_the_link() {
    assert!(is_link_local(ALL_SYSTEMS) && is_link_local(Ipv4Addr::new(224, 0, 0, 251)));
    assert!(!is_link_local(Ipv4Addr::new(224, 0, 1, 1)) && !is_link_local(GROUP));
}

proptest! {
    /// Whatever comes, and whatever it says of its length.
    #[test]
    fn hostile_packets(kind in prop_oneof![Just(0x11u8), Just(0x22), Just(0x16), Just(0x17)],
                       rest in prop::collection::vec(any::<u8>(), 0..200),
                       cut in 0..300usize) {
        let head = [&[kind, 0, 0, 0][..], &rest].concat();
        for to in [ALL_V3_ROUTERS, ALL_SYSTEMS, GROUP] {
            let whole = good(to, &head);
            if let Ok(Some(Message::Records(records))) = parse(&whole) {
                let named: usize = records.map(|record| record.sources.count() + 1).sum();
                prop_assert!(named * 4 <= whole.len());
            }
            let _ = parse(&whole[..cut.min(whole.len())]);
        }
        let _ = parse(&head);
    }
}
