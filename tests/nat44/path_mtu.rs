//! Active path-MTU discovery through the NAT (RFC 1191, RFC 4787 REQ-13, RFC 5508 REQ-4): the inside host learns of every
//! narrow link, before the router and behind it.

use crate::hosts::Home;
use harness::{Host, HttpServer, path_mtu};

/// The MTU of the path as the host knows it, if it learnt one.
fn learnt(host: &Host, to: &str) -> Option<u32> {
    let route = host.run(&format!("ip route get {to}")).ok();
    route.split_whitespace().skip_while(|word| *word != "mtu").nth(1).and_then(|mtu| mtu.parse().ok())
}

fn narrow_far_link(mtu: u32) -> Home {
    let home = Home::start("pool: [203.0.113.2]");
    home.net.wan.ip(&format!("link set eth1 mtu {mtu}"));
    home.far.ip(&format!("link set eth0 mtu {mtu}"));
    // So that only the router on the way tells of the narrow link, and not the server's MSS.
    home.far.ip("route replace default via 198.51.100.1 advmss 1460");
    home
}

/// A narrow link behind the router: the error is made by a hop outside, about the translated packet.
#[test]
fn a_narrow_link_far_away() {
    let home = narrow_far_link(1280);
    let lan = &home.net.lan;
    assert_eq!(path_mtu(lan, "198.51.100.10:9"), 1280);
    assert_eq!(learnt(lan, "198.51.100.10"), Some(1280));
    lan.ip("route flush cache");
    let ping = lan.run("ping -n -c 2 -i 0.2 -W 2 -M do -s 1400 198.51.100.10");
    assert!(ping.stdout.contains("mtu") && ping.stdout.contains("1280"), "{}", ping.stdout);
    lan.run("ping -n -c 1 -W 2 -M do -s 1252 198.51.100.10").ok();
    let path = lan.run("tracepath -n -m 5 198.51.100.10").ok();
    assert!(path.contains("pmtu 1280") && path.contains("reached"), "{path}");
}

/// The same for TCP, whose server inside sends large segments to a client outside.
#[test]
fn tcp_to_a_narrow_link() {
    let home = Home::start(
        "pool: interface, static-mappings: [{protocol: tcp, external: 'wan:8080', internal: '192.168.1.10:8080'}]",
    );
    home.net.wan.ip("link set eth1 mtu 1280");
    home.far.ip("link set eth0 mtu 1280");
    home.far.ip("route replace default via 198.51.100.1 advmss 1460");
    HttpServer::start(&home.net.lan.at("203.0.113.1"), 4 << 20).fetch(&home.far);
    assert_eq!(learnt(&home.net.lan, "198.51.100.10"), Some(1280));
}

/// The router's own outside link is narrow: the router tells, about the packet as the host sent it.
#[test]
fn a_narrow_link_next_door() {
    let home = Home::start("pool: [203.0.113.2], mss-clamp: 1460");
    home.net.router.run("interface set wan mtu 1000");
    assert_eq!(path_mtu(&home.net.lan, "198.51.100.10:9"), 1000);
    let path = home.net.lan.run("tracepath -n -m 5 198.51.100.10").ok();
    assert!(path.contains("pmtu 1000") && path.contains("reached"), "{path}");
    // Without DF it is cut in pieces, and put together at the other end.
    home.lan2.run("ping -n -c 2 -i 0.2 -W 2 -M dont -s 4000 198.51.100.10").ok();
    HttpServer::start(&home.far, 1 << 20).fetch(&home.lan2);
}

/// MSS clamping makes TCP work where the errors of a narrow link are lost.
#[test]
fn clamping_helps_where_errors_are_lost() {
    let home = Home::start(
        "pool: interface, mss-clamp: 1200, \
         static-mappings: [{protocol: tcp, external: 'wan:8080', internal: '192.168.1.10:8080'}]",
    );
    home.net.wan.ip("link set eth1 mtu 1280");
    home.far.ip("link set eth0 mtu 1280");
    home.far.ip("route replace default via 198.51.100.1 advmss 1460");
    // The hop with the narrow link says nothing, as some do.
    home.net.wan.run("nft add table ip quiet").ok();
    home.net.wan.run("nft add chain ip quiet out { type filter hook output priority 0 ; }").ok();
    home.net.wan.run("nft add rule ip quiet out icmp type destination-unreachable drop").ok();
    HttpServer::start(&home.net.lan.at("203.0.113.1"), 4 << 20).fetch(&home.far);
    assert_eq!(learnt(&home.net.lan, "198.51.100.10"), None, "nothing was too large");
}
