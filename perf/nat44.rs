//! NAT rows: the daemon with hosts on the generator's side, and the outside behind the sink.

use crate::daemon::Daemon;
use crate::forward::{self, Load};
use crate::report::Measured;
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Sessions of the two rows of established flows.
const SMALL: Sessions = Sessions { hosts: 1024, ports: 64, addresses: 4 };
const LARGE: Sessions = Sessions { hosts: 1000, ports: 1000, addresses: 32 };
/// Sessions that make room for each other: with the 1,024 hosts and 2,047 ports stepping on together, a combination comes
/// again after 2,096,128 packets.
const NEW: Sessions = Sessions { hosts: 1024, ports: 2047, addresses: 64 };
/// Most sessions, where they are to be limited.
const LIMIT: u32 = 1_000_000;
/// Ports of an external address that are given to ports above 1023.
const PORTS: u32 = 64_512;

/// Inside hosts, source ports of each, and external addresses.
#[derive(Clone, Copy)]
struct Sessions {
    hosts: u32,
    ports: u32,
    addresses: u32,
}

/// 65,536 established sessions, each of a source port of its own, in random order.
pub fn small() -> Result<Option<Measured>> {
    let mut udp = outbound(SMALL)?;
    // Beside the row's figure: the way back in, and both ways with TCP.
    udp.add_nodes("", &both_ways(1, "udp")?, "nat44-out2in");
    udp.add_nodes(" tcp", &both_ways(1, "tcp")?, "nat44-");
    Ok(Some(udp))
}

/// 1,000,000 of them.
pub fn large() -> Result<Option<Measured>> {
    let mut udp = outbound(LARGE)?;
    udp.add_nodes("", &both_ways(16, "udp")?, "nat44-out2in");
    Ok(Some(udp))
}

/// Sessions made a second when each packet makes one in a full table, which the oldest has to leave.
pub fn new_sessions() -> Result<Option<Measured>> {
    let stream = NEW.stream("sequential", None);
    let load = Load { workers: 1, config: config(NEW.addresses, LIMIT, &stream, ""), warm_up: 3 * u64::from(LIMIT) };
    let measured = forward::measure(&load)?;
    Ok(Some(Measured { value: measured.mpps.unwrap_or(0.0) * 1e6, ..measured }))
}

/// Bytes of memory that each of 1,000,000 sessions takes: what the daemon has more than with 1,000, its tables and those of the
/// external ports included.
pub fn session_bytes() -> Result<Option<Measured>> {
    let (few, many) = (1000, LARGE.hosts * LARGE.ports);
    let more = resident(many)? - resident(few)?;
    Ok(Some(Measured::plain(more / f64::from(many - few))))
}

/// From inside to outside.
fn outbound(sessions: Sessions) -> Result<Measured> {
    let all = u64::from(sessions.hosts * sessions.ports);
    let stream = sessions.stream("shuffled", None);
    // The first round makes the sessions.
    forward::measure(&Load {
        workers: 1,
        config: config(sessions.addresses, LIMIT + 100_000, &stream, ""),
        warm_up: 2 * all + 1_000_000,
    })
}

/// Out and back in at the same time: all ports of one external address, each in use with so many remote ones.
fn both_ways(remotes: u32, protocol: &str) -> Result<Measured> {
    let (hosts, remote) = (inside(PORTS / 64), format!("198.18.0.0-{}", address([198, 18, 0, 0], remotes - 1)));
    let out = format!(
        "{{destination-mac: '{SOURCE}', source: {hosts}, destination: {remote}, protocol: {protocol}, \
         source-ports: 10000-10063, destination-ports: '80', order: shuffled}}"
    );
    let back = format!(
        "{{destination-mac: '{SINK}', source: {remote}, destination: 203.0.113.0, protocol: {protocol}, \
         source-ports: '80', destination-ports: 1024-65535, order: shuffled}}"
    );
    let config = config(1, LIMIT + 100_000, &out, &back);
    forward::measure(&Load { config, workers: 1, warm_up: 6 * u64::from(PORTS * remotes) + 1_000_000 })
}

/// Bytes of memory of a daemon that has so many sessions and nothing more to do.
fn resident(sessions: u32) -> Result<f64> {
    let stream = LARGE.stream("shuffled", Some(sessions));
    let daemon = Daemon::start(&config(LARGE.addresses, LIMIT, &stream, ""))?;
    let start = Instant::now();
    while forward::sent(&daemon)?.0 < f64::from(sessions) {
        ensure!(
            start.elapsed() < Duration::from_secs(20),
            "not all is forwarded: {}",
            daemon.json(&["show", "errors"])?
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    // What was replaced is freed within the next seconds, as the workers have all gone on.
    let mut least = f64::INFINITY;
    for _ in 0..16 {
        std::thread::sleep(Duration::from_millis(250));
        least = least.min(daemon.resident()?);
    }
    Ok(least)
}

const SOURCE: &str = "02:fe:00:00:00:01";
const SINK: &str = "02:fe:00:00:00:02";

impl Sessions {
    fn stream(self, order: &str, count: Option<u32>) -> String {
        let count = count.map_or_else(String::new, |n| format!(", count: {n}"));
        format!(
            "{{destination-mac: '{SOURCE}', source: {}, destination: 198.18.0.1, protocol: udp, source-ports: 10000-{}, destination-ports: '80', order: {order}{count}}}",
            inside(self.hosts),
            9999 + self.ports
        )
    }
}

/// The addresses of so many inside hosts.
fn inside(hosts: u32) -> String {
    format!("10.1.0.0-{}", address([10, 1, 0, 0], hosts - 1))
}

fn address(first: [u8; 4], plus: u32) -> std::net::Ipv4Addr {
    (u32::from_be_bytes(first) + plus).into()
}

/// A NAT router between two generators, each with a stream or none.
fn config(addresses: u32, limit: u32, inside: &str, outside: &str) -> String {
    let last = address([203, 0, 113, 0], addresses - 1);
    format!(
        "
workers: {{count: 1, cpus: [1], mode: polling}}
interfaces:
  lan: {{driver: generator, mac: '{SOURCE}', addresses: [10.0.0.1/8], streams: [{inside}]}}
  wan: {{driver: generator, mac: '{SINK}', addresses: [192.0.2.1/24], streams: [{outside}]}}
routes:
  - {{to: 0.0.0.0/0, via: 192.0.2.2}}
  - {{to: 10.1.0.0/16, via: 10.0.0.3}}
neighbors:
  - {{interface: lan, address: 10.0.0.3, mac: '02:fe:00:00:00:bb'}}
  - {{interface: wan, address: 192.0.2.2, mac: '02:fe:00:00:00:aa'}}
nat44:
  inside: [lan]
  outside: [wan]
  pool: [203.0.113.0-{last}]
  max-sessions: {limit}
  max-sessions-per-host: {limit}
"
    )
}
