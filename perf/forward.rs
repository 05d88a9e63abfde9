//! Forwarding rows: the daemon with a generator on one side and a sink on the other.

use crate::daemon::Daemon;
use crate::report::Measured;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one measurement takes, and how many are made; the best counts.
const SPAN: Duration = Duration::from_millis(700);
const SPANS: usize = 5;

/// 65,536 destinations under one prefix, in random order.
pub fn one_prefix() -> Result<Option<Measured>> {
    Ok(Some(forward(1)?))
}

/// How many times the packets of one worker two workers forward.
pub fn two_workers() -> Result<Option<Measured>> {
    if std::thread::available_parallelism()?.get() < 2 {
        return Ok(None);
    }
    let (one, two) = (forward(1)?, forward(2)?);
    let ratio = two.mpps.unwrap_or(0.0) / one.mpps.unwrap_or(f64::MAX);
    Ok(Some(Measured { value: ratio, mpps: two.mpps, nodes: two.nodes }))
}

fn forward(workers: usize) -> Result<Measured> {
    measure(&Load { config: include_str!("ip4-1-prefix.yaml").to_owned(), workers, warm_up: 1_000_000 })
}

/// What the daemon is to forward.
pub struct Load {
    /// Its configuration, written for one worker on processor 1.
    pub config: String,
    /// How many workers there are to be.
    pub workers: usize,
    /// Packets after which tables and caches are as they stay.
    pub warm_up: u64,
}

/// The best of several spans. None may lose a packet.
pub fn measure(load: &Load) -> Result<Measured> {
    measure_running(&start(load)?, load.warm_up)
}

/// The daemon for a load.
pub fn start(load: &Load) -> Result<Daemon> {
    // The last processors are the quietest.
    let all = std::thread::available_parallelism()?.get();
    let cpus: Vec<String> = (0..load.workers).map(|w| (all.saturating_sub(1 + w)).to_string()).collect();
    let text = load
        .config
        .replace("count: 1,", &format!("count: {},", load.workers))
        .replace("cpus: [1]", &format!("cpus: [{}]", cpus.join(", ")));
    Daemon::start(&text)
}

/// [`measure`] with a daemon that runs.
pub fn measure_running(daemon: &Daemon, warm_up: u64) -> Result<Measured> {
    settle(daemon, warm_up as f64)?;
    let mut best: Option<Measured> = None;
    for _ in 0..SPANS {
        daemon.json(&["clear", "runtime"])?;
        let before = sent(daemon)?;
        std::thread::sleep(SPAN);
        let (packets, seconds) = (sent(daemon)?.0 - before.0, sent(daemon)?.1 - before.1);
        let measured = read(daemon, packets, seconds)?;
        if best.as_ref().is_none_or(|b| measured.value < b.value) {
            best = Some(measured);
        }
    }
    ensure_no_loss(daemon)?;
    best.ok_or_else(|| anyhow::anyhow!("nothing was measured"))
}

/// Fails if packets were lost since they were forgotten.
pub fn ensure_no_loss(daemon: &Daemon) -> Result<()> {
    ensure!(lost(daemon)? == 0.0, "packets were lost: {}", daemon.json(&["show", "errors"])?);
    Ok(())
}

/// Packets that were lost.
pub fn lost(daemon: &Daemon) -> Result<f64> {
    let drops = daemon.json(&["show", "errors"])?;
    Ok(drops.as_array().into_iter().flatten().filter_map(|e| e["drops"].as_f64()).sum())
}

/// Lets the routes come in and the tables and caches fill, and forgets the packets that were lost meanwhile.
pub fn settle(daemon: &Daemon, packets: f64) -> Result<()> {
    let before = sent(daemon)?.0;
    let start = Instant::now();
    while sent(daemon)?.0 < before + packets {
        ensure!(
            start.elapsed() < Duration::from_secs(20),
            "nothing is forwarded: {}",
            daemon.json(&["show", "errors"])?
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    daemon.json(&["clear", "errors"])?;
    Ok(())
}

/// Packets that the sink has taken, and when it was asked, in seconds.
pub fn sent(daemon: &Daemon) -> Result<(f64, f64)> {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let interfaces = daemon.json(&["show", "interfaces"])?;
    let now = START.elapsed().as_secs_f64();
    let all = interfaces.as_array().cloned().unwrap_or_default();
    // What goes into a tunnel leaves by another interface.
    let devices = all.iter().filter(|i| i["driver"] != "vxlan");
    Ok((devices.filter_map(|i| i["tx_packets"].as_f64()).sum(), now))
}

/// The graph's clocks a packet: every node behind the source, the way into the sink included.
fn read(daemon: &Daemon, packets: f64, seconds: f64) -> Result<Measured> {
    let Clocks { nodes, all, input } = clocks(daemon)?;
    Ok(Measured { value: all - input, mpps: Some(packets / seconds / 1e6), nodes })
}

/// Clocks since they were cleared.
pub struct Clocks {
    /// By node, for a packet that comes to it.
    pub nodes: BTreeMap<String, f64>,
    /// For a packet that came in: what a node takes of each that comes to it counts as many times as packets do.
    pub all: f64,
    /// Of that, what the way in takes.
    pub input: f64,
}

/// What the nodes took of the packets that were forwarded.
pub fn clocks(daemon: &Daemon) -> Result<Clocks> {
    let runtime = daemon.json(&["show", "runtime"])?;
    let rows = runtime.as_array().or_else(|| runtime["nodes"].as_array()).cloned().unwrap_or_default();
    let mut clocks: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for row in &rows {
        let (Some(node), packets) = (row["node"].as_str(), number(row, "packets")) else { continue };
        let entry = clocks.entry(node.to_owned()).or_default();
        entry.0 += number(row, "clocks_per_packet") * packets;
        entry.1 += packets;
    }
    let (input, received) = clocks.get("device-input").copied().context("no device-input")?;
    // Those that stray packets come to are not worth a figure.
    let visited = clocks.iter().filter(|(_, c)| c.1 > received / 100.0);
    let nodes: BTreeMap<String, f64> = visited.map(|(n, c)| (n.clone(), c.0 / c.1)).collect();
    ensure!(
        ["ip4-lookup", "ip6-lookup", "l2-input"].iter().any(|node| nodes.contains_key(*node)),
        "nothing was forwarded: {runtime}"
    );
    let all = clocks.values().map(|(clocks, _)| clocks).sum::<f64>() / received;
    Ok(Clocks { nodes, all, input: input / received })
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or(0.0)
}
