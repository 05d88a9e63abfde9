//! Configured mappings, and what a change of the rules does to sessions.

use super::*;
use crate::nat44::rules::Exempt;

const CLIENT: &str = "192.0.2.1:1234";

fn with(mappings: &[StaticMapping]) -> Spec {
    Spec { mappings: mappings.to_vec(), ..spec(&["203.0.113.1"]) }
}

fn ok(to: &str, from: &str) -> Result<(String, String), Refusal> {
    Ok((to.to_owned(), from.to_owned()))
}

#[test]
fn a_port_is_forwarded_and_its_server_is_seen_by_it() {
    let mut world = World::new(&with(&[mapping(Some(TCP), "203.0.113.1:8080", &["192.168.1.2:80"])]), 1);
    assert_eq!(world.inbound(TCP, CLIENT, "203.0.113.1:8080"), ok("192.168.1.2:80", CLIENT));
    assert_eq!(world.out(TCP, "192.168.1.2:80", "192.0.2.9:99").unwrap(), "203.0.113.1:8080");
    assert_eq!(world.inbound(UDP, CLIENT, "203.0.113.1:8080"), Err(Refusal::NoMapping));
    let state = &world.states[0];
    let inside = endpoint("192.168.1.2:80");
    assert_eq!(state.external_of(&world.rules, 0, inside.0, 80, TCP), Some(endpoint("203.0.113.1:8080")));
    assert_eq!(state.inside_of(&world.rules, endpoint("203.0.113.1").0, 8080, TCP), Some((0, inside.0, 80)));
    assert_eq!(world.used(), 0);
    world.audit();
    world.clear();
    world.assert_empty();
}

#[test]
fn a_range_of_ports_keeps_its_order() {
    let range = StaticMapping {
        external_ports: Some((5000, 5100)),
        ..mapping(Some(UDP), "203.0.113.1:5000", &["192.168.1.2:6000"])
    };
    let mut world = World::new(&with(&[range]), 1);
    for (port, inside) in [(5000, 6000), (5001, 6001), (5100, 6100)] {
        let (external, inside) = (format!("203.0.113.1:{port}"), format!("192.168.1.2:{inside}"));
        assert_eq!(world.inbound(UDP, CLIENT, &external), ok(&inside, CLIENT));
        assert_eq!(world.out(UDP, &inside, "192.0.2.9:99").unwrap(), external);
    }
    assert_eq!(world.inbound(UDP, CLIENT, "203.0.113.1:5101"), Err(Refusal::NoMapping));
    assert_eq!(world.out(UDP, "192.168.1.2:6101", "192.0.2.9:99").unwrap(), "203.0.113.1:6101", "dynamic");
}

/// A configured mapping's external port is never given to another.
#[test]
fn reserved_ports_are_not_given_out() {
    let range = StaticMapping {
        external_ports: Some((1024, 65000)),
        ..mapping(Some(UDP), "203.0.113.1:1024", &["192.168.1.2:1024"])
    };
    let mut world = World::new(&with(&[range]), 1);
    for port in 0..535 {
        let external = world.out(UDP, &format!("192.168.1.3:{}", 1024 + port), "192.0.2.1:53").unwrap();
        assert!(endpoint(&external).1 > 65000, "{external}");
    }
    assert_eq!(world.out(UDP, "192.168.1.3:3000", "192.0.2.1:53"), Err(Refusal::NoPort));
    world.audit();
    // Not from quarantine, either, when it was reserved meanwhile.
    world.publish(&spec(&["203.0.113.1"]));
    world.clear();
    world.publish(&with(&[mapping(Some(UDP), "203.0.113.1:65500", &["192.168.1.2:1"])]));
    for port in 0..60_000u16 {
        if let Ok(external) = world.out(UDP, &format!("192.168.1.4:{}", 1024 + port), "192.0.2.1:53") {
            assert_ne!(external, "203.0.113.1:65500");
        }
    }
}

