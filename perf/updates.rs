//! The row of routes that change while packets flow.

use crate::daemon::Daemon;
use crate::report::Measured;
use crate::{feed, forward, routes};
use anyhow::{Context, Result, ensure};
use millrace_api::v1::RouteBatch;
use millrace_api::v1::route_updates::What;
use millrace_tables::sample::Random;
use std::time::{Duration, Instant};

/// How long packets flow without updates, and then with them.
const SPAN: Duration = Duration::from_secs(3);
/// Updates in a message.
const BATCH: usize = 500;

/// What the sink says of a span.
struct Flow {
    mpps: f64,
    /// Microseconds from source to sink, on average.
    latency: f64,
    /// Packets that took longer than a millisecond.
    late: f64,
}

/// Updates a second of a table of 1,000,000 routes, while one worker forwards all it can to random destinations: each takes a route
/// out, puts one in again, or gives it another next hop.
pub fn run() -> Result<Option<Measured>> {
    let mut load = routes::load_of_a_million()?;
    load.config =
        load.config.replace("sink:\n    driver: generator", "sink:\n    driver: generator\n    latency: true");
    let daemon = forward::start(&load)?;
    routes::tell(&daemon)?;
    forward::settle(&daemon, load.warm_up as f64)?;
    let alone = flow(&daemon, || {
        std::thread::sleep(SPAN);
        Ok(())
    })?;
    let mut told = None;
    let mut updates = Updates::new()?;
    let with_updates = flow(&daemon, || {
        let start = Instant::now();
        let batches = std::iter::from_fn(|| (start.elapsed() < SPAN).then(|| What::Batch(updates.batch())));
        told = Some(feed::tell(&daemon, batches)?);
        Ok(())
    })?;
    let told = told.context("nothing was told")?;
    forward::ensure_no_loss(&daemon)?;
    let mut measured = Measured::plain(told.taken as f64 / told.took.as_secs_f64());
    measured.mpps = Some(with_updates.mpps);
    for (name, value) in [
        ("Mpps without", alone.mpps),
        ("us latency", with_updates.latency),
        ("us latency without", alone.latency),
        ("packets later than 1 ms", with_updates.late),
        ("packets later than 1 ms without", alone.late),
    ] {
        measured.nodes.insert(name.to_owned(), value);
    }
    Ok(Some(measured))
}

/// What flows while something is done.
fn flow(daemon: &Daemon, work: impl FnOnce() -> Result<()>) -> Result<Flow> {
    let (before, start) = (sink(daemon)?, Instant::now());
    work()?;
    let (after, took) = (sink(daemon)?, start.elapsed());
    let [packets, nanoseconds, late] = std::array::from_fn(|at| after[at] - before[at]);
    ensure!(packets > 0.0, "nothing flows");
    Ok(Flow { mpps: packets / took.as_secs_f64() / 1e6, latency: nanoseconds / packets / 1e3, late })
}

/// Packets, the sum of their latencies in nanoseconds, and those later than a millisecond.
fn sink(daemon: &Daemon) -> Result<[f64; 3]> {
    let sink = daemon.json(&["show", "interface", "sink"])?;
    let statistics = sink["details"]["statistics"].as_array().with_context(|| format!("no statistics: {sink}"))?;
    let of =
        |name: &str| statistics.iter().find(|s| s["name"] == name).and_then(|s| s["count"].as_f64()).unwrap_or(0.0);
    Ok(["sink_packets", "sink_latency_ns", "sink_later_than_1ms"].map(of))
}

/// Updates of the routes that the router has.
struct Updates {
    /// Each, and whether it is in the table.
    routes: Vec<(String, bool)>,
    random: Random,
}

impl Updates {
    fn new() -> Result<Updates> {
        let changes = routes::batches()?.into_iter().flat_map(|batch| batch.changes);
        let routes = changes.flat_map(|change| change.prefixes).map(|prefix| (prefix, true)).collect();
        Ok(Updates { routes, random: Random(3) })
    }

    fn batch(&mut self) -> RouteBatch {
        let change = |_| {
            let at = self.random.below(self.routes.len() as u64) as usize;
            let (prefix, there) = &mut self.routes[at];
            *there = !*there || self.random.below(2) == 0;
            if !*there {
                return feed::withdraw(vec![prefix.clone()]);
            }
            feed::set(vec![prefix.clone()], &[routes::gateway(self.random.below(routes::GATEWAYS)).to_string()])
        };
        RouteBatch { changes: (0..BATCH).map(change).collect() }
    }
}
