//! Clauses of RFC 4787, 5382, 5508, 6888 and 7857 that this part of NAT answers for.

use super::*;
use crate::nat44::rules::Filtering;

/// RFC 4787 REQ-1, RFC 5382 REQ-1, RFC 5508 REQ-1: endpoint-independent mapping, of each protocol.
#[test]
fn rfc4787_req1_one_external_endpoint_towards_everybody() {
    let mut world = World::simple();
    for protocol in [UDP, TCP] {
        let first = world.out(protocol, "192.168.1.2:5000", "192.0.2.1:53").unwrap();
        assert_eq!(world.out(protocol, "192.168.1.2:5000", "192.0.2.1:54").unwrap(), first);
        assert_eq!(world.out(protocol, "192.168.1.2:5000", "192.0.2.9:53").unwrap(), first);
        assert_ne!(world.out(protocol, "192.168.1.2:5001", "192.0.2.1:53").unwrap(), first);
    }
    let first = world.out(ICMP, "192.168.1.2:2000", "192.0.2.1").unwrap();
    assert_eq!(world.out(ICMP, "192.168.1.2:2000", "192.0.2.9").unwrap(), first);
    world.audit();
}

/// RFC 4787 REQ-2: paired address pooling.
#[test]
fn rfc4787_req2_a_host_keeps_one_external_address() {
    let pool = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"];
    let mut world = World::new(&spec(&pool), 1);
    let mut seen = HashSet::new();
    for host in 1..=100 {
        let addresses: HashSet<_> = [UDP, TCP, ICMP]
            .into_iter()
            .flat_map(|protocol| (2000..2020).map(move |port| (protocol, port)))
            .map(|(protocol, port)| {
                let from = format!("192.168.1.{host}:{port}");
                let to = if protocol == ICMP { "192.0.2.1" } else { "192.0.2.1:53" };
                endpoint(&world.out(protocol, &from, to).unwrap()).0
            })
            .collect();
        assert_eq!(addresses.len(), 1);
        seen.extend(addresses);
    }
    assert_eq!(seen.len(), pool.len(), "all addresses are used");
    let most = world.rules.all_ports().map(|ports| ports.used()[0]).max().unwrap();
    assert!(most <= 2 * 100 * 20 / 4, "{most} of 2,000 ports on one of four addresses");
    world.audit();
}

/// RFC 4787 REQ-3, RFC 5382 REQ-7: no port overloading, although RFC 7857 section 3 would allow it for different destinations.
#[test]
fn rfc4787_req3_no_two_mappings_share_a_port() {
    let mut world = World::simple();
    let mut seen = HashSet::new();
    for host in 1..=200 {
        let external = world.out(UDP, &format!("192.168.1.{host}:5000"), &format!("192.0.2.{host}:53")).unwrap();
        assert!(seen.insert(external));
    }
    world.audit();
}

/// RFC 4787 REQ-3a: the port's range is kept; and the port itself where that is possible.
#[test]
fn rfc4787_req3a_port_ranges_are_kept() {
    let mut world = World::simple();
    assert_eq!(world.out(UDP, "192.168.1.2:123", "192.0.2.1:123").unwrap(), "203.0.113.1:123");
    assert_eq!(world.out(UDP, "192.168.1.2:40000", "192.0.2.1:123").unwrap(), "203.0.113.1:40000");
    for host in 3..=250 {
        for (port, range) in [(123, 1..=1023), (40000, 1024..=65535)] {
            let external = world.out(UDP, &format!("192.168.1.{host}:{port}"), "192.0.2.1:123").unwrap();
            assert!(range.contains(&endpoint(&external).1), "{external} for {port}");
        }
    }
}

/// RFC 4787 REQ-4 (RFC 7857 section 8 makes it optional): odd stays odd and even stays even.
#[test]
fn rfc4787_req4_parity_is_kept() {
    let mut world = World::simple();
    for host in 2..=250 {
        for port in [5000, 5001] {
            let external = world.out(UDP, &format!("192.168.1.{host}:{port}"), "192.0.2.1:53").unwrap();
            assert_eq!(endpoint(&external).1 % 2, port % 2);
        }
    }
}

/// RFC 4787 REQ-7: the same packets have the same effect, whatever else is mapped.
#[test]
fn rfc4787_req7_deterministic() {
    let mut world = World::simple();
    assert_eq!(world.out(UDP, "192.168.1.2:5000", "192.0.2.1:53").unwrap(), "203.0.113.1:5000");
    // Another host wants the same port; the first one's mapping stays as it was, towards everybody.
    assert_ne!(world.out(UDP, "192.168.1.3:5000", "192.0.2.1:53").unwrap(), "203.0.113.1:5000");
    assert_eq!(world.out(UDP, "192.168.1.2:5000", "192.0.2.2:53").unwrap(), "203.0.113.1:5000");
}

