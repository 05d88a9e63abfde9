//! The af-xdp driver between Linux hosts whose devices have all their offloads on, in native and in generic mode.

use harness::{Host, Hosts, HttpServer, Iperf, Lab, Namespace, Router, eventually};

const MODES: [&str; 2] = ["native", "generic"];

/// A router with both of its devices by AF_XDP, with more keys for them, between two hosts.
fn start(keys: &str) -> Hosts {
    let (lab, lan, wan) = Hosts::lab();
    let router = lab.start(&config(keys));
    Hosts { router, lan, wan, lab }
}

fn config(keys: &str) -> String {
    format!(
        "
interfaces:
  lan: {{driver: af-xdp, device: lan, {keys}addresses: [192.168.1.1/24]}}
  wan: {{driver: af-xdp, device: wan, {keys}addresses: [203.0.113.1/24]}}
"
    )
}

fn await_link(router: &Router, name: &str, link: &str) {
    eventually(&format!("{name} is {link}"), || (router.interface(name)?["link"].as_str() == Some(link)).then_some(()));
}

/// Programs at a device, by the kernel's own word.
fn programs(namespace: &Namespace, device: &str) -> usize {
    namespace.ip(&format!("-d link show dev {device}")).matches("prog/xdp").count()
}

#[test]
fn ping_tcp_and_http_pass() {
    for mode in MODES {
        let net = start(&format!("mode: {mode}, "));
        let (lan, wan) = (&net.lan, &net.wan);
        lan.ping(&wan.address);
        wan.ping(&lan.address);
        lan.ping("192.168.1.1");
        HttpServer::start(wan, 64 << 20).fetch(lan);
        HttpServer::start(lan, 16 << 20).fetch(wan);
        for options in ["", "-R", "-P 4"] {
            let rate = Iperf::run(lan, wan, 2, options).bits_per_second;
            println!("{mode}: iperf3 {options}: {:.0} Mbit/s", rate / 1e6);
            assert!(rate > 100e6, "{mode}: iperf3 {options}: {:.1} Mbit/s", rate / 1e6);
        }
        lan.run("ping -n -c 2 -i 0.2 -W 2 -s 20000 203.0.113.10").ok();
        let shown = net.router.run("show interfaces lan");
        let why = if mode == "native" { "copy: veth has no zero copy" } else { "copy: there is none in generic mode" };
        assert!(shown.contains("af-xdp") && shown.contains(why), "{shown}");
        let Hosts { router, lab, lan: _lan, wan: _wan } = net;
        drop(router);
        assert_eq!(programs(&lab.router, "lan") + programs(&lab.router, "wan"), 0);
    }
}

#[test]
fn jumbo_packets_pass() {
    for mode in MODES {
        let (lab, lan, wan) = Hosts::lab();
        for host in [&lan, &wan] {
            host.ip("link set eth0 mtu 9000");
        }
        let router = lab.start(&config(&format!("mode: {mode}, mtu: 9000, ")));
        let Hosts { router, lan, wan, .. } = &Hosts { router, lan, wan, lab };
        lan.run("ping -n -M do -c 3 -i 0.2 -W 2 -s 8972 203.0.113.10").ok();
        HttpServer::start(wan, 64 << 20).fetch(lan);
        let rate = Iperf::run(lan, wan, 2, "").bits_per_second;
        println!("{mode}: iperf3 with jumbo packets: {:.0} Mbit/s", rate / 1e6);
        assert!(rate > 100e6, "{mode}: {:.1} Mbit/s", rate / 1e6);
        assert_eq!(router.interface("lan").expect("lan")["mtu"], 9000);
    }
}

#[test]
fn both_families_pass() {
    let (lab, lan, wan) = Hosts::lab();
    let lan = lan.with6("2001:db8:1::10/64", "2001:db8:1::1");
    let wan = wan.with6("2001:db8:2::10/64", "2001:db8:2::1");
    let config = config("").replace("192.168.1.1/24", "192.168.1.1/24, '2001:db8:1::1/64'");
    let router = lab.start(&config.replace("203.0.113.1/24", "203.0.113.1/24, '2001:db8:2::1/64'"));
    let net = Hosts { router, lan, wan, lab };
    net.lan.ping("2001:db8:2::10");
    HttpServer::start(&net.wan, 16 << 20).fetch(&net.lan);
}

