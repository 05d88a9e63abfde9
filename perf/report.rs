//! The rows: what each is called, must reach and may lose, and how it is printed and kept.

use crate::{failover, forward, idle, ip6, nat44, routes, updates, valgrind};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// What one measurement gave.
pub struct Measured {
    /// In the row's unit.
    pub value: f64,
    /// Millions of packets a second with source and sink, where packets flow.
    pub mpps: Option<f64>,
    /// Clocks a packet by node, source and sink too.
    pub nodes: BTreeMap<String, f64>,
}

impl Measured {
    /// A figure without packets.
    pub fn plain(value: f64) -> Measured {
        Measured { value, mpps: None, nodes: BTreeMap::new() }
    }

    /// Takes the nodes of another measurement whose names begin so, under their names with `mark` behind.
    pub fn add_nodes(&mut self, mark: &str, other: &Measured, beginning: &str) {
        let nodes = other.nodes.iter().filter(|(name, _)| name.starts_with(beginning));
        self.nodes.extend(nodes.map(|(name, clocks)| (format!("{name}{mark}"), *clocks)));
    }
}

/// A row of the table.
pub struct Row {
    /// Its name, as in the performance page.
    pub name: &'static str,
    unit: &'static str,
    target: Option<f64>,
    /// Whether less is better.
    less: bool,
    /// Whether it goes with the speed of the machine.
    paced: bool,
    /// Differences below this are noise.
    noise: f64,
    run: fn() -> Result<Option<Measured>>,
}

const CLOCKS: &str = "clocks/packet";

/// All rows.
pub const ROWS: &[Row] = &[
    Row {
        name: "ip4-1-prefix",
        unit: CLOCKS,
        target: Some(45.0),
        less: true,
        paced: true,
        noise: 0.0,
        run: forward::one_prefix,
    },
    Row {
        name: "ip4-1m-routes",
        unit: CLOCKS,
        target: Some(55.0),
        less: true,
        paced: true,
        noise: 0.0,
        run: routes::forward,
    },
    Row {
        name: "route-load-1m",
        unit: "seconds",
        target: Some(2.0),
        less: true,
        paced: true,
        noise: 0.0,
        run: routes::load,
    },
    Row {
        name: "route-memory-1m",
        unit: "MB",
        target: Some(150.0),
        less: true,
        paced: false,
        noise: 0.0,
        run: routes::memory,
    },
    Row {
        name: "route-updates",
        unit: "updates/s",
        target: Some(1e5),
        less: false,
        paced: true,
        noise: 0.0,
        run: updates::run,
    },
    Row {
        name: "next-hop-failover",
        unit: "milliseconds",
        target: Some(10.0),
        less: true,
        paced: false,
        noise: 5.0,
        run: failover::run,
    },
    Row {
        name: "ip6-1-prefix",
        unit: CLOCKS,
        target: Some(50.0),
        less: true,
        paced: true,
        noise: 0.0,
        run: ip6::one_prefix,
    },
    Row {
        name: "ip6-250k-routes",
        unit: CLOCKS,
        target: Some(100.0),
        less: true,
        paced: true,
        noise: 0.0,
        run: ip6::routes,
    },
    Row {
        name: "workers-2",
        unit: "times one worker",
        target: Some(1.9),
        less: false,
        paced: false,
        noise: 0.0,
        run: forward::two_workers,
    },
    Row {
        name: "nat44-65k",
        unit: CLOCKS,
        target: Some(100.0),
        less: true,
        paced: true,
        noise: 0.0,
        run: nat44::small,
    },
    Row { name: "nat44-1m", unit: CLOCKS, target: Some(140.0), less: true, paced: true, noise: 0.0, run: nat44::large },
    Row {
        name: "nat44-new-sessions",
        unit: "sessions/s",
        target: Some(2e6),
        less: false,
        paced: true,
        noise: 0.0,
        run: nat44::new_sessions,
    },
    Row {
        name: "nat44-session-bytes",
        unit: "bytes",
        target: Some(160.0),
        less: true,
        paced: false,
        noise: 0.0,
        run: nat44::session_bytes,
    },
    Row {
        name: "idle-cpu-percent",
        unit: "% of a core",
        target: Some(1.0),
        less: true,
        paced: false,
        noise: 0.5,
        run: idle::cpu_percent,
    },
    Row {
        name: "instructions-per-packet",
        unit: "instructions",
        target: None,
        less: true,
        paced: false,
        noise: 0.0,
        run: valgrind::instructions,
    },
    Row {
        name: "icache-misses-1",
        unit: "misses/packet",
        target: None,
        less: true,
        paced: false,
        noise: 0.5,
        run: || valgrind::misses(1),
    },
    Row {
        name: "icache-misses-4",
        unit: "misses/packet",
        target: None,
        less: true,
        paced: false,
        noise: 0.5,
        run: || valgrind::misses(4),
    },
    Row {
        name: "icache-misses-16",
        unit: "misses/packet",
        target: None,
        less: true,
        paced: false,
        noise: 0.5,
        run: || valgrind::misses(16),
    },
    Row {
        name: "icache-misses-64",
        unit: "misses/packet",
        target: None,
        less: true,
        paced: false,
        noise: 0.5,
        run: || valgrind::misses(64),
    },
    Row {
        name: "icache-misses-256",
        unit: "misses/packet",
        target: None,
        less: true,
        paced: false,
        noise: 0.5,
        run: || valgrind::misses(256),
    },
];

