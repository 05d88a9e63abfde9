//! Instructions and instruction-cache misses a packet, by valgrind's cachegrind: figures that repeat.

use crate::report::Measured;
use anyhow::{Context, Result, ensure};
use std::process::Command;

/// Packets of the shorter of two runs; the difference to one of twice as many is free of start-up costs.
const PACKETS: usize = 65_536;

/// The instruction cache that is simulated: a quarter of a real one, as the IPv4 path alone is too small to miss in 32 KiB.
/// So the curve is that of a graph four times the size.
const CACHE: &str = "--I1=8192,8,64";

/// Counts over one run.
struct Counts {
    instructions: f64,
    first_level_misses: f64,
}

/// Instructions a packet at full vectors.
pub fn instructions() -> Result<Option<Measured>> {
    Ok(per_packet(256)?.map(|c| Measured::plain(c.instructions)))
}

/// First-level instruction-cache misses a packet at a vector size.
pub fn misses(vector: usize) -> Result<Option<Measured>> {
    Ok(per_packet(vector)?.map(|c| Measured::plain(c.first_level_misses)))
}

fn per_packet(vector: usize) -> Result<Option<Counts>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Ok(None);
    }
    let (short, long) = (count(vector, PACKETS / vector)?, count(vector, 2 * PACKETS / vector)?);
    let each = |f: fn(&Counts) -> f64| (f(&long) - f(&short)) / PACKETS as f64;
    Ok(Some(Counts { instructions: each(|c| c.instructions), first_level_misses: each(|c| c.first_level_misses) }))
}

/// Runs this program's `graph` command under cachegrind. The baseline loop is taken, as valgrind knows no AVX-512.
fn count(vector: usize, vectors: usize) -> Result<Counts> {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=yes", CACHE, "--cachegrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["graph", "--vector", &vector.to_string(), "--vectors", &vectors.to_string()])
        .env("MILLRACE_CPU", "x86-64-v2")
        .output()
        .context("starting valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{text}");
    let figure = |label: &str| {
        let line = text.lines().find(|l| l.contains(label)).with_context(|| format!("no {label:?} in: {text}"))?;
        let number = line.rsplit(':').next().unwrap_or("").replace(',', "");
        number.trim().parse::<f64>().with_context(|| line.to_owned())
    };
    Ok(Counts { instructions: figure("I   refs:")?, first_level_misses: figure("I1  misses:")? })
}