/// One-to-one, for protocols without ports, too.
#[test]
fn one_to_one_keeps_ports() {
    let mut world = World::new(&with(&[mapping(None, "203.0.113.3", &["192.168.1.11"])]), 1);
    for (protocol, inside, remote, external) in [
        (TCP, "192.168.1.11:5000", "192.0.2.1:80", "203.0.113.3:5000"),
        (UDP, "192.168.1.11:53", "192.0.2.1:80", "203.0.113.3:53"),
        (ICMP, "192.168.1.11:7", "192.0.2.1:0", "203.0.113.3:7"),
        (47, "192.168.1.11:0", "192.0.2.1:0", "203.0.113.3:0"),
    ] {
        assert_eq!(world.out(protocol, inside, remote).unwrap(), external);
        let other = if protocol == TCP || protocol == UDP { "192.0.2.2:99" } else { "192.0.2.2:0" };
        assert_eq!(world.inbound(protocol, other, external), ok(inside, other));
    }
    world.audit();
}

#[test]
fn identity_changes_nothing() {
    let mut world = World::new(&with(&[mapping(None, "203.0.113.9", &["203.0.113.9"])]), 1);
    let (_, id) = world.try_in(TCP, CLIENT, "203.0.113.9:22").unwrap();
    assert!(world.states[0].flows.get(id).unwrap().identity());
    let (_, id) = world.try_out(UDP, "203.0.113.9:5000", "192.0.2.1:53", 0).unwrap();
    assert!(world.states[0].flows.get(id).unwrap().identity());
}

#[test]
fn several_servers_share_the_clients() {
    let servers = ["192.168.1.10:443", "192.168.1.11:443", "192.168.1.12:443"];
    let mut world = World::new(&with(&[mapping(Some(TCP), "203.0.113.1:443", &servers)]), 4);
    let mut counts = HashMap::new();
    for client in 1..=240 {
        let of = |world: &mut World, port| {
            world.inbound(TCP, &format!("192.0.2.{client}:{port}"), "203.0.113.1:443").unwrap().0
        };
        let server = of(&mut world, 1000);
        assert_eq!(of(&mut world, 1001), server, "affinity");
        *counts.entry(server).or_insert(0) += 1;
    }
    assert!(servers.iter().all(|server| counts[*server] > 50), "{counts:?}");
    assert_eq!(world.rules.port_worker(endpoint("203.0.113.1").0, TCP, 443), None);
    assert_eq!(world.states[0].inside_of(&world.rules, endpoint("203.0.113.1").0, 443, TCP), None);
    // What a server opens itself is a mapping of its own.
    let external = world.out(TCP, "192.168.1.10:443", "192.0.2.9:99").unwrap();
    assert_ne!(external, "203.0.113.1:443");
    world.audit();
}

#[test]
fn twice_nat_shows_the_server_an_address_of_its_pool() {
    let twice = StaticMapping { twice_nat: true, ..mapping(Some(TCP), "203.0.113.1:25", &["192.168.1.25:25"]) };
    let mut spec = with(std::slice::from_ref(&twice));
    spec.twice_nat_pool = vec!["192.168.1.254".parse().unwrap()];
    let mut world = World::new(&spec, 1);
    assert_eq!(world.inbound(TCP, CLIENT, "203.0.113.1:25"), ok("192.168.1.25:25", "192.168.1.254:1234"));
    let (_, other) = world.inbound(TCP, "192.0.2.2:1234", "203.0.113.1:25").unwrap();
    assert!(other.starts_with("192.168.1.254:") && other != "192.168.1.254:1234", "{other}");
    assert_eq!(world.used(), 2);
    assert!(world.rules.external(endpoint("192.168.1.254").0).is_none(), "it is nothing to the outside");
    let row = world.states[0].list(0, 10, &super::super::Filter::default(), world.now).0[0];
    assert_eq!((row.remote, row.remote_inside), (endpoint(CLIENT), endpoint("192.168.1.254:1234")));
    assert_eq!((row.is_static, world.states[0].mappings(0, 10, &super::super::Filter::default()).0.len()), (true, 0));
    world.audit();
    world.revalidate();
    assert_eq!(world.sessions(), 2);
    // Another pool: what the clients seem to be has to change.
    let pool = std::mem::replace(&mut spec.twice_nat_pool, vec!["192.168.1.253".parse().unwrap()]);
    world.publish(&spec);
    world.revalidate();
    assert_eq!((world.sessions(), world.used()), (0, 0));
    spec.twice_nat_pool = pool;
    world.publish(&spec);
    assert_eq!(world.inbound(TCP, CLIENT, "203.0.113.1:25"), ok("192.168.1.25:25", "192.168.1.254:1234"));
    assert!(world.inbound(TCP, "192.0.2.2:1234", "203.0.113.1:25").is_ok());
    // The server's own connections are translated once, and stay.
    world.out(TCP, "192.168.1.25:25", "192.0.2.7:25").unwrap();
    world.revalidate();
    assert_eq!(world.sessions(), 3);
    // Without twice-NAT the old sessions are not what the rules say.
    spec.mappings = vec![StaticMapping { twice_nat: false, ..twice }];
    world.publish(&spec);
    world.revalidate();
    assert_eq!((world.sessions(), world.used()), (1, 0));
    world.clear();
    world.assert_empty();
}