/// How much worse than its baseline a row may be.
const ALLOWED: f64 = 1.15;

impl Row {
    /// The table's heading.
    pub const HEADING: &str =
        "row                         figure unit               Mpps  baseline  ratio  target  nodes";

    /// Measures once; `None` when what it needs is not on this machine.
    pub fn measure(&self) -> Result<Option<Measured>> {
        (self.run)().with_context(|| format!("row {}", self.name))
    }

    /// Whether `a` is the better figure.
    pub fn better(&self, a: &Measured, b: &Measured) -> bool {
        if self.less { a.value < b.value } else { a.value > b.value }
    }

    /// The recorded figure, for a machine of this pace.
    fn expected(&self, baseline: &Baseline, pace: f64) -> Option<f64> {
        let recorded = *baseline.rows.get(self.name)?;
        Some(match self.paced && baseline.pace > 0.0 {
            true if self.less => recorded * pace / baseline.pace,
            true => recorded * baseline.pace / pace,
            false => recorded,
        })
    }

    /// Whether a figure is worse than recorded by more than is allowed.
    pub fn is_worse(&self, m: &Measured, baseline: &Baseline, pace: f64) -> bool {
        let Some(expected) = self.expected(baseline, pace) else { return false };
        if self.less { m.value > expected * ALLOWED + self.noise } else { m.value * ALLOWED < expected - self.noise }
    }

    /// The row as text.
    pub fn line(&self, m: &Measured, baseline: &Baseline, pace: f64) -> String {
        let or_dash = |v: Option<f64>, digits: usize| v.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
        let expected = self.expected(baseline, pace);
        let nodes: Vec<String> = m.nodes.iter().map(|(n, c)| format!("{n} {c:.1}")).collect();
        format!(
            "{:<24} {:>9.3} {:<16} {:>6} {:>9} {:>6} {:>7}  {}",
            self.name,
            m.value,
            self.unit,
            or_dash(m.mpps, 1),
            or_dash(expected, 3),
            or_dash(expected.filter(|e| *e > 0.0).map(|e| m.value / e), 2),
            or_dash(self.target, 1),
            nodes.join(", ")
        )
    }
}

/// What was recorded.
#[derive(Default)]
pub struct Baseline {
    /// Pace of the machine that recorded it, nanoseconds.
    pub pace: f64,
    rows: BTreeMap<String, f64>,
}

impl Baseline {
    /// Reads the record; an absent file is an empty one.
    pub fn read(path: &Path) -> Result<Baseline> {
        if !path.exists() {
            return Ok(Baseline::default());
        }
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let value: Value = serde_json::from_str(&text)?;
        let rows = value["rows"].as_object().into_iter().flatten();
        let rows = rows.filter_map(|(n, v)| Some((n.clone(), v.as_f64()?))).collect();
        Ok(Baseline { pace: value["pace_ns"].as_f64().unwrap_or(0.0), rows })
    }

    /// Writes what was measured into it; rows that were not stay.
    pub fn record(&mut self, path: &Path, pace: f64, results: &[(&Row, Measured)]) -> Result<()> {
        self.pace = pace;
        self.rows.extend(results.iter().map(|(r, m)| (r.name.to_owned(), (m.value * 1000.0).round() / 1000.0)));
        let text =
            serde_json::to_string_pretty(&json!({"pace_ns": (pace * 100.0).round() / 100.0, "rows": self.rows}))?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())
    }
}

/// Writes the figures for other programs.
pub fn write_json(path: &Path, results: &[(&Row, Measured)], baseline: &Baseline) -> Result<()> {
    let rows = results.iter().map(|(row, m)| {
        let key = if row.unit == CLOCKS { "clocks_per_packet" } else { "value" };
        json!({
            "row": row.name, key: m.value, "unit": row.unit, "mpps": m.mpps,
            "baseline": baseline.rows.get(row.name), "target": row.target, "nodes": m.nodes,
        })
    });
    let rows: Vec<Value> = rows.collect();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, serde_json::to_string_pretty(&rows)? + "\n").with_context(|| path.display().to_string())
}

/// Nanoseconds for a fixed piece of work (a dependent walk through 16 KiB with some arithmetic): how fast the machine
/// is just now. Best of many, so that a neighbour's noise does not show.
pub fn pace() -> f64 {
    let table: Vec<u32> = (0..4096u32).map(|i| i.wrapping_mul(2_654_435_761) % 4096).collect();
    let once = || {
        let (start, mut at, mut sum) = (Instant::now(), 1usize, 0u32);
        for i in 0..100_000u32 {
            at = table.get(at).map_or(0, |t| (*t as usize + i as usize) % 4096);
            sum = sum.rotate_left(5) ^ at as u32;
        }
        std::hint::black_box(sum);
        start.elapsed().as_nanos() as f64 / 100_000.0
    };
    (0..50).map(|_| once()).fold(f64::MAX, f64::min)
}
