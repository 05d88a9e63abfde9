//! Millrace to Millrace: two routers with a memif between them, and a real host behind each.

use crate::net::{await_link, link, socket};
use harness::{Host, HttpServer, Iperf, Lab, Router, SIGKILL, eventually};

/// Two routers and their hosts. The fields are dropped in this order.
struct Pair {
    client: Router,
    server: Router,
    /// 192.168.1.10 behind the client.
    lan: Host,
    /// 203.0.113.10 behind the server.
    wan: Host,
    _labs: [Lab; 2],
}

impl Pair {
    fn start(zero_copy: bool, keys: &str, mtu: u32) -> Pair {
        let labs = [Lab::new(), Lab::new()];
        let lan = labs[0].host("lan", "192.168.1.10/24", "192.168.1.1");
        let wan = labs[1].host("wan", "203.0.113.10/24", "203.0.113.1");
        for host in [&lan, &wan] {
            host.ip(&format!("link set eth0 mtu {mtu}"));
        }
        let socket = socket(&labs[1]);
        let memif = format!("driver: memif, socket: {}, mtu: {mtu}, {keys}", socket.display());
        let client = labs[0].start(&format!(
            "
interfaces:
  lan: {{driver: af-packet, device: lan, mtu: {mtu}, addresses: [192.168.1.1/24]}}
  m0: {{{memif}role: client, zero-copy: {zero_copy}, addresses: [10.9.0.1/30]}}
routes: [{{to: 203.0.113.0/24, via: 10.9.0.2}}]
"
        ));
        assert_eq!(link(&client, "m0"), "down", "nobody listens yet");
        let server = labs[1].start(&format!(
            "
interfaces:
  wan: {{driver: af-packet, device: wan, mtu: {mtu}, addresses: [203.0.113.1/24]}}
  m0: {{{memif}role: server, addresses: [10.9.0.2/30]}}
routes: [{{to: 192.168.1.0/24, via: 10.9.0.1}}]
"
        ));
        let pair = Pair { client, server, lan, wan, _labs: labs };
        pair.up();
        pair
    }

    #[track_caller]
    fn up(&self) {
        for router in [&self.client, &self.server] {
            await_link(router, "m0", "up");
            router.rebase();
        }
    }
}

#[test]
fn hosts_talk_through_two_routers() {
    for zero_copy in [false, true] {
        let pair = Pair::start(zero_copy, "secret: open sesame, ", 1500);
        pair.lan.ping("203.0.113.10");
        pair.wan.ping("192.168.1.10");
        let path = pair.lan.run("traceroute -n -q 1 -w 2 -I 203.0.113.10").ok();
        let hops: Vec<&str> = path.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(hops, ["192.168.1.1", "10.9.0.2", "203.0.113.10"], "{path}");
        HttpServer::start(&pair.wan, 16 << 20).fetch(&pair.lan);
        HttpServer::start(&pair.lan, 16 << 20).fetch(&pair.wan);
        for options in ["", "-R"] {
            let rate = Iperf::run(&pair.lan, &pair.wan, 1, options).bits_per_second;
            assert!(rate > 20e6, "zero-copy {zero_copy}, iperf3 {options}: {:.1} Mbit/s", rate / 1e6);
        }
        pair.client.settle();
        pair.server.settle();
        // Nothing was lost between them, and both counted the same.
        let of = |router: &Router, key| router.counter("m0", key);
        for (one, other) in [("tx_packets", "rx_packets"), ("rx_packets", "tx_packets"), ("tx_bytes", "rx_bytes")] {
            let agree = || (of(&pair.client, one) == of(&pair.server, other)).then_some(());
            eventually(&format!("the client's {one} are the server's {other}"), agree);
        }
    }
}

#[test]
fn jumbo_packets_and_several_queues() {
    for zero_copy in [false, true] {
        let mut pair = Pair::start(zero_copy, "queues: 2, ", 9000);
        pair.lan.run("ping -n -M do -c 5 -i 0.05 -W 2 -s 8972 203.0.113.10").ok();
        HttpServer::start(&pair.wan, 16 << 20).fetch(&pair.lan);
        assert!(Iperf::run(&pair.wan, &pair.lan, 1, "-P 2").bits_per_second > 20e6);
        pair.client.settle();
        pair.server.settle();
        // Either router goes without a word and comes back, and the other one is there.
        for _ in 0..2 {
            pair.server.end(SIGKILL);
            await_link(&pair.client, "m0", "down");
            pair.server.start_again();
            pair.up();
            eventually("it passes again", || pair.lan.reaches("203.0.113.10").then_some(()));
            pair.client.end(SIGKILL);
            await_link(&pair.server, "m0", "down");
            pair.client.start_again();
            pair.up();
            eventually("it passes again", || pair.wan.reaches("192.168.1.10").then_some(()));
        }
    }
}
