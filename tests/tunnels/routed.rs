//! Routes into tunnels, and what is done to packets that go there: translation, VRFs, what a traceroute shows.

use crate::net::{FAR, FAR6, GRE, Net, Under};
use harness::{Between, Host, Lab, Output, TunnelEnd, eventually};
use std::process::Command;

#[test]
fn a_traceroute_shows_the_tunnel_as_one_hop() {
    let net = Net::start(Under::V4, GRE, "");
    eventually("the tunnel is through", || net.lan.reaches(FAR).then_some(()));
    for ttl in ["1", "2"] {
        let said = net.lan.run(&format!("ping -n -c 1 -W 2 -t {ttl} {FAR}"));
        let text = format!("{}{}", said.stdout, said.stderr);
        match ttl {
            "1" => assert!(text.contains("From 192.168.1.1") && text.contains("exceeded"), "{text}"),
            _ => assert!(text.contains(&format!("from {FAR}")), "{text}"),
        }
    }
    let hops = net.router.run(&format!("traceroute {FAR}"));
    assert!(hops.contains(FAR) && !hops.contains("203.0.113.10"), "{hops}");
}

#[test]
fn a_route_may_name_the_tunnel_alone() {
    let net = Net::start(Under::V4, Between::Nothing, "");
    net.far.ip("addr add 172.17.0.1/32 dev lo");
    net.far.ip("addr add 2001:db8:e::1/128 dev lo");
    net.router.run("route add 172.17.0.0/16 interface t0");
    net.router.run("route add 2001:db8:e::/64 interface t0");
    eventually("the way without a gateway", || net.lan.reaches("172.17.0.1").then_some(()));
    net.lan.ping("2001:db8:e::1");
    let route = |prefix: &str, command: &str| {
        net.router.list(command).into_iter().find(|row| row["prefix"] == prefix).expect("the route")
    };
    let shown = route("172.17.0.0/16", "show ip route");
    assert_eq!((&shown["next_hops"][0]["interface"], shown["next_hops"][0]["gateway"].is_null()), (&"t0".into(), true));
    assert_eq!(route("10.9.0.0/30", "show ip route")["next_hops"][0]["interface"], "t0");
    // What has no gateway has to have an other end.
    let said = net.router.ctl("route add 172.18.0.0/16 interface wan").code(1).stderr;
    assert!(said.contains("gateway"), "{said}");
    // Nobody is asked for.
    assert!(net.router.list("show neighbors").iter().all(|row| row["interface"] != "t0"));
}

/// RFC 4443 section 3.1: what comes from the other end for nobody there does not go back.
#[test]
fn packets_for_nobody_do_not_go_to_and_fro() {
    let net = Net::start(Under::V4, GRE, "");
    eventually("the tunnel is through", || net.lan.reaches(FAR6).then_some(()));
    let before = net.end.received();
    let said = net.far.run("ping -n -c 1 -W 1 -I 2001:db8:9::2 2001:db8:9::77");
    assert!(format!("{}{}", said.stdout, said.stderr).contains("unreachable"), "{}{}", said.stdout, said.stderr);
    assert_eq!(net.end.received() - before, 1, "the error, and nothing else");
    assert_eq!(net.router.errors("ip6-lookup", "would go back"), 1);
}

#[test]
fn hosts_are_hidden_behind_the_tunnel_s_address() {
    let nat = "nat44: {inside: [lan], outside: [t0, wan], pool: interface}";
    let net = Net::with(Under::V4, GRE, "", nat);
    // The far end knows nothing of the lan.
    net.far.ip("route del 192.168.1.0/24");
    eventually("translated", || net.lan.reaches(FAR).then_some(()));
    net.lan.ping(FAR);
    let sessions = net.router.list("show nat44 sessions");
    assert!(sessions.iter().any(|row| row["outside_address"] == "10.9.0.1"), "{sessions:?}");
    // Outer packets are the router's own, though they leave by an outside interface.
    assert!(sessions.iter().all(|row| row["protocol"] != "gre"), "{sessions:?}");
}

