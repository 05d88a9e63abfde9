//! Rates and load over about the last second, and the marks from which counters count after a `clear`.

use millrace_engine::counters::InterfaceTotals;
use millrace_engine::{Engine, ErrorRow, LedgerTotals, NodeName, NodeRow, clock};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often rates are sampled.
pub const EVERY: Duration = Duration::from_secs(1);

/// Everything that rates are made of, at one moment.
#[derive(Clone, Debug)]
struct Sample {
    at: Instant,
    interfaces: HashMap<u32, InterfaceTotals>,
    workers: Vec<(LedgerTotals, u64)>,
}

/// What passes an interface in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InterfaceRates {
    /// Packets received.
    pub rx_pps: f64,
    /// Bits received.
    pub rx_bps: f64,
    /// Packets sent.
    pub tx_pps: f64,
    /// Bits sent.
    pub tx_bps: f64,
}

/// What a worker does in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorkerRates {
    /// Share of the time that it worked, 0 to 100.
    pub load_percent: f64,
    /// Packets received.
    pub rx_pps: f64,
    /// Packets sent.
    pub tx_pps: f64,
}

/// A node's numbers since the mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct NodeMark {
    calls: u64,
    packets: u64,
    clocks: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Stats {
    before: Sample,
    now: Sample,
    /// What `clear runtime` left behind.
    runtime: HashMap<(NodeName, usize), NodeMark>,
    workers: Vec<(LedgerTotals, u64)>,
    since: Instant,
    /// What `clear errors` left behind.
    errors: HashMap<(NodeName, &'static str), (u64, u64)>,
}

/// The heading of the runtime statistics: over all workers, since the last clear.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Heading {
    /// What it covers.
    pub span: Duration,
    /// Averages over that.
    pub rates: WorkerRates,
}

impl Stats {
    /// Everything counts from now.
    pub fn new(engine: &Engine) -> Stats {
        let sample = Sample { at: Instant::now(), interfaces: HashMap::new(), workers: workers(engine) };
        Stats {
            before: sample.clone(),
            runtime: HashMap::new(),
            workers: sample.workers.clone(),
            since: sample.at,
            errors: HashMap::new(),
            now: sample,
        }
    }

    /// Takes a sample of these interfaces.
    pub fn sample(&mut self, engine: &Engine, interfaces: impl Iterator<Item = u32>) {
        let interfaces = interfaces.map(|index| (index, engine.interface(index))).collect();
        let sample = Sample { at: Instant::now(), interfaces, workers: workers(engine) };
        self.before = std::mem::replace(&mut self.now, sample);
    }

    /// The rates of an interface; zero before it was sampled twice.
    pub fn interface(&self, index: u32) -> InterfaceRates {
        let (Some(before), Some(now)) = (self.before.interfaces.get(&index), self.now.interfaces.get(&index)) else {
            return InterfaceRates::default();
        };
        let (d, seconds) = (now.since(before), self.seconds());
        let rate = |n: u64| n as f64 / seconds;
        InterfaceRates {
            rx_pps: rate(d.rx_packets),
            rx_bps: rate(d.rx_bytes * 8),
            tx_pps: rate(d.tx_packets),
            tx_bps: rate(d.tx_bytes * 8),
        }
    }

    /// The rates of a worker.
    pub fn worker(&self, worker: usize) -> WorkerRates {
        let (Some(before), Some(now)) = (self.before.workers.get(worker), self.now.workers.get(worker)) else {
            return WorkerRates::default();
        };
        rates(before, now, self.seconds())
    }

    fn seconds(&self) -> f64 {
        self.now.at.saturating_duration_since(self.before.at).as_secs_f64().max(1e-3)
    }

    /// Every node that ran since the last [`clear_runtime`](Self::clear_runtime), by worker, in graph order.
    pub fn runtime(&self, engine: &Engine) -> Vec<NodeRow> {
        let since = |row: NodeRow| {
            let mark = self.runtime.get(&(row.node, row.worker)).copied().unwrap_or_default();
            NodeRow {
                calls: row.calls.wrapping_sub(mark.calls),
                packets: row.packets.wrapping_sub(mark.packets),
                clocks: row.clocks.wrapping_sub(mark.clocks),
                ..row
            }
        };
        engine.runtime().into_iter().map(since).filter(|row| row.calls > 0).collect()
    }

    /// The heading to that.
    pub fn heading(&self, engine: &Engine) -> Heading {
        let span = self.since.elapsed();
        let now = workers(engine);
        let each = self.workers.iter().zip(&now).map(|(b, n)| rates(b, n, span.as_secs_f64().max(1e-3)));
        let sum = each.fold(WorkerRates::default(), |a, b| WorkerRates {
            load_percent: a.load_percent + b.load_percent,
            rx_pps: a.rx_pps + b.rx_pps,
            tx_pps: a.tx_pps + b.tx_pps,
        });
        let load_percent = sum.load_percent / now.len().max(1) as f64;
        Heading { span, rates: WorkerRates { load_percent, ..sum } }
    }

    /// Lets the runtime statistics begin anew.
    pub fn clear_runtime(&mut self, engine: &Engine) {
        let mark = |row: NodeRow| {
            ((row.node, row.worker), NodeMark { calls: row.calls, packets: row.packets, clocks: row.clocks })
        };
        self.runtime = engine.runtime().into_iter().map(mark).collect();
        self.workers = workers(engine);
        self.since = Instant::now();
    }

    /// The counters of nodes that are not zero since the last [`clear_errors`](Self::clear_errors).
    pub fn errors(&self, engine: &Engine) -> Vec<ErrorRow> {
        let since = |row: ErrorRow| {
            let (count, drops) = self.errors.get(&(row.node, row.reason)).copied().unwrap_or((0, 0));
            ErrorRow { count: row.count.wrapping_sub(count), drops: row.drops.wrapping_sub(drops), ..row }
        };
        engine.errors().into_iter().map(since).filter(|row| row.count > 0).collect()
    }

    /// Lets the counters of nodes begin anew.
    pub fn clear_errors(&mut self, engine: &Engine) {
        self.errors = engine.errors().into_iter().map(|row| ((row.node, row.reason), (row.count, row.drops))).collect();
    }
}

fn workers(engine: &Engine) -> Vec<(LedgerTotals, u64)> {
    (0..engine.workers()).map(|worker| (engine.ledger(worker), engine.busy_clocks(worker))).collect()
}

fn rates((before, busy): &(LedgerTotals, u64), (now, busy_now): &(LedgerTotals, u64), seconds: f64) -> WorkerRates {
    let clocks = clock::clocks_per_second() as f64 * seconds;
    WorkerRates {
        load_percent: (busy_now.wrapping_sub(*busy) as f64 * 100.0 / clocks).clamp(0.0, 100.0),
        rx_pps: now.received.wrapping_sub(before.received) as f64 / seconds,
        tx_pps: now.sent.wrapping_sub(before.sent) as f64 / seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_over_time() {
        let ledger = |received, sent| LedgerTotals { received, sent, ..LedgerTotals::default() };
        let second = clock::clocks_per_second();
        let got = rates(&(ledger(100, 50), 7), &(ledger(1100, 150), 7 + second), 2.0);
        assert_eq!((got.rx_pps, got.tx_pps), (500.0, 50.0));
        assert!((got.load_percent - 50.0).abs() < 0.01, "{got:?}");
    }
}
