//! What each `nat44` command makes of a configuration, how a change reads, and what is refused with which words.
#![allow(clippy::unwrap_used, reason = "what is unwrapped is written right here")]

use millrace_config::*;

const START: &str = "
vrfs: {blue: {}}
interfaces:
  wan: {driver: af-packet, device: eth0, addresses: [203.0.113.2/24]}
  dsl: {driver: af-packet, device: eth1}
  lan: {driver: tap, device: mr-lan, addresses: [192.168.1.1/24]}
nat44:
  inside: [lan]
  outside: [wan]
  static-mappings:
    - {protocol: tcp, external: \"wan:8080\", internal: \"192.168.1.10:80\"}
";

fn start() -> Config {
    parse(START, "start").unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A start that differs.
fn with(changes: &[Nat44Edit]) -> Config {
    changes.iter().fold(start(), |config, change| edit(&config, &Edit::Nat44(change.clone())).unwrap())
}

/// The steps from [`START`] that edits come to.
fn steps(changes: &[Nat44Edit]) -> String {
    let next = with(changes);
    let plan = plan(&start(), &next);
    assert!(plan.ops.len() <= 1, "{plan}");
    plan.to_string()
}

fn refused(config: &Config, unwanted: Nat44Edit) -> String {
    edit(config, &Edit::Nat44(unwanted)).unwrap_err().to_string()
}

fn pool(text: &str) -> Nat44Edit {
    Nat44Edit::PoolAdd(text.parse().unwrap())
}

fn unpool(text: &str) -> Nat44Edit {
    Nat44Edit::PoolRemove(text.parse().unwrap())
}

fn key(protocol: Option<NatProtocol>, external: &str) -> MappingKey {
    MappingKey { protocol, external: external.parse().unwrap() }
}

fn map(protocol: Option<NatProtocol>, external: &str, internal: &[&str]) -> Nat44Edit {
    let servers = internal.iter().map(|server| server.parse().unwrap()).collect();
    Nat44Edit::MappingAdd { key: key(protocol, external), mapping: Mapping::to(servers) }
}

fn set(key: &str, value: &str) -> Nat44Edit {
    Nat44Edit::Set { key: key.to_owned(), value: value.to_owned() }
}

fn side(side: Side, interface: &str) -> Nat44Edit {
    Nat44Edit::InterfaceAdd { side, name: name(interface) }
}

#[test]
fn interfaces_pools_and_prefixes_come_and_go() {
    assert_eq!(steps(&[side(Side::Outside, "dsl")]), "+ nat44 outside dsl\n");
    let gone = Nat44Edit::InterfaceRemove { side: Side::Inside, name: name("lan") };
    assert_eq!(steps(&[gone]), "- nat44 inside lan\n");
    assert_eq!(steps(&[pool("203.0.113.16/30")]), "~ nat44 pool: interface -> 203.0.113.16-203.0.113.19\n");
    assert_eq!(
        steps(&[pool("203.0.113.16/30"), pool("203.0.113.2"), unpool("203.0.113.17")]),
        "~ nat44 pool: interface -> 203.0.113.2, 203.0.113.16, 203.0.113.18-203.0.113.19\n"
    );
    assert_eq!(steps(&[unpool("interface")]), "~ nat44 pool: interface -> none\n");
    assert_eq!(steps(&[unpool("interface"), pool("interface")]), "");
    let two = with(&[pool("203.0.113.16/30"), pool("203.0.113.30")]);
    let one = edit(&two, &Edit::Nat44(unpool("203.0.113.16/30"))).unwrap();
    assert_eq!(plan(&two, &one).to_string(), "- nat44 pool 203.0.113.16-203.0.113.19\n");
    let twice = |text: &str| Nat44Edit::TwiceNatAdd(text.parse().unwrap());
    let untwice = |text: &str| Nat44Edit::TwiceNatRemove(text.parse().unwrap());
    assert_eq!(
        steps(&[twice("192.168.1.252-192.168.1.254"), untwice("192.168.1.252")]),
        "+ nat44 twice-nat-pool 192.168.1.253-192.168.1.254\n"
    );
    let pair = Exempt { source: Exempt::ANY, destination: "10.0.0.0/8".parse().unwrap() };
    assert_eq!(steps(&[Nat44Edit::ExemptAdd(pair)]), "+ nat44 exempt source 0.0.0.0/0 destination 10.0.0.0/8\n");
    assert_eq!(steps(&[Nat44Edit::ExemptAdd(pair), Nat44Edit::ExemptRemove(pair)]), "");
}

#[test]
fn mappings_come_and_go() {
    let tcp = Some(NatProtocol::Tcp);
    assert_eq!(
        steps(&[map(tcp, "203.0.113.2:443", &["192.168.1.11:443", "192.168.1.10:443"])]),
        "+ nat44 mapping tcp 203.0.113.2:443 to 192.168.1.10:443, 192.168.1.11:443\n"
    );
    assert_eq!(
        steps(&[Nat44Edit::MappingRemove(key(tcp, "wan:8080"))]),
        "- nat44 mapping tcp wan:8080 to 192.168.1.10:80\n"
    );
    let again = [Nat44Edit::MappingRemove(key(tcp, "wan:8080")), map(tcp, "wan:8080", &["192.168.1.11:80"])];
    assert_eq!(steps(&again), "~ nat44 mapping tcp wan:8080: to 192.168.1.10:80 -> to 192.168.1.11:80\n");
    assert_eq!(steps(&[map(None, "203.0.113.3", &["192.168.1.11"])]), "+ nat44 mapping 203.0.113.3 to 192.168.1.11\n");
}

#[test]
fn settings_are_set_as_in_a_file() {
    let cases = [
        ("filtering", "endpoint-independent", "filtering: address-dependent -> endpoint-independent"),
        ("mss-clamp", "1452", "mss-clamp: off -> 1452"),
        ("max-sessions", "500000", "max-sessions: 1000000 -> 500000"),
        ("max-sessions-per-host", "7", "max-sessions-per-host: 10000 -> 7"),
        ("timeouts udp", "2m", "timeouts udp: 5m -> 2m"),
        ("timeouts tcp-established", "3h", "timeouts tcp-established: 124m -> 3h"),
        ("timeouts tcp-transitory", "5m", "timeouts tcp-transitory: 4m -> 5m"),
        ("timeouts icmp", "90s", "timeouts icmp: 1m -> 90s"),
        ("log mappings", "true", "log mappings: false -> true"),
        ("log syslog", "192.0.2.9", "log syslog: off -> 192.0.2.9:514"),
        ("log rate", "10", "log rate: 1000 -> 10"),
    ];
    assert_eq!(
        cases.map(|(key, ..)| key).iter().filter(|key| Nat44Edit::KEYS.contains(key)).count(),
        Nat44Edit::KEYS.len()
    );
    for (key, value, step) in cases {
        assert_eq!(steps(&[set(key, value)]), format!("~ nat44 {step}\n"));
    }
    assert_eq!(steps(&[set("mss-clamp", "1452"), set("mss-clamp", "off")]), "");
    assert_eq!(
        steps(&[set("timeouts udp", "2m"), set("timeouts icmp", "90s")]),
        "~ nat44 timeouts udp: 5m -> 2m\n~ nat44 timeouts icmp: 1m -> 90s\n"
    );
}

#[test]
fn what_cannot_be_is_refused_with_what_would_be_right() {
    let start = start();
    let addresses = with(&[pool("203.0.113.16/30")]);
    let tcp = Some(NatProtocol::Tcp);
    let cases = [
        (&start, side(Side::Outside, "wan"), "nat44 outside has wan already; nothing to add"),
        (&start, side(Side::Inside, "lam"), "nat44: inside: no interface \"lam\"; did you mean `lan`?"),
        (
            &start,
            Nat44Edit::InterfaceRemove { side: Side::Inside, name: name("dsl") },
            "nat44 inside doesn't have dsl; it has lan",
        ),
        (
            &start,
            Nat44Edit::InterfaceRemove { side: Side::Outside, name: name("wan") },
            "nat44: static mapping tcp wan:8080: no outside interface \"wan\"; add it to `outside`",
        ),
        (&start, pool("interface"), "nat44 pool is interface; nothing to add"),
        (&addresses, pool("interface"), "nat44 pool is 203.0.113.16-203.0.113.19; remove these addresses first"),
        (&start, unpool("203.0.113.7"), "nat44 pool has no 203.0.113.7; it is interface"),
        (
            &addresses,
            unpool("203.0.113.19-203.0.113.20"),
            "nat44 pool doesn't have 203.0.113.19-203.0.113.20; it has 203.0.113.16-203.0.113.19",
        ),
        (
            &addresses,
            pool("203.0.113.19"),
            "nat44: pool: 203.0.113.19 overlaps 203.0.113.16-203.0.113.19; expected each address once",
        ),
        (
            &start,
            map(tcp, "wan:8080", &["192.168.1.11:80"]),
            "nat44 mapping tcp wan:8080 is there already (to 192.168.1.10:80); use `nat44 mapping remove` first",
        ),
        (
            &start,
            map(tcp, "203.0.113.2:8000-8100", &["192.168.1.11:8000-8100"]),
            "nat44: static mapping tcp wan:8080: overlaps tcp 203.0.113.2:8000-8100; expected each external port once; \
             `internal` takes a list of servers",
        ),
        (
            &start,
            Nat44Edit::MappingRemove(key(tcp, "wan:8081")),
            "there is no nat44 mapping tcp wan:8081; `show nat44 mappings` lists them",
        ),
        (&start, set("timeout udp", "5m"), "nat44: can't set \"timeout udp\"; did you mean `timeouts udp`?"),
        (
            &start,
            set("timeouts udp", "5"),
            "nat44: timeouts: udp: cannot take \"5\"; expected a time of whole seconds from 1s to 30d, such as 300s or 5m",
        ),
        (
            &start,
            set("max-sessions", "[1, 2]"),
            "nat44: max-sessions: found a list; expected a whole number from 1 to 16000000",
        ),
    ];
    for (config, unwanted, words) in cases {
        assert_eq!(refused(config, unwanted), words);
    }
}

#[test]
fn an_interface_that_translates_stays() {
    let removed = |interface: &str| edit(&start(), &Edit::InterfaceRemove { name: name(interface) });
    let error = removed("wan").unwrap_err();
    assert!(matches!(error, EditError::InUse(_)));
    assert_eq!(
        error.to_string(),
        "interface wan is used by nat44 outside, nat44 mapping tcp wan:8080; remove these first"
    );
    assert_eq!(removed("lan").unwrap_err().to_string(), "interface lan is used by nat44 inside; remove these first");
    assert!(removed("dsl").is_ok());
}

/// What names an interface goes before it and comes back after it; the rest of the translation stays meanwhile.
#[test]
fn translation_leaves_an_interface_alone_while_it_is_made_anew() {
    let other = START.replace("device: eth0", "device: eth9") + "  max-sessions: 7\n";
    let plan = plan(&start(), &parse(&other, "other").unwrap());
    assert_eq!(
        plan.to_string(),
        "\
- nat44 outside wan
- nat44 mapping tcp wan:8080 to 192.168.1.10:80
- address 203.0.113.2/24 interface wan
- interface wan: af-packet eth0
+ interface wan: af-packet eth9
+ address 203.0.113.2/24 interface wan
+ nat44 outside wan
+ nat44 mapping tcp wan:8080 to 192.168.1.10:80
~ nat44 max-sessions: 1000000 -> 7
"
    );
}

#[test]
fn a_route_may_leave_its_vrf_by_an_interface_that_it_names() {
    let with = |hop: &str| {
        let routes = format!("routes: [{{to: 0.0.0.0/0, vrf: blue, via: [{hop}]}}]\n");
        parse(&format!("{START}{routes}"), "f").map(drop).map_err(|errors| errors[0].to_string())
    };
    assert_eq!(with("{gateway: 203.0.113.1, interface: wan}"), Ok(()));
    // The gateway is one where the interface is.
    let error = with("{gateway: 203.0.113.2, interface: wan}").unwrap_err();
    assert!(error.contains("via 203.0.113.2: this is interface wan's own address"), "{error}");
    let error = with("{gateway: 203.0.113.255, interface: wan}").unwrap_err();
    assert!(error.contains("this is the broadcast address of 203.0.113.0/24"), "{error}");
}