#[test]
fn a_mapping_into_a_vrf() {
    let blue = StaticMapping { table: 3, ..mapping(Some(TCP), "203.0.113.1:25", &["192.168.1.25:25"]) };
    let mut world = World::new(&with(&[blue]), 1);
    let (_, id) = world.try_in(TCP, CLIENT, "203.0.113.1:25").unwrap();
    assert_eq!(world.states[0].flows.get(id).unwrap().table(), 3);
    let (_, id) = world.try_out(TCP, "192.168.1.25:25", "192.0.2.2:99", 3).unwrap();
    let outside = world.states[0].flows.get(id).unwrap().view(Side::Outside);
    assert_eq!(outside.destination_port(), 25);
    // The same address in another VRF is another host.
    assert_ne!(world.out(TCP, "192.168.1.25:25", "192.0.2.2:99").unwrap(), "203.0.113.1:25");
}

#[test]
fn exempt_networks_are_not_translated() {
    let net = |text: &str| text.parse().unwrap();
    let mut spec = spec(&["203.0.113.1"]);
    spec.exempt = vec![Exempt { source: net("192.168.1.0/24"), destination: net("10.0.0.0/8") }];
    let mut world = World::new(&spec, 1);
    assert_eq!(world.out(UDP, "192.168.1.2:5000", "10.1.2.3:53"), Err(Refusal::Exempt));
    assert!(world.out(UDP, "192.168.2.2:5000", "10.1.2.3:53").is_ok());
    assert!(world.out(UDP, "192.168.1.2:5000", "11.1.2.3:53").is_ok());
    spec.exempt.push(Exempt { source: net("0.0.0.0/0"), destination: net("11.0.0.0/8") });
    world.publish(&spec);
    world.revalidate();
    assert_eq!(world.sessions(), 1, "the one to 11.1.2.3 is exempt now");
    world.audit();
}

/// A new configured mapping beats what stood on its external port, and on its inside endpoint.
#[test]
fn a_new_static_mapping_beats_old_dynamic_sessions() {
    let mut world = World::simple();
    world.out(TCP, "192.168.1.2:8080", "192.0.2.1:80").unwrap();
    world.out(TCP, "192.168.1.3:80", "192.0.2.1:80").unwrap();
    world.out(TCP, "192.168.1.4:5000", "192.0.2.1:80").unwrap();
    world.publish(&with(&[mapping(Some(TCP), "203.0.113.1:8080", &["192.168.1.3:80"])]));
    // At once, even before the old sessions have been looked through.
    assert_ne!(world.out(TCP, "192.168.1.2:8080", "192.0.2.3:80").unwrap(), "203.0.113.1:8080");
    assert_eq!(world.inbound(TCP, "192.0.2.1:80", "203.0.113.1:8080"), ok("192.168.1.3:80", "192.0.2.1:80"));
    assert_ne!(world.out(TCP, "192.168.1.2:8080", "192.0.2.2:80").unwrap(), "203.0.113.1:8080");
    world.revalidate();
    world.audit();
    let (rows, _) = world.states[0].list(0, 100, &super::super::Filter::default(), world.now);
    let mut left: Vec<_> = rows.iter().map(|row| (text(row.inside), text(row.remote), row.is_static)).collect();
    left.sort();
    let row = |inside: &str, remote: &str, is_static| (inside.to_owned(), remote.to_owned(), is_static);
    assert_eq!(
        left,
        [
            row("192.168.1.2:8080", "192.0.2.2:80", false),
            row("192.168.1.2:8080", "192.0.2.3:80", false),
            row("192.168.1.3:80", "192.0.2.1:80", true),
            row("192.168.1.4:5000", "192.0.2.1:80", false),
        ]
    );
}