/// RFC 4787 REQ-8, RFC 5382 REQ-3: three kinds of filters.
#[test]
fn rfc4787_req8_filtering() {
    let refused = Err(Refusal::Filtered);
    let admitted = Ok(("192.168.1.2:5000".to_owned(), String::new()));
    for (filtering, same_address, other_address) in [
        (Filtering::EndpointIndependent, &admitted, &admitted),
        (Filtering::AddressDependent, &admitted, &refused),
        (Filtering::AddressAndPortDependent, &refused, &refused),
    ] {
        for protocol in [UDP, TCP] {
            let mut world = World::new(&Spec { filtering, ..spec(&["203.0.113.1"]) }, 1);
            let external = world.out(protocol, "192.168.1.2:5000", "192.0.2.1:53").unwrap();
            // One that is not the mapping's first.
            world.out(protocol, "192.168.1.2:5000", "192.0.2.2:53").unwrap();
            for (from, wanted) in
                [("192.0.2.1:99", same_address), ("192.0.2.2:99", same_address), ("192.0.2.3:53", other_address)]
            {
                let went = world.inbound(protocol, from, &external).map(|(to, _)| (to, String::new()));
                assert_eq!(&went, wanted, "{filtering:?} from {from}");
            }
            assert_eq!(world.inbound(protocol, "192.0.2.1:53", "203.0.113.1:6000"), Err(Refusal::NoMapping));
            world.audit();
        }
    }
}

/// The filter goes by what is open now.
#[test]
fn rfc4787_req8_the_filter_forgets() {
    let mut world = World::simple();
    let external = world.out(UDP, "192.168.1.2:5000", "192.0.2.1:53").unwrap();
    let flows: Vec<_> = (1..=3)
        .map(|port| world.try_out(UDP, "192.168.1.2:5000", &format!("192.0.2.2:{port}"), 0).unwrap().1)
        .collect();
    for (gone, id) in flows.iter().enumerate() {
        let (_, other) = world.try_in(UDP, &format!("192.0.2.2:{}", 100 + gone), &external).unwrap();
        world.audit();
        world.states[0].remove(&world.rules, other, world.now);
        world.states[0].remove(&world.rules, *id, world.now);
        world.audit();
    }
    assert_eq!(world.inbound(UDP, "192.0.2.2:99", &external), Err(Refusal::Filtered));
    assert!(world.inbound(UDP, "192.0.2.1:99", &external).is_ok());
}

/// RFC 4787 REQ-9a, RFC 5382 REQ-8: hairpinning, with an external source address.
#[test]
fn rfc4787_req9_hairpinning_shows_the_external_source() {
    let mut world = World::new(&Spec { filtering: Filtering::EndpointIndependent, ..spec(&["203.0.113.1"]) }, 1);
    let server = world.out(UDP, "192.168.1.9:7000", "192.0.2.1:53").unwrap();
    let key =
        Key { view: View::new(endpoint("192.168.1.2").0, 5000, endpoint(&server).0, 7000), protocol: UDP, table: 0 };
    // It leaves by no outside interface.
    let packet = Opening { key, tx_interface: LAN, tcp: None };
    let id = world.states[0].outbound(&world.rules, &packet, world.now).unwrap();
    let outside = world.states[0].flows.get(id).unwrap().view(Side::Outside).swapped();
    assert_eq!(outside.to_string(), "203.0.113.1:5000 -> 203.0.113.1:7000");
    let (to, from) = world.inbound(UDP, "203.0.113.1:5000", "203.0.113.1:7000").unwrap();
    assert_eq!((to.as_str(), from.as_str()), ("192.168.1.9:7000", "203.0.113.1:5000"));
    world.audit();
}

/// RFC 5382 REQ-2: connections are let open from both sides, simultaneously, too.
#[test]
fn rfc5382_req2_simultaneous_open() {
    let mut world = World::simple();
    let (worker, id) = world.try_out(TCP, "192.168.1.2:5000", "192.0.2.1:80", 0).unwrap();
    let flows = &world.states[worker].flows;
    let key = flows.get(id).unwrap().key(Side::Outside);
    assert_eq!(flows.find(Side::Outside, &key, flows.hash(&key)), Some(id), "the SYN from outside is the flow's");
}

/// RFC 5382 REQ-4 with RFC 7857 section 2: only a SYN opens a connection from outside; from inside one that has begun goes on.
#[test]
fn rfc5382_req4_only_a_syn_opens_from_outside() {
    let mut world = World::simple();
    let external = endpoint(&world.out(TCP, "192.168.1.2:5000", "192.0.2.1:80").unwrap());
    let key = |view| Key { view, protocol: TCP, table: 0 };
    for (flags, allowed) in [
        (TcpFlags::SYN, true),
        (TcpFlags::ACK, false),
        (TcpFlags::SYN.and(TcpFlags::ACK), false),
        (TcpFlags::RST, false),
    ] {
        let view = View::new(endpoint("192.0.2.1").0, 81, external.0, external.1);
        let packet = Opening { key: key(view), tx_interface: 0, tcp: Some(segment(flags)) };
        let opened = world.states[0].inbound(&world.rules, &packet, world.now);
        assert_eq!(opened.err(), (!allowed).then_some(Refusal::NotSyn));
    }
    let view = View::new(endpoint("192.168.1.3").0, 5000, external.0, 80);
    let packet = Opening { key: key(view), tx_interface: WAN, tcp: Some(segment(TcpFlags::ACK)) };
    assert!(world.states[0].outbound(&world.rules, &packet, world.now).is_ok());
}