#[test]
fn the_tunnel_may_be_in_one_vrf_and_its_packets_in_another() {
    let lab = Lab::new();
    let blue = lab.host("blue", "192.168.1.10/24", "192.168.1.1");
    let far = Host::unplugged("far", "203.0.113.10/24");
    lab.router.cable("wan", &far, "eth0");
    far.configure("203.0.113.10/24", "203.0.113.1");
    let between = Between::Gre { key: Some(5), checksum: false };
    let end = TunnelEnd::start(&far, "tun0", ("203.0.113.10", "203.0.113.1"), between, 1400, &["10.9.0.2/30"]);
    far.ip("route add 192.168.1.0/24 via 10.9.0.1");
    let router = lab.start(
        "
vrfs: {blue: {}, under: {}}
interfaces:
  blue: {driver: af-packet, device: blue, vrf: blue, addresses: [192.168.1.1/24]}
  wan: {driver: af-packet, device: wan, vrf: under, addresses: [203.0.113.1/24]}
  t0: {driver: gre, local: 203.0.113.1, remote: 203.0.113.10, key: 5, underlay-vrf: under, vrf: blue, addresses: [10.9.0.1/30]}
",
    );
    eventually("through the other VRF", || blue.reaches("10.9.0.2").then_some(()));
    far.ping("192.168.1.10");
    assert!(end.sent() > 0);
    // The same packets are nobody's elsewhere.
    router.run("interface set t0 underlay-vrf blue");
    assert!(!blue.reaches("10.9.0.2"));
    let shown = router.json("show tunnels t0");
    assert_eq!(shown["local_is_here"], false);
    let link = router.interface("t0").expect("the tunnel");
    assert!(link["link_reason"].as_str().is_some_and(|reason| reason.contains("203.0.113.1")), "{link}");
    router.run("interface set t0 underlay-vrf under");
    eventually("and back", || blue.reaches("10.9.0.2").then_some(()));
}

#[test]
fn a_tunnel_through_itself_ends() {
    let net = Net::start(Under::V4, GRE, "");
    eventually("the tunnel is through", || net.lan.reaches(FAR).then_some(()));
    net.router.run("route add 198.51.100.9/32 interface t0");
    assert!(!net.lan.reaches(FAR));
    assert!(net.router.errors("tunnel-encap", "a tunnel in a tunnel") > 0);
    net.router.run("route remove 198.51.100.9/32");
    eventually("through again", || net.lan.reaches(FAR).then_some(()));
}

#[test]
fn settings_change_while_it_runs() {
    let net = Net::start(Under::V4, Between::Gre { key: Some(7), checksum: false }, "");
    eventually("the tunnel is through", || net.lan.reaches(FAR).then_some(()));
    net.router.run("interface set t0 key 8");
    assert!(!net.lan.reaches(FAR), "another key is another tunnel");
    assert!(net.end.refused() > 0);
    net.router.run("interface set t0 key 7");
    eventually("through again", || net.lan.reaches(FAR).then_some(()));
    net.router.run("interface set t0 down");
    assert!(!net.lan.reaches(FAR) && net.router.errors("ip4-lookup", "no route") > 0);
    net.router.run("interface set t0 up");
    eventually("up again", || net.lan.reaches(FAR6).then_some(()));
    net.router.run("route remove 172.16.0.0/16");
    net.router.run("route remove 2001:db8:f::/64");
    net.router.run("interface remove t0");
    assert!(net.router.list("show tunnels").is_empty());
}

#[test]
fn a_capture_of_a_tunnel_has_both_ways() {
    let net = Net::start(Under::V4, GRE, "");
    eventually("the tunnel is through", || (net.lan.reaches(FAR) && net.lan.reaches(FAR6)).then_some(()));
    let file = net.router.files().file("t0.pcapng");
    let capture = |filter: &str| {
        net.router.run(&format!("capture start {} interface t0 filter {filter}", file.display()));
        net.lan.ping(FAR);
        net.lan.ping(FAR6);
        net.router.run("capture stop");
        let said = Output::of(Command::new("tcpdump").arg("-nnr").arg(&file)).ok();
        // Each begins with the time.
        let lines = said.lines().filter_map(|line| line.split_once(' '));
        lines.map(|(_, said)| said.to_owned()).collect::<Vec<_>>()
    };
    for (filter, way, back) in [
        (
            format!("icmp and host {FAR}"),
            format!("IP 192.168.1.10 > {FAR}: ICMP echo request"),
            format!("IP {FAR} > 192.168.1.10: ICMP echo reply"),
        ),
        (
            format!("host {FAR6}"),
            format!("IP6 2001:db8:1::10 > {FAR6}: ICMP6, echo request"),
            format!("IP6 {FAR6} > 2001:db8:1::10: ICMP6, echo reply"),
        ),
    ] {
        let lines = capture(&filter);
        let of = |what: &str| lines.iter().filter(|line| line.starts_with(what)).count();
        let [asked, answered] = [of(&way), of(&back)];
        assert!(asked > 0 && asked == answered && asked * 2 == lines.len(), "{filter}: {lines:#?}");
    }
    // What is captured went on as ever, and goes on without a capture.
    net.lan.ping(FAR);
}
