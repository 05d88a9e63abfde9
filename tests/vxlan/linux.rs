//! What passes between a host in the router's bridge and Linux's VXLAN.

use crate::net::{Net, Under, config, inner, inner6, linux_count, vxlan_device};
use harness::{Iperf, eventually};

#[test]
fn hosts_reach_each_other_over_both_families() {
    for under in Under::BOTH {
        let net = Net::start(under, 1, "");
        net.host.ping(&inner(1));
        net.host.ping(&inner6(1));
        net.peers[0].ping(&inner(0));
        net.peers[0].ping(&inner6(0));
        assert_eq!(net.lost(), 0, "{}", net.router.run("show errors"));
    }
}

#[test]
fn both_sides_count_alike() {
    for under in Under::BOTH {
        let net = Net::start(under, 1, "");
        net.host.ping(&inner(1));
        // Linux says now and then that it is there, so it may be a moment before both have counted the same.
        eventually("equal counters", || {
            let remote = net.remote(1)?;
            let count = |key: &str| linux_count(&net.peers[0], "vx0", key);
            let here = ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"].map(|key| remote[key].as_u64().unwrap());
            let there = ["tx_packets", "tx_bytes", "rx_packets", "rx_bytes"].map(count);
            // Linux counts frames without their Ethernet headers.
            let there = [there[0], there[1] + 14 * there[0], there[2], there[3] + 14 * there[2]];
            let interface =
                ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"].map(|key| net.router.counter("vx0", key));
            (here == there && here == interface).then_some(())
        });
    }
}

#[test]
fn streams_of_tcp_pass_both_ways() {
    for under in Under::BOTH {
        let net = Net::start(under, 1, "");
        let inside = net.peers[0].at(&inner(1));
        for way in ["", "-R"] {
            let stream = Iperf::run(&net.host, &inside, 2, way);
            assert!(stream.bits_per_second > 2e6, "{under:?} {way}: {} bit/s", stream.bits_per_second);
        }
    }
}

#[test]
fn large_packets_go_in_fragments_of_the_underlay() {
    for under in Under::BOTH {
        let net = Net::start(under, 1, "mtu: 3000");
        for (host, device) in [(&net.host, "eth0"), (&net.peers[0], "vx0")] {
            host.ip(&format!("link set {device} mtu 3000"));
        }
        net.router.run("interface set lan mtu 3000");
        for bytes in [1402, 1403, 1472, 2972] {
            net.host.run(&format!("ping -n -c 2 -i 0.2 -W 2 -s {bytes} {}", inner(1))).ok();
            net.peers[0].run(&format!("ping -n -c 2 -i 0.2 -W 2 -s {bytes} {}", inner(0))).ok();
        }
        // Linux lets nobody cut its datagrams over IPv6 in pieces: there, its senders hear that they are too large.
        let (made, joined) = match under {
            Under::V4 => ("ip4-fragment", Some("ip4-local-full-reassembly")),
            Under::V6 => ("ip6-fragment", None),
        };
        for node in joined.into_iter().chain([made]) {
            assert!(net.router.errors(node, "") > 0, "{}", net.router.run("show errors"));
        }
        assert_eq!(net.lost(), 0, "{}", net.router.run("show errors"));
    }
}

#[test]
fn what_is_longer_than_the_interface_takes_is_counted() {
    let net = Net::start(Under::V4, 1, "");
    assert_eq!(net.router.interface("vx0").unwrap()["mtu"], 1450);
    net.host.ip("link set eth0 mtu 1500");
    // 1450 bytes and the underlay's 50 are 1500.
    net.host.run(&format!("ping -n -c 2 -i 0.2 -W 2 -M do -s 1402 {}", inner(1))).ok();
    net.peers[0].ip("link set vx0 mtu 1450");
    net.host.run(&format!("ping -n -c 2 -i 0.2 -W 2 -M do -s 1422 {}", inner(1))).ok();
    assert_eq!(net.lost(), 0, "{}", net.router.run("show errors"));
    net.host.run(&format!("ping -n -c 1 -W 1 -M do -s 1423 {}", inner(1))).code(1);
    assert_eq!(net.router.errors("l2-output", "MTU"), 1, "{}", net.router.run("show errors"));
    let over6 = Net::start(Under::V6, 1, "");
    assert_eq!(over6.router.interface("vx0").unwrap()["mtu"], 1430);
}

#[test]
fn checksums_are_as_configured() {
    const NONE: &str = "IPv6 datagram without a checksum";
    let zero6 = "udp6zerocsumtx udp6zerocsumrx";
    for (under, mode, linux) in [
        (Under::V4, "auto", "noudpcsum"),
        (Under::V4, "on", "udpcsum"),
        (Under::V4, "off", "udpcsum"),
        (Under::V6, "auto", ""),
        (Under::V6, "on", "udp6zerocsumrx"),
        (Under::V6, "off", zero6),
    ] {
        let remote = under.address(1);
        let net = Net::with(under, 1, &format!("remotes: ['{remote}'], udp-checksum: {mode}"), linux);
        net.host.ping(&inner(1));
        net.peers[0].ping(&inner(0));
        assert_eq!(net.lost(), 0, "{under:?} {mode}: {}", net.router.run("show errors"));
        if (under, mode) == (Under::V6, "auto") {
            // Linux that sends none is not heard by who wants one (RFC 8200 section 8.1).
            vxlan_device(&net.peers[0], under, 1, 100, zero6);
            assert!(!net.peers[0].reaches(&inner(0)));
            assert!(net.router.errors("vxlan6-input", NONE) > 0, "{}", net.router.run("show errors"));
            net.set(&format!("remotes: ['{remote}'], udp-checksum: off"));
            net.peers[0].ping(&inner(0));
        }
    }
}

#[test]
fn another_segment_is_not_heard() {
    let net = Net::start(Under::V4, 1, "");
    vxlan_device(&net.peers[0], Under::V4, 1, 101, "");
    assert!(!net.peers[0].reaches(&inner(0)));
    assert!(net.router.errors("vxlan4-input", "VNI") > 0, "{}", net.router.run("show errors"));
    // The interface takes another one while it is there.
    net.set(&format!("remotes: ['{}'], vni: 101", net.under.address(1)).replace("vni: 101", "ttl: 9"));
    assert!(!net.peers[0].reaches(&inner(0)));
    vxlan_device(&net.peers[0], Under::V4, 1, 100, "");
    net.peers[0].ping(&inner(0));
}

#[test]
fn the_router_itself_is_in_the_segment() {
    for under in Under::BOTH {
        let net = Net::start(under, 2, "");
        let remotes = format!("remotes: ['{}', '{}']", under.address(1), under.address(2));
        let bvi = "br0: {bvi: {addresses: [10.9.0.99/24, '2001:db8:a::99/64']}}";
        net.apply(&config(under, &remotes).replace("br0: {}", bvi));
        for station in [&net.host, &net.peers[0], &net.peers[1]] {
            station.ping("10.9.0.99");
            station.ping("2001:db8:a::99");
        }
        for n in 0..=2 {
            net.router.run(&format!("ping {} count 2", inner(n)));
        }
    }
}