/// RFC 4787 REQ-2 across a change of the pool: valid sessions stay, the others go.
#[test]
fn a_change_of_the_pool_keeps_what_is_valid() {
    let mut world = World::new(&spec(&["203.0.113.1", "203.0.113.2"]), 1);
    for host in 1..=50 {
        world.out(UDP, &format!("192.168.1.{host}:5000"), "192.0.2.1:53").unwrap();
    }
    let kept = world.rules.all_ports().find(|ports| ports.address().octets()[3] == 1).unwrap().used()[1];
    assert!(0 < kept && kept < 50);
    world.publish(&spec(&["203.0.113.1", "203.0.113.3"]));
    world.audit();
    world.revalidate();
    assert_eq!(world.sessions(), kept);
    for host in 1..=50 {
        world.out(UDP, &format!("192.168.1.{host}:6000"), "192.0.2.1:53").unwrap();
    }
    world.audit();
    assert!(world.rules.all_ports().all(|ports| ports.address().octets()[3] != 2 || ports.is_unused()));
    world.publish(&Spec::default());
    world.revalidate();
    world.assert_empty();
    world.publish(&Spec::default());
    world.publish(&Spec::default());
    assert_eq!(world.rules.all_ports().count(), 0, "forgotten");
}

/// An address that comes back finds its ports as they are held.
#[test]
fn an_address_comes_back_before_its_sessions_are_gone() {
    let mut world = World::simple();
    assert_eq!(world.out(UDP, "192.168.1.2:5000", "192.0.2.1:53").unwrap(), "203.0.113.1:5000");
    for _ in 0..3 {
        world.publish(&spec(&["203.0.113.2"]));
        assert!(world.rules.external(endpoint("203.0.113.1").0).is_none());
        world.audit();
    }
    world.publish(&spec(&["203.0.113.1"]));
    assert_ne!(world.out(UDP, "192.168.1.3:5000", "192.0.2.1:53").unwrap(), "203.0.113.1:5000");
    world.revalidate();
    assert_eq!(world.sessions(), 2);
    world.audit();
}

#[test]
fn the_pool_of_an_interface_is_its_own_address_whatever_that_is() {
    let own = |address: &str| {
        let addresses = vec![address.parse().unwrap(), "198.51.100.77".parse().unwrap()];
        let wan = |interface| Outside {
            interface,
            table: 0,
            addresses: if interface == WAN { addresses.clone() } else { vec!["198.51.100.99".parse().unwrap()] },
        };
        Spec { outside: vec![wan(WAN), wan(7)], pool: Pool::Interface, ..spec(&[]) }
    };
    let mut world = World::new(&own("198.51.100.1"), 1);
    assert_eq!(world.out(UDP, "192.168.1.2:5000", "192.0.2.1:53").unwrap(), "198.51.100.1:5000");
    // The same endpoint by another interface is another mapping.
    let key =
        Key { view: View::new(endpoint("192.168.1.2").0, 5000, endpoint("192.0.2.7").0, 53), protocol: UDP, table: 0 };
    let packet = Opening { key, tx_interface: 7, tcp: None };
    let id = world.states[0].outbound(&world.rules, &packet, world.now).unwrap();
    let external = world.states[0].flows.get(id).unwrap().view(Side::Outside).destination();
    assert_eq!(external, endpoint("198.51.100.99").0);
    world.audit();
    // DHCP gave another address.
    world.publish(&own("198.51.100.2"));
    world.revalidate();
    assert_eq!(world.sessions(), 1);
    assert_eq!(world.out(UDP, "192.168.1.2:5000", "192.0.2.1:53").unwrap(), "198.51.100.2:5000");
    world.audit();
}
