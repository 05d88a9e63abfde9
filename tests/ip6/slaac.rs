//! Real hosts that configure themselves from the router's advertisements (RFC 4862).

use harness::{Host, HttpServer, Lab, Router, eventually};

/// A router that advertises in the lan with these settings; a host there that listens, and one in the wan with all set.
struct Net {
    router: Router,
    lan: Host,
    wan: Host,
    #[allow(dead_code)] // dropped last
    lab: Lab,
}

fn config(settings: &str) -> String {
    format!(
        "
interfaces:
  lan: {{driver: af-packet, device: lan, addresses: [192.168.1.1/24, '2001:db8:1::1/64']{settings}}}
  wan: {{driver: af-packet, device: wan, addresses: [203.0.113.1/24, '2001:db8:2::1/64']}}
"
    )
}

fn start(settings: &str) -> Net {
    let lab = Lab::new();
    let lan = lab.autonomous_host("lan");
    let wan = lab.host("wan", "203.0.113.10/24", "203.0.113.1").with6("2001:db8:2::10/64", "2001:db8:2::1");
    let router = lab.start(&config(&format!(", router-advertisements: {settings}")));
    Net { router, lan, wan, lab }
}

/// The address that the host made itself of the prefix and its hardware address.
#[track_caller]
fn own_address(host: &Host) -> String {
    let mac = harness::frames::mac(&host.mac());
    let mut address = harness::frames6::link_local(mac);
    address[..8].copy_from_slice(&harness::frames6::ip6("2001:db8:1::")[..8]);
    let address = std::net::Ipv6Addr::from(address).to_string();
    eventually("the host has an address", || host.addresses6().contains(&address).then_some(()));
    address
}

fn default_route(host: &Host) -> Option<String> {
    let routes = host.ip("-6 route show default");
    routes.lines().find(|line| line.contains("proto ra")).map(str::to_owned)
}

#[test]
fn a_host_configures_itself() {
    let net = start("{mtu: 1400, hop-limit: 32, dns: ['2001:db8:2::53'], search: [example.org]}");
    let address = own_address(&net.lan);
    let route = eventually("the host has a default route", || default_route(&net.lan));
    assert!(route.contains("via fe80::") && route.contains("dev eth0"), "{route}");
    eventually("the host has the MTU", || {
        (net.lan.run("sysctl -n net.ipv6.conf.eth0.mtu").ok().trim() == "1400").then_some(())
    });
    assert_eq!(net.lan.run("sysctl -n net.ipv6.conf.eth0.hop_limit").ok().trim(), "32");
    net.lan.ping("2001:db8:2::10");
    net.wan.ping(&address);
    HttpServer::start(&net.wan, 4 << 20).fetch(&net.lan);
    // Another program reads the rest.
    let shown = net.lan.run("rdisc6 -1 -w 4000 eth0").ok();
    for line in ["2001:db8:1::/64", "2001:db8:2::53", "example.org", "1400"] {
        assert!(shown.contains(line), "no {line} in\n{shown}");
    }
}

/// Nobody waits for the next advertisement: a host that comes up asks, and is answered.
#[test]
fn a_host_that_comes_later() {
    let net = start("{}");
    own_address(&net.lan);
    net.lan.ip("link set eth0 down");
    net.lan.ip("link set eth0 up");
    let begin = std::time::Instant::now();
    own_address(&net.lan);
    eventually("the host has a default route", || default_route(&net.lan));
    assert!(begin.elapsed().as_secs() < 6, "{:?}", begin.elapsed());
    eventually("it reaches the other side", || net.lan.reaches("2001:db8:2::10").then_some(()));
}

#[test]
fn the_route_goes_when_advertisements_are_switched_off() {
    let mut net = start("{}");
    own_address(&net.lan);
    eventually("the host has a default route", || default_route(&net.lan));
    let off = net.router.files().write("off.yaml", config(""));
    net.router.run(&format!("config apply {}", off.display()));
    eventually("the route is gone", || default_route(&net.lan).is_none().then_some(()));
    let on = net.router.files().write("on.yaml", config(", router-advertisements: {}"));
    net.router.run(&format!("config apply {}", on.display()));
    eventually("the route is there again", || default_route(&net.lan));
    eventually("it reaches the other side", || net.lan.reaches("2001:db8:2::10").then_some(()));
    // A router that is stopped is no router; one that is started again is.
    net.router.restart();
    eventually("it reaches the other side again", || net.lan.reaches("2001:db8:2::10").then_some(()));
}

/// The example that the documentation shows: one public IPv4 address for all, IPv6 from end to end.
#[test]
fn the_example_works() {
    let config = std::fs::read_to_string(harness::golden::file("../configs/dual-stack.yaml")).expect("the example");
    let lab = Lab::new();
    let lan = lab.autonomous_host("lan");
    let wan = lab.host("wan", "203.0.113.1/24", "203.0.113.2").with6("2001:db8:ffff::1/64", "2001:db8:ffff::2");
    wan.ip("-4 route del default");
    let router = lab.start(&config);
    lan.ip("addr add 192.168.1.10/24 dev eth0");
    lan.ip("route add default via 192.168.1.1");
    eventually("the host has configured itself", || lan.reaches("2001:db8:ffff::1").then_some(()));
    let own = lan.addresses6().into_iter().find(|address| address.starts_with("2001:db8:100:1:")).expect("an address");
    HttpServer::start(&wan, 4 << 20).fetch(&lan);
    HttpServer::start(&wan.at("203.0.113.1"), 4 << 20).fetch(&lan);
    // From outside the host is reached by its own address.
    HttpServer::start(&lan.at(&own), 4 << 20).fetch(&wan);
    let rows = router.list("show nat44 sessions");
    assert!(rows.iter().all(|row| row["inside_address"] == "192.168.1.10") && !rows.is_empty(), "{rows:?}");
    // The rest of the prefix is nowhere.
    let told = wan.run("ping -n -c 1 -W 2 2001:db8:100:99::1").stdout;
    assert!(told.contains("unreachable"), "{told}");
}
