//! Rows of a table of Internet size: 1,000,000 routes, told by a client of the API as a routing daemon would.

use crate::daemon::Daemon;
use crate::feed;
use crate::forward::{self, Load};
use crate::report::Measured;
use anyhow::{Context, Result, ensure};
use ipnet::Ipv4Net;
use millrace_api::v1::RouteBatch;
use std::collections::HashSet;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Routes.
const ROUTES: usize = 1_000_000;
/// Routes in a message, and those of them with the same next hop: about what comes together in an update of BGP.
const BATCH: usize = 2000;
const TOGETHER: usize = 4;
/// Next hops, from 10.0.1.2 on.
pub const GATEWAYS: u64 = 64;

/// How many of 901,899 routes of a table of the Internet (January 2024) have each length, from /8 to /32. (Of /25 to /31 only
/// the sum is known.)
const LENGTHS: [u32; 25] = [
    16, 13, 38, 103, 299, 581, 1203, 2100, 13_490, 8235, 13_798, 24_870, 42_611, 50_750, 108_623, 96_510, 537_698, 11,
    11, 11, 11, 11, 10, 10, 886,
];

/// Clocks a packet, with destinations in and between the routes in random order.
pub fn forward() -> Result<Option<Measured>> {
    let load = load_of_a_million()?;
    let daemon = forward::start(&load)?;
    tell(&daemon)?;
    Ok(Some(forward::measure_running(&daemon, load.warm_up)?))
}

/// Random destinations in and between the million routes, which are still to be told.
pub fn load_of_a_million() -> Result<Load> {
    let mut config = include_str!("ip4-1m-routes.yaml").to_owned();
    for n in 0..GATEWAYS {
        let gateway = gateway(n);
        writeln!(config, "  - {{interface: sink, address: {gateway}, mac: '02:fe:00:00:01:{n:02x}'}}")?;
    }
    Ok(Load { config, workers: 1, warm_up: 5_000_000 })
}

/// Seconds from the first message to the last acknowledgement, to a router that knows none of the routes.
pub fn load() -> Result<Option<Measured>> {
    let daemon = Daemon::start(include_str!("routes.yaml"))?;
    Ok(Some(Measured::plain(tell(&daemon)?.as_secs_f64())))
}

/// Megabytes of the whole daemon with the routes.
pub fn memory() -> Result<Option<Measured>> {
    let daemon = Daemon::start(include_str!("routes.yaml"))?;
    tell(&daemon)?;
    // What was replaced is freed a moment later.
    std::thread::sleep(Duration::from_millis(500));
    Ok(Some(Measured::plain(daemon.resident()? / 1e6)))
}

/// Replaces all routes of an origin by the million; how long that takes.
pub fn tell(daemon: &Daemon) -> Result<Duration> {
    let told = feed::replace(daemon, batches()?)?;
    ensure!(told.routes == ROUTES as u64, "only {} routes are there", told.routes);
    Ok(told.took)
}

/// The routes, each once, in random order.
pub fn batches() -> Result<Vec<RouteBatch>> {
    let mut random = Random(1);
    let mut seen = HashSet::with_capacity(ROUTES);
    let mut batches = Vec::with_capacity(ROUTES / BATCH);
    for _ in 0..ROUTES / BATCH {
        let mut changes = Vec::with_capacity(BATCH / TOGETHER);
        for _ in 0..BATCH / TOGETHER {
            let mut prefixes = Vec::with_capacity(TOGETHER);
            while prefixes.len() < TOGETHER {
                let prefix = random.prefix().context("a prefix length above 32")?;
                if seen.insert(prefix) {
                    prefixes.push(prefix.to_string());
                }
            }
            changes.push(feed::add(prefixes, &[gateway(random.below(GATEWAYS)).to_string()]));
        }
        batches.push(RouteBatch { changes });
    }
    Ok(batches)
}

/// The n-th gateway.
pub fn gateway(n: u64) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 1, 2).to_bits() + n as u32)
}

/// A linear congruential generator: the same routes in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) % n
    }

    /// Of a length that is as frequent as in the table of the Internet, in 11.0.0.0 to 223.255.255.255 without 127.0.0.0/8.
    fn prefix(&mut self) -> Option<Ipv4Net> {
        let mut at = self.below(LENGTHS.iter().map(|n| u64::from(*n)).sum());
        let mut len = 8;
        for frequency in LENGTHS {
            match at.checked_sub(u64::from(frequency)) {
                Some(rest) => at = rest,
                None => break,
            }
            len += 1;
        }
        let first = match 11 + self.below(212) as u32 {
            before @ ..127 => before,
            behind => behind + 1,
        };
        Ipv4Net::new((first << 24 | self.below(1 << 24) as u32).into(), len).ok().map(|prefix| prefix.trunc())
    }
}
