//! What happens to routes when something that they hang on changes: gateways behind gateways, better routes that come and go, routes
//! that lead into another VRF.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may end where the program may not")]

mod uplinks;

use harness::{DualHosts, eventually};
use millrace_api::v1::route_updates::What;
use millrace_api::v1::{NextHop, RouteAction, RouteBatch, RouteChange, RouteOrigin, RouteUpdates};
use std::collections::BTreeSet;
use std::path::Path;
use uplinks::{Uplinks, flows};

/// The ways that flows of both families take now.
fn ways(net: &Uplinks) -> BTreeSet<usize> {
    net.send(&flows(100).collect::<Vec<_>>()).into_iter().map(|(_, way)| way).collect()
}

/// Waits until all flows of both families take these ways, and none is lost.
#[track_caller]
fn await_ways(net: &Uplinks, expected: &[usize]) {
    eventually(&format!("flows go by {expected:?}"), || {
        let seen = net.send(&flows(100).collect::<Vec<_>>());
        let ways: BTreeSet<usize> = seen.iter().map(|(_, way)| *way).collect();
        (seen.len() == 200 && ways.iter().eq(expected)).then_some(())
    });
}

#[test]
fn routes_follow_the_way_to_their_gateway() {
    let net = Uplinks::start(
        "routes:
  - {to: 198.51.100.0/24, via: 172.16.0.9}
  - {to: 172.16.0.0/16, via: 172.31.0.9}
  - {to: 172.31.0.0/24, via: 10.0.1.2}
  - {to: '2001:db8:ff::/48', via: '2001:db8:a::9'}
  - {to: '2001:db8:a::/64', via: '2001:db8:b::9'}
  - {to: '2001:db8:b::/64', via: '2001:db8:11::2'}
",
    );
    assert_eq!(ways(&net), [1].into());
    for (to, to6, expected) in [
        ("10.0.2.2", "2001:db8:12::2", &[2][..]),
        ("10.0.2.2,10.0.3.2", "2001:db8:12::2,2001:db8:13::2", &[2, 3]),
        ("10.0.3.2", "2001:db8:13::2", &[3]),
    ] {
        net.router.run(&format!("route replace 172.31.0.0/24 via {to}"));
        net.router.run(&format!("route replace 2001:db8:b::/64 via {to6}"));
        await_ways(&net, expected);
    }
    // A better way to the gateway comes and goes.
    net.router.run("route add 172.16.0.8/30 via 10.0.1.2");
    net.router.run("route add 2001:db8:a::8/125 via 2001:db8:11::2");
    await_ways(&net, &[1]);
    net.plug(1, false);
    await_ways(&net, &[3]);
    net.plug(1, true);
    await_ways(&net, &[1]);
    let shown = net.router.run("show ip route 198.51.100.7");
    assert!(shown.contains("172.16.0.9"), "{shown}");
}

/// Tells routes of both families over a gateway of each, and stays connected.
fn tell(socket: &Path, name: &str, distance: u32, way: usize, n: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let change = |gateway: String, prefixes: Vec<String>| RouteChange {
        action: RouteAction::Add.into(),
        next_hops: vec![NextHop { gateway: Some(gateway), interface: None, weight: 0 }],
        prefixes,
        ..RouteChange::default()
    };
    let four = (0..n).map(|n| format!("20.{}.{}.0/24", n / 256, n % 256)).chain(["198.51.100.0/24".to_owned()]);
    let six = (0..n).map(|n| format!("2001:db8:ff00:{n:x}::/64")).chain(["2001:db8:ff::/48".to_owned()]);
    let changes =
        vec![change(format!("10.0.{way}.2"), four.collect()), change(format!("2001:db8:1{way}::2"), six.collect())];
    let open = What::Open(RouteOrigin { name: name.to_owned(), distance, vrf: None });
    let messages = [open, What::Batch(RouteBatch { changes })].map(|what| RouteUpdates { what: Some(what) });
    let taken = runtime.block_on(async {
        let mut client = millrace_api::connect(socket).await.unwrap();
        let mut replies =
            client.operate.update_routes(tokio_stream::iter(messages)).await.expect("a call").into_inner();
        let mut taken = 0;
        while let Some(reply) = replies.message().await.expect("an answer") {
            assert_eq!(reply.refused, 0, "{:?}", reply.refusals);
            taken += reply.taken;
        }
        taken
    });
    assert_eq!(taken, 2 * (n + 1));
}