#[test]
fn two_queues_and_two_workers() {
    let lab = Lab::new();
    let hosts = ["lan", "wan"].map(|device| {
        let host = Host::unplugged(device, if device == "lan" { "192.168.1.10/24" } else { "203.0.113.10/24" });
        lab.router.cable(device, &host, "eth0");
        lab.router.run(&format!("ethtool -L {device} rx 2 tx 2")).ok();
        host.run("ethtool -L eth0 rx 2 tx 2").ok();
        host
    });
    hosts[0].configure("192.168.1.10/24", "192.168.1.1");
    hosts[1].configure("203.0.113.10/24", "203.0.113.1");
    let [lan, wan] = hosts;
    let router = lab.start(&format!("workers: {{count: 2}}\n{}", config("queues: 2, ")));
    let Hosts { router, lan, wan, .. } = &Hosts { router, lan, wan, lab };
    lan.ping(&wan.address);
    HttpServer::start(wan, 16 << 20).fetch(lan);
    assert!(Iperf::run(lan, wan, 2, "-P 8").bits_per_second > 100e6);
    let shown = router.run("show interfaces lan");
    let line = shown.lines().find(|line| line.contains("per queue")).unwrap_or_default();
    let numbers: Vec<u64> = line.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    let [0, in0, _, 1, in1, _] = numbers[..] else { panic!("{shown}") };
    assert!(in0 > 100 && in1 > 100, "{shown}");
}

#[test]
fn a_cable_pulled_and_put_back() {
    for mode in MODES {
        let Hosts { router, lan, wan, .. } = &start(&format!("mode: {mode}, "));
        lan.ping(&wan.address);
        for _ in 0..2 {
            wan.ip("link set eth0 down");
            await_link(router, "wan", "down");
            assert!(!lan.reaches(&wan.address));
            wan.ip("link set eth0 up");
            wan.ip("route replace default via 203.0.113.1");
            await_link(router, "wan", "up");
            eventually("it forwards again", || lan.reaches(&wan.address).then_some(()));
        }
    }
}

#[test]
fn a_device_that_disappears_and_comes_back() {
    for mode in MODES {
        let Hosts { router, lan, wan, lab } = &start(&format!("mode: {mode}, "));
        lan.ping(&wan.address);
        for _ in 0..2 {
            wan.ip("link del eth0");
            await_link(router, "wan", "missing");
            assert!(!lan.reaches(&wan.address));
            lan.ping("192.168.1.1");
            lab.router.cable("wan", wan, "eth0");
            wan.configure("203.0.113.10/24", "203.0.113.1");
            await_link(router, "wan", "up");
            eventually("it forwards again", || lan.reaches(&wan.address).then_some(()));
        }
        router.rebase();
    }
}

#[test]
fn a_crash_leaves_nothing_in_the_way() {
    let Hosts { router, lan, wan, lab } = &mut start("");
    lan.ping(&wan.address);
    for _ in 0..3 {
        router.end(harness::SIGKILL);
        eventually("the program is gone", || (programs(&lab.router, "lan") == 0).then_some(()));
        router.start_again();
        eventually("it forwards again", || lan.reaches(&wan.address).then_some(()));
    }
}

#[test]
fn beside_another_driver_and_without_it_again() {
    let Hosts { router, lan, wan, lab } = &start("");
    lan.ping(&wan.address);
    router.run("interface remove wan");
    eventually("the program is gone", || (programs(&lab.router, "wan") == 0).then_some(()));
    router.run("interface add wan driver af-packet device wan address 203.0.113.1/24");
    eventually("it forwards again", || lan.reaches(&wan.address).then_some(()));
    router.run("interface remove wan");
    router.run("interface add wan driver af-xdp device wan mode generic address 203.0.113.1/24");
    eventually("it forwards again", || lan.reaches(&wan.address).then_some(()));
    HttpServer::start(wan, 4 << 20).fetch(lan);
    router.rebase();
}
