use super::*;

fn spec() -> Spec {
    let address = |text: &str| text.parse().unwrap();
    let one = |protocol, external, ports, internal: &str, port, table| StaticMapping {
        protocol,
        external: address(external),
        external_ports: ports,
        internal: vec![Backend { address: address(internal), port, weight: 1 }],
        table,
        affinity: true,
        twice_nat: false,
    };
    Spec {
        inside: vec![1, 5],
        outside: vec![
            Outside { interface: 2, table: 0, addresses: vec![address("198.51.100.1"), address("198.51.100.2")] },
            Outside { interface: 5, table: 0, addresses: vec![] },
        ],
        pool: Pool::Addresses(vec![address("203.0.113.1"), address("203.0.113.3")]),
        mappings: vec![
            one(Some(6), "203.0.113.1", Some((80, 80)), "192.168.1.2", Some(8080), 0),
            one(Some(6), "203.0.113.9", Some((80, 80)), "192.168.1.2", Some(8080), 0),
            one(None, "203.0.113.3", None, "192.168.1.3", None, 0),
            one(None, "203.0.113.1", Some((53, 54)), "192.168.1.2", None, 7),
        ],
        twice_nat_pool: vec![address("192.168.1.254")],
        exempt: vec![Exempt { source: "192.168.0.0/16".parse().unwrap(), destination: "10.0.0.0/8".parse().unwrap() }],
        ..Spec::default()
    }
}

fn rules() -> Rules {
    Rules::new(&spec(), 1, &mut ExternalPorts::default())
}

fn endpoint(last: u8, port: u16) -> (Ipv4Addr, u16) {
    (Ipv4Addr::new(203, 0, 113, last), port)
}

#[test]
fn roles() {
    let rules = rules();
    let roles = |interface| (rules.role(interface).inside(), rules.role(interface).outside());
    assert_eq!([roles(0), roles(1), roles(2), roles(5)], [(false, false), (true, false), (false, true), (true, true)]);
    assert_eq!(roles(u32::MAX), (false, false));
    assert!(rules.active() && !Rules::default().active());
}

#[test]
fn externals_and_pools() {
    let rules = rules();
    let mut externals: Vec<_> =
        rules.externals().map(|(address, external)| (address.to_string(), external.own)).collect();
    externals.sort();
    let wanted = [
        ("198.51.100.1", true),
        ("198.51.100.2", true),
        ("203.0.113.1", false),
        ("203.0.113.3", false),
        ("203.0.113.9", false),
    ];
    assert_eq!(externals, wanted.map(|(address, own)| (address.to_owned(), own)));
    assert!(rules.is_own(Ipv4Addr::new(198, 51, 100, 2)) && !rules.is_own(endpoint(1, 0).0));
    let pool = rules.pool(2, Ipv4Addr::UNSPECIFIED).unwrap();
    assert_eq!(rules.pool_addresses(pool), [endpoint(1, 0).0], "a mapping has all of 203.0.113.3");
    assert_eq!(rules.pool(5, Ipv4Addr::UNSPECIFIED), Some(pool));
    assert_eq!(rules.pool_addresses(PoolId::TWICE), [Ipv4Addr::new(192, 168, 1, 254)]);
    assert_eq!(rules.all_ports().count(), 2);
}

#[test]
fn mappings_from_both_sides() {
    let rules = rules();
    let server = Ipv4Addr::new(192, 168, 1, 2);
    let inside =
        |external, protocol| rules.static_inside_of(external, protocol).map(|found| (found.table, found.inside));
    assert_eq!(inside(endpoint(1, 80), 6), Some((0, (server, 8080))));
    assert_eq!(inside(endpoint(1, 80), 17), None);
    assert_eq!(inside(endpoint(9, 80), 6), Some((0, (server, 8080))));
    for protocol in [6, 17] {
        assert_eq!(inside(endpoint(1, 54), protocol), Some((7, (server, 54))), "a mapping without protocol");
    }
    assert_eq!(inside(endpoint(1, 54), 1), None);
    assert_eq!(inside(endpoint(3, 99), 47), Some((0, (Ipv4Addr::new(192, 168, 1, 3), 99))));
    let outside =
        |table, port, protocol| rules.static_outbound(table, (server, port), protocol).map(|found| found.external);
    assert_eq!(outside(0, 8080, 6), Some(endpoint(1, 80)), "the first of two");
    assert_eq!([outside(7, 8080, 6), outside(0, 80, 6), outside(0, 54, 17)], [None; 3]);
    assert_eq!(outside(7, 54, 17), Some(endpoint(1, 54)));
    assert!(rules.in_use(endpoint(1, 80).0, 6, 80) && !rules.in_use(endpoint(1, 80).0, 6, 81));
}

#[test]
fn hosts_and_external_endpoints_lead_to_the_same_worker() {
    let rules = Rules::new(&spec(), 4, &mut ExternalPorts::default());
    let worker = rules.host_worker(Ipv4Addr::new(192, 168, 1, 2));
    assert_eq!(rules.port_worker(endpoint(1, 0).0, 6, 80), Some(worker));
    let view = View::new(Ipv4Addr::new(192, 0, 2, 1), 999, endpoint(1, 0).0, 80);
    assert_eq!((rules.inbound_worker(&view, 6), rules.inbound_worker(&view, 17)), (Some(worker), None));
    let mut hosts = [0; 4];
    for host in 0..4000 {
        hosts[rules.host_worker(Ipv4Addr::from_bits(0xc0a8_0000 + host))] += 1;
    }
    assert!(hosts.iter().all(|&hosts| (800..1200).contains(&hosts)), "{hosts:?}");
}

#[test]
fn exempt_by_both_addresses() {
    let rules = rules();
    let exempt = |a: [u8; 4], b: [u8; 4]| rules.exempt(a.into(), b.into());
    assert!(exempt([192, 168, 255, 255], [10, 0, 0, 0]));
    assert!(!exempt([192, 169, 0, 0], [10, 0, 0, 0]) && !exempt([192, 168, 0, 0], [11, 0, 0, 0]));
}
