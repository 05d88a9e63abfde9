//! What a row is called, must reach and may lose, and how it is printed and kept.

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

/// A row of the table: less is better, unless it says that more is.
pub struct Row {
    /// Its name, as in the performance page.
    pub name: &'static str,
    /// What the machine must have for it, where not every one has.
    pub needs: &'static str,
    unit: &'static str,
    target: Option<f64>,
    less: bool,
    /// Whether it goes with the speed of the machine.
    paced: bool,
    /// Differences below this are noise.
    noise: f64,
    run: fn() -> Result<Option<Measured>>,
}

/// How much worse than its baseline a row may be.
const ALLOWED: f64 = 1.15;

impl Row {
    /// The unit of rows that count clocks.
    pub const CLOCKS: &str = "clocks/packet";

    /// A row, and what measures it once; that gives `None` where the machine lacks what it [needs](Row::needs).
    pub const fn new(name: &'static str, unit: &'static str, run: fn() -> Result<Option<Measured>>) -> Row {
        Row { name, needs: "", unit, target: None, less: true, paced: false, noise: 0.0, run }
    }

    /// What it must reach.
    pub const fn target(mut self, target: f64) -> Row {
        self.target = Some(target);
        self
    }

    /// More is better.
    pub const fn more(mut self) -> Row {
        self.less = false;
        self
    }

    /// It goes with the speed of the machine.
    pub const fn paced(mut self) -> Row {
        self.paced = true;
        self
    }

    /// Differences below this, in its unit, are noise.
    pub const fn noise(mut self, noise: f64) -> Row {
        self.noise = noise;
        self
    }

    /// What the machine must have for it.
    pub const fn needs(mut self, needs: &'static str) -> Row {
        self.needs = needs;
        self
    }

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
        let key = if row.unit == Row::CLOCKS { "clocks_per_packet" } else { "value" };
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
