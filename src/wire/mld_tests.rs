use super::*;
use crate::IntoBytes;
use proptest::prelude::*;

const ALERT: [u8; 6] = [5, 2, 0, 0, 1, 0];
const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x77);
const ANY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

/// A packet with these hop-by-hop options and message, whose checksum is put in.
fn packet(options: [u8; 6], hops: u8, from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    if let [_, _, a, b, ..] = &mut message[..] {
        (*a, *b) = (0, 0);
        let sum = checksum::icmp6(from, to, &message).to_be_bytes();
        message[2..4].copy_from_slice(&sum);
    }
    let ip = Ipv6::new(from, to, IpProtocol::HOP_BY_HOP, hops, 8 + message.len() as u16);
    [ip.as_bytes(), &[58, 0], &options, &message].concat()
}

fn good(to: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    packet(ALERT, 1, HOST, to, message)
}

fn message(kind: u8, code: u16, group: Ipv6Addr, rest: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0][..], &code.to_be_bytes(), &[0, 0], &group.octets(), rest].concat()
}

fn asked(packet: &[u8]) -> (u8, Option<IpAddr>, u64, bool, Option<u8>, Option<u64>, usize) {
    let Ok(Some(Message::Query(q))) = parse(packet) else { panic!("no query: {:?}", parse(packet)) };
    let (response, interval) = (q.max_response.as_millis() as u64, q.interval.map(|i| i.as_secs()));
    (q.version, q.group, response, q.suppress, q.robustness, interval, q.sources.count())
}

#[test]
fn queries_of_both_versions() {
    let all = nd::ALL_NODES;
    assert_eq!(asked(&good(all, &message(130, 10_000, ANY, &[]))), (1, None, 10_000, false, None, None, 0));
    let group = Some(IpAddr::V6(GROUP));
    assert_eq!(asked(&good(GROUP, &message(130, 1000, GROUP, &[]))), (1, group, 1000, false, None, None, 0));
    let version2 = good(all, &message(130, 0x8001, ANY, &[2, 125, 0, 0]));
    assert_eq!(asked(&version2), (2, None, 32_776, false, Some(2), Some(125), 0));
    let of_source = good(GROUP, &message(130, 1000, GROUP, &[&[8 | 3, 0x90, 0, 1][..], &HOST.octets()].concat()));
    assert_eq!(asked(&of_source), (2, group, 1000, true, Some(3), Some(256), 1));
}

/// RFC 3810 section 5.1.3.
#[test]
fn response_codes() {
    for (code, milliseconds) in [(0x7fff, 32_767), (0x8000, 32_768), (0x8001, 32_776), (0xffff, 8_387_584)] {
        assert_eq!(max_response(code), milliseconds);
    }
}

#[test]
fn reports() {
    let group = IpAddr::V6(GROUP);
    let report = Message::Report { version: 2, group };
    assert_eq!(parse(&good(GROUP, &message(131, 0, GROUP, &[]))), Ok(Some(report)));
    let before_an_address = packet(ALERT, 1, ANY, GROUP, &message(131, 0, GROUP, &[]));
    assert_eq!(parse(&before_an_address), Ok(Some(report)), "RFC 3590");
    let done = good(nd::ALL_ROUTERS, &message(132, 0, GROUP, &[]));
    assert_eq!(parse(&done), Ok(Some(Message::Leave { group })));
    let record = [&[4, 0, 0, 1][..], &GROUP.octets(), &HOST.octets()].concat();
    let two = good(nd::ALL_MLD2_ROUTERS, &[&[143, 0, 0, 0, 0, 0, 0, 2][..], &record, &record].concat());
    let Ok(Some(Message::Records(records))) = parse(&two) else { panic!("no report") };
    assert_eq!(records.map(|r| (r.group, r.sources.count())).collect::<Vec<_>>(), [(group, 1); 2]);
    let short = good(nd::ALL_MLD2_ROUTERS, &[&[143, 0, 0, 0, 0, 0, 0, 2][..], &record].concat());
    assert_eq!(parse(&short), Err(Fault::BadLength));
}

#[test]
fn what_is_not_believed() {
    let global: Ipv6Addr = "2001:db8::9".parse().unwrap();
    let report = message(131, 0, GROUP, &[]);
    let query = message(130, 9, ANY, &[]);
    let mut bad_sum = good(GROUP, &report);
    *bad_sum.last_mut().unwrap() ^= 1;
    for (what, packet, fault) in [
        ("checksum", bad_sum, Fault::Checksum),
        // RFC 3810 section 5.
        ("hop limit", packet(ALERT, 255, HOST, GROUP, &report), Fault::HopLimit),
        ("no alert", packet([1, 4, 0, 0, 0, 0], 1, HOST, GROUP, &report), Fault::NoRouterAlert),
        ("alert for RSVP", packet([5, 2, 0, 1, 1, 0], 1, HOST, GROUP, &report), Fault::NoRouterAlert),
        ("from far away", packet(ALERT, 1, global, GROUP, &report), Fault::BadSource),
        ("query from nobody", packet(ALERT, 1, ANY, nd::ALL_NODES, &query), Fault::BadSource),
        ("report elsewhere", good(nd::ALL_NODES, &report), Fault::BadDestination),
        ("done to the group", good(GROUP, &message(132, 0, GROUP, &[])), Fault::BadDestination),
        ("general query to a group", good(GROUP, &query), Fault::BadDestination),
        ("report of a station", good(HOST, &message(131, 0, HOST, &[])), Fault::BadGroup),
        ("query of a station", good(HOST, &message(130, 0, HOST, &[])), Fault::BadGroup),
        ("25 bytes", good(nd::ALL_NODES, &message(130, 9, ANY, &[0])), Fault::BadLength),
        ("27 bytes", good(nd::ALL_NODES, &message(130, 9, ANY, &[0; 3])), Fault::BadLength),
        ("sources missing", good(GROUP, &message(130, 9, GROUP, &[2, 9, 0, 1, 1])), Fault::BadLength),
        ("version 2 elsewhere", good(GROUP, &[143, 0, 0, 0, 0, 0, 0, 0]), Fault::BadDestination),
        ("nothing", vec![], Fault::Short),
    ] {
        assert_eq!(parse(&packet), Err(fault), "{what}");
    }
    let echo = packet([1, 4, 0, 0, 0, 0], 64, global, GROUP, &message(128, 0, GROUP, &[]));
    assert_eq!(parse(&echo), Ok(None), "something else");
    let udp = [Ipv6::new(global, GROUP, IpProtocol::UDP, 64, 0).as_bytes(), &[]].concat();
    assert_eq!(parse(&udp), Ok(None));
}

proptest! {
    #[test]
    fn hostile_packets(kind in prop_oneof![Just(130u8), Just(131), Just(132), Just(143)],
                       rest in prop::collection::vec(any::<u8>(), 0..200),
                       cut in 0..300usize) {
        let head = [&[kind, 0, 0, 0][..], &rest].concat();
        for to in [nd::ALL_MLD2_ROUTERS, nd::ALL_NODES, GROUP] {
            let whole = good(to, &head);
            if let Ok(Some(Message::Records(records))) = parse(&whole) {
                let named: usize = records.map(|record| record.sources.count() + 1).sum();
                prop_assert!(named * 16 <= whole.len());
            }
            let _ = parse(&whole[..cut.min(whole.len())]);
        }
        let _ = parse(&head);
    }
}
