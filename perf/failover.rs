//! The row of a next hop that goes down.

use crate::daemon::Daemon;
use crate::feed;
use crate::forward::{self, Load};
use crate::report::Measured;
use anyhow::{Result, ensure};
use millrace_api::v1::RouteBatch;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Routes that share the next hop: /24s, one behind the other.
const ROUTES: u32 = 500_000;
/// Routes in a message.
const BATCH: u32 = 2000;
/// How it goes down, and comes back.
const WAYS: [[&[&str]; 2]; 2] = [
    [&["interface", "set", "one", "down"], &["interface", "set", "one", "up"]],
    [
        &["neighbor", "remove", "10.0.1.2", "interface", "one"],
        &["neighbor", "add", "10.0.1.2", "mac", "02:fe:00:00:00:aa", "interface", "one"],
    ],
];
/// How often in each way; the worst counts.
const TIMES: usize = 3;

/// Milliseconds for which packets were lost when one of two next hops that 500,000 routes share went down, its interface or itself,
/// while as many packets flow as one worker can forward.
pub fn run() -> Result<Option<Measured>> {
    let load = Load { config: include_str!("failover.yaml").to_owned(), workers: 1, warm_up: 2_000_000 };
    let daemon = forward::start(&load)?;
    let gateways = ["10.0.1.2", "10.0.2.2"].map(str::to_owned);
    let batch = |from: u32| {
        let prefix = |n: u32| format!("{}/24", Ipv4Addr::from_bits((64 << 24) + (n << 8)));
        RouteBatch { changes: vec![feed::add((from..from + BATCH).map(prefix).collect(), &gateways)] }
    };
    feed::replace(&daemon, (0..ROUTES).step_by(BATCH as usize).map(batch).collect())?;
    forward::settle(&daemon, load.warm_up as f64)?;
    let mut measured = Measured::plain(0.0);
    for [down, up] in std::iter::repeat_n(WAYS, TIMES).flatten() {
        let before = forward::sent(&daemon)?;
        std::thread::sleep(Duration::from_millis(300));
        let after = forward::sent(&daemon)?;
        let rate = (after.0 - before.0) / (after.1 - before.1);
        measured.mpps = Some(rate / 1e6);
        let lost = forward::lost(&daemon)?;
        daemon.json(down)?;
        let lost = quiet(&daemon)? - lost;
        // Half of the packets went there.
        measured.value = f64::max(measured.value, lost / (rate / 2.0) * 1e3);
        daemon.json(up)?;
        quiet(&daemon)?;
    }
    Ok(Some(measured))
}

/// Waits until no packet is lost any more; how many were until then.
fn quiet(daemon: &Daemon) -> Result<f64> {
    let start = Instant::now();
    let mut before = forward::lost(daemon)?;
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let now = forward::lost(daemon)?;
        if now == before {
            return Ok(now);
        }
        before = now;
        ensure!(start.elapsed() < Duration::from_secs(20), "packets go on being lost");
    }
}