/// RFC 5508 REQ-1: queries of two hosts with one identifier are told apart; the router's own identifiers stay its own.
#[test]
fn rfc5508_req1_query_identifiers() {
    let mut world = World::simple();
    let mut seen = HashSet::new();
    for host in 1..=50 {
        for id in [0, 1, 500, 1023, 1024, 65535] {
            let external = world.out(ICMP, &format!("192.168.1.{host}:{id}"), "192.0.2.1").unwrap();
            assert!(endpoint(&external).1 >= 1024 && seen.insert(external));
        }
    }
    assert_eq!(world.inbound(ICMP, "192.0.2.1", "203.0.113.1:7"), Err(Refusal::NoMapping));
    world.audit();
}

/// RFC 4787 REQ-5, RFC 5382 REQ-5, RFC 5508 REQ-2: what nobody uses ends when its time is over, and not before.
#[test]
fn rfc5508_req2_timeouts_by_protocol() {
    let mut world = World::simple();
    world.out(ICMP, "192.168.1.2:2000", "192.0.2.1").unwrap();
    world.out(UDP, "192.168.1.2:5000", "192.0.2.1:53").unwrap();
    let (_, tcp) = world.try_out(TCP, "192.168.1.2:5000", "192.0.2.1:80", 0).unwrap();
    world.try_out(TCP, "192.168.1.2:5001", "192.0.2.1:80", 0).unwrap();
    world.states[0].flows.set_state(tcp, FlowState::TcpEstablished, world.now);
    let mut last = 0;
    for (seconds, left) in [(59, 4), (63, 3), (239, 3), (243, 2), (299, 2), (303, 1), (7439, 1), (7443, 0)] {
        world.pass(seconds - last);
        last = seconds;
        world.expire();
        assert_eq!(world.sessions(), left, "after {seconds} seconds");
        world.audit();
    }
    world.assert_empty();
}

/// RFC 6888 REQ-8: a port that was used is not another's for 120 seconds; TCP's may be (exception A).
#[test]
fn rfc6888_req8_quarantine() {
    for (protocol, rests) in [(UDP, true), (ICMP, true), (TCP, false)] {
        let mut world = World::simple();
        let to = if protocol == ICMP { "192.0.2.1" } else { "192.0.2.1:80" };
        let open = |world: &mut World| {
            let external = world.out(protocol, "192.168.1.2:5000", to).unwrap();
            world.clear();
            world.audit();
            external
        };
        assert_eq!(open(&mut world), "203.0.113.1:5000");
        world.pass(119);
        world.expire();
        assert_eq!(open(&mut world) != "203.0.113.1:5000", rests);
        world.pass(3);
        world.expire();
        assert_eq!(open(&mut world), "203.0.113.1:5000", "two minutes are over");
    }
}

/// RFC 6888 REQ-12 and its section 4: mappings are logged, once each, and no destinations.
#[test]
fn rfc6888_req12_mappings_are_logged() {
    let mut world = World::new(&Spec { log: true, ..spec(&["203.0.113.1"]) }, 1);
    world.try_out(UDP, "192.168.1.2:5000", "192.0.2.1:53", 7).unwrap();
    world.try_out(UDP, "192.168.1.2:5000", "192.0.2.2:53", 7).unwrap();
    let (inside, outside) = (endpoint("192.168.1.2:5000"), endpoint("203.0.113.1:5000"));
    let mut event = LogEvent {
        added: true,
        protocol: UDP,
        table: 7,
        inside: inside.0,
        inside_port: inside.1,
        outside: outside.0,
        outside_port: outside.1,
        at: world.now,
    };
    assert_eq!(world.events(), [event]);
    world.pass(400);
    world.expire();
    (event.added, event.at) = (false, world.now);
    assert_eq!(world.events(), [event]);
    world.publish(&spec(&["203.0.113.1"]));
    world.out(UDP, "192.168.1.2:5000", "192.0.2.1:53").unwrap();
    assert_eq!(world.events(), [], "switched off");
}

/// RFC 6888 REQ-15, RFC 6056: who knows some ports can't tell the next.
#[test]
fn rfc6888_req15_ports_are_random() {
    let ports = |world: &mut World| -> Vec<u16> {
        (1..=200)
            .map(|host| endpoint(&world.out(TCP, &format!("192.168.1.{host}:5000"), "192.0.2.1:80").unwrap()).1)
            .collect()
    };
    let (first, second) = (ports(&mut World::simple()), ports(&mut World::simple()));
    let same = first.iter().zip(&second).filter(|(a, b)| a == b).count();
    assert!(same < 5, "{same} of 200 are the same in two worlds");
    let near = first.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 64).count();
    assert!(near < 10, "{near} of 200 are near the one before");
}