/// Thousands of routes that a worse origin has, too: they take over when the better ones' next hop is gone, and give way again.
#[test]
fn floating_routes_take_over_and_give_way() {
    const N: u32 = 3000;
    let net = Uplinks::start(
        "routes: [{to: 198.51.100.0/24, via: 10.0.3.2}, {to: '2001:db8:ff::/48', via: '2001:db8:13::2'}]",
    );
    tell(&net.router.socket(), "backup", 200, 2, N);
    net.router.run("route remove 198.51.100.0/24");
    net.router.run("route remove 2001:db8:ff::/48");
    await_ways(&net, &[2]);
    tell(&net.router.socket(), "bgp", 20, 1, N);
    await_ways(&net, &[1]);
    let last = |family: &str, prefix: &str, way: &str| {
        let shown = net.router.run(&format!("show {family} route {prefix}"));
        shown.contains(way).then_some(())
    };
    let all = |ipv4: &str, ipv6: &str| {
        eventually("the last routes follow", || {
            last("ip", "20.11.183.9", ipv4).and(last("ipv6", "2001:db8:ff00:bb7::9", ipv6))
        });
    };
    for _ in 0..2 {
        net.plug(1, false);
        await_ways(&net, &[2]);
        all("10.0.2.2", "2001:db8:12::2");
        net.plug(1, true);
        await_ways(&net, &[1]);
        all("10.0.1.2", "2001:db8:11::2");
    }
    // Both at once, and then nothing is left.
    net.plug(1, false);
    net.plug(2, false);
    eventually("nothing comes through", || ways(&net).is_empty().then_some(()));
    net.plug(2, true);
    await_ways(&net, &[2]);
    // The configuration is better than both.
    net.router.run("route add 198.51.100.0/24 via 10.0.3.2");
    net.router.run("route add 2001:db8:ff::/48 via 2001:db8:13::2");
    await_ways(&net, &[3]);
}

/// Two VRFs that know each other's networks by `next-vrf` routes, between real hosts.
#[test]
fn routes_leak_both_ways() {
    let net = DualHosts::with(
        "vrfs: {blue: {}}
interfaces:
  lan: {driver: af-packet, device: lan, addresses: [192.168.1.1/24, '2001:db8:1::1/64']}
  wan: {driver: af-packet, device: wan, vrf: blue, addresses: [203.0.113.1/24, '2001:db8:2::1/64']}
",
    );
    let reach = |to: &str| net.lan.reaches(to);
    assert!(!reach("203.0.113.10") && !reach("2001:db8:2::10"), "they are apart");
    for (prefix, prefix6, vrf, next) in [
        ("203.0.113.0/24", "2001:db8:2::/64", "default", "blue"),
        ("192.168.1.0/24", "2001:db8:1::/64", "blue", "default"),
    ] {
        for prefix in [prefix, prefix6] {
            net.router.run(&format!("route add {prefix} next-vrf {next} vrf {vrf}"));
        }
    }
    for (host, to) in [(&net.lan, ["203.0.113.10", "2001:db8:2::10"]), (&net.wan, ["192.168.1.10", "2001:db8:1::10"])] {
        to.iter().for_each(|to| eventually("the other side is reached", || host.reaches(to).then_some(())));
    }
    let shown = net.router.list("show ip route 203.0.113.10 vrf default");
    assert_eq!((&shown[0]["type"], &shown[0]["next_vrf"]), (&"next-vrf".into(), &"blue".into()));
    net.router.run("route remove 192.168.1.0/24 vrf blue");
    net.router.run("route remove 2001:db8:1::/64 vrf blue");
    assert!(!reach("203.0.113.10") && !reach("2001:db8:2::10"), "nothing comes back");
}
