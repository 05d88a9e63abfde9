//! The built-in source and sink of traffic: what is asked for is made, and what arrives is counted and checked.

use harness::{Lab, Router, eventually};
use serde_json::Value;

/// A generator with these streams, a route for 198.18.0.0/15 (RFC 2544), and a sink behind it.
fn start(lab: &Lab, streams: &str) -> Router {
    lab.start(&format!(
        "
interfaces:
  gen0: {{driver: generator, addresses: [10.0.0.1/24], streams: [{streams}]}}
  sink: {{driver: generator, check: true, addresses: [10.1.0.1/24]}}
routes: [{{to: 198.18.0.0/15, via: 10.1.0.2}}]
neighbors: [{{interface: sink, address: 10.1.0.2, mac: '02:00:00:00:00:02'}}]
"
    ))
}

#[test]
fn every_packet_of_a_stream_arrives() {
    let lab = Lab::new();
    for (streams, packets, bytes) in [
        ("{source: 10.0.0.2, destination: 198.18.0.0/16, count: 100000}", 100_000, 60 * 100_000),
        ("{source: 10.0.0.2, destination: 198.18.0.1, size: 1518, count: 5000}", 5_000, 1514 * 5_000),
        ("{source: 10.0.0.2-10.0.0.9, destination: 198.18.0.1, protocol: tcp, order: random, count: 999}", 999, 59_940),
        ("{source: 10.0.0.2, destination: 198.18.0.1, size: 64-127, count: 640}", 640, 10 * (60..=123).sum::<u64>()),
        // Of twelve frames seven of 64, four of 594 and one of 1518 bytes.
        ("{source: 10.0.0.2, destination: 198.18.0.1, size: imix, count: 1200}", 1200, 100 * (420 + 4 * 590 + 1514)),
        (
            "{source: 10.0.0.2, destination: 198.18.0.1, protocol: icmp, count: 50}, \
             {source: 10.0.0.3, destination: 198.19.0.1, destination-ports: 1-9, count: 70}",
            120,
            7200,
        ),
    ] {
        let router = start(&lab, streams);
        let sunk = || (router.counter("sink", "tx_packets") >= packets).then_some(());
        eventually(&format!("{packets} packets of {streams}"), sunk);
        for (interface, key, count) in [
            ("gen0", "rx_packets", packets),
            ("gen0", "rx_bytes", bytes),
            ("sink", "tx_packets", packets),
            ("sink", "tx_bytes", bytes),
        ] {
            assert_eq!(router.counter(interface, key), count, "{key} of {interface} with {streams}");
        }
        assert_eq!(router.list("show errors"), Vec::<Value>::new(), "{streams}");
    }
}

#[test]
fn a_rate_is_kept() {
    let lab = Lab::new();
    let router = start(&lab, "{source: 10.0.0.2, destination: 198.18.0.0/24, rate: 20kpps, count: 40000}");
    let rate = eventually("the rate is shown", || {
        let rate = router.interface("gen0")?["rx_pps"].as_f64()?;
        (rate > 15_000.0).then_some(rate)
    });
    assert!(rate < 25_000.0, "{rate} packets a second");
    eventually("it ends", || (router.counter("sink", "tx_packets") == 40_000).then_some(()));
}

#[test]
fn two_workers_share_the_work() {
    let lab = Lab::new();
    let stream = "{source: 10.0.0.2, destination: 198.18.0.0/16, rate: 50kpps, count: 50000}";
    let router = lab.start(&format!(
        "
workers: {{count: 2}}
interfaces:
  gen0: {{driver: generator, addresses: [10.0.0.1/24], streams: [{stream}]}}
  gen1: {{driver: generator, addresses: [10.2.0.1/24], streams: [{stream}]}}
  sink: {{driver: generator, check: true, addresses: [10.1.0.1/24]}}
routes: [{{to: 198.18.0.0/15, via: 10.1.0.2}}]
neighbors: [{{interface: sink, address: 10.1.0.2, mac: '02:00:00:00:00:02'}}]
"
    ));
    eventually("all packets arrive", || (router.counter("sink", "tx_packets") == 100_000).then_some(()));
    let lookups = |worker: u64| -> u64 {
        let rows = router.list("show runtime");
        let here = rows.iter().filter(|row| row["node"] == "ip4-lookup" && row["worker"] == worker);
        here.filter_map(|row| row["packets"].as_u64()).sum()
    };
    assert_eq!((lookups(0), lookups(1)), (50_000, 50_000), "{}", router.run("show workers"));
}
